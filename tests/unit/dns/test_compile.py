"""Compiled answers, which dnspython compares with the zones that they are made from."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import dns.message
import dns.name
import dns.rrset
import pytest

from appliance.dns.compile import Answer, compile_dns
from appliance.dns.contents import local_zones, zones_of
from appliance.dns.message import wire_name
from appliance.dns.protocol import answer
from appliance.dns.tree import Tree
from appliance.dns.zone import Rrset
from appliance.model import NameServer, Record
from tests.clusters import reference_cluster
from tests.dns_cases import OUTSIDER, SERIAL, query, rich_cluster, table

RICH = table(rich_cluster())
ZONES = zones_of((rich_cluster(),))
RRSETS = [
    rrset
    for zone in ZONES
    for name, rrsets in zone.rrsets.items()
    if name == zone.name or name not in {other.name for other in ZONES}  # these are answered from the delegated zone
    for rrset in rrsets.values()
] + [zone.soa.rrset(zone.name, SERIAL) for zone in ZONES]


def as_dnspython_reads(rrset: Rrset) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(
        dns.name.from_text(rrset.name),
        rrset.ttl,
        "IN",
        rrset.type,
        rrset.values,
        origin=dns.name.root,
        relativize=False,
    )


def read_under(name: str, key: bytes, found: Answer) -> dns.message.Message:
    """Return *found* as dnspython reads it under a question for *name*."""
    head, body = found.forms[0]
    return dns.message.from_wire(b"\0\0" + head + wire_name(name) + key + body)


@pytest.mark.parametrize("rrset", RRSETS, ids=lambda rrset: f"{rrset.name}-{rrset.type}")
def test_record_set_is_answered_as_the_zone_has_it(rrset: Rrset) -> None:
    reply = answer(RICH, query(rrset.name, rrset.type), OUTSIDER, over_tcp=True)
    assert isinstance(reply, bytes)
    found = dns.message.from_wire(reply).answer[0]
    assert found == as_dnspython_reads(rrset)
    assert found.ttl == rrset.ttl


def test_every_answer_reads_the_same_under_a_longer_question() -> None:
    """No name points past the question's first byte: a wildcard's answers follow questions of any length."""
    for wire, node in RICH.nodes.items():
        name = dns.name.from_wire(wire, 0)[0].to_text(omit_final_dot=True)
        longer = f"a-longer-name-than-that.{name}"
        for key, found in [*node.answers.items(), (b"\x12\x34\0\1", node.otherwise)]:
            short, long = read_under(name, key, found), read_under(longer, key, found)
            renamed = [as_renamed(rrset, name, longer) for rrset in short.answer]
            assert (renamed, short.authority, short.additional) == (long.answer, long.authority, long.additional)


def as_renamed(rrset: dns.rrset.RRset, name: str, longer: str) -> dns.rrset.RRset:
    """Return *rrset* with the other owner, if its owner is the name in the question."""
    if rrset.name != dns.name.from_text(name):
        return rrset
    return dns.rrset.from_rdata_list(dns.name.from_text(longer), rrset.ttl, list(rrset))


def test_negative_answer_carries_the_zones_own_soa() -> None:
    reply = answer(RICH, query("nowhere.example.localdomain"), OUTSIDER)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).authority == [as_dnspython_reads(ZONES[0].soa.rrset(ZONES[0].name, SERIAL))]


def test_serial_is_asked_for_by_zone_and_digest() -> None:
    asked = {}

    def serial_of(zone: str, digest: str) -> int:
        asked[zone] = digest
        return len(asked)

    compiled = compile_dns((reference_cluster(),), serial_of)
    assert asked == {zone.name: zone.digest for zone in zones_of((reference_cluster(),))}
    assert compiled.serials == {"example.localdomain": 1, "0.16.172.in-addr.arpa": 2}


@pytest.mark.parametrize("turn", [1, -1])
def test_zone_below_answers_for_its_apex_whichever_comes_first(turn: int) -> None:
    zones = zones_of((reference_cluster(),))
    every = (*zones, *local_zones(zone.name for zone in zones))[::turn]
    tree = Tree(every, {zone.name: SERIAL for zone in every})
    assert tree.names["0.16.172.in-addr.arpa"]["NS"].values == ("ns1.example.localdomain",)


def test_unknown_record_type_is_an_error_that_names_the_known() -> None:
    cluster = reference_cluster()
    record = Record("x.example.localdomain", "CAA", 60, '0 issue "ca.example"')
    with pytest.raises(ValueError, match="unknown record type 'CAA'; expected one of A, AAAA,"):
        table(replace(cluster, dns=replace(cluster.dns, records=(record,))))


@pytest.mark.parametrize("is_child_first", [True, False])
def test_zone_answers_for_its_name_servers_itself_and_not_its_parent_by_glue(is_child_first: bool) -> None:
    inner, outer = reference_cluster(), reference_cluster(name="other", hosts=(), networks=())
    name = "bastion.ocp45.example.localdomain"
    second = replace(inner.networks[0], cidr=IPv4Network("192.0.2.0/24"), server=IPv4Address("192.0.2.5"))
    inner = replace(
        inner,
        appliance_name=name,
        networks=(*inner.networks, second),
        dns=replace(inner.dns, zone="ocp45.example.localdomain", name_servers=(NameServer(name, (inner.address,)),)),
    )
    reply = answer(table(*((inner, outer) if is_child_first else (outer, inner))), query(name), OUTSIDER)
    assert isinstance(reply, bytes)
    assert {str(record) for record in dns.message.from_wire(reply).answer[0]} == {"172.16.0.101", "192.0.2.5"}


def test_host_of_another_domain_has_a_pointer_and_no_address() -> None:
    cluster = reference_cluster()
    far = replace(cluster.hosts[0], name="rhx0421.dc1.corp.example")
    zones = {zone.name: zone for zone in zones_of((replace(cluster, hosts=(far, *cluster.hosts[1:])),))}
    pointers = {rrset.values for rrsets in zones["0.16.172.in-addr.arpa"].rrsets.values() for rrset in rrsets.values()}
    assert ((far.name,) in pointers, far.name in zones["example.localdomain"].rrsets) == (True, False)


def test_api_and_apps_may_be_aliases() -> None:
    cluster = reference_cluster(api_vips=(), ingress_vips=())
    records = tuple(
        Record(f"{name}.ocp45.example.localdomain", "CNAME", 60, "lb.corp.example") for name in ("api", "*.apps")
    )
    compiled = table(replace(cluster, dns=replace(cluster.dns, records=records)))
    for name in ("api", "console.apps"):
        reply = answer(compiled, query(f"{name}.ocp45.example.localdomain"), OUTSIDER)
        assert isinstance(reply, bytes)
        assert [str(rdata) for rrset in dns.message.from_wire(reply).answer for rdata in rrset] == ["lb.corp.example."]
