"""Which names have records because of a cluster, and why."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.dns.contents import zones_of
from appliance.dns.holdings import names_held
from appliance.model import Cluster, NameServer, Record, Release
from tests.clusters import reference_cluster
from tests.dns_cases import rich_cluster

DOMAIN = "ocp45.example.localdomain"


def first_reasons(cluster: Cluster) -> dict[str, str]:
    """Return the reason that a message would give for each name."""
    reasons: dict[str, str] = {}
    for name, _, why in names_held(cluster):
        reasons.setdefault(name, why)
    return reasons


@pytest.mark.parametrize("cluster", [reference_cluster(), rich_cluster()], ids=["reference", "rich"])
def test_names_that_are_held_are_those_of_the_zones(cluster: Cluster) -> None:
    """Except for RFC 2317 records of small networks, and the SOA and NS records of the zones themselves."""
    plain = replace(cluster, dns=replace(cluster.dns, rfc2317=False))
    zones = zones_of((plain,))
    in_zones = {
        (name, kind) for zone in zones for name, rrsets in zone.rrsets.items() for kind in rrsets if kind != "NS"
    }
    held = {(name, kind) for name, kind, _ in names_held(plain) if kind not in ("SOA", "NS")}
    assert held == in_zones


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("example.localdomain", "the zone itself"),
        (f"api.{DOMAIN}", "apiVIPs"),
        (f"api-int.{DOMAIN}", "apiInternalVIPs"),
        (f"*.apps.{DOMAIN}", "ingressVIPs"),
        (f"bs.{DOMAIN}", "hosts[0]"),
        (f"etcd-1.{DOMAIN}", "hosts[2], an etcd member"),
        (f"_etcd-server-ssl._tcp.{DOMAIN}", "the etcd members"),
        ("ns2.example.localdomain", "dns.nameServers[1]"),
        ("www.example.localdomain", "dns.records[1]"),
        ("11.0.16.172.in-addr.arpa", "hosts[0]"),
        ("200.0.16.172.in-addr.arpa", "dns.records[0]"),
    ],
)
def test_reason_is_the_key_that_the_name_follows_from(name: str, why: str) -> None:
    assert first_reasons(rich_cluster())[name] == why


def test_appliance_that_is_the_name_server_too_is_the_reason_for_its_name() -> None:
    cluster = reference_cluster()
    servers = (NameServer(cluster.appliance_name, cluster.address),)
    held = first_reasons(replace(cluster, dns=replace(cluster.dns, name_servers=servers)))
    assert held[cluster.appliance_name] == "appliance"


def test_a_pointer_that_a_host_takes_has_that_host_as_its_only_reason() -> None:
    cluster = reference_cluster()
    pointer = IPv4Address("172.16.0.21").reverse_pointer
    records = (Record(pointer, "PTR", 60, "other.example.localdomain"),)
    reasons = [
        why
        for name, _, why in names_held(replace(cluster, dns=replace(cluster.dns, records=records)))
        if name == pointer
    ]
    assert reasons == ["hosts[1]"]


def test_cluster_of_which_only_names_are_known_still_holds_its_zone_and_records() -> None:
    bare = reference_cluster(
        networks=(), hosts=(), api_vips=(), api_int_vips=(), ingress_vips=(), release=Release(4, 3)
    )
    records = (Record("www.example.localdomain", "A", 60, "192.0.2.1"),)
    bare = replace(bare, dns=replace(bare.dns, name_servers=(), records=records))
    assert first_reasons(bare) == {
        "example.localdomain": "the zone itself",
        "www.example.localdomain": "dns.records[0]",
        bare.appliance_name: "appliance",
        bare.address.reverse_pointer: "appliance",
    }
