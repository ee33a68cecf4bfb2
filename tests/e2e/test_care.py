"""`verify` on a directory whose files are damaged: it tells, whatever the damage, and dies of none."""
import glob
import json
import os
import random
import struct

import harness
from harness import NS, Batch, check, cli, equal, wait_for

PAGE = 4096
META = 16  # where a meta page's content begins: magic, version, address, map size, two trees of 48 bytes, ...
MAIN_TREE = META + 24 + 48


def said(result):
    return (result.stdout + result.stderr).decode("utf-8", "replace")


def store():
    """A run with some windows and log lines, stopped; its directory and its data file."""
    with harness.Server() as server:
        client = server.client()
        client.create_run("r")
        for n in range(20):
            b = Batch()
            s = b.series("loss")
            for i in range(50):
                b.sample(s, (1_600_000_000 + 100 * n + i) * NS, i / 7, step=i)
                b.log(f"line {n}:{i}\\n", t_ns=1_600_000_000 * NS)
            client.ingest("r", b)
    return server.data, os.path.join(server.data, "hot", "data.mdb")


def newest_meta(content):
    """0 or 1: the page of the newest transaction."""
    return max((0, 1), key=lambda page: struct.unpack_from("<Q", content, page * PAGE + MAIN_TREE + 48 + 8)[0])


def write(path, content):
    with open(path, "r+b") as f:  # in place: the file keeps its reserved blocks
        f.write(content)


def test_verify_tells_of_damaged_structure():
    data, path = store()
    with open(path, "rb") as f:
        good = f.read()
    equal(cli("verify", "--data", data).returncode, 0, "before")
    root_at = newest_meta(good) * PAGE + MAIN_TREE + 40
    root = struct.unpack_from("<Q", good, root_at)[0]
    chance = random.Random(1)
    places = [(root_at, 1), (root_at + 2, 0x40), (root_at + 6, 1), (root * PAGE + 10, 3), (root * PAGE + 12, 8),
              (root * PAGE + 16, 0x10), (root * PAGE + 17, 0x40), (newest_meta(good) * PAGE + META, 1)]
    places += [(root * PAGE + chance.randrange(PAGE), 1 << chance.randrange(8)) for _ in range(40)]
    told = 0
    for at, bits in places:
        write(path, good[:at] + bytes([good[at] ^ bits]) + good[at + 1:])
        result = cli("verify", "--data", data)
        check(result.returncode in (0, 5), at, result.returncode, said(result))
        if result.returncode == 5:
            told += 1
            check("damaged" in said(result) or "hot" in said(result), at, said(result))
        else:
            logs = cli("logs", "r", "--raw", "--data", data)
            equal((logs.returncode, logs.stdout.count(b"line ")), (0, 1000), f"sound with {at} flipped")
    check(told >= 8, f"only {told} of {len(places)} were told")
    write(path, good)
    equal(cli("verify", "--data", data).returncode, 0, "after")


def test_verify_beside_a_fast_writer():
    """A snapshot's head is soon written over: another is taken, and nothing sound is called damaged."""
    import load
    producers = load.producers(4, runs=2)
    small = ("--memory", "256KiB", "--journal", "256KiB", "--flush-every", "50ms", "--grace", "100ms", "--log-block", "2KiB",
             "--compact-every", "10ms", "--late-wait", "10ms")
    with harness.Server(arguments=small) as server:
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        for i in range(30):
            harness.wait_for(lambda: pushing.acknowledged() > 20 * i or pushing.wrong, "load")
            result = cli("verify", "--data", server.data)
            equal(result.returncode, 0, said(result))
        pushing.stop()


# ---- quarantine ----

DAY = 86400 * NS
OLD = 1_600_000_000 * NS // DAY * DAY
BLOCK = bytes((0xA5, 11, 1))  # how the value of a flushed block begins: format.h
LAZY = ("--compact-every", "100m", "--flush-every", "50ms", "--grace", "1ms")
EAGER = ("--compact-every", "20ms", "--flush-every", "50ms", "--grace", "1ms", "--late-wait", "1ms")


def ok(*arguments):
    r = cli(*arguments)
    equal(r.returncode, 0, f"{arguments}: {said(r)[-800:]}")
    return r.stdout


