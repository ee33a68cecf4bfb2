"""The servers under measurement, and the system's counters about them."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_MAX_S = 90.0


def talk(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def exposed(lines):
    """{name with labels: value} of Prometheus text."""
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


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
    """A process on a scratch directory.  Subclasses say how it starts and how it is asked.

    program: found at run time, None where it is not; durable: what an answer of it means."""

    durable = False

    def __init__(self, command, directory, stdout=None):
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

    def memory(self, field):
        """Bytes of a field of /proc/PID/status: VmHWM, RssAnon."""
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field + ":"))

    def wait_until_stored(self):
        """For servers that put work off beyond a pause."""

    def settle(self, quiet_s=2.0):
        """Waits until the work that followed the answers is done: until no CPU (at most one tick) was
        used for so long.  False when it never is."""
        end = time.monotonic() + SETTLE_MAX_S
        self.wait_until_stored()
        cpu, since = self.cpu_s(), time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.1)
            now = self.cpu_s()
            if now - cpu > 1.5 / TICKS:
                cpu, since = now, time.monotonic()
            elif time.monotonic() - since >= quiet_s:
                return True
        return False

    def request(self, path, body=None, content_type=None, method=None, **query):
        url = self.url + path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        headers = {"Content-Type": content_type} if content_type else {}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        request = urllib.request.Request(url, body, headers, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120)

    def ask(self, path, **query):
        with self.request(path, **query) as answer:
            return answer.read()

    def metrics(self):
        return exposed(self.ask("/metrics").decode().splitlines())

    def wait_until_up(self, path):
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}, see {self.errors.name}")
            try:
                return self.ask(path)
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the server does not answer, see {self.errors.name}")

    def end(self, with_signal=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class AstraML(Server):
    name, durable = "AstraML", True
    program = "astraml"  # bench.py makes it the one that was built

    def __init__(self, directory, *options):
        """Flushes every 2 s, not 30: all buckets shall be in blocks when the CPU is read."""
        options = options or ("--flush-every", "2s")
        super().__init__([self.program, "serve", "--data", directory, "--listen", "127.0.0.1:0", *options], directory,
                         subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready on "):
            raise RuntimeError(f"astraml did not say that it is ready, see {self.errors.name}")
        self.url = line.split()[2]
        with open(directory + "/owner.token") as f:
            self.token = f.read().strip()

    def end(self, *with_signal):
        super().end(*with_signal)
        self.process.stdout.close()

    def wait_until_stored(self):
        """All windows have ended when they are sent, so a flush is due for every bucket."""
        end = time.monotonic() + SETTLE_MAX_S
        while self.metrics()["astraml_open_buckets"] and time.monotonic() < end:
            time.sleep(0.2)

    def parts_bytes(self, tier="", kind=""):
        """Of all sealed parts, or of those of one tier (recorded, 5m, ...) or kind (metrics, raw, logs)."""
        return sum(entry.stat().st_size for entry in os.scandir(self.directory + "/parts")
                   if (not tier or f"-{tier}-" in entry.name) and entry.name.startswith(kind))

    @classmethod
    def seal(cls, directory):
        """Seals all that is over in a directory that nobody serves; returns the buckets, those of coarser
        tiers too, the wall time and the CPU that took."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([cls.program, "compact", "--data", directory, "--json"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"buckets": json.loads(done.stdout)["buckets"], "wall_s": time.monotonic() - start,
                "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}

    def samples_of(self, run):
        """What a reader finds: the sum of the counts of all series of a run."""
        metrics = json.loads(self.ask(f"/v2/projects/default/runs/{run}/metrics"))["metrics"]
        return sum(m["count"] + m["nan"] + m["pos_inf"] + m["neg_inf"] for m in metrics)

    def samples_held(self, shape):
        return sum(self.samples_of(f"bench-{run:04d}") for run in range(shape.runs))


class AstraMLSealing(AstraML):
    """Seals samples one by one 1 s after they were flushed, not 10 minutes, so that it is over when the CPU is read.
    Hours are left alone."""

    def __init__(self, directory):
        super().__init__(directory, "--flush-every", "2s", "--raw-wait", "1s", "--compact-every", "1s", "--settle",
                         "90000000m")

    def wait_until_stored(self):
        super().wait_until_stored()
        end = time.monotonic() + SETTLE_MAX_S
        while self.metrics()["astraml_raw_batches"] and time.monotonic() < end:
            time.sleep(0.2)


class AstraMLBuckets(AstraMLSealing):
    """The same of a project that keeps buckets alone."""

    def __init__(self, directory):
        super().__init__(directory)
        self.request("/v2/projects/default/policy", b'{"raw_keep":"0s"}', "application/json", "PUT").close()


