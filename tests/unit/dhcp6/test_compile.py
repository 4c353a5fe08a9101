"""Clusters → the DHCPv6 table."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers import dhcp6

from appliance.dhcp6 import compile as compiling
from appliance.dhcp6.compile import compile_dhcp6, server_duid
from tests.clusters import reference_cluster
from tests.dhcp6_messages import BS, ask, ia_na, request, v6_cluster


def test_each_host_with_an_ipv6_address_is_pinned_by_its_mac() -> None:
    table = compile_dhcp6((v6_cluster(),))
    assert {pin.name.partition(".")[0]: pin.address_text for pin in table.pins.values()} == {
        "bs": "2001:db8:0:10::11",
        "m1": "2001:db8:0:10::21",
        "w1": "2001:db8:0:10::31",
        "w2": "2001:db8:0:20::32",
    }


def test_cluster_without_ipv6_is_not_served() -> None:
    assert not compile_dhcp6((reference_cluster(),)).is_served


def test_ipv6_network_without_an_address_of_the_appliance_is_not_served() -> None:
    cluster = v6_cluster()
    networks = tuple(replace(network, server=IPv4Address("172.16.0.101")) for network in cluster.networks)
    table = compile_dhcp6((replace(cluster, networks=networks),))
    assert (table.is_served, table.pins) == (False, {})


def test_servers_identity_stays_whatever_else_changes_in_the_file() -> None:
    cluster = v6_cluster()
    changed = replace(cluster, hosts=(), networks=cluster.networks[:1], data_dir=Path("/elsewhere"), digest="1" * 64)
    assert server_duid(changed) == server_duid(cluster)


def test_servers_identity_is_a_uuid_and_another_appliances_differs() -> None:
    duid = server_duid(v6_cluster())
    assert (duid[:2], len(duid)) == (b"\0\4", 18)
    assert server_duid(replace(v6_cluster(), appliance_name="other.example")) != duid


def test_first_cluster_with_a_mac_keeps_it() -> None:
    first = v6_cluster()
    host = replace(first.hosts[0], name="late.ocp45.example.localdomain")
    table = compile_dhcp6((first, replace(first, hosts=(host,))))
    assert table.pins[first.hosts[0].macs[0].octets].name == "bs.ocp45.example.localdomain"


def test_dns_server_is_the_appliance_unless_the_file_names_one() -> None:
    table = compile_dhcp6((v6_cluster(),))
    pin = table.pins[v6_cluster().hosts[0].macs[0].octets]
    assert pin.address == BS.packed
    assert pin.segment.values[23] == table.pins[pin.mac].cluster.networks[1].server.packed


def test_cache_of_templates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "MAX_TEMPLATES", 10)
    table = compile_dhcp6((v6_cluster(),))
    for code in range(100):
        ask(table, request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[200 + code])))
        assert len(table._templates) <= 10
