"""The server with real sockets on loopback: the answers to datagrams."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

import pytest

from appliance.allowance import Allowance
from appliance.boot.grub import GrubScript
from appliance.bus import Bus
from appliance.errors import ListenError
from appliance.events import Event, TftpAborted, TftpFailed, TftpFinished, TftpStarted, WebKind
from appliance.model import Cluster, Endpoint, Listen, Network
from appliance.tftp import server as server_module
from appliance.tftp import transfer as transfer_module
from appliance.tftp.compile import compile_tftp
from appliance.tftp.protocol import ack_datagram
from appliance.tftp.scripts import MAX_CLIENT_ASKING, ScriptOf, no_script
from appliance.tftp.server import HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE, TftpServer
from appliance.tokens import HIDDEN, hide_tokens
from tests.clusters import reference_cluster
from tests.serving import free_port, in_background

LOADER = bytes(range(256)) * 12  # 3072 bytes: six blocks of 512 bytes, and an empty block


def server_of(
    cluster: Cluster,
    listen: Listen,
    publish: Callable[[Event], None],
    script_of: ScriptOf = no_script,
    block_bytes: int = 0,
) -> TftpServer:
    table = compile_tftp((cluster,))
    return TftpServer(lambda: table, listen, publish, script_of, lambda host: block_bytes if host else 0)


class Running:
    """A running server, and the events that it has published."""

    def __init__(
        self,
        data_dir: Path,
        address: str = "127.0.0.1",
        *,
        single: bool = False,
        mtu: int = 1500,
        host: str = "",
        block_bytes: int = 0,
        script_of: ScriptOf = no_script,
    ) -> None:
        """*host* is the address, in 127.0.0.0/8, of a host of the cluster; its recipe has *block_bytes*."""
        (data_dir / "tftp").mkdir(exist_ok=True)
        (data_dir / "tftp" / "loader").write_bytes(LOADER)
        cluster = reference_cluster(data_dir)
        network: Network = replace(cluster.networks[0], mtu=mtu)
        if host:
            network = replace(network, cidr=IPv4Network("127.0.0.0/8"))
            cluster = replace(cluster, hosts=(replace(cluster.hosts[0], addresses=(IPv4Address(host),)),))
        self.port = free_port()
        listen = replace(cluster.listen, tftp=(Endpoint(ip_address(address), self.port),), tftp_single_port=single)
        self.events: list[Event] = []
        cluster = replace(cluster, networks=(network,), listen=listen)
        self.server = server_of(cluster, listen, self.events.append, script_of, block_bytes)


@asynccontextmanager
async def running(server: Running) -> AsyncIterator[Running]:
    async with in_background(server.server.run()):
        yield server


def data_head(block: int) -> bytes:
    """Return the header of a DATA packet."""
    return b"\0\3" + block.to_bytes(2)


class Client:
    """A client that sends and receives single datagrams."""

    def __init__(self, port: int, server: str = "127.0.0.1", address: str = "127.0.0.1") -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind((address, 0))
        self.server = (server, port)
        self.sender: tuple[str, int] = self.server
        self.blocks = 0  # received by `fetch_rest`

    async def ask(self, *options: bytes, name: bytes = b"loader", mode: bytes = b"octet") -> bytes:
        """Send a request; return the first datagram of the answer."""
        self.sock.sendto(b"\0\1" + b"\0".join((name, mode, *options, b"")), self.server)
        return await self.receive()

    async def receive(self, seconds: float = 5.0) -> bytes:
        loop = asyncio.get_running_loop()
        datagram, self.sender = await asyncio.wait_for(loop.sock_recvfrom(self.sock, 70000), seconds)
        return datagram

    async def acknowledge(self, block: int) -> bytes:
        """Acknowledge *block*; return the next block."""
        self.send(ack_datagram(block))
        return await self.data(block + 1)

    async def data(self, block: int) -> bytes:
        """Return the DATA of *block*; skip other blocks, which are sent again if the client's ACK is late."""
        while (datagram := await self.receive())[:4] != data_head(block):
            assert datagram[:2] in (b"\0\3", b"\0\6"), datagram  # DATA, or the OACK
        return datagram

    def send(self, datagram: bytes) -> None:
        self.sock.sendto(datagram, self.sender)

    async def fetch_rest(self, first: bytes) -> bytes:
        """Return the file whose block 1 is in *first*, in blocks of 512 bytes."""
        data, self.blocks = first[4:], 1
        while len(data) == 512 * self.blocks:
            data += (await self.acknowledge(self.blocks))[4:]
            self.blocks += 1
        self.send(ack_datagram(self.blocks))
        return data


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*arguments: int | str) -> Client:
        made.append(Client(*arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.sock.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server is about to do."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the server from sending blocks again because this process has paused."""
    for name in ("FIRST_WAIT_SECONDS", "MIN_WAIT_SECONDS", "MAX_WAIT_SECONDS"):
        monkeypatch.setattr(transfer_module, name, 30.0)


MakeClient = Callable[..., Client]


@pytest.mark.parametrize("single", [False, True])
async def test_file_arrives_whole(single: bool, tmp_path: Path, clients: MakeClient, patient: None) -> None:
    async with running(Running(tmp_path, single=single)) as it:
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask()) == LOADER
        await until(lambda: len(it.events) == 2)
        started, finished = it.events
        assert started == TftpStarted("", client="127.0.0.1", path="loader", total=3072)
        assert isinstance(finished, TftpFinished)
        assert (finished.total, finished.resent) == (3072, 0)
        assert it.server.counts["bytes",] == 3072


async def test_each_transfer_has_a_port_of_its_own(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        senders = set()
        for _ in range(2):
            client = clients(it.port)
            await client.ask()
            senders.add(client.sender[1])
        assert len(senders | {it.port}) == 3


async def test_single_port_answers_from_the_port_that_was_asked(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path, single=True)) as it:
        client = clients(it.port)
        await client.ask()
        assert client.sender[1] == it.port


@pytest.mark.parametrize("single", [False, True])
async def test_answer_comes_from_the_address_that_was_asked(single: bool, tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path, "0.0.0.0", single=single)) as it:
        client = clients(it.port, "127.0.0.7")
        await client.ask()
        assert client.sender[0] == "127.0.0.7"
        await client.ask(name=b"nowhere")
        assert client.sender[0] == "127.0.0.7"


