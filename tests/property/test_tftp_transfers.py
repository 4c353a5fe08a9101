"""On any network, a file arrives complete or the transfer ends within a bounded time."""

from itertools import chain, count, cycle, repeat

from hypothesis import given
from hypothesis import strategies as st

from appliance.tftp.files import Content
from appliance.tftp.protocol import BLOCK_NUMBERS, Terms, ack_datagram
from appliance.tftp.transfer import MEASURED_BLOCKS, PATIENCE_SECONDS, UNANSWERED_TRIES, Outcome, Transfer
from tests.tftp_receiver import DOUBLE, DROP, LATE, PASS, LossyLink, Receiver, run

OACK = b"\0\6blksize\x008\0"
FAULTS = st.lists(st.sampled_from((PASS, PASS, PASS, DROP, DOUBLE, LATE)), max_size=200)
SIZES = st.integers(0, 700)
WINDOWS = st.sampled_from((1, 1, 2, 3, 8, 64))


def transfer_of(data: bytes, window_blocks: int, oack: bytes = OACK) -> Transfer:
    return Transfer(Content(data).blocks(8), Terms(8, window_blocks, 0, oack), 0.0)


@given(SIZES, WINDOWS, FAULTS, st.booleans(), st.booleans())
def test_file_arrives_whole_through_loss_doubling_and_delay(
    size: int, window: int, faults: list[str], has_options: bool, is_eager: bool
) -> None:
    data = bytes(n % 251 for n in range(size))
    window = window if has_options else 1
    transfer, receiver = transfer_of(data, window, OACK if has_options else b""), Receiver(8, window, is_eager)
    run(transfer, receiver, LossyLink(chain(faults, repeat(PASS))))
    if not transfer.has_progressed:  # every first answer or its ACK was lost: the client sends its request again
        assert sum(fault != PASS for fault in faults) >= UNANSWERED_TRIES
        return
    assert transfer.outcome is Outcome.FINISHED
    assert receiver.data == data


@given(SIZES, WINDOWS, FAULTS)
def test_transfer_ends_in_bounded_time_when_the_line_goes_dead(size: int, window: int, faults: list[str]) -> None:
    transfer, receiver = transfer_of(bytes(size), window), Receiver(8, window)
    seconds = run(transfer, receiver, LossyLink(chain(faults, repeat(DROP))))
    assert transfer.outcome in (Outcome.FINISHED, Outcome.FAILED)
    # Each fault can cost one timeout; after the last comes the whole patience.
    assert seconds <= PATIENCE_SECONDS + 4.0 * (len(faults) + 1)


@given(st.integers(1, 300), st.sampled_from((1, 4)), st.integers(2, 30), st.booleans())
def test_doubled_datagrams_do_not_double_the_traffic(blocks: int, window: int, every: int, is_eager: bool) -> None:
    """The sorcerer's apprentice (RFC 1123 section 4.2.3.1): a duplicated datagram must not duplicate later blocks."""
    sent = count()
    transfer, receiver = transfer_of(bytes(8 * blocks), window), Receiver(8, window, is_eager)
    faults = cycle([DOUBLE] + [PASS] * every)
    run(transfer, receiver, LossyLink(fault for fault in faults if next(sent) >= 0))
    assert receiver.is_whole
    # Each block and its ACK, and the duplicated datagrams with their answers.
    assert next(sent) <= (2 * blocks + 4) * (1 + 2 / every) + 4


@given(st.integers(0, 5 * MEASURED_BLOCKS), st.integers(0, BLOCK_NUMBERS - 1))
def test_following_an_ack_equals_taking_it(followed: int, number: int) -> None:
    """The fast path and the slow path send the same datagrams, and lead to the same state."""
    blocks = Content(bytes(range(256)) * 20).blocks(32)
    fast, slow = (Transfer(blocks, Terms(32), 0.0) for _ in range(2))
    assert fast.datagrams() == slow.datagrams()
    for ack in [*map(ack_datagram, range(1, followed + 1)), ack_datagram(number)]:
        block = fast.follow(ack, 1.0)
        if block is None:
            fast.take(ack, 1.0)
        slow.take(ack, 1.0)
        assert ([block] if block else list(fast.datagrams())) == list(slow.datagrams())
        assert (fast.outcome, fast.sends_last, fast.progress_at) == (slow.outcome, slow.sends_last, slow.progress_at)
