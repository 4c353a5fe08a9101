"""Identity associations: what a client asks to have assigned, and each with its answer (RFC 8415 section 12).

The one rule: a host has one address, and one IA_NA of a message gets it. Every other
association comes back with the status that says why it gets nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from appliance.dhcp6.options import (
    OPT_IA_ADDRESS,
    OPT_IA_NA,
    OPT_IA_PD,
    OPT_IA_TA,
    Options,
    encode_option,
    encode_status,
    parse_options,
)
from appliance.dhcp6.segments import Segment

# Bytes before the options of each: the IAID, and for two of them T1 and T2.
_HEAD_BYTES = {OPT_IA_NA: 12, OPT_IA_TA: 4, OPT_IA_PD: 12}
_ADDRESS_BYTES = 24  # the address and its two lifetimes
_NO_TIMES = bytes(8)


class Association(NamedTuple):
    """One IA of a message."""

    code: int
    iaid: bytes
    addresses: tuple[bytes, ...]  # that the client names in it


def associations_of(options: Options) -> tuple[Association, ...] | None:
    """Return the associations of a message, or None if one is malformed."""
    found = []
    for code, head_bytes in _HEAD_BYTES.items():
        for value in options.get(code, ()):
            inner = parse_options(value[head_bytes:]) if len(value) >= head_bytes else None
            if inner is None:
                return None
            named = inner.get(OPT_IA_ADDRESS, ())
            if any(len(address) < _ADDRESS_BYTES for address in named):
                return None
            found.append(Association(code, value[:4], tuple(address[:16] for address in named)))
    return tuple(found)


def own_of(associations: Sequence[Association], address: bytes) -> Association | None:
    """Return the IA_NA that gets *address*: the one that names it already, otherwise the first; None without any."""
    candidates = [association for association in associations if association.code == OPT_IA_NA]
    naming = (association for association in candidates if address in association.addresses)
    return next(naming, candidates[0] if candidates else None)


def assigned(association: Association, segment: Segment, address: bytes, *, withdraws: bool) -> bytes:
    """Return the IA_NA with *address*; with *withdraws*, other addresses that the client names in it end now."""
    parts = [association.iaid, segment.times, encode_option(OPT_IA_ADDRESS, address + segment.lifetimes)]
    if withdraws:
        parts += [_ended(other) for other in association.addresses if other != address]
    return encode_option(OPT_IA_NA, b"".join(parts))


def withdrawn(association: Association) -> bytes:
    """Return the association with the lifetime zero for every address that the client names in it."""
    return _encoded(association, b"".join(map(_ended, association.addresses)))


def refused(association: Association, status: int, text: str) -> bytes:
    """Return the association without an address, and with the reason."""
    return _encoded(association, encode_status(status, text))


def _encoded(association: Association, options: bytes) -> bytes:
    times = _NO_TIMES if _HEAD_BYTES[association.code] > len(association.iaid) else b""
    return encode_option(association.code, association.iaid + times + options)


def _ended(address: bytes) -> bytes:
    return encode_option(OPT_IA_ADDRESS, address + _NO_TIMES)
