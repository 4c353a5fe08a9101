"""The reply to a DHCPv6 datagram (RFC 8415), for hosts whose addresses are fixed by their MAC addresses.

The one rule: a pure and total function of bytes, table and arrival. Only a MAC address in
a cluster.yaml gets a reply.
"""

from collections.abc import Mapping
from ipaddress import IPv6Address

from appliance.dhcp.clients import MAX_VENDOR
from appliance.dhcp.situation import situation_of
from appliance.dhcp6.associations import associations_of
from appliance.dhcp6.bystanders import offer_nothing
from appliance.dhcp6.clients import identify_options, may_be_firmware, vendor_class
from appliance.dhcp6.compile import Dhcp6Table
from appliance.dhcp6.hardware import DUID_BYTES, is_link_local
from appliance.dhcp6.messages import (
    CONFIRM,
    DECLINE,
    FROM_CLIENTS,
    INFORMATION_REQUEST,
    RELEASE,
    REQUEST,
    SOLICIT,
    TO_EVERY_SERVER,
    TO_ONE_SERVER,
    answer_associations,
    answer_confirm,
    answer_information_request,
    send_to_group,
    take_back,
)
from appliance.dhcp6.options import (
    OPT_CLIENT_ID,
    OPT_SERVER_ID,
    Options,
    only,
    parse_options,
)
from appliance.dhcp6.origin import hardware_address, is_at_home, is_in_our_networks, refused_source
from appliance.dhcp6.relays import Relay, unwrap
from appliance.dhcp6.reply import (
    Arrival,
    ClientMessage,
    Reply,
    Silence,
    address_text,
    link_of,
)
from appliance.events import (
    DhcpMisplaced,
    DhcpPassed,
    DhcpRelayRefused,
    DhcpUnknown,
)
from appliance.install.installation import Installation
from appliance.install.recipes import NO_BEGINNINGS, Beginnings
from appliance.model import DhcpMode

HEAD_BYTES = 4  # message type and transaction id

SHORT = Silence("short")
MALFORMED_RELAY = Silence("malformed-relay-message")
NOT_LINK_LOCAL = Silence("not-link-local")
OTHER_MESSAGE = Silence("other-message")
MALFORMED = Silence("malformed-options")
OTHER_NETWORK = Silence("other-network")
# The server asks the kernel, and then again with what it says.
UNRESOLVED = Silence("unresolved-mac")
UNKNOWN = Silence("unknown-mac")
NO_IPV6 = Silence("host-without-ipv6")
MODE_OFF = Silence("mode-off")
PROXY_MODE = Silence("proxy-mode")
NO_CLIENT_ID = Silence("no-client-id")
OTHER_SERVER = Silence("other-server-chosen")
UNICAST = Silence("unicast")


def answer(
    table: Dhcp6Table,
    datagram: bytes,
    arrival: Arrival,
    installations: Mapping[str, Installation],
    beginnings: Beginnings = NO_BEGINNINGS,
) -> Reply | Silence:
    """Return the reply to *datagram*, or why there is none. Never raises.

    *installations* is keyed by host name, and *beginnings*, where `loader: auto` begins,
    by the class of firmware.
    """
    unwrapped = unwrap(datagram)
    if unwrapped is None:
        return MALFORMED_RELAY
    relays, message = unwrapped
    if len(message) < HEAD_BYTES:
        return SHORT
    if message[0] not in FROM_CLIENTS:
        return OTHER_MESSAGE
    if not relays and not is_link_local(arrival.source):
        return NOT_LINK_LOCAL
    options = parse_options(message[HEAD_BYTES:])
    if options is None:
        return MALFORMED
    if (source := refused_source(table, relays, arrival)) is not None:
        return _relay_refused(options, relays, source)
    mac = hardware_address(options, relays, arrival)
    if mac is None:
        # Nothing is sent to find out who a client is where no host can be.
        return UNRESOLVED if table.hears(arrival.addresses) else OTHER_NETWORK
    if mac not in table.pins:
        if not relays and (offer := offer_nothing(table, message, options, arrival, mac, installations)) is not None:
            return offer
        return _unknown(table, message[0], options, relays, arrival, mac)
    return _answer_pinned(table, message, options, relays, arrival, mac, len(datagram), installations, beginnings)


