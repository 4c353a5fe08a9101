"""How a machine without an address reaches a DHCP server: by frames on an interface, or through a relay.

A place is the network namespace in which a machine's sockets are created. A socket
stays in its namespace, so that one process can run machines in many of them.
"""

import asyncio
import socket
import struct
from contextlib import AbstractContextManager, nullcontext
from ipaddress import IPv4Address
from typing import Protocol

from appliance.errors import SimulationError
from appliance.model import Address, MacAddress
from appliance.simulate.frames import ETH_P_IP, broadcast_frame, datagram_to
from appliance.simulate.machine import Ports
from appliance.simulate.namespace import Namespace, ip, ip_json

BURST = 64  # datagrams read per wake-up, so that a thousand machines take turns
SOL_PACKET, PACKET_AUXDATA = 263, 8  # linux/if_packet.h
PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 1, 1
TP_STATUS_CSUMNOTREADY = 1 << 3  # the sender is on this machine, so that no card has filled in the checksum
AUXDATA = struct.Struct("=IIIHHHH")
LINK_LOCAL_SECONDS = 5.0  # duplicate address detection takes one or two


async def readable(sock: socket.socket, seconds: float) -> bool:
    """Wait until *sock* is readable; return False after *seconds*."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool) -> None:
        if not waiter.done():
            waiter.set_result(result)

    loop.add_reader(sock, settle, True)
    timer = loop.call_later(max(seconds, 0), settle, False)
    try:
        return await waiter
    finally:
        timer.cancel()
        loop.remove_reader(sock)


class DhcpPort(Protocol):
    """The path of one DHCP exchange, in both directions."""

    def send(self, message: bytes) -> None:
        """Send to any server."""

    async def receive(self, seconds: float) -> bytes | None:
        """Return the next message to this machine, or None after *seconds*."""

    def close(self) -> None:
        """End the exchange."""


class Link(Protocol):
    """The network that a machine's card is connected to."""

    giaddr: IPv4Address

    def dhcp(self, xid: int, mac: MacAddress) -> DhcpPort:
        """Return the path for the exchange *xid*."""

    async def dhcp6(self) -> socket.socket:
        """Return a non-blocking socket for DHCPv6, bound to the machine's link-local address."""

    def socket(self, kind: socket.SocketKind, address: Address, port: int = 0) -> socket.socket:
        """Return a non-blocking socket of the machine, bound to its *address*."""

    def configure(self, address: Address, prefix: int, router: Address | None) -> None:
        """Configure the machine's address."""

    def release(self) -> None:
        """Remove the address, as a power cycle does."""


def bound_socket(kind: socket.SocketKind, address: Address, port: int) -> socket.socket:
    """Return a non-blocking socket bound to *address*. Raises SimulationError."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise SimulationError(
            f"cannot bind {address}: {error.strerror}; the machine's address must be an address of this computer"
            " (use --interface on the node network, or a loopback cluster)"
        ) from error
    return sock


class PacketLink:
    """An interface of a place: DHCP as whole frames from the machine's own MAC address (packet(7)).

    Needs CAP_NET_RAW, and CAP_NET_ADMIN to configure the interface's address.
    """

    giaddr = IPv4Address(0)

    def __init__(self, interface: str, ports: Ports, place: AbstractContextManager[None] | None = None) -> None:
        self.interface, self.ports = interface, ports
        self.place = place or nullcontext()
        self._configured: dict[int, str] = {}  # address and prefix, by the version of IP

    def dhcp(self, xid: int, mac: MacAddress) -> DhcpPort:
        """Return a packet socket on the interface."""
        try:
            with self.place:
                return _PacketPort(self.interface, mac, xid, self.ports)
        except OSError as error:
            raise SimulationError(
                f"cannot send frames on {self.interface}: {error.strerror}; root or CAP_NET_RAW is required"
            ) from error

    async def dhcp6(self) -> socket.socket:
        """Return a socket on the interface, once its link-local address can be used."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LINK_LOCAL_SECONDS
        while True:
            with self.place:
                scope = socket.if_nametoindex(self.interface)
                found = ip_json("-6", "addr", "show", "dev", self.interface, "scope", "link", "-tentative")
            addresses = [info["local"] for entry in found for info in _dicts(entry.get("addr_info")) if "local" in info]
            if addresses:
                break
            if loop.time() > deadline:
                raise SimulationError(f"{self.interface} has no link-local address; is IPv6 switched off there?")
            await asyncio.sleep(0.05)
        with self.place:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, scope)
            sock.bind((str(addresses[0]), self.ports.dhcp6_client, 0, scope))
        except OSError as error:
            sock.close()
            raise SimulationError(
                f"cannot use UDP port {self.ports.dhcp6_client} on {self.interface}: {error.strerror}"
            ) from error
        return sock

    def socket(self, kind: socket.SocketKind, address: Address, port: int = 0) -> socket.socket:
        """Return a socket in the place."""
        with self.place:
            return bound_socket(kind, address, port)

    def configure(self, address: Address, prefix: int, router: Address | None) -> None:
        """Add the address to the interface, unless it has it already."""
        if self._configured.get(address.version) == f"{address}/{prefix}":
            return
        self._remove(address.version)
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        with self.place, socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((str(address), 0))
            except OSError:
                pass
            else:
                return
        # Duplicate address detection would only add delay.
        nodad = " nodad" if address.version == 6 else ""
        added = f"addr add {address}/{prefix} dev {self.interface}{nodad}"
        ip(f"link set {self.interface} up", added, place=self.place)
        self._configured[address.version] = f"{address}/{prefix}"
        if router and isinstance(self.place, Namespace):
            ip(f"route replace default via {router}", place=self.place)

    def release(self) -> None:
        """Remove the addresses that were added."""
        for version in tuple(self._configured):
            self._remove(version)

    def _remove(self, version: int) -> None:
        if address := self._configured.pop(version, ""):
            ip(f"addr del {address} dev {self.interface}", place=self.place)


def _dicts(value: object) -> list[dict[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


class _PacketPort:
    def __init__(self, interface: str, mac: MacAddress, xid: int, ports: Ports) -> None:
        self._mac, self._xid, self._ports = mac.octets, xid, ports
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        try:
            self._sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self._sock.bind((interface, ETH_P_IP))
            # A unicast reply goes to the machine's MAC address, which need not be the interface's.
            member = struct.pack("=iHH8s", socket.if_nametoindex(interface), PACKET_MR_PROMISC, 0, b"")
            self._sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
        except OSError:
            self._sock.close()
            raise

    def send(self, message: bytes) -> None:
        self._sock.send(broadcast_frame(self._mac, message, self._ports.dhcp_client, self._ports.dhcp))

    async def receive(self, seconds: float) -> bytes | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and await readable(self._sock, left):
            for _ in range(BURST):
                try:
                    frame, control, _, _ = self._sock.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
                except BlockingIOError:
                    break
                unfinished = any(
                    level == SOL_PACKET and kind == PACKET_AUXDATA and AUXDATA.unpack(data)[0] & TP_STATUS_CSUMNOTREADY
                    for level, kind, data in control
                )
                payload = datagram_to(self._mac, self._ports.dhcp_client, frame, checks_udp=not unfinished)
                if payload is not None and payload[4:8] == self._xid.to_bytes(4, "big"):
                    return payload
        return None

    def close(self) -> None:
        self._sock.close()
