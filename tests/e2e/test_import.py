"""Real run logs, imported: every window of every metric against the oracle, every line byte for byte;
again: nothing changes; broken off: completed by a repetition."""
import base64
import datetime
import glob
import gzip
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time

import harness
from harness import NS, check, equal

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import mllog_oracle as oracle  # noqa: E402

DATA = os.path.join(harness.ROOT, "tests", "data")
OURS = sorted(glob.glob(os.path.join(DATA, "mlperf_training", "*", "*.gz")))
KEPT = sorted(glob.glob(os.path.join(DATA, "**", "*.gz"), recursive=True))
ALL_DIR = os.environ.get("ASTRAML_MLPERF_DATA", os.path.join(harness.ROOT, "..", "shared", "data", "mlperf_training"))
COLUMNS = ["count", "sum", "min", "max", "mean", "first", "last", "nan", "pos_inf", "neg_inf"]
COUNTS = {"count", "nan", "pos_inf", "neg_inf"}
UNPACKED = re.compile(r"^(?P<name>.*) -> run (?P<run>\S+): (?P<lines>[\d,]+) lines?, (?P<samples>[\d,]+) samples? of "
                      r"(?P<series>[\d,]+) series(, (?P<from>\S+) \.\. (?P<to>\S+))?(?P<again> \(already there\))?$")


def number(value):
    """A value of an answer; non-finite ones are strings there."""
    return None if value is None else float(value)


def exact(value):
    """What must be equal: bits; all NaN are one in JSON."""
    if value is None:
        return None
    return "NaN" if value != value else struct.pack(">d", value)


def nanoseconds(text):
    m = re.fullmatch(r"(.*?)(?:\.(\d{1,9}))?Z", text)
    whole = datetime.datetime.fromisoformat(m[1] + "+00:00")
    return int(whole.timestamp()) * NS + int((m[2] or "").ljust(9, "0"))


def read_json(body):
    """An int would lose the sign of -0."""
    return json.loads(body, parse_int=lambda text: -0.0 if text == "-0" else int(text))


def check_columns(got, want, what):
    for name in want:
        g, w = number(got[name]), want[name]
        if name in COUNTS:
            equal(g, w, f"{what} {name}")
        elif exact(g) != exact(None if w is None else float(w)):
            raise AssertionError(f"{what} {name}: got {g!r}, want {w!r}")


def check_windows(client, run, samples):
    """All windows of all metrics of a run; how many there are."""
    answer = client.get("/query", run=run, metric="*", every="30s", agg=",".join(COLUMNS))
    equal(answer.status, 200, f"query of {run}: {answer}")
    answer = read_json(answer.body)
    equal((answer["every_ms"], answer["partial"]), (30000, False), f"width and partial of {run}")
    want = oracle.windows(samples)
    equal(sorted(s["metric"] for s in answer["series"]), sorted(want), f"metrics of {run}")
    for series in answer["series"]:
        expected = want[series["metric"]]
        rows = [dict(zip(series["columns"], row)) for row in series["rows"]]
        equal([r["time_ms"] for r in rows], list(expected), f"windows of {series['metric']} of {run}")
        for row in rows:
            check_columns(row, expected[row["time_ms"]], f"{run} {series['metric']} {row['time_ms']}")
    return sum(map(len, want.values()))


def check_totals(client, run, samples):
    answer = client.get(f"/runs/{run}/metrics")
    equal(answer.status, 200, f"metrics of {run}: {answer}")
    want = oracle.totals(samples)
    found = {m["name"]: m for m in read_json(answer.body)["metrics"]}
    equal(sorted(found), sorted(want), f"metrics of {run}")
    for name, columns in want.items():
        got, columns = found[name], dict(columns)
        times = [columns.pop("first_time"), columns.pop("last_time")]
        equal([nanoseconds(got["first_time"]), nanoseconds(got["last_time"])], times, f"life of {name} of {run}")
        equal(got["last_step"], columns.pop("last_step"), f"last step of {name} of {run}")
        columns.pop("sum")
        check_columns(got, columns, f"{run} {name}")


def text_of(record):
    if "text_base64" in record:
        return base64.b64decode(record["text_base64"])
    return record["text"].encode()


def check_lines(client, run, data, times):
    records = client.logs(run)
    equal(len(records), len(times), f"lines of {run}")
    equal({r["stream"] for r in records} or {"console"}, {"console"}, f"streams of {run}")
    check(b"".join(map(text_of, records)) == data, f"the text of {run} is not the file's")
    for number_of_line, (record, t) in enumerate(zip(records, times), 1):
        equal(nanoseconds(record["time"]), t, f"time of line {number_of_line} of {run}")


