"""Sealed buckets: their bytes and what sealing costs, beside victoria-metrics with the same five numbers a window."""

import json
import math

import curves
from report import at_most, figures, spread, table
from servers import AstraML, VictoriaMetrics
from workbench import must_hold

LONG = 100  # samples
FIVE = ("count", "sum", "min", "max", "last")


def windows(points):
    """{start in s: its values in order} of a curve, in windows of 30 s."""
    found = {}
    for at, value in sorted(points, key=lambda point: point[0]):
        found.setdefault(int(at // 30) * 30, []).append(value)
    return found


def five(values):
    return len(values), math.fsum(values), min(values), max(values), values[-1]


def five_series(name, found, **labels):
    """The windows of a curve as JSON lines for victoria-metrics: five series of a value each."""
    starts = [at * 1000 for at in found]
    columns = zip(*map(five, found.values()))
    return "".join(json.dumps({"metric": {"__name__": name, "of": of, **labels}, "values": list(column),
                               "timestamps": starts}) + "\n" for of, column in zip(FIVE, columns)).encode()


class Sealed(curves.Curves):
    name = "sealed"
    about = ("The real curves of *curves*, one run, with a rising step at each sample, as recorded and squeezed; then "
             "everything sealed by `astraml compact`. victoria-metrics gets the same windows as five series each: "
             "count, sum, min, max and last, at the windows' starts, and is measured after its forced merge. Ours: "
             "all bytes of the part files of the first tier, with first, times, steps, the names and the index; its: the files of its "
             "samples alone, of its index of names apart. Ours is bit-exact, its values are rounded. Four of five "
             "series are settings of a run, with one sample: *long* are those of 100 samples and more alone. Sealing "
             "is reading, encoding, writing, reading again and comparing, of coarser tiers too; CPU of the process.")
    cases = (("recorded", "recorded"), ("squeezed", "squeezed"), ("long recorded", "recorded, long"),
             ("long squeezed", "squeezed, long"))

    def __init__(self, bench):
        super().__init__(bench)
        self.copies = 1

    def prepare(self):
        super().prepare()
        for key in ("recorded", "squeezed"):
            self.sets["long " + key] = [c for c in self.sets[key] if len(c[1]) >= LONG]
        self.buckets = {key: sum(len(windows(points)) for _, points in found) for key, found in self.sets.items()}
        self.samples_of = {key: sum(len(points) for _, points in found) for key, found in self.sets.items()}

    @staticmethod
    def steps(first, n):
        """One more at each sample; differences."""
        return [first] + [1] * (n - 1)

    def ours_sealed(self, key):
        with self.bench.fresh(AstraML) as server:
            server.request("/v2/projects/default/runs", b'{"id":"copy-0"}', "application/json").close()
            self.send(server, self.requests(AstraML, key), lambda: None)
            server.settle()
            must_hold(server, server.samples_of("copy-0"), self.samples_of[key])
            server.end()
        result = AstraML.seal(server.directory)
        if result["buckets"] < self.buckets[key]:
            raise RuntimeError(f"{result['buckets']} buckets were sealed, of {self.buckets[key]}")
        result["buckets"] = self.buckets[key]
        recorded = server.parts_bytes("recorded")
        return result | {"kept": recorded / self.buckets[key],
                         "coarser": (server.parts_bytes() - recorded) / self.buckets[key],
                         "a_bucket": self.samples_of[key] / self.buckets[key]}

    def its_merged(self, key):
        with self.bench.fresh(VictoriaMetrics, "-retentionPeriod=100y") as server:
            for name, points in self.sets[key]:
                server.request("/api/v1/import", five_series(name, windows(points), run="copy-0")).close()
            server.settle()
            server.merge()
            must_hold(server, server.samples_held(None), 5 * self.buckets[key])
            return {"kept": server.kept("storage") / self.buckets[key], "names": server.kept("indexdb") /
                    self.buckets[key], "a_bucket": self.samples_of[key] / self.buckets[key]}

    def round(self):
        if not self.sets:
            self.prepare()
        results = {}
        for key, _ in self.cases:
            results[key] = self.ours_sealed(key)
            if VictoriaMetrics.program:
                results["its " + key] = self.its_merged(key)
        return results

    def goals(self, rounds):
        return [at_most(f"real curves {what}, sealed: bytes a bucket; victoria-metrics, five series",
                        *(figures(rounds, which + key, lambda r: r["kept"]) for which in ("", "its ")), 0.5)
                for key, what in self.cases]

    def details(self, rounds):
        def row(key, what):
            runs = [r[key] for r in rounds]
            return [what, f"{runs[0]['a_bucket']:.1f}", spread([r["kept"] for r in runs], ".2f"),
                    spread([r["names"] for r in runs], ".2f") if "names" in runs[0] else "within",
                    spread([r["coarser"] for r in runs], ".2f") if "coarser" in runs[0] else "-",
                    spread([r["buckets"] / r["cpu_s"] / 1e6 for r in runs], ".2f") if "cpu_s" in runs[0] else "-"]

        rows = [row(prefix + key, f"{whose}, {what}") for key, what in self.cases
                for prefix, whose in (("", "ours"), ("its ", "victoria-metrics")) if prefix + key in rounds[0]]
        return table(["run", "samples a window", "bytes a bucket", "names, bytes a bucket",
                      "coarser tiers, bytes a bucket of 30 s", "M buckets of 30 s sealed a CPU-s"], rows)
