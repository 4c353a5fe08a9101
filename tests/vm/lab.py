"""A network of virtual machines and the appliance, in a network namespace of its own.

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
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import IO

from tests.vm import nvram

ADDRESS = "172.16.0.101"
PREFIX = 24
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
MEMORY_MIB = 512  # the legacy form keeps the whole compressed image in memory
DISK_BYTES = 64 << 20
NIC, DISK = 2, 3  # PCI device numbers
TAIL_LINES = 40
READY_SECONDS = 30.0
EMERGENCY = "installer: EMERGENCY"  # installer.sh says why, and stands still


class Firmware(Enum):
    """How a machine boots from the network."""

    UEFI_PXE = auto()  # OVMF: DHCP, and iPXE by TFTP
    UEFI_HTTP = auto()  # OVMF: DHCP, and iPXE by HTTP
    BIOS = auto()  # SeaBIOS with QEMU's own ROM for the card, which is an iPXE


class Stuck(AssertionError):
    """A machine or the appliance did not get to where it should be; the message tells its last words."""


class Namespace:
    """A network namespace that lasts as long as this object's process, with a bridge that holds the appliance's address."""

    def __init__(self) -> None:
        as_root = os.geteuid() == 0
        unshare = ["unshare", "--net"] if as_root else ["unshare", "--user", "--map-root-user", "--net"]
        # cat ends with this process, and the namespace with it.
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise Stuck("cannot make a network namespace")
        enter = ["nsenter", "-t", str(self._holder.pid), "-n"]
        self._prefix = enter if as_root else [*enter, "-U", "--preserve-credentials"]
        for command in (
            "ip link set lo up",
            "ip link add br0 type bridge",
            f"ip addr add {ADDRESS}/{PREFIX} dev br0",
            "ip link set br0 up",
        ):
            self.run(*command.split())
        self._taps = 0

    def command(self, *words: str | Path) -> list[str]:
        """Return *words* as a command that runs in the namespace, and ends with this process."""
        return [*self._prefix, "setpriv", "--pdeathsig", "KILL", "--", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run *words* in the namespace and return what they print. Raises Stuck when they fail."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Stuck(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def tap(self) -> str:
        """Return a new tap device on the bridge."""
        name = f"tap{self._taps}"
        self._taps += 1
        for command in (f"tuntap add dev {name} mode tap", f"link set {name} master br0", f"link set {name} up"):
            self.run("ip", *command.split())
        return name

    def close(self) -> None:
        """Let the namespace go."""
        self._holder.communicate()


class Output:
    """What a process prints, kept in a file and watched line by line."""

    def __init__(self, stream: IO[bytes], log: Path) -> None:
        self._stream = stream
        self._log = log
        self._seen = b""
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._log.open("ab") as log:
            while chunk := os.read(self._stream.fileno(), 65536):
                log.write(chunk)
                log.flush()
                with self._changed:
                    self._seen += chunk
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, text: str, seconds: float, unless: str = "\0") -> bool:
        """Return whether *text* was printed within *seconds*, before *unless* and before the process ended."""
        wanted, unwanted = text.encode(), unless.encode()
        with self._changed:
            self._changed.wait_for(lambda: wanted in self._seen or unwanted in self._seen or self._ended, seconds)
            return wanted in self._seen

    @property
    def text(self) -> str:
        """All of it, with what is not printable left out: firmware moves the cursor about."""
        printable = self._seen.decode("ascii", "replace").replace("\r", "\n")
        return "".join(char for char in printable if char == "\n" or char.isprintable())

    @property
    def tail(self) -> str:
        """The last lines."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])

    def close(self) -> None:
        """Wait for the end, and close."""
        self._reader.join()
        self._stream.close()


