"""Search in logs, sealed, young and being written, against a naive look through the original bytes."""
import glob
import gzip
import http.client
import json
import os
import random
import re
import socket
import time

import harness
from harness import NS, Batch, check, equal

HERE = [os.path.join(harness.ROOT, "tests", "data"), os.path.join(harness.ROOT, "..", "shared", "data")]
LOGS = ("mlperf_training/*/*.gz", "algoperf/logs/*.gz", "speedrun/*.gz", "param_golf/*.gz")
T0 = 1_600_000_000
HARD = [r"run_st(art|op)", r"(?i)warning", r"epoch\D+\d+", r'File ".*", line \d+, in \w+', r"^:::MLL.*run_stop",
        r"failed|killed|aborted", r"(?i)error|exception|traceback|\bnan\b", r"[a-z]+_stop", r"\d{3}\.\d{2,}ms", r"0\.7[0-9]+",
        r"\b[0-9]+/[0-9]+ \[", r"[A-Z]{4,}[^a-z]*[0-9]{3}$", r"^$", r"^\D*$", r"\d{2}$", r"(\d)\1\1", r"(?<=[=:] )\d+", r"\b7\b",
        r"[1-5]{2}\W", r"(?:\d+[.:]){2}\d", r"\r\D{2}", r"(?s)1.*9\s*$", r"\w{30}"]


def lines_of(path, most):
    """The first lines of a log with their ends, `most` bytes of them."""
    with gzip.open(path) as f:
        content = f.read(most)
    return [line for line in re.split(rb"(?<=\n)", content) if line]


