"""Tiers and retention: whatever is rolled up, dropped or late, windows that are still kept and totals are what
all samples give, to the last bit, by a server and without one."""
import calendar
import csv
import glob
import gzip
import json
import math
import os
import random
import time

import harness
from harness import NS, Batch, Clock, check, cli, equal, wait_for
from test_query import AGGS, compare, same, window_of, windows_of

S, DAY = NS, 86400 * NS
TIERS = ("30s", "5m", "1h", "1d")
WIDTHS = {"30s": 30 * NS, "5m": 300 * NS, "10m": 600 * NS, "1h": 3600 * NS, "1d": DAY}
OLD = 1_600_000_000 * NS // DAY * DAY


def ok(*arguments, **options):
    r = cli(*arguments, **options)
    equal(r.returncode, 0, f"{arguments}: {r.stdout[-500:]} {r.stderr}")
    return r.stdout


def parts(data, tier="*"):
    return sorted(glob.glob(f"metrics-*-{tier}-*.part", root_dir=os.path.join(data, "parts")))


def from_ns(name):
    """Where the slot of a part begins."""
    return calendar.timegm(time.strptime(name.split("-")[3], "%Y%m%dT%H%M%SZ")) * NS


def size_of(data):
    return sum(os.path.getsize(os.path.join(data, "parts", name)) for name in parts(data))


class Oracle:
    """All samples of a run's series."""

    def __init__(self, run):
        self.run, self.series = run, {}

    def check_windows(self, query, what, widths=TIERS, from_ns=None, to_ns=None):
        """query(run, metric, every, start_ms, end_ms) answers like /query."""
        for every in widths:
            for name, samples in self.series.items():
                wanted = [s for s in samples if (from_ns is None or s[0] >= from_ns) and (to_ns is None or s[0] < to_ns)]
                answer = query(self.run, name, every, from_ns, to_ns)
                equal(answer["partial"], False, "partial")
                compare(answer["series"][0], windows_of(wanted, WIDTHS[every]), f"{what}: {self.run} {name} {every}")

    def check_totals(self, metrics, what):
        got = {m["name"]: m for m in metrics}
        equal(sorted(got), sorted(self.series), f"{what}: series")
        for name, samples in self.series.items():
            want = window_of(samples)
            for key in ("count", "nan", "pos_inf", "neg_inf", "min", "max", "mean", "first", "last", "last_step",
                        "first_time", "last_time"):
                check(same(got[name][key], want[key]), what, name, key, "got", got[name][key], "want", want[key])


