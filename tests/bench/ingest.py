"""Ingest: what a sample costs, beside others; against the number of series; the acknowledgement."""

import statistics
import time

import charts
from report import at_least, at_most, figures, spread, table, within
from servers import AstraML, AstraMLBuckets, AstraMLSealing, Prometheus, Rrdcached, VictoriaMetrics
from workbench import Shape, must_hold

RATE = 200  # acknowledgements, requests a second


def speed(run):
    return run["samples"] / run["cpu_s"] / 1e6


def yes(durable):
    return "yes" if durable else "no"


def detail_row(name, durable, runs):
    cost = spread([1e6 * r["cpu_s"] / r["samples"] for r in runs])
    wall = spread([r["samples"] / r["wall_s"] / 1e6 for r in runs])
    disk = "-" if runs[0]["disk"] is None else spread([r["disk"] for r in runs], ".1f")
    answer = " / ".join(f"{statistics.median(r[p] for r in runs):.2f}" if p in runs[0] else "-"
                        for p in ("p50_ms", "p99_ms", "max_ms"))
    return [name, yes(durable), cost, wall, answer, disk, spread([r["io"] for r in runs], ".1f"),
            f"{max(r['rss_mib'] for r in runs):.0f}"]


DETAILS = ["run", "durable", "CPU s a M samples", "M samples/s, wall", "answer p50 / p99 / max, ms",
           "device B/sample", "/proc io B/sample", "peak RSS, MiB"]


