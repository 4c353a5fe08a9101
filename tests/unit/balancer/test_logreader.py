"""HAProxy's log, from a datagram to an event: the socket, its bounds, and a real HAProxy on the loopback interface."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.balancer import logreader
from appliance.balancer.log import LOG_FORMAT, MAX_BYTES
from appliance.balancer.logreader import LogReader
from appliance.events import BalancerReached
from appliance.model import Cluster, Engine, LoadBalancer
from tests.clusters import reference_cluster
from tests.haproxy import INSTALLED, MISSING, RELEASES, of_release

MASTER, WORKER = "127.0.7.21", "127.0.7.31"
HEADER = b"<134>Nov 29 15:11:52 haproxy[31806]: "
CONFIG, API = "machine-config-22623", "api-6443"
HAPROXY = """
global
  log {directory}/log.sock local0
defaults
  mode tcp
  log global
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  log-format "{log_format}"
  option logasap
listen machine-config-22623
  bind 127.0.0.1:{config}
  server bs 127.0.0.1:{member}
listen api-6443
  bind 127.0.0.1:{api}
  server m1 127.0.0.1:{member} disabled
"""


@dataclass
class Reading:
    """A running reader, and what it has published."""

    path: Path
    reader: LogReader
    events: list[BalancerReached] = field(default_factory=list)

    def send(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, str(self.path))

    async def counted(self, *key: str, number: int = 1) -> None:
        """Wait until *key* was counted *number* times."""
        async with asyncio.timeout(20):
            while self.reader.counts[key] < number:
                await asyncio.sleep(0.005)


def cluster() -> Cluster:
    made = reference_cluster()
    m1 = replace(made.hosts[1], addresses=(ip_address(MASTER),))
    worker = next(host for host in made.hosts if host.role == "worker")
    worker = replace(worker, addresses=(ip_address(WORKER),))
    return replace(made, hosts=(made.hosts[0], m1, worker), load_balancer=LoadBalancer(Engine.HAPROXY))


@asynccontextmanager
async def reading(
    directory: Path, is_host: Callable[[str, str], bool] = lambda _host, _client: True
) -> AsyncIterator[Reading]:
    served, events = (cluster(),), list[BalancerReached]()
    path = directory / "log.sock"
    reader = LogReader(path, lambda: served, {}, events.append, is_host)
    running = asyncio.create_task(reader.run())
    await asyncio.sleep(0)
    try:
        yield Reading(path, reader, events)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def line(client: str = MASTER, front_end: str = CONFIG, end: str = "bs 0 --") -> bytes:
    return HEADER + f"connection {client} 40000 {front_end} {end}\n".encode()


async def test_connection_of_a_host_is_its_event(tmp_path: Path) -> None:
    async with reading(tmp_path) as log:
        log.send(line())
        await log.counted("connection", CONFIG, "master", "forwarded")
    m1 = cluster().hosts[1]
    assert log.events == [BalancerReached(m1.name, MASTER, CONFIG, 22623, "bs")]


async def test_connections_are_counted_by_the_role_of_the_client(tmp_path: Path) -> None:
    async with reading(tmp_path) as log:
        log.send(line(WORKER), line(WORKER, end="<NOSRV> -1 SC"), line("198.51.100.9", API))
        await log.counted("connection", API, "stranger", "forwarded")
    assert {key: number for key, number in log.reader.counts.items() if key[0] == "connection"} == {
        ("connection", CONFIG, "worker", "forwarded"): 1,
        ("connection", CONFIG, "worker", "failed"): 1,
        ("connection", API, "stranger", "forwarded"): 1,
    }


async def test_invented_front_ends_and_clients_make_no_more_labels(tmp_path: Path) -> None:
    async with reading(tmp_path) as log:
        for number in range(40):
            log.send(line(f"198.51.100.{number}", f"front-{number}"))
            await log.counted("line", "connection", number=number + 1)
    assert set(log.reader.counts) == {("line", "connection"), ("connection", "other", "stranger", "forwarded")}


async def test_another_machine_at_the_address_of_a_host_is_counted_only(tmp_path: Path) -> None:
    async with reading(tmp_path, lambda _host, _client: False) as log:
        log.send(line())
        await log.counted("connection", CONFIG, "master", "forwarded")
    assert log.events == []


async def test_a_hundred_connections_of_a_node_are_one_event(tmp_path: Path) -> None:
    async with reading(tmp_path) as log:
        for number in range(100):
            log.send(line())
            await log.counted("line", "connection", number=number + 1)
    assert len(log.events) == 1


@pytest.mark.parametrize("datagram", [b"", b"nonsense", line() + b"x", b"x" * (MAX_BYTES + 1), b"\xff" * 60000])
async def test_what_haproxy_does_not_write_is_counted_and_no_event(tmp_path: Path, datagram: bytes) -> None:
    async with reading(tmp_path) as log:
        log.send(datagram)
        await log.counted("line", "unreadable")
    assert log.events == []


async def test_alert_of_haproxy_is_told_and_a_flood_of_them_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with reading(tmp_path) as log:
        for number in range(50):
            log.send(b"<128>Nov 29 15:11:52 haproxy[1]: Proxy api-6443 reached process FD limit (maxsock=9).")
            await log.counted("line", "alert", number=number + 1)
    assert "Proxy api-6443 reached process FD limit" in caplog.text
    assert len(caplog.records) <= 5


async def test_flood_leaves_the_loop_to_others_after_each_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logreader, "BURST", 3)  # the kernel holds no more than 10 datagrams
    async with reading(tmp_path) as log:
        log.send(*[line()] * 9)
        counts = [0]
        async with asyncio.timeout(20):
            while counts[-1] < 9:
                await asyncio.sleep(0)
                counts.append(log.reader.counts["line", "connection"])
    assert max(later - earlier for earlier, later in pairwise(counts)) == 3


async def test_socket_is_gone_once_the_reader_has_ended(tmp_path: Path) -> None:
    async with reading(tmp_path) as log:
        assert log.path.is_socket()
    assert not log.path.exists()


# A real HAProxy

needs_haproxy = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def haproxy(directory: Path, command: Sequence[str] = INSTALLED) -> AsyncIterator[tuple[int, int]]:
    """Run HAProxy with a member that accepts; yield the ports for the machine config server and the API."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client has gone
        writer.close()

    member = await asyncio.start_server(answer, "127.0.0.1", 0)
    config, api = free_port(), free_port()
    ports = {"config": config, "api": api, "member": member.sockets[0].getsockname()[1]}
    file = directory / "haproxy.cfg"
    file.write_text(HAPROXY.format(directory=directory, log_format=LOG_FORMAT, **ports))
    process = await asyncio.create_subprocess_exec(*command, "-db", "-f", str(file))
    try:
        async with asyncio.timeout(10):
            while not await is_open(api):  # HAProxy binds it last
                await asyncio.sleep(0.02)
        yield config, api
    finally:
        process.kill()
        await process.wait()
        member.close()


