"""Forwarders with faults, on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from appliance.model import Endpoint
from tests.serving import free_port

LOOPBACK = IPv4Address("127.0.0.1")

Answering = Callable[[dns.message.Message], dns.message.Message | None]


def address_of(query: dns.message.Message, address: str = "203.0.113.7", ttl: int = 300) -> dns.message.Message:
    """Return an answer to *query* with one address, and with the question spelled as in the query."""
    reply = dns.message.make_response(query, recursion_available=True)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", "A", address))
    return reply


class Upstream(asyncio.DatagramProtocol):
    """A forwarder over UDP and TCP that answers what *answering* returns, and keeps the queries."""

    def __init__(self, answering: Answering, answering_tcp: Answering | None = None) -> None:
        self.answering = answering
        self.answering_tcp = answering_tcp or answering
        self.asked: list[dns.message.Message] = []
        self.ports: list[int] = []
        self.asked_over_tcp = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a datagram endpoint's is one

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        self.ports.append(addr[1])
        reply = self.answering(query)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply.to_wire(), addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            query = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
            self.asked_over_tcp += 1
            reply = self.answering_tcp(query)
            if reply is not None:
                wire = reply.to_wire()
                writer.write(len(wire).to_bytes(2) + wire)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def running(upstream: Upstream) -> AsyncIterator[Endpoint]:
    """Run *upstream* on one port for UDP and TCP; yield its endpoint."""
    loop = asyncio.get_running_loop()
    port = free_port()
    server = await asyncio.start_server(upstream.serve_tcp, "127.0.0.1", port)
    transport, _ = await loop.create_datagram_endpoint(lambda: upstream, ("127.0.0.1", port))
    try:
        yield Endpoint(LOOPBACK, port)
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
