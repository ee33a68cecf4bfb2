"""Followers of logs: every record once and in order, across seals, restarts and reconnects; those that
take nothing, and many that come at once."""
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import harness
from harness import NS, Batch, check, equal, wait_for

BASE = 1_700_000_000 * NS


def number(client, name):
    text = client.request("GET", "/metrics").body.decode()
    return int(re.search(rf"^astraml_{name} (\d+)", text, re.M)[1])


def text_of(i):
    return f"step {i} of many, loss {i * 0.37:.4f}\n"


def put(client, run, first, n, producer=None, sequence=None):
    b = Batch(producer, sequence)
    for i in range(first, first + n):
        b.log(text_of(i), BASE + i)
    client.ingest(run, b)


def open_follower(server, run, query, receive_bytes=None):
    """The socket, after the request; what is answered is not read."""
    host, port = harness.parse_url(server.url)
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    s.settimeout(harness.DEADLINE_S)
    s.connect((host, port))
    s.sendall(f"GET /v2/projects/default/runs/{run}/logs?follow=true{query} HTTP/1.1\r\nHost: x\r\n"
              f"Authorization: Bearer {server.token}\r\n\r\n".encode())
    return s


def answer_of(s):
    response = http.client.HTTPResponse(s)
    response.begin()
    return response


class Follower(threading.Thread):
    """Comes back behind what it has seen whenever its connection ends, and every `leave` records."""

    def __init__(self, server, run, until, leave=10**9):
        super().__init__(daemon=True)
        self.server, self.run_id, self.until, self.leave = server, run, until, leave
        self.seen, self.connections, self.ends = [], 0, []

    def run(self):
        deadline = time.monotonic() + harness.DEADLINE_S
        while len(self.seen) < self.until and time.monotonic() < deadline:
            try:
                self.follow()
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)  # there is no server at this moment

    def follow(self):
        s = open_follower(self.server, self.run_id, f"&after_seq={self.seen[-1][0] if self.seen else 0}")
        response = answer_of(s)
        self.connections += 1
        for _ in range(self.leave):
            line = response.readline()
            record = json.loads(line) if line.endswith(b"\n") and line.strip() else {}
            if "seq" in record:
                self.seen.append((record["seq"], record["text"]))
            elif record:
                self.ends.append(record)
            if not line.endswith(b"\n") or len(self.seen) >= self.until:
                break
        s.close()


def test_across_seals_and_restarts():
    """kill -9 and SIGTERM in turn, with blocks of 8 KiB, so that sealing goes on all the time."""
    with harness.Server(arguments=("--log-block", "8KiB")) as s:
        c = s.client()
        c.create_run("r")
        host, port = harness.parse_url(s.url)
        s.command[s.command.index("--listen") + 1] = f"{host}:{port}"  # the same place after each restart
        total, sealed = 6000, 0
        followers = [Follower(s, "r", total, leave) for leave in (10**9, 700, 90)]
        for f in followers:
            f.start()
        shown = subprocess.Popen([harness.PROGRAM, "logs", "r", "-f", "--tail", "10000", "--raw", "--server", s.url],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 env=harness.program_environment(ASTRAML_TOKEN=s.token))
        harness.after_test.append(shown.kill)
        raw = []
        reader = threading.Thread(target=lambda: raw.extend(shown.stdout), daemon=True)
        reader.start()
        producer = os.urandom(16)
        for i in range(120):
            put(c, "r", i * 50 + 1, 50, producer, i + 1)
            if i == 0:
                wait_for(lambda: raw, "the verb to follow")
            if i % 20 == 10:
                sealed += number(c, "sealed_log_records_total")
                s.kill9()
                s.start()
                c = s.client()
                put(c, "r", i * 50 + 1, 50, producer, i + 1)  # as one who has not seen the answer
            elif i % 20 == 19:
                sealed += number(c, "sealed_log_records_total")
                s.restart()
                c = s.client()
        for f in followers:
            f.join(harness.DEADLINE_S)
            equal(len(f.seen), total, "records that a follower saw")
            equal(f.seen, [(i, text_of(i)) for i in range(1, total + 1)], "what a follower saw")
            check(f.connections > 5, "connections:", f.connections)
        check({"end": {"reason": "shutdown"}} in followers[0].ends, "told of no shutdown:", followers[0].ends)
        wait_for(lambda: len(raw) >= total, "the verb to have shown all")
        shown.terminate()
        reader.join(harness.DEADLINE_S)
        equal(b"".join(raw), "".join(text_of(i) for i in range(1, total + 1)).encode(), "what the verb showed")
        check(sealed > 0, "nothing was sealed")
        equal(harness.cli("verify", "--data", s.data).returncode, 0, "verify")


