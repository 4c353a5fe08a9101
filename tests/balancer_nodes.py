"""Stand-ins for OpenShift's nodes: the ports to which a load balancer forwards, with answers that name the node.

A node's certificates are signed as openshift-install has them signed: the API by the signer of the load balancer, which
is in bootstrap.ign alone, and the machine config server by the root CA, which every Ignition file has.
"""

import asyncio
import base64
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.simulate.namespace import Namespace, ip
from tests.serve_lab import Site

API, MACHINE_CONFIG, ROUTER, HTTP, HTTPS = 6443, 22623, 1936, 80, 443
CONTROL_PLANE, INGRESS = (API, MACHINE_CONFIG), (ROUTER, HTTP, HTTPS)
TLS_PORTS = {API, MACHINE_CONFIG, HTTPS}
API_INT = "api-int.ocp45.example.localdomain"
API_NAME = "api.ocp45.example.localdomain"
STREAM_SECONDS = 0.2  # between two lines of a watch
MAX_HEAD_BYTES = 8192

Done = TypeVar("Done")


class Authority:
    """A certificate authority."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._signed(self._name, self._key, is_authority=True)

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, path: Path, *names: str) -> Path:
        """Write a certificate for the DNS *names* and its key to *path*; return that."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self._signed(subject, key, names).public_bytes(serialization.Encoding.PEM)
        path.write_bytes(private + certificate + self.pem)
        return path

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[str, ...] = (),
        *,
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())


class Certificates:
    """The authorities of a cluster, and a certificate for each port that speaks TLS."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.signer, self.root = Authority("kube-apiserver-lb-signer"), Authority("root-ca")
        self.signer_file = directory / "signer.pem"
        self.root_file = directory / "root.pem"
        self.signer_file.write_bytes(self.signer.pem)
        self.root_file.write_bytes(self.root.pem)
        self._files = {
            API: self.signer.issue(directory / "api.pem", API_INT, API_NAME),
            MACHINE_CONFIG: self.root.issue(directory / "machine-config.pem", API_INT),
            HTTPS: Authority("ingress-operator").issue(directory / "router.pem", "*.apps.ocp45.example.localdomain"),
        }

    def context(self, port: int) -> ssl.SSLContext | None:
        """Return what a server on *port* needs for TLS; None where it speaks none."""
        return server_context(self._files[port]) if port in TLS_PORTS else None

    def write_to(self, ignition: Path) -> None:
        """Add the authorities to the Ignition files in the directory *ignition*, as openshift-install does."""
        root = {"source": _data_url(self.root.pem)}
        for pool in ("master", "worker"):
            path = ignition / f"{pool}.ign"
            config = json.loads(path.read_text())
            config["ignition"]["security"] = {"tls": {"certificateAuthorities": [root]}}
            path.write_text(json.dumps(config))
        path = ignition / "bootstrap.ign"
        config = json.loads(path.read_text())
        for name, content in (
            ("root-ca.crt", self.root.pem),
            ("kube-apiserver-lb-signer.crt", self.signer.pem),
            ("kube-apiserver-lb-ca-bundle.crt", self.signer.pem),
            ("kube-apiserver-complete-server-ca-bundle.crt", self.signer.pem),
        ):
            contents = {"source": _data_url(content)}
            where = {"filesystem": "root", "path": f"/opt/openshift/tls/{name}", "mode": 0o600}
            config["storage"]["files"].append({**where, "contents": contents})
        path.write_text(json.dumps(config))


def server_context(path: Path) -> ssl.SSLContext:
    """Return what a server needs for TLS with the certificate and the key at *path*."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


def _data_url(content: bytes) -> str:
    return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(content).decode()}"


