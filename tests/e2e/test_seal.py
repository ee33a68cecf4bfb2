"""Logs in sealed blocks: the same bytes, the same order, the same finds as before, for every reader."""
import glob
import gzip
import json
import os
import random
import re
import threading

import harness
from harness import NS, Batch, check, equal

FILES = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "*", "*.gz")))
SMALL = ("--log-block", "8KiB")


def sealed_records(client):
    """Since the server started."""
    text = client.request("GET", "/metrics").body.decode()
    return int(re.search(r"^astraml_sealed_log_records_total (\d+)", text, re.M)[1])


def texts_of(client, run, **parameters):
    return [r["text"] for r in client.logs(run, **parameters)]


def imported(server, path):
    """A run of the file, in requests of 10 lines, until most of it is sealed."""
    client = server.client()
    with gzip.open(path) as f:
        content = f.read()
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    lines = [line for line in lines if line]
    client.create_run("r")
    for at in range(0, len(lines), 10):
        b = Batch()
        for i, line in enumerate(lines[at:at + 10]):
            b.log(line, t_ns=1_600_000_000 * NS + (at + i) * 1_000_000, level="WARN" if b"rror" in line else "INFO",
                  rank=(at + i) % 3, attributes={"n": str((at + i) % 5)} if (at + i) % 50 == 0 else None)
        client.ingest("r", b)
    harness.wait_for(lambda: sealed_records(client) > len(lines) / 2, "sealing")
    return client, lines


def shown(line):
    return line.decode("utf-8", "replace")


def test_everything_reads_as_before():
    for path in FILES:
        with harness.Server(arguments=SMALL) as server:
            client, lines = imported(server, path)
            records = client.logs("r")
            equal([r["seq"] for r in records], list(range(1, len(lines) + 1)), "sequences")
            for i, (record, line) in enumerate(zip(records, lines)):
                equal(record["text"], shown(line), f"text {i}")
                equal(record["rank"], i % 3, f"rank {i}")
                equal(record["level"], "warn" if b"rror" in line else "info", f"level {i}")
                equal(record["attrs"], {"n": str(i % 5)} if i % 50 == 0 else {}, f"attributes {i}")
            equal(client.logs("r", direction="backward"), records[::-1], "backward")
            middle = len(lines) // 2
            equal(client.logs("r", after_seq=middle, limit=7), records[middle:middle + 7], "from the middle")
            equal(client.logs("r", level="warn"), [r for r in records if r["level"] == "warn"], "by level")
            raw = harness.cli("logs", "r", "--raw", "--server", server.url, env={"ASTRAML_TOKEN": server.token})
            equal(raw.stdout, b"".join(lines), "raw")
            data = server.data
            beside = harness.cli("logs", "r", "--json", "--data", data)
            equal([json.loads(l) for l in beside.stdout.splitlines()][:-1], records, "beside the server")
            result = harness.cli("verify", "--data", data)
            equal(result.returncode, 0, result.stdout)
        with harness.Server(data) as server:
            equal(server.client().logs("r"), records, "after a restart")


def test_finds_what_is_there():
    """Pieces of the lines and changed pieces, against a naive look."""
    chance = random.Random(5)
    for path in FILES:
        with harness.Server(arguments=SMALL) as server:
            client, lines = imported(server, path)
            texts = [shown(line) for line in lines]
            for i in range(60):
                text = chance.choice(texts)
                at = chance.randrange(len(text))
                piece = text[at:at + chance.randrange(1, 30)]
                if i % 3 == 0:
                    piece = piece[:-1] + chance.choice("0123456789xyz")
                if not piece.strip("\r\n") or "\ufffd" in piece:
                    continue
                want = [t for t in texts if piece in t]
                equal(texts_of(client, "r", grep=piece), want, f"grep {piece!r}")
                limited = texts_of(client, "r", grep=piece, direction="backward", limit=3)
                equal(limited, want[::-1][:3], f"grep {piece!r} from the end")
            for regex in (r"\d+\.\d+", "(?i)error|warning", r"^:::ML.*value", r"seed\D+\d", r"epoch\w*.*: [13]", r"[a-z]+_stop"):
                want = [t for t in texts if re.search(regex, t.rstrip("\n").rstrip("\r"))]
                equal(texts_of(client, "r", regex=regex), want, f"regex {regex!r}")
            word = max(texts, key=len)[:8]
            near = client.logs("r", grep=word, context=2)
            hits = {i for i, t in enumerate(texts) if word in t}
            want = sorted({i + d for i in hits for d in range(-2, 3) if 0 <= i + d < len(texts)})
            equal([r["seq"] - 1 for r in near], want, "context")


