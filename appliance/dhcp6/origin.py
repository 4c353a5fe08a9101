"""Where a DHCPv6 message came from: a host's own segment or an accepted relay; and from which hardware.

The one rule: the link tells who a client is, as far as it can: what a relay saw on it
(RFC 6939), the address from which the client sends, the kernel's entry for that. A DUID
counts only where the link tells nothing: it belongs to a system, which may have taken it
from another card, or from the machine that it was copied from.
"""

from collections.abc import Sequence

from appliance.dhcp6.compile import Dhcp6Table
from appliance.dhcp6.hardware import is_link_local, mac_of_address, mac_of_duid, mac_of_link_layer
from appliance.dhcp6.options import OPT_CLIENT_ID, OPT_CLIENT_LINK_LAYER, Options, only
from appliance.dhcp6.relays import UNSPECIFIED, Relay
from appliance.dhcp6.reply import Arrival, ClientMessage


def refused_source(table: Dhcp6Table, relays: Sequence[Relay], arrival: Arrival) -> bytes | None:
    """Return the address of the first of *relays* that is not accepted; None if all are.

    The last relay is known by the source of its datagram, and each one before it by what the
    relay after it says. A client can have a relay say anything beyond that: a message that is
    a relay's already is forwarded like any other. So a message that does not come from a
    relay's address, and all that is inside it, may claim no other network than the last relay
    that is accepted.
    """
    source, link, is_accepted = arrival.source, UNSPECIFIED, True
    for number, relay in enumerate(relays):
        is_accepted = is_accepted and _is_accepted(table, source, None if number else arrival)
        if is_accepted:
            link = link if relay.link == UNSPECIFIED else relay.link
        elif number == 0 or not (relay.link == UNSPECIFIED or _same_network(table, link, relay.link)):
            return source
        source = relay.peer
    return None


def _is_accepted(table: Dhcp6Table, source: bytes, arrival: Arrival | None) -> bool:
    if is_link_local(source):
        # A relay on the same link as ours; it may have no other address there.
        return arrival is not None and table.serves(arrival.addresses)
    return table.accepts_relay(int.from_bytes(source, "big"))


def _same_network(table: Dhcp6Table, first: bytes, second: bytes) -> bool:
    return any(segment.has(first) and segment.is_on_link(second) for segment in table.segments)


def hardware_address(options: Options, relays: Sequence[Relay], arrival: Arrival) -> bytes | None:
    """Return the client's MAC address; b"" if nothing tells it, None if the kernel has to be asked."""
    if relays:
        seen = mac_of_link_layer(only(relays[-1].options, OPT_CLIENT_LINK_LAYER) or b"")
        found = seen or mac_of_address(relays[-1].peer)
    else:
        known = mac_of_address(arrival.source) or arrival.mac
        if known is None:
            return None
        found = known
    return found or mac_of_duid(only(options, OPT_CLIENT_ID) or b"")


def is_at_home(request: ClientMessage) -> bool:
    """Whether the client is in the network of its address."""
    link = request.link
    if link != UNSPECIFIED:
        return request.pin.segment.is_on_link(link)
    return is_link_local(request.arrival.source) and request.pin.segment.has_any(request.arrival.addresses)


def is_in_our_networks(table: Dhcp6Table, request: ClientMessage) -> bool:
    """Whether the client is in a network of a cluster.yaml."""
    link = request.link
    if link != UNSPECIFIED:
        return table.in_segments(int.from_bytes(link, "big"))
    # A relay elsewhere that names no network: its clients may be anywhere.
    return is_link_local(request.arrival.source) and table.serves(request.arrival.addresses)
