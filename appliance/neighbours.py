"""Which MAC address has an IP address on a link of this machine, as the kernel knows it (rtnetlink(7), RFC 3549).

The kernel resolved the address of everybody who completed a TCP handshake with us,
because it had to send them the second packet. Its table therefore says at once at which
MAC address a client on our own link receives; nothing is sent to find that out.

The functions on bytes are pure and total. `Neighbours` asks the kernel, which answers
while the request is being sent, so that it never waits.
"""

import errno
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from appliance import sockets
from appliance.model import Address

# linux/netlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
ATTRIBUTE = struct.Struct("=HH")  # length, type
ATTRIBUTE_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
ERROR = struct.Struct("=i")

# linux/rtnetlink.h
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
ROUTE = struct.Struct("=BBBBBBBBI")  # family, bits of destination and source, TOS, table, protocol, scope, type, flags
RTN_UNICAST = 1
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_VIA = 1, 4, 5, 18

# linux/neighbour.h
NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type
NDA_DST, NDA_LLADDR, NDA_IFINDEX = 1, 2, 8
NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_NOARP, NUD_PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x40, 0x80
RESOLVED = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT

ANSWER_BYTES = 4 << 10  # a route or an entry has some hundred bytes
DUMP_BYTES = 32 << 10  # the kernel puts no more of a dump into one datagram
MOST_DATAGRAMS = 128  # of a dump: some 50,000 neighbours, and a table holds 1,024 by default (gc_thresh3)
# Looking up the route is most of the time of a look (12 of 17 µs), and hosts do not move between links.
ROUTE_SECONDS = 5.0
MAX_ROUTES = 4096  # in memory: as many as connections


MacOf = Callable[[Address], bytes | None]  # as `Neighbours.mac`
MacOnLink = Callable[[Address, int], bytes | None]  # as `Neighbours.mac_on_link`


def unknown_mac(_address: Address) -> bytes | None:
    """Return None: where the kernel may not be asked, no address is known to be on a link of ours."""
    return None


def unknown_mac_on_link(_address: Address, _interface: int) -> bytes | None:
    """Return None, as `unknown_mac`."""
    return None


class Message(NamedTuple):
    """A message of the kernel's."""

    kind: int
    number: int  # of the request that it answers
    payload: bytes


def messages(datagram: bytes) -> Iterator[Message]:
    """Yield the messages in *datagram*, up to the first that is cut off."""
    at = 0
    while at + HEADER.size <= len(datagram):
        length, kind, _flags, number, _port = HEADER.unpack_from(datagram, at)
        if length < HEADER.size or at + length > len(datagram):
            return
        yield Message(kind, number, datagram[at + HEADER.size : at + length])
        at += (length + 3) & ~3


