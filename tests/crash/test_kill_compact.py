"""kill -9 at random moments of compaction, while days become parts, these coarser ones, and what is past its time
goes, and logs go into parts: nothing is lost or counted twice, and the next compaction ends what was begun."""
import glob
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import harness  # noqa: E402
from harness import NS, Batch, check, equal  # noqa: E402

ROUNDS = 80 if os.environ.get("ASTRAML_TEST_LONG") else 4 if os.environ.get("ASTRAML_TEST_SHORT") else 16
DAYS, DAY = 24, 86400 * NS
OLD = 1_600_000_000 * NS // DAY * DAY
AGGS = "count,sum,min,max,first,last,nan,first_time,last_time,step_min,step_max"


def answers(data, clock):
    """By days, which are kept for ever, and in all."""
    def ask(*arguments):
        r = harness.cli(*arguments, "--json", "--data", data, env=clock.environment)
        equal(r.returncode, 0, f"{arguments}: {r.stderr}")
        answer = json.loads(r.stdout)
        answer.pop("complete_until", None)
        return answer
    log = harness.cli("logs", "r", "--raw", "--data", data, env=clock.environment)
    equal(log.returncode, 0, log.stderr)
    return ask("get", "r", "*", "--every", "1d", "--agg", AGGS), ask("metrics", "r"), log.stdout


def send(server, chance, n):
    client = server.client()
    for _ in range(n):
        batch = Batch()
        refs = [batch.series(name) for name in ("a", "b", "c")]
        for i in range(300):
            t = OLD + chance.randrange(DAYS * 86400) * NS
            batch.sample(chance.choice(refs), t, chance.choice((chance.gauss(0, 1), float("nan"), 1e300)), step=i)
            batch.log(b"%d: %s\n" % (i, chance.randbytes(chance.randrange(60)).hex().encode()), t_ns=t)
        client.ingest("r", batch)


def compact(data, clock, seconds):
    """False when it was killed after so long."""
    command = [harness.PROGRAM, "compact", "--data", data]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=harness.program_environment(**clock.environment))
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    equal(process.returncode, 0, f"compact: {err}")
    return True


def test_kill_while_compacting():
    chance, clock, killed = random.Random(23), harness.Clock(), 0
    server = harness.Server(env=clock.environment, arguments=("--compact-every", "100m"))
    server.client().create_run("r")
    equal(harness.cli("policy", "set", "log_keep=forever", "--data", server.data).returncode, 0)
    for round_ in range(ROUNDS):
        send(server, chance, 4)
        server.stop()
        want = answers(server.data, clock)
        for _ in range(3):  # all days have late data now; some are past the time of one tier or another
            clock.move(chance.choice((0, 5, 20, 60)) * 86400)
            killed += not compact(server.data, clock, chance.uniform(0.01, 0.7))
            equal(answers(server.data, clock), want, f"round {round_}")
        server.start()
    server.stop()
    want = answers(server.data, clock)
    check(compact(server.data, clock, harness.DEADLINE_S), "compaction to the end")
    equal(answers(server.data, clock), want, "compacted to the end")
    verify = harness.cli("verify", "--data", server.data, env=clock.environment)
    equal(verify.returncode, 0, f"verify: {verify.stdout} {verify.stderr}")
    stats = json.loads(harness.cli("stats", "--json", "--data", server.data, env=clock.environment).stdout)["store"]
    files = glob.glob(os.path.join(server.data, "parts", "*"))
    equal((len(files), stats["flushed_buckets"], stats["log_blocks"]), (stats["parts"] + stats["log_parts"], 0, 0), "files, blocks left")
    check(stats["log_part_records"] == ROUNDS * 1200, "log records in parts:", stats["log_part_records"])
    check(killed >= ROUNDS // 4, "killed only", killed)
    harness.diagnostics(f"{killed} kills")


if __name__ == "__main__":
    harness.main(globals())
