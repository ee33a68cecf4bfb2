#!/usr/bin/env python3
"""Runs test programs, compiled ones and .py, and adds up what they report in TAP.

usage: run.py [--jobs N] [--timeout S] [--title TEXT] [--totals FILE] [--more] [NAME=VALUE | PROGRAM]...

NAME=VALUE sets the environment of the programs after it.  A program that dies, exits non-zero
without a "not ok", stops short of its plan or reports no test at all counts as one failure.
The last line is `N passed, N failed` (`, N skipped` where there are any); exit 1 on failures.
--totals FILE adds the counts of earlier runs kept there.  With --more another run follows: the
counts are only kept, and the exit status is 0.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

TAP_LINE = re.compile(rb"^(ok|not ok)\b([^\n]*)", re.M)
TAP_PLAN = re.compile(rb"^1\.\.(\d+)", re.M)
ASSIGNMENT = re.compile(r"^([A-Z_][A-Z0-9_]*)=(.*)$", re.S)
SHOWN_OF_A_FAILURE = 60_000


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--timeout", type=float, default=600.0, help="seconds for one program")
    p.add_argument("--title", default="")
    p.add_argument("--totals")
    p.add_argument("--more", action="store_true")
    p.add_argument("words", nargs="*")
    return p.parse_args()


def plan(words):
    """(program, environment) pairs, in the order given."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", PYTHONUNBUFFERED="1")
    for word in words:
        assignment = ASSIGNMENT.match(word)
        if assignment:
            env = dict(env, **{assignment[1]: assignment[2]})
        else:
            yield word, env


def command_of(program):
    if program.endswith(".py"):
        return [sys.executable, program]
    return [os.path.abspath(program)]


def execute(program, env, timeout):
    """Output and exit status; a program past its time is ended with all it started."""
    try:
        child = subprocess.Popen(command_of(program), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as e:
        return f"{program}: {e}\n".encode(), 127
    try:
        output, _ = child.communicate(timeout=timeout)
        return output, child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        return output + f"\nended after {timeout:.0f} s\n".encode(), -signal.SIGKILL


def count(output, status):
    """passed, failed, skipped, and why the program failed as a whole ('' when it did not)."""
    passed = failed = skipped = 0
    for verdict, rest in TAP_LINE.findall(output):
        if b"# SKIP" in rest:
            skipped += 1
        elif verdict == b"ok":
            passed += 1
        else:
            failed += 1
    planned = sum(int(n) for n in TAP_PLAN.findall(output))
    why = ""
    if failed == 0 and status != 0:
        why = f"signal {-status}" if status < 0 else f"exit status {status}"
    elif planned > passed + failed + skipped:
        why = f"{passed + failed + skipped} of {planned} tests reported"
    elif passed + failed + skipped == 0:
        why = "no test reported"
    return passed, failed + (1 if why else 0), skipped, why


def words_for(passed, failed, skipped):
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


class Report:
    def __init__(self):
        self.lock = threading.Lock()
        self.sums = [0, 0, 0]

    def run(self, program, env, timeout):
        start = time.monotonic()
        output, status = execute(program, env, timeout)
        passed, failed, skipped, why = count(output, status)
        seconds = time.monotonic() - start
        with self.lock:
            self.sums = [a + b for a, b in zip(self.sums, (passed, failed, skipped))]
            print(f"  {program:<52} {words_for(passed, failed, skipped)}{', ' + why if why else ''}  {seconds:.1f} s")
            if failed:
                text = output.decode("utf-8", "backslashreplace")
                if len(text) > SHOWN_OF_A_FAILURE:
                    text = "[...]\n" + text[-SHOWN_OF_A_FAILURE:]
                print("".join(f"    | {line}\n" for line in text.splitlines()), end="")
            elif skipped:
                for _, rest in TAP_LINE.findall(output):
                    if b"# SKIP" in rest:
                        print(f"    skipped:{rest.decode('utf-8', 'backslashreplace')}")
            sys.stdout.flush()


def add_totals(path, sums, more):
    """Adds what is kept in the file; keeps the sum there when another run follows."""
    try:
        with open(path) as f:
            sums = [a + b for a, b in zip(sums, json.load(f))]
        os.unlink(path)
    except FileNotFoundError:
        pass
    if more:
        with open(path, "w") as f:
            json.dump(sums, f)
    return sums


def main():
    a = parse_arguments()
    report = Report()
    if a.title:
        print(a.title, flush=True)
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        runs = [pool.submit(report.run, program, env, a.timeout) for program, env in plan(a.words)]
        for r in runs:
            r.result()
    sums = add_totals(a.totals, report.sums, a.more) if a.totals else report.sums
    if not a.more:
        print(words_for(*sums), flush=True)
    return 1 if sums[1] and not a.more else 0


if __name__ == "__main__":
    sys.exit(main())