class Ingest:
    name = "ingest"
    about = ("Rates are samples for each second of the server's CPU. *Durable*: whether an answer means that the "
             "samples are on the disk. rrdcached folds three samples into a row, as ours does, but keeps no count, "
             "sum, first or last; victoria-metrics and prometheus keep every sample, and so do ours in batches of 10,000: "
             "their figure includes sealing each sample with its time into raw parts, which a server does minutes later, "
             "here at once. *Buckets alone* is the same load on a project with `raw_keep` 0s. Our other rows end at the "
             "flush: their samples still wait in the journal.")

    # key, what it is, server, loader's mode, shape, the loader's further options
    cases = (("10k f32", "ours, 10,000, float32", AstraMLSealing, "astraml", "10k", []),
             ("10k f32 buckets", "ours, 10,000, float32, buckets alone", AstraMLBuckets, "astraml", "10k", []),
             ("10k rw", "victoria-metrics, remote write, 10,000", VictoriaMetrics, "remote-write", "10k", []),
             ("10k f64", "ours, 10,000, doubles", AstraMLSealing, "astraml", "10k", ["--f64"]),
             ("10k f64 buckets", "ours, 10,000, doubles, buckets alone", AstraMLBuckets, "astraml", "10k", ["--f64"]),
             ("10k native", "victoria-metrics, native import", VictoriaMetrics, "files", "10k", []),
             ("10k influx", "victoria-metrics, Influx lines, 10,000", VictoriaMetrics, "influx", "10k less", []),
             ("10k prom", "prometheus, remote write, 10,000", Prometheus, "remote-write", "10k less", []),
             ("rrd", "rrdcached, 1,000 updates a batch", Rrdcached, None, "rrd", []),
             ("1k", "ours, 1,000", AstraML, "astraml", "1k", []),
             ("1k rw", "victoria-metrics, remote write, 1,000", VictoriaMetrics, "remote-write", "1k", []),
             ("one", "ours, one sample", AstraML, "astraml", "one", []),
             ("one rw", "victoria-metrics, remote write, one sample", VictoriaMetrics, "remote-write", "one", []))

    def __init__(self, bench):
        self.bench, self.native_files = bench, []
        part = bench.part
        self.shapes = {"10k": Shape(1, 10000, part(1080), 10000, 8),
                       "10k less": Shape(1, 10000, part(180), 10000, 8),
                       "rrd": Shape(1, 1000, part(360), 1000, 1),
                       "1k": Shape(10, 1000, part(360), 1000, 64),
                       "one": Shape(100, 100, part(12, 4), 1, 64)}

    def over_http(self, kind, mode, shape, more):
        with self.bench.fresh(kind) as server:
            samples, known = shape.samples(), shape.warm_up()
            options = shape.options() + more
            if mode == "files":  # the warm-up's samples are in the export too, so they count
                samples, known = samples + known, 0
                options = ["--path", "/api/v1/import/native", "--connections", 8] + self.native_files
            result = self.bench.cost(server, samples,
                                     lambda ready: self.bench.load(server, mode, options, ready))
            must_hold(server, server.samples_held(shape), samples + known)
            if kind in (AstraMLSealing, AstraMLBuckets):
                kept = samples + known if kind is AstraMLSealing else 0
                must_hold(server, server.metrics()["astraml_raw_samples"], kept)
            if mode == "remote-write" and kind is VictoriaMetrics and not self.native_files:
                self.native_files = server.export_native(self.bench.scratch, 8)
        return result

    def over_rrdcached(self, shape):
        """The text is made before the clock; a batch is a step of all files."""
        with self.bench.fresh(Rrdcached) as server:
            server.create(shape.series, shape.start, shape.step_s)
            batches = []
            for step in range(1, shape.steps + 1):
                at = shape.start + step * shape.step_s
                lines = "".join(f"UPDATE {i}.rrd {at}:{0.5 + (i * 7919 + step * 104729) % 1000003 / 1e6:.9g}\n"
                                for i in range(shape.series))
                batches.append(("BATCH\n" + lines + ".\n").encode())

            def send(ready):
                ready()
                start = time.monotonic()
                for batch in batches:
                    server.connection.sendall(batch)
                    server.answers.readline()  # 0 Go ahead
                    if (said := server.answers.readline()) != "0 errors\n":
                        raise RuntimeError(f"rrdcached: {said} {server.answers.readline()}")
                return {"wall_s": time.monotonic() - start}

            result = self.bench.cost(server, shape.samples(), send)
            must_hold(server, server.samples_held(shape), shape.samples())
        return result

    def round(self):
        results = {}
        for key, _, kind, mode, shape, more in self.cases:
            if kind.program:
                results[key] = (self.over_rrdcached(self.shapes[shape]) if kind is Rrdcached else
                                self.over_http(kind, mode, self.shapes[shape], more))
        return results

    def goals(self, rounds):
        def beside(what, ours, theirs, limit):
            return at_least(what, figures(rounds, ours, speed), figures(rounds, theirs, speed), limit)

        return [beside("batches of 10,000, float32: M samples/CPU-s; victoria-metrics' remote write",
                       "10k f32", "10k rw", 20),
                beside("the same, full doubles (its side: float32 values)", "10k f64", "10k rw", 20),
                beside("batches of 10,000, float32; its native import", "10k f32", "10k native", 5),
                beside("the same, full doubles", "10k f64", "10k native", 5),
                beside("batches of 10,000, float32; its Influx lines", "10k f32", "10k influx", None),
                beside("batches of 10,000, float32; prometheus' remote write", "10k f32", "10k prom", None),
                beside("batches of 1,000, 64 connections; victoria-metrics' remote write", "1k", "1k rw", 10),
                beside("batches of 1,000; rrdcached", "1k", "rrd", None),
                beside("one sample a request, 64 connections; victoria-metrics' remote write", "one", "one rw", 1),
                within("bytes to the device a sample, batches of 10,000, float32", rounds, "10k f32",
                       lambda r: r["disk"], 12, "B", "10k rw"),
                within("the same, full doubles", rounds, "10k f64", lambda r: r["disk"], 12, "B", "10k rw")]

    def details(self, rounds):
        rows = [detail_row(what, kind.durable, [r[key] for r in rounds])
                for key, what, kind, *_ in self.cases if key in rounds[0]]
        return table(DETAILS, rows) + [""] + [f"- {name}: {shape}" for name, shape in self.shapes.items()]

    def charts(self, rounds):
        return [charts.bars("ingest", "Ingest: million samples for each second of the server's CPU", "",
                            [(what, figures(rounds, key, speed)) for key, what, *_ in self.cases if key in rounds[0]],
                            logarithmic=True)]


