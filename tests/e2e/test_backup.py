"""`backup` of a directory that is written, into a directory or an archive, `restore`, and what neither may do."""
import glob
import io
import json
import os
import random
import subprocess
import tarfile
import time

import harness
import load
from harness import Batch, NS, check, equal
from test_process import mount, said, serve


def backup(data, to, **options):
    return harness.cli("backup", to, "--data", data, **options)


def restore(source, data):
    return harness.cli("restore", source, "--data", data)


def small_store():
    """A server with one run, stopped: its directory."""
    with harness.Server() as server:
        client = server.client()
        client.create_run("r")
        b = Batch()
        s = b.series("loss")
        b.sample(s, 1_600_000_000 * NS, 0.1, step=1)
        b.log("a line\n", t_ns=1_600_000_000 * NS)
        client.ingest("r", b)
    return server.data


def test_under_load():
    """Each backup holds what was acknowledged before it began, whole and once; a server on what is
    restored takes the resends of everything and has no batch twice."""
    small = ("--memory", "256KiB", "--journal", "256KiB", "--flush-every", "50ms", "--grace", "100ms", "--log-block", "2KiB",
             "--compact-every", "10ms", "--late-wait", "10ms")
    place = harness.scratch()
    producers = load.producers(4, runs=2)
    with harness.Server(arguments=small) as server:
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        for i in range(3):
            harness.wait_for(lambda: pushing.acknowledged() > 200 * (i + 1) or pushing.wrong, "load")
            before = load.acknowledged_of(producers)
            result = backup(server.data, os.path.join(place, "copy"))  # each replaces the one before
            equal(result.returncode, 0, said(result))
            check(b"verified" in result.stdout, result.stdout)
            with_backup = texts_of(os.path.join(place, "copy"))
            present, complaints = load.present_of(with_backup, producers)
            equal(complaints + load.missing(before, present), [], "the backup against the ledger")
        pushing.stop()
        old_token = server.token
    equal(sorted(os.listdir(place)), ["copy"], "nothing else is left beside it")
    check("owner.token" not in os.listdir(os.path.join(place, "copy")), "the owner's token was copied")
    data = os.path.join(place, "data")
    result = restore(os.path.join(place, "copy"), data)
    equal(result.returncode, 0, said(result))
    with harness.Server(data) as server:
        check(server.token != old_token, "the restored store has the old owner's token")
        equal(harness.Client(server.url, old_token).get("/runs").status, 401, "the old token")
        client = server.client()
        for p in producers:
            for sequence in sorted(p.acked):
                answer = client.post_ingest(p.run, p.batch(sequence))
                equal(answer.status, 200, f"resend: {answer}")
                equal(harness.response_of(answer).duplicate, (p.number, sequence) in present, "duplicate")
        load.check_served(client, producers, load.acknowledged_of(producers))


def texts_of(data):
    """All log texts, read from a directory that nobody serves."""
    texts = []
    for run in json.loads(harness.cli("runs", "--json", "--data", data).stdout)["runs"]:
        lines = harness.cli("logs", run["id"], "--json", "--data", data).stdout.splitlines()
        texts += [r["text"] for r in map(json.loads, lines) if "text" in r]
    return texts


def test_a_backup_answers_like_its_store():
    data = small_store()
    copy = os.path.join(harness.scratch(), "copy")
    equal(backup(data, copy).returncode, 0)
    for verb in (["runs"], ["metrics", "r"], ["get", "r", "loss"], ["logs", "r", "--raw"]):
        a, b = (harness.cli(*verb, "--json", "--data", d) for d in (data, copy))
        equal(a.stdout.replace(data.encode(), b""), b.stdout.replace(copy.encode(), b""), verb)
        check(b.returncode == 0 and b.stdout, said(b))


def test_a_backup_is_not_served():
    data = small_store()
    copy = os.path.join(harness.scratch(), "copy")
    backup(data, copy)
    result = serve(copy)
    equal(result.returncode, 5, said(result))
    check("restore" in said(result), said(result))


