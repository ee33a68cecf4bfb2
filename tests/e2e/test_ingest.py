"""Bad input gets a clear error and loses nothing: each case over HTTP, against one server, with a
run of good data that must stay as it was to the last record."""
import json
import math
import os
import random
import socket
import struct
import threading
import time

import harness
from harness import NS, Batch, Client, check, equal, field, pb, varint, zigzag

BASE = (time.time_ns() - 3600 * NS) // (30 * NS) * 30 * NS
MIB = 1 << 20
RUN = "good"

state = {}  # server, client, what the good run answers


def server():
    if not state:
        state["server"] = harness.Server(until=harness.after_all)
        state["client"] = c = state["server"].client()
        c.create_run(RUN)
        b = Batch(producer_id(), 1)
        s = [b.series("loss", {"rank": "0"}), b.series("lr")]
        for i in range(20):
            b.sample(s[i % 2], BASE + i * NS, i / 4, step=i)
        b.log("good line\n", BASE, rank=0).log(b"\x00\xff not text", BASE + 1, level="WARN")
        c.ingest(RUN, b)
        state["good"] = all_of(RUN)
    return state["server"]


def client():
    server()
    return state["client"]


def all_of(run):
    """Everything the API tells of a run's data."""
    c = state["client"]
    windows = c.query(run, "*", start=0, end="2100-01-01T00:00:00Z", every="30s",
                      agg="count,sum,min,max,first,last,nan,pos_inf,neg_inf")["series"]
    return c.metrics(run), c.logs(run), windows


def good_is_untouched():
    equal(all_of(RUN), state["good"], "the good run")


def producer_id():
    return os.urandom(16)


def new_run(name):
    server()
    state["client"].create_run(name)
    return name


def refused(answer, status, code, field_part="", *words):
    """The error document: status, code, field, and a sentence that has the value and the limit."""
    equal(answer.status, status, f"status of {answer}")
    error = answer.error()
    equal(error["code"], code, f"code of {error}")
    check(field_part in (error["field"] or ""), f"the field of {error} should name {field_part!r}")
    for word in words:
        check(str(word) in error["message"], f"the message of {error} should say {word!r}")
    check(len(error["message"]) > 15, "no sentence in", error)
    equal(error["retryable"], status in (429, 500, 503, 507), f"retryable of {error}")
    equal(error["request_id"], answer.headers["X-Request-Id"], "request_id")
    check(answer.headers["Astraml-Version"], "no Astraml-Version")
    if status in (429, 503):
        check(answer.headers["Retry-After"], "no Retry-After")


def post(body, run=RUN, **headers):
    return client().post_ingest(run, body, **headers)


def one_sample(metric="loss", t_ns=BASE, value=1.0, **options):
    b = Batch(**options)
    return b.sample(b.series(metric), t_ns, value)


# ---- bytes that are no message ----

def top_level_boundaries(body):
    at, ends = 0, {0}
    while at < len(body):
        _, at = read_varint(body, at)
        n, at = read_varint(body, at)
        at += n
        ends.add(at)
    return ends


def read_varint(body, at):
    n = shift = 0
    while True:
        n |= (body[at] & 0x7f) << shift
        shift += 7
        at += 1
        if body[at - 1] < 0x80:
            return n, at


def test_truncated_messages():
    b = one_sample().log("a line", BASE)
    b.series("second", {"rank": "1"})
    body = b.encode()
    whole = top_level_boundaries(body)
    for cut in range(1, len(body)):
        if cut not in whole:
            refused(post(body[:cut]), 400, "malformed")
    good_is_untouched()


