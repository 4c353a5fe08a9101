"""The files under transfer: opened when one starts, shared by all that send the same, and whole for each."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import overload
from weakref import WeakValueDictionary

from appliance.boot.loaders import entry_below, normalised, tidied
from appliance.boot.urls import is_autoexec
from appliance.tftp.compile import Site
from appliance.tftp.protocol import BLOCK_BYTES, Refusal, data_datagram

# Read at once, so that a change on disk cannot reach a transfer under way: 1 ms of copying at most.
MEMORY_FILE_BYTES = 4 << 20
# Each is one more copy of the file; clients are of a few kinds, and each kind asks for one size.
MAX_FRAMED_SIZES = 4

_Identity = tuple[int, int, int, int]  # device, inode, bytes, time of change in ns


class Content:
    """One version of one file: in memory, or read as it is sent where it is large."""

    def __init__(self, data: bytes = b"", descriptor: int = -1) -> None:
        self._data = data
        self._descriptor = descriptor  # ours to close; -1 for what lies in memory
        self._identity = _identity(os.fstat(descriptor)) if descriptor >= 0 else None
        self._framed: dict[int, list[bytes]] = {}  # by bytes a block
        self.total = self._identity[2] if self._identity else len(data)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def blocks(self, block_bytes: int) -> Sequence[bytes]:
        """Return the DATA datagrams of the whole file, at the index of their block; index 0 is no block.

        Files in memory are cut up once for all clients that ask for the same size.
        """
        framed = self._framed.get(block_bytes)
        if framed is not None:
            return framed
        cut = Cut(self, block_bytes)
        if self._descriptor >= 0 or block_bytes < BLOCK_BYTES or len(self._framed) == MAX_FRAMED_SIZES:
            return cut
        framed = self._framed[block_bytes] = cut[:]
        return framed

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes, or fewer at the end.

        Raises OSError with ESTALE when the file has changed since it was opened;
        that is found out before the last byte is given away.
        """
        if self._descriptor < 0:
            return self._data[offset : offset + size]
        data = os.pread(self._descriptor, size, offset)
        wanted = min(size, self.total - offset)
        is_last = offset + size > self.total
        if len(data) != wanted or (is_last and _identity(os.fstat(self._descriptor)) != self._identity):
            raise OSError(errno.ESTALE, "the file changed while it was sent")
        return data


class Cut(Sequence[bytes]):
    """The DATA datagrams of a content, made when they are asked for."""

    def __init__(self, content: Content, block_bytes: int) -> None:
        self._content = content
        self._block_bytes = block_bytes

    def __len__(self) -> int:
        # A file of whole blocks ends with an empty one; and one more for index 0.
        return self._content.total // self._block_bytes + 2

    @overload
    def __getitem__(self, block: int) -> bytes: ...
    @overload
    def __getitem__(self, block: slice) -> list[bytes]: ...
    def __getitem__(self, block: int | slice) -> bytes | list[bytes]:
        if isinstance(block, int):
            return self[block : block + 1][0]
        first, end, _ = block.indices(len(self))
        start = max(first, 1)
        size = self._block_bytes
        data = self._content.read((start - 1) * size, (end - start) * size)
        datagrams = [data_datagram(start + n, data[n * size : (n + 1) * size]) for n in range(end - start)]
        return datagrams if first else [b"", *datagrams]


class Files:
    """The contents that some transfer holds. Nothing is kept longer than that."""

    def __init__(self) -> None:
        self._open: WeakValueDictionary[tuple[Path, _Identity], Content] = WeakValueDictionary()

    def open(self, site: Site, name: str) -> Content | Refusal:
        """Return what *site* serves as *name*.

        Raises OSError when no descriptor is left.
        """
        wanted = normalised(name)
        if ".." in wanted.split("/"):
            return Refusal.FORBIDDEN
        path = site.files.get(tidied(name)) or site.files.get(wanted)
        content = self._open_path(path) if path is not None else Refusal.NOT_FOUND
        if content is Refusal.NOT_FOUND:
            later = entry_below(site.root, name)
            if later is not None:
                content = self._open_path(later)
            elif is_autoexec(wanted):
                return Content(site.autoexec)
        return content

    def _open_path(self, path: Path) -> Content | Refusal:
        try:
            # The path is resolved; without O_NONBLOCK a FIFO that took its place would hold up everybody.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return Refusal.FORBIDDEN if error.errno in (errno.EACCES, errno.EPERM) else Refusal.NOT_FOUND
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Refusal.FORBIDDEN
            key = (path, _identity(status))
            content = self._open.get(key)
            if content is None:
                content = self._open[key] = _load(descriptor, status.st_size)
        except OSError:
            return Refusal.FORBIDDEN
        else:
            return content
        finally:
            os.close(descriptor)


def _load(descriptor: int, size: int) -> Content:
    if size <= MEMORY_FILE_BYTES:
        return Content(os.pread(descriptor, MEMORY_FILE_BYTES, 0))
    return Content(descriptor=os.dup(descriptor))


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