def check_import(client, run, data):
    """Everything about the run of a file; the number of windows."""
    samples, times = oracle.samples(data)
    n = check_windows(client, run, samples)
    check_totals(client, run, samples)
    check_lines(client, run, data, times)
    return n


def import_files(server, *arguments, status=0):
    """Runs the verb; the summary lines, taken apart."""
    done = harness.cli("import", *arguments, "--server", server.url, env={"ASTRAML_TOKEN": server.token}, timeout=300)
    equal(done.returncode, status, f"exit status of import; stderr: {done.stderr.decode(errors='replace')}")
    if status:
        return done.stderr.decode(errors="replace")
    found = [UNPACKED.match(line) for line in done.stdout.decode().splitlines()]
    check(all(found), "a summary line of another form:", done.stdout)
    return [m.groupdict() for m in found]


def import_and_check(paths):
    """One server, all of the files by one command, twice."""
    with harness.Server() as server:
        c = server.client()
        contents = {os.path.basename(p): oracle.read(p) for p in paths}
        summaries = import_files(server, "mllog", *paths)
        equal([s["name"] for s in summaries], [os.path.basename(p) for p in paths], "files named in the summary")
        windows = sum(check_import(c, s["run"], contents[s["name"]]) for s in summaries)
        for s in summaries:
            samples, times = oracle.samples(contents[s["name"]])
            counts = [f"{n:,}" for n in (len(times), len(samples), len({x[0] for x in samples}))]
            equal([s["lines"], s["samples"], s["series"], s["again"]], counts + [None], f"summary of {s['name']}")
        before = [c.get(f"/runs/{s['run']}").json() for s in summaries]
        equal({(r["state"], r["imported"], r["exit_code"]) for r in before}, {("finished", True, None)}, "states")
        again = import_files(server, "mllog", *paths)
        equal([s["again"] for s in again], [" (already there)"] * len(paths), "a second import")
        for s in summaries:
            check_import(c, s["run"], contents[s["name"]])
        equal([c.get(f"/runs/{s['run']}").json() for s in summaries], before, "the runs after a second import")
        harness.diagnostics(f"{len(paths)} files, {windows} windows, each equal in every field, twice")
        return [s["run"] for s in summaries]


def test_the_files_are_the_originals():
    text = open(os.path.join(DATA, "README.md")).read()
    found = dict(re.findall(r"^## (\S+)\n.*?^- sha256: (\w+)$", text, re.M | re.S))
    equal(sorted(found), [os.path.relpath(p, DATA) for p in KEPT], "files told of in tests/data/README.md")
    for path in KEPT:
        with gzip.open(path) as f:
            equal(hashlib.sha256(f.read()).hexdigest(), found[os.path.relpath(path, DATA)], path)


def test_files_of_the_tree():
    runs = import_and_check(OURS)
    equal(len(set(runs)), len(OURS), "runs")
    check(all(len(r) <= 64 for r in runs), "an id over 64 characters:", runs)


def test_all_files_there_are():
    paths = sorted(glob.glob(os.path.join(ALL_DIR, "*", "*.gz")))
    if not paths:
        raise harness.Skip("the whole collection is not here; ASTRAML_MLPERF_DATA can name its folder")
    import_and_check(paths)


def test_verbs_show_the_same():
    path = next(p for p in OURS if "maskrcnn" in p)
    data = oracle.read(path)
    want = oracle.windows(oracle.samples(data)[0])["throughput"]
    with harness.Server() as server:
        import_files(server, "mllog", "--run", "m", path)
        env = {"ASTRAML_TOKEN": server.token, "ASTRAML_URL": server.url}
        raw = harness.cli("logs", "m", "--raw", env=env)
        check(raw.returncode == 0 and raw.stdout == data, "logs --raw is not the file:", raw.stderr)
        got = harness.cli("get", "m", "throughput", "--json", "--every", "30s", "--agg", ",".join(COLUMNS), env=env)
        equal(got.returncode, 0, got.stderr)
        series = read_json(got.stdout)["series"][0]
        equal([row[0] for row in series["rows"]], list(want), "windows by get --json")
        for row in series["rows"]:
            check_columns(dict(zip(series["columns"], row)), want[row[0]], "get --json")


def write(name, content, mtime=None):
    path = os.path.join(harness.scratch(), name)
    with open(path, "wb") as f:
        f.write(content)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def mllog(t_ms, key, value, **metadata):
    return f':::MLLOG {{"time_ms": {t_ms}, "key": "{key}", "value": {value}, "metadata": {json.dumps(metadata)}}}\n'.encode()