def test_lying_lengths():
    series = field(2, 2, field(1, 2, b"loss"))
    inside = field(1, 2, b"loss")
    lies = {
        "a field longer than the body": varint(2 << 3 | 2) + varint(100) + inside,
        "a name longer than its message": field(2, 2, varint(1 << 3 | 2) + varint(50) + b"loss"),
        "a length of 2^63": varint(2 << 3 | 2) + varint(1 << 63) + inside,
        "a length of 2^32": varint(3 << 3 | 2) + varint(1 << 32) + inside,
        "a varint of 11 bytes": b"\xff" * 10 + b"\x01",
        "a varint that does not end": series + b"\x80",
        "field number 0": b"\x02\x01a",
        "wire type 6": b"\x0e\x01",
        "wire type 7": b"\x0f\x01",
        "packed doubles of 12 bytes": series + field(3, 2, field(1, 2, b"\0") + field(3, 1, bytes(8))
                                                     + field(5, 2, b"\0") + field(7, 2, bytes(12))),
        "half a fixed64": field(3, 2, varint(3 << 3 | 1) + b"1234"),
        "packed varints cut off": series + field(3, 2, field(1, 2, b"\x80") + field(7, 2, bytes(8))),
    }
    for what, body in lies.items():
        try:
            refused(post(body), 400, "malformed")
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e
    good_is_untouched()


def samples_message(series=(0,), times=(0,), values=(1.0,), steps=(), floats=(), start=BASE, extra=b"", ids=False):
    """Samples by hand, so that columns may disagree; entries are the differences as sent."""
    body = field(1, 2, b"".join(map(zigzag, series))) if series else b""
    body += field(2, 0, 1) if ids else b""
    body += field(3, 1, struct.pack("<q", start))
    body += field(5, 2, b"".join(map(zigzag, times))) if times else b""
    body += field(6, 2, b"".join(map(zigzag, steps))) if steps else b""
    body += field(7, 2, struct.pack(f"<{len(values)}d", *values)) if values else b""
    body += field(8, 2, struct.pack(f"<{len(floats)}f", *floats)) if floats else b""
    return field(2, 2, field(1, 2, b"ragged")) + field(3, 2, body) + extra


def test_ragged_columns():
    for what, body, column, *numbers in (
        ("two times for three values", samples_message(times=(0, 0), values=(1, 2, 3)), "times", 2, 3),
        ("four times for three values", samples_message(times=(0,) * 4, values=(1, 2, 3)), "times", 4, 3),
        ("two series for three values", samples_message(series=(0, 0), values=(1, 2, 3)), "series", 2, 3),
        ("two steps for three values", samples_message(steps=(1, 1), values=(1, 2, 3)), "steps", 2, 3),
        ("no series at all", samples_message(series=(), values=(1, 2, 3)), "series"),
        ("both kinds of values", samples_message(values=(1,), floats=(1,)), "values"),
    ):
        try:
            refused(post(body), 400, "malformed", column, *numbers)
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e
    good_is_untouched()


def test_numbers_out_of_range():
    big = (1 << 62)
    cases = (
        ("series 7 of 1", samples_message(series=(7,)), "series", 7),
        ("series -1", samples_message(series=(-1,)), "series", -1),
        ("an id nobody gave", samples_message(series=(77_777_777,), ids=True), "series", 77_777_777),
        ("id 0", samples_message(series=(0,), ids=True), "series", 0),
    )
    for what, body, column, *numbers in cases:
        try:
            refused(post(body), 422, "refused", column, *numbers)
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e
    # sums of differences past 64 bits must not wrap into a good time or step
    for what, body in (("times", samples_message(times=(big, big, big), values=(1, 2, 3))),
                       ("steps", samples_message(steps=(big, big, big), values=(1, 2, 3)))):
        answer = post(body)
        if answer.status == 200:
            rejected = harness.response_of(answer).rejected
            check(2 in [r.index for r in rejected], f"{what} wrapped around: {rejected}")
            check(False, f"{what} past 64 bits: the first ones were stored in the good run")
        else:
            check(answer.status in (400, 422), f"{what} past 64 bits: {answer}")
            check(what in answer.error()["field"], f"field of {answer}")
    good_is_untouched()