class VictoriaMetrics(Server):
    name, package, token = "victoria-metrics", "victoria-metrics", None
    program = shutil.which("victoria-metrics")

    def __init__(self, directory, *options):
        port = free_port()
        super().__init__([self.program, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory}",
                          "-retentionPeriod=1y", *options], directory)
        self.url = f"http://127.0.0.1:{port}"
        self.wait_until_up("/health")

    def samples_held(self, _):
        """Rows of its storage; it does not sync, and shows what it has merged so far."""
        self.ask("/internal/force_flush")
        return int(sum(v for name, v in self.metrics().items() if name.startswith('vm_rows{type="storage/')))

    def merge(self):
        """Its forced merge: every month one part."""
        self.ask("/internal/force_flush")
        self.ask("/internal/force_merge")
        end = time.monotonic() + SETTLE_MAX_S
        while self.metrics().get("vm_active_force_merges") and time.monotonic() < end:
            time.sleep(0.1)
        self.ask("/internal/force_flush")

    def kept(self, kind):
        """Bytes of its files: of "storage", the samples, or of "indexdb"."""
        return sum(v for name, v in self.metrics().items() if name.startswith(f'vm_data_size_bytes{{type="{kind}'))

    def export_native(self, directory, parts):
        """All samples in its own block format, one file for each rank; returns the files."""
        files = []
        for rank in range(parts):
            files.append(f"{directory}/native-{rank}")
            with self.request("/api/v1/export/native", **{"match[]": f'{{rank="{rank}"}}'}) as answer:
                with open(files[-1], "wb") as out:
                    shutil.copyfileobj(answer, out, 1 << 20)
        return files


class Prometheus(Server):
    """Its requests may overtake each other on their connections, so it is told to take late samples."""

    name, package, token = "prometheus", "prometheus", None
    program = shutil.which("prometheus")

    def __init__(self, directory):
        os.makedirs(directory)
        config = directory + "/prometheus.yml"
        with open(config, "w") as f:
            f.write("storage: {tsdb: {out_of_order_time_window: 1h}}\n")
        port = free_port()
        super().__init__([self.program, f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
                          f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"], directory)
        self.url = f"http://127.0.0.1:{port}"
        self.wait_until_up("/-/ready")

    def samples_held(self, _):
        """Metric by metric: count_over_time drops the name, and may not leave equal series."""
        names = json.loads(self.ask("/api/v1/label/__name__/values"))["data"]
        counts = (json.loads(self.ask("/api/v1/query", query=f"sum(count_over_time({name}[1d]))")) for name in names)
        return sum(int(c["data"]["result"][0]["value"][1]) for c in counts)


class Rrdcached(Server):
    """rrdcached over files made by rrdtool: a file a series, 30 s rows of average, min, max, last."""

    name, package = "rrdcached", "rrdcached"
    program = shutil.which("rrdcached") and shutil.which("rrdtool") and shutil.which("rrdcached")

    def __init__(self, directory):
        os.makedirs(directory + "/journal")
        self.socket = f"{directory}/sock"
        super().__init__([self.program, "-g", "-l", "unix:" + self.socket, "-b", directory, "-j",
                          directory + "/journal", "-w", "5"], directory)
        for _ in range(100):
            if os.path.exists(self.socket):
                break
            time.sleep(0.05)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(self.socket)
        self.answers = self.connection.makefile("r")

    def rrdtool(self, commands):
        """Runs commands in one process; returns what it said, one text each."""
        done = subprocess.run(["rrdtool", "-"], input="".join(c + "\n" for c in commands), capture_output=True,
                              text=True, cwd=self.directory, check=True)
        if "ERROR" in done.stdout:
            raise RuntimeError(f"rrdtool: {done.stdout[:300]}")
        return re.split("^OK u:.*\n", done.stdout, flags=re.M)[:-1]

    def create(self, series, start, step):
        rows = " ".join(f"RRA:{kind}:0.5:{30 // step}:2880" for kind in ("AVERAGE", "MIN", "MAX", "LAST"))
        self.rrdtool(f"create {i}.rrd --start {start} --step {step} DS:value:GAUGE:{3 * step}:U:U {rows}"
                     for i in range(series))

    def tell(self, text):
        """Sends commands; returns the lines of the last one's answer."""
        self.connection.sendall(text)
        count, _, _ = self.answers.readline().partition(" ")
        return [self.answers.readline() for _ in range(int(count))]

    def wait_until_stored(self):
        if self.tell(b"FLUSHALL\n"):
            raise RuntimeError("rrdcached did not take FLUSHALL")
        while True:
            state = dict(line.split(": ") for line in self.tell(b"STATS\n"))
            if int(state["QueueLength"]) == 0 and int(state["UpdatesReceived"]) <= int(state["DataSetsWritten"]):
                return
            time.sleep(0.2)

    def samples_held(self, shape):
        """Rows of 30 s that a reader finds in each file, times the samples that each stands for."""
        answers = self.rrdtool(f"fetch {i}.rrd LAST -r 30 -s {shape.start} -e {shape.end - 30}"
                               for i in range(shape.series))
        rows = sum(1 for a in answers for line in a.splitlines() if line[:1].isdigit() and "nan" not in line)
        return rows * 30 // shape.step_s

    def end(self, *with_signal):
        self.connection.close()
        super().end(*with_signal)
