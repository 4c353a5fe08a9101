"""Where a contestant runs: two network namespaces and a cable, the server on one core and the load on the other."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]  # where `python -m tests.bench…` finds its modules
SERVER_CORE = 0
LOAD_CORE = 1
SERVER = "172.16.0.101"
LOAD = "172.16.15.254"  # also the gateway, and the relay of DHCP
PREFIX = 20


class BenchError(Exception):
    """A contestant did not start, or a load tool failed: there is no figure."""


class Lab:
    """A pair of namespaces for one contestant, with its processes and its directory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server_ns = f"bench-{name}-srv"
        self.load_ns = f"bench-{name}-load"
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        self.directory.chmod(0o755)
        self._servers: list[subprocess.Popen[bytes]] = []

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
        self._kill(self._pids(self.load_ns))  # what a load tool that was stopped has left
        for namespace in (self.server_ns, self.load_ns):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def add_load_addresses(self, addresses: Sequence[str]) -> None:
        """Give the load's end of the cable more addresses, one for each simulated host."""
        batch = "".join(f"address add {address}/{PREFIX} dev load0\n" for address in addresses)
        subprocess.run(["ip", "-n", self.load_ns, "-batch", "-"], input=batch.encode(), check=True)

    def route_through_relay(self, addresses: Sequence[str]) -> None:
        """Let the server reach *addresses* by the relay, as hosts of another segment.

        A thousand neighbours of one interface are more than the kernel's table takes (arp(7), gc_thresh3).
        """
        batch = "".join(f"route add {address}/32 via {LOAD} dev srv0\n" for address in addresses)
        subprocess.run(["ip", "-n", self.server_ns, "-batch", "-"], input=batch.encode(), check=True)

    def become(self, address: str) -> None:
        """Let the load speak from *address*, as the host that it belongs to would."""
        self.add_load_addresses([address])
        _ip("-n", self.load_ns, "route", "replace", f"172.16.0.0/{PREFIX}", "dev", "load0", "src", address)

    def start(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        """Start a server on its core; its output goes to <directory>/log."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [*_in(self.server_ns, SERVER_CORE), *map(str, argv)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
            )
        self._servers.append(process)
        return process

    def start_notifying(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        """Start a server that tells by sd_notify(3) when it serves, and return once it does."""
        path = self.directory / f"notify-{len(self._servers)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(path))
            process = self.start("env", f"NOTIFY_SOCKET={path}", *argv)
            readable, _, _ = select.select([listener], [], [], 30)
            while readable and b"READY=1" not in listener.recv(4096):
                readable, _, _ = select.select([listener], [], [], 30)
            if not readable:
                raise BenchError(f"{self.name} did not start: {self.log()}")
        return process

    def load(self, *argv: str | Path | float, timeout: float = 120, check: bool = True) -> str:
        """Run a load tool on its core and return what it prints. Raises BenchError."""
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
            raise BenchError(f"{argv[0]} against {self.name} had not ended after {timeout:g} s") from None
        if check and result.returncode:
            raise BenchError(
                f"{argv[0]} against {self.name}: exit {result.returncode}: {result.stderr or result.stdout}"
            )
        return result.stdout

    def load_command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs *argv* beside the load, for a caller that starts it itself."""
        return [*_in(self.load_ns, LOAD_CORE), *map(str, argv)]

    def wait_until(self, *probe: str, seconds: float = 20) -> None:
        """Run *probe* in the load's namespace until it succeeds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._servers):
                raise BenchError(f"{self.name} ended at once: {self.log()}")
            done = subprocess.run([*_in(self.load_ns, LOAD_CORE), *probe], check=False, capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        raise BenchError(f"{self.name} did not answer within {seconds:g} s: {self.log()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server that was started first."""
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
        """Return the end of what the server printed."""
        return (self.directory / "log").read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """End every process in the server's namespace."""
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
    """Make a lab for each of *names*, and remove them all at the end."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Lab(name)) for name in names}


def _in(namespace: str, core: int) -> list[str]:
    return ["ip", "netns", "exec", namespace, "taskset", "-c", str(core)]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
