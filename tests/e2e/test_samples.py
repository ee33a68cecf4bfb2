"""Samples one by one: every one that was acknowledged is there exactly once, bit for bit, before and after
it is sealed and merged, whatever comes late, twice or after a sudden end, as long as the project keeps it."""
import fractions
import glob
import gzip
import json
import math
import os
import random
import struct
import sys
import time

import harness
from harness import NS, Batch, check, cli, equal, wait_for

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import mllog_oracle  # noqa: E402
from astraml.v2 import query_pb2  # noqa: E402  (made by `make`)

PROTOBUF = "application/x-protobuf"
NONE = -2**63
BASE = 1_700_000_000 * NS
EAGER = ("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "30ms", "--raw-wait", "1ms", "--memory", "256KiB")
LAZY = ("--compact-every", "100m")


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def double(pattern):
    return struct.unpack("<d", struct.pack("<Q", pattern))[0]


def unpacked(answer):
    """(run, metric, labels) -> [(time, step, bits of the value)] of a protobuf answer."""
    message = query_pb2.QueryResponse()
    message.ParseFromString(answer)
    check(message.every_ns, "the answer was broken off")
    series = {}
    for s in message.series:
        rows = series.setdefault((s.run_id, s.metric, tuple((l.key, l.value) for l in s.labels)), [])
        values = struct.unpack(f"<{len(s.value)}Q", struct.pack(f"<{len(s.value)}d", *s.value))
        rows += [(t, None if step == NONE else step, v) for t, step, v in zip(s.time_ns, s.step, values)]
    return series, message


def samples_of(client, run, metric="*", **more):
    query = {"run": run, "metric": metric, "samples": "true", **more}
    path = client.path("/query?" + "&".join(f"{k}={v}" for k, v in query.items()))
    answer = client.request("GET", path, headers={"Accept": PROTOBUF})
    equal(answer.status, 200, f"samples of {run}: {answer}")
    return unpacked(answer.body)


def key(sample):
    t, step, value = sample
    return t, NONE if step is None else step


def in_order(samples):
    """As they are answered: by time, then step; the rest as they came."""
    return [(t, step, bits(v)) for t, step, v in sorted(samples, key=key)]


def any_value(chance):
    return chance.choice((chance.gauss(0, 1), float(chance.randrange(1000)), chance.randrange(10**6) / 1000, -0.0, 5e-324,
                          double(chance.getrandbits(64)), double(0x7ff8000000000000 | chance.getrandbits(20)),
                          double(0xfff0000000000001 | chance.getrandbits(30)), float("inf"), float("-inf"), 1e308))


def any_sample(chance, now):
    """Of a window that is over, so that no flush waits for its end."""
    now -= 61 * NS
    t = chance.choice((now - chance.randrange(60 * NS), now - chance.randrange(3000) * NS, BASE + chance.randrange(10) * NS,
                       BASE - chance.randrange(86400 * NS), 7))
    return t, chance.choice((None, chance.randrange(100), 10**12 - chance.randrange(10**9), -chance.randrange(2**40))), \
        any_value(chance)


def push(client, run, chance, n, n_series, written, now=None, **producer):
    """n samples in one request, noted in written[metric]."""
    batch, refs = Batch(**producer), {}
    for _ in range(n):
        name = f"m{chance.randrange(n_series)}"
        if name not in refs:
            refs[name] = batch.series(name)
        t, step, value = any_sample(chance, now or time.time_ns())
        batch.sample(refs[name], t, value, step=step)
        written.setdefault(name, []).append((t, step, value))
    client.ingest(run, batch)
    return batch


def check_samples(client, run, written, what):
    got, message = samples_of(client, run)
    equal(sorted(m for _, m, _ in got), sorted(written), f"{what}: series")
    for (_, metric, _), rows in got.items():
        want = in_order(written[metric])
        equal(len(rows), len(want), f"{what}: samples of {metric}")
        for row, sample in zip(rows, want):
            equal(row, sample, f"{what}: {metric}")
    check(not message.HasField("samples_since_ns"), what, "samples_since")


def stat(server, name):
    client = server.client()
    answer = client.request("GET", "/metrics")
    client.close()
    equal(answer.status, 200, answer)
    lines = answer.body.decode().splitlines()
    return int(next(line for line in lines if line.startswith(f"astraml_{name} ")).split()[1])


def all_sealed(server):
    """In this order: what is flushed waits to be sealed then."""
    return stat(server, "journal_batches") == 0 and stat(server, "raw_batches") == 0


def raw_files(data):
    return sorted(n for n in os.listdir(os.path.join(data, "parts")) if n.startswith("raw-"))


def verified(data):
    r = cli("verify", "--data", data, timeout=120)
    equal(r.returncode, 0, f"verify: {r.stdout} {r.stderr}")


def test_exactly_once_sealed_and_merged():
    """Written at random, beside a server that seals and merges all the time, and one that never does."""
    chance = random.Random(1)
    with harness.Server(arguments=EAGER) as eager, harness.Server(arguments=LAZY) as lazy:
        written = {}
        for server in (eager, lazy):
            server.client().create_run("r")
        for round_ in range(60):
            seed, mine = chance.randrange(10**9), {}
            for server in (eager, lazy):
                mine = {}
                push(server.client(), "r", random.Random(seed), 300, 12, mine, now=BASE + 10**15)
            for metric, samples in mine.items():
                written.setdefault(metric, []).extend(samples)
            if round_ % 12 == 11:
                for server in (eager, lazy):
                    check_samples(server.client(), "r", written, f"round {round_}")
        wait_for(lambda: all_sealed(eager), "sealing")
        check_samples(eager.client(), "r", written, "all sealed")
        total = sum(map(len, written.values()))
        equal(stat(eager, "raw_samples"), total, "samples in raw parts")
        equal(stat(lazy, "raw_samples"), 0, "samples in raw parts of the lazy one")
        check(len(raw_files(eager.data)) < 20, "raw parts are merged", raw_files(eager.data))
        for server in (eager, lazy):  # another process gives the same
            r = cli("get", "r", "*", "--samples", "--json", "--data", server.data)
            equal(r.returncode, 0, r.stderr)
            equal(sum(len(s["rows"]) for s in json.loads(r.stdout)["series"]), total, "samples beside the server")
            server.kill9()
            server.start()
            check_samples(server.client(), "r", written, "after a restart")
        r = cli("compact", "--data", eager.data)
        check(r.returncode != 0, "compact beside a server")
    for server in (eager, lazy):
        equal(cli("compact", "--data", server.data).returncode, 0, "compact")
        verified(server.data)
        server.start()
        check_samples(server.client(), "r", written, "compacted")
        server.stop()


def test_many_runs_and_projects():
    chance = random.Random(2)
    with harness.Server(arguments=EAGER) as server:
        written = {}
        for project in ("default", "p2"):
            for run in ("a", "b"):
                client = server.client(project=project)
                client.create_run(run)
                written[project, run] = {}
        for _ in range(40):
            for (project, run), w in written.items():
                push(server.client(project=project), run, chance, 50, 5, w)
        wait_for(lambda: all_sealed(server), "sealing")
        for (project, run), w in written.items():
            check_samples(server.client(project=project), run, w, f"{project}/{run}")
        names = {n.split("-")[1] for n in raw_files(server.data)}
        equal(len(names), 2, "parts are a project's own")


def test_kills():
    """kill -9 at random moments, everything resent: each sample once."""
    chance = random.Random(3)
    server = harness.Server(arguments=EAGER)
    server.client().create_run("r")
    written, sequence, producer = {}, 0, bytes(range(16))
    for round_ in range(12):
        client, batches = server.client(), []
        for _ in range(chance.randrange(3, 25)):
            sequence += 1
            batches.append(push(client, "r", chance, 200, 6, written, producer=producer, sequence=sequence))
        if chance.random() < 0.7:  # somewhere in a flush, a seal, a merge
            wait_for(lambda: raw_files(server.data), "a raw part")
        server.kill9()
        server.start()
        client = server.client()
        for batch in batches[-3:]:
            equal(client.ingest("r", batch).duplicate, True, "what was acknowledged is known")
        check_samples(client, "r", written, f"after kill {round_}")
    wait_for(lambda: all_sealed(server), "sealing")
    check_samples(server.client(), "r", written, "in the end")
    server.stop()
    verified(server.data)


def test_recovery_reads_the_unflushed_alone():
    """A journal full of flushed batches that are not sealed yet does not delay a start."""
    with harness.Server(arguments=("--flush-every", "10ms", "--grace", "1ms", *LAZY, "--raw-journal", "4GiB")) as server:
        client = server.client()
        client.create_run("r")
        batch = Batch()
        refs = [batch.series(f"m{i}") for i in range(100)]
        for i in range(100_000):
            batch.sample(refs[i % 100], BASE + i * NS, i / 7, step=i)
        for i in range(30):
            batch.message.producer.id = bytes([i] * 16)
            batch.message.producer.sequence = 1
            client.ingest("r", batch)
        wait_for(lambda: stat(server, "journal_batches") == 0, "the flush")
        check(stat(server, "raw_batches") == 30, "flushed batches wait in the journal")
        server.kill9()
        began = time.monotonic()
        server.start()
        took = time.monotonic() - began
        check(took < (1 if "-" not in os.path.basename(harness.BUILD) else 10), f"a start took {took:.2f} s")
        got, _ = samples_of(server.client(), "r", "m7")
        equal([len(rows) for rows in got.values()], [30_000], "samples of m7")


def test_ranges_and_forms():
    with harness.Server(arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        samples = [(BASE + i * NS // 3, i - 500 if i % 4 else None, i / 3) for i in range(3000)]
        batch = Batch()
        ref = batch.series("m", {"rank": "0"})
        for t, step, value in samples:
            batch.sample(ref, t, value, step=step)
        client.ingest("r", batch)
        for sealed in (False, True):
            if sealed:
                wait_for(lambda: all_sealed(server), "sealing")
            for start, end in ((0, 1000), (500, 501), (999, 1000), (7, 7)):
                got, _ = samples_of(client, "r", "m", start=BASE // 10**6 + start * 1000, end=BASE // 10**6 + end * 1000)
                want = in_order(s for s in samples if BASE + start * NS <= s[0] < BASE + end * NS)
                equal(list(got.values()), [want] if want or start == end else [[]], f"[{start}, {end})")
            got, _ = samples_of(client, "r", "m", step_start=-100, step_end=20)
            equal(list(got.values())[0], in_order(s for s in samples if s[1] is not None and -100 <= s[1] < 20), "steps")
            answer = client.query("r", "m", samples="true")
            equal((answer["tier"], answer["every_ms"], answer["series"][0]["columns"]), ("raw", 0, ["time", "step", "value"]),
                  "columns")
            equal(answer["series"][0]["rows"][:2], [["2023-11-14T22:13:20Z", None, 0], ["2023-11-14T22:13:20.333333333Z", -499, 1 / 3]],
                  "rows")
            r = cli("get", "r", "m", "--samples", "--server", server.url, env={"ASTRAML_TOKEN": server.token})
            lines = r.stdout.decode().splitlines()
            equal((len(lines), lines[1].split(), lines[3].split()),
                  (3002, ["time", "step", "value"], ["2023-11-14T22:13:20.333333333Z", "-499", "0.3333333333333333"]), "the table")
            check(b"3000 samples" in r.stderr, r.stderr)


def test_steps_are_exact():
    """x=step: a row a sample; of a step that was logged again the newest."""
    chance = random.Random(4)
    with harness.Server(arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        samples, step, t = [], 0, BASE
        for _attempt in range(6):
            for _ in range(chance.randrange(50, 300)):
                samples.append((t, step, chance.random()))
                t += chance.choice((0, 1, NS))
                step += 1
            step -= chance.randrange(100)
        late = samples[:]
        chance.shuffle(late)
        for i in range(0, len(late), 100):
            batch = Batch()
            ref = batch.series("m")
            for s in late[i:i + 100]:
                batch.sample(ref, s[0], s[2], step=s[1])
            client.ingest("r", batch)
        newest = newest_of_steps(samples)
        for sealed in (False, True):
            if sealed:
                wait_for(lambda: all_sealed(server), "sealing")
            answer = client.query("r", "m", x="step", agg="count,last,last_time")
            equal(answer["tier"], "raw", "tier")
            rows = answer["series"][0]["rows"]
            equal([r[0] for r in rows], sorted(newest), "each step once")
            equal([r[4] for r in rows], [newest[s][2] for s in sorted(newest)], "the newest value")
            equal({r[3] for r in rows}, {1}, "count")
            equal(client.query("r", "m", x="step", every="30s")["tier"], "30s", "windows where they are asked for")


def newest_of_steps(samples):
    """step -> its sample: the latest, of these the one that was accepted last."""
    newest = {}
    for s in samples:
        if s[1] is not None and (s[1] not in newest or newest[s[1]][0] <= s[0]):
            newest[s[1]] = s
    return newest


def total_order(value):
    pattern = bits(value)
    return ~pattern & 2**64 - 1 if pattern >> 63 else pattern | 1 << 63


def strides(lines, most):
    """What x=step&points= is to answer of series that are one line, by rising step: each row as a dict."""
    samples = sorted((s for line in lines for s in newest_of_steps(line).values()),
                     key=lambda s: (s[1], s[0], total_order(s[2])))
    ladder = (digit * 10**power for power in range(19) for digit in (1, 2, 5))
    width = next((w for w in ladder if len({s[1] // w for s in samples}) <= most), 2**65)
    groups = {}
    for s in samples:
        groups.setdefault((s[1] + (2**64 if width == 2**65 else 0)) // width, []).append(s)
    rows = []
    for mine in groups.values():
        values = [v for _, _, v in mine]
        finite = [v for v in values if math.isfinite(v)]
        total = sum(map(fractions.Fraction, finite))
        bad = min(((t, step) for t, step, v in mine if not math.isfinite(v)), default=(None, None))
        rows.append({"step": mine[-1][1], "first_step": mine[0][1], "time_ms": mine[0][0] // 10**6, "count": len(finite),
                     "sum": float(total), "mean": float(total) / len(finite) if finite else None,
                     "min": min(finite, default=None), "max": max(finite, default=None), "first": values[0],
                     "last": values[-1], "nan": sum(map(math.isnan, values)), "pos_inf": values.count(math.inf),
                     "neg_inf": values.count(-math.inf), "last_step": mine[-1][1], "bad_step": bad[1],
                     "step_min": mine[0][1], "step_max": mine[-1][1]})
    return rows


def check_strides(series, lines, most, what):
    want = strides(lines, most)
    got = [dict(zip(series["columns"], row)) for row in series["rows"]]
    equal([(r["first_step"], r["step"]) for r in got], [(r["first_step"], r["step"]) for r in want], f"{what}: steps")
    check(len(got) <= most, what, len(got), "rows")
    for g, w in zip(got, want):
        w = {k: v if v is None or isinstance(v, int) or math.isfinite(v) else
             "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity" for k, v in w.items()}
        equal(g, {k: w[k] for k in g}, f"{what}: a row")


STRIDE_AGGS = "count,sum,mean,min,max,first,last,nan,pos_inf,neg_inf,last_step,bad_step,step_min,step_max"


def stride_samples(chance, n, every, start=0):
    """Of a run that was resumed now and then, some of them not finite or without a step, two at one time."""
    samples, step, t = [], start, BASE
    for _ in range(n):
        value = chance.choice((chance.random(), chance.random(), chance.randrange(100) + 0.5, math.nan)) \
            if chance.random() > 0.02 else chance.choice((math.inf, -math.inf))
        samples.append((t, None if chance.random() < 0.05 else step, value))
        t += chance.choice((0, 1, NS))
        step += every
        if chance.random() < 0.01:
            step -= every * chance.randrange(60)
    return samples


def test_points_of_steps():
    """x=step&points=N: rows of consecutive samples, in ranges of steps of one width; one row a sample if there is room."""
    chance = random.Random(11)
    written = {
        "one": [(BASE, 7, 0.5)], "none": [(BASE, None, 0.5)], "each": stride_samples(chance, 900, 1),
        "tenth": stride_samples(chance, 500, 10), "prime": stride_samples(chance, 333, 7, -1500),
        "stray": stride_samples(chance, 300, 1) + [(BASE, 10**15, 9.0)], "far": stride_samples(chance, 50, 1, 10**18 + 3),
        "ends": [(BASE + i, step, i / 3) for i, step in enumerate((-2**63 + 1, -1, 0, 1, 2**63 - 1))]}
    with harness.Server(arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        for metric, samples in written.items():
            for i in range(0, len(samples), 97):
                batch = Batch()
                ref = batch.series(metric)
                for t, step, value in samples[i:i + 97]:
                    batch.sample(ref, t, value, step=step)
                client.ingest("r", batch)
        for sealed in (False, True):
            if sealed:
                wait_for(lambda: all_sealed(server), "sealing")
            for most in (1, 2, 3, 7, 60, 333, 1000):
                answer = client.query("r", "*", x="step", points=most, agg=STRIDE_AGGS)
                equal((answer["tier"], answer["every_ms"], answer["partial"]), ("raw", 0, False), "samples are told")
                equal(sorted(s["metric"] for s in answer["series"]), sorted(written), "series")
                for s in answer["series"]:
                    check_strides(s, [written[s["metric"]]], most, f"{s['metric']} in {most}")
            for first, end in ((100, 300), (-700, 13), (0, 1), (5000, 6000), (10**15, 10**15 + 1)):
                answer = client.query("r", "*", x="step", points=20, agg=STRIDE_AGGS, step_start=first, step_end=end)
                for s in answer["series"]:
                    mine = [x for x in written[s["metric"]] if x[1] is not None and first <= x[1] < end]
                    check_strides(s, [mine], 20, f"{s['metric']} of steps [{first}, {end})")
            start, end = BASE + 100 * NS, BASE + 205 * NS + 1
            answer = client.query("r", "each", x="step", points=30, agg=STRIDE_AGGS, start=start // 10**6, end=(end - 1) // 10**6 + 1)
            check_strides(answer["series"][0], [[x for x in written["each"] if start <= x[0] < end + 10**6 - 1]], 30, "a range of time")
        answer = client.query("r", "each", x="step", points=50)
        r = cli("get", "r", "each", "--x", "step", "--points", "50", "--json", "--data", server.data)
        equal(json.loads(r.stdout)["series"], answer["series"], "beside the server")


def test_points_of_steps_are_stable():
    """As a run goes on its rows stay, until there are too many of them."""
    samples = [(BASE + i * NS, 3 * i, i / 7) for i in range(1200)]
    with harness.Server(arguments=LAZY) as server:
        client = server.client()
        client.create_run("r")
        before, widened = [], 0
        for i in range(0, len(samples), 40):
            batch = Batch()
            ref = batch.series("m")
            for t, step, value in samples[i:i + 40]:
                batch.sample(ref, t, value, step=step)
            client.ingest("r", batch)
            rows = client.query("r", "m", x="step", points=100)["series"][0]["rows"]
            check(min(i + 40, 40) <= len(rows) <= 100, i, len(rows), "rows")
            if before and rows[:len(before) - 1] != before[:-1]:  # the last one may have become wider
                widened += 1
                check(len(rows) < len(before), "rows change when there are too many", len(before), len(rows))
            before = rows
        equal(widened, 4, "3600 steps, each third of them: by themselves, then by 5, 10, 20 and 50")


def test_points_of_merged_steps():
    """by=: all samples of a step that the newest attempt of each series has."""
    chance = random.Random(12)
    written = {(rank, host): stride_samples(chance, 200 + 50 * rank, 1 + rank % 2) for rank in range(3) for host in ("a", "b")}
    with harness.Server(arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        for (rank, host), samples in written.items():
            batch = Batch()
            for metric in ("m", "n"):
                ref = batch.series(metric, {"rank": str(rank), "host": host})
                for t, step, value in samples:
                    batch.sample(ref, t, value, step=step)
            client.ingest("r", batch)
        for sealed in (False, True):
            if sealed:
                wait_for(lambda: all_sealed(server), "sealing")
            for by in ("", "rank", "host"):
                for points in ({"points": 40}, {"points": 150}, {"points": 10000}):
                    answer = client.query("r", "*", x="step", by=by, agg=STRIDE_AGGS, **points)
                    equal(answer["tier"], "raw", "tier")
                    equal(len(answer["series"]), 2 * {"": 1, "rank": 3, "host": 2}[by], f"lines by {by}")
                    for s in answer["series"]:
                        lines = [w for (rank, host), w in written.items()
                                 if s["labels"] in ({}, {"rank": str(rank)}, {"host": host})]
                        check_strides(s, lines, points["points"], f"{s['metric']} {s['labels']} {points}")


def test_too_many_samples_for_points():
    """What would take too long to read is answered in windows."""
    with harness.Server(arguments=("--max-rows", "1000")) as server:
        client = server.client()
        client.create_run("r")
        for metric, n in (("few", 1000), ("many", 1001)):
            batch = Batch()
            ref = batch.series(metric)
            for i in range(n):
                batch.sample(ref, BASE + i * NS, i / 7, step=i)
            client.ingest("r", batch)
        equal(client.query("r", "few", x="step", points=10)["tier"], "raw", "1000 samples")
        equal(client.query("r", "many", x="step", points=10)["tier"], "30s", "1001 samples")
        equal(client.query("r", "many", x="step", points=10, step_start=500)["tier"], "raw", "half of them")
        equal(client.query("r", "*", x="step", by="", points=10)["tier"], "30s", "2001 samples of two lines")


def test_old_samples_go():
    """Files go when they are older than the project keeps samples, windows stay, and answers say so."""
    clock = harness.Clock()
    with harness.Server(arguments=EAGER, env=clock.environment) as server:
        client = server.client()
        client.create_run("r")
        chance, old, young = random.Random(5), {}, {}
        push(client, "r", chance, 500, 3, old, now=clock.now_ns())
        wait_for(lambda: stat(server, "raw_samples") == 500, "sealing")
        clock.move(4 * 86400)
        push(client, "r", chance, 300, 3, young, now=clock.now_ns())
        wait_for(lambda: stat(server, "raw_samples") == 800, "sealing")
        both = {m: old.get(m, []) + young.get(m, []) for m in {*old, *young}}
        check_samples(client, "r", both, "all are young")
        before = sum(os.path.getsize(os.path.join(server.data, "parts", n)) for n in raw_files(server.data))
        clock.move(4 * 86400)
        wait_for(lambda: stat(server, "raw_samples") == 300, "the old ones to go")
        check(0 < sum(os.path.getsize(os.path.join(server.data, "parts", n)) for n in raw_files(server.data)) < before,
              "the disk gets them back")
        got, message = samples_of(client, "r")
        equal({m: rows for (_, m, _), rows in got.items() if rows}, {m: in_order(s) for m, s in young.items()}, "the young")
        greatest = max(t for s in old.values() for t, _, _ in s)
        check(greatest < message.samples_since_ns <= greatest + NS, "since", message.samples_since_ns, greatest)
        equal(client.query("r", "m0", x="step")["tier"], "30s", "x=step shows windows again")
        check(client.query("r", "m0", x="step", points=100)["tier"] != "raw", "and so do points of steps")
        equal(sum(m["count"] + m["nan"] + m["pos_inf"] + m["neg_inf"] for m in client.metrics("r")), 800, "windows")
        clock.move(10 * 86400)
        wait_for(lambda: not raw_files(server.data), "all to go")
        equal(sum(len(rows) for rows in samples_of(client, "r")[0].values()), 0, "samples")
        server.kill9()
        server.start()
        equal(sum(len(rows) for rows in samples_of(server.client(), "r")[0].values()), 0, "samples after a restart")


def test_days_become_one_file():
    """Samples that are alike but for the value stay in the order in which they were accepted."""
    clock = harness.Clock()
    with harness.Server(arguments=EAGER, env=clock.environment) as server:
        client = server.client()
        client.create_run("r")
        written, n = {}, 0
        for part in range(5):
            batch = Batch()
            for name in ("a", "b"):
                ref = batch.series(name)
                for i in range(100):
                    n += 1
                    batch.sample(ref, BASE + i // 7 * NS, float(n), step=i // 14)
                    written.setdefault(name, []).append((BASE + i // 7 * NS, i // 14, float(n)))
            client.ingest("r", batch)
            wait_for(lambda: stat(server, "raw_samples") == 200 * (part + 1), "sealing")
            equal(len(raw_files(server.data)), part + 1, "parts")
        check_samples(client, "r", written, "in five parts")
        clock.move(86400)
        wait_for(lambda: len(raw_files(server.data)) == 1, "one part")
        wait_for(lambda: stat(server, "raw_parts") == 1, "its row")
        check_samples(client, "r", written, "in one part")
    verified(server.data)


def test_backup_and_restore():
    with harness.Server(arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        written, chance = {}, random.Random(10)
        push(client, "r", chance, 500, 4, written)
        wait_for(lambda: stat(server, "raw_samples") == 500, "sealing")
        push(client, "r", chance, 300, 4, written)
        copy = os.path.join(harness.scratch(), "copy")
        r = cli("backup", copy, "--data", server.data)
        equal(r.returncode, 0, r.stderr)
    verified(copy)
    data = os.path.join(harness.scratch(), "restored")
    r = cli("restore", copy, "--data", data)
    equal(r.returncode, 0, r.stderr)
    with harness.Server(data, arguments=LAZY) as server:
        check_samples(server.client(), "r", written, "restored")


def set_policy(client, **fields):
    answer = client.request("PUT", client.path("/policy"), json.dumps(fields), {"Content-Type": "application/json"})
    equal(answer.status, 200, answer)


def test_projects_that_keep_none():
    clock = harness.Clock()
    with harness.Server(arguments=("--flush-every", "50ms", "--grace", "1ms", "--compact-every", "30ms", "--raw-wait", "60m"),
                        env=clock.environment) as server:
        client = server.client()
        set_policy(client, raw_keep="0s")
        client.create_run("r")
        chance, gone, kept = random.Random(6), {}, {}
        push(client, "r", chance, 500, 1, gone, now=clock.now_ns())
        wait_for(lambda: all_sealed(server), "the journal to be trimmed")  # nobody waits an hour for nothing
        equal((stat(server, "raw_parts"), raw_files(server.data)), (0, []), "parts")
        equal(sum(map(len, samples_of(client, "r")[0].values())), 0, "samples")
        equal(client.query("r", "m0", x="step")["tier"], "30s", "x=step")
        set_policy(client, raw_keep="7d")
        clock.move(1)
        push(client, "r", chance, 300, 1, kept, now=clock.now_ns())
        client.create_run("later")
        batch = Batch()
        batch.sample(batch.series("m0"), BASE, 1.0, step=1)
        client.ingest("later", batch)
        got, message = samples_of(client, "r")
        equal(list(got.values()), [in_order(kept["m0"])], "samples since they are kept")
        check(message.samples_since_ns > max(t for t, _, _ in gone["m0"]), "since")
        equal(client.query("r", "m0", x="step")["tier"], "30s", "x=step of both")
        equal(client.query("later", "m0", x="step")["tier"], "raw", "x=step of a run that is all there")
        other = server.client(project="other")  # beside one that keeps them
        set_policy(other, raw_keep="0s")
        other.create_run("r")
        push(other, "r", chance, 100, 1, {}, now=clock.now_ns())
        equal(sum(map(len, samples_of(other, "r")[0].values())), 0, "samples of the other")
    equal(cli("compact", "--data", server.data, env=clock.environment).returncode, 0, "compact")
    check({n.split("-")[1] for n in raw_files(server.data)} == {"1"}, "parts of the one alone", raw_files(server.data))
    with harness.Server(server.data, arguments=LAZY, env=clock.environment) as server:
        equal(list(samples_of(server.client(), "r")[0].values()), [in_order(kept["m0"])], "after all")
        set_policy(server.client(project="other"), raw_keep="7d")
        equal(sum(map(len, samples_of(server.client(project="other"), "r")[0].values())), 0, "what is gone is gone")
    verified(server.data)


def test_a_policy_that_changes():
    """Less is kept: what is older goes at once."""
    clock = harness.Clock()
    with harness.Server(arguments=EAGER, env=clock.environment) as server:
        client = server.client()
        client.create_run("r")
        push(client, "r", random.Random(7), 200, 2, {}, now=clock.now_ns())
        wait_for(lambda: stat(server, "raw_samples") == 200, "sealing")
        clock.move(7200)
        equal(sum(map(len, samples_of(client, "r")[0].values())), 200, "samples")
        set_policy(client, raw_keep="1h")
        wait_for(lambda: not raw_files(server.data), "they go")


def test_export_of_samples_and_windows():
    """Windows of what is too old, samples of the rest; what is made of it has the same windows and samples."""
    clock = harness.Clock()
    with harness.Server(arguments=EAGER, env=clock.environment) as server:
        client = server.client()
        client.create_run("r")
        chance, old, young = random.Random(8), {}, {}
        push(client, "r", chance, 300, 3, old, now=clock.now_ns())
        wait_for(lambda: stat(server, "raw_samples") == 300, "sealing")
        clock.move(8 * 86400)
        wait_for(lambda: not raw_files(server.data), "the old ones to go")
        batch, now = Batch(), clock.now_ns() - 100 * NS
        ref = batch.series("m1")
        for i in range(100):
            young.setdefault("m1", []).append((now + i * NS, i, any_value(chance)))
            batch.sample(ref, *(young["m1"][-1][0], young["m1"][-1][2]), step=i)
        client.ingest("r", batch)
        lines = client.get("/runs/r/export").body
        table = client.get("/runs/r/export", format="csv").body
        end = json.loads(lines.splitlines()[-1])["end"]
        equal(end["samples"], 100, "samples of the export")
        check(end["buckets"] > 3, "windows of the export", end)
        for form, content in (("jsonl", lines), ("csv", table)):
            path = os.path.join(harness.scratch(), f"x.{form}")
            with open(path, "wb") as f:
                f.write(content)
            r = cli("import", form, path, "--run", form, "--server", server.url,
                    env={**clock.environment, "ASTRAML_TOKEN": server.token})
            equal(r.returncode, 0, r.stderr)
            equal({m: rows for (_, m, _), rows in samples_of(client, form)[0].items() if rows},
                  {m: in_order(v) for m, v in young.items()}, f"samples by {form}")
            for metric in old:
                want, got = (client.query(run, metric, agg="count,sum,min,max,first,last,step_min,nan") for run in ("r", form))
                equal([s["rows"] for s in got["series"]], [s["rows"] for s in want["series"]], f"windows of {metric} by {form}")
        again = client.get("/runs/jsonl/export").body.splitlines()
        equal(again[1:], lines.splitlines()[1:], "the export of the import")


def test_a_damaged_part_is_told():
    """What is left is served and marked; verify names the part."""
    data = os.path.join(harness.scratch(), "data")
    with harness.Server(data, arguments=EAGER) as server:
        client = server.client()
        client.create_run("r")
        batch, chance = Batch(), random.Random(9)
        for name in ("a", "b", "c"):
            ref = batch.series(name)
            for i in range(20_000):
                batch.sample(ref, BASE + i * NS, chance.random(), step=i)
        client.ingest("r", batch)
        wait_for(lambda: all_sealed(server), "sealing")
    equal(len(raw_files(data)), 1, "raw parts")
    path = os.path.join(data, "parts", raw_files(data)[0])
    whole = open(path, "rb").read()
    for damaged in (whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:], whole[:100], None):
        os.unlink(path)
        if damaged is not None:
            with open(path, "wb") as f:
                f.write(damaged)
        r = cli("verify", "--data", data)
        check(r.returncode == 5 and b"raw" in r.stdout + r.stderr, r.stdout, r.stderr)
        r = cli("get", "r", "*", "--samples", "--json", "--data", data)
        answer = json.loads(r.stdout)
        equal((r.returncode, answer["partial"]), (0, True), r.stderr)
        left = sum(len(s["rows"]) for s in answer["series"])
        check((left > 20_000) == (damaged is not None and len(damaged) == len(whole)) and left < 60_000, "samples left", left)
        windows = json.loads(cli("get", "r", "*", "--json", "--data", data).stdout)
        equal((windows["partial"], sum(row[1] for s in windows["series"] for row in s["rows"])), (False, 60_000), "windows")
    with open(path, "wb") as f:
        f.write(whole)
    verified(data)


def test_real_runs():
    """Samples of real MLPerf logs, as the oracle reads them from the files."""
    logs = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "**", "*.gz"), recursive=True))
    data = os.path.join(harness.scratch(), "data")
    want = {}
    for i, path in enumerate(logs):
        equal(cli("import", "mllog", "--run", f"r{i}", "--data", data, path, timeout=120).returncode, 0, path)
        with gzip.open(path) as f:
            for metric, t, step, value in mllog_oracle.samples(f.read())[0]:
                want.setdefault((f"r{i}", metric), []).append((t, step, value))
    check(len(want) > 100, "series of real logs", len(want))
    for sealed in (False, True):
        if sealed:
            equal(cli("compact", "--data", data, timeout=120).returncode, 0, "compact")
            check(raw_files(data), "raw parts")
        with harness.Server(data, arguments=LAZY) as server:
            for i in range(len(logs)):
                got = {(run, metric): rows for (run, metric, _), rows in samples_of(server.client(), f"r{i}")[0].items()}
                equal(got, {k: in_order(v) for k, v in want.items() if k[0] == f"r{i}"}, logs[i])
    verified(data)


if __name__ == "__main__":
    harness.main(globals())
