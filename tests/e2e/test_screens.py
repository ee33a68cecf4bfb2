"""What people see: every screen of the verbs that inspect, against files in tests/golden/screens, at
80 and 120 columns, in ASCII, in colour; and that what is drawn says what the API says.

ASTRAML_UPDATE_GOLDEN=1 writes the files anew; look at the difference before you commit it.  Ages and
times of the moment are masked, everything else is fixed: real runs, and a made-up one with fixed times.
"""
import datetime
import fcntl
import glob
import gzip
import http.server
import json
import math
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import harness
from harness import check, cli, equal

GOLDEN = os.path.join(harness.ROOT, "tests", "golden", "screens")
SAMPLES = os.path.join(harness.ROOT, "tests", "data", "mlperf_training")
IMPORTS = (("resnet-2018", "v0.5/nvidia__dgx1_multi_ngc18.11_mxnet__resnet__result_0.txt.gz"),
           ("ncf-2018", "v0.5/nvidia__dgx1_ngc18.11_pytorch__ncf__result_0.txt.gz"),
           ("rnnt-2022", "v2.0/Dell__DSS8440x8xA30-NVBRIDGE__rnnt__result_0.txt.gz"),
           ("maskrcnn-2022", "v2.0/Azure__ND96amsr_A100_v4_n1_pytorch__maskrcnn__result_0.txt.gz"),
           ("llama2-lora-2025", "v5.0/Oracle__18xBM.GPU.GB200.4__llama2_70b_lora__result_0.txt.gz"))
CRASH = glob.glob(os.path.join(harness.ROOT, "tests", "data", "algoperf", "logs", "*criteo1tb_pytorch*.gz"))[0]
START = 1_773_705_600  # 2026-03-17T00:00:00Z
LONG = "made-up-run-whose-id-is-longer-than-its-column"

SCREENS = {
    "runs": ("runs",),
    "runs-none": ("runs", "--name", "nothing-has-this-name"),
    "show-real": ("show", "llama2-lora-2025"),
    "show-made-up": ("show", LONG),
    "metrics": ("metrics", LONG),
    "get": ("get", "rnnt-2022", "eval_accuracy", "--points", "8"),
    "get-step": ("get", LONG, "train/loss", "--x", "step", "--step", "500:", "--points", "8"),
    "get-csv": ("get", "llama2-lora-2025", "train_loss", "--csv"),
    "plot-real": ("plot", "llama2-lora-2025", "train_loss"),
    "plot-real-step": ("plot", "rnnt-2022", "eval_accuracy", "--x", "step", "--log-y"),
    "plot-made-up": ("plot", LONG, "train/loss"),
    "plot-log-smooth": ("plot", LONG, "train/loss", "--log-y", "--smooth", "0.9", "--x", "rel"),
    "plot-zoom": ("plot", LONG, "train/loss", "--x", "step", "--step", "1400:1600", "--height", "8"),
    "plot-ranks": ("plot", LONG, "step_ms"),
    "plot-runs": ("plot", "rnnt-2022", "maskrcnn-2022", "throughput", "--x", "rel", "--log-y"),
    "compare": ("compare", "rnnt-2022", "maskrcnn-2022", "llama2-lora-2025"),
    "compare-many": ("compare", *(name for name, _ in IMPORTS), LONG, "--metric", "*a*"),
    "policy": ("policy",),
    "logs": ("logs", "ncf-2018", "--tail", "12"),
    "logs-levels": ("logs", LONG),
    "logs-events": ("logs", "crash", "--project", "texts", "--events", "--grep", "AttributeError", "--tail", "2"),
    "logs-events-around": ("logs", "crash", "--project", "texts", "--events", "--regex", "elastic.*failed", "-C", "2"),
    "logs-context": ("logs", "crash", "--project", "texts", "--regex", r"rank[03]\]: AttributeError|errors.Child", "-C", "1"),
    "logs-histogram": ("logs", "crash", "--project", "texts", "--histogram"),
    "logs-histogram-every": ("logs", "maskrcnn-2022", "--histogram", "--every", "5m", "--level", "info"),
    "logs-around-step": ("logs", "rnnt-2022", "--around-step", "20", "-C", "2"),
}
VARIANTS = (("80 columns", 80, "C.UTF-8", ("--no-color",)), ("80 columns, colours", 80, "C.UTF-8", ()),
            ("80 columns, ASCII", 80, "C", ("--no-color",)), ("120 columns", 120, "C.UTF-8", ("--no-color",)))
