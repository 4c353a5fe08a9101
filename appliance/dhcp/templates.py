"""A reply's bytes, except for what depends on the client's message: its options, their order and their places.

The one rule: bytes are laid out here and nowhere else; `protocol.py` decides who gets
which template. The encoder is our own (`options.py`); the tests compare it with scapy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from appliance.boot.architectures import Firmware
from appliance.boot.chains import Step, boot_file
from appliance.dhcp.clients import ClientProfile
from appliance.dhcp.options import (
    COOKIE,
    FILE_BYTES,
    OPT_BOOT_FILE,
    OPT_DNS_SERVERS,
    OPT_HOST_NAME,
    OPT_IPXE,
    OPT_LEASE_TIME,
    OPT_MESSAGE_TYPE,
    OPT_REBINDING_TIME,
    OPT_RENEWAL_TIME,
    OPT_ROUTERS,
    OPT_SERVER_ID,
    OPT_SUBNET_MASK,
    OPT_TFTP_SERVER,
    OPT_VENDOR_CLASS,
    OPT_VENDOR_SPECIFIC,
    SNAME_BYTES,
    encode_option,
    lay_out,
)
from appliance.dhcp.pins import BasePin
from appliance.dhcp.segments import Segment
from appliance.events import Program
from appliance.model import Loader

NO_ADDRESS = bytes(4)

# These come first, whatever order the client requested: it needs them to interpret the rest.
_HEAD = (OPT_MESSAGE_TYPE, OPT_SERVER_ID, OPT_LEASE_TIME)
# Sent whether the client asked for them or not: some firmware leaves options that it needs out of its list.
_ALWAYS = (
    OPT_RENEWAL_TIME,
    OPT_REBINDING_TIME,
    OPT_SUBNET_MASK,
    OPT_HOST_NAME,
    OPT_VENDOR_CLASS,
    OPT_VENDOR_SPECIFIC,
    OPT_TFTP_SERVER,
    OPT_BOOT_FILE,
    OPT_IPXE,
)
# When a reply does not fit, all other options are left out before these.
_ESSENTIAL = frozenset((*_HEAD, *_ALWAYS, OPT_ROUTERS, OPT_DNS_SERVERS))

# Option 175, no-pxedhcp: do not wait for a proxyDHCP offer (ipxe/dhcp.h). Saves iPXE some seconds.
_NO_PXEDHCP = bytes((0xB0, 1, 1))
# UEFI HTTP Boot ignores an offer without it (UEFI 2.10 section 24.7).
_HTTP_VALUES = {OPT_VENDOR_CLASS: b"HTTPClient"}
# PXE_DISCOVERY_CONTROL: use the boot file of this offer, and search for no boot servers (PXE 2.1, section 2.2.3).
_USE_BOOT_FILE = bytes((6, 1, 8, 255))
# A boot menu whose only entry has type 0, the machine's own disk, and is chosen after 0 s (PXE 2.1, section 2.2.3).
# Without it, firmware that gets no boot file keeps asking before it tries the disk; edk2 does so for a minute.
_LOCAL = b"Local boot"
_BOOT_LOCAL = b"".join(
    (
        bytes((6, 1, 3)),  # PXE_DISCOVERY_CONTROL: no search for boot servers by broadcast or multicast
        bytes((9, 3 + len(_LOCAL), 0, 0, len(_LOCAL))) + _LOCAL,  # PXE_BOOT_MENU
        bytes((10, 1 + len(_LOCAL), 0)) + _LOCAL,  # PXE_MENU_PROMPT
        b"\xff",
    )
)


class Form(IntEnum):
    """The kinds of reply that have a template."""

    OFFER = 1
    ACK = 2
    INFORM_ACK = 3  # no address, no lease
    PROXY_OFFER = 4  # boot file only, beside another DHCP server
    BOOT_ACK = 5  # from port 4011

    @property
    def is_offer(self) -> bool:
        """Whether it is an OFFER rather than an ACK."""
        return self in (Form.OFFER, Form.PROXY_OFFER)

    @property
    def gives_address(self) -> bool:
        """Whether the reply assigns the client's address."""
        return self in (Form.OFFER, Form.ACK)

    @property
    def is_proxy(self) -> bool:
        """Whether another server assigns the address."""
        return self in (Form.PROXY_OFFER, Form.BOOT_ACK)


@dataclass(frozen=True, slots=True)
class Pin(BasePin[Segment]):
    """One MAC address of one host, and the address that is fixed to it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A reply, except for what depends on the client's message."""

    addresses: bytes  # yiaddr and siaddr
    tail: bytes  # from chaddr to the last option, without the end mark
    options_bytes: int  # how much of the options field it uses
    boot: str  # the boot file, for the event; "" without one