def test_what_is_in_the_way_stays():
    data = small_store()
    place = harness.scratch()
    with open(os.path.join(place, "thesis.tex"), "w") as f:
        f.write("mine")
    for result in (backup(data, place), restore(place, data), backup(data, data)):
        check(result.returncode != 0 and said(result), "it was taken")
    copy = os.path.join(harness.scratch(), "copy")
    backup(data, copy)
    result = restore(copy, place)
    check(result.returncode == 2 and "new directory" in said(result), said(result))
    equal(os.listdir(place), ["thesis.tex"], "the directory in the way")
    equal(harness.cli("verify", "--data", data).returncode, 0, "the store")


def test_a_damaged_store_makes_no_backup():
    """The earlier backup stays, and the message says why."""
    data = small_store()
    copy = os.path.join(harness.scratch(), "copy")
    equal(backup(data, copy).returncode, 0)
    path = os.path.join(data, "hot", "data.mdb")
    with open(path, "r+b") as f:
        content = f.read()
        at = content.index(b"a line\n")
        f.seek(at)
        f.write(b"A")
    result = backup(data, copy)
    check(result.returncode == 5 and "damaged" in said(result), said(result))
    equal(texts_of(copy), ["a line\n"], "the earlier backup")
    check(not os.path.exists(copy + ".new"), "a broken copy was left")


def test_a_full_disk():
    data = small_store()
    place = mount("tmpfs", 1)
    copy = os.path.join(place, "copy")
    equal(backup(data, copy).returncode, 0)
    fd = os.open(os.path.join(place, "ballast"), os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:  # full
        os.close(fd)
    result = backup(data, copy)
    check(result.returncode == 5 and "space" in said(result), said(result))
    equal(sorted(os.listdir(place)), ["ballast", "copy"], "what is left")
    equal(texts_of(copy), ["a line\n"], "the earlier backup")


# ---- parts ----

LOGS = sorted(glob.glob(os.path.join(harness.ROOT, "tests", "data", "mlperf_training", "v[025]*", "*.gz")))


def sealed_store():
    """Real runs, old enough that all their metrics are in parts."""
    data = os.path.join(harness.scratch(), "data")
    for verb in (["import", "mllog", *LOGS], ["compact"]):
        result = harness.cli(*verb, "--data", data, timeout=120)
        equal(result.returncode, 0, said(result))
    return data


def answers(data):
    """Every window and every log byte of every run."""
    found = {}
    for run in json.loads(harness.cli("runs", "--json", "--data", data).stdout)["runs"]:
        got = [harness.cli(*verb, "--data", data) for verb in
               (["get", run["id"], "*", "--json"], ["metrics", run["id"], "--json"], ["logs", run["id"], "--raw"])]
        equal([g.returncode for g in got], [0, 0, 0], [said(g) for g in got])
        windows = json.loads(got[0].stdout)
        windows.pop("complete_until")  # moves on with the clock
        found[run["id"]] = (windows, *(g.stdout for g in got[1:]))
    return found


def parts_of(data):
    """name: (inode, bytes)"""
    found = {}
    for e in os.scandir(os.path.join(data, "parts")):
        found[e.name] = (e.inode(), e.stat().st_size)
    return found


def sums_hold(directory):
    result = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=directory, capture_output=True)
    equal(result.returncode, 0, result.stdout)


def test_the_second_backup_copies_what_is_new():
    data = sealed_store()
    before = answers(data)
    copy = os.path.join(harness.scratch(), "copy")
    equal(backup(data, copy).returncode, 0)
    first = parts_of(copy)
    check(len(first) >= 3, "parts", first)
    sums_hold(copy)
    with harness.Server(data) as server:
        server.client().create_run("more")
        server.client().ingest("more", Batch().log("a new run", t_ns=1_700_000_000 * NS))
    report = json.loads(harness.cli("backup", copy, "--json", "--data", data).stdout)
    equal((report["parts"], report["parts_kept"]), (len(first), len(first)), "parts kept")
    equal(parts_of(copy), first, "the parts of the second backup are the files of the first")
    size = sum(os.path.getsize(os.path.join(copy, name)) for name in ("hot/data.mdb", "VERSION"))
    equal(report["bytes_written"], size, "bytes written: all but the parts")
    sums_hold(copy)
    found = answers(copy)
    found.pop("more")
    equal(found, before, "answers of the second backup")


