"""The reply to a DHCP datagram (RFC 2131), for hosts whose addresses are fixed by their MAC addresses.

The one rule: a pure and total function of bytes, table and arrival. Only a MAC
address in a cluster.yaml gets a reply. A client identifier is returned but never
used for a lookup: firmware, iPXE and the operating system each send a different one.
"""

from collections.abc import Mapping

from appliance.dhcp.clients import MAX_VENDOR, identify_options
from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.options import (
    COOKIE,
    HEADER_BYTES,
    OPT_CLIENT_ID,
    OPT_MESSAGE_TYPE,
    OPT_RELAY_AGENT,
    OPT_REQUESTED_ADDRESS,
    OPT_SERVER_ID,
    OPT_VENDOR_CLASS,
    parse_options,
    scan_options,
)
from appliance.dhcp.origin import (
    ETHERNET,
    NO_SOURCE,
    hardware_text,
    is_at_home,
    is_from_ciaddr,
    is_in_our_networks,
    is_on_link,
    is_stranger_of_ours,
)
from appliance.dhcp.reply import (
    Arrival,
    ClientMessage,
    Reply,
    Silence,
    address_number,
    address_text,
    override_or,
    patched,
    refusal,
)
from appliance.dhcp.situation import situation_of
from appliance.dhcp.templates import NO_ADDRESS, Form, Pin
from appliance.events import DhcpDeclined, DhcpMisplaced, DhcpPassed, DhcpRelayRefused, DhcpReleased, DhcpUnknown
from appliance.install.installation import Installation
from appliance.install.recipes import NO_BEGINNINGS, Beginnings
from appliance.model import DhcpMode

BOOTREQUEST = 1
DISCOVER, REQUEST, DECLINE, RELEASE, INFORM = 1, 3, 4, 7, 8

# Client identifier of our own search for other servers (probe.py), which reaches this server too.
PROBE_ID = b"\0ocp-appliance probe"

SHORT = Silence("short")
NOT_A_REQUEST = Silence("not-a-request")
BOOTP = Silence("bootp")
MALFORMED = Silence("malformed-options")
OWN_PROBE = Silence("own-probe")
UNKNOWN = Silence("unknown-mac")
OTHER_MESSAGE = Silence("other-message")
OTHER_SERVER = Silence("other-server-chosen")
OTHER_ADDRESS = Silence("other-address")
NO_ADDRESS_ASKED = Silence("no-address-asked")
MODE_OFF = Silence("mode-off")
PROXY_MODE = Silence("proxy-mode")
NOTHING_TO_BOOT = Silence("nothing-to-boot")
OTHER_NETWORK = Silence("other-network")
OUTSIDE = Silence("from-outside")
NOT_ITS_ADDRESS = Silence("not-from-its-address")
NO_INFORM_ADDRESS = Silence("inform-without-address")


def answer(
    table: DhcpTable,
    datagram: bytes,
    arrival: Arrival,
    installations: Mapping[str, Installation],
    beginnings: Beginnings = NO_BEGINNINGS,
) -> Reply | Silence:
    """Return the reply to *datagram*, or why there is none. Never raises.

    *installations* is keyed by host name, and *beginnings*, where `loader: auto` begins,
    by the class of firmware.
    """
    if len(datagram) < HEADER_BYTES:
        return SHORT
    if datagram[0] != BOOTREQUEST:
        return NOT_A_REQUEST
    if datagram[236:240] != COOKIE:
        return BOOTP
    options = parse_options(datagram)
    if options is None:
        return MALFORMED
    message = options.get(OPT_MESSAGE_TYPE)
    if message is None:
        return BOOTP
    if len(message) != 1:
        return MALFORMED
    giaddr = datagram[24:28]
    if giaddr != NO_ADDRESS and not table.accepts_relay(address_number(arrival.source)):
        return _relay_refused(datagram, arrival)
    pin = table.pins.get(datagram[28:34]) if datagram[1:3] == ETHERNET else None
    if pin is None:
        return _unknown(table, datagram, options, arrival)
    if pin.segment.mode is DhcpMode.OFF:
        return MODE_OFF
    request = _request_of(pin, datagram, options, arrival, installations, beginnings)
    result = _answer_host(table, request, message[0])
    return result if isinstance(result, Reply) else Silence(result.why, result.event, request.is_local)


