"""Samples one by one: what a sealed one takes of the disk, and sealing of CPU."""

import time

from curves import Curves
from report import at_most, figures, spread, table
from servers import SETTLE_MAX_S, AstraML, VictoriaMetrics
from workbench import must_hold


class Raw(Curves):
    name = "raw"
    about = ("The curves of *curves*, each sample by itself with its time, step (its number in the series) and value; "
             "victoria-metrics has no steps, and gets time and value. *Kept* is what the raw parts hold, names and "
             "index included, or its data and index files. *Sealing* is the CPU of the server from when it has settled "
             "until all samples are in raw parts, which it does in a thread of low priority, some minutes later.")

    @staticmethod
    def steps(first, n):
        """One more at each sample; differences."""
        return [first] + [1] * (n - 1)

    def sealed(self, directory, samples):
        """A server on what was flushed, that seals at once."""
        with AstraML(directory, "--raw-wait", "1ms", "--compact-every", "50ms", "--settle", "90000000m") as server:
            end = time.monotonic() + SETTLE_MAX_S
            while server.metrics()["astraml_raw_samples"] < samples and time.monotonic() < end:
                time.sleep(0.1)
            metrics = server.metrics()
            must_hold(server, metrics["astraml_raw_samples"], samples)
            return {"kept": metrics["astraml_raw_part_bytes"] / samples, "seal_s": server.cpu_s()}

    def once(self, kind, key, *options):
        if kind is AstraML:
            options = ("--flush-every", "2s", "--compact-every", "60m")
        result = super().once(kind, key, *options)
        if kind is AstraML:
            result |= self.sealed(f"{self.bench.scratch}/{kind.name}", result["samples"])
        return result

    def goals(self, rounds):
        def kept(key):
            return figures(rounds, key, lambda r: r["kept"])

        return [at_most(f"real samples {key}: bytes kept a sample; victoria-metrics", kept(key), kept("its " + key), 0.6)
                for key, _ in self.cases]

    def details(self, rounds):
        rows = []
        for key, _ in self.cases:
            for prefix, whose in (("", "ours"), ("its ", "victoria-metrics")):
                runs = [r[prefix + key] for r in rounds if prefix + key in r]
                if runs:
                    seal = spread([r["seal_s"] / r["samples"] * 1e6 for r in runs]) if "seal_s" in runs[0] else "-"
                    rows.append([f"{whose}, {key}", spread([r["kept"] for r in runs], ".2f"),
                                 spread([r["cpu_s"] / r["samples"] * 1e6 for r in runs]), seal])
        return table(["run", "kept B/sample", "CPU s a M samples", "sealing, CPU s a M samples"], rows)
