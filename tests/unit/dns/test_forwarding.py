"""Which names are forwarded, to whom, and what becomes of those that nobody knows."""

from dataclasses import replace
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from appliance.dns.compile import DnsTable
from appliance.dns.forward import kept_of, question_of, reply_from, upstream_query
from appliance.dns.protocol import Forward, answer
from appliance.model import Cluster, Endpoint, ForwardZone, Record
from tests.clusters import reference_cluster
from tests.dns_cases import NODE, OUTSIDER, forwarding_cluster, query, table

GENERAL = Endpoint(IPv4Address("198.51.100.53"), 53)
COMPANY = Endpoint(IPv4Address("192.0.2.53"), 53)
LAB = Endpoint(IPv4Address("192.0.2.54"), 5353)
APEX = "example.localdomain"
PRIVATE = "1.2.3.10.in-addr.arpa"


def cluster(*zones: tuple[str, Endpoint], **settings: object) -> Cluster:
    """Return a cluster that forwards *zones* to servers of their own, and other names to GENERAL."""
    found = forwarding_cluster(GENERAL)
    forward = tuple(ForwardZone(zone, (forwarder,)) for zone, forwarder in zones)
    return replace(found, dns=replace(found.dns, forward=forward, **settings))  # type: ignore[arg-type]


def asked(table: DnsTable, name: str, kind: str = "A", client: str = NODE) -> tuple[Endpoint, ...] | str:
    """Return whom the appliance asks about *name*, or the rcode of its own answer."""
    decision = answer(table, query(name, kind), client)
    if isinstance(decision, Forward):
        question = question_of(decision)
        return table.forwarding.forwarders_of(question.name, question.key)
    assert isinstance(decision, bytes)
    return dns.rcode.to_text(dns.message.from_wire(decision).rcode())


# Zones with forwarders of their own


@pytest.mark.parametrize(
    ("name", "forwarder"),
    [
        ("ldap.corp.example", COMPANY),
        ("corp.example", COMPANY),
        ("LDAP.Corp.Example", COMPANY),
        ("a.b.lab.corp.example", LAB),
        ("othercorp.example", GENERAL),
        ("example", GENERAL),
    ],
)
def test_longest_zone_says_whom_to_ask(name: str, forwarder: Endpoint) -> None:
    found = table(cluster(("corp.example", COMPANY), ("lab.corp.example", LAB)))
    assert asked(found, name) == (forwarder,)


def test_ds_of_a_zone_is_asked_of_those_who_know_its_parent() -> None:
    found = table(cluster(("corp.example", COMPANY), ("lab.corp.example", LAB)))
    assert (asked(found, "lab.corp.example", "DS"), asked(found, "corp.example", "DS")) == ((COMPANY,), (GENERAL,))


def test_zone_is_forwarded_without_general_forwarders() -> None:
    found = table(cluster(("corp.example", COMPANY), forwarders=()))
    assert (asked(found, "ldap.corp.example"), asked(found, "quay.io")) == ((COMPANY,), "REFUSED")


def test_zone_is_not_forwarded_for_strangers() -> None:
    assert asked(table(cluster(("corp.example", COMPANY))), "ldap.corp.example", client=OUTSIDER) == "REFUSED"


def test_alias_into_a_zone_is_asked_of_its_forwarders() -> None:
    records = (Record(f"ldap.{APEX}", "CNAME", 60, "dc1.corp.example"),)
    assert asked(table(cluster(("corp.example", COMPANY), records=records)), f"ldap.{APEX}") == (COMPANY,)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("ldap.corp.example.localdomain", "A", (COMPANY,)),
        ("corp.example.localdomain", "SOA", (COMPANY,)),
        ("corp.example.localdomain", "DS", "NOERROR"),
        ("other.example.localdomain", "A", "NXDOMAIN"),
        ("m1.ocp45.example.localdomain", "A", "NOERROR"),
    ],
)
def test_zone_below_ours_is_forwarded_and_nothing_beside_it(
    name: str, kind: str, expected: tuple[Endpoint, ...] | str
) -> None:
    assert asked(table(cluster((f"corp.{APEX}", COMPANY))), name, kind) == expected


def test_alias_in_an_answer_from_a_zone_below_ours_is_followed() -> None:
    found = table(cluster((f"corp.{APEX}", COMPANY)))
    decision = answer(found, query(f"www.corp.{APEX}"), NODE)
    assert isinstance(decision, Forward)
    message = dns.message.make_response(dns.message.from_wire(upstream_query(question_of(decision), 1, 0)))
    message.answer.append(dns.rrset.from_text(f"www.corp.{APEX}.", 60, "IN", "CNAME", f"web.corp.{APEX}."))
    message.answer.append(dns.rrset.from_text(f"web.corp.{APEX}.", 60, "IN", "A", "10.1.2.3"))
    kept = kept_of(message.to_wire(), 0.0, found.borders)
    assert len(dns.message.from_wire(reply_from(kept, decision, 0.0, found.nodes)).answer) == 2


