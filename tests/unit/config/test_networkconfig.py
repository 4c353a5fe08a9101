"""networkConfig: from nmstate to dracut.cmdline(7), and what dracut cannot configure."""

import re
from pathlib import Path

import pytest

from tests.config_files import check_text, edited, flaw_id, told, with_host

STATIC = """\
    networkConfig:
      interfaces:
        - name: eno1
          mtu: 9000
          ipv4:
            address: [{ip: 192.0.2.32, prefix-length: 24}]
      routes:
        config:
          - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1}
"""


def with_network(config: str) -> str:
    """Return CLEAN with a worker w2 that has *config*, beginning on line 41."""
    return with_host(("    address:", f"{config}    address:"))


def arguments(tmp_path: Path, config: str) -> list[str]:
    """Return the dracut arguments of w2 with *config*."""
    (cluster,) = check_text(tmp_path, with_network(config)).clusters
    return list(cluster.hosts[-1].network_arguments)


def test_host_without_network_config_has_no_arguments(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, with_host()).clusters

    assert cluster.hosts[-1].network_arguments == ()


def test_static_address_names_gateway_mask_host_and_interface(tmp_path: Path) -> None:
    assert arguments(tmp_path, STATIC) == [
        "ip=192.0.2.32::192.0.2.1:255.255.255.0:w2.prod.example.com:eno1:none:9000",
        "nameserver=192.0.2.5",
    ]


def test_name_servers_of_the_config_come_before_the_network_s(tmp_path: Path) -> None:
    config = f"{STATIC}      dns-resolver: {{config: {{server: [192.0.2.53, '2001:db8::53']}}}}\n"

    assert arguments(tmp_path, config)[1:] == ["nameserver=192.0.2.53", "nameserver=[2001:db8::53]"]


def test_second_address_of_an_interface_has_no_gateway(tmp_path: Path) -> None:
    config = edited(("24}]", "24}, {ip: 192.0.2.132, prefix-length: 25}]"), text=STATIC)

    assert arguments(tmp_path, config)[1] == "ip=192.0.2.132:::255.255.255.128:w2.prod.example.com:eno1:none:9000"


def test_dhcp_needs_no_name_server(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}}]}\n"

    assert arguments(tmp_path, config) == ["ip=eno1:dhcp"]


def test_interface_that_is_not_enabled_gets_no_address(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: eno1, ipv4: {enabled: false, dhcp: true}}]}\n"

    assert arguments(tmp_path, config) == []


def test_ipv6_addresses_stand_in_brackets(tmp_path: Path) -> None:
    config = """\
    networkConfig:
      interfaces:
        - name: eno1
          ipv4: {dhcp: true}
          ipv6: {address: [{ip: '2001:db8::32', prefix-length: 64}]}
        - {name: eno2, ipv6: {autoconf: true}}
        - {name: eno3, ipv6: {dhcp: true, autoconf: true}}
      routes: {config: [{destination: '::/0', next-hop-address: 'fe80::1', next-hop-interface: eno1}]}
"""

    assert arguments(tmp_path, config) == [
        "ip=[2001:db8::32]::[fe80::1]:64:w2.prod.example.com:eno1:none",
        "ip=eno1:dhcp",
        "ip=eno2:auto6",
        "ip=eno3:dhcp6",
        "nameserver=192.0.2.5",
    ]


def test_bond_and_vlan_come_after_addresses_and_name_servers(tmp_path: Path) -> None:
    config = """\
    networkConfig:
      interfaces:
        - name: bond0.100
          type: vlan
          vlan: {base-iface: bond0, id: 100}
          ipv4: {address: [{ip: 192.0.2.32, prefix-length: 24}]}
        - name: bond0
          type: bond
          mtu: 9000
          link-aggregation:
            mode: 802.3ad
            port: [eno1, eno2]
            options: {miimon: 100, lacp_rate: fast}
      routes:
        config:
          - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: bond0.100}
          - {destination: 198.51.100.0/24, next-hop-address: 192.0.2.2, next-hop-interface: bond0.100, metric: 100}
          - {destination: '2001:db8:1::/48', next-hop-address: 'fe80::2'}
"""

    assert arguments(tmp_path, config) == [
        "ip=192.0.2.32::192.0.2.1:255.255.255.0:w2.prod.example.com:bond0.100:none",
        "nameserver=192.0.2.5",
        "bond=bond0:eno1,eno2:mode=802.3ad,miimon=100,lacp_rate=fast:9000",
        "vlan=bond0.100:bond0",
        "rd.route=198.51.100.0/24:192.0.2.2:bond0.100",
        "rd.route=[2001:db8:1::/48]:[fe80::2]",
    ]


