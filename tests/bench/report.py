"""Medians, ratios and the table of RESULTS.md."""

import datetime
import platform
import statistics
import subprocess

BEGIN, END = "<!-- figures: begin (written by make bench) -->", "<!-- figures: end -->"


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}}-{high:{form}})" if len(values) > 1 else f"{middle:{form}}"


def speed(result):
    return result["samples"] / result["cpu_s"] / 1e6


def goal_row(name, ours, theirs, ratios, goal, met, unit):
    median = statistics.median(ratios)
    return f"| {name} | {ours} | {theirs} | {spread(ratios, '.2f')}{unit} | {goal} | {'yes' if met(median) else '**no**'} |"


def ratio_row(rounds, name, a, b, goal):
    """Pairs of the same round; the median is of the pairs' ratios."""
    ours, theirs = [speed(r[a]) for r in rounds], [speed(r[b]) for r in rounds]
    ratios = [x / y for x, y in zip(ours, theirs)]
    return goal_row(name, spread(ours, ".3g"), spread(theirs, ".3g"), ratios, f">= {goal} x",
                    lambda m: m >= goal, " x")


def disk_row(rounds, name, key):
    if any(r[key]["disk"] is None for r in rounds):
        return f"| {name} | not measured: no block device of its own | | | <= 12 | |"
    ours = [r[key]["disk"] for r in rounds]
    theirs = [r["10k rw"]["disk"] for r in rounds]
    return goal_row(name, spread(ours, ".1f"), spread(theirs, ".1f"), ours, "<= 12", lambda m: m <= 12, " B")


def ack_row(rounds):
    ours, disk = [r["ack"]["p99_ms"] for r in rounds], [r["ack"]["sync"]["p99_ms"] for r in rounds]
    ratios = [x / y for x, y in zip(ours, disk)]
    return goal_row("acknowledgement p99 at 200 requests/s, ms; beside it fdatasync p99", spread(ours, ".2f"),
                    spread(disk, ".2f"), ratios, "<= 4 x", lambda m: m <= 4, " x")


def goals(rounds):
    return ["| figure | AstraML | victoria-metrics | ratio | goal | met |", "| --- | --- | --- | --- | --- | --- |",
            ratio_row(rounds, "batches of 10,000, float32: M samples/CPU-s, its remote write", "10k f32", "10k rw", 20),
            ratio_row(rounds, "the same, full doubles (its side: float32 values)", "10k f64", "10k rw", 20),
            ratio_row(rounds, "batches of 10,000, float32, its native import", "10k f32", "10k native", 5),
            ratio_row(rounds, "the same, full doubles", "10k f64", "10k native", 5),
            ratio_row(rounds, "batches of 1,000, 64 connections, its remote write", "1k", "1k rw", 10),
            ratio_row(rounds, "one sample a request, 64 connections, its remote write", "one", "one rw", 1),
            disk_row(rounds, "bytes to the device a sample, batches of 10,000, float32", "10k f32"),
            disk_row(rounds, "the same, full doubles", "10k f64"),
            ack_row(rounds)]


DETAILS = (("10k f32", "ours, 10,000, float32"), ("10k f64", "ours, 10,000, doubles"),
           ("10k rw", "its remote write, 10,000"), ("10k native", "its native import"),
           ("1k", "ours, 1,000"), ("1k rw", "its remote write, 1,000"), ("one", "ours, one sample"),
           ("one rw", "its remote write, one sample"), ("ack", "ours, 100 samples at 200 requests/s"))


def detail_row(rounds, key, name):
    runs = [r[key] for r in rounds]
    cost = spread([x["cpu_s"] / x["samples"] * 1e6 for x in runs], ".3g")
    wall = spread([x["samples"] / x["wall_s"] / 1e6 for x in runs], ".3g")
    sectors = "-" if runs[0]["disk"] is None else spread([x["disk"] for x in runs], ".1f")
    answer = " / ".join(f"{statistics.median(x[p] for x in runs):.2f}" for p in ("p50_ms", "p99_ms", "max_ms"))
    return (f"| {name} | {cost} | {wall} | {answer} | {sectors} | {spread([x['io'] for x in runs], '.1f')} "
            f"| {max(x['rss_mib'] for x in runs):.0f} |")


def details(rounds):
    return ["| run | CPU s a M samples | M samples/s, wall | answer p50 / p99 / max, ms | device B/sample "
            "| /proc io B/sample | peak RSS, MiB |", "| --- | --- | --- | --- | --- | --- | --- |",
            *(detail_row(rounds, key, name) for key, name in DETAILS)]


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "?"


def cpu_model():
    with open("/proc/cpuinfo") as f:
        models = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else "?"


def circumstances(build, scratch, rounds, seconds):
    packages = ["victoria-metrics", "liblmdb0", "libevent-core-2.1-7", "libzstd1", "libsnappy1v5"]
    versions = ", ".join(f"{p} {output('dpkg-query', '-W', '-f', '${Version}', p)}" for p in packages)
    commit = output("git", "rev-parse", "--short", "HEAD")
    if output("git", "status", "--porcelain", "--untracked-files=no", "--", ":/",
              ":(top,exclude)tests/bench/RESULTS.md"):
        commit += " with changes"
    unsettled = sum(not x["settled"] for r in rounds for x in r.values())
    with open("/proc/loadavg") as f:
        load = f.read().split()[0]
    return [f"{datetime.date.today()}, commit {commit}, {len(rounds)} rounds in {seconds:.0f} s, load average at the "
            f"end {load}; {cpu_model()}, Linux {platform.release()}, file system "
            f"{output('stat', '-f', '-c', '%T', scratch)}; {versions}; {output('cc', '--version').splitlines()[0]}. "
            f"Median (least-greatest). Runs that had not settled in time: {unsettled}."]


def workload(shapes):
    def text(s):
        return (f"{s.samples():,} samples of {s.runs} x {s.series:,} series, one each {s.step_s} s, in requests of "
                f"{s.batch:,}, {s.connections} connections")
    return [f"- {name}: {text(shape)}" for name, shape in shapes.items()]


def render(rounds, shapes, build, scratch, seconds):
    parts = [circumstances(build, scratch, rounds, seconds), goals(rounds), workload(shapes), details(rounds)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def update(path, text):
    with open(path) as f:
        old = f.read()
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{path} lacks its markers {BEGIN} and {END}")
    with open(path, "w") as f:
        f.write(head + BEGIN + "\n\n" + text + "\n" + END + tail)