def test_forwarders_that_two_files_give_a_zone_are_all_asked() -> None:
    first, second = cluster(("corp.example", COMPANY)), cluster(("corp.example", LAB))
    assert asked(table(first, replace(second, name="two")), "ldap.corp.example") == (COMPANY, LAB)


def test_other_forwarders_of_a_zone_have_other_answers() -> None:
    assert not table(cluster(("corp.example", COMPANY))).forwards_as(table(cluster(("corp.example", LAB))))


# Reverse names of private addresses


def test_private_reverse_names_are_forwarded_to_forwarders_that_know_them() -> None:
    assert asked(table(cluster(forward_private_reverse=True)), PRIVATE, "PTR") == (GENERAL,)


@pytest.mark.parametrize(
    "name",
    ["1.0.0.127.in-addr.arpa", "1.1.254.169.in-addr.arpa", "7.113.0.203.in-addr.arpa", "0.8.e.f.ip6.arpa"],
)
def test_special_reverse_names_are_never_forwarded(name: str) -> None:
    assert asked(table(cluster(forward_private_reverse=True)), name, "PTR") == "NXDOMAIN"


def test_own_reverse_names_are_ours_where_private_ones_are_forwarded() -> None:
    found = table(cluster(forward_private_reverse=True))
    assert (asked(found, "21.0.16.172.in-addr.arpa", "PTR"), asked(found, "9.0.16.172.in-addr.arpa", "PTR")) == (
        "NOERROR",
        "NXDOMAIN",
    )


def test_private_reverse_names_stay_if_one_of_two_files_has_forwarders_that_do_not_know_them() -> None:
    both = cluster(forward_private_reverse=True), replace(cluster(forward_private_reverse=False), name="two")
    assert asked(table(*both), PRIVATE, "PTR") == "NXDOMAIN"


@pytest.mark.parametrize("zone", ["10.in-addr.arpa", "in-addr.arpa", "3.10.in-addr.arpa"])
def test_reverse_zone_with_forwarders_of_its_own_is_forwarded(zone: str) -> None:
    assert asked(table(cluster((zone, COMPANY))), PRIVATE, "PTR") == (COMPANY,)


def test_reverse_names_beside_a_forwarded_zone_stay_here() -> None:
    found = table(cluster(("3.10.in-addr.arpa", COMPANY)))
    assert asked(found, "1.2.4.10.in-addr.arpa", "PTR") == "NXDOMAIN"


# No forwarders by intent


ISOLATED = table(reference_cluster())


def isolated(name: str, kind: str = "A", client: str = NODE) -> dns.message.Message:
    reply = answer(ISOLATED, query(name, kind), client)
    assert isinstance(reply, bytes)
    return dns.message.from_wire(reply)


@pytest.mark.parametrize("name", ["m1.corp.example", "quay.io", "x.localdomain"])
def test_isolated_node_learns_that_a_foreign_name_does_not_exist(name: str) -> None:
    reply = isolated(name)
    assert (reply.rcode(), str(reply.authority[0].name), reply.authority[0].ttl) == (dns.rcode.NXDOMAIN, ".", 60)


@pytest.mark.parametrize("name", ["localdomain", ".", "in-addr.arpa", "arpa"])
def test_names_above_our_zones_exist_for_an_isolated_node(name: str) -> None:
    assert (isolated(name).rcode(), isolated(name).answer) == (dns.rcode.NOERROR, [])


def test_names_above_a_forwarded_zone_exist_for_an_isolated_node() -> None:
    settings = replace(reference_cluster().dns, forward=(ForwardZone("corp.example.net", (COMPANY,)),))
    found = table(reference_cluster(dns=settings))
    assert [asked(found, name) for name in ("example.net", "net", "www.net")] == ["NOERROR", "NOERROR", "NXDOMAIN"]


def test_stranger_is_refused_a_foreign_name_where_nodes_are_isolated() -> None:
    assert isolated("quay.io", client=OUTSIDER).rcode() == dns.rcode.REFUSED


def test_nodes_are_not_isolated_if_one_of_two_files_has_no_such_intent() -> None:
    other = reference_cluster(name="two")
    both = table(reference_cluster(), replace(other, dns=replace(other.dns, is_isolated=False)))
    assert asked(both, "quay.io") == "REFUSED"


# DS at the names of our zones


