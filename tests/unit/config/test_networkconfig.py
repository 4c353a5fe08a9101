"""networkConfig: from nmstate to dracut.cmdline(7), and what dracut cannot configure."""

import re
from pathlib import Path

import pytest

from appliance.config.nmstate import NO_ARGUMENT
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


def routed(route: str) -> str:
    """Return the networkConfig of a card with DHCP and *route*, which stands on its second line."""
    return (
        "    networkConfig:\n"
        f"      routes: {{config: [{{{route}}}]}}\n"
        "      interfaces: [{name: eno1, ipv4: {dhcp: true}}]\n"
    )


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


# nm-initrd-generator(8) turns IPv4 off where an argument for the same interface that is only about IPv6 follows, and
# makes both automatic for dhcp alone; before 1.34 it drops dhcp,dhcp6.
DUAL_STACK = [
    ("{dhcp: true}", "{dhcp: true, autoconf: true}", ["ip=%s:dhcp"]),
    ("{dhcp: true}", "{autoconf: true}", ["ip=%s:dhcp"]),
    (
        "{dhcp: true}",
        "{dhcp: true, address: [{ip: '2001:db8::32', prefix-length: 64}]}",
        ["ip=[2001:db8::32]:::64:w2.prod.example.com:%s:dhcp6", "ip=%s:dhcp"],
    ),
    (
        "{address: [{ip: 192.0.2.32, prefix-length: 24}]}",
        "{dhcp: true}",
        ["ip=192.0.2.32:::255.255.255.0:w2.prod.example.com:%s:dhcp6"],
    ),
    (
        "{address: [{ip: 192.0.2.32, prefix-length: 24}]}",
        "{enabled: true}",
        ["ip=192.0.2.32:::255.255.255.0:w2.prod.example.com:%s:link6"],
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


def arguments_of_named_cards(tmp_path: Path, config: str, release: str = "4.16.3") -> list[str]:
    """Return the dracut arguments of w2, whose interface `uplink` has MAC."""
    text = re.sub(
        r"    macAddress: [^\n]*\n(?!.*macAddress)",
        f"    interfaces: [{{name: uplink, macAddress: '{MAC}'}}]\n",
        with_network(config),
        flags=re.DOTALL,
    )
    (cluster,) = check_text(tmp_path, text.replace("release: 4.16.3", f"release: {release}")).clusters
    return list(cluster.hosts[-1].network_arguments)


def test_card_with_a_logical_name_is_named_by_its_mac_address(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: uplink, ipv4: {dhcp: true}}]}\n"

    assert arguments_of_named_cards(tmp_path, config) == ["ip=52-54-00-10-00-99:dhcp"]


def test_port_with_a_logical_name_is_called_by_its_mac_address(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: bond0, type: bond, ipv4: {dhcp: true}, "
        "link-aggregation: {mode: 802.3ad, port: [uplink, eno2]}}]}\n"
    )

    assert "bond=bond0:52-54-00-10-00-99,eno2:mode=802.3ad" in arguments_of_named_cards(tmp_path, config)


