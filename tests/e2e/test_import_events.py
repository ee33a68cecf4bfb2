"""TensorBoard's event files, imported: every window against the oracle; and while they grow, however an import
ends, whoever imports at the same time: what is there is what one import of the whole would have left."""
import glob
import gzip
import os
import random
import signal
import struct
import subprocess
import sys
import time

import harness
import test_import
from harness import check, equal, wait_for
from test_import import import_files, write

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "oracle"))
import tfevents_oracle as oracle  # noqa: E402

OURS = sorted(glob.glob(os.path.join(test_import.DATA, "algoperf", "tfevents", "*.gz")))
ALL_DIR = os.environ.get("ASTRAML_TFEVENTS_DATA", os.path.join(harness.ROOT, "..", "shared", "data", "algoperf", "tfevents"))
START = 1_700_000_000.25


# ---- event files of our own ----

varint, field = harness.varint, harness.field


def text(number, content):
    return field(number, 2, content if isinstance(content, bytes) else content.encode())


def double(number, value):
    return field(number, 1, struct.pack("<d", value))


def simple(tag, value):
    return text(1, tag) + field(2, 5, struct.pack("<f", value))


def tensor(tag, dtype, content, plugin="scalars"):
    return text(1, tag) + text(8, field(1, 0, dtype) + content) + text(9, text(1, text(1, plugin)))


def event(seconds, step, *values):
    summary = text(5, b"".join(text(1, v) for v in values)) if values else b""
    return double(1, seconds) + (field(2, 0, step) if step else b"") + summary


def version(seconds=START):
    return double(1, seconds) + text(3, "brain.Event:2")


def framed(*events):
    out = []
    for e in events:
        head = struct.pack("<Q", len(e))
        out.append(head + struct.pack("<I", oracle.masked_crc(head)) + e + struct.pack("<I", oracle.masked_crc(e)))
    return b"".join(out)


def history(n, seed=1):
    """The file of n events, a few scalars each; some have none."""
    r = random.Random(seed)
    return framed(version(START + seed), *(
        event(START + seed + i * 0.37, i, *(simple(f"m{k}", r.gauss(0, 1)) for k in range(r.choice((0, 1, 1, 1, 2)))))
        for i in range(n)))


def boundaries(data):
    """The offsets at which records end."""
    at, out = 0, [0]
    while at < len(data):
        at += 16 + struct.unpack_from("<Q", data, at)[0]
        out.append(at)
    return out


# ---- looking ----

def check_run(client, run, *contents):
    """The run holds what these files hold, and nothing else."""
    samples = [s for data in contents for s in oracle.samples(data)]
    n = test_import.check_windows(client, run, samples)
    test_import.check_totals(client, run, samples)
    return n


def tensorboard(server, *arguments, status=0):
    return import_files(server, "tensorboard", *arguments, status=status)


def notes(server, *arguments, status=0):
    """What it says on stderr."""
    done = harness.cli("import", "tensorboard", *arguments, "--server", server.url, env={"ASTRAML_TOKEN": server.token})
    equal(done.returncode, status, done.stderr)
    return done.stderr.decode(errors="replace")


def count(client, run):
    answer = client.get(f"/runs/{run}/metrics")
    if answer.status == 404:
        return 0
    return sum(m["count"] + m["nan"] + m["pos_inf"] + m["neg_inf"] for m in answer.json()["metrics"])


def append(path, data):
    with open(path, "ab") as f:
        f.write(data)


# ---- files that are whole ----

