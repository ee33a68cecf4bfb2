"""Logs in parts: what was said comes back to the byte from wherever it lies, the data file gives its room back,
and what is deleted, kept, backed up or damaged is so in parts too."""
import glob
import gzip
import json
import os
import random
import re
import struct
import subprocess
import threading

import harness
from harness import NS, Batch, check, cli, equal, wait_for
from test_purge import DAY, find, keep_all, number
from test_rm import Follower, delete, everything, ok, same, undelete

HOUR = 3600
HERE = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "*", "*.gz")))
QUICK = ("--compact-every", "20ms", "--log-block", "8KiB", "--settle", "1s")
SLOW = ("--compact-every", "100m", "--log-block", "8KiB")


def lines_of(path, most=1 << 62):
    with gzip.open(path) as f:
        return [line for line in re.split(rb"(?<=\n)", f.read(most)) if line]


def random_lines(chance, n):
    return [chance.choice((chance.randbytes(chance.randrange(1, 300)), b"", b"\0\xff\n", b"step %d\r\n" % chance.randrange(9999),
                           b"loss %.3f\n" % chance.random())) for _ in range(n)]


def say(client, run, lines, first=0, size=7):
    """Requests of some lines; times, levels and ranks come from the line's place."""
    for at in range(0, len(lines), size):
        b = Batch()
        for i in range(first + at, first + min(at + size, len(lines))):
            b.log(lines[i - first], t_ns=1_600_000_000 * NS + i * 1_000_000, rank=i % 3, level="WARN" if i % 50 == 7 else "INFO")
        client.ingest(run, b)


def raw(run, data, **more):
    r = cli("logs", run, "--raw", "--data", data, timeout=120, **more)
    equal(r.returncode, 0, r.stderr)
    return r.stdout


def part_files(data):
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(data, "parts", "logs-*.part")))


def next_hour(clock):
    """The hour is over, for good."""
    clock.move(HOUR - clock.now_ns() // NS % HOUR + 700)


def in_parts(client, records, what):
    wait_for(lambda: number(client, "log_part_records") == records, what)


def settled(client, files):
    wait_for(lambda: number(client, "log_parts") == files, f"{files} parts")


def compact(data, clock, *arguments):
    return json.loads(ok("compact", "--json", "--data", data, *arguments, env=clock.environment))


def test_every_form_reads_the_same():
    """Young, sealed, in a part of an hour, in that of a day; two projects, runs side by side."""
    chance, clock = random.Random(1), harness.Clock()
    next_hour(clock)
    runs = {("default", f"r{i}"): lines_of(path, 200_000) for i, path in enumerate(HERE[:2])}
    runs["default", "noise"], runs["other", "r0"] = random_lines(chance, 900), lines_of(HERE[-1], 100_000)
    said = dict.fromkeys(runs, 0)
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        for project, run in runs:
            server.client(project=project).create_run(run)

        def more(share):
            for (project, run), lines in runs.items():
                n = int(len(lines) * share) + 1
                say(server.client(project=project), run, lines[said[project, run]:][:n], said[project, run])
                said[project, run] = min(said[project, run] + n, len(lines))

        def look(what):
            for (project, run), lines in runs.items():
                want = lines[:said[project, run]]
                check(raw(run, server.data, env={"ASTRAML_PROJECT": project}) == b"".join(want), what, project, run)
                records = server.client(project=project).logs(run)
                equal([r["seq"] for r in records], list(range(1, len(want) + 1)), f"{what}: sequences of {run}")
                for i, r in enumerate(records):
                    text = want[i].decode("utf-8", "replace")
                    check(r["text"] == text or r.get("text_base64"), what, run, i, r)
                    equal((r["level"], r["rank"]), ("warn" if i % 50 == 7 else "info", i % 3), f"{what}: {run} {i}")
                back = server.client(project=project).logs(run, direction="backward")
                check(back == records[::-1], what, run, "backward")

        more(0.3)
        look("young")
        total = lambda: sum(said.values())
        for hour in range(3):
            next_hour(clock)
            in_parts(server.client(), total(), "the logs of the hour")
            look(f"in a part, hour {hour}")
            more(0.2)
            look(f"in a part, sealed and young, hour {hour}")
        check(number(server.client(), "log_blocks") > 0, "nothing is young")
        clock.move(DAY + HOUR)
        in_parts(server.client(), total(), "all of them")
        settled(server.client(), 2)  # one of each project
        look("in the part of a day")
        equal(number(server.client(), "log_blocks"), 0, "blocks in the data file")
        check("compact:" not in server.stderr(), server.stderr())
        server.restart()
        look("after a restart")
        ok("verify", "--data", server.data)
    equal(len(part_files(server.data)), 2, "files")


def test_quiet_runs_are_sealed_together():
    """A line now and then: fewer blocks, and fewer bytes than they took."""
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=(*QUICK[:3], "1MiB", *QUICK[4:]), env=clock.environment) as server:
        c = server.client()
        c.create_run("quiet")
        for i in range(300):
            say(c, "quiet", [b"epoch %d done, loss %.4f, lr 0.001, throughput %d images/s\n" % (i, 3 / (i + 1), i * 7)], i)
        before, blocks = number(c, "log_block_bytes"), number(c, "log_blocks")
        equal(blocks, 300, "young blocks")
        next_hour(clock)
        in_parts(c, 300, "the lines")
        stored = {r["tier"]: r for r in c.get("/usage").json()["stored"] if r["kind"] == "logs"}
        equal((stored["parts"]["records"], stored["parts"]["pieces"]), (300, 1), "usage")
        check(stored["parts"]["bytes"] * 5 < before, stored, before)
        equal(len(c.logs("quiet")), 300)