@pytest.mark.parametrize(
    "inside",
    [
        "{name: b, type: bond, link-aggregation: {mode: 1, port: [uplink, eno2], options: {primary: uplink}}}",
        "{name: uplink.40, type: vlan, vlan: {base-iface: uplink, id: 40}, ipv4: {dhcp: true}}",
        "{name: uplink}, {name: uplink.40, type: vlan, vlan: {base-iface: uplink, id: 40}, ipv4: {dhcp: true}}",
    ],
)
def test_card_that_only_a_name_can_stand_for_gets_its_logical_name(tmp_path: Path, inside: str) -> None:
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
            '41: warning: hosts[5].networkConfig.interfaces[0].name: "storage" does not end with the VLAN id, from '
            "which dracut reads it; the installer and the node call this VLAN eno1.40"
        ),
    ),
    (
        VLAN % "eno1.41",
        (
            '41: warning: hosts[5].networkConfig.interfaces[0].name: "eno1.41" does not end with the VLAN id, from '
            "which dracut reads it; the installer and the node call this VLAN eno1.40"
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
            "49: warning: hosts[5].networkConfig.routes.config[0].table-id: a route of table 7 is configured after the "
            "first boot only: the kernel command line sets up only the main table, 254; put it into a MachineConfig or "
            "a NodeNetworkConfigurationPolicy as well"
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
        "    networkConfig: {interfaces: [{name: br-ex, type: ovs-bridge}]}\n",
        (
            "41: warning: hosts[5].networkConfig.interfaces[0].type: an interface of type ovs-bridge is configured "
            "after the first boot only, and not by the installer; put it into a MachineConfig or a "
            "NodeNetworkConfigurationPolicy as well"
        ),
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
            "41: warning: hosts[5].networkConfig.interfaces[0].lldp: configured after the first boot only: the kernel "
            "command line has no argument for it; put it into a MachineConfig or a NodeNetworkConfigurationPolicy as "
            "well"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: b, type: bond, link-aggregation: {mode: 802.3ad, prt: [eno1]}}]}\n",
        "41: hosts[5].networkConfig.interfaces[0].link-aggregation.prt: unknown key; did you mean port?",
    ),
    (
        "    networkConfig: {interfaces: [{name: b, type: bond, link-aggregation: {mode: 802.3ad}}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].link-aggregation.port: is missing; for example "
            "`port: [eno1, eno2]`"
        ),
    ),
    (
        routed("destination: '::/0', next-hop-address: 192.0.2.1"),
        (
            "42: hosts[5].networkConfig.routes.config[0].next-hop-address: 192.0.2.1 is not IPv6, as ::/0 is; write an "
            "IPv6 address"
        ),
    ),
    (
        routed("destination: 198.51.100.0/24, next-hop-address: 'fe80::1'"),
        f"42: warning: hosts[5].networkConfig.routes.config[0].next-hop-address: {NO_ARGUMENT}",
    ),
    (
        "    networkConfig: {interfaces: [{name: br1, type: linux-bridge}]}\n",
        (
            "41: hosts[5].networkConfig.interfaces[0].bridge.port: is missing; a bridge needs its ports there, for "
            "example `port: [{name: eno1}]`"
        ),
    ),
    (
        "    networkConfig: {interfaces: [{name: provisioning network card, ipv4: {dhcp: true}}]}\n",
        (
            '41: hosts[5].networkConfig.interfaces[0].name: "provisioning network card" is not a name that Linux '
            "allows, and no MAC address stands for it; use a name of at most 15 letters, digits and . _ @ -, or write "
            "the interface into hosts[].interfaces"
        ),
    ),
    (
        edited(("192.0.2.1}", "192.0.2.1, vrf-name: red}"), text=STATIC),
        (
            "49: warning: hosts[5].networkConfig.routes.config[0].vrf-name: configured after the first boot only: the "
            "kernel command line has no argument for it; put it into a MachineConfig or a "
            "NodeNetworkConfigurationPolicy as well"
        ),
    ),
    (
        edited(("destination: 0.0.0.0/0, ", ""), text=STATIC),
        (
            "49: hosts[5].networkConfig.routes.config[0].destination: is missing; for example "
            "`destination: 192.0.2.0/24`"
        ),
    ),
    (
        edited((", next-hop-address: 192.0.2.1", ""), text=STATIC),
        (
            "49: hosts[5].networkConfig.routes.config[0].next-hop-address: is missing; for example "
            "`next-hop-address: 192.0.2.1`"
        ),
    ),
    (
        f"{STATIC}      dns-resolver: {{config: {{server: ['fe80::53%eno1']}}}}\n",
        (
            "50: warning: hosts[5].networkConfig.dns-resolver.config.server[0]: a DNS server on one interface, "
            "fe80::53%eno1, is configured after the first boot only: nm-initrd-generator refuses it; put it into a "
            "MachineConfig or a NodeNetworkConfigurationPolicy as well"
        ),
    ),
    (
        (
            "    networkConfig: {interfaces: [{name: b, type: bond, link-aggregation: {mode: 1, port: [eno1], "
            "options: {arp_interval: 100, arp_ip_target: '192.0.2.1,192.0.2.2'}}}]}\n"
        ),
        (
            "41: warning: hosts[5].networkConfig.interfaces[0].link-aggregation.options.arp_ip_target: the installer "
            "uses only 192.0.2.1; the others are configured after the first boot only; put it into a MachineConfig or "
            "a NodeNetworkConfigurationPolicy as well"
        ),
    ),
]


