"""Anonymous memory of a server per active series."""

import charts
from report import at_most, figures, spread, table
from servers import AstraML, VictoriaMetrics
from workbench import Peak, Shape, must_hold


class Memory:
    name = "memory"
    about = ("RssAnon of /proc/PID/status, less that of the same server before its first series, over 200,000 series; the "
             "last three windows of 30 s, all of them open at the end (ours has a grace of ten minutes for that, else "
             "its defaults). *At the end*: when the server has settled. *Greatest*: seen meanwhile, 20 looks a second.")
    series, windows = 200000, 3

    def __init__(self, bench):
        self.bench = bench
        self.count = bench.part(self.series)

    def shape(self, each):
        return Shape(2, self.count // 2, self.windows * each, 10000, 8, step_s=30 // each, age_s=0)

    def once(self, kind, each, *options):
        shape = self.shape(each)
        with self.bench.fresh(kind, *options) as server:
            base = server.memory("RssAnon")
            with Peak(server) as peak:
                self.bench.load(server, "astraml" if kind is AstraML else "remote-write", shape.options())
            server.wait_until_stored = lambda: None  # the windows are to stay open
            server.settle()
            end = server.memory("RssAnon")
            open_buckets = server.metrics()["astraml_open_buckets"] if kind is AstraML else 0
            must_hold(server, server.samples_held(shape), shape.samples() + shape.warm_up())
        return {"end": (end - base) / self.count, "greatest": (peak.greatest - base) / self.count,
                "open": open_buckets / self.count}

    def round(self):
        results = {}
        for each in (1, 10):
            results[f"ours {each}"] = self.once(AstraML, each, "--grace", "10m")
            if VictoriaMetrics.program:
                results[f"its {each}"] = self.once(VictoriaMetrics, each)
        return results

    def goals(self, rounds):
        return [at_most(f"anonymous memory a series, {each} sample(s) a window, bytes; victoria-metrics",
                        figures(rounds, f"ours {each}", lambda r: r["end"]),
                        figures(rounds, f"its {each}", lambda r: r["end"]), 0.5) for each in (1, 10)]

    def rows(self, rounds):
        whose = (("ours", "ours"), ("its", "victoria-metrics"))
        return [(f"{name}, {each} sample(s) a window", f"{key} {each}")
                for each in (1, 10) for key, name in whose if f"{key} {each}" in rounds[0]]

    def details(self, rounds):
        return table(["run", "at the end, B a series", "greatest, B a series", "open buckets a series"],
                     [[what, *(spread(figures(rounds, key, lambda r, f=field: r[f]), ".0f") for field in ("end", "greatest")),
                       f"{rounds[0][key]['open']:.1f}" if key.startswith("ours") else "-"]
                      for what, key in self.rows(rounds)])

    def charts(self, rounds):
        return [charts.bars("memory", "Anonymous memory, bytes a series, three windows open", "",
                            [(what, figures(rounds, key, lambda r: r["end"])) for what, key in self.rows(rounds)])]