def test_explain_tells_what_was_opened():
    with harness.Server(arguments=SMALL) as server:
        client, lines = imported(server, FILES[0])
        environment = {"ASTRAML_TOKEN": server.token}

        def explained(*arguments):
            result = harness.cli("logs", "r", "--explain", *arguments, "--server", server.url, env=environment)
            equal(result.returncode, 0, result.stderr)
            return [int(n) for n in re.search(rb"opened (\d+) of (\d+) stored blocks", result.stderr).groups()]

        opened, blocks = explained()
        check(opened == blocks > 1, opened, blocks)
        equal(explained("--level", "fatal")[0], 0, "blocks opened for a level that none has")
        check("read" not in client.get("/runs/r/logs").body.decode().splitlines()[-1], "told unasked")


def test_a_follower_across_seals():
    """Every record once and in order, while what it read is sealed behind it and ahead of it."""
    with harness.Server(arguments=("--log-block", "1KiB")) as server:
        client = server.client()
        client.create_run("r")
        total, got = 3000, []

        def follow():
            after = 0
            while len(got) < total:  # reconnects every 500 records
                connection = harness.Client(server.url, server.token)._connect()
                connection.request("GET", f"/v2/projects/default/runs/r/logs?follow=true&after_seq={after}",
                                   headers={"Authorization": f"Bearer {server.token}"})
                for line in connection.getresponse():
                    if line.strip():
                        got.append(json.loads(line))
                        after = got[-1]["seq"]
                    if len(got) == total or len(got) % 500 == 0:
                        break
                connection.close()

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        for i in range(0, total, 10):
            b = Batch()
            for j in range(i, i + 10):
                b.log(f"line {j} of many\n", t_ns=1_600_000_000 * NS + j)
            client.ingest("r", b)
        follower.join(harness.DEADLINE_S)
        equal([r["text"] for r in got], [f"line {j} of many\n" for j in range(total)], "followed")
        harness.wait_for(lambda: sealed_records(client) > 0, "sealing")


def test_damage_in_a_sealed_block_is_told():
    path = FILES[0]
    with harness.Server(arguments=SMALL) as server:
        client, lines = imported(server, path)
        whole = client.logs("r")
        data = server.data
    stored = os.path.join(data, "hot", "data.mdb")
    size = os.path.getsize(stored)
    chance = random.Random(3)
    told = 0
    for _ in range(30):
        at = chance.randrange(size)
        with open(stored, "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ 1 << chance.randrange(8)]))
        result = harness.cli("logs", "r", "--json", "--data", data)
        told += harness.cli("verify", "--data", data).returncode == 5
        for line in result.stdout.splitlines():
            record = json.loads(line)
            if "seq" in record:
                equal(record, whole[record["seq"] - 1], "a record of a damaged store")
        with open(stored, "r+b") as f:
            f.seek(at)
            f.write(old)
    check(told > 0, f"verify told {told} of 30 damages")


# ---- the same bytes, young, sealed, and sealed again ----

def shapes():
    chance = random.Random(1)
    digits = lambda n: "".join(chance.choices("0123456789", k=n))
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(300)]
    yield "lines of 1 MiB", b"".join(bytes([i]) * ((1 << 20) - 1) + b"\n" for i in b"abcdef")
    yield "longer lines", (b"0123456789" * 250000 + b"\n") * 3 + b"z" * (1 << 20)
    yield "a million empty lines", b"\n" * 1_000_000
    yield "no newline at all", digits(2_500_000).encode()
    yield "no newline at the end", "".join(f"step {i}\n" for i in range(200000)).encode() + b"the end"
    yield "NUL bytes", b"".join(b"\0" * (i % 50) + b"x\0\n" for i in range(60000))
    yield "digits only", "".join(digits(chance.randrange(1, 60)) + "\n" for _ in range(60000)).encode()
    yield "10,000 templates", "".join(f"{chance.choice(words)} {chance.choice(words)} {i % 10000 * 7919} {words[i % 300]}"
                                      f"{words[i // 300 % 34]}\n" for i in range(60000)).encode()
    yield "any bytes", chance.randbytes(2_000_000)
    yield "CR and LF", bytes(chance.choices(b"\r\n1a ", k=1_500_000))


def raw(server, run, how="data"):
    where = ("--data", server.data) if how == "data" else ("--server", server.url)
    r = harness.cli("logs", run, "--raw", *where, env={"ASTRAML_TOKEN": server.token})
    equal(r.returncode, 0, r.stderr)
    return r.stdout


