"""DHCPv6's sockets: datagrams in, replies out, events published. It decides nothing."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address
from typing import NamedTuple

from appliance import sockets
from appliance.dhcp.interfaces import list_interfaces as list_ipv4_interfaces
from appliance.dhcp.telling import Telling
from appliance.dhcp6.compile import Dhcp6Table, ipv4_mapped
from appliance.dhcp6.protocol import UNRESOLVED, answer
from appliance.dhcp6.reply import Arrival, Reply, Silence, heard
from appliance.errors import ListenError
from appliance.events import Event, Program
from appliance.install.installation import Installation
from appliance.install.recipes import NO_BEGINNINGS, Beginnings
from appliance.ipv6_interfaces import Interface, list_interfaces
from appliance.model import DHCP6_DISTANCE, DHCP_PORT, Listen
from appliance.neighbours import MacOnLink
from appliance.sockets import IN6_PKTINFO

logger = logging.getLogger(__name__)

# The host, its datagram, source and destination, and the program that it shows to run on the host now.
Tap = Callable[[str, bytes, tuple[str, int], tuple[str, int], Program | None], None]

AGENTS_AND_SERVERS = IPv6Address("ff02::1:2")  # RFC 8415 section 7.1
ALL_SERVERS = IPv6Address("ff05::1:3")  # relays send there unless they are given our address
BURST = 32  # datagrams in one turn of the loop, some 2 ms; the other services run in between
MAX_REQUEST_BYTES = 2048  # more than any MTU on a DHCP path
ANCILLARY_BYTES = socket.CMSG_SPACE(IN6_PKTINFO.size)
INTERFACES_SECONDS = 5.0  # between two look-ups of interfaces and addresses
# A message from an address that the kernel has not resolved is answered after this time, in which it can be. A client
# repeats its message after a second or more (SOL_TIMEOUT, RFC 8415 section 7.6).
RESOLVING_SECONDS = 0.05
MAX_RESOLVING = 64  # messages; more wait for the client's next one
DISCARD_PORT = 9
MULTICAST = 0xFF  # the first octet of a group's address
SILENCE = "dhcp6.silence why=%s from=%s interface=%s"


class _Received(NamedTuple):
    """A datagram, and what is needed to send to where it came from."""

    sock: socket.socket
    datagram: bytes
    source: tuple[str, int, int, int]  # address, port, flow label, and the interface of a link-local address
    local: bytes  # address that it was sent to
    interface: int  # on which it arrived, by index


class Dhcp6Server:
    """The DHCPv6 server.

    *counts* holds ("reply", "advertise" | "reply"), ("silence", why), ("unsent", error text),
    ("host-event" | "stranger-event" | "outside-event", "dropped").
    """

    def __init__(
        self,
        table: Callable[[], Dhcp6Table],
        installations: Mapping[str, Installation],
        listen: Listen,
        publish: Callable[[Event], None],
        mac_on_link: MacOnLink,
        beginnings: Beginnings = NO_BEGINNINGS,
    ) -> None:
        """Open every socket; *table* returns the table that is served at present. Raises ListenError."""
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.tap: Tap | None = None
        self._table = table
        self._installations = installations
        self._listen = listen
        self._publish = publish
        self._mac_on_link = mac_on_link
        self._beginnings = beginnings
        self._port = listen.dhcp_port + DHCP6_DISTANCE
        self._sockets: list[socket.socket] = []
        self._bound: dict[socket.socket, tuple[str, int]] = {}  # to an interface, by name and index
        self._joined: dict[socket.socket, set[int]] = {}  # interfaces
        self._interfaces: dict[int, Interface] = {}
        self._resolving = 0
        self._telling = Telling(publish, self.counts)
        self._is_verbose = logger.isEnabledFor(logging.DEBUG)
        if table().has_clients:
            try:
                self._open()
            except ListenError as error:
                self.close()
                if table().is_served:
                    raise
                # Hosts without IPv6 only reach their disks sooner by it.
                logger.info("dhcp6.closed why=%r", str(error))
            except BaseException:
                self.close()
                raise

    def _open(self) -> None:
        for interface in self._listen.dhcp or ("",):
            sock = sockets.udp_server(
                IPv6Address(0),
                self._port,
                setting="listen.dhcp",
                interface=interface,
                with_packet_info=True,
                shares_port=self._listen.dhcp_port != DHCP_PORT,
            )
            self._sockets.append(sock)
            self._joined[sock] = set()
            if interface:
                self._bound[sock] = interface, socket.if_nametoindex(interface)
        self._follow_interfaces()

    def close(self) -> None:
        """Close every socket."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    async def run(self) -> None:
        """Serve until cancelled, then close the sockets."""
        loop = asyncio.get_running_loop()
        try:
            for sock in self._sockets:
                loop.add_reader(sock, self._drain, sock)
            while True:
                await asyncio.sleep(INTERFACES_SECONDS)
                self._follow_interfaces()
        finally:
            for sock in self._sockets:
                loop.remove_reader(sock)
            self.close()

    def _follow_interfaces(self) -> None:
        """Bind again to interfaces that were recreated, and hear both groups on every served interface."""
        if not self._sockets:
            return
        self._interfaces = self._list_interfaces()
        served = {index for index, each in self._interfaces.items() if self._table().hears(each.addresses)}
        for sock in self._sockets:
            name, bound = self._bound.get(sock, ("", 0))
            if name:
                bound = self._rebind(sock, name, bound)
            self._join(sock, served & {bound} if name else served)

    def _list_interfaces(self) -> dict[int, Interface]:
        """Return the interfaces that have an IPv6 address, with their IPv4 addresses as IPv4-mapped ones."""
        by_ipv4 = list_ipv4_interfaces(self._sockets[0])
        return {
            index: replace(each, addresses=(*each.addresses, *map(ipv4_mapped, by_ipv4[index].addresses)))
            if index in by_ipv4
            else each
            for index, each in list_interfaces().items()
        }

    def _rebind(self, sock: socket.socket, name: str, bound: int) -> int:
        """Return the index of the interface *name*; *sock* is bound to it if that has changed. Raises ListenError."""
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            return bound  # it may be recreated
        if index != bound:
            try:
                sockets.bind_to_interface(sock, name)
            except OSError as error:
                why = error.strerror.lower() if error.strerror else error
                raise ListenError(f"cannot listen on {name}, which was recreated: {why}; restart") from error
            self._bound[sock] = name, index
        return index

    def _join(self, sock: socket.socket, indexes: set[int]) -> None:
        joined = self._joined[sock]
        joined &= set(self._interfaces)  # one that was removed has left the group
        for index in indexes - joined:
            for group in (AGENTS_AND_SERVERS, ALL_SERVERS):
                try:
                    sockets.join_group(sock, group, index)
                except OSError as error:
                    name = self._interfaces[index].name
                    logger.warning("dhcp6.group interface=%s group=%s why=%s", name, group, error.strerror)
            joined.add(index)

    def _drain(self, sock: socket.socket) -> None:
        table, installations = self._table(), self._installations
        for _ in range(BURST):
            try:
                datagram, ancillary, _, source = sock.recvmsg(MAX_REQUEST_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            # Always there: IPV6_RECVPKTINFO is set before the socket is bound, and no other ancillary data is.
            local, index = IN6_PKTINFO.unpack(ancillary[0][2])
            interface = self._interfaces.get(index) or self._new_interface(index)
            packed = socket.inet_pton(socket.AF_INET6, source[0].partition("%")[0])
            is_unicast = local[0] != MULTICAST
            arrival = Arrival(interface.name, interface.addresses, packed, source[1], is_unicast)
            received = _Received(sock, datagram, source, local, index)
            result = answer(table, datagram, arrival, installations, self._beginnings)
            if result is UNRESOLVED:
                self._resolve(received, arrival)
            else:
                self._finish(received, arrival, result)

    def _resolve(self, received: "_Received", arrival: Arrival) -> None:
        """Answer with what the kernel knows of the source's MAC address; if that is nothing yet, have it find out."""
        mac = self._mac_on_link(IPv6Address(arrival.source), received.interface)
        if mac != b"":
            self._answer(received, arrival, mac or b"")
            return
        if self._resolving >= MAX_RESOLVING:
            # Not by its DUID, which may be another machine's: its link-local address still can tell who it is.
            self._finish(received, arrival, UNRESOLVED)
            return
        self._resolving += 1
        # An empty datagram to a port where nobody reads it: to send it, the kernel has to resolve the address.
        self._send(received, b"", DISCARD_PORT, bytes(16))
        asyncio.get_running_loop().call_later(RESOLVING_SECONDS, self._resolved, received, arrival)

    def _resolved(self, received: "_Received", arrival: Arrival) -> None:
        self._resolving -= 1
        if self._sockets:  # otherwise the server has ended
            self._answer(received, arrival, self._mac_on_link(IPv6Address(arrival.source), received.interface) or b"")

    def _answer(self, received: "_Received", arrival: Arrival, mac: bytes) -> None:
        arrival = arrival._replace(mac=mac)
        result = answer(self._table(), received.datagram, arrival, self._installations, self._beginnings)
        self._finish(received, arrival, result)

    def _finish(self, received: "_Received", arrival: Arrival, result: Reply | Silence) -> None:
        """Send the reply, tap both datagrams, count, and publish the event."""
        source = received.source[:2]
        own = str(IPv6Address(received.local)), self._port
        if self.tap is not None and result.is_local and result.host:
            self.tap(result.host, received.datagram, source, own, heard(result))
        if isinstance(result, Reply):
            if self.tap is not None and result.is_local:
                self.tap(result.host, result.payload, own, (source[0], result.port), None)
            # From the address that the message was sent to. After a group, the kernel chooses one of its interface.
            self._send(received, result.payload, result.port, received.local if arrival.is_unicast else bytes(16))
            self.counts["reply", result.message] += 1
        else:
            self.counts["silence", result.why] += 1
            if self._is_verbose:
                logger.debug(SILENCE, result.why, source[0], arrival.interface)
        if result.event is not None:
            self._telling.tell(result.event, asyncio.get_running_loop().time(), is_local=result.is_local)

    def _send(self, received: "_Received", payload: bytes, port: int, own: bytes) -> None:
        """Send *payload* to where *received* came from, from the address *own*, or from any if it is zero."""
        address, _port, _flow, scope = received.source
        # A link-local address is valid on its interface only; the way to a relay is the routing table's choice.
        pktinfo = IN6_PKTINFO.pack(own, received.interface if scope else 0)
        ancillary = ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, pktinfo),)
        try:
            received.sock.sendmsg((payload,), ancillary, 0, (address, port, 0, scope))
        except OSError as error:
            self.counts["unsent", error.strerror or str(error)] += 1

    def _new_interface(self, index: int) -> Interface:
        """Return the interface *index*, which came up or got its first address after the last look-up."""
        self._interfaces = self._list_interfaces()
        if index not in self._interfaces:
            try:
                name = socket.if_indextoname(index)
            except OSError:
                name = f"#{index}"
            # Kept until the next look-up, so that more traffic on this interface causes no more of them.
            self._interfaces[index] = Interface(index, name, ())
        return self._interfaces[index]