def test_deeply_nested_messages():
    def groups(depth):
        return (varint(100 << 3 | 3) * depth) + (varint(100 << 3 | 4) * depth)
    refused(post(groups(5000)), 400, "malformed")
    refused(post(groups(1_000_000)), 400, "malformed")
    refused(post(varint(100 << 3 | 3) * 1_000_000), 400, "malformed")
    nested = b""
    for _ in range(3000):
        nested = field(1, 2, nested)
    equal(post(field(100, 2, nested)).status, 200, "an unknown field is ignored, whatever is in it")
    answer = post(field(2, 2, nested))
    refused(answer, 422, "refused", "metric", 250)
    good_is_untouched()


def test_random_bytes():
    chance = random.Random(5)
    for _ in range(100):
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
        answer = post(b"\x0f" + body)
        refused(answer, 400, "malformed")
    good_is_untouched()


# ---- over a limit ----

def test_body_over_the_limit():
    refused(post(b"x" * (8 * MIB + 1)), 413, "too_large", "", 8 * MIB)
    answer = raw_request(f"POST {path()} HTTP/1.1", "Content-Type: application/x-protobuf",
                         "Content-Length: 999999999999")
    equal(answer.split()[1], b"413", "status of a promised body")
    answer = raw_request(f"POST {path()} HTTP/1.1", "Content-Type: application/x-protobuf",
                         "Transfer-Encoding: chunked",
                         body=b"100000\r\n" + b"x" * MIB + b"\r\n", times=9)
    equal(answer.split()[1], b"413", "status of a chunked body")
    good_is_untouched()


def path(run=RUN):
    return f"/v2/projects/default/runs/{run}/ingest"


def raw_request(*lines, body=b"", times=1, end=True):
    """Sends bytes as they are; the answer up to the close, or to its end."""
    host, port = harness.parse_url(server().url)
    head = "\r\n".join([*lines, f"Host: {host}", f"Authorization: Bearer {server().token}", "", ""]).encode()
    with socket.create_connection((host, port), harness.DEADLINE_S) as s:
        try:
            s.sendall(head)
            for _ in range(times):
                s.sendall(body)
            if end:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may answer and close before it has read all
        answer = b""
        try:
            while piece := s.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def test_zstd_bombs():
    zeros = 1 << 30
    bomb = harness.zstd(bytes(65 * MIB), "-19")
    check(len(bomb) < 65536, "no bomb")
    refused(post(bomb, Content_Encoding="zstd"), 413, "too_large", "", 64 * MIB)
    big = harness.zstd(bytes(zeros))
    for _ in range(3):
        refused(post(big, Content_Encoding="zstd"), 413, "too_large", "", 64 * MIB)
    many = harness.zstd(bytes(MIB)) * 2000  # one frame after another
    refused(post(many, Content_Encoding="zstd"), 413, "too_large", "", 64 * MIB)
    wide = harness.zstd(random.Random(1).randbytes(3 * MIB), "--ultra", "--long=30", "-1", "--no-check")
    check(post(wide, Content_Encoding="zstd").status in (400, 413, 415), "a frame with a window of 1 GiB")
    if "ASTRAML_TEST_SHORT" not in os.environ:
        peak = int(open(f"/proc/{server().pid}/status").read().split("VmHWM:")[1].split()[0])
        check(peak < 400 * 1024, f"the server's memory had a peak of {peak} kB")
    good_is_untouched()


def test_broken_zstd():
    good = harness.zstd(one_sample("never").encode())
    for what, body in (("cut off", good[:-3]), ("no frame", b"this is not zstd at all"),
                       ("bytes after the frame", good + b"tail"), ("a flipped checksum", good[:-1] + bytes([good[-1] ^ 1]))):
        answer = post(body, Content_Encoding="zstd")
        try:
            refused(answer, 400, "malformed")
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e
    good_is_untouched()


def test_zstd_is_taken():
    run = new_run("zstd")
    b = one_sample("z", BASE, 2.5)
    equal(post(harness.zstd(b.encode()), run, Content_Encoding="zstd").status, 200, "zstd")
    two = harness.zstd(b.encode()[:7]) + harness.zstd(b.encode()[7:])
    equal(post(two, run, Content_Encoding="zstd").status, 200, "two frames")
    equal([m["count"] for m in state["client"].metrics(run)], [2], "count")


