"""The files that machines boot: named rightly, and there. What is missing on disk is a warning, for it may yet come."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from appliance.boot.loaders import find_loader, package_hint
from appliance.config import fields
from appliance.config.document import Path_, Placed
from appliance.config.draft import DefaultsDraft, Draft
from appliance.errors import Problem
from appliance.model import Arch, Install, Release

# Names under / that the web server gives to something else.
RESERVED_NAMES = {"pxeboot.ipxe", "autoexec.ipxe", "bootstrap.ign", "master.ign", "worker.ign"}
RESERVED_DIRECTORIES = {"ipxe", "efi", "ignition"}

# Firmware asks for these first (DHCP chooses by architecture; loaders.py knows the packages).
LOADERS = {Arch.X86_64: ("efi/ipxe.efi", "undionly.kpxe"), Arch.AARCH64: ("arm64-efi/snponly.efi",)}

NOUNS = {"kernel": "kernel", "initramfs": "initramfs", "rootfs": "root file system", "metal": "disk image"}

GENERATED_ARGUMENTS = {
    "coreos.inst.install_dev": "rootDeviceHints.deviceName",
    "coreos.inst.ignition_url": "the role",
    "coreos.inst.image_url": "images.metal",
    "coreos.live.rootfs_url": "images.rootfs",
    "initrd": "images.initramfs",
    **dict.fromkeys(("ip", "nameserver", "bond", "vlan"), "networkConfig"),
}


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with what one file's machines boot."""
    for defaults in _defaults(draft):
        yield from _arguments(defaults)
        if defaults.install and defaults.install.value is Install.ALWAYS:
            yield defaults.install.warning(
                "always installs again at every network boot, also at the reboots that belong to an installation;"
                " the disk must come first in the firmware's boot order"
            )
    mixed = list(_mixed_releases(draft))
    yield from mixed
    for arch, where in draft.arches.items():
        if not mixed:
            yield from _images(draft, arch)
        yield from _loaders(draft, arch, where)
    yield from _own_loaders(draft)


def _defaults(draft: Draft) -> list[DefaultsDraft]:
    return [*draft.roles, *(host.own for host in draft.hosts)]


def _arguments(defaults: DefaultsDraft) -> Iterator[Problem]:
    for argument in defaults.kernel_arguments:
        key, _, _ = argument.value.partition("=")
        if origin := GENERATED_ARGUMENTS.get(key):
            yield argument.warning(f"{key}= comes from {origin} already; this second one may win or lose")


def _mixed_releases(draft: Draft) -> Iterator[Problem]:
    release, images, at = draft.release, draft.file.images, draft.document.at
    if release is None:
        return
    own = [(arch, getattr(images, arch.value)) for arch in Arch]
    for said in (
        at(images.release, "images", "release"),
        *(at(section.release, "images", arch.value, "release") for arch, section in own if section),
    ):
        of_images = _release_of(said) if said else None
        if said and of_images and of_images.boots_live is not release.boots_live:
            yield said.error(
                f"{said.value} boots {_way(of_images)}, and release {release} {_way(release)};"
                " take images from 4.6 on for live releases, and from before it for the others"
            )


def _release_of(said: Placed[str]) -> Release | None:
    """Return the release that images are of; None for a build's number, as 416.94.202405291527-0."""
    try:
        return fields.parse_release(said.value)
    except ValueError:
        return None


def _way(release: Release) -> str:
    return "a live system" if release.boots_live else "an installer initramfs"


def _images(draft: Draft, arch: Arch) -> Iterator[Problem]:
    release, document = draft.release, draft.document
    if release is None:
        return
    for section in (("images",), ("images", arch.value)):
        if document.has(*section, "rootfs") and not release.boots_live:
            yield document.here(*section, "rootfs").warning(f"is not used: release {release} installs images.metal")
    first: dict[str, Placed[str]] = {}
    for image in draft.images.get(arch, ()):
        name = image.name.value
        top, slash, _ = name.partition("/")
        if name in RESERVED_NAMES or (slash and top in RESERVED_DIRECTORIES):
            yield image.name.error(f'"{name}" is an address that the appliance uses itself; rename the file')
        elif name in first:
            where = first[name].place(document)
            yield image.name.error(f'"{name}" is named twice (first on {where}); each kind is a file of its own')
        elif draft.data_dir is not None:
            first[name] = image.name
            file = draft.data_dir / "images" / name
            if why := file_fault(file, _other_spelling(file)):
                yield image.name.warning(f"the {NOUNS[image.kind]} {file} {why}")


def wrong_digests(draft: Draft) -> Iterator[Problem]:
    """Yield the images that are not what their sha256 says. Reads them whole: seconds for a gigabyte."""
    if draft.data_dir is None:
        return
    for image in (image for images in draft.images.values() for image in images):
        file = draft.data_dir / "images" / image.name.value
        if image.sha256 is None or file_fault(file, ""):
            continue
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != image.sha256.value:
            yield image.sha256.error(f"{file} has {found}; fetch it again, or write what its publisher says")


def file_fault(path: Path, remedy: str) -> str | None:
    """Return why the file at *path* could not be served; *remedy* follows when it is not there. None when it can."""
    try:
        if path.is_dir():
            return "is a directory; put the file there"
        if not path.exists():
            return f"is not there{remedy}"
        if not path.is_file():
            return "is no regular file; put the file there"
        if not os.access(path, os.R_OK, effective_ids=True):
            return "may not be read by this user; chown it to the one who serves, or chmod a+r what is no secret"
        return "is empty; fetch it again" if path.stat().st_size == 0 else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _other_spelling(path: Path) -> str:
    # RHCOS 4.19 came to write live-kernel.x86_64 for live-kernel-x86_64, nobody is sure in which build.
    for old, new in (("-kernel-", "-kernel."), ("-kernel.", "-kernel-")):
        other = path.with_name(path.name.replace(old, new))
        if other != path and other.is_file():
            return f", but {other.name} is; name that as images.kernel"
    return "; fetch it from the mirror, and put it there under this name"


def _loaders(draft: Draft, arch: Arch, where: Path_) -> Iterator[Problem]:
    if draft.data_dir is None:
        return
    for name in LOADERS[arch]:
        if find_loader(name, draft.data_dir) is None:
            yield draft.document.here(*where).warning(
                f"the boot file {name} for {arch} is not there; {package_hint(name)}"
            )


def _own_loaders(draft: Draft) -> Iterator[Problem]:
    for loader in (defaults.loader for defaults in _defaults(draft)):
        if loader and draft.data_dir is not None and find_loader(loader.value, draft.data_dir) is None:
            yield loader.warning(f"the boot file {loader.value} is not there; {package_hint(loader.value)}")
