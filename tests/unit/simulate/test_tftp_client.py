"""The TFTP client of simulated machines, with a server that loses datagrams like a network."""

import asyncio
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

import pytest

from appliance.simulate import tftp
from appliance.simulate.machine import Patience
from appliance.simulate.tftp import TransferError
from tests.simulate_loopback import Loopback

LOOPBACK = IPv4Address("127.0.0.1")
QUICK = Patience(tftp_wait=0.05, tftp_tries=4)
FILE = bytes(range(256)) * 40  # 10,240 bytes: exactly 20 blocks of 512


class Server(asyncio.DatagramProtocol):
    """A TFTP server for one file; *loses* says which of its datagrams get lost."""

    def __init__(self, body: bytes = FILE, loses: Callable[[int], bool] = lambda _: False, oack: bool = True) -> None:
        self.body, self.loses, self.oack = body, loses, oack
        self.block_bytes, self.window = 512, 1
        self.sent = 0
        self.heard: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self.heard.append(data)
        opcode, number = struct.unpack_from("!HH", data)
        if opcode == tftp.RRQ:
            words = data[2:].split(b"\0")
            options = dict(zip(words[2::2], words[3::2], strict=False))
            if not self.oack:
                self._send_window(0, peer)
                return
            self.block_bytes = int(options.get(b"blksize", b"512"))
            self.window = int(options.get(b"windowsize", b"1"))
            options[b"tsize"] = str(len(self.body)).encode()
            pairs = b"".join(name + b"\0" + value + b"\0" for name, value in options.items() if name)
            self._send(struct.pack("!H", tftp.OACK) + pairs, peer)
        elif opcode == tftp.ACK:
            self._send_window(number, peer)

    def _send_window(self, acknowledged: int, peer: tuple[str, int]) -> None:
        blocks = len(self.body) // self.block_bytes + 1
        # The client's number has 16 bits; after a rollover it means the nearest block with these bits.
        sent = getattr(self, "highest", 0)
        acknowledged += (sent - acknowledged + 0x8000) // 0x10000 * 0x10000
        for block in range(acknowledged + 1, min(acknowledged + self.window, blocks) + 1):
            at = (block - 1) * self.block_bytes
            self.highest = max(sent, block)
            header = struct.pack("!HH", tftp.DATA, block & 0xFFFF)
            self._send(header + self.body[at : at + self.block_bytes], peer)

    def _send(self, datagram: bytes, peer: tuple[str, int]) -> None:
        self.sent += 1
        if not self.loses(self.sent):
            self.transport.sendto(datagram, peer)