def _answer_host(table: DhcpTable, request: ClientMessage, message: int) -> Reply | Silence:
    if request.arrival.is_boot_server:
        return _answer_boot_server(table, request, message)
    is_near = request.is_local or request.arrival.source == NO_SOURCE
    # A host may send a renewal or an INFORM through routers.
    if not (is_near or (message in (REQUEST, INFORM) and is_from_ciaddr(request))):
        return _outside(request) if message in (DISCOVER, REQUEST, INFORM) else OUTSIDE
    if request.pin.segment.mode is DhcpMode.PROXY:
        return _answer_proxy(table, request, message)
    if message == DISCOVER:
        return _answer_discover(table, request)
    if message == REQUEST:
        return _answer_request(table, request)
    if message == INFORM:
        return _answer_inform(table, request)
    if message in (DECLINE, RELEASE):
        return _take_back(table, request, message)
    return OTHER_MESSAGE


def _request_of(
    pin: Pin,
    datagram: bytes,
    options: Mapping[int, bytes],
    arrival: Arrival,
    installations: Mapping[str, Installation],
    beginnings: Beginnings,
) -> ClientMessage:
    profile = identify_options(options)
    situation = situation_of(pin.host, profile.firmware, installations, beginnings)
    if situation.has_loaded and profile.otherwise is not None:
        # It has fetched our iPXE, and is still the one that lacks something. What it can, it may try.
        profile = profile.otherwise
    agent: dict[int, bytes] = {}
    giaddr = datagram[24:28]
    is_relayed = giaddr != NO_ADDRESS
    if is_relayed and OPT_RELAY_AGENT in options:
        scan_options(options[OPT_RELAY_AGENT], 0, len(options[OPT_RELAY_AGENT]), agent)
    return ClientMessage(
        datagram=datagram,
        options=options,
        agent=agent,
        pin=pin,
        profile=profile,
        # A boot file goes only to a program that can use it, on the interface that the host boots from.
        boots=profile.boots and pin.is_boot_nic and not situation.boots_local,
        loader=situation.loader,
        ciaddr=datagram[12:16],
        giaddr=giaddr,
        relay=address_text(giaddr) if is_relayed else "",
        arrival=arrival,
        # Relays forward nothing to port 4011.
        is_local=(is_relayed and not arrival.is_boot_server) or is_on_link(pin, arrival),
    )


def _relay_refused(datagram: bytes, arrival: Arrival) -> Silence:
    source = arrival.source
    hint = f"if the relay at {source} is yours, add {source} to dhcp.relays"
    event = DhcpRelayRefused("", hardware_text(datagram, {}), address_text(datagram[24:28]), source, hint)
    return Silence("relay-not-accepted", event)


def _unknown(table: DhcpTable, datagram: bytes, options: Mapping[int, bytes], arrival: Arrival) -> Silence:
    if options.get(OPT_CLIENT_ID) == PROBE_ID:
        return OWN_PROBE
    giaddr = datagram[24:28]
    if giaddr == NO_ADDRESS and not is_stranger_of_ours(table, arrival):
        return OTHER_NETWORK
    profile = identify_options(options)
    if options[OPT_MESSAGE_TYPE][0] not in (DISCOVER, REQUEST):
        return UNKNOWN
    if table.mode is not DhcpMode.FULL and not profile.boots:
        # Beside another DHCP server, a machine that does not boot from the network is that server's business.
        return UNKNOWN
    return Silence(
        UNKNOWN.why,
        DhcpUnknown(
            host="",
            mac=hardware_text(datagram, options),
            program=profile.program,
            arch=profile.arch,
            vendor=options.get(OPT_VENDOR_CLASS, b"")[:MAX_VENDOR].decode("ascii", "backslashreplace"),
            relay="" if giaddr == NO_ADDRESS else address_text(giaddr),
            interface=arrival.interface,
        ),
        is_local=True,
    )


def _answer_discover(table: DhcpTable, request: ClientMessage) -> Reply | Silence:
    if not is_at_home(request):
        return _misplaced(request)
    return patched(table, request, Form.OFFER) or NOTHING_TO_BOOT


