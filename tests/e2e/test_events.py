"""Whole events: `astraml logs --events`, and tracebacks that -C does not cut, against made-up logs whose
events are known, with ranks that run into each other, and against the tracebacks of a real log."""
import glob
import gzip
import json
import os
import random
import re
import subprocess

import harness
from harness import NS, Batch, check, cli, equal, wait_for

REAL = glob.glob(os.path.join(harness.ROOT, "tests", "data", "algoperf", "logs", "*criteo1tb_pytorch*.gz"))[0]
BASE = 1_700_000_000 * NS
LEVELS = {"": "LEVEL_UNSET", "warn": "WARN", "error": "ERROR", "info": "INFO"}
state = {}


def server():
    if not state:
        state["server"] = s = harness.Server(arguments=("--log-block", "64KiB"), until=harness.after_all)
        state["client"] = s.client()
    return state["server"]


def shown(run, *arguments, form="--raw", status=0):
    r = cli("logs", run, *arguments, *([form] if form else []), "--data", server().data)
    equal(r.returncode, status, f"{arguments}: {r.stderr}")
    return r.stdout


# ---- logs whose events are known ----

class Event:
    def __init__(self, kind, rank, lines):
        self.kind, self.rank, self.lines = kind, rank, lines
        self.level = next((level for level, _ in lines if level), "")

    def bytes(self):
        return b"".join(text for _, text in self.lines)


def made_up_event(chance, token, rank):
    """(level, text) of each line; every line has a word of its own.  Tracebacks are events that -C keeps whole."""
    word = lambda: f"w{next(token)}z"
    trace = lambda: ["Traceback (most recent call last):\n",
                     *[f'  File "a.py", line {i}, in {word()}\n' for i in range(chance.randrange(1, 4))],
                     f"some.ValueError: {word()}\n"]
    kind = chance.choice(["plain"] * 6 + ["set in", "trace", "logged", "chained", "java"])
    if kind == "plain":
        lines = [(chance.choice(["", "info", "warn", "error"]), f"plain {word()}\n")]
        if lines[0][0] == "error":  # a traceback behind it would be its own
            lines.append(("", f"  said by {word()}\n"))
            kind = "set in"
    elif kind == "set in":
        lines = [("info", f"config {word()}\n"), *[("", f"\tset in {word()}\n") for _ in range(chance.randrange(1, 5))]]
    elif kind == "trace":
        lines = [("", line) for line in trace()]
    elif kind == "logged":
        lines = [("error", f"failed {word()}\n"), *[("", line) for line in trace()]]
    elif kind == "chained":
        lines = [("", line) for line in (*trace(), "\n", "During handling of the above exception, another exception "
                                         "occurred:\n", "\n", *trace())]
    else:
        lines = [("warn", f"java {word()}\n"), ("", f"java.lang.Exception: {word()}\n"),
                 *[("", f"\tat com.x.{word()}(X.java:1)\n") for _ in range(3)], ("", f"Caused by: a.b.Error: {word()}\n"),
                 ("", "\t... 3 more\n")]
    return Event(kind, rank, [(level, text.encode()) for level, text in lines])


