"""Which records of a forwarder's answer belong to its question (pure).

A forwarder may be wrong, or be lied to. Clients get in its name only the records of the
question's name and of the names to which CNAMEs lead from there, and the proofs of what
does not exist. Names in our zones have the records that we know, whatever others say.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from appliance.dns.message import TYPE_DS, RecordSpan, expanded_name
from appliance.dns.private import is_private
from appliance.dns.records import BY_NAME, BY_NUMBER

_TYPE_CNAME = BY_NAME["CNAME"].number
_TYPE_DNAME = BY_NAME["DNAME"].number
_TYPE_RRSIG = 46
_ADDRESS_BYTES = {BY_NAME["A"].number: 4, BY_NAME["AAAA"].number: 16}
_TYPE_ANY = 255
# Of the authority section: where the zone of a name begins, and the proofs of DNSSEC (RFC 4035 section 3.1).
_AT_OR_ABOVE = frozenset({BY_NAME["SOA"].number, BY_NAME["NS"].number, TYPE_DS})
_PROOFS = frozenset({_TYPE_RRSIG, 47, 50})  # NSEC, NSEC3
_QUESTION_NAME = b"\xc0\x0c"  # a pointer to it, at offset 12, is how most owners are written


class Belonging(NamedTuple):
    """The records that belong to a question. There are no additional ones: all of them are optional."""

    answer: list[RecordSpan]
    authority: list[RecordSpan]
    own: bytes  # the name in our zones to which CNAMEs lead; b"" for none


def belonging(
    message: bytes,
    name: bytes,
    kind: int,
    answer: list[RecordSpan],
    authority: list[RecordSpan],
    borders: Mapping[bytes, bool],
) -> Belonging:
    """Return what belongs to the question for *kind* of *name*, in lower case. Raises MessageError.

    *borders* are where our zones begin (True), and where forwarded names (False). *name*
    itself may be that of a zone of ours, of which another server knows the side of the
    parent (RFC 4035 section 3.1.4.1).
    """
    if not authority and all(
        record.type == kind and message[record.start : record.name_end] == _QUESTION_NAME for record in answer
    ):
        return Belonging(answer, [], b"")  # as most answers are: nothing needs to be compared
    owners = [_owner(message, name, record) for record in (*answer, *authority)]
    aliases = {}
    if not is_ours(name, borders) and kind != _TYPE_CNAME:
        aliases = {
            owner: expanded_name(message, record.data)[0].lower()
            for owner, record in zip(owners, answer, strict=False)
            if record.type == _TYPE_CNAME
        }
    chain = [name]
    while (target := aliases.pop(chain[-1], b"")) and not is_ours(target, borders):
        chain.append(target)
    names = set(chain)
    # Not our own, above the names that are forwarded although a zone of ours is around them.
    above = {suffix for link in chain for suffix in _suffixes(link) if not is_ours(suffix, borders)}
    kinds = {kind, _TYPE_RRSIG} | ({_TYPE_CNAME} if len(chain) > 1 or target else set())
    signed = above if any(record.type == _TYPE_DNAME for record in answer) else names
    return Belonging(
        [
            record
            for owner, record in zip(owners, answer, strict=False)
            if (owner in names and (record.type in kinds or kind == _TYPE_ANY))
            or (owner in signed and record.type in (_TYPE_DNAME, _TYPE_RRSIG))
        ],
        # The authority section is about the last name of the chain, which is ours to know.
        []
        if target
        else [
            record
            for owner, record in zip(owners[len(answer) :], authority, strict=True)
            if (owner in above and record.type in _AT_OR_ABOVE)
            or (record.type in _PROOFS and (owner in borders or not is_ours(owner, borders)))
        ],
        target,
    )


def is_ours(name: bytes, borders: Mapping[bytes, bool]) -> bool:
    """Whether *name*, in lower case and wire form, is in a zone of ours."""
    at = 0
    while name[at]:
        if name[at:] in borders:
            return borders[name[at:]]
        at += 1 + name[at]
    return False


def without_private(message: bytes, answer: list[RecordSpan]) -> list[RecordSpan]:
    """Return *answer* without the records of private addresses."""
    return [record for record in answer if not _has_private_address(message, record)]


def expanded(message: bytes, record: RecordSpan) -> bytes:
    """Return a record of *message* without compressed names, so that it can move to another. Raises MessageError."""
    owner, _ = expanded_name(message, record.start)
    known = BY_NUMBER.get(record.type)
    # Names in RDATA of an unknown type must not be compressed (RFC 3597 section 4), so it can be copied as it is.
    data = message[record.data : record.end] if known is None else known.expanded(message, record)
    return owner + message[record.name_end : record.name_end + 8] + len(data).to_bytes(2) + data


def _has_private_address(message: bytes, record: RecordSpan) -> bool:
    data = message[record.data : record.end]
    return _ADDRESS_BYTES.get(record.type) == len(data) and is_private(ip_address(data))


def _owner(message: bytes, name: bytes, record: RecordSpan) -> bytes:
    if message[record.start : record.name_end] == _QUESTION_NAME:
        return name
    return expanded_name(message, record.start)[0].lower()


def _suffixes(name: bytes) -> Iterator[bytes]:
    at = 0
    while name[at]:
        yield name[at:]
        at += 1 + name[at]
    yield name[at:]
