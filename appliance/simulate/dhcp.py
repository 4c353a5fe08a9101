"""A DHCP client's messages, encoded and decoded without a library.

Nothing is shared with the server, so that a mistake there is not repeated here.
RFC 2131 (messages), 2132 (options), 3396 (long options), 4578 (PXE).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from uuid import NAMESPACE_OID, uuid5

from appliance.model import MacAddress

BOOTREQUEST, BOOTREPLY = 1, 2
MAGIC = b"\x63\x82\x53\x63"
BROADCAST_FLAG = 0x8000
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
NO_ADDRESS = IPv4Address(0)

OPT_PAD, OPT_END = 0, 255
OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_HOST_NAME, OPT_DOMAIN = 1, 3, 6, 12, 15
OPT_VENDOR_SPECIFIC = 43
OPT_REQUESTED_ADDRESS, OPT_LEASE_SECONDS, OPT_OVERLOAD, OPT_MESSAGE_TYPE, OPT_SERVER_ID = 50, 51, 52, 53, 54
OPT_PARAMETERS, OPT_MESSAGE, OPT_MAX_SIZE, OPT_VENDOR_CLASS, OPT_CLIENT_ID = 55, 56, 57, 60, 61
OPT_TFTP_SERVER, OPT_BOOT_FILE, OPT_USER_CLASS, OPT_RELAY_AGENT = 66, 67, 77, 82
OPT_CLIENT_ARCH, OPT_CLIENT_UNDI, OPT_CLIENT_UUID, OPT_IPXE = 93, 94, 97, 175

# The parameter request list (option 55) of each program, taken from its packets on the wire.
FIRMWARE_ASKS = bytes(
    [*range(1, 7), 12, 13, 15, 17, 18, 22, 23, 28, *range(40, 44), 50, 51, 54, 58, 59, 60, 66, 67, 97, *range(128, 136)]
)
IPXE_ASKS = bytes([1, 3, 6, 7, 12, 15, 17, 26, 42, 43, 60, 66, 67, 119, 121, *range(128, 136), 175, 203])
SYSTEM_ASKS = bytes([1, 2, 3, 6, 12, 15, 17, 26, 28, 33, 42, 51, 54, 58, 59, 119, 121])

# iPXE's feature flags, each of one byte with value 1: http, tftp, dns, bzimage, menu; then bus-id and version.
IPXE_FEATURES = bytes.fromhex("130101 150101 170101 180101 270101 b105011af41000 eb03010000")
RELAY_CIRCUIT = b"\x01\x08simulate"  # option 82: agent circuit id (RFC 3046 section 2.0)


class Message(IntEnum):
    """Option 53 (RFC 2132 section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class ReplyError(Exception):
    """The bytes are not a DHCP reply; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's message."""

    message: Message
    xid: int
    chaddr: bytes
    yiaddr: IPv4Address
    siaddr: IPv4Address
    giaddr: IPv4Address
    file: str
    options: dict[int, bytes]

    def address(self, code: int) -> IPv4Address | None:
        """Return the first address in option *code*, or None."""
        value = self.options.get(code, b"")
        return IPv4Address(value[:4]) if len(value) >= 4 else None

    def addresses(self, code: int) -> tuple[IPv4Address, ...]:
        """Return every address in option *code*."""
        value = self.options.get(code, b"")
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value) - 3, 4))

    def text(self, code: int) -> str:
        """Return option *code* as text; "" when it is missing."""
        return self.options.get(code, b"").rstrip(b"\0").decode("ascii", "replace")

    @property
    def server(self) -> IPv4Address:
        """The server's identifier, or 0.0.0.0."""
        return self.address(OPT_SERVER_ID) or NO_ADDRESS

    @property
    def boot_file(self) -> str:
        """The boot file: option 67, else the header's field, in the order of UEFI."""
        return self.text(OPT_BOOT_FILE) or self.file

    @property
    def boot_server(self) -> IPv4Address:
        """The server that has the boot file: siaddr, else option 66, else the DHCP server."""
        if self.siaddr != NO_ADDRESS:
            return self.siaddr
        try:
            return IPv4Address(self.text(OPT_TFTP_SERVER))
        except ValueError:
            return self.server


@dataclass(frozen=True, slots=True)
class Speaker:
    """A program that speaks DHCP, with the options that identify it."""

    name: str
    options: dict[int, bytes]
    wants_broadcast: bool = False


def firmware(arch: int, mac: MacAddress) -> Speaker:
    """Return a network boot ROM of architecture *arch* (RFC 4578; as 7 for x64 UEFI, 16 for x64 UEFI HTTP)."""
    kind = "HTTPClient" if arch in (0x0F, 0x10, 0x12, 0x13, 0x14) else "PXEClient"
    undi = (2, 1) if arch == 0 else (3, 0)
    return Speaker(
        f"{kind} firmware",
        {
            OPT_MAX_SIZE: struct.pack("!H", 1472),
            OPT_PARAMETERS: FIRMWARE_ASKS,
            OPT_CLIENT_UUID: machine_uuid(mac),
            OPT_CLIENT_UNDI: bytes([1, *undi]),
            OPT_CLIENT_ARCH: struct.pack("!H", arch),
            OPT_VENDOR_CLASS: f"{kind}:Arch:{arch:05}:UNDI:{undi[0]:03}{undi[1]:03}".encode(),
        },
        # BIOS ROMs cannot receive a unicast frame before they have an address; UEFI can.
        wants_broadcast=arch == 0,
    )


