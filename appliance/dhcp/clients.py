"""Which program asks, and on which architecture: what network boot clients say of themselves.

The one rule: firmware is believed in as many spellings as it is known to use,
because what a machine's firmware says cannot be mended by its operator.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from appliance.boot.architectures import UNSAID, Architecture, architecture_of
from appliance.dhcp.options import (
    OPT_CLIENT_ARCH,
    OPT_IPXE,
    OPT_USER_CLASS,
    OPT_VENDOR_CLASS,
    scan_options,
)
from appliance.events import Client

_ARCH_TEXT = re.compile(rb"Arch:(\d{1,5})(?!\d)")

# iPXE's feature flags in option 175 (ipxe/features.h).
_FIRST_FEATURE, _LAST_FEATURE, _FEATURE_HTTP = 0x10, 0x4F, 0x13


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """The program that asks. Compared by identity, because each reply's template is looked up by it."""

    client: Client
    architecture: Architecture

    @property
    def arch(self) -> str:
        """The architecture's name, for events."""
        return self.architecture.name

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
        return Asker(Client.OS, UNSAID)
    return Asker(client, architecture_of(_architecture_codes(vendor_class, arch)))


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
