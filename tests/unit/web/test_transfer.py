"""How transfers of files share the event loop."""

import asyncio
import contextlib
import itertools
import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from appliance.files import identity_of
from appliance.web.ranges import Slice
from appliance.web.transfer import (
    MIN_STEP_BYTES,
    READ_AHEAD_BYTES,
    STALL_BYTES,
    STEPS_A_TURN,
    TAIL_BYTES,
    BrokenTransferError,
    Sender,
)

CLIENTS = 3 * STEPS_A_TURN


@contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Return pairs of connected sockets: the server's end and the client's."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(count)]
        for pair in made:
            for sock in pair:
                stack.enter_context(sock)
                sock.setblocking(False)
        yield made


async def transport_of(sock: socket.socket) -> asyncio.Transport:
    """Return a transport for the server's end of a connection."""
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock)
    return transport


def has_some(client: socket.socket) -> bool:
    """Return whether the client has received anything."""
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
            asyncio.ensure_future(
                sender.send(transport, file.fileno(), identity_of(os.fstat(file.fileno())), part, lambda _: None)
            )
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
        send = asyncio.ensure_future(
            sender.send(
                transport, file.fileno(), identity_of(os.fstat(file.fileno())), Slice(0, 16 << 20), lambda _: None
            )
        )
        while not has_some(client):
            await asyncio.sleep(0)
        transport.abort()
        client.recv(1 << 20)
        with pytest.raises(BrokenTransferError):
            await send


async def test_a_file_that_the_disk_has_yet_to_bring_arrives_whole() -> None:
    sender = Sender()
    content = random.Random(7).randbytes(2 * READ_AHEAD_BYTES + 12_345)
    with pairs(1) as [(server, client)], tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # because a file system in memory does
        transport = await transport_of(server)
        part = Slice(1000, len(content) - 2000)
        told: list[int] = []
        send = asyncio.ensure_future(
            sender.send(transport, file.fileno(), identity_of(os.fstat(file.fileno())), part, told.append)
        )
        came = bytearray()
        while len(came) < part.size:
            came += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1 << 20), 30)
        await send
        transport.abort()
    assert came == content[1000:-1000]
    assert told[-1] == part.size


async def test_the_last_byte_is_reported_in_the_turn_that_sends_it() -> None:
    """A machine that has its image may send a DISCOVER that is read in the same turn of the loop."""
    sender = Sender()
    with pairs(1) as [(server, client)], tempfile.TemporaryFile() as file:
        file.truncate(1000)
        transport = await transport_of(server)
        told: list[tuple[int, bool]] = []
        send = asyncio.ensure_future(
            sender.send(
                transport,
                file.fileno(),
                identity_of(os.fstat(file.fileno())),
                Slice(0, 1000),
                lambda sent: told.append((sent, has_some(client))),
            )
        )
        while not has_some(client):
            assert not told
            await asyncio.sleep(0)
            assert bool(told) == has_some(client)
        await send
        transport.abort()
    assert told == [(1000, True)]


@asynccontextmanager
async def slow_download() -> AsyncIterator[tuple[Sender, "asyncio.Future[None]", socket.socket]]:
    """Send 64 MiB over TCP to a client that has read nothing yet, and whose window is small."""
    sender = Sender()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket() as client,
        tempfile.TemporaryFile() as file,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        client.connect(listener.getsockname())
        client.setblocking(False)
        server, _ = listener.accept()
        server.setblocking(False)
        transport = await transport_of(server)
        file.truncate(64 << 20)
        identity = identity_of(os.fstat(file.fileno()))
        whole = Slice(0, 64 << 20)
        send = asyncio.ensure_future(sender.send(transport, file.fileno(), identity, whole, lambda _: None))
        while not has_some(client):
            await asyncio.sleep(0)
        try:
            yield sender, send, client
        finally:
            transport.abort()
            send.cancel()
            await asyncio.gather(send, return_exceptions=True)


def look(sender: Sender) -> None:
    """Let the time pass between two looks at whether the only transfer stalls."""
    (transfer,) = sender._transfers.values()
    transfer._check_stall()


async def test_client_that_takes_less_than_the_least_rate_is_cut_off() -> None:
    async with slow_download() as (sender, send, client):
        await asyncio.get_running_loop().sock_recv(client, 150)
        look(sender)
        with pytest.raises(BrokenTransferError, match=r"the client accepted only \d+ bytes in 120 s"):
            await asyncio.wait_for(send, 10)


async def test_slow_client_goes_on_while_the_kernel_takes_nothing_more_for_it() -> None:
    async with slow_download() as (sender, _, client):
        for _turn in range(2):
            (transfer,) = sender._transfers.values()
            before, received = transfer._offset, 0
            while received < 2 * STALL_BYTES:
                received += len(await asyncio.get_running_loop().sock_recv(client, 4096))
            look(sender)
            assert not transfer.done.done()
        assert transfer._offset == before


@pytest.mark.parametrize("size", [100, 8 << 20])
@pytest.mark.parametrize("change", ["overwrite", "shorten", "lengthen"])
async def test_a_file_that_changes_in_place_does_not_arrive_whole(size: int, change: str) -> None:
    sender = Sender()
    with pairs(1) as [(server, client)], tempfile.TemporaryFile() as file:
        file.write(b"a" * size)
        file.flush()
        os.utime(file.fileno(), ns=(0, 0))  # time stamps of file systems are coarser than this test is fast
        identity = identity_of(os.fstat(file.fileno()))
        transport = await transport_of(server)
        send = asyncio.ensure_future(sender.send(transport, file.fileno(), identity, Slice(0, size), lambda _: None))
        if size > TAIL_BYTES:
            while not has_some(client):
                await asyncio.sleep(0)
        match change:
            case "overwrite":
                os.pwrite(file.fileno(), b"b" * size, 0)
            case "shorten":
                file.truncate(size // 2)
            case _:
                os.pwrite(file.fileno(), b"b", size)
        came = bytearray()
        while not send.done():
            with contextlib.suppress(BlockingIOError):
                came += client.recv(1 << 20)
            await asyncio.sleep(0)
        transport.abort()
        with pytest.raises(BrokenTransferError, match="changed"):
            send.result()
    assert len(came) < size


async def test_a_file_that_another_one_replaced_arrives_whole(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"a" * (8 << 20))
    sender = Sender()
    with pairs(1) as [(server, client)], path.open("rb") as file:
        transport = await transport_of(server)
        send = asyncio.ensure_future(
            sender.send(
                transport, file.fileno(), identity_of(os.fstat(file.fileno())), Slice(0, 8 << 20), lambda _: None
            )
        )
        while not has_some(client):
            await asyncio.sleep(0)
        (tmp_path / "new").write_bytes(b"b")
        (tmp_path / "new").replace(path)
        came = bytearray()
        while len(came) < 8 << 20:
            with contextlib.suppress(BlockingIOError):
                came += client.recv(1 << 20)
            await asyncio.sleep(0)
        await send
        transport.abort()
    assert came == b"a" * (8 << 20)
