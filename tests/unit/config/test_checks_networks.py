"""Networks, gateways and the load balancer: a correct file with one mistake, and the resulting problem."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told

FLAWS = [
    (
        edited(("cidr: 192.0.2.0/24", "cidr: 192.0.2.7/24")),
        (
            '7: networking.machineNetwork[0].cidr: "192.0.2.7/24" has bits set after the prefix; the '
            "network is 192.0.2.0/24"
        ),
    ),
    (
        edited(("cidr: 192.0.2.0/24", "cidr: 192.0.2.0")),
        '7: networking.machineNetwork[0].cidr: "192.0.2.0" is not a network; for example 192.0.2.0/24',
    ),
    (
        edited(
            ("cidr: 192.0.2.0/24", "cidr: 0.0.0.0/0"),
            ("  clusterNetwork:\n    - cidr: 10.128.0.0/14\n", ""),
            ("  serviceNetwork:\n    - 172.30.0.0/16\n", ""),
        ),
        (
            "7: networking.machineNetwork[0].cidr: 0.0.0.0/0 contains every address; write the network "
            "of the machines, for example 192.0.2.0/24"
        ),
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: ::/0\n")),
        (
            "9: networking.machineNetwork[1].cidr: ::/0 contains every address; write the network of the "
            "machines, for example 2001:db8::/64"
        ),
    ),
    (
        edited(("172.30.0.0/16", "10.130.0.0/16")),
        (
            "12: networking.serviceNetwork[0]: 10.130.0.0/16 overlaps 10.128.0.0/14, "
            "networking.clusterNetwork[0].cidr (line 10); machine, cluster and service networks must not "
            "overlap"
        ),
    ),
    (
        edited(("10.128.0.0/14", "192.0.0.0/14")),
        (
            "10: networking.clusterNetwork[0].cidr: 192.0.0.0/14 overlaps 192.0.2.0/24, "
            "networking.machineNetwork[0].cidr (line 7); machine, cluster and service networks must not "
            "overlap"
        ),
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 192.0.2.128/25\n")),
        (
            "9: networking.machineNetwork[1].cidr: 192.0.2.128/25 overlaps 192.0.2.0/24, "
            "networking.machineNetwork[0].cidr (line 7); machine, cluster and service networks must not "
            "overlap"
        ),
    ),
    (
        edited(("gateway: 192.0.2.1\n", "gateway: 192.0.3.1\n")),
        (
            "8: networking.machineNetwork[0].gateway: 192.0.3.1 is outside 192.0.2.0/24; a gateway must "
            "have an address in the network, or an entry of its `routes` with gateway 0.0.0.0"
        ),
    ),
    (
        edited(("gateway: 192.0.2.1\n", "gateway: 192.0.2.255\n")),
        (
            "8: networking.machineNetwork[0].gateway: 192.0.2.255 is the broadcast address of 192.0.2.0/24; "
            "no machine can have it"
        ),
    ),
    (
        edited(("apiVIPs: 192.0.2.8", "apiVIPs: 192.0.2.1")),
        "13: apiVIPs: 192.0.2.1 is also the gateway (line 8); change one of them",
    ),
    (
        edited(("apiVIPs: 192.0.2.8", "apiVIPs: 192.0.2.0")),
        "13: apiVIPs: 192.0.2.0 is the network address of 192.0.2.0/24; no load balancer can have it",
    ),
    *(
        (
            edited(("apiVIPs: 192.0.2.8", f"apiVIPs: {address}")),
            f"13: apiVIPs: {address} is no single address; write one that a load balancer can have",
        )
        for address in ("0.0.0.0", "224.0.0.8", "fe80::8")
    ),
    (
        edited(("apiVIPs: 192.0.2.8\n", "")),
        "1: apiVIPs: is missing; write the load balancer's address that api.prod.example.com must resolve to",
    ),
    (
        edited(("ingressVIPs: 192.0.2.9\n", "")),
        ("1: ingressVIPs: is missing; write the load balancer's address that *.apps.prod.example.com must resolve to"),
    ),
    (
        edited(("apiVIPs: 192.0.2.8", "apiVIPs: []")),
        ("13: apiVIPs: is an empty list; write the load balancer's address that api.prod.example.com must resolve to"),
    ),
    (
        edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: []")),
        (
            "14: ingressVIPs: is an empty list; write the load balancer's address that "
            "*.apps.prod.example.com must resolve to"
        ),
    ),
    (
        edited(("  address: 192.0.2.5", "  address: 192.0.9.5")),
        (
            "16: warning: appliance.address: 192.0.9.5 is outside 192.0.2.0/24; hosts can reach the "
            "appliance only through a DHCP relay and a router"
        ),
    ),
    (
        edited(("  address: 192.0.2.5", "  address: 192.0.2.0")),
        "16: appliance.address: 192.0.2.0 is the network address of 192.0.2.0/24; no machine can have it",
    ),
    (
        f"{CLEAN}dhcp:\n  gateway: 192.0.9.1\n",
        (
            "41: dhcp.gateway: 192.0.9.1 is outside 192.0.2.0/24; a gateway must have an address in the network, "
            "or an entry of its `routes` with gateway 0.0.0.0"
        ),
    ),
    (
        f"{CLEAN}dhcp:\n  routes:\n    - {{destination: 198.51.100.0/24, gateway: 192.0.9.1}}\n",
        (
            "42: dhcp.routes[0].gateway: 192.0.9.1 is outside 192.0.2.0/24; the gateway of a route must "
            "be in the network, or have a route of its own there with gateway 0.0.0.0"
        ),
    ),
    (
        f"{CLEAN}dhcp:\n  routes:\n    - {{destination: 203.0.113.1/32, gateway: 0.0.0.0}}\n",
        ("42: dhcp.routes[0].gateway: 0.0.0.0 is in no network; write this route in the machineNetwork that it is for"),
    ),
    (
        f"{CLEAN}dhcp:\n  relays: 0.0.0.0/0\n",
        "41: dhcp.relays: 0.0.0.0/0 contains every address; write those of your DHCP relays",
    ),
    (
        f"{CLEAN}dhcp:\n  relays: [198.51.100.1, 198.51.100.7/28]\n",
        ('41: dhcp.relays[1]: "198.51.100.7/28" has bits set after the prefix; the network is 198.51.100.0/28'),
    ),
    (
        f"{CLEAN}dhcp:\n  relays: router1\n",
        '41: dhcp.relays: "router1" is not an IPv4 address; for example 192.0.2.21',
    ),
    (
        f"{CLEAN}dhcp:\n  leaseTime: 10m\n",
        (
            "41: warning: dhcp.leaseTime: 600 s is short: a node loses its address if the appliance is "
            "down for that long; 7d is usual"
        ),
    ),
    (
        f"{CLEAN}dhcp:\n  leaseTime: soon\n",
        '41: dhcp.leaseTime: "soon" is not a duration; write seconds, or a number with s, m, h, d or w, such as 7d',
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - {cidr: '2001:db8::/64', mtu: 1500}\n")),
        (
            "9: warning: networking.machineNetwork[1].mtu: not used: the appliance has no IPv6 address, so this "
            "network is only for DNS; write appliance.addressIPv6, or serverAddress here"
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
