"""A TFTP client: a size probe that is aborted, and a windowed read (RFC 1350, 2347, 2348, 2349, 7440)."""

import asyncio
import hashlib
import socket
import struct
from dataclasses import dataclass

from appliance.model import Address
from appliance.simulate.link import BURST, Link
from appliance.simulate.machine import Patience

RRQ, DATA, ACK, ERROR, OACK = 1, 3, 4, 5, 6
OPTION_REFUSED = 8  # RFC 2347; sent by UEFI once it knows the size
UNKNOWN_TRANSFER = 5

UEFI_BLOCK_BYTES = 1468  # an Ethernet frame, as edk2 asks for
BIOS_BLOCK_BYTES = 1456
KEEP_BYTES = 128 << 20  # of a file that is kept


class TransferError(Exception):
    """No file was received; the text says what was."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was received completely."""

    size: int
    sha256: str  # hex; "" when it was only counted
    retries: int  # number of timeouts
    magic: bytes  # its first two bytes: MZ for an EFI program
    body: bytes = b""  # b"" unless it was kept


async def size_of(link: Link, address: Address, server: tuple[str, int], path: str, patience: Patience) -> int:
    """Request the size of *path* and abort, as UEFI does. Raises TransferError."""
    transfer = _Transfer(path, [("tsize", "0"), ("blksize", str(UEFI_BLOCK_BYTES))], server, patience)
    transfer.is_probe = True
    await transfer.run(link, address)
    if transfer.total is None:
        raise TransferError("a reply without tsize (RFC 2349), which UEFI firmware requires")
    return transfer.total


async def fetch(
    link: Link,
    address: Address,
    server: tuple[str, int],
    path: str,
    patience: Patience,
    *,
    block_bytes: int = UEFI_BLOCK_BYTES,
    window_blocks: int = 1,
    hashes: bool = True,
    keeps: bool = False,
) -> Fetched:
    """Read all of *path*, with its contents where *keeps*. Raises TransferError."""
    options = [("tsize", "0"), ("blksize", str(block_bytes))]
    if window_blocks > 1:
        options.append(("windowsize", str(window_blocks)))
    transfer = _Transfer(path, options, server, patience)
    transfer.hash = hashlib.sha256() if hashes else None
    transfer.kept = bytearray() if keeps else None
    await transfer.run(link, address)
    if transfer.total is not None and transfer.total != transfer.size:
        raise TransferError(f"{transfer.size} bytes, but tsize was {transfer.total}")
    digest = transfer.hash.hexdigest() if transfer.hash else ""
    return Fetched(transfer.size, digest, transfer.retries, transfer.magic, bytes(transfer.kept or b""))


