"""Every set of real text and tables, imported by the command that ingest/import/README.md gives: every
window of every series and every line against the oracles, `logs --raw` against the file, and again."""
import glob
import gzip
import os
import shlex
import signal
import subprocess
import sys

import harness
from harness import NS, check, equal

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import mllog_oracle  # noqa: E402
import table_oracle  # noqa: E402
import text_oracle  # noqa: E402
from test_import import COLUMNS, check_columns, import_files, nanoseconds, read_json, text_of, write  # noqa: E402

DATA = os.path.join(harness.ROOT, "tests", "data")
ALL = os.environ.get("ASTRAML_DATA_SETS", os.path.join(harness.ROOT, "..", "shared", "data"))
END = 1_700_000_000


def ns(text):
    return nanoseconds(text)


# folder -> format, options, what the oracle has to know
SETS = {
    "algoperf/logs": ("text", ["--start", "2025-01-01T00:00:00Z"], {"start_ns": ns("2025-01-01T00:00:00Z")}),
    "speedrun": ("text", ["--start", "2024-01-01T00:00:00Z"], {"start_ns": ns("2024-01-01T00:00:00Z")}),
    "param_golf": ("text", ["--start", "2026-01-01T00:00:00Z"], {"start_ns": ns("2026-01-01T00:00:00Z")}),
    "algoperf/csv": ("csv", ["--end", "2023-11-14T22:13:20Z"], {"end_ns": END * NS}),
    "rl_monitor": ("csv", ["--comment", "#", "--time-column", "t", "--relative-time"], {"comment": "#", "relative": "t"}),
    "csv_logger": ("csv", ["--start", "2023-11-14T22:13:20Z"], {"start_ns": END * NS}),
    "system/nab": ("csv", [], {}),
    "system/cloud_monitoring": ("csv", [], {}),
    "system/azure_vm_noise": ("csv", ["--label-column", "VM_id"], {"labels": ["VM_id"]}),
    "system/pai_minibatch": ("csv", ["--time-column", "time", "--relative-time", "--label-column", "worker", "--label-column",
                                     "gpu", "--start", "2023-11-14T22:13:20Z"],
                             {"relative": "time", "labels": ["worker", "gpu"], "start_ns": END * NS}),
    "system/gpu_smi": ("csv", ["--no-header"], {"header": False}),
}


