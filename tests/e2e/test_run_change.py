"""PATCH of a run: what is named changes, the rest stays as it was written; tag and wait."""
import json
import random
import subprocess
import threading

import harness
from harness import NS, Batch, check, cli, equal
from test_rm import ok, refused

SPEC = {"id": "r", "name": "first", "model": "bert", "tags": {"team": "vision", "draft": "yes"},
        "hyperparams": {"lr": 3e-5, "betas": [0.9, 0.999], "early_stopping": {"patience": 5, "metric": "loss"}}}


def patch(client, run, change, **headers):
    body = change if isinstance(change, (bytes, str)) else json.dumps(change)
    headers = dict({"Content-Type": "application/json"}, **{k.replace("_", "-"): v for k, v in headers.items()})
    return client.request("PATCH", client.path(f"/runs/{run}"), body, headers)


def spec(client, run="r"):
    return client.get(f"/runs/{run}").json()["spec"]


def merged(target, change):
    """RFC 7396, as its pseudocode has it."""
    if not isinstance(change, dict):
        return change
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merged(target.get(key), value)
    return target


def test_what_is_named_changes():
    with harness.Server() as server:
        c = server.client()
        c.create_run("r", **SPEC)
        was = c.get("/runs/r").json()
        answer = patch(c, "r", {"name": "second", "tags": {"draft": None, "kind": "baseline"},
                                "params": {"lr": 1e-4, "early_stopping": {"patience": None, "mode": "min"}}})
        equal(answer.status, 200, answer)
        want = dict(was["spec"], name="second", tags={"team": "vision", "kind": "baseline"})
        want["hyperparams"] = {"lr": 1e-4, "betas": [0.9, 0.999], "early_stopping": {"metric": "loss", "mode": "min"}}
        equal(answer.json()["spec"], want, "the spec")
        equal(answer.json(), dict(was, spec=want), "the rest of the run")
        equal(c.get("/runs/r").json(), answer.json(), "as read")
        equal(spec(server.restart().client()), want, "after a restart")
        c = server.client()
        equal([r["id"] for r in c.get("/runs", tag="kind=baseline").json()["runs"]], ["r"], "found by its tag")
        equal(c.get("/runs", tag="draft").json()["runs"], [], "found by a tag that it had")
        patch(c, "r", '{"params":{"exact":1.2300e-05,"big":123456789012345678901234567890},"name":null}')
        body = c.get("/runs/r").body
        check(b'"exact":1.2300e-05' in body and b'"big":123456789012345678901234567890' in body, body)
        check("name" not in spec(c), "null takes out")


def test_random_merges():
    chance = random.Random(3)

    def value(depth):
        kind = chance.randrange(6 if depth else 4)
        if kind == 4:
            return {k: value(depth - 1) for k in chance.sample("abcde", 3)}
        return (chance.randrange(100), "text", True, None, None, [1, {"x": None}])[kind]

    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        params = {}
        for _ in range(200):
            change = {k: value(3) for k in chance.sample("abcdefgh", 3)}
            equal(patch(c, "r", {"params": change}).status, 200, change)
            params = merged(params, change)
            equal(spec(c).get("hyperparams", {}), params, change)


def test_states():
    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        for state in ("running", "preempted", "finished", "failed", "killed", "queued"):
            answer = patch(c, "r", {"state": state}).json()
            equal(answer["state"], state)
            equal(answer["ended_at"] is not None, state in ("finished", "failed", "killed"), f"ended_at of {state}")
        c.ingest("r", Batch().log("alive"))
        equal(c.get("/runs/r").json()["state"], "running", "ingest wakes a queued run")
        patch(c, "r", {"state": "finished"})
        c.ingest("r", Batch().log("late"))
        equal(c.get("/runs/r").json()["state"], "finished", "ingest wakes no run that has ended")


