"""Patched replies equal those that scapy builds, byte for byte."""

import pytest

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from tests.clusters import reference_cluster
from tests.dhcp_messages import BIOS, FIRMWARE, HTTP_BOOT, IPXE, SYSTEM, UUID, Options, ask, request, scapy_reply

LEASE: Options = (
    ("message-type", "offer"),
    ("server_id", "172.16.0.101"),
    ("lease_time", 604800),
)
FQDN = (12, b"bs.ocp45.example.localdomain")
T1, T2 = ("renewal_time", 302400), ("rebinding_time", 529200)


@pytest.fixture(scope="module")
def table() -> DhcpTable:
    return compile_dhcp((reference_cluster(),))


def test_offer_to_uefi_firmware_equals_scapys(table: DhcpTable) -> None:
    expected = scapy_reply(
        [
            *LEASE,
            ("subnet_mask", "255.255.255.0"),
            ("router", "172.16.0.254"),
            ("name_server", "172.16.0.101"),
            FQDN,
            ("domain", b"ocp45.example.localdomain"),
            ("broadcast_address", "172.16.0.255"),
            T1,
            T2,
            (66, b"172.16.0.101\0"),
            (67, b"efi/ipxe.efi\0"),
            (97, UUID),
        ],
        yiaddr="172.16.0.11",
        siaddr="172.16.0.101",
        file=b"efi/ipxe.efi",
    )
    assert ask(table, request("discover", *FIRMWARE)).payload == expected


def test_offer_to_bios_firmware_equals_scapys(table: DhcpTable) -> None:
    expected = scapy_reply(
        [
            *LEASE,
            ("subnet_mask", "255.255.255.0"),
            ("router", "172.16.0.254"),
            ("name_server", "172.16.0.101"),
            FQDN,
            (67, b"undionly.kpxe\0"),
            T1,
            T2,
            (66, b"172.16.0.101\0"),
            (97, UUID),
        ],
        yiaddr="172.16.0.11",
        siaddr="172.16.0.101",
        file=b"undionly.kpxe",
    )
    assert ask(table, request("discover", *BIOS)).payload == expected


def test_offer_to_http_boot_equals_scapys(table: DhcpTable) -> None:
    url = b"http://172.16.0.101/efi/ipxe.efi"
    expected = scapy_reply(
        [
            *LEASE,
            ("subnet_mask", "255.255.255.0"),
            ("router", "172.16.0.254"),
            ("name_server", "172.16.0.101"),
            FQDN,
            ("domain", b"ocp45.example.localdomain"),
            ("broadcast_address", "172.16.0.255"),
            (60, b"HTTPClient"),
            (67, url),
            T1,
            T2,
            (66, b"172.16.0.101"),
            (97, UUID),
        ],
        yiaddr="172.16.0.11",
        siaddr="172.16.0.101",
        file=url,
    )
    assert ask(table, request("discover", *HTTP_BOOT)).payload == expected


def test_ack_to_ipxe_behind_a_relay_equals_scapys(table: DhcpTable) -> None:
    agent = b"\x01\x04eth1\x02\x06\x00\x11\x22\x33\x44\x55"
    url = b"http://172.16.0.101/pxeboot.ipxe"
    expected = scapy_reply(
        [
            ("message-type", "ack"),
            *LEASE[1:],
            ("subnet_mask", "255.255.255.0"),
            ("router", "172.16.0.254"),
            ("name_server", "172.16.0.101"),
            FQDN,
            ("domain", b"ocp45.example.localdomain"),
            (66, b"172.16.0.101"),
            (67, url),
            (175, b"\xb0\x01\x01"),
            T1,
            T2,
            (61, b"\x01\x00\x50\x56\x96\x11\xc2"),
            (97, UUID),
            (82, agent),
        ],
        flags=0x8000,
        yiaddr="172.16.0.11",
        siaddr="172.16.0.101",
        giaddr="172.16.0.1",
        file=url,
    )
    asked = request("request", *IPXE, ("requested_addr", "172.16.0.11"), (82, agent), flags=0x8000, giaddr="172.16.0.1")
    assert ask(table, asked).payload == expected


def test_ack_to_a_renewing_system_equals_scapys(table: DhcpTable) -> None:
    expected = scapy_reply(
        [
            ("message-type", "ack"),
            *LEASE[1:],
            ("subnet_mask", "255.255.255.0"),
            ("name_server", "172.16.0.101"),
            FQDN,
            ("domain", b"ocp45.example.localdomain"),
            ("broadcast_address", "172.16.0.255"),
            ("router", "172.16.0.254"),
            T1,
            T2,
            SYSTEM[0],
        ],
        ciaddr="172.16.0.11",
        yiaddr="172.16.0.11",
        siaddr="172.16.0.101",
    )
    assert ask(table, request("request", *SYSTEM, ciaddr="172.16.0.11")).payload == expected


def test_nak_equals_scapys(table: DhcpTable) -> None:
    agent = b"\x01\x04eth1"
    expected = scapy_reply(
        [
            ("message-type", "nak"),
            ("server_id", "172.16.0.101"),
            (56, b"requested address not available"),
            SYSTEM[0],
            (82, agent),
        ],
        flags=0x8000,
        giaddr="172.16.0.1",
    )
    asked = request("request", *SYSTEM, ("requested_addr", "172.16.0.99"), (82, agent), giaddr="172.16.0.1")
    assert ask(table, asked).payload == expected


def test_proxy_offer_to_bios_firmware_equals_scapys() -> None:
    from appliance.model import DhcpMode

    proxy = compile_dhcp((reference_cluster(dhcp=DhcpMode.PROXY),))
    expected = scapy_reply(
        [
            ("message-type", "offer"),
            ("server_id", "172.16.0.101"),
            (43, b"\x06\x01\x08\xff"),
            (60, b"PXEClient"),
            (67, b"undionly.kpxe\0"),
            (66, b"172.16.0.101\0"),
            (97, UUID),
        ],
        siaddr="172.16.0.101",
        file=b"undionly.kpxe",
    )
    assert ask(proxy, request("discover", *BIOS)).payload == expected
