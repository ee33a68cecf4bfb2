"""Reading sealed parts: a day, a year, a thousand series; beside victoria-metrics after its forced merge."""

import itertools
import json
import math
import statistics
import time
import urllib.parse

import charts
import realdata
from report import at_most, figures, reaches, spread, table
from sealed import five_series, windows
from servers import AstraML, VictoriaMetrics
from workbench import Shape, must_hold

DAY = 86400
RUN, LOADED = "bench", "bench-0000"


class Asked:
    """One question to both servers: which series of which run, from when to when, in rows how wide."""

    def __init__(self, run, series, start, end, every_s, aggregate="max", raw=False):
        self.run, self.series, self.start, self.end, self.every_s = run, series, start, end, every_s
        self.aggregate, self.raw = aggregate, raw

    def ours(self):
        series = {f"label.{k}" if k != "metric" else k: v for k, v in self.series.items()}
        return "/v2/projects/default/query?" + urllib.parse.urlencode(
            {"run": self.run, **series, "every": f"{self.every_s}s", "agg": self.aggregate,
             "start": self.start * 1000, "end": self.end * 1000})

    def its(self):
        """Windows wider than 30 s as max_over_time, of (from, to] there; so a row is named by its end."""
        labels = {k: v for k, v in self.series.items() if k != "metric"} | {"run": self.run}
        if self.raw:
            labels["of"] = self.aggregate
        name = self.series["metric"] if self.series["metric"] != "*" else ""
        text = name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
        shift = 0
        if self.every_s > 30:
            text, shift = f"max_over_time({text}[{self.every_s}s])", self.every_s - 30
        return "/api/v1/query_range?" + urllib.parse.urlencode(
            {"query": text, "start": self.start + shift, "end": self.end - 30, "step": self.every_s, "nocache": 1})

    def rows(self, server):
        """[{start in s: value}], a dictionary for each series, in the order of their names."""
        answer = json.loads(server.ask(self.ours() if type(server) is AstraML else self.its()))
        if type(server) is AstraML:
            found = {json.dumps([s["metric"], s["labels"]["rank"]]): {row[0] // 1000: row[1] for row in s["rows"]}
                     for s in answer["series"]}
        else:
            shift = max(self.every_s - 30, 0)
            found = {json.dumps([s["metric"].get("__name__", self.series["metric"]), s["metric"]["rank"]]):
                     {at - shift: float(value) for at, value in s["values"]} for s in answer["data"]["result"]}
        return [found[name] for name in sorted(found)]


def must_agree(ours, theirs):
    """The same rows and values, to eleven digits: victoria-metrics rounds what it stores."""
    for mine, its in zip(ours, theirs):
        wrong = [(at, mine.get(at), v) for at, v in its.items() if not math.isclose(mine.get(at, 0), v, rel_tol=1e-11)]
        if wrong or len(mine) != len(its):
            raise RuntimeError(f"the answers differ: {len(mine)} and {len(its)} rows; in {wrong[:3]}")
    if len(ours) != len(theirs):
        raise RuntimeError(f"the answers differ: {len(ours)} and {len(theirs)} series")


def send_ours(server, run, metric, rank, start, step_s, values):
    """One series' samples, evenly spaced, with rising steps, in one request."""
    from astraml.v2.ingest_pb2 import IngestRequest  # made by the build

    request = IngestRequest()
    request.series.add(metric=metric).labels.add(key="rank", value=str(rank))
    request.samples.add(series=[0], start_ns=start * 10**9, time_unit_ns=10**9, times=[0] + [step_s] * (len(values) - 1),
                        steps=[1] * len(values), values=values)
    server.request(f"/v2/projects/default/runs/{run}/ingest", request.SerializeToString(),
                   "application/x-protobuf").close()


class SealedRead:
    name = "sealedread"
    about = ("Sealed by `astraml compact`, then served; victoria-metrics after its forced merge, asked not to use what "
             "it has computed (`nocache=1`). JSON over loopback, one kept connection, one request at a time, page "
             "caches warm, the greatest of each window; the same rows and values come from both, which is checked. *A "
             "day*: one of 100 series of real values, a sample each 10 s, 2,880 rows of 30 s; its has the same windows "
             "as five series each. *A year at 1 h*: one of four series of real values; *1,000 series at 5 min*: the "
             "loader's values; in both a sample each 30 s, so one of its series says what a window of ours says, and "
             "wider rows are its `max_over_time`.")

    def __init__(self, bench):
        self.bench = bench
        self.yesterday = (int(time.time()) // DAY - 1) * DAY
        self.days = bench.part(364, 26)
        self.many = bench.part(1000)
        self.values = None
        self.year_start = first = self.yesterday - (self.days - 1) * DAY
        self.wide = Shape(1, self.many, 2880, 10000, 8, step_s=30)
        self.wide.start = self.yesterday
        end = self.yesterday + DAY
        self.asked = {
            "day": Asked(RUN, {"metric": "curve", "rank": "7"}, self.yesterday, end, 30, raw=True),
            "year": Asked(RUN, {"metric": "curve", "rank": "2"}, first, end, 3600),
            "day of year": Asked(RUN, {"metric": "curve", "rank": "2"}, self.yesterday, end, 30),
            "wide": Asked(LOADED, {"metric": "*"}, self.yesterday, end, 300),
        }
        self.counts = {"day": bench.part(1000), "year": bench.part(100), "day of year": bench.part(300), "wide": 10}

    @staticmethod
    def endless():
        """Values of real curves, one curve after another, again and again."""
        return itertools.cycle([v for _, points in realdata.curves() if len(points) >= 100 for _, v in points
                                if math.isfinite(v)])

    def prepare(self):
        """A day's values for each of 100 series, at 10 s."""
        endless = self.endless()
        self.values = [list(itertools.islice(endless, DAY // 10)) for _ in range(100)]

    # ---- filling ----

    @staticmethod
    def create_run(server):
        server.request("/v2/projects/default/runs", b'{"id":"%s"}' % RUN.encode(), "application/json").close()

    def fill_day_ours(self, server):
        self.create_run(server)
        for rank, values in enumerate(self.values):
            send_ours(server, RUN, "curve", rank, self.yesterday, 10, values)

    def fill_day_its(self, server):
        for rank, values in enumerate(self.values):
            points = [(self.yesterday + 10 * i, v) for i, v in enumerate(values)]
            server.request("/api/v1/import", five_series("curve", windows(points), rank=str(rank), run=RUN)).close()

    def sealed(self, fill, buckets):
        """A server on what was filled in and sealed."""
        with self.bench.fresh(AstraML) as server:
            fill(server)
            server.settle()
            server.end()
        seal = AstraML.seal(server.directory)
        if seal["buckets"] < buckets:
            raise RuntimeError(f"{seal['buckets']} buckets were sealed, of {buckets}")
        seal["buckets"] = buckets
        return AstraML(server.directory), seal

    def merged(self, fill, samples):
        server = self.bench.fresh(VictoriaMetrics, "-retentionPeriod=3y", "-search.maxPointsPerTimeseries=100000")
        fill(server)
        server.settle()
        server.merge()
        must_hold(server, server.samples_held(None), samples)
        return server

    def fill_wide(self, server):
        self.bench.load(server, "astraml" if type(server) is AstraML else "remote-write", self.wide.options())

    def year_values(self):
        """[(rank, first place, values)], a month or so of real values at a time; four series."""
        endless = self.endless()
        for rank in range(4):
            for at in range(0, self.days * 2880, 100000):
                yield rank, at, list(itertools.islice(endless, min(100000, self.days * 2880 - at)))

    def fill_year_ours(self, server):
        self.create_run(server)
        for rank, at, values in self.year_values():
            send_ours(server, RUN, "curve", rank, self.year_start + 30 * at, 30, values)

    def fill_year_its(self, server):
        for rank, at, values in self.year_values():
            times = [(self.year_start + 30 * (at + i)) * 1000 for i in range(len(values))]
            server.request("/api/v1/import", json.dumps({"metric": {"__name__": "curve", "rank": str(rank), "run": RUN},
                                                         "values": values, "timestamps": times}).encode()).close()

    # ---- asking ----

    def ask(self, server, key):
        path = self.asked[key].ours() if type(server) is AstraML else self.asked[key].its()
        before = {}
        report = self.bench.load(server, "get", ["--path", path, "--connections", 1, "--count", self.counts[key]],
                                 lambda: before.update(cpu=server.cpu_s()))
        report["cpu_ms"] = (server.cpu_s() - before["cpu"]) * 1e3 / self.counts[key]
        report["kib"] = report["bytes_in"] / self.counts[key] / 1024
        return report

    def beside(self, keys, fill_ours, fill_its, buckets, samples):
        results, rows = {}, {}
        server, seal = self.sealed(fill_ours, buckets)
        with server:
            for key in keys:
                rows[key] = self.asked[key].rows(server)
                results[key] = self.ask(server, key) | {"seal": seal}
        if VictoriaMetrics.program:
            with self.merged(fill_its, samples) as server:
                for key in keys:
                    must_agree(rows[key], self.asked[key].rows(server))
                    results["its " + key] = self.ask(server, key)
        return results

    def round(self):
        if not self.values:
            self.prepare()
        results = self.beside(["day"], self.fill_day_ours, self.fill_day_its, 288000, 5 * 288000)
        n = 4 * self.days * 2880
        results |= self.beside(["year", "day of year"], self.fill_year_ours, self.fill_year_its, n, n)
        n = self.wide.samples() + self.wide.warm_up()
        results |= self.beside(["wide"], self.fill_wide, self.fill_wide, n, n)
        return results

    # ---- telling ----

    whats = {"day": "one series, one day, 2,880 rows", "year": "one series, one year at 1 h",
             "day of year": "one series of the year, one day, 2,880 rows", "wide": "1,000 series, one day at 5 min"}

    def goals(self, rounds):
        def beside(key, field, limit):
            return at_most(f"sealed: {self.whats[key]}: {field.removesuffix('_ms')}, ms; victoria-metrics",
                           figures(rounds, key, lambda r: r[field]), figures(rounds, "its " + key, lambda r: r[field]),
                           limit)

        return [beside("day", "p50_ms", 0.25), beside("day", "p99_ms", 0.25), beside("year", "p50_ms", 0.25),
                beside("year", "p99_ms", 0.25), beside("wide", "p50_ms", 0.25),
                at_most("sealed: one series, one year at 1 h: p50, ms; one day at 30 s of it",
                        *(figures(rounds, key, lambda r: r["p50_ms"]) for key in ("year", "day of year")), 2),
                *(reaches(f"sealing: M buckets of 30 s a CPU-s, {what}", figures(rounds, key, self.sealed_a_second), 2, "M")
                  for key, what in (("wide", "one float32 sample a window"), ("year", "one real sample"),
                                    ("day", "three real samples")))]

    @staticmethod
    def sealed_a_second(run):
        return run["seal"]["buckets"] / run["seal"]["cpu_s"] / 1e6

    def details(self, rounds):
        rows = [[f"{whose}, {self.whats[key]}",
                 *(spread(figures(rounds, prefix + key, lambda r, f=field: r[f]), ".3f")
                   for field in ("p50_ms", "p99_ms", "max_ms", "cpu_ms")),
                 f"{statistics.median(figures(rounds, prefix + key, lambda r: r['kib'])):.0f}",
                 spread(figures(rounds, prefix + key, self.sealed_a_second), ".2f") if not prefix else "-"]
                for key in self.whats for prefix, whose in (("", "ours"), ("its ", "victoria-metrics"))
                if prefix + key in rounds[0]]
        return table(["run", "p50, ms", "p99, ms", "max, ms", "server's CPU an answer, ms", "KiB an answer",
                      "M buckets of 30 s sealed a CPU-s"], rows)

    def charts(self, rounds):
        return [charts.bars("sealed", "Sealed, one series, one day, 2,880 rows: p99 of the answer, ms", "",
                            [(whose, figures(rounds, key, lambda r: r["p99_ms"]))
                             for key, whose in (("day", "ours"), ("its day", "victoria-metrics"))])]
