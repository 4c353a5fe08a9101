"""The kinds of firmware that machines have: QEMU's board, the firmware's files, and the boot order."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from tests.vm import nvram

OVMF = Path("/usr/share/OVMF")
AAVMF = Path("/usr/share/AAVMF")
NIC, DISK = 2, 3  # PCI device numbers


class Firmware(Enum):
    """How a machine boots from the network."""

    UEFI_PXE = auto()  # OVMF: DHCP, then the boot file by TFTP
    # OVMF: DHCP, then the boot file by HTTP. It comes after the disk in the boot order, because it waits a minute for
    # an offer.
    UEFI_HTTP = auto()
    UEFI_PXE6 = auto()  # OVMF: DHCPv6, then the boot file by TFTP over IPv6
    UEFI_HTTP6 = auto()  # OVMF: DHCPv6, then the boot file by HTTP over IPv6
    SECURE_PXE = auto()  # OVMF with Microsoft's keys and Secure Boot on; HTTP Boot comes next, then the disk
    SECURE_HTTP = auto()  # with HTTP Boot before the disk
    ARM64_PXE = auto()  # AAVMF
    ARM64_SECURE_PXE = auto()  # AAVMF with Microsoft's keys and Secure Boot on
    BIOS = auto()  # SeaBIOS with QEMU's own ROM for the card, which is iPXE
    BIOS_ROM = auto()  # SeaBIOS with a stand-in for a vendor's PXE ROM, which runs undionly.kpxe from TFTP

    @property
    def is_uefi(self) -> bool:
        """Whether boot files are EFI programs."""
        return self in BOARDS


@dataclass(frozen=True, slots=True)
class Board:
    """A board with UEFI: how QEMU makes it, and its firmware."""

    emulator: str
    words: tuple[str, ...]
    code: Path
    variables: Path  # the store that the machine's own is made from
    has_keys: bool = False  # whether the store's keys are kept, which switches Secure Boot on


# Plain emulation is fast enough, and /dev/kvm can exist without working.
X64 = Board(
    "qemu-system-x86_64",
    ("-machine", "q35,accel=tcg,graphics=off"),
    OVMF / "OVMF_CODE_4M.fd",
    OVMF / "OVMF_VARS_4M.fd",
)
X64_SECURE = Board(
    "qemu-system-x86_64",
    # Only in system management mode may the firmware change its variables.
    ("-machine", "q35,smm=on,accel=tcg,graphics=off", "-cpu", "max",
     "-global", "driver=cfi.pflash01,property=secure,value=on"),
    OVMF / "OVMF_CODE_4M.ms.fd",
    OVMF / "OVMF_VARS_4M.ms.fd",
    has_keys=True,
)  # fmt: skip
# AAVMF_VARS.fd is empty but for zeros, without the header of a store, so the other one is used without its keys.
ARM64 = Board(
    "qemu-system-aarch64",
    ("-machine", "virt,accel=tcg", "-cpu", "cortex-a57"),
    AAVMF / "AAVMF_CODE.fd",
    AAVMF / "AAVMF_VARS.ms.fd",
)
ARM64_SECURE = Board(ARM64.emulator, ARM64.words, AAVMF / "AAVMF_CODE.ms.fd", ARM64.variables, has_keys=True)

BOARDS = {
    Firmware.UEFI_PXE: X64,
    Firmware.UEFI_HTTP: X64,
    Firmware.UEFI_PXE6: X64,
    Firmware.UEFI_HTTP6: X64,
    Firmware.SECURE_PXE: X64_SECURE,
    Firmware.SECURE_HTTP: X64_SECURE,
    Firmware.ARM64_PXE: ARM64,
    Firmware.ARM64_SECURE_PXE: ARM64_SECURE,
}


def boot_order(firmware: Firmware, mac: bytes) -> Sequence[nvram.BootEntry]:
    """Return the boot entries of a machine, in their order."""
    if firmware is Firmware.UEFI_HTTP:
        return (nvram.disk(DISK), nvram.http_ipv4(NIC, mac))
    if firmware is Firmware.SECURE_PXE:
        return (nvram.pxe_ipv4(NIC, mac), nvram.http_ipv4(NIC, mac), nvram.disk(DISK))
    network = {
        Firmware.SECURE_HTTP: nvram.http_ipv4,
        Firmware.UEFI_PXE6: nvram.pxe_ipv6,
        Firmware.UEFI_HTTP6: nvram.http_ipv6,
    }.get(firmware, nvram.pxe_ipv4)
    return (network(NIC, mac), nvram.disk(DISK))