@pytest.mark.parametrize(("config", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line(tmp_path: Path, config: str, expected: str) -> None:
    assert expected in told(tmp_path, with_network(config))


OVS = """\
    networkConfig:
      interfaces:
        - {name: eno1, type: ethernet, state: up, ipv4: {enabled: false}}
        - name: br-ex
          type: ovs-bridge
          bridge: {options: {mcast-snooping-enable: true}, port: [{name: eno1}, {name: br-ex, vlan: {tag: 4}}]}
        - {name: br-ex, type: ovs-interface, ipv4: {address: [{ip: 192.0.2.32, prefix-length: 24}]}}
"""


def test_open_vswitch_is_left_to_the_installed_system(tmp_path: Path) -> None:
    assert arguments(tmp_path, OVS) == []


HARMLESS = """\
    networkConfig:
      interfaces:
        - name: eno1
          type: ethernet
          description: the port of rack 4
          profile-name: lan
          lldp: {enabled: false}
          accept-all-mac-addresses: false
          wait-ip: any
          max-mtu: 9702
          ipv4: {enabled: true, dhcp: true, auto-dns: true, auto-gateway: true, auto-routes: true,
                 auto-route-table-id: 0, dhcp-send-hostname: true}
          ipv6: {enabled: false, addr-gen-mode: eui64}
        - {name: eno1.40, type: vlan, vlan: {base-iface: eno1, id: 40, protocol: 802.1q, reorder-headers: true}}
        - {name: eno2, type: ethernet, state: absent}
      routes: {config: [{state: absent, next-hop-interface: eno2}]}
      dns-resolver: {running: {server: [192.0.2.9]}, config: {}}
"""


def test_key_with_the_value_that_holds_anyway_causes_no_warning(tmp_path: Path) -> None:
    assert told(tmp_path, with_network(HARMLESS)) == []


@pytest.mark.parametrize(
    "change",
    [
        ("lldp: {enabled: false}", "lldp: {enabled: true}"),
        ("auto-gateway: true", "auto-gateway: false"),
        ("auto-route-table-id: 0", "auto-route-table-id: 500"),
        ("protocol: 802.1q", "protocol: 802.1ad"),
        ("wait-ip: any", "ethtool: {feature: {rx-gro: false}}"),
        ("enabled: true, dhcp", "dhcp-client-id: ll, dhcp"),
        ("addr-gen-mode: eui64", "dhcp-duid: ll"),
    ],
    ids=str,
)
def test_key_without_an_argument_is_said_to_wait_for_the_first_boot(tmp_path: Path, change: tuple[str, str]) -> None:
    (problem,) = told(tmp_path, with_network(edited(change, text=HARMLESS)))

    assert ": warning: " in problem
    assert "after the first boot only" in problem


def test_dns_servers_of_dhcp_are_refused_where_all_interfaces_do(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true, auto-dns: false}}]}\n"

    assert arguments(tmp_path, config) == ["ip=eno1:dhcp", "nameserver=192.0.2.5", "rd.peerdns=0"]


