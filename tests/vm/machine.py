"""A virtual machine under QEMU: real firmware, a disk, a network card and a serial port."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from tests.vm import nvram
from tests.vm.processes import Namespace, Output, StuckError

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
LKRN = Path("/boot/ipxe.lkrn")
# What a PXE ROM does: get an address, download the boot file by TFTP, and run it. undionly.kpxe then
# uses the card through the PXE stack of this iPXE.
ROM_SCRIPT = """#!ipxe
dhcp net0 || exit
chain tftp://${net0/dhcp-server}/undionly.kpxe
"""
MEMORY_MIB = 512  # the legacy installer keeps the whole compressed image in memory
DISK_BYTES = 64 << 20
NIC, DISK = 2, 3  # PCI device numbers
EMERGENCY = "installer: EMERGENCY"  # installer.sh prints it with a reason, and stops


class Firmware(Enum):
    """How a machine boots from the network."""

    UEFI_PXE = auto()  # OVMF: DHCP, then iPXE by TFTP
    # OVMF: DHCP, then iPXE by HTTP. It comes after the disk in the boot order, because it waits a minute for an offer.
    UEFI_HTTP = auto()
    BIOS = auto()  # SeaBIOS with QEMU's own ROM for the card, which is iPXE
    BIOS_ROM = auto()  # SeaBIOS with a stand-in for a vendor's PXE ROM, which runs undionly.kpxe from TFTP


@dataclass(slots=True)
class Machine:
    """A virtual machine with a disk and a network card, off until it is powered on."""

    name: str
    mac: str
    firmware: Firmware
    namespace: Namespace
    logs: Path  # the directory for the output of its serial port
    appliance_tail: Callable[[], str]  # returns the last lines of the appliance's log
    tap: str
    disk: Path
    nvram: Path
    rom: tuple[Path, Path] | None = None  # BIOS_ROM: iPXE as a kernel, and its script as the initrd
    console: Output | None = None
    _process: subprocess.Popen[bytes] | None = None
    _powered: int = 0

    def power_on(self) -> None:
        """Start the machine."""
        self._powered += 1
        self._process = subprocess.Popen(
            self.namespace.command(*self._qemu()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self.console = Output(self._process.stdout, self.logs / f"{self.name}-{self._powered}.serial.log")

    def power_off(self) -> None:
        """Cut the power."""
        if self._process is not None and self.console is not None:
            self._process.kill()
            self._process.wait()
            self.console.close()
            self._process = None

    def wait_for(self, text: str, seconds: float) -> None:
        """Return when the machine has printed *text*.

        Raises StuckError, with the last lines of the machine and of the appliance, after *seconds*.
        """
        assert self.console is not None
        started_at = time.monotonic()
        if not self.console.wait_for(text, seconds, unless=EMERGENCY):
            waited = time.monotonic() - started_at
            raise StuckError(
                f"{self.name} ({self.firmware.name}) did not print {text!r} in {waited:.0f} s.\n"
                f"--- its serial port\n{self.console.tail}\n--- the appliance\n{self.appliance_tail()}"
            )

    def _qemu(self) -> list[str | Path]:
        drive = f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe"
        # Plain emulation is fast enough, and /dev/kvm can exist without working.
        # Without graphics, SeaBIOS and its ROMs write to the serial port.
        words: list[str | Path] = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg,graphics=off", "-m", str(MEMORY_MIB),
            "-nodefaults", "-display", "none", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
            "-drive", drive,
        ]  # fmt: skip
        nic = f"virtio-net-pci,netdev=net,mac={self.mac},addr={NIC:#x}"
        storage = f"virtio-blk-pci,drive=disk,addr={DISK:#x}"
        if self.firmware is Firmware.BIOS:
            words += ["-device", f"{nic},bootindex=0", "-device", f"{storage},bootindex=1"]
        elif self.firmware is Firmware.BIOS_ROM:
            words += ["-device", f"{nic},romfile=", "-device", storage, "-no-reboot"]
        else:
            # Without an empty romfile, QEMU's iPXE would replace the firmware's own PXE client.
            words += ["-device", f"{nic},romfile=", "-device", storage]
            words += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
            words += ["-drive", f"if=pflash,format=raw,file={self.nvram}"]
        if self.rom:
            words += ["-kernel", self.rom[0], "-initrd", self.rom[1]]
        return words


def new_machine(
    name: str,
    mac: str,
    firmware: Firmware,
    directory: Path,
    *,
    namespace: Namespace,
    logs: Path,
    appliance_tail: Callable[[], str],
) -> Machine:
    """Return a machine with an empty disk in *directory*.

    It boots from the network first and from the disk second; with UEFI_HTTP it is the other way round.
    """
    disk = directory / f"{name}.raw"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    variables = directory / f"{name}.nvram"
    octets = bytes.fromhex(mac.replace(":", ""))
    if firmware is Firmware.UEFI_HTTP:
        order = (nvram.disk(DISK), nvram.http_ipv4(NIC, octets))
    else:
        order = (nvram.pxe_ipv4(NIC, octets), nvram.disk(DISK))
    variables.write_bytes(nvram.with_boot_order(OVMF_VARS.read_bytes(), order))
    machine = Machine(name, mac, firmware, namespace, logs, appliance_tail, namespace.tap(), disk, variables)
    if firmware is Firmware.BIOS_ROM:
        script = directory / f"{name}.ipxe"
        script.write_text(ROM_SCRIPT)
        machine.rom = (LKRN, script)
    return machine