def test_too_many_samples():
    n = 1_000_001
    body = field(2, 2, field(1, 2, b"many")) + field(3, 2, field(1, 2, b"\0") + field(3, 1, struct.pack("<q", BASE))
                                                    + field(5, 2, b"\0") + field(8, 2, bytes(4 * n)))
    refused(post(body), 413, "too_large", "samples", 1_000_000)
    good_is_untouched()


def test_names():
    cases = []

    def case(limit_field, *words, metric="m", unit="", labels=None):
        b = Batch()
        b.sample(b.series(metric, labels, unit), BASE, 1)
        cases.append((b.encode(), limit_field, words))
    case("metric", 251, 250, metric="x" * 251)
    case("metric", 252, 250, metric="\u00e9" * 126)
    case("metric", metric="")
    for control in ("\n", "\0", "\x1f", "\x7f", "\u0085"):
        case("metric", metric=f"a{control}b")
    case("unit", 65, 64, unit="u" * 65)
    case("unit", unit="a\tb")
    case("label", 16, labels={f"k{i}": "v" for i in range(17)})
    case("label", 251, 250, labels={"k" * 251: "v"})
    case("label", 251, 250, labels={"k": "v" * 251})
    case("label", labels={"": "v"})
    case("label", labels={"a\x01": "v"})
    case("label", labels={"a": "v\r"})
    for body, limit_field, words in cases:
        refused(post(body), 422, "refused", limit_field, *words)
    b = Batch()
    series = b.message.series.add(metric="m")
    series.labels.add(key="same", value="1")
    series.labels.add(key="same", value="2")
    refused(post(b.encode()), 422, "refused", "label", "same")
    refused(post(field(2, 2, field(1, 2, b"\xff\xfe")) + field(3, 2, b"")), 422, "refused", "metric", "UTF-8")
    good_is_untouched()


def test_names_at_the_limit():
    run = new_run("names")
    b = Batch()
    labels = {f"{i:02}" + "k" * 248: "v" * 250 for i in range(16)}
    b.sample(b.series("m" * 250, labels, "u" * 64), BASE, 1)
    b.sample(b.series("\u00e9" * 125, {"empty": ""}), BASE, 2)
    equal(len(state["client"].ingest(run, b).rejected), 0, "rejected")
    metrics = {m["name"]: m for m in state["client"].metrics(run)}
    equal(metrics["m" * 250]["labels"], labels, "labels")
    equal(metrics["m" * 250]["unit"], "u" * 64, "unit")
    check("\u00e9" * 125 in metrics, "the other name")


def test_producer_is_checked():
    for producer, sequence, where in ((b"x" * 15, 1, "producer.id"), (b"x" * 17, 1, "producer.id"), (b"", 1, "producer.id"),
                                      (b"x" * 16, 0, "producer.sequence")):
        b = one_sample()
        b.message.producer.id = producer
        b.message.producer.sequence = sequence
        refused(post(b.encode()), 422, "refused", where)
    good_is_untouched()


def test_wrong_content_type():
    body = one_sample().encode()
    for content_type in ("text/plain", "application/json", "application/protobuf; x", "application/x-protobuf2", None):
        refused(client().post_ingest(RUN, body, content_type=content_type), 415, "unsupported", "Content-Type",
                "application/x-protobuf")
    for encoding in ("gzip", "br", "zstd, zstd", "deflate"):
        refused(post(body, Content_Encoding=encoding), 415, "unsupported", "Content-Encoding", "zstd")
    good_is_untouched()


# ---- well-formed, with records that cannot be kept ----

def rejections(said):
    return [(pb.Rejected.Kind.Name(r.kind), r.index, r.code) for r in said.rejected]


