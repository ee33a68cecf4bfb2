"""Reading one series: latency beside victoria-metrics, and what an answer costs the server."""

import json
import math
import statistics
import urllib.parse

import charts
from report import at_most, figures, spread, table, within
from servers import AstraML, VictoriaMetrics
from workbench import Shape, must_hold

METRIC, RUN = "train_layer_000_attn_grad_norm", "bench-0000"
SIX = "count,sum,min,max,first,last"


class Query:
    name = "query"
    about = ("One series of 100, one day, a row each 30 s: 2,880 rows, JSON over loopback, one connection, one "
             "request at a time, timed from before the connect or the request to the answer's last byte. The same "
             "rows and values come from both, which is checked, to eleven digits: victoria-metrics rounds what it "
             "stores. It also keeps what it has computed; *no cache* asks it not to use that (`nocache=1`), else "
             "each answer but the first comes from there.")

    # key, what it is, server, fresh connections, aggregates or further parameters
    cases = (("ours", "ours, kept connection", AstraML, False, "mean"),
             ("ours fresh", "ours, fresh connections", AstraML, True, "mean"),
             ("ours six", "ours, six aggregates, kept connection", AstraML, False, SIX),
             ("its", "victoria-metrics, no cache, kept connection", VictoriaMetrics, False, "&nocache=1"),
             ("its fresh", "victoria-metrics, no cache, fresh connections", VictoriaMetrics, True, "&nocache=1"),
             ("its cached", "victoria-metrics, its cache, kept connection", VictoriaMetrics, False, ""))

    def __init__(self, bench):
        self.bench = bench
        self.shape = Shape(1, 100, 2880, 100, 8, step_s=30)
        self.count = bench.part(1000)

    def path(self, kind, more):
        first, last = self.shape.start, self.shape.end - 30
        if kind is AstraML:
            return (f"/v2/projects/default/query?run={RUN}&metric={METRIC}&label.rank=0&every=30s&agg={more}"
                    f"&start={first * 1000}&end={(last + 30) * 1000}")
        series = urllib.parse.quote(f'{METRIC}{{rank="0",run="{RUN}"}}')
        return f"/api/v1/query_range?query={series}&start={first}&end={last}&step=30{more}"

    def rows(self, server):
        """{time in s: value} of the day."""
        answer = json.loads(server.ask(self.path(type(server), "mean" if type(server) is AstraML else "&nocache=1")))
        if type(server) is AstraML:
            return {row[0] // 1000: row[1] for row in answer["series"][0]["rows"]}
        return {at: float(value) for at, value in answer["data"]["result"][0]["values"]}

    def ask(self, server, fresh, more):
        before = {}
        report = self.bench.load(server, "get", ["--path", self.path(type(server), more), "--connections", 1, "--count",
                                                 self.count] + (["--fresh"] if fresh else []),
                                 lambda: before.update(cpu=server.cpu_s()))
        report["cpu_ms"] = (server.cpu_s() - before["cpu"]) * 1e3 / self.count
        report["kib"] = report["bytes_in"] / self.count / 1024
        return report

    def of(self, kind):
        with self.bench.fresh(kind) as server:
            self.bench.load(server, "astraml" if kind is AstraML else "remote-write", self.shape.options())
            server.settle()
            must_hold(server, server.samples_held(self.shape), self.shape.samples() + self.shape.warm_up())
            rows = self.rows(server)
            return {key: self.ask(server, fresh, more) for key, _, k, fresh, more in self.cases if k is kind}, rows

    def round(self):
        results, rows = self.of(AstraML)
        if VictoriaMetrics.program:
            theirs, their_rows = self.of(VictoriaMetrics)
            different = [(at, rows.get(at), value) for at, value in their_rows.items()
                         if not math.isclose(rows.get(at, 0), value, rel_tol=1e-11)]
            if different or len(rows) != self.shape.steps:
                raise RuntimeError(f"the answers differ: {len(rows)} and {len(their_rows)} rows; in {different[:3]}")
            results |= theirs
        return results

    def goals(self, rounds):
        def beside(what, ours, theirs, field, limit):
            return at_most(what, figures(rounds, ours, lambda r: r[field]), figures(rounds, theirs, lambda r: r[field]),
                           limit)

        return [beside("one series, one day, kept connection: p50, ms; victoria-metrics, no cache",
                       "ours", "its", "p50_ms", 1),
                beside("the same, p99, ms", "ours", "its", "p99_ms", 1),
                beside("fresh connections: p50, ms", "ours fresh", "its fresh", "p50_ms", 1),
                beside("the same, p99, ms", "ours fresh", "its fresh", "p99_ms", 1),
                within("server's CPU for 2,880 rows of six aggregates", rounds, "ours six", lambda r: r["cpu_ms"],
                       1, "ms")]

    def details(self, rounds):
        rows = [[what, *(spread(figures(rounds, key, lambda r, f=field: r[f]), ".3f")
                         for field in ("p50_ms", "p99_ms", "max_ms", "cpu_ms")),
                 f"{statistics.median(figures(rounds, key, lambda r: r['kib'])):.0f}"]
                for key, what, *_ in self.cases if key in rounds[0]]
        return table(["run", "p50, ms", "p99, ms", "max, ms", "server's CPU an answer, ms", "KiB an answer"], rows)

    def charts(self, rounds):
        return [charts.bars("query", "One series, one day, 2,880 rows: p99 of the answer, ms", "",
                            [(what, figures(rounds, key, lambda r: r["p99_ms"])) for key, what, *_ in self.cases])]
