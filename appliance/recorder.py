"""The flight recorder: the last boot of each host as packets, for a capture that Wireshark opens.

DHCP and TFTP are what the sockets saw. Of a TFTP transfer the first blocks and
whatever is no block are kept; of HTTP the head of each exchange, written from
its event as one segment each way, so that the whole boot is in one file.

A boot goes from firmware over iPXE to an operating system; a step back in that
order is a new boot, and the tape begins again.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from appliance.events import Stamped, WebFinished, WebRefused
from appliance.registry_view import RegistryView

Address = tuple[str, int]

# One boot is about 60 packets and 25 kB; a host that goes round in a loop keeps its latest.
HOST_BYTES = 64 << 10
TOTAL_BYTES = 16 << 20  # for all hosts together: with 1,000 of them, 16 kB each
HEADERS_BYTES = 40  # of IPv4 and TCP
KEPT_BLOCKS = 2  # of a TFTP transfer: the first shows its size, the second that an ACK came. Most others are not tapped

_CHADDR, _COOKIE = slice(28, 34), slice(236, 240)  # RFC 2131 section 2
_MAGIC = b"\x63\x82\x53\x63"
_BOOTREQUEST = b"\x01"
_FIRMWARE, _IPXE, _SYSTEM = range(3)  # who speaks, in the order of a boot
_TFTP_BLOCKS = (3, 4)  # DATA and ACK (RFC 1350 section 5)
_UDP, _TCP = 17, 6


class _Kept(NamedTuple):
    """A packet as it is kept, and what makes an IPv4 packet of it."""

    at: float  # UTC
    payload: bytes
    pack: Callable[..., bytes]  # of the payload and *fields*
    fields: tuple[object, ...]
    comment: str = ""


class _Tape:
    """One host's packets, oldest first."""

    __slots__ = ("exchanges", "packets", "size", "speaker")

    def __init__(self) -> None:
        self.packets: deque[_Kept] = deque()
        self.size = 0  # of the packets, in bytes
        self.speaker = _FIRMWARE
        self.exchanges = 0  # by HTTP, each of which is a connection of its own in the file

    def add(self, kept: _Kept, limit: int) -> None:
        packets = self.packets
        packets.append(kept)
        self.size += HEADERS_BYTES + len(kept.payload)
        while self.size > limit and len(packets) > 1:
            self.size -= HEADERS_BYTES + len(packets.popleft().payload)

    def hear(self, speaker: int) -> None:
        """Begin again if *speaker* comes before who spoke last."""
        if speaker < self.speaker:
            self.packets.clear()
            self.size = 0
        self.speaker = speaker


