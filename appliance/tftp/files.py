"""The files under transfer: opened when a transfer starts, shared by all transfers of the same version."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, overload
from weakref import WeakValueDictionary

from appliance.boot.urls import is_autoexec, is_grub_config, is_optional
from appliance.events import WebKind
from appliance.files import Fault, Identity, UnservableError, identity_of, normalised, open_public, tidied
from appliance.tftp.compile import NetworkFiles
from appliance.tftp.protocol import BLOCK_BYTES, Refusal, data_datagram

# Up to this size a file is read at once, so that a change on disk cannot reach a transfer under way. Copying it takes
# 1 ms at most; every loader that we know has less than 1.5 MiB.
MEMORY_FILE_BYTES = 4 << 20
# Each size is another copy of the file. There are few kinds of clients, and all of a kind ask for the same size.
MAX_FRAMED_SIZES = 4

# The faults that a client sees as "access violation"; all others are "file not found".
_FORBIDDEN = frozenset({Fault.DIRECTORY, Fault.SPECIAL, Fault.UNREADABLE})

# Old boot ROMs read a DHCP option as a C string: past its length, up to the first NUL. What follows the name is then
# the end mark (255), or the code of the next option, which may be a letter, and its length. Octets that are not UTF-8
# are surrogates here.
_TAIL = re.compile(r"[\0-\x1f\x7f-\x9f\udc80-\udcff]")


class Content:
    """One version of one file: in memory, or read as it is sent if it is large."""

    def __init__(self, data: bytes = b"", descriptor: int = -1) -> None:
        self._data = data
        self._descriptor = descriptor  # closed with this object; -1 for a file in memory
        self._identity = identity_of(os.fstat(descriptor)) if descriptor >= 0 else None
        self._framed: dict[int, list[bytes]] = {}  # by bytes a block
        self.total = self._identity.size if self._identity else len(data)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def blocks(self, block_bytes: int) -> Sequence[bytes]:
        """Return the DATA datagrams of the whole file, each at the index of its block; index 0 is unused.

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

        Raises OSError with ESTALE when the file has changed since it was opened, at the
        latest before its last byte is returned.
        """
        if self._descriptor < 0:
            return self._data[offset : offset + size]
        data = os.pread(self._descriptor, size, offset)
        wanted = min(size, self.total - offset)
        is_last = offset + size > self.total
        if len(data) != wanted or (is_last and identity_of(os.fstat(self._descriptor)) != self._identity):
            raise OSError(errno.ESTALE, "the file changed while it was sent")
        return data


class Cut(Sequence[bytes]):
    """The DATA datagrams of a content, made when they are needed."""

    def __init__(self, content: Content, block_bytes: int) -> None:
        self._content = content
        self._block_bytes = block_bytes

    def __len__(self) -> int:
        # A file of whole blocks ends with an empty block (RFC 1350 section 6), and index 0 is unused.
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


class Found(NamedTuple):
    """The answer to a request for a file."""

    name: str
    content: Content | Refusal
    what: WebKind
    is_repeat: bool = False  # it says what the last one said
    arrived: Callable[[], None] | None = None  # to be called once the client has it

    @property
    def is_news(self) -> bool:
        """Whether events tell of it. What a client can do without is no fault if it is missing."""
        if self.content is Refusal.NOT_FOUND and is_optional(self.name):
            return False
        return not self.is_repeat


class Files:
    """The contents that some transfer holds. A content is dropped with its last transfer."""

    def __init__(self) -> None:
        self._open: WeakValueDictionary[Identity, Content] = WeakValueDictionary()

    def find(self, served: NetworkFiles, name: str) -> Found:
        """Return what the clients of a network are served as *name*; raises OSError when no descriptor is left."""
        return Found(name, self.open(served, name), served.kind(name))

    def open(self, served: NetworkFiles, name: str) -> Content | Refusal:
        """Return what the clients of a network are served as *name*.

        A name that is followed by octets that are in no name is served without them.
        Raises OSError when no descriptor is left.
        """
        content = self._open_named(served, name)
        for shorter in _without_tail(name):
            if content is not Refusal.NOT_FOUND:
                break
            content = self._open_named(served, shorter)
        return content

    def _open_named(self, served: NetworkFiles, name: str) -> Content | Refusal:
        wanted = normalised(name)
        if ".." in wanted.split("/"):
            return Refusal.FORBIDDEN
        known = served.files.get(tidied(name)) or served.files.get(wanted)
        content = self._open_below(known.root, known.name) if known is not None else Refusal.NOT_FOUND
        if content is Refusal.NOT_FOUND:
            # The table was made at the start or at a reload; the operator may have added the file since.
            content = self._open_below(served.root, name, in_any_case=True)
        if content is Refusal.NOT_FOUND and is_autoexec(wanted):
            return Content(served.autoexec)
        if content is Refusal.NOT_FOUND and is_grub_config(wanted):
            return Content(served.grub_start)
        return content

    def _open_below(self, root: Path, name: str, *, in_any_case: bool = False) -> Content | Refusal:
        try:
            descriptor, identity = open_public(root, name, in_any_case=in_any_case)
        except UnservableError as error:
            if error.fault is Fault.EXHAUSTED:
                raise OSError(errno.EMFILE, "no descriptor left") from error
            if error.fault is Fault.CONFIDENTIAL:
                return Refusal.CONFIDENTIAL
            return Refusal.FORBIDDEN if error.fault in _FORBIDDEN else Refusal.NOT_FOUND
        try:
            content = self._open.get(identity)
            if content is None:
                content = self._open[identity] = _load(descriptor, identity)
        except OSError as error:  # the disk cannot be read, or there is no second descriptor
            return Refusal.CHANGED if error.errno == errno.ESTALE else Refusal.FORBIDDEN
        else:
            return content
        finally:
            os.close(descriptor)


def _without_tail(name: str) -> tuple[str, ...]:
    """Return what *name* may have been before a ROM read on past its end, the likeliest first."""
    tail = _TAIL.search(name)
    text = (name[: tail.start()] if tail else name).rstrip(" ")
    if text == name:
        return ()
    return (text, text[:-1]) if tail else (text,)


def _load(descriptor: int, identity: Identity) -> Content:
    """Return the content of an open file; raises OSError, with ESTALE if the file changes at this moment."""
    if identity.size > MEMORY_FILE_BYTES:
        return Content(descriptor=os.dup(descriptor))
    data = os.pread(descriptor, MEMORY_FILE_BYTES, 0)
    if len(data) != identity.size or identity_of(os.fstat(descriptor)) != identity:
        raise OSError(errno.ESTALE, "the file changed while it was read")
    return Content(data)
