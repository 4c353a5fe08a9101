"""IPv6 networks and addresses: a correct file with one mistake, and the resulting problem."""

import re
from pathlib import Path

import pytest

from tests.config_files import CLEAN, check_text, check_texts, edited, flaw_id, told

BOTH = (
    edited(
        ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 2001:db8::/64\n"),
        ("  address: 192.0.2.5\n", "  address: 192.0.2.5\n  addressIPv6: 2001:db8::5\n"),
        ("    address: 192.0.2.22\n", "    address: 192.0.2.22\n    addressIPv6: 2001:db8::22\n"),
    )
    + "dhcp:\n  routerAdvertisements: false\n"
)
# Of the lines from `cidr: 2001:db8::/64` on, which is line 9.
ONLY = (
    CLEAN.replace("192.0.2.0/24\n      gateway: 192.0.2.1", "2001:db8::/64")
    .replace("10.128.0.0/14", "fd01::/48")
    .replace("172.30.0.0/16", "fd02::/112")
    .replace("192.0.2.", "2001:db8::")
    + "dhcp:\n  routerAdvertisements: false\n"
)

CORRECT = {
    "dual stack": BOTH,
    "IPv6 only": ONLY,
    "only addressIPv6": edited(("    address: 2001:db8::22", "    addressIPv6: 2001:db8::22"), text=ONLY),
    "appliance behind a router": edited(
        ("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      serverAddress: 2001:db8:0:9::5\n"), text=ONLY
    ),
    "advertisements": edited(("routerAdvertisements: false", "routerAdvertisements: true"), text=ONLY),
    "everything that DHCPv6 gives": edited(
        (
            "cidr: 2001:db8::/64\n",
            (
                "cidr: 2001:db8::/64\n      dnsServers: 2001:db8::53\n      domain: a.example\n      leaseTime: 1d\n"
                "      mtu: 1280\n      search: b.example\n      ntp: [2001:db8::60, ntp.example.com]\n"
            ),
        ),
        text=ONLY,
    ),
    "IPv6 in DNS only": edited(
        ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 2001:db8::/64\n"),
        ("    address: 192.0.2.22\n", "    address: 192.0.2.22\n    addressIPv6: 2001:db8::22\n"),
    ),
    "IPv6 in DNS only, in no network": edited(
        ("    address: 192.0.2.22\n", "    address: 192.0.2.22\n    addressIPv6: 2001:db8::22\n"),
    ),
    "registry without IPv4 in DNS only": edited(
        ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 2001:db8::/64\n"),
        ("    role: worker\n", "    role: other\n"),
        ("    address: 192.0.2.31\n", "    address: 2001:db8::31\n"),
    ),
    "relays of both families": edited(
        ("dhcp:\n", "dhcp:\n  relays: [192.0.9.1, 2001:db8:9::1, 2001:db8:8::/64]\n"), text=BOTH
    ),
}

