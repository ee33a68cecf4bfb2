"""The read API over HTTP: windows against an oracle in exact arithmetic, while they are in memory,
after they were flushed and after a kill; limits and refusals; logs followed across a kill."""
import http.client
import json
import math
import os
import random
import struct
import threading
import time
from fractions import Fraction

import harness
from harness import NS, Batch, check, equal, wait_for

WINDOW = 30 * NS
BASE = (time.time_ns() - 7200 * NS) // (600 * NS) * 600 * NS
AGGS = ("count,sum,min,max,mean,first,last,nan,pos_inf,neg_inf,first_time,last_time,first_step,last_step,"
        "step_min,step_max,bad_time,bad_step")

state = {}


def server():
    if "server" not in state:
        state["server"] = harness.Server(until=harness.after_all)
        state["client"] = state["server"].client()
    return state["server"]


def client():
    server()
    return state["client"]


# ---- the oracle ----

def total_order(value):
    bits = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else bits ^ 0x7FFFFFFFFFFFFFFF


def order(sample):
    t, step, value = sample
    return t, step is not None, step or 0, total_order(value)


def rfc3339(t):
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t // NS))
    fraction = f"{t % NS:09d}"
    for _ in range(3):
        if fraction.endswith("000"):
            fraction = fraction[:-3]
    return text + ("." + fraction if fraction else "") + "Z"


def shown(value):
    if value is None or math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def window_of(samples):
    """Every aggregate of some samples (time, step or None, value)."""
    finite = [v for _, _, v in samples if math.isfinite(v)]
    bad = sorted((t, s is not None, s or 0, s) for t, s, v in samples if not math.isfinite(v))
    steps = [s for _, s, _ in samples if s is not None]
    first, last = min(samples, key=order), max(samples, key=order)
    exact = sum(map(Fraction, finite))
    small = float(exact / 2**64)  # S itself may be beyond the largest double
    try:
        total = float(exact)
    except OverflowError:
        total = math.copysign(math.inf, small)
    mean = total / len(finite) if finite and math.isfinite(total) else small / max(len(finite), 1) * 2.0**64
    return {
        "count": len(finite), "sum": shown(total),
        "min": min(finite, key=total_order) if finite else None,
        "max": max(finite, key=total_order) if finite else None,
        "mean": mean if finite else None,
        "first": shown(first[2]), "last": shown(last[2]),
        "nan": sum(v != v for _, _, v in samples),
        "pos_inf": sum(v == math.inf for _, _, v in samples), "neg_inf": sum(v == -math.inf for _, _, v in samples),
        "first_time": rfc3339(first[0]), "last_time": rfc3339(last[0]),
        "first_step": first[1], "last_step": last[1],
        "step_min": min(steps, default=None), "step_max": max(steps, default=None),
        "bad_time": rfc3339(bad[0][0]) if bad else None, "bad_step": bad[0][3] if bad else None,
    }


