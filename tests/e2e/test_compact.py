"""Sealed parts: answers stay the same byte for byte when what is old is sealed, by a server or by
`astraml compact`, whatever comes late; a part that is damaged or lost is told, and the rest served."""
import glob
import json
import os
import random

import harness
from harness import NS, Batch, check, cli, equal, wait_for

DAY = 86400 * NS
OLD = 1_600_000_000 * NS // DAY * DAY
LOGS = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "v[025]*", "*.gz")))


def ok(*arguments, **options):
    r = cli(*arguments, **options)
    equal(r.returncode, 0, f"{arguments}: {r.stdout[-500:]} {r.stderr}")
    return r.stdout


def answers(data):
    """Every window of every metric of every run, and their totals."""
    runs = [r["id"] for r in json.loads(ok("runs", "--json", "--data", data))["runs"]]
    return {run: (ok("get", run, "*", "--json", "--data", data), ok("get", run, "*", "--every", "1d", "--json", "--data", data),
                  ok("metrics", run, "--json", "--data", data)) for run in runs}


def same(got, want, what):
    equal(sorted(got), sorted(want), f"{what}: runs")
    for run in want:
        for g, w in zip(got[run], want[run]):
            # how far data is complete moves on with the clock
            g, w = json.loads(g), json.loads(w)
            g.pop("complete_until", None), w.pop("complete_until", None)
            equal(g, w, f"{what}: {run}")


def parts(data, tier="*"):
    """Names of the files, or of those of one tier."""
    return sorted(glob.glob(f"metrics-*-{tier}-*.part", root_dir=os.path.join(data, "parts")))


def number_of(name):
    """The part's: metrics-PROJECT-TIER-FROM-LENGTH-NUMBER.part."""
    return int(name.split("-")[5].split(".")[0])


def compact(data, *arguments):
    return json.loads(ok("compact", "--json", "--data", data, *arguments))


def imported():
    data = os.path.join(harness.scratch(), "data")
    ok("import", "mllog", "--data", data, *LOGS, timeout=120)
    return data


def settled(answer):
    """Without what moves with the clock."""
    return {k: v for k, v in json.loads(answer).items() if k != "complete_until"}


def test_points_are_as_wide_wherever_windows_lie():
    """Seven windows are seven points: in memory, in blocks, in parts."""
    start = 1_600_000_000 // 30 * 30
    with harness.Server(arguments=("--flush-every", "1000m", "--compact-every", "1000m")) as server:
        server.client().create_run("r")
        batch = harness.Batch()
        ref = batch.series("m")
        for i in range(7):
            batch.sample(ref, (start + 30 * i + 29) * harness.NS, float(i))
        server.client().ingest("r", batch)
    get = ("get", "r", "m", "--points", "7", "--json", "--data", server.data)
    young = ok(*get)
    equal(json.loads(young)["every_ms"], 30_000, "width in memory")
    ok("compact", "--until", (start - 86400) * 1000, "--data", server.data)
    stats = json.loads(ok("stats", "--json", "--data", server.data))["store"]
    equal((stats["flushed_buckets"], stats["parts"]), (7, 0), "buckets in blocks")
    equal(settled(ok(*get)), settled(young), "in blocks")
    ok("compact", "--data", server.data)
    check(len(parts(server.data)) > 1, "parts")
    equal(settled(ok(*get)), settled(young), "in parts")


