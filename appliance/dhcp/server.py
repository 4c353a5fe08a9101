"""DHCP's sockets: datagrams in, replies out, events published. It decides nothing."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from appliance import sockets
from appliance.dhcp.answers import Answers
from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.frame import ethernet_frame
from appliance.dhcp.interfaces import Interface, list_interfaces
from appliance.dhcp.probe import find_rogues
from appliance.dhcp.reply import BROADCAST, Arrival, Reply, Silence, heard
from appliance.dhcp.telling import Telling
from appliance.errors import ListenError
from appliance.events import Event, Program
from appliance.install.installation import Installation
from appliance.install.recipes import NO_BEGINNINGS, Beginnings
from appliance.model import BOOT_SERVER_DISTANCE, DHCP_PORT, DhcpMode, Listen
from appliance.sockets import IN_PKTINFO, IP_PKTINFO

logger = logging.getLogger(__name__)

# A datagram, its source and destination, and the program that it shows to run on its host now.
Tap = Callable[[bytes, tuple[str, int], tuple[str, int], Program | None], None]

BURST = 32  # datagrams in one turn of the loop, some 1 ms; the other services run in between
MAX_REQUEST_BYTES = 2048  # more than any MTU on a DHCP path
ANCILLARY_BYTES = socket.CMSG_SPACE(IN_PKTINFO.size)
# Between two look-ups of interfaces and addresses; firmware repeats its DISCOVER for longer than that.
INTERFACES_SECONDS = 5.0
PROBE_SECONDS = 600.0  # between two searches for other DHCP servers
SILENCE = "dhcp.silence why=%s mac=%s from=%s interface=%s"


class DhcpServer:
    """The DHCP server, and beside it the boot server of PXE (port 4011).

    *counts* holds ("reply", "offer" | "ack" | "nak"), ("silence", why), ("sent",
    "frame" | "unicast" | "broadcast"), ("unsent", error text), ("host-event" | "stranger-event" | "outside-event",
    "dropped").
    """

    def __init__(
        self,
        table: Callable[[], DhcpTable],
        installations: Mapping[str, Installation],
        listen: Listen,
        publish: Callable[[Event], None],
        beginnings: Beginnings = NO_BEGINNINGS,
    ) -> None:
        """Open every socket; *table* returns the table that is served at present. Raises ListenError.

        *installations* is by host, and *beginnings*, where `loader: auto` begins, by class of firmware.
        """
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.tap: Tap | None = None
        self._table = table
        self._installations = installations
        self._beginnings = beginnings
        self._listen = listen
        self._publish = publish
        self._sockets: list[tuple[socket.socket, bool]] = []
        self._bound: dict[socket.socket, tuple[str, int]] = {}  # to an interface, by name and index
        self._senders: dict[str, socket.socket | None] = {}
        self._interfaces: dict[int, Interface] = {}
        self._telling = Telling(publish, self.counts)
        self._answers = Answers()
        self._is_verbose = logger.isEnabledFor(logging.DEBUG)  # asked once: a flood of silences costs no look-up
        if table().mode is not DhcpMode.OFF:
            try:
                self._open()
            except BaseException:
                self.close()
                raise

    def _open(self) -> None:
        for interface in self._listen.dhcp or ("",):
            for distance in (0, BOOT_SERVER_DISTANCE):
                sock = sockets.udp_server(
                    IPv4Address(0),
                    self._listen.dhcp_port + distance,
                    setting="listen.dhcp",
                    interface=interface,
                    with_packet_info=True,
                    broadcast=True,
                    # On a port other than 67, simulated relays may run on the same machine.
                    shares_port=self._listen.dhcp_port != DHCP_PORT,
                )
                self._sockets.append((sock, distance > 0))
                if interface:
                    self._bound[sock] = interface, socket.if_nametoindex(interface)
        self._interfaces = list_interfaces(self._sockets[0][0])

    def close(self) -> None:
        """Close every socket."""
        for sock, _ in self._sockets:
            sock.close()
        for sender in self._senders.values():
            if sender is not None:
                sender.close()
        self._sockets.clear()
        self._senders.clear()

    async def run(self) -> None:
        """Serve until cancelled, then close the sockets."""
        loop = asyncio.get_running_loop()
        try:
            for sock, is_boot_server in self._sockets:
                loop.add_reader(sock, self._drain, sock, is_boot_server)
            probed_at = -PROBE_SECONDS
            while True:
                self._follow_interfaces()
                if self._sockets:
                    self._interfaces = list_interfaces(self._sockets[0][0])
                table = self._table()
                if table.mode is DhcpMode.FULL and loop.time() - probed_at >= PROBE_SECONDS:
                    probed_at = loop.time()
                    await self._find_rogues(table)
                await asyncio.sleep(INTERFACES_SECONDS)
        finally:
            for sock, _ in self._sockets:
                loop.remove_reader(sock)
            self.close()

    def _follow_interfaces(self) -> None:
        """Rebind to interfaces that were recreated: a socket stays bound to the old one, and receives nothing.

        Raises ListenError if that fails.
        """
        renewed = set()
        for sock, (name, bound_index) in self._bound.items():
            try:
                index = socket.if_nametoindex(name)
            except OSError:
                continue  # it may be recreated
            if index == bound_index:
                continue
            try:
                sockets.bind_to_interface(sock, name)
            except OSError as error:
                why = error.strerror.lower() if error.strerror else error
                raise ListenError(f"cannot listen on {name}, which was recreated: {why}; restart") from error
            self._bound[sock] = name, index
            renewed.add(name)
        for name in renewed:
            logger.warning("dhcp.interface name=%s: was recreated, and is served again", name)

    async def _find_rogues(self, table: DhcpTable) -> None:
        # In proxy mode another DHCP server is expected.
        segments = [segment for segment in table.segments if segment.mode is DhcpMode.FULL]
        searched = [
            interface
            for interface in self._interfaces.values()
            if interface.mac is not None
            and (not self._listen.dhcp or interface.name in self._listen.dhcp)
            and any(address in segment for segment in segments for address in interface.addresses)
        ]
        own = {
            *table.servers,
            *(number.to_bytes(4, "big") for interface in self._interfaces.values() for number in interface.addresses),
        }
        await find_rogues(searched, own, self._listen.dhcp_port, self._publish)

    def _drain(self, sock: socket.socket, is_boot_server: bool) -> None:
        port = self._listen.dhcp_port + is_boot_server * BOOT_SERVER_DISTANCE
        # Read once for a burst: nothing is awaited in it, so no reload can come in between.
        table, installations = self._table(), self._installations
        for _ in range(BURST):
            try:
                datagram, ancillary, _, source = sock.recvmsg(MAX_REQUEST_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self.counts["silence", f"receive: {error.strerror}"] += 1
                return
            # Always there: IP_PKTINFO is set before the socket is bound, and no other ancillary data is.
            index, local, destination = IN_PKTINFO.unpack(ancillary[0][2])
            interface = self._interfaces.get(index) or self._new_interface(sock, index)
            arrival = Arrival(interface.name, interface.addresses, source[0], source[1], is_boot_server)
            result = self._answers.answer(table, datagram, arrival, installations, self._beginnings)
            if self.tap is not None and result.is_local:
                self.tap(datagram, source, (socket.inet_ntoa(destination), port), heard(result))
            if isinstance(result, Silence):
                self.counts["silence", result.why] += 1
                if self._is_verbose:
                    mac = datagram[28:34].hex(":")  # chaddr; "" in a datagram that is too short
                    logger.debug(SILENCE, result.why, mac, source[0], interface.name)
                if result.event is not None:
                    self._telling.tell(result.event, asyncio.get_running_loop().time(), is_local=result.is_local)
                continue
            if self.tap is not None and result.is_local:
                self.tap(result.payload, (socket.inet_ntoa(local), port), (result.address, result.port), None)
            self._send(sock, result, interface, local)
            self.counts["reply", result.message] += 1
            if result.event is not None:
                self._telling.tell(result.event, asyncio.get_running_loop().time(), is_local=result.is_local)

    def _send(self, sock: socket.socket, reply: Reply, interface: Interface, local: bytes) -> None:
        address = reply.address
        if reply.mac is not None:
            if self._send_frame(reply, reply.mac, interface, local):
                self.counts["sent", "frame"] += 1
                return
            address = BROADCAST
        is_broadcast = address == BROADCAST
        # The source is the address that received the message. The routing table chooses the interface, except for a
        # broadcast, which has to leave where the client is.
        pktinfo = IN_PKTINFO.pack(interface.index if is_broadcast else 0, local, bytes(4))
        try:
            sock.sendmsg((reply.payload,), ((socket.IPPROTO_IP, IP_PKTINFO, pktinfo),), 0, (address, reply.port))
        except OSError as error:
            self.counts["unsent", error.strerror or str(error)] += 1
            return
        self.counts["sent", "broadcast" if is_broadcast else "unicast"] += 1

    def _send_frame(self, reply: Reply, mac: bytes, interface: Interface, local: bytes) -> bool:
        if interface.mac is None:
            return False
        try:
            sender = self._senders[interface.name]
        except KeyError:
            sender = self._new_sender(interface)
        if sender is None:
            return False
        frame = ethernet_frame(
            reply.payload,
            source_mac=interface.mac,
            mac=mac,
            source=local,
            address=socket.inet_aton(reply.address),
            source_port=self._listen.dhcp_port,
            port=reply.port,
        )
        try:
            sender.send(frame)
        except OSError:
            # The interface was recreated, or its queue is full: broadcast this reply, and reopen for the next one.
            sender.close()
            del self._senders[interface.name]
            return False
        return True

    def _new_sender(self, interface: Interface) -> socket.socket | None:
        sender: socket.socket | None
        try:
            sender = sockets.packet_sender(interface.name)
        except OSError as error:
            logger.warning(
                "dhcp.broadcasts interface=%s: no raw frames (%s); give CAP_NET_RAW (the systemd unit does)",
                interface.name,
                error.strerror,
            )
            sender = None
        self._senders[interface.name] = sender
        return sender

    def _new_interface(self, sock: socket.socket, index: int) -> Interface:
        """Return the interface *index*, which came up or got its first address after the last look-up."""
        self._interfaces = list_interfaces(sock)
        if index not in self._interfaces:
            try:
                name = socket.if_indextoname(index)
            except OSError:
                name = f"#{index}"
            # Kept until the next look-up, so that more traffic on this interface causes no more system calls.
            self._interfaces[index] = Interface(index, name, (), None)
        return self._interfaces[index]
