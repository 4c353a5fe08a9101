"""The stand-ins for an installed node's servers, asked over TCP and TLS as a load balancer and a machine ask."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeAlias

import pytest

from appliance.config import load
from appliance.errors import SimulationError
from appliance.model import Cluster, Host, MacAddress
from appliance.simulate.certificate import make_certificate
from appliance.simulate.joining import get_machine_config, reach_api
from appliance.simulate.lease import Lease
from appliance.simulate.link import PacketLink
from appliance.simulate.machine import BootStep, Disk, Machine, Patience, Ports, StepError
from appliance.simulate.nodes import Node, services_of
from appliance.simulate.run import Run
from tests.balancer_nodes import server_context

REFERENCE = Path(__file__).parents[3] / "data" / "ocp45" / "cluster.yaml"
DOMAIN = "ocp45.example.localdomain"
LO = PacketLink("lo", Ports())
# The ports of a node are fixed, so each process that runs these tests has addresses of its own.
PREFIX = f"127.18.{os.getpid() % 256}"
NOBODY = IPv4Address(f"{PREFIX}.251")

Starting: TypeAlias = Callable[[str], AbstractAsyncContextManager[Host]]


@pytest.fixture
def cluster() -> Cluster:
    """The reference cluster, each host with an address of the loopback network."""
    (cluster,) = load([REFERENCE])
    hosts = tuple(
        replace(host, addresses=(IPv4Address(f"{PREFIX}.{number}"),))
        for number, host in enumerate(cluster.hosts, start=1)
    )
    networks = (replace(cluster.networks[0], cidr=IPv4Network("127.18.0.0/16")),)
    return replace(cluster, hosts=hosts, networks=networks)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "tls.pem"
    path.write_text(make_certificate([f"api-int.{DOMAIN}"]))
    return server_context(path)


@pytest.fixture
def started(cluster: Cluster, tls: ssl.SSLContext) -> Starting:
    """Run the servers of a host, given by its short name, except those on ports that need a privilege."""

    @asynccontextmanager
    async def start(name: str) -> AsyncIterator[Host]:
        host = next(host for host in cluster.hosts if host.short_name == name)
        node = Node(host, cluster, LO, [each for each in services_of(host, cluster) if each.port > 1024], tls)
        await node.start()
        try:
            yield host
        finally:
            node.stop()

    return start


async def get(host: Host, port: int, path: str) -> tuple[int, bytes]:
    """Return the status and the body of a GET, with TLS unless it is the router's health."""
    tls = None
    if port != 1936:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(str(host.address), port, ssl=tls)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


@pytest.mark.parametrize(
    ("name", "port", "path", "status"),
    [
        ("bs", 6443, "/readyz", 200),
        ("bs", 22623, "/healthz", 204),
        ("bs", 22623, "/config/master", 200),
        ("bs", 22623, "/config/worker", 500),
        ("m1", 6443, "/readyz", 200),
        ("m1", 6443, "/api/v1/secrets", 403),
        ("m1", 22623, "/config/master", 200),
        ("m1", 22623, "/config/worker", 200),
        ("w1", 1936, "/healthz/ready", 200),
    ],
)
async def test_a_node_answers_as_its_role_does(started: Starting, name: str, port: int, path: str, status: int) -> None:
    async with started(name) as host:
        assert (await get(host, port, path))[0] == status


def test_masters_have_routers_only_where_there_are_no_workers(cluster: Cluster) -> None:
    m1 = next(host for host in cluster.hosts if host.short_name == "m1")
    alone = replace(cluster, hosts=tuple(host for host in cluster.hosts if host.role == "master"))
    assert {service.port for service in services_of(m1, cluster)} == {6443, 22623}
    assert {service.port for service in services_of(m1, alone)} == {6443, 22623, 1936, 80, 443}


async def test_a_node_that_is_switched_off_refuses_connections(started: Starting) -> None:
    async with started("m1") as host:
        pass
    with socket.socket() as probe:
        assert probe.connect_ex((str(host.address), 6443)) != 0