VERBS = ("runs", "show", "metrics", "get", "plot", "compare", "logs", "tag", "wait", "rm", "undelete", "project", "policy", "stats", "verify")

state = {}


def time_text(seconds):
    t = datetime.datetime.fromtimestamp(START + seconds, datetime.timezone.utc)
    return t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def made_up():
    """3000 steps in 100 minutes: a gap, a spike of one sample, NaN, -Infinity, two ranks, logs of each level."""
    for step in range(3000):
        t = time_text(step * 2)
        if not 1000 <= step < 1300:
            value = 0.4 + 3 * math.exp(-step / 400) + 0.1 * math.sin(step * 1.7)
            value = {700: "NaN", 1500: 9.0, 2500: "-Infinity"}.get(step, round(value, 6))
            yield {"metric": "train/loss", "value": value, "step": step, "time": t}
            if step % 10 == 0:
                for rank in range(2):
                    yield {"metric": "step_ms", "value": round(110 + 9 * rank + 5 * math.sin(step / 300 + rank), 3),
                           "step": step, "time": t, "labels": {"rank": str(rank)}}
    for i, level in enumerate(("debug", "info", "warn", "error")):
        yield {"log": f"a record of level {level}\n", "level": level, "stream": "stderr", "time": time_text(i)}
    yield {"log": " 10%|#   |\r 50%|##  |\r100%|####|\n", "stream": "stderr", "time": time_text(9)}
    yield {"log": "\x1b[32mgreen by itself\x1b[0m\n", "level": "warn", "stream": "stderr", "time": time_text(10)}


def data():
    if "data" not in state:
        state["server"] = s = harness.Server(until=harness.after_all)
        state["environment"] = {"ASTRAML_TOKEN": s.token}
        for name, path in IMPORTS:
            r = cli("import", "mllog", "--run", name, os.path.join(SAMPLES, path), "--server", s.url,
                    env=state["environment"])
            equal(r.returncode, 0, f"import of {path}: {r.stderr}")
        # in a project of its own, so that the other screens do not see it
        r = cli("import", "text", "--run", "crash", "--project", "texts", "--start", "2025-03-01T00:00:00Z", CRASH,
                "--server", s.url, env=state["environment"])
        equal(r.returncode, 0, f"import of {CRASH}: {r.stderr}")
        lines = "".join(json.dumps(line) + "\n" for line in made_up())
        r = cli("push", "--run", LONG, "--server", s.url, stdin=lines.encode(), env=state["environment"])
        equal(r.returncode, 0, f"push: {r.stderr}")
        state["data"] = s.data
    return state["data"]