class Node:
    """A stand-in for a node: a machine on the segment, with servers that can fail as OpenShift's do."""

    def __init__(self, name: str, machine: Namespace, address: str, nodes: "Nodes") -> None:
        self.name, self.machine, self.address, self._nodes = name, machine, address, nodes
        self.is_api_ready = self.is_router_ready = True
        self.is_hung = False  # health checks get no answer
        self.asked: Counter[int] = Counter()  # requests by port, without health checks
        self._servers: dict[int, socket.socket] = {}
        self._open: dict[int, set[asyncio.Task[None]]] = {}

    def start(self, *ports: int, context: ssl.SSLContext | None = None) -> None:
        """Serve *ports*, with another certificate if *context* is given."""
        for port in ports:
            with self.machine:
                listening = socket.create_server((self.address, port), backlog=512)
            listening.setblocking(False)
            tls = context or self._nodes.certificates.context(port)
            self._nodes.call(self._start(port, listening, tls))

    def end(self, *ports: int) -> None:
        """End the servers of *ports* at once, as SIGKILL does: clients get a reset."""
        for port in ports:
            self._nodes.call(self._end(port))

    def switch_off(self) -> None:
        """Take the machine off the segment."""
        ip("link set eth0 down", place=self.machine)

    def switch_on(self) -> None:
        """Connect it again."""
        ip("link set eth0 up", place=self.machine)

    @property
    def connections(self) -> int:
        """How many clients are connected, to any port."""
        return sum(len(tasks) for tasks in self._open.values())

    async def _start(self, port: int, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        opened = self._open.setdefault(port, set())

        def accept() -> None:
            with suppress(BlockingIOError, ConnectionAbortedError):
                accepted, _ = listening.accept()
                accepted.setblocking(False)
                task = asyncio.create_task(self._connection(port, accepted, tls))
                opened.add(task)
                task.add_done_callback(opened.discard)

        # A task that awaits sock_accept loses what it has just accepted when it is cancelled.
        asyncio.get_running_loop().add_reader(listening, accept)
        self._servers[port] = listening

    async def _connection(self, port: int, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(MAX_HEAD_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
        except OSError:
            return  # the client has gone, or does not trust this certificate
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._talk(port, reader, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone
        finally:
            transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _end(self, port: int) -> None:
        listening = self._servers.pop(port)
        asyncio.get_running_loop().remove_reader(listening)
        listening.close()
        await asyncio.sleep(0)  # a task that is cancelled before it has begun does not close its connection
        ended = tuple(self._open[port])
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def end_all(self) -> None:
        """End every server."""
        for port in tuple(self._servers):
            await self._end(port)

    async def _talk(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("latin-1")
        if path in ("/readyz", "/healthz", "/healthz/ready"):
            if self.is_hung:
                await reader.read()
            is_well = {"/readyz": self.is_api_ready, "/healthz/ready": self.is_router_ready}.get(path, True)
            writer.write(f"HTTP/1.0 {'200 OK' if is_well else '500 Not Ready'}\r\n\r\n".encode())
            await writer.drain()
            return
        self.asked[port] += 1
        writer.write(f"HTTP/1.0 200 OK\r\n\r\n{self.name}\n".encode())
        await writer.drain()
        while path == "/watch":
            await asyncio.sleep(STREAM_SECONDS)
            writer.write(f"{self.name}\n".encode())
            await writer.drain()


class Nodes:
    """The nodes of a cluster, all served by one thread."""

    def __init__(self, on: Site, certificates: Certificates, stack: ExitStack) -> None:
        self.certificates, self._site, self._stack = certificates, on, stack
        self._nodes: list[Node] = []
        self._loop = asyncio.new_event_loop()
        # What is left of a connection that HAProxy ended after a health check is of no interest.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in nodes")
        self._thread.start()

    def add(self, name: str, address: str, mac: str) -> Node:
        """Switch a node on; it serves nothing yet."""
        machine = self._stack.enter_context(self._site.neighbour(address, mac))
        self._nodes.append(Node(name, machine, address, self))
        return self._nodes[-1]

    def call(self, doing: Coroutine[Any, Any, Done]) -> Done:
        """Run *doing* in the thread of the nodes; return its result."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    def close(self) -> None:
        """End every server."""
        for node in self._nodes:
            self.call(node.end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def standin_nodes(on: Site, certificates: Certificates) -> Iterator[Callable[[str, str, str], Node]]:
    """Yield a function that adds a node with a name, an address and a MAC address to the segment of *on*."""
    with ExitStack() as stack:
        nodes = Nodes(on, certificates, stack)
        stack.callback(nodes.close)
        yield nodes.add
