"""Frames equal those of scapy."""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from appliance.dhcp.frame import checksum, ethernet_frame

MAC, OURS = bytes.fromhex("0050569611c2"), bytes.fromhex("525400000001")


def frames(payload: bytes) -> tuple[bytes, bytes]:
    """Return the frame under test, and the same frame built by scapy."""
    ours = ethernet_frame(
        payload,
        source_mac=OURS,
        mac=MAC,
        source=bytes((172, 16, 0, 101)),
        address=bytes((172, 16, 0, 11)),
        source_port=67,
        port=68,
    )
    scapys = (
        Ether(dst=MAC.hex(":"), src=OURS.hex(":"))
        / IP(src="172.16.0.101", dst="172.16.0.11", id=0, ttl=64)
        / UDP(sport=67, dport=68)
        / payload
    )
    return ours, bytes(scapys)


def test_frame_of_even_length_equals_scapys() -> None:
    ours, scapys = frames(bytes(range(256)) + bytes(44))
    assert ours == scapys


def test_frame_of_odd_length_equals_scapys() -> None:
    ours, scapys = frames(b"\xff" * 301)
    assert ours == scapys


def test_udp_checksum_that_comes_out_zero_is_sent_as_ones() -> None:
    """Zero would mean that there is no checksum (RFC 768)."""
    base, _ = frames(b"\0\0")
    spoilt = int.from_bytes(base[40:42], "big")
    ours, scapys = frames(spoilt.to_bytes(2, "big"))
    assert ours[40:42] == b"\xff\xff"
    assert ours == scapys


def test_checksum_of_rfc_1071s_example() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