def windows_of(samples, every_ns=30 * NS):
    """{(metric, labels): {window start ms: columns}}"""
    groups = {}
    for metric, labels, t, step, value in samples:
        rows = groups.setdefault((metric, labels), {})
        rows.setdefault(t // every_ns * every_ns // 10**6, []).append((metric, t, step, value))
    return {k: {start: mllog_oracle.aggregate(g) for start, g in sorted(ws.items())} for k, ws in groups.items()}


def check_table(client, run, samples):
    want = windows_of(samples)
    answer = client.get("/query", run=run, metric="*", every="30s", agg=",".join(COLUMNS)) if want else None
    if answer is None:
        equal(client.get(f"/runs/{run}/metrics").json()["metrics"], [], f"metrics of {run}")
        return 0
    equal(answer.status, 200, f"query of {run}: {answer}")
    found = {}
    for series in read_json(answer.body)["series"]:
        key = series["metric"], tuple(sorted(series["labels"].items()))
        found[key] = [dict(zip(series["columns"], row)) for row in series["rows"]]
    equal(sorted(found), sorted(want), f"series of {run}")
    for key, rows in found.items():
        equal([r["time_ms"] for r in rows], list(want[key]), f"windows of {key} of {run}")
        for row in rows:
            check_columns(row, want[key][row["time_ms"]], f"{run} {key} {row['time_ms']}")
    metrics = client.get(f"/runs/{run}/metrics").json()["metrics"]
    steps = {(m["name"], tuple(sorted(m["labels"].items()))): (m["last_step"], nanoseconds(m["last_time"])) for m in metrics}
    for key in want:
        last = max((s for s in samples if (s[0], s[1]) == key), key=lambda s: mllog_oracle.order((s[0], *s[2:]))) \
            if len(want) < 100 else None
        if last:
            equal(steps[key], (last[3], last[2]), f"last step and time of {key} of {run}")
    return sum(map(len, want.values()))


def check_get(server, run, samples):
    """The verb, for the last metric."""
    want = windows_of(samples)
    metric = max(want)[0]
    got = harness.cli("get", run, metric, "--json", "--every", "30s", "--agg", ",".join(COLUMNS), "--server", server.url,
                      env={"ASTRAML_TOKEN": server.token})
    equal(got.returncode, 0, got.stderr)
    found = {tuple(sorted(s["labels"].items())): s for s in read_json(got.stdout)["series"]}
    equal(sorted(found), sorted(k[1] for k in want if k[0] == metric), f"series of {metric} by get")
    for labels, series in found.items():
        equal([row[0] for row in series["rows"]], list(want[metric, labels]), f"windows of {metric} by get")
        for row in series["rows"]:
            check_columns(dict(zip(series["columns"], row)), want[metric, labels][row[0]], f"get {run} {metric} {labels}")


def check_text(server, run, data, want):
    records = server.client().logs(run)
    equal(len(records), len(want), f"lines of {run}")
    for i, (record, (line, t, level)) in enumerate(zip(records, want), 1):
        where = f"line {i} of {run}: {line[:100]!r}"
        check(text_of(record) == line, "text of", where)
        equal((nanoseconds(record["time"]), record["stream"]), (max(t, 1), "console"), f"time and stream of {where}")
        equal(record.get("level") or "", level, f"level of {where}")
    raw = harness.cli("logs", run, "--raw", "--server", server.url, env={"ASTRAML_TOKEN": server.token})
    check(raw.returncode == 0 and raw.stdout == data, f"logs --raw of {run} is not the file:", raw.stderr)
    return len(want)


def check_set(name, root):
    """Imports a folder twice; how many windows and lines were compared."""
    kind, options, about = SETS[name]
    folder = os.path.join(root, name)
    with harness.Server() as server:
        first = import_files(server, kind, *options, folder)
        again = import_files(server, kind, *options, folder)
        equal(sorted(s["name"] for s in first), sorted(os.listdir(folder)), f"files of {name}")
        equal({s["again"] for s in first}, {None}, f"first import of {name}")
        equal({s["again"] for s in again}, {" (already there)"}, f"second import of {name}")
        n = 0
        for s in first:
            data = mllog_oracle.read(os.path.join(folder, s["name"]))
            if kind == "text":
                want = text_oracle.lines(data, **about)
                equal(s["lines"], f"{len(want):,}", f"lines of {s['name']}")
                n += check_text(server, s["run"], data, want)
            else:
                want = table_oracle.samples(data, **about)
                equal(s["samples"], f"{len(want):,}", f"samples of {s['name']}")
                n += check_table(server.client(), s["run"], want)
                if want and s is first[0]:
                    check_get(server, s["run"], want)
        harness.diagnostics(f"{name}: {len(first)} files, {n} {'lines' if kind == 'text' else 'windows'}, each as the oracle says")


def test_the_readme_has_the_commands():
    readme = open(os.path.join(harness.ROOT, "ingest", "import", "README.md")).read()
    for name, (kind, options, _) in SETS.items():
        command = shlex.join(["astraml", "import", kind, *options, name])
        check(f"    {command}" in readme, "not in ingest/import/README.md:", command)


def test_samples_of_the_tree():
    for name in SETS:
        check_set(name, DATA)


def test_mlperf_logs_as_text():
    """Their tags have times, too, and lines of shells have hours of AM and PM."""
    start = "2018-01-01T00:00:00Z"
    with harness.Server() as server:
        for s in import_files(server, "text", "--start", start, os.path.join(DATA, "mlperf_training")):
            data = mllog_oracle.read(os.path.join(DATA, "mlperf_training", s["name"]))
            check_text(server, s["run"], data, text_oracle.lines(data, start_ns=ns(start)))


def whole_set(name):
    if not os.path.isdir(os.path.join(ALL, name)):
        raise harness.Skip("the whole collection is not here; ASTRAML_DATA_SETS can name its folder")
    check_set(name, ALL)


def test_all_algoperf_logs():
    whole_set("algoperf/logs")


def test_all_speedruns():
    whole_set("speedrun")


def test_all_param_golf():
    whole_set("param_golf")


def test_all_algoperf_csv():
    whole_set("algoperf/csv")


def test_all_rl_monitor():
    whole_set("rl_monitor")


def test_all_csv_logger():
    whole_set("csv_logger")


def test_all_nab():
    whole_set("system/nab")


def test_all_cloud_monitoring():
    whole_set("system/cloud_monitoring")


def test_all_azure_vm_noise():
    whole_set("system/azure_vm_noise")


def test_all_pai_minibatch():
    whole_set("system/pai_minibatch")


def test_all_gpu_smi():
    whole_set("system/gpu_smi")


def said_by(server, *arguments, status=0):
    """What an import says on stderr."""
    done = harness.cli("import", *arguments, "--server", server.url, env={"ASTRAML_TOKEN": server.token})
    equal(done.returncode, status, f"exit status of {arguments}: {done.stderr.decode(errors='replace')}")
    return done.stderr.decode()


def test_tables_that_are_none():
    cases = {
        "binary": (b"\x7fELF\0\0,", "line 1 holds NUL bytes"),
        "utf16": ("a,b\n1,2\n".encode("utf-16"), "make it UTF-8 first"),
        "twice": (b"time,b,b\n2020-01-01 00:00:00,1,2\n", "columns 2 and 3 are both named b"),
        "ragged": (b"time,b\n2020-01-01 00:00:00,1\n2020-01-02 00:00:00\n", "line 3 has 1 cell where the first row has 2"),
        "yesterday": (b"time,b\n2020-01-01 00:00:00,1\nyesterday,2\n", "line 3: yesterday in column time is no time"),
        "escape": (b"time,b\n\x1b[2Jx,1\n", "line 2: ?[2Jx in column time is no time"),
        "far": (b"#{\"t_start\": 9214646399.5}\nt,b\n9214646399,1\n", "line 3: 9214646399 in column t is no time",
                "--comment", "#", "--time-column", "t", "--relative-time"),
        "tabs": (b"a\tb\n1\t2\n", "line 1 has no commas"),
        "values": (b"2020-01-01 00:00:00,1\n", "--no-header"),
        "open": (b'a,b\n1,"2\n3,4\n', "line 2 opens a quote that is never closed"),
        "steps": (b"step,b\n9223372036854775807,1\n", "needs a --time-column"),
        "cut": (gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:-9], "cut short"),
    }
    with harness.Server() as server:
        for name, (content, text, *options) in cases.items():
            said = said_by(server, "csv", *options, write(name + ".csv", content), status=2)
            check(text in said, f"{name}: {said}")
        good = write("good.csv", b"name,b\nx,1\n")
        for options, text in ((["--time-column", "nope"], "no column nope; there is: name, b"), (["--comment", "ab"], "one character"),
                              (["--relative-time"], "name it"), (["--time-format", "%H"], "tells no day"),
                              (["--label-column", "b", "--time-column", "b"], "two things at once"),
                              (["--time-format", "%d.%m.%Y"], "no column has times of the form")):
            check(text in said_by(server, "csv", *options, good, status=2), options)
        equal(server.client().get("/runs").json()["runs"], [], "runs of what was refused")


