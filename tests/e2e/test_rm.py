"""Deleting runs: nobody sees them, everything comes back with undelete, other runs never change."""
import glob
import http.client
import json
import os
import random
import re
import subprocess
import threading
import time

import harness
from harness import NS, Batch, check, cli, equal, wait_for

DAY = 86400
LOGS = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "v[025]*", "*.gz")))[:3]
BUSY = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "20ms", "--late-wait", "1ms", "--log-block", "8KiB")


def ok(*arguments, **options):
    r = cli(*arguments, **options)
    equal(r.returncode, 0, f"{arguments}: {r.stdout[-500:]} {r.stderr}")
    return r.stdout


def everything(client, run):
    """All that a run has to say, from four sides."""
    answers = [client.get(f"/runs/{run}/export"), client.get(f"/runs/{run}"), client.get(f"/runs/{run}/metrics"),
               client.get(f"/runs/{run}/logs")]
    for answer in answers:
        equal(answer.status, 200, f"{run}: {answer}")
    return [a.body for a in answers]


def same(got, want, what=""):
    """The same bytes; told by the first line that differs."""
    for g, w in zip(got, want):
        for n, (a, b) in enumerate(zip(g.splitlines(), w.splitlines())):
            equal(a, b, f"{what}: line {n}")
        equal(len(g), len(w), f"{what}: bytes")
    equal(len(got), len(want), what)


def listed(client):
    return [r["id"] for r in client.get("/runs", limit=1000).json()["runs"]]


def fill(client, run, seed, requests=5, create=True):
    chance = random.Random(seed)
    if create:
        client.create_run(run, imported=True, state="finished")
    for i in range(requests):
        b = Batch()
        series = [b.series(f"m{k}", {"rank": str(k)}) for k in range(4)]
        for _ in range(100):
            t = (1_600_000_000 + chance.randrange(100_000)) * NS
            b.sample(chance.choice(series), t, chance.choice((chance.random(), -0.0, float("nan"))), step=chance.randrange(999))
        for k in range(20):
            b.log(f"{run} line {i}/{k} of {chance.random()}\n", t_ns=(1_600_000_000 + i) * NS + k, rank=k % 3)
        client.ingest(run, b)


def delete(client, run, **headers):
    return client.request("DELETE", client.path(f"/runs/{run}"), headers={k.replace("_", "-"): v for k, v in headers.items()})


def undelete(client, run, **headers):
    return client.request("POST", client.path(f"/runs/{run}:undelete"), b"", {k.replace("_", "-"): v for k, v in headers.items()})


def refused(answer, status, *words):
    equal(answer.status, status, answer)
    error = answer.error()
    for word in words:
        check(word in error["message"], word, "is not in", error["message"])
    return error


def test_gone_and_back():
    with harness.Server(arguments=BUSY) as server:
        c = server.client()
        for i, run in enumerate(("kept", "gone", "after")):
            fill(c, run, i)
        before = {run: everything(c, run) for run in ("kept", "gone", "after")}
        answer = delete(c, "gone")
        equal(answer.status, 200, answer)
        told = answer.json()
        until = told["undelete_until"]
        check(told["id"] == "gone" and told["deleted_at"] < until, told)
        for get in ("", "/metrics", "/logs", "/export", "/logs/histogram?every=1h"):
            refused(c.get(f"/runs/gone{get}"), 404, "was deleted on", f"until {until[:19]}")
        refused(c.get("/query", run="gone", metric="*"), 404, "was deleted on")
        error = refused(c.post_ingest("gone", Batch().log("late").encode()), 404, "was deleted on", until[:19])
        equal(error["retryable"], False, "retryable")
        equal(listed(c), ["after", "kept"], "listed")
        refused(delete(c, "gone"), 404, "was deleted on")
        equal(cli("show", "gone", "--data", server.data).returncode, 3, "beside the server")
        equal(json.loads(ok("stats", "--json", "--data", server.data))["store"]["deleted_runs"], 1, "deleted_runs")
        for run in ("kept", "after"):
            same(everything(c, run), before[run], f"{run} while another is deleted")
        ok("verify", "--data", server.data)
        c = server.restart().client()
        refused(c.get("/runs/gone"), 404, "was deleted on")
        refused(c.post_ingest("gone", Batch().log("late").encode()), 404)
        equal(listed(c), ["after", "kept"], "listed after a restart")
        back = undelete(c, "gone")
        equal(back.status, 200, back)
        check("deleted_at" not in back.json(), back.json())
        for run in before:
            same(everything(c, run), before[run], run)
        fill(c, "gone", 9, create=False)
        c = server.restart().client()
        equal(len(c.logs("gone")), 200, "log records after going on")
        refused(undelete(c, "gone"), 409, "there is nothing to give back")
        refused(undelete(c, "never"), 404, "no run never was deleted")
        refused(delete(c, "never"), 404, "there is no run never")


