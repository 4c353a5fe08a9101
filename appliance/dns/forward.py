"""What to ask forwarders, which of their answers to accept, and how long to cache each.

Bytes and time in, bytes and verdicts out. The sockets are in `appliance.dns.resolver`.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple

from appliance.dns.compile import Answer, Node
from appliance.dns.foreign import belonging, expanded, without_private
from appliance.dns.message import (
    AA,
    CD,
    EDNS_BYTES,
    HEADER_BYTES,
    OPCODE,
    QR,
    RA,
    RD,
    TC,
    TCP_BYTES,
    TYPE_OPT,
    MessageError,
    Rcode,
    RecordSpan,
    opt_record,
    question_end,
    records,
)
from appliance.dns.protocol import ONE_QUESTION, Forward, found_in, opt_for, refusal, truncated
from appliance.dns.records import BY_NAME

# Answers in the cache: 4 MiB with those that are usual. Each has at most 4 KiB, and two more bytes for each of its
# records, of which 341 fit at 12 bytes each; with the questions that is 23 MiB at worst.
MAX_KEPT = 4096
MAX_KEPT_BYTES = 4096
MAX_RECORDS = 1000  # in a message: a good millisecond of work
MAX_TTL = 86400  # seconds; a mistake upstream is gone after a day
MAX_NEGATIVE_TTL = 10800  # RFC 2308 section 5: one to three hours
MAX_STALE_SECONDS = 86400.0  # RFC 8767 section 5: one to three days
STALE_TTL = 30  # as above
FAILURE_SECONDS = 5.0  # RFC 9520 section 3.2: one second to five minutes
STALE_FAILURE_SECONDS = 30.0  # RFC 8767 section 5, the failure recheck timer

_TYPE_SOA = BY_NAME["SOA"].number


class Question(NamedTuple):
    """What a forwarder is asked, and the key of its answer in the cache."""

    name: bytes  # in lower case and wire form
    key: bytes  # type and class
    wants_dnssec: bool
    checking_disabled: bool


class Action(Enum):
    """What to do after a message from a forwarder."""

    ACCEPT = auto()
    IGNORE = auto()  # it is not a reply to the query: wait for another message
    USE_TCP = auto()  # repeat the query over TCP
    WITHOUT_EDNS = auto()  # repeat the query without an OPT record
    NEXT = auto()  # ask the next forwarder: this one has no answer


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A forwarder's answer, as it is cached: without its question and OPT record."""

    rcode: int
    counts: tuple[int, int]  # of answer and authority
    body: bytes  # compressed names may point into the question, which has the same length for all clients
    ttls_at: "array[int]"  # offsets of the TTLs in *body*, all at most MAX_TTL; a tuple would take ten times the memory
    kept_at: float  # when it was received; loop clock, as is the next
    fresh_until: float
    own: bytes = b""  # the name in our zones to which its CNAMEs lead; b"" for none

    def is_stale(self, now: float) -> bool:
        """Whether it is older than its TTL allows."""
        # With a TTL of zero, kept_at equals fresh_until. Such an answer is never cached, and it is not stale when it is
        # passed on a moment later.
        return self.kept_at < self.fresh_until < now


def question_of(forward: Forward) -> Question:
    """Return what to ask forwarders for a client's query."""
    query = forward.query
    return Question(
        name=forward.alias or query[HEADER_BYTES : forward.name_end].lower(),
        key=query[forward.name_end : forward.name_end + 4],
        wants_dnssec=forward.edns is not None and forward.edns.wants_dnssec,
        checking_disabled=bool(query[3] & CD),
    )


def upstream_query(question: Question, message_id: int, case_bits: int, *, with_edns: bool = True) -> bytes:
    """Return the query to send, with the case of each letter chosen by a bit of *case_bits*.

    Forwarders return the name in the same case, so an attacker who cannot see the query
    has to guess it as well as the id and the port (draft-vixie-dnsext-dns0x20).
    """
    name = bytes(
        byte ^ 0x20 if 0x61 <= byte <= 0x7A and case_bits >> place & 1 else byte
        for place, byte in enumerate(question.name)
    )
    flags = bytes([RD, CD if question.checking_disabled else 0])
    opt = opt_record(EDNS_BYTES, wants_dnssec=question.wants_dnssec) if with_edns else b""
    counts = ONE_QUESTION + bytes([0, with_edns])
    return message_id.to_bytes(2) + flags + counts + name + question.key + opt


