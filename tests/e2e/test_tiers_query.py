"""Queries over tiers of different age: months of samples, as a server saw them come in by and by, of
which only hours are kept at first, then five minutes, then what was recorded.  Every answer is compared with
exact arithmetic over all samples, in one width that the answer tells."""
import itertools
import json
import math
import os
import random
import shutil
import time

import harness
from harness import NS, Batch, check, cli, equal
from test_query import AGGS, compare, windows_of
from test_query_forms import check_forms, check_steps

DAY = 86400 * NS
FIRST = 82 * 256 * DAY  # where slots of every tier begin: 2027-06-23
DAYS, STRETCH = 140, 14
SERIES = (("loss", "0"), ("loss", "1"), ("acc", None))
TIERS = {"30s": 30, "5m": 300, "1h": 3600, "1d": 86400}
# days of which is kept: at least this width
HOURS, MINUTES, RECORDED = (0, 32), (32, 120), (126, 140)
EVERY = {None: 0, "30s": 30, "2m": 120, "5m": 300, "7m": 420, "10m": 600, "1h": 3600, "90m": 5400, "1d": 86400,
         "7d": 604800}

state = {}


def clock_at(days):
    return harness.Clock((FIRST + days * DAY - time.time_ns()) / NS)


def ok(*arguments, **options):
    r = cli(*arguments, **options)
    equal(r.returncode, 0, f"{arguments}: {r.stdout[-500:]} {r.stderr}")
    return r.stdout


def samples_of_stretch(rng, first_day):
    """time, step, value of each series; steps rise with time, some values are not finite."""
    odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, 0.1]
    stretch = {}
    for series in SERIES:
        times = sorted(FIRST + first_day * DAY + rng.randrange(STRETCH * DAY) for _ in range(30 * STRETCH))
        stretch[series] = [(t, first_day * 1000 + i, rng.choice(odd) if rng.random() < 0.1 else rng.gauss(0, 10))
                        for i, t in enumerate(times)]
    return stretch


def put(c, samples):
    batch = Batch()
    for (metric, rank), list_ in samples.items():
        ref = batch.series(metric, {"rank": rank} if rank else None)
        for t, step, value in list_:
            batch.sample(ref, t, value, step=step)
    c.ingest("r", batch)


def aged():
    """A directory of its own with all that, and a clock at its end; samples are in state."""
    if "data" not in state:
        rng, clock, data = random.Random(5), clock_at(0), os.path.join(harness.scratch(until=harness.after_all), "data")
        state["samples"] = {series: [] for series in SERIES}
        for day in range(0, DAYS, STRETCH):
            clock.move(STRETCH * 86400)
            stretch = samples_of_stretch(rng, day)
            with harness.Server(data=data, env=clock.environment, arguments=("--compact-every", "60m")) as s:
                if day == 0:
                    s.client().create_run("r")
                put(s.client(), stretch)
            ok("compact", "--data", data, env=clock.environment)
            for series, list_ in stretch.items():
                state["samples"][series] += list_
        state["data"] = data
    copy = os.path.join(harness.scratch(), "data")
    shutil.copytree(state["data"], copy)
    return copy, clock_at(DAYS)


def serve(data, clock):
    return harness.Server(data=data, env=clock.environment, arguments=("--compact-every", "60m"))


