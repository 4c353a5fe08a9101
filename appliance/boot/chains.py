"""What a machine loads next: which loader, which script, then the kernel or its own disk.

The one rule: a chain is chosen in one function, `chain`, and is data: the steps from
the program that runs now to the installer or the disk. DHCP sends the first step,
iPXE's scripts are the others as text, `validate` and the demonstration look after
the files that first steps name.

    firmware, by PXE or UEFI HTTP Boot → loader → pxeboot.ipxe → the host's script → kernel, initramfs
    an installed host                  → its disk: at once (no boot file), or through pxeboot.ipxe

How a chain is added:

- Another loader (a signed shim, GRUB for firmware that iPXE has no build for) is a row
  of `_LOADERS` where it is the one for that firmware, and a branch of `chain` where the
  operator chooses. A shim fetches its second stage from beside itself, so its chain has
  two LOADER steps, and both are names in `loaders.py`. GRUB reads grub.cfg instead of
  asking DHCP again: its SCRIPT step has another URL (`urls.py`), and its text a module
  beside `ipxe.py`.
- Another way to install (agent-based, bootstrap in place) differs behind the script only:
  it is a branch of `_installer`, which chooses kernel, initramfs and further images.
- Another way to start the disk is a row of `DISK`.

Who may install at all is decided elsewhere (`install/lifecycle.py`); *starts_disk* says it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from appliance.boot import urls
from appliance.boot.architectures import Architecture, Firmware
from appliance.events import Client
from appliance.model import Arch, Cluster, Host, LocalBoot


class Kind(StrEnum):
    """What a step loads."""

    LOADER = "loader"  # a program that firmware starts
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRAMFS = "initramfs"
    DISK = "disk"  # nothing more from the network


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a machine loads."""

    kind: Kind
    target: str = ""  # a URL, or a path for TFTP; "" for the disk


@dataclass(frozen=True, slots=True)
class DiskBoot:
    """How an installed machine is sent to its own disk."""

    # Without one, DHCP gives an address alone. UEFI and most ROMs then go on to their next boot entry; a PXE
    # ROM is given a boot menu besides whose one entry is the disk (option 43, dhcp/templates.py).
    has_boot_file: bool
    script: str  # the template in ipxe/; without a boot file, for who chained to us by hand


DISK: Mapping[LocalBoot, DiskBoot] = MappingProxyType(
    {
        LocalBoot.NO_OFFER: DiskBoot(False, "local-exit"),
        LocalBoot.EXIT: DiskBoot(True, "local-exit"),
        LocalBoot.SANBOOT: DiskBoot(True, "local-sanboot"),
    }
)

# What iPXE is built as for each firmware. On ARM it is the build that drives the card through the firmware
# (snponly): iPXE has few drivers of its own for the cards of such machines.
_LOADERS: Mapping[tuple[Firmware, str], str] = MappingProxyType(
    {
        (Firmware.UEFI, "x86_64"): "efi/ipxe.efi",
        (Firmware.BIOS, "x86_64"): "undionly.kpxe",
        (Firmware.UEFI, "i386"): "i386-efi/ipxe.efi",
        (Firmware.UEFI, "aarch64"): "arm64-efi/snponly.efi",
    }
)


def chain(
    cluster: Cluster, host: Host, client: Client, architecture: Architecture, *, starts_disk: bool
) -> tuple[Step, ...]:
    """Return what *host* loads from now on, where *client* runs on *architecture*.

    *starts_disk* is whether it boots the system on its disk rather than installs.
    An operating system loads nothing: ().
    """
    if client is Client.OS:
        return ()
    if starts_disk and not DISK[host.local_boot].has_boot_file:
        return (Step(Kind.DISK),)
    base = urls.base_url(cluster, host.address)
    scripts = (Step(Kind.SCRIPT, urls.menu_url(base)),)
    rest = (*scripts, Step(Kind.DISK)) if starts_disk else (*scripts, *installer(cluster, host))
    if client is Client.IPXE:
        return rest
    loader = host.loader or default_loader(client, architecture, host.arch)
    if loader is None:
        # Nothing runs on this firmware: it gets its address, and goes on to its next boot entry.
        return (Step(Kind.DISK),)
    return (Step(Kind.LOADER, urls.loader_url(base, loader) if client is Client.HTTP else loader), *rest)


def boot_file(steps: tuple[Step, ...]) -> str:
    """Return what DHCP names for the first of *steps*: a path for TFTP or a URL; "" for nothing to load."""
    return steps[0].target if steps else ""


def installer(cluster: Cluster, host: Host) -> tuple[Step, ...]:
    """Return what *host* loads after the menu until its installer runs; no kernel where cluster.yaml names none."""
    base = urls.base_url(cluster, host.address)
    script = Step(Kind.SCRIPT, urls.script_url(base, host.macs[0]))
    images = cluster.images.get(host.arch)
    if images is None:
        return (script,)
    return (
        script,
        Step(Kind.KERNEL, urls.image_url(base, images.kernel.name)),
        Step(Kind.INITRAMFS, urls.image_url(base, images.initramfs.name)),
    )


def default_loader(client: Client, architecture: Architecture, arch: Arch) -> str | None:
    """Return the loader for a host of *arch* that has none of its own in cluster.yaml, as TFTP names it."""
    firmware, processor = architecture.firmware, architecture.processor
    if arch is Arch.AARCH64 and firmware in (Firmware.UNSAID, Firmware.BIOS):
        # Raspberry Pis send 0, which is BIOS (raspberrypi/firmware #1928); no ARM machine has one.
        firmware, processor = Firmware.UEFI, "aarch64"
    elif firmware is Firmware.UNSAID:
        # No option 93 and no Arch in the vendor class: ROMs older than both are BIOS ROMs. HTTP Boot is UEFI's.
        firmware, processor = (Firmware.UEFI if client is Client.HTTP else Firmware.BIOS), "x86_64"
    return _LOADERS.get((firmware, processor))


def usual_loaders(arch: Arch) -> tuple[str, ...]:
    """Return the loaders that the firmware of most machines of *arch* asks for."""
    # A 32-bit UEFI is too rare for a warning that i386-efi/ipxe.efi is missing, which Debian has no package of.
    return tuple(loader for (_, processor), loader in _LOADERS.items() if processor == arch.value)
