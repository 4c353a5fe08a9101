"""Files sent to clients by sendfile(2), in steps.

One rule: all transfers together take a bounded share of each turn of the event
loop, so that DNS, DHCP and TFTP are answered in between, however many there are.
"""

import asyncio
import fcntl
import os
import select
import sys
import termios
from collections.abc import Callable

from appliance.files import Identity, identity_of
from appliance.web.ranges import Slice

# All transfers together send about this much in a turn of the loop: 4 ms at 2 GiB/s.
TURN_BYTES = 8 << 20
# About as much as a socket's buffer takes at once. With 256 KiB, sending a GiB to 64 clients takes 0.32 s of processor
# time instead of 0.17, because the file's pages have left the processor's cache when the next client's turn comes.
MIN_STEP_BYTES = 2 << 20
STEPS_A_TURN = TURN_BYTES // MIN_STEP_BYTES
READ_AHEAD_BYTES = 8 << 20  # keeps the disk busy while the network is
# For pages that are not in memory yet. sendfile blocks until the disk has read them, and the loop with it.
COLD_STEP_BYTES = 256 << 10
# The end of a file waits until the file is known not to have changed. It is read and compared first and then sent, so
# that no write can come in between. A small file is sent by a single write.
TAIL_BYTES = 16 << 10
# iPXE gives up after 120 s without a byte. A client that accepts no data for as long has gone or is hostile.
STALL_SECONDS = 120.0
# What a client has to take in this time. It is a seventh of what a 56k modem takes, and a quarter of the share of
# each of seven hosts behind a link of 256 kbit/s. At this rate an image of 1 GB would take 12 days.
STALL_BYTES = 120_000
PROGRESS_SECONDS = 0.5  # between two progress reports of one transfer


class BrokenTransferError(Exception):
    """The client has gone or accepts no data, or the file changed."""


class Sender:
    """Sends slices of files, and divides each turn of the loop among all transfers."""

    def __init__(self) -> None:
        # An epoll inside the loop's epoll. It returns the writable sockets in rotation, and only as many as a turn
        # has room for. With a loop.add_writer() for each socket, all callbacks would run in the same turn: with
        # 1,000 transfers a turn then took 120 ms, in which TFTP clients timed out.
        self._epoll = select.epoll()
        self._transfers: dict[int, _Transfer] = {}  # by descriptor

    async def send(
        self,
        transport: asyncio.Transport,
        fd: int,
        identity: Identity,
        part: Slice,
        progress: Callable[[int], None],
    ) -> None:
        """Send *part* of the file *fd*, but not its end if the file is not *identity* any more.

        *progress* is called with the number of bytes sent: now and then, at once after
        the last byte, and when the transfer breaks off. The transport's own buffer must
        be empty, or its bytes would follow these. Raises BrokenTransferError.
        """
        loop = asyncio.get_running_loop()
        transfer = _Transfer(loop, transport, fd, identity, part, progress)
        if not self._transfers:
            loop.add_reader(self._epoll.fileno(), self._step)
        self._transfers[transfer.socket] = transfer
        self._epoll.register(transfer.socket, select.EPOLLOUT)
        try:
            await transfer.done
        finally:
            self._epoll.unregister(transfer.socket)
            del self._transfers[transfer.socket]
            transfer.end()
            if not self._transfers:
                loop.remove_reader(self._epoll.fileno())

    def _step(self) -> None:
        ready = self._epoll.poll(0, STEPS_A_TURN)
        if ready:
            share = TURN_BYTES // len(ready)
            for descriptor, _ in ready:
                self._transfers[descriptor].step(share)


class _Transfer:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        fd: int,
        identity: Identity,
        part: Slice,
        progress: Callable[[int], None],
    ) -> None:
        # A second descriptor for the same socket: the transport may close its own at any time, and the next
        # connection would get the same number.
        self.socket = os.dup(transport.get_extra_info("socket").fileno())
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._transport = transport
        self._fd = fd
        self._identity = identity
        self._offset = part.first
        self._first = part.first
        self._end = part.first + part.size
        self._tail = max(part.first, self._end - TAIL_BYTES)
        self._looked_until = part.first  # before this, pages are in memory or being read
        self._progress = progress
        self._reported_at = loop.time()
        self._taken_before = self._taken()  # when the timer was last started
        self._clock = loop.call_later(STALL_SECONDS, self._check_stall)

    def end(self) -> None:
        """Close the descriptor, and report how much was sent if that is not everything."""
        os.close(self.socket)
        self._clock.cancel()
        if self._offset < self._end:
            self._progress(self._offset - self._first)

    def step(self, share: int) -> None:
        """Send what the socket accepts, up to about *share* bytes."""
        if self.done.done():
            return
        if self._transport.is_closing():
            self._fail("the client closed the connection")
            return
        until = min(self._offset + share, self._end)
        while self._looked_until < min(until + READ_AHEAD_BYTES, self._end):
            self._look_ahead()
        if not _is_in_memory(self._fd, until - 1):
            until = min(self._offset + COLD_STEP_BYTES, until)
        # Repeat while the client empties the buffer as fast as it fills: another call is cheaper than another epoll.
        while self._offset < until:
            try:
                if self._offset < self._tail:
                    sent = os.sendfile(self.socket, self._fd, self._offset, min(until, self._tail) - self._offset)
                else:
                    sent = self._send_tail()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._fail((error.strerror or str(error)).lower())
                return
            if sent == 0:
                self._fail("the file changed while it was sent")
                return
            self._offset += sent
        if self._offset >= self._end:
            # Reported before this turn ends: the machine's next DISCOVER may be handled in the same turn, and its
            # answer depends on this transfer's being complete.
            self._progress(self._offset - self._first)
            self.done.set_result(None)
        elif (now := self._loop.time()) - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            self._progress(self._offset - self._first)

    def _send_tail(self) -> int:
        """Send what follows, up to the end; return how much was sent, or 0 if the file has changed."""
        data = os.pread(self._fd, self._end - self._offset, self._offset)
        if not data or identity_of(os.fstat(self._fd)) != self._identity:
            return 0
        return os.write(self.socket, data)

    def _look_ahead(self) -> None:
        # The check takes 3 µs and fadvise 126, a twentieth of the time that sending so much takes.
        last = min(self._looked_until + READ_AHEAD_BYTES, self._end) - 1
        if not _is_in_memory(self._fd, last):
            os.posix_fadvise(self._fd, self._looked_until, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        self._looked_until = last + 1

    def _check_stall(self) -> None:
        if self.done.done():
            return
        taken = self._taken()
        if (accepted := taken - self._taken_before) < STALL_BYTES:
            what = f"only {accepted} bytes in" if accepted else "no data for"
            self._fail(f"the client accepted {what} {STALL_SECONDS:g} s")
            return
        self._taken_before = taken
        self._clock = self._loop.call_later(STALL_SECONDS, self._check_stall)

    def _taken(self) -> int:
        """Return the offset of the first byte that the client's system has not confirmed."""
        # The kernel holds up to 4 MiB, and takes more when a third of that has left, which would take a link of
        # 64 kbit/s three minutes.
        unconfirmed = fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ in tcp(7)
        return self._offset - int.from_bytes(unconfirmed, sys.byteorder)

    def _fail(self, why: str) -> None:
        self.done.set_exception(BrokenTransferError(why))


_ONE_BYTE = (bytearray(1),)


def _is_in_memory(fd: int, offset: int) -> bool:
    """Return whether the byte at *offset* can be read without the disk; True if the file system does not say."""
    try:
        os.preadv(fd, _ONE_BYTE, offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
