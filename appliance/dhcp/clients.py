"""Which program asks, and on which architecture: what network boot clients say of themselves.

The one rule: firmware is believed in as many spellings as it is known to use,
because what a machine's firmware says cannot be mended by its operator.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from appliance.dhcp.options import (
    OPT_CLIENT_ARCH,
    OPT_IPXE,
    OPT_USER_CLASS,
    OPT_VENDOR_CLASS,
    scan_options,
)
from appliance.events import Client

_X64, _IA32, _ARM64 = "efi/ipxe.efi", "i386-efi/ipxe.efi", "arm64-efi/snponly.efi"
_BIOS = "undionly.kpxe"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A value of option 93, and what boots there."""

    name: str
    loader: str | None  # None: iPXE has nothing for it


# The IANA registry "Processor Architecture Types" (RFC 5970 section 3.3), with 7 and 9
# read alike: RFC 4578 printed them the wrong way round, and firmware follows either.
ARCHITECTURES: Mapping[int, Architecture] = MappingProxyType(
    {
        0x00: Architecture("bios", _BIOS),
        0x02: Architecture("itanium", None),
        0x06: Architecture("ia32-uefi", _IA32),
        0x07: Architecture("x64-uefi", _X64),
        0x08: Architecture("x64-uefi", _X64),  # XScale in the registry; sent by x64 machines
        0x09: Architecture("x64-uefi", _X64),
        0x0A: Architecture("arm32-uefi", None),
        0x0B: Architecture("arm64-uefi", _ARM64),
        0x0C: Architecture("ppc-open-firmware", None),
        0x0D: Architecture("ppc-epapr", None),
        0x0E: Architecture("ppc-opal", None),
        0x0F: Architecture("ia32-uefi-http", _IA32),
        0x10: Architecture("x64-uefi-http", _X64),
        0x11: Architecture("x64-uefi-http", _X64),  # EBC, as 9 is
        0x12: Architecture("arm32-uefi-http", None),
        0x13: Architecture("arm64-uefi-http", _ARM64),
        0x14: Architecture("bios-http", _BIOS),
        0x15: Architecture("arm32-uboot", None),
        0x16: Architecture("arm64-uboot", None),
        0x17: Architecture("arm32-uboot-http", None),
        0x18: Architecture("arm64-uboot-http", None),
        0x19: Architecture("riscv32-uefi", None),
        0x1A: Architecture("riscv32-uefi-http", None),
        0x1B: Architecture("riscv64-uefi", None),
        0x1C: Architecture("riscv64-uefi-http", None),
        0x1D: Architecture("riscv128-uefi", None),
        0x1E: Architecture("riscv128-uefi-http", None),
        0x1F: Architecture("s390-basic", None),
        0x20: Architecture("s390-extended", None),
        0x27: Architecture("loongarch64-uefi", None),
        0x28: Architecture("loongarch64-uefi-http", None),
    }
)

_ARCH_TEXT = re.compile(rb"Arch:(\d{1,5})(?!\d)")

# iPXE's feature flags in option 175 (ipxe/features.h).
_FIRST_FEATURE, _LAST_FEATURE, _FEATURE_HTTP = 0x10, 0x4F, 0x13


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """The program that asks. Compared by identity, because each reply's template is looked up by it."""

    client: Client
    arch: str  # as in ARCHITECTURES; "" when it does not say, "arch-77" when it is unknown
    loader: str | None  # what boots on that architecture

    @property
    def boots(self) -> bool:
        """Whether it wants a boot file at all."""
        return self.client is not Client.OS


@lru_cache(maxsize=256)  # a rack of like machines says the same; saves 1 µs of each 20
def identify(vendor_class: bytes, arch: bytes, user_class: bytes, ipxe: bytes | None) -> Asker:
    """Return who sent options 60, 93, 77 and 175; *ipxe* is None where 175 is missing."""
    is_ipxe = ipxe is not None or _has_ipxe_class(user_class)
    if is_ipxe and _fetches_http(ipxe or b""):
        client = Client.IPXE
    elif vendor_class.startswith(b"HTTPClient"):
        client = Client.HTTP
    elif is_ipxe or vendor_class.startswith(b"PXEClient"):
        # An iPXE that cannot fetch by HTTP could not have the script: as
        # firmware it gets our own iPXE, which can.
        client = Client.PXE
    else:
        return Asker(Client.OS, "", None)
    codes = _architecture_codes(vendor_class, arch)
    if not codes:
        return Asker(client, "", None)
    known = next((ARCHITECTURES[code] for code in codes if code in ARCHITECTURES), None)
    if known is None:
        return Asker(client, f"arch-{codes[0]}", None)
    return Asker(client, known.name, known.loader)


def identify_options(options: Mapping[int, bytes]) -> Asker:
    """Return who sent *options*."""
    return identify(
        options.get(OPT_VENDOR_CLASS, b""),
        options.get(OPT_CLIENT_ARCH, b""),
        options.get(OPT_USER_CLASS, b""),
        options.get(OPT_IPXE),
    )


def _architecture_codes(vendor_class: bytes, arch: bytes) -> tuple[int, ...]:
    # RFC 4578 section 2.1: one or more 16-bit codes, the most wanted first.
    codes = tuple(int.from_bytes(arch[at : at + 2], "big") for at in range(0, len(arch) - 1, 2))
    if codes:
        return codes
    text = _ARCH_TEXT.search(vendor_class)
    return (int(text[1]),) if text else ()


def _has_ipxe_class(user_class: bytes) -> bool:
    """Whether option 77 says iPXE: raw, as iPXE sends it, or as RFC 3004's counted instances."""
    if user_class == b"iPXE":
        return True
    at = 0
    while at < len(user_class):
        end = at + 1 + user_class[at]
        if end <= len(user_class) and user_class[at + 1 : end] == b"iPXE":
            return True
        at = end
    return False


def _fetches_http(ipxe: bytes) -> bool:
    """Whether an iPXE with these features (option 175) fetches by HTTP; one that lists none is taken to."""
    features: dict[int, bytes] = {}
    if not scan_options(ipxe, 0, len(ipxe), features):
        return True
    listed = [code for code in features if _FIRST_FEATURE <= code <= _LAST_FEATURE]
    return not listed or any(features.get(_FEATURE_HTTP, b""))
