"""What clients get of a forwarder's answer."""

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address

import dns.message
import dns.rcode
import dns.rrset
import pytest

from appliance.dns.forward import kept_of, question_of, reply_from, upstream_query
from appliance.dns.message import MessageError
from appliance.dns.protocol import Forward, answer
from appliance.model import Endpoint, ForwardZone
from tests.dns_cases import NODE, forwarding_cluster, query, table

CLUSTER = forwarding_cluster(Endpoint(IPv4Address("192.0.2.53"), 53))
TABLE = table(CLUSTER)
NOW = 1000.0
OURS = "m1.ocp45.example.localdomain"


def reply_after(
    *records: str,
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    rcode: str = "NOERROR",
    kind: str = "A",
) -> dns.message.Message:
    """Return the reply to a query for www.example.net when a forwarder answers it with these records."""
    decision = answer(TABLE, query("www.example.net", kind), NODE)
    assert isinstance(decision, Forward)
    message = dns.message.make_response(dns.message.from_wire(upstream_query(question_of(decision), 1, 0)))
    message.set_rcode(dns.rcode.from_text(rcode))
    sections = ((message.answer, records), (message.authority, authority), (message.additional, additional))
    for section, texts in sections:
        for text in texts:
            name, record_kind, value = text.split(" ", 2)
            section.append(dns.rrset.from_text(name, 60, "IN", record_kind, value))
    kept = kept_of(message.to_wire(), NOW, TABLE.borders)
    return dns.message.from_wire(reply_from(kept, decision, NOW, TABLE.nodes))


def texts(section: list[dns.rrset.RRset]) -> list[str]:
    return [f"{rrset.name.to_text(omit_final_dot=True)} {rdata}" for rrset in section for rdata in rrset]


def test_chain_of_cnames_is_passed_on_in_any_order() -> None:
    reply = reply_after("b.example.org. A 203.0.113.1", "www.example.net. CNAME b.example.org.")
    assert texts(reply.answer) == ["b.example.org 203.0.113.1", "www.example.net b.example.org."]


def test_record_outside_the_chain_is_dropped() -> None:
    reply = reply_after("www.example.net. A 203.0.113.1", "quay.io. A 203.0.113.66")
    assert texts(reply.answer) == ["www.example.net 203.0.113.1"]


def test_record_of_another_type_is_dropped() -> None:
    reply = reply_after("www.example.net. A 203.0.113.1", "www.example.net. AAAA 2001:db8::66")
    assert texts(reply.answer) == ["www.example.net 203.0.113.1"]


def test_cname_into_our_zone_gets_our_own_data() -> None:
    reply = reply_after(f"www.example.net. CNAME {OURS}.", f"{OURS}. A 203.0.113.66")
    assert texts(reply.answer) == [f"www.example.net {OURS}.", f"{OURS} 172.16.0.21"]


def test_cname_to_our_name_that_a_forwarder_does_not_know_gets_our_own_data() -> None:
    soa = "localdomain. SOA a. b. 1 2 3 4 5"
    reply = reply_after(f"www.example.net. CNAME {OURS}.", authority=(soa,), rcode="NXDOMAIN")
    assert (reply.rcode(), texts(reply.answer)[1:]) == (dns.rcode.NOERROR, [f"{OURS} 172.16.0.21"])


def test_cname_to_a_name_that_our_zone_has_not_is_no_such_name() -> None:
    reply = reply_after(
        "www.example.net. CNAME m9.ocp45.example.localdomain.", "m9.ocp45.example.localdomain. A 192.0.2.6"
    )
    assert (reply.rcode(), len(reply.answer), len(reply.authority)) == (dns.rcode.NXDOMAIN, 1, 1)


def test_cnames_that_end_where_they_began_are_passed_on() -> None:
    reply = reply_after("www.example.net. CNAME b.example.org.", "b.example.org. CNAME www.example.net.")
    assert len(reply.answer) == 2


def test_signatures_are_passed_on() -> None:
    signature = "www.example.net. RRSIG A 8 3 60 20300101000000 20200101000000 1 example.net. AAAA"
    assert len(reply_after("www.example.net. A 203.0.113.1", signature).answer) == 2


def test_dname_is_passed_on_with_its_cname() -> None:
    reply = reply_after(
        "example.net. DNAME example.org.", "www.example.net. CNAME www.example.org.", "www.example.org. A 203.0.113.1"
    )
    assert len(reply.answer) == 3


@pytest.mark.parametrize(
    "record",
    ["example.net. SOA a. b. 1 2 3 4 5", "example.net. NS ns.example.org.", "a.example.net. NSEC z.example.net. A"],
)
def test_authority_of_the_question_is_passed_on(record: str) -> None:
    assert len(reply_after(authority=(record,)).authority) == 1


@pytest.mark.parametrize(
    "record",
    [
        "example.localdomain. NS ns.example.org.",
        "quay.io. NS ns.example.org.",
        f"{OURS}. A 203.0.113.66",
        f"{OURS}. NSEC z.{OURS}. A",
    ],
)
def test_authority_of_other_names_is_dropped(record: str) -> None:
    assert reply_after("www.example.net. A 203.0.113.1", authority=(record,)).authority == []


BELOW = f"corp.{CLUSTER.domain}"


@pytest.mark.parametrize(
    ("answers", "authority"),
    [
        ((), (f"{CLUSTER.domain}. SOA a. b. 1 2 3 4 5",)),
        ((), (f"{CLUSTER.domain}. NS ns.example.org.",)),
        ((f"{CLUSTER.domain}. DNAME example.org.",), ()),
    ],
)
def test_forwarder_of_names_below_our_zone_says_nothing_about_its_apex(
    answers: tuple[str, ...], authority: tuple[str, ...]
) -> None:
    settings = replace(CLUSTER.dns, forward=(ForwardZone(BELOW, CLUSTER.dns.forwarders),))
    borders = table(replace(CLUSTER, dns=settings)).borders
    message = dns.message.make_response(dns.message.make_query(f"www.{BELOW}", "A"))
    for section, texts in ((message.answer, answers), (message.authority, authority)):
        for text in texts:
            name, kind, value = text.split(" ", 2)
            section.append(dns.rrset.from_text(name, 60, "IN", kind, value))
    assert kept_of(message.to_wire(), NOW, borders).counts == (0, 0)


@pytest.mark.parametrize(("count", "is_accepted"), [(1000, True), (1001, False)])
def test_answer_of_more_than_a_thousand_records_counts_as_malformed(count: int, is_accepted: bool) -> None:
    question = upstream_query(question_of(Forward(query("www.example.net"), 29, None, 512)), 1, 0, with_edns=False)
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\7"
    message = question[:2] + b"\x81\x80" + question[4:6] + count.to_bytes(2) + question[8:] + record * count
    with contextlib.nullcontext() if is_accepted else pytest.raises(MessageError):
        assert kept_of(message, NOW, TABLE.borders).counts == (count, 0)


def test_additional_records_are_dropped() -> None:
    assert reply_after("www.example.net. A 203.0.113.1", additional=(f"{OURS}. A 203.0.113.66",)).additional == []


def test_zone_that_is_new_frees_answers_of_its_names() -> None:
    other = replace(CLUSTER, dns=replace(CLUSTER.dns, zone="localdomain"))
    assert not TABLE.forwards_as(table(other))
