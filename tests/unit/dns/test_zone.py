"""The zones and records of clusters."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

import pytest

from appliance.dns.contents import local_zones, zones_of
from appliance.dns.reverse import classless_apex, reverse_apexes
from appliance.dns.zone import Zone
from appliance.model import Cluster, NameServer, Network, Record, Release, Role
from tests.clusters import APPLIANCE, host, reference_cluster
from tests.dns_cases import rich_cluster

REVERSE = "0.16.172.in-addr.arpa"


def zones(*clusters: Cluster) -> dict[str, Zone]:
    return {zone.name: zone for zone in zones_of(clusters)}


def values(zone: Zone, name: str, kind: str) -> tuple[str, ...]:
    rrset = zone.rrsets.get(name, {}).get(kind)
    return rrset.values if rrset else ()


@pytest.mark.parametrize(
    ("network", "apexes"),
    [
        ("172.16.0.0/24", ["0.16.172.in-addr.arpa"]),
        ("172.16.0.0/23", ["0.16.172.in-addr.arpa", "1.16.172.in-addr.arpa"]),
        ("10.1.0.0/16", ["1.10.in-addr.arpa"]),
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("192.0.2.64/26", ["2.0.192.in-addr.arpa"]),
        ("192.0.2.7/32", ["7.2.0.192.in-addr.arpa"]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa"]),
        ("2001:db8::/31", ["8.b.d.0.1.0.0.2.ip6.arpa", "9.b.d.0.1.0.0.2.ip6.arpa"]),
    ],
)
def test_reverse_zones_cover_a_network_on_octets_or_nibbles(network: str, apexes: list[str]) -> None:
    assert list(reverse_apexes(ip_network(network))) == apexes


def test_a_slash_20_takes_sixteen_reverse_zones() -> None:
    assert len(list(reverse_apexes(IPv4Network("172.16.16.0/20")))) == 16


def test_classless_zone_is_named_by_its_first_address_and_prefix() -> None:
    assert classless_apex(IPv4Network("192.0.2.64/26")) == "64/26.2.0.192.in-addr.arpa"


def test_reference_cluster_has_a_forward_and_a_reverse_zone() -> None:
    assert list(zones(reference_cluster())) == ["example.localdomain", REVERSE]


def test_every_node_has_an_address_and_one_pointer_to_its_own_name() -> None:
    found = zones(reference_cluster())
    for node in reference_cluster().hosts:
        assert values(found["example.localdomain"], node.name, "A") == (str(node.address),)
        assert values(found[REVERSE], node.address.reverse_pointer, "PTR") == (node.name,)


def test_api_names_and_the_wildcard_have_the_virtual_addresses() -> None:
    forward = zones(reference_cluster())["example.localdomain"]
    assert values(forward, "api.ocp45.example.localdomain", "A") == ("172.16.0.111",)
    assert values(forward, "api-int.ocp45.example.localdomain", "A") == ("172.16.0.110",)
    assert values(forward, "*.apps.ocp45.example.localdomain", "A") == ("172.16.0.111",)


def test_api_has_no_pointer_on_an_address_that_a_node_holds() -> None:
    node = IPv4Address("172.16.0.21")
    reverse = zones(reference_cluster(api_vips=(node,), api_int_vips=(node,)))[REVERSE]
    assert values(reverse, node.reverse_pointer, "PTR") == ("m1.ocp45.example.localdomain",)


def test_api_and_api_int_on_one_free_address_have_a_pointer_each() -> None:
    vip = IPv4Address("172.16.0.9")
    reverse = zones(reference_cluster(api_vips=(vip,), api_int_vips=(vip,)))[REVERSE]
    assert values(reverse, vip.reverse_pointer, "PTR") == (
        "api.ocp45.example.localdomain",
        "api-int.ocp45.example.localdomain",
    )


def test_a_pointer_record_in_the_file_does_not_give_a_node_a_second_name() -> None:
    cluster = reference_cluster()
    extra = Record("21.0.16.172.in-addr.arpa", "PTR", 60, "other.example.localdomain")
    reverse = zones(replace(cluster, dns=replace(cluster.dns, records=(extra,))))[REVERSE]
    assert values(reverse, extra.name, "PTR") == ("m1.ocp45.example.localdomain",)


def test_an_address_outside_every_network_has_a_reverse_zone_of_its_own() -> None:
    found = zones(reference_cluster(api_vips=(IPv4Address("203.0.113.9"),)))
    assert values(found["9.113.0.203.in-addr.arpa"], "9.113.0.203.in-addr.arpa", "PTR") == (
        "api.ocp45.example.localdomain",
    )


def test_small_network_by_rfc_2317_has_its_pointers_behind_aliases() -> None:
    found = zones(rich_cluster())
    alias = values(found["2.0.192.in-addr.arpa"], "70.2.0.192.in-addr.arpa", "CNAME")
    assert alias == ("70.64/26.2.0.192.in-addr.arpa",)
    assert values(found["64/26.2.0.192.in-addr.arpa"], alias[0], "PTR") == ("far.ocp45.example.localdomain",)


def test_ipv6_address_of_a_host_is_in_both_directions() -> None:
    found = zones(rich_cluster())
    pointer = IPv6Address("2001:db8:0:1::11").reverse_pointer
    assert values(found["example.localdomain"], "bs.ocp45.example.localdomain", "AAAA") == ("2001:db8:0:1::11",)
    assert values(found["1.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"], pointer, "PTR") == (
        "bs.ocp45.example.localdomain",
    )


@pytest.mark.parametrize(("minor", "members"), [(3, 3), (4, 0), (16, 0)])
def test_etcd_records_are_there_below_4_4_only(minor: int, members: int) -> None:
    forward = zones(reference_cluster(release=Release(4, minor)))["example.localdomain"]
    srv = values(forward, "_etcd-server-ssl._tcp.ocp45.example.localdomain", "SRV")
    assert srv == tuple(f"0 10 2380 etcd-{index}.ocp45.example.localdomain" for index in range(members))


def test_two_clusters_of_one_base_domain_share_its_zone() -> None:
    first = reference_cluster()
    other = host("m9", Role.MASTER, "172.16.0.29", "00:50:56:96:00:29", "two.example.localdomain")
    found = zones(first, reference_cluster(name="two", hosts=(other,)))
    assert list(found) == ["example.localdomain", REVERSE]
    assert values(found["example.localdomain"], "m9.two.example.localdomain", "A") == ("172.16.0.29",)
    assert values(found["example.localdomain"], "m1.ocp45.example.localdomain", "A") == ("172.16.0.21",)


def test_a_zone_below_another_of_ours_is_delegated_from_it() -> None:
    first = reference_cluster()
    second = reference_cluster(name="two", hosts=())
    second = replace(second, dns=replace(second.dns, zone="two.example.localdomain"))
    found = zones(first, second)
    assert values(found["example.localdomain"], "two.example.localdomain", "NS") == ("ns1.example.localdomain",)
    assert values(found["two.example.localdomain"], "api.two.example.localdomain", "A") == ("172.16.0.111",)


def test_a_record_set_has_one_ttl_the_least() -> None:
    cluster = reference_cluster()
    records = tuple(Record("x.example.localdomain", "A", ttl, f"192.0.2.{ttl}") for ttl in (90, 60))
    forward = zones(replace(cluster, dns=replace(cluster.dns, records=records)))["example.localdomain"]
    assert forward.rrsets["x.example.localdomain"]["A"].ttl == 60


def test_digest_does_not_depend_on_the_order_of_hosts() -> None:
    cluster = reference_cluster()
    turned = replace(cluster, hosts=cluster.hosts[::-1])
    assert [zone.digest for zone in zones_of((cluster,))] == [zone.digest for zone in zones_of((turned,))]


@pytest.mark.parametrize(
    "change",
    [
        {"api_vips": (IPv4Address("172.16.0.112"),)},
        {"dns": replace(reference_cluster().dns, refresh=7200)},
        {"dns": replace(reference_cluster().dns, mailbox="admin.example.localdomain")},
        {"dns": replace(reference_cluster().dns, name_servers=(NameServer("ns7.example.localdomain", ()),))},
    ],
)
def test_digest_changes_with_the_content(change: dict[str, Any]) -> None:
    assert (
        zones(reference_cluster(**change))["example.localdomain"].digest
        != zones(reference_cluster())["example.localdomain"].digest
    )


def test_private_reverse_zones_are_local_but_for_our_own() -> None:
    names = {zone.name for zone in local_zones(["10.in-addr.arpa"])}
    assert "10.in-addr.arpa" not in names
    assert {"168.192.in-addr.arpa", "31.172.in-addr.arpa", "127.100.in-addr.arpa", "d.f.ip6.arpa"} <= names


def test_name_of_a_zone_of_ours_exists_in_the_local_zone_above() -> None:
    (local,) = (zone for zone in local_zones([REVERSE]) if zone.name == "16.172.in-addr.arpa")
    assert REVERSE in local.rrsets


def test_networks_of_ipv6_have_zones_even_without_hosts() -> None:
    found = zones(reference_cluster(networks=(Network(IPv6Network("fd00:16::/64"), APPLIANCE),)))
    assert "0.0.0.0.0.0.0.0.6.1.0.0.0.0.d.f.ip6.arpa" in found
