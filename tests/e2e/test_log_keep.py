"""Log records go when they are older than the project keeps them; what is left is one unbroken rest."""
import json
import os
import struct
import threading

import harness
from harness import NS, Batch, check, equal, wait_for
from test_purge import DAY, find, number
from test_rm import delete, everything, ok, same, undelete

QUICK = ("--compact-every", "20ms", "--log-block", "8KiB")


def say(client, run, texts, t_ns=0):
    b = Batch()
    for text in texts:
        b.log(text, t_ns=t_ns, rank=0)
    return client.ingest(run, b)


def lines(first, n, day):
    return [f"day {day}: step {first + i} of the run, loss {(first + i) / 7}\n" for i in range(n)]


def end_of(client, run, **parameters):
    return json.loads(client.get(f"/runs/{run}/logs", **parameters).body.splitlines()[-1])["end"]


def seqs(client, run, **parameters):
    return [r["seq"] for r in client.logs(run, **parameters)]


def test_what_is_old_goes():
    """100 records a day, for 40 days; sealed and young ones."""
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("r", imported=True, state="finished")
        c.create_run("still", imported=True, state="finished")
        for day in range(40):
            for i in range(0, 100, 10):
                say(c, "r", lines(day * 100 + i, 10, day))
            if day == 30:
                say(c, "still", ["of day 30\n"])
                before = everything(c, "still")
            clock.move(DAY)
            if day == 10:
                c.create_run("canary", imported=True, state="finished")
                say(c, "canary", ["of day 11\n"])
            if day % 10 == 9:
                server.restart()
                c = server.client()
        clock.move(1.5 * DAY)
        # runs are swept in the order in which they were made; a sealed block holds those of two days at most
        wait_for(lambda: end_of(c, "canary")["first_seq"] == 2, "old records to go")
        kept = seqs(c, "r")
        first = kept[0]
        equal(kept, list(range(first, 4001)), "one unbroken rest")
        check(1001 <= first <= 1201, "the first that is kept is", first)
        equal([r["text"] for r in c.logs("r")], [t for d in range(40) for t in lines(d * 100, 100, d)][first - 1:], "texts")
        for after in (0, 5, first - 2, first - 1):
            equal(seqs(c, "r", after_seq=after, limit=3), [first, first + 1, first + 2], f"after_seq={after}")
            equal(end_of(c, "r", after_seq=after, limit=3)["first_seq"], first)
        equal(seqs(c, "r", direction="backward"), kept[::-1], "backward")
        equal(seqs(c, "r", grep=" step 5 of"), [], "what went")
        equal(seqs(c, "r", grep=" step 3500 of"), [3501], "what stayed")
        same(everything(c, "still"), before, "the other run")
        clock.move(60 * DAY)
        wait_for(lambda: end_of(c, "r")["first_seq"] == 4001, "all to go")
        equal(end_of(c, "r"), {"records": 0, "first_seq": 4001, "last_seq": 4000, "more": False, "partial": False}, "nothing left")
        said = say(c, "r", ["again\n"])
        equal((said.first_seq, seqs(c, "r")), (4001, [4001]), "sequences only rise")
        c = server.restart().client()
        equal((seqs(c, "r"), say(c, "r", ["and again\n"]).first_seq), ([4001], 4002), "after a restart")
        ok("verify", "--data", server.data)
    beside = [json.loads(line) for line in ok("logs", "r", "--json", "--data", server.data).splitlines()]
    equal([r["seq"] for r in beside[:-1]], [4001, 4002], "without a server")


def damage_count(data, t_ns):
    """Of the block with that least time: it seems to have very many records.  Old pages may have copies."""
    path = os.path.join(data, "hot", "data.mdb")
    with open(path, "r+b") as f:
        whole, at = f.read(), -1
        check(struct.pack("<q", t_ns) in whole, "no block with that time")
        while (at := whole.find(struct.pack("<q", t_ns), at + 1)) >= 0:
            f.seek(at - 9)
            f.write(bytes([whole[at - 9] ^ 0x10]))


