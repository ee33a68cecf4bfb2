#!/usr/bin/env python3
"""The figures of sealed logs, beside zstd and ripgrep on the original file.

Four corpora are cut from a folder of real logs (--from, see its README): lines of MLPerf loggers,
free form, redraws of progress bars, tracebacks.  A size is that of one turn through the files, and of
all; for times the files are repeated, each turn in another order and with other numbers where a number
has five digits or more, until there are --mb megabytes: repeats lie further apart than zstd's window
of level 3 reaches.  Each corpus is a run of one server; searches go over HTTP to the end of the answer,
theirs print through a pipe, in pairs, all in the page cache.  Wall time and CPU time are the median of the
rounds; the counts of both sides must be equal.  The tables go to stdout, progress to stderr.
"""
import argparse
import glob
import gzip
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import harness  # noqa: E402

REQUEST_BYTES = 256 * 1024
REGEXES = [r"run_st(art|op)", r"(?i)warning", r"epoch\D+\d+", r'File ".*", line \d+, in \w+', r"^:::MLL.*run_stop",
           r"failed|killed|aborted",
           # the hard half: nothing that must be there is plain to see
           r"(?i)error|exception|traceback|\bnan\b", r"[a-z]+_stop", r"\d{3}\.\d{2,}ms", r"0\.7[0-9]+",
           r"\b[0-9]+/[0-9]+ \[", r"[A-Z]{4,}[^a-z]*[0-9]{3}$"]


def talk(text):
    print(text, file=sys.stderr, flush=True)


# ---- corpora ----

def read_files(folder, *patterns):
    paths = sorted(p for pattern in patterns for p in glob.glob(os.path.join(folder, pattern)))
    return [gzip.decompress(open(p, "rb").read()) for p in paths]


def mllog_share(text):
    return sum(len(line) for line in text.split(b"\n") if b":::ML" in line) / max(len(text), 1)


def corpora(folder):
    """name: (files, searches: {kind: words})"""
    mlperf = read_files(folder, "mlperf_training/*/*.gz")
    algoperf = read_files(folder, "algoperf/logs/*.gz")
    free = read_files(folder, "speedrun/*.gz", "param_golf/*.gz") + algoperf
    return {
        "MLLOG": [t for t in mlperf if mllog_share(t) > 0.5],
        "free form": free,
        "redraws": [t for t in mlperf if len(re.findall(rb"\r(?!\n)", t)) > 1000],
        "tracebacks": [t for t in algoperf if b"Traceback" in t],
    }


def other_numbers(text, turn):
    def other(match):
        digits = match[0]
        return b"%0*d" % (len(digits), (int(digits) + turn * 9973) % 10 ** len(digits))

    return re.sub(rb"\d{5,18}", other, text) if turn else text


def repeated(files, least):
    """One turn, and as many as it takes."""
    chance = random.Random(1)
    once = b"".join(t if t.endswith(b"\n") else t + b"\n" for t in files)
    parts, size, turn = [], 0, 0
    while size < least:
        order = list(files)
        if turn:
            chance.shuffle(order)
        part = b"".join(other_numbers(t if t.endswith(b"\n") else t + b"\n", turn) for t in order)
        parts.append(part)
        size += len(part)
        turn += 1
    return once, b"".join(parts), turn


def words_of(text):
    """What to search for: rare words of one line in 20,000, taken from the text itself."""
    lines = text.split(b"\n")
    chance = random.Random(2)
    plain, digits = {}, {}
    for line in (chance.choice(lines) for _ in range(400)):
        for word in re.findall(rb"[A-Za-z_]{6,20}", line):
            plain.setdefault(word, None)
        for word in re.findall(rb"[a-z_]{2,12}\W{1,3}\d+\.?\d{2,6}", line):
            digits.setdefault(word, None)
    by_count = sorted((text.count(w), w) for w in list(plain)[:60])
    rare = next((w for n, w in by_count if n >= len(lines) / 50000 + 1), by_count[0][1])
    common = min(by_count, key=lambda c: abs(c[0] - len(lines) / 12))[1]
    number = min(((text.count(w), w) for w in list(digits)[:40]), default=(0, b"7.25"))[1]
    return [("absent", b"zq_absent_word"), ("rare", rare), ("with digits", number),
            ("all digits", re.findall(rb"\d+$", number)[0] + b"7"), ("common, printed", common)]


