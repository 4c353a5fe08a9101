"""Bytes of a file to a client, by sendfile in slices.

One rule: no client holds the loop for longer than its share, so that DNS and
DHCP answer between the slices of any number of transfers.
"""

import asyncio
import os
from collections.abc import Callable

from appliance.web.ranges import Slice

# All transfers together send about this much in one turn of the loop: some 4 ms at 2 GiB/s.
TURN_BYTES = 8 << 20
MAX_STEP_BYTES = 4 << 20  # more than a socket's buffer takes at once
MIN_STEP_BYTES = 256 << 10  # below this the system call itself shows
READ_AHEAD_BYTES = 8 << 20  # so that the disk works while the network does, and sendfile does not wait for it
# iPXE gives up after 120 s without a byte; a client that takes nothing for so long is gone, or does harm.
STALL_SECONDS = 120.0
PROGRESS_SECONDS = 0.5  # between two reports of one transfer


class BrokenTransferError(Exception):
    """The client is gone, or takes nothing; or the file is shorter than it was."""


class Sender:
    """Sends slices of files, and shares the loop among all that it sends."""

    def __init__(self) -> None:
        self.active = 0

    async def send(self, transport: asyncio.Transport, fd: int, part: Slice, progress: Callable[[int], None]) -> None:
        """Send *part* of the file *fd*.

        *progress* hears how many of its bytes are out: now and then, and at the
        end, however that comes. The transport's own buffer must be empty.
        Raises BrokenTransferError.
        """
        self.active += 1
        transfer = _Transfer(self, transport, fd, part, progress)
        try:
            await transfer.run()
        finally:
            self.active -= 1


class _Transfer:
    def __init__(
        self, sender: Sender, transport: asyncio.Transport, fd: int, part: Slice, progress: Callable[[int], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sender = sender
        self._transport = transport
        self._fd = fd
        self._offset = part.first
        self._first = part.first
        self._end = part.first + part.size
        self._hinted = part.first
        self._progress = progress
        self._reported_at = self._loop.time()
        self._stalled_at = self._offset  # where it stood when the clock was last set
        self._done: asyncio.Future[None] = self._loop.create_future()
        # The loop refuses to watch a descriptor that a transport owns, so this is another one of the same
        # socket. loop.sendfile does without, but sets and clears the watch around every single call.
        self._socket = os.dup(transport.get_extra_info("socket").fileno())

    async def run(self) -> None:
        self._clock = self._loop.call_later(STALL_SECONDS, self._check_stall)
        try:
            self._step()
            if not self._done.done():
                self._loop.add_writer(self._socket, self._step)
            await self._done
        finally:
            self._loop.remove_writer(self._socket)
            os.close(self._socket)
            self._clock.cancel()
            self._progress(self._offset - self._first)

    def _step(self) -> None:
        """Send what the socket takes, up to this transfer's share of the turn."""
        if self._done.done():
            return
        if self._transport.is_closing():
            self._fail("the client closed the connection")
            return
        share = min(MAX_STEP_BYTES, max(MIN_STEP_BYTES, TURN_BYTES // self._sender.active))
        if self._offset + share > self._hinted:
            os.posix_fadvise(self._fd, self._hinted, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            self._hinted += READ_AHEAD_BYTES
        try:
            sent = os.sendfile(self._socket, self._fd, self._offset, min(share, self._end - self._offset))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail((error.strerror or str(error)).lower())
            return
        if sent == 0:
            self._fail("the file became shorter while it was sent")
            return
        self._offset += sent
        if self._offset >= self._end:
            self._done.set_result(None)
        elif (now := self._loop.time()) - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            self._progress(self._offset - self._first)

    def _check_stall(self) -> None:
        if self._done.done():
            return
        if self._offset == self._stalled_at:
            self._fail(f"the client took nothing for {STALL_SECONDS:g} seconds")
            return
        self._stalled_at = self._offset
        self._clock = self._loop.call_later(STALL_SECONDS, self._check_stall)

    def _fail(self, why: str) -> None:
        self._done.set_exception(BrokenTransferError(why))