@pytest.mark.parametrize("single", [False, True])
async def test_window_arrives_as_datagrams_of_one_block(
    single: bool, tmp_path: Path, clients: MakeClient, patient: None
) -> None:
    async with running(Running(tmp_path, single=single)) as it:
        client = clients(it.port)
        assert (await client.ask(b"windowsize", b"4")) == b"\0\6windowsize\x004\0"
        client.send(ack_datagram(0))
        window = [await client.receive() for _ in range(4)]
        assert [len(datagram) for datagram in window] == [516] * 4
        client.send(ack_datagram(4))
        window += [await client.receive() for _ in range(3)]
        assert b"".join(datagram[4:] for datagram in window) == LOADER


@pytest.mark.parametrize(("mtu", "block"), [(1500, b"1468"), (1400, b"1368"), (9000, b"8968")])
async def test_block_fits_the_mtu_of_the_clients_network(
    mtu: int, block: bytes, tmp_path: Path, clients: MakeClient
) -> None:
    async with running(Running(tmp_path, mtu=mtu)) as it:
        assert await clients(it.port).ask(b"blksize", b"65464") == b"\0\6blksize\0" + block + b"\0"


@pytest.mark.parametrize(("address", "block"), [("127.0.0.9", b"512"), ("127.0.0.10", b"1468")])
async def test_host_whose_transfers_broke_off_gets_the_blocks_of_its_recipe(
    address: str, block: bytes, tmp_path: Path, clients: MakeClient
) -> None:
    async with running(Running(tmp_path, host="127.0.0.9", block_bytes=512)) as it:
        granted = await clients(it.port, "127.0.0.1", address).ask(b"blksize", b"1468", b"tsize", b"0")
        assert granted.startswith(b"\0\6blksize\0" + block + b"\0")


