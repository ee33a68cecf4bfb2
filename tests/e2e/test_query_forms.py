"""The read API beyond windows of time: the axis of steps, merging by label, points for a chart, CSV and
protobuf beside JSON, broken-off answers, histograms of logs.  The oracle is test_query.py's."""
import calendar
import csv
import glob
import gzip
import http.client
import io
import json
import math
import os
import random
import struct
import sys
import time

import harness
from harness import NS, Batch, cli, check, equal
from test_query import AGGS, BASE, WINDOW, compare, random_samples, rfc3339, same, windows_of

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import mllog_oracle  # noqa: E402
from astraml.v2 import query_pb2  # noqa: E402  (made by `make`)

JSON, CSV, PROTOBUF = "application/json", "text/csv", "application/x-protobuf"
LEVELS = ["", "trace", "debug", "info", "warn", "error", "fatal"]
MS = 1_000_000

state = {}


def server():
    if "server" not in state:
        state["server"] = harness.Server(until=harness.after_all)
        state["client"] = state["server"].client()
    return state["server"]


def client():
    server()
    return state["client"]


def put(c, run, metric, samples, **labels):
    batch = Batch()
    ref = batch.series(metric, labels)
    for t, step, value in samples:
        batch.sample(ref, t, value, step=step)
    c.ingest(run, batch)


def ask(c, accept, parameters):
    query = "&".join(f"{k}={v}" for k, v in parameters)
    return c.request("GET", c.path("/query?" + query), headers={"Accept": accept})


# ---- steps ----

def last_step(samples):
    steps = [s for _, s, _ in sorted(samples, key=lambda s: s[0])]
    return steps[-1] if steps[-1] is not None else max(s for s in steps if s is not None)