def over_http(client):
    def query(run, name, every, from_ns, to_ns):
        times = {} if from_ns is None else {"start": from_ns // 1_000_000, "end": to_ns // 1_000_000}
        return client.query(run, name, every=every, agg=AGGS, **times)
    return query


def from_directory(data):
    def query(run, name, every, from_ns, to_ns):
        times = () if from_ns is None else ("--start", from_ns // 1_000_000, "--end", to_ns // 1_000_000)
        text = ok("get", run, name, "--every", every, "--agg", AGGS, "--json", "--data", data, *times)
        return json.loads(text, parse_int=harness.json_integer)
    return query


def metrics_of(run, data):
    return json.loads(ok("metrics", run, "--json", "--data", data), parse_int=harness.json_integer)["metrics"]


def random_sample(chance, days):
    odd = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, -1e308, 0.1)
    t = OLD + chance.randrange(days) * DAY + int(chance.triangular(0, 86399, 43200)) * NS + chance.choice((0, 1, NS // 3))
    value = chance.choice(odd) if chance.random() < 0.2 else chance.gauss(0, 10.0 ** chance.randrange(-5, 5))
    return t, chance.choice((None, chance.randrange(10000))), value


def batches_of(oracle, chance, n, size, days):
    """Of samples in any order; sequences follow each other."""
    for _ in range(n):
        batch = Batch(producer=b"shuffled-arrival", sequence=0)
        refs = {name: batch.series(name) for name in ("a", "b")}
        for _ in range(size):
            sample, name = random_sample(chance, days), chance.choice("ab")
            batch.sample(refs[name], sample[0], sample[2], step=sample[1])
            oracle.series.setdefault(name, []).append(sample)
        yield batch


def test_shuffled_arrival():
    """Months in any order, every tenth batch sent twice: before and after each step of compaction."""
    chance, oracle, sequence = random.Random(30), Oracle("shuffled"), 0
    server = harness.Server(arguments=("--compact-every", "100m"))
    server.client().create_run("shuffled")
    for step in range(5):
        client = server.client()
        for batch in batches_of(oracle, chance, 12, 40, 75):
            sequence += 1
            batch.message.producer.sequence = sequence
            client.ingest("shuffled", batch)
            if chance.random() < 0.1:
                equal(client.ingest("shuffled", batch).duplicate, True, "sent twice")
        oracle.check_windows(over_http(client), f"step {step}, served")
        server.stop()
        oracle.check_windows(from_directory(server.data), f"step {step}, before")
        until = OLD + chance.randrange(20, 90) * DAY if step < 4 else 2 * OLD
        ok("compact", "--until", until // 1_000_000, "--data", server.data)
        oracle.check_windows(from_directory(server.data), f"step {step}, after")
        oracle.check_totals(metrics_of("shuffled", server.data), f"step {step}")
        server.start()
        oracle.check_windows(over_http(server.client()), f"step {step}, served again")
    server.stop()
    check(all(parts(server.data, tier) for tier in ("recorded", "5m", "1h", "1d")), "tiers", parts(server.data))
    ok("verify", "--data", server.data)


def aged_batch(oracle, chance, now_ns, since_ns, sequence):
    """Of samples of any age, as many of the last days as of all before."""
    batch = Batch(producer=b"of-all-the-ages!", sequence=sequence)
    refs = {name: batch.series(name) for name in ("a", "b")}
    for _ in range(40):
        days = chance.choice((range(0, (now_ns - since_ns) // DAY, 60), range(0, 80, 20), range(10)))
        t_ns, name = now_ns - chance.choice(days) * DAY - chance.randrange(60 * NS, DAY // 2), chance.choice("ab")
        _, step, value = random_sample(chance, 1)
        batch.sample(refs[name], t_ns, value, step=step)
        oracle.series.setdefault(name, []).append((t_ns, step, value))
    return batch


def check_ages(oracle, query, what, now_ns):
    """Each width of the time of which it is kept, whatever came of that time and when."""
    day = now_ns // DAY * DAY
    for widths, days in ((("30s", "5m"), 12), (("5m", "1h"), 85), (("1h", "1d"), 690)):
        oracle.check_windows(query, f"{what}, {days} days", widths, day - days * DAY, day + DAY)
    oracle.check_windows(query, f"{what}, all", ("1d",))


def test_shuffled_arrival_over_the_whole_retention():
    """Three years, in which every tier but the last is dropped, of samples of any age, every tenth batch sent twice."""
    chance, oracle, clock, sent = random.Random(33), Oracle("ages"), Clock(-1200 * 86400), []
    dropped = 0
    since_ns = clock.now_ns()
    server = harness.Server(env=clock.environment, arguments=("--compact-every", "1000m"))
    server.client().create_run("ages")
    for step in range(6):
        clock.move(190 * 86400)
        client, now_ns = server.client(), clock.now_ns()
        for _ in range(6):
            sent.append(aged_batch(oracle, chance, now_ns, since_ns, len(sent) + 1))
            client.ingest("ages", sent[-1])
            if chance.random() < 0.1 or len(sent) % 10 == 5:
                equal(client.ingest("ages", chance.choice(sent[-50:])).duplicate, True, "sent twice")
        check_ages(oracle, over_http(client), f"step {step}, served", now_ns)
        server.stop()
        for until in (now_ns - chance.randrange(100) * DAY, now_ns):
            report = ok("compact", "--json", "--until", until // 1_000_000, "--data", server.data, env=clock.environment)
            dropped += json.loads(report)["dropped"]
            check_ages(oracle, from_directory(server.data), f"step {step}, compacted", now_ns)
        oracle.check_totals(metrics_of("ages", server.data), f"step {step}")
        server.start()
    server.stop()
    check(dropped > 50, "parts past their time", dropped)
    ok("verify", "--data", server.data, env=clock.environment)


def real_values():
    """Of two sensors, in the order in which they were recorded."""
    found = {}
    for pattern, column in (("nab/realTraffic*", "value"), ("cloud_monitoring/*", "Value")):
        path, = glob.glob(os.path.join(harness.ROOT, "tests/data/system", pattern))
        with gzip.open(path, "rt") as f:
            found[pattern.split("/")[0]] = [float(row[column]) for row in csv.DictReader(f) if row[column]]
    return found


def send_until(client, oracle, values, now_ns, at_ns, every_ns):
    """A sample of each sensor each every_ns from at_ns to now."""
    batch = Batch()
    refs = {name: batch.series(name) for name in values}
    while at_ns < now_ns:
        for name, recorded in values.items():
            n = len(oracle.series.setdefault(name, []))
            sample = (at_ns, n, recorded[n % len(recorded)])
            oracle.series[name].append(sample)
            batch.sample(refs[name], at_ns, sample[2], step=n)
        at_ns += every_ns
    client.ingest(oracle.run, batch)
    return at_ns


def send_late(client, oracle, name, t_ns, value):
    batch = Batch()
    client.ingest(oracle.run, batch.sample(batch.series(name), t_ns, value, step=7))
    oracle.series[name].append((t_ns, 7, value))


def oldest(data, tier):
    return min(map(from_ns, parts(data, tier)), default=None)


def all_sealed(client):
    """Nothing is in memory or in blocks."""
    text = client.request("GET", "/metrics").body.decode()
    numbers = dict(line.split() for line in text.splitlines() if line and not line.startswith("#") and "{" not in line)
    return numbers["astraml_open_buckets"] == numbers["astraml_flushed_buckets"] == "0"


def test_a_year_through_every_tier():
    """Two sensors for a year, the clock ahead by twelve days at a time."""
    clock, oracle, values = Clock(ahead_s=-400 * 86400), Oracle("year"), real_values()
    server = harness.Server(env=clock.environment,
                            arguments=("--compact-every", "50ms", "--flush-every", "20ms", "--grace", "1ms", "--settle", "1ms",
                                       "--late-wait", "1ms"))
    client = server.client()
    client.create_run("year")
    at_ns, sizes = clock.now_ns() // DAY * DAY, []
    for step in range(32):
        clock.move(12 * 86400)
        at_ns = send_until(client, oracle, values, clock.now_ns() - 2 * 3600 * NS, at_ns, 2 * 3600 * NS + 77 * NS)
        wait_for(lambda: all_sealed(client), "all to be sealed")
        if step % 10 == 9:
            now = clock.now_ns()
            wait_for(lambda: (oldest(server.data, "recorded") or 0) > now - 30 * DAY, "windows as recorded to go")
            sizes.append(size_of(server.data))
            query, day = over_http(client), now // DAY * DAY
            oracle.check_windows(query, f"step {step}, young", ("30s", "5m"), day - 8 * DAY, day)
            oracle.check_windows(query, f"step {step}, 80 days", ("5m", "1h"), day - 80 * DAY, day)
            oracle.check_windows(query, f"step {step}, all", ("1h", "1d"))
            oracle.check_totals(client.metrics("year"), f"step {step}")
    wait_for(lambda: (oldest(server.data, "5m") or 0) > clock.now_ns() - 140 * DAY, "windows of 5 min to go")
    now = clock.now_ns() // DAY * DAY
    for age, tier in ((60, "5m"), (300, "1h")):  # only coarse windows are kept of these times
        before = parts(server.data, tier)
        for name in values:
            send_late(client, oracle, name, now - age * DAY + 12345 * NS, -1e6 / age)
        oracle.check_windows(over_http(client), f"{age} days late", (tier, "1d"), now - (age + 1) * DAY, now - (age - 1) * DAY)
        wait_for(lambda: parts(server.data, tier) != before, f"what is {age} days late to be folded into {tier}")
        oracle.check_windows(over_http(client), f"{age} days late, folded", (tier, "1d"), now - (age + 1) * DAY,
                             now - (age - 1) * DAY)
        oracle.check_totals(client.metrics("year"), f"{age} days late")
    check(sizes[-1] < 3 * sizes[0], "bytes of parts in the course of the year", sizes)
    server.stop()
    ok("verify", "--data", server.data, env=clock.environment)
    oracle.check_windows(from_directory(server.data), "stopped", ("1h", "1d"))


def test_what_is_past_its_time_goes():
    """A run of before, imported at once: it is young when it comes, and goes tier by tier."""
    clock, oracle, chance = Clock(), Oracle("old"), random.Random(31)
    with harness.Server(env=clock.environment, arguments=("--compact-every", "100m")) as server:
        client = server.client()
        client.create_run("old")
        for batch in batches_of(oracle, chance, 10, 100, 60):
            batch.message.ClearField("producer")
            client.ingest("old", batch)
    data, widths = server.data, list(TIERS)

    def compact(*more):
        return json.loads(ok("compact", "--json", "--data", data, *more, env=clock.environment))

    equal(compact()["dropped"], 0, "dropped of what came just now")
    whole = size_of(data)
    for days, tier, left in ((15, "recorded", widths[1:]), (76, "5m", widths[2:]), (640, "1h", widths[3:])):
        clock.move((days - 2) * 86400)
        equal(compact()["dropped"], 0, f"dropped before {tier} is past its time")
        clock.move(2 * 86400)
        gone = len(parts(data, tier))
        dry = ok("compact", "--dry-run", "--data", data, env=clock.environment).decode()
        check(f"tier {tier}" in dry and "past their time" in dry, "--dry-run", dry)
        equal(dry.count("past their time"), 1, f"lines of what goes: {dry}")
        equal(len(parts(data, tier)), gone, "files after --dry-run")
        equal(compact()["dropped"], gone, f"parts of {tier} dropped")
        equal(parts(data, tier), [], f"files of {tier}")
        check(size_of(data) < whole, "bytes of parts", size_of(data), "of", whole)
        whole = size_of(data)
        oracle.check_windows(from_directory(data), f"without {tier}", left)
        oracle.check_totals(metrics_of("old", data), f"without {tier}")
        ok("verify", "--data", data, env=clock.environment)
    clock.move(20000 * 86400)
    equal(compact()["dropped"], 0, "days are kept for ever")


def test_a_policy_applies_to_what_is_there():
    """Of two projects with the same data one has a new policy: other tiers, and an end of all of them."""
    clock, oracles = Clock(), {}
    with harness.Server(env=clock.environment, arguments=("--compact-every", "100m")) as server:
        for project in ("long", "short"):
            client, chance = server.client(project=project), random.Random(32)
            client.create_run("r")
            oracles[project] = Oracle("r")
            for batch in batches_of(oracles[project], chance, 6, 100, 20):
                batch.message.ClearField("producer")
                client.ingest("r", batch)
        tiers = [{"every": "30s", "keep": "1d"}, {"every": "10m", "keep": "30d"}, {"every": "1d", "keep": "60d"}]
        answer = client.request("PUT", client.path("/policy"), json.dumps({"tiers": tiers}),
                                {"Content-Type": "application/json"})
        equal(answer.status, 200, answer)
    data = server.data

    def both_hold(project, widths, what):
        options = ("--project", project, "--json", "--data", data)

        def query(run, name, every, from_ns, to_ns):
            return json.loads(ok("get", run, name, "--every", every, "--agg", AGGS, *options, env=clock.environment),
                              parse_int=harness.json_integer)
        oracles[project].check_windows(query, f"{what}: {project}", widths)
        text = ok("metrics", "r", *options, env=clock.environment)
        oracles[project].check_totals(json.loads(text, parse_int=harness.json_integer)["metrics"], f"{what}: {project}")

    for days, left in ((0, ("30s", "10m", "1d")), (2, ("10m", "1d")), (31, ("1d",)), (40, ())):
        clock.move(days * 86400)
        ok("compact", "--data", data, env=clock.environment)
        both_hold("short", left, f"{days} days more")
        for tier, width in (("recorded", "30s"), ("10m", "10m"), ("1d", "1d")):
            equal(bool(glob.glob(f"metrics-2-{tier}-*", root_dir=os.path.join(data, "parts"))), width in left, f"{tier}, {days}")
        if days <= 2:
            both_hold("long", TIERS, f"{days} days more")
    equal(len(glob.glob("metrics-2-whole-*", root_dir=os.path.join(data, "parts"))), 1, "totals")
    both_hold("long", ("5m", "1h", "1d"), "at the end")
    ok("verify", "--data", data, env=clock.environment)


if __name__ == "__main__":
    harness.main(globals())
