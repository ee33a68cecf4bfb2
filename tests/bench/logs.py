"""Logs: from the writer to many followers; import of large files."""

import hashlib
import os
import shutil
import subprocess
import time

import charts
from realdata import mlperf_texts
from report import at_most, figures, spread, table
from servers import AstraML
from workbench import must_hold

LATENCIES = ("p50_ms", "p99_ms", "max_ms")


class Followers:
    name = "followers"
    about = ("1,000 log records a second, as 100 writes a second of ten records: requests to ours, appends to a file "
             "and fdatasync for `tail -F`. Writer and followers are one process with one monotonic clock (`loadgen "
             "follow`); each record of each follower is timed. `tail` sees a line before it is durable, so it is "
             "timed from the write; ours from the acknowledgement, that is, beyond the commit; below zero: seen "
             "before the writer had its acknowledgement. *From the write* is the same for both.")
    cases = (("ours", "ours, 100 followers", True, 100), ("tails", "100 x `tail -F`, fdatasync", False, 100),
             ("tail", "one `tail -F`, fdatasync", False, 1))

    def __init__(self, bench):
        self.bench = bench

    def once(self, ours, followers):
        options = ["--connections", followers, "--rate", 100, "--records", 10, "--count", self.bench.part(500)]
        if not ours:
            return self.bench.loader("follow", ["--dir", self.bench.scratch] + options)
        with self.bench.fresh(AstraML) as server:
            path = "/v2/projects/default/runs"
            server.request(path, b'{"id":"follow"}', "application/json").close()
            before = {}
            report = self.bench.load(server, "follow", ["--path", path + "/follow"] + options,
                                     lambda: before.update(cpu=server.cpu_s()))
            report["server_cpu_s"] = server.cpu_s() - before["cpu"]
            kept = server.ask(path + "/follow/logs", limit=1000000).count(b" record=")
            must_hold(server, kept, report["records"] + 10)
        return report

    def round(self):
        return {key: self.once(ours, followers) for key, _, ours, followers in self.cases}

    def goals(self, rounds):
        ours = figures(rounds, "ours", lambda r: r["after_ack_p99_ms"])
        return [at_most(f"log record to 100 followers, p99, ms: beyond the commit; {what}: from the write", ours,
                        figures(rounds, key, lambda r: r["seen_p99_ms"]), 2)
                for key, what in (("tails", "100 x `tail -F`"), ("tail", "one `tail -F`"))]

    def details(self, rounds):
        def cells(key):
            return [" / ".join(spread(figures(rounds, key, lambda r, f=f"{kind}_{p}": r[f]), ".2f") for p in LATENCIES)
                    for kind in ("ack", "seen", "after_ack")]

        def cpu(r):
            return r.get("server_cpu_s", r["children_cpu_s"]) / r["records"] / r["followers"] * 1e6

        return table(["run", "write to acknowledgement, p50 / p99 / max, ms", "from the write to seen", "from the "
                      "acknowledgement to seen", "CPU of server or tails, us a record and follower"],
                     [[what, *cells(key), spread(figures(rounds, key, cpu), ".1f")] for key, what, *_ in self.cases])

    def charts(self, rounds):
        return [charts.bars("followers", "A log record from the write until a follower has it: p99, ms", "",
                            [(what, figures(rounds, key, lambda r: r["seen_p99_ms"])) for key, what, *_ in self.cases])]


class Import:
    name = "import"
    about = ("All MLPerf logs at hand in one file, repeated up to 100 MB of text, imported over loopback into a "
             "fresh server and read back with `logs --raw`: the same bytes. MB/s of text for each second of CPU: "
             "client and server together, and apart. Beside it, for orientation, `zstd -3` of the same file (one "
             "thread) and `rg -c step`, which keep nothing, sync nothing and know no metrics.")
    formats = ("mllog", "text")

    def __init__(self, bench):
        self.bench = bench
        self.file = bench.scratch + "/corpus.txt"
        self.bytes = 0
        known = subprocess.run([AstraML.program, "import", "--help"], capture_output=True, text=True).stdout
        self.known = [f for f in self.formats if f"\n  {f} " in known]

    def prepare(self):
        all_once = b"".join(text if text.endswith(b"\n") else text + b"\n" for text in mlperf_texts())
        times = -(-self.bench.part(100_000_000) // len(all_once))
        with open(self.file, "wb") as out:
            self.bytes = out.write(all_once * times)
        self.digest = hashlib.sha256(all_once * times).digest()

    def once(self, form):
        with self.bench.fresh(AstraML) as server:
            env = {**os.environ, "ASTRAML_TOKEN": server.token, "ASTRAML_URL": server.url}
            before, start = server.cpu_s(), time.monotonic()
            _, client = self.bench.process([AstraML.program, "import", form, "--run", "corpus", self.file], env=env)
            wall = time.monotonic() - start
            settled = server.settle()
            cpu = server.cpu_s() - before
            kept = sum(server.metrics()[f"astraml_{k}"] for k in ("log_block_bytes", "block_bytes"))
            raw, _ = self.bench.process([AstraML.program, "logs", "corpus", "--raw"], env=env)
        if hashlib.sha256(raw).digest() != self.digest:
            raise RuntimeError(f"logs --raw of the {form} import: {len(raw)} bytes, not those of the file")
        return {"client": client, "server": cpu, "both": client + cpu, "wall": wall, "settled": settled, "kept": kept}

    def tool(self, *command):
        out, cpu = self.bench.process([*command, self.file])
        return {"both": cpu, "kept": len(out)}

    def round(self):
        if not self.bytes:
            self.prepare()
        results = {form: self.once(form) for form in self.known}
        if shutil.which("zstd"):
            results["zstd -3"] = self.tool("zstd", "-3", "--single-thread", "-c")
        if shutil.which("rg"):
            results["rg -c step"] = self.tool("rg", "-c", "step")
        return results

    def rate(self, run, field="both"):
        return self.bytes / 1e6 / max(run[field], 0.01)

    def goals(self, rounds):
        def beside_zstd(what, form, of):
            return at_most(f"import {form}: {what}; zstd -3", figures(rounds, form, of),
                           figures(rounds, "zstd -3", of), None)

        rows = []
        for form in self.known:
            rows += [beside_zstd("MB kept", form, lambda r: r["kept"] / 1e6),
                     beside_zstd("CPU s a GB of text, client and server", form, lambda r: 1e3 / self.rate(r))]
        return rows

    def details(self, rounds):
        def cells(key):
            if key not in self.formats:
                return [spread(figures(rounds, key, self.rate), ".0f"), "-", "-", "-"]
            return [spread(figures(rounds, key, lambda r, f=field: self.rate(r, f)), ".0f")
                    for field in ("both", "client", "server", "wall")]

        rows = [[key, *cells(key), f"{rounds[0][key]['kept'] / 1e6:.2f}"] for key in rounds[0]]
        lines = table(["run", f"MB/s a core ({self.bytes / 1e6:.0f} MB)", "client alone", "server alone", "MB/s, wall",
                       "MB kept or written"], rows)
        return lines + [f"\nFormat `{f}`: this build does not know it." for f in self.formats if f not in self.known]

    def charts(self, _):
        return []