def test_one_that_takes_nothing_stops_nobody():
    with harness.Server(arguments=("--write-timeout", "6s", "--log-block", "16KiB")) as s:
        c = s.client()
        c.create_run("r")
        there = 60000  # more than the sockets of both sides hold
        put(c, "r", 1, there)
        still = [open_follower(s, "r", "&after_seq=0", receive_bytes=65536) for _ in range(5)]
        wait_for(lambda: number(c, "followers") == 5, "5 followers")
        acknowledged, slowest = 0, 0
        lively = Follower(s, "r", 10**9)
        lively.start()
        while number(c, "followers") > 1:  # until all that take nothing were told
            start = time.monotonic()
            put(c, "r", there + 1 + acknowledged, 1)
            slowest = max(slowest, time.monotonic() - start)
            acknowledged += 1
        check(acknowledged > 100, "only", acknowledged, "acknowledgements beside followers that take nothing")
        check(slowest < 2, f"an acknowledgement took {slowest:.1f} s")
        wait_for(lambda: len(lively.seen) == there + acknowledged, "the follower that reads")
        lively.until = 0
        for sock in still:
            lines = [json.loads(line) for line in answer_of(sock).read().splitlines() if line.strip()]
            got, last = [r["seq"] for r in lines[:-1]], lines[-1]
            equal(got, list(range(1, len(got) + 1)), "before it was told")
            check(0 < len(got) < there, len(got))
            equal(last["error"]["code"], "timeout", str(last))
            check(f"after_seq={len(got)}" in last["error"]["message"], last, len(got))
            sock.close()
        again = Follower(s, "r", there + acknowledged)
        again.seen = [(i, text_of(i)) for i in range(1, len(got) + 1)]
        again.start()
        again.join(harness.DEADLINE_S)
        equal(again.seen, [(i, text_of(i)) for i in range(1, there + acknowledged + 1)], "after it came back")
        put(c, "r", there + 1 + acknowledged, 1)  # lets go of the other one


def test_the_verb_behind_a_pager():
    """What nobody reads from it it does not read either; told so, it comes back and shows each record once."""
    with harness.Server(arguments=("--write-timeout", "4s")) as s:
        c = s.client()
        c.create_run("r")
        put(c, "r", 1, 1)
        verb = subprocess.Popen([harness.PROGRAM, "logs", "r", "-f", "--raw", "--server", s.url], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=harness.program_environment(ASTRAML_TOKEN=s.token))
        harness.after_test.append(verb.kill)
        equal(verb.stdout.readline().decode(), text_of(1), "the first record")
        wait_for(lambda: number(c, "followers") == 1, "the verb to follow")
        for i in range(10):
            put(c, "r", 2 + i * 10000, 10000)
        wait_for(lambda: number(c, "followers") == 0, "the verb to be told")
        for i in range(2, 100002):
            line = verb.stdout.readline().decode()
            if line != text_of(i):
                equal(line, text_of(i), f"record {i}")
        verb.terminate()
        check(b"trying again from record" in verb.stderr.read(), "the verb says nothing of it")
        verb.wait()


def test_a_hundred_at_once():
    """In the same instant, while all threads answer clients that take nothing."""
    with harness.Server(arguments=("--query-threads", "2", "--write-timeout", "4s")) as s:
        c = s.client()
        c.create_run("r")
        put(c, "r", 1, 50000)
        host, port = harness.parse_url(s.url)
        busy = []
        for _ in range(2):
            b = socket.socket()
            b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            b.connect((host, port))
            b.sendall(f"GET /v2/projects/default/runs/r/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {s.token}\r\n\r\n".encode())
            busy.append(b)
        followers = [open_follower(s, "r", "&limit=0") for _ in range(100)]
        wait_for(lambda: number(c, "followers") == 100, "100 followers")
        put(c, "r", 50001, 1)
        for f in followers:
            response = answer_of(f)
            equal((response.status, json.loads(response.readline())["seq"]), (200, 50001), "the next record")
            f.close()
        for b in busy:
            b.close()


if __name__ == "__main__":
    harness.main(globals())
