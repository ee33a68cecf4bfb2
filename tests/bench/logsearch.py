"""Sealed logs: how small they are, what sealing costs, and searches beside `zstd -dc | rg` on the same bytes."""

import http.client
import json
import os
import resource
import statistics
import subprocess
import threading
import time
import urllib.parse

import logcorpora
from report import at_least, figures, goal_row, reaches, spread, table, within
from servers import AstraML
from workbench import Peak, must_hold

REGEXES = [r"run_st(art|op)", r"(?i)warning", r"epoch\D+\d+", r'File ".*", line \d+, in \w+', r"^:::MLL.*run_stop",
           r"failed|killed|aborted",
           # the hard half: nothing that must be there is plain to see
           r"(?i)error|exception|traceback|\bnan\b", r"[a-z]+_stop", r"\d{3}\.\d{2,}ms", r"0\.7[0-9]+",
           r"\b[0-9]+/[0-9]+ \[", r"[A-Z]{4,}[^a-z]*[0-9]{3}$"]
HEAVY = r"[a-z]+\d+.*\d$"
GOALS = {"absent": ("a word that is nowhere", 25), "rare": ("a rare word", 5), "digits": ("words with digits", 5),
         "digits alone": ("digits alone", 5), "common": ("a common word, printed", 1.5)}
RUNS = "/v2/projects/default/runs"
RECORDS = 30  # read one by one
TRIES = 3
SENDERS = 4


