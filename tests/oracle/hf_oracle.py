"""What a trainer_state.json of the Hugging Face Trainer says, by Python's own json.

    python3 hf_oracle.py END_NS FILE...   every 30 s window of every metric, as JSON lines

A step is a second; the greatest step of log_history is at END_NS.  Aggregates are those of mllog_oracle.py.
"""
import json
import sys

from mllog_oracle import read, totals, windows  # noqa: F401


def history(data):
    # a number stays what is written: an int would lose the sign of -0, and its size
    return json.loads(data, parse_int=lambda text: float(text) if text == "-0" else int(text))["log_history"]


def samples(data, end_ns):
    """All samples, in order: (metric, time ns, step, value)."""
    log = history(data)
    last = max((r["step"] for r in log), default=0)
    return [(name, end_ns - (last - r["step"]) * 10**9, r["step"], float(value))
            for r in log for name, value in r.items()
            if name not in ("step", "epoch") and isinstance(value, (int, float)) and not isinstance(value, bool)]


def main(args):
    for path in args[1:]:
        for metric, found in sorted(windows(samples(read(path), int(args[0]))).items()):
            for start, columns in found.items():
                print(json.dumps({"metric": metric, "time_ms": start, **columns}))


if __name__ == "__main__":
    main(sys.argv[1:])
