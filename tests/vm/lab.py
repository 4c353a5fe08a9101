"""A network of virtual machines and the appliance, in a separate network namespace.

namespace   br0 172.16.0.101/24 ── appliance (ocp-appliance serve)
             ├── tap0 ── machine m1
             └── tap1 ── machine w1 …
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.vm.firmware import Firmware
from tests.vm.machine import Machine, new_machine
from tests.vm.processes import Namespace, Output, StuckError

READY_SECONDS = 30.0


class Appliance:
    """The real `ocp-appliance serve`, in the namespace."""

    def __init__(self, namespace: Namespace, cluster_yaml: Path, data_dir: Path, log: Path) -> None:
        self._namespace = namespace
        self._data_dir = data_dir
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify_path = data_dir / "notify"
            notify_path.unlink(missing_ok=True)
            notify.bind(str(notify_path))
            notify.settimeout(0.2)  # how often to check that it is still running
            self._process = subprocess.Popen(
                namespace.command(*_program("serve", cluster_yaml, "--data-dir", data_dir)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NOTIFY_SOCKET": str(notify_path)},
            )
            assert self._process.stdout is not None
            self.output = Output(self._process.stdout, log)
            self._wait_until_ready(notify)

    def _wait_until_ready(self, notify: socket.socket) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in notify.recv(4096):
                    return
        self.stop()
        raise StuckError(f"the appliance exited, or was not ready within {READY_SECONDS} s:\n{self.output.tail}")

    def command(self, *words: str) -> str:
        """Run `ocp-appliance` with *words* against this appliance; return its output."""
        return self._namespace.run(*_program(*words, "--data-dir", self._data_dir))

    def stop(self) -> None:
        """Stop it with SIGTERM, and with SIGKILL if it is still running after 30 s."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.close()


def _program(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "appliance", *words]


class Lab:
    """The namespace, the appliance and the machines of one test, with their logs."""

    def __init__(self, directory: Path, *, has_ipv6_router: bool) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True)
        self.namespace = Namespace()
        self.appliance: Appliance | None = None
        self._machines: list[Machine] = []
        self._starts = 0
        self._router = self._announce_ipv6() if has_ipv6_router else None

    def _announce_ipv6(self) -> subprocess.Popen[bytes]:
        """Start a dnsmasq that answers router solicitations: without an answer iPXE waits for 13 s."""
        self.namespace.run("ip", "-6", "addr", "add", "fd00::101/64", "dev", "br0", "nodad")
        with (self.logs / "ipv6-router.log").open("wb") as log:
            return subprocess.Popen(
                self.namespace.command(
                    "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
                    "--port=0", "--interface=br0", "--bind-interfaces", "--enable-ra", "--dhcp-range=fd00::,ra-only",
                    f"--dhcp-leasefile={self.directory}/leases",
                ),
                stderr=log,
            )  # fmt: skip

    def serve(self, cluster_yaml: Path, data_dir: Path) -> Appliance:
        """Start the appliance; return it when it is ready."""
        self._starts += 1
        self.appliance = Appliance(self.namespace, cluster_yaml, data_dir, self.logs / f"appliance-{self._starts}.log")
        return self.appliance

    def machine(self, name: str, mac: str, firmware: Firmware) -> Machine:
        """Return a new machine, powered off and with an empty disk; see new_machine for its boot order."""
        machine = new_machine(
            name,
            mac,
            firmware,
            self.directory,
            namespace=self.namespace,
            logs=self.logs,
            appliance_tail=lambda: self.appliance_tail,
        )
        self._machines.append(machine)
        return machine

    @property
    def appliance_tail(self) -> str:
        """The last lines of the appliance's log."""
        return self.appliance.output.tail if self.appliance else "(not started)"

    def keep_logs(self, target: Path) -> None:
        """Copy all logs to *target*."""
        shutil.copytree(self.logs, target, dirs_exist_ok=True)

    def close(self) -> None:
        """Power off the machines, stop the appliance, and remove the namespace."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.namespace.close)
            if self._router:
                stack.callback(self._router.wait)
                stack.callback(self._router.kill)
            if self.appliance:
                stack.callback(self.appliance.stop)
            for machine in self._machines:
                stack.callback(machine.power_off)
