"""A relay agent, and the machines behind it: how one process simulates a thousand hosts (RFC 2131, RFC 3046)."""

import asyncio
import socket
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from ipaddress import IPv4Address
from typing import Self

from appliance.errors import SimulationError
from appliance.model import Address, MacAddress
from appliance.simulate.link import BURST, DhcpPort, bound_socket
from appliance.simulate.machine import Ports


class Relay:
    """A relay agent's address: one socket for every machine behind it (RFC 2131 section 4.1, RFC 3046)."""

    def __init__(
        self,
        address: IPv4Address,
        server: IPv4Address,
        ports: Ports,
        place: AbstractContextManager[None] | None = None,
    ) -> None:
        """Bind the server's port on *address*, where replies to giaddr go. Raises SimulationError."""
        self.address, self.ports, self.place = address, ports, place or nullcontext()
        self._to = (str(server), ports.dhcp)
        with self.place:
            self._sock = bound_socket(socket.SOCK_DGRAM, address, ports.dhcp)
        for size_option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._sock.setsockopt(socket.SOL_SOCKET, size_option, 4 << 20)
        self._exchanges: dict[bytes, _RelayPort] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._loop and not self._loop.is_closed():
            self._loop.remove_reader(self._sock)
        self._sock.close()

    def open(self, xid: int) -> "_RelayPort":
        """Return the path for the exchange *xid*."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._sock, self._read)
        port = self._exchanges[xid.to_bytes(4, "big")] = _RelayPort(self, xid)
        return port

    def forget(self, xid: int) -> None:
        """End the exchange *xid*."""
        self._exchanges.pop(xid.to_bytes(4, "big"), None)

    def send(self, message: bytes) -> None:
        """Forward *message* to the server."""
        try:
            self._sock.sendto(message, self._to)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as datagrams may be; the machine retries

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                message = self._sock.recv(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue  # nothing listens on the server's port; the machine retries
            port = self._exchanges.get(message[4:8])
            if port:
                port.take(message)


class _RelayPort:
    def __init__(self, relay: Relay, xid: int) -> None:
        self._relay, self._xid = relay, xid
        self._messages: deque[bytes] = deque(maxlen=16)
        self._waiter: asyncio.Future[None] | None = None

    def send(self, message: bytes) -> None:
        self._relay.send(message)

    def take(self, message: bytes) -> None:
        self._messages.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self, seconds: float) -> bytes | None:
        if not self._messages:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(max(seconds, 0), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        self._relay.forget(self._xid)


class RelayLink:
    """A machine behind a relay; its address is an address of this computer (as all of 127/8 are)."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.giaddr = relay.address

    def dhcp(self, xid: int, _mac: MacAddress) -> DhcpPort:
        """Return the relay's path to the server."""
        return self._relay.open(xid)

    async def dhcp6(self) -> socket.socket:
        """Refuse: this relay is one of DHCPv4."""
        raise SimulationError("a machine behind the simulated relay boots by IPv4 only")

    def socket(self, kind: socket.SocketKind, address: Address, port: int = 0) -> socket.socket:
        """Return a socket in the relay's namespace."""
        with self._relay.place:
            return bound_socket(kind, address, port)

    def configure(self, address: Address, prefix: int, router: Address | None) -> None:
        """Do nothing: this computer has the address already."""

    def release(self) -> None:
        """Do nothing."""
