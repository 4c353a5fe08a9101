"""The machines' stub resolver, against name servers with faults."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

import pytest

from appliance.simulate.names import NameLookupError, StubResolver
from tests.simulate_loopback import Loopback

LOOPBACK = IPv4Address("127.0.0.1")
POINTER = b"\xc0\x0c"  # to the name in the question


class Server(asyncio.DatagramProtocol):
    """A name server that answers every query with what *answer* makes of it."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self.transport.sendto(self.answer(data), peer)


@asynccontextmanager
async def resolver(answer: Callable[[bytes], bytes]) -> AsyncIterator[StubResolver]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Server(answer), ("127.0.0.1", 0))
    try:
        yield StubResolver(Loopback(), LOOPBACK, (LOOPBACK,), transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def with_address(rdata: bytes) -> Callable[[bytes], bytes]:
    """Return an answer with one A record of *rdata*."""

    def answer(query: bytes) -> bytes:
        record = POINTER + struct.pack("!HHIH", 1, 1, 60, len(rdata)) + rdata
        return query[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0) + query[12:] + record

    return answer


async def test_an_address_is_resolved() -> None:
    async with resolver(with_address(b"\xc0\x00\x02\x15")) as stub:
        assert await stub.address_of("m1.example") == IPv4Address("192.0.2.21")


@pytest.mark.parametrize("rdata", [b"", b"\xc0\x00\x02", b"\xc0\x00\x02\x15\x00"])
async def test_an_address_of_another_length_is_an_error(rdata: bytes) -> None:
    async with resolver(with_address(rdata)) as stub:
        with pytest.raises(NameLookupError, match=f"an A record of {len(rdata)} bytes"):
            await stub.address_of("m1.example")


@pytest.mark.parametrize("size", [64, 300])
async def test_a_name_that_no_query_can_carry_is_an_error(size: int) -> None:
    async with resolver(with_address(b"")) as stub:
        with pytest.raises(NameLookupError, match="is not a domain name"):
            await stub.address_of("x" * size)