class _Transfer:
    """One read request and its transfer, driven by the socket and one timer."""

    def __init__(self, path: str, options: list[tuple[str, str]], server: tuple[str, int], patience: Patience) -> None:
        self.request = struct.pack("!H", RRQ) + b"\0".join(
            [path.encode(), b"octet", *(part.encode() for option in options for part in option), b""]
        )
        self.asked = dict(options)
        self.server, self.patience = server, patience
        self.peer: tuple[str, int] | None = None  # the server's transfer identifier, once it has replied
        self.is_probe = False
        self.hash: hashlib._Hash | None = None
        self.kept: bytearray | None = None
        self.size = self.retries = self.stalls = 0
        self.total: int | None = None
        self.magic = b""
        self.block_bytes, self.window_blocks = 512, 1
        self.last = 0  # blocks received so far; the low 16 bits are the block number on the wire
        self.unacknowledged = 0
        self.gap_reported = False
        self.reply = self.request  # retransmitted when the timer expires

    async def run(self, link: Link, address: Address) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        with link.socket(socket.SOCK_DGRAM, address) as self.sock:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            loop.add_reader(self.sock, self._read)
            try:
                self._send(self.request, self.server)
                while not self.done.done():
                    seen = self.last
                    await asyncio.wait([self.done], timeout=self.patience.tftp_wait)
                    if not self.done.done() and self.last == seen:
                        self._wait_ran_out()
                self.done.result()
            finally:
                loop.remove_reader(self.sock)

    def _wait_ran_out(self) -> None:
        self.stalls += 1
        self.retries += 1
        if self.stalls >= self.patience.tftp_tries:
            where = f"stopped after block {self.last}" if self.peer else "nothing"
            self._fail(f"{where}, {self.stalls} timeouts of {self.patience.tftp_wait:g} s")
            return
        self._send(self.reply, self.peer or self.server)

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                datagram, sender = self.sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError as error:  # ICMP: port unreachable
                self._fail(f"{error.strerror} from {self.server[0]}")
                return
            if self.done.done():
                return
            peer = sender[:2]  # an address of IPv6 has two fields more
            if peer[0] != self.server[0] or (self.peer and peer != self.peer):
                self._send(struct.pack("!HH", ERROR, UNKNOWN_TRANSFER) + b"unknown transfer\0", peer)
                continue
            self.peer = peer
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        opcode = int.from_bytes(datagram[:2], "big")
        if opcode == DATA and len(datagram) >= 4:
            self._take_block(int.from_bytes(datagram[2:4], "big"), memoryview(datagram)[4:])
        elif opcode == OACK and self.last == 0:
            self._take_options(datagram)
        elif opcode == ERROR:
            text = datagram[4:].partition(b"\0")[0].decode("ascii", "replace")
            self._fail(f"error {int.from_bytes(datagram[2:4], 'big')}: {text}")

    def _take_options(self, datagram: bytes) -> None:
        fields = datagram[2:].rstrip(b"\0").decode("ascii", "replace").split("\0")
        for name, value in zip(fields[::2], fields[1::2], strict=False):
            lowered = name.lower()
            # More digits than a file size needs would make int() raise.
            if lowered not in self.asked or not value.isdigit() or len(value) > 20:
                self._fail(f"an OACK with {name}={value}, which was not requested (RFC 2347)")
                return
            if lowered == "tsize":
                self.total = int(value)
            elif int(value) > int(self.asked[lowered]) or int(value) == 0:
                self._fail(f"{name} {value}, but {self.asked[lowered]} was requested")
                return
            elif lowered == "blksize":
                self.block_bytes = int(value)
            elif lowered == "windowsize":
                self.window_blocks = int(value)
        if self.is_probe:
            self._send(struct.pack("!HH", ERROR, OPTION_REFUSED) + b"User aborted the transfer\0", self.peer)
            self._finish()
        else:
            self._acknowledge()

    def _take_block(self, number: int, data: memoryview) -> None:
        if number != (self.last + 1) & 0xFFFF:
            # A block was lost: acknowledge the last good one once; the server resumes there (RFC 7440 section 4).
            is_ahead = 0 < (number - self.last) & 0xFFFF < 0x8000
            if is_ahead and not self.gap_reported:
                self.gap_reported = True
                self._acknowledge()
            elif number == self.last & 0xFFFF and self.last:
                self._acknowledge()  # our ACK was lost, and the server retransmitted the end of the window
            return
        self.last += 1
        self.stalls, self.gap_reported = 0, False
        self.unacknowledged += 1
        self.magic = self.magic or bytes(data[:2])
        self.size += len(data)
        if self.hash:
            self.hash.update(data)
        if self.kept is not None:
            if self.size > KEEP_BYTES:
                self._fail(f"more than {KEEP_BYTES:,} bytes, too many for a boot program")
                return
            self.kept += data
        is_last = len(data) < self.block_bytes
        if is_last or self.unacknowledged >= self.window_blocks:
            self._acknowledge()
        if is_last:
            self._finish()

    def _acknowledge(self) -> None:
        self.unacknowledged = 0
        self.reply = struct.pack("!HH", ACK, self.last & 0xFFFF)
        self._send(self.reply, self.peer)

    def _send(self, datagram: bytes, to: tuple[str, int] | None) -> None:
        try:
            self.sock.sendto(datagram, to or self.server)
        except BlockingIOError:
            return  # like a loss on the wire; the timer expires
        except OSError as error:  # such as a network that is unreachable
            self._fail(f"{error.strerror} at {self.server[0]}")

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _fail(self, came: str) -> None:
        if not self.done.done():
            self.done.set_exception(TransferError(came))
