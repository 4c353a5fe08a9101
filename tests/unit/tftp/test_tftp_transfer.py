"""A single transfer, datagram by datagram."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tftp.files import Content
from appliance.tftp.protocol import IgnoreReason, Refusal, Terms, ack_datagram, data_datagram
from appliance.tftp.transfer import (
    FIRST_WAIT_SECONDS,
    LIVELY_SECONDS,
    MIN_WAIT_SECONDS,
    PATIENCE_SECONDS,
    UNANSWERED_SECONDS,
    UNANSWERED_TRIES,
    Outcome,
    Transfer,
    ignore_reason,
    tries_of,
)

OACK = b"\0\6windowsize\x004\0"


def transfer_of(total: int, *, window: int = 1, oack: bytes = b"", timeout: int = 0) -> Transfer:
    return Transfer(Content(bytes(total)).blocks(8), Terms(8, window, timeout, oack), 0.0)


def numbers(transfer: Transfer) -> list[int]:
    return [int.from_bytes(datagram[2:4], "big") for datagram in transfer.datagrams()]


def answered(transfer: Transfer, block: int, now: float = 0.001) -> list[int]:
    """Return the blocks that the server sends after an ACK; like the server, try `follow` first."""
    datagram = transfer.follow(ack_datagram(block), now)
    if datagram is not None:
        return [int.from_bytes(datagram[2:4], "big")]
    transfer.take(ack_datagram(block), now)
    return numbers(transfer)


def test_without_options_block_1_answers_the_request() -> None:
    assert list(transfer_of(20).datagrams()) == [data_datagram(1, bytes(8))]


def test_with_options_the_oack_answers_and_ack_0_begins() -> None:
    transfer = transfer_of(20, oack=OACK)
    assert list(transfer.datagrams()) == [OACK]
    assert answered(transfer, 0) == [1]


def test_nothing_is_listed_twice() -> None:
    transfer = transfer_of(20)
    transfer.datagrams()
    assert list(transfer.datagrams()) == []


def test_file_of_exact_blocks_ends_with_an_empty_block() -> None:
    transfer = transfer_of(16)
    assert numbers(transfer) == [1]
    assert answered(transfer, 1) == [2]
    transfer.take(ack_datagram(2), 0.0)
    assert list(transfer.datagrams()) == [data_datagram(3, b"")]
    transfer.take(ack_datagram(3), 0.0)
    assert transfer.outcome is Outcome.FINISHED


def test_empty_file_is_one_empty_block() -> None:
    transfer = transfer_of(0)
    assert list(transfer.datagrams()) == [data_datagram(1, b"")]
    transfer.take(ack_datagram(1), 0.0)
    assert transfer.outcome is Outcome.FINISHED


def test_duplicate_ack_sends_nothing() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    assert answered(transfer, 1) == [2]
    assert answered(transfer, 1) == []


def test_ack_of_a_block_not_sent_yet_is_ignored() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    assert answered(transfer, 2) == []
    assert transfer.outcome is None


def test_empty_datagram_is_not_an_ack() -> None:
    transfer = transfer_of(80, oack=OACK)
    transfer.datagrams()
    assert transfer.follow(b"", 0.0) is None


@pytest.mark.parametrize("block", [65535, 65536, 65537])
def test_block_numbers_begin_again_at_0(block: int) -> None:
    blocks = [data_datagram(number, b"") for number in range(65540)]
    transfer = Transfer(blocks, Terms(8), 0.0)
    transfer.datagrams()
    for number in range(1, block):
        answered(transfer, number % 65536)
    assert answered(transfer, block % 65536) == [(block + 1) % 65536]


def test_window_is_sent_at_once_and_acknowledged_by_its_last_block() -> None:
    transfer = transfer_of(80, window=4, oack=OACK)
    transfer.datagrams()
    assert answered(transfer, 0) == [1, 2, 3, 4]
    assert answered(transfer, 4) == [5, 6, 7, 8]
    assert answered(transfer, 8) == [9, 10, 11]


def test_ack_within_the_window_goes_on_after_it() -> None:
    """RFC 7440 section 4: a receiver that misses a block acknowledges the one before it."""
    transfer = transfer_of(80, window=4, oack=OACK)
    transfer.datagrams()
    assert answered(transfer, 0) == [1, 2, 3, 4]
    assert answered(transfer, 2) == [3, 4, 5, 6]


def test_each_of_many_equal_acks_but_the_first_sends_nothing() -> None:
    """EDK2 acknowledges every block that it does not expect, so a gap causes a whole window of ACKs."""
    transfer = transfer_of(80, window=4, oack=OACK)
    transfer.datagrams()
    assert answered(transfer, 0) == [1, 2, 3, 4]
    assert [answered(transfer, 1, now) for now in (0.1, 0.2, 0.3)] == [[2, 3, 4, 5], [], []]


def test_blocks_sent_again_once_are_not_sent_again_for_their_acks() -> None:
    """The ACK of 3 may answer the first copy; the second is still on its way."""
    transfer = transfer_of(160, window=4, oack=OACK)
    transfer.datagrams()
    assert answered(transfer, 0) == [1, 2, 3, 4]
    assert answered(transfer, 1) == [2, 3, 4, 5]
    assert answered(transfer, 3) == [6, 7]
    assert answered(transfer, 7) == [8, 9, 10, 11]


def test_block_is_sent_again_at_the_deadline() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    transfer.expire(transfer.deadline - 0.001)
    assert numbers(transfer) == []
    transfer.expire(transfer.deadline)
    assert numbers(transfer) == [1]


def test_waits_double() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    answered(transfer, 1, 0.0)
    deadlines = []
    for _ in range(5):
        deadlines.append(transfer.deadline)
        transfer.expire(transfer.deadline)
    waits = [after - before for before, after in zip([0.0, *deadlines], deadlines, strict=False)]
    assert waits == [FIRST_WAIT_SECONDS * factor for factor in (1, 2, 4, 8, 8)]


def test_wait_follows_the_round_trip() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    answered(transfer, 1, 0.002)
    assert transfer.deadline == pytest.approx(0.002 + MIN_WAIT_SECONDS)


def test_wait_follows_a_round_trip_that_grows() -> None:
    transfer = transfer_of(8 * 300)
    transfer.datagrams()
    now = 0.0
    for block in range(1, 300):
        now += 0.002 if block < 10 else 0.1
        answered(transfer, block, now)
    assert transfer.deadline > now + 0.09


def test_wait_is_short_again_after_a_loss() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    answered(transfer, 1, 0.002)
    transfer.expire(transfer.deadline)
    for block in (2, 3):
        answered(transfer, block, 0.1 + block / 1000)
    assert transfer.deadline == pytest.approx(0.103 + MIN_WAIT_SECONDS)


def test_client_slower_than_the_first_wait_gets_each_block_once() -> None:
    """Without Karn's algorithm every block would be sent twice over a line with high latency."""
    transfer = transfer_of(800)
    transfer.datagrams()
    now = 0.0
    for block in range(1, 20):
        answer_at = now + 1.5 * FIRST_WAIT_SECONDS
        while transfer.deadline < answer_at:
            transfer.expire(transfer.deadline)
            transfer.datagrams()
        now = answer_at
        answered(transfer, block, now)
    assert transfer.resent_blocks <= 2


