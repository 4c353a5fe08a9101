"""Clusters → the DHCP table: who is pinned where, and each reply's finished bytes.

The one rule: a reply is laid out once for each host, message and kind of client,
and after that only patched. It happens at first use, in some 10 µs: a host that
never boots costs nothing, and a thousand hosts start in no time. The encoder is
our own (`options.py`) and scapy judges it in the tests; scapy in the server would
take 0.25 s of each start and 50 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from appliance.dhcp.clients import Asker, identify
from appliance.dhcp.options import (
    COOKIE,
    FILE_BYTES,
    HEADER_BYTES,
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
    parse_options,
)
from appliance.dhcp.segments import Segment, compile_segment
from appliance.events import Client
from appliance.model import Arch, Cluster, DhcpMode, Host, Install, LocalBoot

MENU_PATH = "pxeboot.ipxe"
NO_ADDRESS = bytes(4)

# 1,000 hosts need six each (firmware, iPXE and system; offer and ack), 5 MB; a client that varies its wishes, 13 MB.
MAX_TEMPLATES = 16384

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

    host: str
    mac: bytes
    mac_text: str
    address: bytes
    address_number: int
    address_text: str
    segment: Segment
    is_boot_nic: bool
    arch: Arch
    loader: str | None
    local_boot: LocalBoot
    never_installs: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A reply but for what each request brings along."""

    addresses: bytes  # yiaddr and siaddr
    tail: bytes  # from chaddr to the last option; the end mark is not in it
    options_bytes: int  # of the options field used by it
    boot: str  # the boot file, for the event


@dataclass(frozen=True, slots=True)
class DhcpTable:
    """Everything that DHCP answers from."""

    pins: Mapping[bytes, Pin]  # by MAC address
    servers: frozenset[bytes]  # every address that is ours
    segments: tuple[Segment, ...]  # where DHCP is not off
    port: int  # the server's; clients listen on the next one
    mode: DhcpMode  # the most that any cluster allows
    # Laid out at first use: a memory of build_template, which always says the same.
    _templates: dict[tuple[bytes, int, Asker, bool, bytes], Template] = field(
        default_factory=dict, compare=False, repr=False
    )

    def template(self, pin: Pin, form: Form, asker: Asker, boots: bool, requested: bytes) -> Template:
        """Return the reply of *form* with all its options in the options field."""
        key = (pin.mac, form, asker, boots, requested)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            found = self._templates[key] = build_template(pin, form, asker, boots=boots, requested=requested)
        return found


def compile_dhcp(clusters: Sequence[Cluster]) -> DhcpTable:
    """Return the table for *clusters*; where two claim a MAC address, the first keeps it."""
    pins: dict[bytes, Pin] = {}
    segments: list[Segment] = []
    for cluster in clusters:
        own = [compile_segment(network, cluster.listen, cluster.dhcp) for network in cluster.networks]
        segments += own
        for host in cluster.hosts:
            segment = next((segment for segment in own if int(host.address) in segment), None)
            if segment is None:
                raise ValueError(f"{host.name}: {host.address} is outside every network")
            for pin in _pins(host, segment):
                pins.setdefault(pin.mac, pin)
    for pin in pins.values():
        _judge(pin)
    modes = {cluster.dhcp for cluster in clusters}
    return DhcpTable(
        pins=pins,
        servers=frozenset(segment.server for segment in segments),
        segments=tuple(segment for segment in segments if segment.mode is not DhcpMode.OFF),
        port=clusters[0].listen.dhcp_port,
        mode=next(mode for mode in (DhcpMode.FULL, DhcpMode.PROXY, DhcpMode.OFF) if mode in modes),
    )


def boot_file(pin: Pin, asker: Asker) -> str:
    """Return what *asker* on the host of *pin* boots: a path for TFTP or a URL; "" for nothing."""
    if asker.client is Client.OS:
        return ""
    if asker.client is Client.IPXE:
        return f"{pin.segment.base_url}/{MENU_PATH}"
    loader = pin.loader or _loader(pin.arch, asker)
    if asker.client is Client.HTTP and loader:
        return f"{pin.segment.base_url}/{loader}"
    return loader or ""


def build_template(
    pin: Pin, form: Form, asker: Asker, *, boots: bool, requested: bytes, room: int | None = None
) -> Template:
    """Return the reply of *form*; with *room*, in bytes, spread over `file` and `sname` so that it fits.

    *boots* is whether a boot file is given, *requested* the client's option 55.
    """
    boot = boot_file(pin, asker) if boots else ""
    values = _values(pin, form, asker, boot)
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


def _pins(host: Host, segment: Segment) -> list[Pin]:
    return [
        Pin(
            host=host.name,
            mac=mac.octets,
            mac_text=str(mac),
            address=host.address.packed,
            address_number=int(host.address),
            address_text=str(host.address),
            segment=segment,
            # Two cards that both boot would install the host twice, the second over the first.
            is_boot_nic=position == 0,
            arch=host.arch,
            loader=host.loader,
            local_boot=host.local_boot,
            never_installs=host.install is Install.NEVER,
        )
        for position, mac in enumerate(host.macs)
    ]


def _loader(arch: Arch, asker: Asker) -> str | None:
    """Return the loader for a host of *arch* whose firmware is *asker*."""
    if arch is Arch.AARCH64 and asker.arch in ("", "bios"):
        # Raspberry Pis send 0, which is BIOS (raspberrypi/firmware #1928); no ARM machine has one.
        return "arm64-efi/snponly.efi"
    if not asker.arch:
        # No option 93 and no Arch in the vendor class: ROMs older than both are BIOS ROMs.
        return "efi/ipxe.efi" if asker.client is Client.HTTP else "undionly.kpxe"
    return asker.loader


def _values(pin: Pin, form: Form, asker: Asker, boot: str) -> dict[int, bytes]:
    """Return every option that the reply may hold, by code."""
    segment = pin.segment
    values: dict[int, bytes] = {
        OPT_MESSAGE_TYPE: b"\2" if form.is_offer else b"\5",  # DHCPOFFER, DHCPACK
        OPT_SERVER_ID: segment.server,
    }
    if not form.is_proxy:
        values = {**segment.values, OPT_HOST_NAME: pin.host.encode("ascii"), **values}
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
    if asker.arch in ("bios", ""):
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


def _judge(pin: Pin) -> None:
    """Read the host's offer back, and raise AssertionError unless it says what was meant."""
    asker = identify(b"PXEClient:Arch:00007:UNDI:003000", b"\0\7", b"", None)
    template = build_template(pin, Form.OFFER, asker, boots=True, requested=b"")
    message = bytes(HEADER_BYTES - 208 - 4) + template.tail  # 208: chaddr, sname, file; 4: cookie
    read = parse_options(message)
    meant = _values(pin, Form.OFFER, asker, template.boot)
    if read != meant:
        raise AssertionError(f"{pin.host}: the compiled offer reads as {read}, not as {meant}")