def test_times_out_of_range():
    run = new_run("times")
    now = time.time_ns()
    b = Batch(producer_id(), 1)
    s = b.series("m")
    times = [-1, 0, BASE, now + 500 * NS, now + 700 * NS, -(1 << 62), (1 << 62), BASE + 1]
    for i, t in enumerate(times):
        b.last = None  # the differences would not fit 64 bits
        b.sample(s, t, i)
    b.log("long ago", -5).log("good", BASE).log("next week", now + 7 * 86400 * NS)
    body = b.encode()
    said = harness.response_of(post(body, run))
    want = [("SAMPLE", 0, "time_before_1970"), ("SAMPLE", 4, "time_in_future"), ("SAMPLE", 5, "time_before_1970"),
            ("SAMPLE", 6, "time_in_future"), ("LOG_RECORD", 0, "time_before_1970"), ("LOG_RECORD", 2, "time_in_future")]
    equal(sorted(rejections(said)), sorted(want), "rejected")
    equal(said.last_seq, said.first_seq, "one log record was kept")
    again = harness.response_of(post(body, run))
    check(again.duplicate, "the repetition is a duplicate")
    equal(sorted(rejections(again)), sorted(want), "rejected, on repetition")
    equal((again.first_seq, again.last_seq), (said.first_seq, said.last_seq), "sequences, on repetition")
    metric, = state["client"].metrics(run)
    equal((metric["count"], metric["min"], metric["max"]), (4, 1, 7), "what was kept")
    equal([r["text"] for r in state["client"].logs(run)], ["good"], "log")


def test_log_records_that_cannot_be_kept():
    run = new_run("log-records")
    b = Batch()
    b.log("fine", BASE)
    b.log("stream too long", BASE, stream="s" * 65)
    b.log("stream with a control character", BASE, stream="a\x02")
    b.log("rank", BASE, stream="stdout", rank=1 << 31)
    b.log("attributes", BASE, attributes={f"k{i}": "v" for i in range(33)})
    b.log("fine too", BASE, attributes={f"k{i}": "v" for i in range(32)})
    said = harness.response_of(post(b.encode(), run))
    equal(sorted(r.index for r in said.rejected), [1, 2, 3, 4], "indexes")
    equal([r.code.startswith("log_") for r in said.rejected], [True] * 4, f"codes of {said.rejected}")
    equal([r["text"] for r in state["client"].logs(run)], ["fine", "fine too"], "what was kept")


# ---- odd, and kept bit for bit ----

def bits(x):
    if x is None or isinstance(x, str):
        x = float(x or "nan")
    return struct.pack("<d", x)


def test_values_are_kept_bit_for_bit():
    run = new_run("values")
    odd = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072009e-308, 1.7976931348623157e308, -1.7976931348623157e308, 0.1,
           1 / 3, 2.0 ** 53 + 2, 1e-300]
    b = Batch()
    for i, value in enumerate(odd):
        s = b.series(f"odd/{i}")
        b.sample(s, BASE, value).sample(s, BASE + NS, value)
    state["client"].ingest(run, b)
    for i, value in enumerate(odd):
        row, = state["client"].query(run, f"odd/{i}", start=BASE // 10**6, end=BASE // 10**6 + 30_000,
                                     agg="count,min,max,first,last,sum")["series"][0]["rows"]
        equal(row[1], 2, "count")
        for got in row[2:6]:
            equal(bits(got), bits(value), f"{value!r} came back as {got!r}")
        if math.isfinite(2 * value):
            equal(row[6], 2 * value, "sum")


def test_non_finite_values_are_counted():
    run = new_run("non-finite")
    payload = struct.pack("<Q", 0x7ff4dead0000beef)  # a signalling NaN
    values = [struct.pack("<d", v) for v in (1.0, math.inf, 2.0, -math.inf, math.nan, -math.nan, -math.inf)] + [payload]
    series = field(2, 2, field(1, 2, b"odd"))
    columns = (field(1, 2, b"\0") + field(3, 1, struct.pack("<q", BASE)) + field(4, 0, NS)
               + field(5, 2, zigzag(0) + zigzag(1) * (len(values) - 1)) + field(7, 2, b"".join(values)))
    equal(post(series + field(3, 2, columns), run).status, 200, "status")
    answer = state["client"].query(run, "odd", start=BASE // 10**6, end=BASE // 10**6 + 30_000,
                                   agg="count,nan,pos_inf,neg_inf,sum,min,max,mean,first,last")
    row, = answer["series"][0]["rows"]
    equal(row[1:], [2, 3, 1, 2, 3.0, 1.0, 2.0, 1.5, 1.0, "NaN"], "the window")
    metric, = state["client"].metrics(run)
    equal((metric["count"], metric["nan"], metric["pos_inf"], metric["neg_inf"]), (2, 3, 1, 2), "whole life")
    only = Batch()
    only.sample(only.series("only"), BASE, math.inf)
    state["client"].ingest(run, only)
    row, = state["client"].query(run, "only", start=BASE // 10**6, end=BASE // 10**6 + 30_000,
                                 agg="count,min,max,mean,first,last,pos_inf")["series"][0]["rows"]
    equal(row[1:], [0, None, None, None, "Infinity", "Infinity", 1], "a window without a finite sample")


