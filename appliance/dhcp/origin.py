"""Where a DHCP message came from: a host's own segment, another network, or anywhere; and from which hardware.

The one rule: a claim in the message counts for nothing that its source address or the
interface on which it arrived does not bear out. Anybody who reaches the port can
write any MAC address, ciaddr, giaddr and option 82.
"""

from collections.abc import Mapping

from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.options import OPT_CLIENT_ID
from appliance.dhcp.reply import Arrival, ClientMessage, address_number, address_text
from appliance.dhcp.templates import NO_ADDRESS, Pin

ETHERNET = b"\x01\x06"  # htype and hlen
INFINIBAND, GUID_BYTES = 32, 8
NO_SOURCE = "0.0.0.0"
SINGLE_ADDRESS = 0xFFFFFFFF  # the mask of a /32


def is_on_link(pin: Pin, arrival: Arrival) -> bool:
    """Whether a message without a relay came from the segment of *pin*, as far as its true source shows.

    Routers do not forward the source 0.0.0.0 (RFC 1122 section 3.2.1.3).
    """
    source, segment = arrival.source, pin.segment
    return segment.has_any(arrival.addresses) and (source == NO_SOURCE or address_number(source) in segment)


def is_from_ciaddr(request: ClientMessage) -> bool:
    """Whether a message came from the address that it names, so that nobody gets a reply to what another has sent."""
    return request.ciaddr != NO_ADDRESS and request.arrival.source == address_text(request.ciaddr)


def is_at_home(request: ClientMessage) -> bool:
    """Whether the client is in the network of its address, as far as the message shows."""
    segment = request.pin.segment
    if request.is_local and not request.relay:
        return True
    if link := request.link:
        # In a network of one address there is no room for the relay's own.
        return link in segment or segment.mask == SINGLE_ADDRESS or segment.is_beside(link)
    if is_from_ciaddr(request) and int.from_bytes(request.ciaddr) in segment:
        # The client uses the address: a renewal is unicast and may arrive through routers, from a network in which the
        # appliance has no interface (RFC 2131 section 4.4.5).
        return True
    return segment.has_any(request.arrival.addresses)


def is_in_our_networks(table: DhcpTable, request: ClientMessage) -> bool:
    """Whether the client is in a network of a cluster.yaml."""
    if link := request.link:
        return any(link in segment for segment in table.segments)
    return _serves(table, request.arrival)


def _serves(table: DhcpTable, arrival: Arrival) -> bool:
    """Whether the interface at which a message arrived has an address in a network of a cluster.yaml."""
    return any(segment.has_any(arrival.addresses) for segment in table.segments)


def is_stranger_of_ours(table: DhcpTable, arrival: Arrival) -> bool:
    """Whether an unknown machine is on-link in a network of a cluster.yaml."""
    source = arrival.source
    return _serves(table, arrival) and (source == NO_SOURCE or table.in_segments(address_number(source)))


def hardware_text(datagram: bytes, options: Mapping[int, bytes]) -> str:
    """Return the hardware address: a MAC; the GUID of an InfiniBand port; others with their type before it."""
    kind, length = datagram[1], datagram[2]
    if kind == INFINIBAND:
        # RFC 4390: hlen is 0, and the client identifier ends with the GUID; iPXE writes it in chaddr.
        named = options.get(OPT_CLIENT_ID, b"")
        guid = datagram[28:36] if length == GUID_BYTES or len(named) < GUID_BYTES else named[-GUID_BYTES:]
        return guid.hex(":")
    if datagram[1:3] == ETHERNET:
        return datagram[28:34].hex(":")
    return f"{kind:02x}-{(datagram[28 : 28 + min(length, 16)] or options.get(OPT_CLIENT_ID, b'')[:16]).hex(':')}"
