"""A reply's bytes and where they go: a template, patched with fields of the client's message.

The one rule: the options by which a relay and a client identify themselves are returned
in every reply, NAKs included (RFC 3046 section 2.2, RFC 6842); without them a reply may
not find its way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from socket import inet_aton
from typing import NamedTuple

from appliance.dhcp.clients import ClientProfile
from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.options import (
    COOKIE,
    HEADER_BYTES,
    OPT_CLIENT_ID,
    OPT_MACHINE_ID,
    OPT_MAX_SIZE,
    OPT_MESSAGE,
    OPT_MESSAGE_TYPE,
    OPT_PARAMETERS,
    OPT_RELAY_AGENT,
    OPT_SERVER_ID,
    encode_option,
)
from appliance.dhcp.templates import NO_ADDRESS, Form, Pin, build_template
from appliance.events import DhcpAcknowledged, DhcpOffered, DhcpPassed, DhcpRefused, Event, Program
from appliance.model import Loader

REPLY_HEAD = b"\x02\x01\x06\0"  # op, htype, hlen, hops
BROADCAST = "255.255.255.255"
BROADCAST_FLAG = b"\x80\0"
NAK = 6

# Suboptions of option 82.
LINK_SELECTION = 5  # RFC 3527
SERVER_ID_OVERRIDE = 11  # RFC 5107
RELAY_SOURCE_PORT = 19  # RFC 8357

IP_UDP_BYTES = 28
# Every host accepts a datagram of this size (RFC 2131 section 2). Option 57 counts the IP and UDP headers too.
MIN_DATAGRAM_BYTES = 576
MAX_DATAGRAM_BYTES = 1500  # Ethernet's
MIN_REPLY_BYTES = 300  # BOOTP's size: some relays drop anything shorter (RFC 1542 section 2.1)
# Nobody gets more than three times what was sent, even where a relay's address was forged. Real clients send 300 bytes
# and more, which leaves them 900; and the shortest message with a type, 243 bytes, leaves more than the 548 that every
# client accepts.
MAX_AMPLIFICATION = 3
# Room that is kept for options. A client whose own identifiers are long gets a reply that is longer than it accepts by
# option 57, because a reply without the lease would be of no use to it.
MIN_ROOM_BYTES = 96
# The value of option 54 in a template's tail: after chaddr, sname, file, the cookie, option 53, and its own code and
# length. It is always the second option (_HEAD in templates.py).
SERVER_ID_AT = slice(16 + 64 + 128 + 4 + 3 + 2, 16 + 64 + 128 + 4 + 3 + 2 + 4)


class Arrival(NamedTuple):
    """Where and how a datagram arrived. A tuple, like Reply, because it is made for each datagram."""

    interface: str  # name
    addresses: tuple[int, ...]  # of the interface, as numbers
    source: str
    source_port: int
    is_boot_server: bool  # whether it was sent to port 4011


class Reply(NamedTuple):
    """A datagram to send."""

    payload: bytes
    message: str  # offer, ack or nak
    address: str
    port: int
    # The client's MAC if it has no address yet, and so cannot answer ARP (RFC 2131 section 4.1); otherwise None.
    mac: bytes | None
    event: Event | None
    is_local: bool  # see Silence

    def to(self, xid: bytes) -> "Reply":
        """Return the same reply with the transaction id *xid*, for a client that repeats its message."""
        payload, message, address, port, mac, event, is_local = self
        return Reply(payload[:4] + xid + payload[8:], message, address, port, mac, event, is_local)


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply. *why* is one of a few short constants, because silences are counted by it."""

    why: str
    event: Event | None = None
    # Whether the message came from the segment of its host, or from an unknown machine in one of ours. Anybody can send
    # others: they are not recorded as their host's, and do not use up its events.
    is_local: bool = False


def address_number(text: str) -> int:
    """Return an address in dotted form, as a socket spells it, as a number."""
    return int.from_bytes(inet_aton(text))