def on_terminal(arguments, columns, locale, rows=40, environment=None):
    """What the program writes to a terminal of that size; stderr goes elsewhere."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = harness.program_environment(LC_ALL=locale, TERM="xterm-256color")
    env.pop("NO_COLOR", None)
    env.update(environment or {})
    process = subprocess.Popen([harness.PROGRAM, *arguments, "--data", data()], stdin=subprocess.DEVNULL,
                               stdout=follower, stderr=subprocess.PIPE, env=env)
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(leader)
    stderr = process.stderr.read().decode()
    process.stderr.close()
    equal(process.wait(harness.DEADLINE_S), 0, f"{arguments}: {stderr}")
    return output.decode().replace("\r\n", "\n"), stderr


def masked(text):
    """Without what the clock says."""
    text = re.sub(r"(?m)^((?:\x1b\[\d+m)?(?:created|ended|heartbeat|started) +\S+Z?) .*ago\)", r"\1", text)
    text = re.sub(r"(?m)^(created|ended|heartbeat|complete) .*$", r"\1 ...", text)
    text = re.sub(r"(?m)^(started) +2026-1.*$|^(started) +20(?:2[7-9]|[3-9]\d).*$", r"\1\2 ...", text)
    text = re.sub(r"complete until \S+Z", "complete until ...", text)
    return re.sub(r"(finished|running|lost)( *(?:\x1b\[0m)?) +\d+[smhdy] ", r"\1\2 AGE ", text)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def screen(arguments):
    parts = []
    for title, columns, locale, options in VARIANTS:
        text, stderr = on_terminal([*arguments, *options], columns, locale)
        if "--csv" not in arguments and arguments[0] != "logs":
            for line in plain(text).splitlines():
                check(len(line) <= columns, arguments, title, "a line of", len(line), "characters:", line)
        check(options == () or "\x1b" not in text, arguments, title, "colours although --no-color")
        check(locale != "C" or arguments[0] == "logs" or text.isascii(), arguments, title, "is not ASCII:", text)
        parts.append(f"=== {title}\n{masked(text)}")
        if title == "80 columns" and stderr:
            parts.append(f"=== stderr\n{masked(stderr)}")
    return "".join(parts).replace("\x1b", "\N{SYMBOL FOR ESCAPE}")


def compare_with_golden(name, got):
    path = os.path.join(GOLDEN, name + ".txt")
    if os.environ.get("ASTRAML_UPDATE_GOLDEN"):
        with open(path, "w") as f:
            f.write(got)
    with open(path) as f:
        want = f.read()
    if got != want:
        for g, w in zip(got.splitlines(), want.splitlines()):
            equal(g, w, f"{path} (ASTRAML_UPDATE_GOLDEN=1 writes it anew)")
        equal(len(got.splitlines()), len(want.splitlines()), f"lines of {path}")


def test_screens():
    for name, arguments in SCREENS.items():
        compare_with_golden(name, screen(arguments))


def test_helps():
    text = ""
    for verb in VERBS:
        r = cli(verb, "--help")
        equal(r.returncode, 0, verb)
        check(f"\nexample: astraml {verb} " in r.stdout.decode(), verb, "has no example")
        text += r.stdout.decode() + "\n"
    compare_with_golden("help", text)


def test_no_file_without_a_screen():
    equal(sorted(os.listdir(GOLDEN)), sorted([f"{name}.txt" for name in SCREENS] + ["help.txt"]), "golden files")


def test_a_histogram_counts_what_is_there():
    s = data() and state["server"]
    c = s.client()
    c.project = "texts"
    for more in ((), ("--level", "warn"), ("--grep", "rank3"), ("--every", "1s", "--regex", "Trace.ack")):
        search = dict(zip((m[2:] for m in more[-2:-1]), more[-1:]))
        records = c.logs("crash", **search)
        text = on_terminal(("logs", "crash", "--project", "texts", "--histogram", "--no-color", *more), 200, "C")[0]
        head, *rows = [re.split(r"  +", line.rstrip("#=- ").rstrip()) for line in text.splitlines() if line != "..."]
        equal(sum(int(row[1]) for row in rows), len(records), f"records {more}")
        for level in ("error", "warn", "info", "no level"):
            n = sum((r["level"] or "no level") == level for r in records)
            equal(level in head, n > 0, f"column {level} {more}")
        for row in rows:
            equal(int(row[1]), sum(int(x) for x in row[2:] if x.strip("#=-")), f"{row} adds up")
        if "--every" in more:
            times = {r["time"][:19].replace("T", " ") for r in records}
            equal({row[0] for row in rows}, times, "windows")
    for more in (("--histogram", "-f"), ("--every", "5m"), ("--histogram", "--events"), ("--histogram", "--every", "x")):
        r = cli("logs", "crash", "--project", "texts", *more, "--data", s.data)
        check(r.returncode == 2 and r.stderr and not r.stdout, more, r)


def test_colours_of_a_text_end_with_it():
    s = data() and state["server"]
    for i, (text, terminal, pipe) in enumerate((
            ("\x1b[31mred\n", "\x1b[31mred\x1b[0m\n", "red\n"), ("\x1b[1mbold\x1b[m\n", "\x1b[1mbold\x1b[m\n", "bold\n"),
            ("\x1b[31m 1%\r\x1b[32m 2%\x1b[0m\r\n", "\x1b[32m 2%\x1b[0m\n", " 2%\n"), ("dos\r\n", "dos\n", "dos\n"),
            (" 1%\r 2%\r", " 2%\n", " 2%\n"))):
        run = f"text-{i}"
        r = cli("push", "--run", run, "--server", s.url, "--project", "texts", env=state["environment"],
                stdin=json.dumps({"log": text}).encode())
        equal(r.returncode, 0, r.stderr)
        equal(on_terminal(("logs", run, "--project", "texts"), 80, "C.UTF-8")[0], terminal, f"{text!r} on a terminal")
        for form, want in ((), pipe), (("--raw",), text):
            r = cli("logs", run, "--project", "texts", *form, "--data", s.data)
            equal(r.stdout.decode(), want, f"{text!r} {form}")
    equal(on_terminal(("logs", "text-0", "--project", "texts", "--raw"), 80, "C.UTF-8")[0], "\x1b[31mred\n", "raw")


# ---- the same as the API says ----

def test_a_dumb_terminal_and_a_pipe_have_no_colours():
    arguments = ("plot", LONG, "train/loss")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        env = dict(environment)
        leader_text = subprocess.run([harness.PROGRAM, *arguments, "--data", data()], capture_output=True,
                                     env=harness.program_environment(LC_ALL="C.UTF-8", **env)).stdout.decode()
        check("\x1b" not in leader_text and leader_text, environment, leader_text)
        equal(leader_text.isascii(), environment.get("TERM") == "dumb", str(environment))
    text = on_terminal(arguments, 80, "C.UTF-8", environment={"NO_COLOR": "1"})[0]
    check("\x1b" not in text, "colours although NO_COLOR")


def test_a_chart_fits_the_terminal():
    for rows in (18, 24, 30):
        for arguments in (("plot", LONG, "train/loss"), ("plot", LONG, "step_ms")):
            lines = on_terminal(arguments, 80, "C.UTF-8", rows=rows)[0].count("\n")
            check(lines < rows, arguments, lines, "lines on a terminal of", rows)


def test_a_legend_tells_what_the_api_says():
    data()
    c = state["server"].client()
    for run in ("llama2-lora-2025", "rnnt-2022"):
        for metric in ("train_loss",) if run[0] == "l" else ("throughput", "eval_accuracy"):
            m = next(m for m in c.metrics(run) if m["name"] == metric)
            text = on_terminal(("plot", run, metric, "--no-color"), 80, "C")[0]
            got = re.search(r"last (\S+) +min (\S+) +max (\S+) +(\d+) samples", text)
            for value, key in zip(got.groups(), ("last", "min", "max", "count")):
                check(math.isclose(float(value), m[key], rel_tol=1e-5), run, metric, key, value, m[key])


def test_a_course_in_a_few_windows_is_drawn_sample_by_sample():
    """60 steps of a falling curve in one window: the line falls from left to right, and no band hides it."""
    s = harness.Server()
    lines = "".join(json.dumps({"metric": "loss", "value": 2.0 ** (-step / 10), "step": step,
                                "time": time_text(step / 4)}) + "\n" for step in range(60))
    r = cli("push", "--run", "r", "--server", s.url, env={"ASTRAML_TOKEN": s.token}, stdin=lines.encode())
    equal(r.returncode, 0, r.stderr)
    text = cli("plot", "r", "loss", "--x", "step", "--height", "9", "--data", s.data, env={"LC_ALL": "C"}).stdout.decode()
    check("each step by itself" in text and "60 samples" in text, text)
    drawing = [re.split(r"[|+]", line, maxsplit=1)[1] for line in text.split("\n")[2:11]]
    firsts = [line.find("*") for line in drawing]
    check(-1 not in firsts and firsts == sorted(firsts) and firsts[0] < 4 and firsts[-1] > 30, firsts, text)
    check(":" not in "".join(drawing), text)
    text = cli("plot", LONG, "train/loss", "--x", "step", "--data", data()).stdout.decode()
    check("ranges of up to" in text or "windows of" in text, text)


def test_compare_marks_the_best():
    data()
    c = state["server"].client()
    best = {run: next((m["max"] for m in c.metrics(run) if m["name"] == "eval_accuracy"), None)
            for run in ("rnnt-2022", "llama2-lora-2025", "maskrcnn-2022")}
    text = on_terminal(("compare", *best, "--metric", "eval_accuracy", "--no-color"), 80, "C")[0]
    line = next(l for l in text.splitlines() if l.startswith("eval_accuracy"))
    values = line.split()[2:]
    equal(len(values), 3, line)
    for value, want in zip(values, best.values()):
        equal(value == "-", want is None, line)
        if want is not None:
            check(math.isclose(float(value.rstrip("*")), want, rel_tol=1e-5), line, want)
            equal(value.endswith("*"), want == max(v for v in best.values() if v is not None), line)


def test_around_step_finds_the_line_that_logged_it():
    data()
    for epoch in (1, 20, 55):
        with gzip.open(os.path.join(SAMPLES, IMPORTS[2][1]), "rt", errors="replace") as f:
            line = next(l for l in f if '"eval_accuracy"' in l and f'"epoch_num": {epoch}}}' in l
                        or f'"eval_accuracy"' in l and f'"epoch_num": {epoch},' in l)
        r = cli("logs", "rnnt-2022", "--around-step", epoch, "-C", "3", "--data", data())
        equal(r.returncode, 0, r.stderr)
        check(line.strip() in r.stdout.decode(errors="replace"), epoch, line, "is not in", r.stdout.decode())
        check(f"step {epoch} was at " in r.stderr.decode(), r.stderr)
    r = cli("logs", "rnnt-2022", "--around-step", 1000, "--data", data())
    check(r.returncode == 3 and b"1000" in r.stderr and not r.stdout, r)


def test_what_is_wrong_is_said():
    data()
    for arguments, status, words in (
            (("plot", LONG), 2, "METRIC"), (("plot",), 2, "missing"), (("compare", LONG), 2, "two runs"),
            (("plot", LONG, "nothing"), 3, "nothing"), (("plot", "nobody", "loss"), 3, "nobody"),
            (("plot", LONG, "train/loss", "--x", "hour"), 2, "hour"), (("plot", LONG, "lr", "--smooth", "1"), 2, "--smooth"),
            (("plot", LONG, "train/loss", "--width", "20"), 2, "72"), (("plot", LONG, "train/loss", "--step", "5"), 2, "A:B"),
            (("plot", LONG, "train/loss", "--start", "2030-01-01T00:00:00Z"), 3, "nothing can be drawn"),
            (("plot", "rnnt-2022", "throughput", "--x", "step"), 3, "--x time"),
            (("get", LONG, "train/loss", "--samples", "--every", "5m"), 2, "every"), (("compare", LONG, "nobody"), 3, "nobody"),
            (("get", LONG, "train/loss", "--csv", "--json"), 2, "two forms"),
            (("logs", LONG, "--around-step", "5", "-f"), 2, "--around-step"),
            (("logs", "ncf-2018", "--around-step", "3"), 3, "has steps")):
        r = cli(*arguments, "--data", data())
        equal(r.returncode, status, f"{arguments}: {r.stderr}")
        check(words in r.stderr.decode() and not r.stdout, arguments, r)


def test_many_series():
    s = data() and state["server"]
    lines = "".join(json.dumps({"metric": f"layer.{i:03}/a/name/that/goes/on/and/on/and/on/for/very/long", "value": i,
                                "step": k, "time": time_text(k)}) + "\n" for i in range(500) for k in (1, 2))
    # a project of its own: the other screens do not see it
    r = cli("push", "--run", "wide", "--server", s.url, "--project", "wide", stdin=lines.encode(), env=state["environment"])
    equal(r.returncode, 0, r.stderr)
    r = cli("plot", "wide", "layer.*", "--data", s.data, "--project", "wide")
    equal(r.returncode, 0, r.stderr)
    check(b"492 more series" in r.stderr, r.stderr)
    text = cli("metrics", "wide", "--data", s.data, "--project", "wide").stdout.decode()
    equal(text.count("\nlayer."), 500, "metrics listed")
    r = cli("show", "wide", "--data", s.data, "--project", "wide")
    check("484 more" in r.stdout.decode(), r.stdout.decode())
    for line in (text + r.stdout.decode()).splitlines():
        check(len(line) <= 80, line)
    equal(cli("project", "create", "empty", "--data", s.data).returncode, 0, "project create")
    r = cli("runs", "--data", s.data, "--project", "empty")
    equal((r.returncode, r.stdout), (3, b""), str(r))
    check(b"there is no project empty" in r.stderr and b"first run" in r.stderr, r.stderr)


def test_a_run_of_few_windows():
    """Samples are drawn while they are kept: of a run of one window there is little else to see."""
    with harness.Server() as s:
        plot = lambda *runs: cli("plot", *runs, "m", "--x", "rel", "--data", s.data, "--no-color").stdout.decode()
        for run, n in (("short", 25), ("long", 400)):
            s.client().create_run(run)
            batch = harness.Batch()
            ref = batch.series("m")
            for i in range(n):
                batch.sample(ref, 1_700_000_000 * harness.NS + i * harness.NS, float("nan") if i == 7 else 0.9 ** i)
            s.client().ingest(run, batch)
        check("each sample by itself" in plot("short") and "24 samples" in plot("short") and "1 NaN" in plot("short"), plot("short"))
        for runs in (("long",), ("short", "long"), ("long", "short")):
            check("windows of 30s" in plot(*runs), plot(*runs))
        sample = plot("short")
        equal(cli("policy", "set", "raw_keep=0s", "--data", s.data).returncode, 0, "policy")
        check("windows of 30s" in plot("short") and plot("short") != sample, "without samples", plot("short"))


# ---- a server that is none ----

ROW = "[1773705600000,1,1.5,1,2,1,2,0,0,0,\"2026-03-17T00:00:00Z\",\"2026-03-17T00:00:09Z\"]"
COLUMNS = json.dumps(["time_ms", "count", "mean", "min", "max", "first", "last", "nan", "pos_inf", "neg_inf",
                      "first_time", "last_time"])
LIES = ["", "null", "[]", "{}", "7", '"text"', "{\"series\":", '{"series":null}', '{"series":[null]}',
        '{"series":[7],"metrics":7,"runs":7}', '{"metrics":[null,7,"x",[]],"runs":[null,[],7]}',
        '{"series":[{"columns":null,"rows":[]}]}', '{"series":[{"columns":[null],"rows":[[null]]}]}',
        '{"metrics":[{"name":7,"labels":[1],"count":"x","min":[],"max":{},"last":null,"last_step":"x"}],"runs":[{"id":7}]}',
        '{"metrics":[{"name":"m","labels":{"a":null},"count":-1,"last_step":1e300}],"spec":[],"started_at":7}',
        '{"spec":{"hyperparams":{"a":{"b":{}}},"tags":7,"resources":null},"metrics":[{"name":"m","labels":{},"count":9}],'
        '"runs":[{"id":"r"}],"series":[{"metric":"m","labels":{},"columns":%s,"rows":[%s,[5],[[],{},"x",null],%s]}],'
        '"every_ms":30000}' % (COLUMNS, ROW, ROW),
        '{"metrics":[{"name":"m","labels":{},"count":9,"last_step":5}],"series":[{"metric":"m","labels":{},"columns":%s,'
        '"rows":[%s,%s]}],"every_ms":1,"complete_until":7,"runs":[{"id":"r","state":7}]}'
        % (COLUMNS, ROW, ROW.replace("1773705600000", "-5")),
        '{"metrics":[{"name":"m","labels":{},"count":9,"last_step":5}],"runs":[{"id":"r"}],"every_ms":1,'
        '"series":[{"metric":"m","labels":{},"columns":%s,"rows":[7,null,"x",%s]}]}' % (COLUMNS, ROW),
        '{"end":7}\n', '{"end":{}}\n{"text":7}\n', '{"text":null,"text_base64":null}\n{"error":null}\n', "x" * 100000]


def test_no_answer_ends_a_verb_by_a_signal():
    answer = {}

    class Liar(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = answer["body"].encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    harness.after_test.append(server.server_close)
    harness.after_test.append(server.shutdown)
    url = f"http://127.0.0.1:{server.server_port}"
    for answer["body"] in LIES:
        for arguments in (("runs",), ("show", "r"), ("metrics", "r"), ("get", "r", "m"), ("plot", "r", "m"),
                          ("plot", "r", "r", "m", "--x", "rel"), ("compare", "r", "q"), ("logs", "r", "--around-step", "3"),
                          ("logs", "r"), ("logs", "r", "--events", "--grep", "x", "--tail", "1"), ("logs", "r", "--histogram"),
                          ("stats",), ("verify",)):
            r = cli(*arguments, "--server", url)
            check(r.returncode in (0, 3, 5), arguments, answer["body"][:200], r)
            check(r.returncode == 0 or r.stderr, arguments, "says nothing of", answer["body"][:200])


if __name__ == "__main__":
    harness.main(globals())
