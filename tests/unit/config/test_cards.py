"""Hosts with several network cards: which of them boots, and which has an address of its own."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.boot import grub
from appliance.boot.chains import boot_file
from appliance.boot.ipxe import install_script
from appliance.dhcp.clients import identify
from appliance.dhcp.compile import compile_dhcp
from appliance.dns.holdings import forward_records, node_pointers
from appliance.model import Cluster, MacAddress
from appliance.web.compile import compile_web
from tests.config_files import CLEAN, check_text, told

A, B = "52:54:00:00:00:21", "52:54:00:00:01:21"
BOOT_NETWORK = "    - cidr: 198.51.100.0/24\n      serverAddress: 198.51.100.5\n"
FIRMWARE = identify(b"PXEClient:Arch:00007:UNDI:003000", b"\0\7", b"", None)
IPXE = identify(b"PXEClient:Arch:00007:UNDI:003000", b"\0\7", b"iPXE", None)


def with_cards(lines: str, text: str = CLEAN) -> str:
    """Return the file with *lines* in place of the MAC address of m1, and a network for booting."""
    text = text.replace("      gateway: 192.0.2.1\n", f"      gateway: 192.0.2.1\n{BOOT_NETWORK}")
    return text.replace(f"    macAddress: {A}\n", lines)


def two(own: str = "") -> str:
    return f"    interfaces:\n      - {{macAddress: {A}{own}}}\n      - {{macAddress: {B}}}\n"


def cluster_of(tmp_path: Path, lines: str) -> Cluster:
    (cluster,) = check_text(tmp_path, with_cards(lines)).clusters
    return cluster


def boots(cluster: Cluster) -> list[str]:
    """Return the MAC addresses of m1 that get a boot file."""
    pins = compile_dhcp([cluster]).pins.values()
    return [pin.mac_text for pin in pins if pin.name.startswith("m1.") and pin.is_boot_nic]


BOOT_CARDS = {
    "first by default": (two(), [A]),
    "boot MAC address alone": (f"    bootMACAddress: {A}\n", [A]),
    "second of the interfaces": (f"{two()}    bootMACAddress: {B}\n", [B]),
    "second of the MAC addresses": (f"    macAddress: [{A}, {B}]\n    bootMACAddress: {B}\n", [B]),
    "each of them": (f"{two()}    bootMACAddress: [{B}, {A}]\n", [B, A]),
    "one beside the interfaces": (f"    interfaces: [{{macAddress: {A}}}]\n    bootMACAddress: {B}\n", [B]),
}


@pytest.mark.parametrize(("lines", "expected"), BOOT_CARDS.values(), ids=BOOT_CARDS)
def test_boot_file_goes_to_the_cards_that_may_boot(tmp_path: Path, lines: str, expected: list[str]) -> None:
    assert sorted(boots(cluster_of(tmp_path, lines))) == sorted(expected)


def test_all_cards_are_the_same_host_with_the_same_address(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, f"{two()}    bootMACAddress: [{B}, {A}]\n")
    pins = [pin for pin in compile_dhcp([cluster]).pins.values() if pin.name.startswith("m1.")]

    assert {(pin.name, pin.address_text) for pin in pins} == {("m1.prod.example.com", "192.0.2.21")}


def test_installer_uses_the_card_that_ipxe_booted_from(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, f"{two()}    bootMACAddress: [{B}, {A}]\n")

    assert " BOOTIF=01-${netX/mac:hexhyp} " in install_script(cluster, cluster.hosts[1])


def test_installer_uses_the_one_card_that_boots(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, f"{two()}    bootMACAddress: {B}\n")

    assert f" BOOTIF=01-{B.replace(':', '-')} " in install_script(cluster, cluster.hosts[1])


def test_card_with_an_address_of_its_own_gets_that_in_its_own_network(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, two(", address: 198.51.100.21"))
    pins = compile_dhcp([cluster]).pins
    boot, node = pins[MacAddress.parse(A).octets], pins[MacAddress.parse(B).octets]

    assert (boot.address_text, boot.segment.server_text) == ("198.51.100.21", "198.51.100.5")
    assert (node.address_text, node.segment.server_text) == ("192.0.2.21", "192.0.2.5")


def test_machine_boots_from_the_appliance_s_address_in_its_boot_network(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, two(", address: 198.51.100.21"))
    pin = compile_dhcp([cluster]).pins[MacAddress.parse(A).octets]

    assert boot_file(pin.chain(IPXE, starts_disk=False)) == "http://198.51.100.5/pxeboot.ipxe"
    assert boot_file(pin.chain(FIRMWARE, starts_disk=False)) == "efi/ipxe.efi"


def test_script_names_the_appliance_s_address_in_the_client_s_network(tmp_path: Path) -> None:
    table = compile_web((cluster_of(tmp_path, two(", address: 198.51.100.21")),))
    near, far = (b"".join(table.hosts[IPv4Address(each)].ipxe.install) for each in ("198.51.100.21", "192.0.2.21"))

    assert (b"http://198.51.100.5/" in near, b"http://192.0.2.5/" in near) == (True, False)
    assert (b"http://192.0.2.5/" in far, b"http://198.51.100.5/" in far) == (True, False)


def test_cards_with_addresses_of_their_own_may_all_ask_by_dhcp(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, two(", address: 198.51.100.21"))

    assert "BOOTIF" not in install_script(cluster, cluster.hosts[1])
    assert "rd.neednet" not in install_script(cluster, cluster.hosts[1])


NAMES = {
    "none": ("", []),
    "its own": (", hostname: m1-boot", ["m1-boot.prod.example.com"]),
}


@pytest.mark.parametrize(("own", "names"), NAMES.values(), ids=NAMES)
def test_address_of_a_card_has_its_own_name_or_none(tmp_path: Path, own: str, names: list[str]) -> None:
    cluster = cluster_of(tmp_path, two(f", address: 198.51.100.21{own}"))
    pointer = "21.100.51.198.in-addr.arpa"

    assert [record.value for record in node_pointers(cluster) if record.name == pointer] == names
    assert [record.name for record in forward_records(cluster) if record.value == "198.51.100.21"] == names
    assert [record.value for record in forward_records(cluster) if record.name == "m1.prod.example.com"] == [
        "192.0.2.21"
    ]


def test_address_of_a_card_is_the_host_s_to_every_server(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, two(", address: 198.51.100.21"))

    assert [str(address) for address in cluster.hosts[1].addresses] == ["192.0.2.21", "198.51.100.21"]
    assert str(cluster.hosts[1].ipv4) == "192.0.2.21"


def test_host_that_boots_with_another_address_is_the_same_otherwise(tmp_path: Path) -> None:
    host = cluster_of(tmp_path, two(", address: 198.51.100.21")).hosts[1]
    moved = host.booting_with(IPv4Address("198.51.100.21"))

    assert (str(moved.address), str(moved.ipv4)) == ("198.51.100.21", "192.0.2.21")
    assert replace(moved, addresses=host.addresses) == host


FLAWS = {
    "outside": (
        two(", address: 203.0.113.21"),
        "203.0.113.21 is outside networking.machineNetwork 192.0.2.0/24 or 198.51.100.0/24",
    ),
    "taken": (two(", address: 192.0.2.22"), "192.0.2.22 is also used by m2"),
    "of the appliance": (two(", address: 198.51.100.5"), "198.51.100.5 is the appliance's address there"),
    "name without an address": (two(", hostname: m1-boot"), "needs an address of its own"),
    "name taken": (two(", address: 198.51.100.21, hostname: m2"), "m2.prod.example.com is also used by m2"),
    "name reserved": (two(", address: 198.51.100.21, hostname: api"), "api.prod.example.com is reserved"),
    "none has the host's address": (
        f"    interfaces: [{{macAddress: {A}, address: 198.51.100.21}}]\n",
        "no interface of m1 has 192.0.2.21, because each has an address of its own",
    ),
    "no card at all": ("", "is missing; for example `macAddress: 52:54:00:12:34:56`"),
    "unreadable": ("    bootMACAddress: 52:54:00\n", "has 3 bytes; a MAC address has 6"),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaw_of_a_card_is_reported(tmp_path: Path, lines: str, flaw: str) -> None:
    assert [line for line in told(tmp_path, with_cards(lines)) if flaw in line and "warning" not in line]


def test_card_twice_among_the_interfaces_is_reported(tmp_path: Path) -> None:
    lines = f"    interfaces: [{{macAddress: {A}}}, {{macAddress: {A}}}]\n    bootMACAddress: {A}\n"

    assert any("is given twice" in line for line in told(tmp_path, with_cards(lines)))


def test_grub_names_the_card_that_it_booted_from(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, f"{two()}    bootMACAddress: [{B}, {A}]\n")

    assert " BOOTIF=01-$net_default_mac " in grub.install_script(cluster, cluster.hosts[1])