def cpu_s(pid, thread=None):
    """Of a process, or of its thread of this name, to the nanosecond."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as name, open(f"/proc/{pid}/task/{task}/schedstat") as spent:
                total += int(spent.read().split()[0]) if thread in (None, name.read().strip()) else 0
        except FileNotFoundError:  # it has ended
            pass
    return total / 1e9


def timed(call, cpu):
    """What a call returns, its wall seconds and CPU seconds by a clock that cpu reads."""
    spent, start = cpu(), time.monotonic()
    result = call()
    return result, time.monotonic() - start, cpu() - spent


def children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def their_output(command):
    return subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE).stdout


class Connection:
    """One that is kept."""

    def __init__(self, server):
        self.server = server
        self.http = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"))
        self.headers = {"Authorization": f"Bearer {server.token}"}
        self.buffer = bytearray(1 << 20)

    def ask(self, method, path, body=None, content_type="application/x-protobuf"):
        self.http.request(method, RUNS + path, body, self.headers | {"Content-Type": content_type})
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]}")

    def send(self, run, bodies):
        self.ask("POST", "", json.dumps({"id": run}), "application/json")
        for body in bodies:
            self.ask("POST", f"/{run}/ingest", body)

    def last_line(self, path):
        """Of an answer of any size: all of it is read, and nothing before that line is kept or looked at."""
        if not self.http.sock:
            self.http.connect()
        self.http.sock.sendall(f"GET {RUNS}{path} HTTP/1.1\r\nHost: bench\r\n"
                               f"Authorization: {self.headers['Authorization']}\r\n\r\n".encode())
        head, _, tail = self.http.sock.recv(1 << 20).partition(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length:")[2].split()[0]) if b"Content-Length:" in head else None
        size = len(tail)
        while size < length if length is not None else not tail.endswith(b"\r\n0\r\n\r\n"):
            n = self.http.sock.recv_into(self.buffer)
            if n == 0:
                raise RuntimeError(f"{path}: the answer ends early: {tail[-300:]}")
            tail = tail[-4096:] + self.buffer[max(0, n - 4096):n]
            size += n
        return tail.removesuffix(b"\r\n0\r\n\r\n").rstrip().rpartition(b"\n")[2].lstrip()  # blanks say: still there

    def search(self, run, **parameters):
        """What the last line of the answer says, wall and CPU seconds to its end."""
        path = f"/{run}/logs?" + urllib.parse.urlencode({"explain": "true", "limit": 1 << 40} | parameters)
        text, wall, cpu = timed(lambda: self.last_line(path), lambda: cpu_s(self.server.pid))
        if not text.startswith(b'{"end"'):
            raise RuntimeError(f"{path}: {text}")
        return json.loads(text)["end"], wall, cpu


class Corpus:
    def __init__(self, run, name, files, directory, least):
        self.run, self.name, self.once = run, name, b"".join(files)
        text = logcorpora.repeated(files, least)
        self.path = f"{directory}/{run}.txt"
        with open(self.path, "wb") as out:
            out.write(text)
        self.mb, self.lines, self.words = len(text) / 1e6, text.count(b"\n"), logcorpora.words(text)
        start = time.time_ns() - 3600 * 10**9
        self.bodies = logcorpora.requests(text, start)
        self.once_bodies = logcorpora.requests(self.once, start)

    def zstd_once(self, level):
        return len(subprocess.run(["zstd", f"-{level}", "-q", "-c"], input=self.once, stdout=subprocess.PIPE).stdout)


class Logs:
    name = "logs"
    about = ("Four corpora of real log lines (`logcorpora.py`), 100 MB each for times. *Sealed*: blocks with all that "
             "finds something in them, a page of LMDB more for each, of the corpus once through; `zstd` gets it as one file. "
             "*Ingest*: requests of 256 KiB, one after another, answered when they are durable; the server's CPU until it has "
             "been quiet for half a second, sealing counted. Searches go over HTTP to the end of the answer, all blocks but "
             "the youngest sealed and everything in the page cache; beside them `zstd -dc | rg` on the same bytes, printed "
             "through a pipe, for words the best of three tries of each. Ours is one thread, theirs are two processes; the counts "
             "of both must be equal. Rows of the first table are those of the corpus that comes off worst.")

    def __init__(self, bench):
        self.bench = bench
        self.directory = bench.scratch + "/logs"
        self.corpora = []

    # ---- what is searched ----

    def prepare(self):
        os.makedirs(self.directory, exist_ok=True)
        self.corpora = [Corpus(f"run-{i}", name, files, self.directory, self.bench.part(100_000_000))
                        for i, (name, files) in enumerate(logcorpora.kinds().items())]
        with AstraML(self.directory + "/store") as server:
            for corpus in self.corpora:
                Connection(server).send(corpus.run, corpus.bodies)
                Connection(server).send("once-" + corpus.run, corpus.once_bodies)
            for corpus in self.corpora:
                corpus.zstd = {level: corpus.zstd_once(level) for level in (3, 19)}
            self.wait_until_sealed(server)
            for corpus in self.corpora:
                end, _, _ = Connection(server).search("once-" + corpus.run, grep="zq_absent_word")
                must_hold(server, end["last_seq"], corpus.once.count(b"\n"))
                corpus.kept = end["read"]["bytes"] + 4096 * end["read"]["blocks"]

    def wait_until_sealed(self, server):
        """What is left of a log is sealed when nothing has come for a minute."""
        all_lines = sum(corpus.lines + corpus.once.count(b"\n") for corpus in self.corpora)
        end = time.monotonic() + 150
        while server.metrics()["astraml_sealed_log_records_total"] < all_lines * 0.999:
            if time.monotonic() > end:
                raise RuntimeError("the logs are not sealed after 150 s")
            time.sleep(0.5)

    # ---- one round ----

    def ingest(self, server, corpus):
        sealed = server.metrics()["astraml_sealed_log_records_total"]
        total, sealer = cpu_s(server.pid), cpu_s(server.pid, "seal")
        Connection(server).send(corpus.run, corpus.bodies)
        settled = server.settle(quiet_s=0.5)
        total, sealer = cpu_s(server.pid) - total, cpu_s(server.pid, "seal") - sealer
        sealed = server.metrics()["astraml_sealed_log_records_total"] - sealed
        zstd = f"zstd -3 --single-thread -q -f {corpus.path} -o {corpus.path}.zst"
        _, _, theirs = timed(lambda: their_output(zstd), children_s)
        return {"settled": settled, "rate": corpus.mb / total, "their_rate": corpus.mb / theirs,
                "sealing": corpus.mb * sealed / corpus.lines / sealer if sealer else 0}

    def memory(self, server, idle):
        """The most anonymous memory, over that of a new server, while logs come in as fast as they can beside a search."""
        corpus = self.corpora[0]
        senders = [threading.Thread(target=Connection(server).send, args=(f"memory-{i}", corpus.bodies[i::SENDERS]))
                   for i in range(SENDERS)]
        with Peak(server) as peak:
            for sender in senders:
                sender.start()
            start = time.monotonic()
            while any(sender.is_alive() for sender in senders):
                Connection(server).search(corpus.run, regex=HEAVY, limit=200000)
            seconds = time.monotonic() - start
        return {"most": (peak.greatest - idle) / 2**20, "rate": corpus.mb / seconds}

    def pair(self, connection, corpus, key, what):
        pattern = what if isinstance(what, str) else what.decode()
        # a line's own end may be "\r\n"
        theirs = pattern[:-1] + r"\r?$" if key == "regex" and pattern.endswith("$") else pattern
        flags = "-a --no-unicode" + (" -F" if key == "grep" else "")
        quoted = "'" + theirs.replace("'", "'\\''") + "'"
        end, wall, cpu = connection.search(corpus.run, **{key: pattern})
        command = f"zstd -dc {corpus.path}.zst | rg {flags} -e {quoted}"
        out, their_wall, their_cpu = timed(lambda: their_output(command), children_s)
        must_hold(connection.server, end["records"], out.count(b"\n"))
        return {"pattern": pattern, "records": end["records"],
                "opened": end["read"]["opened_blocks"], "blocks": end["read"]["blocks"], "ms": wall * 1e3,
                "their_ms": their_wall * 1e3, "cpu_ms": cpu * 1e3, "their_cpu_ms": their_cpu * 1e3}

    def best_pair(self, connection, corpus, word):
        """Of short searches the best of some tries of each side: what else runs may take longer than they do."""
        tries = [self.pair(connection, corpus, "grep", word) for _ in range(TRIES)]
        return tries[0] | {f: min(t[f] for t in tries) for f in ("ms", "their_ms", "cpu_ms", "their_cpu_ms")}

    def record(self, connection, corpus):
        """Milliseconds for one record, of another place each time: median."""
        places = [corpus.lines * (2 * i + 1) // (2 * RECORDS + 1) for i in range(RECORDS)]
        return statistics.median(connection.search(corpus.run, after_seq=seq, limit=1)[1] for seq in places) * 1e3

    def searches(self, connection, corpus):
        connection.search(corpus.run, grep="zq_absent_word")  # a new server's first
        found = {kind: self.best_pair(connection, corpus, word) for kind, word in corpus.words}
        found |= {f"regex {i}": self.pair(connection, corpus, "regex", regex) for i, regex in enumerate(REGEXES)}
        return found | {"record": self.record(connection, corpus)}

    def round(self):
        if not self.corpora:
            self.prepare()
        results = {}
        with self.bench.fresh(AstraML) as server:
            idle = server.memory("RssAnon")
            for corpus in self.corpora:
                results[corpus.name] = self.ingest(server, corpus)
            results["memory"] = self.memory(server, idle)
        with AstraML(self.directory + "/store") as server:
            connection = Connection(server)
            for corpus in self.corpora:
                results[corpus.name] |= self.searches(connection, corpus)
        return results

    # ---- what they come to ----

    def worst(self, ratios):
        """The name of the corpus with the least median; ratios: of a name, one a round."""
        return min((corpus.name for corpus in self.corpora), key=lambda name: statistics.median(ratios(name)))

    def size_goals(self):
        ours, zstd = ({c.name: len(c.once) / kept(c) for c in self.corpora} for kept in (lambda c: c.kept, lambda c: c.zstd[3]))
        best = [len(c.once) / c.zstd[19] for c in self.corpora]
        name = min(ours, key=lambda n: ours[n] / zstd[n])
        mean = [statistics.geometric_mean(ours.values())]
        return [at_least(f"logs: text over bytes sealed, {name}; zstd -3 of the file", [ours[name]], [zstd[name]], 1.4),
                at_least("the same, geometric mean of the four", mean, [statistics.geometric_mean(zstd.values())], 1.7),
                at_least("the same; zstd -19", mean, [statistics.geometric_mean(best)], None)]

    def ingest_goals(self, rounds):
        def rates(name, field):
            return figures(rounds, name, lambda r: r[field])

        slow = self.worst(lambda name: rates(name, "sealing"))
        dear = self.worst(lambda name: [a / b for a, b in zip(rates(name, "rate"), rates(name, "their_rate"))])
        return [reaches(f"sealing logs, {slow}: text a CPU-s", rates(slow, "sealing"), 100, "MB"),
                at_least(f"logs durable and sealed, {dear}: MB a CPU-s; zstd -3", rates(dear, "rate"),
                         rates(dear, "their_rate"), 0.3)]

    def search_goal(self, rounds, kind):
        def times(name, field):
            return figures(rounds, name, lambda r: r[kind][field])

        def ratios(name):
            return [theirs / ours for theirs, ours in zip(times(name, "their_ms"), times(name, "ms"))]

        what, limit = GOALS[kind]
        name = self.worst(ratios)
        return goal_row(f"search, {what}, {name}: ms; zstd -dc \\| rg -F", times(name, "ms"), times(name, "their_ms"),
                        ratios(name), f">= {limit} x", lambda ratio: ratio >= limit)

    def regex_means(self, rounds, name, field):
        return figures(rounds, name, lambda r: statistics.geometric_mean(r[f"regex {i}"][field] for i in range(len(REGEXES))))

    def regex_goal(self, rounds):
        def ratios(name):
            return [theirs / ours for theirs, ours in
                    zip(self.regex_means(rounds, name, "their_ms"), self.regex_means(rounds, name, "ms"))]

        name = self.worst(ratios)
        ours, theirs = (self.regex_means(rounds, name, field) for field in ("ms", "their_ms"))
        return goal_row(f"search, twelve regexes, {name}, geometric mean: ms; zstd -dc \\| rg", ours, theirs, ratios(name),
                        ">= 3 x", lambda ratio: ratio >= 3)

    def goals(self, rounds):
        slow = self.worst(lambda name: figures(rounds, name, lambda r: -r["record"]))
        return [*self.size_goals(), *self.ingest_goals(rounds), *(self.search_goal(rounds, kind) for kind in GOALS),
                self.regex_goal(rounds),
                within(f"one record by its sequence, cold block, {slow}", rounds, slow, lambda r: r["record"], 2, "ms"),
                within("anonymous memory, logs at full rate beside a heavy search, over a new server", rounds, "memory",
                       lambda r: r["most"], 64, "MiB")]

    def search_rows(self, rounds, name):
        for kind in [*GOALS, *(f"regex {i}" for i in range(len(REGEXES)))]:
            runs = [r[name][kind] for r in rounds]

            def median(field):
                return statistics.median(run[field] for run in runs)

            pattern = runs[0]["pattern"].replace("|", "\\|")
            wall, cpu = (statistics.median(run["their_" + f] / max(run[f], 1e-3) for run in runs) for f in ("ms", "cpu_ms"))
            yield [name, f"`{pattern}`", f"{runs[0]['records']:,}", f"{median('ms'):.1f}", f"{median('their_ms'):.1f}",
                   f"{wall:.1f} x", f"{median('cpu_ms'):.1f}", f"{median('their_cpu_ms'):.1f}", f"{cpu:.1f} x",
                   f"{runs[0]['opened']}/{runs[0]['blocks']}"]

    def details(self, rounds):
        def rates(corpus):
            return [spread(figures(rounds, corpus.name, lambda r, f=field: r[f]), ".0f")
                    for field in ("rate", "their_rate", "sealing")]

        sizes = [[c.name, f"{len(c.once) / 1e6:.1f}", f"{c.kept / 1e6:.2f}", f"{len(c.once) / c.kept:.1f}",
                  f"{c.zstd[3] / c.kept:.2f} x", f"{c.zstd[19] / c.kept:.2f} x", f"{c.mb:.0f}", f"{c.lines:,}", *rates(c)]
                 for c in self.corpora]
        searches = [row for c in self.corpora for row in self.search_rows(rounds, c.name)]
        senders = spread(figures(rounds, "memory", lambda r: r["rate"]), ".0f")
        return table(["corpus", "MB once", "sealed, MB", "times smaller", "than zstd -3", "than zstd -19", "MB repeated", "lines",
                      "ingested and sealed, MB/CPU-s", "zstd -3, MB/CPU-s", "sealing alone, MB/CPU-s"], sizes) + [""] + \
            table(["corpus", "search", "records", "ms", "zstd \\| rg, ms", "wall", "CPU ms", "theirs", "CPU",
                   "blocks opened"], searches) + \
            [f"\nMemory: {SENDERS} connections that send {senders} MB/s, and one search after another for `{HEAVY}`."]

    def charts(self, _):
        return []
