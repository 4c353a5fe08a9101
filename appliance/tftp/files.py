"""The files under transfer: opened when one starts, shared by all that send the same, and whole for each."""

import errno
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from appliance.loaders import entry_below, normalised
from appliance.tftp.compile import AUTOEXEC, Site
from appliance.tftp.protocol import Refusal

# Read at once, so that a change on disk cannot reach a transfer under way: 1 ms of copying at most.
# Larger files are mapped.
MEMORY_FILE_BYTES = 4 << 20

_Identity = tuple[int, int, int, int]  # device, inode, bytes, time of change in ns


@dataclass(slots=True, weakref_slot=True, eq=False)
class Content:
    """One version of one file."""

    view: memoryview
    identity: _Identity | None  # None for what lies in memory
    descriptor: int = -1  # of a mapped file

    def is_intact(self) -> bool:
        """Whether the bytes are still those of when the file was opened; a mapping shows what others write."""
        return self.descriptor < 0 or _identity(os.fstat(self.descriptor)) == self.identity

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Files:
    """The contents that some transfer holds. Nothing is kept longer than that."""

    def __init__(self) -> None:
        self._open: WeakValueDictionary[tuple[Path, _Identity], Content] = WeakValueDictionary()

    def open(self, site: Site, name: str) -> Content | Refusal:
        """Return what *site* serves as *name*."""
        wanted = normalised(name)
        if ".." in wanted.split("/"):
            return Refusal.FORBIDDEN
        path = site.files.get(wanted)
        content = self._open_path(path) if path is not None else Refusal.NOT_FOUND
        if content is Refusal.NOT_FOUND:
            later = entry_below(site.root, name)
            if later is not None:
                content = self._open_path(later)
            elif wanted.rpartition("/")[2] == AUTOEXEC:
                return Content(memoryview(site.autoexec), None)
        return content

    def _open_path(self, path: Path) -> Content | Refusal:
        try:
            # The path is resolved; without O_NONBLOCK a FIFO that took its place would hold up everybody.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            return Refusal.FORBIDDEN if error.errno in (errno.EACCES, errno.EPERM) else Refusal.NOT_FOUND
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Refusal.FORBIDDEN
            key = (path, _identity(status))
            content = self._open.get(key)
            if content is None:
                content = self._open[key] = _load(descriptor, status)
        except OSError:
            return Refusal.FORBIDDEN
        else:
            return content
        finally:
            os.close(descriptor)


def _load(descriptor: int, status: os.stat_result) -> Content:
    if status.st_size <= MEMORY_FILE_BYTES:
        return Content(memoryview(os.pread(descriptor, MEMORY_FILE_BYTES, 0)), None)
    mapped = mmap.mmap(descriptor, status.st_size, prot=mmap.PROT_READ)
    return Content(memoryview(mapped), _identity(status), os.dup(descriptor))


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