class Appliance:
    """The real `ocp-appliance serve`, in the namespace."""

    def __init__(self, namespace: Namespace, cluster_yaml: Path, data_dir: Path, log: Path) -> None:
        self._namespace = namespace
        self._data_dir = data_dir
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify_path = data_dir / "notify"
            notify_path.unlink(missing_ok=True)
            notify.bind(str(notify_path))
            notify.settimeout(READY_SECONDS)
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
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
        except TimeoutError:
            self.stop()
            raise Stuck(f"the appliance was not ready within {READY_SECONDS} s:\n{self.output.tail}") from None

    def command(self, *words: str) -> str:
        """Run `ocp-appliance` with *words* against this appliance, and return what it prints."""
        return self._namespace.run(*_program(*words, "--data-dir", self._data_dir))

    def stop(self) -> None:
        """End it as systemd would."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.close()


def _program(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "appliance", *words]


@dataclass(slots=True)
class Machine:
    """A virtual machine with a disk and a network card, off until it is powered on."""

    name: str
    mac: str
    firmware: Firmware
    lab: "Lab"
    tap: str
    disk: Path
    nvram: Path
    kernel: tuple[Path, Path] | None = None  # boot this kernel and initrd instead of the firmware's choice
    console: Output | None = None
    _process: subprocess.Popen[bytes] | None = None
    _powered: int = 0

    def power_on(self) -> None:
        """Start it."""
        self._powered += 1
        self._process = subprocess.Popen(
            self.lab.namespace.command(*self._qemu()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self.console = Output(self._process.stdout, self.lab.logs / f"{self.name}-{self._powered}.serial.log")

    def power_off(self) -> None:
        """Pull its plug."""
        if self._process is not None and self.console is not None:
            self._process.kill()
            self._process.wait()
            self.console.close()
            self._process = None

    def wait_for(self, text: str, seconds: float) -> None:
        """Return when it has printed *text*. Raises Stuck with its last lines and the appliance's."""
        assert self.console is not None
        started_at = time.monotonic()
        if not self.console.wait_for(text, seconds, unless=EMERGENCY):
            waited = time.monotonic() - started_at
            raise Stuck(
                f"{self.name} ({self.firmware.name}) did not print {text!r} in {waited:.0f} s.\n"
                f"--- its serial port\n{self.console.tail}\n--- the appliance\n{self.lab.appliance_tail}"
            )

    def _qemu(self) -> list[str | Path]:
        drive = f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe"
        is_bios = self.firmware is Firmware.BIOS
        # Plain emulation: it is quick enough, and /dev/kvm may be there and still not work.
        # Without graphics SeaBIOS and its ROMs write to the serial port.
        words: list[str | Path] = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg,graphics=off", "-m", str(MEMORY_MIB),
            "-nodefaults", "-display", "none", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
            "-drive", drive,
        ]  # fmt: skip
        nic = f"virtio-net-pci,netdev=net,mac={self.mac},addr={NIC:#x}"
        storage = f"virtio-blk-pci,drive=disk,addr={DISK:#x}"
        if is_bios:
            words += ["-device", f"{nic},bootindex=0", "-device", f"{storage},bootindex=1"]
        else:
            # An empty romfile, or QEMU's iPXE would answer instead of the firmware's own client.
            words += ["-device", f"{nic},romfile=", "-device", storage]
            words += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
            words += ["-drive", f"if=pflash,format=raw,file={self.nvram}"]
        if self.kernel:
            words += ["-kernel", self.kernel[0], "-initrd", self.kernel[1], "-no-reboot"]
        return words


class Lab:
    """The namespace, the appliance and the machines of one test, with their logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True)
        self.namespace = Namespace()
        self.appliance: Appliance | None = None
        self._machines: list[Machine] = []
        self._starts = 0

    def serve(self, cluster_yaml: Path, data_dir: Path) -> Appliance:
        """Start the appliance and return it once it serves."""
        self._starts += 1
        self.appliance = Appliance(self.namespace, cluster_yaml, data_dir, self.logs / f"appliance-{self._starts}.log")
        return self.appliance

    def machine(self, name: str, mac: str, firmware: Firmware) -> Machine:
        """Return a new machine with an empty disk, the network first in its boot order and the disk second."""
        disk = self.directory / f"{name}.raw"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        variables = self.directory / f"{name}.nvram"
        octets = bytes.fromhex(mac.replace(":", ""))
        network = nvram.http_ipv4 if firmware is Firmware.UEFI_HTTP else nvram.pxe_ipv4
        order = (network(NIC, octets), nvram.disk(DISK))
        variables.write_bytes(nvram.with_boot_order(OVMF_VARS.read_bytes(), order))
        machine = Machine(name, mac, firmware, self, self.namespace.tap(), disk, variables)
        self._machines.append(machine)
        return machine

    @property
    def appliance_tail(self) -> str:
        """The appliance's last lines."""
        return self.appliance.output.tail if self.appliance else "(not started)"

    def keep_logs(self, target: Path) -> None:
        """Copy all logs to *target*."""
        shutil.copytree(self.logs, target, dirs_exist_ok=True)

    def close(self) -> None:
        """End everything."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.namespace.close)
            if self.appliance:
                stack.callback(self.appliance.stop)
            for machine in self._machines:
                stack.callback(machine.power_off)