class SeriesCount:
    name = "series"
    about = ("The same number of samples in batches of 1,000 over 64 connections, one each 10 s, spread over more "
             "and more series, all known before the clock. Durable: ours yes, victoria-metrics no.")
    counts = (1000, 10000, 100000, 1000000)
    theirs = (1000, 100000)  # its registration of a million takes longer than all the rest

    def __init__(self, bench):
        self.bench = bench

    def once(self, kind, count):
        runs = max(1, count // 100000)
        shape = Shape(runs, count // runs, max(3, self.bench.part(6000000) // count), 1000, 64)
        with self.bench.fresh(kind) as server:
            mode = "astraml" if kind is AstraML else "remote-write"
            result = self.bench.cost(server, shape.samples(),
                                     lambda ready: self.bench.load(server, mode, shape.options(), ready))
            must_hold(server, server.samples_held(shape), shape.samples() + shape.warm_up())
        return result

    def round(self):
        results = {f"ours {n}": self.once(AstraML, n) for n in self.counts}
        if VictoriaMetrics.program:
            results |= {f"its {n}": self.once(VictoriaMetrics, n) for n in self.theirs}
        return results

    def goals(self, rounds):
        def dearest(run):
            costs = [r["cpu_s"] / r["samples"] for key, r in run.items() if key.startswith("ours")]
            return max(costs) / min(costs)

        return [within("ingest from 10^3 to 10^6 series: dearest over cheapest CPU a sample", rounds, None, dearest,
                       2, "x")]

    def details(self, rounds):
        rows = []
        for n in self.counts:
            rows.append(detail_row(f"ours, {n:,} series", AstraML.durable, [r[f"ours {n}"] for r in rounds]))
            if f"its {n}" in rounds[0]:
                rows.append(detail_row(f"victoria-metrics, {n:,} series", VictoriaMetrics.durable,
                                       [r[f"its {n}"] for r in rounds]))
        return table(DETAILS, rows)

    def charts(self, rounds):
        def points(whose):
            return [(n, figures(rounds, f"{whose} {n}", speed)) for n in self.counts if f"{whose} {n}" in rounds[0]]

        return [charts.curves("series", "Ingest against the number of series", "series", "M samples / CPU-s",
                              [("ours", points("ours")), ("victoria-metrics, remote write", points("its"))])]


class Acknowledgement:
    name = "ack"
    about = (f"Open loop, {RATE} requests a second of 100 samples; a request's time counts from when it was due. Then "
             "the disk alone: as many bytes, as often, appended to a file in the same directory and synced.")

    def __init__(self, bench):
        self.bench = bench
        self.shape = Shape(10, 100, bench.part(160, 2), 100, 16, step_s=1)

    def round(self):
        shape, requests = self.shape, self.shape.samples() // self.shape.batch
        options = shape.options() + ["--rate", RATE]
        with self.bench.fresh(AstraML) as server:
            result = self.bench.cost(server, shape.samples(),
                                     lambda ready: self.bench.load(server, "astraml", options, ready))
            must_hold(server, server.samples_held(shape), shape.samples() + shape.warm_up())
            sync = self.bench.loader("sync", ["--dir", server.directory, "--bytes", result["bytes"] // requests,
                                              "--rate", RATE, "--count", requests])
        return {"ack": result, "sync": sync}

    def goals(self, rounds):
        def p99(run):
            return run["p99_ms"]

        return [at_most(f"acknowledgement p99 at {RATE} requests/s, ms; fdatasync p99", figures(rounds, "ack", p99),
                        figures(rounds, "sync", p99), 4)]

    def details(self, rounds):
        return table(DETAILS, [detail_row(f"ours, 100 samples, {RATE} requests/s", AstraML.durable,
                                          [r["ack"] for r in rounds])])

    def charts(self, _):
        return []
