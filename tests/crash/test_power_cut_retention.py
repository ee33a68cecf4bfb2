"""Power cuts while samples and windows grow old: raw parts are sealed, merged and dropped, parts folded, made again
for what came late, dropped for coarser ones, and the last of them added to the totals.  A cut, or a kill, after each
single operation of it: totals are always those of all that was acknowledged, windows and samples are all there, or
have all gone where it was time, and the next compaction ends what was begun.
"""
import collections
import glob
import json
import mmap
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.path.insert(0, HERE)
import harness  # noqa: E402
import replay  # noqa: E402
import test_power_cut as cut_tools  # noqa: E402
from harness import NS, Batch, check, equal, wait_for  # noqa: E402

LONG = bool(os.environ.get("ASTRAML_TEST_LONG"))
DAY = 86400 * NS
OLD = 1_600_000_000 * NS // DAY * DAY
EAGER = ("--flush-every", "20ms", "--grace", "1ms", "--compact-every", "20ms", "--late-wait", "1ms", "--settle", "1ms",
         "--raw-wait", "1ms", "--map", "1GiB")
POLICY = {"tiers": [{"every": "30s", "keep": "1d"}, {"every": "5m", "keep": "2d"}, {"every": "1h", "keep": "4d"}],
          "raw_keep": "3d", "log_keep": "forever"}

Round = collections.namedtuple("Round", "begun acknowledged samples")  # operations before and after; (metric, t, value)


class Recording:
    """A life of two weeks.  moves[i]: operations before the clock was moved, and when all had come of it."""

    def __init__(self):
        self.directory = harness.scratch()
        counter_path, log = os.path.join(self.directory, "counter"), os.path.join(self.directory, "log")
        with open(counter_path, "w+b") as f:
            f.write(bytes(8))
            f.flush()
            self.counter = memoryview(mmap.mmap(f.fileno(), 8, prot=mmap.PROT_READ)).cast("Q")
        self.clock = harness.Clock()
        self.data = os.path.join(self.directory, "data")
        self.rounds, self.moves, self.chance = [], [], random.Random(31)
        recorder = {"RECORDER_DIR": self.data, "RECORDER_LOG": log, "RECORDER_COUNTER": counter_path, "RECORDER_SYNC": "on"}
        both = f"{cut_tools.RECORDER}:{self.clock.environment['LD_PRELOAD']}"
        self.server = harness.Server(self.data, EAGER, env={**self.clock.environment, **recorder, "LD_PRELOAD": both})
        self.live()
        self.server.stop()
        self.operations = replay.read_log(log)
        self.acknowledged = len(self.rounds)
        equal(len(self.operations), self.counter[0], "operations in the log")

    def live(self):
        client = self.client = self.server.client()
        answer = client.request("PUT", client.path("/policy"), json.dumps(POLICY), {"Content-Type": "application/json"})
        equal(answer.status, 200, answer)
        client.create_run("r")
        self.created = self.counter[0]
        for _ in range(3):
            self.push()
        self.move(1.1, lambda: self.stat("raw_parts") == 1 and not self.parts("recorded"))
        self.push()
        self.move(2.1, lambda: self.stat("raw_parts") == 1 and not self.parts("recorded", "5m"))
        self.push()
        self.move(4.1, lambda: self.stat("raw_parts") == 0 and not self.parts("recorded", "5m", "1h"))
        self.push()
        self.move(4.1, lambda: self.stat("raw_parts") == 0 and not self.parts("recorded", "5m", "1h"))

    def stat(self, name):
        answer = self.client.request("GET", "/metrics")
        equal(answer.status, 200, answer)
        return int(next(line for line in answer.body.decode().splitlines() if line.startswith(f"astraml_{name} ")).split()[1])

    def parts(self, *tiers):
        """Files of these tiers; a coarse one may not be made yet while a finer one is there."""
        return [f for tier in tiers for f in glob.glob(os.path.join(self.data, "parts", f"metrics-*-{tier}-*"))]

    def push(self):
        """Samples of two old days; over when they are in parts of both kinds."""
        batch, begun, samples, number = Batch(), self.counter[0], [], len(self.rounds)
        refs = {name: batch.series(name) for name in ("a", "b")}
        for _ in range(40):
            metric, value = self.chance.choice("ab"), self.chance.randrange(-1000, 1000)
            t = OLD + self.chance.randrange(2 * DAY)
            batch.sample(refs[metric], t, value, step=number)
            samples.append((metric, t, value))
        batch.log(f"round {number}", t_ns=OLD)
        raw = self.stat("raw_samples")
        self.client.ingest("r", batch)
        self.rounds.append(Round(begun, self.counter[0], samples))
        wait_for(lambda: self.stat("raw_samples") == raw + 40, "samples to be sealed")
        wait_for(lambda: self.stat("open_buckets") + self.stat("flushed_buckets") == 0, "windows to be folded")

    def move(self, days, happened):
        before = self.counter[0]
        self.clock.move(days * 86400)
        wait_for(happened, f"what {days} days bring")
        self.moves.append((before, self.counter[0]))

    # ---- what an image may hold ----

    def first_left(self, cut):
        """Rounds whose windows may be the first that are left, in a day: others are in the totals alone."""
        if cut < self.moves[2][0]:
            return [0]
        if cut < self.moves[3][0]:
            return [5] if cut > self.moves[2][1] else [0, 5]
        return [6] if cut > self.moves[3][1] else [5, 6]

    def samples_left(self, number, cut):
        """Whether those of a round may be there, or not."""
        before, after = self.moves[1 if number < 3 else 2 if number < 5 else 3]
        return [True] if cut < before else [False] if cut > after else [True, False]


