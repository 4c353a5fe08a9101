"""A DHCPv6 client's messages, encoded and decoded without a library.

Nothing is shared with the server, so that a mistake there is not repeated here.
RFC 8415 (messages, options), 5970 (boot), 3646 (DNS), 4704 (name), 6355 (DUID-UUID).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address

from appliance.model import MacAddress
from appliance.simulate.dhcp import machine_uuid

GROUP = "ff02::1:2"  # all servers and relays of the link
SERVER_PORT, CLIENT_PORT = 547, 546

OPT_CLIENT_ID, OPT_SERVER_ID, OPT_IA_NA, OPT_IA_ADDRESS, OPT_REQUESTED, OPT_ELAPSED = 1, 2, 3, 5, 6, 8
OPT_STATUS, OPT_USER_CLASS, OPT_VENDOR_CLASS, OPT_DNS, OPT_SEARCH, OPT_NAME = 13, 15, 16, 23, 24, 39
OPT_BOOT_URL, OPT_BOOT_PARAMETERS, OPT_ARCH, OPT_INTERFACE = 59, 60, 61, 62

DUID_LL, DUID_UUID, ETHERNET = 3, 4, 1
INTEL = 343  # the enterprise of PXE's vendor classes
MAX_OPTIONS = 1000


class Message(IntEnum):
    """Message types (RFC 8415 section 7.3)."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    REPLY = 7


class Reply6Error(Exception):
    """The bytes are not a DHCPv6 reply; the text says why."""


@dataclass(frozen=True, slots=True)
class Given:
    """An address in a reply, with its lifetimes in seconds."""

    address: IPv6Address
    preferred: int
    valid: int


@dataclass(frozen=True, slots=True)
class Reply6:
    """A server's message."""

    message: int
    xid: int
    options: Mapping[int, tuple[bytes, ...]]
    given: tuple[Given, ...]  # the addresses in its IA_NAs
    status: str  # of the message or of an IA: "" for success

    def only(self, code: int) -> bytes:
        """Return the first value of option *code*; b"" when it is missing."""
        return self.options.get(code, (b"",))[0]

    @property
    def boot_url(self) -> str:
        """The URL of the boot file; "" for none."""
        return self.only(OPT_BOOT_URL).decode("ascii", "replace")

    @property
    def vendor_class(self) -> str:
        """The text of the vendor class; "" for none."""
        return self.only(OPT_VENDOR_CLASS)[6:].decode("ascii", "replace")

    @property
    def dns(self) -> tuple[IPv6Address, ...]:
        """The DNS servers."""
        value = self.only(OPT_DNS)
        return tuple(IPv6Address(value[at : at + 16]) for at in range(0, len(value) - 15, 16))


@dataclass(frozen=True, slots=True)
class Speaker6:
    """A program that speaks DHCPv6, with the options that identify it."""

    name: str
    options: tuple[tuple[int, bytes], ...]

    @property
    def vendor_class(self) -> str:
        """Its vendor class; "" for none."""
        return dict(self.options).get(OPT_VENDOR_CLASS, b"")[6:].decode()


def firmware(arch: int, mac: MacAddress) -> Speaker6:
    """Return UEFI's network boot of architecture *arch*, as edk2 has it."""
    kind = "HTTPClient" if arch in (0x10, 0x13) else "PXEClient"
    return Speaker6(
        f"{kind} firmware",
        (
            (OPT_CLIENT_ID, struct.pack("!H", DUID_UUID) + machine_uuid(mac)[1:]),
            (OPT_REQUESTED, struct.pack("!HHH", OPT_BOOT_URL, OPT_BOOT_PARAMETERS, OPT_DNS)),
            (OPT_INTERFACE, b"\x01\x03\x10"),
            (OPT_ARCH, struct.pack("!H", arch)),
            (OPT_VENDOR_CLASS, _vendor(f"{kind}:Arch:{arch:05}:UNDI:003016")),
        ),
    )


