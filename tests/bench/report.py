"""Medians, ratios, tables, and the part of RESULTS.md between the markers."""

import datetime
import platform
import statistics
import subprocess

BEGIN, END = "<!-- figures: begin (written by make bench) -->", "<!-- figures: end -->"
GOALS = ["figure", "ours", "peer", "ratio", "goal", "met"]
PACKAGES = ("victoria-metrics", "prometheus", "rrdtool", "rrdcached", "coreutils", "zstd", "ripgrep", "gnuplot-nox",
            "liblmdb0", "libevent-core-2.1-7", "libzstd1", "libsnappy1v5")


def short(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values, form=None):
    """Median (least-greatest)."""
    low, middle, high = (short(v) if form is None else f"{v:{form}}"
                         for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})" if len(values) > 1 else middle


def figures(rounds, key, of):
    """A figure of the run called key in every round that has it."""
    return [of(r[key]) for r in rounds if key in r]


def table(head, rows):
    return [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]]


def goal_row(name, ours, theirs, ratios, goal, met):
    """Ratios are of pairs of the same round, and the median of them is judged; met None: no goal."""
    if not theirs:
        return [name, spread(ours), "not installed: make bench-deps", "", goal, "-"]
    verdict = "-" if met is None else "yes" if met(statistics.median(ratios)) else "**no**"
    return [name, spread(ours), spread(theirs), spread(ratios, ".2f") + " x", goal, verdict]


def at_least(name, ours, theirs, limit):
    ratios = [x / y for x, y in zip(ours, theirs)]
    if limit is None:
        return goal_row(name, ours, theirs, ratios, "-", None)
    return goal_row(name, ours, theirs, ratios, f">= {limit} x", lambda m: m >= limit)


def at_most(name, ours, theirs, limit):
    ratios = [x / y for x, y in zip(ours, theirs)]
    if limit is None:
        return goal_row(name, ours, theirs, ratios, "-", None)
    return goal_row(name, ours, theirs, ratios, f"<= {limit:g} x", lambda m: m <= limit)


def within(name, rounds, key, of, limit, unit, beside=None):
    """A figure that is judged by itself; beside: the run whose same figure is shown as the peer's."""
    ours = [of(r[key] if key else r) for r in rounds]
    theirs = figures(rounds, beside, of) if beside else []
    if None in ours:
        return [name, "not measured: no block device of its own", "", "", f"<= {limit:g} {unit}", "-"]
    return [name, spread(ours) + " " + unit, spread(theirs) + " " + unit if theirs else "", "",
            f"<= {limit:g} {unit}", "yes" if statistics.median(ours) <= limit else "**no**"]


def reaches(name, ours, limit, unit):
    """A figure that is judged by itself, and is to be large."""
    return [name, spread(ours) + " " + unit, "", "", f">= {limit:g} {unit}",
            "yes" if statistics.median(ours) >= limit else "**no**"]


# ---- circumstances ----

def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_model():
    with open("/proc/cpuinfo") as f:
        models = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else "?"


def load_average():
    with open("/proc/loadavg") as f:
        return f.read().split()[0]


def commit():
    changed = output("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)tests/bench")
    return output("git", "rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def unsettled(results):
    return sum(not run.get("settled", True) for rounds in results.values() for r in rounds for run in r.values()
               if isinstance(run, dict))


def circumstances(scratch, seconds, load_before, n_rounds, results):
    versions = ", ".join(f"{p} {output('dpkg-query', '-W', '-f', '${Version}', p) or 'absent'}" for p in PACKAGES)
    return [f"{datetime.date.today()}, commit {commit()}, {n_rounds} rounds in {seconds:.0f} s, load average before "
            f"{load_before} and at the end {load_average()}; {cpu_model()}, Linux {platform.release()}, file system "
            f"{output('stat', '-f', '-c', '%T', scratch)}; {versions}; "
            f"{output('cc', '--version').partition(chr(10))[0]}. "
            f"Median (least-greatest). Runs that had not settled in time: {unsettled(results)}."]


# ---- all of it ----

def section(scenario, rounds, failure):
    lines = [f"### {scenario.name}", "", scenario.about, ""]
    if rounds:
        lines += scenario.details(rounds) + [""]
    if failure:
        lines += [f"**{len(rounds)} rounds succeeded, others failed**, the last with: {failure}", ""]
    return lines


def render(scenarios, results, failures, head, drawn):
    """results: {name: rounds}; failures: {name: sentence}; drawn: file names of charts."""
    goals = [row for s in scenarios if results[s.name] for row in s.goals(results[s.name])]
    lines = head + [""] + table(GOALS, goals) + [""]
    for s in scenarios:
        lines += section(s, results[s.name], failures.get(s.name))
    if drawn:
        lines += ["### Charts", ""] + [f"![{name}]({name})" for name in drawn] + [""]
    return "\n".join(lines)


def update(path, text):
    with open(path) as f:
        old = f.read()
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{path} lacks its markers {BEGIN} and {END}")
    with open(path, "w") as f:
        f.write(head + BEGIN + "\n\n" + text + "\n" + END + tail)
