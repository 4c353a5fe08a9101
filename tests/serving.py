"""Something that runs beside a test until the test has what it wants, such as a server."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path


@asynccontextmanager
async def in_background(run: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run *run* until the block ends; raises what it died of, if it did."""
    task = asyncio.create_task(run)
    await asyncio.sleep(0)  # let it begin
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free for UDP and TCP, and that the kernel gives to no socket by itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(lowest // 2, lowest)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue  # another socket uses it
            return port