def import_and_check(paths):
    with harness.Server() as server:
        c = server.client()
        contents = [oracle.read(p) for p in paths]
        found = tensorboard(server, *paths)
        equal([s["name"] for s in found], [os.path.basename(p) for p in paths], "files named in the summary")
        windows = sum(check_run(c, s["run"], data) for s, data in zip(found, contents))
        equal([s["samples"] for s in found], [f"{len(oracle.samples(d)):,}" for d in contents], "samples told of")
        before = [c.get(f"/runs/{s['run']}").json() for s in found]
        equal({(r["state"], r["imported"]) for r in before}, {("finished", True)}, "states")
        again = tensorboard(server, *paths)
        equal([s["again"] for s in again], [" (already there)"] * len(paths), "a second import")
        for s, data in zip(found, contents):
            check_run(c, s["run"], data)
        equal([c.get(f"/runs/{s['run']}").json() for s in found], before, "the runs after a second import")
        harness.diagnostics(f"{len(paths)} files, {windows} windows, each equal in every field, twice")


def test_files_of_the_tree():
    check(len(OURS) >= 3, "event files in tests/data:", OURS)
    import_and_check(OURS)


def test_all_files_there_are():
    paths = sorted(glob.glob(os.path.join(ALL_DIR, "*tfevents*")))
    if not paths:
        raise harness.Skip("the whole collection is not here; ASTRAML_TFEVENTS_DATA can name its folder")
    import_and_check(paths)
    check(any(v != v for p in paths for _, _, _, v in oracle.samples(oracle.read(p))), "no NaN among them")
    with harness.Server() as server:  # all files of one directory are one run
        run, = tensorboard(server, ALL_DIR)
        check_run(server.client(), run["run"], *map(oracle.read, paths))


def test_get_shows_the_same():
    """The verb, for a loss that becomes NaN."""
    path = next(p for p in OURS if "generalized_adam" in p)
    want = test_import.oracle.windows(oracle.samples(oracle.read(path)))["loss"]
    check(any(w["nan"] for w in want.values()), "no NaN in", path)
    with harness.Server() as server:
        tensorboard(server, "--run", "nan", path)
        got = harness.cli("get", "nan", "loss", "--json", "--every", "30s", "--agg", ",".join(test_import.COLUMNS),
                          env={"ASTRAML_TOKEN": server.token, "ASTRAML_URL": server.url})
        equal(got.returncode, 0, got.stderr)
        series, = test_import.read_json(got.stdout)["series"]
        equal([row[0] for row in series["rows"]], list(want), "windows")
        for row in series["rows"]:
            test_import.check_columns(dict(zip(series["columns"], row)), want[row[0]], "get --json")


def test_every_kind_of_value():
    f, d = struct.pack("<f", 0.1), struct.pack("<d", 0.1)
    values = [
        simple("simple", 0.1), simple("simple/nan", float("nan")), simple("simple/inf", float("-inf")), simple("zero", -0.0),
        tensor("f", 1, text(5, f)), tensor("f content", 1, text(2, b"") + text(4, f)), tensor("f none", 1, b""),
        tensor("d", 2, text(6, d)), tensor("d content", 2, text(4, d)), tensor("d one", 2, field(6, 1, d)),
        tensor("half", 19, field(13, 0, 0x3555)), tensor("half inf", 19, text(4, b"\0\x7c")), tensor("half tiny", 19, field(13, 0, 1)),
        tensor("bfloat", 14, text(13, varint(0xc049))), tensor("bfloat content", 14, text(4, b"\x49\x40")),
        tensor("i32", 3, field(7, 0, -5)), tensor("i64", 9, text(4, struct.pack("<q", -2**63))), tensor("u8", 4, text(4, b"\xff")),
        tensor("i64 wide", 9, field(10, 0, 2**53 + 1)), tensor("u64", 23, field(17, 0, 2**64 - 1)), tensor("u32", 22, field(16, 0, 2**32 - 1)),
        tensor("i16", 5, field(7, 0, -2)), tensor("i8", 6, text(4, b"\x80")), tensor("u16", 17, text(4, b"\xff\xff")),
        # none of these is a scalar
        tensor("text", 7, text(8, "hello")), tensor("vector", 1, text(2, text(2, field(1, 0, 1))) + text(5, f)),
        tensor("hparams", 1, text(5, f), plugin="hparams"), tensor("two", 1, text(5, f + f)), tensor("bool", 10, field(11, 0, 1)),
        text(1, "image") + text(4, field(1, 0, 1)), text(1, "histogram") + text(5, double(1, 0)),
        # and these cannot be kept
        simple("", 1), simple("x" * 251, 1), simple("a\tb", 1), text(1, b"\xff") + field(2, 5, f),
    ]
    data = framed(version(), event(START, 0, *values), event(-1, 1, simple("simple", 7)), event(float("nan"), 1, simple("simple", 7)),
                  event(1e12, 1, simple("simple", 7)), event(START, -3, simple("x" * 250, 1), simple("\u00e9", 2)),
                  event(START + 0.1, 2**63 - 1, simple("simple", 3), simple("simple", 4)))
    samples = oracle.samples(data)
    equal(len(samples), 28, "samples by the oracle")
    path = write("kinds.tfevents", data)
    with harness.Server() as server:
        equal(tensorboard(server, path)[0]["samples"], "28", "samples")
        check_run(server.client(), "kinds.tfevents", data)
        said = notes(server, path)
        for words in ("values left out: 7;", "samples left out: 4; a metric's name", "samples left out: 3; their time"):
            check(words in said, said)


