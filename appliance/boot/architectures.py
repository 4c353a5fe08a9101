"""The architectures that network boot firmware reports: a processor, and the kind of firmware on it.

The one rule: an architecture determines which programs a machine can run. `chains.py`
decides which of them it gets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Firmware(StrEnum):
    """What starts a boot program, and so which form the program has."""

    BIOS = "bios"
    UEFI = "uefi"
    OTHER = "other"  # Open Firmware, OPAL, U-Boot, s390; no build of iPXE runs there
    UNSTATED = ""  # the client does not say


@dataclass(frozen=True, slots=True)
class Architecture:
    """A processor and the firmware on it."""

    name: str  # as in events and logs; "" when the client does not say
    firmware: Firmware
    processor: str  # as compilers name it: x86_64, i386, aarch64 ...; "" where nothing here depends on it


UNSTATED = Architecture("", Firmware.UNSTATED, "")

# A BIOS does not report its processor. If the machine can run RHCOS at all, it is an x86_64.
_BIOS = Architecture("bios", Firmware.BIOS, "x86_64")
_X64 = Architecture("x64-uefi", Firmware.UEFI, "x86_64")
_X64_HTTP = Architecture("x64-uefi-http", Firmware.UEFI, "x86_64")


def _other(name: str) -> Architecture:
    return Architecture(name, Firmware.OTHER, "")


# The IANA registry "Processor Architecture Types" (RFC 5970 section 3.3), by the code in option 93.
ARCHITECTURES: Mapping[int, Architecture] = MappingProxyType(
    {
        0x00: _BIOS,
        0x02: _other("itanium"),
        0x06: Architecture("ia32-uefi", Firmware.UEFI, "i386"),
        # RFC 4578 printed 7 (x64) and 9 (EBC) the wrong way round, and firmware exists that follows either.
        0x07: _X64,
        # XScale in the registry, which no server has. Some x64 machines send it.
        0x08: _X64,
        0x09: _X64,
        0x0A: Architecture("arm32-uefi", Firmware.UEFI, "arm"),
        0x0B: Architecture("arm64-uefi", Firmware.UEFI, "aarch64"),
        0x0C: _other("ppc-open-firmware"),
        0x0D: _other("ppc-epapr"),
        0x0E: _other("ppc-opal"),
        0x0F: Architecture("ia32-uefi-http", Firmware.UEFI, "i386"),
        0x10: _X64_HTTP,
        # EBC over HTTP, confused with x64 in the same way as 9.
        0x11: _X64_HTTP,
        0x12: Architecture("arm32-uefi-http", Firmware.UEFI, "arm"),
        0x13: Architecture("arm64-uefi-http", Firmware.UEFI, "aarch64"),
        0x14: Architecture("bios-http", Firmware.BIOS, "x86_64"),
        0x15: _other("arm32-uboot"),
        0x16: _other("arm64-uboot"),
        0x17: _other("arm32-uboot-http"),
        0x18: _other("arm64-uboot-http"),
        0x19: Architecture("riscv32-uefi", Firmware.UEFI, "riscv32"),
        0x1A: Architecture("riscv32-uefi-http", Firmware.UEFI, "riscv32"),
        0x1B: Architecture("riscv64-uefi", Firmware.UEFI, "riscv64"),
        0x1C: Architecture("riscv64-uefi-http", Firmware.UEFI, "riscv64"),
        0x1D: Architecture("riscv128-uefi", Firmware.UEFI, "riscv128"),
        0x1E: Architecture("riscv128-uefi-http", Firmware.UEFI, "riscv128"),
        0x1F: _other("s390-basic"),
        0x20: _other("s390-extended"),
        0x27: Architecture("loongarch64-uefi", Firmware.UEFI, "loongarch64"),
        0x28: Architecture("loongarch64-uefi-http", Firmware.UEFI, "loongarch64"),
    }
)


def architecture_of(codes: tuple[int, ...]) -> Architecture:
    """Return the first known architecture among *codes*, the values of option 93; UNSTATED without codes.

    If none is known, the result is an OTHER that is named after the first: "arch-77".
    """
    if not codes:
        return UNSTATED
    known = next((ARCHITECTURES[code] for code in codes if code in ARCHITECTURES), None)
    return known or _other(f"arch-{codes[0]}")