def made_up(run, seed, events=400, ranks=4):
    """Pushes it; the events in the order in which they begin, and the record numbers of each one's lines."""
    chance = random.Random(seed)
    token = iter(range(10**6, 10**7))
    queues = [[made_up_event(chance, token, rank) for _ in range(events // ranks)] for rank in range(ranks)]
    records, order = [], []
    heads = [(0, 0)] * ranks  # event, line
    while any(at < len(queues[r]) for r, (at, _) in enumerate(heads)):
        rank = chance.choice([r for r, (at, _) in enumerate(heads) if at < len(queues[r])])
        at, line = heads[rank]
        event = queues[rank][at]
        if line == 0:
            order.append(event)
            event.records = []
        event.records.append(len(records))
        records.append((event, *event.lines[line]))
        heads[rank] = (at, line + 1) if line + 1 < len(event.lines) else (at + 1, 0)
    server()
    state["client"].create_run(run)
    for first in range(0, len(records), 50):
        b = Batch()
        for i, (event, level, text) in enumerate(records[first:first + 50], first):
            b.log(text, BASE + i, level=LEVELS[level], rank=event.rank)
        state["client"].ingest(run, b)
    return order, records


def around(order, hits, n):
    wanted = {i + d for i, event in enumerate(order) if event in hits for d in range(-n, n + 1)}
    return [event for i, event in enumerate(order) if i in wanted]


def pieces(chance, order, n):
    """Words of some of the lines, and what several events have."""
    words = [re.search(rb"w\d+z", text)[0].decode() for event in order for _, text in event.lines if b"w" in text and
             re.search(rb"w\d+z", text)]
    return chance.sample(words, n) + ["Traceback", "config", "java.lang", "nothing has this"]


def test_whole_events():
    for seed in (1, 2):
        run = f"made-up-{seed}"
        order, _ = made_up(run, seed)
        chance = random.Random(seed + 10)
        for word in pieces(chance, order, 10):
            hits = [event for event in order if any(word.encode() in text for _, text in event.lines)]
            for n in (0, 1, 3):
                want = b"".join(event.bytes() for event in around(order, hits, n))
                got = shown(run, "--events", "--grep", word, "-C", n)
                equal(got, want, f"events of {word} -C {n}")
            for n in (1, 2, 50):
                equal(shown(run, "--events", "--grep", word, "--tail", n), b"".join(e.bytes() for e in hits[-n:]),
                      f"the last {n} events of {word}")
            rank = chance.randrange(4)
            equal(shown(run, "--events", "--grep", word, "--rank", rank),
                  b"".join(e.bytes() for e in hits if e.rank == rank), f"events of {word} of rank {rank}")
        strong = [e for e in order if e.level in ("warn", "error")]
        equal(shown(run, "--events", "--level", "warn"), b"".join(e.bytes() for e in strong), "by level")
        # the level is that of one line, the text that of another
        equal(shown(run, "--events", "--level", "warn", "--grep", "ValueError"),
              b"".join(e.bytes() for e in strong if b"ValueError" in e.bytes()), "by level and text")
        equal(shown(run, "--events"), b"".join(e.bytes() for e in order), "all events")
        for n in (0, 1, 7, 10**6):
            equal(shown(run, "--events", "--tail", n), b"".join(e.bytes() for e in order[len(order) - min(n, len(order)):]),
                  f"the last {n} events")
        records = [json.loads(line) for line in shown(run, "--events", "--grep", "config", form="--json").splitlines()]
        equal(b"".join(r["text"].encode() for r in records[:-1]),
              b"".join(e.bytes() for e in order if b"config" in e.bytes()), "as JSON")
        check("end" in records[-1], records[-1])


def test_context_cuts_no_traceback():
    order, records = made_up("context", 3, ranks=2)
    traces = ("trace", "logged", "chained", "java")
    for word in pieces(random.Random(4), order, 12)[:-1]:
        hits = [i for i, (_, _, text) in enumerate(records) if word.encode() in text]
        for n in (1, 2, 5):
            lines = {i + d for i in hits for d in range(-n, n + 1) if 0 <= i + d < len(records)}
            for event in {id(records[i][0]): records[i][0] for i in lines}.values():
                if event.kind in traces:
                    lines.update(event.records)
            # in the order in which events begin, and lines that are none of a traceback by themselves
            first = lambda i: records[i][0].records[0] if records[i][0].kind in traces else i
            want = b"".join(records[i][2] for i in sorted(lines, key=lambda i: (first(i), i)))
            equal(shown("context", "--grep", word, "-C", n), want, f"{word} -C {n}")
    # as text, "--" stands where something was left out
    some = shown("context", "--grep", "config", "-C", 1, form=None).decode()
    check("\n--\n" in some and not some.startswith("--") and not some.endswith("--\n"), some)


def test_real_tracebacks():
    """Those of eight ranks of a PyTorch job, and what logging.exception said."""
    r = cli("import", "text", "--run", "real", "--start", "2025-03-01T00:00:00Z", REAL, "--data", server().data)
    equal(r.returncode, 0, r.stderr)
    with gzip.open(REAL) as f:
        lines = f.read().splitlines(keepends=True)
    by_rank = {}
    for line in lines:
        m = re.match(rb"(\[rank\d\]): ", line)
        if m:
            by_rank.setdefault(m[1], []).append(line)
    check(len(by_rank) == 8, sorted(by_rank))
    got = shown("real", "--events", "--grep", "AttributeError: 'NoneType'")
    equal(sorted(got.splitlines()), sorted(b"".join(b"".join(v) for v in by_rank.values()).splitlines()), "all ranks")
    equal([len(list(g)) for g in re.findall(rb"((?:\[rank\d\]: .*\n)+)", got)][0], len(got), "nothing else")
    for label, own in by_rank.items():
        check(b"".join(own) in got, label, "is not kept together")
    imports = shown("real", "--events", "--level", "error", "--grep", "No module named")
    check(imports.startswith(b"ERROR:root:Unable to import wandb.\nTraceback"), imports[:200])
    equal(imports.count(b"Traceback"), imports.count(b"ERROR:root"), "errors and their tracebacks")
    last = shown("real", "--events", "--grep", "ModuleNotFoundError", "--tail", 1)
    equal(last.count(b"\n"), 6, last)


def test_events_far_apart_and_long():
    """More lies between finds than an answer has around them; an event that reaches further is shown in part."""
    server()
    state["client"].create_run("far")
    texts = []
    for block in range(20):
        texts += ["Traceback (most recent call last):\n", f"  File {block}\n", f"E.Error: find {block}\n"]
        texts += [f"plain {block} {i}\n" for i in range(300)]
    texts += ["long\n", *[f"  line {i}\n" for i in range(500)]]
    b = Batch()
    for i, text in enumerate(texts):
        b.log(text, BASE + i, level="LEVEL_UNSET")
    state["client"].ingest("far", b)
    want = "".join(f"Traceback (most recent call last):\n  File {i}\nE.Error: find {i}\n" for i in range(20))
    equal(shown("far", "--events", "--grep", "find").decode(), want, "far apart")
    equal(shown("far", "--events", "--grep", "find", "--tail", 3).decode(), "".join(want.splitlines(True)[-9:]), "tail")
    equal(shown("far", "--grep", "find 7", "-C", 1).decode(),
          "Traceback (most recent call last):\n  File 7\nE.Error: find 7\nplain 7 0\n", "-C")
    equal(shown("far", "--grep", "find", "-C", 1, form=None).decode().count("--\n"), 19, "groups")
    got = shown("far", "--events", "--grep", "line 250").decode()
    check(got == "".join(f"  line {i}\n" for i in range(50, 451)), got[:100], got[-100:])


def test_events_are_followed():
    """What goes on from a find is shown as it comes, also over a restart; nothing twice."""
    directory = harness.scratch()
    s = harness.Server(listen=(f"unix:{directory}/socket",))
    c = s.client()
    c.create_run("f")
    push = lambda *texts: c.ingest("f", [b := Batch(), *[b.log(t, level="LEVEL_UNSET") for t in texts]][0])
    push("before\n", "Traceback (most recent call last):\n", "  File 1\n")
    p = subprocess.Popen([harness.PROGRAM, "logs", "f", "-f", "--events", "--grep", "Traceback", "--server", s.url],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env=harness.program_environment(ASTRAML_TOKEN=s.token))
    harness.after_test.append(p.kill)
    lines = lambda n: [p.stdout.readline().decode() for _ in range(n)]
    equal(lines(2), ["Traceback (most recent call last):\n", "  File 1\n"], "what was there")
    push("  File 2\n")
    equal(lines(1), ["  File 2\n"], "the next line of it")
    s.restart()
    c = s.client()
    push("  File 3\n", "E: x\n", "plain\n")
    equal(lines(2), ["  File 3\n", "E: x\n"], "after a restart")
    push("Traceback (most recent call last):\n")
    equal(lines(1), ["Traceback (most recent call last):\n"], "another")
    p.terminate()
    p.wait()
    equal(p.stdout.read(), b"", "nothing else")
    s.stop()


def test_usage():
    for arguments, word in ((("--events", "--around-step", "3"), "--events"), (("--level", "loud"), "loud"),
                            (("--events", "--tail", "x"), "--tail")):
        r = cli("logs", "r", *arguments, "--data", server().data)
        check(r.returncode == 2 and word in r.stderr.decode(), arguments, r)


if __name__ == "__main__":
    harness.main(globals())
