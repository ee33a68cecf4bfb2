"""The forms of an ingest answer: protobuf or JSON, asked for or by the body's kind; first or replayed."""
import json
import threading

import harness
from harness import NDJSON, PROTOBUF, Batch, check, equal

state = {}
LINES = b'{"metric":"m","value":1,"time":"2024-05-06T07:08:09Z"}\n{"metric":"m","value":2,"time":-1}\n{"log":"a"}\n'


def client():
    if not state:
        state["server"] = s = harness.Server(until=harness.after_all)
        state["client"] = s.client()
    return state["client"]


def new_run(name):
    client().create_run(name)
    return name


def protobuf_body(**producer):
    b = Batch(**producer)
    b.sample(b.series("m"), 1_700_000_000 * harness.NS, 1.0).log("a").log("b", -5)
    return b.encode()


def in_json(answer):
    equal((answer.status, answer.headers["Content-Type"]), (200, "application/json"), f"form of {answer}")
    return answer.json()


def in_protobuf(answer):
    equal((answer.status, answer.headers["Content-Type"]), (200, PROTOBUF), f"form of {answer}")
    return harness.response_of(answer)


def test_form_of_the_answer():
    run = new_run("forms")
    for body, kind, accept, want in (
            (protobuf_body(), PROTOBUF, None, in_protobuf), (LINES, NDJSON, None, in_json),
            (protobuf_body(), PROTOBUF, "application/json", in_json), (LINES, NDJSON, PROTOBUF, in_protobuf),
            (protobuf_body(), PROTOBUF, PROTOBUF, in_protobuf), (LINES, NDJSON, "application/json", in_json),
            (protobuf_body(), PROTOBUF, "*/*", in_protobuf), (LINES, NDJSON, "*/*", in_json),
            (protobuf_body(), PROTOBUF, "text/html, application/json;q=0.9, */*", in_json),
            (LINES, NDJSON, "Application/X-Protobuf", in_protobuf),
            (LINES, "application/x-ndjson; charset=utf-8", "text/plain", in_json)):
        headers = {"Accept": accept} if accept else {}
        said = want(client().post_ingest(run, body, content_type=kind, **headers))
        if want is in_json:
            equal([r["code"] for r in said["rejected"]], ["time_before_1970"], f"rejected, {kind} {accept}")
        else:
            equal([r.code for r in said.rejected], ["time_before_1970"], f"rejected, {kind} {accept}")


def test_json_answer():
    run = new_run("json")
    said = in_json(client().post_ingest(run, LINES, content_type=NDJSON))
    sid, = said["series_ids"]
    equal(said, {"duplicate": False, "first_seq": 1, "last_seq": 1, "series_ids": [sid],
                 "rejected": [{"kind": "sample", "index": 1, "code": "time_before_1970"}], "should_stop": False}, "answer")
    check(sid > 0, "a series id is", sid)
    said = in_json(client().post_ingest(run, protobuf_body(), Accept="application/json"))
    equal(said, {"duplicate": False, "first_seq": 2, "last_seq": 2, "series_ids": [sid],
                 "rejected": [{"kind": "log_record", "index": 1, "code": "time_before_1970"}], "should_stop": False}, "answer")
    empty = {"duplicate": False, "first_seq": 0, "last_seq": 0, "series_ids": [], "rejected": [], "should_stop": False}
    equal(in_json(client().post_ingest(run, b"", content_type=NDJSON)), empty, "of an empty body")
    equal(in_json(client().post_ingest(run, b"", Accept="application/json")), empty, "of an empty message")


def test_a_replay_is_the_first_answer():
    run = new_run("replay")
    for kind, body in ((NDJSON, LINES), (PROTOBUF, protobuf_body())):
        first = client().post_ingest(run, body, content_type=kind, Idempotency_Key=kind)
        again = client().post_ingest(run, body, content_type=kind, Idempotency_Key=kind)
        equal(again.body, first.body, "the answer again")
        equal((first.headers["Idempotent-Replay"], again.headers["Idempotent-Replay"]), (None, "true"), "headers")


def test_a_producer_needs_no_key():
    """Its sequence decides, and a key beside it is not spent."""
    run = new_run("both")
    first = protobuf_body(producer=b"p" * 16, sequence=1)
    said = in_json(client().post_ingest(run, first, Accept="application/json", Idempotency_Key="k"))
    check(not said["duplicate"], "the first one is new")
    answer = client().post_ingest(run, first, Accept="application/json", Idempotency_Key="other")
    equal((answer.json()["duplicate"], answer.headers["Idempotent-Replay"]), (True, None), "its repetition")
    answer = client().post_ingest(run, LINES, content_type=NDJSON, Idempotency_Key="k")
    equal((answer.status, answer.headers["Idempotent-Replay"]), (200, None), "the key for something else")


def test_new_names_from_everywhere_at_once():
    """Many requests name the same new series at the same time: one id each, in every answer."""
    run = new_run("names")
    answers = [None] * 8
    start = threading.Barrier(len(answers))

    def send(i):
        c = harness.Client(state["server"].url, state["server"].token)
        c.get("/runs", limit=1)
        names = [f"m{(j * 7 + i) % 500}" for j in range(500)]
        body = b"".join(json.dumps({"metric": m, "value": 1}).encode() + b"\n" for m in names)
        start.wait(harness.DEADLINE_S)
        answers[i] = dict(zip(names, in_json(c.post_ingest(run, body, content_type=NDJSON))["series_ids"]))
        c.close()
    threads = [threading.Thread(target=send, args=(i,)) for i in range(len(answers))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(harness.DEADLINE_S)
    check(None not in answers, "a request failed")
    for a in answers:
        equal(a, answers[0], "ids")
    equal((len(set(answers[0].values())), len(answers[0])), (500, 500), "ids, names")
    equal({m["count"] for m in client().metrics(run)}, {8}, "count of each")


if __name__ == "__main__":
    harness.main(globals())