def test_what_memory_and_journal_hold_comes_back():
    """Deleted while nothing is flushed, killed, recovered, flushed, compacted, and given back."""
    with harness.Server() as server:
        c = server.client()
        fill(c, "r", 1)
        fill(c, "other", 2)
        before = everything(c, "r"), everything(c, "other")
        equal(delete(c, "r").status, 200)
        server.kill9()
    ok("compact", "--data", server.data)
    with harness.Server(server.data) as server:
        c = server.client()
        same(everything(c, "other"), before[1], "the other")
        equal(undelete(c, "r").status, 200)
        same(everything(c, "r"), before[0], "given back")


def test_the_id_is_free():
    with harness.Server() as server:
        c = server.client()
        fill(c, "r", 1)
        first = everything(c, "r")
        delete(c, "r")
        fill(c, "r", 2)
        second = everything(c, "r")
        check(first != second, "the new run has what the old one had")
        refused(undelete(c, "r"), 409, "the id r was taken", "by another run")
        same(everything(c, "r"), second, "after a refused undelete")
        delete(c, "r")
        fill(c, "r", 3)
        delete(c, "r")
        ok("verify", "--data", server.data)
        c = server.restart().client()
        equal(undelete(c, "r").status, 200)
        equal(len(c.logs("r")), 100, "records of the newest")
        check("r line 0/0 of" in c.logs("r")[0]["text"], c.logs("r")[0])
        delete(c, "r")
        fill(c, "r2", 3)
        equal(undelete(c, "r").status, 200)
        strip = lambda export: export.replace(b'"r2"', b'"r"').replace(b"r2 line", b"r line")
        same([everything(c, "r")[0].split(b"\n", 1)[1]], [strip(everything(c, "r2")[0]).split(b"\n", 1)[1]], "the newest")


def test_an_import_imports_again():
    """api 6: its producer lives as long as the run."""
    with harness.Server() as server:
        c = server.client()
        ok("import", "mllog", "--data", server.data, *LOGS, timeout=120)
        runs = listed(c)
        check(len(runs) >= 3, runs)
        of = {run: everything(c, run) for run in runs}
        ok("rm", *runs, "--data", server.data)
        equal(listed(c), [], "listed")
        ok("import", "mllog", "--data", server.data, *LOGS, timeout=120)
        equal(sorted(listed(c)), sorted(runs), "imported again")
        told = lambda a: [a[0].split(b"\n", 1)[1], a[2], a[3]]
        for run in runs:
            same(told(everything(c, run)), told(of[run]), run)
        refused(undelete(c, runs[0]), 409)


def test_keys_of_what_was_deleted():
    """What created it, and what it was sent, can be sent again under the same keys."""
    with harness.Server() as server:
        c = server.client()
        body, as_json = json.dumps({"id": "r"}), {"Content-Type": "application/json", "Idempotency-Key": "k1"}
        first = c.request("POST", c.path("/runs"), body, as_json)
        again = c.request("POST", c.path("/runs"), body, as_json)
        equal((first.status, again.status, again.headers["Idempotent-Replay"]), (201, 201, "true"))
        send = lambda: c.post_ingest("r", Batch().log("once").encode(), Idempotency_Key="k2")
        equal((send().status, send().headers["Idempotent-Replay"]), (200, "true"))
        delete(c, "r")
        made = c.request("POST", c.path("/runs"), body, as_json)
        equal((made.status, made.headers["Idempotent-Replay"]), (201, None), "created anew")
        check(made.json()["created_at"] != first.json()["created_at"], "the deleted run was told")
        equal((send().status, send().headers["Idempotent-Replay"]), (200, "true"), "sent anew")
        equal(len(c.logs("r")), 1, "records")


