"""It must simply work: many series, many small requests, many workers; and what is too much is
refused without hurting anybody else."""
import asyncio
import os
import random
import socket
import struct
import time

import harness
from harness import NS, Batch, Client, check, equal, field, zigzag

BASE = (time.time_ns() - 3600 * NS) // (30 * NS) * 30 * NS
MIB = 1 << 20
SHORT = "ASTRAML_TEST_SHORT" in os.environ
FEW = 4 if SHORT else 1  # a sanitizer's share of the work


def totals(client, run):
    return {(m["name"], tuple(sorted(m["labels"].items()))): m["count"] for m in client.metrics(run)}


def test_ten_thousand_series_in_one_batch():
    with harness.Server() as server:
        c = server.client()
        c.create_run("wide")
        batches = []
        for turn in range(3):
            b = Batch(b"ten thousand....", turn + 1)
            for i in range(10_000):
                s = b.series(f"layer.{i // 10}/grad_norm", {"rank": str(i % 10)})
                b.sample(s, BASE + turn * 20 * NS, i + turn / 4, step=turn)
            batches.append(b)
            said = c.ingest("wide", b)
            equal((len(set(said.series_ids)), len(said.rejected)), (10_000, 0), "ids and rejected")
        equal(list(c.ingest("wide", batches[0]).series_ids), list(said.series_ids), "ids of the first batch, again")
        found = totals(c, "wide")
        equal((len(found), set(found.values())), (10_000, {3}), "series and their counts")
        answer = c.query("wide", "layer.77/grad_norm", start=0, end="2100-01-01T00:00:00Z", every="30s", agg="count,sum,last",
                         **{"label.rank": "3"})
        rows = answer["series"][0]["rows"]
        equal([r[1:] for r in rows], [[2, 773 * 2 + 0.25, 773.25], [1, 773.5, 773.5]], "one of them")


def test_one_sample_per_request():
    n = 2000 // FEW
    with harness.Server() as server:
        c = server.client()
        c.create_run("small")
        b = Batch()
        b.sample(b.series("loss"), BASE, 0)
        series, = c.ingest("small", b).series_ids
        for i in range(1, n):
            b = Batch(b"one at a time...", i)
            c.ingest("small", b.sample(series, BASE + i * NS, i, step=i, ids=True))
        metric, = c.metrics("small")
        equal((metric["count"], metric["last"], metric["last_step"]), (n, n - 1, n - 1), "all of them")
        answer = c.query("small", "loss", start=0, end="2100-01-01T00:00:00Z", agg="count,sum")
        rows = answer["series"][0]["rows"]
        equal((sum(r[1] for r in rows), sum(r[2] for r in rows)), (n, n * (n - 1) / 2), "sums")


