"""A data directory as an earlier program of a format left it: it opens, verifies and gives every answer that it gave
then, also ten years later, and when it is served and compacted again.

tests/golden/store-FORMAT.tar.zst and the answers beside it were made by this file, with ASTRAML_GOLDEN_WRITE=1.  A
new format adds a directory and leaves the old ones; an answer that changes on purpose is changed by hand, with a
reason.  Answers that are long are kept as their SHA-256, with their length."""
import glob
import hashlib
import json
import math
import os
import random
import struct
import subprocess
import time

import harness
from harness import NS, Batch, Clock, Server, check, cli, equal, wait_for

GOLDEN = os.path.join(harness.ROOT, "tests", "golden")
FORMAT = "1.1"  # store/format.h
DAY = 86400
START = 1_750_000_000 // DAY * DAY  # what is recorded is of these days, whenever it was made
MADE = START + 45 * DAY + 4 * 3600  # when it was left
LAZY = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "1000m", "--raw-wait", "1000m")
ALL = "count,sum,min,max,mean,first,last,nan,pos_inf,neg_inf,first_step,last_step,first_time,last_time"
MOVING = ("complete_until", "heartbeat_at", "state")  # depend on the time of the question


def ok(*arguments, env=None):
    r = cli(*arguments, env=env)
    equal(r.returncode, 0, f"{arguments}: {r.stdout[-500:]} {r.stderr[-2000:]}")
    return r.stdout


def still(value):
    """Without what depends on the time of the question."""
    if isinstance(value, dict):
        return {k: still(v) for k, v in value.items() if k not in MOVING}
    return [still(v) for v in value] if isinstance(value, list) else value


def short(data):
    """The bytes themselves, or what tells them from others."""
    return data.decode() if len(data) < 300 else f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def whole(output):
    return still(json.loads(output))


def windows(output):
    """tier, width, whether something is missing, and all rows."""
    answer = json.loads(output)
    rows = json.dumps([[s[k] for k in ("metric", "labels", "columns", "rows")] for s in answer["series"]], sort_keys=True)
    return [answer["tier"], answer["every_ms"], answer["partial"], short(rows.encode())]


def records(output):
    lines = [json.loads(line) for line in output.splitlines()]
    known = ("seq", "time", "level", "stream", "rank", "text", "text_base64", "attrs")
    return short(json.dumps([[r.get(k) for k in known] for r in lines if "seq" in r], sort_keys=True).encode())


def holds(got, want):
    """Everything that was told is told: objects may have more names by now."""
    if isinstance(want, dict) and isinstance(got, dict):
        return all(k in got and holds(got[k], v) for k, v in want.items())
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(holds, got, want))
    return type(got) is type(want) and got == want


def asked():
    """name: what is asked, and what is kept of the answer."""
    questions = {}
    for project, runs in RUNS.items():
        where = ("--project", project)
        questions[f"{project}: runs"] = (("runs", "--json", *where), whole)
        questions[f"{project}: deleted runs"] = (("runs", "--deleted", "--json", *where), whole)
        questions[f"{project}: policy"] = (("policy", "--json", *where), whole)
        for run in runs:
            of = f"{project}/{run}: "
            questions[of + "show"] = (("show", run, "--json", *where), whole)
            questions[of + "metrics"] = (("metrics", run, "--json", *where), whole)
            questions[of + "log, raw"] = (("logs", run, "--raw", *where), short)
            questions[of + "log"] = (("logs", run, "--json", *where), records)
            questions[of + "errors"] = (("logs", run, "--level", "warn", "--grep", "retry 3", *where), short)
            questions[of + "samples"] = (("get", run, "*", "--samples", "--json", *where), windows)
            questions[of + "by step"] = (("get", run, "*", "--x", "step", "--agg", ALL, "--json", *where), windows)
            questions[of + "last days"] = (("get", run, "*", "--start", str((START + 44 * DAY) * 1000), "--agg", ALL, "--json",
                                            *where), windows)
            for every in ("30s", "5m", "1h", "1d"):
                questions[of + every] = (("get", run, "*", "--every", every, "--agg", ALL, "--json", *where), windows)
    return questions


def answers(data, env):
    return {name: of(ok(*arguments, "--data", data, env=env)) for name, (arguments, of) in asked().items()}


# ---- making one ----

RUNS = {"default": ("curves", "odd", "lines"), "short": ("brief",)}