def judge(sent: bytes, received: bytes, *, over_tcp: bool = False) -> Action:
    """Return what *received* means as a reply to *sent*. Never raises, whatever the bytes are."""
    # Anybody can forge a datagram, so a strange one is ignored while the true reply may still come. A connection has
    # only the forwarder at its other end, so a strange message is all that it has to say.
    stray = Action.NEXT if over_tcp else Action.IGNORE
    if len(received) < HEADER_BYTES or received[:2] != sent[:2] or received[2] & (QR | OPCODE) != QR:
        return stray
    rcode = received[3] & 0xF
    had_edns = sent[11] == 1
    end = question_end(sent) + 4
    if received[4:6] == b"\0\0" and rcode in (Rcode.FORMERR, Rcode.NOTIMP) and had_edns:
        return Action.WITHOUT_EDNS  # from a server so old that it does not even return the question
    if received[4:6] != b"\0\1" or received[HEADER_BYTES:end].lower() != sent[HEADER_BYTES:end].lower():
        return stray
    if received[HEADER_BYTES:end] != sent[HEADER_BYTES:end] and not over_tcp:
        # Forged, or from a forwarder that changes the case. An attacker cannot forge it over TCP.
        return Action.USE_TCP
    if received[2] & TC and not over_tcp:
        return Action.USE_TCP
    if rcode in (Rcode.FORMERR, Rcode.NOTIMP) and had_edns:
        return Action.WITHOUT_EDNS
    return Action.ACCEPT if rcode in (Rcode.NOERROR, Rcode.NXDOMAIN) else Action.NEXT


def kept_of(
    message: bytes, now: float, borders: Mapping[bytes, bool] = MappingProxyType({}), *, drops_private: bool = False
) -> CachedAnswer:
    """Return what belongs to an accepted answer in the form for the cache. Raises MessageError if it is malformed.

    *borders* is as in DnsTable.
    """
    name_end = question_end(message)
    start = name_end + 4
    counts = [int.from_bytes(message[at : at + 2]) for at in (6, 8, 10)]
    required = counts[0] + counts[1]
    if sum(counts) > MAX_RECORDS:
        raise MessageError("the answer has too many records")
    found = list(records(message, start, sum(counts)))[:required]
    if any(record.type == TYPE_OPT for record in found):
        raise MessageError("an OPT record is not in the additional section")
    name = message[HEADER_BYTES:name_end].lower()
    kind = int.from_bytes(message[name_end : name_end + 2])
    answer, authority, own = belonging(message, name, kind, found[: counts[0]], found[counts[0] :], borders)
    if drops_private:
        answer = without_private(message, answer)
    # Whatever a forwarder says about DS at the name of a zone of ours, that name exists.
    rcode = Rcode.NOERROR if own or borders.get(name) else message[3] & 0xF
    seconds = _seconds_to_keep(message, answer, authority, rcode)
    if len(answer) + len(authority) == required:
        body = bytearray(message[start : found[-1].end] if found else b"")
    else:
        # The rest moves to other offsets, so compressed names would no longer be right.
        body = bytearray(b"".join(expanded(message, record) for record in (*answer, *authority)))
        if len(body) > TCP_BYTES:
            raise MessageError("the answer is too long without compressed names")
        found = list(records(message[:start] + body, start, len(answer) + len(authority)))
    ttls_at = array("H", (record.name_end + 4 - start for record in found))
    for at, record in zip(ttls_at, found, strict=True):
        body[at : at + 4] = min(record.ttl, MAX_TTL).to_bytes(4)
    return CachedAnswer(rcode, (len(answer), len(authority)), bytes(body), ttls_at, now, now + seconds, own)


def reply_from(
    kept: CachedAnswer, forward: Forward, now: float, nodes: Mapping[bytes, Node] = MappingProxyType({})
) -> bytes:
    """Return the reply to a client, with TTLs counted down to *now*, in seconds of the loop clock.

    *nodes* are the names of our zones, to which CNAMEs may lead.
    """
    query = forward.query
    age = int(now - kept.kept_at)
    is_stale = kept.is_stale(now)
    body = bytearray(kept.body)
    for at in kept.ttls_at:
        left = STALE_TTL if is_stale else max(int.from_bytes(body[at : at + 4]) - age, 0)
        body[at : at + 4] = left.to_bytes(4)
    question = query[HEADER_BYTES : forward.name_end + 4]
    counts = [*kept.counts, 0]
    flags = QR | query[2] & RD
    rcode = kept.rcode
    sections = bytes(body)
    if forward.alias:
        flags |= forward.own[2] & AA  # refers to the first owner name in the answer (RFC 1035 section 4.1.1)
        try:
            sections, counts = _after_alias(forward, kept, sections)
        except MessageError:
            return refusal(query, Rcode.SERVFAIL, forward.name_end, forward.edns)
    found = found_in(nodes, kept.own, query[forward.name_end : forward.name_end + 4]) if kept.own else None
    if found is not None:
        own, own_counts, rcode = _own_sections(found, kept.own)
        sections += own
        counts = [sum(pair) for pair in zip(counts, own_counts, strict=True)]
    opt = b"" if forward.edns is None else opt_for(forward.edns)
    counts[2] += bool(opt)
    head = query[:2] + bytes([flags, RA | query[3] & CD | rcode])
    reply = head + b"\0\1" + b"".join(count.to_bytes(2) for count in counts) + question + sections + opt
    return reply if len(reply) <= forward.reply_bytes else truncated(reply, forward.name_end, forward.edns)


