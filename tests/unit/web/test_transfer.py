"""How the bytes of files share the loop."""

import asyncio
import itertools
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from appliance.web.ranges import Slice
from appliance.web.transfer import MIN_STEP_BYTES, STEPS_A_TURN, BrokenTransferError, Sender

CLIENTS = 3 * STEPS_A_TURN


@contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Return connected sockets: the server's end and the client's."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(count)]
        for pair in made:
            for sock in pair:
                stack.enter_context(sock)
                sock.setblocking(False)
        yield made


async def transport_of(sock: socket.socket) -> asyncio.Transport:
    """Return the transport of a server's end."""
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock)
    return transport


def has_some(client: socket.socket) -> bool:
    """Return whether anything has come to the client."""
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


async def test_no_turn_of_the_loop_serves_more_transfers_than_its_share_and_none_starves() -> None:
    sender = Sender()
    with pairs(CLIENTS) as ends, tempfile.TemporaryFile() as file:
        file.truncate(4 * MIN_STEP_BYTES)
        part = Slice(0, 4 * MIN_STEP_BYTES)
        transports = [await transport_of(server) for server, _ in ends]
        sends = [
            asyncio.ensure_future(sender.send(transport, file.fileno(), part, lambda _: None))
            for transport in transports
        ]
        served = [0]
        while served[-1] < CLIENTS:
            await asyncio.sleep(0)
            served.append(sum(has_some(client) for _, client in ends))
            assert len(served) < 20 * CLIENTS
        for send in sends:
            send.cancel()
        await asyncio.gather(*sends, return_exceptions=True)
        for transport in transports:
            transport.abort()
    assert max(after - before for before, after in itertools.pairwise(served)) <= STEPS_A_TURN


async def test_a_transfer_ends_when_its_transport_closes() -> None:
    sender = Sender()
    with pairs(1) as [(server, client)], tempfile.TemporaryFile() as file:
        file.truncate(16 << 20)
        transport = await transport_of(server)
        send = asyncio.ensure_future(sender.send(transport, file.fileno(), Slice(0, 16 << 20), lambda _: None))
        while not has_some(client):
            await asyncio.sleep(0)
        transport.abort()
        client.recv(1 << 20)
        with pytest.raises(BrokenTransferError):
            await send
