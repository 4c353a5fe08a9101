"""What a TFTP datagram means and which options are granted: requests and refusals, without a socket or clock.

RFC 1350, with the options of RFC 2347 (OACK), 2348 (blksize), 2349 (timeout, tsize)
and 7440 (windowsize).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)  # RFC 1350 section 5, RFC 2347
BLOCK_NUMBERS = 0x10000
HEAD = struct.Struct("!HH")  # opcode; block or error code
OPCODE = struct.Struct("!H")

BLOCK_BYTES = 512  # RFC 1350; unless the client asks for another size
MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 8, 65464  # RFC 2348
MAX_TIMEOUT_SECONDS = 255  # RFC 2349
# RFC 7440 allows 65535; 64 blocks of 1,468 bytes are what small network cards can take in at once.
MAX_WINDOW_BLOCKS = 64
ETHERNET_MTU = 1500
IPV4_OVERHEAD_BYTES = 32  # IPv4 20, UDP 8, TFTP 4
IPV6_OVERHEAD_BYTES = 52  # IPv6 40, UDP 8, TFTP 4

_OPTIONS = (b"blksize", b"timeout", b"tsize", b"windowsize")


class ErrorCode(IntEnum):
    """The error codes of RFC 1350 that a read-only server uses."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS = 2
    ILLEGAL = 4


class Refusal(StrEnum):
    """Why a request gets an ERROR; the table holds the datagrams."""

    MALFORMED = "malformed"
    MODE = "mode"
    WRITE = "write"
    NOT_FOUND = "not-found"
    FORBIDDEN = "forbidden"
    CONFIDENTIAL = "confidential"  # to the client the same as FORBIDDEN
    CHANGED = "changed"
    NOT_NOW = "not-now"  # the machine asks again
    PLAIN = "no-options"  # the first block would be a multiple of a stranger's request


class IgnoreReason(StrEnum):
    """Why a datagram gets no answer."""

    NO_REQUEST = "no-request"  # an ERROR or a late ACK; two servers that answer ERRORs would never stop
    BUSY = "busy"  # a bound on transfers is reached; the client asks again
    BROADCAST = "broadcast"  # RFC 1123 section 4.2.3.5
    DRAINING = "draining"  # the appliance is about to stop
    REPEATED = "repeated"  # a request that is being answered already


# The texts are what a client shows on its console.
REFUSALS: dict[Refusal, tuple[ErrorCode, str]] = {
    Refusal.MALFORMED: (ErrorCode.ILLEGAL, "malformed request"),
    Refusal.MODE: (ErrorCode.ILLEGAL, "only octet (binary) mode is served"),
    Refusal.WRITE: (ErrorCode.ACCESS, "this server is read-only"),
    Refusal.NOT_FOUND: (ErrorCode.NOT_FOUND, "file not found"),
    Refusal.FORBIDDEN: (ErrorCode.ACCESS, "access violation"),
    Refusal.CONFIDENTIAL: (ErrorCode.ACCESS, "access violation"),
    Refusal.PLAIN: (ErrorCode.UNDEFINED, "ask with option tsize"),
    Refusal.NOT_NOW: (ErrorCode.UNDEFINED, "not now; ask again"),
    Refusal.CHANGED: (ErrorCode.UNDEFINED, "file changed while it was sent"),
}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A read request in octet mode."""

    name: str  # as the client spelled it; bytes that are not UTF-8 as surrogates
    options: tuple[tuple[bytes, int], ...]  # those with a known name and a readable value, in the client's order


@dataclass(frozen=True, slots=True)
class Terms:
    """What client and server agreed on for one transfer."""

    block_bytes: int = BLOCK_BYTES
    window_blocks: int = 1
    timeout_seconds: int = 0  # the client's own; 0 if it did not ask for one
    oack: bytes = b""  # empty if the client asked for no option that is granted


def is_read_request(datagram: bytes) -> bool:
    """Whether *datagram* asks for a file, whether or not it is well formed."""
    return datagram[:2] == OPCODE.pack(RRQ)


def parse_request(datagram: bytes, *, is_broadcast: bool = False) -> ReadRequest | Refusal | IgnoreReason:
    """Return what a datagram to the listening port asks for."""
    if is_broadcast:
        return IgnoreReason.BROADCAST
    if datagram[:2] == OPCODE.pack(WRQ):
        return Refusal.WRITE
    if not is_read_request(datagram):
        return IgnoreReason.NO_REQUEST
    fields = datagram[2:].split(b"\0")
    # The last field is what follows the last NUL: nothing, or the padding of some PXE ROMs.
    if len(fields) < 3 or not fields[0]:
        return Refusal.MALFORMED
    # "netascii" would change line ends, which would corrupt a loader.
    if fields[1].lower() != b"octet":
        return Refusal.MODE
    return ReadRequest(fields[0].decode("utf-8", "surrogateescape"), _options(fields[2:-1]))


def _options(fields: list[bytes]) -> tuple[tuple[bytes, int], ...]:
    """Return the options with readable values; RFC 2347 wants the others ignored."""
    found: dict[bytes, tuple[bytes, int]] = {}
    for spelled, value in zip(fields[::2], fields[1::2], strict=False):
        name = spelled.lower()
        # bytes.isdigit() is ASCII only; 20 digits hold any size of file.
        if name in _OPTIONS and name not in found and value.isdigit() and len(value) <= 20:
            found[name] = (spelled, int(value))
    return tuple(found.values())


def agree(request: ReadRequest, total: int, max_block_bytes: int) -> Terms:
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
    oack = OPCODE.pack(OACK) + b"\0".join((*granted, b"")) if granted else b""
    return Terms(block_bytes, window_blocks, timeout_seconds, oack)


def data_datagram(block: int, data: bytes) -> bytes:
    """Return a DATA datagram; *block* counts from 1 and its number begins again at 0 after 65535."""
    return HEAD.pack(DATA, block % BLOCK_NUMBERS) + data


def ack_datagram(block: int) -> bytes:
    """Return the ACK of *block*."""
    return HEAD.pack(ACK, block % BLOCK_NUMBERS)
