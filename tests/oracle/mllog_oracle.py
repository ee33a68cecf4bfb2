"""What an import of an MLPerf result log must leave behind, computed from the original file.

Written from the contract (README, "Import"), with exact rational arithmetic, and sharing nothing
with the program: samples(), windows(), totals(), lines_of().

    python3 tests/oracle/mllog_oracle.py FILE...      one JSON line per window and metric
    python3 tests/oracle/mllog_oracle.py --samples FILE...   one line per sample, as the parser test prints it
"""

import gzip
import json
import math
import re
import struct
import sys
from fractions import Fraction

TAG = re.compile(rb":::MLLOG|:::MLL |:::MLPv0\.5\.0 ")
SECONDS = rb"(\d+(?:\.\d*)?)"
MLL = re.compile(rb"[ \t]*" + SECONDS + rb"[ \t]+([^:\r\n]*):(.*)", re.S)
MLP = re.compile(rb"[ \t]*[^ \t]+[ \t]+" + SECONDS + rb"[ \t]+\([^)]*\)([^:]*)(:.*)?", re.S)
TIME_END = 9214646400 * 10**9
NAME_MAX = 250


class Written(str):
    """A number as it was written."""


def decoder():
    return json.JSONDecoder(parse_int=Written, parse_float=Written, parse_constant=Written)


def bits(value):
    return struct.unpack("<q", struct.pack("<d", value))[0]


def total_order(value):
    b = bits(value)
    return b if b >= 0 else b ^ 0x7FFFFFFFFFFFFFFF


def to_ns(text, digits_below):
    """Decimal text, `digits_below` decimal places below which a nanosecond lies, digits past it cut."""
    if not re.fullmatch(r"\d+(\.\d*)?", text):
        return None
    whole, _, fraction = text.partition(".")
    t = int(whole + fraction[:digits_below].ljust(digits_below, "0"))
    return t if t < TIME_END else None


def number_of(value):
    return float(value) if isinstance(value, Written) else None


def step_of(metadata):
    if not isinstance(metadata, dict):
        return None
    for name in ("step_num", "epoch_num"):
        value = metadata.get(name)
        if isinstance(value, Written) and re.fullmatch(r"-?\d+", value) and -(2**63) < int(value) < 2**63:
            return int(value)
    return None


def text_of(raw):
    return raw.decode("utf-8", "surrogateescape")


def name_bytes(key):
    return key.encode("utf-8", "surrogatepass") if not isinstance(key, bytes) else key


def parse_json(raw):
    """The object that raw begins with and the bytes it takes, or None."""
    text = text_of(raw)
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = decoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value, len(text[:end].encode("utf-8", "surrogateescape"))


def parse_mllog(raw):
    found = parse_json(raw)
    if not found or not isinstance(found[0], dict):
        return None
    entry, used = found
    when = entry.get("time_ms")
    t = to_ns(when, 6) if isinstance(when, Written) else None
    key = entry.get("key")
    if not isinstance(key, str) or isinstance(key, Written):
        return used, (t, None, None, None)
    return used, (t, key, number_of(entry.get("value")), step_of(entry.get("metadata")))


def segment(raw):
    return re.split(rb":::ML|\r|\n", raw, maxsplit=1)[0]


def parse_mll(raw):
    text = segment(raw)
    m = MLL.fullmatch(text)
    t = to_ns(m[1].decode(), 9) if m else None
    if t is None:
        return None
    found = parse_json(m[3])
    entry = found[0] if found and isinstance(found[0], dict) else {}
    return len(text), (t, m[2].strip(b" \t"), number_of(entry.get("value")), step_of(entry.get("metadata")))


def parse_mlp(raw):
    text = segment(raw)
    m = MLP.fullmatch(text)
    t = to_ns(m[1].decode(), 9) if m else None
    if t is None:
        return None
    value = None
    if m[3]:
        rest = m[3][1:].strip(b" \t")
        found = parse_json(rest)
        if found and found[1] == len(rest):
            value = number_of(found[0])
    return len(text), (t, m[2].strip(b" \t"), value, None)