def within(samples, days, width):
    """The samples of windows of that width which start in these days."""
    start, end = FIRST + days[0] * DAY, FIRST + days[1] * DAY
    return [s for s in samples if start <= s[0] // width * width < end]


def ask(c, days=None, **parameters):
    if days:
        parameters.update(start=int(FIRST + days[0] * DAY) // 1_000_000, end=int(FIRST + days[1] * DAY) // 1_000_000)
    answer = c.get("/query", run="r", agg=AGGS, **parameters)
    equal(answer.status, 200, answer)
    check_some(c, answer.json(), run="r", **parameters)
    return answer.json()


# With no others than these, windows in parts are read as columns, and no buckets are made of them.
SOME = itertools.cycle(("max", "last,count", "mean", "sum,first", "min,max", "count", "count,min,max,mean,first,last"))


def check_some(c, answer, **parameters):
    """Some aggregates, asked by themselves, are what they are in the answer that has all."""
    some = c.get("/query", agg=next(SOME), **parameters).json()
    for all_of_it, series in zip(answer["series"], some["series"]):
        at = [all_of_it["columns"].index(name) for name in series["columns"]]
        want = [[row[i] for i in at] for row in all_of_it["rows"]]
        equal(json.dumps(series.pop("rows")), json.dumps(want), f"{parameters}: {series}")
    equal([len(some["series"]), some["every_ms"], some["tier"], some["partial"]],
          [len(answer["series"]), answer["every_ms"], answer["tier"], answer["partial"]], f"{parameters}")


def check_series(answer, samples, days, what):
    """All series of an answer against the samples, in the width that it tells."""
    width = answer["every_ms"] * 1_000_000
    for series in answer["series"]:
        key = series["metric"], series["labels"].get("rank")
        compare(series, windows_of(within(samples[key], days, width), width), f"{what}: {key}")
    equal(answer["partial"], False, what)


def test_one_width_that_is_kept_of_all():
    data, clock = aged()
    cases = ((RECORDED, 30), (MINUTES, 300), (HOURS, 3600), ((60, 140), 300), ((125, 127), 300), ((20, 50), 3600),
             ((31, 33), 3600), ((0, 140), 3600), ((138.5, 139.25), 30))
    with serve(data, clock) as s:
        c = s.client()
        for days, finest in cases:
            for i, (every, seconds) in enumerate(EVERY.items()):
                metric, rank = SERIES[i % len(SERIES)]
                labels = {"label.rank": rank} if rank else {}
                answer = ask(c, days, metric=metric, **labels, **({"every": every} if every else {}))
                width = max(-(-seconds // finest) * finest, finest)
                tier = max((s, name) for name, s in TIERS.items() if width % s == 0 and s % finest == 0)[1]
                what = f"days {days} every {every}"
                equal((answer["every_ms"], answer["tier"]), (width * 1000, tier), what)
                equal(len(answer["series"]), 1, what)
                check_series(answer, state["samples"], days, what)
        answer = ask(c)
        equal((answer["tier"], answer["every_ms"], len(answer["series"])), ("1h", 3_600_000, 3), "the whole life")
        check_series(answer, state["samples"], (0, DAYS), "the whole life")


def test_points_miss_nothing():
    data, clock = aged()
    with serve(data, clock) as s:
        c = s.client()
        for days in (None, RECORDED, MINUTES, (100, 140), (0, 140)):
            for points in (1, 10, 100, 1000):
                answer = ask(c, days, points=points)
                most = max(len(series["rows"]) for series in answer["series"])
                check(most <= max(points, 2), days, points, "gave", most)
                check_series(answer, state["samples"], days or (0, DAYS), f"points {points} of {days}")
        equal(ask(c, RECORDED, points=10)["tier"], "1h", "336 hours for 10 points")
        equal(ask(c, (138, 140), points=100)["tier"], "30s", "576 times 5 min are too few for 100 points")


def test_forms_labels_and_steps():
    data, clock = aged()
    with serve(data, clock) as s:
        c = s.client()
        for days in (RECORDED, (100, 140), (0, 140)):
            span = [("start", (FIRST + days[0] * DAY) // 1_000_000), ("end", (FIRST + days[1] * DAY) // 1_000_000)]
            check_forms(c, [("run", "r"), ("metric", "*"), ("agg", AGGS), *span])
            check_forms(c, [("run", "r"), ("metric", "lo*"), ("agg", AGGS), ("by", ""), ("every", "1h"), *span])
            merged = ask(c, days, metric="loss", by="", every="1h")
            both = state["samples"]["loss", "0"] + state["samples"]["loss", "1"]
            width = 3600 * NS
            equal(len(merged["series"]), 1, "by=")
            compare(merged["series"][0], windows_of(within(both, days, width), width), f"by= of {days}")
            for every in ("30s", "1d"):
                answer = ask(c, days, metric="acc", x="step", every=every)
                width = answer["every_ms"] * 1_000_000
                check_steps(answer["series"][0], within(state["samples"]["acc", None], days, width), width, f"steps of {days}")
        some = c.query("r", "acc", x="step", points=20, step_start=1000, step_end=20000, agg="count")
        check(10 <= len(some["series"][0]["rows"]) <= 20, "points of steps:", len(some["series"][0]["rows"]))


def test_windows_wider_than_a_tier():
    """A policy may come after runs whose windows do not fill those of its tiers."""
    clock = clock_at(3)
    rng, data = random.Random(7), os.path.join(harness.scratch(), "data")
    samples = {("m", str(window)): [(FIRST + rng.randrange(2 * DAY), None, rng.gauss(0, 1)) for _ in range(3000)]
               for window in (20, 300, 86400)}
    with serve(data, clock) as s:
        c = s.client()
        for (metric, window), list_ in samples.items():
            c.create_run("r" + window, metrics={"window": f"{window}s"}, imported=window == "86400")
            batch = Batch()
            ref = batch.series(metric)
            for t, step, value in list_:
                batch.sample(ref, t, value)
            c.ingest("r" + window, batch)
        body = json.dumps({"tiers": [{"every": "20s", "keep": "1d"}, {"every": "2m", "keep": "9d"}, {"every": "8m", "keep": "forever"}],
                           "window": "20s"})
        equal(c.request("PUT", c.path("/policy"), body).status, 200, "PUT policy")
    for days, widths in ((0, (20, 300, 86400)), (2, (120, 300, 86400)), (20, (480, 2400, 86400))):
        clock.move(days * 86400)
        ok("compact", "--data", data, env=clock.environment)
        with serve(data, clock) as s:
            for ((metric, window), list_), least in zip(samples.items(), widths):
                for every in (None, "20s", "5m", "10m", "1h"):
                    asked = {"every": every} if every else {}
                    answer = s.client().query("r" + window, metric, agg=AGGS, **asked)
                    check_some(s.client(), answer, run="r" + window, metric=metric, **asked)
                    width = answer["every_ms"] * 1_000_000
                    what = f"after {days} days, windows of {window} s, every {every}"
                    if every is None:
                        check(answer["every_ms"] >= least * 1000, what, answer["every_ms"])
                    compare(answer["series"][0], windows_of(list_, width), what)


def totals_are(c, samples, what):
    for metric in c.metrics("r"):
        want = windows_of(samples[metric["name"], metric["labels"].get("rank")], 10**19)[0]
        for name in ("count", "nan", "pos_inf", "neg_inf", "min", "max", "mean", "first", "last", "first_time", "last_time"):
            equal(metric[name], want[name], f"{what}: {name} of {metric['name']}")
        equal(metric["last_step"], want["last_step"], what)


def test_late_data_is_seen_at_every_tier():
    data, clock = aged()
    samples = {series: list(list_) for series, list_ in state["samples"].items()}
    late = {}
    for series in SERIES:
        late[series] = [(FIRST + int(day * DAY), 9_000_000 + i, 1.5 * i) for i, day in enumerate((3.3, 3.4, 50.5, 139.5, 200 / 86400))]
        samples[series] += late[series]

    def look(c, what):
        for days in ((0, 10), (50, 51), (139, 140), (0, 140)):
            for every in ("30s", "5m", "1h", "1d"):
                check_series(ask(c, days, every=every), samples, days, f"{what}, days {days} every {every}")
        totals_are(c, samples, what)

    with serve(data, clock) as s:
        put(s.client(), late)
        look(s.client(), "in memory")
    with serve(data, clock) as s:
        look(s.client(), "from the journal")
    clock.move(3600)
    ok("compact", "--data", data, env=clock.environment)
    with serve(data, clock) as s:
        look(s.client(), "sealed")
    got = json.loads(ok("get", "r", "loss", "--json", "--every", "1h", "--data", data, env=clock.environment))
    equal((got["tier"], len(got["series"])), ("1h", 2), "from the directory")


def usage(c):
    return {(row["kind"], row["tier"]): row for row in c.get("/usage").json()["stored"]}


def check_files(data, c):
    """Bytes of each tier are those of its files."""
    sizes = {}
    for name in os.listdir(os.path.join(data, "parts")):
        if not name.startswith("metrics-"):
            continue
        tier = name.split("-")[2].replace("recorded", "30s")
        n, bytes_ = sizes.get(tier, (0, 0))
        sizes[tier] = n + 1, bytes_ + os.path.getsize(os.path.join(data, "parts", name))
    got = {tier: (row["pieces"], row["bytes"]) for (kind, tier), row in usage(c).items() if kind == "metrics"}
    equal(got, sizes, "parts and bytes of each tier")
    return usage(c)


def windows(samples, days, seconds):
    return sum(len({s[0] // (seconds * NS) for s in list_ if days[0] * DAY <= s[0] - FIRST < days[1] * DAY})
               for list_ in samples.values())


def test_what_is_left_after_years():
    data, clock = aged()
    with serve(data, clock) as s:
        before = check_files(data, s.client())
        for tier, keep in (("30s", "14d"), ("5m", "90d"), ("1h", "2y")):
            equal(before["metrics", tier]["keep"], keep, tier)
        equal(before["metrics", "1h"]["records"], windows(state["samples"], (0, 128), 3600), "hours")
        check(windows(state["samples"], RECORDED, 30) <= before["metrics", "30s"]["records"] <
              windows(state["samples"], (112, 140), 30), "recorded windows", before["metrics", "30s"])
    clock.move(3 * 365 * 86400)
    ok("compact", "--data", data, env=clock.environment)
    with serve(data, clock) as s:
        c = s.client()
        left = check_files(data, c)
        equal([tier for kind, tier in left if kind == "metrics"], ["1d"], "tiers that are left")
        equal(left["metrics", "1d"]["records"], windows(state["samples"], (0, 140), 86400), "days")
        for every in (None, "30s", "1h", "1d", "36h", "7d"):
            answer = ask(c, **({"every": every} if every else {}))
            equal(answer["tier"], "1d", every)
            check_series(answer, state["samples"], (-7, DAYS), f"every {every}")
        totals_are(c, state["samples"], "after years")
        body = json.dumps({"tiers": [{"every": "30s", "keep": "1d"}, {"every": "1d", "keep": "2d"}]})
        equal(c.request("PUT", c.path("/policy"), body).status, 200, "PUT policy")
    ok("compact", "--data", data, env=clock.environment)
    with serve(data, clock) as s:
        c = s.client()
        left = check_files(data, c)
        equal([tier for kind, tier in left if kind == "metrics"], ["whole"], "only totals are left")
        equal(left["metrics", "whole"]["records"], len(SERIES), "one for each series")
        totals_are(c, state["samples"], "totals alone")
        equal([series["rows"] for series in ask(c)["series"]], [[]] * 3, "no window is left")


def test_an_export_imports_to_the_same_answers():
    data, clock = aged()
    files = {}
    for name, move, width in (("hours", 0, "1h"), ("days", 3 * 365, "1d")):
        clock.move(move * 86400)
        ok("compact", "--data", data, env=clock.environment)
        for form in ("jsonl", "csv"):
            files[name, form, width] = ok("export", "r", "--format", form, "--data", data, env=clock.environment)
        other = os.path.join(harness.scratch(), "data")
        for form in ("jsonl", "csv"):
            path = os.path.join(harness.scratch(), f"{'r' if form == 'jsonl' else 'c'}.{form}")
            with open(path, "wb") as f:
                f.write(files[name, form, width])
            ok("import", form, "--data", other, path, env=clock.environment)
        with harness.Server(data=other, env=clock.environment) as s:
            c = s.client()
            for run in ("r", "c"):
                equal(c.get(f"/runs/{run}").json()["window"], width, f"{name}: window of {run}")
                for every in (None, "1h", "1d", "7d"):
                    answer = c.get("/query", run=run, agg=AGGS, **({"every": every} if every else {})).json()
                    check_series(answer, state["samples"], (-7, DAYS), f"{name} as {run} every {every}")
        again = ok("export", "r", "--data", other, env=clock.environment).split(b"\n")
        equal(again[1:], files[name, "jsonl", width].split(b"\n")[1:], "the export of the import")


def test_a_part_that_is_lost_is_told():
    data, clock = aged()
    lost = [n for n in os.listdir(os.path.join(data, "parts")) if n.startswith("metrics-1-1h-20270623")]
    equal(len(lost), 1, lost)
    os.unlink(os.path.join(data, "parts", lost[0]))
    with serve(data, clock) as s:
        c = s.client()
        equal([ask(c, days, every="1h")["partial"] for days in (HOURS, (0, 140), RECORDED)], [True, True, False], "partial")


def test_columns_add_up_to_the_parts():
    data, clock = aged()
    numbers = {"last", "first", "min", "max", "sum", "rest of sum"}
    scales = {"decimal", "fraction", "printed", "binary", "float32", "double"}
    with serve(data, clock) as s:
        c = s.client()
        told = c.get("/usage", columns="true").json()
        for tier in ("30s", "5m", "1h"):
            rows = [row for row in told["columns"] if row["tier"] == tier]
            of_tier = next(row for row in told["stored"] if (row["kind"], row["tier"]) == ("metrics", tier))
            total = sum(row["bytes"] for row in rows)
            check(abs(total - of_tier["bytes"]) <= len(rows), tier, "columns take", total, "parts", of_tier["bytes"])
            equal([row["bytes"] for row in rows], sorted((row["bytes"] for row in rows), reverse=True), "order")
            items = lambda name: sum(row["items"] for row in rows if row["column"] == name)
            equal((items("start"), items("last"), items("count")), (of_tier["records"],) * 3, f"{tier}: one for each window")
            check({row["codec"] for row in rows if row["column"] in numbers} <= scales | {"none"}, "codecs of numbers:", rows)
            check(max(rows, key=lambda row: row["bytes"])["codec"] == "double", "random doubles take most:", rows[:3])
            odd = {series: [s for s in list_ if not math.isfinite(s[2])] for series, list_ in state["samples"].items()}
            if tier == "1h":
                equal(items("nan"), windows(odd, (0, 128), 3600), "windows with what is not finite")
        equal("columns" in c.get("/usage").json(), False, "only when asked for")
        equal(c.get("/usage", columns="maybe").status, 422, "neither true nor false")
    text = ok("stats", "--columns", "--data", data, env=clock.environment).decode()
    check(all(len(line) <= 80 for line in text.splitlines()), "80 columns:", text)
    share = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("1h ")]
    check(len(share) > 5 and 990 < sum(share) < 1010, "shares of 1h:", share)


def test_stats_show_what_usage_says():
    data, clock = aged()
    with serve(data, clock) as s:
        c = s.client()
        b = Batch()
        for i in range(10):
            b.log(f"line {i}\n", clock.now_ns())
        c.ingest("r", b)
        told = c.get("/usage").json()
        equal(told["project"], {"name": "default", "runs": 1, "deleted_runs": 0, "series": 3}, "cardinality")
        rows = {(row["kind"], row["tier"]): row for row in told["stored"]}
        equal((rows["logs", "young"]["records"], rows["logs", "sealed"]["records"]), (10, 0), "log records")
        s.client(project="other").create_run("r")
        other = s.client(project="other").get("/usage").json()
        equal((other["project"]["runs"], other["project"]["series"]), (1, 0), "another project")
        equal([row["bytes"] for row in other["stored"]], [0, 0, 0, 0], "another project has only empty rows")
        raw = [os.path.getsize(os.path.join(data, "parts", n)) for n in os.listdir(os.path.join(data, "parts"))
               if n.startswith("raw-")]
        young = sum(len(within(list_, (DAYS - STRETCH, DAYS), 1)) for list_ in state["samples"].values())
        row = rows["samples", "raw"]
        equal((row["pieces"], row["bytes"], row["records"], row["keep"]), (len(raw), sum(raw), young, "7d"), "samples")
        text = ok("stats", "--data", data, env=clock.environment).decode()
        check(all(len(line) <= 80 for line in text.splitlines()), "80 columns:", text)
        for row in told["stored"]:
            line = next(l for l in text.splitlines() if l.startswith(f"{row['kind']} {row['tier']} "))
            each = "-" if row["bytes_per_record"] is None else f"{row['bytes_per_record']:.2f}"
            equal([line.split()[2], *line.split()[-3:]], [row["keep"], str(row["records"]), each, str(row["pieces"])], line)
        check("default: 1 runs, 3 series" in text and "WHOLE STORE" in text, text)
        equal(json.loads(ok("stats", "--json", "--data", data, env=clock.environment))["stored"], told["stored"], "--json")


if __name__ == "__main__":
    harness.main(globals())
