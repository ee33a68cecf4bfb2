"""kill -9 at random moments under load, with resends: nothing acknowledged is lost, nothing is
counted twice, and log sequences are never issued again."""
import os
import random
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import harness  # noqa: E402
import load  # noqa: E402
from harness import check, equal  # noqa: E402

ROUNDS = 60 if os.environ.get("ASTRAML_TEST_LONG") else 4 if os.environ.get("ASTRAML_TEST_SHORT") else 25


def records_of(server, producers):
    """(run, seq): text, of everything in the logs."""
    client = server.client()
    return {(run, r["seq"]): r["text"] for run in sorted({p.run for p in producers}) for r in client.logs(run)}


def kill_when(server, pushing, wanted, delay):
    """Kills the server `delay` seconds after it has acknowledged `wanted` batches in all."""
    harness.wait_for(lambda: pushing.acknowledged() >= wanted or pushing.wrong, "acknowledgements under load")
    threading.Event().wait(delay)  # the moment is random on purpose
    server.kill9()
    pushing.join()


def test_kill_under_load():
    chance = random.Random(20)
    # flushes, trims of the journal, and parts sealed and replaced, as often as can be
    server = harness.Server(arguments=("--journal", "256KiB", "--flush-every", "200ms", "--grace", "100ms",
                                       "--log-block", "2KiB", "--compact-every", "100ms", "--late-wait", "100ms",
                                       "--raw-wait", "50ms"))
    producers = load.producers(6, runs=2)
    for run in sorted({p.run for p in producers}):
        server.client().create_run(run)
    pushing = load.Load(producers)
    seen = {}
    for _ in range(ROUNDS):
        pushing.start(server)
        kill_when(server, pushing, pushing.acknowledged() + chance.randrange(20, 400), chance.uniform(0, 0.02))
        server.start()
        load.check_served(server.client(), producers, load.acknowledged_of(producers))
        now = records_of(server, producers)
        equal([k for k in seen if now.get(k) != seen[k]][:5], [], "log records whose sequence was issued again")
        seen = now
    pushing.start(server).drain()
    check(all(p.all_acked() for p in producers), "not everything was acknowledged in the end")
    load.check_served(server.client(), producers, load.acknowledged_of(producers), exactly=True)
    before = load.served_buckets(server.client(), producers)
    server.restart()
    equal(load.differences(load.served_buckets(server.client(), producers), before), [], "answers after a restart")
    load.check_served(server.client(), producers, load.acknowledged_of(producers), exactly=True)
    verify = harness.cli("verify", "--data", server.data)
    equal(verify.returncode, 0, f"verify: {verify.stdout} {verify.stderr}")
    server.stop()
    harness.diagnostics(f"{ROUNDS} kills, {pushing.acknowledged()} batches, {pushing.duplicates} were duplicates")


def test_kill_while_starting():
    """Killed again and again while it recovers, it still recovers."""
    chance = random.Random(21)
    server = harness.Server()
    producers = load.producers(4, runs=1)
    server.client().create_run("run-0")
    pushing = load.Load(producers).start(server)
    kill_when(server, pushing, 400, 0)
    for _ in range(ROUNDS):
        start_and_be_killed(server, chance.uniform(0.0, 0.05))
    server.start()
    load.check_served(server.client(), producers, load.acknowledged_of(producers))
    server.stop()


def start_and_be_killed(server, seconds):
    with open(server.stderr_path, "ab") as err:
        process = subprocess.Popen(server.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                                   env=server.environment)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    harness.main(globals())