def naive(lines, grep=None, regex=None, level=None, around=None):
    found = [i for i, line in enumerate(lines)
             if (grep is None or grep in line) and (regex is None or re.search(regex, line.rstrip(b"\n").rstrip(b"\r")))
             and (level is None or i % 50 == 7)]
    return [i + 1 for i in found]


def test_search_over_all_of_them():
    """A run that lies in a day's part, in hours' parts, in sealed and in young blocks."""
    chance, clock = random.Random(3), harness.Clock()
    next_hour(clock)
    lines = lines_of(HERE[0], 150_000)
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("r")
        c.create_run("beside")
        cuts = [0, len(lines) // 3, len(lines) // 2, len(lines) * 2 // 3, len(lines) * 5 // 6, len(lines) - 20, len(lines)]
        follower = Follower(server, "r")
        for stage, (a, b) in enumerate(zip(cuts, cuts[1:])):
            say(c, "r", lines[a:b], a, 5 if stage == 4 else 9)
            say(c, "beside", [b"something else\n"] * 9, size=2)
            if stage < 4:
                clock.move(DAY if stage in (0, 1) else 0)
                next_hour(clock)
                in_parts(c, b + 9 * (stage + 1), "the hour")
        check(2 <= number(c, "log_parts") <= 4 and number(c, "log_blocks") > 2, number(c, "log_parts"), number(c, "log_blocks"))
        text = [line.decode("utf-8", "replace") for line in lines]
        for i in range(60):
            line = chance.choice(lines)
            at = chance.randrange(len(line))
            grep = line[at:at + chance.choice((1, 3, 8, 20))]
            if i % 4 == 0:
                grep = grep[:-1] + chance.choice((b"7", b"x", b"0"))
            if not grep or grep.strip(b"\r\n") != grep or b"\xef" in grep:
                continue
            ask, want = {"grep": grep}, naive(lines, grep=grep)
            if i % 3 == 0:
                ask["level"], want = "warn", naive(lines, grep=grep, level="warn")
            got = c.logs("r", **ask)
            equal([r["seq"] for r in got], want, ask)
            equal([r["text"] for r in got], [text[s - 1] for s in want], ask)
            equal([r["seq"] for r in c.logs("r", direction="backward", limit=5, **ask)], want[::-1][:5], f"{ask} backward")
            after = chance.randrange(len(lines))
            equal([r["seq"] for r in c.logs("r", after_seq=after, **ask)], [s for s in want if s > after], f"{ask} after {after}")
            near = [r["seq"] for r in c.logs("r", context=3, **{k: v for k, v in ask.items() if k != "level"})]
            hits = naive(lines, grep=grep)
            equal(near, sorted({s + d for s in hits for d in range(-3, 4) if 1 <= s + d <= len(lines)}), f"{ask} context")
        for regex in (rb"\d+\.\d+", rb"(?i)error|warn", rb"run_st(art|op)", rb"^:::MLL.*value", rb"seed\D+\d"):
            equal([r["seq"] for r in c.logs("r", regex=regex)], naive(lines, regex=regex), regex)
        for first in (0, cuts[1] - 3, cuts[2], cuts[4] - 1, cuts[5]):
            equal([r["seq"] for r in c.logs("r", after_seq=first, limit=9)], list(range(first + 1, min(first + 10, len(lines) + 1))))
        histogram = c.get("/runs/r/logs/histogram", points=10).json()
        equal(histogram["records"], len(lines), "the histogram")
        explained = cli("logs", "r", "--explain", "--level", "fatal", "--data", server.data).stderr
        opened, blocks = (int(n) for n in re.search(rb"opened (\d+) of (\d+) stored blocks", explained).groups())
        check(opened == 0 and blocks > 5, explained)
        wait_for(lambda: len(follower.lines) >= len(lines), "the follower")
        equal([r["seq"] for r in follower.lines], list(range(1, len(lines) + 1)), "followed across the moving")
        check([r["text"] for r in follower.lines] == text, "what was followed")
        late = Follower(server, "r")
        say(c, "r", [b"one more\n"], len(lines))
        wait_for(lambda: len(late.lines) > len(lines), "a follower that comes late")
        check([r["text"] for r in late.lines] == text + ["one more\n"], "what it got")
        lines.append(b"one more\n")
        beside = [json.loads(line) for line in ok("logs", "r", "--json", "--data", server.data).splitlines()][:-1]
        check(beside == c.logs("r"), "another process")


def test_another_process_meanwhile():
    """Readers beside the server and in it, while blocks move, hours are merged, and more comes."""
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=("--compact-every", "5ms", "--log-block", "2KiB", "--settle", "1s"), env=clock.environment) as server:
        c = server.client()
        c.create_run("r")
        lines, stop, faults, answers = [], threading.Event(), [], [0, 0]

        def whole(got, least, what):
            if got != [b"line %d of the run\n" % i for i in range(len(got))] or len(got) < least:
                faults.append((what, len(got), least))

        def beside():
            while not stop.is_set():
                least = len(lines)
                whole(raw("r", server.data).splitlines(True), least, "beside")
                answers[0] += 1

        def inside(**ask):
            client = server.client()
            while not stop.is_set():
                least = len(lines)
                got = client.logs("r", **ask)
                got = got[::-1] if ask else got
                if [r["seq"] for r in got] != list(range(1, len(got) + 1)):
                    faults.append(("sequences", [r["seq"] for r in got][:3]))
                whole([r["text"].encode() for r in got], least, f"inside {ask}")
                answers[1] += 1

        threads = [threading.Thread(target=beside), threading.Thread(target=inside),
                   threading.Thread(target=inside, kwargs={"direction": "backward"})]
        for t in threads:
            t.start()
        for hour in range(60):
            new = [b"line %d of the run\n" % (len(lines) + i) for i in range(60)]
            say(c, "r", new, len(lines))
            lines += new
            next_hour(clock)
            if hour % 2:
                in_parts(c, len(lines), "the hour")
        stop.set()
        for t in threads:
            t.join()
        equal(faults[:3], [], "answers")
        check(min(answers) > 5, answers)
        check("compact:" not in server.stderr(), server.stderr())
        ok("verify", "--data", server.data)


