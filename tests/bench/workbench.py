"""What the scenarios share: the scratch directory, the loader, and one measured run."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

from servers import AstraML, Disk, talk


class Shape:
    """Which samples, in which requests, over how many connections; the last ones a minute old."""

    def __init__(self, runs, series, steps, batch, connections, step_s=10, age_s=60):
        self.runs, self.series, self.steps, self.batch = runs, series, steps, batch
        self.connections, self.step_s = connections, step_s
        start = int(time.time()) - age_s - int(steps * step_s)
        self.start = start - start % 30
        self.end = self.start + int(steps * step_s)

    def samples(self):
        return self.runs * self.series * self.steps

    def warm_up(self):
        return self.runs * self.series

    def options(self):
        return ["--runs", self.runs, "--series", self.series, "--steps", self.steps, "--batch", self.batch,
                "--connections", self.connections, "--step", self.step_s, "--start", self.start]

    def __str__(self):
        return (f"{self.samples():,} samples of {self.runs} x {self.series:,} series, one each {self.step_s} s, in "
                f"requests of {self.batch:,}, {self.connections} connections")


class Peak(threading.Thread):
    """The greatest anonymous memory of a server, looked at 20 times a second."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.greatest = server, threading.Event(), 0

    def run(self):
        while not self.over.wait(0.05):
            self.look()

    def look(self):
        self.greatest = max(self.greatest, self.server.memory("RssAnon"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.look()


class Workbench:
    def __init__(self, build, scratch, quick):
        self.build, self.quick = build, quick
        self.scratch = os.path.abspath((scratch or build) + "/bench")
        AstraML.program = os.path.abspath(build + "/astraml")
        sys.path.insert(0, os.path.abspath(build + "/gen"))  # messages that the build made
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)
        self.disk = Disk(self.scratch)

    def part(self, n, of_quick=10):
        """n, or the part of it that is enough to see that a scenario works."""
        return n // of_quick if self.quick else n

    def loader(self, mode, options, between=lambda: None):
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

    def load(self, server, mode, options, between=lambda: None):
        """The loader against a server; an answer that is an error ends the scenario."""
        to = ["--url", server.url] + (["--token", server.token] if server.token else [])
        report = self.loader(mode, to + options, between)
        if report["errors"]:
            raise RuntimeError(f"{server.name} {mode}: {report['errors']} answers were errors")
        return report

    def fresh(self, kind, *options):
        """A new server on an empty directory, always the same one."""
        directory = f"{self.scratch}/{kind.name}"
        shutil.rmtree(directory, ignore_errors=True)
        return kind(directory, *options)

    def cost(self, server, samples, send):
        """What a server spends from when send calls its argument until it has settled after send."""
        before = {}

        def read_counters():
            settled = server.settle(quiet_s=1.0)
            before.update(cpu=server.cpu_s(), io=server.io_written(), disk=self.disk.written(), settled=settled)

        result = send(read_counters)
        result["settled"] = server.settle() and before["settled"]
        result["cpu_s"] = server.cpu_s() - before["cpu"]
        disk = self.disk.written()
        result["disk"] = None if disk is None else (disk - before["disk"]) / samples
        result["io"] = (server.io_written() - before["io"]) / samples
        result["rss_mib"] = server.memory("VmHWM") / 2**20
        result["samples"] = samples
        talk(f"    {server.name:16} {samples / max(result['cpu_s'], 1e-3) / 1e6:8.3f} M samples/CPU-s, wall "
             f"{result['wall_s']:.2f} s{'' if result['settled'] else ' (did not settle)'}")
        return result

    def process(self, command, **more):
        """Runs a command; returns (what it wrote, its CPU seconds)."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:3])} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def must_hold(server, held, expected):
    """A reader must find every sample afterwards, or there is no figure."""
    if held != expected:
        raise RuntimeError(f"{server.name} holds {held} samples of {expected}")
