"""Bytes of a file to a client, by sendfile in slices.

One rule: all transfers together hold the loop for no longer than one turn's share,
so that DNS, DHCP and TFTP answer between the slices of any number of them.
"""

import asyncio
import os
import select
from collections.abc import Callable

from appliance.web.ranges import Slice

# All transfers together send about this much in one turn of the loop: some 4 ms at 2 GiB/s.
TURN_BYTES = 8 << 20
# What fits into a socket's buffer in one go. With 256 KiB instead, a GiB to 64 clients takes 0.32 s of CPU
# instead of 0.17: the file's pages are out of the cache again when the next client's turn comes.
MIN_STEP_BYTES = 2 << 20
STEPS_A_TURN = TURN_BYTES // MIN_STEP_BYTES
READ_AHEAD_BYTES = 8 << 20  # so that the disk works while the network does
COLD_STEP_BYTES = 256 << 10  # of what the disk has yet to bring: sendfile waits for it, and everybody with it
# iPXE gives up after 120 s without a byte; a client that takes nothing for so long is gone, or does harm.
STALL_SECONDS = 120.0
PROGRESS_SECONDS = 0.5  # between two reports of one transfer


class BrokenTransferError(Exception):
    """The client is gone, or takes nothing; or the file is shorter than it was."""


class Sender:
    """Sends slices of files, and shares the loop among all that it sends."""

    def __init__(self) -> None:
        # An epoll of our own inside the loop's: it hands out the sockets that can take more in turn, and only
        # as many as one turn has room for. A watch by the loop for each would be called for all of them at once:
        # 1,000 transfers then held the loop for 120 ms a turn, and every TFTP client beside them.
        self._epoll = select.epoll()
        self._transfers: dict[int, _Transfer] = {}  # by descriptor

    async def send(self, transport: asyncio.Transport, fd: int, part: Slice, progress: Callable[[int], None]) -> None:
        """Send *part* of the file *fd*.

        *progress* hears how many of its bytes are out: now and then, at once when the
        last one is, and when it broke off. The transport's own buffer must be empty.
        Raises BrokenTransferError.
        """
        loop = asyncio.get_running_loop()
        transfer = _Transfer(loop, transport, fd, part, progress)
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
        part: Slice,
        progress: Callable[[int], None],
    ) -> None:
        # Another descriptor of the same socket: the transport closes its own whenever it likes, and the
        # next connection would get the number.
        self.socket = os.dup(transport.get_extra_info("socket").fileno())
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._transport = transport
        self._fd = fd
        self._offset = part.first
        self._first = part.first
        self._end = part.first + part.size
        self._looked_until = part.first  # what lies before this is in memory, or the disk was told to bring it
        self._progress = progress
        self._reported_at = loop.time()
        self._stalled_at = self._offset  # where it stood when the clock was last set
        self._clock = loop.call_later(STALL_SECONDS, self._check_stall)

    def end(self) -> None:
        """Let go of the socket, and tell how far it came if that is not all the way."""
        os.close(self.socket)
        self._clock.cancel()
        if self._offset < self._end:
            self._progress(self._offset - self._first)

    def step(self, share: int) -> None:
        """Send what the socket takes, up to *share* bytes."""
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
        # Again while the client empties the buffer as fast as it fills: a wait for room costs more than the call.
        while self._offset < until:
            try:
                sent = os.sendfile(self.socket, self._fd, self._offset, until - self._offset)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._fail((error.strerror or str(error)).lower())
                return
            if sent == 0:
                self._fail("the file became shorter while it was sent")
                return
            self._offset += sent
        if self._offset >= self._end:
            # In this very turn of the loop: a machine may have it all and be back with its next DISCOVER in the same.
            self._progress(self._offset - self._first)
            self.done.set_result(None)
        elif (now := self._loop.time()) - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            self._progress(self._offset - self._first)

    def _look_ahead(self) -> None:
        # To ask takes 3 µs and to tell 126, which is a twentieth of what sending so much takes.
        last = min(self._looked_until + READ_AHEAD_BYTES, self._end) - 1
        if not _is_in_memory(self._fd, last):
            os.posix_fadvise(self._fd, self._looked_until, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        self._looked_until = last + 1

    def _check_stall(self) -> None:
        if self.done.done():
            return
        if self._offset == self._stalled_at:
            self._fail(f"the client accepted no data for {STALL_SECONDS:g} s")
            return
        self._stalled_at = self._offset
        self._clock = self._loop.call_later(STALL_SECONDS, self._check_stall)

    def _fail(self, why: str) -> None:
        self.done.set_exception(BrokenTransferError(why))


_ONE_BYTE = (bytearray(1),)


def _is_in_memory(fd: int, offset: int) -> bool:
    """Whether the byte at *offset* can be read without waiting for the disk; True where the file system cannot tell."""
    try:
        os.preadv(fd, _ONE_BYTE, offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
