"""How many connections the web server accepts, and how much memory each may cost before its request is served."""

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from appliance.web.head import END, MAX_HEAD_BYTES
from tests.web_server import Running, fill, running

COUNT = 20
MOST_BYTES = 64 << 10
METAL = "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
START = b"GET /nothing HTTP/1.1\r\nHost: x\r\nX: "
FIELDS = [b"a" * 8000] * 125


@pytest.mark.parametrize(("soft", "hard", "bound"), [(256, 1024, 170), (1024, 4096, 682), (600, 600, 100)])
def test_connections_are_bounded_by_the_descriptors_that_can_be_had(soft: int, hard: int, bound: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from appliance.web.connections import connection_bound; print(connection_bound())"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(told.stdout) == bound


async def push(web: Running, sent: bytes) -> socket.socket:
    """Return a connection on which as much of *sent* went out as the server took within a moment."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", web.port))
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(1.0):
            await loop.sock_sendall(connection, sent)
    return connection


@pytest.mark.parametrize(
    "sent",
    [
        START + b"a" * (MAX_HEAD_BYTES - 1 - len(START)),
        START + b"a" * (1 << 20),
        b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % METAL.encode() + (START + b"\r\nX: ".join(FIELDS) + END) * 2,
    ],
    ids=["unfinished", "a megabyte", "requests of a megabyte behind an answer that is not read"],
)
async def test_heads_cost_a_connection_at_most_64_kib(tmp_path: Path, sent: bytes) -> None:
    fill(tmp_path)
    os.truncate(tmp_path / "images" / METAL, 64 << 20)  # more than the kernel takes for a client that does not read
    async with running(tmp_path) as web:
        tracemalloc.start()
        try:
            connections = await asyncio.gather(*(push(web, sent) for _ in range(COUNT)))
            await asyncio.sleep(0.5)  # for the server to read what it will
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] <= COUNT * MOST_BYTES
        finally:
            tracemalloc.stop()
        for connection in connections:
            connection.close()
