"""DNS over TCP: several questions a connection, answered as their answers come (RFC 7766)."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

MAX_CONNECTIONS = 128  # past it the one that has been quiet longest goes
MAX_PENDING = 16  # questions of one connection that wait for forwarders; then it is read no further
IDLE_SECONDS = 10.0  # RFC 7766 section 6.2.3: a few seconds
FAIR_QUESTIONS = 32  # answered in a row before others get their turn
ACCEPT_PAUSE_SECONDS = 0.1  # after an error: most likely we are out of descriptors


class DnsConnections:
    """The connections of one listening socket."""

    def __init__(self, reply_to: Callable[[bytes, str], Awaitable[bytes | None]]) -> None:
        self._reply_to = reply_to
        self._open: dict[asyncio.StreamWriter, None] = {}  # the one that has been quiet longest comes first

    async def run(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            reader, writer = await asyncio.open_connection(sock=sock)
            if len(self._open) >= MAX_CONNECTIONS:
                quietest = next(iter(self._open))
                del self._open[quietest]
                quietest.transport.abort()
            self._open[writer] = None
            tasks.create_task(self._serve(reader, writer, peer[0]))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str) -> None:
        try:
            async with asyncio.TaskGroup() as pending:
                await self._answer_all(reader, writer, client, pending)
            await _sent(writer)
        finally:
            writer.transport.abort()
            self._open.pop(writer, None)

    async def _answer_all(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str, pending: asyncio.TaskGroup
    ) -> None:
        room = asyncio.Semaphore(MAX_PENDING)
        answered = 0
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    await room.acquire()
                    await writer.drain()
            except (TimeoutError, asyncio.IncompleteReadError, OSError):
                return
            if writer in self._open:
                self._open[writer] = self._open.pop(writer)
            pending.create_task(self._answer(query, writer, client, room))
            answered += 1
            if answered % FAIR_QUESTIONS == 0:
                await asyncio.sleep(0)

    async def _answer(self, query: bytes, writer: asyncio.StreamWriter, client: str, room: asyncio.Semaphore) -> None:
        try:
            reply = await self._reply_to(query, client)
        finally:
            room.release()
        if reply is None:
            writer.transport.abort()  # no DNS client speaks so
        elif not writer.is_closing():
            writer.write(len(reply).to_bytes(2) + reply)


async def _sent(writer: asyncio.StreamWriter) -> None:
    """Close *writer*, and return once the client has taken what it was sent, or will not."""
    # close() alone waits for that without end: the descriptor would stay open, and be counted no more.
    writer.close()
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(IDLE_SECONDS):
            await writer.wait_closed()
