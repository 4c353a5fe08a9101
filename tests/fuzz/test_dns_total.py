"""No bytes raise out of the DNS protocol, from any client or server."""

import contextlib
from ipaddress import IPv4Address

import dns.message
import dns.rrset
import dns.tsig
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dns.foreign import is_ours
from appliance.dns.forward import judge, kept_of, question_of, reply_from, upstream_query
from appliance.dns.message import MessageError, expanded_name, records
from appliance.dns.protocol import Forward, NoReply, Watched, answer, own_answer
from appliance.model import Endpoint, Record
from tests.clusters import reference_cluster
from tests.dns_cases import NODE, OUTSIDER, dividing_cluster, forwarding_cluster, query, rich_cluster, table

RICH = table(rich_cluster())
ALIAS = Record("out.example.localdomain", "CNAME", 60, "www.example.net")
FORWARDING = table(forwarding_cluster(Endpoint(IPv4Address("192.0.2.53"), 53), records=(ALIAS,)))

DIVIDING = table(dividing_cluster(Endpoint(IPv4Address("192.0.2.53"), 53)))
ISOLATED = table(reference_cluster())


def signed_query() -> bytes:
    message = dns.message.make_query("m1.ocp45.example.localdomain", "A")
    message.use_tsig(dns.tsig.Key("update.", "c2VjcmV0"))
    return message.to_wire()


SEEDS = [
    query("m1.ocp45.example.localdomain"),
    query("console.apps.ocp45.example.localdomain", edns=True),
    query("api-int.ocp45.example.localdomain"),
    query("quay.io", edns=True),
    query("out.example.localdomain", "MX"),
    query("21.0.16.172.in-addr.arpa", "PTR"),
    query("example.localdomain", "DS"),
    query("ldap.corp.example.localdomain"),
    signed_query(),
]
OURS = "m1.ocp45.example.localdomain"
OUR_DATA = b"".join(
    body
    for node in FORWARDING.nodes.values()
    for found in (*node.answers.values(), node.otherwise)
    if found is not None
    for _, body in found.forms
)


def an_answer() -> bytes:
    message = dns.message.make_response(dns.message.from_wire(upstream_query(question_of(forwarded(SEEDS[4])), 1, 0)))
    for text in ("CNAME a.example.net.", "MX 10 b.a.example.net.", "SRV 1 2 3 c.example.net."):
        kind, value = text.split(" ", 1)
        message.answer.append(dns.rrset.from_text("www.example.net.", 60, "IN", kind, value))
    message.authority.append(
        dns.rrset.from_text("example.net.", 60, "IN", "SOA", "ns.example.net. r.example.net. 1 2 3 4 5")
    )
    return message.to_wire()


def an_answer_that_leads_to_us() -> bytes:
    query_ = upstream_query(question_of(forwarded(SEEDS[3])), 1, 0)
    message = dns.message.make_response(dns.message.from_wire(query_))
    for owner, kind, value in (
        ("quay.io.", "CNAME", "a.example.net."),
        ("a.example.net.", "CNAME", f"{OURS}."),
        (f"{OURS}.", "A", "203.0.113.66"),
    ):
        message.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, value))
    message.authority.append(dns.rrset.from_text("example.localdomain.", 60, "IN", "NS", "ns.example.net."))
    message.additional.append(dns.rrset.from_text(f"{OURS}.", 60, "IN", "A", "203.0.113.66"))
    return message.to_wire()


def forwarded(wire: bytes) -> Forward:
    decision = answer(FORWARDING, wire, NODE)
    assert isinstance(decision, Forward)
    return decision


def mutated(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return seeds with some bytes changed, cut off or inserted."""

    def change(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        wire = bytearray(seed)
        for place, removed, put in changes:
            at = place % (len(wire) + 1)
            wire[at : at + removed] = put
        return bytes(wire)

    changes = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3), st.binary(max_size=3)), max_size=5)
    return st.builds(change, st.sampled_from(seeds), changes)


@settings(max_examples=1000)
@given(wire=st.one_of(st.binary(max_size=600), mutated(SEEDS)), client=st.sampled_from([NODE, OUTSIDER, "::1"]))
def test_every_datagram_has_a_decision(wire: bytes, client: str) -> None:
    for dns_table in (RICH, FORWARDING, DIVIDING, ISOLATED):
        assert isinstance(own_answer(dns_table, wire), bytes | None)
        assert isinstance(answer(dns_table, wire, client), bytes | Forward | NoReply | Watched)


@settings(max_examples=1000)
@given(wire=st.one_of(st.binary(max_size=600), mutated(SEEDS)))
def test_every_decision_to_forward_can_be_asked(wire: bytes) -> None:
    decision = answer(FORWARDING, wire, NODE)
    if isinstance(decision, Forward):
        dns.message.from_wire(upstream_query(question_of(decision), 7, 0x5555))


@settings(max_examples=1000)
@given(wire=st.one_of(st.binary(max_size=600), mutated([an_answer()])), over_tcp=st.booleans())
def test_every_answer_of_a_forwarder_has_a_verdict(wire: bytes, over_tcp: bool) -> None:
    judge(upstream_query(question_of(forwarded(SEEDS[4])), 1, 0), wire, over_tcp=over_tcp)


@settings(max_examples=1000)
@given(wire=mutated([an_answer()]), seconds=st.floats(0, 1e6))
def test_every_answer_that_is_kept_can_be_given(wire: bytes, seconds: float) -> None:
    with contextlib.suppress(MessageError):
        kept = kept_of(wire, 0.0, FORWARDING.borders, drops_private=True)
        for seed in (SEEDS[3], SEEDS[4]):
            reply = reply_from(kept, forwarded(seed), seconds, FORWARDING.nodes)
            assert reply[:2] == seed[:2]


@settings(max_examples=1000)
@given(wire=mutated([an_answer_that_leads_to_us()]))
def test_no_answer_of_a_forwarder_says_anything_about_our_names(wire: bytes) -> None:
    forward = forwarded(SEEDS[3])
    if wire[12 : forward.name_end + 4].lower() != forward.query[12 : forward.name_end + 4]:
        return  # refused by `judge`
    with contextlib.suppress(MessageError):
        kept = kept_of(wire, 0.0, FORWARDING.borders)
        reply = reply_from(kept, forward, 0.0, FORWARDING.nodes)
        counts = [int.from_bytes(reply[at : at + 2]) for at in (6, 8, 10)]
        for record in records(reply, forward.name_end + 4, sum(counts)):
            owner = expanded_name(reply, record.start)[0].lower()
            if is_ours(owner, FORWARDING.borders):
                assert reply[record.data : record.end] in OUR_DATA