def push_curves(client, run, sequence, day, n, rng):
    """Smooth, random and constant series, with steps."""
    batch = Batch(b"golden-curves-01", sequence)
    loss, noise, flat = batch.series("loss", {"rank": "0"}), batch.series("noise"), batch.series("lr", unit="1/s")
    for i in range(n):
        t = (START + day * DAY) * NS + i * 200 * NS + i
        batch.sample(loss, t, math.exp(-i / 90) + rng.random() / 64, step=day * 1000 + i)
        batch.sample(noise, t, rng.gauss(0, 1e6))
        batch.sample(flat, t, 3e-5, step=day * 1000 + i)
    client.ingest(run, batch)


def push_odd(client, sequence, day, rng):
    """Every kind of double there is."""
    batch = Batch(b"golden-odd-00001", sequence)
    s = batch.series("values")
    some = [float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1]
    for i in range(300):
        v = some[i % 7] if i % 2 else struct.unpack("<d", rng.randbytes(8))[0]
        batch.sample(s, (START + (day + i % 3) * DAY) * NS + rng.randrange(7200) * NS, v, step=i % 50)
    client.ingest("odd", batch)


def push_lines(client, sequence, day, rng):
    batch = Batch(b"golden-lines-001", sequence)
    for i in range(200):
        batch.log(f"step {sequence * 200 + i}: loss {rng.random():.6f}, {rng.choice(['ok', 'slow', 'retry 3'])}\n",
                  (START + day * DAY) * NS + i * NS, rng.choice(["INFO", "WARN", "DEBUG"]), rank=i % 2)
    batch.log(rng.randbytes(300) + b"\0no end", (START + day * DAY + 300) * NS, "ERROR", attributes={"a": "b"})
    client.ingest("lines", batch)


def flushed(data):
    return json.loads(ok("stats", "--json", "--data", data))["store"]["journal_batches"] == 0


class Making:
    """A directory that grows old by a moved clock, served now and then, and compacted after each time."""

    def __init__(self):
        self.clock = Clock(START + 3 * DAY - time.time())
        self.data = os.path.join(harness.scratch(), "store")
        self.rng = random.Random(20251125)

    def serve(self, *fill, compact=True):
        with Server(self.data, arguments=LAZY, env=self.clock.environment) as server:
            for push in fill:
                push(server.client(), server)
            if compact:
                wait_for(lambda: flushed(self.data), "a flush")
        if compact:
            ok("compact", "--data", self.data, env=self.clock.environment)

    def move_to(self, when):
        self.clock.move(when - self.clock.now_ns() / NS)

    def first(self, client, server):
        """What will be old: windows that grow wider, log records and samples that go."""
        client.create_run("odd")
        client.create_run("lines", tags={"kind": "log"})
        push_odd(client, 1, 0, self.rng)
        push_lines(client, 1, 1, self.rng)
        short = server.client(project="short")
        ok("policy", "set", "window=10s", "tiers=10s:3d,5m:6d,1h:20d", "raw_keep=4d", "log_keep=forever", "grace=5s",
           "--project", "short", "--data", self.data)
        short.create_run("brief")
        for sequence, day in ((1, 0), (2, 2)):
            push_curves(short, "brief", sequence, day, 60, self.rng)

    def second(self, client, server):
        client.create_run("curves", tags={"made": "up"}, params={"lr": 3e-5})
        for sequence, (day, n) in enumerate(((-100, 30), (0, 400), (1, 300), (2, 100)), 1):
            push_curves(client, "curves", sequence, day, n, self.rng)
        push_lines(client, 2, 44, self.rng)
        push_curves(server.client(project="short"), "brief", 3, 30, 60, self.rng)

    def third(self, client, server):
        """A second raw part of that day, to be merged when it is over; a run that is deleted."""
        push_curves(client, "curves", 5, 44, 20, self.rng)
        push_odd(client, 2, 42, self.rng)
        push_curves(server.client(project="short"), "brief", 4, 44, 30, self.rng)
        client.create_run("gone")
        push_curves(client, "gone", 1, 44, 10, self.rng)
        equal(client.request("DELETE", client.path("/runs/gone")).status, 200, "rm gone")

    def last(self, client, server):
        """Blocks beside parts, some of them late; after that what is only in the journal, and young log blocks."""
        late = Batch(b"golden-curves-01", 6)
        late.sample(late.series("loss", {"rank": "0"}), START * NS + 77, 2.5, step=3)
        late.log("late\n", START * NS)
        client.ingest("curves", late)
        wait_for(lambda: flushed(self.data), "a flush")

    def young(self, client, server):
        push_curves(client, "curves", 7, 45, 10, self.rng)
        push_lines(client, 3, 45, self.rng)

    def make(self):
        self.serve(self.first)
        self.move_to(START + 45 * DAY)
        self.serve(self.second)
        self.move_to(START + 45 * DAY + 2 * 3600)
        self.serve(self.third)
        self.move_to(MADE)
        self.serve(self.last, compact=False)
        with Server(self.data, arguments=("--flush-every", "1000m", "--grace", "1000m", *LAZY[4:]),
                    env=self.clock.environment) as server:
            self.young(server.client(), server)
        return self.data


