"""trainer_state.json of the Hugging Face Trainer, imported: every window against Python's own json."""
import glob
import json
import os
import sys

import harness
import test_import
from harness import NS, check, equal
from test_import import import_files, write

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import hf_oracle as oracle  # noqa: E402

OURS = sorted(glob.glob(os.path.join(test_import.DATA, "hf_trainer", "*.gz")))
ALL_DIR = os.environ.get("ASTRAML_HF_DATA", os.path.join(harness.ROOT, "..", "shared", "data", "hf_trainer"))
END = "2024-03-01T10:00:00.500Z"
END_NS = test_import.nanoseconds(END)


def check_run(client, run, data, end_ns):
    samples = oracle.samples(data, end_ns)
    n = test_import.check_windows(client, run, samples)
    test_import.check_totals(client, run, samples)
    return n


def hf(server, *arguments, status=0):
    return import_files(server, "hf-trainer", *arguments, status=status)


def state(*records, **more):
    """As transformers writes it."""
    return json.dumps({**more, "log_history": records, "max_steps": 9}, indent=2, sort_keys=True).encode() + b"\n"


def import_and_check(paths):
    with harness.Server() as server:
        c = server.client()
        contents = [oracle.read(p) for p in paths]
        found = hf(server, "--end", END, *paths)
        windows = sum(check_run(c, s["run"], data, END_NS) for s, data in zip(found, contents))
        equal([s["samples"] for s in found], [f"{len(oracle.samples(d, END_NS)):,}" for d in contents], "samples told of")
        before = [c.get(f"/runs/{s['run']}").json() for s in found]
        equal({r["state"] for r in before}, {"finished"}, "states")
        equal({s["again"] for s in hf(server, "--end", END, *paths)}, {" (already there)"}, "a second import")
        equal([c.get(f"/runs/{s['run']}").json() for s in found], before, "the runs after a second import")
        for s, data in zip(found, contents):
            check_run(c, s["run"], data, END_NS)
        harness.diagnostics(f"{len(paths)} files, {windows} windows, each equal in every field, twice")
        return [r["spec"]["hyperparams"] for r in before]


def test_the_file_of_the_tree():
    params, = import_and_check(OURS)
    equal(params, {"epoch": 30.0, "eval_steps": 500, "global_step": 12030, "logging_steps": 500, "max_steps": 12030,
                   "num_input_tokens_seen": 0, "num_train_epochs": 30, "save_steps": 500, "total_flos": 2.3847568878600192e+17,
                   "train_batch_size": 4}, "hyperparams")


def test_all_files_there_are():
    paths = sorted(glob.glob(os.path.join(ALL_DIR, "*")))
    if not paths:
        raise harness.Skip("the whole collection is not here; ASTRAML_HF_DATA can name its folder")
    import_and_check(paths)


def test_every_kind_of_value():
    data = state({"step": 3, "epoch": 0.5, "loss": 0.1, "grad_norm": float("nan"), "lr": 5e-324, "big": 2**70},
                 {"step": 3, "loss": float("inf"), "neg": float("-inf"), "zero": -0.0, "flag": True, "none": None, "text": "0.5",
                  "list": [1], "object": {"loss": 9}},
                 {"loss": 7, "step": 40}, {"step": 0, "loss": 1e300, "tr\u00e4in/\U0001f600": 1, "": 5, "x" * 251: 5, "a\nb": 5},
                 best_metric=0.25, best_model_checkpoint='out/"a" \u00e9', trial_name=None)
    path = write("trainer_state.json", data)
    with harness.Server() as server:
        c = server.client()
        hf(server, "--end", END, path)
        want = [s for s in oracle.samples(data, END_NS) if s[0] not in ("", "x" * 251, "a\nb")]
        equal(len(want), 10, "samples by the oracle")
        test_import.check_windows(c, "trainer_state", want)
        test_import.check_totals(c, "trainer_state", want)
        params = c.get("/runs/trainer_state").json()["spec"]["hyperparams"]
        equal(params, {"best_metric": 0.25, "best_model_checkpoint": 'out/"a" \u00e9', "max_steps": 9}, "hyperparams")


