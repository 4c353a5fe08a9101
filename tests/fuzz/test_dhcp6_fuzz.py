"""No bytes from the network raise out of the DHCPv6 protocol, or get a reply for an unknown machine."""

import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.dhcp6.clients import identify_options
from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6
from appliance.dhcp6.options import encode_option, parse_options
from appliance.dhcp6.protocol import answer
from appliance.dhcp6.relays import HOP_COUNT_LIMIT
from appliance.dhcp6.reply import MAX_REPLY_BYTES, Arrival, Reply, Silence
from appliance.model import DhcpMode
from tests.dhcp6_messages import (
    BS,
    FIRMWARE,
    STRANGER_MAC,
    UUID_DUID,
    arrival,
    ia_na,
    link_local,
    relayed,
    request,
    v6_cluster,
)

TABLES: tuple[Dhcp6Table, ...] = (
    compile_dhcp6((v6_cluster(),)),
    compile_dhcp6((v6_cluster(DhcpMode.PROXY),)),
    compile_dhcp6((v6_cluster(DhcpMode.OFF),)),
)
MAC = v6_cluster().hosts[0].macs[0].octets
ARRIVALS = (
    arrival(),
    arrival(STRANGER_MAC),
    arrival(is_unicast=True),
    arrival(source="fe80::1", seen=b""),
    arrival(source="fe80::1", seen=MAC),
    arrival(source="2001:db8:0:20::1", source_port=547, is_unicast=True),
    arrival(source="2001:db8:ffff::1", on="2001:db8:ffff::2"),
)
IA_NA = ia_na(BS)
CODES = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 13, 14, 15, 16, 17, 18, 20, 25, 26, 39, 43, 61, 62, 79, 135, 65535])
VALUES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"\0\3\0\1" + MAC,
            UUID_DUID,
            TABLES[0].duid,
            bytes(IA_NA)[4:],
            bytes(12),
            b"\0\0\1\x57\0\x09PXEClient",
            b"\0\4iPXE",
            b"\0\7",
            b"\0\1" + MAC,
            b"\0\x17\0\x18\0\x3b",
        ]
    ),
)


LINKS, PEERS = ("::", "2001:db8:0:20::1"), (link_local("02:00:00:00:00:01"), "2001:db8:0:20::1")


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw a client's message, or almost, within as many relays' messages as may be, or one more."""
    head = draw(st.sampled_from([1, 1, 3, 3, 4, 5, 6, 8, 9, 11, 2, 7, 10, 13, 255]))
    parts = [encode_option(*option) for option in draw(st.lists(st.tuples(CODES, VALUES), max_size=10))]
    if draw(st.booleans()):
        parts.insert(0, encode_option(1, b"\0\3\0\1" + MAC))
    message = bytes((head,)) + draw(st.binary(min_size=3, max_size=3)) + b"".join(parts)
    for hops in range(draw(st.integers(0, HOP_COUNT_LIMIT + 2)) if draw(st.booleans()) else 0):
        around = b"".join(encode_option(*each) for each in draw(st.lists(st.tuples(CODES, VALUES), max_size=2)))
        link, peer = draw(st.sampled_from(LINKS)), draw(st.sampled_from(PEERS))
        message = relayed(message, link=link, peer=peer, hops=hops) + around
    return message


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(TABLES), messages() | st.binary(max_size=400), st.sampled_from(ARRIVALS))
@example(TABLES[0], request("solicit", ia_na(), *FIRMWARE), ARRIVALS[0])
def test_every_datagram_gets_a_reply_or_a_reason(table: Dhcp6Table, datagram: bytes, where: Arrival) -> None:
    result = answer(table, datagram, where, {})
    if isinstance(result, Silence):
        assert result.why
        assert len(result.why) < 32
    else:
        assert result.host in {pin.name for pin in table.pins.values()}
        assert 0 < len(result.payload) <= MAX_REPLY_BYTES
        assert parse_options(result.payload[34 if datagram[0] == 12 else 4 :]) is not None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TABLES), messages(), st.sampled_from(ARRIVALS))
def test_same_datagram_gets_the_same_result(table: Dhcp6Table, datagram: bytes, where: Arrival) -> None:
    first = answer(table, datagram, where, {})
    assert first == answer(table, datagram, where, {})
    assert isinstance(first, Reply | Silence)


@settings(max_examples=200, deadline=None)
@given(messages(), st.sampled_from([each for each in ARRIVALS if each.source_port == 547 or each.addresses]))
def test_no_event_of_a_host_is_local_without_its_own_segment(datagram: bytes, where: Arrival) -> None:
    """Where neither the interface nor a relay is of its network, nothing shows how far a host has come."""
    elsewhere = where._replace(addresses=(1,), source=bytes.fromhex("fe80") + bytes(5) + where.source[7:])
    result = answer(TABLES[0], datagram, elsewhere, {})
    if result.event is not None and not isinstance(result, Reply):
        assert not result.is_local or result.event.host == ""


@given(st.binary(max_size=400))
def test_identification_takes_any_options(area: bytes) -> None:
    options = parse_options(area)
    assert options is None or identify_options(options).program


def test_message_full_of_options_takes_no_longer_than_its_bytes_deserve() -> None:
    """Each option of a datagram is read once, whatever its nesting."""
    full = request("solicit", ia_na()) + encode_option(3, bytes(12)) * 90
    for hops in range(HOP_COUNT_LIMIT):
        full = relayed(full, link="::", hops=hops)
    assert len(full) < 2048
    began = time.perf_counter()
    for _ in range(20):
        answer(TABLES[0], full, arrival(), {})
    assert (time.perf_counter() - began) / 20 < 0.02
