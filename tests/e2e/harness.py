"""What the end-to-end tests stand on: a server of their own, a small HTTP client, builders of
ingest messages, the program's verbs, and a runner that prints TAP.

A test module defines functions named test_*, and ends with `harness.main(globals())`.  The program
under test is $ASTRAML_BUILD/astraml (default: build).  Nothing here waits a fixed time: wait_for
polls a condition and fails when its deadline passes.
"""
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("ASTRAML_BUILD", os.path.join(ROOT, "build")))
PROGRAM = os.path.join(BUILD, "astraml")
DEADLINE_S = float(os.environ.get("ASTRAML_TEST_DEADLINE", "60"))

sys.path.insert(0, os.path.join(BUILD, "gen"))
from astraml.v2 import ingest_pb2 as pb  # noqa: E402  (made by `make`)

NS = 1_000_000_000
PROTOBUF = "application/x-protobuf"
NDJSON = "application/x-ndjson"


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def wait_for(condition, what, timeout=None):
    """The first true value of condition()."""
    deadline = time.monotonic() + (timeout or DEADLINE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout or DEADLINE_S:.0f} s for {what}")
        time.sleep(0.005)


def scratch(name="astraml-test-", until=None):
    """A new directory, removed at the end of the test (until=after_all: of the program)."""
    path = tempfile.mkdtemp(prefix=name)
    (after_test if until is None else until).append(lambda: shutil.rmtree(path, ignore_errors=True))
    return path


after_test = []  # called in reverse order after each test
after_all = []  # after the last
servers = set()


def zstd(data, *options):
    """Compressed by the zstd program."""
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


# ---- HTTP ----

