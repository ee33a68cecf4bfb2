"""The servers under measurement, and the system's counters about them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 2.0  # a server has settled when it used no CPU (at most one tick) for so long
SETTLE_MAX_S = 90.0
FLUSH_EVERY = "5s"  # the default is 30s: all buckets shall be in blocks when the CPU is read


def talk(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Disk:
    """Sectors written to the block device that holds a directory, by anyone."""

    def __init__(self, directory):
        device = os.stat(directory).st_dev
        self.numbers = [str(os.major(device)), str(os.minor(device))]

    def written(self):
        os.sync()
        with open("/proc/diskstats") as f:
            for line in f:
                fields = line.split()
                if fields[:2] == self.numbers:
                    return int(fields[9]) * 512
        return None  # no block device of its own: tmpfs, overlay


class Server:
    """A process on a scratch directory.  Subclasses say how it starts and how it is asked."""

    def __init__(self, command, directory, stdout):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.errors = open(directory.rstrip("/") + ".log", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or self.errors,
                                        stderr=self.errors)
        self.pid = self.process.pid

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def io_written(self):
        with open(f"/proc/{self.pid}/io") as f:
            return int(dict(line.split(": ") for line in f)["write_bytes"])

    def peak_rss_mib(self):
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def wait_until_stored(self):
        """For servers that put work off beyond a pause."""

    def settle(self):
        """Waits until the work that followed the answers is done; False when it never is."""
        end = time.monotonic() + SETTLE_MAX_S
        self.wait_until_stored()
        cpu, since = self.cpu_s(), time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.1)
            now = self.cpu_s()
            if now - cpu > 1.5 / TICKS:
                cpu, since = now, time.monotonic()
            elif time.monotonic() - since >= QUIET_S:
                return True
        return False

    def get(self, path, **query):
        url = self.url + path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        request = urllib.request.Request(url, headers=self.headers())
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120)

    def headers(self):
        return {}

    def wait_until_up(self, path):
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}, see {self.errors.name}")
            try:
                return self.get(path).close()
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the server does not answer, see {self.errors.name}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class AstraML(Server):
    name = "astraml"

    def __init__(self, program, directory):
        super().__init__([program, "serve", "--data", directory, "--listen", "127.0.0.1:0",
                          "--flush-every", FLUSH_EVERY], directory, subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready on "):
            raise RuntimeError(f"astraml did not say that it is ready, see {self.errors.name}")
        self.url = line.split()[2]
        with open(directory + "/owner.token") as f:
            self.token = f.read().strip()
        self.wait_until_up("/readyz")

    def headers(self):
        return {"Authorization": "Bearer " + self.token}

    def wait_until_stored(self):
        """All windows have ended when they are sent, so a flush is due for every bucket."""
        end = time.monotonic() + SETTLE_MAX_S
        while time.monotonic() < end:
            with self.get("/metrics") as answer:
                lines = answer.read().decode().splitlines()
            if "astraml_open_buckets 0" in lines:
                return
            time.sleep(0.5)

    def samples_held(self, runs):
        """What a reader finds, run by run: the sum of the counts of all its series."""
        total = 0
        for run in range(runs):
            with self.get(f"/v2/projects/default/runs/bench-{run:04d}/metrics") as answer:
                total += sum(m["count"] for m in json.load(answer)["metrics"])
        return total


class VictoriaMetrics(Server):
    name = "victoria-metrics"

    def __init__(self, program, directory):
        port = free_port()
        super().__init__([program, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory}",
                          "-retentionPeriod=1y"], directory, None)
        self.url, self.token = f"http://127.0.0.1:{port}", None
        self.wait_until_up("/health")

    def samples_held(self, runs):
        """Rows of its storage; it does not sync, and shows what it has merged so far."""
        self.get("/internal/force_flush").close()
        total = 0
        with self.get("/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith('vm_rows{type="storage/'):
                    total += int(float(line.split()[1]))
        return total

    def export_native(self, directory, parts):
        """All samples in its own block format, one file for each rank; returns the files."""
        files = []
        for rank in range(parts):
            files.append(f"{directory}/native-{rank}")
            with self.get("/api/v1/export/native", **{"match[]": f'{{rank="{rank}"}}'}) as answer:
                with open(files[-1], "wb") as out:
                    while piece := answer.read(1 << 20):
                        out.write(piece)
        return files