async def test_a_node_that_is_switched_off_ends_the_connections_to_it(started: Starting) -> None:
    async with started("w1") as host:
        reader, writer = await asyncio.open_connection(str(host.address), 1936)
        writer.write(b"GET / HTTP/1.1\r\n")  # and no more, so that it waits for the rest
        await writer.drain()
        # A second request proves that the node has taken the first connection.
        await get(host, 1936, "/")
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_a_port_that_another_demo_has_is_an_error_of_the_simulation(cluster: Cluster) -> None:
    host = cluster.hosts[0]
    with (
        socket.create_server((str(host.address), 22623)),
        pytest.raises(SimulationError, match=r"cannot listen on 127\.18\.\d+\.1:22623 in place of bs: .*another demo"),
    ):
        await Node(host, cluster, LO, services_of(host, cluster)[:1], None).start()


class Joining:
    """An installed machine in the reference cluster whose load balancer is at one node's address."""

    def __init__(self, *, pool: str, must_join: bool, api_int: IPv4Address) -> None:
        self.steps: list[BootStep] = []
        self.machine = Machine(
            "w1",
            MacAddress.parse("00:50:56:96:6b:da"),
            patience=Patience(longest_pause=0.05, hold=0.2),
            pool=pool,
            must_join=must_join,
            disk=Disk("sda"),
            report=self.steps.append,
        )
        here = IPv4Address(f"{PREFIX}.250")
        nothing = {"dns": (), "host_name": "", "domain": "", "ack": None, "boot": None, "boot_file": ""}
        self._lease = Lease(
            address=here, network=IPv4Network("127.0.0.0/8"), router=None, boot_server=here, retries=0, **nothing
        )
        self._api_int = api_int

    async def boot(self) -> None:
        run = Run(self.machine, LO)
        await get_machine_config(run, self._lease, self._api_int, DOMAIN)
        await reach_api(run, self._lease, self._api_int, DOMAIN)

    @property
    def said(self) -> str:
        return "\n".join(step.text for step in self.steps)


async def test_a_worker_gets_its_machine_config_from_a_master_and_reaches_the_api(started: Starting) -> None:
    async with started("m1") as host:
        w1 = Joining(pool="worker", must_join=True, api_int=host.address)
        await w1.boot()
    assert w1.said == (
        "machine config: 34 bytes from m1 (placeholder) by api-int:22623\n"
        "the API of m1 (placeholder) answers by api-int:6443"
    )


async def test_a_machine_gets_its_machine_config_at_its_first_boot_only(started: Starting) -> None:
    async with started("m1") as host:
        w1 = Joining(pool="worker", must_join=True, api_int=host.address)
        await w1.boot()
        w1.steps.clear()
        await w1.boot()
    assert "22623" not in w1.said
    assert "6443" in w1.said


async def test_a_worker_waits_while_only_the_bootstrap_answers(started: Starting) -> None:
    async with started("bs") as host:
        w1 = Joining(pool="worker", must_join=True, api_int=host.address)
        with pytest.raises(StepError, match="22623/config/worker: status 500 from bs \\(placeholder\\)"):
            await w1.boot()


async def test_a_machine_that_need_not_join_asks_once_and_goes_on() -> None:
    m1 = Joining(pool="master", must_join=False, api_int=NOBODY)
    await m1.boot()
    assert m1.said == (
        f"https://api-int.{DOMAIN}:22623/healthz: connection refused\n"
        f"https://api-int.{DOMAIN}:6443/readyz: connection refused"
    )


async def test_a_machine_without_a_pool_asks_nothing() -> None:
    bs = Joining(pool="", must_join=True, api_int=NOBODY)
    await bs.boot()
    assert bs.said == ""


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"x" * 70000],
)
async def test_an_answer_that_is_not_http_is_told(answer: bytes, tls: ssl.SSLContext) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    address = f"{PREFIX}.252"
    servers = [await asyncio.start_server(serve, address, port, ssl=tls) for port in (22623, 6443)]
    m1 = Joining(pool="master", must_join=False, api_int=IPv4Address(address))
    await m1.boot()
    for server in servers:
        server.close()
    assert len(m1.steps) == 2
    assert "answers" not in m1.said
