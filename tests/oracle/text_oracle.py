"""The time and the level of each line of console text, from the original bytes.

Written from `astraml import text --help` and ingest/line_time.h and line_level.h, with regular
expressions and datetime, sharing nothing with the program: lines() gives (bytes, time ns, level).
"""

import re
from datetime import datetime, timedelta, timezone

import mllog_oracle

NS = 10**9
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
CLOCK = rb"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
FRACTION = rb"(?:[.,](?P<f>\d+))?"
HALF = rb"(?P<p> [AP]M(?!\w))?"
ZONE = rb"(?P<z>Z| ?UTC| ?GMT| ?[-+]\d\d:?\d\d)?(?!\w)"
MONTH = b"(?P<b>" + b"|".join(m.encode() for m in MONTHS) + b")"
WEEKDAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
FORMS = [re.compile(f) for f in (
    rb"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?:T| +)" + CLOCK + FRACTION + HALF + ZONE,
    rb"(?P<Y>\d{4})/(?P<m>\d\d)/(?P<d>\d\d) +" + CLOCK + FRACTION + HALF + ZONE,
    rb"(?P<d>\d\d?)/" + MONTH + rb"/(?P<Y>\d{4}):" + CLOCK + FRACTION + ZONE,
    rb"(?P<L>[IWEF])(?P<m>\d\d?)(?P<d>\d\d) +" + CLOCK + FRACTION,
    WEEKDAY + b" +" + MONTH + rb" +(?P<d>\d\d?) +" + CLOCK + rb" +(?P<Y>\d{4})",
    MONTH + rb" +(?P<d>\d\d?) +" + CLOCK + FRACTION,
)]
LETTERS = {b"I": "info", b"W": "warn", b"E": "error", b"F": "fatal"}
WORDS = {b"DEBUG": "debug", b"INFO": "info", b"NOTICE": "info", b"WARN": "warn", b"WARNING": "warn", b"ERROR": "error",
         b"FATAL": "fatal", b"CRITICAL": "fatal", b"TRACE": "trace"}


def nanoseconds(m, start, reference):
    """start or reference (ns): which year one without is of."""
    found = m.groupdict()
    month = MONTHS.index(found["b"].decode()) + 1 if found.get("b") else int(found["m"])
    clock = [int(found[k]) for k in "HMS"]
    if found.get("p") and 1 <= clock[0] <= 12:
        clock[0] = clock[0] % 12 + (12 if found["p"] == b" PM" else 0)
    fraction = int((found.get("f") or b"").ljust(9, b"0")[:9])
    zone = timedelta(0)
    z = re.fullmatch(rb" ?([-+])(\d\d):?(\d\d)", found.get("z") or b"")
    if z:
        zone = timedelta(hours=int(z[2]), minutes=int(z[3])) * (-1 if z[1] == b"-" else 1)

    def of(year):
        try:
            when = datetime(year, month, int(found["d"]), *clock, tzinfo=timezone.utc) - zone
        except ValueError:
            return None
        return int(when.timestamp()) * NS + fraction

    if found.get("Y"):
        return of(int(found["Y"]))
    day = 86400 * NS
    years = [of(y) for y in range(1970, 2200)]
    if start is not None:
        return min((t for t in years if t is not None and t >= start - day), default=None)
    return max((t for t in years if t is not None and t <= reference + day), default=None)


WORD = b"(?P<w>" + b"|".join(sorted(WORDS, reverse=True)) + rb")(?!\w)"
BEHIND_A_TIME = [re.compile(p) for p in (
    rb" ?\W*" + WORD,  # the first word
    rb" ?[^ ]* +\W*" + WORD,  # the second of those that blanks part
    rb"(?:\W*\w+){0,3}?(?: +[-|:\])]+ *|[|:\])] *)" + WORD,  # the fourth word at most, with a sign before it
    rb"(?:\W*\w+){0,3}?\W+" + WORD + rb"(?:[|:\])]| [-|:])",  # or behind it
)]
AT_THE_START = [re.compile(p) for p in (
    rb"(?:\[[^\]]*\] ?)*?\[" + WORD + rb"\]", WORD + rb"(?:[:|\x1b]| [ -|:\[(~].)")]
SLURM = re.compile(rb"(?:srun|slurmstepd|sbatch|salloc): (error|warning): ")
PYTHON = re.compile(rb"[^ ]*\d: (?:[A-Z]\w*)?Warning: ")
LABELS = re.compile(rb"(?: +(?=\d))?(?:\d+: |\[rank\d+\]: ?|\x1b\[[\d;]*m)*")


def near(text):
    found = [m for m in (p.match(text) for p in BEHIND_A_TIME) if m]
    return WORDS[min(found, key=lambda m: m.start("w"))["w"]] if found else ""


def library(line):
    m = re.search(rb"(?:^| )(?:NCCL|UCX) \W*(\w+)", line[:96])
    return WORDS.get(m[1], "") if m else ""


def level_of(line, m):
    if m and m.groupdict().get("L"):
        return LETTERS[m["L"]]
    if m:
        before = near(line[:m.start()])
        tensorflow = re.match(rb"\W*([IWEF]) ", line[m.end():])
        return before or (LETTERS[tensorflow[1]] if tensorflow else near(line[m.end():]) or library(line))
    whole = line[LABELS.match(line).end():]
    line = whole[:96]
    torch = re.match(rb"\[([IWEF]) ", line)
    if torch and b".cpp:" in line:
        return LETTERS[torch[1]]
    for form in AT_THE_START:
        m = form.match(line)
        if m:
            return WORDS[m["w"]]
    slurm = SLURM.match(line)
    if slurm:
        return {b"error": "error", b"warning": "warn"}[slurm[1]]
    return "warn" if PYTHON.match(whole[:256]) else library(line)


def find(line, start, reference):
    """(time ns or None, level)"""
    for at in range(min(96, len(line))):
        if len(re.findall(rb"(?<! )(?<!^) ", line[:at + 1])) > 4:
            break
        if at and line[at - 1:at] not in b' \t[(":|>m\r':
            continue
        for form in FORMS:
            m = form.match(line, at)
            t = nanoseconds(m, start, reference) if m and not line[m.end():m.end() + 1].isdigit() else None
            if t is not None:
                return t, level_of(line, m)
    if b":::ML" in line:
        t = next((r[0] for r in mllog_oracle.parse_line(line) if r[0] is not None), None)
        return t, level_of(line, None)
    return None, level_of(line, None)


def lines(data, *, start_ns=None, reference_ns=None):
    """start_ns: --start; reference_ns: the file's modification time."""
    found = [(line, *find(line, start_ns, reference_ns)) for line in mllog_oracle.lines_of(data)]
    first = start_ns if start_ns is not None else reference_ns
    now = next((t for _, t, _ in found if t is not None), first)
    out = []
    for line, t, level in found:
        now = now if t is None else t
        out.append((line, now, level))
    return out
