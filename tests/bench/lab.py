"""The place where a contestant runs: two network namespaces joined by a veth pair.

The server has one core to itself and the load tool the other, so that neither takes the other's time.
"""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.packages import why_missing

ROOT = Path(__file__).parents[2]  # load tools run here, so that `python -m tests.bench…` finds its modules
SERVER_CORE = 0
LOAD_CORE = 1
SERVER = "172.16.0.101"
LOAD = "172.16.15.254"  # also the gateway, and the DHCP relay
PREFIX = 20


class BenchError(Exception):
    """There is no figure: a contestant did not start, or a load tool failed."""


class Lab:
    """A pair of namespaces for one contestant, with its processes and its directory.

    After a failed attempt() every use of the lab raises that failure, so that each row names the reason.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.server_ns = f"bench-{name}-srv"
        self.load_ns = f"bench-{name}-load"
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        self.directory.chmod(0o755)
        self._servers: list[subprocess.Popen[bytes]] = []
        self._failure = ""

    def __enter__(self) -> Self:
        for namespace in (self.server_ns, self.load_ns):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("link", "add", "srv0", "netns", self.server_ns, "type", "veth", "peer", "load0", "netns", self.load_ns)
        _ip("-n", self.server_ns, "address", "add", f"{SERVER}/{PREFIX}", "brd", "+", "dev", "srv0")
        _ip("-n", self.load_ns, "address", "add", f"{LOAD}/{PREFIX}", "brd", "+", "dev", "load0")
        _ip("-n", self.server_ns, "link", "set", "srv0", "up")
        _ip("-n", self.load_ns, "link", "set", "load0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._kill(self._pids(self.load_ns))  # a load tool that was killed may leave children
        for namespace in (self.server_ns, self.load_ns):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def add_load_addresses(self, addresses: Sequence[str]) -> None:
        """Add *addresses* to the load's end of the cable, one for each simulated host."""
        batch = "".join(f"address add {address}/{PREFIX} dev load0\n" for address in addresses)
        subprocess.run(["ip", "-n", self.load_ns, "-batch", "-"], input=batch.encode(), check=True)

    def route_through_relay(self, addresses: Sequence[str]) -> None:
        """Route *addresses* through the relay, as for hosts on another segment.

        A thousand neighbours on one interface would overflow the kernel's table (arp(7), gc_thresh3).
        """
        batch = "".join(f"route add {address}/32 via {LOAD} dev srv0\n" for address in addresses)
        subprocess.run(["ip", "-n", self.server_ns, "-batch", "-"], input=batch.encode(), check=True)

    def become(self, address: str, mac: str) -> None:
        """Make the load send from *address* and *mac*, as the host that has them would."""
        _ip("-n", self.load_ns, "link", "set", "load0", "address", mac)
        self.add_load_addresses([address])
        _ip("-n", self.load_ns, "route", "replace", f"172.16.0.0/{PREFIX}", "dev", "load0", "src", address)

    def attempt(self, start: Callable[..., None], *arguments: object) -> None:
        """Call *start* with this lab and *arguments*; keep a BenchError for the rows that use the lab."""
        try:
            start(self, *arguments)
        except BenchError as error:
            self._failure = str(error)

    def start(self, *argv: str | Path, **environment: str | Path) -> subprocess.Popen[bytes]:
        """Start a server on its core, with *environment* added to ours; its output goes to <directory>/log."""
        self._check(argv[0])
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [*_in(self.server_ns, SERVER_CORE), *map(str, argv)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env={**os.environ, **{name: str(value) for name, value in environment.items()}},
            )
        self._servers.append(process)
        return process

    def start_notifying(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        """Start a server that reports readiness by sd_notify(3); return when it is ready."""
        path = self.directory / f"notify-{len(self._servers)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            process = self.start(*argv, NOTIFY_SOCKET=path)
            readable, _, _ = select.select([listener], [], [], 30)
            while readable and b"READY=1" not in listener.recv(4096):
                readable, _, _ = select.select([listener], [], [], 30)
            if not readable:
                raise BenchError(f"{self.name} did not start: {self.log()}")
        return process

    def load(self, *argv: str | Path | float, timeout: float = 120, check: bool = True) -> str:
        """Run a load tool on its core and return its standard output. Raises BenchError."""
        self._check(argv[0])
        try:
            result = subprocess.run(
                [*_in(self.load_ns, LOAD_CORE), *map(str, argv)],
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{argv[0]} against {self.name} was still running after {timeout:g} s") from None
        if check and result.returncode:
            raise BenchError(
                f"{argv[0]} against {self.name}: exit {result.returncode}: {result.stderr or result.stdout}"
            )
        return result.stdout

    def load_command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs *argv* on the load's core. Raises BenchError when it cannot run."""
        self._check(argv[0])
        return [*_in(self.load_ns, LOAD_CORE), *map(str, argv)]

    def wait_until(self, *probe: str, seconds: float = 20) -> None:
        """Run *probe* in the load's namespace until it succeeds. Raises BenchError after *seconds*."""
        self._check(probe[0])
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._servers):
                raise BenchError(f"{self.name} exited at once: {self.log()}")
            done = subprocess.run([*_in(self.load_ns, LOAD_CORE), *probe], check=False, capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        raise BenchError(f"{self.name} did not answer within {seconds:g} s: {self.log()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first server that was started."""
        self._servers[0].send_signal(number)

    def memory_bytes(self) -> int:
        """Return the proportional set size of every process of the server, summed (proc(5), smaps_rollup)."""
        total = 0
        for pid in self._pids():
            with suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1]) * 1024  # type: ignore[index]
        return total

    def cpu_seconds(self) -> float:
        """Return the processor time, user and system, that the server's processes have used so far."""
        nanoseconds = 0
        for pid in self._pids():
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):
                    nanoseconds += int(thread.read_text().split()[0])
        return nanoseconds / 1e9

    def log(self) -> str:
        """Return the last lines that the server printed."""
        return (self.directory / "log").read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """Stop every process in the server's namespace."""
        for process in self._servers:
            process.terminate()
        for process in self._servers:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._servers.clear()
        self._kill(self._pids())

    def _check(self, program: str | Path | float) -> None:
        """Raise BenchError when the contestant did not start, or *program* is not installed."""
        if reason := self._failure or why_missing(str(program)):
            raise BenchError(reason)

    def _kill(self, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pids(self, namespace: str = "") -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", namespace or self.server_ns], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


@contextmanager
def labs(names: Sequence[str]) -> Iterator[dict[str, Lab]]:
    """Make a lab for each of *names*; remove all of them at the end."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Lab(name)) for name in names}


def _in(namespace: str, core: int) -> list[str]:
    return ["ip", "netns", "exec", namespace, "taskset", "-c", str(core)]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