def windows_of(samples, width):
    groups = {}
    for sample in samples:
        groups.setdefault(sample[0] // width * width, []).append(sample)
    return {start // 1_000_000: window_of(groups[start]) for start in sorted(groups)}


def same(a, b):
    """Equal to the bit: 0.0 and -0.0 differ."""
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and struct.pack("<d", a) == struct.pack("<d", b)
    return a == b


def compare(series, want, what):
    rows = {row[0]: dict(zip(series["columns"][1:], row[1:])) for row in series["rows"]}
    equal(list(rows), list(want), f"{what}: windows")
    for start, columns in want.items():
        for name, value in columns.items():
            check(same(rows[start][name], value), what, start, name, "got", rows[start][name], "want", value)


def random_samples(rng, n):
    odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, -1e308, 0.1]
    samples = []
    for _ in range(n):
        t = BASE + rng.randrange(40 * WINDOW)
        if rng.random() < 0.3:
            t = t // NS * NS  # so that times are equal
        step = None if rng.random() < 0.2 else rng.randrange(-5, 1000)
        samples.append((t, step, rng.choice(odd) if rng.random() < 0.2 else rng.gauss(0, 10 ** rng.randrange(-5, 5))))
    return samples


# ---- windows ----

def test_windows_are_exact_open_and_stored():
    rng = random.Random(20)
    with harness.Server() as s:
        c = s.client()
        c.create_run("exact", state="running")
        written = {}
        for _ in range(30):  # times at random, so every batch is late for most windows
            batch = Batch()
            for name in ("a", "b"):
                ref = batch.series(name)
                for t, step, value in (samples := random_samples(rng, 40)):
                    batch.sample(ref, t, value, step=step)
                written.setdefault(name, []).extend(samples)
            c.ingest("exact", batch)

        def all_agree(when):
            for every, width in (("30s", WINDOW), ("1m", 2 * WINDOW), ("7m", 14 * WINDOW), ("1d", 86400 * NS)):
                for name, samples in written.items():
                    answer = c.query("exact", name, every=every, agg=AGGS)
                    equal(answer["every_ms"], width // 1_000_000, "every_ms")
                    compare(answer["series"][0], windows_of(samples, width), f"{when}, {name} every {every}")

        all_agree("in memory")
        s.kill9()
        s.start()
        c = s.client()
        all_agree("after a kill")
        s.restart()
        c = s.client()
        all_agree("after a restart")


def test_ranges_take_windows_by_their_start():
    c = client()
    c.create_run("ranges")
    samples = [(BASE + i * 10 * NS, i, float(i)) for i in range(60)]
    batch = Batch()
    ref = batch.series("m")
    for t, step, value in samples:
        batch.sample(ref, t, value, step=step)
    c.ingest("ranges", batch)
    base_ms = BASE // 1_000_000
    for start, end, every in ((0, 600, 30), (1, 600, 30), (30, 61, 30), (0, 600, 120), (60, 300, 120), (599, 600, 30),
                              (0, 0, 30)):
        answer = c.query("ranges", "m", start=base_ms + start * 1000, end=base_ms + end * 1000, every=f"{every}s",
                         agg=AGGS)
        want = {t: w for t, w in windows_of(samples, every * NS).items()
                if base_ms + start * 1000 <= t < base_ms + end * 1000}
        compare(answer["series"][0], want, f"[{start}, {end}) every {every}")
    for points in (1, 2, 3, 7, 20, 1000):
        answer = c.query("ranges", "m", points=points, agg="count,first_step,last_step")
        rows = answer["series"][0]["rows"]
        check(len(rows) <= max(points, 2), points, "points gave", len(rows))
        equal(sum(r[1] for r in rows), 60, "samples in all windows")


def test_the_answer_says_how_far_it_is_complete():
    c = client()
    c.create_run("fresh", state="running")
    now = time.time_ns()
    batch = Batch()
    c.ingest("fresh", batch.sample(batch.series("m"), now, 1.0))
    answer = c.query("fresh", "m", agg="count")
    equal(len(answer["series"][0]["rows"]), 1, "open windows")
    start_ms = answer["series"][0]["rows"][0][0]
    check(answer["complete_until"] <= rfc3339((start_ms + 30000) * 1_000_000), "the open window is called complete:",
          answer["complete_until"])
    equal(answer["partial"], False, "partial")


# ---- what is refused ----

def test_refusals_name_the_field():
    c = client()
    c.create_run("refuse")
    for path, parameters, status, name in (
            ("/query", {"metric": "m"}, 422, "run"),
            ("/query", {"run": "refuse", "agg": "p99"}, 422, "agg"),
            ("/query", {"run": "refuse", "every": "10"}, 422, "every"),
            ("/query", {"run": "refuse", "start": "soon"}, 422, "start"),
            ("/query", {"run": "refuse", "x": "steps"}, 422, "x"),
            ("/query", {"run": "refuse", "attempt": "1"}, 422, "attempt"),
            ("/query", {"run": "refuse", "agg": "stddev"}, 422, "agg"),
            ("/query", {"run": "refuse", "samples": "yes"}, 422, "samples"),
            ("/query", {"run": "refuse", "samples": "true", "every": "1m"}, 422, "every"),
            ("/query", {"run": "refuse", "samples": "true", "by": ""}, 422, "by"),
            ("/query", {"run": "refuse", "strat": "0"}, 422, "strat"),
            ("/query", {"run": "nobody"}, 404, "run"),
            ("/runs/nobody/metrics", {}, 404, "run"),
            ("/runs/nobody/logs", {"follow": "true"}, 404, "run"),
            ("/runs/refuse/logs", {"regex": "a(b"}, 422, "regex"),
            ("/runs/refuse/logs", {"level": "loud"}, 422, "level"),
            ("/runs/refuse/logs", {"follow": "true", "end": "now"}, 422, "end"),
            ("/runs", {"state": "done"}, 422, "state"),
            ("/runs/%2e%2e", {}, 422, "run"),
            ("/nothing", {}, 404, "path")):
        answer = c.get(path, **parameters)
        equal(answer.status, status, f"{path} {parameters}: {answer}")
        equal(answer.error()["field"], name, f"field of {path} {parameters}")
        check(len(answer.error()["message"]) > 10 and "request_id" in answer.error(), answer)
    answer = c.request("GET", c.path("/query?run=refuse"), headers={"Accept": "image/png"})
    equal((answer.status, answer.error()["field"]), (422, "Accept"), "a picture")
    answer = c.request("GET", c.path("/query?run=%zz"))
    equal(answer.status, 400, f"a broken escape: {answer}")


def test_bad_specs():
    c = client()
    for body, status, name in (
            ("{", 400, None), ("[]", 422, None), ('{"a":NaN}', 400, None), ("[" * 5000, 400, None),
            ('{"id":"x","id":"y"}', 400, None), ('{"id":"a/b"}', 422, "id"), ('{"id":"' + "x" * 65 + '"}', 422, "id"),
            ('{"api_version":"1.9"}', 422, "api_version"), ('{"metrics":{"window":"31s"}}', 422, "metrics.window"),
            ('{"tags":{"a":[]}}', 422, "tags"), ('{"notes":"' + "x" * (1 << 20) + '"}', 413, None)):
        answer = c.request("POST", c.path("/runs"), body, {"Content-Type": "application/json"})
        equal(answer.status, status, f"{body[:60]}: {answer}")
        equal(answer.error()["field"] or None, name, f"field of {body[:60]}")
    answer = c.request("POST", c.path("/runs"), "id=x", {"Content-Type": "application/x-www-form-urlencoded"})
    equal(answer.status, 415, f"a form: {answer}")
    spec = '{"id":"numbers","hyperparams":{"lr":3e-5,"wd":0.010,"n":123456789012345678901234567890}, "x": [ 1.0 ]}'
    answer = c.request("POST", c.path("/runs"), spec, {"Content-Type": "application/json"})
    equal((answer.status, answer.headers["Location"]), (201, c.path("/runs/numbers")), "a run with numbers")
    got = c.get("/runs/numbers").body
    for text in (b'"lr":3e-5,"wd":0.010,"n":123456789012345678901234567890', b"[ 1.0 ]", b'"api_version":"2.1"'):
        check(text in got, "not as written:", got)


def test_a_key_makes_one_run():
    c = client()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "once"}
    first, second = (c.request("POST", c.path("/runs"), '{"name":"n"}', headers) for _ in range(2))
    equal((first.status, second.status), (201, 201), "statuses")
    equal(first.json()["id"], second.json()["id"], "ids")
    equal((first.headers["Idempotent-Replay"], second.headers["Idempotent-Replay"]), (None, "true"), "replays")
    equal(c.request("POST", c.path("/runs"), '{"name":"m"}', headers).status, 409, "another body")


def test_access():
    s = server()
    project = "/v2/projects/default"
    for token in (None, "wrong"):
        c = harness.Client(s.url, token)
        for path in ("/runs", "/runs/refuse", "/runs/refuse/metrics", "/runs/refuse/logs", "/query?run=refuse", "/usage"):
            equal(c.request("GET", project + path).status, 401, f"{path} with token {token}")
        equal(c.request("GET", "/v2/verify").status, 401, "verify")
        for path in ("/healthz", "/readyz", "/version", "/metrics"):
            answer = c.request("GET", path)
            equal(answer.status, 200, path)
            check(answer.headers["Astraml-Version"] and answer.headers["X-Request-Id"], path, answer.headers)
        c.close()


def test_server_numbers_are_prometheus_text():
    names = set()
    for line in client().request("GET", "/metrics").body.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            check(kind in ("counter", "gauge") and name not in names, line)
            check((kind == "counter") == name.endswith("_total"), line)
            names.add(name)
        elif not line.startswith("# HELP "):
            name, value = line.rsplit(" ", 1)
            check(name.split("{")[0] in names and math.isfinite(float(value)), line)
    check("astraml_samples_total" in names and "astraml_http_requests_total" in names, names)


# ---- logs ----

def log_lines(n, start=0):
    batch = Batch()
    for i in range(start, start + n):
        batch.log(f"line {i} " + "x" * 60 + "\n", BASE + i, level="WARN" if i % 100 == 0 else "INFO", rank=i % 4)
    return batch


class Follower(threading.Thread):
    """Follows a log with its own reconnects; `seen` are the sequence numbers in order of arrival."""

    def __init__(self, s, run, until):
        super().__init__(daemon=True)
        self.server, self.path_of, self.until = s, f"/v2/projects/default/runs/{run}/logs?follow=true&after_seq=", until
        self.seen, self.arrivals, self.connections = [], {}, 0

    def run(self):
        deadline = time.monotonic() + harness.DEADLINE_S
        while len(self.seen) < self.until and time.monotonic() < deadline:
            try:
                self.follow()
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.01)

    def follow(self):
        host, port = harness.parse_url(self.server.url)
        connection = http.client.HTTPConnection(host, port, timeout=5)
        last = self.seen[-1] if self.seen else 0
        connection.request("GET", self.path_of + str(last), headers={"Authorization": f"Bearer {self.server.token}"})
        response = connection.getresponse()
        equal(response.status, 200, "following")
        self.connections += 1
        while len(self.seen) < self.until:
            line = response.readline()
            if not line.endswith(b"\n"):
                break
            record = json.loads(line) if line.strip() else {}
            if "seq" in record:
                self.seen.append(record["seq"])
                self.arrivals[record["seq"]] = time.monotonic()
        connection.close()