def step_windows(samples, width):
    """start -> samples of the windows that x=step shows, step by step: a window goes when every one of
    its steps lies within a window of a later resume."""
    groups = {}
    for sample in samples:
        groups.setdefault(sample[0] // width * width, []).append(sample)
    ranges, attempt, reached = {}, 0, None
    for start in sorted(groups):
        steps = [s for _, s, _ in groups[start] if s is not None]
        if not steps:
            continue
        back = reached is not None and min(steps) < reached
        attempt += back
        reached = max(steps) if back else max(reached, max(steps)) if reached is not None else max(steps)
        ranges[start] = (attempt, min(steps), max(steps))
    shown = {}
    for start, (mine, least, greatest) in ranges.items():
        later = set()
        for other, a, b in ranges.values():
            if other > mine:
                later.update(range(a, b + 1))
        if not all(step in later for step in range(least, greatest + 1)):
            shown[start] = groups[start]
    return shown


def check_steps(series, samples, width, what):
    want = step_windows(samples, width)
    rows = [dict(zip(series["columns"], row)) for row in series["rows"]]
    equal(series["columns"][:3], ["step", "first_step", "time_ms"], "columns")
    equal([r["time_ms"] for r in rows], [start // MS for start in sorted(want)], f"{what}: windows")
    for row in rows:
        mine = want[row["time_ms"] * MS]
        steps = [s for _, s, _ in mine if s is not None]
        equal((row["step"], row["first_step"]), (last_step(mine), min(steps)), f"{what}: steps at {row['time_ms']}")
        exact = windows_of(mine, width)[row["time_ms"]]
        for name in ("count", "mean", "sum", "first", "last"):
            check(same(row[name], exact[name]), what, name, row, exact[name])


def resumed(rng, n_attempts):
    """Samples of a run that was resumed some times, at rising times, a tenth of them without a step."""
    samples, t, step = [], BASE, 0
    for _ in range(n_attempts):
        for _ in range(rng.randrange(20, 120)):
            samples.append((t, None if rng.random() < 0.1 else step, rng.gauss(0, 1)))
            t += rng.randrange(1, 20) * NS
            step += rng.choice((1, 1, 1, 7))
        t += rng.randrange(0, 300) * NS
        step = rng.randrange(0, step + 1)
    return samples


def test_steps():
    c = client()
    c.create_run("steps")
    rng = random.Random(5)
    runs = {"plain": [(BASE + i * 7 * NS, i, float(i)) for i in range(300)],
            "none": [(BASE + i * 7 * NS, None, float(i)) for i in range(300)],
            "same": [(BASE + i * 40 * NS, i // 5, float(i)) for i in range(50)],  # one step, several windows
            "back": [(BASE + i * 30 * NS, s, float(i)) for i, s in enumerate((5, 6, 7, 3, 4, 5, 9, 6, 6, 10))]}
    for i in range(8):
        runs[f"resumed{i}"] = resumed(rng, i + 2)
    for name, samples in runs.items():
        put(c, "steps", name, samples)
    for name, samples in runs.items():
        for every in (30, 60, 210):
            answer = c.query("steps", name, x="step", every=f"{every}s", agg="count,mean,sum,first,last")
            check_steps(answer["series"][0], samples, every * NS, f"{name} every {every}")
    shown = [row[0] for row in c.query("steps", "back", x="step", every="30s", agg="count")["series"][0]["rows"]]
    equal(shown, [7, 3, 4, 5, 9, 6, 6, 10], "5 and 6 were logged again; 7 was not")


def test_ranges_of_steps():
    c = client()
    c.create_run("range")
    samples = [(BASE + i * 10 * NS, i, i * 0.5) for i in range(600)]
    put(c, "range", "m", samples)
    put(c, "range", "m", [(BASE, None, 1.0)], kind="stepless")
    for a, b in ((0, 1000), (100, 200), (101, 104), (104, 101), (-5, 3), (599, None), (None, 2), (7000, 8000)):
        parameters = {k: v for k, v in (("step_start", a), ("step_end", b)) if v is not None}
        for x in ("step", "time"):
            answer = c.get("/query", run="range", metric="m", x=x, every="30s", agg="last_step", **parameters)
            if a == 104:
                equal((answer.status, answer.error()["field"]), (422, "step_start"), "a range the wrong way")
                continue
            got = [dict(zip(s["columns"], row))["last_step"] for s in answer.json()["series"] for row in s["rows"]]
            want = [s for s in range(2, 600, 3) if (a is None or s >= a) and (b is None or s < b)]
            equal(got, want, f"steps [{a}, {b}) by {x}")
    for a, b in ((0, 300), (500, 600), (17, 90)):  # points are of these steps, not of the whole life
        answer = c.query("range", "m", x="step", points=20, step_start=a, step_end=b, agg="count")
        rows = answer["series"][0]["rows"]
        check(8 <= len(rows) <= 20 and sum(r[3] for r in rows) == b - a, "points=20 of steps", a, b, "gave", rows)
    equal(c.query("range", "m", points=5, step_start=9000)["series"][0]["rows"], [], "no such steps")


# ---- by ----

def test_series_merge_by_label():
    c = client()
    c.create_run("merge")
    rng = random.Random(9)
    written = {}
    for rank in "0123":
        for host in ("a", "b", ""):
            labels = {"rank": rank, **({"host": host} if host else {})}
            for metric in ("loss", "lr"):
                samples = random_samples(rng, 60)
                put(c, "merge", metric, samples, **labels)
                written[metric, rank, host] = samples
    for by in ((), ("rank",), ("host",), ("host", "rank"), ("unknown",)):
        answer = c.query("merge", "l*", by=list(by) or "", every="1m", agg=AGGS)
        groups = {}
        for (metric, rank, host), samples in written.items():
            values = {"rank": rank, "host": host}
            labels = tuple((k, values[k]) for k in sorted(by) if values.get(k))
            groups.setdefault((metric, labels), []).extend(samples)
        got = {(s["metric"], tuple(sorted(s["labels"].items()))): s for s in answer["series"]}
        equal(len(got), len(answer["series"]), "each group comes once")
        equal(sorted(got), sorted(groups), f"groups by {by}")
        equal(list(got), list(groups), "groups in the order of their first series")
        for key, samples in groups.items():
            compare(got[key], windows_of(samples, 60 * NS), f"by {by}, {key}")
    answer = c.query("merge", "loss", by="rank", agg="count", **{"label.host": "a"})
    equal([sum(r[1] for r in s["rows"]) for s in answer["series"]],
          [sum(math.isfinite(v) for _, _, v in written["loss", r, "a"]) for r in "0123"], "with a filter")


def test_long_series_merge():
    """More windows than are kept at once; with gaps, and a stray early sample."""
    c = client()
    c.create_run("long")
    rng = random.Random(13)
    groups = {}
    for rank in range(4):
        samples = [(BASE - i * WINDOW - rng.randrange(WINDOW), None, rng.gauss(0, 1))
                   for i in range(0, 90_000, rank + 2) if not 30_000 < i < 40_000 * rank]
        samples.append((5 * NS, None, 1.0))
        put(c, "long", "m", samples, rank=str(rank), pair=str(rank // 2))
        groups.setdefault(str(rank // 2), []).extend(samples)
    answer = c.query("long", "m", by="pair", agg="count,sum,first,last")
    equal([s["labels"] for s in answer["series"]], [{"pair": "0"}, {"pair": "1"}], "groups")
    for s in answer["series"]:
        want = {}
        for t, _, value in groups[s["labels"]["pair"]]:
            want.setdefault(t // WINDOW * WINDOW // MS, []).append((t, value))
        equal([row[0] for row in s["rows"]], sorted(want), "windows")
        for t, count, total, first, last in s["rows"]:
            values = [v for _, v in sorted(want[t])]
            equal((count, total, first, last), (len(values), math.fsum(values), values[0], values[-1]), t)


def test_merged_steps_hide_resumes_of_each_series():
    c = client()
    c.create_run("lagging")
    fast = [(BASE + i * 30 * NS, i, 1.0) for i in range(40)]
    slow = [(BASE + i * 30 * NS, i - 3, 2.0) for i in range(3, 40)]  # behind, which is no resume
    again = [(BASE + (40 + i) * 30 * NS, 20 + i, 3.0) for i in range(30)]
    put(c, "lagging", "m", fast + again, rank="0")
    put(c, "lagging", "m", slow, rank="1")
    rows = c.query("lagging", "m", by="", x="step", agg="count,sum")["series"][0]["rows"]
    total = {}
    for t, step, value in [s for s in fast if s[1] < 20] + again + slow:
        total.setdefault(t // MS, []).append(value)
    equal([(r[2], r[3], r[4]) for r in rows], [(t, len(v), sum(v)) for t, v in sorted(total.items())], "merged rows")


# ---- points ----

def test_points_keep_every_spike():
    """Real curves: each row has the first, last, least and greatest of all its samples."""
    with harness.Server() as s:
        c = s.client()
        files = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "*", "*")))
        equal(cli("import", "mllog", *files, "--server", s.url, env={"ASTRAML_TOKEN": s.token}).returncode, 0, "import")
        n = 0
        for run in c.get("/runs", limit=100).json()["runs"]:
            path = next(f for f in files if os.path.basename(f).startswith(run["id"]))
            curves = {}
            with gzip.open(path) as f:
                for metric, t, step, value in mllog_oracle.samples(f.read())[0]:
                    curves.setdefault(metric, []).append((t, step, value))
            for metric, samples in curves.items():
                for points in (1, 2, 3, 10, 50, 1000):
                    answer = c.get("/query", run=run["id"], metric=metric, points=points).json()
                    equal(answer["series"][0]["columns"],
                          ["time_ms", "count", "min", "max", "mean", "first", "last"], "columns of a chart")
                    width = answer["every_ms"] * MS
                    want = {t: {k: w[k] for k in ("count", "min", "max", "mean", "first", "last")}
                            for t, w in windows_of(samples, width).items()}
                    compare(answer["series"][0], want, f"{run['id']} {metric} points={points}")
                    check(len(answer["series"][0]["rows"]) <= points, run["id"], metric, points)
                    n += 1
        check(n > 500, "only", n, "curves were looked at")


def test_points_stay_while_a_run_goes_on():
    c = client()
    c.create_run("growing", state="running")
    samples, before, widths = [], None, []
    for i in range(150):
        more = [(BASE + i * WINDOW + j * 7 * NS, i, (i * 37 + j) % 101 * 0.25) for j in range(4)]
        put(c, "growing", "m", more)
        samples += more
        answer = c.query("growing", "m", points=20, agg="count,min,max,first,last,sum")
        rows = answer["series"][0]["rows"]
        check(len(rows) <= 20 and (len(rows) >= 10 or answer["every_ms"] == 30000), i, len(rows))
        if before is not None and before["every_ms"] == answer["every_ms"]:
            old = before["series"][0]["rows"]
            equal(rows[:len(old) - 1], old[:-1], "closed windows do not change")
        elif before is not None:
            equal(answer["every_ms"], 2 * before["every_ms"], "two become one")
        widths.append(answer["every_ms"])
        before = answer
    equal(sorted(set(widths)), [30000, 60000, 120000, 240000], "widths")
    want = {t: {k: w[k] for k in ("count", "min", "max", "first", "last", "sum")}
            for t, w in windows_of(samples, before["every_ms"] * MS).items()}
    compare(before["series"][0], want, "the last answer")


# ---- forms ----

def of_csv(body):
    """run, metric, labels -> rows as JSON has them."""
    text = body.decode()
    check(text.endswith("\r\n") and "\n" not in text.replace("\r\n", ""), "lines end in CRLF")
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    equal(lines[0][:3], ["run_id", "metric", "labels"], "the first columns")
    series = {}
    for line in lines[1:]:
        equal(len(line), len(lines[0]), "fields of a line")
        series.setdefault((line[0], line[1], line[2]), []).append(line[3:])
    return lines[0][3:], {(run, metric, json.dumps(json.loads(labels), sort_keys=True)): rows
                          for (run, metric, labels), rows in series.items()}


def csv_cell(value):
    """What CSV shows of a JSON value that was parsed with numbers as they are written."""
    return "" if value is None else value


def of_proto(message, columns):
    """The rows as JSON has them."""
    series, order = {}, []
    for s in message.series:
        key = (s.run_id, s.metric, json.dumps({l.key: l.value for l in s.labels}, sort_keys=True))
        equal(key in series, s.continues, "continues")
        if key not in series:
            order.append(key)
        lists, total = [], 0
        starts = []
        for d in s.time_ms:
            total += d
            starts.append(total)
        for name in columns:
            field = {"first_time": "first_time_ns", "last_time": "last_time_ns", "bad_time": "bad_time_ns",
                     "time": "time_ns"}.get(name, name)
            values = starts if name == "time_ms" else list(getattr(s, field))
            equal(len(values), len(starts if "time_ms" in columns else s.step), f"length of {name}")
            if field.endswith("_ns"):
                values = [None if v == -2**63 else rfc3339(v) for v in values]
            elif "step" in field:
                values = [None if v == -2**63 else v for v in values]
            elif field in ("min", "max", "mean"):
                values = [None if v != v else v for v in values]
            elif field in ("first", "last", "sum", "value"):
                values = [v if math.isfinite(v) else "NaN" if v != v else "Infinity" if v > 0 else "-Infinity"
                          for v in values]
            lists.append(values)
        series.setdefault(key, []).extend(map(list, zip(*lists)))
    return order, series


def same_rows(got, want, what):
    equal(len(got), len(want), f"{what}: rows")
    for a, b in zip(got, want):
        for x, y in zip(a, b):
            check(same(float(x) if isinstance(y, float) and not isinstance(x, str) else x, y), what, a, b)


def check_forms(c, parameters):
    what = str(parameters)
    answer = ask(c, JSON, parameters)
    equal(answer.status, 200, f"{what}: {answer}")
    tree = answer.json()
    as_written = json.loads(answer.body, parse_int=str, parse_float=str)
    key = lambda s: (s["run_id"], s["metric"], json.dumps(s["labels"], sort_keys=True))

    table = ask(c, CSV, parameters)
    equal((table.status, table.headers.get_content_type()), (200, CSV), what)
    equal((table.headers["Astraml-Tier"], int(table.headers["Astraml-Every-Ms"])), (tree["tier"], tree["every_ms"]), what)
    check(table.headers["Astraml-Complete-Until"], "how far it is complete")
    columns, lines = of_csv(table.body)
    equal(lines, {key(s): [[csv_cell(v) for v in row] for row in s["rows"]] for s in as_written["series"] if s["rows"]},
          f"CSV of {what}")

    packed = ask(c, PROTOBUF, parameters)
    equal((packed.status, packed.headers["Content-Type"]), (200, PROTOBUF), what)
    message = query_pb2.QueryResponse()
    message.ParseFromString(packed.body)
    if tree["series"]:
        equal(columns, tree["series"][0]["columns"], what)
    order, series = of_proto(message, columns)
    equal(order, [key(s) for s in tree["series"]], f"series of {what}")
    for s in tree["series"]:
        same_rows(series[key(s)], s["rows"], what)
    raw = tree["tier"] == "raw"
    equal((message.every_ns, message.partial), (1 if raw else tree["every_ms"] * MS, tree["partial"]), what)
    tier_s = {"raw": 0, "30s": 30, "5m": 300, "1h": 3600, "1d": 86400}[tree["tier"]]
    equal((message.tier_ns, message.complete_until_ns % (30 * NS)), (tier_s * NS, 0), what)
    check(raw or message.every_ns % message.tier_ns == 0, f"windows of {what} are whole windows of the tier")
    equal(raw, any(p in parameters for p in (("samples", "true"), ("x", "step"))) and (("by", "rank") not in parameters or ("points", 7) in parameters), what)


def test_forms_agree():
    c = client()
    c.create_run("forms")
    c.create_run("forms2")
    rng = random.Random(3)
    for run in ("forms", "forms2"):
        put(c, run, 'quo"ted, and\u00e4', random_samples(rng, 200), rank="0", host='a,b;"c"')
        put(c, run, "m", random_samples(rng, 200), rank="0")
        put(c, run, "m", random_samples(rng, 200), rank="1")
        put(c, run, "long", [(BASE + i * WINDOW, i, i / 7) for i in range(-6000, 100)])  # several pieces
    for more in ([], [("x", "step")], [("by", "")], [("by", "rank"), ("x", "step")], [("points", 7)],
                 [("points", 7), ("x", "step")], [("by", "rank"), ("x", "step"), ("points", 7)],
                 [("metric", "none")], [("start", BASE // MS + 1), ("end", BASE // MS + 90000)]):
        metric = [] if ("metric", "none") in more else [("metric", "*")]
        check_forms(c, [("run", "forms"), ("run", "forms2"), *metric, ("agg", AGGS), *more])
    for more in ([], [("x", "step")], [("step_start", 7), ("end", BASE // MS)]):
        check_forms(c, [("run", "forms"), ("run", "forms2"), ("samples", "true"), *more])
    check_forms(c, [("run", "forms"), ("agg", "count")])


def test_accept_chooses():
    c = client()
    c.create_run("accept")
    put(c, "accept", "m", [(BASE, 1, 1.0)])
    for accept, want in (("", JSON), ("*/*", JSON), ("text/csv", CSV), ("TEXT/CSV; charset=utf-8", CSV),
                         ("text/*", CSV), ("application/*", JSON), ("application/x-protobuf", PROTOBUF),
                         ("application/json;q=0.1, text/csv;q=0.2", CSV), ("text/csv;q=0, */*", JSON),
                         ("application/json;q=0,application/*;q=0.3,text/csv;q=0.2", PROTOBUF),
                         ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
                         ("text/csv ; q=1.000 , application/json ; q=0.999", CSV), (",,text/csv", CSV),
                         ("image/png", None), ("text/csv;q=0", None), ("text/csvx", None), ("*/*;q=0", None)):
        answer = c.request("GET", c.path("/query?run=accept"), headers={"Accept": accept})
        if want is None:
            equal((answer.status, answer.error()["field"]), (422, "Accept"), accept)
            check("text/csv" in answer.error()["message"], answer)
        else:
            equal((answer.status, answer.headers.get_content_type()), (200, want), accept)
    for path in ("/runs", "/runs/accept/metrics", "/runs/accept/logs", "/runs/accept/logs/histogram"):
        equal(c.request("GET", c.path(path), headers={"Accept": "text/csv"}).error()["field"], "Accept", path)
        equal(c.request("GET", c.path(path), headers={"Accept": "text/csv, */*;q=0.1"}).status, 200, path)


# ---- broken off ----

def wait_for_blocks(c):
    """Until all samples are in blocks, and none in memory."""
    def number(name):
        lines = c.request("GET", "/metrics").body.decode().splitlines()
        return int(next(line for line in lines if line.startswith(name + " ")).split()[1])
    harness.wait_for(lambda: number("astraml_open_buckets") == 0 and number("astraml_journal_batches") == 0, "a flush")


def test_a_damaged_block_is_told():
    with harness.Server(arguments=("--grace", "1s", "--flush-every", "1s")) as s:
        c = s.client()
        c.create_run("damaged")
        value = 1.2345678901234567e77
        put(c, "damaged", "m", [(BASE + i * WINDOW, i, value if i == -1500 else i / 7) for i in range(-3000, 0)])
        put(c, "damaged", "well", [(BASE, 0, 1.0)])
        wait_for_blocks(c)
        s.stop()
        path = os.path.join(s.data, "hot", "data.mdb")
        with open(path, "r+b") as f:
            data, needle = f.read(), struct.pack("<d", value)
            at, n = data.find(needle), 0
            while at >= 0:
                f.seek(at)
                f.write(b"\xff")
                at, n = data.find(needle, at + 1), n + 1
        check(n > 0, "the block is not found")
        s.start()
        c = s.client()
        run = [("run", "damaged"), ("metric", "m"), ("agg", AGGS)]
        tree = ask(c, JSON, run).json()
        rows = tree["series"][0]["rows"]
        equal(tree["partial"], True, "partial")
        check(1000 < len(rows) < 3000, "rows that are left:", len(rows))
        left = {row[0] for row in rows}
        compare(tree["series"][0], {t: w for t, w in windows_of(
            [(BASE + i * WINDOW, i, i / 7) for i in range(-3000, 0)], WINDOW).items() if t in left}, "the rest")
        message = query_pb2.QueryResponse()
        message.ParseFromString(ask(c, PROTOBUF, run).body)
        equal((message.partial, sum(len(x.time_ms) for x in message.series)), (True, len(rows)), "protobuf")
        small = ask(c, CSV, [*run, ("every", "1d")])
        equal((small.status, small.error()["field"]), (500, "Accept"), "a short CSV")
        check("application/json" in small.error()["message"], small)
        try:
            long = ask(c, CSV, run)
            raise AssertionError(f"a long CSV is not broken off: {long.status}, {len(long.body)} bytes")
        except http.client.IncompleteRead as e:
            check(len(e.partial) > 65536, len(e.partial))
        # once the block is in quarantine, what may be missing is known by run and time
        answer = ask(s.client(), JSON, [("run", "damaged"), ("metric", "well"), ("start", BASE // MS)])
        equal((answer.status, answer.json()["partial"]), (200, False), "another series, another time")


def test_too_many_rows_are_refused_in_every_form():
    with harness.Server(arguments=("--max-rows", "1000")) as s:
        c = s.client()
        c.create_run("many")
        for rank in range(3):
            put(c, "many", "m", [(BASE - i * WINDOW, i, float(i)) for i in range(500)], rank=str(rank))
        for accept in (JSON, CSV, PROTOBUF):
            answer = ask(c, accept, [("run", "many")])
            equal((answer.status, answer.error()["field"]), (422, "every"), accept)
            check("1000 rows" in answer.error()["message"], answer)
            for more in (("by", ""), ("every", "1m"), ("points", "100"), ("label.rank", "1"), ("step_end", "300")):
                equal(ask(c, accept, [("run", "many"), more]).status, 200, more)


def test_work_ends_when_a_reader_of_rows_goes():
    c = client()
    c.create_run("wide")
    for i in range(4):
        put(c, "wide", f"m{i}", [(BASE - j * WINDOW, j, j / 7) for j in range(60000)])
    host, port = harness.parse_url(server().url)
    for accept in (JSON, CSV, PROTOBUF) * 3:
        connection = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        connection.request("GET", f"/v2/projects/default/query?run=wide&agg={AGGS}",
                           headers={"Authorization": f"Bearer {server().token}", "Accept": accept})
        check(connection.getresponse().read(1000), "the beginning of the answer")
        connection.close()
    start = time.monotonic()
    equal(c.get("/runs/wide").status, 200, "threads are free again")
    check(time.monotonic() - start < 10, "the threads were held until their writes timed out")


# ---- histogram ----

def histogram(c, run, **parameters):
    answer = c.get(f"/runs/{run}/logs/histogram", **parameters)
    equal(answer.status, 200, f"{parameters}: {answer}")
    tree = answer.json()
    equal((tree["levels"], tree["partial"]), (LEVELS, False), parameters)
    return tree


def time_of(record):
    whole, _, fraction = record["time"][:-1].partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * NS + int(fraction.ljust(9, "0") or 0)


def counts_of(records, width):
    rows = {}
    for r in records:
        row = rows.setdefault(time_of(r) // width * width // MS, [0] * 7)
        row[LEVELS.index(r["level"] or "")] += 1
    return [[t, *rows[t]] for t in sorted(rows)]


def test_histogram_counts_what_logs_gives():
    c = client()
    c.create_run("counted")
    rng = random.Random(11)
    for i in range(12):  # some blocks of one level in one window, some mixed; some late
        batch = Batch()
        for j in range(rng.choice((1, 50, 3000))):
            t = BASE + i * 100 * NS + (rng.randrange(-4000 * NS, 90 * NS) if i % 3 == 0 else j * MS)
            level = "INFO" if i % 2 else rng.choice(("LEVEL_UNSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
            batch.log(f"line {j} of {i}\n", t, level=level, stream=rng.choice(("stdout", "stderr")), rank=rng.choice((None, 0, 1)))
        c.ingest("counted", batch)
    everything = c.logs("counted")
    for filters in ({}, {"level": "warn"}, {"stream": "stderr"}, {"rank": 1}, {"grep": "line 4"}, {"regex": "[13] of"},
                    {"start": (BASE - 50 * NS) // MS, "end": (BASE + 333 * NS) // MS},
                    {"start": BASE // MS, "level": "debug", "rank": 0}, {"end": 1000}):
        records = c.logs("counted", **filters)
        for every, width in (("1s", NS), ("30s", WINDOW), ("7m", 14 * WINDOW), ("1d", 86400 * NS)):
            got = histogram(c, "counted", every=every, **filters)
            equal(got["rows"], counts_of(records, width), f"{filters} every {every}")
            equal((got["every_ms"], got["records"], got["last_seq"]), (width // MS, len(records), everything[-1]["seq"]), filters)
        for points in (1, 2, 10, 100):
            got = histogram(c, "counted", points=points, **filters)
            check(len(got["rows"]) <= points, points, len(got["rows"]))
            equal(got["rows"], counts_of(records, got["every_ms"] * MS), f"{filters} points {points}")
    equal(histogram(c, "counted")["every_ms"], 30000, "the run's own width")
    for parameters, field in (({"every": "1s", "points": 3}, "points"), ({"every": "x"}, "every"), ({"limit": 3}, "limit"),
                              ({"level": "loud"}, "level"), ({"start": 5, "end": 4}, "start")):
        answer = c.get("/runs/counted/logs/histogram", **parameters)
        equal((answer.status, answer.error()["field"]), (422, field), parameters)
    equal(c.get("/runs/nobody/logs/histogram").status, 404, "no such run")
    c.create_run("silent")
    equal(histogram(c, "silent", points=5)["rows"], [], "no log")


def test_histogram_of_many_windows():
    c = client()
    c.create_run("blocks")  # more blocks than one slice passes over; each is a record
    for i in range(50):
        batch = Batch()
        for j in range(14):
            batch.log("x" * 50_000 + "\n", BASE + (i * 14 + j) * NS, level="INFO" if j else "WARN")
        c.ingest("blocks", batch)
    got = histogram(c, "blocks", every="1d")
    equal(([sum(r[i] for r in got["rows"]) for i in range(1, 8)], got["records"]), ([0, 0, 0, 650, 50, 0, 0], 700), "blocks")
    equal(histogram(c, "blocks", points=700)["records"], 700, "at most 700 points")
    equal(len(histogram(c, "blocks", points=700)["rows"]), 700, "700 points")
    c.create_run("scattered")
    for i in range(0, 101_000, 10_000):
        batch = Batch()
        for j in range(i, min(i + 10_000, 101_000)):
            batch.log("x\n", (j + 1) * 3600 * NS, level="INFO")
        c.ingest("scattered", batch)
    answer = c.get("/runs/scattered/logs/histogram", every="1s")
    equal((answer.status, answer.error()["field"]), (422, "every"), "too many rows")
    equal(histogram(c, "scattered", every="2h")["records"], 101_000, "wider")
    equal(len(histogram(c, "scattered", every="1h", end=360_000_000)["rows"]), 99, "shorter")


if __name__ == "__main__":
    harness.main(globals())