def test_records_without_a_step():
    data = state({"step": 5, "a": 1}, {"b": 2}, {"step": "7", "b": 3}, {"step": -1, "c": 4}, {"step": 6.5, "d": 5}, 3, {"step": 10, "a": 6})
    with harness.Server() as server:
        c = server.client()
        done = harness.cli("import", "hf-trainer", "--run", "r", "--end", END, write("s.json", data), "--server", server.url,
                           env={"ASTRAML_TOKEN": server.token})
        equal(done.returncode, 0, done.stderr)
        check(b"4 records have no step" in done.stderr and b"1 entries" in done.stderr, done.stderr)
        at = END_NS - 5 * NS
        test_import.check_totals(c, "r", [("a", at, 5, 1.0), ("b", at, None, 2.0), ("b", at, None, 3.0), ("c", at, -1, 4.0),
                                          ("d", at, None, 5.0), ("a", END_NS, 10, 6.0)])


def test_the_time_once_chosen_stays():
    data = oracle.read(OURS[0])
    path = write("trainer_state.json", data)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    with harness.Server() as server:
        c = server.client()
        hf(server, path)
        check_run(c, "trainer_state", data, 1_600_000_000 * NS)
        equal(c.get("/runs/trainer_state").json()["started_at"], "2020-09-13T09:06:10Z", "start of the run")
        os.utime(path, (1_650_000_000, 1_650_000_000))
        equal(hf(server, path)[0]["again"], " (already there)", "after a touch")
        check_run(c, "trainer_state", data, 1_600_000_000 * NS)


def test_what_is_no_trainer_state():
    good = state({"step": 1, "loss": 1})
    with harness.Server() as server:
        for n, (words, data) in enumerate((
                ("no JSON, or cut short", b""), ("no JSON, or cut short", b"step,loss\n1,2\n"),
                ("not one object", b"[1]"), ("not one object", good + b"{}"),
                ("no list log_history", b"{}"), ("no list log_history", b'{"log_history": {}}'),
                ("nested deeper than 64", b'{"log_history": [], "x": ' + b"[" * 70 + b"]" * 70 + b"}"),
                ("nested deeper than 64", b'{"a":' * 1_000_000), *(("cut short", good[:cut]) for cut in (1, 20, len(good) - 3)))):
            said = hf(server, write(f"bad-{n}.json", data), status=2)
            check(words in said, f"{data[:40]}: {said}")
        equal(server.client().get("/runs").json()["runs"], [], "runs")
        path = write("big.json", b"")
        with open(path, "r+b") as f:
            f.truncate(256 << 20)
        check("256 MiB and more" in hf(server, path, status=2), "a huge file")


def test_checkpoints_of_a_directory():
    root = harness.scratch()
    contents = {}
    for n in (1, 2):
        folder = os.path.join(root, f"checkpoint-{n}")
        os.makedirs(folder)
        contents[n] = state(*({"step": i, "loss": i / 3} for i in range(10 * n)))
        for name, data in (("trainer_state.json", contents[n]), ("config.json", b"{}"), ("model.bin", b"\0")):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
    with harness.Server() as server:
        runs = sorted(s["run"] for s in hf(server, "--end", END, root))
        equal(len(runs), 2, "runs")
        for n, run in zip((1, 2), runs):
            check(f"checkpoint-{n}" in run, run)
            check_run(server.client(), run, contents[n], END_NS)


def test_a_long_history():
    """More than one request."""
    data = state(*({"step": 10 * i, "loss": i / 7, "learning_rate": 1 / (i + 1), "epoch": i} for i in range(40_000)))
    path = write("long.json", data)
    with harness.Server() as server:
        hf(server, "--end", END, path)
        check_run(server.client(), "long", data, END_NS)
        equal(hf(server, "--end", END, path)[0]["again"], " (already there)", "again")


if __name__ == "__main__":
    harness.main(globals())
