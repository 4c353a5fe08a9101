"""Any datagram of a neighbour is answered with a value, whatever it contains."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.ra.compile import compile_ra
from appliance.ra.protocol import Arrival, Link, heard, started
from tests.ra_lab import CLUSTERS

TABLE = compile_ra((CLUSTERS["silent"](),))
MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda kind, rest: bytes((kind, 0)) + rest, st.sampled_from((133, 134)), st.binary(max_size=200)),
)
SOURCES = st.one_of(
    st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8).map(lambda end: b"\xfe\x80" + bytes(6) + end)
)


@given(st.lists(st.tuples(MESSAGES, SOURCES, st.integers(0, 255)), max_size=40), st.sampled_from([b"", b"ours"]))
def test_any_datagrams_leave_a_bounded_link_that_is_due_no_later(
    arrivals: list[tuple[bytes, bytes, int]], advertised: bytes
) -> None:
    link = started(advertised, 0.0)
    for datagram, source, hop_limit in arrivals:
        after, _, what = heard(TABLE, link, datagram, Arrival("eth0", (5,), source, hop_limit), 1.0, 0.5)
        assert isinstance(after, Link)
        assert what
        assert after.next_at <= link.next_at
        link = after
    assert len(link.routers) <= 16