def test_a_damaged_block_takes_nothing_along():
    """What is young stays, whatever a block that is old and damaged says of how much it has."""
    clock = harness.Clock()
    clock.move(3600 - clock.now_ns() // NS % 3600)  # what is of an hour that goes on is not in parts
    start = clock.now_ns()
    runs = {"last": 1, "first": 0, "sound": None}  # of two old blocks, the one that is damaged
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        ok("policy", "set", "log_keep=40m", "--data", server.data)
        for n, run in enumerate(runs):
            c.create_run(run)
            for i in range(2):
                say(c, run, [f"old {i}\n"], start + 10 * n + i)
        clock.move(1800)
        for run in runs:
            say(c, run, ["young\n"], clock.now_ns())
    for n, at in enumerate(runs.values()):
        if at is not None:
            damage_count(server.data, start + 10 * n + at)
    clock.move(1000)
    with harness.Server(server.data, arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        wait_for(lambda: seqs(c, "sound") == [3], "old records to go")
        equal([end_of(c, run)["first_seq"] for run in runs], [2, 3, 3], "a damaged block goes with what follows it")
        equal([[r["text"] for r in c.logs(run)] for run in runs], [["young\n"]] * 3, "what is young")
        clock.move(DAY)
        wait_for(lambda: seqs(c, "sound") == [], "all to go")
        equal([end_of(c, run)["first_seq"] for run in runs], [4] * 3, "nothing left")


def test_age_counts_from_the_later():
    """Old times that arrive today are young; so is what arrived long ago and lies ahead."""
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("r", imported=True, state="finished")
        say(c, "r", ["said in 2001\n"], t_ns=1_000_000_000 * NS)
        clock.move(29 * DAY)
        say(c, "r", ["said now\n"])
        clock.move(DAY // 2)
        server.restart()
        c = server.client()
        equal(seqs(c, "r"), [1, 2], "after 29 days and a half")
        clock.move(DAY)
        wait_for(lambda: end_of(c, "r")["first_seq"] == 2, "the import to go")
        equal(seqs(c, "r"), [2])


def test_a_deleted_run_comes_back_whole():
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        for run in ("r", "other"):
            c.create_run(run, imported=True, state="finished")
            say(c, run, [f"line {i}\n" for i in range(50)])
        clock.move(28 * DAY)
        delete(c, "r")
        clock.move(5 * DAY)
        wait_for(lambda: end_of(c, "other")["first_seq"] == 51, "the other's log to go")
        equal(undelete(c, "r").status, 200)
        equal(len(c.logs("r")), 50, "what came back, until the next look in ten minutes")
        wait_for(lambda: (clock.move(600), end_of(c, "r")["first_seq"] == 51)[1], "its log to go too")


def test_searches_meanwhile():
    """Answers while records go: each an unbroken rest of what there was, each record whole."""
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("r", imported=True, state="finished")
        texts = []
        for hour in range(120):
            for _ in range(3):
                new = [f"hour {hour} record {len(texts) + i} {'x' * ((len(texts) + i) % 300)}\n" for i in range(20)]
                texts += new
                say(c, "r", new)
            clock.move(3600)
        stop, faults, seen = threading.Event(), [], []

        def search(parameters, wanted):
            client = server.client()
            while not stop.is_set():
                got = client.logs("r", **parameters)
                numbers = [r["seq"] for r in got]
                if parameters.get("direction"):
                    numbers.reverse()
                want = [s for s in wanted if numbers and s >= numbers[0]]
                if numbers != want or any(r["text"] != texts[r["seq"] - 1] for r in got):
                    faults.append((parameters, numbers[:3], want[:3]))
                seen.append(numbers[:1])

        every = list(range(1, len(texts) + 1))
        sevens = [i + 1 for i, t in enumerate(texts) if "7 record" in t]
        threads = [threading.Thread(target=search, args=a) for a in
                   (({}, every), ({"direction": "backward"}, every), ({"grep": "7 record"}, sevens),
                    ({"regex": r"\d7 rec|r 7 rec"}, sevens))]
        for t in threads:
            t.start()
        clock.move(25 * DAY - 600)
        while end_of(c, "r")["first_seq"] <= len(texts) and not faults:
            clock.move(1800)
            n = len(seen)
            wait_for(lambda: len(seen) > n + 2 or faults, "searches")
        stop.set()
        for t in threads:
            t.join()
        equal(faults[:3], [], "answers with holes")
        check(len({tuple(s) for s in seen}) > 5, "nothing went while they searched", seen[:10])


def test_sealing_meanwhile():
    """Blocks go while the sealer, which has read them, makes one of them: none comes back, the server goes on."""
    rounds = 40 if os.environ.get("ASTRAML_TEST_SHORT") else 150
    clock = harness.Clock()
    with harness.Server(arguments=("--compact-every", "5ms", "--log-block", "64KiB"), env=clock.environment) as server:
        c = server.client()
        ok("policy", "set", "log_keep=20m", "--data", server.data)
        runs = [f"r{i}" for i in range(4)]
        for run in runs:
            c.create_run(run, imported=True, state="finished")
        n = 0
        for _ in range(rounds):
            for run in runs:
                for i in range(8):
                    say(c, run, [f"{run} record {n + i * 4 + k} {'y' * 500}\n" for k in range(4)])
            n += 32
            clock.move(601)
        for run in runs:
            got = c.logs(run)
            first = got[0]["seq"] if got else n + 1
            equal([(r["seq"], r["text"]) for r in got],
                  [(s, f"{run} record {s - 1} {'y' * 500}\n") for s in range(first, n + 1)], "an unbroken rest")
        clock.move(3600)
        wait_for(lambda: all(end_of(c, run)["first_seq"] == n + 1 for run in runs), "all to go")
        check("failed" not in server.stderr() and "seal:" not in server.stderr(), server.stderr())
        ok("verify", "--data", server.data)


def test_a_follower_over_what_went():
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        from test_rm import Follower
        c = server.client()
        c.create_run("r", imported=True, state="finished")
        say(c, "r", [f"old {i}\n" for i in range(30)])
        clock.move(31 * DAY)
        say(c, "r", ["new\n"])
        wait_for(lambda: end_of(c, "r")["first_seq"] == 31, "the old to go")
        follower = Follower(server, "r")
        say(c, "r", ["newer\n"])
        wait_for(lambda: len(follower.lines) == 2, "the follower")
        equal([line["seq"] for line in follower.lines], [31, 32], "from after_seq=0")
        delete(c, "r")
        follower.join(harness.DEADLINE_S)


def test_gone_from_the_answers_of_compact():
    clock = harness.Clock()
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("r")
        say(c, "r", ["only line\n"])
    clock.move(31 * DAY)
    report = json.loads(ok("compact", "--json", "--data", server.data, env=clock.environment))
    equal((report["log_records"], report["runs"]), (1, 0), report)
    equal(json.loads(ok("compact", "--json", "--data", server.data, env=clock.environment))["log_records"], 0, "again")


if __name__ == "__main__":
    harness.main(globals())
