"""What was recorded on real systems, from ../shared/data: texts of logs, and curves."""

import csv
import datetime
import glob
import gzip
import io
import json
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/data")


def texts(pattern):
    """[(name, bytes)] of the files that match, sorted by name."""
    names = sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))
    if not names:
        raise RuntimeError(f"no real data at {os.path.normpath(ROOT)}/{pattern}")
    found = []
    for name in names:
        with gzip.open(name) as f:
            found.append((os.path.basename(name).removesuffix(".gz"), f.read()))
    return found


def mlperf_texts():
    return [text for _, text in texts("mlperf_training/**/*.txt.gz")]


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def seconds(text):
    """Of a time like 2014-04-01 00:00:00, as UTC; None: it is none."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        return None


def timed_csv(pattern):
    """First column time, second value: NAB, cloud monitoring."""
    for name, text in texts(pattern):
        rows = [(seconds(row[0]), number(row[1])) for row in csv.reader(io.StringIO(text.decode())) if len(row) > 1]
        yield name, [(at, value) for at, value in rows if at is not None and value is not None]


def mllog(pattern):
    """Numbers of the JSON lines of MLPerf: one series for each key of a file."""
    for name, text in texts(pattern):
        series = {}
        for line in text.split(b"\n"):
            at = line.find(b":::MLLOG {")
            try:
                record = json.loads(line[at + 9:]) if at >= 0 else {}
            except ValueError:
                continue
            if isinstance(record.get("value"), (int, float)) and not isinstance(record["value"], bool):
                series.setdefault(record["key"], []).append((record["time_ms"] / 1e3, float(record["value"])))
        for key, points in series.items():
            yield f"{name}:{key}", points


def episodes(pattern):
    """Rewards and lengths of reinforcement learning, at seconds since the start that the head names."""
    for name, text in texts(pattern):
        lines = text.decode().splitlines()
        start = json.loads(lines[0][1:])["t_start"]
        rows = [[number(cell) for cell in line.split(",")] for line in lines[2:]]
        for column, what in ((0, "r"), (1, "l")):
            yield f"{name}:{what}", [(start + row[2], row[column]) for row in rows if None not in row]


def curves():
    """[(name, [(seconds, value)])] of every set that has times of its own."""
    found = [*timed_csv("system/nab/**/*.csv.gz"), *timed_csv("system/cloud_monitoring/**/*.csv.gz"),
             *mllog("mlperf_training/v2.0/*.txt.gz"), *mllog("mlperf_training/v5.0/*.txt.gz"),
             *episodes("rl_monitor/*.gz")]
    return [(name, points) for name, points in found if points]


def squeezed(points, start, step_s=1):
    """The same values in the same order, one each step_s."""
    return [(start + i * step_s, value) for i, (_, value) in enumerate(points)]