def test_shapes_come_back_from_every_form():
    for name, data in shapes():
        with harness.Server() as server:  # 4 MiB are sealed together: this is less, and of this moment
            client = server.client()
            path = os.path.join(harness.scratch(), "shape")
            with open(path, "wb") as f:
                f.write(data)
            r = harness.cli("import", "text", "--run", "r", path, "--data", server.data)
            equal(r.returncode, 0, r.stderr)
            check(raw(server, "r") == data, name, "is not the same, young")
            young = client.logs("r", limit=100, direction="backward")[::-1]
            server.stop()
            server.command += ["--log-block", "2500KiB"]
            server.start()
            client = server.client()
            for _ in range(4):  # enough to seal all before it
                client.ingest("r", Batch().log(b"and more\n" * 100000, t_ns=1))
            whole = data + b"and more\n" * 400000
            harness.wait_for(lambda: sealed_records(client) > 0, f"sealing of {name}")
            check(raw(server, "r", "server") == whole, name, "is not the same, sealed")
            now = client.logs("r", after_seq=young[0]["seq"] - 1, limit=len(young))
            check(now == young, name, "has another end")
            out = os.path.join(harness.scratch(), "r.jsonl")
            equal(harness.cli("export", "r", "-o", out, "--data", server.data).returncode, 0, "export")
            with harness.Server(arguments=("--log-block", "2500KiB")) as other:
                r = harness.cli("import", "jsonl", out, "--data", other.data)
                equal(r.returncode, 0, r.stderr)
                harness.wait_for(lambda: sealed_records(other.client()) > 0, f"sealing of {name} again")
                check(raw(other, "r") == whole, name, "is not the same, sealed again")
                for data_dir in (server.data, other.data):
                    r = harness.cli("verify", "--data", data_dir)
                    equal(r.returncode, 0, r.stdout)


def test_every_log_at_hand():
    """All logs of ../shared/data: --raw is the file, sealed in blocks of 256 KiB."""
    files = [f for place in ("mlperf_training", "algoperf/logs", "speedrun", "param_golf")
             for f in sorted(glob.glob(os.path.join(harness.ROOT, "..", "shared", "data", place, "**", "*.gz"), recursive=True))]
    if not files:
        raise harness.Skip("../shared/data is not there")
    with harness.Server(arguments=("--log-block", "256KiB")) as server:
        total = 0
        for i, path in enumerate(files):
            r = harness.cli("import", "text", "--run", f"f{i}", "--start", "2024-01-01T00:00:00Z", path, "--data", server.data)
            equal(r.returncode, 0, r.stderr)
        client = server.client()
        harness.wait_for(lambda: sealed_records(client) > 150_000, "sealing")
        for i, path in enumerate(files):
            with gzip.open(path) as f:
                data = f.read()
            total += len(data)
            check(raw(server, f"f{i}") == data, path, "is not what --raw gives")
        equal(harness.cli("verify", "--data", server.data).returncode, 0, "verify")
        harness.diagnostics(f"{len(files)} logs of {total >> 20} MiB, {sealed_records(client)} records sealed")


def test_killed_while_sealing():
    """kill -9 in the middle of it, over and over: nothing lost, nothing twice."""
    server = harness.Server(arguments=("--log-block", "2KiB"))
    client = server.client()
    client.create_run("r")
    chance, acknowledged, sealed, producer = random.Random(6), [], 0, os.urandom(16)
    kill_at = set(chance.sample(range(1, 800), 40))
    for sequence in range(1, 800):
        texts = [f"batch {sequence} line {i} of {chance.random()}\n".encode() for i in range(chance.randrange(1, 40))]
        b = Batch(producer, sequence)
        for text in texts:
            b.log(text, t_ns=sequence)
        client.ingest("r", b)
        acknowledged += texts
        if sequence in kill_at:
            sealed += sealed_records(client)
            client.ingest("r", b)  # the first answer is lost, and it is sent again
            server.kill9()
            server.start()
            client = server.client()
            client.ingest("r", b)
            if len(acknowledged) % 3 == 0:
                check(raw(server, "r") == b"".join(acknowledged), "not what was acknowledged, after batch", sequence)
    check(sealed > 1000, "only", sealed, "records were sealed between kills")
    check(raw(server, "r") == b"".join(acknowledged), "not what was acknowledged")
    equal([r["seq"] for r in client.logs("r")], list(range(1, len(acknowledged) + 1)), "sequences")
    result = harness.cli("verify", "--data", server.data)
    equal(result.returncode, 0, result.stdout)
    server.stop()


def test_random_bytes_stay():
    """What sealing would not make smaller is kept as it is, and comes back."""
    with harness.Server(arguments=("--log-block", "8KiB")) as server:
        client = server.client()
        client.create_run("r")
        want = [os.urandom(3000) for _ in range(50)]
        for text in want:
            b = Batch()
            b.log(text, t_ns=1)
            client.ingest("r", b)
        raw = harness.cli("logs", "r", "--raw", "--data", server.data)
        equal(raw.stdout, b"".join(want), "random bytes")


if __name__ == "__main__":
    harness.main(globals())