def fill(server, run, days, series=6, n=4000, seed=1):
    """Samples of some old days, until all is in blocks."""
    chance = random.Random(seed)
    client = server.client()
    client.create_run(run)
    batch = Batch()
    known = [batch.series(f"m{i}", {"rank": str(i)}) for i in range(series)]
    for _ in range(n):
        t = OLD + chance.randrange(days) * DAY + chance.randrange(86400) * NS
        batch.sample(chance.choice(known), t, chance.random(), step=chance.randrange(1000))
    client.ingest(run, batch)
    wait_for(lambda: stats(server.data)["journal_batches"] == 0, "a flush")


def stats(data):
    return json.loads(ok("stats", "--json", "--data", data))["store"]


def windows(data, run, *more):
    """(metric, time): row, and whether the answer says that it is partial."""
    answer = json.loads(ok("get", run, "*", "--json", "--data", data, *more))
    return {(s["metric"], row[0]): row for s in answer["series"] for row in s["rows"]}, answer["partial"]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def verify_end(data):
    """(exit status, the counts that end the answer, the troubles)"""
    r = cli("verify", "--json", "--data", data)
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    return r.returncode, lines[-1]["end"], [line["trouble"] for line in lines[:-1]]


def damage_block(data):
    """Flips a byte in a block of a flush that counts; where."""
    path = os.path.join(data, "hot", "data.mdb")
    with open(path, "rb") as f:
        content = f.read()
    at = content.find(BLOCK)
    while at >= 0:
        flip(path, at + 200)
        if any(t.startswith("block ") for t in verify_end(data)[2]):
            return at
        flip(path, at + 200)
        at = content.find(BLOCK, at + 1)
    raise AssertionError("no block of a flush is there")


def check_loss(data, whole, run, other):
    """What is left is as it was, what is missing is told, and what misses nothing is whole."""
    left, partial = windows(data, run)
    check(0 < len(left) < len(whole[run]) and partial, len(left), len(whole[run]), partial)
    # a window of which one partial is missing may have less in it
    changed = [key for key in left if left[key] != whole[run].get(key)]
    check(all(left[key][1] < whole[run][key][1] for key in changed), "rows that are not as they were", changed[:3])
    equal(windows(data, other), (whole[other], False), "the other run")
    far = windows(data, run, "--since", "2021-01-01T00:00:00Z")
    equal(far, ({}, False), "a time of which nothing is missing")
    return left


def check_quarantine(data):
    status, end, troubles = verify_end(data)
    equal((status, troubles), (0, []), "verify, with what is damaged in quarantine")
    check(end["quarantined"] > 0 and stats(data)["quarantined"] == end["quarantined"], end)
    return glob.glob(os.path.join(data, "quarantine", "*"))