class ClientMessage(NamedTuple):
    """A message of a host in a cluster.yaml."""

    datagram: bytes
    options: Mapping[int, bytes]
    agent: Mapping[int, bytes]  # the suboptions of option 82, if it came by a relay
    pin: Pin
    profile: ClientProfile
    boots: bool  # whether it gets a boot file
    loader: Loader  # what `loader: auto` gives it
    ciaddr: bytes
    giaddr: bytes
    relay: str  # giaddr as text; "" without one
    arrival: Arrival
    is_local: bool  # it came from the host's segment, or by an accepted relay

    @property
    def link(self) -> int:
        """An address in the client's network, according to its relay; 0 without a relay."""
        link = self.agent.get(LINK_SELECTION, b"")
        return int.from_bytes(link if len(link) == 4 and any(link) else self.giaddr)


def heard(result: Reply | Silence) -> Program | None:
    """Return the program that runs on a host now, as its answered message shows; None if it shows nothing."""
    event = result.event
    if isinstance(event, DhcpOffered | DhcpAcknowledged | DhcpPassed) and event.is_local:
        return event.program
    return None


def address_text(octets: bytes) -> str:
    """Return four octets in dotted form."""
    return f"{octets[0]}.{octets[1]}.{octets[2]}.{octets[3]}"


def reply_address(
    *, giaddr: bytes, ciaddr: bytes, has_broadcast_flag: bool, yiaddr: bytes, is_nak: bool, port: int
) -> tuple[str, int, bool]:
    """Return where a reply goes, and whether the client there cannot answer ARP yet (RFC 2131 section 4.1).

    *port* is the server's; relays listen on it, and clients on the next one.
    """
    if giaddr != NO_ADDRESS:
        return address_text(giaddr), port, False
    if is_nak:
        return BROADCAST, port + 1, False
    if ciaddr != NO_ADDRESS:
        return address_text(ciaddr), port + 1, False
    if has_broadcast_flag or yiaddr == NO_ADDRESS:
        return BROADCAST, port + 1, False
    return address_text(yiaddr), port + 1, True


def patched(table: DhcpTable, request: ClientMessage, form: Form) -> Reply | None:
    """Return the reply of *form* to *request*; None for a proxy's reply without a boot file."""
    pin, profile, options = request.pin, request.profile, request.options
    # There are no more codes than this. The list is part of a cache key, so its length needs a bound.
    requested = options.get(OPT_PARAMETERS, b"")[:255]
    template = table.template(pin, form, profile, request.boots, request.loader, requested)
    if form.is_proxy and not template.boot:
        return None
    echoed = _echoed(options)
    room = _reply_bytes(request) - HEADER_BYTES - len(echoed) - 1
    if template.options_bytes > room:
        template = build_template(
            pin,
            form,
            profile,
            boots=request.boots,
            loader=request.loader,
            requested=requested,
            room=max(room, MIN_ROOM_BYTES),
        )
    tail = template.tail
    if SERVER_ID_OVERRIDE in request.agent:
        tail = tail[: SERVER_ID_AT.start] + override_or(pin.segment.server, request) + tail[SERVER_ID_AT.stop :]
    yiaddr = template.addresses[:4]
    ciaddr = NO_ADDRESS if form.is_offer else request.ciaddr
    address, port, lacks_address = _destination(table, request, form, ciaddr, yiaddr)
    event = (DhcpOffered if form.is_offer else DhcpAcknowledged)(
        pin.name,
        pin.mac_text,
        pin.address_text,
        profile.program,
        profile.arch,
        template.boot,
        request.relay,
        request.is_local,
        profile.vendor,
    )
    return Reply(
        _message(request, request.datagram[10:12], ciaddr + template.addresses, tail + echoed),
        "offer" if form.is_offer else "ack",
        address,
        port,
        pin.mac if lacks_address else None,
        event,
        request.is_local,
    )


