"""The verbs that inspect: the same answers over HTTP and from the directory, beside the server and
without one; raw logs, tails and following; exit statuses; tables that fit."""
import json
import math
import os
import re
import signal
import subprocess
import threading
import time

import harness
from harness import NS, Batch, check, cli, equal, wait_for

BASE = (time.time_ns() - 3600 * NS) // (300 * NS) * 300 * NS
VERBS = ("runs", "show", "metrics", "get", "plot", "compare", "logs", "export", "stats", "verify", "compact", "backup",
         "restore", "policy", "project", "tag", "wait", "rm", "undelete", "push", "import", "serve")
RAW = [b"plain\n", b"no end", b"crlf\r\n", b"\x00\xff\xfe not text\n", b"", b"bars 10%\rbars 20%\rbars 30%\n",
       b"\x1b[31mred\x1b[0m and \x1b]0;title\x07quiet\n", "caf\u00e9 \U0001f600\n".encode(), b"x" * 100000 + b"\n"]

state = {}


def server():
    if "server" not in state:
        state["server"] = s = harness.Server(until=harness.after_all)
        c = s.client()
        c.create_run("first", hyperparams={"lr": 3e-5, "layers": 12}, tags={"team": "nlp"}, model="bert-base")
        batch = Batch()
        for name, labels in (("train/loss", {}), ("lr", {"rank": "0"}), ("lr", {"rank": "1"})):
            ref = batch.series(name, labels)
            for i in range(200):
                batch.sample(ref, BASE + i * 7 * NS, math.nan if i == 50 else 1 / (i + 1), step=i)
        c.ingest("first", batch)
        batch = Batch()
        for i, text in enumerate(RAW):
            batch.log(text, BASE + i * NS, level="WARN" if i == 3 else "INFO", rank=i % 2)
        c.ingest("first", batch)
        c.create_run("an-id-that-is-longer-than-the-column-for-it", state="running")
        # the open windows of a live run close, and change answers, as time goes on: wait for none
    return state["server"]


def over_http(*arguments, **options):
    s = server()
    return cli(*arguments, "--server", s.url, env={"ASTRAML_TOKEN": s.token}, **options)


def from_directory(*arguments, **options):
    return cli(*arguments, "--data", server().data, **options)


CALLS = (
    ("runs",), ("runs", "--state", "running"), ("runs", "--tag", "team=nlp", "--limit", "1"), ("runs", "--name", "fir*"),
    ("show", "first"), ("metrics", "first"), ("get", "first", "train/loss"), ("get", "first", "*", "--every", "5m"),
    ("get", "first", "lr", "--label", "rank=1", "--points", "3", "--agg", "count,nan,last_time"),
    ("get", "first", "lr", "--start", "2030-01-01T00:00:00Z"),
    ("get", "first", "lr", "--x", "step", "--step", "10:150", "--by", ""), ("plot", "first", "train/loss", "--x", "step"),
    ("plot", "first", "lr", "--smooth", "0.5", "--log-y"), ("compare", "first", "an-id-that-is-longer-than-the-column-for-it"),
    ("logs", "first", "--around-step", "3", "-C", "2"), ("logs", "first"), ("logs", "first", "--raw"), ("logs", "first", "--tail", "3"), ("logs", "first", "--grep", "bars"),
    ("logs", "first", "--regex", "^caf", "-C", "1"), ("logs", "first", "--level", "warn", "--raw"),
    ("logs", "first", "--rank", "1"), ("verify",),
)


def without_clock(data):
    """Ages, and how far data is complete, move on between two calls; so does what verify walks."""
    data = re.sub(rb'"complete_until":"[^"]*"|complete until \S+|complete +\S+', b"", data)
    data = re.sub(rb" +\d+[smhdy](?= |\n)|\(\d+[smhdy] ago\)", b"", data)
    return re.sub(rb'"(values|journal_entries|blocks|buckets|parts)":\d+|(values|journal_entries|blocks|buckets|parts) +\d+', b"", data)


def test_same_answers_over_http_and_from_the_directory():
    server()
    for call in CALLS:
        for json_too in ((), ("--json",)):
            if json_too and "--raw" in call:
                continue
            a, b = over_http(*call, *json_too), from_directory(*call, *json_too)
            equal((a.returncode, b.returncode), (0, 0), f"{call} {a.stderr} {b.stderr}")
            equal(without_clock(a.stdout), without_clock(b.stdout), f"{call} {json_too}")
            check(a.stdout or call[0] == "get", call, "printed nothing")


def test_json_is_the_answer_itself():
    c = server().client()
    for call, path, parameters in (
            (("runs",), "/runs", {}), (("show", "first"), "/runs/first", {}),
            (("metrics", "first"), "/runs/first/metrics", {}),
            (("get", "first", "lr", "--every", "5m", "--agg", "sum"), "/query",
             {"run": "first", "metric": "lr", "every": "5m", "agg": "sum"}),
            (("logs", "first", "--grep", "bars"), "/runs/first/logs", {"grep": "bars"})):
        equal(without_clock(over_http(*call, "--json").stdout), without_clock(c.get(path, **parameters).body), str(call))


