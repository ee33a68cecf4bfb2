"""`astraml push`: what it acknowledges is there once, whatever happens between; what cannot be is told
by the number of its line."""
import datetime
import glob
import gzip
import json
import os
import subprocess
import sys
import threading
import time

import harness
from harness import check, equal, wait_for

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import text_oracle  # noqa: E402

MIB = 1 << 20
state = {}


def server():
    if not state:
        state["server"] = s = harness.Server(until=harness.after_all)
        state["client"] = s.client()
    return state["server"]


def push(run, lines, *arguments, status=0, env=None, data=None):
    """Runs it on these lines (objects, or text) to its end; what it said on stderr."""
    stdin = lines if isinstance(lines, bytes) else b"".join(as_line(line) for line in lines)
    p = harness.cli("push", "--run", run, "--data", data or server().data, *arguments, stdin=stdin, env=env)
    equal(p.returncode, status, f"exit status; it said {p.stderr}")
    equal(p.stdout, b"", "stdout")
    return p.stderr.decode()


def as_line(line):
    return (line if isinstance(line, str) else json.dumps(line)).encode() + b"\n"


def texts(run, client=None):
    return [r["text"] for r in (client or state["client"]).logs(run)]


def same(got, want, what):
    """Equal lists; of what differs only the first is told."""
    if got != want:
        at = next((i for i, (g, w) in enumerate(zip(got, want)) if g != w), min(len(got), len(want)))
        raise AssertionError(f"{what}: {len(got)} entries for {len(want)}, from {at} on {got[at:at + 3]} for {want[at:at + 3]}")


def log_lines(n, first=0):
    return [{"log": f"line {i}"} for i in range(first, first + n)]


def sample(i, **more):
    return dict({"metric": "m", "value": i, "step": i}, **more)


# ---- what is pushed is there ----

def test_a_first_push_makes_the_run():
    said = push("first", [sample(1, time="2024-05-06T07:08:09Z", labels={"rank": "0"}), sample(3),
                          {"log": "a\nb\n", "level": "warn", "stream": "stderr", "rank": 3, "attrs": {"k": "v"}}])
    equal(said, "pushed 3 lines\n", "stderr")
    counts = {json.dumps(m["labels"]): (m["count"], m["last"]) for m in state["client"].metrics("first")}
    equal(counts, {'{"rank": "0"}': (1, 1.0), "{}": (1, 3.0)}, "metrics")
    record, = state["client"].logs("first")
    equal([record[k] for k in ("text", "level", "stream", "rank", "attrs")],
          ["a\nb\n", "warn", "stderr", 3, {"k": "v"}], "log record")
    push("first", [sample(5)])
    equal(sum(m["count"] for m in state["client"].metrics("first")), 3, "count after a second push")


def test_levels_that_texts_tell():
    """Of real lines whose sender told none; the time is that of receipt, and an explicit level wins."""
    said = {}
    for path in glob.glob(os.path.join(harness.ROOT, "tests", "data", "*", "*", "*.gz")):
        if "csv" not in path and "tfevents" not in path:
            with gzip.open(path) as f:
                found = text_oracle.lines(f.read(), reference_ns=time.time_ns())
            run = os.path.basename(path)[:60]
            before = time.time()
            push(run, [{"log": line.decode("utf-8", "replace")} for line, _, _ in found[:3000]])
            records = state["client"].logs(run)
            same([r["level"] or "" for r in records], [level for _, _, level in found[:3000]], f"levels of {path}")
            same([r["text"] for r in records], [line.decode("utf-8", "replace") for line, _, _ in found[:3000]], "texts")
            times = {r["time"] for r in records}
            check(all(before - 1 < epoch(t) < time.time() + 1 for t in times), "times of receipt", sorted(times)[:3])
            for r in records:
                said[r["level"]] = said.get(r["level"], 0) + 1
    check(all(said.get(level, 0) > 9 for level in (None, "info", "warn", "error")), said)
    push("explicit", [{"log": "WARNING:root:x", "level": "trace"}, {"log": "WARNING:root:x", "level": None}])
    equal([r["level"] for r in state["client"].logs("explicit")], ["trace", None], "what the sender says")


def epoch(text):
    return datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def test_odd_lines():
    said = push("odd", b'\n{"log":"crlf"}\r\n  \n\t{"log":"tab"} \n{"log":"no end"}')
    equal(said, "pushed 5 lines\n", "stderr")
    equal(texts("odd"), ["crlf", "tab", "no end"], "texts")
    equal(push("odd", b""), "pushed 0 lines\n", "nothing at all")


