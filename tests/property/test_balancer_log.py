"""Whatever arrives at the log socket, HAProxy's parser returns a value that is bounded, and never raises."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.balancer.log import MAX_BYTES, Connection, Notice, Outcome, parse

HEADERS = st.sampled_from(
    (
        "<134>Nov 29 15:11:52 localhost haproxy[31806]: ",
        "<134>Nov  9 15:11:52 haproxy[1]: ",
        "<134>1 2026-11-29T15:13:19.181305+00:00 - haproxy 361 - - ",
    )
)
NAMES = st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)
ADDRESSES = st.ip_addresses()


def of_bounds(found: Connection | Notice | None) -> bool:
    match found:
        case Connection():
            return 0 <= found.port < 65536 and len(found.front_end) <= 128 and len(found.member) <= 128
        case Notice():
            return len(found.text) <= 300 and found.text.isascii() and found.text.isprintable()
        case None:
            return True


@given(st.binary(max_size=MAX_BYTES + 10))
def test_any_datagram_gives_a_bounded_value(datagram: bytes) -> None:
    assert of_bounds(parse(datagram))


@given(HEADERS, st.binary(max_size=MAX_BYTES))
def test_any_text_after_a_header_gives_a_bounded_value(header: str, text: bytes) -> None:
    assert of_bounds(parse(header.encode() + text))


@given(HEADERS, st.text(st.characters(codec="ascii"), max_size=80))
def test_any_text_that_begins_as_a_connection_gives_a_connection_or_nothing(header: str, text: str) -> None:
    assert not isinstance(parse(f"{header}connection {text}".encode()), Notice)


@given(HEADERS, ADDRESSES, st.integers(0, 65535), NAMES, NAMES)
def test_every_connection_that_haproxy_writes_is_read(
    header: str, client: object, port: int, front_end: str, member: str
) -> None:
    found = parse(f"{header}connection {client} {port} {front_end} {member} 0 --\n".encode())
    assert isinstance(found, Connection)
    assert (found.port, found.front_end, found.member) == (port, front_end, member)
    assert found.outcome is Outcome.FORWARDED
