"""Raw parts that are damaged: what cannot be read is set aside once, told, and the work goes on without it."""
import glob
import json
import os
import random
import shutil
import subprocess
import threading
import time

import harness
import test_care as care
from harness import NS, Batch, Clock, check, cli, equal, wait_for
from test_care import OLD, said, samples, stats, verify_end, windows

DAY = 86400
LAZY = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "1000m", "--raw-wait", "1000m")
SEALS = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "20ms", "--raw-wait", "1ms")


def raw_files(data):
    """Paths, the oldest part first."""
    return sorted(glob.glob(os.path.join(data, "parts", "raw-*")), key=lambda path: int(path.split("-")[-1][:-len(".part")]))


def ok(clock, *arguments):
    r = cli(*arguments, env=clock.environment)
    equal(r.returncode, 0, f"{arguments}: {said(r)[-800:]}")
    return r


def push(server, run, metric, n, seed):
    batch, chance = Batch(), random.Random(seed)
    ref = batch.series(metric)
    for i in range(n):
        batch.sample(ref, OLD + i * NS, chance.random(), step=i)
    server.client().ingest(run, batch)
    return batch


def some_parts(n):
    """A raw part with several blocks of run a and a little of run b, and n - 1 younger ones of both; on a clock
    of their own."""
    clock, data = Clock(), None
    for part in range(n):
        with harness.Server(data, arguments=LAZY, env=clock.environment) as server:
            data = server.data
            for run, size in (("b", 100), ("a", 60 if part else 40_000)):
                if part == 0:
                    server.client().create_run(run)
                push(server, run, f"{run}{part}", size, part)
        ok(clock, "compact", "--data", data)
    equal(len(raw_files(data)), n, "raw parts")
    return clock, data


def all_samples(data):
    return {**samples(data, "a")[0], **samples(data, "b")[0]}