def test_clients_own_timeout_is_kept() -> None:
    transfer = transfer_of(80, timeout=3, oack=b"\0\6timeout\x003\0")
    for seconds in (3, 6, 9):
        assert transfer.deadline == seconds
        transfer.expire(transfer.deadline)


def test_silent_client_is_given_up() -> None:
    transfer = transfer_of(80)
    transfer.datagrams()
    answered(transfer, 1, 0.0)
    while not transfer.outcome:
        last = transfer.deadline
        transfer.expire(last)
    assert (transfer.outcome, last) == (Outcome.FAILED, PATIENCE_SECONDS)
    assert transfer.resent_blocks <= 16
    assert transfer.why == "no answer to block 2 of 11 for 30 s"


@pytest.mark.parametrize("timeout", [0, 1, 255])
def test_client_that_never_answered_is_given_up_soon_whatever_timeout_it_asked_for(timeout: int) -> None:
    transfer = transfer_of(80, oack=OACK, timeout=timeout)
    sent = len(transfer.datagrams())
    while not transfer.outcome:
        last = transfer.deadline
        transfer.expire(last)
        sent += len(transfer.datagrams()) if not transfer.outcome else 0
    assert last == UNANSWERED_SECONDS
    assert sent <= UNANSWERED_TRIES


@given(st.integers(12, 2048), st.integers(4, 600), st.sampled_from((28, 48)))
def test_stranger_is_sent_at_most_three_times_its_bytes_before_its_first_ack(
    request: int, answer: int, overhead: int
) -> None:
    tries = tries_of(request, answer, overhead, is_stranger=True)
    if tries == 0:
        return
    transfer = Transfer(Content(bytes(5000)).blocks(512), Terms(oack=bytes(answer)), 0.0, tries)
    sent = sum(len(datagram) + overhead for datagram in transfer.datagrams())
    while not transfer.outcome:
        transfer.expire(transfer.deadline)
        if not transfer.outcome:
            sent += sum(len(datagram) + overhead for datagram in transfer.datagrams())
    assert sent <= 3 * (request + overhead)