def test_restarts_keep_every_sample():
    """A run that died at step 20 and went on from step 10, in the same file and in another one."""
    start = text(7, field(1, 0, 1))
    first = framed(version(), *(event(START + i, i, simple("loss", i)) for i in range(21)))
    again = framed(double(1, START + 50) + start, *(event(START + 60 + i, i, simple("loss", -i)) for i in range(10, 30)))
    other = framed(version(START + 99), *(event(START + 99 + i, i, simple("loss", 7 * i)) for i in range(5, 40)))
    folder = harness.scratch()
    for name, data in (("events.out.tfevents.1", first + again), ("events.out.tfevents.2", other), ("notes.txt", b"nothing")):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    with harness.Server() as server:
        tensorboard(server, "--run", "r", folder)
        check_run(server.client(), "r", first + again, other)
        equal(server.client().metrics("r")[0]["count"], 21 + 20 + 35, "samples")


def test_runs_of_a_directory():
    root = os.path.join(harness.scratch(), "my logs")
    contents = {}
    for seed, where in enumerate(("", "a/train", "a/eval", "b/train", "b/train/", ".hidden", "empty"), 1):
        folder = os.path.join(root, where)
        os.makedirs(folder, exist_ok=True)
        if where != "empty":
            contents.setdefault(where.strip("/"), []).append(history(40, seed))
            with open(os.path.join(folder, f"events.out.tfevents.{seed}.host"), "wb") as f:
                f.write(contents[where.strip("/")][-1])
    with harness.Server() as server:
        c = server.client()
        names = {s["run"]: s["name"] for s in tensorboard(server, root)}
        want = {"my-logs": "", "a-train": "a/train", "a-eval": "a/eval", "b-train": "b/train"}
        equal(set(names), set(want), "runs")
        for run, where in want.items():
            check_run(c, run, *contents[where])
            equal(c.get(f"/runs/{run}").json()["started_at"][:10], "2023-11-14", f"start of {run}")
        check("single run" in tensorboard(server, "--run", "x", root, status=2), "--run for several")
        # another directory with runs of those names
        elsewhere = os.path.join(harness.scratch(), "a", "train")
        os.makedirs(elsewhere)
        with open(os.path.join(elsewhere, "events.out.tfevents.9"), "wb") as f:
            f.write(history(5, 9))
        said = tensorboard(server, os.path.dirname(os.path.dirname(elsewhere)), status=2)
        check("its first file is none of these" in said, said)
        check_run(c, "a-train", *contents["a/train"])