# ---- the clock ----

def cpu_ns(pid, thread=None):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            if thread is None or open(f"/proc/{pid}/task/{task}/comm").read().strip() == thread:
                total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
        except FileNotFoundError:
            pass
    return total


def children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def their_search(command):
    """Lines counted, wall seconds, CPU seconds."""
    cpu, wall = children_s(), time.monotonic()
    out = subprocess.run(command, shell=True, stdout=subprocess.PIPE, executable="/bin/bash").stdout
    wall, cpu = time.monotonic() - wall, children_s() - cpu
    return out, wall, cpu


class Ours:
    def __init__(self, server):
        self.server, self.client = server, server.client()

    def search(self, run, **parameters):
        """The answer's end, wall seconds, CPU seconds."""
        path = self.client.path(f"/runs/{run}/logs?" + urllib.parse.urlencode(dict({"limit": 1 << 40, "explain": "true"}, **parameters)))
        cpu, wall = cpu_ns(self.server.process.pid), time.monotonic()
        body = self.client.request("GET", path).body
        wall, cpu = time.monotonic() - wall, cpu_ns(self.server.process.pid) - cpu
        last = json.loads(body[body.rstrip().rfind(b"\n") + 1:])
        if "end" not in last:
            raise RuntimeError(f"{path}: {last}")
        return last["end"], wall, cpu / 1e9

    def requests(self, text):
        """The bodies that send all lines, made before a clock starts."""
        requests, batch, size = [], harness.Batch(), 0
        start = time.time_ns() - 3600 * harness.NS
        for i, line in enumerate(text.split(b"\n")[:-1]):
            batch.log(line + b"\n", t_ns=start + i * 1000)
            size += len(line)
            if size > REQUEST_BYTES:
                requests.append(batch.encode())
                batch, size = harness.Batch(), 0
        return requests + [batch.encode()]

    def send(self, run, requests):
        self.client.create_run(run)
        for body in requests:
            harness.equal(self.client.post_ingest(run, body).status, 200, "ingest")

    def ingest(self, run, text):
        """Sends all lines; returns how many."""
        self.send(run, self.requests(text))
        return text.count(b"\n")

    def sealed(self):
        found = re.search(r"^astraml_sealed_log_records_total (\d+)", self.client.request("GET", "/metrics").body.decode(), re.M)
        return int(found[1])


# ---- what is measured ----

def stored_bytes(end):
    """Bodies, and at most a page more for each (key, header, the page's rest)."""
    return end["read"]["bytes"] + 4096 * end["read"]["blocks"]


def measure_ingest(ours, name, run, path, text):
    pid = ours.server.process.pid
    before, total, sealer = ours.sealed(), cpu_ns(pid), cpu_ns(pid, "seal")
    lines = ours.ingest(run, text)
    least = before + lines * 0.8
    harness.wait_for(lambda: ours.sealed() >= least, "sealing", 120)
    harness.wait_for(lambda: is_quiet(pid), "quiet", 30)
    total, sealer, sealed = cpu_ns(pid) - total, cpu_ns(pid, "seal") - sealer, ours.sealed() - before
    _, _, theirs = their_search(f"zstd -3 -q -c {path} > {path}.zst")
    mb = len(text) / 1e6
    return [name, f"{mb:.0f}", f"{lines:,}", f"{mb / (total / 1e9):.0f}", f"{mb / theirs:.0f}",
            f"{theirs / (total / 1e9):.2f} x", f"{mb * sealed / lines / (sealer / 1e9):.0f}" if sealer else "-"], lines


def is_quiet(pid):
    before = cpu_ns(pid)
    time.sleep(0.3)
    return cpu_ns(pid) - before < 3_000_000