def test_steps_that_go_back():
    run = new_run("steps")
    b = Batch()
    s = b.series("m")
    for i, step in enumerate((100, 101, 50, 51, -3, 9_000_000_000_000_000_000)):
        b.sample(s, BASE + i * NS, i, step=step)
    equal(len(state["client"].ingest(run, b).rejected), 0, "rejected")
    b = Batch()
    b.sample(b.series("m"), BASE + 7 * NS, 7, step=7)
    state["client"].ingest(run, b)
    metric, = state["client"].metrics(run)
    equal((metric["count"], metric["last"], metric["last_step"]), (7, 7.0, 7), "the last by time")


# ---- who, where, how often ----

def test_unknown_run():
    body = one_sample().encode()
    refused(post(body, "no-such-run"), 404, "not_found", "run", "no-such-run")
    for bad in ("x" * 65, "a%20b", "a%2Fb"):
        check(post(body, bad).status in (404, 422), f"run id {bad!r}")
    other = Client(server().url, server().token, project="nobody")
    refused(other.post_ingest(RUN, body), 404, "not_found")
    other.close()
    good_is_untouched()


def test_tokens():
    body = one_sample().encode()
    for token in (None, "nonsense", server().token[:-1], server().token + "x"):
        c = Client(server().url, token)
        refused(c.post_ingest(RUN, body), 401, "unauthenticated")
        c.close()
    good_is_untouched()


def test_stable_ids():
    run = new_run("ids")
    b = Batch()
    b.sample(b.series("a"), BASE, 1).sample(b.series("b"), BASE, 2)
    a_id, b_id = state["client"].ingest(run, b).series_ids
    second = Batch()
    second.sample(b_id, BASE + NS, 20, ids=True).sample(a_id, BASE + NS, 10, ids=True)
    state["client"].ingest(run, second)
    equal({m["name"]: m["last"] for m in state["client"].metrics(run)}, {"a": 10.0, "b": 20.0}, "last")
    other = new_run("ids-2")
    answer = post(second.encode(), other)
    refused(answer, 422, "refused", "series")
    equal(state["client"].metrics(other), [], "an id belongs to its run")


