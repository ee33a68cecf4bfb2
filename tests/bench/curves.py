"""Real curves: what their samples and buckets cost on the disk and in CPU."""

import http.client
import json
import math
import time

import realdata
from report import at_most, figures, spread, table
from servers import AstraML, VictoriaMetrics
from workbench import must_hold

BATCH = 10000


class Curves:
    name = "curves"
    about = ("Every series of the real data that has times: machine and service metrics, MLPerf and reinforcement "
             "learning runs, in several copies (runs). *As recorded*: at their own times, most windows have one "
             "sample. *Squeezed*: the same values one second apart, 30 samples a window. Ours gets protobuf "
             "(durable), victoria-metrics JSON lines (not durable), which cost it more CPU than its binary import "
             "would; both in requests of about 10,000 samples, series after series. *Kept* is what the blocks, or "
             "its data and index files, hold at the end.")
    cases = (("recorded", False), ("squeezed", True))

    def __init__(self, bench):
        self.bench = bench
        self.copies = bench.part(8, 8)
        self.sets = {}

    def prepare(self):
        curves = [(name, [p for p in points if math.isfinite(p[1])]) for name, points in realdata.curves()]
        start = (int(time.time()) // 86400 - 1) * 86400  # yesterday
        self.sets = {"recorded": curves, "squeezed": [(n, realdata.squeezed(p, start)) for n, p in curves]}
        self.buckets = {key: len({(i, at // 30) for i, (_, points) in enumerate(curves) for at, _ in points})
                        for key, curves in self.sets.items()}
        self.samples = sum(len(points) for _, points in curves)

    def batches(self, curves):
        """Lists of (name, place of the first point, points), each of about BATCH samples."""
        batch, held = [], 0
        for name, points in curves:
            for i in range(0, len(points), BATCH):
                batch.append((name, i, points[i:i + BATCH]))
                held += len(batch[-1][2])
                if held >= BATCH:
                    yield batch
                    batch, held = [], 0
        if batch:
            yield batch

    @staticmethod
    def steps(_first, _n):
        """Training steps as the message has them; none here."""
        return []

    def ours(self, batch):
        from astraml.v2.ingest_pb2 import IngestRequest  # made by the build

        request = IngestRequest()
        for i, (name, first, points) in enumerate(batch):
            request.series.add(metric=name)
            times = [round(at * 1000) for at, _ in points]
            request.samples.add(series=[i], start_ns=times[0] * 10**6, time_unit_ns=10**6,
                                times=[b - a for a, b in zip([times[0]] + times, times)], values=[v for _, v in points],
                                steps=self.steps(first, len(points)))
        return request.SerializeToString()

    @staticmethod
    def theirs(batch, run):
        return "".join(json.dumps({"metric": {"__name__": name, "run": run}, "values": [v for _, v in points],
                                   "timestamps": [round(at * 1000) for at, _ in points]}) + "\n"
                       for name, _, points in batch).encode()

    def requests(self, kind, key):
        """[(path, body)], all made before the clock."""
        if kind is AstraML:
            bodies = [self.ours(batch) for batch in self.batches(self.sets[key])]
            return [(f"/v2/projects/default/runs/copy-{run}/ingest", body)
                    for run in range(self.copies) for body in bodies]
        return [("/api/v1/import", self.theirs(batch, f"copy-{run}")) for run in range(self.copies)
                for batch in self.batches(self.sets[key])]

    def send(self, server, requests, ready):
        connection = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"))
        headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {server.token}"} \
            if server.token else {}
        ready()
        start = time.monotonic()
        for path, body in requests:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            if answer.status // 100 != 2:
                raise RuntimeError(f"{server.name}: {answer.status} {answer.read()[:300]}")
            answer.read()
        return {"wall_s": time.monotonic() - start}

    def kept(self, server):
        if type(server) is AstraML:
            return server.metrics()["astraml_block_bytes"]
        return sum(v for name, v in server.metrics().items() if name.startswith("vm_data_size_bytes"))

    def once(self, kind, key, *options):
        samples = self.samples * self.copies
        requests = self.requests(kind, key)
        with self.bench.fresh(kind, *options) as server:
            if kind is AstraML:
                for run in range(self.copies):
                    server.request("/v2/projects/default/runs", b'{"id":"copy-%d"}' % run, "application/json").close()
            result = self.bench.cost(server, samples, lambda ready: self.send(server, requests, ready))
            held = sum(server.samples_of(f"copy-{run}") for run in range(self.copies)) if kind is AstraML \
                else server.samples_held(None)
            must_hold(server, held, samples)
            return result | {"kept": self.kept(server) / samples, "a_bucket": self.samples / self.buckets[key]}

    def round(self):
        if not self.sets:
            self.prepare()
        results = {}
        for key, _ in self.cases:
            results[key] = self.once(AstraML, key)
            if VictoriaMetrics.program:
                results["its " + key] = self.once(VictoriaMetrics, key, "-retentionPeriod=100y")
        return results

    def goals(self, rounds):
        def kept(key):
            return figures(rounds, key, lambda r: r["kept"])

        return [at_most(f"real curves {key}: bytes kept a sample; victoria-metrics", kept(key), kept("its " + key),
                        None) for key, _ in self.cases]

    def details(self, rounds):
        def row(key, what):
            runs = [r[key] for r in rounds]
            a_bucket = runs[0]["a_bucket"]
            disk = [r["disk"] for r in runs]
            return [what, f"{a_bucket:.1f}", *(["-"] * 2 if None in disk else
                                               [spread(disk, ".1f"), spread([d * a_bucket for d in disk], ".1f")]),
                    spread([r["kept"] for r in runs], ".2f"), spread([r["kept"] * a_bucket for r in runs], ".2f"),
                    spread([r["cpu_s"] / r["samples"] * 1e6 for r in runs])]

        rows = [row(prefix + key, f"{whose}, {key}") for key, _ in self.cases
                for prefix, whose in (("", "ours"), ("its ", "victoria-metrics")) if prefix + key in rounds[0]]
        return table(["run", "samples a window", "device B/sample", "device B/bucket", "kept B/sample", "kept B/bucket",
                      "CPU s a M samples"], rows)

    def charts(self, _):
        return []
