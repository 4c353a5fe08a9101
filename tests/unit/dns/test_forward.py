"""Queries to forwarders, and which of their answers are cached."""

import tracemalloc
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from appliance.dns.forward import (
    MAX_KEPT,
    MAX_STALE_SECONDS,
    Action,
    AnswerCache,
    CachedAnswer,
    Question,
    judge,
    kept_of,
    question_of,
    reply_from,
    upstream_query,
)
from appliance.dns.message import MessageError, question_end
from appliance.dns.protocol import Forward, answer
from appliance.dns.upstreams import Upstreams
from appliance.model import Endpoint, Record
from tests.dns_cases import NODE, forwarding_cluster, query, table

FORWARDER = Endpoint(IPv4Address("192.0.2.53"), 53)
TABLE = table(forwarding_cluster(FORWARDER))
NOW = 1000.0


def forward(name: str = "quay.io", kind: str = "A", *, edns: bool = False) -> Forward:
    decision = answer(TABLE, query(name, kind, edns=edns), NODE)
    assert isinstance(decision, Forward)
    return decision


def response(
    wire: bytes, *records: str, authority: tuple[str, ...] = (), rcode: str = "NOERROR"
) -> dns.message.Message:
    """Return an answer to the query *wire*; records are written "name ttl type value"."""
    message = dns.message.make_response(dns.message.from_wire(wire), recursion_available=True)
    message.set_rcode(dns.rcode.from_text(rcode))
    for section, texts in ((message.answer, records), (message.authority, authority)):
        for text in texts:
            name, ttl, kind, value = text.split(" ", 3)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", kind, value))
    return message


SENT = upstream_query(question_of(forward()), 0x1234, 0)
SOA = "quay.io. {} SOA ns.quay.io. root.quay.io. 1 2 3 4 {}"


def kept(*records: str, authority: tuple[str, ...] = (), rcode: str = "NOERROR", now: float = NOW) -> CachedAnswer:
    return kept_of(response(SENT, *records, authority=authority, rcode=rcode).to_wire(), now)


def test_query_is_what_dnspython_reads_back() -> None:
    message = dns.message.from_wire(SENT)
    assert (message.id, dns.flags.to_text(message.flags), message.edns, message.payload) == (0x1234, "RD", 0, 1232)
    assert message.question[0].to_text() == "quay.io. IN A"


def test_case_of_each_letter_follows_its_bit() -> None:
    assert upstream_query(question_of(forward()), 0, 0b10)[12:21] == b"\4Quay\2io\0"


def test_dnssec_and_checking_disabled_are_asked_for_as_the_client_did() -> None:
    wire = bytearray(dns.message.make_query("quay.io", "A", want_dnssec=True).to_wire())
    wire[3] |= 0x10
    decision = answer(TABLE, bytes(wire), NODE)
    assert isinstance(decision, Forward)
    sent = dns.message.from_wire(upstream_query(question_of(decision), 1, 0))
    assert sent.ednsflags & dns.flags.DO
    assert sent.flags & dns.flags.CD


def changed(message: dns.message.Message, **fields: int) -> bytes:
    wire = bytearray(message.to_wire())
    for place, value in fields.items():
        wire[int(place.removeprefix("byte"))] = value
    return bytes(wire)


@pytest.mark.parametrize(
    ("received", "action"),
    [
        pytest.param(response(SENT, "quay.io. 60 A 192.0.2.1").to_wire(), Action.ACCEPT, id="an answer"),
        pytest.param(response(SENT, rcode="NXDOMAIN").to_wire(), Action.ACCEPT, id="no such name"),
        pytest.param(response(SENT, rcode="SERVFAIL").to_wire(), Action.NEXT, id="failure"),
        pytest.param(response(SENT, rcode="REFUSED").to_wire(), Action.NEXT, id="refusal"),
        pytest.param(response(SENT, rcode="FORMERR").to_wire(), Action.WITHOUT_EDNS, id="no EDNS"),
        pytest.param(changed(response(SENT), byte0=0xFF), Action.IGNORE, id="another id"),
        pytest.param(changed(response(SENT), byte2=0x01), Action.IGNORE, id="a query"),
        pytest.param(changed(response(SENT), byte13=ord("x")), Action.IGNORE, id="another name"),
        pytest.param(changed(response(SENT), byte13=ord("Q")), Action.USE_TCP, id="another case"),
        pytest.param(changed(response(SENT), byte2=0x83), Action.USE_TCP, id="truncated"),
        pytest.param(b"", Action.IGNORE, id="nothing"),
    ],
)
def test_action_on(received: bytes, action: Action) -> None:
    assert judge(SENT, received) is action