# What nm-initrd-generator(8) 1.42.4 makes of each: IPv4 and IPv6 both configured. It turns IPv4 off where an argument
# for the same interface that is only about IPv6 follows.
DUAL_STACK = [
    ("{dhcp: true}", "{dhcp: true, autoconf: true}", ["ip=%s:dhcp,dhcp6"]),
    ("{dhcp: true}", "{autoconf: true}", ["ip=%s:dhcp"]),
    (
        "{dhcp: true}",
        "{dhcp: true, address: [{ip: '2001:db8::32', prefix-length: 64}]}",
        ["ip=[2001:db8::32]:::64:w2.prod.example.com:%s:none", "ip=%s:dhcp"],
    ),
    (
        "{address: [{ip: 192.0.2.32, prefix-length: 24}]}",
        "{dhcp: true}",
        ["ip=192.0.2.32:::255.255.255.0:w2.prod.example.com:%s:none", "ip=%s:dhcp6"],
    ),
]
KINDS = [
    ("eno1", "type: ethernet"),
    ("bond0", "type: bond, link-aggregation: {mode: 802.3ad, port: [eno1, eno2]}"),
    ("eno1.40", "type: vlan, vlan: {base-iface: eno1, id: 40}"),
]


@pytest.mark.parametrize(("name", "kind"), KINDS)
@pytest.mark.parametrize(("ipv4", "ipv6", "expected"), DUAL_STACK)
def test_ipv6_does_not_turn_off_ipv4(
    tmp_path: Path, name: str, kind: str, ipv4: str, ipv6: str, expected: list[str]
) -> None:
    config = f"    networkConfig: {{interfaces: [{{name: {name}, {kind}, ipv4: {ipv4}, ipv6: {ipv6}}}]}}\n"

    found = [argument for argument in arguments(tmp_path, config) if argument.startswith("ip=")]

    assert found == [argument.replace("%s", name) for argument in expected]


MAC = "52:54:00:10:00:99"


def arguments_of_named_cards(tmp_path: Path, config: str) -> list[str]:
    """Return the dracut arguments of w2, whose interface `uplink` has MAC."""
    text = re.sub(
        r"    macAddress: [^\n]*\n(?!.*macAddress)",
        f"    interfaces: [{{name: uplink, macAddress: '{MAC}'}}]\n",
        with_network(config),
        flags=re.DOTALL,
    )
    (cluster,) = check_text(tmp_path, text).clusters
    return list(cluster.hosts[-1].network_arguments)


def test_card_with_a_logical_name_is_named_by_its_mac_address(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: uplink, ipv4: {dhcp: true}}]}\n"

    assert arguments_of_named_cards(tmp_path, config) == ["ip=52-54-00-10-00-99:dhcp"]


@pytest.mark.parametrize(
    "inside",
    [
        "{name: bond0, type: bond, link-aggregation: {mode: 802.3ad, port: [uplink, eno2]}, ipv4: {dhcp: true}}",
        "{name: uplink.40, type: vlan, vlan: {base-iface: uplink, id: 40}, ipv4: {dhcp: true}}",
        "{name: uplink}, {name: uplink.40, type: vlan, vlan: {base-iface: uplink, id: 40}, ipv4: {dhcp: true}}",
    ],
)
def test_port_or_base_with_a_logical_name_gets_that_name(tmp_path: Path, inside: str) -> None:
    config = f"    networkConfig: {{interfaces: [{inside}]}}\n"

    found = arguments_of_named_cards(tmp_path, config)

    assert [argument for argument in found if argument.startswith("ifname=")] == [f"ifname=uplink:{MAC}"]