def test_a_rotten_part_of_an_earlier_backup_is_replaced():
    data = sealed_store()
    copy = os.path.join(harness.scratch(), "copy")
    equal(backup(data, copy).returncode, 0)
    name, (_, size) = sorted(parts_of(copy).items())[0]
    for at in (size // 2, size - 10, 20):  # a block, the footer, the header
        with open(os.path.join(copy, "parts", name), "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 4]))
        result = backup(data, copy)
        equal(result.returncode, 0, said(result))
        equal(harness.cli("verify", "--data", copy).returncode, 0, "verify")
        with open(os.path.join(copy, "parts", name), "rb") as a, open(os.path.join(data, "parts", name), "rb") as b:
            check(a.read() == b.read(), "the part")


def timed(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_interrupted_backups():
    """kill -9 at any moment: what was there stays whole, and the next one removes what is left."""
    data = sealed_store()
    before = answers(data)
    place = harness.scratch()
    chance = random.Random(3)
    for name in ("copy", "copy.tar.zst"):
        to = os.path.join(place, name)
        usual = timed(lambda: equal(backup(data, to).returncode, 0))
        killed = 0
        while killed < 8:
            process = subprocess.Popen([harness.PROGRAM, "backup", to, "--data", data], stdout=subprocess.DEVNULL,
                                       env=harness.program_environment())
            try:
                usual = timed(lambda: process.wait(chance.uniform(0, usual)))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += process.wait() == -9
            check_backup(to, before)
        result = backup(data, to)
        equal(result.returncode, 0, said(result))
        check_backup(to, before)
    equal(sorted(os.listdir(place)), ["copy", "copy.tar.zst"], "what is left beside them")


def check_backup(to, before):
    if os.path.isdir(to):
        equal(harness.cli("verify", "--data", to).returncode, 0, "verify")
        equal(answers(to), before, "the backup")
        return
    data = os.path.join(harness.scratch(), "restored")
    result = restore(to, data)
    equal(result.returncode, 0, said(result))
    equal(answers(data), before, "what the archive gives back")


# ---- archives ----

def test_archives_answer_like_their_store():
    data = sealed_store()
    before = answers(data)
    for name in ("copy.tar", "copy.tar.zst"):
        place = harness.scratch()
        path = os.path.join(place, name)
        for _ in range(2):  # the second takes the place of the first
            result = backup(data, path)
            equal(result.returncode, 0, said(result))
        equal(os.listdir(place), [name], "what is in the place")
        check_backup(path, before)
        unpacked = os.path.join(place, "unpacked")  # with nobody's program but tar and sha256sum
        os.mkdir(unpacked)
        subprocess.run(["tar", "-xf", path, "-C", unpacked], check=True)
        sums_hold(unpacked)
        check("owner.token" not in os.listdir(unpacked), "the owner's token is in the archive")


def test_archives_under_load():
    """Each holds what was acknowledged before it began, once."""
    small = ("--memory", "256KiB", "--journal", "256KiB", "--flush-every", "50ms", "--grace", "100ms", "--log-block", "2KiB",
             "--compact-every", "10ms", "--late-wait", "10ms")
    producers = load.producers(4, runs=2)
    place = harness.scratch()
    with harness.Server(arguments=small) as server:
        for run in ("run-0", "run-1"):
            server.client().create_run(run)
        pushing = load.Load(producers).start(server)
        for i, name in enumerate(("a.tar", "b.tar.zst")):
            harness.wait_for(lambda: pushing.acknowledged() > 300 * (i + 1) or pushing.wrong, "load")
            before = load.acknowledged_of(producers)
            result = backup(server.data, os.path.join(place, name))
            equal(result.returncode, 0, said(result))
            restored = os.path.join(place, name + ".restored")
            result = restore(os.path.join(place, name), restored)
            equal(result.returncode, 0, said(result))
            present, complaints = load.present_of(texts_of(restored), producers)
            equal(complaints + load.missing(before, present), [], "the archive against the ledger")
            with harness.Server(restored) as again:
                load.check_served(again.client(), producers, before)
        pushing.stop()


def refused(path, words):
    data = os.path.join(harness.scratch(), "restored")
    result = restore(path, data)
    equal(result.returncode, 5, said(result))
    check(any(w in said(result) for w in words), said(result))
    equal(os.listdir(os.path.dirname(data)), [], "what is left of the restore")


def test_damaged_archives_are_refused():
    """Cut short, or with a bit flipped: refused, but where it is between the files and changes nothing."""
    data = small_store()
    before = answers(data)
    chance = random.Random(8)
    for name in ("copy.tar", "copy.tar.zst"):
        path = os.path.join(harness.scratch(), name)
        equal(backup(data, path).returncode, 0)
        with open(path, "rb") as f:
            good = f.read()
        bad = path + ".bad"
        cuts = [0, 1, 511, 512, 1024, len(good) // 2] + [chance.randrange(len(good)) for _ in range(20)]
        if name == "copy.tar":  # what follows the last member is padding
            end = good.index(b"SHA256SUMS") + 1024
            cuts = [c for c in cuts if c < end]
        for at in cuts:
            with open(bad, "wb") as f:
                f.write(good[:at])
            refused(bad, ["cut short", "damaged"])
        harmless = 0
        for _ in range(60):
            at = chance.randrange(len(good))
            with open(bad, "wb") as f:
                f.write(good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1:])
            restored = os.path.join(harness.scratch(), "restored")
            result = restore(bad, restored)
            if result.returncode == 0:
                harmless += 1
                equal(answers(restored), before, f"with bit flipped at {at}")
            else:
                check(any(w in said(result) for w in ("damaged", "cut short", "other files")), at, said(result))
        check(harmless < 20, f"{harmless} of 60 flips of {name} were not noticed")
        with open(bad, "wb") as f:
            f.write(b"no archive at all")
        refused(bad, ["damaged"])


def test_foreign_archives_are_refused():
    """Nothing is written outside the directory, whatever the names in an archive say."""
    place = harness.scratch()
    path = os.path.join(place, "foreign.tar")

    def member(name, content=b"x", kind=tarfile.REGTYPE, link=""):
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, link
        return info, content

    for members in ([member("../outside")], [member(os.path.join(place, "outside"))], [member("owner.token")],
                    [member("BACKUP"), member("BACKUP")], [member("parts/../../outside.part")], [member("parts/.part")],
                    [member("hot/data.mdb", kind=tarfile.SYMTYPE, link="/etc/passwd")],
                    [member("hot/data.mdb", kind=tarfile.LNKTYPE, link="BACKUP")], [member("parts/x.part", kind=tarfile.DIRTYPE)],
                    [member("SHA256SUMS"), member("VERSION")], [member("BACKUP"), member("SHA256SUMS")]):
        with tarfile.open(path, "w") as tar:
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        result = restore(path, os.path.join(place, "restored"))
        check(result.returncode == 5 and said(result), members, said(result))
        equal(os.listdir(place), ["foreign.tar"], "what is there after it was refused")


def test_files_in_the_way_of_an_archive_stay():
    data = small_store()
    path = os.path.join(harness.scratch(), "mine.tar")
    with open(path, "w") as f:
        f.write("mine")
    result = backup(data, path)
    check(result.returncode == 2 and "no backup" in said(result), said(result))
    with open(path) as f:
        equal(f.read(), "mine", "the file in the way")


def test_an_archive_on_a_full_disk():
    data = small_store()
    place = mount("tmpfs", 1)
    path = os.path.join(place, "copy.tar")
    equal(backup(data, path).returncode, 0)
    fd = os.open(os.path.join(place, "ballast"), os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:  # full
        os.close(fd)
    full, size = os.path.getsize(os.path.join(place, "ballast")), os.path.getsize(path)
    for room in (0, size + size // 4):  # none; enough for the files, too little for the archive
        os.truncate(os.path.join(place, "ballast"), full - room)
        result = backup(data, path)
        check(result.returncode == 5 and "space" in said(result), said(result))
        equal(sorted(os.listdir(place)), ["ballast", "copy.tar"], "what is left")
    os.unlink(os.path.join(place, "ballast"))
    check(restore(path, os.path.join(harness.scratch(), "restored")).returncode == 0, "the earlier archive")


def test_usage():
    for arguments in (["backup"], ["restore"], ["backup", "x", "--server", "http://127.0.0.1:1"]):
        result = harness.cli(*arguments)
        check(result.returncode == 2 and said(result), arguments)
    for name in ("x.zip", "x.tar.gz", "x.zst"):
        result = harness.cli("backup", name, "--data", "/nonexistent-directory")
        check(result.returncode == 2 and ".tar.zst" in said(result), name, said(result))
    result = harness.cli("backup", "x", "--data", "/nonexistent-directory")
    equal(result.returncode, 3, said(result))


if __name__ == "__main__":
    harness.main(globals())