def ipxe(arch: int, mac: MacAddress) -> Speaker6:
    """Return iPXE, started by firmware of architecture *arch*."""
    pxe_arch = {0x10: 0x07, 0x13: 0x0B}.get(arch, arch)
    return Speaker6(
        "iPXE",
        (
            (OPT_CLIENT_ID, struct.pack("!H", DUID_UUID) + machine_uuid(mac)[1:]),
            (OPT_REQUESTED, struct.pack("!HHHH", OPT_DNS, OPT_SEARCH, OPT_BOOT_URL, OPT_BOOT_PARAMETERS)),
            (OPT_USER_CLASS, _counted(b"iPXE")),
            (OPT_VENDOR_CLASS, _vendor(f"PXEClient:Arch:{pxe_arch:05}:UNDI:003010")),
            (OPT_ARCH, struct.pack("!H", pxe_arch)),
            (OPT_INTERFACE, b"\x01\x03\x0a"),
        ),
    )


def system(mac: MacAddress) -> Speaker6:
    """Return an operating system: the installer, or the installed system."""
    return Speaker6(
        "system",
        (
            (OPT_CLIENT_ID, struct.pack("!HH", DUID_LL, ETHERNET) + mac.octets),
            (OPT_REQUESTED, struct.pack("!HHH", OPT_DNS, OPT_SEARCH, OPT_NAME)),
        ),
    )


def request(
    message: Message, speaker: Speaker6, mac: MacAddress, xid: int, *, elapsed: float = 0.0, advertised: Reply6 | None
) -> bytes:
    """Return a SOLICIT, or with the *advertised* reply a REQUEST for its address."""
    addresses = b"".join(
        _option(OPT_IA_ADDRESS, each.address.packed + bytes(8)) for each in (advertised.given if advertised else ())
    )
    options = [*speaker.options]
    if advertised:
        options.append((OPT_SERVER_ID, advertised.only(OPT_SERVER_ID)))
    options += [
        (OPT_IA_NA, mac.octets[2:] + bytes(8) + addresses),
        (OPT_ELAPSED, struct.pack("!H", min(int(elapsed * 100), 0xFFFF))),
    ]
    return struct.pack("!I", message << 24 | xid) + b"".join(_option(code, value) for code, value in options)


def parse_reply(datagram: bytes) -> Reply6:
    """Parse a server's message. Raises Reply6Error."""
    if len(datagram) < 4:
        raise Reply6Error(f"{len(datagram)} bytes are too few for a DHCPv6 message")
    (first,) = struct.unpack_from("!I", datagram)
    options: dict[int, tuple[bytes, ...]] = {}
    given: list[Given] = []
    status = ""
    for code, value in _options(datagram[4:]):
        options[code] = (*options.get(code, ()), value)
        if code == OPT_STATUS:
            status = status or _status(value)
        elif code == OPT_IA_NA:
            for inner, content in _options(value[12:]):
                if inner == OPT_IA_ADDRESS and len(content) >= 24:
                    given.append(Given(IPv6Address(content[:16]), *struct.unpack_from("!II", content, 16)))
                elif inner == OPT_STATUS:
                    status = status or _status(content)
    return Reply6(first >> 24, first & 0xFFFFFF, options, tuple(given), status)


def _options(area: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(MAX_OPTIONS):
        if at == len(area):
            return
        if at + 4 > len(area):
            raise Reply6Error(f"{len(area) - at} bytes after the last option")
        code, size = struct.unpack_from("!HH", area, at)
        if at + 4 + size > len(area):
            raise Reply6Error(f"option {code} runs past the end of the message")
        yield code, area[at + 4 : at + 4 + size]
        at += 4 + size


def _status(value: bytes) -> str:
    code = int.from_bytes(value[:2], "big")
    names = {1: "UnspecFail", 2: "NoAddrsAvail", 3: "NoBinding", 4: "NotOnLink", 5: "UseMulticast"}
    return f"{names.get(code, f'status {code}')} {value[2:].decode('utf-8', 'replace')}".strip() if code else ""


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def _counted(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def _vendor(text: str) -> bytes:
    return struct.pack("!I", INTEL) + _counted(text.encode())