def test_identifier_mac_address_names_the_card(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: lan, identifier: mac-address, mac-address: '52:54:00:10:00:98', "
        "ipv4: {dhcp: true}}]}\n"
    )

    assert arguments(tmp_path, config) == ["ip=52-54-00-10-00-98:dhcp"]


@pytest.mark.parametrize("state", ["down", "absent", "ignore"])
def test_interface_that_is_not_up_is_left_out(tmp_path: Path, state: str) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}}, "
        f"{{name: eno2, state: {state}, ipv4: {{dhcp: true}}}}]}}\n"
    )

    assert arguments(tmp_path, config) == ["ip=eno1:dhcp"]


VLAN = (
    "    networkConfig: {interfaces: [{name: %s, type: vlan, vlan: {base-iface: eno1, id: 40}, ipv4: {dhcp: yes}}]}\n"
)

FLAWS = [
    (
        edited(("ip: 192.0.2.32", "ip: 192.0.2.99"), text=STATIC),
        (
            "46: hosts[5].networkConfig.interfaces[0].ipv4.address[0].ip: 192.0.2.99 is configured here, "
            "but the host's address is 192.0.2.32 (line 50); use the same address"
        ),
    ),
    (
        re.sub(r"      routes:\n(        .*\n)+", "", STATIC),
        (
            "41: warning: hosts[5].networkConfig.routes: has no route to 0.0.0.0/0, so this host has no gateway; "
            "add it with its next-hop-address"
        ),
    ),
    (
        VLAN % "storage",
        (
            '41: hosts[5].networkConfig.interfaces[0].name: "storage" does not contain the VLAN id as '
            "dracut reads it; use eno1.40 or vlan40"
        ),
    ),
    (
        VLAN % "eno1.41",
        (
            '41: hosts[5].networkConfig.interfaces[0].name: "eno1.41" does not contain the VLAN id as '
            "dracut reads it; use eno1.40 or vlan40"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: bond0, type: bond}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].link-aggregation: is missing; a bond needs its "
            "mode and its ports there"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1.4, type: vlan}]}\n",
        "41: hosts[5].networkConfig.interfaces[0].vlan: is missing; a VLAN needs its base-iface and id there",
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1}, {name: eno1}]}\n",
        "41: hosts[5].networkConfig.interfaces[1].name: eno1 has two entries (first on line 41); merge them",
    ),
    (
        edited(("192.0.2.1}", "192.0.2.1, next-hop-interface: eno9}"), text=STATIC),
        (
            '49: hosts[5].networkConfig.routes.config[0].next-hop-interface: "eno9" is not an interface '
            "of this host; expected eno1"
        ),
    ),
    (
        edited(("192.0.2.1}", "192.0.2.1, table-id: 7}"), text=STATIC),
        (
            "49: hosts[5].networkConfig.routes.config[0].table-id: 7 cannot be configured from the "
            "kernel command line; remove the key, or write 254"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1, state: off}]}\n",
        '41: hosts[5].networkConfig.interfaces[0].state: "off" is not valid; expected up, down, absent or ignore',
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1, identifier: mac-address}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].mac-address: is missing; with identifier: mac-address "
            "it says which network card is meant"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1, type: dummy}]}\n",
        '41: hosts[5].networkConfig.interfaces[0].type: "dummy" is not valid; expected ethernet, bond or vlan',
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1, ipv4: {address: [{ip: 192.0.2.32}]}}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].ipv4.address[0].prefix-length: is missing; for "
            "example `prefix-length: 24`"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: eno1, lldp: {enabled: true}}]}\n",
        (
            "41: warning: hosts[5].networkConfig.interfaces[0].lldp: not used: the kernel command line has no "
            "argument for it"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: b, type: bond, link-aggregation: {mode: 802.3ad, slaves: [eno1]}}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].link-aggregation.slaves: unknown key; write port, "
            "its name in current nmstate"
        ),
    ),
]


@pytest.mark.parametrize(("config", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line(tmp_path: Path, config: str, expected: str) -> None:
    assert expected in told(tmp_path, with_network(config))
