"""What was deleted 7 days ago goes for good, at whatever moment the process ends; nothing else changes."""
import contextlib
import json
import os
import random
import subprocess
import time

import harness
from harness import NS, Batch, check, cli, equal, wait_for
from test_rm import BUSY, delete, everything, fill, listed, ok, refused, same, undelete

DAY = 86400
GONE = "quokka-4711-rottnest"  # as bytes in a file, nothing else looks like it


def number(client, name):
    text = client.request("GET", "/metrics").body.decode()
    return int(next(line for line in text.splitlines() if line.startswith(f"astraml_{name} ")).split()[1])


def wide(client, run, series=2500, blocks=300):
    """Many rows: each request is a block of log, and has rejected samples and a producer of its own."""
    client.create_run(run)
    b = Batch()
    for i in range(series):
        b.sample(b.series(f"{run}/wide{i}"), 1_600_000_000 * NS + i, i / 7)
    client.ingest(run, b)
    for i in range(blocks):
        b = Batch(os.urandom(16), 1)
        b.sample(b.series("late"), -5, 1.0)
        client.ingest(run, b.log(f"{run} block {i}\n", t_ns=1_600_000_000 * NS + i))


def keep_all(server):
    """However far the clock goes."""
    ok("policy", "set", "tiers=30s:forever", "raw_keep=forever", "log_keep=forever", "--data", server.data)


def find(data, what):
    """Files under the directory that hold these bytes; they may come and go meanwhile."""
    found = []
    for folder, _, names in os.walk(data):
        for name in names:
            with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name), "rb") as f:
                if what in f.read():
                    found.append(os.path.relpath(os.path.join(folder, name), data))
    return found


