"""Exports import again to the same answers, bit for bit: every /query, /metrics and log of the run made of
an export is that of the run it was made from, and an export of it is the same bytes."""
import calendar
import glob
import gzip
import json
import math
import os
import random
import socket
import struct
import subprocess
import time

from harness import *
from astraml.v2 import query_pb2  # made by `make`

AGGREGATES = ("count,sum,min,max,mean,first,last,nan,pos_inf,neg_inf,first_time,last_time,first_step,last_step,"
              "step_min,step_max,bad_time,bad_step")
T0 = 1_700_000_010 * NS  # a multiple of 30 s
MINE = os.path.join(ROOT, "tests", "data", "mlperf_training")
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data", "mlperf_training")


def files_below(top):
    return sorted(p for p in glob.glob(os.path.join(top, "**", "*"), recursive=True) if os.path.isfile(p))


def run_verb(server, *arguments, status=0, stdin=b""):
    done = cli(*arguments, "--server", server.url, env={"ASTRAML_TOKEN": server.token}, stdin=stdin)
    equal(done.returncode, status, f"astraml {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done


def export(server, run, form="jsonl", samples=False):
    return run_verb(server, "export", run, "--format", form, *(() if samples else ("--windows",))).stdout


def import_bytes(server, run, form, data, name="export", status=0):
    path = os.path.join(scratch(), f"{name}.{form}")
    with open(path, "wb") as f:
        f.write(data)
    return run_verb(server, "import", form, path, "--run", run, status=status)


def answers(server, run, logs=True):
    """What a user can ask of a run, as bytes, without what names the run or the day."""
    client = server.client()
    metrics = client.get(f"/runs/{run}/metrics").body
    out = [metrics]
    for name in dict.fromkeys(m["name"] for m in json.loads(metrics)["metrics"]):
        for more in ({}, {"every": "5m"}, {"points": 7}):
            answer = client.get("/query", run=run, metric=name, agg=AGGREGATES, **more)
            equal(answer.status, 200, str(answer))
            body = answer.body.replace(json.dumps(run).encode(), b'"R"')
            out.append(re_complete(body))
    if logs:
        out.append(client.get(f"/runs/{run}/logs", limit=1_000_000).body)
        out.append(run_verb(server, "logs", run, "--raw").stdout)
    client.close()
    return out


def re_complete(body):
    before, _, after = body.partition(b'"complete_until":"')
    return before + after[after.index(b'"'):]


def same(got, want, what):
    equal(len(got), len(want), f"{what}: number of answers")
    for g, w in zip(got, want):
        if g != w:
            at = next((i for i, (x, y) in enumerate(zip(g, w)) if x != y), min(len(g), len(w)))
            raise AssertionError(f"{what}: {g[max(0, at - 200):at + 200]!r}\nwant {w[max(0, at - 200):at + 200]!r}")


def samples_of(server, run):
    """Every sample with every bit, without what names the run or the day."""
    client = server.client()
    answer = client.request("GET", client.path(f"/query?run={run}&metric=*&samples=true"), headers={"Accept": PROTOBUF})
    equal(answer.status, 200, str(answer))
    message = query_pb2.QueryResponse()
    message.ParseFromString(answer.body)
    client.close()
    return [(s.metric, str(s.labels), list(s.time_ns), list(s.step), struct.pack(f"<{len(s.value)}d", *s.value))
            for s in message.series if s.time_ns]


def round_trip(a, b, run, what):
    """From server a into b, by both formats, windows and samples; the export of the import is the export."""
    windows_round_trip(a, b, run, f"{run}-windows", False, what)
    windows_round_trip(a, b, f"{run}", f"{run}-samples", True, what)
    equal(samples_of(b, f"{run}-samples"), samples_of(a, run), f"{what}: samples")
    equal(samples_of(b, f"{run}-samples-csv"), samples_of(a, run), f"{what}: samples by csv")
    equal(samples_of(b, f"{run}-windows"), [], f"{what}: samples where windows were exported")


def windows_round_trip(a, b, run, to, samples, what):
    want, lines, table = answers(a, run), export(a, run, "jsonl", samples), export(a, run, "csv", samples)
    import_bytes(b, to, "jsonl", lines)
    same(answers(b, to), want, f"{what} by jsonl")
    again = export(b, to, "jsonl", samples).replace(json.dumps(to).encode(), json.dumps(run).encode())
    check(again == lines, what, ": the export of the import differs:",
          [x for x in zip(again.splitlines(), lines.splitlines()) if x[0] != x[1]][:1])
    import_bytes(b, f"{to}-csv", "csv", table)
    same(answers(b, f"{to}-csv", logs=False), answers(a, run, logs=False), f"{what} by csv")
    equal(export(b, f"{to}-csv", "csv", samples), table, f"{what}: the CSV of the import")


# ---- real files ----

def mlperf(files):
    with Server() as a, Server() as b:
        for i, path in enumerate(files):
            run = f"r{i}"
            run_verb(a, "import", "mllog", "--run", run, path)
            round_trip(a, b, run, path)
    return len(files)


def test_mlperf_samples():
    check(mlperf(files_below(MINE)) >= 4, "files in", MINE)


def test_mlperf_all():
    if not os.path.isdir(SHARED):
        raise Skip(f"{os.path.normpath(SHARED)} is not there")
    files = files_below(SHARED)
    mlperf(files[::6] if os.environ.get("ASTRAML_TEST_SHORT") else files)


# ---- every double ----

def double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def random_double(r):
    kind = r.randrange(9)
    if kind == 0:
        return double(r.getrandbits(64))  # also NaNs of any bits, and signalling ones
    if kind == 1:
        return double(0x7ff0000000000000 | r.getrandbits(1) << 63 | r.choice([0, 1, 1 << 51, (1 << 51) + 7]))
    if kind == 2:
        return r.choice([0.0, -0.0])
    if kind == 3:
        return double(r.getrandbits(52) | r.getrandbits(1) << 63)  # subnormal
    if kind == 4:
        return r.choice([1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 2.2250738585072014e-308])
    if kind == 5:
        return math.ldexp(r.random() - 0.5, r.randrange(-1000, 1000))
    return r.choice([0.1, 0.2, 0.3, 1e16, 1.0, -1e16, 1 / 3])


def finish(batch):
    batch.message.run.state = pb.FINISHED  # as every import ends
    return batch


def total_order(v):
    bits = struct.unpack("<q", struct.pack("<d", v))[0]
    return bits if bits >= 0 else bits ^ (1 << 63) - 1


def bits_text(v):
    bits = struct.unpack("<Q", struct.pack("<d", v))[0]
    return "NaN" if bits == 0x7ff8 << 48 else f"NaN:{bits:016x}" if v != v else \
        {math.inf: "Infinity", -math.inf: "-Infinity"}.get(v, bits)


def bits_of(value):
    return value if isinstance(value, str) else bits_text(float(value))


def moment(point):
    return t_ns(point["time"]), -math.inf if point["step"] is None else point["step"]


def check_windows(data, samples, window_ns):
    """Every field of every window, from the samples."""
    windows = {}
    for metric, t, value, step in samples:
        windows.setdefault((metric, t - t % window_ns), []).append((t, -math.inf if step is None else step, value))
    seen = 0
    for line in map(json.loads, data.splitlines()[1:-1]):
        b = line.get("bucket")
        if not b:
            continue
        seen += 1
        points = windows[line["metric"], t_ns(b["start"])]
        points.sort(key=lambda p: (p[0], p[1], total_order(p[2])))
        finite = sorted((p[2] for p in points if math.isfinite(p[2])), key=total_order)
        bad = [p for p in points if not math.isfinite(p[2])]
        steps = [p[1] for p in points if p[1] != -math.inf]
        equal(b["count"], len(finite), "count")
        equal([b["nan"], b["pos_inf"], b["neg_inf"]],
              [sum(p[2] != p[2] for p in bad), *(sum(p[2] == v for p in bad) for v in (math.inf, -math.inf))], "bad")
        if finite:
            equal([bits_of(b["min"]), bits_of(b["max"])], [bits_text(finite[0]), bits_text(finite[-1])], "min, max")
            got = b["sum"]
            equal(hex_1074(got) if isinstance(got, str) else sum(map(int_1074, got)), sum(map(int_1074, finite)), "sum")
        for key, p in (("first", points[0]), ("last", points[-1])):
            equal([*moment(b[key]), bits_of(b[key]["value"])], [p[0], p[1], bits_text(p[2])], key)
        equal([b["step_min"], b["step_max"]], [min(steps), max(steps)] if steps else [None, None], "steps")
        if bad:
            equal(moment(b["bad"]), bad[0][:2], "the first bad one")
    equal(seen, len(windows), "windows")


def hex_1074(text):
    return int(text[:-6].replace("0x", ""), 16)


def fill(client, run, r, n):
    """Samples of all kinds of values and steps, and log records of any bytes.  Returns the samples."""
    batch, samples = Batch(), []
    series = [batch.series(f"m{i}/l\u00f6ss, \"x\" \\", {"rank": str(i), "q\"": ", "} if i % 2 else None, "s" * (i % 3))
              for i in range(7)]
    batch.series("empty")
    batch.series("last")
    for _ in range(n):
        at = T0 + r.randrange(40) * 30 * NS * r.choice([1, 1, 200]) + r.choice([0, 30 * NS - 1, r.randrange(30 * NS)])
        step = r.choice([None, None, 0, -1, 5, 2**63 - 1, -2**63 + 1, r.randrange(-10, 1000)])
        if step is not None and abs(step) > 2**62:
            batch.last = None  # its difference to the one before would not fit
        m, value = r.choice(series), random_double(r)
        batch.sample(m, at, value, step)
        samples.append((batch.message.series[m].metric, at, value, step))
        if step is not None and abs(step) > 2**62:
            batch.last = None
    for i in range(n // 4):
        text = r.choice([b"", b"\n", b"a\r\n", b"\xff\x00\xfe", "\u2028 \U0001f600\n".encode(), b'"\\',
                         r.randbytes(30)])
        batch.log(text, T0 + r.randrange(10**12), level=r.choice(["LEVEL_UNSET", "TRACE", "INFO", "FATAL"]),
                  stream=r.choice(["", "stdout", "a b"]), rank=r.choice([None, 0, 2**31 - 1]),
                  attributes=r.choice([None, {"k": "", "\u00e4": "v"}]))
    batch.log(b"x" * (1 << 20) + b"\xffrest\n", T0)  # split, and marked
    client.ingest(run, finish(batch))
    return samples


def test_random_bits():
    r = random.Random(20251125)
    with Server() as a, Server() as b:
        client = a.client()
        for i in range(6):
            run, window = f"bits{i}", r.choice([30, 300, 1])
            client.create_run(run, metrics={"window": f"{window}s"},
                              hyperparams={"lr": 3e-5}, tags={"a": "b"}, note=[1.50, {"x": None}])
            samples = fill(client, run, r, r.choice([3, 40, 3000]))
            if i % 2:
                a.kill9()  # replayed from the journal, then exported
                a.start()
                client = a.client()
            check_windows(export(a, run), samples, window * NS)
            round_trip(a, b, run, run)


def test_wide_sums():
    """Three doubles and more, and sums that no double can say."""
    sums = [[1e300, 1.0, 1e-300], [1e300, 1e150, 1.0, 1e-150, 1e-300, 5e-324], [1.7976931348623157e308] * 3,
            [1e308, 1e300, 1e200, 1e100, 1.0, 1e-100, 1e-200, 1e-300], [0.1] * 10, [1.0, -1.0, 5e-324],
            [-1.7976931348623157e308] * 5 + [1e-320]]
    with Server() as a, Server() as b:
        client = a.client()
        client.create_run("wide")
        batch = Batch()
        for i, values in enumerate(sums):
            at = batch.series(f"s{i}")
            for k, v in enumerate(values):
                batch.sample(at, T0 + k, v)
        client.ingest("wide", finish(batch))
        buckets = [json.loads(line)["bucket"] for line in export(a, "wide").splitlines()[1:-1]]
        forms = ["hex" if isinstance(b["sum"], str) else len(b["sum"]) for b in buckets]
        equal(forms, [3, 6, "hex", "hex", 2, 1, "hex"], "forms")
        for values, bucket in zip(sums, buckets):
            exact = sum(int_1074(v) for v in values)
            got = bucket["sum"]
            equal(hex_1074(got) if isinstance(got, str) else sum(map(int_1074, got)), exact, f"the sum of {values}")
        round_trip(a, b, "wide", "wide")


def int_1074(v):
    n, d = v.as_integer_ratio()
    return n * ((1 << 1074) // d)


# ---- the two forms of a request, crashes, lies ----

def by_message(data, run, producer=None, sequence=None):
    """The windows of an export as one IngestRequest."""
    batch = Batch(producer, sequence)
    series = {}
    for line in map(json.loads, data.splitlines()[1:-1]):
        if "metric" not in line:
            continue
        key = (line["metric"], json.dumps(line["labels"]))
        if key not in series:
            series[key] = batch.series(line["metric"], line["labels"], line["unit"])
            batch.message.buckets.add(series=series[key])
        if line["bucket"]:
            fill_bucket(batch.message.buckets[-1].buckets.add(), line["bucket"])
    return finish(batch)


def value_of(v):
    if isinstance(v, str) and v.startswith("NaN:"):
        return double(int(v[4:], 16))
    return {"NaN": double(0x7ff8 << 48), "Infinity": math.inf, "-Infinity": -math.inf}.get(v, v)


def t_ns(text):
    seconds, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * NS + int(rest.ljust(9, "0") or 0)


def fill_bucket(m, b):
    m.start_ns, m.count = t_ns(b["start"]), b["count"]
    m.every_ns = int(b["every"][:-1]) * {"s": 1, "m": 60}[b["every"][-1]] * NS
    if isinstance(b["sum"], str):
        m.sum_hex = b["sum"]
    else:
        m.sum.extend(b["sum"])
    for key in ("min", "max", "step_min", "step_max"):
        if b[key] is not None:
            setattr(m, key, b[key])
    for key in ("first", "last", "bad"):
        if b[key] is None:
            continue
        point = getattr(m, key)
        point.time_ns = t_ns(b[key]["time"])
        if b[key]["step"] is not None:
            point.step = b[key]["step"]
        if key != "bad":
            point.value = value_of(b[key]["value"])
    m.nan, m.pos_inf, m.neg_inf = b["nan"], b["pos_inf"], b["neg_inf"]


def test_as_a_message():
    r = random.Random(7)
    with Server() as a, Server() as b:
        client, other = a.client(), b.client()
        client.create_run("r")
        fill(client, "r", r, 400)
        data = export(a, "r")
        other.create_run("r")
        batch = by_message(data, "r")
        batch.message.run.ended_ns = T0
        answer = other.ingest("r", batch)
        equal(other.get("/runs/r").json()["ended_at"], "2023-11-14T22:13:30Z", "when it ended")
        check(len(answer.series_ids) == 9, "ids", answer)
        windows = [line for line in data.splitlines() if b'"bucket"' in line]
        equal([line for line in export(b, "r").splitlines() if b'"bucket"' in line], windows, "the same windows")
        # again under a producer, in either form: once each
        for _ in range(2):
            other.ingest("r", by_message(data, "r", b"p" * 16, 1))
        for m, n in zip(client.metrics("r"), other.metrics("r")):
            equal(n["count"], 2 * m["count"], "merged with what was there, once")


def test_a_loose_message():
    """The sum entry by entry, the series after its buckets, the value of bad, fields of tomorrow."""
    def fixed(number, fmt, v):
        return field(number, 1, struct.pack(fmt, v))

    def point(t, v):
        return fixed(1, "<q", t) + fixed(3, "<d", v)

    terms = [1e300, 1.0, 1e-300]
    points = (field(9, 2, point(T0 + 2, 1e-300)) + field(8, 2, point(T0, 1e300)) + field(15, 2, point(T0 + 1, 7.0)))
    bucket = (field(99, 2, b"tomorrow") + fixed(7, "<d", 1e300) + fixed(6, "<d", 1e-300) + points
              + b"".join(fixed(4, "<d", v) for v in terms) + fixed(1, "<q", T0) + field(2, 0, 30 * NS)
              + field(3, 0, 3) + field(12, 0, 1))
    body = field(7, 2, field(2, 2, bucket) + field(1, 0, 0)) + field(2, 2, field(1, 2, b"m"))
    with Server() as server:
        client = server.client()
        client.create_run("r")
        answer = client.post_ingest("r", body)
        equal(answer.status, 200, answer)
        got = json.loads(export(server, "r").splitlines()[1])["bucket"]
        equal([got["sum"], got["count"], got["nan"]], [terms, 3, 1], "kept")
        equal(got["bad"]["time"], "2023-11-14T22:13:30.000000001Z", "kept")
        series = field(2, 2, field(1, 2, b"m"))
        fewer = bucket.replace(field(3, 0, 3), field(3, 0, 2))
        for what, broken in (("series 1", body.replace(field(1, 0, 0), field(1, 0, 1))),
                             ("sum", series + field(7, 2, field(2, 2, fewer))),
                             ("first", series + field(7, 2, field(2, 2, fixed(1, "<q", T0))))):
            answer = client.post_ingest("r", broken)
            equal(answer.status, 422, f"{what}: {answer}")
            check(what in answer.error()["message"], what, answer)
        twice = series + field(7, 2, field(2, 2, bucket + field(8, 2, point(T0, 1e300))))
        equal(client.post_ingest("r", twice).status, 400, "two first points")
        equal(json.loads(export(server, "r").splitlines()[1])["bucket"]["count"], 3, "nothing more was kept")


def test_kill_with_buckets_in_the_journal():
    """They are replayed, and a reader beside the server folds them itself; each is acknowledged once."""
    r = random.Random(11)
    with Server() as a, Server() as b:
        client = a.client()
        client.create_run("r")
        fill(client, "r", r, 2000)
        lines = export(a, "r").splitlines(True)
        want = [x for x in lines if b'"bucket"' in x]
        b.client().create_run("r")
        for at in range(0, len(want), 100):
            head = {"producer": {"id": "ab" * 16, "sequence": at // 100 + 1}, "imported": True}
            body = json.dumps(head).encode() + b"\n" + b"".join(want[at:at + 100])
            answers = [b.client().post_ingest("r", body, NDJSON).json() for _ in range(2)]
            equal([x["duplicate"] for x in answers], [False, True], "sent twice")
            if at % 300 == 0:
                b.kill9()
                b.start()
            beside = cli("export", "r", "--data", b.data)
            equal(beside.stdout, export(b, "r"), "beside the server")
            got = [x for x in beside.stdout.splitlines(True) if b'"bucket"' in x]
            equal(got, want[:at + 100], f"after {at + 100}")
        equal(cli("verify", "--data", b.data).returncode, 0, "verify")


def honest():
    point = {"time": "2025-07-06T12:00:01Z", "step": 1, "value": 1}
    last = {"time": "2025-07-06T12:00:09Z", "step": 9, "value": "NaN"}
    return {"start": "2025-07-06T12:00:00Z", "every": "30s", "count": 3, "sum": [7], "min": 1, "max": 4, "first": point,
            "last": last, "step_min": 1, "step_max": 9, "nan": 1, "pos_inf": 0, "neg_inf": 0,
            "bad": {"time": "2025-07-06T12:00:09Z", "step": 9}}


LIES = [("sum", [7, 1]), ("sum", [7, 0]), ("sum", [0]), ("sum", "0x1p-1074"), ("sum", [1e308, 1e308]), ("sum", ["7"]),
        ("sum", None), ("sum", [9.5]), ("count", 0), ("count", -1), ("count", 2**60), ("count", 1.5), ("min", "NaN"),
        ("min", None), ("max", "Infinity"), ("min", 5), ("start", "2025-07-06T12:00:01Z"), ("start", 1.5), ("every", "60s"),
        ("every", "x"), ("every", 30), ("first", None), ("first", {"time": "2025-07-06T12:00:10Z", "value": 1}),
        ("first", {"time": "2025-07-06T12:00:01Z", "step": 1}), ("last", {"time": "2025-07-06T11:59:59Z", "value": 1}),
        ("last", {"time": "2125-07-06T12:00:00Z", "value": 1}), ("step_min", 2), ("step_max", None), ("step_max", 2**63),
        ("nan", 0), ("nan", 2**63), ("bad", None), ("bad", {"time": "2025-07-06T12:00:09Z", "step": 9, "value": 1}),
        ("bad", {"time": "2025-07-06T12:00:08Z", "step": 10}), ("mean", 2)]


def test_lies():
    with Server() as server:
        client = server.client()
        client.create_run("r")
        good = json.dumps({"metric": "m", "bucket": honest()})
        for key, value in LIES:
            line = json.dumps({"metric": "m", "bucket": dict(honest(), **{key: value})})
            answer = client.post_ingest("r", f"{good}\n{line}\n".encode(), NDJSON)
            equal(answer.status, 422, f"{key} {value}: {answer}")
            error = answer.error()
            check(error["message"].startswith("line 2: ") and error["field"].startswith("bucket"), key, value, error)
        future = dict(honest(), start="2125-07-06T12:00:00Z")
        for key in ("first", "last", "bad"):
            future[key] = dict(future[key], time=future[key]["time"].replace("2025", "2125"))
        for line in ({"metric": "m", "bucket": future}, {"metric": "m", "bucket": honest(), "value": 1},
                     {"metric": "m", "bucket": honest(), "time": 1}, {"bucket": honest()}, {"metric": "m", "bucket": []},
                     {"log": "x", "text_base64": "eA"}, {"log": "x", "continues": 1},
                     {"state": "lost"}, {"producer": {"id": "00", "sequence": 1}}, {"exit_code": 2**40},
                     {"producer": {"id": "00" * 16}}, {"ended_at": "2025-07-06T12:00:00Z"},
                     {"state": "finished", "ended_at": "1925-07-06T12:00:00Z"}):
            answer = client.post_ingest("r", json.dumps(line).encode(), NDJSON)
            equal(answer.status, 422, f"{line}: {answer}")
        twice = '{"metric":"m","bucket":{"count":1,"count":1}}'
        equal(client.post_ingest("r", twice.encode(), NDJSON).status, 400, "twice")
        late = f'{good}\n{{"producer":{{"id":"{"00" * 16}","sequence":1}}}}\n'
        check("first line" in client.post_ingest("r", late.encode(), NDJSON).error()["message"], "not first")
        for cut in range(1, len(good), 7):
            equal(client.post_ingest("r", good[:cut].encode(), NDJSON).status, 400, f"cut at {cut}")
        equal(client.metrics("r"), [], "nothing was kept")
        equal(client.post_ingest("r", good.encode(), NDJSON).status, 200, "the honest one")


def test_too_many():
    with Server(arguments=("--max-buckets", "2")) as server:
        client = server.client()
        client.create_run("r")
        equal(json.loads(client.request("GET", "/version").body)["limits"]["buckets_per_request"], 2, "told")
        line = json.dumps({"metric": "m", "labels": {}, "unit": "", "bucket": honest()}) + "\n"
        equal(client.post_ingest("r", (line * 2).encode(), NDJSON).status, 200, "two")
        for body, form in (((line * 3).encode(), NDJSON),
                           (by_message(b"\n" + (line * 3).encode() + b"\n", "r").encode(), PROTOBUF)):
            answer = client.post_ingest("r", body, form)
            equal(answer.status, 413, f"three: {answer}")
            check("buckets" in answer.error()["message"], answer)
        equal(client.metrics("r")[0]["count"], 6, "what two hold")


def test_conflicting_sequence():
    with Server() as server:
        client = server.client()
        client.create_run("r")
        head = json.dumps({"producer": {"id": "cd" * 16, "sequence": 3}})
        line = json.dumps({"metric": "m", "bucket": honest()})
        equal(client.post_ingest("r", f"{head}\n{line}\n".encode(), NDJSON).status, 200, "new")
        equal(client.post_ingest("r", f"{head}\n{line}\n\n".encode(), NDJSON).status, 409, "other content")
        # the same producer goes on in a message
        equal(client.ingest("r", Batch(b"\xcd" * 16, 2).log("x\n", T0)).duplicate, False, "another form")


# ---- the run, and repetition ----

def test_the_run_comes_back():
    with Server() as a, Server() as b:
        client = a.client()
        spec = ('{"id":"r","name":"bert \\u00e4","tags":{"x":"1"},\n "hyperparams":{"lr":3e-05,"n":1.50},'
                '"metrics":{"window":"10s"},"resources":{"gpus":1}}')
        equal(client.request("POST", client.path("/runs"), spec).status, 201, "create")
        batch = Batch().log("hello\n", T0)
        batch.message.run.state = pb.FAILED
        batch.message.run.exit_code = 3
        client.ingest("r", batch)
        was = client.get("/runs/r").json()
        data = export(a, "r")
        import_bytes(b, "r", "jsonl", data)
        got = b.client().get("/runs/r").json()
        for key in ("state", "exit_code", "started_at", "ended_at", "window"):
            equal(got[key], was[key], key)
        spec_is = dict(got["spec"])
        equal(spec_is.pop("imported_from")["format"], "jsonl", "the spec says where it came from")
        equal(spec_is, was["spec"], "spec")
        equal(got["imported"], True, "imported")
        equal(export(b, "r"), data, "export of the import")


def test_a_running_run_ends_here():
    with Server() as a, Server() as b:
        a.client().create_run("r")
        a.client().ingest("r", Batch().log("hello\n", T0))
        done = import_bytes(b, "r", "jsonl", export(a, "r"))
        check(b"was running when it was exported" in done.stderr, done.stderr)
        equal(b.client().get("/runs/r").json()["state"], "finished", "state")


def test_repeating_changes_nothing():
    with Server() as a, Server() as b:
        run_verb(a, "import", "mllog", "--run", "r", files_below(MINE)[0])
        for form in ("jsonl", "csv"):
            data = export(a, "r", form)
            import_bytes(b, f"r-{form}", form, data)
            want = answers(b, f"r-{form}")
            done = import_bytes(b, f"r-{form}", form, data)
            check(b"already there" in done.stdout, done.stdout)
            same(answers(b, f"r-{form}"), want, f"{form} again")
        # the run is of an export now, whatever its tags say of an earlier import
        done = run_verb(b, "import", "mllog", "--run", "r-jsonl", files_below(MINE)[0], status=2)
        check(b"other content" in done.stderr, done.stderr)


def test_goes_on_where_it_broke_off():
    """A server that dies in the middle of an import; the import is repeated when it is back."""
    with Server() as a, Server() as b:
        client = a.client()
        client.create_run("r")
        batch = Batch()
        at = [batch.series(f"m{i}") for i in range(50)]
        for window in range(600):
            for m in at:
                batch.sample(m, T0 + window * 30 * NS, window * 0.1, window)
        client.ingest("r", batch)
        data = export(a, "r")
        lines = data.splitlines(True)
        path = os.path.join(scratch(), "r.jsonl")
        with open(path, "wb") as f:
            f.write(data)
        process = subprocess.Popen([PROGRAM, "import", "jsonl", path, "--server", b.url],
                                   env=program_environment(ASTRAML_TOKEN=b.token), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        watch = b.client()
        wait_for(lambda: watch.get("/runs/r/metrics").status == 200 and watch.metrics("r"), "the first request")
        process.kill()
        process.wait()
        b.kill9()
        b.start()
        run_verb(b, "import", "jsonl", path)
        equal(export(b, "r").splitlines(True)[1:], lines[1:], "all of it, once")


def test_push_lines():
    """The lines of push, those without a time too, and those of a bucket among them."""
    lines = [{"metric": "loss", "value": 0.5, "step": 1}, {"log": "a\n", "time": "2025-07-06T12:00:00Z"},
             {"metric": "loss", "value": "NaN:fff8000000000001", "step": 2}, {"log": "b\n", "level": "warn"},
             {"time": None, "log": "c\n"}]
    data = "\n\n".join(map(json.dumps, lines)).encode()
    with Server() as server:
        import_bytes(server, "r", "jsonl", data)
        client = server.client()
        equal([(x["text"], x["time"]) for x in client.logs("r")],
              [(text, "2025-07-06T12:00:00Z") for text in ("a\n", "b\n", "c\n")], "logs")
        equal(client.get("/runs/r").json()["state"], "finished", "state")
        equal(client.metrics("r")[0]["nan"], 1, "nan")
        check(b'"value":"NaN:fff8000000000001"' in export(server, "r"), "the NaN's bits")
        done = import_bytes(server, "bad", "jsonl", data + b'\n{"metric":"loss","value":1,"setp":3}\n', status=2)
        check(b"line 10: \"setp\"" in done.stderr, done.stderr)


def test_large_records():
    """Records of 1 MiB, of bytes that are no text, and of such as take six in JSON."""
    texts = [random.Random(1).randbytes(1 << 20), b"\x01" * (1 << 20), b"\xff" * (1 << 20), b"\n"]
    with Server() as a, Server() as b:
        a.client().create_run("r")
        for text in texts:
            a.client().ingest("r", Batch().log(text, T0))
        import_bytes(b, "r", "jsonl", export(a, "r"))
        equal(run_verb(b, "logs", "r", "--raw").stdout, b"".join(texts), "the log")


def test_clients_that_go_away():
    """They hold no thread for long, and leave the run as it is."""
    with Server() as server:
        client = server.client()
        client.create_run("r")
        for i in range(5):
            client.ingest("r", Batch().log(b"x" * (1 << 20), T0))
        for _ in range(12):
            s = socket.create_connection(parse_url(server.url))
            s.sendall("GET /v2/projects/default/runs/r/export HTTP/1.1\r\nHost: x\r\n"
                      f"Authorization: Bearer {server.token}\r\n\r\n".encode())
            check(s.recv(1000).startswith(b"HTTP/1.1 200"), "it begins")
            s.close()
        wait_for(lambda: b"\nastraml_reads 1\n" in client.request("GET", "/metrics").body, "all others to end")
        lines = export(server, "r").splitlines()
        equal(json.loads(lines[-1])["end"]["records"], 5, "whole")


def test_cut_exports():
    with Server() as server:
        run_verb(server, "import", "mllog", "--run", "r", files_below(MINE)[0])
        data = export(server, "r")
        lines = data.splitlines(True)
        for i, (broken, why) in enumerate([(b"".join(lines[:-1]), b"was cut"), (data[:-5], b"not a JSON object"),
                                           (b"".join(lines[:5] + lines[6:]), b"lines of the export are missing"),
                                           (data + lines[3], b"follows the end"),
                                           (b"".join(lines[:5]) + b'{"error":{"message":"x"}}\n', b"broke off"),
                                           (lines[1] + data, b"first line of an export")]):
            done = import_bytes(server, f"cut{i}", "jsonl", broken, status=2)
            check(why in done.stderr, why, done.stderr)
            equal(server.client().get(f"/runs/cut{i}").status, 404, "nothing is made of it")


def test_packed_and_named():
    with Server() as server:
        run_verb(server, "import", "mllog", "--run", "bert", files_below(MINE)[0])
        folder = scratch()
        path = os.path.join(folder, "bert-2.jsonl.gz")
        with gzip.open(path, "wb") as f:
            f.write(export(server, "bert"))
        run_verb(server, "import", "jsonl", path)
        same(answers(server, "bert-2"), answers(server, "bert"), "gz")


# ---- the verb and the route ----

def test_the_same_beside_the_server():
    with Server() as server:
        run_verb(server, "import", "mllog", "--run", "r", files_below(MINE)[0])
        for form in ("jsonl", "csv"):
            want = export(server, "r", form)
            target = os.path.join(scratch(), "out")
            equal(cli("export", "r", "--windows", "--format", form, "--data", server.data).stdout, want, "stdout")
            equal(cli("export", "r", "--windows", "--format", form, "--data", server.data, "-o", target).returncode, 0, "-o")
            with open(target, "rb") as f:
                equal(f.read(), want, "the file")
            equal(os.listdir(os.path.dirname(target)), ["out"], "nothing beside it")
        target = os.path.join(scratch(), "out")
        equal(cli("export", "nope", "--data", server.data, "-o", target).returncode, 3, "no such run")
        equal(os.listdir(os.path.dirname(target)), [], "no file")
        client = server.client()
        equal(client.get("/runs/r/export", format="xml").status, 422, "format")
        equal(client.get("/runs/r/export").headers["Content-Type"], "application/x-ndjson", "type")
        answer = client.request("GET", client.path("/runs/r/export?format=csv"), headers={"Accept": "text/csv"})
        equal(answer.headers["Content-Type"], "text/csv; charset=utf-8; header=present", "type")
        server_without = Client(server.url)
        equal(server_without.get("/runs/r/export").status, 401, "no token")


if __name__ == "__main__":
    main(globals())