FLAWS = [
    (
        edited(("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      gateway: 2001:db8::1\n"), text=BOTH),
        (
            "10: networking.machineNetwork[1].gateway: does not apply to an IPv6 network: hosts learn their router "
            "from its router advertisements; remove this key"
        ),
    ),
    (
        edited(
            (
                "cidr: 2001:db8::/64\n",
                "cidr: 2001:db8::/64\n      routes: [{destination: 198.51.100.0/24, gateway: 0.0.0.0}]\n",
            ),
            text=BOTH,
        ),
        (
            "10: networking.machineNetwork[1].routes: does not apply to an IPv6 network: hosts learn routes "
            "from router advertisements (RFC 4191); remove this key"
        ),
    ),
    (
        edited(("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      dnsServers: 192.0.2.53\n"), text=BOTH),
        (
            "10: networking.machineNetwork[1].dnsServers: 192.0.2.53 is not IPv6, as 2001:db8::/64 is; write an IPv6 "
            "address"
        ),
    ),
    (
        edited(("gateway: 192.0.2.1\n", "gateway: 192.0.2.1\n      serverAddress: 2001:db8::5\n"), text=BOTH),
        (
            "9: networking.machineNetwork[0].serverAddress: 2001:db8::5 is not IPv4, as 192.0.2.0/24 is; write an IPv4 "
            "address"
        ),
    ),
    (
        edited(("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      mtu: 1279\n"), text=BOTH),
        "10: networking.machineNetwork[1].mtu: 1279 is below 1280, the least MTU of IPv6; write 1280 or more",
    ),
    (
        edited(("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      link: rack1\n"), text=BOTH),
        (
            "10: warning: networking.machineNetwork[1].link: not used for an IPv6 network: a DHCPv6 relay sends a "
            "link-address in the network of the host itself"
        ),
    ),
    (
        edited(("dhcp:\n", "dhcp:\n  mtu: 1000\n"), text=BOTH),
        (
            "44: dhcp.mtu: 1000 is below 1280, the least MTU of IPv6; write 1280 or more, or `mtu` in the IPv4 "
            "network that needs it"
        ),
    ),
    (
        edited(("dhcp:\n", "dhcp:\n  gateway: 2001:db8::1\n"), text=BOTH),
        (
            "44: dhcp.gateway: 2001:db8::1 is an IPv6 address: hosts learn their router from its router "
            "advertisements; remove this key, or write the IPv4 gateway"
        ),
    ),
    (
        edited(("addressIPv6: 2001:db8::5", "addressIPv6: fe80::5"), text=BOTH).replace(
            "cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      serverAddress: 2001:db8::5\n"
        ),
        (
            (
                "19: warning: appliance.addressIPv6: fe80::5 is outside 2001:db8::/64; hosts can reach the appliance "
                "only through a DHCP relay and a router"
            ),
            "19: appliance.addressIPv6: fe80::5 is a link-local address, which no URL can have; write a global address",
        ),
    ),
    (
        edited(("addressIPv6: 2001:db8::5", "addressIPv6: '2001:db8::'"), text=BOTH),
        (
            "18: appliance.addressIPv6: 2001:db8:: is the routers' anycast address of 2001:db8::/64; no machine can "
            "have it"
        ),
    ),
    (
        edited(("  address: 2001:db8::5\n", "  address: 2001:db8::5\n  addressIPv6: 2001:db8::6\n"), text=ONLY),
        (
            "16: appliance.addressIPv6: conflicts with appliance.address, which is an IPv6 address; write the IPv4 "
            "address there, or remove this"
        ),
    ),
    (
        edited(("    address: 2001:db8::22\n", "    address: 2001:db8::22\n    addressIPv6: 2001:db8::2\n"), text=ONLY),
        (
            "29: hosts[2].addressIPv6: conflicts with address, which is an IPv6 address; write the IPv4 address there, "
            "or remove one of them"
        ),
    ),
    (
        edited(("    addressIPv6: 2001:db8::22\n", "    addressIPv6: 2001:db8:1::22\n"), text=BOTH),
        (
            "32: warning: hosts[2].addressIPv6: 2001:db8:1::22 is outside networking.machineNetwork 2001:db8::/64, so "
            "DHCPv6 does not give it; change it, or add its network"
        ),
    ),
    (
        edited(("    address: 2001:db8::22\n", "    address: 192.0.2.22\n"), text=ONLY),
        "28: hosts[2].address: networking.machineNetwork has no IPv4 network for 192.0.2.22; add its network",
    ),
    (
        edited(("    address: 2001:db8::22\n", "    address: 2001:db8:1::22\n"), text=ONLY),
        (
            "28: hosts[2].address: 2001:db8:1::22 is outside networking.machineNetwork 2001:db8::/64; change it, or "
            "add its network"
        ),
    ),
    (
        edited(("    address: 2001:db8::22\n", "    address: 2001:db8::21\n"), text=ONLY),
        "28: hosts[2].address: 2001:db8::21 is also used by m1 (line 24); each host needs its own address",
    ),
    (
        edited(("    - cidr: 2001:db8::/64\n", "    - cidr: 2001:db8::/64\n    - cidr: 192.0.2.0/24\n"), text=ONLY),
        (
            "8: networking.machineNetwork[1].cidr: the appliance has no IPv4 address for 192.0.2.0/24; write one as "
            "serverAddress here, or as appliance.address (with its IPv6 address as appliance.addressIPv6)"
        ),
    ),
    (
        edited(("cidr: 2001:db8::/64", "cidr: fe80::/64"), text=BOTH)
        .replace("  addressIPv6: 2001:db8::5\n", "")
        .replace("    addressIPv6: 2001:db8::22\n", ""),
        (
            "9: networking.machineNetwork[1].cidr: fe80::/64 is link-local; write a global network, or a unique local "
            "one in fd00::/8"
        ),
    ),
    (
        BOTH.replace("dhcp:\n  routerAdvertisements: false\n", ""),
        (
            "1: warning: dhcp.routerAdvertisements: not set: hosts ask for an IPv6 address only where router "
            "advertisements in 2001:db8::/64 have the flags M and O. Write false if your routers set them, or true if "
            "no router does and the appliance has to"
        ),
    ),
    (
        edited(("  address: 2001:db8::5\n", "  address: 192.0.2.5\n"), text=ONLY),
        (
            "7: warning: networking.machineNetwork[0].cidr: the appliance has no IPv6 address for 2001:db8::/64, so "
            "hosts that have no IPv4 address (bs and 4 more) cannot boot; write one as appliance.addressIPv6, or as "
            "serverAddress here"
        ),
    ),
    (
        edited(
            ("  addressIPv6: 2001:db8::5\n", "  addressIPv6: 192.0.2.6\n"),
            ("cidr: 2001:db8::/64\n", "cidr: 2001:db8::/64\n      mtu: 1280\n"),
            text=BOTH,
        ),
        '19: appliance.addressIPv6: "192.0.2.6" is not an IPv6 address; for example 2001:db8::21',
    ),
    (
        edited(
            (
                "    - cidr: 2001:db8::/64\n",
                "    - cidr: 2001:db8::/64\n    - cidr: 192.0.2.0/24\n      serverAddress: 192.0.2.300\n",
            ),
            text=ONLY,
        ),
        '9: networking.machineNetwork[1].serverAddress: "192.0.2.300" has a part above 255; for example 192.0.2.21',
    ),
    (
        f"{CLEAN}dhcp:\n  routerAdvertisements: true\n",
        (
            "41: dhcp.routerAdvertisements: needs an IPv6 network in networking.machineNetwork and an IPv6 address of "
            "the appliance; add them, or remove this key"
        ),
    ),
    (
        BOTH.replace("routerAdvertisements: false", "mode: off\n  routerAdvertisements: true"),
        (
            "45: dhcp.routerAdvertisements: sends hosts to the appliance for their addresses, which dhcp.mode off does "
            "not give; write mode: full"
        ),
    ),
    (
        ONLY.replace("dns:\n", "additionalNTPSources: 192.0.2.60\ndns:\n"),
        (
            "37: warning: additionalNTPSources: hosts are not told of 192.0.2.60: DHCPv6 option 56 takes IPv6 "
            "addresses and names only"
        ),
    ),
    (
        f"{CLEAN}additionalNTPSources: 2001:db8::60\n",
        (
            "40: warning: additionalNTPSources: hosts are not told of 2001:db8::60: DHCP option 42 takes IPv4 "
            "addresses only; write an IPv4 address, or configure chrony with a MachineConfig"
        ),
    ),
]


