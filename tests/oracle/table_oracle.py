"""What an import of a CSV file must leave behind, computed from the original bytes.

Written from `astraml import csv --help` and the head of ingest/import/csv.c with Python's csv, datetime and
decimal, sharing nothing with the program: samples() gives (metric, labels, time ns, step, value).
"""

import csv
import io
import json
import re
from datetime import datetime, timezone
from decimal import Decimal

NS = 10**9
TIMES = ["timestamp", "time", "datetime", "date_time", "date", "starttime", "start_time", "wall_time", "walltime", "ts"]
STEPS = ["global_step", "step", "_step", "steps", "iteration", "iter", "epoch"]


def number(cell):
    """The value of a cell, a unit behind it left off; None: it is none."""
    m = re.fullmatch(r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf|infinity))(?: [^ ]{1,16})?", cell, re.I)
    return float(m[1]) if m else None


def step(cell):
    if re.fullmatch(r"-?\d+", cell):
        return int(cell)
    value = number(cell)
    return int(value) if value is not None and value == value and abs(value) < 2**53 and value == int(value) else None


def moment(cell):
    """A date to ns since 1970."""
    m = re.fullmatch(r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?Z?", cell)
    if not m:
        return None
    whole = datetime(*map(int, m.groups()[:6]), tzinfo=timezone.utc)
    return int(whole.timestamp()) * NS + int((m[7] or "").ljust(9, "0")[:9])


def seconds(cell):
    return int(Decimal(cell) * NS)


def guess(header, names):
    lower = [h.lower() for h in header]
    return next((lower.index(n) for n in names if n in lower), None)


def samples(data, *, start_ns=None, end_ns=None, relative=None, labels=(), header=True, comment=None):
    """relative: the name of the column with seconds since the start."""
    text = data.decode("utf-8-sig")
    origin = None
    if comment:
        lines = text.split("\n")
        said = [line[1:] for line in lines if line.startswith(comment)]
        text = "\n".join(line for line in lines if not line.startswith(comment))
        if said:
            origin = seconds(str(json.loads(said[0], parse_float=str)["t_start"]))
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), skipinitialspace=True) if row]
    names = rows.pop(0) if header else [f"column_{i + 1}" for i in range(len(rows[0]))]
    if relative is not None:
        time_at = names.index(relative)
    else:
        time_at = guess(names, TIMES)
        if time_at is None and rows and moment(rows[0][0]) is not None:
            time_at = 0
    step_at = guess(names, STEPS)
    label_at = [names.index(n) for n in labels]
    out, last = [], 0
    for i, row in enumerate(rows):
        at = step(row[step_at]) if step_at is not None else None
        if relative is not None:
            t, is_absolute = seconds(row[time_at]), False
        elif time_at is not None:
            t, is_absolute = moment(row[time_at]), True
        else:
            last = i * NS if step_at is None else last if at is None else at * NS
            t, is_absolute = last, False
        of = tuple(sorted((names[j], row[j]) for j in label_at if row[j]))
        for j, cell in enumerate(row):
            value = number(cell.strip())
            if names[j] and j not in [time_at, step_at, *label_at] and value is not None:
                out.append([names[j], of, t, at, value])
                assert is_absolute == (time_at is not None and relative is None)
    if relative is not None or time_at is None:
        base = origin if origin is not None else start_ns
        if base is None:
            base = end_ns - max((s[2] for s in out), default=0)
        for s in out:
            s[2] += base
    return [tuple(s) for s in out]