def test_case_does_not_matter_over_tcp() -> None:
    assert judge(SENT, changed(response(SENT), byte13=ord("Q")), over_tcp=True) is Action.ACCEPT


def test_answer_is_kept_for_its_least_ttl() -> None:
    assert kept("quay.io. 60 CNAME a.quay.io.", "a.quay.io. 30 A 192.0.2.1").fresh_until == NOW + 30


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_negative_answer_is_kept_for_the_soas_minimum(rcode: str) -> None:
    assert kept(authority=(SOA.format(900, 120),), rcode=rcode).fresh_until == NOW + 120


def test_negative_answer_is_kept_no_longer_than_its_soa() -> None:
    assert kept(authority=(SOA.format(90, 1200),), rcode="NXDOMAIN").fresh_until == NOW + 90


def test_negative_answer_is_kept_for_three_hours_at_most() -> None:
    assert kept(authority=(SOA.format(86400, 86400),), rcode="NXDOMAIN").fresh_until == NOW + 3 * 3600


def test_answer_is_kept_for_a_day_at_most() -> None:
    assert kept("quay.io. 604800 A 192.0.2.1").fresh_until == NOW + 86400


def test_negative_answer_without_soa_is_not_kept() -> None:
    assert kept(rcode="NXDOMAIN").fresh_until == NOW


def test_ttls_count_down_while_an_answer_is_kept() -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 60 A 192.0.2.1"), forward(), NOW + 20.9))
    assert reply.answer[0].to_text() == "quay.io. 40 IN A 192.0.2.1"


def test_stale_answer_says_thirty_seconds() -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 60 A 192.0.2.1"), forward(), NOW + 600))
    assert reply.answer[0].ttl == 30


def test_answer_with_a_ttl_of_zero_is_passed_on_with_it() -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 0 A 192.0.2.1"), forward(), NOW + 0.001))
    assert reply.answer[0].ttl == 0


def test_reply_is_not_authoritative_and_says_that_recursion_is_available() -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 60 A 192.0.2.1"), forward(), NOW))
    assert dns.flags.to_text(reply.flags) == "QR RD RA"


@pytest.mark.parametrize("edns", [False, True])
def test_reply_has_an_opt_record_if_the_client_sent_one(edns: bool) -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 60 A 192.0.2.1"), forward(edns=edns), NOW))
    assert reply.edns == (0 if edns else -1)


def test_reply_keeps_the_clients_spelling() -> None:
    decision = forward("QUAY.io")
    assert reply_from(kept("quay.io. 60 A 192.0.2.1"), decision, NOW)[12:21] == b"\4QUAY\2io\0"


def test_reply_past_the_clients_size_is_truncated() -> None:
    many = kept(*(f"quay.io. 60 A 192.0.2.{index}" for index in range(40)))
    reply = dns.message.from_wire(reply_from(many, forward(), NOW))
    assert (bool(reply.flags & dns.flags.TC), reply.answer) == (True, [])


def test_answer_behind_our_alias_follows_it_with_its_names_spelled_out() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "www.example.net"),)
    decision = answer(
        table(forwarding_cluster(FORWARDER, records=records)), query("out.example.localdomain", "MX"), NODE
    )
    assert isinstance(decision, Forward)
    sent = upstream_query(question_of(decision), 1, 0)
    found = response(
        sent,
        "www.example.net. 50 CNAME web.example.net.",
        "web.example.net. 50 MX 10 mail.web.example.net.",
        authority=("example.net. 70 NS ns.example.net.",),
    )
    reply = dns.message.from_wire(reply_from(kept_of(found.to_wire(), NOW), decision, NOW + 5))
    assert [rrset.to_text() for rrset in (*reply.answer, *reply.authority)] == [
        "out.example.localdomain. 60 IN CNAME www.example.net.",
        "www.example.net. 45 IN CNAME web.example.net.",
        "web.example.net. 45 IN MX 10 mail.web.example.net.",
        "example.net. 65 IN NS ns.example.net.",
    ]


def test_no_such_name_behind_our_alias_is_no_such_name() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "www.example.net"),)
    decision = answer(table(forwarding_cluster(FORWARDER, records=records)), query("out.example.localdomain"), NODE)
    assert isinstance(decision, Forward)
    soa = "example.net. 60 SOA ns.example.net. root.example.net. 1 2 3 4 60"
    found = response(upstream_query(question_of(decision), 1, 0), authority=(soa,), rcode="NXDOMAIN")
    reply = dns.message.from_wire(reply_from(kept_of(found.to_wire(), NOW), decision, NOW))
    assert (reply.rcode(), len(reply.answer), reply.authority[0].to_text()) == (
        dns.rcode.NXDOMAIN,
        1,
        "example.net. 60 IN SOA ns.example.net. root.example.net. 1 2 3 4 60",
    )