@pytest.mark.parametrize("name", [APEX, "10.in-addr.arpa", "16.172.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"])
def test_ds_of_a_zone_whose_parent_is_not_ours_is_asked_of_forwarders(name: str) -> None:
    assert asked(table(cluster()), name, "DS") == (GENERAL,)


def test_ds_of_a_zone_whose_parent_is_ours_is_answered_here() -> None:
    reply = answer(table(cluster()), query("0.16.172.in-addr.arpa", "DS"), NODE)
    assert isinstance(reply, bytes)
    assert [str(rrset.name) for rrset in dns.message.from_wire(reply).authority] == ["16.172.in-addr.arpa."]


def test_ds_of_our_reverse_zone_is_asked_of_forwarders_that_know_private_names() -> None:
    assert asked(table(cluster(forward_private_reverse=True)), "0.16.172.in-addr.arpa", "DS") == (GENERAL,)


def test_ds_of_our_zone_is_no_data_for_strangers() -> None:
    assert asked(table(cluster()), APEX, "DS", OUTSIDER) == "NOERROR"


def ds_reply(name: str, rcode: str, *authority: str) -> dns.message.Message:
    """Return the reply to a query for DS of *name* when a forwarder answers it with *authority*."""
    found = table(cluster(records=(Record(f"www.{APEX}", "CNAME", 60, APEX),)))
    decision = answer(found, query(name, "DS"), NODE)
    assert isinstance(decision, Forward)
    message = dns.message.make_response(dns.message.from_wire(upstream_query(question_of(decision), 1, 0)))
    message.set_rcode(dns.rcode.from_text(rcode))
    for text in authority:
        owner, kind, value = text.split(" ", 2)
        message.authority.append(dns.rrset.from_text(owner, 60, "IN", kind, value))
    kept = kept_of(message.to_wire(), 0.0, found.borders)
    return dns.message.from_wire(reply_from(kept, decision, 0.0, found.nodes))


def test_proof_that_our_zone_has_no_ds_is_passed_on() -> None:
    soa, proof = "localdomain. SOA a. b. 1 2 3 4 5", f"{APEX}. NSEC z.localdomain. NS"
    reply = ds_reply(APEX, "NOERROR", soa, proof)
    assert (len(reply.authority), bool(reply.flags & dns.flags.AA)) == (2, False)


def test_our_zone_exists_whatever_a_forwarder_says_about_its_ds() -> None:
    reply = ds_reply(APEX, "NXDOMAIN", "localdomain. SOA a. b. 1 2 3 4 5")
    assert (reply.rcode(), len(reply.authority)) == (dns.rcode.NOERROR, 1)


def test_ds_through_an_alias_to_our_zone_comes_from_forwarders() -> None:
    reply = ds_reply(f"www.{APEX}", "NOERROR", "localdomain. SOA a. b. 1 2 3 4 5")
    assert [str(rrset.name) for rrset in (*reply.answer, *reply.authority)] == [f"www.{APEX}.", "localdomain."]


# Private addresses in answers


def addresses_after(*addresses: str, drops_private: bool = True) -> list[str]:
    """Return the addresses that are left of an answer."""
    found = table(cluster())
    kind = "AAAA" if ":" in addresses[0] else "A"
    decision = answer(found, query("www.example.net", kind), NODE)
    assert isinstance(decision, Forward)
    message = dns.message.make_response(dns.message.from_wire(upstream_query(question_of(decision), 1, 0)))
    message.answer.append(dns.rrset.from_text("www.example.net.", 60, "IN", kind, *addresses))
    kept = kept_of(message.to_wire(), 0.0, found.borders, drops_private=drops_private)
    reply = dns.message.from_wire(reply_from(kept, decision, 0.0, found.nodes))
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.21", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1", "0.0.0.0"),
        *("fd00::1", "fe80::1", "::1", "::", "::ffff:10.1.2.3"),
    ],
)
def test_private_address_is_dropped_on_demand(address: str) -> None:
    public = "2001:db8::7" if ":" in address else "203.0.113.7"
    assert addresses_after(address, public) == [public]


def test_private_address_is_passed_on_without_demand() -> None:
    assert addresses_after("10.1.2.3", drops_private=False) == ["10.1.2.3"]


def test_private_addresses_of_a_zone_with_forwarders_of_its_own_are_passed_on() -> None:
    forwarding = table(cluster(("corp.example", COMPANY), drop_private_answers=True)).forwarding
    names = (dns.name.from_text(name).to_wire() for name in ("ldap.corp.example", "www.example.net"))
    assert [forwarding.drops_private_of(name, b"\0\1\0\1") for name in names] == [False, True]