def test_refused():
    with harness.Server() as server:
        c = server.client()
        c.create_run("r", **SPEC)
        was = c.get("/runs/r").body
        for change, status, word in (({"model": "gpt"}, 422, "model"), ({"id": "x"}, 422, "id"), ([1], 422, "object"),
                                     ("{", 400, "byte"), ({"tags": {"a=b": "c"}}, 422, "tags"), ({"tags": {"a": 1}}, 422, "tags"),
                                     ({"tags": None}, 422, "tags"), ({"params": 3}, 422, "params"), ({"state": "lost"}, 422, "state"),
                                     ({"name": "x" * 300}, 422, "name"), ({"name": 7}, 422, "name")):
            refused(patch(c, "r", change), status, word)
        refused(patch(c, "nothing", {}), 404, "there is no run nothing")
        equal(patch(c, "r", b"{}", Content_Type="text/plain").status, 415)
        refused(patch(c, "r", json.dumps({"params": {"x": "y" * (1 << 20)}})), 413)
        big = {"params": {"x": "y" * 600_000}}
        equal(patch(c, "r", big).status, 200)
        refused(patch(c, "r", {"params": {"z": "y" * 600_000}}), 413, "the spec would have more")
        patch(c, "r", {"params": {"x": None}})
        equal(c.get("/runs/r").json(), json.loads(was), "after all that was refused")


def test_once_and_together():
    """The same key changes once; changes at the same time lose nothing of each other."""
    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        first = patch(c, "r", {"tags": {"n": "1"}}, Idempotency_Key="k")
        patch(c, "r", {"tags": {"n": "2"}})
        again = patch(c, "r", {"tags": {"n": "1"}}, Idempotency_Key="k")
        equal((first.status, again.status, again.headers["Idempotent-Replay"]), (200, 200, "true"))
        equal(spec(c)["tags"], {"n": "2"}, "what a repetition did")
        refused(patch(c, "r", {"tags": {"n": "3"}}, Idempotency_Key="k"), 409, "Idempotency-Key")
        faults = []

        def tag(me):
            client = server.client()
            for i in range(25):
                answer = patch(client, "r", {"tags": {f"t{me}-{i}": "x"}})
                if answer.status != 200:
                    faults.append(answer)

        threads = [threading.Thread(target=tag, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(faults, [])
        equal(len(spec(c)["tags"]), 101, "tags")


def test_tag():
    with harness.Server() as server:
        server.client().create_run("r", tags={"draft": "yes"})
        equal(ok("tag", "r", "--data", server.data), b"draft=yes\n")
        equal(ok("tag", "r", "a=1", "b=x=y \"z\"", "-draft", "--data", server.data), b"a=1\nb=x=y \"z\"\n")
        equal(json.loads(ok("tag", "r", "-a", "--json", "--data", server.data))["spec"]["tags"], {"b": "x=y \"z\""})
        equal(cli("tag", "nothing", "a=1", "--data", server.data).returncode, 3)
        equal([cli("tag", *a, "--data", server.data).returncode for a in ((), ("r", "noequals"), ("r", "=x"), ("r", "--jsn"))], [2] * 4)
        check(b"example: astraml tag" in ok("tag", "--help"))


def test_wait():
    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        waiting = subprocess.Popen([harness.PROGRAM, "wait", "r", "--data", server.data],
                                   env=harness.program_environment())
        harness.after_test.append(waiting.kill)
        b = Batch()
        b.message.run.state, b.message.run.exit_code = harness.pb.State.Value("FAILED"), 7
        c.ingest("r", b)
        equal(waiting.wait(harness.DEADLINE_S), 7, "exit status")
        c.create_run("done", imported=True, state="finished")
        c.create_run("killed", imported=True, state="killed")
        c.create_run("idle")
        equal([cli("wait", run, "--data", server.data, "--timeout", "100ms").returncode for run in ("done", "killed", "idle", "none")],
              [0, 1, 5, 3])
        check(b"example: astraml wait" in ok("wait", "--help"))
        equal(cli("wait", "r", "--timeout", "soon").returncode, 2)


if __name__ == "__main__":
    harness.main(globals())
