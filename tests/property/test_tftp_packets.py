"""Packets are parsed and built as tftpy parses and builds them."""

from hypothesis import given
from hypothesis import strategies as st
from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketACK, TftpPacketDAT, TftpPacketRRQ

from appliance.tftp.protocol import (
    MAX_WINDOW_BLOCKS,
    ReadRequest,
    ack_datagram,
    agree,
    data_datagram,
    parse_request,
)

NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100)
OPTIONS = st.dictionaries(
    st.sampled_from(["blksize", "timeout", "tsize", "windowsize"]), st.integers(0, 70_000).map(str), max_size=4
)


def rrq(name: str, options: dict[str, str]) -> bytes:
    packet = TftpPacketRRQ()
    packet.filename, packet.mode, packet.options = name, "octet", options
    return bytes(packet.encode().buffer)


@given(NAMES, OPTIONS)
def test_request_is_read_as_tftpy_wrote_it(name: str, options: dict[str, str]) -> None:
    request = parse_request(rrq(name, options))
    assert isinstance(request, ReadRequest)
    assert request.name == name
    assert {spelled.decode(): str(value) for spelled, value in request.options} == options


@given(OPTIONS, st.integers(0, 1 << 40), st.integers(512, 8968))
def test_oack_is_read_by_tftpy_as_the_terms_that_hold(options: dict[str, str], total: int, bound: int) -> None:
    request = parse_request(rrq("x", options))
    assert isinstance(request, ReadRequest)
    terms = agree(request, total, bound)
    granted = TftpPacketFactory().parse(terms.oack).options if terms.oack else {}
    assert set(granted) <= set(options)
    assert int(granted.get("blksize", 512)) == terms.block_bytes <= max(bound, 512)
    assert int(granted.get("windowsize", 1)) == terms.window_blocks <= MAX_WINDOW_BLOCKS
    assert int(granted.get("timeout", 0)) == terms.timeout_seconds
    assert granted.get("tsize", str(total)) == str(total)


@given(st.integers(0, 0xFFFF), st.binary(max_size=1468))
def test_data_and_ack_equal_tftpys(block: int, data: bytes) -> None:
    expected = TftpPacketDAT()
    expected.blocknumber, expected.data = block, data
    assert data_datagram(block, data) == expected.encode().buffer
    answer = TftpPacketACK()
    answer.blocknumber = block
    assert ack_datagram(block) == answer.encode().buffer