def test_deleting_once():
    with harness.Server() as server:
        c = server.client()
        fill(c, "r", 1)
        first = delete(c, "r", Idempotency_Key="d1")
        again = delete(c, "r", Idempotency_Key="d1")
        equal((again.status, again.body, again.headers["Idempotent-Replay"]), (200, first.body, "true"))
        back = undelete(c, "r", Idempotency_Key="u1")
        equal((back.status, undelete(c, "r", Idempotency_Key="u1").headers["Idempotent-Replay"]), (200, "true"))
        refused(undelete(c, "r", Idempotency_Key="d1"), 409, "Idempotency-Key")
        equal(delete(c, "r", Idempotency_Key="d1").headers["Idempotent-Replay"], "true", "the first answer again")
        equal(listed(c), ["r"], "what a repetition did")


def test_verbs():
    data = os.path.join(harness.scratch(), "data")
    for run in ("a", "b"):
        ok("push", "--run", run, "--data", data, stdin=b'{"metric":"loss","value":0.5,"step":1}\n{"log":"hello"}\n')
    before = ok("export", "a", "--data", data)
    told = ok("rm", "a", "b", "--data", data).decode()
    check(re.search(r"deleted a; until 20\S+Z `astraml undelete a` brings it back\ndeleted b;", told), told)
    r = cli("show", "a", "--data", data)
    equal(r.returncode, 3, "show")
    check(b"`astraml undelete a`" in r.stderr, r.stderr)
    equal(ok("undelete", "a", "--data", data), b"a is back: running\n")
    equal(ok("export", "a", "--data", data), before, "given back")
    r = cli("undelete", "nothing", "b", "--data", data)
    equal((r.returncode, b"b is back" in r.stdout, b"nothing" in r.stderr), (3, True, True), r)
    with harness.Server(data) as server:
        over_http = ("--server", server.url)
        token = {"ASTRAML_TOKEN": server.token}
        run = json.loads(ok("rm", "b", "--json", *over_http, env=token))
        check(run["id"] == "b" and run["undelete_until"], run)
        equal(json.loads(ok("undelete", "b", "--json", *over_http, env=token))["id"], "b")
        ok("rm", "b", "--data", data)  # finds the server
        equal(listed(server.client()), ["a"])
    for verb in ("rm", "undelete"):
        check(b"example: astraml " + verb.encode() in ok(verb, "--help"), verb)
        equal(cli(verb).returncode, 2, f"{verb} of nothing")
        equal(cli(verb, "--force", "x").returncode, 2, f"{verb} --force")


def test_what_can_be_brought_back():
    with harness.Server() as server:
        c = server.client()
        for i in range(7):
            c.create_run(f"r{i}", tags={"odd": str(i % 2)})
        for i in (1, 2, 3, 5):
            delete(c, f"r{i}")
        c.create_run("r1")
        delete(c, "r1")
        gone = lambda **p: [r["id"] for r in c.get("/runs", deleted="true", **p).json()["runs"]]
        equal(gone(), ["r1", "r5", "r3", "r2", "r1"], "newest first")
        equal((gone(tag="odd=1"), gone(limit=2)), (["r5", "r3", "r1"], ["r1", "r5"]), "filters")
        equal(listed(c), ["r6", "r4", "r0"], "those that are there")
        one = c.get("/runs", deleted="true", limit=1).json()["runs"][0]
        check(one["deleted_at"] < one["undelete_until"], one)
        table = ok("runs", "--deleted", "--data", server.data).decode().splitlines()
        equal([line.split()[0] for line in table], ["RUN", "r1", "r5", "r3", "r2", "r1"], table)
        check(one["undelete_until"][:19] in table[1], table)
        for _ in range(2):
            undelete(c, "r3")
        equal(gone(tag="odd=1"), ["r5", "r1"], "one less")


class Follower(threading.Thread):
    """Follows one run to the end of the stream."""

    def __init__(self, server, run, **parameters):
        super().__init__(daemon=True)
        c = server.client()
        host, port = harness.parse_url(server.url)
        self.connection = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        self.connection.request("GET", c.path(f"/runs/{run}/logs?follow=true&after_seq=0"),
                                headers={"Authorization": f"Bearer {server.token}"})
        self.response = self.connection.getresponse()
        self.status, self.lines = self.response.status, []
        self.start()

    def run(self):
        for line in self.response:
            if line.strip():
                self.lines.append(json.loads(line))


