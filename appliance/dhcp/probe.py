"""The search for other DHCP servers in our networks: a DISCOVER from a machine that does not exist.

The one rule: nothing is disturbed. On an interface the machine always has the same,
locally administered MAC address, so that a server with a pool reserves one address at
most, and only until its offer expires; no REQUEST follows. The machine claims to boot
from the network, so that boot servers without addresses (proxyDHCP) reply too.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance import sockets
from appliance.dhcp.frame import BROADCAST_MAC, ethernet_frame
from appliance.dhcp.interfaces import Interface
from appliance.dhcp.options import (
    COOKIE,
    END,
    HEADER_BYTES,
    OPT_CLIENT_ARCH,
    OPT_CLIENT_ID,
    OPT_CLIENT_UNDI,
    OPT_MESSAGE_TYPE,
    OPT_PARAMETERS,
    OPT_SERVER_ID,
    OPT_VENDOR_CLASS,
    encode_option,
    parse_options,
)
from appliance.dhcp.protocol import PROBE_ID
from appliance.events import Event, RogueDhcp

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 5.0  # dnsmasq and dhcpd ping an address for 1 to 3 s before they offer it
MAX_OFFERS = 64  # in each search; a network with more servers than that is under attack

_OFFER = b"\2"
_FRAME_HEADER_BYTES = 14


@dataclass(frozen=True, slots=True)
class Offer:
    """The offer of another server."""

    server: str  # its address
    offered: str  # the address that it offers


def probe_mac(mac: bytes) -> bytes:
    """Return the MAC address to probe with on an interface with *mac*: locally administered, and different from it."""
    return bytes(((mac[0] | 0x02) ^ 0x04,)) + mac[1:]


def discover(xid: bytes, mac: bytes) -> bytes:
    """Return a DISCOVER whose offers are broadcast, so that they reach an interface with another MAC address."""
    head = b"\x01\x01\x06\0" + xid + b"\0\0\x80\0" + bytes(16) + mac + bytes(10) + bytes(192) + COOKIE
    options = (
        (OPT_MESSAGE_TYPE, b"\1"),
        (OPT_CLIENT_ID, PROBE_ID),
        (OPT_PARAMETERS, bytes((1, 3, 6, 15, 43, 54, 60, 66, 67))),
        (OPT_VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003001"),
        (OPT_CLIENT_ARCH, b"\0\7"),
        (OPT_CLIENT_UNDI, b"\1\3\1"),
    )
    whole = head + b"".join(encode_option(code, value) for code, value in options) + bytes((END,))
    return whole.ljust(300, b"\0")  # BOOTP's size: some relays drop anything shorter (RFC 1542 section 2.1)


def read_offer(frame: bytes, xid: bytes) -> Offer | None:
    """Return the offer that answers the DISCOVER *xid*, or None when *frame* contains something else."""
    ip_bytes = (frame[_FRAME_HEADER_BYTES] & 15) * 4 if len(frame) > _FRAME_HEADER_BYTES else 0
    message = frame[_FRAME_HEADER_BYTES + ip_bytes + 8 :]
    if len(message) < HEADER_BYTES or message[0] != 2 or message[4:8] != xid or message[236:240] != COOKIE:
        return None
    options = parse_options(message)
    if options is None or options.get(OPT_MESSAGE_TYPE) != _OFFER:
        return None
    server = options.get(OPT_SERVER_ID, b"")
    if len(server) != 4:
        server = frame[_FRAME_HEADER_BYTES + 12 : _FRAME_HEADER_BYTES + 16]  # the source in the IP header
    return Offer(str(IPv4Address(server)), str(IPv4Address(message[16:20])))


async def find_rogues(
    interfaces: Iterable[Interface], own: Collection[bytes], port: int, publish: Callable[[Event], None]
) -> None:
    """Probe each of *interfaces*, and publish an event for each server whose address is not in *own*.

    *interfaces* are Ethernet; *port* is the port of DHCP servers. Takes LISTEN_SECONDS.
    Without CAP_NET_RAW it logs a warning for each interface, and finds nothing.
    """
    xid = secrets.token_bytes(4)
    found: dict[tuple[str, Offer], None] = {}
    with _clients(interfaces, port + 1) as clients:
        loop = asyncio.get_running_loop()
        try:
            for interface, sock in clients:
                loop.add_reader(sock, _read, sock, interface, xid, found)
                _ask(sock, interface, xid, port)
            await asyncio.sleep(LISTEN_SECONDS)
        finally:
            for _, sock in clients:
                loop.remove_reader(sock)
    for name, offer in found:
        if IPv4Address(offer.server).packed not in own:
            publish(RogueDhcp(host="", server=offer.server, interface=name, offered=offer.offered))


@contextmanager
def _clients(interfaces: Iterable[Interface], port: int) -> Iterator[list[tuple[Interface, socket.socket]]]:
    clients: list[tuple[Interface, socket.socket]] = []
    try:
        for interface in interfaces:
            try:
                clients.append((interface, sockets.packet_client(interface.name, port)))
            except OSError as error:
                logger.warning("dhcp.probe interface=%s skipped: %s", interface.name, error.strerror)
        yield clients
    finally:
        for _, sock in clients:
            sock.close()


def _ask(sock: socket.socket, interface: Interface, xid: bytes, port: int) -> None:
    assert interface.mac is not None  # it is Ethernet
    frame = ethernet_frame(
        discover(xid, probe_mac(interface.mac)),
        # The frame has the interface's own address: a switch with port security disables a port that sends another.
        source_mac=interface.mac,
        mac=BROADCAST_MAC,
        source=bytes(4),
        address=b"\xff" * 4,
        source_port=port + 1,
        port=port,
    )
    try:
        sock.send(frame)
    except OSError as error:
        logger.warning("dhcp.probe interface=%s not sent: %s", interface.name, error.strerror)


def _read(sock: socket.socket, interface: Interface, xid: bytes, found: dict[tuple[str, Offer], None]) -> None:
    for _ in range(MAX_OFFERS):
        try:
            frame = sock.recv(2048)
        except OSError:
            return  # nothing left to read, or the interface is down
        offer = read_offer(frame, xid)
        if offer and len(found) < MAX_OFFERS:
            found[interface.name, offer] = None