def test_the_packing_does_not_matter():
    data = oracle.read(OURS[0])
    plain = write("same.txt", data)
    zst = plain[:-4] + ".log.zst"
    subprocess.run(["zstd", "-q", plain, "-o", zst], check=True)
    with harness.Server() as server:
        equal([s["again"] for s in import_files(server, "mllog", plain)], [None], "the plain file")
        packed = write("same.log.gz", gzip.compress(data))
        equal([s["again"] for s in import_files(server, "mllog", packed)], [" (already there)"], "packed by gzip")
        equal([s["again"] for s in import_files(server, "mllog", zst)], [" (already there)"], "packed by zstd")
        check_import(server.client(), "same", data)


def test_every_kind_of_value():
    values = ["0.1", "-0.0", "-0", "5e-324", "1e308", "1e308", "NaN", "Infinity", "-Infinity", "3", "9007199254740993",
              "123456789012345678901234567890", "true", "null", '"4"', "[5]"]
    t = 1_700_000_000_000
    data = b"a line on top\n" + b"".join(mllog(t + i * 7000, "v", v, step_num=9 - i) for i, v in enumerate(values))
    data += mllog(t, "only/nan", "NaN") + mllog(t + 1, "zero", "-0.0") + mllog(t, "big", "1.7976931348623157e308") * 2
    data += b"".join(mllog(t + 2, "steps", "1", step_num=s) for s in (2**63 - 1, -(2**63) + 1, 5, -(2**63), 2**63))
    data += mllog(t, "no\\nname", "1") + mllog(t, "x" * 251, "1") + mllog(t, "x" * 250, "1", step_num=1)
    data += b'\xff\x00 \x1b[31mred\r bar\r bar:::MLLOG {"key": "without/time", "value": 2}\r\n'
    data += b"the end without a newline"
    path = write("kinds.log", data)
    with harness.Server() as server:
        equal([s["samples"] for s in import_files(server, "mllog", path)], [f"{len(oracle.samples(data)[0]):,}"], "samples")
        check_import(server.client(), "kinds", data)


def test_time_of_a_file_without_times():
    path = write("plain.log", b"one\ntwo\n", mtime=1_600_000_000)
    with harness.Server() as server:
        c = server.client()
        import_files(server, "mllog", path)
        equal({r["time"] for r in c.logs("plain")}, {"2020-09-13T12:26:40Z"}, "times of lines")
        os.utime(path, (1_650_000_000, 1_650_000_000))
        equal(import_files(server, "mllog", path)[0]["again"], " (already there)", "after a touch")
        equal([r["time"] for r in c.logs("plain")], ["2020-09-13T12:26:40Z"] * 2, "times of lines")
        import_files(server, "mllog", "--run", "told", "--start", "2021-02-03T04:05:06.5Z", path)
        equal({r["time"] for r in c.logs("told")}, {"2021-02-03T04:05:06.500Z"}, "times of lines with --start")
        equal(c.get("/runs/told").json()["started_at"], "2021-02-03T04:05:06.500Z", "start of the run")


def test_parameters_of_the_run():
    data = (mllog(5, "submission_org", '"A \\"B\\" \\u00e9"') + mllog(6, "seed", "12345678901234567890123")
            + mllog(7, "seed", "7") + mllog(8, "opt_base_learning_rate", "1.50e-3") + mllog(9, "submission_status", '"\\ud800"')
            + mllog(9, "eval_accuracy", "0.5"))
    with harness.Server() as server:
        import_files(server, "mllog", write("p.log", data))
        answer = server.client().get("/runs/p")
        spec = json.loads(answer.body, parse_int=str, parse_float=str)["spec"]
        equal(spec["hyperparams"], {"submission_org": 'A "B" \u00e9', "seed": "12345678901234567890123",
                                    "opt_base_learning_rate": "1.50e-3"}, "hyperparams")
        equal(spec["tags"]["import_file"], "p.log", "tag import_file")


def test_nothing_is_counted_twice_by_mistake():
    first, grown = mllog(5, "a", "1"), mllog(5, "a", "1") + mllog(6, "a", "2")
    path = write("r.log", first)
    with harness.Server() as server:
        c = server.client()
        import_files(server, "mllog", path)
        with open(path, "wb") as f:
            f.write(grown)
        said = import_files(server, "mllog", path, status=2)
        check("run r is an import of r.log with other content" in said, said)
        equal(c.metrics("r")[0]["count"], 1, "samples after the refusal")
        import_files(server, "mllog", "--run", "r2", path)
        equal(c.metrics("r2")[0]["count"], 2, "samples of the new run")
        c.create_run("pushed")
        pushed = write("pushed.log", first)
        check("was not made by an import" in import_files(server, "mllog", pushed, status=2), "a run of a worker")
        import_files(server, "mllog", "--run", "pushed", pushed)
        equal(c.metrics("pushed")[0]["count"], 1, "samples added by --run")


