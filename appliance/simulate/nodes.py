"""The servers of an installed node, as stand-ins: what a load balancer looks for at its address.

A control plane machine has the API on port 6443 and the machine config server on 22623,
both over TLS; a node with an ingress router has 80, 443 and the router's health on 1936.
They answer health checks as the real ones do, and each answer names the machine that gave it.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from appliance.errors import SimulationError
from appliance.model import Cluster, Endpoint, Host, Probe, Role
from appliance.simulate.link import Link, PacketLink

API_PORT, MACHINE_CONFIG_PORT, ROUTER_HEALTH_PORT = 6443, 22623, 1936
REQUEST_SECONDS = 10.0
ROUTER_ROLES = (Role.WORKER, Role.INFRA)

# The status and the body for a path.
Answer: TypeAlias = Callable[[str], tuple[HTTPStatus, str]]


@dataclass(frozen=True, slots=True)
class Service:
    """A server of a node: its port, and what it answers."""

    port: int
    answer: Answer
    is_tls: bool = False


def services_of(host: Host, cluster: Cluster) -> tuple[Service, ...]:
    """Return the servers that *host* has once it is installed, one for each port."""
    found: list[Service] = []
    version = "3.2.0" if cluster.release.boots_live else "2.2.0"
    if host.role is Role.BOOTSTRAP:
        found = _control_plane(_machine_config(("master",), version))
    elif host.role is Role.MASTER:
        found = _control_plane(_machine_config(("master", "worker"), version))
    # Without workers, the masters run their workloads.
    has_workers = any(other.role in ROUTER_ROLES for other in cluster.hosts)
    if host.role in ROUTER_ROLES or (host.role is Role.MASTER and not has_workers):
        health = Service(ROUTER_HEALTH_PORT, _health("/healthz", "/healthz/ready"))
        found += [health, Service(80, _site), Service(443, _site, is_tls=True)]
    for own in cluster.load_balancer.front_ends:
        if host.name in own.hosts or host.role in own.roles:
            is_tls = own.check.probe is Probe.HTTPS
            found += [Service(port, _site, is_tls) for port in {own.member_port, own.check.port or own.member_port}]
    # An operator's front end may be for a port that a node has anyway.
    return tuple({service.port: service for service in reversed(found)}.values())


def pool_of(host: Host) -> str:
    """Return the pool whose machine config *host* gets from the machine config server; "" for one that gets none."""
    if host.role is Role.MASTER:
        return "master"
    return "worker" if host.role in ROUTER_ROLES else ""


def _control_plane(machine_config: Answer) -> list[Service]:
    api = Service(API_PORT, _health("/readyz", "/livez", "/healthz"), is_tls=True)
    return [api, Service(MACHINE_CONFIG_PORT, machine_config, is_tls=True)]


def _health(*paths: str) -> Answer:
    def answer(path: str) -> tuple[HTTPStatus, str]:
        return (HTTPStatus.OK, "ok") if path in paths else (HTTPStatus.FORBIDDEN, f"a placeholder has no {path}")

    return answer


def _machine_config(pools: Sequence[str], version: str) -> Answer:
    def answer(path: str) -> tuple[HTTPStatus, str]:
        if path == "/healthz":
            return HTTPStatus.NO_CONTENT, ""
        pool = path.removeprefix("/config/")
        if pool in pools:
            return HTTPStatus.OK, json.dumps({"ignition": {"version": version}})
        # The bootstrap has no configuration for workers yet, and says so by this status.
        return HTTPStatus.INTERNAL_SERVER_ERROR, f"no configuration for {pool}"

    return answer


def _site(_path: str) -> tuple[HTTPStatus, str]:
    return HTTPStatus.OK, "a placeholder"


class Node:
    """An installed machine: its servers, which run while it is switched on."""

    def __init__(
        self, host: Host, cluster: Cluster, link: Link, services: Sequence[Service], tls: ssl.SSLContext | None
    ) -> None:
        """Prepare *services* of *cluster*'s *host* on *link*; without *tls* there is none."""
        self._host, self._cluster, self._link, self._services, self._tls = host, cluster, link, services, tls
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Start the servers at the host's addresses, which the kernel has from now on. Raises SimulationError."""
        # One of each version of IP; that of a card that it only boots from is not a node's.
        own = [address for address in (self._host.ipv4, self._host.ipv6) if address]
        for address in own if self._services else ():
            network = self._cluster.network_of(address)
            # A relay has IPv4 only.
            if network is None or (address.version == 6 and not isinstance(self._link, PacketLink)):
                continue
            self._link.configure(address, network.cidr.prefixlen, None)
            for service in self._services:
                sock = self._listener(Endpoint(address, service.port))
                tls = self._tls if service.is_tls else None
                self._servers.append(await asyncio.start_server(self._client(service.answer), sock=sock, ssl=tls))

    def _listener(self, there: Endpoint) -> socket.socket:
        try:
            return self._link.socket(socket.SOCK_STREAM, there.address, there.port)
        except SimulationError as error:
            why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
            raise SimulationError(
                f"cannot listen on {there} in place of {self._host.short_name}: {why};"
                " is another demo running on the loopback interface?"
            ) from error

    def stop(self) -> None:
        """Stop the servers and close every connection to them, as a machine does that is switched off."""
        for server in self._servers:
            server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        self._servers.clear()

    def _client(self, answer: Answer) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            try:
                # A client that leaves, sends nothing or too much needs no answer.
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    async with asyncio.timeout(REQUEST_SECONDS):
                        request = await reader.readuntil(b"\r\n\r\n")
                        writer.write(_response(request, answer, self._host.short_name))
                        await writer.drain()
            finally:
                self._open.discard(writer)
                writer.close()

        return serve


def _response(request: bytes, answer: Answer, name: str) -> bytes:
    method, _, rest = request.partition(b" ")
    target = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    status, text = answer(target)
    body = text.encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: {name} (placeholder)\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)
