"""No datagram raises out of the TFTP protocol, or makes it send without end."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.tftp.files import Content
from appliance.tftp.protocol import MAX_WINDOW_BLOCKS, IgnoreReason, ReadRequest, Refusal, Terms, agree, parse_request
from appliance.tftp.transfer import Transfer

NUL_RICH = st.lists(st.sampled_from([b"\0", b"octet", b"blksize", b"1468", b"-1", b"x", b"\xff", b"tsize", b"9" * 30]))
REQUESTS = st.one_of(
    st.binary(max_size=600),
    st.builds(lambda opcode, parts: b"\0" + opcode + b"".join(parts), st.sampled_from([b"\1", b"\2"]), NUL_RICH),
    st.builds(
        lambda name, parts: b"\0\1" + name + b"\0OcTeT\0" + b"\0".join(parts),
        st.binary(min_size=1, max_size=9),
        NUL_RICH,
    ),
)
ANSWERS = st.one_of(
    st.binary(max_size=8),
    st.builds(
        lambda opcode, number: bytes([0, opcode]) + number.to_bytes(2, "big"), st.integers(0, 9), st.integers(0, 70)
    ),
)


@given(REQUESTS)
def test_any_datagram_is_a_request_a_refusal_or_silence(datagram: bytes) -> None:
    assert isinstance(parse_request(datagram), ReadRequest | Refusal | IgnoreReason)


@given(REQUESTS, st.integers(0, 1 << 50), st.integers(512, 65000))
def test_terms_stay_in_their_bounds(datagram: bytes, total: int, bound: int) -> None:
    request = parse_request(datagram)
    if isinstance(request, ReadRequest):
        terms = agree(request, total, bound)
        assert 8 <= terms.block_bytes <= bound
        assert 1 <= terms.window_blocks <= MAX_WINDOW_BLOCKS
        assert len(terms.oack) < 512


@given(st.sampled_from([1, 4, 64]), st.lists(st.tuples(ANSWERS, st.floats(0, 20)), max_size=40))
def test_transfer_sends_at_most_a_window_for_any_answer(window: int, answers: list[tuple[bytes, float]]) -> None:
    transfer = Transfer(Content(bytes(500)).blocks(8), Terms(8, window, 0, b"\0\6x\0"), 0.0)
    transfer.datagrams()
    now = 0.0
    for answer, later in answers:
        now += later
        block = transfer.follow(answer, now)
        transfer.take(answer, now)
        transfer.expire(now)
        datagrams = [*([block] if block else ()), *transfer.datagrams()]
        assert len(datagrams) <= window + (block is not None)
        assert all(len(datagram) <= 12 for datagram in datagrams)
