"""No request, whole or cut at any byte, keeps a connection's place once its client has left."""

import asyncio
import contextlib
import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.install.installation import Stage
from appliance.web import connections
from tests.mutations import mutated
from tests.web_server import Running, fill, running

FREE_SECONDS = 30.0  # from when the last client left until every place is free
METAL = "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
TOKEN = "0123456789abcdef"
HOST, STRANGER = "127.16.0.21", "127.0.0.1"
AT_ONCE = 50
SEEDS = (
    b"GET /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % METAL.encode(),
    b"GET /%s HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,-5\r\nConnection: close\r\n\r\n" % METAL.encode(),
    b"GET /ipxe/00-50-56-96-37-c8.ipxe HTTP/1.0\r\n\r\n",
    b"GET /ignition/%s/master.ign HTTP/1.1\r\nHost: x\r\n\r\n" % TOKEN.encode(),
    b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    b"GET /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nExpect: 100-continue\r\n\r\nmore",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"CONNECT \r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
)  # fmt: skip
LEAVINGS = ("close", "reset", "half-close", "read-all", "read-some")


async def visit(web: Running, pieces: list[bytes], leaving: str, client: str) -> None:
    """Connect, send *pieces*, and leave."""
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port, local_addr=(client, 0), limit=1024)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            await leave(reader, writer, leaving)
        finally:
            writer.close()


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, leaving: str) -> None:
    """Do what a client may do before it closes the connection."""
    if leaving == "reset":
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if leaving == "half-close":
        writer.write_eof()
    if leaving in ("read-all", "read-some", "half-close"):
        with contextlib.suppress(TimeoutError):
            # Not what the test waits for: a client has patience, and then leaves.
            async with asyncio.timeout(0.02):
                await reader.read(64 << 10 if leaving == "read-all" else 10)


async def all_free(web: Running) -> bool:
    """Return whether every place is free within FREE_SECONDS."""
    http = web.server._connections
    assert http is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FREE_SECONDS):
            while len(http.doors) or http.connections or http.busy:
                await asyncio.sleep(0.01)
            return True
    return False


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    # Else each wave takes as long: a refused client's megabytes are left unread, and so is the end behind them.
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.05)
    fill(tmp_path)
    os.truncate(tmp_path / "images" / METAL, 64 << 20)  # more than the kernel takes for a client that does not read
    async with running(tmp_path) as server:
        server.install("m1", Stage.INITRAMFS, token=TOKEN)
        yield server


async def test_request_that_is_cut_at_any_byte_leaves_no_place_taken(web: Running) -> None:
    for sent in SEEDS:
        for leaving in ("close", "reset", "half-close"):
            await asyncio.gather(*(visit(web, [sent[:cut]], leaving, STRANGER) for cut in range(len(sent) + 1)))
            assert await all_free(web), (sent, leaving)


def wave(chance: random.Random) -> list[tuple[list[bytes], str, str]]:
    """Return what AT_ONCE clients send, how they leave, and their addresses."""
    visits = []
    for _ in range(AT_ONCE):
        data = b"".join(chance.choices(SEEDS, k=chance.choice((1, 1, 1, 2, 5))))
        if chance.random() < 0.7:
            data = mutated(data, chance, most=40)
        if chance.random() < 0.5:
            data = data[: chance.randrange(len(data) + 1)]
        if chance.random() < 0.05:
            data += chance.choice((b"a", b"\r\n", b"X: y\r\n")) * chance.choice((5_000, 200_000))
        at = chance.randrange(len(data) + 1)
        visits.append(([data[:at], data[at:]], chance.choice(LEAVINGS), chance.choice((HOST, STRANGER))))
    return visits


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(3.0, id="quick"),
        pytest.param(
            float(os.environ.get("FUZZ_SECONDS", "60")),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.timeout(float(os.environ.get("FUZZ_SECONDS", "60")) + 120)],
        ),
    ],
)
async def test_mutated_requests_leave_no_place_taken(web: Running, seconds: float) -> None:
    end, seed = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        await asyncio.gather(*(visit(web, *each) for each in wave(random.Random(seed))))
        assert await all_free(web), f"seed {seed}"
        web.events.clear()
        seed += 1
    print(f"{seed * AT_ONCE} connections")
    assert not any(key[-1] == "500" for key in web.server.counts)
