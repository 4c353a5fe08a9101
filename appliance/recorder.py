"""The flight recorder: each host's last boot as packets, in a capture file for Wireshark.

DHCP and TFTP packets are those of the sockets; of DHCP, those of the host's own segment
or of its relay. Of a TFTP transfer, the first blocks
and everything that is not a block are kept. Of an HTTP exchange, the two heads are
made from its event, each as a single segment, so that the whole boot is in one file.

A boot goes from firmware through iPXE to an operating system. A step back in that
order is a new boot, and the tape is cleared. Only a DISCOVER or REQUEST with an answer
shows what runs on the host: a forged RELEASE clears nothing.
"""

import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import NamedTuple

from appliance.dhcp.frame import checksum
from appliance.events import Program, Stamped, WebFinished, WebRefused
from appliance.model import Address
from appliance.peers import peer_address
from appliance.registry_view import RegistryView

SocketAddress = tuple[str, int]  # address and port, as the socket module spells them

# One boot is about 60 packets and 25 kB. A host in a boot loop keeps its latest packets.
HOST_BYTES = 64 << 10
TOTAL_BYTES = 16 << 20  # for all hosts together: with 1,000 of them, 16 kB each
HEADERS_BYTES = 40  # of IPv4 and TCP; 20 more with IPv6, which the bound can do without
KEPT_BLOCKS = 2  # of a TFTP transfer: the first shows its size, the second that an ACK arrived

_CHADDR, _COOKIE = slice(28, 34), slice(236, 240)  # RFC 2131 section 2
_MAGIC = b"\x63\x82\x53\x63"
_ORDER = {Program.PXE: 0, Program.HTTP: 0, Program.IPXE: 1, Program.OS: 2}  # of a boot
_TFTP_BLOCKS = (b"\0\3", b"\0\4")  # DATA and ACK (RFC 1350 section 5)
_TFTP_ERROR = b"\0\5"
_UDP, _TCP = 17, 6


class _Kept(NamedTuple):
    """A packet as it is kept; *pack* makes an IP packet of it when a capture is requested."""

    at: float  # UTC
    payload: bytes
    pack: Callable[..., bytes]  # of the payload and *fields*
    fields: tuple[object, ...]
    comment: str = ""


class _Tape:
    """One host's packets, oldest first."""

    __slots__ = ("exchanges", "packets", "size", "step")

    def __init__(self) -> None:
        self.packets: deque[_Kept] = deque()
        self.size = 0  # of the packets, in bytes
        self.step = 0
        self.exchanges = 0  # over HTTP; each is a connection of its own in the file

    def add(self, kept: _Kept, limit: int) -> None:
        packets = self.packets
        packets.append(kept)
        self.size += HEADERS_BYTES + len(kept.payload)
        while self.size > limit and len(packets) > 1:
            self.size -= HEADERS_BYTES + len(packets.popleft().payload)

    def hear(self, program: Program) -> None:
        """Clear the tape if *program* comes before the last one in the order of a boot."""
        step = _ORDER[program]
        if step < self.step:
            self.packets.clear()
            self.size = 0
        self.step = step


