"""Where the loaders are: in the data directory, or where a distribution's package installs them.

The one rule: a file name from the network leads only to regular files below the
directory in which it is looked up. Their bytes are never changed.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
    "arm64-efi/ipxe.efi": (f"{_FEDORA}/arm64-efi/ipxe.efi", f"{_DEBIAN}/ipxe-arm64.efi"),
    "arm64-efi/snponly.efi": (f"{_FEDORA}/arm64-efi/snponly.efi",),
    "undionly.kpxe": (f"{_DEBIAN}/undionly.kpxe", f"{_FEDORA}/undionly.kpxe"),
    "undionly.kkpxe": (f"{_DEBIAN}/undionly.kkpxe",),
    "ipxe.pxe": (f"{_DEBIAN}/ipxe.pxe",),
    "ipxe.lkrn": (f"{_DEBIAN}/ipxe.lkrn", "/boot/ipxe.lkrn", f"{_FEDORA}/ipxe.lkrn"),
}

# The signed programs by the directory in which they are served: shim, the GRUB that it fetches from there, and its key
# manager. Each dictionary is one distribution's set, and a set is used only if it has shim and GRUB: a shim starts only
# programs that its own distribution has signed.
_RHEL, _SHIM, _DI = "/boot/efi/EFI/redhat", "/usr/lib/shim", "/usr/lib/debian-installer/images"
_SIGNED: Mapping[str, tuple[Mapping[str, str], ...]] = MappingProxyType(
    {
        "shim/x64": (
            {name: f"{_RHEL}/{name}" for name in ("shimx64.efi", "grubx64.efi", "mmx64.efi")},
            {
                "shimx64.efi": f"{_SHIM}/shimx64.efi.signed",
                "grubx64.efi": "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
                "mmx64.efi": f"{_SHIM}/mmx64.efi.signed",
            },
            *(
                {
                    "shimx64.efi": f"{_DI}/{release}/amd64/text/debian-installer/amd64/bootnetx64.efi",
                    "grubx64.efi": f"{_DI}/{release}/amd64/text/debian-installer/amd64/grubx64.efi",
                }
                for release in (13, 12)
            ),
        ),
        "shim/aa64": (
            {name: f"{_RHEL}/{name}" for name in ("shimaa64.efi", "grubaa64.efi", "mmaa64.efi")},
            {
                "shimaa64.efi": f"{_SHIM}/shimaa64.efi.signed",
                "grubaa64.efi": "/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed",
                "mmaa64.efi": f"{_SHIM}/mmaa64.efi.signed",
            },
            *(
                {
                    "shimaa64.efi": f"{_DI}/{release}/arm64/text/debian-installer/arm64/bootnetaa64.efi",
                    "grubaa64.efi": f"{_DI}/{release}/arm64/text/debian-installer/arm64/grubaa64.efi",
                }
                for release in (13, 12)
            ),
        ),
    }
)
# shim asks for GRUB at the root of the TFTP server where a DHCP server names its boot file in option 67 alone.
_AT_THE_ROOT = {name: directory for directory, (first, *_) in _SIGNED.items() for name in first}
_SIGNED_PACKAGES = {
    "shim/x64": (
        "copy /boot/efi/EFI/redhat/{name} of RHEL (packages shim-x64 and grub2-efi-x64) to {place}, or apt install "
        "shim-signed grub-efi-amd64-signed (Debian, Ubuntu; their shim does not start the kernel of RHCOS)"
    ),
    "shim/aa64": (
        "copy /boot/efi/EFI/redhat/{name} of RHEL (packages shim-aa64 and grub2-efi-aa64) to {place}, or apt install "
        "shim-signed grub-efi-arm64-signed (Debian, Ubuntu; their shim does not start the kernel of RHCOS)"
    ),
}
KNOWN_LOADERS = frozenset({*_PACKAGED, *_AT_THE_ROOT, *(f"{where}/{name}" for name, where in _AT_THE_ROOT.items())})


def find_loader(name: str, data_dir: Path) -> Path | None:
    """Return the file that is served as the boot file *name*, or None if there is none.

    A file at data_dir/tftp/<name> takes precedence over the distribution's.
    """
    return find_below(data_dir / "tftp", name) or packaged_loader(name, data_dir)


def packaged_loader(name: str, data_dir: Path) -> Path | None:
    """Return the file of the distribution's packages that is served as *name*, or None if there is none.

    A signed program comes from the packages only if *data_dir* has none of those that go with it.
    """
    directory, _, last = normalised(name).rpartition("/")
    directory = directory or _AT_THE_ROOT.get(last, "")
    if directory in _SIGNED:
        return _signed(directory, last, data_dir)
    return next((path for path in map(Path, _PACKAGED.get(normalised(name), ())) if _is_file(path)), None)


def _signed(directory: str, name: str, data_dir: Path) -> Path | None:
    own = data_dir / "tftp" / directory
    for paths in _SIGNED[directory]:
        shim, grub = tuple(paths)[:2]
        if _is_file(own / shim) or _is_file(own / grub):
            path = own / name
        elif _is_file(Path(paths[shim])) and _is_file(Path(paths[grub])) and name in paths:
            path = Path(paths[name])
        else:
            continue
        return path if _is_file(path) else None
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # RHEL's /boot/efi is for root alone
        return False


def package_hint(name: str) -> str:
    """Return what the operator can do to make the boot file *name* available."""
    wanted = normalised(name)
    place = f"put it at tftp/{wanted} in the data directory"
    directory, _, last = wanted.rpartition("/")
    if wanted not in KNOWN_LOADERS:
        return place
    if directory in _SIGNED or last in _AT_THE_ROOT:
        directory = directory or _AT_THE_ROOT[last]
        return _SIGNED_PACKAGES[directory].format(name=last, place=f"tftp/{directory}/ in the data directory")
    return f"{_ARM64_PACKAGE if wanted.startswith('arm64') else _X86_PACKAGE}, or {place}"
