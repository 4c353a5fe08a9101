"""What each kind of message is answered, once it is known whose it is (RFC 8415 section 18.3).

The one rule: an address is fixed, so nothing is remembered of what was assigned: every
answer follows from the message and the table.
"""

from appliance.dhcp6.associations import Association, assigned, own_of, refused, withdrawn
from appliance.dhcp6.clients import may_be_firmware
from appliance.dhcp6.compile import Dhcp6Table
from appliance.dhcp6.options import (
    NO_ADDRS_AVAIL,
    NO_BINDING,
    NO_PREFIX_AVAIL,
    NOT_ON_LINK,
    OPT_CLIENT_FQDN,
    OPT_IA_NA,
    OPT_IA_PD,
    OPT_PREFERENCE,
    OPT_RAPID_COMMIT,
    OPT_REFRESH_TIME,
    OPT_REQUEST,
    SUCCESS,
    USE_MULTICAST,
    encode_name,
    encode_option,
    encode_status,
    only,
)
from appliance.dhcp6.reply import ADVERTISE, REPLY, ClientMessage, Reply, Silence, address_text, compose
from appliance.dhcp6.templates import requested_codes
from appliance.events import DhcpAcknowledged, DhcpDeclined, DhcpOffered, DhcpRefused, DhcpReleased, Event

SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE, INFORMATION_REQUEST = 1, 3, 4, 5, 6, 8, 9, 11
FROM_CLIENTS = frozenset((SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE, INFORMATION_REQUEST))
# RFC 8415 section 16: these name the server that the client has chosen, and those must not name one.
TO_ONE_SERVER = frozenset((REQUEST, RENEW, RELEASE, DECLINE))
TO_EVERY_SERVER = frozenset((SOLICIT, CONFIRM, REBIND))
MAX_REQUESTED_BYTES = 256  # of option 6, which is part of a cache key: more codes than there are
MOST_PREFERRED = encode_option(OPT_PREFERENCE, b"\xff")  # the client need not wait for other servers (section 18.2.1)

# Flags of option 39 (RFC 4704 section 4.1).
FQDN_SERVER_UPDATES, FQDN_OVERRIDES = 0x01, 0x02
NOT_HERE = "not the address of this client here"

NO_ADDRESS_ASKED = Silence("no-address-asked")
TOO_LONG = Silence("too-long")


def answer_associations(table: Dhcp6Table, request: ClientMessage, is_home: bool) -> Reply | Silence:
    """Answer a SOLICIT, REQUEST, RENEW or REBIND (RFC 8415 sections 18.3.1, 18.3.2, 18.3.4 and 18.3.5)."""
    if not request.associations:
        return NO_ADDRESS_ASKED
    pin, kind = request.pin, request.kind
    own = own_of(request.associations, pin.address)
    strange = _first_strange(request)
    if not is_home or (kind == REQUEST and strange and not pin.segment.has(strange)):
        parts = [
            withdrawn(each) if kind in (RENEW, REBIND) else refused(each, NOT_ON_LINK, NOT_HERE)
            for each in request.associations
        ]
        return _refusal(table, request, b"".join(parts), strange or pin.address)
    parts = [
        assigned(each, pin.segment, pin.address, withdraws=kind in (RENEW, REBIND))
        if each is own
        else _nothing_for(each, kind)
        for each in request.associations
    ]
    # Without an address there is nothing to commit: a client takes the first REPLY, and would hear no other server.
    is_rapid = kind == SOLICIT and OPT_RAPID_COMMIT in request.options and own is not None
    if is_rapid:
        parts.append(encode_option(OPT_RAPID_COMMIT, b""))
    elif kind == SOLICIT and own:
        parts.append(MOST_PREFERRED)
    message = ADVERTISE if kind == SOLICIT and not is_rapid else REPLY
    return _told(table, request, message, parts, has_address=own is not None)


def answer_information_request(table: Dhcp6Table, request: ClientMessage) -> Reply | Silence:
    """Answer a host that has an address from elsewhere (RFC 8415 section 18.3.6)."""
    parts = []
    if OPT_REFRESH_TIME in requested_codes(_requested(request)):
        parts.append(encode_option(OPT_REFRESH_TIME, request.pin.segment.refresh))
    return _told(table, request, REPLY, parts, has_address=True)