def test_tables_that_are_odd():
    end = "2023-11-14T22:13:20Z"
    with harness.Server() as server:
        c = server.client()

        def imported(name, content, *options):
            said = said_by(server, "csv", *options, write(name + ".csv", content))
            return said, {m["name"]: m for m in c.get(f"/runs/{name}/metrics").json()["metrics"]}
        for name, content in (("empty", b""), ("header", b"a,b\n"), ("blank", b"\n\r\n")):
            said, metrics = imported(name, content)
            check("no row with values" in said and not metrics, name, said, metrics)
            equal(c.get(f"/runs/{name}").json()["state"], "finished", f"state of {name}")
        said, metrics = imported("mixed", b"name,b,c,\nx,1,,1\ny,2,N/A,1\nz,oops,q,1\n", "--end", end)
        check("column name, c;" in said and "column b that are no numbers are left out: 1, the first in line 4" in said
              and "column 4 has no name" in said, said)
        equal({k: (m["count"], m["last_time"]) for k, m in metrics.items()}, {"b": (2, "2023-11-14T22:13:20Z")}, "mixed")
        said, metrics = imported("quoted", b'\xef\xbb\xbfstep,"a ""q"", z"\r\n3,"1e3"\r\n4,-inf\r\n5,NaN\r\n6,\r\n', "--end", end)
        m = metrics['a "q", z']
        equal((m["count"], m["neg_inf"], m["nan"], m["last_step"], said), (1, 1, 1, 5, ""), "quoted")
        _, metrics = imported("units", b"2026/04/25 16:06:06.780, 5 %, 11.64 W\n", "--no-header")
        equal({k: (m["unit"], m["last"]) for k, m in metrics.items()}, {"column_2": ("%", 5), "column_3": ("W", 11.64)}, "units")
        said, metrics = imported("docker", b"n,used\n1,900 MiB\n2,1.2 GiB\n3,7\n4,950 MiB\n", "--end", end)
        check('column used with another unit than its first one, "MiB", are left out: 2, the first in line 3' in said, said)
        equal((metrics["used"]["count"], metrics["used"]["max"]), (2, 950), "docker")
        said, metrics = imported("range", b"time,b\n2020-01-01 00:00:00,1\n1960-01-01 00:00:00,2\n2199-01-01 00:00:00,3\n")
        check("left out: 2; their time is before 1970 or in the future" in said, said)
        equal(metrics["b"]["count"], 1, "samples in range")
        said, metrics = imported("long", b"timestamp," + b"x" * 251 + b",b\n1600000000,1,2\n")
        check("column 2 has a name of 251 bytes" in said, said)
        equal((list(metrics), metrics["b"]["last_time"]), (["b"], "2020-09-13T12:26:40Z"), "long")
        _, metrics = imported("none", b"time,step,v\n00:01:23,7,1\n", "--time-column", "-", "--step-column", "-", "--end", end)
        equal({k: (m["last"], m["last_step"], m["last_time"]) for k, m in metrics.items()},
              {"step": (7, None, end), "v": (1, None, end)}, "none")
        _, metrics = imported("format", b"when,b\n06.03.2025 12:06:29.5,1\n", "--time-column", "when", "--time-format",
                              "%d.%m.%Y %H:%M:%S.%f")
        equal(metrics["b"]["last_time"], "2025-03-06T12:06:29.500Z", "--time-format")
        said, metrics = imported("relative", b"time,v\n1.5,2\n", "--start", end)
        check("column time holds no dates and is a metric" in said, said)
        equal(sorted(metrics), ["time", "v"], "metrics of relative")


