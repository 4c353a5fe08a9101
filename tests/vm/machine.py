"""A virtual machine under QEMU: real firmware, a disk, a network card and a serial port."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.vm import nvram
from tests.vm.firmware import BOARDS, DISK, NIC, Firmware, boot_order
from tests.vm.processes import Namespace, Output, StuckError

LKRN = Path("/boot/ipxe.lkrn")
SELF_TEST_MS = 5000
# What a PXE ROM does: get an address, download the boot file by TFTP, and run it. undionly.kpxe then
# uses the card through the PXE stack of this iPXE.
ROM_SCRIPT = """#!ipxe
dhcp net0 || exit
chain tftp://${net0/dhcp-server}/undionly.kpxe
"""
MEMORY_MIB = 512  # the legacy installer keeps the whole compressed image in memory
DISK_BYTES = 64 << 20
EMERGENCY = "installer: EMERGENCY"  # installer.sh prints it with a reason, and stops


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
    disk_first: bool = False  # BIOS: boots from the disk before the network
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
        nic = f"virtio-net-pci,netdev=net,mac={self.mac},addr={NIC:#x}"
        storage = f"virtio-blk-pci,drive=disk,addr={DISK:#x}"
        board = BOARDS.get(self.firmware)
        # Without graphics, SeaBIOS and its ROMs write to the serial port.
        words: list[str | Path] = (
            [board.emulator, *board.words]
            if board
            else ["qemu-system-x86_64", "-machine", "q35,accel=tcg,graphics=off"]
        )
        words += [
            "-m", str(MEMORY_MIB),
            "-nodefaults", "-display", "none", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
            "-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe",
        ]  # fmt: skip
        if board:
            # Without an empty romfile, QEMU's iPXE would replace the firmware's own PXE client.
            words += ["-device", f"{nic},romfile=", "-device", storage, "-device", "virtio-rng-pci"]
            words += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={board.code}"]
            words += ["-drive", f"if=pflash,format=raw,unit=1,file={self.nvram}"]
            if self.firmware is Firmware.UEFI_HTTP6:
                # OVMF reaches its first entry before its link-local address is checked for duplicates, and HTTP Boot
                # over IPv6 then fails at once. The self-test of a real machine takes longer than this.
                words += ["-boot", f"menu=on,splash-time={SELF_TEST_MS}"]
        elif self.firmware is Firmware.BIOS:
            first, second = (storage, nic) if self.disk_first else (nic, storage)
            words += ["-device", f"{first},bootindex=0", "-device", f"{second},bootindex=1"]
        else:
            words += ["-device", f"{nic},romfile=", "-device", storage, "-no-reboot"]
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
    """Return a machine with an empty disk in *directory*, and the boot order of `boot_order`."""
    disk = directory / f"{name}.raw"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    variables = directory / f"{name}.nvram"
    if board := BOARDS.get(firmware):
        order = boot_order(firmware, bytes.fromhex(mac.replace(":", "")))
        store = board.variables.read_bytes()
        variables.write_bytes(nvram.with_boot_order(store, order, keeps_keys=board.has_keys))
    machine = Machine(name, mac, firmware, namespace, logs, appliance_tail, namespace.tap(), disk, variables)
    if firmware is Firmware.BIOS_ROM:
        script = directory / f"{name}.ipxe"
        script.write_text(ROM_SCRIPT)
        machine.rom = (LKRN, script)
    return machine
