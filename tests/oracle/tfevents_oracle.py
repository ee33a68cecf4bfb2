"""What a TensorBoard event file says, from its bytes alone: a second reading of TFRecord frames and of the
protobuf messages in them, sharing nothing with the importer's.

    python3 tfevents_oracle.py FILE...            every 30 s window of every metric, as JSON lines
    python3 tfevents_oracle.py --samples FILE...  metric, time in ns, step, value

Aggregates are those of mllog_oracle.py (exact, with fractions).
"""
import json
import struct
import sys
from fractions import Fraction

import mllog_oracle
from mllog_oracle import name_ok, read, totals, windows  # noqa: F401

MASK = 0xFFFFFFFF
TIME_END = 9214646400


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def masked_crc(data):
    crc = MASK
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= MASK
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & MASK


def records(data):
    """The whole records; a part of one at the end is none.  ValueError: damaged."""
    at = 0
    while len(data) - at >= 12:
        length, crc = struct.unpack_from("<QI", data, at)
        if crc != masked_crc(data[at:at + 8]):
            raise ValueError(f"length at {at}")
        if len(data) - at - 16 < length:
            return
        record = data[at + 12:at + 12 + length]
        if struct.unpack_from("<I", data, at + 12 + length)[0] != masked_crc(record):
            raise ValueError(f"data at {at}")
        yield record
        at += length + 16


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value): an int for varints, bytes for everything else."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def signed(value, bits=64):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def bfloat16(raw):
    return struct.unpack("<f", b"\0\0" + raw)[0]


# dtype: how its bytes read, how many there are, field of the typed column, its bytes a value (0: varint)
DTYPES = {
    1: (lambda b: struct.unpack("<f", b)[0], 4, 5, 4),
    2: (lambda b: struct.unpack("<d", b)[0], 8, 6, 8),
    3: (lambda b: int.from_bytes(b, "little", signed=True), 4, 7, 0),
    4: (lambda b: b[0], 1, 7, 0),
    5: (lambda b: int.from_bytes(b, "little", signed=True), 2, 7, 0),
    6: (lambda b: int.from_bytes(b, "little", signed=True), 1, 7, 0),
    9: (lambda b: int.from_bytes(b, "little", signed=True), 8, 10, 0),
    14: (bfloat16, 2, 13, 0),
    17: (lambda b: int.from_bytes(b, "little"), 2, 7, 0),
    19: (lambda b: struct.unpack("<e", b)[0], 2, 13, 0),
    22: (lambda b: int.from_bytes(b, "little"), 4, 16, 0),
    23: (lambda b: int.from_bytes(b, "little"), 8, 17, 0),
}


def column(value, size):
    """The values of a *_val field as raw bytes: one entry, or many packed."""
    if isinstance(value, int):
        return [value.to_bytes(8, "little")]
    if size:
        return [value[i:i + size] for i in range(0, len(value), size)]
    out, at = [], 0
    while at < len(value):
        n, at = varint(value, at)
        out.append(n.to_bytes(8, "little"))
    return out


def tensor_scalar(data):
    """The number of a rank 0 tensor, or None."""
    found = list(fields(data))
    reads = DTYPES.get(dict(found).get(1, 0))
    for number, value in found:
        if number == 2 and any(n == 2 or (n == 3 and v) for n, v in fields(value)):
            return None
    if reads is None:
        return None
    read_bytes, size, field, width = reads
    content = dict(found).get(4, b"")
    if content:
        return float(read_bytes(content)) if len(content) == size else None
    values = [raw for number, value in found if number == field for raw in column(value, width)]
    if len(values) > 1:
        return None
    return float(read_bytes(values[0][:size])) if values else 0.0


def value_scalar(data):
    """(tag, number or None) of a Summary.Value."""
    tag, number, plugin = b"", None, b""
    for field, value in fields(data):
        if field == 1:
            tag = value
        elif field == 2:
            number = struct.unpack("<f", value)[0]
        elif field in (3, 4, 5, 6):
            number = None
        elif field == 8:
            number = tensor_scalar(value)
        elif field == 9:
            for f, v in fields(value):
                if f == 1:
                    plugin = dict(fields(v)).get(1, b"")
    return tag, number if plugin in (b"", b"scalars") else None


def nanoseconds(seconds):
    """None: not a time; else the exact value, rounded to the nearest, a half to even."""
    return round(Fraction(seconds) * 10**9) if 0 <= seconds < TIME_END else None


def samples(data):
    """All samples of a file, in order: (metric, time ns, step, value)."""
    out = []
    for record in records(data):
        event = list(fields(record))
        t = nanoseconds(struct.unpack("<d", dict(event).get(1, bytes(8)))[0])
        step = signed(dict(event).get(2, 0))
        for field, summary in event:
            if field != 5:
                continue
            for tag, number in (value_scalar(v) for f, v in fields(summary) if f == 1):
                if number is not None and t is not None and name_ok(tag):
                    out.append((tag.decode(), t, step, number))
    return out


def main(args):
    if args and args[0] == "--samples":
        for path in args[1:]:
            for metric, t, step, value in samples(read(path)):
                print(metric, t, step, format(mllog_oracle.bits(value) & (2**64 - 1), "016x"))
        return
    for path in args:
        for metric, found in sorted(windows(samples(read(path))).items()):
            for start, columns in found.items():
                print(json.dumps({"metric": metric, "time_ms": start, **columns}))


if __name__ == "__main__":
    main(sys.argv[1:])
