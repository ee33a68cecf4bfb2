#!/usr/bin/env python3
"""The figures of ingest, beside victoria-metrics in the same run: make bench.

Each round measures every scenario once, ours and theirs in turn, each server fresh on a scratch
directory of one file system.  CPU is the server's user and system time from /proc, from the moment
the loader is ready to when the server has settled after its last answer, so that work put off until
after the answer counts.  The table goes to stdout and into RESULTS.md; progress to stderr.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time

import report
from servers import AstraML, Disk, VictoriaMetrics, talk

STEP_S = 10
RATE = 200  # acknowledgements, requests a second


class Shape:
    """Which samples, in which requests, over how many connections."""

    def __init__(self, runs, series, steps, batch, connections, step_s=STEP_S):
        self.runs, self.series, self.steps, self.batch = runs, series, steps, batch
        self.connections, self.step_s = connections, step_s

    def samples(self):
        return self.runs * self.series * self.steps

    def options(self):
        start = int(time.time()) - 60 - self.steps * self.step_s
        return ["--runs", self.runs, "--series", self.series, "--steps", self.steps, "--batch", self.batch,
                "--connections", self.connections, "--step", self.step_s, "--start", start - start % 30]


def shapes(quick):
    part = 10 if quick else 1
    return {"10k": Shape(1, 10000, 2160 // part, 10000, 8),
            "1k": Shape(10, 1000, 540 // part, 1000, 64),
            "one": Shape(100, 100, 12 // min(part, 4), 1, 64),
            "ack": Shape(10, 100, 160 // min(part, 2), 100, 16, step_s=1)}


class Bench:
    def __init__(self, options):
        self.build = options.build
        self.scratch = os.path.abspath(options.dir or options.build + "/bench")
        self.program = shutil.which("victoria-metrics") or "/usr/bin/victoria-metrics"
        self.shapes = shapes(options.quick)
        self.native_files = []
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)
        self.disk = Disk(self.scratch)

    def load(self, mode, options, between):
        """Runs the loader; calls between when it is ready; returns its report."""
        command = [self.build + "/loadgen", mode] + [str(o) for o in options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loader:
            if loader.stdout.readline() != "ready\n":
                raise RuntimeError(f"the loader was not ready: {' '.join(command)}")
            between()
            out, _ = loader.communicate("\n")
        if loader.returncode:
            raise RuntimeError(f"the loader ended with {loader.returncode}: {' '.join(command)}")
        return json.loads(out.splitlines()[-1])

    def fresh(self, kind):
        directory = f"{self.scratch}/{kind.name}"
        shutil.rmtree(directory, ignore_errors=True)
        return kind(self.build + "/astraml" if kind is AstraML else self.program, directory)

    def measure(self, kind, mode, samples, options, runs, warm_up, after=None):
        """One run against one fresh server; what it cost."""
        with self.fresh(kind) as server:
            before = {}

            def read_counters():
                settled = server.settle()
                before.update(cpu=server.cpu_s(), io=server.io_written(), disk=self.disk.written(),
                              settled=settled)

            result = self.load(mode, ["--url", server.url] + (["--token", server.token] if server.token else [])
                               + options, read_counters)
            result["settled"] = server.settle() and before["settled"]
            result["cpu_s"] = server.cpu_s() - before["cpu"]
            disk = self.disk.written()
            result["disk"] = None if disk is None else (disk - before["disk"]) / samples
            result["io"] = (server.io_written() - before["io"]) / samples
            result["rss_mib"] = server.peak_rss_mib()
            result["samples"] = samples
            held = server.samples_held(runs)
            if result["errors"] or held != samples + warm_up:
                raise RuntimeError(f"{kind.name} {mode}: {result['errors']} errors, holds {held} samples of "
                                   f"{samples} and {warm_up} of the warm-up")
            if after:
                after(server)
        shutil.rmtree(server.directory)
        talk(f"    {kind.name:16} {mode:12} {samples / result['cpu_s'] / 1e6:8.3f} M samples/cpu-s  "
             f"wall {result['wall_s']:.2f} s  p99 {result['p99_ms']:.2f} ms"
             f"{'' if result['settled'] else '  (did not settle)'}")
        return result

    def ours(self, name, *more):
        shape = self.shapes[name]
        return self.measure(AstraML, "astraml", shape.samples(), shape.options() + list(more), shape.runs,
                            shape.runs * shape.series)

    def remote_write(self, name, after=None):
        shape = self.shapes[name]
        return self.measure(VictoriaMetrics, "remote-write", shape.samples(), shape.options(), shape.runs,
                            shape.runs * shape.series, after)

    def keep_native(self, server):
        if not self.native_files:
            self.native_files = server.export_native(self.scratch, 8)

    def native(self):
        """The warm-up's samples are in the export too, so they count."""
        shape = self.shapes["10k"]
        samples = shape.samples() + shape.runs * shape.series
        return self.measure(VictoriaMetrics, "files", samples,
                            ["--path", "/api/v1/import/native", "--connections", 8] + self.native_files,
                            shape.runs, 0)

    def acknowledgement(self):
        """Open loop, then the disk alone: as many bytes, as often, in the server's directory."""
        shape, sync = self.shapes["ack"], {}
        bytes_each = shape.batch * 5 + 50
        requests = shape.samples() // shape.batch

        def sync_alone(server):
            sync.update(self.load("sync", ["--dir", server.directory, "--bytes", bytes_each, "--rate", RATE,
                                           "--count", requests], lambda: None))

        result = self.measure(AstraML, "astraml", shape.samples(), shape.options() + ["--rate", RATE], shape.runs,
                              shape.runs * shape.series, sync_alone)
        talk(f"    fdatasync of {bytes_each} bytes: p99 {sync['p99_ms']:.2f} ms; "
             f"a request had {result['bytes'] // requests}")
        return {**result, "sync": sync}

    def round(self):
        return {"10k f32": self.ours("10k"), "10k rw": self.remote_write("10k", self.keep_native),
                "10k f64": self.ours("10k", "--f64"), "10k native": self.native(),
                "1k": self.ours("1k"), "1k rw": self.remote_write("1k"),
                "one": self.ours("one"), "one rw": self.remote_write("one"),
                "ack": self.acknowledgement()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build directory (build)")
    parser.add_argument("--dir", help="scratch directory, on the file system to measure (BUILD/bench)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true",
                        help="one round of a tenth of the data: shows that it works, and RESULTS.md stays as it is")
    options = parser.parse_args()
    started = time.monotonic()
    bench = Bench(options)
    rounds = []
    for i in range(1 if options.quick else options.rounds):
        talk(f"round {i + 1} at {time.monotonic() - started:.0f} s")
        rounds.append(bench.round())
        text = report.render(rounds, bench.shapes, bench.build, bench.scratch, time.monotonic() - started)
        if not options.quick:  # after each round, so that one broken off leaves its figures
            report.update(os.path.join(os.path.dirname(os.path.abspath(__file__)), "RESULTS.md"), text)
    print(text)
    shutil.rmtree(bench.scratch)


if __name__ == "__main__":
    sys.exit(main())
