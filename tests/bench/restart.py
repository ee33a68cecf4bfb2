"""Restart after a crash with a full journal, until ready."""

import signal
import time

from report import spread, table, within
from servers import AstraML
from workbench import Shape, must_hold

JOURNAL_CAP = 128 << 20


class Restart:
    name = "restart"
    about = ("10,000 series, doubles, one each second, nothing flushed until the journal is all but full (cap 128 "
             "MiB); SIGKILL when the last answer is there; then the time from starting the program to its `ready "
             "on`, and a reader finds every sample. The page cache is warm, as after a crash of the program alone.")

    def __init__(self, bench):
        self.bench = bench
        self.shape = Shape(1, 10000, bench.part(1550), 10000, 8, step_s=1)

    def round(self):
        options = ("--flush-every", "60m", "--memory", "8GiB")
        with self.bench.fresh(AstraML, *options) as server:
            self.bench.load(server, "astraml", self.shape.options() + ["--f64"])
            metrics = server.metrics()
            server.end(signal.SIGKILL)
        if metrics["astraml_flushes_total"]:
            raise RuntimeError("the server flushed meanwhile: its journal is not full")
        start = time.monotonic()
        with AstraML(server.directory, *options) as server:
            result = {"ready_s": time.monotonic() - start, "cpu_s": server.cpu_s(),
                      "journal": metrics["astraml_journal_bytes"], "buckets": metrics["astraml_open_buckets"]}
            must_hold(server, server.samples_held(self.shape), self.shape.samples() + self.shape.warm_up())
        return {"restart": result}

    def goals(self, rounds):
        return [within("restart after SIGKILL, full journal, until ready", rounds, "restart", lambda r: r["ready_s"],
                       1, "s")]

    def details(self, rounds):
        runs = [r["restart"] for r in rounds]
        return table(["journal, MiB", "of its cap", "buckets in memory", "until ready, s", "CPU until then, s"],
                     [[f"{runs[0]['journal'] / 2**20:.1f}", f"{runs[0]['journal'] / JOURNAL_CAP:.0%}",
                       f"{runs[0]['buckets']:,.0f}", spread([r["ready_s"] for r in runs], ".2f"),
                       spread([r["cpu_s"] for r in runs], ".2f")]])

    def charts(self, _):
        return []