class Recorder:
    """Keeps the packets of each host's last boot. The DHCP and TFTP servers call `tap`, and the bus `listen`.

    `hide` returns text of a client without what is secret; the bus does that for events.
    """

    def __init__(
        self, registry: RegistryView, server: str, now: Callable[[], float] = time.time, *, server6: str = ""
    ) -> None:
        """*server* is the appliance's own address, for HTTP events, which contain none; *now* returns seconds UTC.

        *server6* is its address for clients with IPv6, if that is another.
        """
        self.hide: Callable[[str], str] = str
        self._registry = registry
        self._servers = (server, server6 or server)
        self._now = now
        self._tapes: dict[str, _Tape] = {}
        self._by_mac: Mapping[bytes, _Tape] = {}
        self._by_address: Mapping[Address, _Tape] = {}
        self._limit = HOST_BYTES
        self.update()

    def update(self) -> None:
        """Use the registry's present hosts; hosts that were removed lose their tape."""
        hosts = self._registry.hosts
        self._tapes = {name: self._tapes.get(name) or _Tape() for name in hosts}
        self._by_mac = {mac.octets: self._tapes[name] for name, host in hosts.items() for mac in host.macs}
        self._by_address = {address: self._tapes[name] for name, host in hosts.items() for address in host.addresses}
        self._limit = min(HOST_BYTES, TOTAL_BYTES // max(1, len(hosts)))

    def tap(
        self, payload: bytes, source: SocketAddress, destination: SocketAddress, heard: Program | None = None
    ) -> None:
        """Keep a UDP datagram if it is from or to a host; *heard* is the program that it shows to run there now."""
        if payload[_COOKIE] == _MAGIC:
            tape = self._by_mac.get(payload[_CHADDR])
            if tape is not None and heard is not None:
                tape.hear(heard)
        elif len(payload) >= 4 and payload[:2] in _TFTP_BLOCKS and (payload[2] or payload[3] > KEPT_BLOCKS):
            return
        else:
            tape = self._tape_at(source[0]) or self._tape_at(destination[0])
            if tape is not None and payload[:2] not in _TFTP_BLOCKS:
                payload = self._without_tokens(payload)
        if tape is not None:
            tape.add(_Kept(self._now(), payload, _udp_packet, (source, destination)), self._limit)

    def tap_host(
        self,
        host: str,
        payload: bytes,
        source: SocketAddress,
        destination: SocketAddress,
        heard: Program | None = None,
    ) -> None:
        """Keep a UDP datagram from or to *host*, whose address does not tell that it is; *heard* is as for `tap`."""
        tape = self._tapes.get(host)
        if tape is not None:
            if heard is not None:
                tape.hear(heard)
            tape.add(_Kept(self._now(), payload, _udp_packet, (source, destination)), self._limit)

    def _without_tokens(self, payload: bytes) -> bytes:
        """Return a TFTP datagram that is not a block without tokens: captures are sent to others for help."""
        head = 4 if payload[:2] == _TFTP_ERROR else 2
        # Its fields end with a NUL each, and stay apart.
        fields = payload[head:].decode("latin-1").split("\0")
        hidden = [self.hide(field) for field in fields]
        return payload if hidden == fields else payload[:head] + "\0".join(hidden).encode("latin-1", "replace")

    def _tape_at(self, text: str) -> _Tape | None:
        address = peer_address(text)
        return self._by_address.get(address) if address is not None else None

    def listen(self, stamped: Stamped) -> None:
        """Keep the head of an HTTP exchange of a host."""
        event = stamped.event
        if not isinstance(event, (WebFinished, WebRefused)) or event.host not in self._tapes:
            return
        if isinstance(event, WebFinished):
            began_at = stamped.at - event.seconds
            request_head = f"GET {event.path} HTTP/1.1\r\nUser-Agent: {event.agent}\r\n\r\n"
            response_head = f"HTTP/1.1 {event.status} \r\nContent-Length: 0\r\nX-Content-Length: {event.sent}\r\n\r\n"
            comment = f"{event.sent} bytes in {event.seconds:.3f} s, not captured"
        else:
            began_at = stamped.at
            request_head = f"GET {event.path} HTTP/1.1\r\n\r\n"
            response_head = f"HTTP/1.1 {event.status} \r\nContent-Length: 0\r\n\r\n"
            comment = event.why
        tape = self._tapes[event.host]
        tape.exchanges += 1
        own = self._servers[-1 if ":" in event.client else 0]
        client, server = (event.client, 49152 + tape.exchanges % 16384), (own, 80)
        request = request_head.encode(errors="replace")  # a header may contain any bytes
        response = (server, client, 1, 1 + len(request))
        tape.add(_Kept(began_at, request, _tcp_packet, (client, server, 1, 1)), self._limit)
        tape.add(_Kept(stamped.at, response_head.encode(), _tcp_packet, response, comment), self._limit)

    def capture(self, host: str) -> bytes | None:
        """Return the packets of *host* as pcapng (draft-ietf-opsawg-pcapng), or None when there are none."""
        tape = self._tapes.get(host)
        if tape is None or not tape.packets:
            return None
        blocks = [
            _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
            _block(1, struct.pack("<HHI", 101, 0, 0) + _option(2, b"ocp-appliance") + _option(9, b"\x06") + _END),
        ]
        # An HTTP exchange is recorded at its end, and its request belongs where it was sent.
        for kept in sorted(tape.packets, key=lambda kept: kept.at):
            packet = kept.pack(kept.payload, *kept.fields)
            microseconds = int(kept.at * 1e6)
            head = struct.pack("<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), len(packet))
            options = _option(1, kept.comment.encode()) + _END if kept.comment else b""
            blocks.append(_block(6, head + _padded(packet) + options))
        return b"".join(blocks)


_END = struct.pack("<HH", 0, 0)  # opt_endofopt


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _udp_packet(payload: bytes, source: SocketAddress, destination: SocketAddress) -> bytes:
    head = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    return _ip_packet(_UDP, head + payload, 6, source[0], destination[0])


def _tcp_packet(
    payload: bytes, source: SocketAddress, destination: SocketAddress, sequence: int, acknowledged: int
) -> bytes:
    push_and_ack = 0x18
    head = struct.pack(
        "!HHIIBBHHH", source[1], destination[1], sequence, acknowledged, 5 << 4, push_and_ack, 65535, 0, 0
    )
    return _ip_packet(_TCP, head + payload, 16, source[0], destination[0])


def _ip_packet(protocol: int, body: bytes, checksum_at: int, source: str, destination: str) -> bytes:
    """Return an IP packet of the family of its addresses; *checksum_at* is where *body* has its own checksum."""
    first, second = peer_address(source), peer_address(destination)
    if first is not None and second is not None and first.version == second.version == 6:
        return _ipv6_packet(protocol, body, checksum_at, first.packed + second.packed)
    # Checksums in the body stay 0: for UDP that means none (RFC 768), and Wireshark does not verify TCP's by default.
    addresses = _packed4(first) + _packed4(second)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def _ipv6_packet(protocol: int, body: bytes, checksum_at: int, addresses: bytes) -> bytes:
    # IPv6 has no checksum of its own, so UDP's and TCP's are not left out (RFC 8200 section 8.1).
    # To UDP zero means none; 0xFFFF is its equal in ones' complement (RFC 768).
    own = checksum(addresses + struct.pack("!II", len(body), protocol) + body) or 0xFFFF
    body = body[:checksum_at] + struct.pack("!H", own) + body[checksum_at + 2 :]
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses + body


def _packed4(address: Address | None) -> bytes:
    # Text that is not an address, and an address of another family than its peer's, become 0.0.0.0.
    return address.packed if isinstance(address, IPv4Address) else bytes(4)