async def is_open(port: int) -> bool:
    try:
        async with connected("127.0.0.1", port):
            return True
    except ConnectionRefusedError:
        return False


@asynccontextmanager
async def connected(client: str, port: int) -> AsyncIterator[None]:
    """Stay connected from *client* during the block: one that has gone already is not forwarded by every version."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0))
    try:
        yield
    finally:
        writer.close()


@needs_haproxy
async def test_connection_through_haproxy_is_an_event_while_it_lasts(tmp_path: Path) -> None:
    async with reading(tmp_path) as log, haproxy(tmp_path) as (config, _), connected(MASTER, config):
        await log.counted("connection", CONFIG, "master", "forwarded")
    m1 = cluster().hosts[1]
    assert log.events == [BalancerReached(m1.name, MASTER, CONFIG, 22623, "bs")]


@needs_haproxy
async def test_connection_for_which_haproxy_finds_no_member_is_no_event(tmp_path: Path) -> None:
    async with reading(tmp_path) as log, haproxy(tmp_path) as (_, api), connected(MASTER, api):
        await log.counted("connection", API, "master", "failed")
    assert log.events == []


async def talk(log: Reading, config: int, api: int) -> None:
    """Let clients connect, to a member and to none, until all of that was counted."""
    async with connected(MASTER, config), connected(WORKER, api), connected("127.0.7.99", config):
        await log.counted("connection", CONFIG, "master", "forwarded")
        await log.counted("connection", API, "worker", "failed")
        await log.counted("connection", CONFIG, "stranger", "forwarded")


@needs_haproxy
async def test_haproxy_writes_nothing_that_cannot_be_read(tmp_path: Path) -> None:
    async with reading(tmp_path) as log, haproxy(tmp_path) as (config, api):
        await talk(log, config, api)
    assert log.reader.counts["line", "unreadable"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
async def test_log_of_every_version_of_haproxy_is_read(tmp_path: Path, release: str) -> None:
    command = await asyncio.to_thread(of_release, release)
    async with reading(tmp_path) as log, haproxy(tmp_path, command) as (config, api):
        await talk(log, config, api)
    assert log.reader.counts["line", "unreadable"] == 0