def test_followers_end():
    with harness.Server() as server:
        c = server.client()
        fill(c, "r", 1)
        fill(c, "other", 2)
        followers = [Follower(server, "r") for _ in range(5)]
        others = Follower(server, "other")
        wait_for(lambda: all(len(f.lines) == 100 for f in followers + [others]), "records")
        began = time.monotonic()
        delete(c, "r")
        for f in followers:
            f.join(harness.DEADLINE_S)
            equal([list(line) for line in f.lines[100:]], [["error"]], "the last line")
            error = f.lines[-1]["error"]
            check(error["code"] == "not_found" and "was deleted on" in error["message"], error)
        check(time.monotonic() - began < 5, "followers ended late")
        c.ingest("other", Batch().log("more"))
        wait_for(lambda: len(others.lines) == 101, "the other run's followers")
        follow = cli("logs", "r", "-f", "--server", server.url, env={"ASTRAML_TOKEN": server.token})
        equal(follow.returncode, 3, "logs -f of a deleted run")


def test_a_worker_is_refused_for_good():
    """push ends with the sentence, and does not try again for a minute."""
    with harness.Server() as server:
        c = server.client()
        push = subprocess.Popen([harness.PROGRAM, "push", "--run", "r", "--server", server.url], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(push.kill)
        push.stdin.write(b'{"log":"first"}\n')
        push.stdin.flush()
        wait_for(lambda: c.get("/runs/r").status == 200 and c.logs("r"), "the first line")
        delete(c, "r")
        began = time.monotonic()
        _, said = push.communicate(b'{"log":"second"}\n', timeout=harness.DEADLINE_S)
        equal(push.returncode, 3, said)
        check(b"was deleted on" in said and b"trying again" not in said, said)
        check(time.monotonic() - began < 20, "it tried again")


def test_under_load():
    """Ingest, followers, rm and undelete at once; then the truth is told by what was acknowledged."""
    rounds = 10 if os.environ.get("ASTRAML_TEST_SHORT") else 40
    with harness.Server(arguments=BUSY) as server:
        c = server.client()
        fill(c, "still", 7)
        before = everything(c, "still")
        c.create_run("r")
        stop, kept, faults = threading.Event(), [[] for _ in range(3)], []

        def produce(me):
            client, n = server.client(), 0
            while not stop.is_set():
                n += 1
                b = Batch()
                b.sample(b.series(f"p{me}"), (1_600_000_000 + n) * NS, float(n), step=n)
                b.log(f"{me}/{n}")
                answer = client.post_ingest("r", b.encode())
                if answer.status == 200:
                    kept[me].append(n)
                elif answer.status != 404:
                    faults.append(answer)

        def read():
            client = server.client()
            while not stop.is_set():
                for get in ("/runs", "/runs/r/metrics", "/runs/r/logs", "/runs/r/export", "/query?run=r&metric=*"):
                    answer = client.request("GET", client.path(get))
                    if answer.status not in (200, 404):
                        faults.append(answer)

        threads = [threading.Thread(target=produce, args=(i,)) for i in range(3)] + [threading.Thread(target=read)]
        for t in threads:
            t.start()
        for _ in range(rounds):
            follower = Follower(server, "r")
            had = sum(map(len, kept))
            wait_for(lambda: sum(map(len, kept)) > had + 3 or faults, "ingest")
            equal(delete(c, "r").status, 200)
            follower.join(harness.DEADLINE_S)
            check(not follower.is_alive() and "error" in follower.lines[-1], "a follower goes on")
            equal(undelete(c, "r").status, 200)
        stop.set()
        for t in threads:
            t.join()
        equal(faults, [], "answers that are neither 200 nor 404")
        want = sorted(f"{me}/{n}" for me in range(3) for n in kept[me])
        equal(sorted(r["text"] for r in c.logs("r")), want, "records that were acknowledged")
        counts = {m["name"]: m["count"] for m in c.metrics("r")}
        equal(counts, {f"p{me}": len(kept[me]) for me in range(3) if kept[me]}, "samples")
        same(everything(c, "still"), before, "a run that nobody touched")
        ok("verify", "--data", server.data)


if __name__ == "__main__":
    harness.main(globals())