def ipxe(arch: int, mac: MacAddress) -> Speaker:
    """Return iPXE, started by firmware of architecture *arch*."""
    pxe_arch = {0x0F: 0x06, 0x10: 0x07, 0x12: 0x0A, 0x13: 0x0B}.get(arch, arch)
    return Speaker(
        "iPXE",
        {
            OPT_MAX_SIZE: struct.pack("!H", 1464),
            OPT_CLIENT_ARCH: struct.pack("!H", pxe_arch),
            OPT_CLIENT_UNDI: b"\x01\x03\x0a",
            OPT_VENDOR_CLASS: f"PXEClient:Arch:{pxe_arch:05}:UNDI:003010".encode(),
            OPT_USER_CLASS: b"iPXE",  # raw, without the length bytes of RFC 3004
            OPT_PARAMETERS: IPXE_ASKS,
            OPT_IPXE: IPXE_FEATURES,
            OPT_CLIENT_ID: b"\x01" + mac.octets,
            OPT_CLIENT_UUID: machine_uuid(mac),
        },
    )


def system(mac: MacAddress) -> Speaker:
    """Return an operating system: the installer, or the installed system."""
    return Speaker(
        "system",
        {
            OPT_MAX_SIZE: struct.pack("!H", 576),
            OPT_CLIENT_ID: b"\x01" + mac.octets,
            OPT_PARAMETERS: SYSTEM_ASKS,
        },
    )


def machine_uuid(mac: MacAddress) -> bytes:
    """Return option 97 of the machine *mac*: type 0, then a UUID that is always the same."""
    return b"\0" + uuid5(NAMESPACE_OID, str(mac)).bytes


def request(
    message: Message,
    speaker: Speaker,
    mac: MacAddress,
    xid: int,
    *,
    secs: int = 0,
    ciaddr: IPv4Address = NO_ADDRESS,
    giaddr: IPv4Address = NO_ADDRESS,
    extra: dict[int, bytes] | None = None,
) -> bytes:
    """Return a client's message, or the form in which a relay at *giaddr* forwards it (with option 82)."""
    is_relayed = giaddr != NO_ADDRESS
    header = HEADER.pack(
        BOOTREQUEST,
        1,  # Ethernet
        6,
        1 if is_relayed else 0,
        xid,
        min(secs, 0xFFFF),
        BROADCAST_FLAG if speaker.wants_broadcast else 0,
        ciaddr.packed,
        bytes(4),
        bytes(4),
        giaddr.packed,
        mac.octets,
        b"",
        b"",
        MAGIC,
    )
    options = {OPT_MESSAGE_TYPE: bytes([message]), **(extra or {}), **speaker.options}
    if is_relayed:
        options[OPT_RELAY_AGENT] = RELAY_CIRCUIT  # last, by RFC 3046 section 2.1
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    # BOOTP relays and servers may drop a message shorter than 300 bytes (RFC 1542 section 2.1).
    return (header + body + bytes([OPT_END])).ljust(300, b"\0")


def parse_reply(datagram: bytes) -> Reply:
    """Parse a server's message. Raises ReplyError."""
    if len(datagram) < HEADER.size:
        raise ReplyError(f"{len(datagram)} bytes are too few for a DHCP message; the minimum is {HEADER.size}")
    op, _, hlen, _, xid, _, _, _, yiaddr, siaddr, giaddr, chaddr, sname, file, magic = HEADER.unpack_from(datagram)
    if op != BOOTREPLY or magic != MAGIC:
        raise ReplyError(f"op {op} and magic {magic.hex()} are not those of a DHCP reply")
    parts: dict[int, bytearray] = {}
    _read_options(datagram[HEADER.size :], parts)
    # RFC 2131 section 4.1: the file field is read before sname.
    overload = (parts.get(OPT_OVERLOAD) or b"\0")[0]
    if overload & 1:
        _read_options(file, parts)
        file = b""
    if overload & 2:
        _read_options(sname, parts)
    options = {code: bytes(value) for code, value in parts.items()}
    kind = options.get(OPT_MESSAGE_TYPE, b"\0")[:1]
    try:
        message = Message(kind[0] if kind else 0)
    except ValueError:
        raise ReplyError(f"option 53 holds {kind.hex()}, which is not a message type") from None
    return Reply(
        message,
        xid,
        chaddr[:hlen],
        IPv4Address(yiaddr),
        IPv4Address(siaddr),
        IPv4Address(giaddr),
        file.partition(b"\0")[0].decode("ascii", "replace"),
        options,
    )


def _read_options(area: bytes, parts: dict[int, bytearray]) -> None:
    """Add the options in *area* to *parts*; a repeated option is a continuation (RFC 3396)."""
    at = 0
    while at < len(area) and area[at] != OPT_END:
        code = area[at]
        if code == OPT_PAD:
            at += 1
            continue
        if at + 2 > len(area) or at + 2 + area[at + 1] > len(area):
            raise ReplyError(f"option {code} runs past the end of its field")
        parts.setdefault(code, bytearray()).extend(area[at + 2 : at + 2 + area[at + 1]])
        at += 2 + area[at + 1]