def test_the_packing_does_not_matter():
    data = history(1100)
    path = write("events.out.tfevents.1.host", data)
    packed = path + ".gz"
    with open(packed, "wb") as f:
        f.write(gzip.compress(data))
    zst = path + ".zst"
    subprocess.run(["zstd", "-q", path, "-o", zst], check=True)
    with harness.Server() as server:
        for p, again in ((packed, None), (zst, " (already there)"), (path, " (already there)")):
            equal(tensorboard(server, "--run", "p", p)[0]["again"], again, p)
        check_run(server.client(), "p", data)
        with open(packed, "wb") as f:
            f.write(gzip.compress(data)[:-9])
        check("cut short" in tensorboard(server, "--run", "cut", packed, status=2), "a packed file that is cut")


def test_other_files_and_options():
    with harness.Server() as server:
        def refused(status, words, *arguments):
            said = tensorboard(server, *arguments, status=status)
            check(words in said, f"{arguments}: {said}")
        refused(2, "is no event of TensorBoard", write("tfrecord.tfevents", framed(text(1, "an Example"))))
        refused(2, "checksum of its length is wrong", write("words.tfevents", b"these are words, no records\n"))
        refused(2, "--start and --end are not for event files", "--start", "2024-01-01T00:00:00Z", write("s.tfevents", history(3)))
        refused(3, "No such file", "/nowhere/x.tfevents")
        refused(3, "there is no event file in", harness.scratch())
        refused(2, "no option --folow", "--folow", write("s.tfevents", b""))
        said = notes(server, write("empty.tfevents", b""))
        check("files without a record so far: 1;" in said, said)
        equal(server.client().get("/runs").json()["runs"], [], "runs")
        # one bad file of a run does not stop the others
        folder = harness.scratch()
        for name, data in (("a.tfevents", b"x" * 40), ("b.tfevents", history(9))):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        refused(2, "a.tfevents: the record at byte 0 is damaged", "--run", "both", folder)
        check_run(server.client(), "both", history(9))


def test_large_records_are_passed_over():
    large = text(5, text(1, text(1, "picture") + text(4, bytes(17 << 20))))
    head = struct.pack("<Q", len(large))
    frame = head + struct.pack("<I", oracle.masked_crc(head)) + large + bytes(4)
    before, after = history(10), framed(event(START + 99, 99, simple("m0", 1)))
    path = write("l.tfevents", before + frame[:-5])
    with harness.Server() as server:
        check("files that end within a record: 1;" in notes(server, path), "what is said while it is cut")
        check_run(server.client(), "l.tfevents", before)
        append(path, frame[-5:] + after)
        check("records left out: 1; they are over 16 MiB" in notes(server, path), "what is said")
        check_run(server.client(), "l.tfevents", before + after)


# ---- damage ----

def test_damage_in_the_middle():
    data = history(1500)
    ends = boundaries(data)
    for at_record in (3, 1030, 1499):
        at = ends[at_record]
        bad = bytearray(data)
        bad[at + 20] ^= 1
        path = write("d.tfevents", bytes(bad))
        with harness.Server() as server:
            said = tensorboard(server, path, status=2)
            check(f"the record at byte {at} is damaged (the checksum of its data" in said, said)
            check_run(server.client(), "d.tfevents", data[:at])
            with open(path, "wb") as f:  # fetched again
                f.write(data)
            equal(tensorboard(server, path)[0]["again"], None, "the good file")
            check_run(server.client(), "d.tfevents", data)


