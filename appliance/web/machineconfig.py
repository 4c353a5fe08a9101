"""Whether a cluster's machine config server answers, which its workers may wait for."""

import asyncio
from collections.abc import Sequence

CONNECT_SECONDS = 2.0
# A load balancer takes the connection and drops it when nothing stands behind; a TLS server waits for us.
SETTLE_SECONDS = 0.5
KEEP_SECONDS = 5.0  # how long a finding is good for, so that 1,000 workers are one probe


class MachineConfigProbe:
    """Asks one cluster's machine config server, at most once in KEEP_SECONDS."""

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._servers = servers
        self._asking = asyncio.Lock()
        self._found = False
        self._good_until = float("-inf")  # loop clock

    async def answers(self) -> bool:
        """Return whether something stands behind one of the addresses."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._good_until:
            async with self._asking:
                if loop.time() >= self._good_until:
                    self._found = any(await asyncio.gather(*(_answers(*server) for server in self._servers)))
                    self._good_until = loop.time() + KEEP_SECONDS
        return self._found


async def _answers(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
    except OSError:  # TimeoutError is one
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
