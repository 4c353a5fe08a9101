"""`ocp-appliance serve` as its operator runs it: on a segment of its own, with a service manager that listens.

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
from tests.simulate_segment import REFERENCE, ROOT, Segment, segment

APPLIANCE = "172.16.0.101"
PROGRAM = (sys.executable, "-m", "appliance")
PATIENCE_SECONDS = 30.0
# A worker's script waits for a control plane, and most tests have none.
REFERENCE_TEXT = REFERENCE.read_text() + "\nholdUntil: {worker: none}\n"
I1 = """\
  - hostname: i1
    role: infra
    macAddress: 00:50:56:96:41:01
    address: 172.16.0.41
"""

Found = TypeVar("Found")


def with_host(text: str, host: str = I1) -> str:
    """Return the cluster.yaml *text* with one more host, first in its list."""
    return text.replace("\nhosts:\n", f"\nhosts:\n{host}")


def until(claim: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Return what *claim* says, as soon as it says something."""
    deadline = time.monotonic() + seconds
    while not (said := claim()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return said


def fill(config: Path, data_dir: Path) -> None:
    """Put stand-ins for all files of the cluster in *config* into *data_dir*."""
    (cluster,) = load([config], data_dir)
    make_standins(cluster, data_dir, seed=0)


class Serving:
    """A running `ocp-appliance serve`."""

    def __init__(self, process: "subprocess.Popen[bytes]", notify: socket.socket, log: Path, data_dir: Path) -> None:
        self.process, self.notify, self.log, self._data_dir = process, notify, log, data_dir

    @property
    def text(self) -> str:
        """Everything that it has written."""
        return self.log.read_text()

    def notified(self, word: str) -> str:
        """Return the next message to the service manager that has *word*."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            while not select.select([self.notify], [], [], 0.1)[0]:
                is_alive = self.process.poll() is None
                assert is_alive, f"it ended: {self.text}"
                assert time.monotonic() < deadline, f"no {word}: {self.text}"
            message = self.notify.recv(4096).decode()
            if word in message:
                return message

    def said(self, pattern: str) -> str:
        """Return the first line of the log that matches *pattern*, once there is one."""
        found = until(
            lambda: re.search(rf"^.*{pattern}.*$", self.text, re.MULTILINE), f"{pattern!r} in the log of {self.log}"
        )
        return found[0]

    def reload(self) -> None:
        """Let it read its files again, and return when it has."""
        self.process.send_signal(signal.SIGHUP)
        self.notified("RELOADING=1")
        self.notified("READY=1")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def command(self, *words: str) -> str:
        """Run `ocp-appliance` against it; return what it prints."""
        done = run(*PROGRAM, *words, "--data-dir", self._data_dir)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return what `status` says of each host, by its short name."""
        rows = json.loads(self.command("status", "-o", "json"))["hosts"]
        return {row["name"]: row for row in rows}

    def events(self) -> list[dict[str, Any]]:
        """Return the journal."""
        return [json.loads(line) for line in self.command("events", "-n", "100000", "-o", "json").splitlines()]


def run(*command: str | Path, place: AbstractContextManager[None] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, in *place*."""
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
    """Serve *files* for as long as the block lasts; it begins when the service manager is told READY=1."""
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
            one = Serving(process, notify, log, data_dir)
            if is_awaited:
                one.notified("READY=1")
            yield one
        finally:
            process.kill()
            process.wait()


class Site:
    """A segment, a cluster.yaml and a data directory with stand-ins."""

    def __init__(self, on: Segment, data_dir: Path) -> None:
        self.place, self.config, self.data_dir = on.place, on.config, data_dir
        self.simulate = on.simulate
        self._ports = 0

    def serve(self, *options: str, **settings: Any) -> AbstractContextManager[Serving]:
        """Serve the cluster."""
        return serving([self.config], self.data_dir, *options, **{"place": self.place, **settings})

    def refused(self, *options: str, **settings: Any) -> tuple[int, str]:
        """Try to serve; return the exit code, and what it wrote besides warnings."""
        with self.serve(*options, is_awaited=False, **settings) as tried:
            code = tried.process.wait(PATIENCE_SECONDS)
            return code, "".join(line for line in tried.text.splitlines(True) if "config.odd" not in line)

    @contextmanager
    def neighbour(self, address: str, mac: str = "52:54:00:00:00:99") -> Iterator[Namespace]:
        """Plug in a machine of its own with *address*, whose interface is eth0."""
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

    def ask(self, name: str, kind: str = "A") -> dns.message.Message:
        """Return the appliance's answer over UDP."""
        query = dns.message.make_query(name, kind)
        with self.place:
            return dns.query.udp(query, APPLIANCE, timeout=5)

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of *name* in the appliance's answer."""
        return [rdata.to_text() for rrset in self.ask(name).answer for rdata in rrset]


@contextmanager
def site(directory: Path, text: str = REFERENCE_TEXT) -> Iterator[Site]:
    """Make a site in *directory*; skip the test where no namespace may be made."""
    config, data_dir = directory / "cluster.yaml", directory / "data"
    config.write_text(text)
    fill(config, data_dir)
    with segment(config) as on:
        yield Site(on, data_dir)


def status_of(place: AbstractContextManager[None], path: str, *options: str) -> str:
    """Return the status that curl gets for *path* from a machine in *place*."""
    done = run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, f"http://{APPLIANCE}{path}", place=place
    )
    assert done.returncode == 0, done
    return done.stdout