def test_one_interface_of_several_cannot_refuse_the_dns_servers_of_dhcp(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true, auto-dns: false}}, "
        "{name: eno2, ipv4: {dhcp: true}}]}\n"
    )

    (problem,) = told(tmp_path, with_network(config))

    assert "auto-dns: false is configured after the first boot only" in problem


def test_virtual_interface_gets_the_mac_address_that_is_written(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: bond0, type: bond, mac-address: '52:54:00:00:00:32', "
        "link-aggregation: {mode: lacp, slaves: [eno1]}, ipv4: {dhcp: true}}]}\n"
    )

    assert arguments(tmp_path, config) == ["ip=bond0:dhcp::52:54:00:00:00:32", "bond=bond0:eno1:mode=802.3ad"]


def test_mac_address_of_the_host_names_its_card(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: eno1, mac-address: '52:54:00:00:00:32', ipv4: {dhcp: true}}]}\n"

    assert arguments(tmp_path, config) == ["ip=52-54-00-00-00-32:dhcp"]


def test_base_of_a_vlan_gets_its_mtu(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: eno1, mtu: 9000}, "
        "{name: eno1.40, type: vlan, mtu: 9000, vlan: {base-iface: eno1, id: 40}, ipv4: {dhcp: true}}]}\n"
    )

    assert arguments(tmp_path, config)[:2] == ["ip=eno1:none:9000", "ip=eno1.40:dhcp:9000"]


def test_gateway_outside_the_network_is_told_like_any_other(tmp_path: Path) -> None:
    config = edited(("next-hop-address: 192.0.2.1", "next-hop-address: 198.51.100.1"), text=STATIC)

    assert arguments(tmp_path, config)[0].startswith("ip=192.0.2.32::198.51.100.1:255.255.255.0:")


def test_network_of_two_addresses_has_its_mask(tmp_path: Path) -> None:
    config = edited(("prefix-length: 24", "prefix-length: 31"), text=STATIC)

    assert arguments(tmp_path, config)[0].startswith("ip=192.0.2.32::192.0.2.1:255.255.255.254:")


def test_default_route_stands_with_the_interface_that_leads_to_its_router(tmp_path: Path) -> None:
    second = "          ipv4: {address: [{ip: 198.51.100.9, prefix-length: 24}]}\n        - name: eno2\n"
    config = edited(("          ipv4:\n", f"{second}          ipv4:\n"), text=STATIC)

    first, second = arguments(tmp_path, config)[:2]

    assert (first.split(":")[2], second.split(":")[2]) == ("", "192.0.2.1")


@pytest.mark.parametrize(("release", "expected"), [("4.7.1", "ifname=uplink:52:54:00:10:00:99"), ("4.8.1", "")])
def test_initramfs_that_reads_no_mac_addresses_gets_names(tmp_path: Path, release: str, expected: str) -> None:
    config = "    networkConfig: {interfaces: [{name: uplink, ipv4: {dhcp: true}}]}\n"

    found = arguments_of_named_cards(tmp_path, config, release)

    assert next((each for each in found if each.startswith("ifname=")), "") == expected


def test_name_that_an_older_rhcos_forgets_is_a_warning(tmp_path: Path) -> None:
    config = (
        "    networkConfig: {interfaces: [{name: lan, identifier: mac-address, mac-address: '52:54:00:10:00:98'}, "
        "{name: lan.4, type: vlan, vlan: {base-iface: lan, id: 4}, ipv4: {dhcp: true}}]}\n"
    )
    text = with_network(config).replace("release: 4.16.3", "release: 4.12.3")

    assert any("lan must be the kernel's name" in problem for problem in told(tmp_path, text))


def with_vlan(*changes: tuple[str, str]) -> str:
    """Return CLEAN with a worker w2 and *changes*; its network is VLAN 40."""
    return edited(
        ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n      vlan: 40\n"), text=with_host(*changes)
    )