def test_followers_across_kills():
    with harness.Server() as s:
        c = s.client()
        c.create_run("killed")
        followers = [Follower(s, "killed", 3000) for _ in range(5)]
        for f in followers:
            f.start()
        producer = os.urandom(16)
        host, port = harness.parse_url(s.url)
        s.command[s.command.index("--listen") + 1] = f"{host}:{port}"  # the same place after each kill
        for i in range(30):
            batch = log_lines(100, i * 100)
            batch.message.producer.id, batch.message.producer.sequence = producer, i + 1
            c.ingest("killed", batch)
            if i % 10 == 5:
                s.kill9()
                s.start()
                c = s.client()
        for f in followers:
            f.join(harness.DEADLINE_S)
            equal(f.seen, list(range(1, 3001)), "what a follower saw")
            check(f.connections > 1, "the kill was not noticed")


def test_followers_are_told_at_once():
    c = client()
    c.create_run("live")
    followers = [Follower(server(), "live", 50) for _ in range(100)]
    for f in followers:
        f.start()
    number = lambda name: int(next(line for line in c.request("GET", "/metrics").body.decode().splitlines()
                                   if line.startswith(name + " ")).split()[1])
    wait_for(lambda: number("astraml_followers") == 100, "100 followers")
    sent = {}
    for i in range(50):
        c.ingest("live", log_lines(1, i))
        sent[i + 1] = time.monotonic()
    for f in followers:
        f.join(harness.DEADLINE_S)
        equal(f.seen, list(range(1, 51)), "what a follower saw")
    late = max(f.arrivals[seq] - t for f in followers for seq, t in sent.items())
    check(late < 2, f"a record came {late:.2f} s after its acknowledgement")
    wait_for(lambda: number("astraml_followers") == 0, "the followers to be gone")


