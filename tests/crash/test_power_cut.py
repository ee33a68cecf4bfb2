"""Power cuts: a server under load with every write and sync recorded, and images of what the disk
may hold after a cut at any moment of it (replay.py says by which model).  Each image opens,
verifies, and holds every batch acknowledged before the cut, each batch once and whole.

With syncing off the same images must be bad: else this test could not see a lost sync.
"""
import collections
import concurrent.futures
import mmap
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
import load  # noqa: E402
import replay  # noqa: E402
from harness import check, equal  # noqa: E402

LONG = bool(os.environ.get("ASTRAML_TEST_LONG"))
RECORDER = os.path.join(harness.BUILD, "tests/crash/recorder.so")
CHECK_IMAGE = os.path.join(harness.BUILD, "tests/crash/check_image")
# small caps, so that a short load flushes, trims its journal and seals parts many times
SMALL = ("--memory", "256KiB", "--journal", "256KiB", "--flush-every", "50ms", "--grace", "100ms", "--map", "1GiB",
         "--log-block", "2KiB", "--compact-every", "20ms", "--late-wait", "20ms", "--raw-wait", "20ms")

Found = collections.namedtuple("Found", "texts buckets samples totals troubles")


class Recording:
    """A load on a fresh server, and its ledger stamped with the recorder's count of operations."""

    def __init__(self, batches, sync="on", arguments=SMALL, **options):
        self.directory = harness.scratch()
        self.counter_path = os.path.join(self.directory, "counter")
        with open(self.counter_path, "wb") as f:
            f.write(bytes(8))
        with open(self.counter_path, "rb") as f:
            self.counter = memoryview(mmap.mmap(f.fileno(), 8, prot=mmap.PROT_READ)).cast("Q")
        self.data = os.path.join(self.directory, "data")
        log = os.path.join(self.directory, "log")
        self.producers = load.producers(4, runs=2, **options)
        server = harness.Server(self.data, arguments, env={
            "LD_PRELOAD": RECORDER, "RECORDER_DIR": self.data, "RECORDER_LOG": log,
            "RECORDER_COUNTER": self.counter_path, "RECORDER_SYNC": sync})
        self.runs_created = {}
        for run in sorted({p.run for p in self.producers}):
            server.client().create_run(run)
            self.runs_created[run] = self.counter[0]
        pushing = load.Load(self.producers, stamp=lambda: self.counter[0]).start(server)
        harness.wait_for(lambda: pushing.acknowledged() >= batches or pushing.wrong, "acknowledgements under load")
        pushing.stop()
        self.acknowledged = pushing.acknowledged()
        server.stop()
        self.operations = replay.read_log(log)
        equal(len(self.operations), self.counter[0], "operations in the log")


def images_place():
    """Memory, where there is some: an image is written once and read once."""
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30 else None
    place = tempfile.mkdtemp(prefix="astraml-images-", dir=room)
    harness.after_test.append(lambda: shutil.rmtree(place, ignore_errors=True))
    return place


def examine(directory):
    """What check_image finds; None and its words when it cannot open the directory."""
    result = subprocess.run([CHECK_IMAGE, directory], capture_output=True, timeout=harness.DEADLINE_S,
                            env=harness.program_environment())
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    if result.returncode != 0 or not lines or lines[-1] != "ok":
        return None, f"exit status {result.returncode}: {result.stderr.decode('utf-8', 'replace').strip()}"
    texts, buckets, samples, totals, troubles = [], {}, collections.Counter(), {}, []
    last_seq = collections.Counter()
    for line in lines[:-1]:
        kind, rest = line.split(" ", 1)
        if kind == "trouble":
            troubles.append(rest)
        elif kind == "log":
            run, seq, text = rest.split(" ", 2)
            texts.append(text)
            if int(seq) <= last_seq[run]:
                troubles.append(f"sequence {seq} of {run} does not rise")
            last_seq[run] = int(seq)
        elif kind == "sample":
            run, metric, t, step, value = rest.split(" ")
            samples[run, metric, int(t), int(step), float(value)] += 1
        elif kind == "total":
            run, metric, *numbers = rest.split(" ")
            totals[run, metric] = [int(numbers[0])] + [float(n) for n in numbers[1:]]
        else:
            run, metric, start, *numbers = rest.split(" ")
            buckets[run, metric, int(start)] = [int(numbers[0])] + [float(n) for n in numbers[1:]]
    return Found(texts, buckets, samples, totals, troubles), ""


