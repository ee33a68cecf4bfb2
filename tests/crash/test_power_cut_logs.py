"""Power cuts while logs go into parts: blocks leave the data file, hours become days, old parts go, one is made again
for a deleted run alone, and goes with it.  A cut, or a kill, after each single operation of it: what is there is one
unbroken rest of what was said, to its end, and the next compaction ends what was begun.
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
from test_power_cut_retention import kind_of  # noqa: E402

LONG = bool(os.environ.get("ASTRAML_TEST_LONG"))
HOUR, DAY = 3600, 86400
EAGER = ("--flush-every", "20ms", "--compact-every", "20ms", "--settle", "1s", "--log-block", "2KiB", "--map", "1GiB")

Push = collections.namedtuple("Push", "run begun acknowledged lines")  # operations before and after; lines until then


def line(run, number):
    return f"{run} says {number} and {number * 7919 % 10007}"


class Recording:
    """moves[i]: operations before the clock was moved, when all had come of it, and the first line that is left of r."""

    def __init__(self):
        self.directory = harness.scratch()
        counter_path, log = os.path.join(self.directory, "counter"), os.path.join(self.directory, "log")
        with open(counter_path, "w+b") as f:
            f.write(bytes(8))
            f.flush()
            self.counter = memoryview(mmap.mmap(f.fileno(), 8, prot=mmap.PROT_READ)).cast("Q")
        self.clock = harness.Clock()
        self.clock.move(HOUR - self.clock.now_ns() // NS % DAY + DAY)  # an hour into a day
        self.data = os.path.join(self.directory, "data")
        self.pushes, self.moves, self.lines, self.left = [], [], collections.Counter(), 0
        recorder = {"RECORDER_DIR": self.data, "RECORDER_LOG": log, "RECORDER_COUNTER": counter_path, "RECORDER_SYNC": "on"}
        both = f"{cut_tools.RECORDER}:{self.clock.environment['LD_PRELOAD']}"
        self.server = harness.Server(self.data, EAGER, env={**self.clock.environment, **recorder, "LD_PRELOAD": both})
        self.live()
        self.server.stop()
        self.operations = replay.read_log(log)
        self.acknowledged = len(self.pushes)
        equal(len(self.operations), self.counter[0], "operations in the log")

    def live(self):
        client = self.client = self.server.client()
        answer = client.request("PUT", client.path("/policy"), json.dumps({"log_keep": "3d"}), {"Content-Type": "application/json"})
        equal(answer.status, 200, answer)
        for run in "rs":
            client.create_run(run, imported=True, state="finished")
        self.created, self.deleted = self.counter[0], 1 << 62
        days = []
        for hours in (3, 2):
            for _ in range(hours):
                self.say()
                self.move(1.3 * HOUR, lambda: self.stat("log_blocks") == 0)
            self.move((26 - 1.3 * hours) * HOUR, lambda: self.stat("log_parts") == len(days) + 1)
            days.append(self.lines["r"])
        self.say(("r",))
        self.deleted = self.counter[0]
        equal(client.request("DELETE", client.path("/runs/s")).status, 200)
        left = self.stat("log_part_records") - days[0] + 45  # without r's first day, with what was said last
        self.move(1.9 * DAY, lambda: self.stat("log_part_records") == left, days[0])
        self.move(7 * DAY, lambda: self.stat("deleted_runs") == 0 and self.stat("log_parts") == 0 and self.stat("log_blocks") == 0,
                  self.lines["r"])

    def stat(self, name):
        answer = self.client.request("GET", "/metrics")
        equal(answer.status, 200, answer)
        return int(next(l for l in answer.body.decode().splitlines() if l.startswith(f"astraml_{name} ")).split()[1])

    def say(self, runs="rs"):
        for run in runs:
            for _ in range(3):
                batch, begun = Batch(), self.counter[0]
                for i in range(15):
                    batch.log(line(run, self.lines[run] + i), t_ns=self.clock.now_ns())
                self.client.ingest(run, batch)
                self.lines[run] += 15
                self.pushes.append(Push(run, begun, self.counter[0], self.lines[run]))

    def move(self, seconds, happened, left=None):
        before = self.counter[0]
        self.clock.move(seconds)
        wait_for(happened, f"what {seconds / HOUR} hours bring")
        self.left = self.left if left is None else left
        self.moves.append((before, self.counter[0], self.left))

    def first_lines(self, cut):
        """Between which the first line of r may lie."""
        least = max([0] + [left for _, after, left in self.moves if after <= cut])
        return least, max([least] + [left for before, _, left in self.moves if before <= cut])


def complaints_of(directory, recording, cut):
    found, words = cut_tools.examine(directory)
    if found is None:
        return [words]
    complaints = list(found.troubles)
    for run in "rs":
        got = [int(t.split()[2]) for t in found.texts if t.startswith(run)]
        acknowledged = max([0] + [p.lines for p in recording.pushes if p.run == run and p.acknowledged <= cut])
        begun = max([0] + [p.lines for p in recording.pushes if p.run == run and p.begun <= cut])
        least, most = recording.first_lines(cut) if run == "r" else (0, 0)
        if run == "s" and cut >= recording.deleted and not got:
            continue
        if [t for t in found.texts if t.startswith(run)] != [line(run, n) for n in got]:
            complaints.append(f"another text of {run}")
        end = got[-1] + 1 if got else acknowledged if least >= acknowledged or most >= acknowledged else 0
        if got != list(range(end - len(got), end)) or not acknowledged <= end <= begun or not least <= end - len(got) <= most:
            complaints.append(f"lines of {run}: {got[:2]}..{got[-2:]}, {len(got)}; acknowledged {acknowledged}, from {least}..{most} on")
    return complaints


def complaints_in_the_end(directory, recording, cut):
    complaints = complaints_of(directory, recording, cut)
    if complaints or cut < recording.moves[0][0] or cut % 4:
        return complaints
    r = harness.cli("compact", "--data", directory, env=recording.clock.environment)
    if r.returncode != 0:
        return [f"compact: {r.stderr}"]
    found, words = cut_tools.examine(directory)
    if found is None:
        return [f"compacted: {words}"]
    complaints = list(found.troubles)
    if found.texts and cut >= recording.deleted:
        complaints.append(f"{len(found.texts)} old lines are left")
    stats = json.loads(harness.cli("stats", "--json", "--data", directory).stdout)["store"]
    files = glob.glob(os.path.join(directory, "parts", "*")) + glob.glob(os.path.join(directory, "tmp", "*"))
    if len(files) != stats["parts"] + stats["raw_parts"] + stats["log_parts"]:
        complaints.append(f"{files} are there, {stats['log_parts']} log parts count")
    if stats["log_blocks"]:
        complaints.append(f"{stats['log_blocks']} old blocks are in the data file")
    return [f"compacted: {c}" for c in complaints]


def test_cuts_at_each_step_of_logs():
    cut_tools.need_tools()
    recording = Recording()
    changes = collections.Counter(kind_of(recording.operations[cut]) for before, after, _ in recording.moves
                                  for cut in range(before, after))
    check(changes["logs made"] >= 8 and changes["logs gone"] >= 4, f"hardly anything moved: {changes}")
    moved = {cut for before, after, _ in recording.moves for cut in range(before, after + 8)}
    steps = [cut for cut in range(recording.created, len(recording.operations) + 1) if LONG or cut in moved or cut % 3 == 0]
    bad = cut_tools.bad_images_at(recording, steps, random.Random(33), kills=True, complaints=complaints_in_the_end)
    equal(bad[:3], [], f"{len(bad)} bad images, such as")


if __name__ == "__main__":
    harness.main(globals())
