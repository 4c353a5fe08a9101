"""Where the iPXE binaries are: in the data directory, or where a distribution's package installs them.

The one rule: a file name from the network leads only to regular files below the
directory in which it is looked up.
"""

from pathlib import Path

from appliance.files import find_below, normalised

_DEBIAN = "/usr/lib/ipxe"
_FEDORA = "/usr/share/ipxe"  # Fedora, RHEL and its relatives
_IPXE_EFI = (f"{_DEBIAN}/ipxe.efi", "/boot/ipxe.efi", f"{_FEDORA}/ipxe-x86_64.efi", f"{_FEDORA}/ipxe.efi")
_SNPONLY_EFI = (f"{_DEBIAN}/snponly.efi", f"{_FEDORA}/ipxe-snponly-x86_64.efi", f"{_FEDORA}/snponly.efi")

_X86_PACKAGE = "apt install ipxe (Debian, Ubuntu) or dnf install ipxe-bootimgs-x86 (Fedora, RHEL)"
_ARM64_PACKAGE = "dnf install ipxe-bootimgs-aarch64 (Fedora, RHEL; Debian 12 has none)"

# By the name that a client requests; the first path that exists is served. Names without a directory are for clients
# that another DHCP server sends here.
_PACKAGED: dict[str, tuple[str, ...]] = {
    "efi/ipxe.efi": _IPXE_EFI,
    "ipxe.efi": _IPXE_EFI,
    "efi/snponly.efi": _SNPONLY_EFI,
    "snponly.efi": _SNPONLY_EFI,
    "i386-efi/ipxe.efi": (f"{_FEDORA}/ipxe-i386.efi",),
    "arm64-efi/ipxe.efi": (f"{_FEDORA}/arm64-efi/ipxe.efi",),
    "arm64-efi/snponly.efi": (f"{_FEDORA}/arm64-efi/snponly.efi",),
    "undionly.kpxe": (f"{_DEBIAN}/undionly.kpxe", f"{_FEDORA}/undionly.kpxe"),
    "undionly.kkpxe": (f"{_DEBIAN}/undionly.kkpxe",),
    "ipxe.pxe": (f"{_DEBIAN}/ipxe.pxe",),
    "ipxe.lkrn": (f"{_DEBIAN}/ipxe.lkrn", "/boot/ipxe.lkrn", f"{_FEDORA}/ipxe.lkrn"),
}
KNOWN_LOADERS = frozenset(_PACKAGED)


def find_loader(name: str, data_dir: Path) -> Path | None:
    """Return the file that is served as the boot file *name*, or None if there is none.

    A file at data_dir/tftp/<name> takes precedence over the distribution's.
    """
    return find_below(data_dir / "tftp", name) or packaged_loader(name)


def packaged_loader(name: str) -> Path | None:
    """Return the file of the distribution's packages that is served as *name*, or None if there is none."""
    return next((path for path in map(Path, _PACKAGED.get(normalised(name), ())) if path.is_file()), None)


def package_hint(name: str) -> str:
    """Return what the operator can do to make the boot file *name* available."""
    wanted = normalised(name)
    place = f"put it at tftp/{wanted} in the data directory"
    if wanted not in KNOWN_LOADERS:
        return place
    return f"{_ARM64_PACKAGE if wanted.startswith('arm64') else _X86_PACKAGE}, or {place}"
