"""What forwarders are asked, which of their answers count, and how long each is kept.

Bytes and time in, bytes and verdicts out; the sockets are in `appliance.dns.resolver`.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

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
    TYPE_OPT,
    MessageError,
    Rcode,
    RecordSpan,
    expanded_name,
    opt_record,
    question_end,
    records,
)
from appliance.dns.protocol import ONE_QUESTION, Forward, opt_for, refusal, truncated
from appliance.dns.records import BY_NAME, BY_NUMBER
from appliance.model import Endpoint

# 4,096 answers of at most 4 KiB, and two bytes more for each of their 372 records at most: with their names 23 MiB at
# worst, 4 MiB as they come.
MAX_KEPT = 4096
MAX_KEPT_BYTES = 4096
MAX_TTL = 86400  # seconds; a day, so that no mistake upstream stays longer
MAX_NEGATIVE_TTL = 10800  # RFC 2308 section 5: one to three hours
MAX_STALE_SECONDS = 86400.0  # RFC 8767 section 5: one to three days
STALE_TTL = 30  # as above
FAILURE_SECONDS = 5.0  # RFC 9520 section 3.2: one second to five minutes
STALE_FAILURE_SECONDS = 30.0  # RFC 8767 section 5, the failure recheck timer
HOLD_DOWN_SECONDS = 10.0  # a forwarder that did not answer is asked last for so long

_TYPE_SOA = BY_NAME["SOA"].number


class Question(NamedTuple):
    """What a forwarder is asked, and an answer is kept under."""

    name: bytes  # as on the wire, lower case
    key: bytes  # type and class
    wants_dnssec: bool
    checking_disabled: bool


class Verdict(Enum):
    """What a datagram from a forwarder means for the question."""

    ACCEPT = auto()
    IGNORE = auto()  # not the answer: wait on
    USE_TCP = auto()
    WITHOUT_EDNS = auto()
    NEXT = auto()  # this forwarder cannot answer


@dataclass(frozen=True, slots=True)
class Kept:
    """A forwarder's answer, without its question and OPT record."""

    rcode: int
    counts: tuple[int, int, int]
    body: bytes  # names in it may point into the question, whose length is fixed; no TTL is above MAX_TTL
    ttls_at: "array[int]"  # offsets in the body: a tuple of numbers would take ten times the body's room
    kept_at: float  # loop clock, as is the next
    fresh_until: float

    def is_stale(self, now: float) -> bool:
        """Whether it was kept past its time; what must not be kept at all is not, and passed on as it came."""
        return self.kept_at < self.fresh_until < now


def question_of(forward: Forward) -> Question:
    """Return what to ask for a client's query."""
    query = forward.query
    return Question(
        name=forward.alias or query[HEADER_BYTES : forward.name_end].lower(),
        key=query[forward.name_end : forward.name_end + 4],
        wants_dnssec=forward.edns is not None and forward.edns.wants_dnssec,
        checking_disabled=bool(query[3] & CD),
    )


def upstream_query(question: Question, message_id: int, case_bits: int, *, with_edns: bool = True) -> bytes:
    """Return the query to send, its letters' case chosen by *case_bits*: an answer forged blindly has it wrong."""
    name = bytes(
        byte ^ 0x20 if 0x61 <= byte <= 0x7A and case_bits >> place & 1 else byte
        for place, byte in enumerate(question.name)
    )
    flags = bytes([RD, CD if question.checking_disabled else 0])
    opt = opt_record(EDNS_BYTES, wants_dnssec=question.wants_dnssec) if with_edns else b""
    counts = ONE_QUESTION + bytes([0, with_edns])
    return message_id.to_bytes(2) + flags + counts + name + question.key + opt


