"""DHCP messages of simulated machines, checked by scapy."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from appliance.model import MacAddress
from appliance.simulate import dhcp
from appliance.simulate.dhcp import Message, ReplyError, Speaker, parse_reply, request
from appliance.simulate.frames import broadcast_frame, checksum, datagram_to

MAC = MacAddress.parse("00:50:56:96:37:c8")
SERVER = "192.0.2.101"


def options_of(message: bytes) -> dict[str | int, object]:
    return {option[0]: option[1:] for option in BOOTP(message)[DHCP].options if isinstance(option, tuple)}


def reply(*options: object, file: bytes = b"", sname: bytes = b"", **fields: object) -> bytes:
    header = BOOTP(op=2, xid=7, chaddr=MAC.octets, file=file, sname=sname, **fields)
    return bytes(header / DHCP(options=[("message-type", "offer"), *options, "end"]))


def test_uefi_firmware_says_what_it_is() -> None:
    options = options_of(request(Message.DISCOVER, dhcp.firmware(7, MAC), MAC, 7))
    assert options["message-type"] == (1,)
    assert options["vendor_class_id"] == (b"PXEClient:Arch:00007:UNDI:003000",)
    assert options["pxe_client_architecture"] == (b"\0\x07",)


def test_http_firmware_calls_itself_an_http_client() -> None:
    options = options_of(request(Message.DISCOVER, dhcp.firmware(16, MAC), MAC, 7))
    assert options["vendor_class_id"] == (b"HTTPClient:Arch:00016:UNDI:003000",)


def test_bios_firmware_wants_its_replies_broadcast() -> None:
    assert BOOTP(request(Message.DISCOVER, dhcp.firmware(0, MAC), MAC, 7)).flags == "B"


def test_ipxe_sends_its_user_class_raw() -> None:
    options = options_of(request(Message.DISCOVER, dhcp.ipxe(7, MAC), MAC, 7))
    assert options["user_class"] == (b"iPXE",)


def test_a_system_says_nothing_of_network_boot() -> None:
    options = options_of(request(Message.DISCOVER, dhcp.system(MAC), MAC, 7))
    assert {"vendor_class_id", "pxe_client_architecture", "user_class"}.isdisjoint(options)


@pytest.mark.parametrize("speaker", [dhcp.firmware(7, MAC), dhcp.ipxe(0, MAC), dhcp.system(MAC)], ids=lambda s: s.name)
def test_a_relayed_message_carries_giaddr_and_option_82_last(speaker: Speaker) -> None:
    message = BOOTP(request(Message.DISCOVER, speaker, MAC, 7, giaddr=IPv4Address("192.0.2.254")))
    assert (message.giaddr, message.hops) == ("192.0.2.254", 1)
    named = [option for option in message[DHCP].options if isinstance(option, tuple)]
    assert named[-1] == ("relay_agent_information", dhcp.RELAY_CIRCUIT)


def test_a_reply_is_read_as_scapy_wrote_it() -> None:
    got = parse_reply(
        reply(("server_id", SERVER), ("router", "192.0.2.254"), yiaddr="192.0.2.21", siaddr=SERVER, file=b"a.efi")
    )
    assert (got.message, got.xid, got.chaddr) == (Message.OFFER, 7, MAC.octets)
    assert (got.yiaddr, got.server, got.boot_server) == (IPv4Address("192.0.2.21"), *[IPv4Address(SERVER)] * 2)
    assert got.boot_file == "a.efi"


def test_option_67_takes_precedence_over_the_file_field() -> None:
    assert parse_reply(reply(("boot-file-name", b"b.efi"), file=b"a.efi")).boot_file == "b.efi"


def test_an_option_in_two_parts_is_one() -> None:
    assert parse_reply(reply(("boot-file-name", b"http://"), ("boot-file-name", b"x"))).boot_file == "http://x"


def test_options_go_on_in_file_and_then_in_sname() -> None:
    got = parse_reply(reply(("dhcp-option-overload", 3), file=b"\x43\x02b.\xff", sname=b"\x43\x03efi\xff"))
    assert got.boot_file == "b.efi"


def test_an_option_past_the_end_is_refused() -> None:
    with pytest.raises(ReplyError, match="option 67 runs past the end"):
        parse_reply(reply()[: dhcp.HEADER.size] + b"\x35\x01\x02\x43\x20abc")


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_but_a_reply_error(datagram: bytes) -> None:
    try:
        parse_reply(datagram)
    except ReplyError:
        return


@given(st.binary(max_size=300))
def test_no_option_bytes_raise_anything_but_a_reply_error(options: bytes) -> None:
    try:
        parse_reply(reply()[: dhcp.HEADER.size] + options)
    except ReplyError:
        return


@given(st.binary(min_size=1, max_size=600))
def test_a_broadcast_frame_is_scapys(payload: bytes) -> None:
    ours = broadcast_frame(MAC.octets, payload, 68, 67)
    scapys = (
        Ether(src=str(MAC), dst="ff:ff:ff:ff:ff:ff", type=0x800)
        / IP(src="0.0.0.0", dst="255.255.255.255", id=0)
        / UDP(sport=68, dport=67)
        / payload
    )
    assert ours == bytes(scapys)


@given(st.binary(min_size=1, max_size=600))
def test_a_frame_of_scapys_brings_its_payload(payload: bytes) -> None:
    frame = Ether(dst=str(MAC)) / IP(src=SERVER, dst="192.0.2.21") / UDP(sport=67, dport=68) / payload
    assert datagram_to(MAC.octets, 68, bytes(frame), checks_udp=True) == payload


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (Ether(dst="02:00:00:00:00:01") / IP(dst="192.0.2.21") / UDP(dport=68) / b"x", "another machine's"),
        (Ether(dst=str(MAC)) / IP(dst="192.0.2.21") / UDP(dport=69) / b"x", "another port's"),
        (Ether(dst=str(MAC)) / IP(dst="192.0.2.21", chksum=1) / UDP(dport=68) / b"x", "wrong IP checksum"),
        (Ether(dst=str(MAC)) / IP(dst="192.0.2.21") / UDP(dport=68, chksum=1) / b"x", "wrong UDP checksum"),
        (Ether(dst=str(MAC)) / IP(dst="192.0.2.21", frag=5) / UDP(dport=68) / b"x", "a fragment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_frame_that_a_card_or_a_stack_drops_brings_nothing(frame: Ether, fault: str) -> None:
    assert datagram_to(MAC.octets, 68, bytes(frame), checks_udp=True) is None


@given(st.binary(max_size=200))
def test_no_frame_raises(frame: bytes) -> None:
    datagram_to(MAC.octets, 68, MAC.octets + frame, checks_udp=True)


def test_the_checksum_of_a_message_with_its_own_is_zero() -> None:
    # The example of RFC 1071 section 3: words 0001 f203 f4f5 f6f7 add up to ddf2.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