def test_without_a_server():
    with harness.Server() as s:
        c = s.client()
        c.create_run("alone")
        batch = Batch()
        c.ingest("alone", batch.sample(batch.series("m"), BASE, 1.5, step=1).log(b"kept\n", BASE))
        shown = [cli(*call, "--server", s.url, env={"ASTRAML_TOKEN": s.token}).stdout
                 for call in (("get", "alone", "m"), ("logs", "alone"), ("metrics", "alone"))]
        s.stop()
        for call, want in zip((("get", "alone", "m"), ("logs", "alone"), ("metrics", "alone")), shown):
            equal(cli(*call, "--data", s.data).stdout, want, str(call))
        equal(cli("verify", "--data", s.data).returncode, 0, "verify")
        s.start()


# ---- logs ----

def test_raw_logs_are_the_bytes():
    for how in (over_http, from_directory):
        equal(how("logs", "first", "--raw").stdout, b"".join(RAW), "raw")
        equal(how("logs", "first", "--raw", "--tail", "2").stdout, b"".join(RAW[-2:]), "raw tail")


def test_shown_logs_are_text():
    lines = over_http("logs", "first").stdout.split(b"\n")
    equal(lines[:3], [b"plain", b"no end", b"crlf"], "line ends")
    equal(lines[4:7], [b"", b"bars 30%", b"red and quiet"], "shaped lines")
    check(b"\x1b" not in b"".join(lines) and b"\r" not in b"".join(lines), "controls are left")