def judge(sent: bytes, received: bytes, *, over_tcp: bool = False) -> Verdict:
    """Return what *received* means as an answer to *sent*."""
    stray = Verdict.NEXT if over_tcp else Verdict.IGNORE
    if len(received) < HEADER_BYTES or received[:2] != sent[:2] or received[2] & (QR | OPCODE) != QR:
        return stray
    rcode = received[3] & 0xF
    had_edns = sent[11] == 1
    end = question_end(sent) + 4
    if received[4:6] == b"\0\0" and rcode in (Rcode.FORMERR, Rcode.NOTIMP) and had_edns:
        return Verdict.WITHOUT_EDNS  # too old to repeat a question with EDNS
    if received[4:6] != b"\0\1" or received[HEADER_BYTES:end].lower() != sent[HEADER_BYTES:end].lower():
        return stray
    if received[HEADER_BYTES:end] != sent[HEADER_BYTES:end] and not over_tcp:
        return Verdict.USE_TCP  # forged, or a forwarder that loses the case: TCP tells
    if received[2] & TC and not over_tcp:
        return Verdict.USE_TCP
    if rcode in (Rcode.FORMERR, Rcode.NOTIMP) and had_edns:
        return Verdict.WITHOUT_EDNS
    return Verdict.ACCEPT if rcode in (Rcode.NOERROR, Rcode.NXDOMAIN) else Verdict.NEXT


def kept_of(message: bytes, now: float) -> Kept:
    """Return an accepted answer as it is kept. Raises MessageError."""
    start = question_end(message) + 4
    counts = [int.from_bytes(message[at : at + 2]) for at in (6, 8, 10)]
    found = list(records(message, start, sum(counts)))
    firm = counts[0] + counts[1]
    opt_at = next((index for index, record in enumerate(found) if record.type == TYPE_OPT), len(found))
    if opt_at < firm:
        raise MessageError("an OPT record that is not among the additional ones")
    # The OPT record is for this hop only; records behind it may point past it, and are a courtesy.
    found = found[:opt_at]
    rcode = message[3] & 0xF
    seconds = _seconds_to_keep(message, found[: counts[0]], found[counts[0] : firm], rcode)
    body = bytearray(message[start : found[-1].end] if found else b"")
    ttls_at = array("H", (record.name_end + 4 - start for record in found))
    for at, record in zip(ttls_at, found, strict=True):
        body[at : at + 4] = min(record.ttl, MAX_TTL).to_bytes(4)
    return Kept(
        rcode=rcode,
        counts=(counts[0], counts[1], len(found) - firm),
        body=bytes(body),
        ttls_at=ttls_at,
        kept_at=now,
        fresh_until=now + seconds,
    )


def reply_from(kept: Kept, forward: Forward, now: float) -> bytes:
    """Return the reply to a client, its TTLs counted down to *now*."""
    query = forward.query
    age = int(now - kept.kept_at)
    is_stale = kept.is_stale(now)
    body = bytearray(kept.body)
    for at in kept.ttls_at:
        left = STALE_TTL if is_stale else max(int.from_bytes(body[at : at + 4]) - age, 0)
        body[at : at + 4] = left.to_bytes(4)
    question = query[HEADER_BYTES : forward.name_end + 4]
    counts = list(kept.counts)
    flags = QR | query[2] & RD
    sections = bytes(body)
    if forward.alias:
        flags |= AA
        try:
            sections, counts = _after_alias(forward, kept, sections)
        except MessageError:
            return refusal(query, Rcode.SERVFAIL, forward.name_end, forward.edns)
    opt = b"" if forward.edns is None else opt_for(forward.edns)
    counts[2] += bool(opt)
    head = query[:2] + bytes([flags, RA | query[3] & CD | kept.rcode])
    reply = head + b"\0\1" + b"".join(count.to_bytes(2) for count in counts) + question + sections + opt
    return reply if len(reply) <= forward.reply_bytes else truncated(reply, forward.name_end, forward.edns)


