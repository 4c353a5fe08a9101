"""What a machine loads next: which loader, which script, then the kernel or its own disk.

The one rule: a chain is data, the steps from the program that runs now to the
installer or the disk, and one function chooses it, `chain`. DHCP sends the first
step; the scripts of iPXE and GRUB are the other steps as text; `validate` and the demonstration
check that the loaders exist.

    firmware, by PXE or UEFI HTTP Boot → iPXE → pxeboot.ipxe → the host's script → kernel, initramfs
    the same                           → shim → GRUB → grub.cfg → grub/boot.cfg → kernel, initramfs
    an installed host                  → its disk: at once (no boot file), or through pxeboot.ipxe

How a chain is added:

- Another loader is a member of `Loader`, and its file for each firmware a row of
  `_FILES`; where packages have it is in `loaders.py`. One that fetches a second program
  from its own directory has that in `_SECOND`. GRUB reads grub.cfg and does not ask DHCP
  again: its SCRIPT step has another URL (`urls.py`), and `grub.py` makes the text.
- Another way to install is a member of `model.Boot`. Its chain differs after the script
  only: `Cluster.images_of` says what a host boots, and `ipxe.kernel_arguments` with what.
- Another way to start the disk is a row of `DISK`.

Whether a host may install is decided in `install/lifecycle.py`, and passed as *starts_disk*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from appliance.boot import urls
from appliance.boot.architectures import Architecture, Firmware
from appliance.events import Program
from appliance.model import Arch, Boot, Cluster, Host, Loader, LocalBoot


class Kind(StrEnum):
    """What a step loads."""

    LOADER = "loader"  # a program that firmware starts
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRAMFS = "initramfs"
    DISK = "disk"  # nothing more from the network: firmware goes on to its next boot entry


class Step(NamedTuple):
    """One thing that a machine loads. A tuple, because DHCP makes a chain for each new kind of reply."""

    kind: Kind
    target: str = ""  # a URL, or a path for TFTP; for the disk see `to_disk`


@dataclass(frozen=True, slots=True)
class DiskBoot:
    """How an installed machine is sent to its own disk."""

    # Without a boot file, DHCP assigns an address, and adds what makes firmware go on to its next boot entry at once
    # (`to_disk`): otherwise it would keep asking for a minute or more.
    has_boot_file: bool
    script: str  # template in ipxe/; without a boot file, only iPXE that a person starts at the console gets it


DISK: Mapping[LocalBoot, DiskBoot] = MappingProxyType(
    {
        LocalBoot.NO_OFFER: DiskBoot(False, "local-exit"),
        LocalBoot.EXIT: DiskBoot(True, "local-exit"),
        LocalBoot.SANBOOT: DiskBoot(True, "local-sanboot"),
    }
)

_BIOS, _X64 = (Firmware.BIOS, "x86_64"), (Firmware.UEFI, "x86_64")
_IA32, _ARM64 = (Firmware.UEFI, "i386"), (Firmware.UEFI, "aarch64")

# The file of each loader by firmware and processor. On ARM, `auto` is snponly: iPXE has few drivers for the network
# cards of such machines.
_FILES: Mapping[Loader, Mapping[tuple[Firmware, str], str]] = MappingProxyType(
    {
        Loader.AUTO: {
            _X64: "efi/ipxe.efi",
            _BIOS: "undionly.kpxe",
            _IA32: "i386-efi/ipxe.efi",
            _ARM64: "arm64-efi/snponly.efi",
        },
        Loader.IPXE: {
            _X64: "efi/ipxe.efi",
            _BIOS: "ipxe.pxe",
            _IA32: "i386-efi/ipxe.efi",
            _ARM64: "arm64-efi/ipxe.efi",
        },
        Loader.IPXE_SNP: {_X64: "efi/snponly.efi", _ARM64: "arm64-efi/snponly.efi"},
        Loader.UNDIONLY: {_BIOS: "undionly.kpxe"},
        Loader.SHIM: {_X64: "shim/x64/shimx64.efi", _ARM64: "shim/aa64/shimaa64.efi"},
    }
)
# What a loader fetches from its own directory before it runs a script.
_SECOND: Mapping[str, str] = MappingProxyType(
    {"shim/x64/shimx64.efi": "shim/x64/grubx64.efi", "shim/aa64/shimaa64.efi": "shim/aa64/grubaa64.efi"}
)


def chain(
    cluster: Cluster,
    host: Host,
    program: Program,
    architecture: Architecture,
    *,
    starts_disk: bool,
    loader: Loader = Loader.AUTO,
) -> tuple[Step, ...]:
    """Return what *host* loads from now on, while *program* runs on *architecture*.

    *starts_disk* is whether it is to boot from its disk instead of installing. *loader*
    is what `loader: auto` gives it, where that has a file for its firmware. The chain of
    an operating system is empty.
    """
    if program is Program.OS:
        return ()
    if host.boot is Boot.NOTHING or (starts_disk and not DISK[host.local_boot].has_boot_file):
        return to_disk(cluster, host, program)
    base = urls.base_url(cluster, host.address)
    menu = Step(Kind.SCRIPT, urls.menu_url(base))
    rest = (menu, Step(Kind.DISK)) if starts_disk else (menu, *installer(cluster, host, base))
    if program is Program.IPXE:
        return rest
    file = loader_file(host.loader, program, architecture, host.arch)
    if host.loader is Loader.AUTO and loader is not Loader.AUTO:
        file = loader_file(loader, program, architecture, host.arch) or file
    if file is None:
        # There is no loader for this firmware.
        return to_disk(cluster, host, program)
    files = [file]
    if file in _SECOND:
        files.append(_SECOND[file])
        rest = (Step(Kind.SCRIPT, urls.grub_script_url(base)), *(step for step in rest if step.kind is not Kind.SCRIPT))
    return (*(_loader_step(base, file, program) for file in files), *rest)


def _loader_step(base: str, file: str, program: Program) -> Step:
    return Step(Kind.LOADER, urls.loader_url(base, file) if program is Program.HTTP else file)


def to_disk(cluster: Cluster, host: Host, program: Program) -> tuple[Step, ...]:
    """Return the chain of *host* when it gets no boot file.

    Its target is the URL that UEFI HTTP Boot is offered: edk2 takes no offer without
    one and repeats its request for a minute, but goes on as soon as the URL leads to
    nothing. PXE over IPv4 has a boot menu for this (option 43, dhcp/templates.py), and
    over IPv6 firmware gives up after the first offer without a boot file.
    """
    url = urls.no_boot_file_url(urls.base_url(cluster, host.address)) if program is Program.HTTP else ""
    return (Step(Kind.DISK, url),)


def boot_file(steps: tuple[Step, ...]) -> str:
    """Return the boot file that DHCP sends for *steps*: a path for TFTP or a URL; "" for none."""
    return steps[0].target if steps and steps[0].kind is not Kind.DISK else ""


def installer(cluster: Cluster, host: Host, base: str) -> tuple[Step, ...]:
    """Return what *host* loads after the menu, until its installer runs.

    *base* is the web server's URL. If cluster.yaml has no images for the host's
    architecture, that is only its script, which then says so.
    """
    script = Step(Kind.SCRIPT, urls.script_url(base, host.macs[0]))
    images = cluster.images_of(host)
    if images is None:
        return (script,)
    return (
        script,
        Step(Kind.KERNEL, urls.image_url(base, images.kernel.name)),
        Step(Kind.INITRAMFS, urls.image_url(base, images.initramfs.name)),
    )


def loader_file(loader: Loader | str, program: Program, architecture: Architecture, arch: Arch) -> str | None:
    """Return the path of *loader* for a host of *arch* whose firmware is *architecture*; None if there is none."""
    if not isinstance(loader, Loader):
        return loader
    firmware, processor = architecture.firmware, architecture.processor
    if arch is Arch.AARCH64 and firmware in (Firmware.UNSTATED, Firmware.BIOS):
        # A Raspberry Pi sends 0, BIOS (raspberrypi/firmware #1928), although no ARM machine has a BIOS.
        firmware, processor = Firmware.UEFI, "aarch64"
    elif firmware is Firmware.UNSTATED:
        # No option 93 and no Arch in the vendor class: ROMs older than both are BIOS ROMs. Only UEFI has HTTP Boot.
        firmware, processor = (Firmware.UEFI if program is Program.HTTP else Firmware.BIOS), "x86_64"
    return _FILES[loader].get((firmware, processor))


def alternatives(file: str) -> tuple[tuple[Loader, str], ...]:
    """Return the loaders for the firmware that *file* is for, each with its file, in the order to try them.

    The first is where `auto` begins; () if *file* is no loader's.
    """
    return _ALTERNATIVES.get(file, ())


def files_of(file: str) -> tuple[str, ...]:
    """Return the boot file *file*, and what that fetches from its own directory before it runs a script."""
    return (file, _SECOND[file]) if file in _SECOND else (file,)


def _alternatives() -> Mapping[str, tuple[tuple[Loader, str], ...]]:
    found: dict[str, tuple[tuple[Loader, str], ...]] = {}
    for platform in dict.fromkeys(platform for files in _FILES.values() for platform in files):
        by_file: dict[str, Loader] = {}
        for loader, files in _FILES.items():
            if platform in files:
                by_file.setdefault(files[platform], loader)
        ladder = tuple((loader, file) for file, loader in by_file.items())
        found |= dict.fromkeys(by_file, ladder)
    return MappingProxyType(found)


_ALTERNATIVES = _alternatives()


def usual_files(loader: Loader | str, arch: Arch) -> tuple[str, ...]:
    """Return the paths of *loader* for the usual firmware of *arch* machines."""
    if not isinstance(loader, Loader):
        return (loader,)
    # Without that for a 32-bit UEFI: it is rare, and Debian does not package it, so a warning that it is missing would
    # be wrong at most sites.
    first = (file for (_, processor), file in _FILES[loader].items() if processor == arch.value)
    return tuple(each for file in first for each in (file, _SECOND.get(file)) if each)
