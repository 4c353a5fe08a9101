"""The search for other servers: what is sent, and which answers count."""

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from appliance.dhcp.probe import Offer, discover, probe_mac, read_offer
from appliance.dhcp.protocol import PROBE_ID

XID = b"\x12\x34\x56\x78"
MAC = bytes.fromhex("525400123456")


def offer(message: str = "offer", xid: int = 0x12345678, **fields: object) -> bytes:
    """Return the frame with an answer of another server."""
    options = [("message-type", message), ("server_id", "192.0.2.66"), "end"]
    return bytes(
        Ether(dst="ff:ff:ff:ff:ff:ff")
        / IP(src="192.0.2.1", dst="255.255.255.255")
        / UDP(sport=67, dport=68)
        / BOOTP(op=2, xid=xid, yiaddr="192.0.2.50", **fields)
        / DHCP(options=options)
    )


def test_question_is_a_discover_that_scapy_reads() -> None:
    packet = BOOTP(discover(XID, probe_mac(MAC)))
    options = dict(option for option in packet[DHCP].options if isinstance(option, tuple) and len(option) == 2)
    assert (packet.op, packet.xid, int(packet.flags)) == (1, 0x12345678, 0x8000)
    assert (options["message-type"], options["client_id"]) == (1, PROBE_ID)
    assert options["vendor_class_id"].startswith(b"PXEClient:Arch:00007")


def test_made_up_machine_has_a_local_address_of_its_own() -> None:
    for mac in (MAC, bytes.fromhex("005056aabbcc")):
        assert probe_mac(mac)[0] & 0b11 == 0b10
        assert probe_mac(mac) != mac


def test_offer_has_server_and_address() -> None:
    assert read_offer(offer(), XID) == Offer("192.0.2.66", "192.0.2.50")


def test_answer_to_another_question_does_not_count() -> None:
    assert read_offer(offer(xid=1), XID) is None


def test_nak_is_not_an_offer() -> None:
    assert read_offer(offer("nak"), XID) is None


def test_offer_that_is_cut_off_does_not_count() -> None:
    assert all(read_offer(offer()[:length], XID) is None for length in range(14 + 28 + 240))