def attribute(payload: bytes, start: int, wanted: int) -> bytes | None:
    """Return the first attribute of the type *wanted* in *payload* from offset *start* on; None without one."""
    at = start
    while at + ATTRIBUTE.size <= len(payload):
        length, kind = ATTRIBUTE.unpack_from(payload, at)
        if length < ATTRIBUTE.size or at + length > len(payload):
            return None
        if kind & ATTRIBUTE_TYPE == wanted:
            return payload[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return None


def link_of(message: Message) -> int:
    """Return the index of the interface on whose link the destination of a route is.

    0 if it is on no link of ours: it is behind a router, or it is one of our own addresses.
    """
    payload = message.payload
    if message.kind != RTM_NEWROUTE or len(payload) < ROUTE.size or ROUTE.unpack_from(payload)[7] != RTN_UNICAST:
        return 0
    if any(attribute(payload, ROUTE.size, router) is not None for router in (RTA_GATEWAY, RTA_VIA)):
        return 0
    interface = attribute(payload, ROUTE.size, RTA_OIF)
    return int.from_bytes(interface, sys.byteorder) if interface is not None and len(interface) == 4 else 0


def mac_of(message: Message, address: Address, interface: int) -> bytes | None:
    """Return the MAC address in the entry of *address*; b"" if it is another's, or not resolved.

    None if the link has no MAC addresses, as in a tunnel.
    """
    payload = message.payload
    if message.kind != RTM_NEWNEIGH or len(payload) < NEIGHBOUR.size:
        return b""
    family, index, state, _flags, _type = NEIGHBOUR.unpack_from(payload)
    if family != _family(address) or index != interface:
        return b""
    if attribute(payload, NEIGHBOUR.size, NDA_DST) != address.packed:
        return b""
    if state & NUD_NOARP:
        return None
    return (attribute(payload, NEIGHBOUR.size, NDA_LLADDR) or b"") if state & RESOLVED else b""


def error_of(message: Message) -> int:
    """Return the errno in a message that reports an error; 0 for any other."""
    if message.kind != NLMSG_ERROR or len(message.payload) < ERROR.size:
        return 0
    code: int = ERROR.unpack_from(message.payload)[0]
    return -code


def route_request(address: Address, number: int) -> bytes:
    """Return the request, with sequence *number*, for the route to *address*."""
    body = ROUTE.pack(_family(address), address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return _request(RTM_GETROUTE, number, body + _attribute(RTA_DST, address.packed))


def neighbour_request(address: Address, interface: int, number: int) -> bytes:
    """Return the request, with sequence *number*, for the entry of *address* on *interface*."""
    body = NEIGHBOUR.pack(_family(address), interface, 0, 0, 0)
    return _request(RTM_GETNEIGH, number, body + _attribute(NDA_DST, address.packed))


def dump_request(address: Address, interface: int, number: int) -> bytes:
    """Return the request, with sequence *number*, for all entries of the family of *address* on *interface*."""
    body = NEIGHBOUR.pack(_family(address), 0, 0, 0, 0)
    return _request(RTM_GETNEIGH, number, body + _attribute(NDA_IFINDEX, struct.pack("=i", interface)), NLM_F_DUMP)


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    # Only values of 4 and 16 bytes are sent, which need no padding.
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value


def _request(kind: int, number: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, number, 0) + body


class Neighbours:
    """The kernel's tables of routes and neighbours."""

    def __init__(self) -> None:
        """Raise OSError where netlink is forbidden, as in some sandboxes."""
        self._socket = sockets.route_netlink()
        self._number = 0
        self._links: dict[Address, tuple[float, int]] = {}  # until when it is believed (monotonic), and the interface

    def mac(self, address: Address) -> bytes | None:
        """Return the MAC address of *address* on a link of ours; b"" if the kernel knows none at this moment.

        None if there is none to know: the address is behind a router, it is our own, or its
        link has no MAC addresses.
        """
        interface = self._link(address)
        if not interface:
            return None if interface == 0 else b""
        return self.mac_on_link(address, interface)

    def mac_on_link(self, address: Address, interface: int) -> bytes | None:
        """Return the same for an address on the link of *interface*, an index; a link-local address needs it."""
        answers = self._answers(neighbour_request(address, interface, self._next()))
        if len(answers) == 1 and answers[0].kind == RTM_NEWNEIGH:
            return mac_of(answers[0], address, interface)
        if any(error_of(answer) == errno.EOPNOTSUPP for answer in answers):  # before Linux 5.0
            answers = self._answers(dump_request(address, interface, self._next()), is_dump=True)
        found = [mac_of(answer, address, interface) for answer in answers]
        return None if None in found else next(filter(None, found), b"")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _link(self, address: Address) -> int | None:
        """Return the interface on whose link *address* is; 0 if it is on none, None if the kernel did not answer."""
        now = time.monotonic()
        until, interface = self._links.get(address, (0.0, 0))
        if now < until:
            return interface
        answers = self._answers(route_request(address, self._next()))
        if not answers:
            return None
        interface = next(filter(None, map(link_of, answers)), 0)
        if len(self._links) >= MAX_ROUTES:
            self._links.clear()
        self._links[address] = now + ROUTE_SECONDS, interface
        return interface

    def _next(self) -> int:
        self._number = (self._number + 1) & 0xFFFFFFFF
        return self._number

    def _answers(self, request: bytes, *, is_dump: bool = False) -> list[Message]:
        """Return the kernel's messages in answer to *request*; fewer, or none, if it failed to answer."""
        found: list[Message] = []
        # Without an answer (ENOBUFS) the address counts as not resolved, and the client asks again.
        with suppress(OSError):
            self._socket.send(request)
            for _ in range(MOST_DATAGRAMS):
                received = messages(self._socket.recv(DUMP_BYTES if is_dump else ANSWER_BYTES))
                answers = [message for message in received if message.number == self._number]
                found += answers
                # The end of a dump is a message of its own; any other answer is a single message.
                is_end = any(message.kind in (NLMSG_DONE, NLMSG_ERROR) for message in answers)
                if is_end or (answers and not is_dump):
                    break
        return found