def test_text_that_is_odd():
    line = b"x" * (1 << 20) + b"y\n"
    data = (b"on top\n1960-01-01 00:00:00 old\n\0\xff\r\n2199-01-01 00:00:00 far\n2020-01-01 00:00:00 ERROR now\n" + line
            + b"no end")
    with harness.Server() as server:
        c = server.client()
        said = said_by(server, "text", write("odd.log", data))
        check("before 1970 or in the future: 2;" in said, said)
        records = c.logs("odd")
        check(b"".join(map(text_of, records)) == data, "the text is not the file's")
        equal({r["time"] for r in records}, {"2020-01-01T00:00:00Z"}, "times")
        equal([r["level"] for r in records if r["level"]], ["error"], "levels")
        equal(len(records), 8, "records: a line over 1 MiB is two")
        equal(import_files(server, "text", write("empty.log", b""))[0]["lines"], "0", "lines of an empty file")
        own = write("own.log", b"at 31/12 23:59 a\nb\n")
        import_files(server, "text", "--time-format", "at %d/%m %H:%M", "--end", "2024-06-01T00:00:00Z", own)
        equal([r["time"] for r in c.logs("own")], ["2023-12-31T23:59:00Z"] * 2, "times by --time-format")
        check("no line begins with a time" in said_by(server, "text", "--run", "none", "--time-format", "%Y-%d-%m", own), "no note")


def test_times_without_a_year_stay():
    """They come from the file's time at its first import, whatever it is today."""
    path = write("syslog", b"Dec 31 23:00:00 host a\nJan  1 01:00:00 host b\n", mtime=1_704_100_000)  # 2024-01-01T09:06:40Z
    with harness.Server() as server:
        c = server.client()
        import_files(server, "text", path)
        want = ["2023-12-31T23:00:00Z", "2024-01-01T01:00:00Z"]
        equal([r["time"] for r in c.logs("syslog")], want, "times")
        os.utime(path, (1_750_000_000, 1_750_000_000))
        equal(import_files(server, "text", path)[0]["again"], " (already there)", "after a touch")
        equal([r["time"] for r in c.logs("syslog")], want, "times after a touch")
        import_files(server, "text", "--run", "later", path)
        equal([r["time"] for r in c.logs("later")], ["2024-12-31T23:00:00Z", "2025-01-01T01:00:00Z"], "times of another run")


