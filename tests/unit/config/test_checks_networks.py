"""Networks, gateways and the load balancer: one flaw in a clean file, and what is told."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told

FLAWS = [
    (
        edited(("cidr: 192.0.2.0/24", "cidr: 192.0.2.7/24")),
        (
            '7: networking.machineNetwork[0].cidr: "192.0.2.7/24" is an address inside a network; '
            "the network is 192.0.2.0/24"
        ),
    ),
    (
        edited(("cidr: 192.0.2.0/24", "cidr: 192.0.2.0")),
        '7: networking.machineNetwork[0].cidr: "192.0.2.0" is not a network; write it as 192.0.2.0/24',
    ),
    (
        edited(
            ("cidr: 192.0.2.0/24", "cidr: 0.0.0.0/0"),
            ("  clusterNetwork:\n    - cidr: 10.128.0.0/14\n", ""),
            ("  serviceNetwork:\n    - 172.30.0.0/16\n", ""),
        ),
        (
            "7: networking.machineNetwork[0].cidr: 0.0.0.0/0 is every address there is; "
            "write the network that the machines are in, as 192.0.2.0/24"
        ),
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: ::/0\n")),
        (
            "9: networking.machineNetwork[1].cidr: ::/0 is every address there is; "
            "write the network that the machines are in, as 2001:db8::/64"
        ),
    ),
    (
        edited(("172.30.0.0/16", "10.130.0.0/16")),
        (
            "12: networking.serviceNetwork[0]: 10.130.0.0/16 overlaps 10.128.0.0/14, "
            "networking.clusterNetwork[0].cidr (line 10); machine, cluster and service networks share no address"
        ),
    ),
    (
        edited(("10.128.0.0/14", "192.0.0.0/14")),
        (
            "10: networking.clusterNetwork[0].cidr: 192.0.0.0/14 overlaps 192.0.2.0/24, "
            "networking.machineNetwork[0].cidr (line 7); machine, cluster and service networks share no address"
        ),
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 192.0.2.128/25\n")),
        (
            "9: networking.machineNetwork[1].cidr: 192.0.2.128/25 overlaps 192.0.2.0/24, "
            "networking.machineNetwork[0].cidr (line 7); machine, cluster and service networks share no address"
        ),
    ),
    (
        edited(("gateway: 192.0.2.1\n", "gateway: 192.0.3.1\n")),
        (
            "8: networking.machineNetwork[0].gateway: 192.0.3.1 is outside 192.0.2.0/24; "
            "a gateway has an address in the network"
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
        "13: apiVIPs: 192.0.2.1 is the gateway (line 8); give one of them another address",
    ),
    (
        edited(("apiVIPs: 192.0.2.8", "apiVIPs: 192.0.2.0")),
        ("13: apiVIPs: 192.0.2.0 is the network's own address in 192.0.2.0/24; no load balancer can have it"),
    ),
    (
        edited(("apiVIPs: 192.0.2.8\n", "")),
        "1: apiVIPs: is missing; write the load balancer's address, which api.prod.example.com shall name",
    ),
    (
        edited(("ingressVIPs: 192.0.2.9\n", "")),
        ("1: ingressVIPs: is missing; write the load balancer's address, which *.apps.prod.example.com shall name"),
    ),
    (
        edited(("apiVIPs: 192.0.2.8", "apiVIPs: []")),
        "13: apiVIPs: is an empty list; write the load balancer's address, which api.prod.example.com shall name",
    ),
    (
        edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: []")),
        (
            "14: ingressVIPs: is an empty list; "
            "write the load balancer's address, which *.apps.prod.example.com shall name"
        ),
    ),
    (
        edited(("  address: 192.0.2.5", "  address: 192.0.9.5")),
        (
            "16: warning: appliance.address: 192.0.9.5 is outside 192.0.2.0/24; "
            "hosts then reach the appliance only by a DHCP relay and a route"
        ),
    ),
    (
        edited(("  address: 192.0.2.5", "  address: 192.0.2.0")),
        ("16: appliance.address: 192.0.2.0 is the network's own address in 192.0.2.0/24; no machine can have it"),
    ),
    (
        f"{CLEAN}dhcp:\n  gateway: 192.0.9.1\n",
        "41: dhcp.gateway: 192.0.9.1 is outside 192.0.2.0/24; a gateway has an address in the network",
    ),
    (
        f"{CLEAN}dhcp:\n  routes:\n    - {{destination: 198.51.100.0/24, gateway: 192.0.9.1}}\n",
        ("42: dhcp.routes[0].gateway: 192.0.9.1 is outside 192.0.2.0/24; a route's gateway must be a neighbour"),
    ),
    (
        f"{CLEAN}dhcp:\n  leaseTime: 10m\n",
        (
            "41: warning: dhcp.leaseTime: 600 s is short: a node loses its address when the appliance "
            "is away that long; 7d is usual"
        ),
    ),
    (
        f"{CLEAN}dhcp:\n  leaseTime: soon\n",
        ('41: dhcp.leaseTime: "soon" is not a duration; write seconds, or a number with s, m, h, d or w, as 7d'),
    ),
    (
        edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - {cidr: '2001:db8::/64', mtu: 1500}\n")),
        ("9: warning: networking.machineNetwork[1].mtu: is not used: an IPv6 network is there for reverse DNS alone"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_told_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
