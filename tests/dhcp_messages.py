"""DHCP messages for tests: requests as common clients send them, built by scapy, and replies parsed by scapy."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from scapy.layers.dhcp import BOOTP, DHCP

from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.protocol import answer
from appliance.dhcp.reply import Arrival, Reply, Silence
from appliance.install.installation import Installation

BS_MAC = "00:50:56:96:11:c2"
M1_MAC = "00:50:56:96:37:c8"
STRANGER_MAC = "52:54:00:00:00:99"
XID = 0x1234ABCD
UUID = b"\0" + bytes(range(16))

Options = Sequence[tuple[int | str, object]]

# The options that OVMF 2022.11, Debian 12's iPXE and NetworkManager send, without the message type.
FIRMWARE: Options = (
    (57, b"\x05\xc0"),
    (55, bytes([1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97])),
    (97, UUID),
    (94, b"\x01\x03\x00"),
    (93, b"\x00\x07"),
    (60, b"PXEClient:Arch:00007:UNDI:003000"),
)
BIOS: Options = (
    (55, bytes([1, 2, 3, 5, 6, 11, 12, 13, 16, 17, 18, 43, 54, 60, 67, 128, 129, 130, 131, 132, 133, 134, 135])),
    (57, b"\x04\xec"),
    (97, UUID),
    (93, b"\x00\x00"),
    (94, b"\x01\x02\x01"),
    (60, b"PXEClient:Arch:00000:UNDI:002001"),
)
HTTP_BOOT: Options = (
    (57, b"\x05\xc0"),
    (55, bytes([1, 3, 6, 12, 15, 28, 43, 54, 60, 67])),
    (97, UUID),
    (94, b"\x01\x03\x00"),
    (93, b"\x00\x10"),
    (60, b"HTTPClient:Arch:00016:UNDI:003000"),
)
IPXE: Options = (
    (57, b"\x05\xc0"),
    (93, b"\x00\x07"),
    (94, b"\x01\x03\x0a"),
    (60, b"PXEClient:Arch:00007:UNDI:003010"),
    (77, b"iPXE"),
    (55, bytes([1, 3, 6, 7, 12, 15, 17, 26, 42, 43, 60, 66, 67, 119, 121, *range(128, 136), 175, 203])),
    (175, bytes.fromhex("b105018086100e 130101 150101 170101 270101 240101 eb03010000")),
    (61, b"\x01\x00\x50\x56\x96\x11\xc2"),
    (97, UUID),
)
SYSTEM: Options = (
    (61, b"\xff\x56\x96\x11\xc2" + bytes(14)),
    (55, bytes([1, 2, 6, 12, 15, 26, 28, 121, 3, 33, 40, 41, 42, 119, 249, 252, 17])),
    (57, b"\x05\xdc"),
)


def request(
    message: str,
    *options: tuple[int | str, object],
    mac: str = BS_MAC,
    flags: int = 0,
    ciaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    xid: int = XID,
) -> bytes:
    """Return a client's message, built by scapy; *message* is its type (discover, request …), or "" for no type."""
    chaddr = bytes.fromhex(mac.replace(":", "")) + bytes(10)
    kind = [("message-type", message)] if message else []
    packet = BOOTP(op=1, htype=1, hlen=6, xid=xid, flags=flags, ciaddr=ciaddr, giaddr=giaddr, chaddr=chaddr)
    return bytes(packet / DHCP(options=[*kind, *options, "end"]))


def arrival(*addresses: str, source: str = "0.0.0.0", source_port: int = 68, is_boot_server: bool = False) -> Arrival:
    """Return an arrival at an interface with *addresses*, by default that of the reference cluster's appliance."""
    return Arrival(
        interface="node0",
        addresses=tuple(int(IPv4Address(address)) for address in addresses or ("172.16.0.101",)),
        source=source,
        source_port=source_port,
        is_boot_server=is_boot_server,
    )


NODE_NETWORK = arrival()


def sent_by(datagram: bytes, where: Arrival) -> Arrival:
    """Return *where* with the source that the message has: that of its relay, unless *where* has one."""
    if where.source != "0.0.0.0" or datagram[24:28] in (bytes(4), b""):
        return where
    return where._replace(source=str(IPv4Address(datagram[24:28].ljust(4, b"\0"))), source_port=67)


def ask(
    table: DhcpTable,
    datagram: bytes,
    where: Arrival = NODE_NETWORK,
    installations: dict[str, Installation] | None = None,
) -> Reply:
    """Return the reply to *datagram*; fail the test if there is none."""
    result = answer(table, datagram, sent_by(datagram, where), installations or {})
    assert isinstance(result, Reply), result
    return result


def silence(
    table: DhcpTable,
    datagram: bytes,
    where: Arrival = NODE_NETWORK,
    installations: dict[str, Installation] | None = None,
) -> Silence:
    """Return the reason why *datagram* gets no reply; fail the test if it gets one."""
    result = answer(table, datagram, sent_by(datagram, where), installations or {})
    assert isinstance(result, Silence), result
    return result


@dataclass(frozen=True, slots=True)
class Read:
    """A reply, parsed by scapy."""

    header: BOOTP
    options: dict[str | int, object]  # by scapy's name
    order: list[str | int]

    def __getitem__(self, name: str | int) -> object:
        return self.options[name]

    def __contains__(self, name: str | int) -> bool:
        return name in self.options

    @property
    def file(self) -> str:
        """The boot file in the header."""
        return bytes(self.header.file).rstrip(b"\0").decode()


def read(payload: bytes) -> Read:
    """Return *payload*, parsed by scapy."""
    packet = BOOTP(payload)
    options: dict[str | int, object] = {}
    order: list[str | int] = []
    for option in packet[DHCP].options:
        if isinstance(option, tuple):
            name, *values = option
            options[name] = values[0] if len(values) == 1 else tuple(values)
            order.append(name)
    return Read(packet, options, order)


def scapy_reply(
    options: Options,
    *,
    mac: str = BS_MAC,
    flags: int = 0,
    ciaddr: str = "0.0.0.0",
    yiaddr: str = "0.0.0.0",
    siaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    file: bytes = b"",
) -> bytes:
    """Return a reply built by scapy, padded to the 300 bytes of BOOTP (RFC 1542 section 2.1)."""
    packet = BOOTP(
        op=2,
        htype=1,
        hlen=6,
        xid=XID,
        flags=flags,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=siaddr,
        giaddr=giaddr,
        chaddr=bytes.fromhex(mac.replace(":", "")) + bytes(10),
        file=file,
    )
    return bytes(packet / DHCP(options=[*options, "end"])).ljust(300, b"\0")