def _answer_request(table: DhcpTable, request: ClientMessage) -> Reply | Silence:
    """Answer a REQUEST by the client's state, which follows from its fields (RFC 2131 section 4.3.2)."""
    if not _is_for_us(table, request):
        return OTHER_SERVER  # SELECTING, and the client chose another server
    # RENEWING and REBINDING fill ciaddr; SELECTING and INIT-REBOOT option 50.
    asked = request.ciaddr
    if asked == NO_ADDRESS:
        # A client that names this server accepts its offer, and that can only have been of the host's address, so the
        # option that it must send as well (RFC 2131 table 5) adds nothing.
        offered = request.pin.address if OPT_SERVER_ID in request.options else b""
        asked = request.options.get(OPT_REQUESTED_ADDRESS, offered)
        if len(asked) != 4:
            return NO_ADDRESS_ASKED
    if not is_at_home(request) and not is_in_our_networks(table, request):
        # In a network that is in no cluster.yaml, another server decides; a NAK from us would break its lease.
        return _misplaced(request)
    if asked != request.pin.address or not is_at_home(request):
        return refusal(table, request, asked)
    return patched(table, request, Form.ACK) or NOTHING_TO_BOOT


def _answer_inform(table: DhcpTable, request: ClientMessage) -> Reply | Silence:
    if request.ciaddr == NO_ADDRESS:
        return NO_INFORM_ADDRESS
    # The reply goes to ciaddr, which must not be somebody else's.
    if not is_at_home(request) or int.from_bytes(request.ciaddr) not in request.pin.segment:
        return _misplaced(request)
    return patched(table, request, Form.INFORM_ACK) or NOTHING_TO_BOOT


def _take_back(table: DhcpTable, request: ClientMessage, message: int) -> Silence:
    """Return the event for a DECLINE or a RELEASE. Neither has a reply, and the host keeps its address."""
    if not _is_for_us(table, request):
        return OTHER_SERVER
    if not request.is_local or not is_at_home(request):
        return OUTSIDE
    pin = request.pin
    # The client names the address: in ciaddr to release it, in option 50 to decline it (RFC 2131 table 5).
    named = request.ciaddr if message == RELEASE else request.options.get(OPT_REQUESTED_ADDRESS, pin.address)
    if named != pin.address:
        return OTHER_ADDRESS
    if message == RELEASE:
        return Silence("released", DhcpReleased(pin.name, pin.mac_text, pin.address_text))
    return Silence("declined", DhcpDeclined(pin.name, pin.mac_text, pin.address_text))


def _answer_proxy(table: DhcpTable, request: ClientMessage, message: int) -> Reply | Silence:
    """Answer beside another DHCP server: what to boot, and nothing else (PXE 2.1 section 2.2)."""
    if message != DISCOVER:
        return PROXY_MODE
    if not is_at_home(request):
        return _misplaced(request)
    if not request.boots:
        # Even so, firmware that comes back and a system that starts show how far the installation has come.
        pin, profile = request.pin, request.profile
        known = (pin.name, pin.mac_text, pin.address_text, profile.program, profile.arch, request.relay)
        return Silence(NOTHING_TO_BOOT.why, DhcpPassed(*known, is_local=request.is_local, vendor=profile.vendor))
    return patched(table, request, Form.PROXY_OFFER) or NOTHING_TO_BOOT


def _answer_boot_server(table: DhcpTable, request: ClientMessage, message: int) -> Reply | Silence:
    """Answer on port 4011, where firmware with an address asks for its boot file (PXE 2.1 section 2.2.4)."""
    if message not in (DISCOVER, REQUEST, INFORM):
        return OTHER_MESSAGE
    if request.arrival.source != request.pin.address_text:
        return NOT_ITS_ADDRESS
    if not request.boots:
        return NOTHING_TO_BOOT
    return patched(table, request, Form.BOOT_ACK) or NOTHING_TO_BOOT


def _is_for_us(table: DhcpTable, request: ClientMessage) -> bool:
    """Whether the message names no server, or one of the appliance's addresses."""
    # A relay may have had its own address put in place of ours (RFC 5107); the client then names that.
    server = request.options.get(OPT_SERVER_ID)
    return server is None or server in table.servers or server == override_or(b"", request)


def _outside(request: ClientMessage) -> Silence:
    pin, where = request.pin, request.arrival
    # Anybody who reaches the port can cause it, so it is not the host's and displaces no events of the host's.
    return Silence(OUTSIDE.why, DhcpMisplaced("", pin.mac_text, pin.address_text, "", where.interface, where.source))


def _misplaced(request: ClientMessage) -> Silence:
    pin = request.pin
    return Silence(
        "wrong-network",
        DhcpMisplaced(pin.name, pin.mac_text, pin.address_text, request.relay, request.arrival.interface),
    )
