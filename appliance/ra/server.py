"""The socket of router advertisements: messages in and out, events published. It decides nothing."""

import asyncio
import logging
import random
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address

from appliance import sockets
from appliance.allowance import Allowance
from appliance.errors import ListenError
from appliance.events import Event
from appliance.ipv6_interfaces import Interface, list_interfaces, mac_of
from appliance.model import Listen
from appliance.ra.compile import RaTable
from appliance.ra.protocol import ALL_ROUTERS, Arrival, Link, heard, postponed, started, turn

logger = logging.getLogger(__name__)

BURST = 32  # datagrams in one turn of the loop
MAX_MESSAGE_BYTES = 2048
INTERFACES_SECONDS = 5.0  # between two look-ups of interfaces and addresses
SHORTEST_PAUSE = 0.01


class RaServer:
    """Sends router advertisements, and hears those of routers.

    *counts* holds ("sent",), ("unsent", error text), ("heard", "solicitation" | "advertisement" | "forwarded" | …).
    """

    def __init__(self, table: Callable[[], RaTable], listen: Listen, publish: Callable[[Event], None]) -> None:
        """Open the socket if there is a network to serve; *table* returns the present table. Raises ListenError."""
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._table = table
        self._listen = listen
        self._publish = publish
        self._interfaces: dict[int, Interface] = {}
        self._links: dict[int, Link] = {}  # by interface
        self._joined: set[int] = set()
        self._allowance = Allowance()
        self._wake = asyncio.Event()
        self._dice = random.SystemRandom().random
        self._socket: socket.socket | None = None
        if table().segments:
            try:
                self._socket = sockets.router_discovery()
            except OSError as error:
                if table().advertises:
                    raise ListenError(
                        f"cannot send router advertisements: {error.strerror}; run as root or give CAP_NET_RAW (the "
                        "systemd unit does), or set dhcp.routerAdvertisements: false"
                    ) from error
                logger.warning("ra.off why=%s: routers' advertisements are not checked", error.strerror)

    @property
    def is_open(self) -> bool:
        """Whether it can send and hear; the socket is opened at the start or never."""
        return self._socket is not None

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def run(self) -> None:
        """Serve until cancelled, then close the socket."""
        loop, sock = asyncio.get_running_loop(), self._socket
        if sock is None:
            await loop.create_future()
            return
        loop.add_reader(sock, self._drain, sock)
        try:
            followed_at = float("-inf")
            while True:
                now = loop.time()
                if now - followed_at >= INTERFACES_SECONDS:
                    followed_at = now
                    self._follow_interfaces(sock, now)
                for index, link in list(self._links.items()):
                    if link.next_at <= now:
                        self._turn(sock, index, link, now)
                next_at = min([followed_at + INTERFACES_SECONDS, *(link.next_at for link in self._links.values())])
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(next_at - now, SHORTEST_PAUSE))
        finally:
            loop.remove_reader(sock)
            self.close()

    def _follow_interfaces(self, sock: socket.socket, now: float) -> None:
        table = self._table()
        found = {
            index: interface
            for index, interface in list_interfaces().items()
            if table.segments_of(interface.addresses) and (not self._listen.dhcp or interface.name in self._listen.dhcp)
        }
        self._joined &= set(found)  # one that was removed has left the group
        self._interfaces = found
        links = self._links
        self._links = {}
        for index, interface in found.items():
            advertised = table.advertisement(interface.addresses, mac_of(interface.name))
            self._links[index] = started(advertised, now, links.get(index))
            if index not in self._joined:
                with suppress(OSError):  # it was removed in the meantime
                    sockets.join_group(sock, IPv6Address(ALL_ROUTERS), index)
                    self._joined.add(index)

    def _turn(self, sock: socket.socket, index: int, link: Link, now: float) -> None:
        result = turn(link, self._interfaces[index].name, now, self._dice())
        self._links[index] = result.link
        if result.message:
            try:
                sock.sendto(result.message, (result.group, 0, 0, index))
                self.counts["sent",] += 1
            except OSError as error:
                self.counts["unsent", error.strerror or str(error)] += 1
                self._links[index] = postponed(link, now)
        if result.event is not None:
            self._publish(result.event)

    def _drain(self, sock: socket.socket) -> None:
        for _ in range(BURST):
            try:
                datagram, ancillary, _, source = sock.recvmsg(MAX_MESSAGE_BYTES, sockets.ROUTER_DISCOVERY_ANCILLARY)
            except OSError:
                return  # nothing left to read, or an interface is down
            index, hop_limit = sockets.arrival_of(ancillary)
            link, interface = self._links.get(index), self._interfaces.get(index)
            if link is None or interface is None:
                self.counts["heard", "elsewhere"] += 1
                continue
            address = socket.inet_pton(socket.AF_INET6, source[0].partition("%")[0])
            arrival = Arrival(interface.name, interface.addresses, address, hop_limit)
            now = asyncio.get_running_loop().time()
            self._links[index], event, what = heard(self._table(), link, datagram, arrival, now, self._dice())
            self.counts["heard", what] += 1
            # Anybody on the link can invent routers.
            if event is not None and self._allowance.take(now):
                self._publish(event)
            self._wake.set()