def test_body_cut_off():
    body = one_sample("cut").encode() * 50
    for sent in (0, 1, len(body) // 2, len(body) - 1):
        answer = raw_request(f"POST {path()} HTTP/1.1", "Content-Type: application/x-protobuf",
                             f"Content-Length: {len(body)}", body=body[:sent])
        check(answer == b"" or answer.split()[1] == b"400", f"{sent} bytes of {len(body)}: {answer[:100]}")
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    for piece in (chunk, chunk[:-10], b"5\r\nhello\r\n", b"zz\r\n"):
        answer = raw_request(f"POST {path()} HTTP/1.1", "Content-Type: application/x-protobuf",
                             "Transfer-Encoding: chunked", body=piece)
        check(answer == b"" or answer.split()[1] == b"400", f"a chunked body without an end: {answer[:100]}")
    good_is_untouched()


def test_same_batch_twice():
    run = new_run("twice")
    b = Batch(producer_id(), 1)
    b.sample(b.series("m"), BASE, 5).log("once", BASE)
    first = state["client"].ingest(run, b)
    check(not first.duplicate, "the first one is no duplicate")
    for _ in range(3):
        again = state["client"].ingest(run, b)
        check(again.duplicate, "a repetition is a duplicate")
        equal((again.first_seq, again.last_seq, list(again.series_ids)),
              (first.first_seq, first.last_seq, list(first.series_ids)), "the answer of then")
    equal(state["client"].metrics(run)[0]["count"], 1, "count")
    equal(len(state["client"].logs(run)), 1, "log records")


def test_same_batch_at_once():
    run = new_run("at-once")
    rounds = 40
    for i in range(1, rounds + 1):
        b = Batch(b"at once, 16 byte", i)
        b.sample(b.series("m"), BASE + i, 1).log(f"line {i}", BASE)
        said = at_once([lambda c: c.ingest(run, b)] * 3)
        equal(sorted(s.duplicate for s in said), [False, True, True], f"round {i}: duplicates")
        equal(len({s.first_seq for s in said}), 1, "sequences")
    equal(state["client"].metrics(run)[0]["count"], rounds, "count")
    equal([r["text"] for r in state["client"].logs(run)], [f"line {i}" for i in range(1, rounds + 1)], "log")


def at_once(calls):
    """Each call with a client of its own, started together; their results."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def work(i):
        c = Client(server().url, server().token)
        c.get("/runs", limit=1)  # connected
        barrier.wait(harness.DEADLINE_S)
        try:
            results[i] = calls[i](c)
        finally:
            c.close()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(harness.DEADLINE_S)
    check(None not in results, "a request at the same time failed")
    return results


def test_same_sequence_other_bytes():
    run = new_run("other-bytes")
    producer = producer_id()
    state["client"].ingest(run, one_sample("m", producer=producer, sequence=1))
    other = one_sample("m", value=2.0, producer=producer, sequence=1)
    refused(post(other.encode(), run), 409, "conflict", "sequence", 1)
    metric, = state["client"].metrics(run)
    equal((metric["count"], metric["last"]), (1, 1.0), "what is kept")
    def answer_of(batch):
        return lambda c: c.post_ingest(run, batch.encode())
    for i in range(2, 12):
        answers = at_once([answer_of(one_sample("m", value=v, producer=producer, sequence=i)) for v in (3.0, 4.0)])
        equal(sorted(a.status for a in answers), [200, 409], "two contents of one sequence at once")
    equal(state["client"].metrics(run)[0]["count"], 11, "count")


def test_sequences_out_of_order_and_far_ahead():
    run = new_run("ahead")
    producer = producer_id()
    for sequence in (66, 1000, (1 << 64) - 1):
        refused(post(one_sample("m", producer=producer, sequence=sequence).encode(), run), 503, "sequence_ahead",
                "sequence", sequence)
    order = list(range(1, 65))
    random.Random(3).shuffle(order)
    for sequence in order:
        b = one_sample("m", producer=producer, sequence=sequence)
        check(not state["client"].ingest(run, b).duplicate, f"{sequence} is new")
        check(state["client"].ingest(run, b).duplicate, f"{sequence} is there")
    equal(state["client"].metrics(run)[0]["count"], 64, "count")
    for sequence in (66, 65, 128):
        state["client"].ingest(run, one_sample("m", producer=producer, sequence=sequence))
    check(state["client"].ingest(run, one_sample("m", producer=producer, sequence=1)).duplicate, "sequence 1, long after")
    equal(state["client"].metrics(run)[0]["count"], 67, "count")


def test_idempotency_key():
    run = new_run("key")
    body = one_sample("m").log("keyed", BASE).encode()
    first = post(body, run, Idempotency_Key="key-1")
    equal(first.status, 200, "status")
    check("Idempotent-Replay" not in first.headers, "the first answer is no replay")
    again = post(body, run, Idempotency_Key="key-1")
    equal((again.status, again.headers["Idempotent-Replay"]), (200, "true"), "the same again")
    equal((harness.response_of(again).first_seq, list(harness.response_of(again).series_ids)),
          (harness.response_of(first).first_seq, list(harness.response_of(first).series_ids)), "the answer of then")
    refused(post(one_sample("m", value=9.0).encode(), run, Idempotency_Key="key-1"), 409, "conflict", "Idempotency-Key")
    for bad in ("k" * 256, "tab\there", ""):
        refused(post(body, run, Idempotency_Key=bad), 422, "refused", "Idempotency-Key")
    equal(post(body, run, Idempotency_Key="k" * 255).status, 200, "255 characters")
    said = at_once([lambda c: c.post_ingest(run, body, Idempotency_Key="together")] * 4)
    equal(sorted(str(a.headers["Idempotent-Replay"]) for a in said), ["None", "true", "true", "true"], "four at once")
    equal(state["client"].metrics(run)[0]["count"], 3, "count")
    equal(len(state["client"].logs(run)), 3, "log records")


def test_a_refused_request_does_not_use_its_sequence():
    run = new_run("refused-first")
    producer = producer_id()
    b = one_sample("x" * 300, producer=producer, sequence=1)
    refused(post(b.encode(), run), 422, "refused", "metric")
    check(not state["client"].ingest(run, one_sample("fine", producer=producer, sequence=1)).duplicate, "sequence 1")


# ---- JSON lines ----

def test_json_lines():
    run = new_run("lines")
    good = [{"metric": "train/loss", "value": 0.5, "step": 3, "time": "2024-05-06T07:08:09.123456789Z", "labels": {"rank": "0"}},
            {"metric": "train/loss", "value": "NaN", "labels": {"rank": "0"}}, {"log": "text", "level": "warn", "stream": "stderr"}]
    body = "".join(json.dumps(line) + "\n" for line in good).encode()
    answer = client().post_ingest(run, body, content_type=harness.NDJSON, Accept="application/json")
    equal(answer.status, 200, f"status of {answer}")
    metric, = state["client"].metrics(run)
    equal((metric["count"], metric["nan"], metric["first"], metric["labels"]), (1, 1, 0.5, {"rank": "0"}), "metric")
    equal([(r["text"], r["level"], r["stream"]) for r in state["client"].logs(run)], [("text", "warn", "stderr")], "log")
    before = all_of(run)
    for status, line in ((400, '{"metric":"m","value":1'), (400, "[1,2]"), (400, '{"metric":"m","value":1}}'),
                         (422, '{"metric":"m"}'), (422, '{"value":1}'), (422, '{"metric":"m","value":"high"}'),
                         (422, '{"metric":"m","value":1,"time":"yesterday"}'), (422, '{"metric":7,"value":1}'),
                         (422, '{"metric":"m","value":1,"step":1.5}'), (422, '{"log":"x","level":"loud"}'),
                         (422, '{"metric":"m","value":1,"labels":[1]}'), (422, '{"metric":"m","value":1,"log":"x"}')):
        answer = client().post_ingest(run, '{"metric":"first","value":1}\n' + line + "\n", content_type=harness.NDJSON)
        check(answer.status in (400, 422), f"{line}: {answer}")
        equal(answer.status, status, f"{line}: {answer}")
        check("2" in answer.error()["message"] + (answer.error()["field"] or ""), f"{line}: which line? {answer}")
    answer = client().post_ingest(run, "[" * 100_000, content_type=harness.NDJSON)
    refused(answer, 400, "malformed")
    equal(all_of(run), before, "the run after refused lines")
    good_is_untouched()


# ---- and in the end ----

def test_all_is_as_it_was_after_a_restart():
    good_is_untouched()
    runs = sorted(r["id"] for r in state["client"].get("/runs", limit=1000).json()["runs"])
    before = {run: all_of(run) for run in runs}
    server().restart()
    state["client"] = server().client()
    for run in runs:
        equal(all_of(run), before[run], f"run {run} after a restart")
    verify = harness.cli("verify", "--data", server().data)
    equal(verify.returncode, 0, f"verify: {verify.stdout} {verify.stderr}")
    server().stop()


if __name__ == "__main__":
    harness.main(globals())