class Answering(asyncio.DatagramProtocol):
    """A server that answers every request with the same datagrams."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        for answer in self.answers:
            self.transport.sendto(answer, peer)


@asynccontextmanager
async def listening(server: asyncio.DatagramProtocol) -> AsyncIterator[tuple[str, int]]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")
    finally:
        transport.close()


async def fetch(server: asyncio.DatagramProtocol, block_bytes: int = 512, window_blocks: int = 1) -> tftp.Fetched:
    async with listening(server) as address:
        return await tftp.fetch(
            Loopback(), LOOPBACK, address, "efi/x.efi", QUICK, block_bytes=block_bytes, window_blocks=window_blocks
        )


@pytest.mark.parametrize("window_blocks", [1, 4, 16])
async def test_a_file_of_exact_blocks_comes_whole(window_blocks: int) -> None:
    fetched = await fetch(Server(), window_blocks=window_blocks)
    assert (fetched.size, fetched.sha256) == (len(FILE), hashlib.sha256(FILE).hexdigest())


async def test_a_server_without_options_is_read_in_blocks_of_512() -> None:
    assert (await fetch(Server(oack=False), block_bytes=1468)).size == len(FILE)


@pytest.mark.parametrize("window_blocks", [1, 4])
@pytest.mark.parametrize("lost", range(1, 24))
async def test_any_lost_datagram_is_made_good(lost: int, window_blocks: int) -> None:
    fetched = await fetch(Server(loses=lambda sent: sent == lost), window_blocks=window_blocks)
    assert fetched.sha256 == hashlib.sha256(FILE).hexdigest()


class Impatient(Server):
    """A server that loses the first ACK of *deaf_to*, and sends the end of the window again at once."""

    def __init__(self, deaf_to: int) -> None:
        super().__init__()
        self.unheard = [struct.pack("!HH", tftp.ACK, deaf_to)]

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        if data in self.unheard:
            self.unheard.clear()
            self._send_window(self.highest - 1, peer)
        else:
            super().datagram_received(data, peer)


LONG = Patience(tftp_wait=60.0)


@pytest.mark.timeout(55)  # less than one wait
async def test_an_ack_that_was_lost_is_sent_again_when_the_block_comes_again() -> None:
    async with listening(Impatient(deaf_to=7)) as address:
        assert (await tftp.fetch(Loopback(), LOOPBACK, address, "x", LONG, block_bytes=512)).retries == 0


@pytest.mark.timeout(55)  # less than one wait
@pytest.mark.parametrize("lost", [7, 65_540])
async def test_a_lost_block_is_asked_for_before_any_wait_runs_out(lost: int) -> None:
    """This also holds after the block numbers have rolled over."""
    server = Server(b"x" * (65_600 * 8 + 3), loses=lambda sent: sent == lost)
    async with listening(server) as address:
        fetched = await tftp.fetch(Loopback(), LOOPBACK, address, "x", LONG, block_bytes=8, window_blocks=16)
    assert (fetched.size, fetched.retries) == (len(server.body), 0)


async def test_block_numbers_roll_over() -> None:
    body = b"x" * (65_600 * 8 + 3)
    assert (await fetch(Server(body), block_bytes=8, window_blocks=64)).size == len(body)


async def test_the_size_probe_is_broken_off_with_error_8() -> None:
    server = Server()
    async with listening(server) as address:
        assert await tftp.size_of(Loopback(), LOOPBACK, address, "efi/x.efi", QUICK) == len(FILE)
        async with asyncio.timeout(5):
            while len(server.heard) < 2:
                await asyncio.sleep(0)
    assert server.heard[1][:4] == struct.pack("!HH", tftp.ERROR, 8)


async def test_an_error_is_reported_in_the_servers_words() -> None:
    with pytest.raises(TransferError, match="error 1: File not found"):
        await fetch(Answering([struct.pack("!HH", tftp.ERROR, 1) + b"File not found\0"]))


async def test_a_silent_server_is_given_up() -> None:
    with pytest.raises(TransferError, match=r"nothing, 4 timeouts of 0\.05 s"):
        await fetch(Answering([]))


async def test_an_option_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(TransferError, match="windowsize=4, which was not requested"):
        await fetch(Answering([struct.pack("!H", tftp.OACK) + b"windowsize\x004\x00"]))


async def test_a_size_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(TransferError, match="tsize=999"):
        await fetch(Answering([struct.pack("!H", tftp.OACK) + b"tsize\0" + b"9" * 5000 + b"\0"]))


async def test_a_server_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(TransferError, match=r"at 192\.0\.2\.1"):
        await tftp.fetch(Loopback(), LOOPBACK, ("192.0.2.1", 69), "efi/x.efi", QUICK)


async def test_a_larger_block_than_was_asked_for_is_refused() -> None:
    with pytest.raises(TransferError, match="blksize 1468, but 512 was requested"):
        await fetch(Answering([struct.pack("!H", tftp.OACK) + b"blksize\x001468\x00"]))


async def test_a_size_that_does_not_hold_is_an_error() -> None:
    answers = [struct.pack("!H", tftp.OACK) + b"tsize\x009\x00", struct.pack("!HH", tftp.DATA, 1) + b"short"]
    with pytest.raises(TransferError, match="5 bytes, but tsize was 9"):
        await fetch(Answering(answers))


async def test_a_port_where_nobody_listens_is_an_error_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = reserved.getsockname()
    with pytest.raises(TransferError):
        await tftp.fetch(Loopback(), LOOPBACK, address, "x", QUICK)
