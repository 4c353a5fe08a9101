"""The simulated DHCPv6 client: its messages as scapy reads them, and what it makes of replies."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Advertise,
    DHCP6_Solicit,
    DHCP6OptBootFileUrl,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
    dhcp6_cls_by_type,
)

from appliance.model import MacAddress
from appliance.simulate import dhcp6
from appliance.simulate.dhcp6 import Message, Reply6Error, Speaker6, parse_reply, request

MAC = MacAddress.parse("52:54:00:00:00:21")
SPEAKERS = [dhcp6.firmware(7, MAC), dhcp6.firmware(16, MAC), dhcp6.ipxe(11, MAC), dhcp6.system(MAC)]
ADDRESS = "2001:db8::21"


def advertise(*options: object) -> bytes:
    message = DHCP6_Advertise(trid=0x123456)
    for option in options:
        message /= option
    return bytes(message)


def association(**lifetimes: int) -> DHCP6OptIA_NA:
    return DHCP6OptIA_NA(iaid=1, ianaopts=[DHCP6OptIAAddress(addr=ADDRESS, **lifetimes)])


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.name)
@pytest.mark.parametrize("kind", [Message.SOLICIT, Message.REQUEST])
def test_scapy_encodes_our_messages_in_the_same_bytes(speaker: Speaker6, kind: Message) -> None:
    advertised = parse_reply(
        advertise(DHCP6OptServerId(duid=DUID_LL(lladdr=str(MAC))), association(preflft=10, validlft=20))
    )
    sent = request(
        kind, speaker, MAC, 0x123456, elapsed=1.5, advertised=advertised if kind is Message.REQUEST else None
    )
    parsed = {1: DHCP6_Solicit, 3: dhcp6_cls_by_type_of(3)}[kind](sent)
    assert bytes(parsed) == sent
    parsed.show2(dump=True)
    assert not parsed.haslayer("Raw")


def dhcp6_cls_by_type_of(kind: int) -> type:
    from scapy.layers import dhcp6 as layers

    found: type = getattr(layers, dhcp6_cls_by_type[kind])
    return found


def test_address_boot_file_and_dns_are_read() -> None:
    reply = parse_reply(
        advertise(
            association(preflft=10, validlft=20),
            DHCP6OptBootFileUrl(optdata=b"tftp://[2001:db8::1]/efi/ipxe.efi"),
            DHCP6OptDNSServers(dnsservers=["2001:db8::1", "2001:db8::2"]),
        )
    )
    assert reply.given == (dhcp6.Given(IPv6Address(ADDRESS), 10, 20),)
    assert reply.boot_url == "tftp://[2001:db8::1]/efi/ipxe.efi"
    assert reply.dns == (IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"))


def test_refusal_in_an_association_is_read() -> None:
    refused = DHCP6OptIA_NA(iaid=1, ianaopts=[DHCP6OptStatusCode(statuscode=2, statusmsg="none left")])
    assert parse_reply(advertise(DHCP6OptClientId(duid=DUID_LL(lladdr=str(MAC))), refused)).status == (
        "NoAddrsAvail none left"
    )


@pytest.mark.parametrize(
    ("datagram", "why"), [(b"\x02\x00", "too few"), (b"\x02\0\0\1\0\1\0\5ab", "option 1 runs past")]
)
def test_what_is_no_reply_is_told_so(datagram: bytes, why: str) -> None:
    with pytest.raises(Reply6Error, match=why):
        parse_reply(datagram)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_a_reason(noise: bytes) -> None:
    try:
        reply = parse_reply(b"\x02\0\0\1" + noise)
    except Reply6Error:
        return
    assert reply.xid == 1
