"""DNS over TCP: several queries on each connection, each answered as soon as its reply is ready (RFC 7766)."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

# For each listening socket. One more closes the connection that has been idle longest. Nodes use TCP only after a
# truncated reply, so this bounds what hostile clients can occupy: 128 times 16 queries of at most 64 KiB, 128 MiB.
MAX_CONNECTIONS = 128
MAX_PENDING = 16  # unanswered queries of one connection; after that many it is not read until a reply is ready
# Of those, from one address. Its own longest idle connection is closed for one more, and nobody else's.
MAX_CONNECTIONS_PER_CLIENT = 32
IDLE_SECONDS = 10.0  # RFC 7766 section 6.2.3: a few seconds
FAIR_QUERIES = 32  # of one connection in a row, before everything else gets a turn
ACCEPT_PAUSE_SECONDS = 0.1  # after accept fails, most likely because no file descriptor is left


class DnsConnections:
    """The connections of one listening socket."""

    def __init__(self, reply_to: Callable[[bytes, str], Awaitable[bytes | None]]) -> None:
        self._reply_to = reply_to
        self._open: dict[asyncio.StreamWriter, str] = {}  # the client of each, in the order of their last queries

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
            self._make_room(peer[0])
            self._open[writer] = peer[0]
            tasks.create_task(self._serve(reader, writer, peer[0]))

    def _make_room(self, client: str) -> None:
        """Close the connection that has been idle longest if there are too many, of *client* or of all."""
        own = [writer for writer, peer in self._open.items() if peer == client]
        if len(own) >= MAX_CONNECTIONS_PER_CLIENT:
            longest_idle = own[0]
        elif len(self._open) >= MAX_CONNECTIONS:
            longest_idle = next(iter(self._open))
        else:
            return
        del self._open[longest_idle]
        longest_idle.transport.abort()

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
                    # A client that does not read its replies makes both calls wait, and so counts as idle.
                    await room.acquire()
                    await writer.drain()
            except (TimeoutError, asyncio.IncompleteReadError, OSError):
                return
            # Moved to the end of the order, unless the connection was closed meanwhile to make room.
            if writer in self._open:
                self._open[writer] = self._open.pop(writer)
            pending.create_task(self._answer(query, writer, client, room))
            answered += 1
            if answered % FAIR_QUERIES == 0:
                await asyncio.sleep(0)

    async def _answer(self, query: bytes, writer: asyncio.StreamWriter, client: str, room: asyncio.Semaphore) -> None:
        try:
            reply = await self._reply_to(query, client)
        finally:
            room.release()
        if reply is None:
            writer.transport.abort()  # not a query, so what follows is not DNS either
        elif not writer.is_closing():
            writer.write(len(reply).to_bytes(2) + reply)


async def _sent(writer: asyncio.StreamWriter) -> None:
    """Close *writer*, and return when the client has received everything, after IDLE_SECONDS at the latest."""
    # After close() alone, the transport would wait for the client without end, while its descriptor stays open and
    # MAX_CONNECTIONS no longer counts it.
    writer.close()
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(IDLE_SECONDS):
            await writer.wait_closed()