def answer_confirm(table: Dhcp6Table, request: ClientMessage, is_home: bool) -> Reply | Silence:
    """Answer a host that has come back to a link, or to another, with its addresses (RFC 8415 section 18.3.3)."""
    named = [address for each in request.associations for address in each.addresses]
    if not named:
        return NO_ADDRESS_ASKED
    strange = _first_strange(request)
    if not is_home or strange:
        # Also if the address is of this network: it is not the host's, and in this way the host learns it at once.
        return _refusal(table, request, encode_status(NOT_ON_LINK, NOT_HERE), strange or named[0])
    return _told(table, request, REPLY, [encode_status(SUCCESS, "")], has_address=True)


def take_back(table: Dhcp6Table, request: ClientMessage) -> Reply | Silence:
    """Answer a RELEASE or DECLINE. The host keeps its address."""
    pin = request.pin
    own = own_of(request.associations, pin.address)
    is_named = own is not None and pin.address in own.addresses
    parts = [
        refused(each, NO_BINDING, "nothing is assigned here")
        for each in request.associations
        if not (is_named and each is own)
    ]
    parts.append(encode_status(SUCCESS, ""))
    event: Event | None = None
    if is_named:
        word = DhcpReleased if request.kind == RELEASE else DhcpDeclined
        event = word(pin.name, pin.mac_text, pin.address_text)
    return compose(table.duid, table.port, request, REPLY, b"".join(parts), (), event) or TOO_LONG


def send_to_group(table: Dhcp6Table, request: ClientMessage) -> Reply | Silence:
    """Tell a host that it must not send to the server's own address (RFC 8415 section 18.4)."""
    status = encode_status(USE_MULTICAST, "send to ff02::1:2")
    return compose(table.duid, table.port, request, REPLY, status) or TOO_LONG


def _refusal(table: Dhcp6Table, request: ClientMessage, needed: bytes, asked: bytes) -> Reply | Silence:
    """Return the reply with *needed* to a host that names *asked*, which is wrong here."""
    pin = request.pin
    event = DhcpRefused(pin.name, pin.mac_text, address_text(asked), pin.address_text, request.relay)
    return compose(table.duid, table.port, request, REPLY, needed, (), event) or TOO_LONG


def _told(
    table: Dhcp6Table, request: ClientMessage, message: int, parts: list[bytes], *, has_address: bool
) -> Reply | Silence:
    """Return the reply with *parts* and all that the host is told."""
    pin, profile = request.pin, request.profile
    template = table.template(pin, profile, request.boots, request.loader, _requested(request))
    others = template.others
    if template.wants_name or OPT_CLIENT_FQDN in request.options:
        others = (_fqdn(request), *others)
    facts = (pin.name, pin.mac_text, pin.address_text, profile.program, profile.arch, template.boot, request.relay)
    word = DhcpOffered if message == ADVERTISE else DhcpAcknowledged
    # What may be firmware must not count as a system that runs.
    is_told = has_address and not may_be_firmware(request.options)
    event = word(*facts, request.is_local, profile.vendor) if is_told else None
    needed = b"".join(parts) + template.needed
    return compose(table.duid, table.port, request, message, needed, others, event) or TOO_LONG


def _requested(request: ClientMessage) -> bytes:
    return (only(request.options, OPT_REQUEST) or b"")[:MAX_REQUESTED_BYTES]


def _fqdn(request: ClientMessage) -> bytes:
    """Return option 39 with the host's name: its AAAA record is served already, so the client need not update it."""
    asked = only(request.options, OPT_CLIENT_FQDN) or b""
    overrides = bool(asked) and not asked[0] & FQDN_SERVER_UPDATES
    flags = FQDN_SERVER_UPDATES | (FQDN_OVERRIDES if overrides else 0)
    return encode_option(OPT_CLIENT_FQDN, bytes((flags,)) + encode_name(request.pin.name))


def _first_strange(request: ClientMessage) -> bytes | None:
    """Return the first address in an IA of the client that is not the host's; None without one."""
    return next(
        (address for each in request.associations for address in each.addresses if address != request.pin.address), None
    )


def _nothing_for(association: Association, kind: int) -> bytes:
    if kind in (RENEW, REBIND):
        return refused(association, NO_BINDING, "nothing is assigned here")
    if association.code == OPT_IA_PD:
        return refused(association, NO_PREFIX_AVAIL, "no prefixes are delegated")
    text = "the host has one address" if association.code == OPT_IA_NA else "no temporary addresses are assigned"
    return refused(association, NO_ADDRS_AVAIL, text)
