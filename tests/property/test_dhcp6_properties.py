"""Properties of DHCPv6 replies for all networks, messages and relays, checked by scapy."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import dhcp6

from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6
from appliance.dhcp6.hardware import is_link_local, mac_of_address, mac_of_duid
from appliance.dhcp6.options import counted, encode_name, encode_option, parse_options
from appliance.dhcp6.protocol import answer
from appliance.dhcp6.relays import MAX_RELAYS, unwrap, wrap
from appliance.dhcp6.reply import MAX_REPLY_BYTES, Reply
from appliance.ipv6_interfaces import read_interfaces
from appliance.model import Network
from tests.dhcp6_messages import (
    BS,
    FIRMWARE,
    IPXE,
    SYSTEM,
    arrival,
    ask,
    ia_na,
    link_local,
    read,
    relayed,
    request,
    v6_cluster,
)

W2_MAC = "00:50:56:96:c1:c5"
TABLE = compile_dhcp6((v6_cluster(),))
FROM_RELAY = arrival(source="2001:db8:0:20::1", source_port=547, is_unicast=True)

label = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
domain = st.lists(label, min_size=1, max_size=4).map(".".join)
address = st.integers(1, 2**96 - 1).map(lambda rest: IPv6Address((0x20010DB8 << 96) + rest))
code = st.integers(0, 65535)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw a network that contains the address of bs, with any settings."""
    return Network(
        cidr=IPv6Network((BS, draw(st.integers(1, 124))), strict=False),
        server=draw(address),
        dns_servers=tuple(draw(st.lists(address, max_size=4))),
        ntp_servers=tuple(draw(st.lists(address, max_size=4))),
        search=tuple(draw(st.lists(domain, max_size=12))),
        lease_seconds=draw(st.integers(60, 0xFFFFFFFF)),
    )


def table_of(network: Network) -> Dhcp6Table:
    """Return the table of a cluster with this network and the host bs."""
    cluster = v6_cluster()
    return compile_dhcp6((replace(cluster, networks=(cluster.networks[0], network), hosts=cluster.hosts[:1]),))


@settings(max_examples=80, deadline=None)
@given(networks())
def test_reply_says_what_the_network_says(network: Network) -> None:
    asked = request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[23, 24, 56]))
    reply = read(ask(table_of(network), asked, arrival(on=str(BS))).payload)
    assert reply.addresses == [(str(BS), network.lease_seconds, network.lease_seconds)]
    servers = network.dns_servers or (network.server,)
    assert reply.option(dhcp6.DHCP6OptDNSServers).dnsservers == [str(server) for server in servers]
    if network.search:
        assert reply.option(dhcp6.DHCP6OptDNSDomains).dnsdomains == [f"{name}." for name in network.search]
    if network.ntp_servers:
        told = reply.option(dhcp6.DHCP6OptNTPServer).ntpserver
        assert [each.addr for each in told] == [str(server) for server in network.ntp_servers]


options = st.lists(st.tuples(code, st.binary(max_size=60)), max_size=10)


@given(options)
def test_options_are_read_back_as_they_were_encoded(values: list[tuple[int, bytes]]) -> None:
    found = parse_options(b"".join(encode_option(code, value) for code, value in values))
    assert found is not None
    assert [(code, value) for code in found for value in found[code]] == sorted(
        values, key=lambda each: list(found).index(each[0])
    )


@given(options.filter(bool), st.data())
def test_cut_options_are_malformed(values: list[tuple[int, bytes]], data: st.DataObject) -> None:
    *rest, (code, value) = values
    last = encode_option(code, value)
    cut = data.draw(st.integers(1, len(last) - 1))
    assert parse_options(b"".join(encode_option(*each) for each in rest) + last[:cut]) is None


@given(code, st.binary(max_size=2000))
def test_encoded_option_equals_scapys(code: int, value: bytes) -> None:
    assert encode_option(code, value) == bytes(dhcp6.DHCP6OptUnknown(optcode=code, data=value))


@given(domain)
def test_encoded_name_equals_scapys(name: str) -> None:
    assert encode_option(24, encode_name(name)) == bytes(dhcp6.DHCP6OptDNSDomains(dnsdomains=[name]))


@given(st.lists(st.binary(max_size=40), max_size=5), st.binary(max_size=1))
def test_counted_data_is_read_back(data: list[bytes], rest: bytes) -> None:
    assert counted(b"".join(len(each).to_bytes(2, "big") + each for each in data) + rest) == data