def files():
    here = [p for pattern in LOGS for p in sorted(glob.glob(os.path.join(HERE[0], pattern)))]
    there = [sorted(glob.glob(os.path.join(HERE[1], pattern))) for pattern in LOGS]
    if not any(there):
        print("# no ../shared/data: real logs of tests/data only")
    return here + [p for paths in there for p in paths[:: max(1, len(paths) // 5)]]


class Log:
    """A run of some lines on a server with small blocks, and what a naive look finds in them."""

    def __init__(self, server, run, lines, chance):
        self.client, self.run, self.lines, self.chance = server.client(), run, lines, chance
        self.text = [line.decode("utf-8", "surrogateescape") for line in lines]
        self.valid = [not any("\ud800" <= c <= "\udfff" for c in t) for t in self.text]
        self.ranks = [chance.randrange(3) for _ in lines]
        self.streams = [chance.choice(("stdout", "stdout", "stderr")) for _ in lines]
        self.warn = [chance.random() < 0.02 for _ in lines]
        self.stopped = 0
        self.client.create_run(run)
        at = 0
        while at < len(lines):
            b, n = Batch(), chance.choice((1, 7, 40))
            for i in range(at, min(at + n, len(lines))):
                b.log(lines[i], t_ns=T0 * NS + i * 1_000_000, rank=self.ranks[i], stream=self.streams[i],
                      level="WARN" if self.warn[i] else "INFO")
            self.client.ingest(run, b)
            at += n

    def hits(self, grep=None, regex=None, level=None):
        found = [grep is None or grep in line for line in self.lines]
        if regex is not None:
            compiled = re.compile(regex, re.ASCII)
            ends = [t[:-1] if t.endswith("\n") else t for t in self.text]
            ends = [t[:-1] if t.endswith("\r") else t for t in ends]
            found = [f and bool(compiled.search(t)) for f, t in zip(found, ends)]
        return [f and (level is None or w) for f, w in zip(found, self.warn)]

    def expected(self, backward=False, context=0, limit=None, rank=None, stream=None, start=0, end=2 ** 62, **search):
        """Sequence and whether it is context, as the answer has them."""
        log = [i for i in range(len(self.lines)) if rank in (None, self.ranks[i]) and stream in (None, self.streams[i])
               and start <= T0 * 1000 + i < end]
        hits = self.hits(**search)
        if backward:
            log.reverse()
        at = [n for n, i in enumerate(log) if hits[i]][:limit]
        shown = sorted({n + d for n in at for d in range(-context, context + 1) if 0 <= n + d < len(log)})
        at = set(at)
        return [(log[n] + 1, n not in at) for n in shown]

    def check(self, **ask):
        parameters = {k: v for k, v in ask.items() if k != "backward"}
        if ask.get("backward"):
            parameters["direction"] = "backward"
        answer = self.client.get(f"/runs/{self.run}/logs", **dict({"limit": 1_000_000}, **parameters))
        equal(answer.status, 200, ask)
        *records, end = [json.loads(line) for line in answer.body.splitlines()]
        if ask.get("regex") is not None and end.get("error", {}).get("field") == "regex":
            self.stopped += 1  # a random expression may cost more than one is given
            return
        check("end" in end, ask, end)
        got = [(r["seq"], r.get("context", False)) for r in records]
        want = self.expected(**ask)
        if ask.get("regex") is not None:  # of what is not UTF-8 a regex may see less
            got, want = ([x for x in side if self.valid[x[0] - 1]] for side in (got, want))
        if got != want:
            lost, more = ([x for x in a if x not in b][:5] for a, b in ((want, got), (got, want)))
            raise AssertionError(f"{self.run} {ask}: lost {lost}, too many {more}, of {len(want)}; "
                                 f"{[self.lines[s - 1][:200] for s, _ in (lost + more)[:2]]}")

    def check_counts(self, **ask):
        answer = self.client.get(f"/runs/{self.run}/logs/histogram", every="1s", **ask).json()
        equal(answer["records"], len([hit for hit in self.hits(**ask) if hit]), f"{self.run} {ask}, counted")

    def piece(self):
        line = self.chance.choice(self.lines)
        at = self.chance.randrange(len(line))
        return line[at:at + self.chance.choice((1, 2, 3, 5, 9, 20, 60))]


def changed(chance, piece):
    at = chance.randrange(len(piece))
    return piece[:at] + bytes([chance.choice(b"0123456789xqz. ")]) + piece[at + 1:]


def greps(log):
    """Of the text, and changed; with digits, without, digits alone; what is nowhere."""
    chance = log.chance
    digits = [m for line in chance.sample(log.lines, min(50, len(log.lines))) for m in re.findall(rb"\d+", line)]
    pieces = [log.piece() for _ in range(24)]
    pieces += [changed(chance, p) for p in pieces[:12]]
    pieces += chance.sample(digits, min(6, len(digits)))
    pieces += [d[1:] for d in chance.sample(digits, min(4, len(digits))) if len(d) > 1]
    pieces += [b"zq_absent_word", b"98765432109876543210", b"\r", b"0", b"\n"]
    return [p for p in pieces if p]


def random_regex(log):
    """From a piece of a line, some of it made a class or optional, in another case or with a choice."""
    chance = log.chance
    text = log.piece().decode("latin-1")
    text = "".join(c if " " <= c <= "~" else "." for c in text) or "x"
    parts, flags = [], ""
    for word in re.findall(r"\d+|[a-z]+|[A-Z]+|.", text):
        turn = chance.random()
        if word.isdigit() and turn < 0.7:
            n = len(word)
            parts.append(chance.choice((r"\d+", "[0-9]{%d}" % n, r"\d{1,%d}" % (n + 1), f"[{min(word)}-{max(word)}]+", r"\w+", ".*",
                                        word[: max(1, n // 2)] + r"\d*", f"(?:{word}|x)", r"\d+?", "[^a-z]+")))
        elif word.isalpha() and turn < 0.4:
            parts.append(chance.choice((r"\w+", "[A-Za-z]+", r"\D+", ".+", f"({re.escape(word)})?", r"[^\d]*", f"{re.escape(word)}+")))
        elif turn < 0.1:
            parts.append(chance.choice((".", r"\W", r"\b", r"\S?", ".{1,3}")))
        else:
            parts.append(re.escape(word))
    turn = chance.random()
    if turn < 0.2:
        flags = "(?i)"
        parts = [p.swapcase() if p.isalpha() else p for p in parts]
    body = "".join(parts)
    if turn > 0.7:
        body += "|" + re.escape(chance.choice(("zq_absent", "error", "7", "warning: ")))
    elif turn > 0.6:
        body = "^.*" + body
    return flags + body


def compiles(regex):
    try:
        re.compile(regex, re.ASCII)
    except re.error:
        return False
    return True


def search_all(log):
    chance = log.chance
    for piece in greps(log):
        log.check(grep=piece, backward=chance.random() < 0.3)
        log.check_counts(grep=piece)
    for regex in HARD + [r for r in (random_regex(log) for _ in range(40)) if compiles(r)]:
        log.check(regex=regex, backward=chance.random() < 0.2)
    if all(log.valid):
        for regex in ("[a-z]+_stop", r"run_\w+", r"\d+", r"[a-z]+ \d+", "^$"):
            log.check_counts(regex=regex)
            log.check_counts(regex=regex, grep=log.piece())
    for _ in range(40):
        ask = {"context": chance.choice((1, 2, 5, 100)), "backward": chance.random() < 0.5}
        ask.update(chance.choice(({"grep": log.piece()}, {"level": "warn"}, {"regex": chance.choice(HARD)},
                                  {"grep": log.piece(), "regex": chance.choice((r"\d", "[a-z]{4}"))}, {"grep": log.piece(), "level": "warn"})))
        ask.update(chance.choice(({}, {}, {"rank": 1}, {"limit": chance.choice((1, 3))}, {"stream": "stderr"},
                                  {"stream": "stdout", "rank": 2}, {"stream": "none"})))
        begin = T0 * 1000 + chance.randrange(len(log.lines))
        ask.update(chance.choice(({}, {}, {"start": begin}, {"end": begin}, {"start": begin, "end": begin + chance.randrange(500)})))
        log.check(**ask)
    check(log.stopped < 5, f"{log.stopped} expressions were stopped")


def test_real_logs():
    for n, path in enumerate(files()):
        chance = random.Random(n)
        with harness.Server(arguments=("--log-block", chance.choice(("8KiB", "64KiB")))) as server:
            search_all(Log(server, "r", lines_of(path, 150_000), chance))


def test_more_than_a_slice():
    """An answer of many slices, each under a view of its own, while blocks are sealed and lines come."""
    chance = random.Random(7)
    lines = [b"step %d of %d\n" % (i, i * 7919 % 100003) if i % 97 else b"a rare thing %d\n" % i for i in range(45000)]
    with harness.Server(arguments=("--log-block", "64KiB")) as server:
        log = Log(server, "r", lines, chance)
        for _ in range(2):  # the second time more of it is sealed
            log.check()
            log.check(backward=True)
            log.check(grep=b"7")
            log.check(regex=r"of \d{3}$")
            for backward in (False, True):
                log.check(grep=b"rare", context=3, backward=backward)
                log.check(grep=b"thing 9", context=100, backward=backward, rank=2)
                log.check(regex="^[^s].*5$", context=1, backward=backward, limit=20)


def sealed(client):
    text = client.request("GET", "/metrics").body.decode()
    return int(re.search(r"^astraml_sealed_log_records_total (\d+)", text, re.M)[1])


def test_little_is_opened():
    """What a search opened, told by explain: blocks that hold what is looked for, and what context needs."""
    chance = random.Random(3)
    lines = [b"worker %d does step %d\n" % (i % 8, chance.randrange(100000)) for i in range(20000)]
    lines[9000] = b"the Needle number 7\n"
    with harness.Server(arguments=("--log-block", "32KiB")) as server:
        log = Log(server, "r", lines, chance)
        harness.wait_for(lambda: sealed(log.client) > 17000, "sealing")

        def read(**parameters):
            """Of the records that are sealed by now."""
            answer = log.client.get("/runs/r/logs", explain="true", limit=100, end=T0 * 1000 + 16000, **parameters)
            return json.loads(answer.body.splitlines()[-1])["end"]

        for ask, most in (({"grep": "zq_absent"}, 0), ({"grep": "needle"}, 1), ({"regex": "Needles|zq_absent"}, 0),
                          ({"regex": "^the.*number 123456"}, 1), ({"grep": "Needle"}, 1), ({"regex": "(?i)needle|zq_absent"}, 1),
                          ({"regex": r"Needle.*\d"}, 1)):
            for context in (0, 3):
                for direction in ("forward", "backward"):
                    end = read(context=context, direction=direction, **ask)
                    opened, blocks = end["read"]["opened_blocks"], end["read"]["blocks"]
                    check(blocks > 10 and opened <= most + (context > 0 and most), f"{ask} {context}: {opened} of {blocks} opened")
                    equal(end["records"], len([hit for hit in log.hits(**encoded(ask))[:16000] if hit]), ask)


def encoded(ask):
    return {k: v.encode() if k == "grep" else v for k, v in ask.items()}


def test_attributes_and_case():
    """Sealed and young records, by their attributes and without regard to case; histogram and verb say the same."""
    words = ["Loss", "LOSS (nan)", "loss.item", "gloss", "losses: 5%", "Fine", "LO SS"]
    with harness.Server(arguments=("--log-block", "8KiB")) as server:
        client, chance = server.client(), random.Random(5)
        client.create_run("r")
        lines = []
        for i in range(60):
            b = Batch()
            for j in range(20):
                text = f"{chance.choice(words)} {chance.randrange(1000)}\n"
                attributes = {"logger": chance.choice(("torch.nn", "data", "")), "pid": str(j % 3)} if j % 4 else {}
                lines.append((text, attributes))
                b.log(text, T0 * NS + len(lines), attributes=attributes)
            client.ingest("r", b)
        harness.wait_for(lambda: sealed(client) >= 400, "sealing")
        for ask, wanted in (({"attr.logger": "data"}, lambda t, a: a.get("logger") == "data"),
                            ({"attr.logger": "data", "attr.pid": "2"}, lambda t, a: a.get("logger") == "data" and a.get("pid") == "2"),
                            ({"attr.logger": ""}, lambda t, a: a.get("logger", "") == ""),
                            ({"grep": "loss (", "ignore_case": "true"}, lambda t, a: "loss (" in t.lower()),
                            ({"grep": "LOSSES: 5%", "ignore_case": "true"}, lambda t, a: "losses: 5%" in t.lower()),
                            ({"regex": "^l.s+ \\d", "ignore_case": "true", "attr.pid": "1"},
                             lambda t, a: re.match(r"l.s+ \d", t.lower()) and a.get("pid") == "1")):
            want = [i + 1 for i, (t, a) in enumerate(lines) if wanted(t, a)]
            check(want, "nothing to find", ask)
            equal([r["seq"] for r in client.logs("r", **ask)], want, f"{ask}")
            rows = client.get("/runs/r/logs/histogram", every="1d", **ask).json()["rows"]
            equal(sum(sum(row[1:]) for row in rows), len(want), f"histogram of {ask}")
        raw = harness.cli("logs", "r", "--attr", "logger=data", "-i", "--grep", "GLOSS", "--raw", "--data", server.data).stdout
        equal(raw, "".join(t for t, a in lines if "gloss" in t and a.get("logger") == "data").encode(), "by the verb")
        for ask, said in (({"grep": "a", "regex": "b", "ignore_case": "true"}, "leave one"),
                          ({"grep": "x" * 2500, "ignore_case": "true"}, "at most"), ({"regex": "(", "ignore_case": "true"}, "regex")):
            answer = client.get("/runs/r/logs", **ask)
            equal(answer.status, 422, f"{ask}")
            check(said in answer.json()["error"]["message"], "unhelpful", answer.json())
        harness.equal(harness.cli("logs", "r", "--attr", "logger", "--data", server.data).returncode, 2, "no KEY=VALUE")


def test_costly_regex_in_a_sealed_block():
    with harness.Server(arguments=("--log-block", "8KiB")) as server:
        client = server.client()
        client.create_run("costly")
        for i in range(20):
            client.ingest("costly", Batch().log("a" * 1000 + f"{i}!\n", T0 * NS + i))
        harness.wait_for(lambda: sealed(client) >= 8, "sealing")
        answer = client.get("/runs/costly/logs", regex="^([a-z]+)+[=#]")
        last = json.loads(answer.body.splitlines()[-1])
        check("error" in last, "not stopped", last)
        check("steps" in last["error"]["message"] and last["error"]["field"] == "regex", last)


def reading(client):
    """Reads under way, this one among them."""
    text = client.request("GET", "/metrics").body.decode()
    return int(re.search(r"^astraml_reads (\d+)", text, re.M)[1])


class Asked:
    """A request of which the test reads as much as it likes."""

    def __init__(self, server, path):
        host, port = harness.parse_url(server.url)
        self.connection = http.client.HTTPConnection(host, port, timeout=harness.DEADLINE_S)
        self.connection.request("GET", "/v2/projects/default" + path, headers={"Authorization": f"Bearer {server.token}"})

    def answer(self):
        answer = self.connection.getresponse()
        equal(answer.status, 200, "the answer has begun")
        return answer

    def go(self):
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


COSTLY = "(?%3Da)(a|b|ab)*%20%5Bcd%5D"  # it would go on for the ten seconds that a regex has


def costly_log(server, run, first):
    client = server.client()
    client.create_run(run)
    client.ingest(run, Batch().log(first, T0 * NS))
    for i in range(0, 30000, 1000):
        b = Batch()
        for j in range(i, i + 1000):
            b.log("ab" * 13 + f" {j}\n", T0 * NS + j)
        client.ingest(run, b)
    return client


def test_a_search_without_hits_ends_when_its_client_goes():
    with harness.Server(arguments=("--log-block", "64KiB")) as server:
        client = costly_log(server, "long", "no hit\n")
        asked = Asked(server, f"/runs/long/logs?regex={COSTLY}")
        harness.wait_for(lambda: reading(client) == 2, "the search")
        start = time.monotonic()
        asked.answer()
        asked.go()
        harness.wait_for(lambda: reading(client) == 1, "its end")
        check(time.monotonic() - start < 5, "it went on")


def test_the_first_find_comes_while_the_rest_is_searched():
    with harness.Server(arguments=("--log-block", "64KiB")) as server:
        client = costly_log(server, "long", "the first find\n")
        harness.wait_for(lambda: sealed(client) > 15000, "sealing")
        asked = Asked(server, f"/runs/long/logs?regex=first|{COSTLY}")
        line = asked.answer().readline()
        equal(json.loads(line)["text"], "the first find\n", "the first line")
        equal(reading(client), 2, "reads under way: this one, and the search")
        start = time.monotonic()
        asked.go()
        harness.wait_for(lambda: reading(client) == 1, "its end")
        check(time.monotonic() - start < 5, "it went on")


def anonymous_mib(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1]) / 1024


def test_memory_is_bounded_whatever_is_found():
    """All of a log is printed, first to a client that waits, then to it as it reads."""
    text = b"".join(b"%d %032x of a line that is long enough to become many megabytes %d\n" % (i, i ** 5, i * i) for i in range(1000))
    with harness.Server() as server:
        client = server.client()
        client.create_run("large")
        for i in range(400):
            b = Batch()
            for line in text.splitlines(keepends=True):
                b.log(line, T0 * NS + i)
            client.ingest("large", b)
        harness.wait_for(lambda: sealed(client) > 300000, "sealing")
        before, most = anonymous_mib(server), 0
        for kind in ("regex=many%20m", "grep=9", ""):
            asked = Asked(server, f"/runs/large/logs?limit=1000000&{kind}")
            answer = asked.answer()
            harness.wait_for(lambda: reading(client) == 2, "the search, which waits for its client")
            most, size, last = max(most, anonymous_mib(server)), 0, b""
            while piece := answer.read(1 << 20):
                size, last = size + len(piece), (last + piece)[-300:]
                most = max(most, anonymous_mib(server))
            check(b'{"end":{"records":' in last, kind, last)
            check(size > 40_000_000, f"{size} bytes are not enough to tell")
            asked.go()
        check(most - before < 40, f"{most - before:.0f} MiB more while {size >> 20} MiB were printed")
        harness.diagnostics(f"at most {most - before:.0f} MiB more")


if __name__ == "__main__":
    harness.main(globals())
