"""The marker beside a database: that there was one, and how much of its log must still be there.

Without it, a database that is missing is one that never was. It is written after the
database and before the first record, so that a crash at any moment of a first start
leaves either nothing, or a database that can be used.

    closed HOSTS            the whole state is in the database file
    open HOSTS SEQUENCE N   the log number SEQUENCE had at least N frames at the last sync

HOSTS is how many hosts had a record: where pages of a database have changed places,
SQLite finds a table that is empty, and nothing wrong with it.
"""

import os
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import StateError
from appliance.state.database_files import is_there, log_of, open_regular, sync

_ENDING = "-marker"
_WAL_HEADER = struct.Struct(">IIIIIIII")  # magic, format, page size, sequence, two salts, two sums
_MAGIC = {0x377F0682: "<6I", 0x377F0683: ">6I"}  # and how the words before the sums are read to sum them
_FRAME_HEADER_BYTES = 24
_LINE = re.compile(rb"(?:closed|open) (\d{1,10})(?: (\d{1,10}) (\d{1,10}))?\n")
_LINE_BYTES = 48  # padded, so that a shorter line leaves nothing of a longer one


@dataclass(frozen=True, slots=True)
class Log:
    """A write-ahead log: its number since the last clean end, which rises, and how many frames it has."""

    sequence: int
    frames: int


@dataclass(frozen=True, slots=True)
class Marker:
    """What must be there at the next start: records of `hosts`, and at least `log` unless the end was clean."""

    hosts: int
    log: Log | None


def marker_of(path: Path) -> Path:
    """Return the path of the marker of the database *path*."""
    return Path(f"{path}{_ENDING}")


def was_used(path: Path) -> bool:
    """Whether there was a database *path*: the marker, or a log without its database, says so."""
    return is_there(marker_of(path)) or is_there(log_of(path))


def log_at(path: Path) -> Log | None:
    """Return the log of the database *path* by its header and size; None if there is none that can be used."""
    with suppress(OSError, StateError):
        descriptor = open_regular(log_of(path), os.O_RDONLY)
        try:
            header = os.pread(descriptor, _WAL_HEADER.size, 0)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if len(header) == _WAL_HEADER.size and _is_summed(header):
            _, _, page_bytes, sequence, *_ = _WAL_HEADER.unpack(header)
            return Log(sequence, (size - _WAL_HEADER.size) // (page_bytes + _FRAME_HEADER_BYTES))
    return None


def _is_summed(header: bytes) -> bool:
    """Whether the sums in a log's header are right (SQLite's file format, section 4.2)."""
    magic, *_, one, other = _WAL_HEADER.unpack(header)
    order = _MAGIC.get(magic)
    if order is None:
        return False
    first = second = 0
    words = struct.unpack_from(order, header)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) % 2**32
        second = (second + odd + first) % 2**32
    return (first, second) == (one, other)


def marker_at(path: Path) -> Marker | None:
    """Return the marker of the database *path*; None if there is none, or none that can be read."""
    with suppress(OSError, StateError):
        descriptor = open_regular(marker_of(path), os.O_RDONLY)
        try:
            found = _LINE.match(os.pread(descriptor, _LINE_BYTES, 0))
        finally:
            os.close(descriptor)
        if found is not None:
            return Marker(int(found[1]), None if found[2] is None else Log(int(found[2]), int(found[3])))
    return None


def mark(path: Path, hosts: int, log: Log | None = None, *, durably: bool = True) -> None:
    """Write the marker of the database *path*, which has records of *hosts*: open with *log*, or closed.

    *durably* makes it survive a loss of power, and so everything that was renamed or
    created beside it. The database need not exist.
    """
    text = f"closed {hosts}\n" if log is None else f"open {hosts} {log.sequence} {log.frames}\n"
    descriptor = open_regular(marker_of(path), os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(descriptor, text.encode().ljust(_LINE_BYTES), 0)
        if durably:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if durably:
        sync(path.parent)
