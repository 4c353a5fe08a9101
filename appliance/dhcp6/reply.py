"""A message of a host, and the reply to it: its bytes, and where it goes.

The one rule: a reply goes back to the address that the message came from, and that is on
our link or an accepted relay's. So nobody elsewhere can be flooded with replies.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple

from appliance.dhcp.clients import ClientProfile
from appliance.dhcp6.associations import Association
from appliance.dhcp6.options import OPT_CLIENT_ID, OPT_SERVER_ID, Options, encode_option, only
from appliance.dhcp6.relays import UNSPECIFIED, Relay, relay_port, wrap
from appliance.dhcp6.templates import Pin
from appliance.events import DhcpAcknowledged, DhcpOffered, DhcpPassed, Event, Program
from appliance.model import Loader

ADVERTISE, REPLY = 2, 7
NAMES = {ADVERTISE: "advertise", REPLY: "reply"}

IP_UDP_BYTES = 48
# What every link carries unfragmented (RFC 8200 section 5). Options of the network are left out rather than exceed it.
WANTED_REPLY_BYTES = 1280 - IP_UDP_BYTES
# Ethernet's. What does not fit even without them is what the client and its relays have sent themselves.
MAX_REPLY_BYTES = 1500 - IP_UDP_BYTES
# A relay's address can be forged where the network in between does not prevent it: it gets no more than three times
# what it sent. No true client asks for so much in so little: an IA_TA of 8 bytes is refused in 49.
MAX_AMPLIFICATION = 3


class Arrival(NamedTuple):
    """Where and how a datagram arrived. A tuple, like Reply, because it is made for each datagram."""

    interface: str  # name
    addresses: tuple[int, ...]  # of the interface, as numbers
    source: bytes
    source_port: int
    is_unicast: bool  # whether it was sent to an address of ours, and not to a group
    # Of the source, as the kernel knows it: None if it was not asked, b"" if it does not know.
    mac: bytes | None = None


class Reply(NamedTuple):
    """A datagram to send to the address that its message came from."""

    payload: bytes
    message: str  # advertise or reply
    port: int
    event: Event | None
    host: str
    is_local: bool  # see Silence


class Silence(NamedTuple):
    """No reply. *why* is one of a few short constants, because silences are counted by it."""

    why: str
    event: Event | None = None
    host: str = ""
    # Whether the message came from the segment of its host, or from an unknown machine in one of ours. Anybody can send
    # others: they are not recorded as their host's, and do not use up its events.
    is_local: bool = False


class ClientMessage(NamedTuple):
    """A message of a host in a cluster.yaml."""

    kind: int
    xid: bytes
    options: Options
    associations: tuple[Association, ...]
    relays: tuple[Relay, ...]
    pin: Pin
    profile: ClientProfile
    boots: bool  # whether it gets a boot file
    loader: Loader  # what `loader: auto` gives it
    arrival: Arrival
    size: int  # of the whole datagram

    @property
    def link(self) -> bytes:
        """An address in the client's network, according to its relays; UNSPECIFIED without one."""
        return link_of(self.relays)

    @property
    def relay(self) -> str:
        """The same as text; "" without one."""
        return address_text(self.link)

    @property
    def is_local(self) -> bool:
        """Whether it came from the host's segment, or by an accepted relay. No other message gets this far."""
        return bool(self.relays) or self.pin.segment.has_any(self.arrival.addresses)


def link_of(relays: Iterable[Relay]) -> bytes:
    """Return the link-address of the relay that is closest to the client and has one; UNSPECIFIED without one."""
    link = UNSPECIFIED
    for relay in relays:
        link = link if relay.link == UNSPECIFIED else relay.link
    return link


def address_text(address: bytes) -> str:
    """Return an address as text; "" for UNSPECIFIED."""
    return "" if address == UNSPECIFIED else str(IPv6Address(address))


def heard(result: Reply | Silence) -> Program | None:
    """Return the program that runs on a host now, as its message shows; None if it shows nothing."""
    event = result.event
    if isinstance(event, DhcpOffered | DhcpAcknowledged | DhcpPassed) and event.is_local:
        return event.program
    return None


def compose(
    duid: bytes,
    port: int,
    request: ClientMessage,
    message: int,
    needed: bytes,
    others: Iterable[bytes] = (),
    event: Event | None = None,
) -> Reply | None:
    """Return the reply with the options *needed*, and as many of *others* as there is room for; None if it is too long.

    *duid* is the server's, *port* that of servers and relays.
    """
    client_id = only(request.options, OPT_CLIENT_ID)
    named = encode_option(OPT_CLIENT_ID, client_id) if client_id is not None else b""
    payload = b"".join((bytes((message,)), request.xid, named, encode_option(OPT_SERVER_ID, duid), needed))
    room = MAX_REPLY_BYTES
    if request.relays:
        room -= len(wrap(request.relays, b""))
    wanted = room - MAX_REPLY_BYTES + WANTED_REPLY_BYTES
    if request.relays:
        most = room - MAX_REPLY_BYTES + MAX_AMPLIFICATION * request.size
        room, wanted = min(room, most), min(wanted, most)
    if len(payload) > room:
        return None
    for option in others:
        if len(payload) + len(option) <= wanted:
            payload += option
    if request.relays:
        payload = wrap(request.relays, payload)
        to = relay_port(request.relays, request.arrival.source_port, port)
    else:
        to = port - 1
    return Reply(payload, NAMES[message], to, event, request.pin.name, request.is_local)
