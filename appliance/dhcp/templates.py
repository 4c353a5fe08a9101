"""A reply's finished bytes but for what each request brings along: which options it has, in which order, and where.

The one rule: bytes are laid out here and nowhere else; who gets which template is
said in `protocol.py`. The encoder is our own (`options.py`) and scapy judges it in
the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from appliance.boot.architectures import Firmware
from appliance.boot.chains import Step, boot_file, chain
from appliance.dhcp.clients import Asker
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
from appliance.dhcp.segments import Segment
from appliance.events import Client
from appliance.model import Cluster, Host

NO_ADDRESS = bytes(4)

# Options whose order is not the client's: what a client needs to read the rest.
_HEAD = (OPT_MESSAGE_TYPE, OPT_SERVER_ID, OPT_LEASE_TIME)
# Given whether asked for or not.
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
# What is left out last when a reply does not fit.
_ESSENTIAL = frozenset((*_HEAD, *_ALWAYS, OPT_ROUTERS, OPT_DNS_SERVERS))

_NO_PXEDHCP = bytes((0xB0, 1, 1))  # option 175: do not wait for a proxyDHCP (ipxe/dhcp.h)
# PXE_DISCOVERY_CONTROL: take the boot file of this very offer (PXE 2.1, section 2.2.3).
_USE_BOOT_FILE = bytes((6, 1, 8, 255))
# A boot menu of one entry, of type 0, which is the machine's own disk, taken after 0 s (PXE 2.1, section 2.2.3).
# Without it firmware that is offered no boot file asks on: edk2 for a minute, before it tries the disk.
_LOCAL = b"Local boot"
_BOOT_LOCAL = b"".join(
    (
        bytes((6, 1, 3)),  # PXE_DISCOVERY_CONTROL: look for no boot server, by broadcast or multicast
        bytes((9, 3 + len(_LOCAL), 0, 0, len(_LOCAL))) + _LOCAL,  # PXE_BOOT_MENU
        bytes((10, 1 + len(_LOCAL), 0)) + _LOCAL,  # PXE_MENU_PROMPT
        b"\xff",
    )
)


class Form(IntEnum):
    """The replies that have a template; the value is what tells them apart in its key."""

    OFFER = 1
    ACK = 2
    INFORM_ACK = 3  # no address, no lease
    PROXY_OFFER = 4  # boot file only, beside somebody else's server
    BOOT_ACK = 5  # from port 4011

    @property
    def is_offer(self) -> bool:
        """Whether it is an OFFER, and not an ACK."""
        return self in (Form.OFFER, Form.PROXY_OFFER)

    @property
    def gives_address(self) -> bool:
        """Whether the reply is about the client's lease."""
        return self in (Form.OFFER, Form.ACK)

    @property
    def is_proxy(self) -> bool:
        """Whether somebody else gives the address."""
        return self in (Form.PROXY_OFFER, Form.BOOT_ACK)


@dataclass(frozen=True, slots=True)
class Pin:
    """One MAC address of one host."""

    cluster: Cluster
    host: Host
    mac: bytes
    mac_text: str
    address: bytes
    address_text: str
    segment: Segment
    is_boot_nic: bool

    @property
    def name(self) -> str:
        """The host's full name."""
        return self.host.name

    def chain(self, asker: Asker, *, starts_disk: bool) -> tuple[Step, ...]:
        """Return what the host loads from now on, where *asker* runs."""
        return chain(self.cluster, self.host, asker.client, asker.architecture, starts_disk=starts_disk)


@dataclass(frozen=True, slots=True)
class Template:
    """A reply but for what each request brings along."""

    addresses: bytes  # yiaddr and siaddr
    tail: bytes  # from chaddr to the last option; the end mark is not in it
    options_bytes: int  # of the options field used by it
    boot: str  # the boot file, for the event


