"""The reply to a DNS query: a lookup, and a few bytes patched.

`own_answer` is the fast path. It answers well-formed queries whose reply does not
depend on the client, so the reply may be cached. `answer` answers every query, and
returns the same for those.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.dns.compile import Answer, DnsTable, Node
from appliance.dns.message import (
    CD,
    CLASS_IN,
    EDNS_BYTES,
    HEADER_BYTES,
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    OPCODE,
    PLAIN_BYTES,
    QR,
    RD,
    TC,
    TCP_BYTES,
    TYPE_OPT,
    Edns,
    MessageError,
    Rcode,
    edns_of,
    opt_record,
    question_end,
)
from appliance.dns.tsig import TYPE_BYTES, bad_key
from appliance.events import Transport
from appliance.peers import peer_address

ONE_QUESTION = b"\0\1\0\0\0\0"  # the header's counts of questions, answers and authority

OPT = opt_record(EDNS_BYTES)
OPT_DNSSEC = opt_record(EDNS_BYTES, wants_dnssec=True)  # the DO bit is copied to the reply (RFC 6891 section 6.1.4)
OPT_BADVERS = opt_record(EDNS_BYTES, rcode=Rcode.BADVERS)

# Query types and meta types (RFC 6895 section 3.1), of which zones have no data, each with the rcode that answers it.
# Zone transfers are refused to all clients: a whole zone is a map of the site.
_META_TYPES = {
    TYPE_OPT: Rcode.FORMERR,
    249: Rcode.FORMERR,  # TKEY
    250: Rcode.FORMERR,  # TSIG
    251: Rcode.REFUSED,  # IXFR
    252: Rcode.REFUSED,  # AXFR
    253: Rcode.NOTIMP,  # MAILB
    254: Rcode.NOTIMP,  # MAILA
}
_META_KEYS = frozenset(number.to_bytes(2) + CLASS_IN for number in _META_TYPES)


@dataclass(frozen=True, slots=True)
class NoReply:
    """A query that gets no reply."""

    why: str  # a word for the log


@dataclass(frozen=True, slots=True)
class Watched:
    """The reply to a query that shows how far a host's installation has come."""

    reply: bytes
    host: str  # its name
    name: bytes  # in lower case and wire form
    transport: Transport = Transport.UDP


@dataclass(frozen=True, slots=True)
class Forward:
    """A query that forwarders must answer: for its own name, or for *alias*, to which CNAMEs in our zones lead."""

    query: bytes
    name_end: int
    edns: Edns | None
    reply_bytes: int  # the longest reply that the client accepts
    alias: bytes = b""
    own: bytes = b""  # the reply with the CNAMEs up to *alias*, without OPT; b"" for the query's own name


def own_answer(table: DnsTable, query: bytes) -> bytes | None:
    """Return the reply over UDP to a plain query for a name in our zones, or None: then `answer` decides.

    The reply depends on nothing but the table and the query without its id. One core
    answers 150,000 a second, system calls included.
    """
    if len(query) < HEADER_BYTES or query[2] & ~(RD | TC) or query[4:10] != ONE_QUESTION:
        return None
    # In every name of our zones the first zero byte is the root label. A name with a zero byte inside a label is cut
    # there and ends within that label, so it equals none of our names.
    name_end = query.find(0, HEADER_BYTES) + 1
    end = name_end + 4
    key = query[name_end:end]
    node = table.nodes.get(query[HEADER_BYTES:name_end].lower())
    if node is None:
        if name_end > HEADER_BYTES + MAX_NAME_BYTES:
            return None
        found = _answer_below(table.nodes, query[HEADER_BYTES:name_end].lower(), key)
    elif node.is_watched:
        return None
    else:
        found = node.answers.get(key) or _other_type(node, key)
    if found is None or found.alias:
        return None
    recursion_desired = query[2] & RD
    if query[10:12] == b"\0\0":
        head, body = found.forms[recursion_desired]
        if end + len(body) > PLAIN_BYTES:
            return None
        return query[:2] + head + query[12:end] + body
    # Only a single OPT record of version 0 is answered here, with nothing after it.
    opt = query[end : end + 11]
    if query[10:12] != b"\0\1" or opt[:3] != b"\0\0\x29" or len(query) != end + 11 + int.from_bytes(opt[9:]) or opt[6]:
        return None
    head, body = found.forms[2 + recursion_desired]
    if end + len(body) + len(OPT) > min(max(int.from_bytes(opt[3:5]), PLAIN_BYTES), EDNS_BYTES):
        return None
    return query[:2] + head + query[12:end] + body + (OPT_DNSSEC if opt[7] & 0x80 else OPT)


