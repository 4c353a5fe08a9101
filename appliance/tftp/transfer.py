"""One file on its way to one client: what to send, what an answer means, and when to send again.

`Transfer` has four verbs, and no socket or clock: `take` a datagram, list the
`datagrams` to send, name the `deadline`, `expire` when it has passed. `ignore_reason`
says whether a request begins a transfer at all.
"""

import errno
from collections.abc import Callable, Sequence
from enum import StrEnum

from appliance.tftp.protocol import ACK, BLOCK_NUMBERS, ERROR, HEAD, IgnoreReason, Refusal, Terms, ack_datagram

# A thousand hosts that power on in the same second, twice: UEFI asks for the size first, and the ERROR that
# ends this probe may still wait in the probe's socket when the true request is read.
MAX_TRANSFERS = 2048
# Of addresses that are no host's, beside the hosts' places: strangers never take those.
MAX_STRANGER_TRANSFERS = 512
# Of one host's address. It needs two; the others are for requests that are forged in its name.
MAX_CLIENT_TRANSFERS = 128
# Of one address that is no host's. A thousand machines behind a router that translates addresses get their loader in
# three rounds, of which EDK2 makes six. Another stranger still has 128 places.
MAX_STRANGER_CLIENT_TRANSFERS = 384
# A client that sent an ACK this lately has not started anew, whatever the repeated request suggests.
LIVELY_SECONDS = 1.0

FIRST_WAIT_SECONDS = 0.5  # before anything is known of the round trip
MIN_WAIT_SECONDS = 0.05  # a client that writes to flash between blocks is not lost
MAX_WAIT_SECONDS = 4.0
# A client that is silent for this long is gone. With the waits above, that is 13 tries at most.
PATIENCE_SECONDS = 30.0
# Until the first answer, which may never come because the request's source address is forged, whatever timeout the
# client asked for. A client that is slower than this has sent its request again.
UNANSWERED_SECONDS = 10.0
UNANSWERED_TRIES = 5  # with the waits above, those of 10 s
# A stranger's first answer and its repetitions are no worthwhile amplifier: bytes of IP packets for each byte.
MAX_AMPLIFICATION = 3
PATIENCE_TIMEOUTS = 4  # or this many of the client's own timeouts, if that is longer
# Where each block is acknowledged, one round trip of this many is measured; a clock for each would cost more.
MEASURED_BLOCKS = 16


class Outcome(StrEnum):
    """How a transfer ended."""

    FINISHED = "finished"  # the last block was acknowledged
    ABORTED = "aborted"  # the client ended it
    FAILED = "failed"  # the client went silent, or the file changed


