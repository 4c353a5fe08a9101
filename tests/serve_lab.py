"""`ocp-appliance serve` as an operator runs it: on a separate segment, and with a service manager to notify.

hosts and neighbours ── veth ── [bridge br0 172.16.0.101/24] ocp-appliance serve
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import dns.message
import dns.query

from appliance.config import load
from appliance.simulate.namespace import Namespace, ip
from appliance.simulate.standins import make_standins
from appliance.sockets import bind_to_interface
from tests.dhcp_messages import IPXE, read, request
from tests.simulate_segment import REFERENCE, ROOT, Segment, segment

APPLIANCE = "172.16.0.101"
PROGRAM = (sys.executable, "-m", "appliance")
PATIENCE_SECONDS = 30.0
# By default a worker's script waits for a control plane, which most tests do not have.
REFERENCE_TEXT = REFERENCE.read_text() + "\nholdUntil: {worker: none}\n"
I1 = """\
  - hostname: i1
    role: infra
    macAddress: 00:50:56:96:41:01
    address: 172.16.0.41
"""

Found = TypeVar("Found")


def with_host(text: str, host: str = I1) -> str:
    """Return the cluster.yaml *text* with another host at the beginning of its list."""
    return text.replace("\nhosts:\n", f"\nhosts:\n{host}")


def until(claim: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Call *claim* until it returns something true; return that. Fail with *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (said := claim()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return said


def fill(config: Path, data_dir: Path) -> None:
    """Write a stand-in for each file that *config* needs to *data_dir*."""
    (cluster,) = load([config], data_dir)
    make_standins(cluster, data_dir, seed=0)


class Serving:
    """A running `ocp-appliance serve`."""

    def __init__(self, process: "subprocess.Popen[bytes]", notify: socket.socket, log: Path, data_dir: Path) -> None:
        self.process, self.notify, self.log, self._data_dir = process, notify, log, data_dir

    @property
    def text(self) -> str:
        """The log so far."""
        return self.log.read_text()

    def notified(self, word: str) -> str:
        """Wait for the next message to the service manager that contains *word*; return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            while not select.select([self.notify], [], [], 0.1)[0]:
                is_alive = self.process.poll() is None
                assert is_alive, f"the appliance exited: {self.text}"
                assert time.monotonic() < deadline, f"no {word}: {self.text}"
            message = self.notify.recv(4096).decode()
            if word in message:
                return message

    def said(self, pattern: str) -> str:
        """Wait for a line of the log that matches *pattern*; return the first."""
        found = until(
            lambda: re.search(rf"^.*{pattern}.*$", self.text, re.MULTILINE), f"{pattern!r} in the log of {self.log}"
        )
        return found[0]

    def reload(self) -> None:
        """Send SIGHUP; return when the reload is complete."""
        self.process.send_signal(signal.SIGHUP)
        self.notified("RELOADING=1")
        self.notified("READY=1")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal *number* and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def command(self, *words: str) -> str:
        """Run `ocp-appliance` with *words* against this appliance; return its output."""
        done = run(*PROGRAM, *words, "--data-dir", self._data_dir)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the hosts in the output of `status`, by short name."""
        rows = json.loads(self.command("status", "-o", "json"))["hosts"]
        return {row["name"]: row for row in rows}

    def events(self) -> list[dict[str, Any]]:
        """Return the events in the journal."""
        return [json.loads(line) for line in self.command("events", "-n", "100000", "-o", "json").splitlines()]


def run(*command: str | Path, place: AbstractContextManager[None] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command in the namespace *place*; return it when it has exited."""
    with place or nullcontext():
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
        )


