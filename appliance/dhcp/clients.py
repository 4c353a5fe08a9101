"""Which program sent a DHCP message, and on which architecture, from the options in which the program states it.

The one rule: every spelling that firmware is known to use is accepted, because an
operator cannot change what a machine's firmware says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from appliance.boot.architectures import UNSTATED, Architecture, architecture_of
from appliance.dhcp.options import (
    OPT_CLIENT_ARCH,
    OPT_IPXE,
    OPT_USER_CLASS,
    OPT_VENDOR_CLASS,
    scan_options,
)
from appliance.events import Program
from appliance.install.evidence import class_of

# The architecture inside a vendor class, as in PXEClient:Arch:00007:UNDI:003016 (PXE 2.1 section 2.2.1).
_ARCH_TEXT = re.compile(rb"Arch:(\d{1,5})(?!\d)")

# iPXE's feature flags in option 175 (ipxe/features.h).
_FIRST_FEATURE, _LAST_FEATURE, _HTTP = 0x10, 0x4F, 0x13
# What an iPXE needs for its script: a name for the operator, and the flags of which one is enough. A build for EFI
# starts a kernel as an EFI program, and lists no bzImage.
_NEEDED = (("HTTP", (_HTTP,)), ("bzImage", (0x18, 0x24)), ("menu", (0x27,)))

MAX_VENDOR = 64  # characters of a vendor class; PXEClient:Arch:00007:UNDI:003016 has 32


@dataclass(frozen=True, slots=True, eq=False)
class ClientProfile:
    """The program that sent a message, and what it runs on.

    Compared by identity, because each reply's template is looked up by it: `identify`
    returns the same object for the same options, as long as its cache has them. A
    second object for the same options costs no more than templates of its own.
    """

    program: Program
    architecture: Architecture
    vendor: str = ""  # what firmware calls itself: its vendor class, or what an iPXE lacks; "" of other programs
    firmware: str = ""  # its class, by which machines of one kind are known; "" of other programs
    # An iPXE that lacks something but could fetch its script: as it is answered once it has loaded ours in vain.
    otherwise: "ClientProfile | None" = None

    @property
    def arch(self) -> str:
        """The architecture's name, for events."""
        return self.architecture.name

    @property
    def boots(self) -> bool:
        """Whether the program can use a boot file."""
        return self.program is not Program.OS


# Machines of the same model send the same options, so a rack has a handful of profiles. The cache saves 1 µs of the 20
# that a message takes.
@lru_cache(maxsize=256)
def identify(vendor_class: bytes, arch: bytes, user_class: bytes, ipxe: bytes | None) -> ClientProfile:
    """Return the program that sends these options 60, 93, 77 and 175; *ipxe* is None without option 175."""
    is_ipxe = ipxe is not None or _has_ipxe_class(user_class)
    is_http = vendor_class.startswith(b"HTTPClient")
    lacks = _lacking(ipxe or b"") if is_ipxe else ()
    if not (is_ipxe or is_http or vendor_class.startswith(b"PXEClient")):
        return ClientProfile(Program.OS, UNSTATED)
    architecture = architecture_of(_architecture_codes(vendor_class, arch))
    as_ipxe = ClientProfile(Program.IPXE, architecture)
    if is_ipxe and not lacks:
        return as_ipxe
    firmware = Program.HTTP if is_http else Program.PXE
    if not is_ipxe:
        vendor = vendor_class[:MAX_VENDOR].decode("ascii", "backslashreplace")
        return ClientProfile(firmware, architecture, vendor, class_of(architecture.name, vendor))
    # It is treated as firmware and gets the loader, an iPXE that lacks nothing.
    vendor = f"iPXE without {', '.join(lacks)}"
    otherwise = None if "HTTP" in lacks else as_ipxe
    return ClientProfile(firmware, architecture, vendor, class_of(architecture.name, vendor), otherwise)


def identify_options(options: Mapping[int, bytes]) -> ClientProfile:
    """Return the program that sends *options*."""
    return identify(
        options.get(OPT_VENDOR_CLASS, b""),
        options.get(OPT_CLIENT_ARCH, b""),
        options.get(OPT_USER_CLASS, b""),
        options.get(OPT_IPXE),
    )


def _architecture_codes(vendor_class: bytes, arch: bytes) -> tuple[int, ...]:
    # RFC 4578 section 2.1: one or more 16-bit codes, the preferred one first. An odd last byte is ignored.
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


def _lacking(ipxe: bytes) -> tuple[str, ...]:
    """Return what an iPXE with these features (option 175) lacks; nothing if it lists no features."""
    features: dict[int, bytes] = {}
    if not scan_options(ipxe, 0, len(ipxe), features):
        return ()
    listed = {code for code, value in features.items() if _FIRST_FEATURE <= code <= _LAST_FEATURE and any(value)}
    if not listed and not any(_FIRST_FEATURE <= code <= _LAST_FEATURE for code in features):
        return ()
    return tuple(name for name, flags in _NEEDED if listed.isdisjoint(flags))
