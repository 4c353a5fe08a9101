"""A way into the lab: forwards connections from outside to an address inside."""

import asyncio

from appliance.model import Endpoint


class Forwarder:
    """Forwards a browser's connections to the dashboard inside the lab.

    Its listening socket was opened outside, and a socket stays in the network
    namespace that it was opened in.
    """

    def __init__(self, inside: Endpoint) -> None:
        self._inside = inside

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        try:
            there = await asyncio.open_connection(str(self._inside.address), self._inside.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pour(reader, there[1]), _pour(there[0], writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return  # one side is gone; closing the other side signals that
    finally:
        writer.close()