def build_template(
    pin: Pin, form: Form, asker: Asker, *, boots: bool, requested: bytes, room: int | None = None
) -> Template:
    """Return the reply of *form*; with *room*, in bytes, spread over `file` and `sname` so that it fits.

    *boots* is whether a boot file is given, *requested* the client's option 55.
    """
    # A host that starts its disk and is given a boot file is given the same one: the script behind it differs.
    boot = boot_file(pin.chain(asker, starts_disk=False)) if boots else ""
    values = reply_values(pin, form, asker, boot)
    codes = _order(values, requested)
    file = boot.encode() if len(boot) < FILE_BYTES else b""  # option 67 alone has a longer one
    sname = b""
    if room is None:
        options = b"".join(encode_option(code, values[code]) for code in codes)
    else:
        codes.sort(key=lambda code: code not in _ESSENTIAL)
        # A boot ROM reads the boot file in the header's field only, iPXE in option 67 too.
        layout = lay_out(
            ((code, values[code]) for code in codes),
            room,
            file_is_free=not file or asker.client is not Client.PXE,
        )
        options, sname, file = layout.main, layout.sname, layout.file or file
    return Template(
        addresses=(pin.address if form.gives_address else NO_ADDRESS) + (pin.segment.server if boot else NO_ADDRESS),
        tail=b"".join(
            (pin.mac, bytes(10), sname.ljust(SNAME_BYTES, b"\0"), file.ljust(FILE_BYTES, b"\0"), COOKIE, options)
        ),
        options_bytes=len(options),
        boot=boot,
    )


def reply_values(pin: Pin, form: Form, asker: Asker, boot: str) -> dict[int, bytes]:
    """Return every option that the reply may hold, by code."""
    segment = pin.segment
    values: dict[int, bytes] = {
        OPT_MESSAGE_TYPE: b"\2" if form.is_offer else b"\5",  # DHCPOFFER, DHCPACK
        OPT_SERVER_ID: segment.server,
    }
    if not form.is_proxy:
        values = {**segment.values, OPT_HOST_NAME: pin.name.encode("ascii"), **values}
    if form is Form.INFORM_ACK:
        # RFC 2131 section 4.3.5: no lease for an address that we did not give.
        for code in (OPT_LEASE_TIME, OPT_RENEWAL_TIME, OPT_REBINDING_TIME):
            values.pop(code, None)
    if boot:
        values[OPT_TFTP_SERVER] = segment.server_text.encode()
        values[OPT_BOOT_FILE] = boot.encode()
        if asker.client is Client.IPXE:
            values[OPT_IPXE] = _NO_PXEDHCP
        values |= _vendor_values(form, asker)
    elif asker.client is Client.PXE and not form.is_proxy:
        values |= {OPT_VENDOR_CLASS: b"PXEClient", OPT_VENDOR_SPECIFIC: _BOOT_LOCAL}
    return values


def _vendor_values(form: Form, asker: Asker) -> dict[int, bytes]:
    """Return options 60 and 43.

    To UEFI a bare PXEClient means "ask port 4011 for the boot file": nothing that
    a server with the whole answer should say. A proxy must say it.
    """
    if asker.client is Client.HTTP:
        return {OPT_VENDOR_CLASS: b"HTTPClient"}
    if not form.is_proxy:
        return {}
    if asker.architecture.firmware in (Firmware.BIOS, Firmware.UNSAID):
        return {OPT_VENDOR_CLASS: b"PXEClient", OPT_VENDOR_SPECIFIC: _USE_BOOT_FILE}
    # Some UEFI ignores a proxy's offer that has _USE_BOOT_FILE; all ask port 4011 without it.
    return {OPT_VENDOR_CLASS: b"PXEClient"}


def _order(values: Mapping[int, bytes], requested: bytes) -> list[int]:
    """Return the codes of *values* that are sent: the head, what was asked for in that order, then the rest."""
    wanted = dict.fromkeys(_HEAD)
    wanted |= dict.fromkeys(requested or sorted(values))
    wanted |= dict.fromkeys(_ALWAYS)
    codes = [code for code in wanted if code in values]
    if OPT_ROUTERS in codes and OPT_SUBNET_MASK in codes:
        # RFC 2132 section 3.3: the mask goes before the router, whatever was asked first.
        mask, router = codes.index(OPT_SUBNET_MASK), codes.index(OPT_ROUTERS)
        if mask > router:
            codes.insert(router, codes.pop(mask))
    return codes
