"""`backup` of a directory that is written, `restore`, and what neither may do."""
import json
import os

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


def test_usage():
    for arguments in (["backup"], ["restore"], ["backup", "x", "--server", "http://127.0.0.1:1"]):
        result = harness.cli(*arguments)
        check(result.returncode == 2 and said(result), arguments)
    result = harness.cli("backup", "x", "--data", "/nonexistent-directory")
    equal(result.returncode, 3, said(result))


if __name__ == "__main__":
    harness.main(globals())