def test_a_connection_for_each_request():
    with harness.Server() as server:
        server.client().create_run("short")
        for i in range(300 // FEW):
            c = Client(server.url, server.token)
            b = Batch()
            c.ingest("short", b.sample(b.series("m"), BASE + i, i))
            c.close()
        equal(totals(server.client(), "short"), {("m", ()): 300 // FEW}, "count")


def test_a_thousand_workers_at_once():
    """All connected before the first one sends."""
    n = 1000

    async def worker(number, host, port, token, together):
        reader, writer = await asyncio.open_connection(host, port)
        b = Batch(struct.pack("<QQ", 7, number), 1)
        b.sample(b.series("steps", {"rank": str(number)}), BASE, number).log(f"worker {number}", BASE, rank=number)
        body = b.encode()
        await together.wait()
        writer.write(f"POST /v2/projects/default/runs/many/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                     f"Content-Type: {harness.PROTOBUF}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        line = await reader.readline()
        writer.close()
        return line

    async def all_workers(server):
        host, port = harness.parse_url(server.url)
        together = asyncio.Event()
        tasks = [asyncio.ensure_future(worker(i, host, port, server.token, together)) for i in range(n)]
        limit = harness.DEADLINE_S
        while sum(1 for _ in established(port)) < n and limit > 0:
            await asyncio.sleep(0.05)
            limit -= 0.05
        together.set()
        return await asyncio.wait_for(asyncio.gather(*tasks), harness.DEADLINE_S)

    with harness.Server() as server:
        server.client().create_run("many")
        lines = asyncio.run(all_workers(server))
        equal({line for line in lines}, {b"HTTP/1.1 200 OK\r\n"}, "answers")
        found = totals(server.client(), "many")
        equal((len(found), set(found.values())), (n, {1}), "series and their counts")
        texts = [r["text"] for r in server.client().logs("many")]
        equal(sorted(texts), sorted(f"worker {i}" for i in range(n)), "log")


def established(port):
    """Connections to a local port, as the kernel lists them (state 01)."""
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            _, local, _, status, *_ = line.split()
            if status == "01" and int(local.split(":")[1], 16) == port:
                yield line


def test_series_per_run():
    with harness.Server() as server:
        c = server.client()
        c.create_run("too-wide")

        def batch(first, n):
            b = Batch()
            for i in range(first, first + n):
                b.message.series.add(metric=f"m{i}")
            b.message.samples.add(start_ns=BASE, series=[0] + [1] * (n - 1), times=[0], values=[1.0] * n)
            return b
        c.ingest("too-wide", batch(0, 60_000))
        answer = c.post_ingest("too-wide", batch(60_000, 40_001).encode())
        check(answer.status in (413, 422), f"100,001 series: {answer}")
        check("100000" in answer.error()["message"], answer)
        equal(len(c.metrics("too-wide")), 60_000, "series after the refusal")
        c.ingest("too-wide", batch(50_000, 50_000))
        counts = totals(c, "too-wide")
        equal((len(counts), sum(counts.values())), (100_000, 110_000), "series and samples")


def test_bodies_past_the_budget():
    """Bodies that are here and not finished are bounded together; who comes too late is told so,
    and all goes on when they have left."""
    with harness.Server() as server:
        c = server.client()
        c.create_run("budget")
        host, port = harness.parse_url(server.url)
        head = (f"POST /v2/projects/default/runs/budget/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                f"Content-Type: {harness.PROTOBUF}\r\nContent-Length: {8 * MIB}\r\n\r\n").encode()
        piece = bytes(8 * MIB - 1)
        holders, refusals = [], []
        for _ in range(40):
            s = socket.create_connection((host, port), harness.DEADLINE_S)
            holders.append(s)
            s.settimeout(harness.DEADLINE_S)
            try:
                s.sendall(head)
                s.sendall(piece)
            except OSError:
                pass  # it has answered and closed
        for s in holders:
            s.setblocking(False)
            try:
                refusals.append(s.recv(65536))
            except (BlockingIOError, ConnectionResetError):
                pass
        said = [r for r in refusals if b" 503 " in r.split(b"\r\n")[0]]
        check(said, f"40 bodies of 8 MiB, and nobody was told to come back: {refusals[:3]}")
        check(all(b"retry-after" in r.lower() for r in said), "no Retry-After in", said[:1])
        for s in holders:
            s.close()
        b = Batch()
        body = b.sample(b.series("m"), BASE, 1).encode()
        harness.wait_for(lambda: c.post_ingest("budget", body).status == 200, "room again")
        equal(totals(c, "budget"), {("m", ()): 1}, "count")


def test_slow_clients_are_let_go():
    """A request that does not end and a connection without a request have deadlines in all, which
    bytes in between do not put off; others are served meanwhile."""
    with harness.Server(arguments=("--request-timeout", "1s", "--idle-timeout", "1s")) as server:
        server.client().create_run("slow")
        head = (f"POST /v2/projects/default/runs/slow/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                f"Content-Type: {harness.PROTOBUF}\r\nContent-Length: 1000\r\n\r\n").encode()
        for first, drip in ((b"", b""), (b"GET /healthz HT", b"T"), (head, b"x")):
            with socket.create_connection(harness.parse_url(server.url), harness.DEADLINE_S) as s:
                s.sendall(first)
                start = time.monotonic()
                answer = dripped_on(s, drip)
                seconds = time.monotonic() - start
                check(0.5 < seconds < 10, f"let go after {seconds:.1f} s")
                check(answer == b"" or b" 408 " in answer.split(b"\r\n")[0], answer[:100])
            equal(server.client().request("GET", "/healthz").status, 200, "others")


def dripped_on(s, drip):
    """Sends a byte now and then until the other side closes; what it said."""
    answer = b""
    s.settimeout(0.2)
    while True:
        try:
            piece = s.recv(65536)
            if not piece:
                return answer
            answer += piece
        except TimeoutError:
            try:
                s.sendall(drip)
            except OSError:
                return answer
        except ConnectionResetError:
            return answer


def test_long_log_texts():
    chance = random.Random(6)
    texts = [chance.randbytes(MIB), b"\n" * MIB, b"\0", b"", b"no end of line", b"\xff\xfe\r\n", chance.randbytes(2 * MIB + 12345)]
    with harness.Server() as server:
        c = server.client()
        c.create_run("long")
        b = Batch()
        for i, text in enumerate(texts):
            b.log(text, BASE + i)
        said = c.ingest("long", b)
        equal(len(said.rejected), 0, "rejected")
        equal(said.last_seq - said.first_seq, len(texts) - 1 + 2, "records: the last text is split in three")
        for where in (("--server", server.url), ("--data", server.data)):
            raw = harness.cli("logs", "long", "--raw", *where, env={"ASTRAML_TOKEN": server.token})
            equal(raw.returncode, 0, f"logs --raw {where}: {raw.stderr}")
            check(raw.stdout == b"".join(texts), f"logs --raw {where} gives other bytes")


def test_a_million_samples_in_a_request():
    n = 1_000_000
    with harness.Server() as server:
        c = server.client()
        c.create_run("million")
        values = struct.pack(f"<{n}f", *range(n))
        columns = (field(1, 2, b"\0") + field(3, 1, struct.pack("<q", BASE)) + field(4, 0, 1000)
                   + field(5, 2, zigzag(0) + zigzag(1) * (n - 1)))
        body = field(2, 2, field(1, 2, b"m")) + field(3, 2, columns + field(8, 2, values))
        equal(c.post_ingest("million", body).status, 200, "status")
        metric, = c.metrics("million")
        equal((metric["count"], metric["min"], metric["max"], metric["mean"]), (n, 0, n - 1, (n - 1) / 2), "totals")


def test_version_tells_the_limits():
    with harness.Server() as server:
        answer = server.client().request("GET", "/version")
        equal(answer.status, 200, "status")
        numbers = set()

        def gather(x):
            for v in x.values() if isinstance(x, dict) else x if isinstance(x, list) else ():
                gather(v)
                if isinstance(v, int):
                    numbers.add(v)
        gather(answer.json())
        for limit in (8 * MIB, 64 * MIB, 256 * MIB, 16384, 4096, 1_000_000, MIB, 250, 16, 100_000):
            check(limit in numbers, f"/version does not tell the limit {limit}: {answer.body}")


if __name__ == "__main__":
    harness.main(globals())