@contextmanager
def serving(
    files: Sequence[Path],
    data_dir: Path,
    *options: str,
    place: AbstractContextManager[None] | None = None,
    wrapper: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    is_awaited: bool = True,
    name: str = "serve",
) -> Iterator[Serving]:
    """Serve *files* during the block, which begins after READY=1 unless *is_awaited* is false.

    *wrapper* is a command that runs its arguments, which are the command line of the appliance.
    """
    data_dir.mkdir(exist_ok=True)
    notify_path, log = data_dir.parent / f"{name}.notify", data_dir.parent / f"{name}.log"
    notify_path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, log.open("wb") as output:
        notify.bind(str(notify_path))
        command = [*wrapper, *PROGRAM, "serve", *map(str, files), "--data-dir", str(data_dir), *options]
        with place or nullcontext():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, "NOTIFY_SOCKET": str(notify_path), **(environment or {})},
            )
        try:
            appliance = Serving(process, notify, log, data_dir)
            if is_awaited:
                appliance.notified("READY=1")
            yield appliance
        finally:
            process.kill()
            process.wait()


class Site:
    """A segment, a cluster.yaml, and a data directory with stand-in files."""

    def __init__(self, on: Segment, data_dir: Path) -> None:
        self.place, self.config, self.data_dir = on.place, on.config, data_dir
        self.simulate = on.simulate
        self._ports = 0

    def serve(self, *options: str, **settings: Any) -> AbstractContextManager[Serving]:
        """Serve the cluster."""
        return serving([self.config], self.data_dir, *options, **{"place": self.place, **settings})

    def refused(self, *options: str, **settings: Any) -> tuple[int, str]:
        """Run `serve`, which must exit; return its exit code and its log without warnings about the file."""
        with self.serve(*options, is_awaited=False, **settings) as tried:
            code = tried.process.wait(PATIENCE_SECONDS)
            return code, "".join(line for line in tried.text.splitlines(True) if "config.odd" not in line)

    @contextmanager
    def neighbour(self, address: str, mac: str = "52:54:00:00:00:99") -> Iterator[Namespace]:
        """Connect a new namespace with *address* on its interface eth0 to the bridge."""
        self._ports += 1
        port = f"n{self._ports}"
        machine = Namespace()
        try:
            ip(
                f"link add {port} type veth peer name {port}p address {mac}",
                f"link set {port}p netns {machine.path}",
                f"link set {port} master br0 up",
                place=self.place,
            )
            ip(
                f"link set {port}p name eth0",
                f"addr add {address}/24 dev eth0",
                "link set eth0 up",
                place=machine,
            )
            yield machine
        finally:
            machine.close()

    def lease(self, machine: Namespace, mac: str, address: str) -> None:
        """Ask for *address* by DHCP from the namespace *machine*, as iPXE does; return once it is acknowledged."""
        with machine, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            bind_to_interface(client, "eth0")  # which has no route to the broadcast address
            client.bind(("0.0.0.0", 68))
            client.settimeout(PATIENCE_SECONDS)
            wanted = ("requested_addr", address)
            client.sendto(request("request", wanted, *IPXE, flags=0x8000, mac=mac), ("255.255.255.255", 67))
            assert read(client.recv(4096))["message-type"] == 5  # ACK

    def ask(self, name: str, kind: str = "A") -> dns.message.Message:
        """Ask the appliance over UDP; return its answer."""
        query = dns.message.make_query(name, kind)
        with self.place:
            return dns.query.udp(query, APPLIANCE, timeout=5)

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that the appliance answers for *name*."""
        return [rdata.to_text() for rrset in self.ask(name).answer for rdata in rrset]


@contextmanager
def site(directory: Path, text: str = REFERENCE_TEXT) -> Iterator[Site]:
    """Make a site in *directory*; skip the test where network namespaces are not allowed."""
    config, data_dir = directory / "cluster.yaml", directory / "data"
    config.write_text(text)
    fill(config, data_dir)
    with segment(config) as on:
        yield Site(on, data_dir)


def status_of(place: AbstractContextManager[None], path: str, *options: str) -> str:
    """Return the HTTP status that curl in the namespace *place* gets for *path*."""
    done = run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, f"http://{APPLIANCE}{path}", place=place
    )
    assert done.returncode == 0, done
    return done.stdout