def merged(buckets, key=lambda k: k[:2]):
    """[count, sum, min, max] of all buckets that are alike in the key: of a series, as it is."""
    totals = {}
    for k, (count, total, least, greatest) in buckets.items():
        t = totals.setdefault(key(k), [0, 0, least, greatest])
        t[:] = [t[0] + count, t[1] + total, min(t[2], least), max(t[3], greatest)]
    return totals


def complaints_about(directory, recording, cut):
    """What is wrong with an image of a cut; an empty list is a good image."""
    found, words = examine(directory)
    if found is None:
        return [words]
    present, complaints = load.present_of(found.texts, recording.producers)
    complaints += found.troubles
    complaints += load.missing(load.acknowledged_of(recording.producers, until=cut), present)
    complaints += load.differences(found.samples, load.expected_samples(present, recording.producers))
    buckets = load.expected_buckets(present, recording.producers)
    complaints += load.differences(found.totals, merged(buckets))
    return complaints + load.differences(found.buckets, buckets)


def part_renames(operations):
    """Where in the log a part came into its place."""
    return [i for i, op in enumerate(operations)
            if op.kind == replay.RENAME and op.paths()[1].startswith("parts/")]


def bad_images(recording, n_images, seed, starting=0.05):
    """Images at random cuts, a share of them while the directory is being made, each examined: [(cut,
    complaints)] of the bad ones."""
    coin = random.Random(seed)
    first, last = min(recording.runs_created.values()), len(recording.operations)
    early = int(n_images * starting)
    seals = part_renames(recording.operations)

    def choose_cut(i):
        if i < early:
            return coin.randint(0, first)
        if i < n_images // 4 and seals:  # between a part's last write and the end of the blocks it holds
            return min(max(coin.choice(seals) + coin.randint(-6, 40), first), last)
        return coin.randint(first, last)

    return bad_images_at(recording, sorted(choose_cut(i) for i in range(n_images)), coin)


def bad_images_at(recording, cuts, coin, kills=False, complaints=complaints_about):
    """An image at each of these cuts, which rise; kills: every third as kill -9 leaves it, nothing lost."""
    place = images_place()
    disk = replay.Disk(recording.operations)
    undecided = 0

    def examine_and_remove(number, cut):
        directory = os.path.join(place, str(number))
        try:
            return cut, complaints(directory, recording, cut)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = collections.deque()
        bad = []
        for number, cut in enumerate(cuts):
            disk.advance(cut)
            undecided += disk.pending("data.mdb") > 0
            disk.image(os.path.join(place, str(number)), None if kills and number % 3 == 0 else coin)
            running.append(pool.submit(examine_and_remove, number, cut))
            while len(running) > 3:
                bad.append(running.popleft().result())
        bad += [r.result() for r in running]
    harness.diagnostics(f"{len(cuts)} images of {len(recording.operations)} operations and {recording.acknowledged}"
                        f" acknowledged batches; in {undecided} there was something to lose")
    check(undecided > len(cuts) / 10, "hardly any cut had anything to lose")
    return [b for b in bad if b[1]]


def need_tools():
    for tool in (RECORDER, CHECK_IMAGE):
        check(os.path.exists(tool), f"{tool} is missing: make test-programs")


