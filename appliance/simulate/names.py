"""A stub resolver: it queries each name server in turn, over UDP (RFC 1035)."""

import random
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from appliance.model import Address
from appliance.simulate.link import Link, readable

A, PTR, AAAA = 1, 12, 28
ADDRESS_BYTES = {A: 4, AAAA: 16}
IN = 1
MAX_LABEL_BYTES = 63  # RFC 1035 section 2.3.4
TRIES = 3
WAIT_SECONDS = 1.0


class NameLookupError(Exception):
    """A name could not be resolved; the text says what was received."""


@dataclass(frozen=True, slots=True)
class StubResolver:
    """A client's address and its name servers."""

    link: Link
    source: Address
    servers: tuple[Address, ...]
    port: int

    async def address_of(self, name: str) -> Address:
        """Return the first address of *name*, in the client's own version of IP. Raises NameLookupError."""
        if self.source.version == 6:
            return IPv6Address((await self._ask(name, AAAA))[0])
        return IPv4Address((await self._ask(name, A))[0])

    async def name_of(self, address: Address) -> str:
        """Return the PTR record of *address*. Raises NameLookupError."""
        answer = await self._ask(address.reverse_pointer, PTR)
        if len(answer) > 1:
            raise NameLookupError(f"{len(answer)} PTR records; a node could take any of them as its name")
        return answer[0].decode("ascii", "replace")

    async def _ask(self, name: str, kind: int) -> list[bytes]:
        """Return the RDATA of the answer section: packed addresses, or names."""
        if not self.servers:
            raise NameLookupError("DHCP gave no DNS server")
        came = "nothing"
        for attempt in range(TRIES):
            server = self.servers[attempt % len(self.servers)]
            ident = random.getrandbits(16)
            with self.link.socket(socket.SOCK_DGRAM, self.source) as sock:
                try:
                    sock.connect((str(server), self.port))
                    sock.send(_question(ident, name, kind))
                    if not await readable(sock, WAIT_SECONDS):
                        continue
                    answer = sock.recv(65536)
                except OSError as error:
                    came = f"{error.strerror} from {server}"
                    continue
            try:
                return _answers(answer, ident, kind)
            except (IndexError, struct.error) as error:
                raise NameLookupError(f"{len(answer)} bytes that are not a DNS response") from error
        raise NameLookupError(f"{came}, after {TRIES} queries to {', '.join(map(str, self.servers))}")


def _question(ident: int, name: str, kind: int) -> bytes:
    """Return a query for *name*. Raises NameLookupError."""
    if any(len(label.encode()) > MAX_LABEL_BYTES for label in name.split(".")):
        raise NameLookupError(f"{name!r} is not a domain name")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, IN)


def _answers(message: bytes, ident: int, kind: int) -> list[bytes]:
    got, flags, questions, count, _, _ = struct.unpack_from("!6H", message)
    if got != ident:
        raise NameLookupError("a response to another query")
    if flags & 15:
        names = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
        raise NameLookupError(names.get(flags & 15, f"rcode {flags & 15}"))
    at = 12
    for _ in range(questions):
        at = _name(message, at)[1] + 4
    found = []
    for _ in range(count):
        at = _name(message, at)[1]
        record_kind, _, _, size = struct.unpack_from("!HHIH", message, at)
        at += 10
        if record_kind in ADDRESS_BYTES and size != ADDRESS_BYTES[record_kind]:
            raise NameLookupError(f"{'an A' if record_kind == A else 'an AAAA'} record of {size} bytes")
        if record_kind == kind:  # CNAMEs on the way are skipped
            found.append(message[at : at + size] if kind in ADDRESS_BYTES else _name(message, at)[0].encode())
        at += size
    if not found:
        raise NameLookupError("no such record (NODATA)")
    return found


def _name(message: bytes, at: int) -> tuple[str, int]:
    """Return the name at *at*, without the trailing dot, and where it ends (RFC 1035 section 4.1.4)."""
    labels: list[str] = []
    end = 0
    for _ in range(128):  # no name has more labels, so that a pointer loop ends here
        size = message[at]
        if size >= 0xC0:
            end = end or at + 2
            at = (size & 0x3F) << 8 | message[at + 1]
        elif size == 0:
            return ".".join(labels), end or at + 1
        else:
            labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace"))
            at += 1 + size
    raise NameLookupError("a name that does not end")
