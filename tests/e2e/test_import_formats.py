"""Every set of real text and tables, imported by the command that ingest/import/README.md gives: every
window of every series and every line against the oracles, `logs --raw` against the file, and again."""
import glob
import gzip
import os
import signal
import subprocess
import sys
import time

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
        harness.diagnostics(f"{name}: {len(first)} files, {n} {'lines' if kind == 'text' else 'windows'}, each as the oracle says")


def test_samples_of_the_tree():
    for name in SETS:
        check_set(name, DATA)


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


if __name__ == "__main__":
    harness.main(globals())