def test_sealing_meanwhile():
    """Hours end while their blocks are being sealed: each record goes into a part once, as it was or sealed."""
    rounds = 40 if os.environ.get("ASTRAML_TEST_SHORT") else 120
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=("--compact-every", "1ms", "--log-block", "4KiB", "--settle", "1ms"), env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        runs = [f"r{i}" for i in range(6)]
        for run in runs:
            c.create_run(run, imported=True, state="finished")
        n = 0
        for _ in range(rounds):
            for run in runs:
                say(c, run, [b"%s record %d %s\n" % (run.encode(), n + i, b"y" * 500) for i in range(24)], n, 3)
            n += 24
            clock.move(HOUR)
        clock.move(2 * HOUR)
        in_parts(c, n * len(runs), "all of them")
        for run in runs:
            equal([(r["seq"], r["text"]) for r in c.logs(run)], [(i + 1, f"{run} record {i} {'y' * 500}\n") for i in range(n)], run)
        check("failed" not in server.stderr() and "compact:" not in server.stderr(), server.stderr())
        ok("verify", "--data", server.data)


def test_a_slow_reader():
    """It gets each line once, in order, while what it reads is merged, moved and dropped between its slices."""
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=("--compact-every", "20ms", "--log-block", "64KiB", "--settle", "1s", "--query-threads", "8"), env=clock.environment) as server:
        c = server.client()
        c.create_run("r", imported=True, state="finished")
        chance, lines = random.Random(8), []
        for _ in range(4):
            new = [b"line %d of %s\n" % (len(lines) + i, chance.randbytes(350).hex().encode()) for i in range(6000)]
            say(c, "r", new, len(lines), 500)
            lines += new
            next_hour(clock)
            in_parts(c, len(lines), "the hour")
        check(number(c, "log_parts") > 2, "merged already")
        asked = [{}, {"direction": "backward"}, {"grep": "line"}, {"grep": "line", "direction": "backward"}, {"level": "warn", "context": 50}, "export"]
        readers = []
        for ask in asked:
            connection = server.client()._connect()
            path = "export" if ask == "export" else "logs?" + "&".join(f"{k}={v}" for k, v in {"limit": 1_000_000, **ask}.items())
            connection.request("GET", c.path(f"/runs/r/{path}"), headers={"Authorization": f"Bearer {server.token}"})
            response = connection.getresponse()
            readers.append((ask, connection, response, [response.read(100_000)]))
        clock.move(DAY)
        settled(c, 1)
        for *_, response, pieces in readers:
            pieces.append(response.read(6_000_000))
        clock.move(31 * DAY)
        settled(c, 0)
        for ask, connection, response, pieces in readers:
            *records, end = [json.loads(line) for line in (b"".join(pieces) + response.read()).splitlines()]
            connection.close()
            if ask == "export":
                said = [r["log"].encode() for r in records if "log" in r]
                check(said == lines, "the export has", len(said), "lines")
                continue
            got = [r["seq"] for r in (records[::-1] if "direction" in ask else records)]
            equal((got[:3], got[-3:], len(got)), ([1, 2, 3], [23998, 23999, 24000], 24000), ask)
            check(got == list(range(1, 24001)), ask, "not in order")
            check(all(r["text"].encode() == lines[r["seq"] - 1] for r in records), ask, "another text")
            equal(end["end"]["partial"], False, ask)


