"""Control messages that send a reply from the address of the request (ip(7), RFC 3542 section 6), and groups."""

import socket
import sys
from ipaddress import IPv4Address, IPv6Address

import pytest

from appliance.sockets import IP_PKTINFO, join_group, reply_source

ETH7 = (7).to_bytes(4, sys.byteorder)
ANY_INTERFACE = bytes(4)


def test_reply_over_ipv4_leaves_from_the_address_that_was_asked_by_whichever_interface_leads_back() -> None:
    asked = IPv4Address("192.0.2.5").packed
    told = [(socket.IPPROTO_IP, IP_PKTINFO, ETH7 + asked + asked)]
    assert reply_source(told) == [(socket.IPPROTO_IP, IP_PKTINFO, ANY_INTERFACE + asked + bytes(4))]


@pytest.mark.parametrize(
    ("address", "interface"),
    [
        pytest.param("2001:db8::5", ANY_INTERFACE, id="global"),
        pytest.param("fe80::5", ETH7, id="link-local"),
    ],
)
def test_reply_over_ipv6_is_tied_to_the_interface_for_link_local_addresses_only(address: str, interface: bytes) -> None:
    asked = IPv6Address(address).packed
    told = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + ETH7)]
    assert reply_source(told) == [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + interface)]


def test_group_that_is_heard_already_is_joined_without_an_error() -> None:
    """An interface that was down, and has its addresses again, still has the groups of the sockets."""
    group, index = IPv6Address("ff02::1:2"), socket.if_nametoindex("lo")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        join_group(sock, group, index)
        join_group(sock, group, index)


def test_group_on_an_interface_that_is_not_there_is_an_error() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="No such device"):
        join_group(sock, IPv6Address("ff02::1:2"), 0x7FFFFFFF)