def test_more_than_one_request():
    n = 12_345
    lines = [line for i in range(n) for line in (sample(i), {"log": f"line {i}"})]
    equal(push("many", lines), f"pushed {2 * n} lines\n", "stderr")
    same(texts("many"), [f"line {i}" for i in range(n)], "texts, in order")
    metric, = state["client"].metrics("many")
    equal((metric["count"], metric["min"], metric["max"]), (n, 0, n - 1), "metric")


def test_long_lines():
    long = [str(i) * size for i, size in enumerate((MIB - 1, MIB, MIB + 1, 3 * MIB))]
    push("long", [{"log": text} for text in long])
    check("".join(texts("long")) == "".join(long), "texts together")
    said = push("long", [{"log": "before"}, {"log": "x" * (10 * MIB)}], status=2)
    check("line 2 " in said and "8 MiB" in said and "pushed 1 line;" in said, said)
    equal(texts("long")[-1], "before", "the last text")


def test_run_and_key_from_elsewhere():
    p = harness.cli("push", "--data", server().data, stdin=as_line(sample(1)), env={"ASTRAML_RUN": "from-env"})
    equal(p.returncode, 0, p.stderr)
    equal(len(state["client"].metrics("from-env")), 1, "metrics")
    for arguments in ((), ("--run", "a/b"), ("--run", "x" * 65), ("--run", ""), ("--run", "r", "--nonsense"),
                      ("--run", "r", "file.jsonl"), ("--run", "r", "--idempotency-key", ""),
                      ("--run", "r", "--idempotency-key", "k" * 236), ("--run", "r", "--idempotency-key", "a\nb")):
        p = harness.cli("push", *arguments, "--data", server().data, stdin=as_line(sample(1)))
        equal(p.returncode, 2, f"{arguments}: {p.stderr}")
    p = harness.cli("push", "--help")
    check(p.returncode == 0 and b"example:" in p.stdout, "--help", p)


def test_without_a_server():
    data = os.path.join(harness.scratch(), "data")
    equal(push("alone", [sample(1), {"log": "kept"}], data=data), "pushed 2 lines\n", "stderr")
    with harness.Server(data=data) as s:
        equal([r["text"] for r in s.client().logs("alone")], ["kept"], "texts")


# ---- again ----

def test_same_key_again_adds_nothing():
    lines = [line for i in range(7000) for line in (sample(i), {"log": f"line {i}"})]
    for _ in range(3):
        push("again", lines, "--idempotency-key", "monday")
    metric, = state["client"].metrics("again")
    equal((metric["count"], len(texts("again"))), (7000, 7000), "what is there")
    push("again", lines)
    equal(state["client"].metrics("again")[0]["count"], 14000, "count, without a key")
    said = push("again", [sample(1)], "--idempotency-key", "monday", status=2)
    check("Idempotency-Key" in said, said)


def test_same_key_whatever_the_pace():
    """With a key of the user's own the requests do not depend on when the lines come."""
    lines = [as_line(sample(i)) for i in range(11_000)]
    p = start("pace", "--idempotency-key", "slow")
    for part in range(0, len(lines), 3700):
        p.stdin.write(b"".join(lines[part:part + 3700])[:-5])
        p.stdin.flush()
        time.sleep(0.5)  # a pause that would send what is there, were there no key
        p.stdin.write(b"".join(lines[part:part + 3700])[-5:])
    end(p)
    push("pace", b"".join(lines), "--idempotency-key", "slow")
    equal(state["client"].metrics("pace")[0]["count"], 11_000, "count")


# ---- while it goes on ----

def start(run, *arguments, where=()):
    return subprocess.Popen([harness.PROGRAM, "push", "--run", run, *(where or ("--data", server().data)), *arguments],
                            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.program_environment())


