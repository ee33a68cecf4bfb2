"""The server as a process: who holds a directory, where it cannot write, a full disk, SIGTERM
under load, readers beside it, and restarts."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import harness
import load
from harness import NS, Batch, Skip, check, equal

BASE = (time.time_ns() - 3600 * NS) // (30 * NS) * 30 * NS
SHORT = "ASTRAML_TEST_SHORT" in os.environ


def serve(data, **options):
    """Runs `serve` where it has to fail."""
    return harness.cli("serve", "--data", data, "--listen", "127.0.0.1:0", **options)


def said(result):
    return result.stderr.decode("utf-8", "replace")


def mount(kind, size_mib):
    """A file system of its own for the test."""
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    place = harness.scratch()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "none", place]
    else:
        image = os.path.join(harness.scratch(), "image")
        with open(image, "wb") as f:
            f.truncate(size_mib << 20)
        if subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], capture_output=True).returncode != 0:
            raise Skip("mkfs.ext4 does not run here")
        command = ["mount", "-o", "loop", image, place]
    result = subprocess.run(command, capture_output=True)
    if result.returncode != 0:
        raise Skip(f"cannot mount {kind} here: {result.stderr.decode().strip()}")
    harness.after_test.append(lambda: subprocess.run(["umount", "-l", place], check=True))
    return place


def test_addresses_that_are_none():
    """What cannot be an address is a wrong use; one that somebody else has is trouble."""
    data = os.path.join(harness.scratch(), "data")
    for address in ("foo", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:99999", "unix:", "unix:" + "x" * 200):
        r = harness.cli("serve", "--data", data, "--listen", address)
        check(r.returncode == 2 and ("not HOST:PORT" in said(r) or "unix socket" in said(r)), address, r.returncode, said(r))
    with harness.Server() as server:
        r = harness.cli("serve", "--data", data, "--listen", server.url.removeprefix("http://"))
        check(r.returncode == 5 and "in use" in said(r), r.returncode, said(r))


# ---- the directory ----

def test_two_servers_on_one_directory():
    with harness.Server() as first:
        second = serve(first.data)
        equal(second.returncode, 5, f"exit status; {said(second)}")
        for word in (str(first.pid), first.url, first.data):
            check(word in said(second), f"the second server should say {word}: {said(second)}")
        c = first.client()
        c.create_run("still-here")
        equal(c.get("/runs/still-here").status, 200, "the first one goes on")


def test_the_lock_goes_with_its_holder():
    server = harness.Server()
    server.kill9()
    server.start()
    server.stop()


def test_missing_and_wrong_places():
    place = harness.scratch()
    result = serve(os.path.join(place, "no", "parent", "here"))
    equal(result.returncode, 5, f"exit status; {said(result)}")
    check("no/parent/here" in said(result), said(result))
    a_file = os.path.join(place, "file")
    with open(a_file, "w") as f:
        f.write("not a directory")
    result = serve(a_file)
    equal(result.returncode, 5, f"exit status; {said(result)}")
    check(a_file in said(result), said(result))
    for verb in (["runs"], ["logs", "r"], ["get", "r", "m"], ["verify"], ["stats"]):
        result = harness.cli(*verb, "--data", os.path.join(place, "nothing"))
        check(result.returncode in (3, 5), f"{verb} on a missing directory: {result}")
        check("nothing" in said(result), f"{verb}: {said(result)}")
        check(not os.path.exists(os.path.join(place, "nothing")), f"{verb} has made the directory")


def test_read_only_directory():
    place = mount("tmpfs", 64)
    with harness.Server(os.path.join(place, "data")) as server:
        server.client().create_run("before")
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    result = serve(os.path.join(place, "data"))
    equal(result.returncode, 5, f"exit status; {said(result)}")
    check("data" in said(result) and "read" in said(result).lower(), said(result))
    result = serve(os.path.join(place, "new"))
    equal(result.returncode, 5, f"exit status; {said(result)}")
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    with harness.Server(os.path.join(place, "data")) as server:
        equal(server.client().get("/runs/before").status, 200, "the run of before")


def test_newer_format_is_refused():
    with harness.Server() as server:
        data = server.data
    path = os.path.join(data, "VERSION")
    with open(path) as f:
        text = f.read()
    major = text.split(".")[0]
    with open(path, "w") as f:
        f.write(text.replace(major + ".", str(int(major.split()[-1]) + 1) + ".", 1))
    result = serve(data)
    equal(result.returncode, 5, f"exit status; {said(result)}")
    check("version" in said(result).lower() or "newer" in said(result).lower(), said(result))
    with open(path, "w") as f:
        f.write(text)
    with harness.Server(data):
        pass


# ---- a full disk ----

def fill(client, producer):
    """Pushes until the disk is full; the answer that said so."""
    for _ in range(20_000):
        sequence = producer.take()
        answer = client.post_ingest(producer.run, producer.batch(sequence))
        producer.done(sequence, answer.status == 200, None)
        if answer.status != 200:
            return answer
    raise AssertionError("the disk never became full")


def full_disk(kind):
    place = mount(kind, 48)
    ballast = os.path.join(place, "ballast")
    with open(ballast, "wb") as f:
        f.write(bytes(24 << 20))
    server = harness.Server(os.path.join(place, "data"))
    client = server.client()
    producers = load.producers(1, runs=1, padding=20_000)
    client.create_run("run-0")
    answer = fill(client, producers[0])
    equal((answer.status, answer.error()["code"], answer.error()["retryable"]), (507, "disk_full", True), "a full disk")
    acknowledged = load.acknowledged_of(producers)
    check(len(acknowledged) > 20, "hardly anything fitted")
    load.check_served(client, producers, acknowledged, exactly=True)
    equal(client.request("GET", "/healthz").status, 200, "healthz")
    equal(client.post_ingest("run-0", producers[0].batch(min(producers[0].unsent))).status, 507, "still full")
    server.stop()
    server.start()
    client = server.client()
    load.check_served(client, producers, acknowledged, exactly=True)
    os.unlink(ballast)
    harness.wait_for(lambda: client.post_ingest("run-0", producers[0].batch(min(producers[0].unsent))).status == 200,
                     "acceptance when there is room")
    pushing = load.Load(producers).start(server)
    harness.wait_for(lambda: pushing.acknowledged() > len(acknowledged) + 100 or pushing.wrong, "more batches")
    pushing.stop()
    load.check_served(client, producers, load.acknowledged_of(producers), exactly=True)
    server.stop()


def test_full_disk_tmpfs():
    full_disk("tmpfs")


def test_full_disk_ext4():
    full_disk("ext4")


def test_full_disk_while_running():
    """Room comes back without a restart."""
    place = mount("tmpfs", 48)
    server = harness.Server(os.path.join(place, "data"))
    client = server.client()
    producers = load.producers(1, runs=1, padding=20_000)
    client.create_run("run-0")
    with open(os.path.join(place, "ballast"), "wb") as f:
        f.write(bytes(24 << 20))
    equal(fill(client, producers[0]).status, 507, "a full disk")
    acknowledged = load.acknowledged_of(producers)
    os.unlink(os.path.join(place, "ballast"))
    harness.wait_for(lambda: client.post_ingest("run-0", producers[0].batch(min(producers[0].unsent))).status == 200,
                     "acceptance when there is room")
    present, complaints = load.present_of(load.served_texts(client, producers), producers)
    equal(complaints + load.missing(acknowledged, present), [], "after the disk was full")
    server.stop()


# ---- ends and starts ----

def test_sigterm_under_load():
    for _ in range(2 if SHORT else 4):
        server = harness.Server()
        producers = load.producers(6, runs=2)
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        harness.wait_for(lambda: pushing.acknowledged() > 200 or pushing.wrong, "acknowledgements under load")
        server.stop()  # asserts exit 0
        pushing.stop()
        server.start()
        load.check_served(server.client(), producers, load.acknowledged_of(producers))
        pushing.start(server).drain()
        load.check_served(server.client(), producers, load.acknowledged_of(producers), exactly=True)
        server.stop()


def test_sigterm_with_idle_and_stuck_connections():
    """Neither a connection without a request nor one that never finishes its body holds it up."""
    server = harness.Server()
    server.client().create_run("r")
    host, port = harness.parse_url(server.url)
    stuck = socket.create_connection((host, port))
    stuck.sendall(f"POST /v2/projects/default/runs/r/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                  f"Content-Type: {harness.PROTOBUF}\r\nContent-Length: 1000\r\n\r\nabc".encode())
    idle = socket.create_connection((host, port))
    follower = socket.create_connection((host, port))
    follower.sendall(f"GET /v2/projects/default/runs/r/logs?follow=true HTTP/1.1\r\nHost: x\r\n"
                     f"Authorization: Bearer {server.token}\r\n\r\n".encode())
    check(follower.recv(100).startswith(b"HTTP/1.1 200"), "follow")
    start = time.monotonic()
    server.stop()
    check(time.monotonic() - start < 30, f"SIGTERM took {time.monotonic() - start:.0f} s")
    for s in (stuck, idle, follower):
        s.close()


def test_sigint_ends_it_too():
    server = harness.Server()
    server.process.send_signal(signal.SIGINT)
    equal(server.process.wait(harness.DEADLINE_S), 0, "exit status after SIGINT")


def test_restart_answers_the_same():
    with harness.Server() as server:
        producers = load.producers(4, runs=2)
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        harness.wait_for(lambda: pushing.acknowledged() > 300 or pushing.wrong, "acknowledgements under load")
        pushing.stop()
        before = everything(server.client())
        for _ in range(2):
            server.restart()
            after = everything(server.client())
            for path, answer in before.items():
                check(after[path] == answer, f"{path} after a restart: got {after[path][:500]} want {answer[:500]}")
        load.check_served(server.client(), producers, load.acknowledged_of(producers), exactly=True)


def everything(client):
    """Answers that must not depend on the process; what tells the present time is left out."""
    paths = ["/runs/run-0/logs?limit=100000", "/runs/run-1/logs?limit=100000&direction=backward", "/runs/run-0/metrics",
             "/runs/run-1/metrics", "/query?run=run-0&run=run-1&metric=*&start=0&end=2100-01-01T00:00:00Z&every=30s"
             "&agg=count,sum,min,max,mean,first,last,nan,pos_inf,neg_inf",
             "/query?run=run-0&metric=m0*&start=0&end=2100-01-01T00:00:00Z&points=7"]
    answers = {}
    for path in paths:
        answer = client.request("GET", client.path(path))
        equal(answer.status, 200, path)
        if "/query" in path:
            document = answer.json()
            document.pop("complete_until")
            answers[path] = json.dumps(document).encode()
        else:
            answers[path] = answer.body
    return answers


# ---- a reader beside the writer ----

def test_reader_beside_the_writer():
    """Another process on the same directory sees all that is acknowledged, and what HTTP says."""
    with harness.Server() as server:
        producers = load.producers(4, runs=1)
        server.client().create_run("run-0")
        pushing = load.Load(producers).start(server)
        looks = 0
        try:
            while looks < (3 if SHORT else 12):
                harness.wait_for(lambda: pushing.acknowledged() > 60 * looks or pushing.wrong, "acknowledgements")
                acknowledged = load.acknowledged_of(producers)
                result = harness.cli("logs", "run-0", "--data", server.data, "--json")
                equal(result.returncode, 0, f"logs: {said(result)}")
                records = [json.loads(line) for line in result.stdout.splitlines()]
                records = [r for r in records if "seq" in r]
                equal([r["seq"] for r in records], sorted({r["seq"] for r in records}), "sequences rise")
                present, complaints = load.present_of([r["text"] for r in records], producers)
                equal(complaints + load.missing(acknowledged, present), [], "the reader's log")
                counts = reader_counts(server)
                wanted = sum(producers[number].samples for number, _ in acknowledged)
                check(counts >= wanted, f"the reader counts {counts} samples of {wanted} acknowledged")
                looks += 1
        finally:
            pushing.stop()
        same_answers(server)


def reader_counts(server):
    result = harness.cli("metrics", "run-0", "--data", server.data, "--json")
    equal(result.returncode, 0, f"metrics: {said(result)}")
    return sum(m["count"] for m in json.loads(result.stdout)["metrics"])


def same_answers(server):
    """Each verb over HTTP and beside the server, byte for byte."""
    far = ["--since", "1970-01-01T00:00:00Z"]
    for verb in (["runs"], ["runs", "--json"], ["metrics", "run-0"], ["metrics", "run-0", "--json"], ["logs", "run-0"],
                 ["logs", "run-0", "--json"], ["logs", "run-0", "--raw"], ["get", "run-0", "m0.*", *far, "--json"],
                 ["get", "run-0", "m0.1", *far], ["get", "run-0", "m1.2", *far, "--points", "5"],
                 ["get", "run-0", "m1.2", *far, "--every", "5m"]):
        def ask(*where):
            result = harness.cli(*verb, *where, env={"ASTRAML_TOKEN": server.token})
            equal(result.returncode, 0, f"{verb} {where}: {said(result)}")
            return re.sub(rb"\d+[smhdy](?= )|(?<=\()\d+[smhdy] ago", b"AGE", result.stdout)  # the clock goes on
        over_http, beside = ask("--server", server.url), ask("--data", server.data)
        check(over_http == beside, f"{verb}: over HTTP {over_http[:300]!r}, beside the server {beside[:300]!r}")
        check(over_http.strip(), f"{verb} says nothing")


def test_reader_without_a_writer():
    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        b = Batch()
        c.ingest("r", b.sample(b.series("m"), BASE, 1.5).log("kept", BASE))
    result = harness.cli("logs", "r", "--raw", "--data", server.data)
    equal((result.returncode, result.stdout), (0, b"kept"), said(result))
    result = harness.cli("metrics", "r", "--json", "--data", server.data)
    equal([m["count"] for m in json.loads(result.stdout)["metrics"]], [1], "count")


def test_follower_in_another_process():
    """`logs -f --data` prints a record soon after it was acknowledged, and each once."""
    with harness.Server() as server:
        c = server.client()
        c.create_run("r")
        follower = subprocess.Popen([harness.PROGRAM, "logs", "r", "-f", "--raw", "--data", server.data],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=harness.program_environment())
        harness.after_test.append(follower.kill)
        lines = []

        def collect():
            for line in iter(follower.stdout.readline, b""):
                lines.append(line)
        reader = threading.Thread(target=collect, daemon=True)
        reader.start()
        for i in range(50):
            c.ingest("r", Batch().log(f"line {i}\n", BASE + i))
            harness.wait_for(lambda: len(lines) > i, f"line {i} at the follower", 10)
        equal(lines, [f"line {i}\n".encode() for i in range(50)], "followed")
        follower.terminate()
        follower.wait(harness.DEADLINE_S)
        reader.join(harness.DEADLINE_S)


if __name__ == "__main__":
    harness.main(globals())