def buckets_of(recording, numbers, width):
    """(run, metric, start): [count, sum, min, max] of these rounds."""
    buckets = {("r", metric, t, number, i): [1, value, value, value] for number in numbers
               for i, (metric, t, value) in enumerate(recording.rounds[number].samples)}
    return cut_tools.merged(buckets, lambda k: (*k[:2], k[2] // width * width))


def check_rounds(recording, found, cut):
    """Numbers of the rounds that are there, and complaints about acknowledgements."""
    present = [int(text.split()[1]) for text in found.texts]
    complaints = [] if present == list(range(len(present))) else [f"rounds {present}"]
    for number, r in enumerate(recording.rounds):
        if r.acknowledged <= cut and number not in present:
            complaints.append(f"round {number} was acknowledged")
        if r.begun > cut and number in present:
            complaints.append(f"round {number} was not sent yet")
    return present, complaints


def check_windows(recording, found, present, first_left):
    got = cut_tools.merged(found.buckets, lambda k: (*k[:2], k[2] // DAY * DAY))
    may_be = [buckets_of(recording, [n for n in present if n >= first], DAY) for first in first_left]
    days = set(got).union(*may_be)
    return [f"windows of {day}: {got.get(day)}, not one of {[m.get(day) for m in may_be]}" for day in sorted(days)
            if got.get(day) not in [m.get(day) for m in may_be]]


def check_samples(recording, found, present, cut):
    complaints = []
    for number in present:
        got = collections.Counter({k[1:]: n for k, n in found.samples.items() if k[3] == number})
        want = collections.Counter((m, t, number, float(v)) for m, t, v in recording.rounds[number].samples)
        if not ((got == want and True in recording.samples_left(number, cut)) or
                (not got and False in recording.samples_left(number, cut))):
            complaints.append(f"samples of round {number}: {sum(got.values())} of {sum(want.values())}")
    return complaints


def complaints_of(directory, recording, cut):
    found, words = cut_tools.examine(directory)
    if found is None:
        return [words]
    present, complaints = check_rounds(recording, found, cut)
    complaints += found.troubles
    complaints += cut_tools.load.differences(found.totals, cut_tools.merged(buckets_of(recording, present, DAY)))
    complaints += check_windows(recording, found, present, recording.first_left(cut))
    return complaints + check_samples(recording, found, present, cut)


def complaints_in_the_end(directory, recording, cut):
    """As complaints_of; what is due then is done, and the files are those that count."""
    complaints = complaints_of(directory, recording, cut)
    if complaints or cut < recording.moves[0][0] or cut % 8:
        return complaints
    r = harness.cli("compact", "--data", directory, env=recording.clock.environment)
    if r.returncode != 0:
        return [f"compact: {r.stderr}"]
    found, words = cut_tools.examine(directory)
    if found is None:
        return [f"compacted: {words}"]
    present, complaints = check_rounds(recording, found, cut)
    totals = cut_tools.merged(buckets_of(recording, present, DAY))
    complaints += cut_tools.load.differences(found.totals, totals)
    stats = json.loads(harness.cli("stats", "--json", "--data", directory).stdout)["store"]
    files = glob.glob(os.path.join(directory, "parts", "*")) + glob.glob(os.path.join(directory, "tmp", "*"))
    if len(files) != stats["parts"] + stats["raw_parts"] + stats["log_parts"]:
        complaints.append(f"{files} are there, {stats['parts']}, {stats['raw_parts']} and {stats['log_parts']} count")
    return [f"compacted: {c}" for c in complaints]


def kind_of(op):
    """What becomes of a file of parts/ with it, if anything."""
    path = op.paths()[-1] if op.kind in (replay.RENAME, replay.UNLINK) else ""
    made = "made" if op.kind == replay.RENAME else "gone"
    return f"{os.path.basename(path).split('-')[0]} {made}" if path.startswith("parts/") else "other"


def test_cuts_at_each_step_of_growing_old():
    cut_tools.need_tools()
    recording = Recording()
    changes = collections.Counter(kind_of(recording.operations[cut]) for before, after in recording.moves
                                  for cut in range(before, after))
    for kind, least in (("raw made", 1), ("raw gone", 3), ("metrics made", 3), ("metrics gone", 8)):
        check(changes[kind] >= least, f"hardly anything grew old: {changes}")
    moved = {cut for before, after in recording.moves for cut in range(before, after + 8)}
    steps = [cut for cut in range(recording.created, len(recording.operations) + 1) if LONG or cut in moved or cut % 3 == 0]
    bad = cut_tools.bad_images_at(recording, steps, random.Random(32), kills=True, complaints=complaints_in_the_end)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


if __name__ == "__main__":
    harness.main(globals())