def test_a_rewritten_file_adds_nothing():
    """The same first records, then other ones: whole segments, split ones, whole parts, single records."""
    data = history(1500)
    ends = boundaries(data)
    others = framed(*(event(START + i, i, simple("m0", i)) for i in range(1600)))
    for cut, same in ((1500, 1), (1024, 1000), (900, 40), (40, 1), (40, 32), (40, 35)):
        path = write("w.tfevents", data[:ends[cut]])
        with harness.Server() as server:
            tensorboard(server, path)
            check_run(server.client(), "w.tfevents", data[:ends[cut]])
            other = data[:ends[same]] + others
            with open(path, "wb") as f:
                f.write(other)
            said = tensorboard(server, path, status=2)
            check("was rewritten since it was imported" in said, said)
            check_run(server.client(), "w.tfevents", data[:ends[cut]])
            tensorboard(server, "--run", "new", path)
            check_run(server.client(), "new", other)


def test_a_shorter_copy_adds_nothing():
    data = history(1500)
    with harness.Server() as server:
        path = write("s.tfevents", data)
        tensorboard(server, path)
        for cut in (5, 40, 1024, 1100, 1500):
            with open(path, "wb") as f:
                f.write(data[:boundaries(data)[cut]])
            equal(tensorboard(server, path)[0]["again"], " (already there)", f"{cut} records")
        check_run(server.client(), "s.tfevents", data)


# ---- files that grow ----

def cuts_of(data, n, seed):
    """Lengths to which the file grows: anywhere, at the ends of records, around those of parts and segments."""
    r = random.Random(seed)
    ends = boundaries(data)
    special = [ends[i] for i in (1, 2, 32, 33, 64, 1023, 1024, 1025, 1056, 2047, 2048) if i < len(ends)]
    cuts = {r.randrange(len(data)) for _ in range(n)} | {r.choice(ends) for _ in range(n)} | set(r.sample(special, min(4, len(special))))
    return sorted(cuts) + [len(data)]


def test_growing_between_imports():
    """Each import adds what came, and what is there is what the oracle says of the file so far."""
    with harness.Server() as server:
        c = server.client()
        for seed, data in enumerate((history(2600, 7), oracle.read(OURS[1]), history(1100, 8))):
            path = write(f"g{seed}.tfevents", b"")
            at = 0
            for cut in cuts_of(data, 5, seed):
                append(path, data[at:cut])
                at = cut
                tensorboard(server, path)
                if cut >= boundaries(data)[1]:
                    check_run(c, f"g{seed}.tfevents", data[:cut])
            equal(tensorboard(server, path)[0]["again"], " (already there)", "once more")
            check_run(c, f"g{seed}.tfevents", data)


def test_growing_past_a_segment():
    """32,768 records are one, and so are those that make 65,536 samples; then the next begins."""
    many = history(33_900, 9)
    wide = framed(version(), *(event(START + i, i, *(simple(f"w{k}", i + k) for k in range(100))) for i in range(700)))
    with harness.Server() as server:
        c = server.client()
        for name, data, cuts in (("many", many, (32_700, 32_767, 32_768, 32_769, 33_000)), ("wide", wide, (600, 655, 656, 657, 658))):
            ends = boundaries(data)
            path = write(f"{name}.tfevents", data[:ends[cuts[0]]])
            for at, cut in zip(cuts, (*cuts[1:], len(ends) - 1)):
                tensorboard(server, path)
                equal(count(c, f"{name}.tfevents"), n_samples(data[:ends[at]]), f"samples of {name} with {at} records")
                append(path, data[ends[at]:ends[cut]])
            tensorboard(server, path)
            check_run(c, f"{name}.tfevents", data)
            equal(tensorboard(server, "--run", f"{name}-at-once", path)[0]["again"], None, "the whole")
            check_run(c, f"{name}-at-once", data)
            equal(tensorboard(server, path)[0]["again"], " (already there)", "again")


def test_cut_at_every_byte_of_a_record():
    data = history(40)
    ends = boundaries(data)
    with harness.Server() as server:
        path = write("c.tfevents", data[:ends[34]])
        tensorboard(server, path)
        for cut in range(ends[34] + 1, ends[35]):
            append(path, data[cut - 1:cut])
            check("files that end within a record: 1;" in notes(server, path), f"at {cut}")
        check_run(server.client(), "c.tfevents", data[:ends[34]])
        append(path, data[ends[35] - 1:])
        equal(notes(server, path), "", "what is said of the whole")
        check_run(server.client(), "c.tfevents", data)