class Transfer:
    """The sender's side of one read request (RFC 1350, 7440).

    *blocks* are the DATA datagrams of the file, each at the index of its block; index
    0 is not used. All times are seconds of the same clock.
    """

    __slots__ = (
        "_acked",
        "_awaited",
        "_blocks",
        "_last",
        "_next",
        "_patience_seconds",
        "_recover",
        "_resent",
        "_round_trip",
        "_sent",
        "_sent_at",
        "_tries_left",
        "_unacked_oack",
        "_variation",
        "_wait_seconds",
        "_wants_sample",
        "_window",
        "outcome",
        "parting",
        "progress_at",
        "resent_blocks",
        "terms",
        "why",
    )

    def __init__(self, blocks: Sequence[bytes], terms: Terms, now: float, tries: int = UNANSWERED_TRIES) -> None:
        self.terms = terms
        self.outcome: Outcome | None = None
        self.why = ""
        self.parting: Refusal | None = None  # the ERROR that the client is sent at the end
        self.resent_blocks = 0
        self._blocks = blocks
        self._window = terms.window_blocks
        # Blocks count from 1, without rolling over.
        self._last = len(blocks) - 1
        self._acked = 0  # every block up to this one has arrived
        self._sent = 0  # every block up to this one has been sent
        self._next = 1  # the first block that `datagrams` lists; 0 is the OACK
        self._awaited: bytes | None = None  # the ACK that `follow` takes
        self._recover = 0  # every block up to this one may have been sent twice
        self._unacked_oack = terms.oack
        self._round_trip = 0.0  # smoothed, as RFC 6298 has it; 0.0 before the first sample
        self._variation = 0.0
        self._wait_seconds = float(terms.timeout_seconds) or FIRST_WAIT_SECONDS
        self._tries_left = tries - 1  # before the first answer
        self._wants_sample = True  # the wait is a guess: `take` must see the next ACK, and measure
        self._patience_seconds = max(PATIENCE_SECONDS, PATIENCE_TIMEOUTS * float(terms.timeout_seconds))
        self.progress_at = now
        self._send_from(1, now)

    @property
    def deadline(self) -> float:
        """When `expire` is due."""
        if self.has_progressed:
            return min(self._sent_at + self._wait_seconds, self.progress_at + self._patience_seconds)
        end = self.progress_at + UNANSWERED_SECONDS
        return min(self._sent_at + self._wait_seconds, end) if self._tries_left > 0 else end

    @property
    def sends_last(self) -> bool:
        """Whether the file's last block has gone out."""
        return self._sent == self._last

    @property
    def has_progressed(self) -> bool:
        """Whether the client has answered anything yet."""
        return self._acked > 0 or self._unacked_oack != self.terms.oack

    def datagrams(self) -> Sequence[bytes]:
        """Return what is to be sent now, each datagram once; all but the file's last block are of one size."""
        first, self._next = self._next, self._sent + 1
        return self._blocks[first : self._sent + 1] if first else (self._unacked_oack,)

    def follow(self, datagram: bytes, now: float) -> bytes | None:
        """Return the next block if *datagram* is exactly the ACK that is expected, or None to leave it to `take`.

        This does what `take` and `datagrams` would do, in 0.4 µs instead of 2:
        almost every ACK in a window of one is the expected one.
        """
        if datagram != self._awaited:
            return None
        block = self._sent + 1
        self._acked = self._sent
        self._sent = block
        self._next = block + 1
        self._sent_at = self.progress_at = now
        self._awaited = ack_datagram(block) if block % MEASURED_BLOCKS and block < self._last else None
        return self._blocks[block]

    def take(self, datagram: bytes, now: float) -> None:
        """Process a datagram from the client; anything but an ACK or an ERROR changes nothing."""
        if len(datagram) < HEAD.size or self.outcome:
            return
        opcode, number = HEAD.unpack_from(datagram)
        if opcode == ACK:
            self._acknowledge(number, now)
        elif opcode == ERROR:
            text = datagram[4:132].partition(b"\0")[0].decode("ascii", "replace")
            self.outcome, self.why = Outcome.ABORTED, f"client sent error {number} {text}".rstrip()

    def _acknowledge(self, number: int, now: float) -> None:
        ahead = (number - self._acked) % BLOCK_NUMBERS
        if ahead == 0 and not self._unacked_oack:
            # A duplicate. Answering it would send every later block twice (RFC 1123 section 4.2.3.1),
            # and a window many times: EDK2 acknowledges each block of it that it has already.
            return
        if ahead > self._sent - self._acked:
            return  # of a block that was not sent yet: an old duplicate, or from another transfer
        self._acked += ahead
        self._unacked_oack = b""
        self.progress_at = now
        if self._acked == self._last:
            self.outcome = Outcome.FINISHED
            return
        if not self._resent:  # otherwise it is unknown which of the two copies is acknowledged (Karn)
            self._measure(now - self._sent_at)
        elif self._acked < self._sent:
            self._reset_wait()  # a gap in the window: the path loses packets, and is not slower than estimated
        if self._recover < self._acked < self._sent:
            self._go_back(now)  # a block of the window is missing (RFC 7440 section 4)
        else:
            self._send_from(self._sent + 1, now)

    def _measure(self, sample: float) -> None:
        """Take a round trip into account (RFC 6298 section 2)."""
        if self._round_trip:
            self._variation += (abs(sample - self._round_trip) - self._variation) / 4
            self._round_trip += (sample - self._round_trip) / 8
        else:
            self._round_trip, self._variation = sample, sample / 2
        self._wants_sample = False
        self._reset_wait()

    def _reset_wait(self) -> None:
        if self._round_trip and not self.terms.timeout_seconds:
            wait_seconds = self._round_trip + 4 * self._variation
            self._wait_seconds = min(max(wait_seconds, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)

    def expire(self, now: float) -> None:
        """Send the window again, or give up, if the deadline has passed."""
        if self.outcome or now < self.deadline:
            return
        patience_seconds = self._patience_seconds if self.has_progressed else UNANSWERED_SECONDS
        if now >= self.progress_at + patience_seconds:
            self.outcome = Outcome.FAILED
            self.why = f"no answer to block {self._acked + 1} of {self._last} for {patience_seconds:.0f} s"
            return
        self._tries_left -= 1
        if not self.terms.timeout_seconds:
            self._wait_seconds = min(2 * self._wait_seconds, MAX_WAIT_SECONDS)
            self._wants_sample = True
        self._go_back(now)

    def repeat(self, now: float) -> bool:
        """Note that the client sent its request again; return whether to send the first answer once more."""
        if self.outcome or self.has_progressed:
            return False
        self._go_back(now)
        return True

    def fail(self, error: OSError) -> None:
        """Note an error of the transfer's socket or file; it may end the transfer."""
        if isinstance(error, ConnectionRefusedError):
            # The client's port is closed. Many close it with their last ACK, which can get lost. Where nothing was
            # acknowledged, the request may have been forged, and the answer of one block was news to the client.
            is_received = self.sends_last and self.has_progressed
            self.outcome = Outcome.FINISHED if is_received else Outcome.ABORTED
            self.why = "client closed its port"
        elif error.errno == errno.ESTALE:
            # The client has parts of two versions; an ERROR keeps it from using them.
            self.outcome, self.parting = Outcome.FAILED, Refusal.CHANGED
            self.why = "the file changed while it was sent"
        # Any other error may pass, such as an unreachable host while ARP takes longer than a try: the deadline decides.

    def _go_back(self, now: float) -> None:
        """Send everything again that is not acknowledged.

        ACKs of blocks up to `_recover` may then be for either copy, and are not a
        reason to go back once more (as in RFC 6582, for TCP).
        """
        self.resent_blocks += max(self._sent - self._acked, 1)
        self._recover = self._sent
        self._send_from(self._acked + 1, now)
        self._resent = True

    def _send_from(self, first: int, now: float) -> None:
        if self._unacked_oack:
            self._next = 0
        else:
            self._next = first
            self._sent = min(self._acked + self._window, self._last)
        self._sent_at = now
        self._resent = self._acked < self._recover
        is_plain = self._window == 1 and not (self._resent or self._wants_sample or self._unacked_oack)
        self._awaited = ack_datagram(self._sent) if is_plain and self._sent < self._last else None


def tries_of(request_bytes: int, answer_bytes: int, overhead_bytes: int, *, is_stranger: bool) -> int:
    """Return how often an answer of *answer_bytes* may be sent before the client's first ACK; 0 if not at all.

    *overhead_bytes* are what IP and UDP add to each datagram.
    """
    if not is_stranger:
        return UNANSWERED_TRIES
    budget_bytes = MAX_AMPLIFICATION * (request_bytes + overhead_bytes)
    return min(budget_bytes // (answer_bytes + overhead_bytes), UNANSWERED_TRIES)


def ignore_reason(
    latest: Transfer | None,
    now: float,
    *,
    is_repeated: bool,
    is_draining: bool,
    has_room: Callable[[], bool],
) -> IgnoreReason | None:
    """Return why a read request begins no transfer, or None when it begins one.

    *latest* is the transfer to the same address and port, and *is_repeated* whether
    it began with the same request. *has_room* says whether the bounds on
    transfers allow another one, and may end an unanswered one for it.
    """
    if latest is not None and is_repeated:
        is_lively = now - latest.progress_at < LIVELY_SECONDS
        if not latest.has_progressed or is_lively:
            return IgnoreReason.REPEATED
    if is_draining:
        return IgnoreReason.DRAINING
    if not has_room():
        return IgnoreReason.BUSY
    return None