class Recorder:
    """Keeps the packets of every host's last boot. `tap` belongs on the DHCP and TFTP servers, `listen` on the bus."""

    def __init__(self, registry: RegistryView, server: str, now: Callable[[], float] = time.time) -> None:
        """*server* is the appliance's own address, for packets that name none; *now* is seconds UTC."""
        self._registry = registry
        self._server = server
        self._now = now
        self._tapes: dict[str, _Tape] = {}
        self._by_mac: Mapping[bytes, _Tape] = {}
        self._by_address: Mapping[str, _Tape] = {}
        self._limit = HOST_BYTES
        self.update()

    def update(self) -> None:
        """Take over the registry's hosts; those that are gone lose their tape."""
        hosts = self._registry.hosts
        self._tapes = {name: self._tapes.get(name) or _Tape() for name in hosts}
        self._by_mac = {mac.octets: self._tapes[name] for name, host in hosts.items() for mac in host.macs}
        self._by_address = {str(host.address): self._tapes[name] for name, host in hosts.items()}
        self._limit = min(HOST_BYTES, TOTAL_BYTES // max(1, len(hosts)))

    def tap(self, payload: bytes, source: Address, destination: Address) -> None:
        """Keep a UDP datagram if it is of a host of ours."""
        if payload[_COOKIE] == _MAGIC:
            tape = self._by_mac.get(payload[_CHADDR])
            if tape is not None and payload[:1] == _BOOTREQUEST:
                tape.hear(_speaker(payload))
        elif len(payload) >= 4 and payload[1] in _TFTP_BLOCKS and (payload[2] or payload[3] > KEPT_BLOCKS):
            return
        else:
            tape = self._by_address.get(source[0]) or self._by_address.get(destination[0])
        if tape is not None:
            tape.add(_Kept(self._now(), payload, _udp_packet, (source, destination)), self._limit)

    def listen(self, stamped: Stamped) -> None:
        """Keep the head of an HTTP exchange."""
        event = stamped.event
        if not isinstance(event, (WebFinished, WebRefused)) or event.host not in self._tapes:
            return
        if isinstance(event, WebFinished):
            began_at = stamped.at - event.seconds
            asked = f"GET {event.path} HTTP/1.1\r\nUser-Agent: {event.agent}\r\n\r\n"
            told = f"HTTP/1.1 {event.status} \r\nContent-Length: 0\r\nX-Content-Length: {event.sent}\r\n\r\n"
            comment = f"{event.sent} bytes in {event.seconds:.3f} s, left out here"
        else:
            began_at = stamped.at
            asked = f"GET {event.path} HTTP/1.1\r\n\r\n"
            told = f"HTTP/1.1 {event.status} \r\nContent-Length: 0\r\n\r\n"
            comment = event.why
        tape = self._tapes[event.host]
        tape.exchanges += 1
        client, server = (event.client, 49152 + tape.exchanges % 16384), (self._server, 80)
        question = asked.encode(errors="replace")  # a header may hold any bytes
        answer = (server, client, 1, 1 + len(question))
        tape.add(_Kept(began_at, question, _tcp_packet, (client, server, 1, 1)), self._limit)
        tape.add(_Kept(stamped.at, told.encode(), _tcp_packet, answer, comment), self._limit)

    def capture(self, host: str) -> bytes | None:
        """Return what is kept of *host* as pcapng (draft-ietf-opsawg-pcapng), or None when that is nothing."""
        tape = self._tapes.get(host)
        if tape is None or not tape.packets:
            return None
        blocks = [
            _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
            _block(1, struct.pack("<HHI", 101, 0, 0) + _option(2, b"ocp-appliance") + _option(9, b"\x06") + _END),
        ]
        # An HTTP exchange is known at its end; Wireshark wants its question where it was asked.
        for kept in sorted(tape.packets, key=lambda one: one.at):
            packet = kept.pack(kept.payload, *kept.fields)
            microseconds = int(kept.at * 1e6)
            head = struct.pack("<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), len(packet))
            options = _option(1, kept.comment.encode()) + _END if kept.comment else b""
            blocks.append(_block(6, head + _padded(packet) + options))
        return b"".join(blocks)


def _speaker(request: bytes) -> int:
    if b"iPXE" in request:
        return _IPXE
    return _FIRMWARE if b"PXEClient" in request or b"HTTPClient" in request else _SYSTEM


_END = struct.pack("<HH", 0, 0)  # opt_endofopt


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _udp_packet(payload: bytes, source: Address, destination: Address) -> bytes:
    # A checksum of 0 says that there is none (RFC 768).
    head = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    return _ip_packet(_UDP, head + payload, source[0], destination[0])


def _tcp_packet(payload: bytes, source: Address, destination: Address, sequence: int, acknowledged: int) -> bytes:
    push_and_ack = 0x18
    head = struct.pack(
        "!HHIIBBHHH", source[1], destination[1], sequence, acknowledged, 5 << 4, push_and_ack, 65535, 0, 0
    )
    return _ip_packet(_TCP, head + payload, source[0], destination[0])


def _ip_packet(protocol: int, body: bytes, source: str, destination: str) -> bytes:
    """Return an IPv4 packet (RFC 791)."""
    addresses = _packed(source) + _packed(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + head[12:] + body


def _packed(address: str) -> bytes:
    try:
        return socket.inet_aton(address)
    except OSError:
        return bytes(4)