class Follower:
    def __init__(self, server, *arguments):
        self.process = subprocess.Popen([harness.PROGRAM, "import", "tensorboard", "--follow", *arguments, "--server", server.url],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=harness.program_environment(ASTRAML_TOKEN=server.token))
        harness.after_test.append(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def stop(self, how=signal.SIGTERM, status=0):
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=harness.DEADLINE_S)
        equal(self.process.returncode, status, err)
        return out.decode(), err.decode()


def n_samples(*contents):
    return sum(len(oracle.samples(d)) for d in contents)


def test_following():
    """A file grows, a second one comes, a new directory comes; Ctrl-C ends it well."""
    root = os.path.join(harness.scratch(), "logs")
    os.makedirs(os.path.join(root, "train"))
    one, two, three = history(1200, 1), history(50, 2), history(70, 3)
    first = os.path.join(root, "train", "events.out.tfevents.1")
    with harness.Server() as server:
        c = server.client()
        follower = Follower(server, root)
        ends = boundaries(one)
        for at, cut in ((0, ends[10]), (ends[10], ends[11] + 3), (ends[11] + 3, ends[900]), (ends[900], len(one))):
            append(first, one[at:cut])
            wait_for(lambda: count(c, "train") == n_samples(one[:cut]), f"what is in the first {cut} bytes")
        check_run(c, "train", one)
        append(os.path.join(root, "train", "events.out.tfevents.0"), two)
        os.makedirs(os.path.join(root, "eval"))
        append(os.path.join(root, "eval", "events.out.tfevents.3"), three)
        wait_for(lambda: count(c, "train") == n_samples(one, two) and count(c, "eval") == n_samples(three), "the new files")
        equal(c.get("/runs/train").json()["state"], "running", "state while it is followed")
        out, err = follower.stop(signal.SIGINT)
        check("train -> run train" in out and "eval -> run eval" in out and "followed until" in err, out, err)
        check_run(c, "train", one, two)
        check_run(c, "eval", three)
        equal({c.get(f"/runs/{r}").json()["state"] for r in ("train", "eval")}, {"finished"}, "states")
        equal({s["again"] for s in tensorboard(server, root)}, {" (already there)"}, "an import after it")


def test_following_a_packed_file_that_is_replaced():
    path = write("p.tfevents.gz", gzip.compress(history(1100)))
    with harness.Server() as server:
        c = server.client()
        follower = Follower(server, "--run", "p", path)
        for n in (1200, 2400):
            data = history(n)
            with open(path + ".new", "wb") as f:
                f.write(gzip.compress(data))
            os.replace(path + ".new", path)
            wait_for(lambda: count(c, "p") == n_samples(data), f"{n} records")
        follower.stop()
        check_run(c, "p", data)


def test_what_is_there_when_it_is_stopped_is_imported():
    path = write("e.tfevents", history(30))
    with harness.Server() as server:
        c = server.client()
        follower = Follower(server, path)
        wait_for(lambda: count(c, "e.tfevents") == n_samples(history(30)), "the beginning")
        data = history(300)
        append(path, data[len(history(30)):])
        follower.stop()
        check_run(c, "e.tfevents", data)


def test_followers_killed_at_any_moment():
    """kill -9 of followers, imports between and beside them, while the file grows."""
    data = history(2300, 11)
    path = write("k.tfevents", b"")
    r = random.Random(5)
    at = 0
    with harness.Server() as server:
        c = server.client()
        while at < len(data):
            follower = Follower(server, path)
            beside = Follower(server, path) if r.random() < 0.5 else None
            for _ in range(3):
                cut = min(len(data), at + r.choice((30, 500, 5_000, 40_000)))
                append(path, data[at:cut])
                at = cut
                if r.random() < 0.5:
                    time.sleep(r.random() * 1.2)  # for the kill to come at any moment of a round
                if r.random() < 0.3:
                    tensorboard(server, path)
            follower.kill()
            if beside:
                beside.kill()
        tensorboard(server, path)
        check_run(c, "k.tfevents", data)


