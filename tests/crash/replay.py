"""Builds what a disk may hold after a power cut, from the log of recorder.c.

The model: what was synced before the cut is there.  Of what was not, each write and truncation of
a file is there, or is not, or (a write) is there in some of its 512-byte sectors, each decided by
a coin of its own.  A write on an O_DSYNC descriptor is there once it has returned.  Names
(create, mkdir, rename, unlink) reach the disk in their order, all up to the last one of a
directory that was synced, and any number of the ones after; syncing a file does not sync its name.

A device that lies about a sync is not modelled.
"""
import mmap
import os
import struct

CREATE, MKDIR, RENAME, UNLINK, WRITE, TRUNCATE, SYNC, SYNC_DIR = range(1, 9)
RECORD = struct.Struct("<IIQQQ")
SECTOR = 512


class Operation:
    __slots__ = ("kind", "durable", "file", "offset", "data")

    def __init__(self, kind, durable, file, offset, data):
        self.kind, self.durable, self.file, self.offset, self.data = kind, durable, file, offset, data

    def path(self):
        return os.fsdecode(bytes(self.data))

    def paths(self):
        return self.path().split("\0")


def read_log(path):
    """All whole records; a killed process may leave a part of one at the end."""
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        log = memoryview(mmap.mmap(f.fileno(), size, prot=mmap.PROT_READ)) if size else memoryview(b"")
    operations = []
    at = 0
    while at + RECORD.size <= size:
        kind, durable, file, offset, length = RECORD.unpack_from(log, at)
        at += RECORD.size
        if at + length > size:
            break
        operations.append(Operation(kind, durable, file, offset, log[at:at + length]))
        at += length
    return operations


def overwrite(content, offset, data):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


def resize(content, size):
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def apply(content, op):
    if op.kind == WRITE:
        overwrite(content, op.offset, op.data)
    else:
        resize(content, op.offset)


def apply_torn(content, op, coin):
    """Some of the sectors of a write."""
    at = 0
    while at < len(op.data):
        end = min(len(op.data), at + SECTOR - (op.offset + at) % SECTOR)
        if coin.random() < 0.5:
            overwrite(content, op.offset + at, op.data[at:end])
        at = end


class Names:
    """Paths to file numbers; directories are None."""

    def __init__(self):
        self.operations = []
        self.durable = 0  # that many of them
        self.durable_names = {}

    def add(self, op):
        self.operations.append(op)

    def sync_directory(self, directory):
        for i in range(len(self.operations), self.durable, -1):
            if any(os.path.dirname(p) == directory for p in self.operations[i - 1].paths()):
                for op in self.operations[self.durable:i]:
                    self._apply(self.durable_names, op)
                self.durable = i
                return

    @staticmethod
    def _apply(names, op):
        if op.kind == CREATE:
            names[op.path()] = op.file
        elif op.kind == MKDIR:
            names[op.path()] = None
        elif op.kind == UNLINK:
            names.pop(op.path(), None)
        else:
            source, target = op.paths()
            for path in [p for p in names if p == source or p.startswith(source + "/")]:
                names[target + path[len(source):]] = names.pop(path)

    def after_cut(self, coin):
        names = dict(self.durable_names)
        end = len(self.operations)
        if coin is not None:
            end = coin.choice((self.durable, end, coin.randint(self.durable, end)))
        for op in self.operations[self.durable:end]:
            self._apply(names, op)
        return names


class Content:
    """A file's durable bytes, and the changes that are not known to be durable, in their order."""

    def __init__(self):
        self.durable = bytearray()
        self.pending = []

    def add(self, op):
        if op.durable and not self.pending:
            apply(self.durable, op)
        else:
            self.pending.append(op)

    def sync(self):
        for op in self.pending:
            apply(self.durable, op)
        self.pending = []

    def after_cut(self, coin, kept, torn):
        """`kept` and `torn`: chances of a write that was not synced."""
        content = bytearray(self.durable)
        for op in self.pending:
            toss = coin.random() if coin else 0
            if coin is None or op.durable or toss < kept:
                apply(content, op)
            elif toss < kept + torn and op.kind == WRITE:
                apply_torn(content, op, coin)
        return content


class Disk:
    """The log up to a place that only moves forward, and images of a cut there."""

    def __init__(self, operations):
        self.operations = operations
        self.at = 0
        self.names = Names()
        self.contents = {}

    def advance(self, at):
        for op in self.operations[self.at:at]:
            self._step(op)
        self.at = max(self.at, at)

    def _step(self, op):
        if op.kind in (CREATE, MKDIR, RENAME, UNLINK):
            self.names.add(op)
        elif op.kind == SYNC_DIR:
            self.names.sync_directory(op.path())
        elif op.kind == SYNC:
            self._content(op.file).sync()
        else:
            self._content(op.file).add(op)

    def _content(self, file):
        return self.contents.setdefault(file, Content())

    def pending(self, name):
        """How many changes of files of that name, in whatever directory, a cut here may take away."""
        files = [op.file for op in self.names.operations
                 if op.kind == CREATE and os.path.basename(op.path()) == name]
        return sum(len(self._content(file).pending) for file in files)

    def image(self, target, coin=None):
        """Writes the directory after a cut here; without a coin everything has reached the disk."""
        os.makedirs(target)
        kept, torn = (0.4, 0.3)
        if coin:
            kept, torn = coin.choice(((0.4, 0.3), (0.4, 0.3), (0.9, 0.05), (0.1, 0.1), (0.0, 0.0), (1.0, 0.0)))
        names = self.names.after_cut(coin)
        for path in sorted(p for p, file in names.items() if file is None and p):
            os.makedirs(os.path.join(target, path), exist_ok=True)
        for path, file in names.items():
            place = os.path.join(target, path)
            if file is not None and os.path.isdir(os.path.dirname(place)):
                with open(place, "wb") as f:
                    f.write(self._content(file).after_cut(coin, kept, torn))
