"""Sealing beside other work: acknowledgements and memory meanwhile; and opening what was sealed."""

import os
import shutil
import time

from report import at_most, figures, spread, table, within
from sealedread import DAY, send_ours
from servers import AstraML
from workbench import Peak, Shape, must_hold

RATE = 200  # requests a second
NEVER = ("--settle", "1000000m")  # nothing is over before that


class Sealing:
    name = "sealing"
    about = ("*Acknowledgements*: open loop as in *ack*, while the server that was just started seals millions of "
             "buckets of the last days, in a thread of low priority; and while the same directory has nothing due. "
             "*Memory*: the greatest RssAnon, 20 looks a second, of a server that seals full doubles of the last days, "
             "most incompressible, while one connection asks for a day of every eighth series again and again; the first round "
             "only. *Opening*: 1,000 parts, of a day each, and a million series in ten runs; from starting the program "
             "to its `ready on`, page cache warm.")
    memory_mb = (64, 256)  # of parts

    def __init__(self, bench):
        self.bench = bench
        self.today = int(time.time()) // DAY * DAY
        self.acks = Shape(10, 100, bench.part(120, 2), 100, 16, step_s=1)
        self.waiting = self.days_of(1000, bench.part(6, 6))
        self.parts, self.series = bench.part(1000), bench.part(1000000)
        self.memory_known = None

    def days_of(self, series, days):
        """A sample each 30 s of the days before today."""
        shape = Shape(1, series, days * 2880, 10000, 8, step_s=30)
        shape.start = self.today - days * DAY
        return shape

    def kept(self):
        return self.bench.scratch + "/unsealed"

    def fill(self, shape, *options):
        """A directory whose buckets are all in blocks and none in parts."""
        shutil.rmtree(self.kept(), ignore_errors=True)
        with self.bench.fresh(AstraML, "--flush-every", "2s", *NEVER) as server:
            self.bench.load(server, "astraml", [*shape.options(), *options])
            server.settle()
        shutil.move(server.directory, self.kept())

    def copy(self):
        directory = f"{self.bench.scratch}/{AstraML.name}"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.kept(), directory)
        return directory

    # ---- acknowledgements ----

    def acknowledged(self, *options):
        with AstraML(self.copy(), "--compact-every", "1s", *options) as server:
            report = self.bench.load(server, "astraml", [*self.acks.options(), "--rate", RATE])
            report["parts"] = server.parts_bytes(kind="metrics")
            must_hold(server, server.samples_held(self.acks), self.acks.samples() + self.acks.warm_up() +
                      self.waiting.samples() + self.waiting.warm_up())
        return report

    # ---- memory ----

    def remembered(self, mb):
        """Full doubles take about 7 bytes; 1,000 series of them, of which some are asked for."""
        days = max(1, mb * 10**6 // (7 * 1000 * 2880))
        self.fill(self.days_of(1000, days), "--f64")
        day = f"start={(self.today - DAY) * 1000}&end={self.today * 1000}"
        path = f"/v2/projects/default/query?run=bench-0000&label.rank=0&every=300s&agg=mean&{day}"
        with AstraML(self.copy(), "--compact-every", "1s") as server, Peak(server) as peak:
            answers, begun = 0, time.monotonic()
            while sum("-recorded-" in name for name in os.listdir(server.directory + "/parts")) < days:
                self.bench.load(server, "get", ["--path", path, "--connections", 1, "--count", 3])
                answers += 3
            return {"mb": server.parts_bytes() / 1e6, "greatest": peak.greatest, "answers": answers,
                    "seconds": time.monotonic() - begun}

    # ---- opening ----

    def opened(self):
        with self.bench.fresh(AstraML, "--flush-every", "2s", *NEVER) as server:
            server.request("/v2/projects/default/runs", b'{"id":"long"}', "application/json").close()
            values = list(range(self.parts))
            send_ours(server, "long", "metric", 0, self.today - self.parts * DAY, DAY, values)
            shape = Shape(10, self.series // 10, 1, 10000, 8)
            self.bench.load(server, "astraml", shape.options())
            server.settle()
        AstraML.seal(server.directory)
        start = time.monotonic()
        with AstraML(server.directory, *NEVER) as server:
            result = {"ready_s": time.monotonic() - start, "cpu_s": server.cpu_s()}
            result["mib"] = server.memory("RssAnon") / 2**20
            must_hold(server, server.samples_held(shape), shape.samples() + shape.warm_up())
            must_hold(server, server.samples_of("long"), self.parts)
        return result

    def round(self):
        self.fill(self.waiting)
        results = {"sealing": self.acknowledged(), "calm": self.acknowledged(*NEVER)}
        if not results["sealing"]["parts"] or results["calm"]["parts"]:
            raise RuntimeError("nothing was sealed, or something was that is not over")
        results["opened"] = self.opened()
        if not self.memory_known:
            self.memory_known = [self.remembered(self.bench.part(mb)) for mb in self.memory_mb]
        return results | {"memory": self.memory_known}

    # ---- telling ----

    def goals(self, rounds):
        return [at_most("acknowledgement p99 while sealing, ms; without", *(figures(rounds, key, lambda r: r["p99_ms"])
                                                                              for key in ("sealing", "calm")), 1.5),
                within("open 1,000 parts and a million series, until ready", rounds, "opened", lambda r: r["ready_s"],
                       1, "s"),
                within("greatest anonymous memory while sealing and answering, 0.25 GB of parts", rounds, "memory",
                       lambda r: r[-1]["greatest"] / 2**20, 256, "MiB")]

    def details(self, rounds):
        acks = [[what, *(spread(figures(rounds, key, lambda r, f=field: r[f]), ".2f")
                         for field in ("p50_ms", "p99_ms", "max_ms"))]
                for key, what in (("calm", "nothing to seal"), ("sealing", "while sealing"))]
        memory = [[f"{m['mb']:.0f}", f"{m['greatest'] / 2**20:.0f}", str(m["answers"]), f"{m['seconds']:.0f}"]
                  for m in self.memory_known]
        opened = [r["opened"] for r in rounds]
        return (table(["acknowledgement", "p50, ms", "p99, ms", "max, ms"], acks) + [""] +
                table(["MB of parts", "greatest RssAnon, MiB", "answers meanwhile", "seconds"], memory) + [""] +
                table(["opening: ready, s", "CPU until then, s", "RssAnon then, MiB"],
                      [[spread([r[f] for r in opened], ".2f") for f in ("ready_s", "cpu_s", "mib")]]))

    def charts(self, _):
        return []