def test_a_server_killed_under_a_follower():
    data = history(4000, 12)
    path = write("v.tfevents", data[:1000])
    socket_path = os.path.join(harness.scratch(), "s")
    with harness.Server(listen=(f"unix:{socket_path}",)) as server:
        follower = Follower(server, path)
        at = 1000
        while at < len(data):
            seen = count(server.client(), "v.tfevents")
            append(path, data[at:at + 60_000])
            at += 60_000
            wait_for(lambda: count(server.client(), "v.tfevents") > seen, "more samples")
            server.kill9()
            server.start()
        follower.stop()
        check_run(server.client(), "v.tfevents", data)


def test_a_file_that_shrinks_is_not_followed():
    data = history(100)
    path = write("t.tfevents", data)
    with harness.Server() as server:
        c = server.client()
        follower = Follower(server, path)
        wait_for(lambda: count(c, "t.tfevents") == n_samples(data), "all of it")
        with open(path, "r+b") as f:
            f.truncate(1000)
        line = wait_for(follower.process.stderr.readline, "a word about it")
        while b"only grows" not in line:
            line = wait_for(follower.process.stderr.readline, "a word about it")
        append(path, data[1000:] + framed(event(START + 99, 99, simple("m0", 1))))
        _, err = follower.stop(status=2)
        check("only grows" not in err, "it was told twice:", err)
        check_run(c, "t.tfevents", data)


def test_a_rewritten_file_is_found_out_when_it_grows():
    """Too short to tell at first: the run has more of it."""
    data = history(1100)
    other = data[:boundaries(data)[1]] + framed(*(event(START + i, i, simple("m0", i)) for i in range(1500)))
    root = harness.scratch()
    path = os.path.join(root, "w", "a.tfevents")
    for name, content in (("w", data), ("good", history(1))):
        os.makedirs(os.path.join(root, name))
        append(os.path.join(root, name, "a.tfevents"), content)
    with harness.Server() as server:
        c = server.client()
        tensorboard(server, root)
        with open(path, "wb") as f:
            f.write(other[:boundaries(other)[500]])
        follower = Follower(server, root)
        append(os.path.join(root, "good", "a.tfevents"), framed(event(START, 1, simple("m", 1))))
        wait_for(lambda: count(c, "good") == n_samples(history(1)) + 1, "a round")
        append(path, other[boundaries(other)[500]:])
        _, err = follower.stop(status=2)
        check("was rewritten since it was imported" in err, err)
        check_run(c, "w", data)


def test_what_is_wrong_is_told_once():
    """A run of another origin, a damaged file: the other runs are followed."""
    root = harness.scratch()
    for name in ("good", "taken", "bad"):
        os.makedirs(os.path.join(root, name))
        append(os.path.join(root, name, "a.tfevents"), b"no records at all" if name == "bad" else history(1))
    with harness.Server() as server:
        c = server.client()
        c.create_run("taken")
        follower = Follower(server, root)
        data = history(1)
        for i in range(4):  # rounds of it
            more = framed(event(START + i, i, simple("m", i)))
            append(os.path.join(root, "good", "a.tfevents"), more)
            data += more
            wait_for(lambda: count(c, "good") == n_samples(data), "the good one")
        out, err = follower.stop(status=2)
        equal([err.count(words) for words in ("was not made by an import", "checksum of its length")], [1, 1], err)
        equal((out.count("->"), c.metrics("taken")), (1, []), "runs imported, samples of the other")


if __name__ == "__main__":
    harness.main(globals())
