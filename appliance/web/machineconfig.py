"""Whether a cluster's machine config server answers, which workers may have to wait for."""

import asyncio
from collections.abc import Sequence

CONNECT_SECONDS = 2.0
# A load balancer without backends accepts a connection and closes it; a TLS server waits for the client to begin.
SETTLE_SECONDS = 0.5
KEEP_SECONDS = 5.0  # how long a result is reused, so that 1,000 workers cause a single probe


class MachineConfigProbe:
    """Probes one cluster's machine config server, at most once in KEEP_SECONDS."""

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._servers = servers
        self._lock = asyncio.Lock()
        self._answers = False
        self._valid_until = float("-inf")  # loop clock

    async def answers(self) -> bool:
        """Return whether a server answers at one of the addresses."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._valid_until:
            async with self._lock:
                # Another request may have probed while this one waited for the lock.
                if loop.time() >= self._valid_until:
                    self._answers = any(await asyncio.gather(*(_answers(*server) for server in self._servers)))
                    self._valid_until = loop.time() + KEEP_SECONDS
        return self._answers


async def _answers(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
    except OSError:  # includes TimeoutError
        return False
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            return bool(await reader.read(1))
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.close()