def test_room_comes_back():
    """log_keep takes whole files; the data file does not grow with what is in parts."""
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        ok("policy", "set", "log_keep=10d", "--data", server.data)
        c.create_run("r", imported=True, state="finished")
        chance, sizes = random.Random(5), []
        disk = lambda: sum(os.path.getsize(p) for p in glob.glob(os.path.join(server.data, "parts", "logs-*")))
        for day in range(25):
            say(c, "r", [chance.randbytes(400).hex().encode() + b"\n" for _ in range(400)], 400 * day, 40)
            clock.move(DAY)
            next_hour(clock)
            wait_for(lambda: number(c, "log_blocks") == 0, "the day")
            equal(len(c.logs("r", limit=3)), 3)  # so that its file is open
            sizes.append((number(c, "file_bytes"), disk()))
        wait_for(lambda: number(c, "log_parts") <= 12, "old parts to go")
        check(max(f for f, _ in sizes[5:]) <= 2 * sizes[4][0], "the data file grows", sizes)
        check(disk() <= 1.2 * sizes[10][1], "files stay", sizes)
        kept = [r["seq"] for r in c.logs("r")]
        equal(kept, list(range(kept[0], 10001)), "an unbroken rest")
        check(kept[0] % 400 == 1 and 3200 <= 10001 - kept[0] <= 4400, "whole days of 25 hours, but", kept[0])
        opened = {os.path.basename(os.path.realpath(p)) for p in glob.glob(f"/proc/{server.pid}/fd/*")}
        check(not any("deleted" in name and "logs-" in name for name in opened), "files that are gone are open", opened)
        clock.move(20 * DAY)
        wait_for(lambda: number(c, "log_parts") == 0, "all to go")
        equal((c.logs("r"), part_files(server.data)), ([], []))
        say(c, "r", [b"again\n"], 10000)
        equal([r["seq"] for r in c.logs("r")], [10001], "sequences only rise")