def test_log_is_whole():
    """The log alone makes the directory the server left: nothing escaped the recorder."""
    need_tools()
    recording = Recording(300)
    disk = replay.Disk(recording.operations)
    disk.advance(len(recording.operations))
    image = os.path.join(images_place(), "whole")
    disk.image(image)
    names = []
    for directory, _, files in os.walk(recording.data):
        names += [os.path.relpath(os.path.join(directory, f), recording.data) for f in files]
    made = [os.path.relpath(os.path.join(d, f), image) for d, _, files in os.walk(image) for f in files]
    equal(sorted(made), sorted(names), "files")
    for name in names:
        if name not in ("hot/lock.mdb", "LOCK"):  # mapped, and of no use after a crash
            with open(os.path.join(recording.data, name), "rb") as a, open(os.path.join(image, name), "rb") as b:
                check(a.read() == b.read(), f"{name} differs from what its recorded writes make")
    equal(complaints_about(image, recording, len(recording.operations)), [], "the whole log")


def test_every_image_is_good():
    need_tools()
    recording = Recording(6000 if LONG else 1200)
    seals = len(part_renames(recording.operations))
    harness.diagnostics(f"{seals} parts were sealed")
    check(seals >= 5, "hardly any part was sealed under this load")
    bad = bad_images(recording, 5000 if LONG else 400, seed=1)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


def seal_steps(operations, how_many, coin):
    """The operations of some seals: from the part's first byte, over its publication, to where blocks that it
    holds, and parts that it took in, go."""
    created = {}
    steps = []
    for i, op in enumerate(operations):
        if op.kind == replay.CREATE:
            created[op.path()] = i
        elif op.kind == replay.RENAME and op.paths()[1].startswith("parts/"):
            steps.append(range(created[op.paths()[0]], min(i + 40, len(operations))))
    replaced = [s for s in steps if any(operations[i].kind == replay.UNLINK for i in s)]
    return coin.sample(replaced, min(how_many // 2, len(replaced))) + coin.sample(steps, min(how_many, len(steps)))


def test_cuts_at_each_step_of_a_seal():
    """Sealing, publishing, taking in, dropping: a cut, or a kill, after each single operation of it."""
    need_tools()
    recording = Recording(3000 if LONG else 800)
    coin = random.Random(6)
    cuts = sorted(set().union(*seal_steps(recording.operations, 60 if LONG else 6, coin)))
    check(len(cuts) > 200, f"only {len(cuts)} steps")
    bad = bad_images_at(recording, cuts, coin, kills=True)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


def test_cuts_while_the_directory_is_made():
    """Every start that was cut off can be started again."""
    need_tools()
    bad = bad_images(Recording(20), 2000 if LONG else 400, seed=5, starting=1)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


def test_with_big_log_texts():
    """Values of several pages, which LMDB writes in other ways."""
    need_tools()
    recording = Recording(400 if LONG else 150, padding=20_000)
    bad = bad_images(recording, 1000 if LONG else 60, seed=2)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


def test_syncing_off_is_noticed():
    """The check of the check: without syncs most images are bad."""
    need_tools()
    recording = Recording(300, sync="off")
    bad = bad_images(recording, 40, seed=3)
    check(len(bad) > 20, f"only {len(bad)} of 40 images are bad with syncing off")


def test_resend_after_a_cut():
    """A server on an image takes the resends: what it has it calls duplicate, the rest it adds."""
    need_tools()
    recording = Recording(400)
    coin = random.Random(4)
    disk = replay.Disk(recording.operations)
    place = images_place()
    first = max(recording.runs_created.values())
    for cut in sorted(coin.randint(first, len(recording.operations)) for _ in range(20 if LONG else 4)):
        disk.advance(cut)
        directory = os.path.join(place, f"resend-{cut}")
        disk.image(directory, coin)
        resend_all(directory, recording.producers)
        shutil.rmtree(directory)


def resend_all(directory, producers):
    with harness.Server(directory) as server:
        client = server.client()
        present, complaints = load.present_of(load.served_texts(client, producers), producers)
        equal(complaints, [], "before the resends")
        for p in producers:
            for sequence in sorted(p.acked):
                answer = client.post_ingest(p.run, p.batch(sequence))
                equal(answer.status, 200, f"resend of {p.number}:{sequence}: {answer}")
                equal(harness.response_of(answer).duplicate, (p.number, sequence) in present,
                      f"duplicate of {p.number}:{sequence}")
        load.check_served(client, producers, load.acknowledged_of(producers))


if __name__ == "__main__":
    harness.main(globals())