def answer(
    table: DnsTable, query: bytes, client: str, *, over_tcp: bool = False
) -> bytes | Watched | Forward | NoReply:
    """Return the reply to *query* from the address *client*, or what else to do with it. Never raises."""
    if len(query) < HEADER_BYTES:
        return NoReply("short")
    if query[2] & QR:
        return NoReply("response")  # two servers that reply to responses could go on for ever
    if query[2] & OPCODE:
        return refusal(query, Rcode.NOTIMP)
    if query[4:6] != b"\0\1":
        return refusal(query, Rcode.FORMERR)  # RFC 9619: a query has exactly one question
    try:
        name_end = question_end(query)
        edns = edns_of(query, name_end + 4)
        # Most queries are known at a glance to have none.
        signature = bad_key(query, name_end + 4) if TYPE_BYTES in query else None
    except MessageError:
        return refusal(query, Rcode.FORMERR)
    if signature is not None:
        return _signed_refusal(query, name_end, edns, signature)
    if edns is not None and edns.version:
        return refusal(query, Rcode.BADVERS, name_end, edns)
    key = query[name_end : name_end + 4]
    if key[2:] != CLASS_IN:
        return refusal(query, Rcode.REFUSED, name_end, edns)
    if key in _META_KEYS:
        return refusal(query, _META_TYPES[int.from_bytes(key[:2])], name_end, edns)
    return _answer_in(table, query, client, name_end, edns, reply_bytes=TCP_BYTES if over_tcp else _udp_bytes(edns))


def refusal(query: bytes, rcode: Rcode, name_end: int = 0, edns: Edns | None = None) -> bytes:
    """Return a reply with *rcode* and without records. With *name_end* it repeats the question.

    *query* must have a whole header.
    """
    # RD and CD have a meaning in queries only. CD is copied (RFC 4035 section 3.2.2).
    opcode = query[2] & OPCODE
    head = bytes([QR | opcode, rcode & 0xF]) if opcode else bytes([QR | query[2] & RD, query[3] & CD | rcode & 0xF])
    opt = b"" if edns is None else OPT_BADVERS if rcode is Rcode.BADVERS else opt_for(edns)
    counts = bytes([0, bool(name_end), 0, 0, 0, 0, 0, bool(opt)])
    question = query[HEADER_BYTES : name_end + 4] if name_end else b""
    return query[:2] + head + counts + question + opt


def _signed_refusal(query: bytes, name_end: int, edns: Edns | None, signature: bytes) -> bytes:
    reply = refusal(query, Rcode.NOTAUTH, name_end, edns)
    signed = reply[:10] + (int.from_bytes(reply[10:12]) + 1).to_bytes(2) + reply[12:] + signature
    # Names are longer without compression, and the sender's address may be forged.
    return signed if len(signed) <= min(len(query), PLAIN_BYTES) else reply


def truncated(reply: bytes, name_end: int, edns: Edns | None) -> bytes:
    """Return *reply* with TC set and without records: the client repeats the query over TCP (RFC 2181 section 9)."""
    opt = b"" if edns is None else opt_for(edns)
    counts = bytes([0, 1, 0, 0, 0, 0, 0, bool(opt)])
    return reply[:2] + bytes([reply[2] | TC, reply[3]]) + counts + reply[HEADER_BYTES : name_end + 4] + opt