def measure_pair(ours, run, path, kind, what, rounds):
    pattern = what.decode() if isinstance(what, bytes) else what
    flags = "-a --no-unicode " + ("-F " if kind == "grep" else "")
    # a line's own end may be "\r\n"
    theirs = pattern[:-1] + r"\r?$" if kind == "regex" and pattern.endswith("$") else pattern
    quoted = "'" + theirs.replace("'", "'\\''") + "'"
    walls, cpus, pairs = [], [], []
    for _ in range(rounds):
        end, wall, cpu = ours.search(run, **{kind: pattern})
        out, their_wall, their_cpu = their_search(f"zstd -dc {path}.zst | rg {flags}-e {quoted}")
        count = out.count(b"\n")
        if count != end["records"]:
            raise RuntimeError(f"{run}: {kind} {pattern!r}: {end['records']} found, they find {count}")
        walls.append((wall, their_wall))
        cpus.append((cpu, their_cpu))
        pairs.append(their_wall / wall)
    wall, their_wall = (statistics.median(x[i] for x in walls) * 1e3 for i in (0, 1))
    cpu, their_cpu = (statistics.median(x[i] for x in cpus) * 1e3 for i in (0, 1))
    ratio = statistics.median(pairs)
    shown = pattern.replace("|", "\\|")
    row = [f"`{shown}`", f"{count:,}", f"{wall:.1f}", f"{their_wall:.1f}", f"{ratio:.1f} x", f"{cpu:.1f}", f"{their_cpu:.1f}",
           f"{their_cpu / max(cpu, 1e-3):.1f} x", f"{end['read']['opened_blocks']}/{end['read']['blocks']}"]
    return row, ratio, their_cpu / max(cpu, 1e-3)


def measure_record(ours, run, lines):
    """Milliseconds for one record somewhere, of another block each time."""
    times = []
    for i in range(30):
        seq = lines * (2 * i + 1) // 61
        _, wall, _ = ours.search(run, after_seq=seq, limit=1)
        times.append(wall * 1e3)
    return statistics.median(times), max(times)


