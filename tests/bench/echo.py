"""A server that answers a boot storm from constants: it shows the limit of the load generator.

    python -m tests.bench.echo cluster.yaml

It listens where the appliance of the cluster would, gives each host its address
and the same files, and checks nothing.
"""

import asyncio
import os
import signal
import socket
import struct
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

import click

from appliance.config import load
from appliance.model import Cluster
from appliance.simulate import dhcp, tftp
from appliance.simulate.link import BURST, bound_socket
from appliance.simulate.plan import ports_of

LOADER_BYTES = 850_528  # Debian's ipxe.efi
LEASE_SECONDS = 86400
WINDOW_BLOCKS = 4  # what simulated UEFI firmware requests
SCRIPT = """#!ipxe
kernel {base}/kernel initrd=initrd ip=dhcp coreos.inst.install_dev=sda coreos.inst.image_url={base}/image \
coreos.inst.ignition_url={base}/{role}
initrd {base}/initrd
boot
"""
IGNITION = b'{"ignition": {"version": "2.2.0"}}'


class DhcpEcho:
    """Gives each host of the cluster its address and its boot file."""

    def __init__(self, cluster: Cluster, base: str, sock: socket.socket) -> None:
        self._sock = sock
        self._server = cluster.address.packed
        mask = cluster.networks[0].cidr.netmask.packed
        self._hosts = {
            host.macs[0].octets: (host.address.packed, f"{base}/boot/{host.role.ignition}".encode())
            for host in cluster.hosts
        }
        self._common = b"".join(
            bytes([code, 4]) + value
            for code, value in (
                (dhcp.OPT_SERVER_ID, self._server),
                (dhcp.OPT_MASK, mask),
                (dhcp.OPT_DNS, self._server),
                (dhcp.OPT_LEASE_SECONDS, struct.pack("!I", LEASE_SECONDS)),
            )
        )

    def read(self) -> None:
        """Answer the datagrams that have arrived, at most BURST of them."""
        for _ in range(BURST):
            try:
                message, _ = self._sock.recvfrom(4096)
            except BlockingIOError:
                return
            host = self._hosts.get(message[28:34])
            if host:
                relay = str(IPv4Address(message[24:28]))
                self._sock.sendto(self._reply(message, *host), (relay, self._sock.getsockname()[1]))

    def _reply(self, message: bytes, address: bytes, script: bytes) -> bytes:
        file = script if b"iPXE" in message[240:] else b"efi/ipxe.efi" if b"PXEClient" in message[240:] else b""
        header = dhcp.HEADER.pack(
            *(dhcp.BOOTREPLY, 1, 6, 0, int.from_bytes(message[4:8], "big"), 0, 0),
            *(bytes(4), address, self._server, message[24:28], message[28:44], b"", b"", dhcp.MAGIC),
        )
        # Simulated machines put option 53 first, and the relay adds 82 last.
        kind = dhcp.Message.OFFER if message[242] == dhcp.Message.DISCOVER else dhcp.Message.ACK
        options = bytes([dhcp.OPT_MESSAGE_TYPE, 1, kind]) + self._common
        if file:
            options += bytes([dhcp.OPT_BOOT_FILE, len(file)]) + file
        options += bytes([dhcp.OPT_RELAY_AGENT, len(dhcp.RELAY_CIRCUIT)]) + dhcp.RELAY_CIRCUIT
        return header + options + bytes([dhcp.OPT_END])