class AnswerCache:
    """Answers by question, the least used given up first; and which questions have failed lately."""

    def __init__(self) -> None:
        self._kept: dict[Question, Kept] = {}
        self._failed_until: dict[Question, float] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, now: float) -> Kept | None:
        """Return the answer kept, fresh or stale, or None."""
        kept = self._kept.pop(question, None)
        if kept is None or now > kept.fresh_until + MAX_STALE_SECONDS:
            return None
        self._kept[question] = kept  # now the last to be given up
        return kept

    def put(self, question: Question, kept: Kept) -> None:
        """Keep an answer, unless it says that it must not be kept or is out of proportion."""
        self._failed_until.pop(question, None)
        self._kept.pop(question, None)
        if kept.fresh_until <= kept.kept_at or len(kept.body) > MAX_KEPT_BYTES:
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = kept

    def fail(self, question: Question, now: float) -> None:
        """Remember that no forwarder has an answer."""
        if len(self._failed_until) >= MAX_KEPT:
            self._failed_until.clear()
        seconds = STALE_FAILURE_SECONDS if question in self._kept else FAILURE_SECONDS
        self._failed_until[question] = now + seconds

    def has_failed(self, question: Question, now: float) -> bool:
        """Whether asking again so soon is pointless (RFC 9520)."""
        return self._failed_until.get(question, now) > now


class Upstreams:
    """Which forwarders have answered lately."""

    def __init__(self) -> None:
        self._failed_at: dict[Endpoint, float] = {}

    def in_turn(self, forwarders: Sequence[Endpoint], now: float) -> list[Endpoint]:
        """Return *forwarders* in their order, those that did not answer lately last."""
        return sorted(
            forwarders, key=lambda one: one in self._failed_at and now < self._failed_at[one] + HOLD_DOWN_SECONDS
        )

    def failed(self, forwarder: Endpoint, now: float) -> None:
        """Take note that *forwarder* did not answer."""
        self._failed_at[forwarder] = now

    def answered(self, forwarder: Endpoint) -> None:
        """Take note that *forwarder* answered."""
        self._failed_at.pop(forwarder, None)


def _seconds_to_keep(message: bytes, answer: list[RecordSpan], authority: list[RecordSpan], rcode: int) -> int:
    """Return how long an answer is fresh: by its TTLs, and where there is nothing, by its SOA (RFC 2308)."""
    soa = next((record for record in authority if record.type == _TYPE_SOA), None)
    seconds = min((record.ttl for record in answer), default=MAX_TTL)
    is_negative = rcode == Rcode.NXDOMAIN or soa is not None or not answer
    if not is_negative:
        return min(seconds, MAX_TTL)
    if soa is None:
        return 0  # RFC 2308 section 5: without an SOA it must not be kept
    minimum = int.from_bytes(message[soa.end - 4 : soa.end])
    return min(seconds, soa.ttl, minimum, MAX_NEGATIVE_TTL)


def _after_alias(forward: Forward, kept: Kept, body: bytes) -> tuple[bytes, list[int]]:
    """Return our own CNAMEs followed by what the forwarder says of the name that they lead to, and the counts."""
    own = forward.own
    own_start = forward.name_end + 4
    own_count = int.from_bytes(own[6:8])
    chain = list(records(own, own_start, own_count))
    message = bytes(HEADER_BYTES) + forward.alias + own[forward.name_end : own_start] + body
    answer, authority, _ = kept.counts
    found = list(records(message, HEADER_BYTES + len(forward.alias) + 4, answer + authority))
    sections = own[own_start : chain[-1].end] if chain else b""
    return sections + b"".join(_expanded(message, record) for record in found), [own_count + answer, authority, 0]


def _expanded(message: bytes, record: RecordSpan) -> bytes:
    """Return a record of *message* without compressed names, so that it can move to another message."""
    owner, _ = expanded_name(message, record.start)
    known = BY_NUMBER.get(record.type)
    # Nothing in RDATA of an unknown type may be compressed (RFC 3597 section 4), so it is copied as it is.
    data = message[record.data : record.end] if known is None else known.expanded(message, record)
    return owner + message[record.name_end : record.name_end + 8] + len(data).to_bytes(2) + data