class Anonymous(threading.Thread):
    """The most anonymous memory a process had."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.go_on = pid, 0, True

    def now(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1]) / 1024

    def run(self):
        while self.go_on:
            self.most = max(self.most, self.now())
            time.sleep(0.002)


SENDERS = 4


def most_while(ours, texts, search):
    """MiB at most while these logs come in as fast as they can, and what they were, in MB/s."""
    sending = [threading.Thread(target=Ours(ours.server).send, args=(f"memory-{len(texts)}-{i}-{search}", ours.requests(text)))
               for i, text in enumerate(texts)]
    watch = Anonymous(ours.server.process.pid)
    watch.start()
    start = time.monotonic()
    for t in sending:
        t.start()
    while any(t.is_alive() for t in sending):
        if not search:
            time.sleep(0.05)
            continue
        try:
            ours.search("run-0", regex=r"[a-z]+\d+.*\d$", limit=200000)
        except RuntimeError:
            pass  # its time is used up
    seconds = time.monotonic() - start
    watch.go_on = False
    watch.join()
    return watch.most, sum(map(len, texts)) / 1e6 / seconds


def measure_memory(ours, text, idle):
    """Peak anonymous memory beside one log of this text, which is sealed mostly."""
    rows = []
    for senders, search in ((0, True), (1, False), (SENDERS, False), (1, True), (SENDERS, True)):
        if senders == 0:
            watch = Anonymous(ours.server.process.pid)
            watch.start()
            ours.search("run-0", regex=r"[a-z]+\d+.*\d$", limit=200000)
            watch.go_on = False
            watch.join()
            rows.append(["a heavy search", "-", f"{watch.most:.0f}", f"{watch.most - idle:.0f}"])
            continue
        part = len(text) // senders
        texts = [text[i * part:(i + 1) * part].partition(b"\n")[2] + b"\n" for i in range(senders)]
        most, rate = most_while(ours, texts, search)
        rows.append([f"{senders} sending" + (", beside a heavy search" if search else ""), f"{rate:.0f}", f"{most:.0f}",
                     f"{most - idle:.0f}"])
    table(["anonymous memory at most", "MB/s", "MiB", f"over the {idle:.0f} of a new server"], rows)


def geometric(values):
    return statistics.geometric_mean(max(v, 1e-3) for v in values)


def table(heads, rows):
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(c) for c in row) + " |")
    print(flush=True)


SEARCH_HEADS = ["search", "records", "ms", "zstd \\| rg, ms", "wall", "CPU ms", "theirs", "CPU", "blocks opened"]


def measure_sizes(ours, directory, names, once, whole):
    rows, ratios = [], []
    for name, (text, run) in {**{n: (once[n], f"once-{i}") for i, n in enumerate(names)},
                              **{n + ", repeated": (whole[n], f"run-{i}") for i, n in enumerate(names)}}.items():
        path = os.path.join(directory, "size")
        with open(path, "wb") as f:
            f.write(text)
        end, _, _ = ours.search(run, grep="zq_absent_word")
        packed = stored_bytes(end)
        zstd = [int(subprocess.run(f"zstd -{level} -q -c {path} | wc -c", shell=True, stdout=subprocess.PIPE).stdout)
                for level in ((3, 19) if "repeated" not in name else (3,))]
        rows.append([name, f"{len(text) / 1e6:.1f}", f"{packed / 1e6:.2f}", f"{len(text) / packed:.1f}", f"{zstd[0] / packed:.2f} x",
                     f"{zstd[1] / packed:.2f} x" if len(zstd) > 1 else ""])
        if "repeated" not in name:
            ratios.append(zstd[0] / packed)
    table(["corpus", "MB", "sealed, MB", "times smaller", "than zstd -3", "than zstd -19"], rows)
    print(f"Once through, geometric mean against zstd -3: {geometric(ratios):.2f} x\n")


def measure(options, server, directory):
    idle = Anonymous(server.process.pid).now()
    files = corpora(options.folder)
    if not all(files.values()):
        sys.exit(f"{options.folder} has no logs for {[name for name in files if not files[name]]}; say --from")
    ours, names = Ours(server), options.only or list(files)
    once, whole, lines, rows = {}, {}, {}, []
    for i, name in enumerate(names):
        once[name], whole[name], turns = repeated(files[name], options.mb * 1_000_000)
        path = os.path.join(directory, f"run-{i}")
        with open(path, "wb") as f:
            f.write(whole[name])
        row, lines[name] = measure_ingest(ours, name, f"run-{i}", path, whole[name])
        rows.append(row[:1] + [turns] + row[1:])
        lines[name + " once"] = ours.ingest(f"once-{i}", once[name])
        talk(f"{name}: {turns} turns, {rows[-1][2:]}")
    table(["corpus", "turns", "MB", "lines", "ingested and sealed, MB/CPU-s", "zstd -3, MB/CPU-s", "ratio", "sealing, MB/CPU-s"], rows)
    if not options.young and not options.memory:
        harness.wait_for(lambda: ours.sealed() >= sum(lines.values()) * 0.999, "the quiet tails", 150)
        measure_sizes(ours, directory, names, once, whole)
    for i, name in enumerate([] if options.memory else names):
        run, path, rows = f"run-{i}", os.path.join(directory, f"run-{i}"), []
        for kind, word in words_of(whole[name]):
            row, *_ = measure_pair(ours, run, path, "grep", word, options.rounds)
            rows.append([f"{kind}: {row[0]}"] + row[1:])
        regexes = [measure_pair(ours, run, path, "regex", r, options.rounds) for r in REGEXES]
        rows += [r[0] for r in regexes]
        print(f"{name}\n")
        table(SEARCH_HEADS, rows)
        median, most = measure_record(ours, run, lines[name])
        print(f"{name}: regexes {geometric(r[1] for r in regexes):.2f} x in wall time, "
              f"{geometric(r[2] for r in regexes):.2f} x in CPU time (geometric means); one record by its sequence: "
              f"{median:.2f} ms, at most {most:.2f}\n", flush=True)
    measure_memory(ours, whole[names[0]], idle)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="folder", default=os.path.join(harness.ROOT, "..", "shared", "data"))
    parser.add_argument("--mb", type=int, default=100, help="megabytes of each corpus, at least")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--young", action="store_true", help="do not wait for the logs' tails to be sealed; no sizes")
    parser.add_argument("--memory", action="store_true", help="only ingest and memory")
    parser.add_argument("--only", action="append", help="this corpus")
    options = parser.parse_args()
    directory = harness.scratch("astraml-logs-bench-", harness.after_all)
    try:
        with harness.Server(until=harness.after_all) as server:
            measure(options, server, directory)
    finally:
        for done in reversed(harness.after_all):
            done()


if __name__ == "__main__":
    main()
