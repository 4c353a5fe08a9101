"""Router solicitations and advertisements as bytes: scapy reads ours, and malformed ones are refused."""

from ipaddress import IPv6Address, IPv6Network

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptDNSSL,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
)

from appliance.ra import message
from appliance.ra.message import MANAGED, OTHER

ROUTER = IPv6Address("fe80::1").packed
NOBODY = bytes(16)
SOLICIT = bytes((133, 0, 0, 0, 0, 0, 0, 0))
WHOLE = message.advertisement(
    MANAGED | OTHER,
    [
        message.source_option(bytes.fromhex("525400000005")),
        message.prefix_option(IPv6Network("2001:db8::/64")),
        message.mtu_option(1400),
        message.dns_option([IPv6Address("2001:db8::5"), IPv6Address("2001:db8::6")]),
        message.search_option(["ocp45.example.com", "example.com"]),
    ],
)


def test_advertisement_is_of_a_machine_that_is_no_router() -> None:
    assert ICMPv6ND_RA(WHOLE).routerlifetime == 0


def test_advertisement_sends_hosts_to_dhcpv6() -> None:
    assert (ICMPv6ND_RA(WHOLE).M, ICMPv6ND_RA(WHOLE).O) == (1, 1)


def test_prefix_is_on_the_link_and_makes_no_address() -> None:
    prefix = ICMPv6ND_RA(WHOLE)[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == ("2001:db8::", 64, 1, 0)


def test_other_options_are_as_they_were_given() -> None:
    read = ICMPv6ND_RA(WHOLE)
    assert read[ICMPv6NDOptSrcLLAddr].lladdr == "52:54:00:00:00:05"
    assert read[ICMPv6NDOptMTU].mtu == 1400
    assert read[ICMPv6NDOptRDNSS].dns == ["2001:db8::5", "2001:db8::6"]
    assert read[ICMPv6NDOptDNSSL].searchlist == ["ocp45.example.com.", "example.com."]


@pytest.mark.parametrize(
    ("datagram", "source", "expected"),
    [
        (SOLICIT, ROUTER, True),
        (SOLICIT, NOBODY, True),
        (SOLICIT + message.source_option(bytes(6)), ROUTER, True),
        (SOLICIT + message.source_option(bytes(6)), NOBODY, False),  # RFC 4861 section 6.1.1
        (SOLICIT[:7], ROUTER, False),
        (b"\x85\1" + SOLICIT[2:], ROUTER, False),
        (b"\x86" + SOLICIT[1:], ROUTER, False),
        (SOLICIT + b"\1\0" + bytes(6), ROUTER, False),  # an option without a length
        (SOLICIT + b"\1\2" + bytes(6), ROUTER, False),  # one that is cut off
        (SOLICIT + b"\1", ROUTER, False),
        (b"", ROUTER, False),
    ],
)
def test_solicitation_is_valid_as_its_rfc_says(datagram: bytes, source: bytes, expected: bool) -> None:
    assert message.is_solicitation(datagram, source) is expected


@pytest.mark.parametrize(
    ("datagram", "source", "expected"),
    [
        (WHOLE, ROUTER, MANAGED | OTHER),
        (message.advertisement(0, []), ROUTER, 0),
        (WHOLE, IPv6Address("2001:db8::1").packed, None),  # not a router's link-local address
        (WHOLE, NOBODY, None),
        (WHOLE[:15], ROUTER, None),
        (WHOLE[:1] + b"\1" + WHOLE[2:], ROUTER, None),
        (WHOLE[:-8], ROUTER, None),
        (SOLICIT + bytes(8), ROUTER, None),
        (b"", ROUTER, None),
    ],
)
def test_flags_are_read_from_a_valid_advertisement_only(datagram: bytes, source: bytes, expected: int | None) -> None:
    assert message.flags_of(datagram, source) == expected