PARSERS = {b":::MLLOG": parse_mllog, b":::MLL ": parse_mll, b":::MLPv0.5.0 ": parse_mlp}


def parse_line(line):
    """[(time or None, key or None, number or None, step or None)]"""
    records, at = [], 0
    while True:
        m = TAG.search(line, at)
        if not m:
            return records
        at = m.end()
        found = PARSERS[m[0]](line[at:])
        if found:
            records.append(found[1])
            at += found[0]


def name_ok(name):
    if not 1 <= len(name) <= NAME_MAX:
        return False
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text)


def read(path):
    with open(path, "rb") as f:
        head = f.read(2)
    with (gzip.open if head == b"\x1f\x8b" else open)(path, "rb") as f:
        return f.read()


def lines_of(data):
    """The lines with their ends; only \\n ends one."""
    return [line for line in re.split(rb"(?<=\n)", data) if line]


def samples(data, start_ns=0):
    """All samples of the file: (metric, time ns, step or None, value), and the time of each line."""
    parsed = [parse_line(line) for line in lines_of(data)]
    times = [next((r[0] for r in records if r[0] is not None), None) for records in parsed]
    now = next((t for t in times if t is not None), start_ns)
    out, when = [], []
    for records, t in zip(parsed, times):
        now = now if t is None else t
        when.append(max(now, 1))  # 0 would be the time of receipt; such lines are in the data
        for t, key, number, step in records:
            if number is not None and name_ok(name_bytes(key)):
                out.append((name_bytes(key).decode(), now if t is None else t, step, number))
    return out, when


def rounded(total):
    """A Fraction to the nearest double, infinite past the range."""
    try:
        return total.numerator / total.denominator
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def mean(whole, count):
    """The rounded sum over the count; where the sum is past the largest double, the exact one."""
    total = rounded(whole)
    return total / count if math.isfinite(total) else rounded(whole / count)


def order(sample):
    _, t, step, value = sample
    return t, -(2**63) if step is None else step, total_order(value)


def aggregate(group):
    """Every column of one window."""
    values = [s[3] for s in group]
    finite = [v for v in values if math.isfinite(v)]
    whole = sum(map(Fraction, finite), Fraction(0))
    total = rounded(whole)
    return {
        "count": len(finite),
        "sum": total,
        "min": min(finite, key=total_order) if finite else None,
        "max": max(finite, key=total_order) if finite else None,
        "mean": mean(whole, len(finite)) if finite else None,
        "first": min(group, key=order)[3],
        "last": max(group, key=order)[3],
        "nan": sum(map(math.isnan, values)),
        "pos_inf": values.count(math.inf),
        "neg_inf": values.count(-math.inf),
    }


def windows(all_samples, every_ns=30 * 10**9):
    """{metric: {window start ms: columns}}"""
    groups = {}
    for s in all_samples:
        groups.setdefault(s[0], {}).setdefault(s[1] // every_ns * every_ns // 10**6, []).append(s)
    return {m: {start: aggregate(g) for start, g in sorted(ws.items())} for m, ws in groups.items()}


def totals(all_samples):
    """{metric: columns of its whole life, and first_time, last_time in ns}"""
    out = {}
    for metric in {s[0] for s in all_samples}:
        group = [s for s in all_samples if s[0] == metric]
        out[metric] = aggregate(group)
        out[metric]["first_time"] = min(s[1] for s in group)
        out[metric]["last_time"] = max(s[1] for s in group)
        out[metric]["last_step"] = max(group, key=order)[2]
    return out


def main(args):
    if args and args[0] == "--samples":
        for path in args[1:]:
            for metric, t, step, value in samples(read(path))[0]:
                print(metric, t, "-" if step is None else step, format(bits(value) & (2**64 - 1), "016x"))
        return
    for path in args:
        for metric, found in sorted(windows(samples(read(path))[0]).items()):
            for start, columns in found.items():
                print(json.dumps({"metric": metric, "time_ms": start, **columns}))


if __name__ == "__main__":
    main(sys.argv[1:])