@pytest.mark.parametrize("text", CORRECT.values(), ids=CORRECT)
def test_correct_file_has_no_problems(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == []


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=lambda value: flaw_id(str(value)))
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str | tuple[str, ...]) -> None:
    assert told(tmp_path, text) == ([expected] if isinstance(expected, str) else list(expected))


def test_address_that_two_clusters_use_is_reported_in_both_families(tmp_path: Path) -> None:
    other = (
        ONLY.replace("name: prod", "name: other")
        .replace("52:54:00:00", "52:54:00:01")
        .replace("2001:db8::22", "2001:db8::5")
        .replace("  address: 2001:db8::5\n", "  address: 2001:db8::6\n", 1)
    )
    found = [line for line in check_texts(tmp_path, [ONLY, other]) if "is the appliance's own address" in line]
    assert found == [
        "b.yaml:28: hosts[2].address: 2001:db8::5 is the appliance's own address (a.yaml:15); change one of them"
    ]


def test_dual_stack_host_has_its_ipv4_address_first(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, BOTH).clusters
    host = cluster.hosts[2]
    assert [str(address) for address in host.addresses] == ["192.0.2.22", "2001:db8::22"]
    assert (str(host.ipv4), str(host.ipv6)) == ("192.0.2.22", "2001:db8::22")