def check_rich(data, env):
    """It has everything that a directory of the format can have."""
    names = " ".join(os.listdir(os.path.join(data, "parts")))
    for part in ("metrics-1-recorded-", "metrics-1-5m-", "metrics-1-1h-", "metrics-1-1d-", "metrics-2-whole-", "raw-1-", "logs-1-"):
        check(part in names, part, "is not among", names)
    stats = json.loads(ok("stats", "--json", "--data", data, env=env))["store"]
    for what in ("runs", "deleted_runs", "series", "journal_batches", "blocks", "parts", "raw_parts", "raw_batches"):
        check(stats[what] > 0, "no", what, stats)


def pack(data, path):
    """Without what belongs to one process or one owner."""
    for name in ("owner.token", "LOCK", "hot/lock.mdb"):
        if os.path.exists(os.path.join(data, name)):
            os.remove(os.path.join(data, name))
    subprocess.run(["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", os.path.dirname(data), "-I", "zstd -19",
                    "-cf", path, os.path.basename(data)], check=True)
    check(os.path.getsize(path) < 200_000, path, "has", os.path.getsize(path), "bytes")


def write_golden():
    making = Making()
    data = making.make()
    check_rich(data, making.clock.environment)
    told = answers(data, making.clock.environment)
    path = os.path.join(GOLDEN, f"store-{FORMAT}")
    pack(data, path + ".tar.zst")
    with open(path + ".json", "w") as f:
        json.dump(told, f, indent=1, sort_keys=True)
        f.write("\n")


# ---- reading them ----

def unpack(path):
    where = harness.scratch()
    subprocess.run(["tar", "-C", where, "-I", "zstd", "-xf", path], check=True)
    return os.path.join(where, "store")


def compare(data, clock, want, when, years=0):
    """What can be undeleted can be so for 7 days; everything else is told for ever, as long as nobody serves."""
    got = answers(data, clock.environment)
    equal(sorted(got), sorted(want), "what is asked")
    for name, told in want.items():
        if years and "deleted" in name:
            continue
        check(holds(got[name], told), f"{when}: {name}: got {got[name]!r}, want {told!r}")


def test_golden():
    if os.environ.get("ASTRAML_GOLDEN_WRITE"):
        write_golden()
    paths = sorted(glob.glob(os.path.join(GOLDEN, "store-*.tar.zst")))
    check(any(FORMAT in p for p in paths), "no golden directory of this format; ASTRAML_GOLDEN_WRITE=1 makes it")
    for path in paths:
        name, data = os.path.basename(path), unpack(path)
        with open(path.replace(".tar.zst", ".json")) as f:
            want = json.load(f)
        clock = Clock(MADE + 60 - time.time())
        check_rich(data, clock.environment)
        ok("verify", "--data", data, env=clock.environment)
        for years in (0, 10):
            clock.move(years * 365 * DAY)
            compare(data, clock, want, f"{name}, read {years} years later", years)
        clock.move(-10 * 365 * DAY)
        with open(os.path.join(data, "owner.token"), "w"):
            pass  # the harness wants one; nothing here asks by it
        with Server(data, arguments=LAZY, env=clock.environment):
            compare(data, clock, want, f"{name}, served")
        clock.move(1.1 * DAY)  # the day is over; nothing else is
        ok("compact", "--data", data, env=clock.environment)
        ok("verify", "--data", data, env=clock.environment)
        compare(data, clock, want, f"{name}, compacted")


harness.main(globals())
