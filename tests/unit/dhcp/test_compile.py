"""The options that hosts get, parsed by scapy."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from appliance.dhcp import compile as dhcp_compile
from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.segments import compile_segment
from appliance.model import INFINITE_LEASE, Arch, DhcpMode, Network, Route
from tests.clusters import reference_cluster
from tests.dhcp_messages import FIRMWARE, Read, ask, read, request

EVERYTHING = bytes(range(1, 255))


def told(parameters: bytes = EVERYTHING, **changes: object) -> Read:
    """Return an offer in the reference network with *changes*, to a client that requests *parameters*."""
    cluster = reference_cluster()
    network: Network = replace(cluster.networks[0], **changes)  # type: ignore[arg-type]
    table = compile_dhcp((replace(cluster, networks=(network,)),))
    return read(ask(table, request("discover", (55, parameters), (57, b"\x05\xdc"))).payload)


def test_name_is_sent_fully_qualified() -> None:
    assert told()["hostname"] == b"bs.ocp45.example.localdomain"


def test_domain_is_the_clusters() -> None:
    assert told()["domain"] == b"ocp45.example.localdomain"


def test_lease_renews_at_half_and_rebinds_at_seven_eighths() -> None:
    got = told(lease_seconds=86400)
    assert (got["lease_time"], got["renewal_time"], got["rebinding_time"]) == (86400, 43200, 75600)


def test_infinite_lease_has_nothing_to_renew() -> None:
    got = told(lease_seconds=INFINITE_LEASE)
    assert got["lease_time"] == 0xFFFFFFFF
    assert {"renewal_time", "rebinding_time"}.isdisjoint(got.options)


def test_several_servers_are_sent_in_their_order() -> None:
    got = told(
        dns_servers=(IPv4Address("172.16.0.102"), IPv4Address("172.16.0.101")),
        ntp_servers=(IPv4Address("172.16.0.9"), IPv4Address("172.16.0.8")),
    )
    assert got["name_server"] == ("172.16.0.102", "172.16.0.101")
    assert got["NTP_server"] == ("172.16.0.9", "172.16.0.8")


def test_mtu_is_sent() -> None:
    assert told(mtu=9000)["interface-mtu"] == 9000


def test_network_without_router_ntp_mtu_and_search_sends_none() -> None:
    assert {"router", "NTP_server", "interface-mtu", 119, "classless_static_routes"}.isdisjoint(
        told(gateway=None).options
    )


@pytest.mark.parametrize(("prefix", "broadcast"), [(30, "172.16.0.11"), (31, None), (32, None)])
def test_network_of_one_or_two_addresses_has_no_broadcast_address(prefix: int, broadcast: str | None) -> None:
    """RFC 3021: in a /31 it would be a host's address."""
    cluster = reference_cluster()
    cidr = IPv4Network(("172.16.0.11", prefix), strict=False)
    table = compile_dhcp(
        (replace(cluster, networks=(replace(cluster.networks[0], cidr=cidr),), hosts=cluster.hosts[:1]),)
    )
    asked = request("discover", (55, EVERYTHING), giaddr="172.16.0.11")
    assert read(ask(table, asked).payload).options.get("broadcast_address") == broadcast


def test_search_list_is_encoded_as_names() -> None:
    got = told(search=("ocp45.example", "example"))
    assert got[119] == b"\x05ocp45\x07example\x00\x07example\x00"


def test_routes_bring_the_default_route_along() -> None:
    """RFC 3442: a client that takes option 121 ignores option 3."""
    route = Route(IPv4Network("10.0.0.0/9"), IPv4Address("172.16.0.7"))
    assert told(routes=(route,))["classless_static_routes"] == ["10.0.0.0/9:172.16.0.7", "0.0.0.0/0:172.16.0.254"]


def test_default_route_of_the_file_is_not_doubled() -> None:
    route = Route(IPv4Network("0.0.0.0/0"), IPv4Address("172.16.0.7"))
    assert told(routes=(route,))["classless_static_routes"] == ["0.0.0.0/0:172.16.0.7"]


def test_route_without_a_gateway_comes_before_the_default_route_that_needs_it() -> None:
    """RFC 3442: 0.0.0.0 as the router means that the destination is on the link."""
    near = Route(IPv4Network("203.0.113.1/32"), IPv4Address(0))
    network = replace(reference_cluster().networks[0], gateway=IPv4Address("203.0.113.1"), routes=(near,))
    segment = compile_segment(network, DhcpMode.FULL)
    assert segment.values[121] == bytes.fromhex("20cb00710100000000 00cb007101")


def test_options_come_in_the_order_of_the_requested_list() -> None:
    got = told(bytes([15, 6, 1, 3]))
    assert got.order[3:7] == ["domain", "name_server", "subnet_mask", "router"]