def test_after_seven_days():
    clock = harness.Clock()
    with harness.Server(arguments=BUSY, env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        for i, run in enumerate(("kept", "gone", "young")):
            fill(c, run, i)
        before = {run: everything(c, run) for run in ("kept", "gone", "young")}
        delete(c, "gone")
        clock.move(6 * DAY)
        delete(c, "young")
        clock.move(DAY - 60)
        server.restart()
        c = server.client()
        equal(number(c, "deleted_runs"), 2, "a minute before its time")
        equal(undelete(c, "gone").status, 200)
        same(everything(c, "gone"), before["gone"], "given back in the last minute")
        delete(c, "gone")
        clock.move(7 * DAY - 60)
        wait_for(lambda: number(c, "deleted_runs") == 1, "the purge of young")
        refused(undelete(c, "young"), 404, "no run young was deleted")
        clock.move(61)
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge of gone")
        refused(undelete(c, "gone"), 404, "no run gone was deleted")
        refused(c.get("/runs/gone"), 404, "there is no run gone")
        same(everything(c, "kept"), before["kept"], "kept")
        equal(number(c, "series"), 4, "series")
        fill(c, "gone", 1)
        same([everything(c, "gone")[0].split(b"\n", 1)[1]], [before["gone"][0].split(b"\n", 1)[1]], "the id used again")
        ok("verify", "--data", server.data)
    ok("verify", "--data", server.data)


def windows_of(client, run):
    answer = client.get("/query", run=run, metric="*", every="30s").json()
    return sum(len(series["rows"]) for series in answer["series"])


def test_open_buckets_and_journal():
    """Nothing of it was flushed when it is purged: the next flush leaves it out, and so does a recovery."""
    clock = harness.Clock()
    lazy = ("--compact-every", "20ms", "--flush-every", "100000m", "--settle", "10000000m")
    with harness.Server(arguments=lazy, env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        fill(c, "gone", 1)
        fill(c, "kept", 2)
        before = everything(c, "kept")
        delete(c, "gone")
        clock.move(7 * DAY + 1)
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge")
        same(everything(c, "kept"), before, "kept, in memory")
        server.kill9()
        c = server.start().client()
        same(everything(c, "kept"), before, "kept, recovered")
    with harness.Server(server.data, ("--flush-every", "50ms", "--grace", "1ms", "--settle", "10000000m")) as server:
        c = server.client()
        wait_for(lambda: number(c, "open_buckets") == 0, "the flush")
        equal(number(c, "flushed_buckets"), windows_of(c, "kept"), "buckets that were flushed")
    ok("compact", "--data", server.data)
    with harness.Server(server.data) as server:
        c = server.client()
        same(everything(c, "kept"), before, "kept, compacted")
        equal((number(c, "series"), listed(c)), (4, ["kept"]))
    ok("verify", "--data", server.data)


def test_blocks_of_an_hour_that_was_open():
    """Flushed and not sealed when it is purged: nobody waits for a part of it, and its blocks go."""
    clock = harness.Clock()
    with harness.Server(arguments=BUSY, env=clock.environment) as server:
        c = server.client()
        c.create_run("gone")
        b = Batch()
        now = clock.now_ns()
        for i in range(100):
            b.sample(b.series(f"m{i}"), now, 1.0)
        c.ingest("gone", b)
        clock.move(120)
        wait_for(lambda: number(c, "flushed_buckets") == 100 and number(c, "open_buckets") == 0, "the flush")
        delete(c, "gone")
        clock.move(7 * DAY + 1)
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge")
        wait_for(lambda: number(c, "blocks") == 0, "blocks to go")
        wait_for(lambda: not parts(server.data), "parts to go")
        check("compact:" not in server.stderr(), server.stderr())


def given_back_whole(client, run):
    """A run that can be given back has everything it had; it is deleted again."""
    answer = undelete(client, run)
    if answer.status == 404:
        return False
    equal(answer.status, 200, answer)
    equal((len(client.metrics(run)), len(client.logs(run))), (4001, 400), f"what {run} has left")
    delete(client, run)
    return True


def kill_in_the_middle(server, chance, at_the_first):
    """As soon as one more run is gone, of several that are due; or at any moment."""
    said = os.path.getsize(server.stderr_path)
    server.start()
    deadline = time.monotonic() + (1 if at_the_first else chance.random() * 0.05)
    while time.monotonic() < deadline and not (at_the_first and os.path.getsize(server.stderr_path) > said):
        pass
    server.kill9()


def test_killed_at_any_moment():
    """The clock goes back each time: what can be given back then is whole."""
    rounds = 4 if os.environ.get("ASTRAML_TEST_SHORT") else 6
    clock = harness.Clock()
    chance = random.Random(11)
    with harness.Server(arguments=BUSY, env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        fill(c, "kept", 1)
        wait_for(lambda: number(c, "part_buckets") and not number(c, "flushed_buckets") + number(c, "open_buckets"), "parts")
        before, part_buckets = everything(c, "kept"), number(c, "part_buckets")
        for i in range(rounds):
            wide(c, f"wide{i}", series=4000, blocks=400)
            delete(c, f"wide{i}")
        wait_for(lambda: number(c, "part_buckets") > part_buckets, "parts")
        clock.move(7 * DAY + 1)
        back = 0
        for attempt in range(20 * rounds):
            server.kill9()
            kill_in_the_middle(server, chance, attempt % 2 == 0)
            ok("verify", "--data", server.data)
            clock.move(-2 * DAY)
            c = server.start().client()
            left = number(c, "deleted_runs")
            back += sum([given_back_whole(c, f"wide{i}") for i in range(rounds)])
            clock.move(9 * DAY)
            same(everything(c, "kept"), before, "kept")
            if not left:
                break
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge")
        wait_for(lambda: number(c, "part_buckets") == part_buckets, "parts without them")
        equal((number(c, "series"), listed(c)), (4, ["kept"]))
        check(back or rounds < 5, "no purge was cut off before it had begun with all")
    stats = ok("verify", "--json", "--data", server.data)
    check(b'"series":4,' in stats and b'"runs":1,' in stats, stats)


def test_the_file_gets_smaller():
    """Free pages are used again; `compact` without a server gives them back, unless somebody reads."""
    clock = harness.Clock()
    with harness.Server(arguments=("--compact-every", "20ms", "--log-block", "64KiB"), env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        fill(c, "kept", 1)
        c.create_run("big", imported=True, state="finished")
        for i in range(60):
            b = Batch()
            for _ in range(5):
                b.log(os.urandom(20000).hex())
            c.ingest("big", b)
        delete(c, "big")
        clock.move(7 * DAY + 1)
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge")
        before = everything(c, "kept")
        check(number(c, "free_bytes") > 2_000_000, "free bytes", number(c, "free_bytes"))
        reader = subprocess.Popen([harness.PROGRAM, "logs", "kept", "-f", "--data", server.data], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env=harness.program_environment())
        harness.after_test.append(reader.kill)
        check(reader.stdout.readline(), "the reader said nothing")
    path = os.path.join(server.data, "hot", "data.mdb")
    size = os.path.getsize(path)
    held = cli("compact", "--json", "--data", server.data)
    equal((held.returncode, os.path.getsize(path)), (0, size), "while somebody reads")
    check(b"another process reads" in held.stderr, held.stderr)
    reader.kill()
    reader.wait()
    report = json.loads(ok("compact", "--json", "--data", server.data))
    equal(report["file_bytes"], os.path.getsize(path), "what compact tells")
    check(report["file_before_bytes"] == size and report["file_bytes"] < size / 4, report)
    equal(os.listdir(os.path.join(server.data, "tmp")), [], "tmp/")
    ok("verify", "--data", server.data)
    equal(json.loads(ok("compact", "--json", "--data", server.data))["file_before_bytes"], report["file_bytes"], "again")
    with harness.Server(server.data, env=clock.environment) as again:
        c = again.client()
        same(everything(c, "kept"), before, "kept")
        fill(c, "kept", 5, create=False)
        fill(c, "new", 6)


def days_of(client, run, days):
    client.create_run(run, imported=True, state="finished")
    for day in days:
        b = Batch()
        for k in range(4):
            b.series(f"{run}/metric{k}", {"of": run})
            for i in range(300):
                b.sample(k, (1_600_000_000 + day * DAY + i * 60) * NS, i * 1.1 + k, step=i)
        client.ingest(run, b.log(f"{run} on day {day}\n", t_ns=(1_600_000_000 + day * DAY) * NS))


def parts_with(data, what):
    return find(os.path.join(data, "parts"), what)


def parts(data, kind=""):
    return sorted(name for name in os.listdir(os.path.join(data, "parts")) if name.startswith(kind))


def samples_of(client, run):
    """Every sample of the run, as the API gives it."""
    answer = client.get("/query", run=run, metric="*", samples="true")
    equal(answer.status, 200, answer)
    series = answer.json()["series"]
    check(sum(len(one["rows"]) for one in series) == 4 * 300 * 3, "samples", answer)
    return json.dumps(series).encode()


def physically_gone(policy, ahead_s, whole):
    """A run that shares some slots with another one and has some for itself, sealed in every tier there is."""
    clock = harness.Clock()
    with harness.Server(arguments=(*BUSY, "--raw-wait", "1ms"), env=clock.environment) as server:
        c = server.client()
        ok("policy", "set", "raw_keep=forever", "log_keep=forever", *policy, "--data", server.data)
        days_of(c, "kept", (0, 1, 100))
        days_of(c, GONE, (0, 1, 2, 200))
        wait_for(lambda: number(c, "parts") >= 8 and number(c, "flushed_buckets") == 0, "parts")
        raw_with = lambda: [name for name in parts_with(server.data, GONE.encode()) if name.startswith("raw")]
        wait_for(raw_with, "raw parts")
        clock.move(ahead_s)
        if whole:
            wait_for(lambda: len(parts(server.data, "metrics")) == 1, "totals")
        wait_for(lambda: len(parts(server.data, "raw")) <= 2 and raw_with(), "raw parts of days that are over")
        before = everything(c, "kept") + [samples_of(c, "kept")]
        check([name for name in parts_with(server.data, GONE.encode()) if name.startswith("metrics")],
              "no part says that it holds the run: the test looks for nothing")
        delete(c, GONE)
        clock.move(7 * DAY + 1)
        wait_for(lambda: number(c, "deleted_runs") == 0, "the purge")
        wait_for(lambda: not parts_with(server.data, GONE.encode()), "parts without the run")
        same(everything(c, "kept") + [samples_of(c, "kept")], before, "the other run")
        ok("verify", "--data", server.data)
        c = server.restart().client()
        same(everything(c, "kept") + [samples_of(c, "kept")], before, "the other run, after a restart")
        left = wait_for(lambda: number(c, "flushed_buckets") == 0 and parts(server.data, "metrics"), "parts")
        if whole:
            equal(len(left), 1, left)
        else:
            equal(sorted(name.split("-")[2] for name in left), ["1d", "1h", "1h"] + ["5m"] * 3 + ["recorded"] * 3, left)
        check("compact:" not in server.stderr(), server.stderr())
    report = json.loads(ok("compact", "--json", "--data", server.data))
    check(report["file_bytes"] < report["file_before_bytes"], report)
    equal(find(server.data, GONE.encode()), [], "files that hold its name, metrics or log")
    ok("verify", "--data", server.data)


def test_gone_from_parts_of_every_tier():
    physically_gone((), 1.5 * DAY, whole=False)


def test_gone_from_the_totals():
    physically_gone(("tiers=30s:1d,1h:2d",), 4 * DAY, whole=True)


def test_a_store_of_nothing_but_what_is_gone():
    clock = harness.Clock()
    with harness.Server(arguments=BUSY, env=clock.environment) as server:
        c = server.client()
        days_of(c, GONE, range(3))
        wait_for(lambda: number(c, "parts") >= 6, "parts")
        delete(c, GONE)
        clock.move(7 * DAY + 1)
        wait_for(lambda: parts(server.data) == [], "no parts")
        wait_for(lambda: number(c, "blocks") == 0 and number(c, "series") == 0, "nothing")
        check("damaged" not in server.stderr(), server.stderr())
        ok("verify", "--data", server.data)
    clock.move(DAY)
    ok("compact", "--data", server.data)
    equal(find(server.data, GONE.encode()), [])


def test_ingest_is_not_held_up():
    clock = harness.Clock()
    with harness.Server(arguments=BUSY, env=clock.environment) as server:
        c = server.client()
        c.create_run("live")
        for i in range(3):
            wide(c, f"wide{i}")
            delete(c, f"wide{i}")
        clock.move(7 * DAY + 1)
        slowest = sent = 0
        while number(c, "deleted_runs"):
            began = time.monotonic()
            c.ingest("live", Batch().log("now"))
            slowest, sent = max(slowest, time.monotonic() - began), sent + 1
        equal(len(c.logs("live")), sent, "records")
        check(slowest < 5, f"an acknowledgement waited {slowest:.2f} s")


if __name__ == "__main__":
    harness.main(globals())