def json_integer(text):
    """JSON does not tell integers from doubles, and int() would lose the sign of -0."""
    return -0.0 if text == "-0" else int(text)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body, parse_int=json_integer)

    def error(self):
        return self.json()["error"]

    def __repr__(self):
        return f"Answer({self.status}, {self.body[:300]!r})"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client:
    """One keep-alive connection.  Opened again for the next request when it was closed."""

    def __init__(self, url, token=None, project="default", timeout=None):
        self.url, self.token, self.project = url, token, project
        self.timeout = timeout or DEADLINE_S
        self.connection = None

    def _connect(self):
        if self.url.startswith("unix:"):
            return UnixConnection(self.url[5:], self.timeout)
        parts = urllib.parse.urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.connection is None:
            self.connection = self._connect()
        try:
            self.connection.request(method, path, body=body, headers=headers)
            response = self.connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def path(self, rest):
        return f"/v2/projects/{self.project}{rest}"

    def get(self, rest, **parameters):
        """GET under the project; a list as a value repeats the parameter."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self.request("GET", self.path(rest) + ("?" + query if query else ""))

    def create_run(self, run, **spec):
        body = dict({"id": run, "name": run}, **spec)
        answer = self.request("POST", self.path("/runs"), json.dumps(body), {"Content-Type": "application/json"})
        equal(answer.status, 201, f"creating run {run}: {answer}")
        return answer.json()

    def post_ingest(self, run, body, content_type=PROTOBUF, **headers):
        """The bare answer; header names are given with _ for -."""
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if content_type is not None:
            headers["Content-Type"] = content_type
        return self.request("POST", self.path(f"/runs/{run}/ingest"), body, headers)

    def ingest(self, run, batch, **headers):
        """Sends a Batch that must be accepted; the IngestResponse."""
        answer = self.post_ingest(run, batch.encode(), **headers)
        equal(answer.status, 200, f"ingest into {run}: {answer}")
        return response_of(answer)

    def metrics(self, run):
        answer = self.get(f"/runs/{run}/metrics")
        equal(answer.status, 200, f"metrics of {run}: {answer}")
        return answer.json()["metrics"]

    def logs(self, run, **parameters):
        """Log records of a run as objects; the final {"end": ...} is checked and left out."""
        answer = self.get(f"/runs/{run}/logs", **dict({"limit": 1_000_000}, **parameters))
        equal(answer.status, 200, f"logs of {run}: {answer}")
        lines = [json.loads(line) for line in answer.body.splitlines()]
        check(lines and "end" in lines[-1], "the log answer does not end with {\"end\"}:", lines[-1:])
        return lines[:-1]

    def query(self, run, metric, **parameters):
        answer = self.get("/query", run=run, metric=metric, **parameters)
        equal(answer.status, 200, f"query {metric} of {run}: {answer}")
        return answer.json()


def response_of(answer):
    message = pb.IngestResponse()
    message.ParseFromString(answer.body)
    return message


def parse_url(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


# ---- ingest messages ----

class Batch:
    """An IngestRequest in the making; samples may come in any order and are sent in it."""

    def __init__(self, producer=None, sequence=None):
        self.message = pb.IngestRequest()
        if producer is not None:
            self.message.producer.id = producer
            self.message.producer.sequence = sequence
        self.open_logs = None  # stream and rank of the open LogBatch
        self.last = None  # of the open Samples: [ids, has_step, series, units, step]

    def series(self, metric, labels=None, unit=""):
        s = self.message.series.add(metric=metric, unit=unit)
        for key, value in (labels or {}).items():
            s.labels.add(key=key, value=value)
        return len(self.message.series) - 1

    def sample(self, series, t_ns, value, step=None, ids=False):
        if self.last is None or self.last[:2] != [ids, step is not None]:
            self.message.samples.add(series_are_ids=ids, start_ns=t_ns)
            self.last = [ids, step is not None, 0, t_ns, 0]
        block = self.message.samples[-1]
        block.series.append(series - self.last[2])
        block.times.append(t_ns - self.last[3])
        if step is not None:
            block.steps.append(step - self.last[4])
        block.values.append(value)
        self.last[2:] = [series, t_ns, step or 0]
        return self

    def log(self, text, t_ns=0, level="INFO", stream="stdout", rank=None, attributes=None):
        logs = self.message.logs
        if self.open_logs != (stream, rank):
            self.open_logs = (stream, rank)
            logs.add(stream=stream)
            if rank is not None:
                logs[-1].rank = rank
        record = logs[-1].records.add(text=text if isinstance(text, bytes) else text.encode(), time_ns=t_ns,
                                      level=pb.Level.Value(level))
        for key, value in (attributes or {}).items():
            record.attributes.add(key=key, value=value)
        return self

    def encode(self):
        return self.message.SerializeToString()


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n):
    return varint((n << 1) ^ (n >> 63))


def field(number, wire_type, payload):
    """One protobuf field by hand: payload is an int for type 0, else bytes."""
    tag = varint(number << 3 | wire_type)
    if wire_type == 0:
        return tag + varint(payload)
    if wire_type == 2:
        return tag + varint(len(payload)) + payload
    return tag + payload


# ---- the program ----

def program_environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ASTRAML_")}
    env["HOME"] = env["XDG_CONFIG_HOME"] = "/nonexistent"
    env.update(more)
    return env


def cli(*arguments, stdin=b"", timeout=None, env=None):
    """Runs the program to its end; stdout and stderr are bytes."""
    return subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True,
                          timeout=timeout or DEADLINE_S, env=program_environment(**(env or {})))


class Clock:
    """Another time of day for the programs that get its environment; move(s) puts it ahead."""

    def __init__(self, ahead_s=0):
        self.path = os.path.join(scratch(), "clock")
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        self.ahead_ns = 0
        self.environment = {"LD_PRELOAD": os.path.join(BUILD, "tests/e2e/clock_shift.so"),
                            "ASTRAML_CLOCK_SHIFT": self.path,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.move(ahead_s)

    def move(self, seconds):
        self.ahead_ns += int(seconds * NS)
        with open(self.path, "r+b") as f:
            f.write(self.ahead_ns.to_bytes(8, "little", signed=True))

    def now_ns(self):
        return time.time_ns() + self.ahead_ns


class Server:
    """`astraml serve` on a directory.  As a context manager it must end well: SIGTERM, exit 0.
    until=after_all: it lives on for the tests to come."""

    def __init__(self, data=None, arguments=(), env=None, listen=("127.0.0.1:0",), run_as=(), until=None):
        self.until = after_test if until is None else until
        self.data = data or os.path.join(scratch(until=until), "data")
        self.stderr_path = os.path.join(scratch(until=until), "stderr")
        self.process = None
        self.command = [*run_as, PROGRAM, "serve", "--data", self.data]
        for address in listen:
            self.command += ["--listen", address]
        self.command += map(str, arguments)
        self.environment = program_environment(**(env or {}))
        self.n_listen = len(listen)
        self.start()

    def start(self):
        """Returns when the server has said that it is ready."""
        self.clients = []
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=err, env=self.environment)
        self.until.append(self.kill9)
        servers.add(self)
        self.urls = [self._ready_line() for _ in range(self.n_listen)]
        self.url = self.urls[0]
        with open(os.path.join(self.data, "owner.token")) as f:
            self.token = f.read().strip()
        return self

    def _ready_line(self):
        line = b""
        deadline = time.monotonic() + DEADLINE_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 1) if ready else b""
            if not piece:
                self.kill9()
                raise AssertionError(f"no `ready on URL` but {line!r}; stderr:\n{self.stderr()}")
            line += piece
        check(line.startswith(b"ready on "), "the first line of serve is", line)
        return line[len("ready on "):].decode().strip()

    def stderr(self):
        with open(self.stderr_path, errors="backslashreplace") as f:
            return f.read()[-8000:]

    def client(self, **options):
        c = Client(self.url, self.token, **options)
        self.clients.append(c)
        return c

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def has_died(self):
        """It ended, and nobody here has ended it."""
        return self.process is not None and self.process.poll() is not None

    def _close_clients(self):
        for c in self.clients:
            c.close()
        self.clients = []

    def stop(self):
        """SIGTERM; the server has to drain and exit 0."""
        if self.process is None:
            return
        self._close_clients()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"still running {DEADLINE_S:.0f} s after SIGTERM; stderr:\n{self.stderr()}")
        self.process.stdout.close()
        self.process = None
        check(status == 0, f"exit status {status} after SIGTERM; stderr:\n{self.stderr()}")

    def kill9(self):
        if self.process is None:
            return
        self._close_clients()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        elif self.running():  # one that has died is told of by run_one
            diagnostics(f"the server wrote:\n{self.stderr()}")
            self.kill9()


# ---- running tests ----

def diagnostics(text):
    print("".join(f"#   {line}\n" for line in text.splitlines()), end="", flush=True)


def run_one(test):
    """'' when it passed, '# SKIP why', or the traceback."""
    try:
        test()
        result = ""
    except Skip as why:
        result = f"# SKIP {why}"
    except (Exception, subprocess.TimeoutExpired):
        result = traceback.format_exc()
        for server in [s for s in servers if s.has_died()]:
            result += f"\na server had ended with {server.process.returncode}; it wrote:\n{server.stderr()}"
            servers.remove(server)
    clean_up(after_test)
    return result


def clean_up(calls):
    while calls:
        calls.pop()()


def main(namespace):
    """Runs the module's test_* functions in order; arguments choose some by a part of their name."""
    chosen = sys.argv[1:]
    tests = [(n, f) for n, f in namespace.items()
             if n.startswith("test_") and callable(f) and (not chosen or any(c in n for c in chosen))]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        result = run_one(test)
        if result.startswith("# SKIP"):
            print(f"ok {number} - {name} {result}", flush=True)
        elif not result:
            print(f"ok {number} - {name}", flush=True)
        else:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            diagnostics(result)
    clean_up(after_all)
    sys.exit(1 if failed else 0)