def test_work_ends_when_the_client_goes():
    c = client()
    c.create_run("gone")
    for i in range(10):
        c.ingest("gone", log_lines(20000, i * 20000))
    host, port = harness.parse_url(server().url)
    for _ in range(8):  # twice as many as there are threads
        connection = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        connection.request("GET", "/v2/projects/default/runs/gone/logs",
                           headers={"Authorization": f"Bearer {server().token}"})
        check(connection.getresponse().read(1000), "the beginning of the answer")
        connection.close()
    start = time.monotonic()
    equal(c.get("/runs/gone").status, 200, "threads are free again")
    check(time.monotonic() - start < 10, "the threads were held until their writes timed out")
    equal(len(c.logs("gone", level="warn")), 2000, "the log is whole")


def test_costly_regex_is_cut_off():
    c = client()
    c.create_run("costly")
    c.ingest("costly", Batch().log("a" * 5000 + "\n", BASE))
    answer = c.get("/runs/costly/logs", regex="^([a-z]+)+[0-9]")
    equal(answer.status, 200, "the search had begun")
    last = json.loads(answer.body.splitlines()[-1])
    equal(last["error"]["field"], "regex", "the last line")
    check("steps" in last["error"]["message"], last)


if __name__ == "__main__":
    harness.main(globals())
