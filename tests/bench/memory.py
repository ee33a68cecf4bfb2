"""Anonymous memory of a server per active series."""

import charts
from report import at_most, figures, spread, table
from servers import AstraML, VictoriaMetrics
from workbench import Peak, Shape, must_hold


class Memory:
    name = "memory"
    about = ("RssAnon of /proc/PID/status when the server has settled after three windows of 30 s, the first with "
             "one sample, all of them open (ours has a grace of ten minutes for that, else its defaults). "
             "*Marginal*: what 200,000 series take more than 20,000 do, over the difference. *Over an empty server*: "
             "less what the same server had before its first series, over all of them. *Greatest*: the same, seen "
             "meanwhile, 20 looks a second. victoria-metrics' heap is as large as its collector lets it be, hence "
             "its spread.")
    series, windows = 200000, 2  # beside that of the warm-up

    def __init__(self, bench):
        self.bench = bench
        self.count = bench.part(self.series)

    def hold(self, kind, each, count, options):
        """Bytes of a server that holds so many series."""
        shape = Shape(2, count // 2, self.windows * each, 10000, 8, step_s=30 // each, age_s=0)
        with self.bench.fresh(kind, *options) as server:
            base = server.memory("RssAnon")
            with Peak(server) as peak:
                self.bench.load(server, "astraml" if kind is AstraML else "remote-write", shape.options())
            server.wait_until_stored = lambda: None  # the windows are to stay open
            server.settle()
            end = server.memory("RssAnon")
            open_buckets = server.metrics()["astraml_open_buckets"] if kind is AstraML else 0
            must_hold(server, server.samples_held(shape), shape.samples() + shape.warm_up())
        return {"base": base, "end": end, "greatest": peak.greatest, "open": open_buckets}

    def once(self, kind, each, *options):
        few, many = (self.hold(kind, each, n, options) for n in (self.count // 10, self.count))
        return {"marginal": (many["end"] - few["end"]) / (self.count - self.count // 10),
                "all": (many["end"] - many["base"]) / self.count,
                "greatest": (many["greatest"] - many["base"]) / self.count, "open": many["open"] / self.count}

    def round(self):
        results = {}
        for each in (1, 10):
            results[f"ours {each}"] = self.once(AstraML, each, "--grace", "10m")
            if VictoriaMetrics.program:
                results[f"its {each}"] = self.once(VictoriaMetrics, each)
        return results

    def goals(self, rounds):
        return [at_most(f"anonymous memory a series, {each} sample(s) a window, bytes; victoria-metrics",
                        figures(rounds, f"ours {each}", lambda r: r["marginal"]),
                        figures(rounds, f"its {each}", lambda r: r["marginal"]), 0.5) for each in (1, 10)]

    def rows(self, rounds):
        whose = (("ours", "ours"), ("its", "victoria-metrics"))
        return [(f"{name}, {each} sample(s) a window", f"{key} {each}")
                for each in (1, 10) for key, name in whose if f"{key} {each}" in rounds[0]]

    def details(self, rounds):
        def row(what, key):
            bytes_each = [spread(figures(rounds, key, lambda r, f=field: r[f]), ".0f")
                          for field in ("marginal", "all", "greatest")]
            return [what, *bytes_each, f"{rounds[0][key]['open']:.1f}" if key.startswith("ours") else "-"]

        return table(["run", "marginal, B a series", "over an empty server, B a series", "greatest, B a series",
                      "open buckets a series"], [row(what, key) for what, key in self.rows(rounds)])

    def charts(self, rounds):
        return [charts.bars("memory", "Anonymous memory, bytes a series, three windows open", "",
                            [(what, figures(rounds, key, lambda r: r["marginal"])) for what, key in self.rows(rounds)])]