def test_a_deleted_run_in_parts():
    """It comes back to the bit before 7 days are over, also out of a part that is past log_keep; then its bytes go."""
    clock = harness.Clock()
    next_hour(clock)
    secret = b"quokka-4711-rottnest"
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        ok("policy", "set", "log_keep=10d", "--data", server.data)
        for run in ("kept", "back", "gone"):
            c.create_run(run, imported=True, state="finished")
            say(c, run, [b"%s %s line %d\n" % (run.encode(), os.urandom(40).hex().encode() + (secret if run == "gone" else b""), i)
                         for i in range(200)])
        clock.move(DAY)
        next_hour(clock)
        in_parts(c, 600, "the day")
        before = {run: everything(c, run) for run in ("kept", "back", "gone")}
        clock.move(4 * DAY)
        delete(c, "gone")
        equal(undelete(c, "gone").status, 200)
        same(everything(c, "gone"), before["gone"], "back at once")
        delete(c, "gone")
        clock.move(2 * DAY)
        delete(c, "back")
        clock.move(3 * DAY)  # the part is past log_keep, `kept` goes
        wait_for(lambda: number(c, "log_part_records") == 400, "the log of kept to go")
        equal(c.logs("kept"), [])
        equal(undelete(c, "back").status, 200)
        same([r for r in everything(c, "back")[3:]], before["back"][3:], "out of an old part")
        clock.move(3 * DAY)
        wait_for(lambda: number(c, "deleted_runs") == 0 and number(c, "log_parts") == 0, "the purge, and the rest by log_keep")
        equal([f for f in find(server.data, secret) if not f.startswith("hot")], [], "files with its bytes")
        ok("verify", "--data", server.data)


def test_a_purged_run_leaves_its_part():
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        for run in ("a", "b", "c"):
            c.create_run(run, imported=True, state="finished")
            say(c, run, [b"%s line %d\n" % (run.encode(), i) for i in range(300)])
        clock.move(DAY)
        next_hour(clock)
        in_parts(c, 900, "the day")
        before, files = everything(c, "c"), part_files(server.data)
        delete(c, "b")
        clock.move(7 * DAY + 60)
        in_parts(c, 600, "the part without it")
        check(part_files(server.data) != files and len(part_files(server.data)) == 1, part_files(server.data))
        same(everything(c, "c"), before, "another run of the part")
        c.create_run("b")
        say(c, "b", [b"new\n"])
        equal([(r["seq"], r["text"]) for r in c.logs("b")], [(1, "new\n")], "the id again")
        ok("verify", "--data", server.data)


