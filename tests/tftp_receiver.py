"""A TFTP client as the RFCs have it, and a link that loses, doubles and delays what goes over it."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from appliance.tftp.protocol import ACK, BLOCK_NUMBERS, DATA, HEAD, OACK
from appliance.tftp.transfer import Transfer

ONE_WAY_SECONDS = 0.001
PASS, DROP, DOUBLE, LATE = "pass", "drop", "double", "late"


@dataclass
class Receiver:
    """The client's side of a transfer (RFC 1350, 7440); it never sends anything of its own accord.

    An *eager* one answers each block that it does not expect, as EDK2's does; the
    other tells of a gap once, and of a window that it has already after its last block.
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
        """Return what the client answers."""
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
        if ahead == 0 or self.is_eager:  # the last block again: our ACK was lost
            return self._ack()
        if ahead < BLOCK_NUMBERS // 2 and not self.in_gap:  # a block is missing; say so once
            self.in_gap = True
            return self._ack()
        return None

    def _ack(self) -> bytes:
        self.in_window = 0
        return HEAD.pack(ACK, self.received % BLOCK_NUMBERS)


class LossyLink:
    """Carries datagrams both ways, doing to each what *faults* says next."""

    def __init__(self, faults: Iterator[str]) -> None:
        self._faults = faults
        self._flying: list[tuple[float, int, Callable[[bytes], None], bytes]] = []
        self._count = 0

    def send(self, now: float, datagram: bytes, to: Callable[[bytes], None]) -> None:
        """Put a datagram on its way; *to* is called when it arrives."""
        fault = next(self._faults)
        delays = {PASS: [1.0], DROP: [], DOUBLE: [1.0, 1.5], LATE: [40.0]}[fault]
        for delay in delays:
            self._count += 1
            heapq.heappush(self._flying, (now + delay * ONE_WAY_SECONDS, self._count, to, datagram))

    @property
    def next_arrival(self) -> float:
        """When the next datagram arrives."""
        return self._flying[0][0] if self._flying else float("inf")

    def deliver(self) -> None:
        """Let the next datagram arrive."""
        _, _, to, datagram = heapq.heappop(self._flying)
        to(datagram)


def run(transfer: Transfer, receiver: Receiver, link: LossyLink) -> float:
    """Carry *transfer* to its end, using the server's fast path as the server does; return the time it took."""
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