def opt_for(edns: Edns) -> bytes:
    """Return the OPT record for the reply to a query with *edns*."""
    return OPT_DNSSEC if edns.wants_dnssec else OPT


def _udp_bytes(edns: Edns | None) -> int:
    # A payload size below 512 counts as 512 (RFC 6891 section 6.2.3).
    return PLAIN_BYTES if edns is None else min(max(edns.payload_bytes, PLAIN_BYTES), EDNS_BYTES)


def _answer_in(
    table: DnsTable, query: bytes, client: str, name_end: int, edns: Edns | None, reply_bytes: int
) -> bytes | Watched | Forward:
    name = query[HEADER_BYTES:name_end].lower()
    key = query[name_end : name_end + 4]
    node = table.nodes.get(name)
    found = found_in(table.nodes, name, key)
    if found is None or found.alias:
        is_asked = table.forwarding.forwarders_of(name if found is None else found.alias, key)
        if query[2] & RD and (is_asked or table.elsewhere) and _may_recurse(table, client):
            if is_asked and (found is None or found.alias == name):
                return Forward(query, name_end, edns, reply_bytes)
            if is_asked and found is not None:
                # What the client accepts is checked when the forwarder's records are added: *own* may be of any size.
                own = _reply(found, query, name_end, None, TCP_BYTES)
                return Forward(query, name_end, edns, reply_bytes, found.alias, own)
            found = found or found_in(table.elsewhere, name, key)
        if found is None:
            return refusal(query, Rcode.REFUSED, name_end, edns)
    reply = _reply(found, query, name_end, edns, reply_bytes)
    if node is not None and node.is_watched:
        address = peer_address(client)
        host = table.hosts.get(address) if address is not None else None
        if host is not None:
            return Watched(reply, host, name, Transport.TCP if reply_bytes == TCP_BYTES else Transport.UDP)
    return reply


def _reply(found: Answer, query: bytes, name_end: int, edns: Edns | None, reply_bytes: int) -> bytes:
    """Return the reply: complete if it fits in *reply_bytes*, else without optional records, else truncated."""
    form = (query[2] & RD) + (0 if edns is None else 2)
    opt = b"" if edns is None else opt_for(edns)
    reply = b""
    for head, body in (found.forms[form], found.short_forms[form]):
        reply = query[:2] + head + query[HEADER_BYTES : name_end + 4] + body + opt
        if len(reply) <= reply_bytes:
            return reply
    return truncated(reply, name_end, edns)


def found_in(nodes: Mapping[bytes, Node], name: bytes, key: bytes) -> Answer | None:
    """Return the answer for *name*, in lower case, and the type and class in *key*; None if it is outside our zones."""
    node = nodes.get(name)
    return _answer_below(nodes, name, key) if node is None else node.answers.get(key) or _other_type(node, key)


def _answer_below(nodes: Mapping[bytes, Node], name: bytes, key: bytes) -> Answer | None:
    """Return the answer for a *name* that does not exist: a wildcard's, NXDOMAIN, or None if it is outside our zones.

    The closest name above it that exists decides (RFC 4592 section 3.3.1). *name*
    may be any bytes from the network: the loop ends at its last byte at the latest.
    """
    at = 0
    size = len(name)
    while at < size and (length := name[at]):
        if length > MAX_LABEL_BYTES:
            return None
        at += 1 + length
        node = nodes.get(name[at:])
        if node is not None:
            below = node.below
            return None if below is None else below.answers.get(key) or _other_type(below, key)
    return None


def _other_type(node: Node, key: bytes) -> Answer | None:
    # Queries for other classes and meta types are not about records; `answer` handles them.
    if key[2:] != CLASS_IN or key in _META_KEYS:
        return None
    return node.otherwise


def _may_recurse(table: DnsTable, client: str) -> bool:
    address = peer_address(client)
    return address is not None and any(address in network for network in table.allow_recursion)