def mx_that_outgrows_its_record(sent: bytes) -> bytes:
    """Return an answer to *sent* of 65,535 bytes whose MX record points to a long name within itself."""
    asked = sent[12 : question_end(sent) + 4]
    size = 65535 - 12 - len(asked) - 12
    name_at = 12 + len(asked) + 12 + 4
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
    rdata = (b"\0\x0a" + (0xC000 | name_at).to_bytes(2) + name).ljust(size, b"x")
    head = sent[:2] + bytes.fromhex("8000 0001 0001 0000 0000")
    return head + asked + b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c" + size.to_bytes(2) + rdata


def test_record_that_is_too_long_with_its_names_spelled_out_is_a_server_failure() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "q.example"),)
    wire = query("out.example.localdomain", "MX")
    decision = answer(table(forwarding_cluster(FORWARDER, records=records)), wire, NODE, over_tcp=True)
    assert isinstance(decision, Forward)
    found = mx_that_outgrows_its_record(upstream_query(question_of(decision), 1, 0))
    assert reply_from(kept_of(found, NOW), decision, NOW)[3] & 0xF == dns.rcode.SERVFAIL


def test_opt_record_of_the_forwarder_is_not_passed_on() -> None:
    message = response(SENT, "quay.io. 60 A 192.0.2.1")
    message.use_edns(0)
    assert kept_of(message.to_wire(), NOW).counts == (1, 0)


def test_answer_that_is_cut_off_is_no_answer() -> None:
    with pytest.raises(MessageError):
        kept_of(response(SENT, "quay.io. 60 A 192.0.2.1").to_wire()[:-1], NOW)


def question(number: int) -> Question:
    return Question(f"\4q{number:03}\0".encode(), b"\0\1\0\1", wants_dnssec=False, checking_disabled=False)


def test_cache_is_bounded_and_gives_up_the_least_used() -> None:
    cache = AnswerCache()
    answer_kept = kept("quay.io. 60 A 192.0.2.1")
    for number in range(MAX_KEPT):
        cache.put(question(number), answer_kept)
    cache.get(question(0), NOW)
    cache.put(question(MAX_KEPT), answer_kept)
    assert len(cache) == MAX_KEPT
    assert cache.get(question(0), NOW) is not None
    assert cache.get(question(1), NOW) is None


def test_cache_takes_no_more_than_it_says_for_answers_of_many_records() -> None:
    fields = upstream_query(question_of(forward()), 0x1234, 0, with_edns=False)
    smallest = bytes.fromhex("c00c 0001 0001 0000003c 0000")  # a record without RDATA
    message = fields[:2] + bytes.fromhex("8180 0001 0155 0000 0000") + fields[12:] + 341 * smallest
    tracemalloc.start()
    cache = AnswerCache()
    for number in range(128):
        cache.put(question(number), kept_of(message, NOW))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cache) == 128
    assert taken / 128 * MAX_KEPT < 23 << 20


def test_ttl_of_more_than_a_day_is_passed_on_as_a_day() -> None:
    reply = dns.message.from_wire(reply_from(kept("quay.io. 604800 A 192.0.2.1"), forward(), NOW))
    assert reply.answer[0].ttl == 86400


def test_cache_forgets_what_is_too_stale() -> None:
    cache = AnswerCache()
    cache.put(question(0), kept("quay.io. 60 A 192.0.2.1"))
    assert cache.get(question(0), NOW + MAX_STALE_SECONDS + 60) is not None
    assert cache.get(question(0), NOW + MAX_STALE_SECONDS + 61) is None


def test_answer_with_a_ttl_of_zero_is_not_kept() -> None:
    cache = AnswerCache()
    cache.put(question(0), kept("quay.io. 0 A 192.0.2.1"))
    assert cache.get(question(0), NOW) is None


def test_failure_is_remembered_for_seconds_only() -> None:
    cache = AnswerCache()
    cache.fail(question(0), NOW)
    assert cache.has_failed(question(0), NOW + 4)
    assert not cache.has_failed(question(0), NOW + 6)


def test_a_silent_forwarder_is_asked_last_for_a_while() -> None:
    first, second = (Endpoint(IPv4Address(f"192.0.2.{number}"), 53) for number in (1, 2))
    upstreams = Upstreams()
    upstreams.failed(first, NOW)
    assert upstreams.in_turn([first, second], NOW + 1) == [second, first]
    assert upstreams.in_turn([first, second], NOW + 11) == [first, second]
    upstreams.answered(first)
    assert upstreams.in_turn([first, second], NOW + 1) == [first, second]