def test_directories():
    root = os.path.join(harness.scratch(), "logs")
    for folder in ("a/b", "c"):
        os.makedirs(os.path.join(root, folder))

    def put(name):
        with open(os.path.join(root, name), "wb") as f:
            f.write(gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    for name in ("x.log", "a/x.log.gz", "a/b/x.log", "c/x.log", ".hidden"):
        put(name)
    with harness.Server() as server:
        found = import_files(server, "text", root)
        equal([(s["name"], s["run"]) for s in found],
              [("x.log", "x"), ("a/x.log.gz", "a-x"), ("a/b/x.log", "a-b-x"), ("c/x.log", "c-x")], "files and runs")
        equal(text_of(server.client().logs("a-b-x")[0]), b"a/b/x.log", "text of a nested file")
        put("a-x.txt")
        said = said_by(server, "text", root, status=2)
        check("would both become run a-x" in said, said)


def test_the_options_count():
    """Other options are another import; their order is not."""
    path = write("o.csv", b"when,k,v\n1600000000,x,1\n")
    with harness.Server() as server:
        import_files(server, "csv", "--label-column", "k", "--time-column", "when", path)
        equal(import_files(server, "csv", path, "--time-column", "when", "--label-column", "k")[0]["again"], " (already there)", "another order")
        check("other content or options" in said_by(server, "csv", "--time-column", "when", path, status=2), "other options")
        rows = write("rows.csv", b"a\n1\n")
        import_files(server, "csv", "--start", "2024-01-01T00:00:00Z", rows)
        check("other content or options" in said_by(server, "csv", "--start", "2024-01-02T00:00:00Z", rows, status=2), "another start")


def slow_file():
    """Some hundred requests."""
    return write("big.log", b"".join(b"%d " % i + b"x" * (i * 7919 % 3000) + b"\n" for i in range(130_000)))


def test_an_interrupt_says_how_to_go_on():
    path = slow_file()
    with harness.Server() as server:
        importer = subprocess.Popen([harness.PROGRAM, "import", "text", path, "--server", server.url], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(importer.kill)
        harness.wait_for(lambda: server.client().get("/runs/big/logs", limit=1).status == 200, "the run")
        importer.send_signal(signal.SIGINT)
        _, err = importer.communicate(timeout=60)
        equal(importer.returncode, -signal.SIGINT, f"how it ended: {err}")
        equal(err, b"astraml import: interrupted; import again, and it goes on where it stopped\n", "what it said")
        equal(import_files(server, "text", path)[0]["again"], None, "the repetition")
        raw = harness.cli("logs", "big", "--raw", "--server", server.url, env={"ASTRAML_TOKEN": server.token})
        check(raw.stdout == open(path, "rb").read(), "logs --raw is not the file")


def test_progress_is_for_terminals():
    path = slow_file()
    with harness.Server() as server:
        ours, theirs = os.openpty()
        importer = subprocess.Popen([harness.PROGRAM, "import", "text", path, "--server", server.url], stdout=subprocess.DEVNULL,
                                    stderr=theirs, env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(importer.kill)
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            said += piece
        os.close(ours)
        equal(importer.wait(timeout=60), 0, said)
        check(b"MiB/s" in said and b" s left  sending big.log" in said and b"% " in said, said[-400:])
        check(said.endswith(b"\r\x1b[K"), "the line was left there:", said[-100:])
        check(b"MiB/s" not in said_by(server, "text", "--run", "again", path).encode(), "a bar without a terminal")


def test_help():
    said = harness.cli("import", "--help").stdout.decode()
    check(all(f"  {name} " in said for name in ("text", "csv", "mllog")), said)
    for name, option in (("csv", "--label-column NAME"), ("text", "--time-format F"), ("mllog", "example:"),
                         ("hf-trainer", "--run"), ("tensorboard", "--follow"), ("jsonl", "astraml export")):
        done = harness.cli("import", name, "--help")
        check(all(len(line) <= 80 for line in done.stdout.splitlines()), "long lines:", done)
        check(done.returncode == 0 and option in done.stdout.decode() and "astraml import " + name in done.stdout.decode(), done)


if __name__ == "__main__":
    harness.main(globals())
