"""A TFTP client that follows the RFCs, and a link that loses, duplicates and delays datagrams."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from appliance.tftp.protocol import ACK, BLOCK_NUMBERS, DATA, HEAD, OACK
from appliance.tftp.transfer import Transfer

ONE_WAY_SECONDS = 0.001
PASS, DROP, DOUBLE, LATE = "pass", "drop", "double", "late"


@dataclass
class Receiver:
    """The client's side of a transfer (RFC 1350, 7440); it only sends ACKs, and has no timeouts.

    An *eager* client acknowledges every block that it does not expect, as EDK2 does. Other clients report
    a gap once, and acknowledge a window that they already have after its last block.
    """

    block_bytes: int
    window_blocks: int
    is_eager: bool = False
    data: bytearray = field(default_factory=bytearray)
    received: int = 0  # blocks, without rolling over
    in_window: int = 0
    in_gap: bool = False
    is_whole: bool = False

    def take(self, datagram: bytes) -> bytes | None:
        """Return the client's answer to *datagram*, or None."""
        opcode, number = HEAD.unpack_from(datagram)
        if opcode == OACK:
            return HEAD.pack(ACK, 0) if not self.received else None
        assert opcode == DATA
        ahead = (number - self.received) % BLOCK_NUMBERS
        if ahead == 1 and not self.is_whole:
            self.data += datagram[4:]
            self.received += 1
            self.in_window += 1
            self.in_gap = False
            self.is_whole = len(datagram) - 4 < self.block_bytes
            return self._ack() if self.is_whole or self.in_window == self.window_blocks else None
        if ahead == 0 or self.is_eager:  # the last block again: the client's ACK was lost
            return self._ack()
        if ahead < BLOCK_NUMBERS // 2 and not self.in_gap:  # a block is missing: report the gap once
            self.in_gap = True
            return self._ack()
        return None

    def _ack(self) -> bytes:
        self.in_window = 0
        return HEAD.pack(ACK, self.received % BLOCK_NUMBERS)


class LossyLink:
    """Carries datagrams in both directions; the next of *faults* is what happens to each."""

    def __init__(self, faults: Iterator[str]) -> None:
        self._faults = faults
        self._flying: list[tuple[float, int, Callable[[bytes], None], bytes]] = []
        self._count = 0

    def send(self, now: float, datagram: bytes, to: Callable[[bytes], None]) -> None:
        """Send a datagram; *to* is called with it when it arrives."""
        fault = next(self._faults)
        delays = {PASS: [1.0], DROP: [], DOUBLE: [1.0, 1.5], LATE: [40.0]}[fault]
        for delay in delays:
            self._count += 1
            heapq.heappush(self._flying, (now + delay * ONE_WAY_SECONDS, self._count, to, datagram))

    @property
    def next_arrival(self) -> float:
        """When the next datagram will arrive; infinity if there is none."""
        return self._flying[0][0] if self._flying else float("inf")

    def deliver(self) -> None:
        """Deliver the next datagram."""
        _, _, to, datagram = heapq.heappop(self._flying)
        to(datagram)


def run(transfer: Transfer, receiver: Receiver, link: LossyLink) -> float:
    """Run *transfer* to its end, with the fast path as in the server; return how long it took, in seconds."""
    now = 0.0

    def to_receiver(datagram: bytes) -> None:
        answer = receiver.take(datagram)
        if answer is not None:
            link.send(now, answer, to_server)

    def to_server(datagram: bytes) -> None:
        block = transfer.follow(datagram, now)
        if block is not None:
            link.send(now, block, to_receiver)
            return
        transfer.take(datagram, now)
        send_all()

    def send_all() -> None:
        for datagram in transfer.datagrams():
            link.send(now, datagram, to_receiver)

    send_all()
    while not transfer.outcome:
        if transfer.deadline < link.next_arrival:
            now = transfer.deadline
            transfer.expire(now)
            send_all()
        else:
            now = link.next_arrival
            link.deliver()
    return now