def test_mask_comes_before_the_router_whatever_was_asked_first() -> None:
    assert told(bytes([3, 6, 1])).order[3:6] == ["subnet_mask", "router", "name_server"]


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert {"broadcast_address", "domain", "name_server"}.isdisjoint(told(bytes([1, 3])).options)


def test_client_without_a_requested_list_gets_everything() -> None:
    assert {"router", "name_server", "domain", "hostname", "NTP_server"} <= set(
        told(b"", ntp_servers=(IPv4Address("172.16.0.9"),)).options
    )


def test_option_asked_for_twice_comes_once() -> None:
    assert told(bytes([6, 6, 6])).order.count("name_server") == 1


def table_of(arch: Arch) -> DhcpTable:
    cluster = reference_cluster()
    return compile_dhcp((replace(cluster, hosts=(replace(cluster.hosts[0], arch=arch),)),))


def test_arm_host_whose_firmware_claims_to_be_bios_boots_arm() -> None:
    """Raspberry Pi firmware sends code 0 (raspberrypi/firmware #1928)."""
    asked = request("discover", (60, b"PXEClient:Arch:00000:UNDI:002001"), (93, b"\0\0"))
    assert read(ask(table_of(Arch.AARCH64), asked).payload).file == "arm64-efi/snponly.efi"


def test_firmware_without_an_architecture_boots_as_bios() -> None:
    assert read(ask(table_of(Arch.X86_64), request("discover", (60, b"PXEClient"))).payload).file == "undionly.kpxe"


def test_http_boot_without_an_architecture_boots_as_uefi() -> None:
    got = read(ask(table_of(Arch.X86_64), request("discover", (60, b"HTTPClient"))).payload)
    assert got.file == "http://172.16.0.101/efi/ipxe.efi"


def test_architecture_without_a_loader_gets_its_address_and_no_boot_file() -> None:
    asked = request("discover", (60, b"PXEClient:Arch:00014"), (93, b"\0\x0e"))
    got = read(ask(table_of(Arch.X86_64), asked).payload)
    assert (got.header.yiaddr, got.header.siaddr, got.file) == ("172.16.0.11", "0.0.0.0", "")


def test_first_file_keeps_a_mac_that_two_claim() -> None:
    first, second = reference_cluster(), reference_cluster()
    moved = replace(second, hosts=(replace(second.hosts[0], addresses=(IPv4Address("172.16.0.12"),)),))
    table = compile_dhcp((first, moved))
    assert read(ask(table, request("discover")).payload).header.yiaddr == "172.16.0.11"


def test_templates_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcp_compile, "MAX_TEMPLATES", 10)
    table = compile_dhcp((reference_cluster(),))
    for code in range(1, 200):
        ask(table, request("discover", (55, bytes([code]))))
    assert len(table._templates) <= 10


def test_template_used_again_is_the_same_reply() -> None:
    table = compile_dhcp((reference_cluster(),))
    assert ask(table, request("discover", *FIRMWARE)) == ask(table, request("discover", *FIRMWARE))


def test_host_of_both_families_is_given_its_ipv4_address() -> None:
    cluster = reference_cluster()
    host = replace(cluster.hosts[0], addresses=(IPv6Address("2001:db8::11"), *cluster.hosts[0].addresses))
    networks = (Network(IPv6Network("2001:db8::/64"), cluster.address), *cluster.networks)
    table = compile_dhcp((replace(cluster, networks=networks, hosts=(host,)),))
    assert read(ask(table, request("discover")).payload).header.yiaddr == "172.16.0.11"


def test_host_without_an_ipv4_address_gets_no_answer() -> None:
    cluster = reference_cluster()
    host = replace(cluster.hosts[0], addresses=(IPv6Address("2001:db8::11"),))
    table = compile_dhcp((replace(cluster, hosts=(host, *cluster.hosts[1:])),))
    assert host.macs[0].octets not in table.pins
    assert cluster.hosts[1].macs[0].octets in table.pins


def test_host_outside_every_network_cannot_be_compiled() -> None:
    cluster = reference_cluster()
    host = replace(cluster.hosts[0], addresses=(IPv4Address("192.0.2.11"),))
    with pytest.raises(ValueError, match="is outside every IPv4 network"):
        compile_dhcp((replace(cluster, hosts=(host,)),))


def test_cluster_without_an_ipv4_network_opens_no_dhcp_socket() -> None:
    only = Network(IPv6Network("2001:db8::/64"), IPv6Address("2001:db8::5"))
    host = replace(reference_cluster().hosts[0], addresses=(IPv6Address("2001:db8::11"),))
    table = compile_dhcp((reference_cluster(networks=(only,), hosts=(host,)),))
    assert table.mode is DhcpMode.OFF