@given(st.binary(min_size=6, max_size=6))
def test_mac_is_read_from_each_form_of_it(mac: bytes) -> None:
    text = mac.hex(":")
    assert mac_of_address(IPv6Address(link_local(text)).packed) == mac
    assert is_link_local(IPv6Address(link_local(text)).packed)
    assert mac_of_duid(bytes(dhcp6.DUID_LL(lladdr=text))) == mac
    assert mac_of_duid(bytes(dhcp6.DUID_LLT(lladdr=text, timeval=7))) == mac


@given(st.binary(max_size=140))
def test_duid_may_be_any_bytes(duid: bytes) -> None:
    assert len(mac_of_duid(duid)) in (0, 6)


layers = st.tuples(st.integers(0, 255), address, address, st.binary(max_size=20))


@settings(deadline=None)
@given(st.lists(layers, max_size=MAX_RELAYS), st.binary(max_size=100))
def test_reply_goes_back_through_the_same_relays(
    relays: list[tuple[int, IPv6Address, IPv6Address, bytes]], inner: bytes
) -> None:
    asked = b"\x01" + inner
    for hops, link, peer, interface_id in relays:
        asked = relayed(asked, dhcp6.DHCP6OptIfaceId(ifaceid=interface_id), link=str(link), peer=str(peer), hops=hops)
    unwrapped = unwrap(asked)
    assert unwrapped is not None
    found, message = unwrapped
    assert message == b"\x01" + inner
    payload = wrap(found, b"reply")
    for hops, link, peer, interface_id in reversed(relays):
        outer = dhcp6.DHCP6_RelayReply(payload)
        assert (outer.hopcount, outer.linkaddr, outer.peeraddr) == (hops, str(link), str(peer))
        assert outer.getlayer(dhcp6.DHCP6OptIfaceId).ifaceid == interface_id
        payload = bytes(outer.getlayer(dhcp6.DHCP6OptRelayMsg).original)[4:]
    assert payload == b"reply"


MESSAGES = [
    request(message, ia_na(BS), *more, server_id=TABLE.duid if message in ("request", "renew") else None)
    for message in ("solicit", "request", "renew", "rebind", "confirm")
    for more in (FIRMWARE, IPXE, SYSTEM, ())
]
MESSAGES += [relayed(message, peer=link_local(W2_MAC)) for message in MESSAGES]


@settings(deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_message_cut_anywhere_gets_a_reason_or_a_reply(message: bytes, data: st.DataObject) -> None:
    cut = message[: data.draw(st.integers(0, len(message)))]
    for where in (arrival(), FROM_RELAY):
        result = answer(TABLE, cut, where, {})
        assert isinstance(result, Reply) or result.why


def test_message_cut_at_every_byte_gets_a_reason_or_a_reply() -> None:
    for message in MESSAGES:
        for length in range(len(message)):
            result = answer(TABLE, message[:length], FROM_RELAY if message[0] == 12 else arrival(), {})
            assert isinstance(result, Reply) or result.why


CODES = (1, 3, 4, 6, 15, 16, 18, 25, 39, 43)


@settings(max_examples=150, deadline=None)
@given(
    networks(),
    st.lists(st.tuples(st.sampled_from([1, 3, 4, 6, 15, 16, 18, 25, 39, 43]), st.binary(max_size=200)), max_size=6),
)
def test_reply_is_never_too_long(network: Network, more: list[tuple[int, bytes]]) -> None:
    table = table_of(network)
    asked = request("solicit", ia_na()) + b"".join(encode_option(*each) for each in more)
    result = answer(table, asked, arrival(on=str(BS)), {})
    if isinstance(result, Reply):
        assert len(result.payload) <= MAX_REPLY_BYTES
    through = relayed(asked, dhcp6.DHCP6OptIfaceId(ifaceid=b"x" * 100), link=str(BS))
    result = answer(table, through, arrival(source=str(BS), source_port=547, on=str(BS)), {})
    if isinstance(result, Reply):
        assert len(result.payload) <= min(MAX_REPLY_BYTES, 3 * len(through))


@given(st.lists(st.tuples(address, st.integers(1, 9)), max_size=9))
def test_interfaces_are_read_with_all_their_addresses(lines: list[tuple[IPv6Address, int]]) -> None:
    text = [f"{each.packed.hex()} {index:02x} 40 00 80     eth{index}" for each, index in lines]
    found = read_interfaces(text)
    assert {(number, index) for index in found for number in found[index].addresses} == {
        (int(each), index) for each, index in lines
    }
    assert all(found[index].name == f"eth{index}" for index in found)