class AnswerCache:
    """Answers by question, and questions that failed recently. When full, it drops the least recently used answer."""

    def __init__(self) -> None:
        self._kept: dict[Question, CachedAnswer] = {}
        self._failed_until: dict[Question, float] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, now: float) -> CachedAnswer | None:
        """Return the cached answer, fresh or stale, or None; *now* is in seconds of the loop clock."""
        kept = self._kept.pop(question, None)
        if kept is None or now > kept.fresh_until + MAX_STALE_SECONDS:
            return None
        self._kept[question] = kept  # moved to the end of the dictionary's order, as the most recently used
        return kept

    def put(self, question: Question, kept: CachedAnswer) -> None:
        """Cache an answer, unless its TTL is zero or it is longer than MAX_KEPT_BYTES."""
        self._failed_until.pop(question, None)
        self._kept.pop(question, None)
        if kept.fresh_until <= kept.kept_at or len(kept.body) > MAX_KEPT_BYTES:
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = kept

    def fail(self, question: Question, now: float) -> None:
        """Remember that no forwarder had an answer."""
        # All of them at once: each is valid for seconds only, and costs at most one more query when it is forgotten.
        if len(self._failed_until) >= MAX_KEPT:
            self._failed_until.clear()
        seconds = STALE_FAILURE_SECONDS if question in self._kept else FAILURE_SECONDS
        self._failed_until[question] = now + seconds

    def has_failed(self, question: Question, now: float) -> bool:
        """Whether *question* failed so recently that it must not be asked again (RFC 9520 section 3.2)."""
        return self._failed_until.get(question, now) > now


def _seconds_to_keep(message: bytes, answer: list[RecordSpan], authority: list[RecordSpan], rcode: int) -> int:
    """Return how many seconds an answer is fresh: its lowest TTL, and if it is negative, no longer than its SOA says.

    RFC 2308 section 5.
    """
    soa = next((record for record in authority if record.type == _TYPE_SOA), None)
    seconds = min((record.ttl for record in answer), default=MAX_TTL)
    is_negative = rcode == Rcode.NXDOMAIN or soa is not None or not answer
    if not is_negative:
        return min(seconds, MAX_TTL)
    if soa is None:
        return 0  # RFC 2308 section 5: without an SOA it must not be cached
    # The last four bytes of the SOA's RDATA. If the RDATA is shorter, these are other bytes of the same message, and
    # the answer is cached for a wrong time, but for no longer than MAX_NEGATIVE_TTL.
    minimum = int.from_bytes(message[soa.end - 4 : soa.end])
    return min(seconds, soa.ttl, minimum, MAX_NEGATIVE_TTL)


def _after_alias(forward: Forward, kept: CachedAnswer, body: bytes) -> tuple[bytes, list[int]]:
    """Return our own CNAMEs followed by the forwarder's records for the name that they lead to, and the counts.

    Raises MessageError. The forwarder's names are written without compression, because
    their records move to other offsets, where pointers would no longer be right.
    """
    own = forward.own
    own_start = forward.name_end + 4
    own_count = int.from_bytes(own[6:8])
    chain = list(records(own, own_start, own_count))
    message = bytes(HEADER_BYTES) + forward.alias + own[forward.name_end : own_start] + body
    answer, authority = kept.counts
    found = list(records(message, HEADER_BYTES + len(forward.alias) + 4, answer + authority))
    sections = own[own_start : chain[-1].end] if chain else b""
    return sections + b"".join(expanded(message, record) for record in found), [own_count + answer, authority, 0]


def _own_sections(found: Answer, name: bytes) -> tuple[bytes, list[int], int]:
    """Return what we know of *name* without compressed names, the counts and the rcode, for the end of a reply."""
    head, body = found.short_forms[RD]
    counts = [int.from_bytes(head[at : at + 2]) for at in (4, 6, 8)]
    message = bytes(HEADER_BYTES) + name + body
    spans = records(message, HEADER_BYTES + len(name), sum(counts))
    return b"".join(expanded(message, span) for span in spans), counts, head[1] & 0xF
