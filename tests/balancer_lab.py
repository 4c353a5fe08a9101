"""A balancer with the installed HAProxy on loopback addresses, and members that answer its health checks.

Linux has all of 127.0.0.0/8 on the loopback interface, so that each lab has a network of its own there.
"""

import asyncio
import itertools
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

from appliance.balancer.files import Place, place_of
from appliance.balancer.server import Balancer
from appliance.events import Event
from appliance.install.installation import Installation, Rules, begin
from appliance.model import Cluster, Engine, Install, LoadBalancer, Role
from tests.balancer_nodes import API_INT, Authority, server_context
from tests.clusters import host, reference_cluster

API, MACHINE_CONFIG = "api-6443", "machine-config-22623"
PATIENCE_SECONDS = 30.0
_RULES = Rules(Install.ONCE, boots_live=False, token_of=lambda name, number: f"{name}-{number}")
_networks = itertools.count()

Found = TypeVar("Found")


def full(name: str) -> str:
    """Return the full name of the host *name*."""
    return f"{name}.ocp45.example.localdomain"


async def until(claim: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Call *claim* until it returns something true; return that. Fail with *what* after *seconds*."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (said := claim()):
        assert loop.time() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
    return said


def tls(authority: Authority, path: Path) -> ssl.SSLContext:
    """Return what a member needs for TLS, with a certificate of *authority*."""
    return server_context(authority.issue(path, API_INT))


class Member:
    """A machine that serves both ports of the control plane."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self.address, self.status = address, 200
        self.context = context
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Serve."""
        for port in (6443, 22623):
            self._servers.append(
                await asyncio.start_server(self._answer, self.address, port, ssl=self.context, reuse_address=True)
            )

    def end(self) -> None:
        """Refuse connections."""
        while self._servers:
            self._servers.pop().close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f'HTTP/1.0 {self.status} Said by an enemy, "quoted"\r\n\r\n'.encode())
            await writer.drain()
        writer.close()


class Lab:
    """A cluster with one bootstrap machine and three masters, and its balancer."""

    def __init__(self, directory: Path) -> None:
        number = next(_networks) + 256 * (os.getpid() % 190)
        self.network = IPv4Network(f"127.{64 + number // 256}.{number % 256}.0/24")
        self.authority = Authority("signer")
        context = tls(self.authority, directory / "member.pem")
        roles = {"bs": Role.BOOTSTRAP, "m1": Role.MASTER, "m2": Role.MASTER, "m3": Role.MASTER}
        addresses = {name: str(self.network[11 + index]) for index, name in enumerate(roles)}
        self.members = {name: Member(address, context) for name, address in addresses.items()}
        self.clusters: tuple[Cluster, ...] = (
            reference_cluster(
                directory,
                networks=(replace(reference_cluster().networks[0], cidr=self.network, server=self.network[1]),),
                hosts=tuple(
                    host(name, role, addresses[name], f"00:50:56:96:00:{index:02x}")
                    for index, (name, role) in enumerate(roles.items())
                ),
                api_vips=(self.vip,),
                api_int_vips=(self.vip,),
                ingress_vips=(),
                load_balancer=LoadBalancer(Engine.HAPROXY),
            ),
        )
        self.installations: dict[str, Installation] = {full(name): begin(full(name), _RULES) for name in roles}
        self.events: list[Event] = []
        self.environment: Mapping[str, str] = {}
        self.directory = directory

    @property
    def vip(self) -> IPv4Address:
        """Where the balancer listens."""
        return self.network[110]

    @property
    def place(self) -> Place:
        """Where HAProxy's files are."""
        return place_of(self.directory, self.environment)

    def balancer(self) -> Balancer:
        """Return a new balancer, as of an appliance that has just been started."""
        return Balancer(lambda: self.clusters, self.installations, self.place, self.events.append, time.time)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Balancer]:
        """Run a balancer during the block."""
        balancer = self.balancer()
        task = asyncio.create_task(balancer.run())
        try:
            yield balancer
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def order(self, name: str, **changes: object) -> None:
        """Change the record of the host *name*."""
        self.installations[full(name)] = replace(self.installations[full(name)], **changes)  # type: ignore[arg-type]

    def add_host(self, name: str, role: Role = Role.MASTER) -> None:
        """Add a host, as a reload of cluster.yaml does."""
        (cluster,) = self.clusters
        added = host(name, role, str(self.network[50]), "00:50:56:96:00:50")
        self.installations[added.name] = begin(added.name, _RULES)
        self.clusters = (replace(cluster, hosts=(*cluster.hosts, added)),)

    def kinds(self) -> list[str]:
        """The kinds of the events so far."""
        return [event.kind for event in self.events]

    def lines(self, kind: str) -> list[str]:
        """The events of a kind so far, as text."""
        return [event.line() for event in self.events if event.kind == kind]


@contextmanager
def balancer_lab(directory: Path) -> Iterator[Lab]:
    """Yield a lab; end its members afterwards."""
    lab = Lab(directory)
    try:
        yield lab
    finally:
        for member in lab.members.values():
            member.end()
