"""networkConfig as agent-config.yaml files have it: nm-initrd-generator sets up what each says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance import config as loading
from appliance.model import Host
from appliance.share import share
from tests.config_files import check_text, edited, with_host
from tests.golden.test_ipxe import BOND, STATIC
from tests.initrd_generator import judged
from tests.nmstate_meaning import differences

TYPICAL = {
    "both families by DHCP": """
      interfaces:
        - name: eno1
          type: ethernet
          state: up
          ipv4: {enabled: true, dhcp: true, auto-dns: true, auto-gateway: true, auto-routes: true}
          ipv6: {enabled: true, dhcp: true, autoconf: true, auto-dns: true}
""",
    "both families static": """
      interfaces:
        - name: eno1
          type: ethernet
          state: up
          mac-address: 52:54:00:00:00:32
          ipv4: {enabled: true, address: [{ip: 192.0.2.32, prefix-length: 24}], dhcp: false}
          ipv6: {enabled: true, address: [{ip: '2001:db8:5::32', prefix-length: 64}], dhcp: false, autoconf: false}
      dns-resolver: {config: {server: [192.0.2.5, '2001:db8:5::5']}}
      routes:
        config:
          - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: eno1, table-id: 254}
          - {destination: '::/0', next-hop-address: '2001:db8:5::1', next-hop-interface: eno1, table-id: 254}
""",
    "tagged VLAN on a bond": """
      interfaces:
        - {name: eno1, type: ethernet, state: up, mtu: 9000}
        - {name: eno2, type: ethernet, state: up, mtu: 9000}
        - name: bond0
          type: bond
          state: up
          mtu: 9000
          ipv4: {enabled: false}
          ipv6: {enabled: false}
          link-aggregation:
            mode: 802.3ad
            port: [eno1, eno2]
            options: {miimon: "150", lacp_rate: fast, xmit_hash_policy: layer3+4}
        - name: bond0.122
          type: vlan
          state: up
          mtu: 9000
          vlan: {base-iface: bond0, id: 122}
          ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.32, prefix-length: 24}]}
          ipv6: {enabled: false}
      routes:
        config:
          - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: bond0.122}
          - {destination: 198.51.100.0/24, next-hop-address: 192.0.2.2, next-hop-interface: bond0.122}
""",
    "active-backup with a primary": """
      interfaces:
        - name: bond0
          type: bond
          state: up
          ipv4: {enabled: true, dhcp: true}
          link-aggregation:
            mode: active-backup
            port: [lan1, lan2]
            options: {primary: lan1, miimon: "100"}
""",
    "VLAN with a name of its own": """
      interfaces:
        - {name: lan1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}}
        - name: storage
          type: vlan
          state: up
          vlan: {base-iface: lan1, id: 40}
          ipv4: {enabled: true, address: [{ip: 198.51.100.32, prefix-length: 24}]}
""",
    "bridge": """
      interfaces:
        - {name: lan1, type: ethernet, state: up}
        - name: br1
          type: linux-bridge
          state: up
          ipv4: {enabled: true, dhcp: true}
          bridge: {port: [{name: lan1}]}
""",
    "gateway outside the network": """
      interfaces:
        - {name: lan1, ipv4: {enabled: true, address: [{ip: 192.0.2.32, prefix-length: 32}]}}
      routes:
        config:
          - {destination: 203.0.113.1/32, next-hop-interface: lan1}
          - {destination: 0.0.0.0/0, next-hop-address: 203.0.113.1, next-hop-interface: lan1}
""",
    "network of two addresses": """
      interfaces:
        - {name: lan1, ipv4: {enabled: true, address: [{ip: 192.0.2.32, prefix-length: 31}]}}
      routes: {config: [{destination: 0.0.0.0/0, next-hop-address: 192.0.2.33, next-hop-interface: lan1}]}
""",
    "two cards with addresses": """
      interfaces:
        - {name: eno1, ipv4: {enabled: true, address: [{ip: 192.0.2.32, prefix-length: 24}]}}
        - {name: eno2, mtu: 9000, ipv4: {enabled: true, address: [{ip: 198.51.100.23, prefix-length: 24}]}}
      routes:
        config:
          - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1}
          - {destination: 203.0.113.0/24, next-hop-address: 198.51.100.1, next-hop-interface: eno2}
""",
}
NAMED = {"lan1": "52:54:00:00:00:32", "lan2": "52:54:00:00:01:32"}
INTERFACES = (
    "    interfaces: [{name: lan1, macAddress: '52:54:00:00:00:32'}, {name: lan2, macAddress: '52:54:00:00:01:32'}]\n"
)


@pytest.mark.parametrize("text", TYPICAL.values(), ids=TYPICAL)
def test_initramfs_sets_up_what_the_file_says(tmp_path: Path, text: str) -> None:
    is_named = "lan1" in text
    macs = NAMED if is_named else {"eno1": "52:54:00:00:00:32"} if "mac-address" in text else {}
    change = ("    macAddress: 52:54:00:00:00:32\n", INTERFACES if is_named else "    macAddress: 52:54:00:00:00:32\n")
    (cluster,) = check_text(
        tmp_path, with_host(change, ("    address:", f"    networkConfig:{text}    address:"))
    ).clusters
    (read,) = [yaml.load(text, yaml.BaseLoader)]

    assert differences(read, cluster.hosts[-1].network_arguments, macs) == []


def test_initramfs_has_dhcp_on_the_vlan_of_a_tagged_network_alone(tmp_path: Path) -> None:
    text = edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n      vlan: 40\n"), text=with_host())
    (cluster,) = check_text(tmp_path, text).clusters
    read = judged(cluster.hosts[-1].network_arguments)

    assert read.complaints == ()
    assert {name: (each.ipv4, each.vlan) for name, each in read.connections.items()} == {
        "nic0": ("disabled", ("", "")),
        "nic0.40": ("auto", ("nic0", "40")),
    }


def hosts_of_examples() -> Iterator[tuple[str, Host, dict[str, Any]]]:
    """Yield the hosts of the examples that have a networkConfig, each with its name and its entry."""
    for path in sorted(share("data").glob("*/cluster.yaml")):
        (cluster,) = loading.load([path])
        entries = yaml.load(path.read_text(), yaml.BaseLoader)["hosts"]
        for host, entry in zip(cluster.hosts, entries, strict=True):
            if host.network_arguments:
                yield f"{path.parent.name} {host.short_name}", host, entry


@pytest.mark.parametrize(
    ("host", "entry"), [pytest.param(host, entry, id=name) for name, host, entry in hosts_of_examples()]
)
def test_initramfs_sets_up_what_an_example_says(host: Host, entry: dict[str, Any]) -> None:
    macs = {each["name"]: each["macAddress"] for each in entry.get("interfaces", [])}

    assert differences(entry["networkConfig"], host.network_arguments, macs) == []


@pytest.mark.parametrize("arguments", [STATIC, BOND, ("ip=dhcp", "rd.neednet=1", "BOOTIF=01-00-50-56-96-6b-da")])
def test_initramfs_has_an_address_by_the_arguments_of_the_golden_scripts(arguments: tuple[str, ...]) -> None:
    read = judged(arguments)

    assert read.complaints == ()
    assert any(each.ipv4 in {"auto", "manual"} for each in read.connections.values())
