"""The DNS wire format (RFC 1035 section 4), as far as serving and forwarding need it.

Functions that read a message raise nothing but MessageError, whatever the bytes are.
Offsets count from the message's first byte.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER_BYTES = 12
MAX_NAME_BYTES = 255  # RFC 1035 section 2.3.4, as is the next
MAX_LABEL_BYTES = 63
# A name of 255 bytes has at most 127 labels, and no encoder needs two pointers between two labels. More is a loop.
MAX_POINTERS = 128

# Without EDNS a reply over UDP has at most 512 bytes (RFC 1035 section 4.2.1). With EDNS we send up to 1232: the
# smallest MTU of IPv6, 1280, less its header and UDP's, so that no path fragments it (DNS flag day 2020).
PLAIN_BYTES = 512
EDNS_BYTES = 1232
TCP_BYTES = 65535  # RFC 1035 section 4.2.2: a length of 16 bits comes first

CLASS_IN = b"\0\1"

# Types without a file in `records`: OPT is part of the protocol, and a query for DS is only ever answered with NODATA.
TYPE_OPT = 41
TYPE_DS = 43

# The header's flags (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2 for CD): those of its third byte,
QR = 0x80
AA = 0x04
TC = 0x02
RD = 0x01
OPCODE = 0x78
# and those of its fourth, whose lower half is the rcode.
RA = 0x80
CD = 0x10


class Rcode(IntEnum):
    """Response codes (RFC 1035 section 4.1.1, RFC 8945 section 5.2, RFC 6891 section 9).

    BADVERS does not fit in the header's four bits.
    """

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    NOTAUTH = 9
    BADVERS = 16


def rcode_name(flags: int) -> str:
    """Return the name of the response code in *flags*, the header's fourth byte, whose lower half it is."""
    try:
        return Rcode(flags & 0xF).name
    except ValueError:
        return f"RCODE{flags & 0xF}"


class MessageError(ValueError):
    """The bytes are not a DNS message, or a text is not a name."""


class Edns(NamedTuple):
    """The fixed part of a query's OPT record (RFC 6891 section 6.1)."""

    payload_bytes: int  # the longest reply over UDP that the client accepts
    version: int
    wants_dnssec: bool


class RecordSpan(NamedTuple):
    """Where a record is in a message. All but *type* and *ttl* are offsets in bytes."""

    start: int  # of the owner name
    name_end: int  # of the type, which follows the owner name
    type: int
    ttl: int  # seconds
    data: int  # of RDATA
    end: int  # of what follows the record


def wire_name(name: str) -> bytes:
    """Return the uncompressed wire form of *name*.

    Raises MessageError if a label is empty, or if a label or the name is too long.
    """
    labels = [label.encode("ascii") for label in name.split(".")] if name else []
    if any(not 0 < len(label) <= MAX_LABEL_BYTES for label in labels):
        raise MessageError(f"a label of {name!r} is empty or longer than 63 bytes")
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(wire) > MAX_NAME_BYTES:
        raise MessageError(f"{name!r} is longer than 255 bytes")
    return wire


def text_name(wire: bytes) -> str:
    """Return the text of an uncompressed, well-formed name without the trailing dot; unusual bytes become \\DDD."""
    labels = []
    at = 0
    while wire[at]:
        label = wire[at + 1 : at + 1 + wire[at]]
        labels.append("".join(chr(c) if 0x21 <= c < 0x7F and c not in b'.\\"' else f"\\{c:03d}" for c in label))
        at += 1 + wire[at]
    return ".".join(labels)


def question_end(message: bytes) -> int:
    """Return the offset after the name of the first question, whose type and class are within the message too.

    Raises MessageError, also for a compressed name: before the first question there is
    no name that it could point to.
    """
    at = HEADER_BYTES
    size = len(message)
    while at < size and (length := message[at]):
        if length > MAX_LABEL_BYTES:
            raise MessageError("a label of the question is compressed or too long")
        at += 1 + length
    end = at + 1
    if end + 4 > size or end - HEADER_BYTES > MAX_NAME_BYTES:
        raise MessageError("the question is truncated, or its name is too long")
    return end


def expanded_name(message: bytes, at: int) -> tuple[bytes, int]:
    """Return the name at offset *at* without compression, and the offset after it there (RFC 1035 section 4.1.4).

    Raises MessageError. The time is bounded: at most MAX_POINTERS pointers are followed,
    and at most MAX_NAME_BYTES bytes of labels are read in all.
    """
    labels = []
    end = 0  # the offset after the first pointer; 0 until there is one
    length_so_far = 1
    pointers = 0
    size = len(message)
    while at < size and (length := message[at]):
        if length >= 0xC0:
            pointers += 1
            if at + 1 >= size or pointers > MAX_POINTERS:
                raise MessageError("a compression pointer is truncated, or there are too many")
            end = end or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            continue
        length_so_far += 1 + length
        if length > MAX_LABEL_BYTES or length_so_far > MAX_NAME_BYTES:
            raise MessageError("a label or name is too long")
        labels.append(message[at : at + 1 + length])
        at += 1 + length
    if at >= size:
        raise MessageError("a name is truncated")
    return b"".join(labels) + b"\0", end or at + 1


def records(message: bytes, at: int, count: int) -> Iterator[RecordSpan]:
    """Yield the next *count* records from offset *at* on. Raises MessageError when a record is truncated."""
    for _ in range(count):
        name_end = _skipped_name(message, at)
        data = name_end + 10
        if data > len(message):
            raise MessageError("a record is truncated")
        end = data + int.from_bytes(message[data - 2 : data])
        if end > len(message):
            raise MessageError("RDATA is truncated")
        kind = int.from_bytes(message[name_end : name_end + 2])
        ttl = int.from_bytes(message[name_end + 4 : name_end + 8])
        # A TTL with its top bit set counts as zero (RFC 2181 section 8).
        yield RecordSpan(at, name_end, kind, ttl if ttl < 1 << 31 else 0, data, end)
        at = end


def edns_of(message: bytes, at: int) -> Edns | None:
    """Return the content of the OPT record among all records from offset *at* on, or None without one.

    Raises MessageError for a malformed record, and for a second OPT record or one that
    is not at the root, which are format errors (RFC 6891 section 6.1.1).
    """
    found: Edns | None = None
    sections = (int.from_bytes(message[offset : offset + 2]) for offset in (6, 8, 10))
    for record in records(message, at, sum(sections)):
        if record.type == TYPE_OPT:
            if found is not None or message[record.start]:
                raise MessageError("there is a second OPT record, or one with a name")
            fixed = message[record.name_end : record.data]
            found = Edns(int.from_bytes(fixed[2:4]), fixed[5], bool(fixed[6] & 0x80))
    return found


def opt_record(payload_bytes: int, *, wants_dnssec: bool = False, rcode: int = 0) -> bytes:
    """Return an OPT record without options. It has the upper eight bits of *rcode*, and the header the lower four."""
    flags = b"\x80\0" if wants_dnssec else b"\0\0"
    return b"\0\0\x29" + payload_bytes.to_bytes(2) + bytes([rcode >> 4, 0]) + flags + b"\0\0"


def _skipped_name(message: bytes, at: int) -> int:
    size = len(message)
    while at < size and (length := message[at]):
        if length >= 0xC0:
            if at + 2 > size:
                raise MessageError("a compression pointer is truncated")
            return at + 2
        if length > MAX_LABEL_BYTES:
            raise MessageError("a label has an unknown type")
        at += 1 + length
    if at >= size:
        raise MessageError("a name is truncated")
    return at + 1