def test_stranger_gets_no_block_in_answer_to_a_request_without_options() -> None:
    assert tries_of(22, 516, 28, is_stranger=True) == 0
    assert tries_of(22, 516, 28, is_stranger=False) == UNANSWERED_TRIES


def test_clients_error_ends_the_transfer_quietly() -> None:
    """UEFI asks for the size first, and aborts that transfer with error 8."""
    transfer = transfer_of(80, oack=b"\0\6tsize\x0080\0")
    transfer.datagrams()
    transfer.take(b"\0\5\0\x08User aborted the transfer\0", 0.0)
    assert (transfer.outcome, transfer.why) == (Outcome.ABORTED, "client sent error 8 User aborted the transfer")


def test_repeated_request_sends_the_oack_again() -> None:
    transfer = transfer_of(80, oack=OACK)
    transfer.datagrams()
    transfer.repeat(0.1)
    assert list(transfer.datagrams()) == [OACK]


def ignored(latest: Transfer | None = None, now: float = 0.0, **facts: int) -> IgnoreReason | None:
    """Return why a request is ignored that is ordinary except for *facts*, or None."""
    usual = {"is_repeated": False, "is_draining": False, "has_room": True} | facts
    has_room = bool(usual["has_room"])
    return ignore_reason(
        latest,
        now,
        is_repeated=bool(usual["is_repeated"]),
        is_draining=bool(usual["is_draining"]),
        has_room=lambda: has_room,
    )


def begun() -> Transfer:
    return Transfer(Content(bytes(2000)).blocks(512), Terms(), 0.0)


def test_first_request_begins_a_transfer() -> None:
    assert ignored() is None


def test_request_past_a_bound_is_ignored() -> None:
    assert ignored(has_room=False) is IgnoreReason.BUSY


def test_request_to_a_server_that_stops_is_ignored() -> None:
    assert ignored(is_draining=True) is IgnoreReason.DRAINING


def test_request_repeated_before_any_ack_is_ignored_and_answered_once_more() -> None:
    transfer = begun()
    transfer.datagrams()
    assert ignored(transfer, 99.0, is_repeated=True) is IgnoreReason.REPEATED
    assert transfer.repeat(99.0)
    assert [datagram[:4] for datagram in transfer.datagrams()] == [b"\0\3\0\1"]


def test_request_repeated_in_a_lively_transfer_is_ignored_and_sends_nothing() -> None:
    transfer = begun()
    transfer.take(ack_datagram(1), 1.0)
    assert ignored(transfer, 1.0 + LIVELY_SECONDS / 2, is_repeated=True) is IgnoreReason.REPEATED
    assert not transfer.repeat(1.0)


def test_request_repeated_after_a_pause_begins_anew() -> None:
    transfer = begun()
    transfer.take(ack_datagram(1), 1.0)
    assert ignored(transfer, 1.0 + LIVELY_SECONDS, is_repeated=True) is None


def test_another_request_from_the_same_port_begins_anew() -> None:
    assert ignored(begun(), is_repeated=False) is None


def test_closed_port_aborts_a_transfer() -> None:
    transfer = begun()
    transfer.fail(ConnectionRefusedError())
    assert (transfer.outcome, transfer.parting) == (Outcome.ABORTED, None)


def test_port_closed_after_the_last_block_went_out_finishes_a_transfer() -> None:
    transfer = Transfer(Content(bytes(600)).blocks(512), Terms(), 0.0)
    transfer.take(ack_datagram(1), 0.0)
    transfer.fail(ConnectionRefusedError())
    assert transfer.outcome is Outcome.FINISHED


def test_port_that_was_never_open_does_not_finish_a_transfer_of_one_block() -> None:
    """Its request may be one forged datagram, and a finished transfer moves the host's record."""
    transfer = Transfer(Content(b"short").blocks(512), Terms(), 0.0)
    transfer.fail(ConnectionRefusedError())
    assert (transfer.sends_last, transfer.outcome) == (True, Outcome.ABORTED)


def test_file_that_changed_fails_a_transfer_and_the_client_is_told() -> None:
    transfer = begun()
    transfer.fail(OSError(errno.ESTALE, "changed"))
    assert (transfer.outcome, transfer.parting) == (Outcome.FAILED, Refusal.CHANGED)


def test_unreachable_client_may_come_back() -> None:
    transfer = begun()
    transfer.fail(OSError(errno.EHOSTUNREACH, "no route"))
    assert transfer.outcome is None
