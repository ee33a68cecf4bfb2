"""Producers that push from several threads and resend, and an independent ledger of what was
acknowledged.

What a batch holds follows from its (producer, sequence) alone, so the ledger needs to keep only
which of them were acknowledged.  A batch present in the store is known by the unique texts of its
log records; every sum is an integer and exact.
"""
import calendar
import collections
import http.client
import os
import random
import threading
import time

import harness
from harness import NS, Batch, check, equal

WINDOW = 30 * NS
RECORDS = 2  # log records of a batch
OLD = 1_500_000_000 * NS // WINDOW * WINDOW  # windows of a run long ago


class Producer:
    """One stream of sequences.  Several threads may send for it at once."""

    def __init__(self, number, runs, base_ns, samples=8, padding=0):
        self.number, self.samples, self.padding = number, samples, padding
        self.id = os.urandom(16)
        self.run = f"run-{number % runs}"
        self.base = base_ns // WINDOW * WINDOW
        self.lock = threading.Lock()
        self.next = 1
        self.unsent = []  # to be sent again
        self.flying = set()
        self.acked = {}  # sequence: stamp

    def contents(self, sequence):
        """(metric, t_ns, value) of each sample."""
        chance = random.Random(self.number * 1_000_003 + sequence)
        base = OLD if sequence % 3 == 0 else self.base
        return [(f"m{self.number}.{chance.randrange(4)}", base + chance.randrange(6) * WINDOW + chance.randrange(WINDOW),
                 chance.randrange(-1000, 1000)) for _ in range(self.samples)]

    def texts(self, sequence):
        chance = random.Random(self.number * 1_000_003 + sequence)
        padding = "." + chance.randbytes(self.padding // 2).hex() if self.padding else ""
        return [f"{self.number}:{sequence}:{i}{padding}" for i in range(RECORDS)]

    def put_buckets(self, batch, names, sequence):
        """The same samples as an export would bring them."""
        windows = {}
        for metric, t_ns, value in sorted(self.contents(sequence), key=lambda s: s[1:]):
            windows.setdefault((names[metric], t_ns - t_ns % WINDOW), []).append((t_ns, value))
        for (series, start), points in windows.items():
            values = [value for _, value in points]
            b = batch.message.buckets.add(series=series).buckets.add(
                start_ns=start, every_ns=WINDOW, count=len(points), sum=[sum(values)] if sum(values) else [],
                min=min(values), max=max(values), step_min=sequence, step_max=sequence)
            for point, (t_ns, value) in ((b.first, points[0]), (b.last, points[-1])):
                point.time_ns, point.step, point.value = t_ns, sequence, value

    def batch(self, sequence):
        b = Batch(self.id, sequence)
        names = {}
        for metric, t_ns, value in self.contents(sequence):
            if metric not in names:
                names[metric] = b.series(metric)
            if sequence % 4:
                b.sample(names[metric], t_ns, value, step=sequence)
        if sequence % 4 == 0:
            self.put_buckets(b, names, sequence)
        for text in self.texts(sequence):
            b.log(text, t_ns=self.base + sequence)
        return b.encode()

    def take(self):
        """The next sequence to send; None while 60 are under way (64 are allowed)."""
        with self.lock:
            if self.unsent:
                sequence = self.unsent.pop()
            else:
                lowest = min(self.flying, default=self.next)
                if self.next - lowest > 60:
                    return None
                sequence = self.next
                self.next += 1
            self.flying.add(sequence)
            return sequence

    def done(self, sequence, acked, stamp=None):
        with self.lock:
            self.flying.discard(sequence)
            if acked:
                self.acked[sequence] = stamp
            else:
                self.unsent.append(sequence)

    def acknowledgements(self):
        """(sequence, stamp) of those acknowledged by now; others may follow meanwhile."""
        with self.lock:
            return list(self.acked.items())

    def all_acked(self):
        return len(self.acked) == self.next - 1


class Load:
    """Threads that keep each producer sending until stop(), or until the server goes."""

    def __init__(self, producers, threads_each=2, stamp=lambda: None):
        self.producers, self.threads_each, self.stamp = producers, threads_each, stamp
        self.stopping = threading.Event()
        self.draining = False
        self.wrong = []
        self.duplicates = 0
        self.threads = []

    def start(self, server):
        self.stopping.clear()
        self.draining = False
        self.threads = [threading.Thread(target=self._send, args=(server, p), daemon=True)
                        for p in self.producers for _ in range(self.threads_each)]
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.stopping.set()
        self.join()

    def drain(self):
        """Sends nothing new, and again what was not acknowledged, until all is."""
        self.draining = True
        self.join()

    def join(self):
        for t in self.threads:
            t.join(harness.DEADLINE_S)
            check(not t.is_alive(), "a producer's request had no answer within the deadline")
        equal(self.wrong, [], "answers to producers")

    def acknowledged(self):
        return sum(len(p.acked) for p in self.producers)

    def _send(self, server, producer):
        client = harness.Client(server.url, server.token)
        while not self.stopping.is_set() and not self.wrong:
            with producer.lock:
                idle = self.draining and not producer.unsent
            if idle:
                break
            sequence = producer.take()
            if sequence is None:
                self.stopping.wait(0.001)
                continue
            try:
                answer = client.post_ingest(producer.run, producer.batch(sequence))
            except (OSError, http.client.HTTPException):
                producer.done(sequence, False)  # the server has gone, or is going
                break
            self._note(producer, sequence, answer)
        client.close()

    def _note(self, producer, sequence, answer):
        if answer.status == 200:
            said = harness.response_of(answer)
            producer.done(sequence, True, self.stamp())
            self.duplicates += said.duplicate
            if said.rejected or said.last_seq - said.first_seq != RECORDS - 1:
                self.wrong.append((producer.number, sequence, str(said)))
            return
        producer.done(sequence, False)
        if answer.status == 503:
            self.stopping.wait(0.01)
        else:
            self.wrong.append((producer.number, sequence, answer.status, answer.body[:300]))


def producers(count, runs=2, base_ns=None, **options):
    base_ns = base_ns or time.time_ns() - 100 * NS  # some of its windows are still open
    return [Producer(n, runs, base_ns, **options) for n in range(count)]


# ---- what the store must hold ----

def present_of(texts, all_producers):
    """Which (producer, sequence) a log holds: every record of each exactly once, in order; else
    the complaints."""
    complaints = []
    found = collections.defaultdict(list)
    known = {p.number: p for p in all_producers}
    for text in texts:
        number, sequence, i = text.split(".")[0].split(":")
        found[int(number), int(sequence)].append(int(i))
        if text != known[int(number)].texts(int(sequence))[int(i)]:
            complaints.append(f"a text was changed: {text!r}")
    for key, parts in found.items():
        if parts != list(range(RECORDS)):
            complaints.append(f"batch {key} is there with records {parts}")
    return set(found), complaints


def expected_buckets(present, all_producers, window=WINDOW):
    """(run, metric, window start): [count, sum, min, max] of the batches in present."""
    known = {p.number: p for p in all_producers}
    buckets = {}
    for number, sequence in present:
        p = known[number]
        for metric, t_ns, value in p.contents(sequence):
            b = buckets.setdefault((p.run, metric, t_ns // window * window), [0, 0, value, value])
            b[0] += 1
            b[1] += value
            b[2] = min(b[2], value)
            b[3] = max(b[3], value)
    return buckets


def expected_samples(present, all_producers):
    """(run, metric, time, step, value): how often, of the batches in present that came as samples."""
    known = {p.number: p for p in all_producers}
    return collections.Counter((known[n].run, metric, t_ns, sequence, float(value)) for n, sequence in present if sequence % 4
                               for metric, t_ns, value in known[n].contents(sequence))


def served_samples(client, all_producers):
    """As expected_samples, asked of a server."""
    found = collections.Counter()
    for run in sorted({p.run for p in all_producers}):
        for series in client.query(run, "*", samples="true")["series"]:
            for time_text, step, value in series["rows"]:
                seconds, _, rest = time_text.rstrip("Z").partition(".")
                t_ns = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * NS + int(rest.ljust(9, "0") or 0)
                found[run, series["metric"], t_ns, step, float(value)] += 1
    return found


def differences(got, want, limit=5):
    """Sentences about what differs between two dicts."""
    out = [f"{k}: got {got.get(k)}, want {want.get(k)}" for k in got.keys() | want.keys() if got.get(k) != want.get(k)]
    return out[:limit] + ([f"and {len(out) - limit} more"] if len(out) > limit else [])


def missing(acknowledged, present):
    return [f"acknowledged batch {key} is not there" for key in sorted(acknowledged - present)[:5]]


def acknowledged_of(all_producers, until=None):
    """(producer, sequence) acknowledged, with a stamp of at most `until` where one is given."""
    return {(p.number, s) for p in all_producers for s, stamp in p.acknowledgements() if until is None or stamp <= until}


def served_buckets(client, all_producers):
    """As expected_buckets, asked of a server."""
    buckets = {}
    for run in sorted({p.run for p in all_producers}):
        for base, until in ((OLD, OLD + 100 * WINDOW), (all_producers[0].base, all_producers[0].base + 100 * WINDOW)):
            answer = client.query(run, "*", start=base // 1_000_000, end=until // 1_000_000, every="30s",
                                  agg="count,sum,min,max")
            equal(answer["every_ms"], 30_000, "every_ms")
            for series in answer["series"]:
                equal(series["columns"], ["time_ms", "count", "sum", "min", "max"], "columns")
                for row in series["rows"]:
                    buckets[run, series["metric"], row[0] * 1_000_000] = row[1:]
    return buckets


def served_texts(client, all_producers):
    """All log texts; sequences must rise."""
    texts = []
    for run in sorted({p.run for p in all_producers}):
        records = client.logs(run)
        seqs = [r["seq"] for r in records]
        check(seqs == sorted(set(seqs)), f"log sequences of {run} do not rise")
        texts += [r["text"] for r in records]
    return texts


def check_served(client, all_producers, acknowledged, exactly=False):
    """The server holds every acknowledged batch once, whole, and nothing that was never sent."""
    present, complaints = present_of(served_texts(client, all_producers), all_producers)
    complaints += missing(acknowledged, present)
    if exactly:
        complaints += [f"batch {key} is there, and was not acknowledged" for key in sorted(present - acknowledged)[:5]]
    complaints += differences(served_buckets(client, all_producers), expected_buckets(present, all_producers))
    complaints += differences(served_samples(client, all_producers), expected_samples(present, all_producers))
    equal(complaints, [], "the store against the ledger")
