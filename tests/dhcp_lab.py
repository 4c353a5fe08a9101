"""Network namespaces in which common DHCP clients talk to the DHCP server.

    client (any MAC) ── veth ── [bridge br0 172.16.0.101/24] appliance

As a program, in the appliance's namespace, it runs only the server, and prints each event as a line of JSON.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import IO, Any, Self, cast

from appliance.dhcp.compile import compile_dhcp
from appliance.dhcp.server import DhcpServer
from appliance.events import Event
from appliance.model import Cluster, DhcpMode, Network, Role, Route
from tests.clusters import host, reference_cluster

APPLIANCE_NAMESPACE = "dhcp-appliance"
READY = "ready"


def rich_cluster() -> Cluster:
    """Return the reference cluster with a value for every option, and a second network behind a relay."""
    cluster = reference_cluster()
    first = replace(
        cluster.networks[0],
        ntp_servers=(IPv4Address("172.16.0.101"), IPv4Address("172.16.0.102")),
        search=("ocp45.example.localdomain", "example.localdomain"),
        mtu=1400,
        lease_seconds=3600,
    )
    far = Network(
        cidr=IPv4Network("172.16.9.0/24"),
        server=first.server,
        gateway=IPv4Address("172.16.9.1"),
        dns_servers=(first.server,),
        ntp_servers=(),
        domain="ocp45.example.localdomain",
        search=(),
        mtu=None,
        lease_seconds=7200,
        routes=(Route(IPv4Network("10.20.0.0/16"), IPv4Address("172.16.9.2")),),
    )
    worker = host("w9", Role.WORKER, "172.16.9.39", "00:50:56:96:99:39")
    return replace(cluster, networks=(first, far), hosts=(*cluster.hosts, worker))


CLUSTERS: Mapping[str, Callable[[], Cluster]] = {
    "rich": rich_cluster,
    "proxy": lambda: reference_cluster(dhcp=DhcpMode.PROXY),
}


def ip(*commands: str) -> None:
    """Run ip(8) once for each command."""
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)


class Lab:
    """Named network namespaces; all of them, and their processes, are removed at the end of the block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._namespaces: list[str] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)

    def namespace(self, name: str) -> str:
        """Make a namespace with its loopback interface up; return its name."""
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        ip(f"netns add {name}")
        self._namespaces.append(name)
        ip(f"-n {name} link set lo up")
        return name

    def cable(self, first: str, first_name: str, second: str, second_name: str, mac: str = "") -> None:
        """Connect two namespaces by a veth pair; *mac* is the MAC address of the first end."""
        address = f"address {mac} " if mac else ""
        ip(
            f"link add {first_name} netns {first} {address}type veth peer name {second_name} netns {second}",
            f"-n {first} link set {first_name} up",
            f"-n {second} link set {second_name} up",
        )

    def run(self, namespace: str, *command: str, seconds: float = 30) -> str:
        """Run a command that must succeed; return its output and errors."""
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.directory,
        )
        assert done.returncode == 0, f"{command} exited {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, namespace: str, *command: str, **options: object) -> "subprocess.Popen[str]":
        """Start a command, which is killed at the end of the block."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.directory,
            **cast("dict[str, Any]", options),
        )
        self._processes.append(process)
        return process

    def serve(
        self,
        cluster: str = "rich",
        namespace: str = APPLIANCE_NAMESPACE,
        wrapper: tuple[str, ...] = (),
        program: str = "tests.dhcp_lab",
    ) -> "Served":
        """Start the server in *namespace*, run by the command *wrapper* if given; return when it is ready.

        *program* is the module that runs it.
        """
        root = str(Path(__file__).resolve().parent.parent)
        process = self.start(
            namespace, *wrapper, sys.executable, "-m", program, cluster, env={**os.environ, "PYTHONPATH": root}
        )
        served = Served(process)
        assert served.next_line() == READY
        return served

    def node_network(self) -> None:
        """Make the appliance's namespace, with the bridge br0."""
        self.namespace(APPLIANCE_NAMESPACE)
        ip(
            f"-n {APPLIANCE_NAMESPACE} link add br0 address 02:00:ac:10:00:65 type bridge",
            f"-n {APPLIANCE_NAMESPACE} addr add 172.16.0.101/24 dev br0",
            f"-n {APPLIANCE_NAMESPACE} link set br0 up",
        )

    def node(self, name: str, mac: str) -> str:
        """Add a machine to the node network; its interface is eth0."""
        namespace = self.namespace(f"dhcp-{name}")
        self.cable(namespace, "eth0", APPLIANCE_NAMESPACE, f"to-{name}", mac)
        ip(f"-n {APPLIANCE_NAMESPACE} link set to-{name} master br0")
        return namespace


class Served:
    """A running server, observed through its output."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        self._out: IO[str] = process.stdout

    def next_line(self) -> str:
        """Return the next line that the server prints."""
        line = self._out.readline().strip()
        assert line, "the server ended"
        return line

    def event(self, kind: str) -> dict[str, str]:
        """Return the next event of *kind*; skip others."""
        while True:
            line = self.next_line()
            if line.startswith("{") and json.loads(line)["kind"] == kind:
                return cast("dict[str, str]", json.loads(line))

    def counts(self) -> dict[str, int]:
        """Return the server's counters by name, such as "reply ack"."""
        self._process.send_signal(signal.SIGUSR1)  # ip-netns(8) and setpriv(1) exec the server, so this is its process
        return cast("dict[str, int]", json.loads(self.next_line_with("counts "))["counts"])

    def next_line_with(self, mark: str) -> str:
        """Return the next line that begins with *mark*, without it; skip others."""
        while True:
            line = self.next_line()
            if line.startswith(mark):
                return line.removeprefix(mark)


def can_make_namespaces() -> bool:
    """Whether this lab works here: as root, with ip(8), where network namespaces are allowed."""
    return os.geteuid() == 0 and shutil.which("ip") is not None and _namespace_works()


def _namespace_works() -> bool:
    return subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0


async def _serve(cluster: Cluster) -> None:
    table = compile_dhcp((cluster,))
    server = DhcpServer(lambda: table, {}, cluster.listen, _print)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: _print_counts(server))
    print(READY, flush=True)
    await server.run()


def _print(event: Event) -> None:
    print(json.dumps({"kind": event.kind, "host": event.host, **event.facts()}), flush=True)


def _print_counts(server: DhcpServer) -> None:
    print("counts", json.dumps({"counts": {" ".join(key): value for key, value in server.counts.items()}}), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Serve the cluster named on the command line."""
    asyncio.run(_serve(CLUSTERS[arguments[0]]()))


if __name__ == "__main__":
    main(sys.argv[1:])
