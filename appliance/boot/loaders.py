"""Where the iPXE binaries are: in the data directory, or where a distribution's package installs them.

The one rule: a file name from the network leads only to regular files below the
directory in which it is looked up.
"""

import os
import stat
from pathlib import Path

_DEBIAN = "/usr/lib/ipxe"
_FEDORA = "/usr/share/ipxe"  # Fedora, RHEL and its relatives
_IPXE_EFI = (f"{_DEBIAN}/ipxe.efi", "/boot/ipxe.efi", f"{_FEDORA}/ipxe-x86_64.efi", f"{_FEDORA}/ipxe.efi")
_SNPONLY_EFI = (f"{_DEBIAN}/snponly.efi", f"{_FEDORA}/ipxe-snponly-x86_64.efi", f"{_FEDORA}/snponly.efi")

_X86_PACKAGE = "apt install ipxe (Debian, Ubuntu) or dnf install ipxe-bootimgs-x86 (Fedora, RHEL)"
_ARM64_PACKAGE = "dnf install ipxe-bootimgs-aarch64 (Fedora, RHEL; Debian 12 has none)"

# By the name that a client requests; the first path that exists is served. Names without a directory are for DHCP
# servers that are not ours.
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


def normalised(name: str) -> str:
    """Return *name* with the slashes and letters that boot files are stored under.

    Firmware asks for efi\\IPXE.EFI, /efi/ipxe.efi and efi//ipxe.efi and means the same.
    """
    return tidied(name).lower()


def tidied(name: str) -> str:
    """Return *name* with the slashes that boot files are stored under, and its letters as they are."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def find_loader(name: str, data_dir: Path) -> Path | None:
    """Return the file that is served as the boot file *name*, or None when there is none.

    A file at data_dir/tftp/<name> takes precedence over the distribution's.
    """
    own = find_below(data_dir / "tftp", name)
    if own is not None:
        return own
    return next((path for path in map(Path, _PACKAGED.get(normalised(name), ())) if path.is_file()), None)


def package_hint(name: str) -> str:
    """Return what the operator can do to make the boot file *name* available."""
    wanted = normalised(name)
    place = f"put it at tftp/{wanted} in the data directory"
    if wanted not in KNOWN_LOADERS:
        return place
    return f"{_ARM64_PACKAGE if wanted.startswith('arm64') else _X86_PACKAGE}, or {place}"


def find_below(root: Path, name: str) -> Path | None:
    """Return the real path of the regular file *name* below *root*, or None.

    Letters match in any case where no file has the exact name. Parent steps,
    names that begin with a dot, symbolic links that lead out of *root*, and
    whatever is no regular file are not found.
    """
    found = entry_below(root, name)
    return found if found is not None and found.is_file() else None


def entry_below(root: Path, name: str) -> Path | None:
    """Return the real path of the regular file or directory *name* below *root*, or None; see find_below."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if any(part.startswith(".") or not part.isprintable() for part in parts):
        return None
    try:
        top = found = root.resolve(strict=True)
        for part in parts:
            exact = found / part
            found = exact if exact.exists() else _matching(found, part)
        real = found.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop of links; ValueError: a NUL in the name
        return None
    return real if real.is_relative_to(top) and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) else None


def _matching(directory: Path, name: str) -> Path:
    """Return the first entry of *directory* that is spelled as *name* but for case.

    Raises FileNotFoundError when there is none.
    """
    wanted = name.lower()
    for entry in sorted(os.listdir(directory)):
        if entry.lower() == wanted:
            return directory / entry
    raise FileNotFoundError(name)