def refusal(table: DhcpTable, request: ClientMessage, asked: bytes) -> Reply:
    """Return the NAK to a host that asked for *asked*, which is wrong in this network (RFC 2131 section 4.3.2)."""
    pin = request.pin
    # The broadcast flag makes a relay broadcast the NAK: the client's old address does not work in this network
    # (RFC 2131 section 4.3.2).
    flags = request.datagram[10:12] if request.giaddr == NO_ADDRESS else BROADCAST_FLAG
    tail = b"".join(
        (
            request.datagram[28:44],  # chaddr
            bytes(192),  # sname, file
            COOKIE,
            bytes((OPT_MESSAGE_TYPE, 1, NAK)),
            encode_option(OPT_SERVER_ID, override_or(pin.segment.server, request)),
            encode_option(OPT_MESSAGE, b"requested address not available"),  # without the name: anybody may ask
            _echoed(request.options),
        )
    )
    address, port, _ = reply_address(
        giaddr=request.giaddr,
        ciaddr=NO_ADDRESS,
        has_broadcast_flag=True,
        yiaddr=NO_ADDRESS,
        is_nak=True,
        port=table.port,
    )
    event = DhcpRefused(pin.name, pin.mac_text, address_text(asked), pin.address_text, request.relay)
    payload, port = _message(request, flags, bytes(12), tail), _relay_port(request, port)
    return Reply(payload, "nak", address, port, None, event, request.is_local)


def override_or(server: bytes, request: ClientMessage) -> bytes:
    """Return the server identifier: *server*, or the address that a relay wants clients to use instead (RFC 5107)."""
    override = request.agent.get(SERVER_ID_OVERRIDE, b"")
    return override if len(override) == 4 else server


def _message(request: ClientMessage, flags: bytes, addresses: bytes, tail: bytes) -> bytes:
    """Return a whole message.

    *addresses* is ciaddr, yiaddr and siaddr; *tail* is everything from chaddr on, without the end mark.
    """
    datagram = request.datagram
    # secs is zero in a reply; the addresses follow the flags, giaddr last (RFC 2131 section 2).
    whole = b"".join((REPLY_HEAD, datagram[4:8], b"\0\0", flags, addresses, request.giaddr, tail, b"\xff"))
    return whole.ljust(MIN_REPLY_BYTES, b"\0")


def _echoed(options: Mapping[int, bytes]) -> bytes:
    """Return the options that a reply returns unchanged; the relay's comes last (RFC 3046 section 2.2)."""
    return b"".join(
        [
            encode_option(code, options[code])
            for code in (OPT_CLIENT_ID, OPT_MACHINE_ID, OPT_RELAY_AGENT)
            if code in options
        ]
    )


def _reply_bytes(request: ClientMessage) -> int:
    """Return the length of the longest reply that the client may get, in bytes of UDP payload."""
    size = request.options.get(OPT_MAX_SIZE, b"")
    datagram_bytes = int.from_bytes(size, "big") if len(size) == 2 else MIN_DATAGRAM_BYTES
    accepted = min(max(datagram_bytes, MIN_DATAGRAM_BYTES), MAX_DATAGRAM_BYTES) - IP_UDP_BYTES
    return min(accepted, MAX_AMPLIFICATION * len(request.datagram))


def _destination(
    table: DhcpTable, request: ClientMessage, form: Form, ciaddr: bytes, yiaddr: bytes
) -> tuple[str, int, bool]:
    if form is Form.BOOT_ACK:
        return request.arrival.source, request.arrival.source_port, False
    # RFC 2131 section 4.3.5: the reply to an INFORM goes straight to the client, past its relay.
    giaddr = NO_ADDRESS if form is Form.INFORM_ACK else request.giaddr
    address, port, lacks_address = reply_address(
        giaddr=giaddr,
        ciaddr=ciaddr,
        has_broadcast_flag=request.datagram[10] >= 0x80,
        yiaddr=yiaddr,
        is_nak=False,
        port=table.port,
    )
    return address, _relay_port(request, port) if giaddr != NO_ADDRESS else port, lacks_address


def _relay_port(request: ClientMessage, port: int) -> int:
    # RFC 8357: a relay that cannot use the server's port states that, and listens on the port that it sends from.
    return request.arrival.source_port if RELAY_SOURCE_PORT in request.agent else port
