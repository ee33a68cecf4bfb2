#!/usr/bin/env python3
"""The figures of the store, beside its peers in the same run: make bench.

Each round measures every scenario once, ours and theirs in turn, each server fresh on a scratch
directory of one file system.  CPU is the server's user and system time from /proc, from the moment
the loader is ready to when the server has settled after its last answer, so that work put off until
after the answer counts.  A scenario that fails is told and leaves the others alone.  The report
goes to stdout and into RESULTS.md; progress to stderr.
"""

import argparse
import os
import shutil
import sys
import time

import charts
import report
from curves import Curves
from ingest import Acknowledgement, Ingest, SeriesCount
from logs import Followers, Import
from logsearch import Logs
from memory import Memory
from raw import Raw
from reading import Query
from restart import Restart
from sealed import Sealed
from sealedread import SealedRead
from sealing import Sealing
from servers import talk
from workbench import Workbench

SCENARIOS = (Ingest, SeriesCount, Acknowledgement, Query, Memory, Followers, Import, Logs, Restart, Curves, Raw,
             Sealed, SealedRead, Sealing)
HERE = os.path.dirname(os.path.abspath(__file__))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build directory (build)")
    parser.add_argument("--dir", help="where to make and remove `bench`, on the file system to measure (BUILD)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=[s.name for s in SCENARIOS], metavar="NAME",
                        help=f"of {', '.join(s.name for s in SCENARIOS)}; repeatable; RESULTS.md stays as it is")
    parser.add_argument("--quick", action="store_true",
                        help="one round of a tenth of the data: shows that it works, and RESULTS.md stays as it is")
    return parser.parse_args()


def measure(scenario, results, failures):
    talk(f"  {scenario.name}")
    started = time.monotonic()
    try:
        results[scenario.name].append(scenario.round())
        talk(f"    {time.monotonic() - started:.0f} s")
    except Exception as error:  # whatever it is, the others go on
        failures[scenario.name] = f"{type(error).__name__}: {error}"
        talk(f"  {scenario.name}: {failures[scenario.name]}")


def main():
    options = parse()
    started, load_before = time.monotonic(), report.load_average()
    bench = Workbench(options.build, options.dir, options.quick)
    scenarios = [kind(bench) for kind in SCENARIOS if not options.only or kind.name in options.only]
    results, failures = {s.name: [] for s in scenarios}, {}
    keep = not options.quick and not options.only
    into = HERE if keep else bench.scratch
    for i in range(1 if options.quick else options.rounds):
        talk(f"round {i + 1} at {time.monotonic() - started:.0f} s")
        for scenario in scenarios:
            measure(scenario, results, failures)
        made = [c for s in scenarios if results[s.name] for c in s.charts(results[s.name])]
        head = report.circumstances(bench.scratch, time.monotonic() - started, load_before, i + 1, results)
        text = report.render(scenarios, results, failures, head, charts.draw(into, made))
        if keep:  # after each round, so that one broken off leaves its figures
            report.update(os.path.join(HERE, "RESULTS.md"), text)
    print(text)
    if keep:
        shutil.rmtree(bench.scratch)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
