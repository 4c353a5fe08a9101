"""Read requests, and the options that are granted."""

import pytest

from appliance.tftp.protocol import IgnoreReason, ReadRequest, Refusal, Terms, agree, parse_request


def request(*options: bytes, name: bytes = b"efi/ipxe.efi") -> ReadRequest:
    parsed = parse_request(b"\0\1" + b"\0".join((name, b"octet", *options, b"")))
    assert isinstance(parsed, ReadRequest)
    return parsed


@pytest.mark.parametrize("mode", [b"octet", b"OCTET", b"Octet"])
def test_mode_is_read_in_any_case(mode: bytes) -> None:
    assert parse_request(b"\0\1x\0" + mode + b"\0") == ReadRequest("x", ())


@pytest.mark.parametrize("mode", [b"netascii", b"mail", b"", b"binary"])
def test_other_modes_are_refused(mode: bytes) -> None:
    assert parse_request(b"\0\1x\0" + mode + b"\0") is Refusal.MODE


def test_write_request_is_refused_as_such() -> None:
    assert parse_request(b"\0\2x\0octet\0") is Refusal.WRITE


@pytest.mark.parametrize("datagram", [b"\0\1", b"\0\1x", b"\0\1x\0", b"\0\1x\0octet", b"\0\1\0octet\0", b"\0\1\0\0"])
def test_request_that_is_cut_short_is_malformed(datagram: bytes) -> None:
    assert parse_request(datagram) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "datagram", [b"", b"\0", b"\0\3\0\1x", b"\0\4\0\1", b"\0\5\0\0stop\0", b"\0\6", b"\1\1x\0octet\0"]
)
def test_datagram_that_is_not_a_read_request_gets_silence(datagram: bytes) -> None:
    """Two servers that answer an ERROR with an ERROR would never stop."""
    assert parse_request(datagram) is IgnoreReason.NO_REQUEST


def test_padding_after_the_request_is_passed_over() -> None:
    assert parse_request(b"\0\1x\0octet\0tsize\x000\0" + bytes(30)) == ReadRequest("x", ((b"tsize", 0),))


def test_name_with_bytes_that_are_no_utf8_is_kept() -> None:
    assert request(name=b"a\xff").name == "a\udcff"


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"0x10", b"1468 ", "٣".encode(), b"9" * 21])
def test_option_with_an_unreadable_value_is_as_if_not_asked_for(value: bytes) -> None:
    assert request(b"blksize", value).options == ()


def test_first_of_two_equal_options_counts() -> None:
    assert request(b"blksize", b"1024", b"BLKSIZE", b"8192").options == ((b"blksize", 1024),)


def test_request_without_options_is_sent_512_bytes_a_block_without_an_oack() -> None:
    assert agree(request(), 10, 1468) == Terms(512, 1, 0, b"")


def test_unknown_options_alone_get_no_oack() -> None:
    assert agree(request(b"utimeout", b"100000", b"multicast", b""), 10, 1468).oack == b""


def test_oack_keeps_the_clients_order_and_spelling() -> None:
    terms = agree(request(b"TSize", b"0", b"blksize", b"1024"), 850528, 1468)
    assert terms.oack == b"\0\6TSize\x00850528\0blksize\x001024\0"


@pytest.mark.parametrize(
    ("asked", "granted"), [(b"8", 8), (b"1468", 1468), (b"1469", 1468), (b"65464", 1468), (b"99999", 1468)]
)
def test_block_size_is_bounded_by_the_path(asked: bytes, granted: int) -> None:
    assert agree(request(b"blksize", asked), 10, 1468).block_bytes == granted


def test_block_size_never_passes_rfc_2348() -> None:
    assert agree(request(b"blksize", b"70000"), 10, 70000).block_bytes == 65464


@pytest.mark.parametrize(
    ("name", "value"), [(b"blksize", b"7"), (b"timeout", b"0"), (b"timeout", b"256"), (b"windowsize", b"0")]
)
def test_value_outside_of_its_rfc_is_as_if_not_asked_for(name: bytes, value: bytes) -> None:
    assert agree(request(name, value), 10, 1468) == Terms()


def test_window_is_bounded() -> None:
    assert agree(request(b"windowsize", b"65535"), 10, 1468).window_blocks == 64


def test_timeout_is_granted_as_asked() -> None:
    terms = agree(request(b"timeout", b"255"), 10, 1468)
    assert (terms.timeout_seconds, terms.oack) == (255, b"\0\6timeout\x00255\0")