def test_a_dry_run_tells_tiers():
    """One line for each, however many slots there are."""
    with harness.Server(arguments=("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "1000m")) as server:
        server.client().create_run("r")
        batch = harness.Batch()
        ref = batch.series("m")
        for day in range(40):
            batch.sample(ref, 1_600_000_000 * harness.NS + day * 86400 * harness.NS, 1.0)
        server.client().ingest("r", batch)
        harness.wait_for(lambda: b'"journal_batches":0' in ok("stats", "--json", "--data", server.data), "a flush")
    lines = ok("compact", "--dry-run", "--data", server.data).decode().splitlines()[:-1]
    equal(lines, ["project default, tier recorded, 40d from 2020-09-13T00:00:00Z: 40 slots to seal, 40 buckets, 0 parts"], "lines")


def test_real_runs_sealed():
    data = imported()
    before = answers(data)
    check(len(before) >= 5, "imported runs")
    dry = ok("compact", "--dry-run", "--data", data)
    equal(parts(data), [], "parts after --dry-run")
    report = compact(data)
    check(report["parts"] >= 3 and report["failed"] == 0 and report["flushes"] > 0, report)
    equal(len(parts(data)), report["parts"], "files in parts/")
    same(answers(data), before, "sealed")
    stats = json.loads(ok("stats", "--json", "--data", data))["store"]
    equal((stats["parts"], stats["part_buckets"], stats["flushed_buckets"], stats["blocks"]),
          (report["parts"], report["buckets"], 0, 0), "stats")
    equal(compact(data)["parts"], 0, "a second time")
    ok("verify", "--data", data)
    check(b"0 parts made" in dry, dry)
    with harness.Server(data) as server:  # a server on it gives the same
        equal(len(json.loads(server.client().get("/runs").body)["runs"]), len(before), "runs over HTTP")
        same(answers(data), before, "sealed, served")


def fill(server, chance, n, days):
    """n samples of old days, in any order; what they make is known to the server alone."""
    client = server.client()
    for _ in range(0, n, 500):
        batch = Batch()
        series = [batch.series(f"m{i}", {"rank": str(i % 2)}) for i in range(6)]
        for _ in range(500):
            t = OLD + chance.randrange(days) * DAY + chance.randrange(86400 * 20) * NS // 20
            value = chance.choice((chance.random(), float("nan"), chance.randrange(1000) / 8, float("inf"), -0.0))
            batch.sample(chance.choice(series), t, value, step=chance.choice((None, chance.randrange(10000))))
        equal(client.ingest("r", batch).duplicate, False, "duplicate")


def test_late_data_meets_its_part():
    """The same samples in a server that seals all the time, and in one that never does."""
    eager = harness.Server(arguments=("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "20ms",
                                      "--late-wait", "1ms", "--memory", "256KiB"))
    lazy = harness.Server(arguments=("--compact-every", "100m"))
    for server in (eager, lazy):
        server.client().create_run("r")
    for _round in range(8):
        for server in (eager, lazy):
            fill(server, random.Random(_round), 3000, 3)
        same(answers(eager.data), answers(lazy.data), f"round {_round}")
    numbers = [number_of(name) for name in wait_for(lambda: parts(eager.data), "parts")]
    check(max(numbers) > 12, "parts were not replaced by their successors", numbers)
    ok("verify", "--data", eager.data)
    eager.stop()
    lazy.stop()
    same(answers(eager.data), answers(lazy.data), "stopped")
    for data in (eager.data, lazy.data):
        compact(data)
        equal([len(parts(data, tier)) for tier in ("recorded", "5m")], [3, 3], "a part for each day")
        check(parts(data, "1h") and parts(data, "1d"), "coarser parts", parts(data))
    same(answers(eager.data), answers(lazy.data), "compacted")


def open_parts(server):
    """What the server has open of parts/, also what is no longer there."""
    links = []
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{server.pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return [name for name in links if ".part" in name]


def test_parts_that_are_gone_are_closed():
    """A part that another took the place of is not kept open: its room on the disk is free at once."""
    with harness.Server(arguments=("--flush-every", "20ms", "--grace", "1ms", "--compact-every", "20ms", "--late-wait", "1ms")) as server:
        client = server.client()
        client.create_run("r")
        before = []
        for _round in range(3):
            fill(server, random.Random(_round), 500, 1)
            now = wait_for(lambda: parts(server.data, "recorded") != before and parts(server.data, "recorded"), "a part")
            before = now
            equal(client.get("/query", run="r", metric="m1", every="30s").status, 200)
        wait_for(lambda: client.get("/query", run="r", metric="m1").status == 200 and
                 any(name.endswith(parts(server.data, "recorded")[-1]) for name in open_parts(server)), "one that counts to stay open")
        wait_for(lambda: not [name for name in open_parts(server) if "(deleted)" in name], "parts that are gone to be closed",
                 timeout=5)


def test_until():
    with harness.Server() as server:
        server.client().create_run("r")
        fill(server, random.Random(5), 2000, 3)
    before = answers(server.data)
    compact(server.data, "--until", str((OLD + 2 * DAY) // 1_000_000))
    equal([len(parts(server.data, tier)) for tier in ("recorded", "5m")], [2, 2], "days that ended by then")
    same(answers(server.data), before, "two days sealed, one in blocks")
    compact(server.data)
    equal([len(parts(server.data, tier)) for tier in ("recorded", "5m")], [3, 3], "the rest")
    same(answers(server.data), before, "all sealed")
    equal(cli("compact", "--until", "soon", "--data", server.data).returncode, 2, "--until soon")


def test_refused_beside_a_server():
    with harness.Server() as server:
        r = cli("compact", "--data", server.data)
        equal(r.returncode, 5, "exit status")
        check(str(server.pid).encode() in r.stderr and server.url.encode() in r.stderr, r.stderr)
    equal(cli("compact", env={"ASTRAML_DATA": ""}).returncode, 2, "no directory")


def damaged(data, run):
    """How verify and a query tell of damage."""
    v = cli("verify", "--data", data)
    equal(v.returncode, 5, f"verify: {v.stdout}")
    answer = json.loads(ok("get", run, "*", "--json", "--data", data))
    equal(answer["partial"], True, "partial")
    return answer


def test_damaged_and_lost_parts():
    with harness.Server() as server:
        server.client().create_run("r")
        fill(server, random.Random(6), 4000, 2)
    data = server.data
    compact(data)
    whole = json.loads(ok("get", "r", "*", "--json", "--data", data))
    equal(whole["partial"], False, "partial")
    path = os.path.join(data, "parts", parts(data, "recorded")[0])
    with open(path, "rb") as f:
        good = f.read()
    for at in (len(good) // 3, 3, len(good) - 20):  # a block; the header; the footer
        with open(path, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        answer = damaged(data, "r")
        rows = [row for s in answer["series"] for row in s["rows"]]
        known = [row for s in whole["series"] for row in s["rows"]]
        check(0 < len(rows) < len(known) and all(row in known for row in rows), "rows that are not as they were")
    os.unlink(path)
    damaged(data, "r")
    with open(path, "wb") as f:
        f.write(good)
    equal(json.loads(ok("get", "r", "*", "--json", "--data", data))["series"], whole["series"], "mended")


def test_backup_has_the_parts():
    data = imported()
    compact(data)
    before = answers(data)
    copy, back = (os.path.join(harness.scratch(), name) for name in ("copy", "back"))
    ok("backup", copy, "--data", data)
    equal(parts(copy), parts(data), "parts of the backup")
    same(answers(copy), before, "the backup")
    ok("restore", copy, "--data", back)
    same(answers(back), before, "restored")
    os.unlink(os.path.join(data, "parts", parts(data)[0]))
    r = cli("backup", copy + "2", "--data", data)
    equal(r.returncode, 5, "backup of a store that lacks a part")
    check(b"parts/" in r.stderr, r.stderr)
    equal(os.path.exists(copy + "2"), False, "a backup without the part")
    ok("backup", copy, "--data", data)
    same(answers(copy), before, "an earlier backup has the part still, and keeps it")


def test_leftovers_are_swept():
    with harness.Server() as server:
        server.client().create_run("r")
        fill(server, random.Random(7), 1000, 1)
    compact(server.data)
    kept = parts(server.data)
    for name in ("parts/metrics-20200101T000000Z-3600-99.part", "tmp/metrics-20200101T000000Z-3600-98.part"):
        with open(os.path.join(server.data, name), "wb") as f:
            f.write(b"half a part")
    before = answers(server.data)
    server.start()
    equal(parts(server.data), kept, "parts/")
    equal(os.listdir(os.path.join(server.data, "tmp")), [], "tmp/")
    same(answers(server.data), before, "answers")


if __name__ == "__main__":
    harness.main(globals())