def _answer_pinned(
    table: Dhcp6Table,
    message: bytes,
    options: Options,
    relays: tuple[Relay, ...],
    arrival: Arrival,
    mac: bytes,
    size: int,
    installations: Mapping[str, Installation],
    beginnings: Beginnings,
) -> Reply | Silence:
    pin = table.pins[mac]
    if pin.segment.mode is DhcpMode.OFF:
        return MODE_OFF
    associations = associations_of(options)
    if associations is None:
        return MALFORMED
    profile = identify_options(options)
    situation = situation_of(pin.host, profile.firmware, installations, beginnings)
    boots = profile.boots and pin.is_boot_nic and not situation.boots_local
    request = ClientMessage(
        message[0],
        message[1:4],
        options,
        associations,
        relays,
        pin,
        profile,
        boots,
        situation.loader,
        arrival,
        size,
    )
    result = invalid(table, request) or _answer_host(table, request)
    if isinstance(result, Silence):
        return Silence(result.why, result.event, pin.name, request.is_local)
    return result


def invalid(table: Dhcp6Table, request: ClientMessage) -> Silence | None:
    """Return why a message is not for this server, or for none at all (RFC 8415 section 16); None if it is."""
    client_id, server_id = only(request.options, OPT_CLIENT_ID), only(request.options, OPT_SERVER_ID)
    if client_id is None and request.kind != INFORMATION_REQUEST:
        return NO_CLIENT_ID
    if client_id is not None and len(client_id) not in DUID_BYTES:
        return MALFORMED
    if request.kind in TO_EVERY_SERVER and server_id is not None:
        return MALFORMED
    if request.kind in TO_ONE_SERVER and server_id is None:
        return MALFORMED
    if server_id is not None and server_id != table.duid:
        return OTHER_SERVER
    if request.kind == INFORMATION_REQUEST and request.associations:
        return MALFORMED
    if request.arrival.is_unicast and not request.relays and request.kind not in TO_ONE_SERVER:
        return UNICAST
    return None


def _answer_host(table: Dhcp6Table, request: ClientMessage) -> Reply | Silence:
    kind, is_home = request.kind, is_at_home(request)
    if request.pin.segment.mode is DhcpMode.PROXY:
        return _pass(request, is_home)
    if not is_home and (
        kind in (SOLICIT, RELEASE, DECLINE, INFORMATION_REQUEST) or not is_in_our_networks(table, request)
    ):
        # In a network that is in no cluster.yaml another server decides; a refusal by us would end its lease.
        return _misplaced(request)
    if request.arrival.is_unicast and not request.relays:
        return send_to_group(table, request)
    if kind == INFORMATION_REQUEST:
        return answer_information_request(table, request)
    if kind in (RELEASE, DECLINE):
        return take_back(table, request)
    if kind == CONFIRM:
        return answer_confirm(table, request, is_home)
    return answer_associations(table, request, is_home)


def _relay_refused(options: Options, relays: tuple[Relay, ...], source: bytes) -> Silence:
    text = str(IPv6Address(source))
    mac = hardware_address(options, relays, Arrival("", (), source, 0, is_unicast=True, mac=b"")) or b""
    hint = f"if the relay at {text} is yours, add {text} to dhcp.relays"
    if is_link_local(source):
        hint = "a relay has to send from an address in dhcp.relays or in a machine network"
    event = DhcpRelayRefused("", mac.hex(":"), address_text(link_of(relays)) or text, text, hint)
    return Silence("relay-not-accepted", event)


def _unknown(
    table: Dhcp6Table, kind: int, options: Options, relays: tuple[Relay, ...], arrival: Arrival, mac: bytes
) -> Silence:
    if not relays and not table.serves(arrival.addresses):
        return OTHER_NETWORK
    if mac in table.known:
        return NO_IPV6
    profile = identify_options(options)
    # Beside another DHCP server, a machine that does not boot from the network is that server's business.
    is_ours = table.mode is DhcpMode.FULL or profile.boots
    if not mac or kind not in (SOLICIT, REQUEST) or not is_ours:
        return UNKNOWN
    event = DhcpUnknown(
        host="",
        mac=mac.hex(":"),
        program=profile.program,
        arch=profile.arch,
        vendor=vendor_class(options)[:MAX_VENDOR].decode("ascii", "backslashreplace"),
        relay=address_text(link_of(relays)),
        interface=arrival.interface,
    )
    return Silence(UNKNOWN.why, event, is_local=True)


def _pass(request: ClientMessage, is_home: bool) -> Silence:
    """Beside another DHCP server, note that the host asks; DHCPv6 has no answer that names a boot file alone."""
    if request.kind != SOLICIT or may_be_firmware(request.options):
        return PROXY_MODE
    if not is_home:
        return _misplaced(request)
    pin, profile = request.pin, request.profile
    known = (pin.name, pin.mac_text, pin.address_text, profile.program, profile.arch, request.relay)
    return Silence(PROXY_MODE.why, DhcpPassed(*known, is_local=request.is_local))


def _misplaced(request: ClientMessage) -> Silence:
    pin = request.pin
    event = DhcpMisplaced(pin.name, pin.mac_text, pin.address_text, request.relay, request.arrival.interface)
    return Silence("wrong-network", event)