def test_what_cannot_be_imported():
    good = write("good.log", b"x\n")
    with harness.Server() as server:
        def refused(status, text, *arguments):
            said = import_files(server, *arguments, status=status)
            check(text in said, f"{arguments}: {said}")
        refused(2, "which format", )
        refused(2, "no format pdf", "pdf", good)
        refused(2, "which files", "mllog")
        refused(2, "no run id", "mllog", "--run", "a/b", good)
        refused(2, "is not a time", "mllog", "--start", "noon", good)
        refused(2, "needs a value", "mllog", good, "--run")
        refused(2, "no option --fast", "mllog", "--fast", good)
        refused(2, "single run", "mllog", "--run", "a", good, write("other.log", b""))
        refused(2, "both become run good", "mllog", good, write("good.txt", b""))
        refused(3, "No such file", "mllog", good + ".no")
        refused(3, "there is no file for mllog in", "mllog", harness.scratch())
        refused(2, "cut short", "mllog", write("cut.log.gz", gzip.compress(b"some text\n" * 99)[:-9]))
        # the others are imported all the same
        refused(2, "cut short", "mllog", write("cut2.gz", gzip.compress(b"some text\n" * 99)[:-9]), good)
        runs = [r["id"] for r in server.client().get("/runs").json()["runs"]]
        equal(runs, ["good"], "runs")
        bad = harness.cli("import", "mllog", good, "--server", server.url, env={"ASTRAML_TOKEN": "wrong"})
        equal(bad.returncode, 4, f"exit status with a wrong token; {bad.stderr}")
    said = harness.cli("import", "--help")
    check(said.returncode == 0 and b"example:" in said.stdout, said)


def big_file():
    """Some thirty requests of lines and samples."""
    lines = []
    for i in range(40_000):
        lines.append(mllog(1_600_000_000_000 + i * 250, f"m{i % 7}", f"{i * 0.37:.6f}", step_num=i // 7))
        lines.append(b"filler %d " % i + b"x" * (i * 7919 % 1500) + b"\n")
    return b"".join(lines)


def test_an_import_survives_its_server():
    """kill -9 of the server again and again; the importer waits and goes on, and nothing is there twice."""
    data = big_file()
    path = write("big.log", data)
    socket_path = os.path.join(harness.scratch(), "s")
    with harness.Server(listen=(f"unix:{socket_path}",)) as server:
        importer = subprocess.Popen([harness.PROGRAM, "import", "mllog", path, "--server", server.url],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(importer.kill)
        for kill in range(3):
            seen = lines_there(server)
            harness.wait_for(lambda: lines_there(server) > seen or importer.poll() is not None, "more lines")
            server.kill9()
            server.start()
        out, err = importer.communicate(timeout=120)
        equal(importer.returncode, 0, err)
        check(b"trying again" in err, "the importer noticed nothing:", err)
        check_import(server.client(), "big", data)


def lines_there(server):
    answer = server.client().get("/runs/big/logs", direction="backward", limit=1)
    if answer.status != 200:
        return 0
    return json.loads(answer.body.splitlines()[0]).get("seq", 0)


def test_a_broken_off_import_is_completed():
    data = big_file()
    path = write("big.log", data)
    with harness.Server() as server:
        importer = subprocess.Popen([harness.PROGRAM, "import", "mllog", path, "--server", server.url],
                                    stdout=subprocess.DEVNULL, env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(importer.kill)
        harness.wait_for(lambda: lines_there(server) > 0, "the first lines")
        importer.kill()
        importer.wait()
        there = lines_there(server)
        check(0 < there < 80_000, "the importer was not interrupted in the middle:", there)
        check(server.client().get("/runs/big").json()["state"] != "finished", "finished too early")
        equal(import_files(server, "mllog", path)[0]["again"], None, "the repetition")
        check_import(server.client(), "big", data)


def test_without_a_server():
    """--data of a directory that nobody serves."""
    data_dir = os.path.join(harness.scratch(), "data")
    done = harness.cli("import", "mllog", OURS[0], "--run", "one", "--data", data_dir)
    equal(done.returncode, 0, done.stderr)
    raw = harness.cli("logs", "one", "--raw", "--data", data_dir)
    check(raw.stdout == oracle.read(OURS[0]), "logs --raw is not the file:", raw.stderr)
    with harness.Server(data=data_dir) as server:
        check_import(server.client(), "one", oracle.read(OURS[0]))


if __name__ == "__main__":
    harness.main(globals())