def stored_logs(clock, hours=3, each=400):
    """A stopped store with logs in parts, and what was said."""
    with harness.Server(arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        keep_all(server)
        lines = {run: [] for run in ("r", "s")}
        for run in lines:
            c.create_run(run, imported=True, state="finished")
        for _ in range(hours):
            for run in lines:
                new = [b"%s line %d %s\n" % (run.encode(), len(lines[run]) + i, os.urandom(30).hex().encode()) for i in range(each)]
                say(c, run, new, len(lines[run]), 40)
                lines[run] += new
            next_hour(clock)
            in_parts(c, sum(map(len, lines.values())), "the hour")
    return server.data, lines


def test_a_backup_copies_parts_once():
    clock = harness.Clock()
    next_hour(clock)
    data, lines = stored_logs(clock)
    place = harness.scratch()
    copy, archive = os.path.join(place, "copy"), os.path.join(place, "copy.tar.zst")
    inodes = lambda: {n: os.stat(os.path.join(copy, "parts", n)).st_ino for n in part_files(copy)}
    reports = [json.loads(ok("backup", copy, "--data", data, "--json"))]
    first = inodes()
    reports.append(json.loads(ok("backup", copy, "--data", data, "--json")))
    check(len(first) == len(part_files(data)) >= 1, first)
    equal(inodes(), first, "the files of the second backup are those of the first")
    equal(reports[1]["parts_kept"], reports[1]["parts"], "kept")
    check(reports[1]["bytes_written"] < reports[0]["bytes_written"], reports)
    ok("backup", archive, "--data", data)
    for n, source in enumerate((copy, archive)):
        restored = os.path.join(place, f"data{n}")
        ok("restore", source, "--data", restored)
        for run in lines:
            check(raw(run, restored) == b"".join(lines[run]), source, run)


def damage(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def test_damage_is_named_and_the_rest_is_served():
    clock = harness.Clock()
    next_hour(clock)
    data, lines = stored_logs(clock)
    path = os.path.join(data, "parts", part_files(data)[0])
    damage(path, 3000)  # in a block of the first run
    verify = cli("verify", "--data", data)
    equal(verify.returncode, 5, verify.stdout)
    told = re.findall(rb"part (\S+): run (\w+) of project default: a block is damaged, so (\d+) log records, (\d+) to (\d+)", verify.stdout + verify.stderr)
    equal(len(told), 1, verify.stdout + verify.stderr)
    file, run, n, first, last = told[0]
    equal((file.decode(), run, int(last) - int(first) + 1), (part_files(data)[0], b"r", int(n)), "what is told")
    rest = [r for i, r in enumerate(lines["r"]) if not int(first) <= i + 1 <= int(last)]
    check(len(rest) < len(lines["r"]) and int(n) < len(lines["r"]), told)
    with harness.Server(data, arguments=QUICK, env=clock.environment) as server:
        c = server.client()

        def look(what):
            answer = [json.loads(line) for line in c.get("/runs/r/logs", limit=1_000_000).body.splitlines()]
            equal(answer[-1]["end"]["partial"], True, f"{what}: partial")
            equal([r["text"].encode() for r in answer[:-1]], rest, what)
            back = [r["text"].encode() for r in c.logs("r", direction="backward")]
            equal(back[::-1], rest, f"{what}: backward")
            equal([r["text"].encode() for r in c.logs("s")], lines["s"], f"{what}: another run")
            equal([r["text"].encode() for r in c.logs("r", grep="line 1")], [t for t in rest if b"line 1" in t], f"{what}: searched")

        look("damaged")
        files = part_files(data)
        clock.move(DAY + HOUR)
        wait_for(lambda: len(part_files(data)) == 1 and part_files(data) != files, "the day")
        look("carried on into the day's part")
        check("compact:" not in server.stderr(), server.stderr())
        told = cli("verify", "--data", data)
        check(b"log records, %s to %s" % (first, last) in told.stdout + told.stderr, told.stdout)
    # a file of which nothing can be read
    damage(path := os.path.join(data, "parts", part_files(data)[0]), os.path.getsize(path) - 40)
    with harness.Server(data, arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        say(c, "s", [b"more\n"], len(lines["s"]))
        end = json.loads(c.get("/runs/s/logs").body.splitlines()[-1])["end"]
        equal(([r["text"] for r in c.logs("s")], end["partial"]), (["more\n"], True), "what is not in it")
        told = cli("verify", "--data", data)
        equal(told.returncode, 5, "verify")
        for run in ("r", "s"):
            words = f"part {os.path.basename(path)}: run {run} of project default: the file cannot be read, so 1200 log records, 1 to 1200"
            check(words.encode() in told.stdout + told.stderr, told.stdout)


def damage_time(data, t_ns, bits):
    """Of blocks in the database whose least time is that: all copies, since old pages may have some."""
    path, found = os.path.join(data, "hot", "data.mdb"), 0
    with open(path, "r+b") as f:
        whole = f.read()
        while (at := whole.find(struct.pack("<q", t_ns))) >= 0:
            whole, found = whole[:at] + b"\0" * 8 + whole[at + 8:], found + 1
            f.seek(at + 7)
            f.write(bytes([struct.pack("<q", t_ns)[7] ^ bits]))
    check(found, "no block with that time")


def test_damaged_times_hold_nothing_up():
    """A block is not believed what a damaged prefix says of its age: it goes with its neighbours."""
    clock = harness.Clock()
    next_hour(clock)
    start = clock.now_ns() - 100 * NS
    with harness.Server(env=clock.environment) as server:
        c = server.client()
        for run, at in ("first", start), ("middle", start + 10):
            c.create_run(run)
            for i in range(3):
                c.ingest(run, Batch().log(b"%d\n" % i, t_ns=at + i * NS, level="INFO"))
    damage_time(server.data, start, 0x40)  # of 1 of 3, and of 2 of 3: now in the 22nd century
    damage_time(server.data, start + 10 + NS, 0x40)
    with harness.Server(server.data, arguments=QUICK, env=clock.environment) as server:
        c = server.client()

        def look():
            for run, left in (("first", [2, 3]), ("middle", [1, 3])):
                equal([r["seq"] for r in c.logs(run)], left, run)
                equal(json.loads(c.get(f"/runs/{run}/logs").body.splitlines()[-1])["end"]["partial"], True, run)
            check(c.get("/runs/first/logs/histogram", points=100).json()["every_ms"] <= 100_000, "windows")

        look()
        next_hour(clock)
        in_parts(c, 6, "all of them")
        look()
        clock.move(29 * DAY)
        settled(c, 1)
        look()
        clock.move(2 * DAY)
        settled(c, 0)
        equal((c.logs("first"), c.logs("middle")), ([], []), "past log_keep")


def test_an_unreadable_file_is_told_once():
    """Of a part that is old, and stays for a deleted run, as often as the sweep looks at it."""
    clock = harness.Clock()
    next_hour(clock)
    data, _ = stored_logs(clock, hours=1)
    damage(path := os.path.join(data, "parts", part_files(data)[0]), os.path.getsize(path) - 40)
    with harness.Server(data, arguments=QUICK, env=clock.environment) as server:
        c = server.client()
        c.create_run("canary")
        equal(delete(c, "s").status, 200)
        ok("policy", "set", "log_keep=1d", "--data", data)
        for n in range(1, 4):
            c.ingest("canary", Batch().log(b"x\n"))
            clock.move(2 * DAY)
            wait_for(lambda: c.logs("canary") == [], "the sweep")
        equal(server.stderr().count(os.path.basename(path)), 1, "told")


def test_compact_without_a_server():
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=SLOW, env=clock.environment) as server:
        c = server.client()
        c.create_run("r")
        say(c, "r", lines_of(HERE[0], 60_000))
        total = number(c, "log_records_total")
        next_hour(clock)
        now = clock.now_ns()
        say(c, "r", [b"the last\n"], total)
    data, want = server.data, raw("r", server.data)
    report = compact(data, clock, "--dry-run")
    equal((report["log_parts"], part_files(data)), (0, []), "a dry run")
    said = ok("compact", "--dry-run", "--data", data, env=clock.environment).decode()
    check(re.search(rf"project default, logs that arrived before \S+: {total} records", said), said)
    early = ok("compact", "--until", "2020-01-01T00:00:00Z", "--json", "--data", data, env=clock.environment)
    equal(json.loads(early)["moved_records"], 0, "until long ago")
    report = compact(data, clock)
    equal((report["log_parts"], report["moved_records"]), (1, total), report)
    check(raw("r", data) == want, "the log")
    report = compact(data, clock)
    equal((report["log_parts"], report["moved_records"]), (0, 0), "again")
    for stray in ("parts/logs-1-99.part", "tmp/logs-1-98.part"):
        with open(os.path.join(data, stray), "w") as f:
            f.write("left by a crash")
    with harness.Server(data, arguments=SLOW, env=clock.environment):
        equal(part_files(data), ["logs-1-1.part"], "what no row names is swept")


def test_every_log_at_hand():
    """All logs of ../shared/data: --raw is the file, out of parts of hours and of a day."""
    files = [f for place in ("mlperf_training", "algoperf/logs", "speedrun", "param_golf")
             for f in sorted(glob.glob(os.path.join(harness.ROOT, "..", "shared", "data", place, "**", "*.gz"), recursive=True))]
    if not files:
        raise harness.Skip("../shared/data is not there")
    clock = harness.Clock()
    next_hour(clock)
    with harness.Server(arguments=("--compact-every", "20ms", "--log-block", "256KiB", "--settle", "1s"), env=clock.environment) as server:
        c = server.client()
        for i, path in enumerate(files):
            r = cli("import", "text", "--run", f"f{i}", "--start", "2024-01-01T00:00:00Z", path, "--data", server.data)
            equal(r.returncode, 0, r.stderr)
            if i == len(files) // 2:
                next_hour(clock)
        next_hour(clock)
        wait_for(lambda: number(c, "log_blocks") == 0, "the hours", 240)
        clock.move(DAY + HOUR)
        settled(c, 1)
        total = 0
        for i, path in enumerate(files):
            with gzip.open(path) as f:
                content = f.read()
            total += len(content)
            check(raw(f"f{i}", server.data) == content, path, "is not what --raw gives")
        ok("verify", "--data", server.data)
        size = sum(os.path.getsize(os.path.join(server.data, "parts", f)) for f in part_files(server.data))
        harness.diagnostics(f"{len(files)} logs of {total >> 20} MiB in {size / 2**20:.1f} MiB, {number(c, 'log_part_records')} records")


if __name__ == "__main__":
    harness.main(globals())
