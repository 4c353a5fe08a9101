"""Addresses of peers, from the names that sockets give them."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from appliance.peers import MAX_KNOWN, peer_address


def test_ipv4_peer_has_its_address() -> None:
    assert peer_address("192.0.2.21") == IPv4Address("192.0.2.21")


@pytest.mark.parametrize("text", ["2001:db8::21", "2001:DB8:0:0:0:0:0:21"])
def test_every_spelling_of_an_ipv6_peer_is_one_address(text: str) -> None:
    assert peer_address(text) == IPv6Address("2001:db8::21")


def test_ipv4_peer_of_an_ipv6_socket_has_its_ipv4_address() -> None:
    assert peer_address("::ffff:192.0.2.21") == IPv4Address("192.0.2.21")


@pytest.mark.parametrize("text", ["", "unix:", "192.0.2", "192.0.2.021", "x" * 5000, "::1::", "\ud800"])
def test_text_that_is_not_an_address_is_none(text: str) -> None:
    assert peer_address(text) is None


def test_link_local_peer_has_its_address_without_the_interface() -> None:
    assert peer_address("fe80::21%eth0") == IPv6Address("fe80::21")


def test_parsed_addresses_are_bounded() -> None:
    for number in range(MAX_KNOWN + 100):
        peer_address(str(IPv4Address(number)))
    assert peer_address.cache_info().currsize == MAX_KNOWN
