"""What a TFTP datagram says and what is granted: requests, options and refusals, without a socket or clock.

RFC 1350, with the options of RFC 2347 (OACK), 2348 (blksize), 2349 (timeout, tsize)
and 7440 (windowsize).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)  # RFC 1350 section 5, RFC 2347
BLOCK_NUMBERS = 0x10000
HEAD = struct.Struct("!HH")  # opcode; block or error code

BLOCK_BYTES = 512  # RFC 1350; unless the client asks for another size
MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 8, 65464  # RFC 2348
MAX_TIMEOUT_SECONDS = 255  # RFC 2349
MAX_WINDOW_BLOCKS = (
    64  # RFC 7440 allows 65535; 64 blocks of 1,468 bytes are what small network cards can take in at once
)
ETHERNET_MTU = 1500
IPV4_OVERHEAD_BYTES = 32  # IPv4 20, UDP 8, TFTP 4
IPV6_OVERHEAD_BYTES = 52  # IPv6 40, UDP 8, TFTP 4

_OPTIONS = (b"blksize", b"timeout", b"tsize", b"windowsize")


class ErrorCode(IntEnum):
    """RFC 1350's error codes, and RFC 2347's."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS = 2
    FULL = 3
    ILLEGAL = 4
    UNKNOWN_TID = 5
    EXISTS = 6
    NO_USER = 7
    OPTIONS = 8


class Refusal(StrEnum):
    """Why a request gets an ERROR; the datagrams lie in the table."""

    MALFORMED = "malformed"
    MODE = "mode"
    WRITE = "write"
    NOT_FOUND = "not-found"
    FORBIDDEN = "forbidden"
    CHANGED = "changed"


class Silence(StrEnum):
    """Why a datagram gets no answer."""

    NO_REQUEST = "no-request"  # an ERROR or a late ACK; answering an ERROR could go on forever
    BUSY = "busy"  # a bound on transfers is reached; the client asks again
    BROADCAST = "broadcast"  # RFC 1123 section 4.2.3.5
    DRAINING = "draining"
    REPEATED = "repeated"  # a request that is being answered already


# What the client shows its user.
REFUSALS: dict[Refusal, tuple[ErrorCode, str]] = {
    Refusal.MALFORMED: (ErrorCode.ILLEGAL, "malformed request"),
    Refusal.MODE: (ErrorCode.ILLEGAL, "only octet (binary) mode is served"),
    Refusal.WRITE: (ErrorCode.ACCESS, "this server is read-only"),
    Refusal.NOT_FOUND: (ErrorCode.NOT_FOUND, "file not found"),
    Refusal.FORBIDDEN: (ErrorCode.ACCESS, "access violation"),
    Refusal.CHANGED: (ErrorCode.UNDEFINED, "file changed while it was sent"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A read request in octet mode."""

    name: str  # as the client spelled it; bytes that are not UTF-8 as surrogates
    options: tuple[tuple[bytes, int], ...]  # those that we know and can read, as spelled, in the client's order


@dataclass(frozen=True, slots=True)
class Terms:
    """What client and server agreed on for one transfer."""

    block_bytes: int = BLOCK_BYTES
    window_blocks: int = 1
    timeout_seconds: int = 0  # the client's own; 0 when it left that to us
    oack: bytes = b""  # empty when the client asked for nothing that we grant


def parse_request(datagram: bytes) -> Request | Refusal | Silence:
    """Return what a datagram to the listening port asks for."""
    opcode = datagram[:2]
    if opcode == b"\0\2":
        return Refusal.WRITE
    if opcode != b"\0\1":
        return Silence.NO_REQUEST
    fields = datagram[2:].split(b"\0")
    # The last field is what follows the last NUL: nothing, or the padding of some PXE ROMs.
    if len(fields) < 3 or not fields[0]:
        return Refusal.MALFORMED
    if fields[1].lower() != b"octet":
        return Refusal.MODE
    return Request(fields[0].decode("utf-8", "surrogateescape"), _options(fields[2:-1]))


def _options(fields: list[bytes]) -> tuple[tuple[bytes, int], ...]:
    """Return the options with readable values; the others are as if never asked for (RFC 2347)."""
    found: dict[bytes, tuple[bytes, int]] = {}
    for spelled, value in zip(fields[::2], fields[1::2], strict=False):
        name = spelled.lower()
        # bytes.isdigit() is ASCII only; 20 digits hold any size of file.
        if name in _OPTIONS and name not in found and value.isdigit() and len(value) <= 20:
            found[name] = (spelled, int(value))
    return tuple(found.values())


def agree(request: Request, total: int, max_block_bytes: int) -> Terms:
    """Return the terms for sending a file of *total* bytes; no block gets larger than *max_block_bytes*."""
    block_bytes, window_blocks, timeout_seconds = BLOCK_BYTES, 1, 0
    granted: list[bytes] = []
    for spelled, asked in request.options:
        value = asked
        match spelled.lower():
            case b"blksize" if asked >= MIN_BLOCK_BYTES:
                value = block_bytes = min(asked, max_block_bytes, MAX_BLOCK_BYTES)
            case b"windowsize" if asked >= 1:
                value = window_blocks = min(asked, MAX_WINDOW_BLOCKS)
            case b"timeout" if 1 <= asked <= MAX_TIMEOUT_SECONDS:
                timeout_seconds = asked
            case b"tsize":
                value = total
            case _:
                continue
        granted += (spelled, b"%d" % value)
    oack = b"\0\6" + b"\0".join((*granted, b"")) if granted else b""
    return Terms(block_bytes, window_blocks, timeout_seconds, oack)


def data_datagram(block: int, data: bytes) -> bytes:
    """Return a DATA datagram; *block* counts from 1 and its number begins again at 0 after 65535."""
    return HEAD.pack(DATA, block % BLOCK_NUMBERS) + data


def ack_datagram(block: int) -> bytes:
    """Return the ACK of *block*."""
    return HEAD.pack(ACK, block % BLOCK_NUMBERS)