@pytest.mark.parametrize("is_answered", [True, False])
async def test_transfer_that_fails_tells_whether_its_client_answered(
    is_answered: bool, tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(transfer_module, "UNANSWERED_SECONDS", 0.2)
    async with running(Running(tmp_path, host="127.0.0.9")) as it:
        client = clients(it.port, "127.0.0.1", "127.0.0.9")
        await client.ask()
        if is_answered:
            await client.acknowledge(1)
        await until(lambda: it.server.counts["failed",] == 1)
        assert [event.is_answered for event in it.events if isinstance(event, TftpFailed)] == [is_answered]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\0\1nowhere\0octet\0", 1),
        (b"\0\1../state.db\0octet\0", 2),
        (b"\0\2loader\0octet\0", 2),
        (b"\0\1loader\0netascii\0", 4),
        (b"\0\1loader", 4),
    ],
)
async def test_refusal_has_its_code(request_: bytes, code: int, tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        client.send(request_)
        assert (await client.receive())[:4] == bytes([0, 5, 0, code])
        await until(lambda: len(it.events) == 1)
        assert isinstance(it.events[0], TftpFailed)


async def test_size_probe_ends_without_a_warning(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        assert await client.ask(b"tsize", b"0") == b"\0\6tsize\x003072\0"
        client.send(b"\0\5\0\x08User aborted the transfer\0")
        await until(lambda: len(it.events) == 2)
        assert isinstance(it.events[1], TftpAborted)


async def test_lost_ack_is_made_up_for_by_the_server_alone(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        first = await client.ask()
        assert await client.receive() == first


async def test_repeated_request_is_answered_from_the_same_port(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        first = await client.ask(), client.sender
        assert (await client.ask(), client.sender) == first
        assert it.server.counts["started",] == 1


async def test_client_that_closes_its_port_is_not_waited_for(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        await client.ask()
        client.sock.close()
        await until(lambda: it.server.counts["aborted",] == 1)


@pytest.mark.parametrize("bound", ["MAX_STRANGER_TRANSFERS", "MAX_CLIENT_TRANSFERS"])
async def test_request_past_a_bound_ends_the_oldest_transfer_without_an_answer(
    bound: str, tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, bound, 2)
    async with running(Running(tmp_path, host="127.0.0.1" if bound == "MAX_CLIENT_TRANSFERS" else "")) as it:
        for _ in range(3):
            await clients(it.port).ask()
        assert it.server.counts["failed",] == 1
        assert it.server.counts["started",] == 3


async def test_machine_behind_a_full_address_takes_no_place_of_one_that_had_no_time_to_answer(
    tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "MAX_STRANGER_CLIENT_TRANSFERS", 1)
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        first = await client.ask()
        clients(it.port).send(b"\0\1loader\0octet\0")
        await until(lambda: it.server.counts["silent", "busy"] == 1)
        assert await client.fetch_rest(first) == LOADER


async def test_strangers_never_take_a_hosts_place(
    tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "MAX_STRANGER_TRANSFERS", 1)
    async with running(Running(tmp_path, host="127.0.0.9")) as it:
        stranger = clients(it.port)
        await stranger.ask()
        await stranger.acknowledge(1)
        host = clients(it.port, "127.0.0.1", "127.0.0.9")
        assert await host.fetch_rest(await host.ask()) == LOADER


@pytest.mark.parametrize("bound", ["MAX_STRANGER_TRANSFERS", "MAX_CLIENT_TRANSFERS"])
async def test_past_the_bound_a_request_gets_silence(
    bound: str, tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, bound, 2)
    async with running(Running(tmp_path, host="127.0.0.1" if bound == "MAX_CLIENT_TRANSFERS" else "")) as it:
        for _ in range(2):
            client = clients(it.port)
            await client.ask()
            await client.acknowledge(1)
        clients(it.port).send(b"\0\1loader\0octet\0")
        await until(lambda: it.server.counts["silent", "busy"] == 1)
        assert it.server.counts["started",] == 2


async def test_bound_of_one_client_leaves_room_for_another(
    tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "MAX_STRANGER_CLIENT_TRANSFERS", 1)
    async with running(Running(tmp_path)) as it:
        for address in ("127.0.0.2", "127.0.0.3"):
            assert await clients(it.port, "127.0.0.1", address).ask()


async def test_drain_lets_the_transfer_end_and_begins_none(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client, late = clients(it.port), clients(it.port)
        first = await client.ask()
        draining = asyncio.create_task(it.server.drain(10.0))
        await asyncio.sleep(0)
        late.send(b"\0\1loader\0octet\0")
        await until(lambda: it.server.counts["silent", "draining"] == 1)
        assert await client.fetch_rest(first) == LOADER
        await asyncio.wait_for(draining, 5.0)


async def test_drain_ends_when_its_time_is_up(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        await clients(it.port).ask()
        await asyncio.wait_for(it.server.drain(0.05), 5.0)
        assert it.server.counts["started",] == 1


async def test_flood_from_a_hosts_address_is_counted_but_not_told_without_end(
    tmp_path: Path, clients: MakeClient
) -> None:
    async with running(Running(tmp_path, host="127.0.0.9")) as it:
        client = clients(it.port, "127.0.0.1", "127.0.0.9")
        began = time.monotonic()
        for number in range(300):
            await client.ask(name=b"no-%d" % number)
        allowed = HOST_EVENTS_AT_ONCE + HOST_EVENTS_A_SECOND * (time.monotonic() - began)
        assert it.server.counts["refused", "not-found"] == 300
        assert HOST_EVENTS_AT_ONCE <= len(it.events) <= allowed + 1
        assert {event.host for event in it.events} == {"bs.ocp45.example.localdomain"}


async def test_flood_of_strangers_is_counted_but_not_told_without_end(
    tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "Allowance", lambda: Allowance(per_second=0.0, at_once=5.0))
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        for number in range(20):
            await client.ask(name=b"no-%d" % number)
        assert it.server.counts["refused", "not-found"] == 20
        assert len(it.events) == 5


async def test_tap_hears_how_a_transfer_begins(tmp_path: Path, clients: MakeClient, patient: None) -> None:
    async with running(Running(tmp_path)) as it:
        heard: list[tuple[bytes, tuple[str, int], tuple[str, int]]] = []
        it.server.tap = lambda *datagram: heard.append(datagram)
        client = clients(it.port)
        first = await client.ask()
        second = await client.acknowledge(1)
        await client.acknowledge(2)  # now in lock step, which shows nothing more
        own, ours = client.sock.getsockname(), client.sender
        assert heard == [
            (b"\0\1loader\0octet\0", own, ("127.0.0.1", it.port)),
            (first, ours, own),
            (ack_datagram(1), own, ours),
            (second, ours, own),
        ]


async def test_file_replaced_during_a_transfer_arrives_as_it_was(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        first = await client.ask()
        (tmp_path / "tftp" / "loader").write_bytes(b"new")
        assert await client.fetch_rest(first) == LOADER


async def test_two_hundred_and_fifty_clients_get_on_equally(
    tmp_path: Path, clients: MakeClient, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No client starves: when the first has its file, the others have almost all of it."""
    monkeypatch.setattr(server_module, "Allowance", lambda: Allowance(at_once=1000.0))
    # So few that many always wait for the server: these clients, all in one process, are slower than the server.
    monkeypatch.setattr(server_module, "ANSWERS_A_WAKE", 8)
    async with running(Running(tmp_path)) as it:
        loader = LOADER * 5  # 31 blocks, the last of which is empty
        (tmp_path / "tftp" / "loader").write_bytes(loader)
        everybody = [clients(it.port, "127.0.0.1", f"127.0.1.{number + 1}") for number in range(250)]
        firsts = await asyncio.gather(*(client.ask() for client in everybody))
        fetching = [
            asyncio.create_task(client.fetch_rest(first)) for client, first in zip(everybody, firsts, strict=True)
        ]
        await asyncio.wait(fetching, return_when=asyncio.FIRST_COMPLETED)
        # By number of blocks and not by time: a pause of this process delays all clients.
        assert min(client.blocks for client in everybody) >= 25
        assert set(await asyncio.gather(*fetching)) == {loader}
        await until(lambda: it.server.counts["finished",] == 250)


async def fetched_by_firmware(client: Client) -> bytes:
    """Return the file that firmware gets: it asks again after 4 s, and six times in all, as EDK2 does."""
    for _ in range(6):
        try:
            async with asyncio.timeout(4.0):
                first = await client.ask()
        except TimeoutError:
            client.sender = client.server
            continue
        return await client.fetch_rest(first)
    raise TimeoutError


async def test_thousand_machines_behind_one_address_all_get_their_loader(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        everybody = [clients(it.port, "127.0.0.1", "127.0.0.9") for _ in range(1000)]
        assert set(await asyncio.gather(*map(fetched_by_firmware, everybody))) == {LOADER}


async def test_request_without_a_descriptor_left_gets_silence(tmp_path: Path, clients: MakeClient) -> None:
    """With "file not found" the client would give up, although the loader exists."""
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        with no_descriptor_left():
            client.send(b"\0\1loader\0octet\0")
            await until(lambda: it.server.counts["silent", "busy"] == 1)
        assert await client.ask()


async def test_broadcast_request_gets_silence(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path, "0.0.0.0")) as it:
        client = clients(it.port, "127.255.255.255")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.send(b"\0\1loader\0octet\0")
        await until(lambda: it.server.counts["silent", "broadcast"] == 1)


async def test_large_file_overwritten_during_a_transfer_ends_with_an_error(tmp_path: Path, clients: MakeClient) -> None:
    """The client must not boot half of one version and half of another."""
    async with running(Running(tmp_path)) as it:
        large = tmp_path / "tftp" / "large"
        large.write_bytes(bytes(64 * 65464 + 5_000_000))
        client = clients(it.port)
        await client.ask(b"blksize", b"1468", b"windowsize", b"64", name=b"large")
        client.send(ack_datagram(0))
        await client.receive()
        large.write_bytes(b"short")
        client.send(ack_datagram(64))
        while (datagram := await client.receive())[:2] == b"\0\3":
            assert int.from_bytes(datagram[2:4], "big") <= 64
        assert datagram[:4] == b"\0\5\0\0"
        await until(lambda: it.server.counts["failed",] == 1)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open("rb") as first_free:
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free.fileno(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


async def test_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    cluster = reference_cluster(tmp_path)
    with taken_port() as port:
        listen = replace(cluster.listen, tftp=(Endpoint(IPv4Address("127.0.0.1"), port),))
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}/udp: .* listen\.tftp"):
            server_of(cluster, listen, lambda event: None)


async def test_error_at_the_end_of_a_transfer_leaves_the_others_their_deadlines(
    tmp_path: Path, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "UNANSWERED_SECONDS", 0.1)
    served = Running(tmp_path)
    failed: list[Event] = []

    def publish(event: Event) -> None:
        if isinstance(event, TftpFailed):
            failed.append(event)
            raise RecursionError

    served.server._publish = publish
    async with running(served):
        await clients(served.port).ask()
        await until(lambda: len(failed) == 1)
        await clients(served.port).ask()
        await until(lambda: len(failed) == 2)


@pytest.mark.parametrize("levels", [330, 490, 700])
async def test_name_of_nested_escapes_is_answered_and_reported(
    tmp_path: Path, clients: MakeClient, levels: int
) -> None:
    served, bus, told = Running(tmp_path), Bus(), list[Event]()
    bus.hide = lambda text: hide_tokens(text, lambda: ["0123456789abcdef0123456789abcdef"])
    bus.subscribers.append(lambda stamped: told.append(stamped.event))
    served.server._publish = bus.publish
    async with running(served):
        answer = await clients(served.port).ask(name=b"%" + b"25" * levels)
        await until(lambda: bool(told))
    assert answer[:2] == b"\0\5"
    assert [(event.kind, event.facts()["path"]) for event in told] == [("tftp.fail", HIDDEN)]


# GRUB

INITRAMFS = "rhcos-4.5.6-x86_64-installer-initramfs.x86_64.img"


@pytest.mark.parametrize(
    "name", [b"/grub/grub.cfg", b"shim/x64/grub.cfg-01-52-54-00-12-34-56", b"/grub/x86_64-efi/grub.cfg", b"GRUB.CFG"]
)
async def test_grub_finds_its_first_configuration_at_every_name(
    name: bytes, tmp_path: Path, clients: MakeClient
) -> None:
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        text = await client.fetch_rest(await client.ask(name=name))
        await until(lambda: len(it.events) == 2)
    assert b"source $from/grub/boot.cfg" in text
    assert [event.what for event in it.events] == [WebKind.GRUB] * 2  # type: ignore[attr-defined]


async def test_operator_s_own_configuration_of_grub_is_served_instead(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        (tmp_path / "tftp" / "grub.cfg").write_bytes(b"own")
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask(name=b"grub.cfg")) == b"own"


async def test_grub_s_script_is_asked_for_by_the_client_s_address(tmp_path: Path, clients: MakeClient) -> None:
    asked = []

    async def script_of(client: str) -> GrubScript:
        asked.append(client)
        return GrubScript(b"linux", WebKind.SCRIPT, is_quiet=False)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask(name=b"/grub/boot.cfg")) == b"linux"
        await until(lambda: len(it.events) == 2)
    assert asked == ["127.0.0.1"]
    assert [event.what for event in it.events] == [WebKind.SCRIPT] * 2  # type: ignore[attr-defined]


async def test_grub_that_may_have_no_script_now_is_told_to_ask_again(tmp_path: Path, clients: MakeClient) -> None:
    async with running(Running(tmp_path)) as it:
        assert await clients(it.port).ask(name=b"grub/boot.cfg") == b"\0\5\0\0not now; ask again\0"
        assert it.events == []


async def test_script_that_says_the_same_again_is_no_news(tmp_path: Path, clients: MakeClient) -> None:
    async def script_of(_client: str) -> GrubScript:
        return GrubScript(b"wait", WebKind.WAIT, is_quiet=True)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        client = clients(it.port)
        await client.fetch_rest(await client.ask(name=b"grub/boot.cfg"))
        await until(lambda: it.server.counts["finished",] == 1)
    assert it.events == []


async def test_request_whose_script_is_being_found_out_is_not_asked_again(tmp_path: Path, clients: MakeClient) -> None:
    known = asyncio.Event()
    asked = []

    async def script_of(client: str) -> GrubScript:
        asked.append(client)
        await known.wait()
        return GrubScript(b"linux", WebKind.SCRIPT, is_quiet=False)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        client = clients(it.port)
        request = b"\0\1grub/boot.cfg\0octet\0"
        client.send(request)
        client.send(request)
        await until(lambda: it.server.counts["silent", "busy"] == 1)
        known.set()
        assert await client.fetch_rest(await client.receive()) == b"linux"
    assert asked == ["127.0.0.1"]


async def test_script_that_fails_leaves_the_server_running(tmp_path: Path, clients: MakeClient) -> None:
    async def script_of(_client: str) -> GrubScript:
        raise RuntimeError

    async with running(Running(tmp_path, script_of=script_of)) as it:
        client = clients(it.port)
        client.send(b"\0\1grub/boot.cfg\0octet\0")
        assert (await clients(it.port).ask())[:4] == data_head(1)


@pytest.mark.parametrize("name", [b"revocations_sku.efi", b"shim/x64/shim_certificate_0.efi", b"grub/fs.lst"])
async def test_file_that_a_client_can_do_without_is_refused_without_an_event(
    name: bytes, tmp_path: Path, clients: MakeClient
) -> None:
    async with running(Running(tmp_path)) as it:
        assert (await clients(it.port).ask(name=name))[:4] == b"\0\5\0\1"
        assert it.server.counts["refused", "not-found"] == 1
    assert it.events == []


async def test_initramfs_is_served_to_a_grub_without_http(tmp_path: Path, clients: MakeClient) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / INITRAMFS).write_bytes(b"initramfs")
    async with running(Running(tmp_path)) as it:
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask(name=f"/{INITRAMFS}".encode())) == b"initramfs"
        await until(lambda: len(it.events) == 2)
    assert it.events[1].what is WebKind.INITRAMFS  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["images", "tftp"])
async def test_initramfs_with_ignition_is_served_to_nobody(place: str, tmp_path: Path, clients: MakeClient) -> None:
    """Also where cluster.yaml names it as that of the release, or somebody has copied it to tftp/."""
    (tmp_path / place).mkdir()
    (tmp_path / place / "agent.x86_64-initrd.img").write_bytes(b"initramfs")
    (tmp_path / place / INITRAMFS).symlink_to("agent.x86_64-initrd.img")
    async with running(Running(tmp_path)) as it:
        for name in ("agent.x86_64-initrd.img", "AGENT.X86_64-INITRD.IMG", INITRAMFS):
            answer = await clients(it.port).ask(name=name.encode())
            assert not answer.startswith(b"\0\3"), name
        assert it.server.counts["started",] == 0


async def test_capture_has_no_token_of_a_script(tmp_path: Path, clients: MakeClient, patient: None) -> None:
    script = b"linux " * 84 + b"0123456789abcdef0123456789abcdef"  # the token is in both blocks
    tapped: list[bytes] = []

    async def script_of(_client: str) -> GrubScript:
        return GrubScript(script, WebKind.SCRIPT, is_quiet=False)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        it.server.tap = lambda datagram, _source, _destination: tapped.append(datagram)
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask(name=b"grub/boot.cfg")) == script
    assert [datagram for datagram in tapped if datagram[:2] == b"\0\3"] == [b"\0\3\0\1", b"\0\3\0\2"]


@pytest.mark.parametrize("receives", [True, False])
async def test_script_is_reported_as_arrived_only_when_it_was_acknowledged(
    receives: bool, tmp_path: Path, clients: MakeClient
) -> None:
    arrived: list[bool] = []

    async def script_of(_client: str) -> GrubScript:
        return GrubScript(b"wait", WebKind.WAIT, is_quiet=False, arrived=lambda: arrived.append(True))

    async with running(Running(tmp_path, script_of=script_of)) as it:
        client = clients(it.port)
        if receives:
            await client.fetch_rest(await client.ask(name=b"grub/boot.cfg"))
        else:
            client.sock.sendto(b"\0\1grub/boot.cfg\0octet\0", client.server)
            client.sock.close()
        await until(lambda: len(it.events) == 2)
    assert len(arrived) == receives


async def test_requests_in_one_machine_s_name_leave_others_their_places(tmp_path: Path, clients: MakeClient) -> None:
    """Each of them waits until the kernel has resolved the address, and their sources may be forged."""
    asked = []

    async def script_of(client: str) -> GrubScript:
        asked.append(client)
        if client == "127.0.0.9":
            await asyncio.Event().wait()
        return GrubScript(b"linux", WebKind.SCRIPT, is_quiet=False)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        for _ in range(5):
            clients(it.port, "127.0.0.1", "127.0.0.9").send(b"\0\1grub/boot.cfg\0octet\0")
        await until(lambda: it.server.counts["silent", "busy"] == 5 - MAX_CLIENT_ASKING)
        client = clients(it.port)
        assert await client.fetch_rest(await client.ask(name=b"grub/boot.cfg")) == b"linux"
    assert asked == ["127.0.0.9"] * MAX_CLIENT_ASKING + ["127.0.0.1"]


async def test_machine_whose_script_was_found_out_may_ask_again(tmp_path: Path, clients: MakeClient) -> None:
    async def script_of(_client: str) -> GrubScript:
        return GrubScript(b"linux", WebKind.SCRIPT, is_quiet=False)

    async with running(Running(tmp_path, script_of=script_of)) as it:
        for _ in range(2 * MAX_CLIENT_ASKING):
            client = clients(it.port)
            assert await client.fetch_rest(await client.ask(name=b"grub/boot.cfg")) == b"linux"


async def test_refused_request_says_nothing_about_its_path(tmp_path: Path, clients: MakeClient) -> None:
    """Three transfers that broke off after an answer make blocks smaller, and a request may be forged."""
    async with running(Running(tmp_path)) as it:
        (tmp_path / "tftp" / "secret.ign").write_bytes(b"{}")
        for name in (b"none.efi", b"secret.ign", b"../x"):
            await clients(it.port).ask(name=name)
        await clients(it.port).ask(mode=b"mail")
        await until(lambda: len(it.events) == 4)
    assert [event.is_answered for event in it.events if isinstance(event, TftpFailed)] == [False] * 4
