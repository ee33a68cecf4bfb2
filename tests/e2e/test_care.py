"""`verify` on a directory whose files are damaged: it tells, whatever the damage, and dies of none."""
import os
import random
import struct

import harness
from harness import NS, Batch, check, cli, equal

PAGE = 4096
META = 16  # where a meta page's content begins: magic, version, address, map size, two trees of 48 bytes, ...
MAIN_TREE = META + 24 + 48


def said(result):
    return (result.stdout + result.stderr).decode("utf-8", "replace")


def store():
    """A run with some windows and log lines, stopped; its directory and its data file."""
    with harness.Server() as server:
        client = server.client()
        client.create_run("r")
        for n in range(20):
            b = Batch()
            s = b.series("loss")
            for i in range(50):
                b.sample(s, (1_600_000_000 + 100 * n + i) * NS, i / 7, step=i)
                b.log(f"line {n}:{i}\\n", t_ns=1_600_000_000 * NS)
            client.ingest("r", b)
    return server.data, os.path.join(server.data, "hot", "data.mdb")


def newest_meta(content):
    """0 or 1: the page of the newest transaction."""
    return max((0, 1), key=lambda page: struct.unpack_from("<Q", content, page * PAGE + MAIN_TREE + 48 + 8)[0])


def write(path, content):
    with open(path, "r+b") as f:  # in place: the file keeps its reserved blocks
        f.write(content)


def test_verify_tells_of_damaged_structure():
    data, path = store()
    with open(path, "rb") as f:
        good = f.read()
    equal(cli("verify", "--data", data).returncode, 0, "before")
    root_at = newest_meta(good) * PAGE + MAIN_TREE + 40
    root = struct.unpack_from("<Q", good, root_at)[0]
    chance = random.Random(1)
    places = [(root_at, 1), (root_at + 2, 0x40), (root_at + 6, 1), (root * PAGE + 10, 3), (root * PAGE + 12, 8),
              (root * PAGE + 16, 0x10), (root * PAGE + 17, 0x40), (newest_meta(good) * PAGE + META, 1)]
    places += [(root * PAGE + chance.randrange(PAGE), 1 << chance.randrange(8)) for _ in range(40)]
    told = 0
    for at, bits in places:
        write(path, good[:at] + bytes([good[at] ^ bits]) + good[at + 1:])
        result = cli("verify", "--data", data)
        check(result.returncode in (0, 5), at, result.returncode, said(result))
        if result.returncode == 5:
            told += 1
            check("damaged" in said(result) or "hot" in said(result), at, said(result))
        else:
            logs = cli("logs", "r", "--raw", "--data", data)
            equal((logs.returncode, logs.stdout.count(b"line ")), (0, 1000), f"sound with {at} flipped")
    check(told >= 8, f"only {told} of {len(places)} were told")
    write(path, good)
    equal(cli("verify", "--data", data).returncode, 0, "after")


def test_verify_beside_a_fast_writer():
    """A snapshot's head is soon written over: another is taken, and nothing sound is called damaged."""
    import load
    producers = load.producers(4, runs=2)
    small = ("--memory", "256KiB", "--journal", "256KiB", "--flush-every", "50ms", "--grace", "100ms", "--log-block", "2KiB",
             "--compact-every", "10ms", "--late-wait", "10ms")
    with harness.Server(arguments=small) as server:
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        for i in range(30):
            harness.wait_for(lambda: pushing.acknowledged() > 20 * i or pushing.wrong, "load")
            result = cli("verify", "--data", server.data)
            equal(result.returncode, 0, said(result))
        pushing.stop()


if __name__ == "__main__":
    harness.main(globals())
