"""What the installed HAProxy does with its configuration: TLS, rejected clients, members that come and go."""

import asyncio
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.balancer import compile as front_ends
from appliance.balancer import runtime
from appliance.balancer.haproxy import IN_SECONDS, KEEPALIVE_IDLE_SECONDS, OUT_SECONDS, Settings, configuration
from appliance.model import Balance, Cidr, Endpoint, FrontEnd, HealthCheck, Member, Probe
from tests.balancer_nodes import API_INT, Authority
from tests.haproxy import INSTALLED, MISSING, version_of

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

HTTPS = HealthCheck(Probe.HTTPS, "/readyz", tls_name=API_INT)
TCP = HealthCheck(Probe.TCP)
PATIENCE_SECONDS = 20.0


class Standin:
    """A member at an address of its own on the loopback interface, which answers every request with its name."""

    def __init__(self, name: str, last_byte: int) -> None:
        self.name, self.address = name, IPv4Address(f"127.0.7.{last_byte}")
        self.is_ready = True
        self._server: socketserver.TCPServer | None = None

    def start(self, port: int, certificate: Path | None = None) -> None:
        """Answer on *port*, with TLS if there is a *certificate*."""
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        standin = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the client has gone, or does not trust the certificate
                    standin._talk(tls.wrap_socket(self.request, server_side=True) if tls else self.request)

        self._server = socketserver.ThreadingTCPServer((str(self.address), port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name=self.name).start()

    def stop(self) -> None:
        """End the server once its connections have ended."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            if connection.recv(1024):
                status = "200 OK" if self.is_ready else "500 Not Ready"
                connection.sendall(f"HTTP/1.0 {status}\r\n\r\n{self.name}".encode())


@contextmanager
def serving(standins: Iterable[Standin], port: int, certificate: Path | None = None) -> Iterator[None]:
    """Have *standins* answer on *port*, with TLS if there is a *certificate*."""
    with ExitStack() as stack:
        for standin in standins:
            standin.start(port, certificate)
            stack.callback(standin.stop)
        yield


def free_port() -> int:
    """Return a port that nobody has on any address."""
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


def front_end(
    standins: tuple[Standin, ...],
    check: HealthCheck,
    balance: Balance = Balance.ROUND_ROBIN,
    allowed: Cidr | None = None,
) -> FrontEnd:
    port = free_port()
    members = tuple(Member(each.name, each.name, each.address) for each in standins)
    binds = (Endpoint(IPv4Address("127.0.7.1"), port),)
    nets = (allowed,) if allowed else ()
    return FrontEnd("tried", binds, members, port, check, balance, nets, service=front_ends.API)


class Running:
    """An HAProxy that runs one front end."""

    def __init__(self, served: FrontEnd, directory: Path) -> None:
        self.served = served
        self._socket = directory / "stats.sock"

    async def ask(self, command: str) -> str:
        return await runtime.ask(self._socket, command)

    async def stats(self) -> Mapping[str, runtime.ServerStat]:
        """Return what HAProxy says of each member."""
        found = runtime.server_stats(await self.ask("show stat"))
        return {name: stat for (_, name), stat in found.items()}

    async def until(self, is_so: Callable[[Mapping[str, runtime.ServerStat]], bool], seconds: float) -> float:
        """Wait until the members are so; return how many seconds that took."""
        began = time.monotonic()
        while not is_so(await self.stats()):
            assert time.monotonic() - began < seconds, await self.stats()
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def checked(self) -> Mapping[str, runtime.ServerStat]:
        """Return what HAProxy says of each member once it has checked all of them."""
        await self.until(lambda stats: all(each.is_checked for each in stats.values()), PATIENCE_SECONDS)
        return await self.stats()

    async def timer(self, connection: str) -> int:
        """Return in how many seconds the kernel probes the *connection*, a filter of ss."""
        pattern = re.compile(r"timer:\(keepalive,(\d+)sec")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                words = ["ss", "-Htno", "state", "established", connection]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                if found := pattern.search(done.stdout):
                    return int(found[1])
                await asyncio.sleep(0.1)

    async def asked_from(self, source: str) -> str:
        """Return the name of the member that answers a client at the address *source*; "" if the client is rejected."""
        bind = self.served.binds[0]
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(str(bind.address), bind.port, local_addr=(source, 0))
            with closing(writer):
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return (await reader.read()).rpartition(b"\r\n\r\n")[2].decode()
        return ""


@asynccontextmanager
async def haproxy(served: FrontEnd, directory: Path, ca_file: Path | None = None) -> AsyncIterator[Running]:
    """Run HAProxy with the front end *served*."""
    settings = Settings(
        version_of(INSTALLED),
        str(directory / "stats.sock"),
        str(directory / "log.sock"),
        ca_files={served.name: str(ca_file)} if ca_file else {},
        connections=100,
    )
    config = directory / "haproxy.cfg"
    config.write_text(configuration((served,), {}, settings))
    with (directory / "errors").open("w") as errors:
        process = subprocess.Popen([*INSTALLED, "-db", "-f", config], stderr=errors)
    running = Running(served, directory)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _until_it_answers(lambda: running.ask("show info"))
        yield running
    finally:
        process.terminate()
        process.wait()


async def _until_it_answers(ask: Callable[[], Awaitable[str]]) -> None:
    while True:
        with suppress(runtime.UnheardError):
            await ask()
            return
        await asyncio.sleep(0.05)


async def check_result(directory: Path, signed_by: Authority, trusted: Authority, name: str) -> str:
    """Return the result of the check of a member whose certificate for *name* is *signed_by* an authority."""
    member = Standin("m1", 21)
    served = front_end((member,), HTTPS)
    ca_file = directory / "ca.pem"
    ca_file.write_bytes(trusted.pem)
    certificate = signed_by.issue(directory / "m1.pem", name)
    with serving((member,), served.port, certificate):
        async with haproxy(served, directory, ca_file) as running:
            return (await running.checked())["m1"].check


async def test_member_with_the_clusters_certificate_passes(tmp_path: Path) -> None:
    ours = Authority("kube-apiserver-lb-signer")
    assert await check_result(tmp_path, ours, ours, API_INT) == "passed: HTTP 200"


async def test_member_with_a_foreign_certificate_fails(tmp_path: Path) -> None:
    ours, foreign = Authority("kube-apiserver-lb-signer"), Authority("kube-apiserver-lb-signer")
    assert await check_result(tmp_path, foreign, ours, API_INT) == f"failed: {runtime.NO_HANDSHAKE}"


async def test_member_with_a_certificate_for_another_cluster_fails(tmp_path: Path) -> None:
    ours = Authority("kube-apiserver-lb-signer")
    other = "api-int.other.example"
    assert await check_result(tmp_path, ours, ours, other) == f"failed: {runtime.CERTIFICATE_FOR_ANOTHER}"


async def test_client_outside_the_allowed_networks_is_rejected(tmp_path: Path) -> None:
    member = Standin("m1", 21)
    served = front_end((member,), TCP, allowed=IPv4Network("127.0.8.0/24"))
    with serving((member,), served.port):
        async with haproxy(served, tmp_path) as running:
            assert [await running.asked_from(source) for source in ("127.0.8.9", "127.0.9.9")] == ["m1", ""]


async def test_client_of_a_member_that_has_just_died_gets_another(tmp_path: Path) -> None:
    members = (Standin("m1", 21), Standin("m2", 22), Standin("m3", 23))
    served = front_end(members, TCP)
    with serving(members, served.port):
        async with haproxy(served, tmp_path) as running:
            await running.checked()
            members[0].stop()
            assert {await running.asked_from("127.0.0.1") for _ in range(12)} == {"m2", "m3"}


async def test_silent_connection_is_probed_on_both_sides(tmp_path: Path) -> None:
    """By either of them HAProxy notices a machine that is switched off."""
    member = Standin("m1", 21)
    served = front_end((member,), TCP)
    with serving((member,), served.port):
        async with haproxy(served, tmp_path) as running:
            bind = served.binds[0]
            _, writer = await asyncio.open_connection(str(bind.address), bind.port)
            accepted = await running.timer(f"src {bind.address} and sport = {served.port}")
            forwarded = await running.timer(f"dst {member.address} and dport = {served.port}")
            writer.close()
            await writer.wait_closed()
    assert accepted <= KEEPALIVE_IDLE_SECONDS
    assert forwarded <= KEEPALIVE_IDLE_SECONDS


async def test_client_keeps_its_router_when_another_leaves(tmp_path: Path) -> None:
    members = (Standin("w1", 31), Standin("w2", 32), Standin("w3", 33))
    served = front_end(members, TCP, Balance.SOURCE)
    sources = [f"127.0.9.{last}" for last in range(1, 100)]
    with serving(members, served.port):
        async with haproxy(served, tmp_path) as running:
            before = {source: await running.asked_from(source) for source in sources}
            await running.ask("set server tried/w2 state drain")
            after = {source: await running.asked_from(source) for source in sources}
    assert set(before.values()) == {"w1", "w2", "w3"}
    moved = {source for source in sources if before[source] != after[source]}
    assert moved == {source for source in sources if before[source] == "w2"}


@pytest.mark.slow
async def test_api_server_that_is_not_ready_leaves_and_returns_in_time(tmp_path: Path) -> None:
    members = (Standin("m1", 21), Standin("m2", 22))
    served = front_end(members, HTTPS)
    certificate = Authority("kube-apiserver-lb-signer").issue(tmp_path / "m.pem", API_INT)
    with serving(members, served.port, certificate):
        async with haproxy(served, tmp_path) as running:
            await running.checked()
            members[0].is_ready = False
            out = await running.until(lambda stats: not stats["m1"].is_up, OUT_SECONDS)
            members[0].is_ready = True
            into = await running.until(lambda stats: stats["m1"].is_up, IN_SECONDS)
    assert out < 30
    assert into < 20