def wait_until_read(p):
    """Until nothing lies in the pipe and it waits for more."""
    import fcntl
    import termios

    def empty():
        left = fcntl.ioctl(p.stdin.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return int.from_bytes(left, "little") == 0 and open(f"/proc/{p.pid}/stat").read().split(") ")[1][0] == "S"
    wait_for(empty, "push to read its input")


def end(p, status=0):
    _, said = p.communicate(timeout=harness.DEADLINE_S)
    equal(p.returncode, status, f"exit status; it said {said}")
    return said.decode()


def test_live_lines_are_there_before_the_end():
    push("live", [])
    p = start("live")
    for i in range(5):
        p.stdin.write(as_line({"log": f"line {i}"}))
        p.stdin.flush()
        wait_for(lambda: len(texts("live")) == i + 1, f"line {i} while the pipe is open")
    p.stdin.write(b'{"log":"half')
    p.stdin.flush()
    wait_until_read(p)
    equal(len(texts("live")), 5, "half a line is none")
    p.stdin.write(b' a line"}\n')
    end(p)
    equal(texts("live")[-1], "half a line", "the last")


def test_a_steady_trickle_does_not_wait():
    """Never a pause of 200 ms (but for the machine's own); and yet nothing waits much longer than a second."""
    push("trickle", [])
    p = start("trickle")
    stop = threading.Event()
    written = 0

    def trickle():
        nonlocal written
        while not stop.wait(0.01):
            p.stdin.write(as_line({"log": f"line {written}"}))
            p.stdin.flush()
            written += 1
    writer = threading.Thread(target=trickle)
    writer.start()
    try:
        for _ in range(8):
            now = written
            wait_for(lambda: len(texts("trickle")) > now, f"line {now} of a trickle", timeout=5)
    finally:
        stop.set()
        writer.join()
    end(p)
    same(texts("trickle"), [f"line {i}" for i in range(written)], "texts")


def test_server_killed_in_the_middle():
    """It holds the lines back meanwhile, and sends again what had no answer."""
    socket = os.path.join(harness.scratch(), "sock")
    s = harness.Server(listen=(f"unix:{socket}",))
    p = start("killed", where=("--data", s.data))
    n = 60_000
    lines = (line for i in range(n) for line in (sample(i), {"log": f"line {i}"}))

    def write():
        for line in lines:
            p.stdin.write(as_line(line))
        p.stdin.close()
    writer = threading.Thread(target=write)
    writer.start()
    for kill in range(3):
        c = s.client()
        least = (kill + 1) * 5000
        wait_for(lambda: c.get("/runs/killed/logs", limit=1).status == 200 and len(texts("killed", c)) > least, "lines")
        s.kill9()
        s.start()
    writer.join()
    said = p.stderr.read().decode()
    equal(p.wait(harness.DEADLINE_S), 0, f"exit status; it said {said}")
    check(said.endswith(f"pushed {2 * n} lines\n"), said)
    c = s.client()
    same(texts("killed", c), [f"line {i}" for i in range(n)], "texts")
    equal(c.metrics("killed")[0]["count"], n, "samples")
    s.stop()


# ---- what cannot be ----

def test_refused_lines_are_told_by_number():
    for run, at, line, words in (("bad-1", 1, '{"metric":"m"}', "value"), ("bad-2", 7, '{"log":"x"', "JSON"),
                                 ("bad-3", 5001, '{"metric":"m","value":1,"setp":3}', "setp"),
                                 ("bad-4", 12_000, '{"metric":"a\\tb","value":1}', "metric")):
        lines = [*log_lines(at - 1), line, *log_lines(20)]
        said = push(run, lines, status=2)
        check(f"line {at}: " in said and words in said, said)
        whole = (at - 1) // 5000 * 5000
        check(f"pushed {whole} lines;" in said, said)
        same(texts(run), [f"line {i}" for i in range(whole)], "what was acknowledged before")


def test_rejected_records_are_told_by_number():
    lines = [*log_lines(5500), sample(1, time=-1), "", sample(2), {"log": "a", "stream": "s" * 65}, sample(3, time="2261-01-01T00:00:00Z"),
             {"log": "b"}, {"log": "c", "rank": -1}]
    said = push("rejected", lines, status=2)
    told = sorted(line.split("push: ", 1)[-1] for line in said.splitlines()[:-1])
    equal(told, ["line 5501: sample rejected: time_before_1970", "line 5504: log record rejected: log_stream",
                 "line 5505: sample rejected: time_in_future", "line 5507: log record rejected: log_rank"], "stderr")
    same(texts("rejected"), [f"line {i}" for i in range(5500)] + ["b"], "the others")
    equal(state["client"].metrics("rejected")[0]["count"], 1, "the other sample")
    said = push("rejected", [sample(i, time=-1) for i in range(50)], status=2)
    check("and 30 more" in said, said)


def test_not_allowed():
    said = push("r", [sample(1)], "--server", server().url, env={"ASTRAML_TOKEN": "nonsense"}, status=4)
    check("token" in said and "pushed 0 lines" in said, said)


if __name__ == "__main__":
    harness.main(globals())