def build_template(
    pin: Pin,
    form: Form,
    profile: ClientProfile,
    *,
    boots: bool,
    loader: Loader = Loader.AUTO,
    requested: bytes,
    room: int | None = None,
) -> Template:
    """Return the reply of *form*.

    *boots* is whether it names a boot file, *loader* which one for a host with `loader:
    auto`, and *requested* the client's option 55. With
    *room*, the size of the options field in bytes, options that do not fit there go to
    `file` and `sname`; without it, all options are in the options field.
    """
    # A host that could have a boot file and gets none starts its disk. A host that starts its disk through a script has
    # *boots* set: its chain begins as for an installation, and only the script at pxeboot.ipxe differs.
    steps = pin.chain(profile, loader, starts_disk=not boots)
    values = reply_values(pin, form, profile, steps)
    codes = _order(values, requested)
    # The field `file` ends with a NUL (RFC 2131 section 2); a longer name goes in option 67 alone.
    named = values.get(OPT_BOOT_FILE, b"").rstrip(b"\0")
    file = named if len(named) < FILE_BYTES else b""
    sname = b""
    if room is None:
        options = b"".join(encode_option(code, values[code]) for code in codes)
    else:
        codes.sort(key=lambda code: code not in _ESSENTIAL)
        # A boot ROM reads the boot file's name from the header field only, iPXE from option 67 too. So the field may
        # hold options, unless a ROM needs the name there.
        layout = lay_out(
            ((code, values[code]) for code in codes),
            room,
            file_is_free=not file or profile.program is not Program.PXE,
        )
        options, sname, file = layout.main, layout.sname, layout.file or file
    # U-Boot takes siaddr for its TFTP server, whether or not it gets a boot file. But PXE firmware that is to start its
    # disk would take it for a boot server to ask on port 4011.
    siaddr = NO_ADDRESS if values.get(OPT_VENDOR_SPECIFIC) == _BOOT_LOCAL else pin.segment.server
    return Template(
        addresses=(pin.address if form.gives_address else NO_ADDRESS) + siaddr,
        tail=b"".join(
            (pin.mac, bytes(10), sname.ljust(SNAME_BYTES, b"\0"), file.ljust(FILE_BYTES, b"\0"), COOKIE, options)
        ),
        options_bytes=len(options),
        boot=boot_file(steps),
    )


def reply_values(pin: Pin, form: Form, profile: ClientProfile, steps: tuple[Step, ...]) -> dict[int, bytes]:
    """Return every option that the reply may contain, by code; *steps* is what the host loads."""
    segment, boot = pin.segment, boot_file(steps)
    values: dict[int, bytes] = {
        OPT_MESSAGE_TYPE: b"\2" if form.is_offer else b"\5",  # DHCPOFFER, DHCPACK
        OPT_SERVER_ID: segment.server,
    }
    if not form.is_proxy:
        values = {**segment.values, OPT_HOST_NAME: pin.name.encode("ascii"), **values}
    if form is Form.INFORM_ACK:
        # RFC 2131 section 4.3.5: no lease times for an address that the client has from elsewhere.
        for code in (OPT_LEASE_TIME, OPT_RENEWAL_TIME, OPT_REBINDING_TIME):
            values.pop(code, None)
    if boot:
        values[OPT_TFTP_SERVER] = _boot_text(segment.server_text, profile)
        values[OPT_BOOT_FILE] = _boot_text(boot, profile)
        if profile.program is Program.IPXE:
            values[OPT_IPXE] = _NO_PXEDHCP
        values |= _vendor_values(form, profile)
    elif not form.is_proxy:
        values |= _disk_values(profile, steps)
    return values


def _disk_values(profile: ClientProfile, steps: tuple[Step, ...]) -> dict[int, bytes]:
    """Return the options that make firmware go on to its next boot entry at once."""
    if profile.program is Program.PXE:
        return {OPT_VENDOR_CLASS: b"PXEClient", OPT_VENDOR_SPECIFIC: _BOOT_LOCAL}
    if profile.program is Program.HTTP:
        return {OPT_BOOT_FILE: steps[0].target.encode(), **_HTTP_VALUES}
    return {}


def _boot_text(text: str, profile: ClientProfile) -> bytes:
    """Return the value of option 66 or 67."""
    # Old ROMs read both as C strings, past the option's length, and would take the next option's code into the name.
    ends_with_nul = profile.program is Program.PXE and len(text) < 255
    return text.encode() + b"\0" * ends_with_nul


def _vendor_values(form: Form, profile: ClientProfile) -> dict[int, bytes]:
    """Return options 60 and 43 for a reply with a boot file.

    To UEFI, PXEClient alone means "ask port 4011 for the boot file" (PXE 2.1 section
    2.2.4). A server that gives address and boot file together must not send it, and a
    proxy must.
    """
    if profile.program is Program.HTTP:
        return _HTTP_VALUES
    if not form.is_proxy:
        return {}
    if profile.architecture.firmware in (Firmware.BIOS, Firmware.UNSTATED):
        return {OPT_VENDOR_CLASS: b"PXEClient", OPT_VENDOR_SPECIFIC: _USE_BOOT_FILE}
    # Some UEFI firmware ignores a proxy's offer with _USE_BOOT_FILE; without it, all of them ask port 4011.
    return {OPT_VENDOR_CLASS: b"PXEClient"}


def _order(values: Mapping[int, bytes], requested: bytes) -> list[int]:
    """Return the codes of *values* that are sent: the head, what was requested in that order, then the rest."""
    wanted = dict.fromkeys(_HEAD)
    # A client without option 55 gets every option.
    wanted |= dict.fromkeys(requested or sorted(values))
    wanted |= dict.fromkeys(_ALWAYS)
    codes = [code for code in wanted if code in values]
    if OPT_ROUTERS in codes and OPT_SUBNET_MASK in codes:
        # RFC 2132 section 3.3: the mask must come before the router, whatever the client asked for first.
        mask, router = codes.index(OPT_SUBNET_MASK), codes.index(OPT_ROUTERS)
        if mask > router:
            codes.insert(router, codes.pop(mask))
    return codes
