"""Four kinds of real console text as corpora: lines of MLPerf loggers, free form, redraws of progress bars, tracebacks.

Once through, a corpus is what its size is told of.  For times its files are repeated, each turn in another order
and with other numbers where a number has five digits or more, until it is as large as is asked for: repeats lie further apart
than zstd's window of level 3 reaches."""

import random
import re

from realdata import texts

REQUEST_BYTES = 256 * 1024
LINE_NS = 1000


def ended(text):
    return text if text.endswith(b"\n") else text + b"\n"


def mllog_share(text):
    return sum(len(line) for line in text.split(b"\n") if b":::ML" in line) / max(len(text), 1)


def kinds():
    """{name: texts of files}"""
    mlperf, algoperf, speedrun, golf = ([ended(text) for _, text in texts(pattern)] for pattern in
                                        ("mlperf_training/*/*.gz", "algoperf/logs/*.gz", "speedrun/*.gz", "param_golf/*.gz"))
    return {"MLLOG": [t for t in mlperf if mllog_share(t) > 0.5],
            "free form": speedrun + golf + algoperf,
            "redraws": [t for t in mlperf if len(re.findall(rb"\r(?!\n)", t)) > 1000],
            "tracebacks": [t for t in algoperf if b"Traceback" in t]}


def other_numbers(text, turn):
    def other(match):
        return b"%0*d" % (len(match[0]), (int(match[0]) + turn * 9973) % 10 ** len(match[0]))

    return re.sub(rb"\d{5,18}", other, text) if turn else text


def repeated(files, least):
    """At least so many bytes of them."""
    chance, parts, size, turn = random.Random(1), [], 0, 0
    while size < least:
        order = chance.sample(files, len(files)) if turn else files
        parts.append(b"".join(other_numbers(text, turn) for text in order))
        size += len(parts[-1])
        turn += 1
    return b"".join(parts)


def words(text):
    """[(kind, what to look for)]: words of some of its lines, by how often they come."""
    lines, chance = text.split(b"\n"), random.Random(2)
    plain, digits = {}, {}
    for line in (chance.choice(lines) for _ in range(400)):
        plain.update(dict.fromkeys(re.findall(rb"[A-Za-z_]{6,20}", line)))
        digits.update(dict.fromkeys(re.findall(rb"[a-z_]{2,12}\W{1,3}\d+\.?\d{2,6}", line)))
    counts = sorted((text.count(w), w) for w in list(plain)[:60])
    rare = next((w for n, w in counts if n >= len(lines) / 50000 + 1), counts[0][1])
    common = min(counts, key=lambda c: abs(c[0] - len(lines) / 12))[1]
    number = min(((text.count(w), w) for w in list(digits)[:40]), default=(0, b"7.25"))[1]
    return [("absent", b"zq_absent_word"), ("rare", rare), ("digits", number),
            ("digits alone", re.findall(rb"\d+$", number)[0] + b"7"), ("common", common)]


def requests(text, start_ns):
    """The bodies that send all lines, one after another."""
    from astraml.v2.ingest_pb2 import INFO, IngestRequest  # made by the build

    def begin():
        message = IngestRequest()
        return message, message.logs.add(stream="console").records

    bodies, (message, records), size = [], begin(), 0
    for i, line in enumerate(text.split(b"\n")[:-1]):
        records.add(text=line + b"\n", time_ns=start_ns + i * LINE_NS, level=INFO)
        size += len(line)
        if size > REQUEST_BYTES:
            bodies.append(message.SerializeToString())
            (message, records), size = begin(), 0
    return bodies + [message.SerializeToString()]