def test_host_of_a_tagged_network_sets_up_the_vlan_on_the_card_that_it_boots_from(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, with_vlan()).clusters

    assert cluster.hosts[-1].network_arguments == (
        "ifname=nic0:52:54:00:00:00:32",
        "ip=nic0.40:dhcp",
        "vlan=nic0.40:nic0",
    )


def test_card_of_a_tagged_network_keeps_its_name(tmp_path: Path) -> None:
    named = "    interfaces: [{name: ens192, macAddress: '52:54:00:00:00:32'}]\n"
    (cluster,) = check_text(tmp_path, with_vlan(("    macAddress: 52:54:00:00:00:32\n", named))).clusters

    assert cluster.hosts[-1].network_arguments[1:] == ("ip=ens192.40:dhcp", "vlan=ens192.40:ens192")


def test_network_config_without_the_vlan_of_the_network_is_a_warning(tmp_path: Path) -> None:
    config = "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}}]}\n"

    (problem,) = told(tmp_path, with_vlan(("    address:", f"{config}    address:")))

    assert problem.endswith(
        "has no interface for VLAN 40, which is the host's network; add one of type vlan with `id: 40`"
    )


def test_name_below_a_vlan_that_an_older_rhcos_forgets_is_a_warning(tmp_path: Path) -> None:
    problems = told(tmp_path, with_vlan().replace("release: 4.16.3", "release: 4.12.3"))

    assert sum("RHCOS before 4.14 forgets the name of the card below it" in problem for problem in problems) == 6


def test_agent_configures_everything_that_nmstate_can_say(tmp_path: Path) -> None:
    later = edited(("lldp: {enabled: false}", "lldp: {enabled: true}"), text=HARMLESS)
    bridge = "        - {name: br-ex, type: ovs-bridge}\n      routes:"
    text = with_network(edited(("      routes:", bridge), text=later)).replace("release:", "boot: agent\nrelease:")

    assert [problem for problem in told(tmp_path, text) if "networkConfig" in problem] == []


def test_agent_in_a_tagged_network_is_a_warning(tmp_path: Path) -> None:
    problems = told(tmp_path, with_vlan().replace("release:", "boot: agent\nrelease:"))

    assert any("the network is VLAN 40, of which the initramfs of an agent is not told" in each for each in problems)


def test_agent_that_is_told_of_its_vlan_is_no_warning(tmp_path: Path) -> None:
    arguments = "    kernelArguments: ['ifname=eno1:52:54:00:00:00:32', 'vlan=eno1.40:eno1', 'ip=eno1.40:dhcp']\n"
    text = with_vlan(("    address:", f"{arguments}    address:")).replace("release:", "boot: agent\nrelease:")

    assert not any("hosts[5]" in problem for problem in told(tmp_path, text))


def test_ipv4_route_through_an_ipv6_router_has_no_argument(tmp_path: Path) -> None:
    route = routed("destination: 198.51.100.0/24, next-hop-address: 'fe80::1', next-hop-interface: eno1")

    assert arguments(tmp_path, route) == ["ip=eno1:dhcp"]


def test_card_with_another_mac_address_in_each_place_is_a_warning(tmp_path: Path) -> None:
    own = "    interfaces: [{name: eno1, macAddress: '52:54:00:00:00:32'}]\n"
    card = "{name: eno1, identifier: mac-address, mac-address: '52:54:00:00:00:99', ipv4: {dhcp: true}}"
    config = f"    networkConfig: {{interfaces: [{card}]}}\n"
    text = with_host(("    macAddress: 52:54:00:00:00:32\n", own + config))

    assert told(tmp_path, text) == [
        (
            "41: warning: hosts[5].networkConfig.interfaces[0].mac-address: 52:54:00:00:00:99 is called eno1 here, and "
            "52:54:00:00:00:32 in hosts[].interfaces; write the same address in both"
        )
    ]
    assert told(tmp_path, text.replace(":99", ":32")) == []
