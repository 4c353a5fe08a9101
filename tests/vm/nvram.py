"""UEFI variables for OVMF and AAVMF: a boot order of our own, written into a variable store.

QEMU's bootindex cannot say "PXE over IPv4, then the disk": OVMF puts every boot
entry of the network card first, and HTTP Boot alone waits a minute for an offer.
Layouts: edk2 MdeModulePkg/Include/Guid/VariableFormat.h, UEFI 2.10 sections 3.1.3 and 10.3.
"""

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

AUTHENTICATED_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")

STORE_OFFSET = 0x48  # the firmware volume's header comes first
STORE_HEADER_BYTES = 28
VARIABLE_START = 0x55AA
VARIABLE_ADDED = 0x3F
VARIABLE_HEADER_BYTES, VARIABLE_SIZES_OFFSET = 60, 36
KEPT_AND_SEEN_AT_RUNTIME = 7  # NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS
LOAD_OPTION_ACTIVE = 1
# The variables of Secure Boot. Debian's store with Microsoft's keys has others too, of the machine that made it.
KEYS = ("certdb", "db", "dbx", "KEK", "PK", "VendorKeysNv", "SecureBootEnable", "CustomMode")


@dataclass(frozen=True, slots=True)
class BootEntry:
    """One Boot#### variable."""

    description: str
    device_path: bytes


def pxe_ipv4(device: int, mac: bytes) -> BootEntry:
    """Return the entry for PXE over IPv4 of the network card at PCI device number *device*."""
    return BootEntry("PXE over IPv4", _card(device, mac) + _IPV4 + _END)


def http_ipv4(device: int, mac: bytes) -> BootEntry:
    """Return the entry for HTTP Boot over IPv4 of the network card at PCI device number *device*."""
    return BootEntry("HTTP over IPv4", _card(device, mac) + _IPV4 + _node(3, 24, b"") + _END)


def pxe_ipv6(device: int, mac: bytes) -> BootEntry:
    """Return the entry for PXE over IPv6 of the network card at PCI device number *device*."""
    return BootEntry("PXE over IPv6", _card(device, mac) + _IPV6 + _END)


def http_ipv6(device: int, mac: bytes) -> BootEntry:
    """Return the entry for HTTP Boot over IPv6 of the network card at PCI device number *device*."""
    return BootEntry("HTTP over IPv6", _card(device, mac) + _IPV6 + _node(3, 24, b"") + _END)


def disk(device: int) -> BootEntry:
    """Return the entry for the removable-media path of the virtio disk at PCI device number *device*."""
    return BootEntry("Disk", _pci(device) + _END)


def with_boot_order(store: bytes, entries: Sequence[BootEntry], *, keeps_keys: bool = False) -> bytes:
    """Return the variable store *store* with *entries* as its boot order, and with no other variables.

    With *keeps_keys* the keys of Secure Boot stay. Raises ValueError when it is no store of authenticated variables.
    """
    first = STORE_OFFSET + STORE_HEADER_BYTES
    if store[STORE_OFFSET : STORE_OFFSET + 16] != AUTHENTICATED_STORE.bytes_le:
        raise ValueError("not a variable store of OVMF or AAVMF with authenticated variables")
    found, end = _variables_of(store, first)
    kept = b"".join(found[name] for name in KEYS if name in found) if keeps_keys else b""
    variables = (
        kept
        + b"".join(_variable(f"Boot{number:04X}", _load_option(entry)) for number, entry in enumerate(entries))
        + _variable("BootOrder", struct.pack(f"<{len(entries)}H", *range(len(entries))))
    )
    erased = variables.ljust(end - first, b"\xff")
    return store[:first] + erased + store[first + len(erased) :]


def _variables_of(store: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """Return the variables of *store* in their binary form by name, and where they end."""
    found = {}
    while int.from_bytes(store[at : at + 2], "little") == VARIABLE_START:
        name_bytes, data_bytes = struct.unpack_from("<II", store, at + VARIABLE_SIZES_OFFSET)
        names_at = at + VARIABLE_HEADER_BYTES
        after = names_at + name_bytes + data_bytes
        after += -after % 4
        if store[at + 2] == VARIABLE_ADDED:  # the others have been deleted or replaced
            name = store[names_at : names_at + name_bytes].decode("utf-16-le").rstrip("\0")
            found[name] = store[at:after]
        at = after
    return found, at


def _variable(name: str, data: bytes) -> bytes:
    spelled = (name + "\0").encode("utf-16-le")
    header = struct.pack(
        "<HBBIQ16sIII16s",
        VARIABLE_START, VARIABLE_ADDED, 0, KEPT_AND_SEEN_AT_RUNTIME,
        0, bytes(16), 0,  # count, time and key: of authenticated variables only
        len(spelled), len(data), GLOBAL_VARIABLE.bytes_le,
    )  # fmt: skip
    content = header + spelled + data
    return content + b"\xff" * (-len(content) % 4)


def _load_option(entry: BootEntry) -> bytes:
    description = (entry.description + "\0").encode("utf-16-le")
    return struct.pack("<IH", LOAD_OPTION_ACTIVE, len(entry.device_path)) + description + entry.device_path


def _node(kind: int, subtype: int, data: bytes) -> bytes:
    return struct.pack("<BBH", kind, subtype, 4 + len(data)) + data


def _pci(device: int) -> bytes:
    # PciRoot(0), which is the ACPI device PNP0A03, and function 0 of the device.
    return _node(2, 1, struct.pack("<II", 0x0A0341D0, 0)) + _node(1, 1, bytes((0, device)))


def _card(device: int, mac: bytes) -> bytes:
    return _pci(device) + _node(3, 11, mac.ljust(32, b"\0") + b"\x01")  # interface type 1: Ethernet


_IPV4 = _node(3, 12, bytes(23))
_IPV6 = _node(3, 13, bytes(39) + bytes((64,)) + bytes(16))  # the prefix length stands before the gateway
_END = _node(0x7F, 0xFF, b"")