def follow(*arguments):
    s = server()
    process = subprocess.Popen([harness.PROGRAM, "logs", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=harness.program_environment(ASTRAML_TOKEN=s.token))
    harness.after_test.append(lambda: (process.kill(), process.wait()))
    return process


class Reader(threading.Thread):
    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.lines = process, []
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.lines.append(line)


def test_following_over_http_and_from_the_directory():
    s = server()
    c = s.client()
    c.create_run("followed")
    c.ingest("followed", Batch().log("before 1\n", BASE).log("before 2\n", BASE))
    readers = [Reader(follow("followed", "-f", "--tail", "1", "--server", s.url)),
               Reader(follow("followed", "-f", "--tail", "1", "--data", s.data)),
               Reader(follow("followed", "-f", "--grep", "7", "--server", s.url))]
    wait_for(lambda: readers[0].lines and readers[1].lines, "the tails")
    want = [b"before 2\n"]
    for i in range(30):
        c.ingest("followed", Batch().log(f"line {i}\n", BASE))
        want.append(b"line %d\n" % i)
    for r in readers[:2]:
        wait_for(lambda: len(r.lines) >= len(want), "all lines")
        equal(r.lines, want, "followed")
    wait_for(lambda: len(readers[2].lines) >= 3, "the filtered lines")
    equal(readers[2].lines, [b"line 7\n", b"line 17\n", b"line 27\n"], "followed with a filter")


def test_following_survives_the_server():
    with harness.Server() as s:
        c = s.client()
        c.create_run("r")
        process = subprocess.Popen([harness.PROGRAM, "logs", "r", "-f", "--server", s.url], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=harness.program_environment(ASTRAML_TOKEN=s.token))
        harness.after_test.append(lambda: (process.kill(), process.wait()))
        reader = Reader(process)
        host, port = harness.parse_url(s.url)
        s.command[s.command.index("--listen") + 1] = f"{host}:{port}"
        for i in range(3):
            c.ingest("r", Batch().log(f"{i}\n", BASE))
            wait_for(lambda: len(reader.lines) > i, "the line before the end")
            if i == 0:
                s.kill9()
                s.start()
            else:
                s.restart()
            c = s.client()
        c.ingest("r", Batch().log("last\n", BASE))
        wait_for(lambda: reader.lines[-1:] == [b"last\n"], "the line after the end")
        equal(reader.lines, [b"0\n", b"1\n", b"2\n", b"last\n"], "lines")


# ---- what people see ----

def test_tables_fit():
    for call in (("runs",), ("show", "first"), ("metrics", "first"), ("get", "first", "train/loss")):
        text = over_http(*call).stdout.decode()
        for line in text.splitlines():
            check(len(line) <= 80, call, "a line of", len(line), "characters:", line[:100])
        check("\x1b" not in text, "colours in a pipe")
    check("an-id-that-is-longer-than-the-column-for-it" in over_http("runs").stdout.decode(), "the id is cut")
    text = over_http("show", "first").stdout.decode()
    for part in ("bert-base", "lr=3e-05", "team=nlp", "train/loss", "state"):
        check(part in text, f"show does not tell {part}:", text)


def test_get_prints_what_the_api_says():
    lines = over_http("get", "first", "train/loss", "--every", "5m", "--agg", "count,nan,last").stdout.decode().splitlines()
    rows = server().client().query("first", "train/loss", every="5m", agg="count,nan,last")["series"][0]["rows"]
    equal(lines[0], "train/loss", "the title")
    equal(lines[1].split(), ["WINDOW", "count", "nan", "last"], "the head")
    equal(len(lines) - 2, len(rows), "rows")
    for line, row in zip(lines[2:], rows):
        t, count, nan, last = line.split()
        equal(t, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row[0] // 1000)), "the window")
        equal([int(count), int(nan)], row[1:3], "counts")
        check(abs(float(last) - row[3]) <= 1e-5 * abs(row[3]), line, row)


def test_exit_statuses():
    s = server()
    for arguments, status, words in (
            (("show", "nobody"), 3, b"nobody"), (("metrics", "nobody"), 3, b"nobody"), (("logs", "nobody"), 3, b"nobody"),
            (("logs", "nobody", "-f"), 3, b"nobody"), (("get", "first", "nothing"), 3, b"nothing"),
            (("show",), 2, b"missing"), (("get", "first"), 2, b"METRIC"), (("show", "a", "b"), 2, b"too many"),
            (("get", "first", "lr", "--samples", "--every", "1m"), 2, b"every"), (("get", "first", "lr", "--explain"), 2, b"--explain"),
            (("get", "first", "lr", "--every", "x"), 2, b"every"), (("get", "first", "lr", "--every"), 2, b"needs a value"),
            (("logs", "first", "--regex", "("), 2, b"position"), (("logs", "first", "--tail", "x"), 2, b"--tail"),
            (("logs", "first", "-f", "--until", "1h"), 2, b"--until"), (("show", "a/b"), 2, b"a/b"),
            (("runs", "--state", "done"), 2, b"done")):
        for how in (over_http, from_directory):
            r = how(*arguments)
            equal(r.returncode, status, f"{arguments}: {r.stderr}")
            check(words in r.stderr and not r.stdout, arguments, r)
    r = cli("runs", "--server", s.url, env={"ASTRAML_TOKEN": "wrong"})
    check(r.returncode == 4 and b"ASTRAML_TOKEN" in r.stderr, "a wrong token:", r)
    for arguments, words in ((("--bogus", "1"), b"no option --bogus"), (("--grace",), b"no value for --grace")):
        r = cli("serve", *arguments)
        check(r.returncode == 2 and words in r.stderr and b"--help" in r.stderr, arguments, r)
    r = cli("runs", "--server", "http://127.0.0.1:1")
    equal(r.returncode, 5, f"no server: {r.stderr}")
    r = cli("runs", "--data", "/nonexistent/data")
    check(r.returncode in (3, 5) and b"/nonexistent/data" in r.stderr, "no directory:", r)
    r = cli("metrics", "--server", s.url, env={"ASTRAML_TOKEN": s.token, "ASTRAML_RUN": "first"})
    equal(r.returncode, 0, "the run from the environment")


def test_help():
    for verb in VERBS:
        for arguments in ((verb, "--help"), (verb, "text" if verb == "import" else "first", "--help")):
            r = cli(*arguments)
            equal((r.returncode, r.stderr), (0, b""), str(arguments))
            text = r.stdout.decode()
            check(text.startswith(f"usage: astraml {verb} "), text)
            check(f"astraml {verb} " in text[text.index("\nexample"):], "has no example:", text)
            check(all(len(line) <= 80 for line in text.splitlines()), "long lines:", text)


def test_columns_of_nothing():
    said = cli("stats", "--columns", "--data", server().data).stdout
    check(b"no metrics are sealed yet" in said and b"TIER" not in said, said)


def test_a_closed_pipe_ends_the_verb():
    s = server()
    c = s.client()
    c.create_run("pipe")
    batch = Batch()
    for i in range(50000):
        batch.log(f"line {i}\n", BASE)
    c.ingest("pipe", batch)
    for how in (("--server", s.url), ("--data", s.data)):
        process = follow("pipe", *how)
        process.stdout.read(10)
        process.stdout.close()
        check(process.wait(harness.DEADLINE_S) in (0, -signal.SIGPIPE), "exit status", process.returncode)


def test_verify_finds_damage():
    with harness.Server() as s:
        c = s.client()
        c.create_run("damaged")
        c.ingest("damaged", Batch().log(b"a needle in the haystack\n" * 40, BASE))
        s.stop()
        path = os.path.join(s.data, "hot", "data.mdb")
        with open(path, "rb") as f:
            data = f.read()
        # the newest copy of the record's block: flip a byte in each, so that no copy is whole
        places = [m.start() for m in re.finditer(b"a needle in the hay", data)]
        if not places:
            raise harness.Skip("the block does not hold its text as it is")
        with open(path, "r+b") as f:
            for place in places:
                f.seek(place)
                f.write(b"A")
        r = cli("verify", "--data", s.data)
        equal(r.returncode, 5, f"verify: {r}")
        check(r.stdout and b"1 trouble;" in r.stderr, r)
        r = cli("verify", "--data", s.data, "--json")
        check(json.loads(r.stdout.splitlines()[0])["trouble"], r)
        equal(json.loads(r.stdout.splitlines()[-1])["end"]["troubles"] > 0, True, "the count")
        s.start()


if __name__ == "__main__":
    harness.main(globals())