class TftpEcho:
    """Sends one file and keeps no state: the block number in an ACK says which block is next."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        body = b"MZ" + bytes(LOADER_BYTES - 2)
        size = tftp.UEFI_BLOCK_BYTES
        self._blocks = [
            struct.pack("!HH", tftp.DATA, number + 1) + body[number * size : (number + 1) * size]
            for number in range(LOADER_BYTES // size + 1)
        ]
        self._oack = struct.pack("!H", tftp.OACK) + b"\0".join(
            [b"tsize", b"%d" % LOADER_BYTES, b"blksize", b"%d" % size, b"windowsize", b"%d" % WINDOW_BLOCKS, b""]
        )

    def read(self) -> None:
        """Answer the datagrams that have arrived, at most BURST of them."""
        for _ in range(BURST):
            try:
                datagram, peer = self._sock.recvfrom(4096)
            except BlockingIOError:
                return
            opcode = datagram[1]
            if opcode == tftp.RRQ:
                # The size probe did not ask for a window.
                is_probe = b"windowsize" not in datagram
                self._sock.sendto(self._oack[: self._oack.index(b"windowsize")] if is_probe else self._oack, peer)
            elif opcode == tftp.ACK:
                last = int.from_bytes(datagram[2:4], "big")
                for block in self._blocks[last : last + WINDOW_BLOCKS]:
                    self._sock.sendto(block, peer)


class WebEcho:
    """Sends constant texts, and files of zeros of the given sizes."""

    def __init__(self, cluster: Cluster, base: str, sizes: dict[str, int]) -> None:
        self._texts = {"/" + host.role.ignition: IGNITION for host in cluster.hosts}
        for host in cluster.hosts:
            script = SCRIPT.format(base=base, role=host.role.ignition)
            self._texts[f"/boot/{host.role.ignition}"] = script.encode()
        self._files = {}
        for name, size in sizes.items():
            descriptor = os.memfd_create(name)
            os.truncate(descriptor, size)
            self._files[f"/{name}"] = (descriptor, size)

    async def serve(self, sock: socket.socket) -> None:
        """Accept connections on *sock* until cancelled, each in its own task."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connections:
            while True:
                connection, _ = await loop.sock_accept(sock)
                connections.create_task(self._talk(connection))

    async def _talk(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        with connection:
            try:
                while request := await loop.sock_recv(connection, 4096):
                    await self._answer(connection, request)
            except ConnectionError:
                return

    async def _answer(self, connection: socket.socket, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        method, path, _ = request.decode("latin-1").split(" ", 2)
        text = self._texts.get(path, b"")
        descriptor, size = self._files.get(path, (-1, len(text)))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
        is_get = method == "GET"
        await loop.sock_sendall(connection, head + (text if is_get else b""))
        if is_get and descriptor >= 0:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                await loop.sock_sendfile(connection, file, 0, size)


async def echo(cluster: Cluster, sizes: dict[str, int]) -> None:
    """Serve until cancelled; prints "ready" when the sockets are open."""
    ports, loop = ports_of(cluster), asyncio.get_running_loop()
    web_at = cluster.listen.http[0]
    base = f"http://{web_at.address}:{web_at.port}"
    with ExitStack() as open_sockets:
        dhcp_socket = open_sockets.enter_context(bound_socket(socket.SOCK_DGRAM, cluster.address, ports.dhcp))
        tftp_socket = open_sockets.enter_context(bound_socket(socket.SOCK_DGRAM, cluster.address, ports.tftp))
        web_socket = open_sockets.enter_context(bound_socket(socket.SOCK_STREAM, cluster.address, web_at.port))
        web_socket.listen(4096)
        for sock in (dhcp_socket, tftp_socket):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        loop.add_reader(dhcp_socket, DhcpEcho(cluster, base, dhcp_socket).read)
        loop.add_reader(tftp_socket, TftpEcho(tftp_socket).read)
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        click.echo("ready")
        await WebEcho(cluster, base, sizes).serve(web_socket)


@click.command()
@click.argument("cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kernel", type=int, default=14 << 20, show_default=True, help="Bytes.")
@click.option("--initrd", type=int, default=80 << 20, show_default=True, help="Bytes.")
@click.option("--image", type=int, default=8 << 20, show_default=True, help="Bytes.")
def command(cluster_file: Path, kernel: int, initrd: int, image: int) -> None:
    """Answer a storm of CLUSTER_FILE's hosts from constants until SIGTERM; prints "ready" first."""
    (cluster,) = load([cluster_file])
    try:
        asyncio.run(echo(cluster, {"kernel": kernel, "initrd": initrd, "image": image}))
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    command()