def middle(path):
    care.flip(path, os.path.getsize(path) // 2)


# where, and the metrics of the first part that are lost then
HURTS = ((middle, ("a0",)), (lambda p: care.flip(p, 20), ("a0", "b0")),
         (lambda p: care.flip(p, os.path.getsize(p) - 20), ("a0", "b0")), (os.unlink, ("a0", "b0")))


def check_left(data, whole, lost):
    """All that was not lost is there, bit for bit, and what misses something says so."""
    left = all_samples(data)
    for metric, rows in whole.items():
        if metric not in lost:
            equal(left[metric], rows, metric)
        else:
            mine = left.get(metric, [])
            check(len(mine) < len(rows) and set(map(tuple, mine)) <= set(map(tuple, rows)), metric, len(mine))
    equal([samples(data, run)[1] for run in "ab"], [True, "b0" in lost], "partial")
    return left


def damage(n, hurt, lost):
    """A store of n raw parts of which the oldest is hurt; what it was, and what it answers since."""
    clock, data = some_parts(n)
    whole, every = all_samples(data), [windows(data, run) for run in "ab"]
    path = raw_files(data)[0]
    name = os.path.basename(path)
    hurt(path)
    status, _, troubles = verify_end(data)
    check(status == 5 and len(troubles) == 1 and name in troubles[0] and "default" in troubles[0], troubles)
    check(cli("backup", os.path.join(harness.scratch(), "no"), "--data", data).returncode == 5, "a backup of damage")
    return clock, data, path, whole, every, check_left(data, whole, lost)


def check_aside(data, name, kept, whole, every, before, lost):
    equal(verify_end(data)[::2], (0, []), "verify, with what is damaged in quarantine")
    check(stats(data)["quarantined"] == verify_end(data)[1]["quarantined"] == len(lost), stats(data)["quarantined"])
    aside = os.path.join(data, "quarantine", name)
    equal(os.path.exists(aside), kept is not None, "the file is kept")
    if kept is not None:
        with open(aside, "rb") as f:
            check(f.read() == kept, "its bytes")
    equal(check_left(data, whole, lost), before, "what was left before")
    equal([windows(data, run) for run in "ab"], every, "windows, which miss nothing")
    copy, back = (os.path.join(harness.scratch(), name) for name in ("copy", "back"))
    care.ok("backup", copy, "--data", data)
    care.ok("restore", copy, "--data", back)
    equal(check_left(back, whole, lost), before, "restored from a backup")


def bytes_of(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        return f.read()


def test_a_damaged_raw_part_is_merged():
    """The day is over and its parts become one: without what is damaged, which is told, and only once."""
    for hurt, lost in HURTS:
        clock, data, path, whole, every, before = damage(2, hurt, lost)
        name, kept = os.path.basename(path), bytes_of(path)
        clock.move(1.1 * DAY)
        with harness.Server(data, arguments=SEALS, env=clock.environment) as server:
            wait_for(lambda: stats(data)["raw_parts"] == 1, "the parts to be one")
            wait_for(lambda: server.stderr().count("quarantine/") == len(lost), "words of it")
            words = server.stderr()
            check("samples of run a of project default from 2020-09-1" in words and "backup may have" in words, words)
            equal((words.count("quarantine/"), "run b" in words), (len(lost), "b0" in lost), words)
            server.client().create_run("later")
            push(server, "later", "new", 10, 4)
            wait_for(lambda: stats(data)["raw_parts"] == 2, "what comes then")
            equal(samples(data, "later")[1], False, "a run that came later")
            far = json.loads(care.ok("get", "a", "*", "--samples", "--json", "--since", "2021-01-01T00:00:00Z", "--data", data))
            equal(far["partial"], False, "a time of which nothing is missing")
        wait_for(lambda: name not in map(os.path.basename, raw_files(data)), "the damaged part to leave parts/")
        check_aside(data, name, kept, whole, every, before, lost)


def test_a_damaged_raw_part_is_repaired():
    for hurt, lost in HURTS:
        clock, data, path, whole, every, before = damage(2, hurt, lost)
        name, kept = os.path.basename(path), bytes_of(path)
        status, words = care.repair(data)
        check(status == 0 and "1 damaged raw part" in words and "backup" in words, words)
        check_aside(data, name, kept, whole, every, before, lost)
        equal(care.repair(data)[0], 0, "a second time")
        equal(stats(data)["quarantined"], len(lost), "set aside once")


def killed_after(delay_s, clock, *arguments):
    """Runs the program, and kills it unless it ends before; how long it ran."""
    began = time.monotonic()
    process = subprocess.Popen([harness.PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=harness.program_environment(**clock.environment))
    try:
        process.wait(delay_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return time.monotonic() - began


def test_killed_while_it_is_set_aside():
    """At any moment: in the end it is set aside once, and all else is there once."""
    clock, damaged, path, whole, _, before = damage(2, *HURTS[1])
    clock.move(1.1 * DAY)
    took = killed_after(harness.DEADLINE_S, clock, "compact", "--data",
                        shutil.copytree(damaged, os.path.join(harness.scratch(), "data")))
    cut = 0
    for i in range(16):
        data = shutil.copytree(damaged, os.path.join(harness.scratch(), "data"))
        for piece in (i / 16, (i * 7 % 16) / 16):
            killed_after(took * piece, clock, "compact", "--data", data)
        cut += stats(data)["raw_parts"] == 2
        ok(clock, "compact", "--data", data)
        equal((stats(data)["raw_parts"], stats(data)["quarantined"], verify_end(data)[::2]), (1, 2, (0, [])), "in the end")
        equal((os.listdir(os.path.join(data, "quarantine")), os.listdir(os.path.join(data, "tmp"))), ([os.path.basename(path)], []),
              "files")
        equal(len(raw_files(data)), 1, "files in parts/")
        equal(check_left(data, whole, HURTS[1][1]), before, "what was left before")
    check(0 < cut < 16, "killed before and after it was published", cut)


def test_a_damaged_raw_part_loses_a_run():
    """It is made again without a run that is gone for good, and without what is damaged; nothing is missed of that run."""
    clock, data, path, whole = damage(1, *HURTS[0])[:4]
    with harness.Server(data, arguments=LAZY, env=clock.environment) as server:
        care.ok("policy", "set", "raw_keep=30d", "--data", data)
        equal(server.client().request("DELETE", "/v2/projects/default/runs/a").status, 200, "rm a")
    clock.move(8 * DAY)
    with harness.Server(data, arguments=SEALS, env=clock.environment) as server:
        wait_for(lambda: stats(data)["deleted_runs"] == 0, "the run to go for good")
        wait_for(lambda: os.path.basename(path) not in map(os.path.basename, raw_files(data)), "its samples to go")
    equal((verify_end(data)[::2], stats(data)["quarantined"]), ((0, []), 0), "what nobody misses")
    equal(samples(data, "b"), ({"b0": whole["b0"]}, False), "the other run")


class Pusher(threading.Thread):
    """Small requests to a run, one after the other, until it is told to stop."""

    def __init__(self, server, run):
        super().__init__(daemon=True)
        self.server, self.run_id, self.ended, self.trouble, self.n = server, run, threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            while not self.ended.is_set():
                push(self.server, self.run_id, f"m{self.n % 5}", 200, self.n)
                self.n += 1
        except Exception as e:
            self.trouble = e

    def stop(self):
        self.ended.set()
        self.join()
        check(self.trouble is None, self.trouble)


def test_readers_and_backups_while_parts_are_merged():
    """Samples of a run lie in parts that are made anew all the time: whoever reads has all of them, at any moment."""
    place = harness.scratch()
    with harness.Server(arguments=SEALS) as server:
        for run in "ab":
            server.client().create_run(run)
        for i in range(12):
            push(server, "a", f"a{i % 4}", 300, i)
            wait_for(lambda: stats(server.data)["raw_batches"] + stats(server.data)["journal_batches"] == 0, "sealing")
        whole = samples(server.data, "a"), windows(server.data, "a")
        equal((sum(map(len, whole[0][0].values())), whole[0][1], whole[1][1]), (3600, False, False), "all is there")
        pusher, seen = Pusher(server, "b"), set()
        for i in range(60):
            equal(samples(server.data, "a"), whole[0], f"look {i}")
            seen.add(tuple(map(os.path.basename, raw_files(server.data))))
            if i % 20 == 10:
                equal(windows(server.data, "a"), whole[1], f"windows at look {i}")
                care.ok("backup", os.path.join(place, "copy"), "--data", server.data)  # in place of the one before
                care.ok("restore", os.path.join(place, "copy"), "--data", os.path.join(place, f"back-{i}"))
                back = os.path.join(place, f"back-{i}")
                equal((samples(back, "a"), windows(back, "a")), whole, f"restored at look {i}")
                equal(verify_end(back)[::2], (0, []), "verify of what was restored")
        pusher.stop()
        check(len(seen) > 5 and pusher.n > 30, "parts came and went", len(seen), pusher.n)
    equal((samples(server.data, "a"), windows(server.data, "a")), whole, "stopped")


if __name__ == "__main__":
    harness.main(globals())
