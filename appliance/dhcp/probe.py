"""Does another DHCP server answer on a segment of ours? A DISCOVER of a machine that does not exist will tell.

The one rule: nothing is disturbed. The machine has one locally administered MAC
address for ever, so that a server with a pool sets aside one address at most, and
that only until its offer lapses; no REQUEST follows. It asks as a machine that
boots from the network, so that boot servers without addresses (proxyDHCP) answer too.
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
MAX_OFFERS = 64  # an interface; more servers than that is a flood

_OFFER = b"\2"
_FRAME_HEADER_BYTES = 14


@dataclass(frozen=True, slots=True)
class Offer:
    """What another server said."""

    server: str
    offered: str


def probe_mac(mac: bytes) -> bytes:
    """Return the made-up machine's MAC address for an interface with *mac*: locally administered, and not *mac*."""
    return bytes(((mac[0] | 0x02) ^ 0x04,)) + mac[1:]


def discover(xid: bytes, mac: bytes) -> bytes:
    """Return a DISCOVER; offers to it are broadcast, so that they reach an interface with another address."""
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
    return whole.ljust(300, b"\0")


def read_offer(frame: bytes, xid: bytes) -> Offer | None:
    """Return the offer that answers the DISCOVER *xid*, or None when *frame* brings something else."""
    ip_bytes = (frame[_FRAME_HEADER_BYTES] & 15) * 4 if len(frame) > _FRAME_HEADER_BYTES else 0
    message = frame[_FRAME_HEADER_BYTES + ip_bytes + 8 :]
    if len(message) < HEADER_BYTES or message[0] != 2 or message[4:8] != xid or message[236:240] != COOKIE:
        return None
    options = parse_options(message)
    if options is None or options.get(OPT_MESSAGE_TYPE) != _OFFER:
        return None
    server = options.get(OPT_SERVER_ID, b"")
    if len(server) != 4:
        server = frame[_FRAME_HEADER_BYTES + 12 : _FRAME_HEADER_BYTES + 16]  # IP's source
    return Offer(str(IPv4Address(server)), str(IPv4Address(message[16:20])))


async def find_rogues(
    interfaces: Iterable[Interface], own: Collection[bytes], port: int, publish: Callable[[Event], None]
) -> None:
    """Ask on each of *interfaces*, listen, and publish an event for each server whose address is not in *own*.

    *port* is the servers'. Takes LISTEN_SECONDS. Without CAP_NET_RAW it says so and does nothing.
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
    assert interface.mac is not None
    frame = ethernet_frame(
        discover(xid, probe_mac(interface.mac)),
        # The interface's own address on the frame: a switch with port security shuts a port that shows a second one.
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
            return  # read empty, or the interface went down
        offer = read_offer(frame, xid)
        if offer and len(found) < MAX_OFFERS:
            found[interface.name, offer] = None