def test_a_damaged_block_of_a_flush():
    with harness.Server(arguments=LAZY) as server:
        fill(server, "a", 2)
        fill(server, "b", 2, seed=2)
    data = server.data
    whole = {run: windows(data, run)[0] for run in "ab"}
    at = damage_block(data)
    run, other = ("a", "b") if windows(data, "a")[1] else ("b", "a")
    before = windows(data, run)[0]
    check(cli("backup", os.path.join(harness.scratch(), "no"), "--data", data).returncode == 5, "a backup of damage")
    report = cli("compact", "--until", "2020-01-01T00:00:00Z", "--data", data)  # sets aside, seals nothing
    check(report.returncode == 0 and "quarantine/flush-" in said(report), said(report))
    equal(stats(data)["parts"], 0, "parts")
    equal(check_loss(data, whole, run, other), before, "what was left before it was set aside")
    for word in (run, "quarantine/flush-", "2020-09-1"):
        check(word in said(report), word, said(report))
    report = json.loads(ok("compact", "--json", "--data", data))
    check(report["failed"] == 0 and report["parts"] >= 2, report)
    equal((stats(data)["blocks"], stats(data)["flushed_buckets"]), (0, 0), "blocks in the hot store after compaction")
    files = check_quarantine(data)
    equal(len(files), 1, "files in quarantine")
    with open(files[0], "rb") as f, open(os.path.join(data, "hot", "data.mdb"), "rb") as g:
        kept = f.read()
        equal((kept[:3], len(kept) > 200), (BLOCK, True), "the bytes that were kept")
    equal(check_loss(data, whole, run, other), before, "what was left before it was sealed")
    copy, back = (os.path.join(harness.scratch(), name) for name in ("copy", "back"))
    ok("backup", copy, "--data", data)
    ok("restore", copy, "--data", back)
    equal(check_loss(back, whole, run, other), before, "restored from a backup")
    with harness.Server(data) as server:
        equal(server.client().query(run, "*", start=OLD // 1_000_000, end=(OLD + 2 * DAY) // 1_000_000)["partial"], True,
              "over HTTP, after a restart")


def damaged_part(at):
    """A directory whose first day is in a part that is damaged there, and what it answered before."""
    with harness.Server(arguments=LAZY) as server:
        fill(server, "a", 1, series=40, n=60000)
        fill(server, "b", 2, seed=2)
    data = server.data
    ok("compact", "--data", data)
    whole = {run: windows(data, run)[0] for run in "ab"}
    path = max((os.path.getsize(p), p) for p in glob.glob(os.path.join(data, "parts", "*-86400-*")))[1]
    flip(path, at(os.path.getsize(path)))
    return data, path, whole


def test_a_damaged_block_of_a_part():
    """Late data makes the successor, without the block."""
    data, path, whole = damaged_part(lambda size: size // 4)
    equal(len(verify_end(data)[2]), 1, "troubles")
    before, partial = windows(data, "a")
    check(partial and len(before) < len(whole["a"]), "before")
    late = OLD + 7 * 3600 * NS
    with harness.Server(data, arguments=EAGER) as server:
        batch = Batch()
        batch.sample(batch.series("late"), late, 42.0)
        server.client().ingest("a", batch)
        wait_for(lambda: not os.path.exists(path), "the part's successor")
        check(os.path.basename(path) in server.stderr() and "may be missing" in server.stderr(), server.stderr())
    files = check_quarantine(data)
    equal([os.path.basename(f).startswith(os.path.basename(path)) for f in files], [True], files)
    left, partial = windows(data, "a")
    check(partial, "the answer is not told to be partial")
    equal([key[0] for key in left if key not in before], ["late"], "what is new")
    equal({key: row for key, row in left.items() if key in before}, before, "what was left of the part")
    equal(windows(data, "b"), (whole["b"], False), "the other run, in other blocks")


def test_a_part_that_cannot_be_opened():
    """Its footer is damaged: it is set aside whole, and what comes late is sealed all the same."""
    data, path, whole = damaged_part(lambda size: size - 20)
    with open(path, "rb") as f:
        content = f.read()
    late = OLD + 7 * 3600 * NS
    with harness.Server(data, arguments=EAGER) as server:
        batch = Batch()
        batch.sample(batch.series("late"), late, 42.0)
        server.client().ingest("a", batch)
        wait_for(lambda: not os.path.exists(path), "the part's successor")
    files = check_quarantine(data)
    with open(files[0], "rb") as f:
        equal((len(files), f.read()), (1, content), "the part in quarantine")
    left, partial = windows(data, "a")
    equal(([key[0] for key in left], partial), (["late"], True), "what is left of that day")
    left, partial = windows(data, "b")
    check(partial and left and all(whole["b"][key] == row for key, row in left.items()), "the other run has its second day")
    equal(windows(data, "b", "--since", "2020-09-14T00:00:00Z")[1], False, "the second day")


# ---- samples in the journal ----

CHUNK = bytes((0xA5, 9, 1))  # how a piece of a batch begins
WAITING = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "20ms", "--raw-wait", "1000m")


def samples(data, run):
    """metric: rows, and whether the answer says that it is partial."""
    answer = json.loads(ok("get", run, "*", "--samples", "--json", "--data", data))
    return {s["metric"]: s["rows"] for s in answer["series"] if s["rows"]}, answer["partial"]


def waiting_batches():
    """Three batches that are flushed and not sealed: a small one of each run, one of several pieces of run a."""
    with harness.Server(arguments=WAITING) as server:
        for run in "ab":
            server.client().create_run(run)
        for number, (run, n) in enumerate((("a", 50), ("b", 60), ("a", 20_000))):
            batch, chance = Batch(), random.Random(number)
            ref = batch.series(f"m{number}")
            for i in range(n):
                batch.sample(ref, OLD + i * NS, chance.random(), step=i)
            server.client().ingest(run, batch)
        wait_for(lambda: stats(server.data)["journal_batches"] == 0, "a flush")
    equal(stats(server.data)["raw_batches"], 3, "batches that wait")
    return server.data


def damage_batch(data, size):
    """Flips a byte in a piece of a batch that counts, `size` bytes after its beginning; where it begins."""
    path = os.path.join(data, "hot", "data.mdb")
    with open(path, "rb") as f:
        content = f.read()
    at = content.find(CHUNK)
    while at >= 0:
        flip(path, at + size)
        if any(t.startswith("journal 00") for t in verify_end(data)[2]):
            return at
        flip(path, at + size)
        at = content.find(CHUNK, at + 1)
    raise AssertionError("no batch is there")


def seals_the_rest(data, whole, size):
    """One batch is damaged, set aside once; the others are sealed, and all that is lost is told."""
    at = damage_batch(data, size)
    with open(os.path.join(data, "hot", "data.mdb"), "rb") as f:
        f.seek(at + size - 50)
        piece = f.read(100)
    before = {run: samples(data, run) for run in "ab"}
    equal([partial for _, partial in before.values()], [True, True], "partial as long as it is there")
    left = {**before["a"][0], **before["b"][0]}
    lost = [m for m in whole if m not in left]
    check(len(lost) == 1 and all(whole[m] == rows for m, rows in left.items()), "what is left without", lost)
    with harness.Server(data, arguments=EAGER + ("--raw-wait", "1ms")) as server:
        wait_for(lambda: stats(data)["raw_batches"] == 0, "the rest to be sealed")
        check("quarantine/journal-" in server.stderr() and "backup may have them" in server.stderr(), server.stderr())
        server.client().create_run("later")
        batch = Batch()
        batch.sample(batch.series("new"), OLD, 1.0)
        server.client().ingest("later", batch)
        equal(samples(data, "later"), ({"new": [["2020-09-13T00:00:00Z", None, 1.0]]}, False), "a run that came later")
        wait_for(lambda: stats(data)["journal_batches"] + stats(data)["raw_batches"] == 0, "what comes then")
    files = check_quarantine(data)
    equal((len(files), stats(data)["quarantined"]), (1, 1), "set aside once")
    with open(files[0], "rb") as f:
        kept = f.read()
    check(piece in kept and len(kept) >= 8 * len(whole[lost[0]]), "its bytes", len(kept))
    check({run: samples(data, run) for run in "ab"} == before, "samples changed when the others were sealed")
    return lost[0]


def test_a_damaged_batch_of_the_journal():
    hurt = set()
    for size in (100, 30_000):
        data = waiting_batches()
        whole = {**samples(data, "a")[0], **samples(data, "b")[0]}
        equal([(m, len(rows)) for m, rows in sorted(whole.items())], [("m0", 50), ("m1", 60), ("m2", 20_000)], "all")
        every = {run: windows(data, run) for run in "ab"}
        hurt.add(seals_the_rest(data, whole, size))
        equal({run: windows(data, run) for run in "ab"}, every, "windows, which miss nothing")
        copy, back = (os.path.join(harness.scratch(), name) for name in ("copy", "back"))
        ok("backup", copy, "--data", data)
        ok("restore", copy, "--data", back)
        equal({run: (samples(back, run), windows(back, run)) for run in "ab"},
              {run: (samples(data, run), windows(data, run)) for run in "ab"}, "restored from a backup")
    check("m2" in hurt, "a batch of several pieces", hurt)


def test_a_damaged_batch_that_is_not_flushed():
    """What was acknowledged is nowhere else: a start refuses, says why, and changes nothing."""
    with harness.Server(arguments=("--flush-every", "1000m", "--grace", "1000m", "--compact-every", "1000m")) as server:
        server.client().create_run("a")
        batch = Batch()
        ref = batch.series("m")
        for i in range(1000):
            batch.sample(ref, OLD + i * NS, i / 7)
        server.client().ingest("a", batch)
        server.kill9()
        at = damage_batch(server.data, 3000)
        for verb in (("serve", "--listen", "127.0.0.1:0"), ("compact",), ("verify", "--repair")):
            r = cli(*verb, "--data", server.data)
            check(r.returncode != 0 and "recovery failed" in said(r) and "backup" in said(r), verb, said(r))
        equal(os.path.exists(os.path.join(server.data, "quarantine")), False, "nothing was set aside")
        check(any(t.startswith("journal 00") for t in verify_end(server.data)[2]), "the damage is gone")
        flip(os.path.join(server.data, "hot", "data.mdb"), at + 3000)  # as it was
        server.start()
        equal(server.client().query("a", "m", every="1h", agg="count")["series"][0]["rows"][0][1], 1000, "all is there")


# ---- repair ----

def parts_of(data, tier):
    """Paths of the parts of a tier, the largest last."""
    paths = glob.glob(os.path.join(data, "parts", "metrics-*"))
    return sorted((p for p in paths if f"-{tier}-" in os.path.basename(p)), key=os.path.getsize)


def sealed():
    with harness.Server(arguments=LAZY) as server:
        fill(server, "a", 3, series=20, n=20000)
    ok("compact", "--data", server.data)
    return server.data


def tier_answers(data):
    return [windows(data, "a", "--every", every) for every in ("30s", "5m", "1h", "1d")]


def repair(data):
    r = cli("verify", "--repair", "--data", data)
    return r.returncode, said(r)


def test_repair_of_a_coarse_part():
    """Of each coarser tier, damaged at its head, in a block, at its end, or lost: made again of finer ones."""
    data = sealed()
    before = tier_answers(data)
    check(not any(partial for _, partial in before), "partial before")
    for tier in ("5m", "1h", "1d"):
        for hurt in (lambda p: flip(p, 20), lambda p: flip(p, os.path.getsize(p) // 3),
                     lambda p: flip(p, os.path.getsize(p) - 20), os.unlink):
            path = parts_of(data, tier)[-1]
            hurt(path)
            equal(len(verify_end(data)[2]), 1, f"troubles of {tier}")
            status, words = repair(data)
            check(status == 0 and f"tier {tier}" in words and "made again" in words, words)
            equal(verify_end(data)[::2], (0, []), "verify after the repair")
            equal(tier_answers(data), before, f"answers after the repair of {tier}")
            check(not os.path.exists(path) and len(parts_of(data, tier)) > 0, "the part is another now")
    equal(os.path.exists(os.path.join(data, "quarantine")), False, "nothing was set aside")


def test_repair_of_what_is_nowhere_else():
    """It is set aside, and said to be lost; coarser answers, which have it still, are whole."""
    data = sealed()
    before = tier_answers(data)
    path = parts_of(data, "recorded")[-1]
    flip(path, os.path.getsize(path) // 3)
    damaged = tier_answers(data)
    check(damaged[0][1] and not damaged[1][1], "partial")
    status, words = repair(data)
    check(status == 0 and "set aside" in words and "backup" in words, words)
    check_quarantine(data)
    equal(tier_answers(data), damaged, "answers")
    equal(damaged[1:], before[1:], "coarser answers")
    equal(repair(data)[0], 0, "a second time")
    equal(stats(data)["quarantined"], verify_end(data)[1]["quarantined"], "set aside once")
    ok("backup", os.path.join(harness.scratch(), "copy"), "--data", data)


def test_repair_sweeps_and_refuses():
    data = sealed()
    for name in ("parts/metrics-1.part", "tmp/half"):
        with open(os.path.join(data, name), "w") as f:
            f.write("left over")
    with harness.Server(data) as server:
        r = cli("verify", "--repair", "--data", data)
        check(r.returncode == 5 and str(server.pid) in said(r) and server.url in said(r), said(r))
    for name in ("parts/metrics-1.part", "tmp/half"):
        with open(os.path.join(data, name), "w") as f:
            f.write("left over")
    status, words = repair(data)
    check(status == 0 and "2 left-over files" in words, words)
    equal(os.listdir(os.path.join(data, "tmp")), [], "tmp")
    path = os.path.join(data, "hot", "data.mdb")
    with open(path, "rb") as f:
        good = f.read()
    root = struct.unpack_from("<Q", good, newest_meta(good) * PAGE + MAIN_TREE + 40)[0]
    flip(path, root * PAGE + 12)
    with open(path, "rb") as f:
        bad = f.read()
    status, words = repair(data)
    check(status == 5 and "structure" in words and "restore a backup" in words, words)
    with open(path, "rb") as f:
        check(f.read() == bad, "the damaged file was written")
    equal(cli("verify", "--repair", "--server", "http://127.0.0.1:1").returncode, 2, "of a server")


if __name__ == "__main__":
    harness.main(globals())