def test_network_of_each_family_has_the_appliance_s_address_of_that_family(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, BOTH).clusters
    assert [str(network.server) for network in cluster.networks] == ["192.0.2.5", "2001:db8::5"]
    assert [str(endpoint) for endpoint in cluster.listen.http] == ["192.0.2.5:80", "[2001:db8::5]:80"]


def test_ipv6_network_without_an_address_of_the_appliance_is_only_for_dns(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, CORRECT["IPv6 in DNS only"]).clusters
    assert [network.is_served for network in cluster.networks] == [True, False]
    assert not cluster.gives(cluster.hosts[2].addresses[1])


def test_ipv6_network_has_what_dhcpv6_can_give(tmp_path: Path) -> None:
    text = CORRECT["everything that DHCPv6 gives"].replace("additionalNTPSources", "x")
    (network,) = check_text(tmp_path, text).clusters[0].networks
    assert [str(server) for server in network.dns_servers] == ["2001:db8::53"]
    assert ([str(server) for server in network.ntp_servers], network.ntp_names) == (
        ["2001:db8::60"],
        ("ntp.example.com",),
    )
    assert (network.search, network.mtu, network.lease_seconds) == (("b.example",), 1280, 86400)


def test_time_servers_go_to_the_networks_that_can_name_them(tmp_path: Path) -> None:
    text = f"{BOTH}additionalNTPSources: [192.0.2.60, 2001:db8::60, ntp.example.com]\n"
    (cluster,) = check_text(tmp_path, text).clusters
    assert [[str(server) for server in network.ntp_servers] for network in cluster.networks] == [
        ["192.0.2.60"],
        ["2001:db8::60"],
    ]
    assert [network.ntp_names for network in cluster.networks] == [
        ("ntp.example.com",)
    ] * 2  # DHCPv4 gives its addresses


def test_ipv6_hosts_look_up_short_names_in_the_cluster_s_domain(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, ONLY).clusters
    assert cluster.networks[0].search == ("prod.example.com",)


def test_name_server_of_the_appliance_has_both_of_its_addresses(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, BOTH).clusters
    assert [str(address) for address in cluster.dns.name_servers[0].addresses] == ["192.0.2.5", "2001:db8::5"]


SINGLE = re.sub(r"  - hostname: (bs|m2|m3|w1)\n(    .*\n){3}", "", ONLY).replace(
    "apiVIPs: 2001:db8::8\ningressVIPs: 2001:db8::9\n", ""
)


def test_single_node_without_ipv4_is_its_own_load_balancer(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, SINGLE).clusters
    assert [str(vip) for vip in (*cluster.api_vips, *cluster.api_int_vips, *cluster.ingress_vips)] == [
        "2001:db8::21"
    ] * 3


def test_ip_argument_of_a_host_without_ipv4_is_already_set(tmp_path: Path) -> None:
    text = edited(
        ("    address: 2001:db8::22\n", "    address: 2001:db8::22\n    kernelArguments: ip=auto6\n"), text=ONLY
    )
    assert told(tmp_path, text) == [
        (
            "29: warning: hosts[2].kernelArguments: the appliance already sets ip=dhcp6 for this host; use "
            "networkConfig instead"
        )
    ]
