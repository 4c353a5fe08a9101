"""The files that machines boot: their names, and whether they exist. A missing file can be added later: a warning."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.boot.urls import is_reserved
from appliance.config.checks.contents import misfit_of
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.images import ARTIFACTS_DIRECTORY, ImageDraft, is_okd, naming_of
from appliance.config.section_drafts import DefaultsDraft, HostDraft
from appliance.errors import Problem
from appliance.model import Arch, Boot, Install, Release

NOUNS = {"kernel": "kernel", "initramfs": "initramfs", "rootfs": "root file system", "metal": "disk image"}

GENERATED_ARGUMENTS = {
    "coreos.inst.install_dev": "rootDeviceHints.deviceName",
    "coreos.inst.ignition_url": "the role",
    "coreos.inst.image_url": "images.metal",
    "coreos.live.rootfs_url": "images.rootfs",
    "initrd": "images.initramfs",
}

# Made from networkConfig. Without it only ip=dhcp is made, and not for every host.
NETWORK_ARGUMENTS = {"ip", "nameserver", "bond", "vlan"}


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with the images and kernel arguments of one file."""
    for defaults in _defaults(draft):
        yield from _arguments(defaults)
        if defaults.install and defaults.install.value is Install.ALWAYS:
            yield defaults.install.warning(
                "always reinstalls the host at every network boot, including the reboots during an installation; "
                "put the disk first in the firmware's boot order"
            )
    for host in draft.hosts:
        # An agent is given no arguments for the network but these.
        if host.boot is not Boot.NOTHING and not host.boot.is_embedded:
            yield from _network_arguments(host, draft.release)
    mixed = list(_mixed_releases(draft))
    yield from mixed
    if not mixed:
        yield from _image_files(draft)


def _defaults(draft: Draft) -> list[DefaultsDraft]:
    return [*draft.roles, *(host.own for host in draft.hosts if host.boot is not Boot.NOTHING)]


def _arguments(defaults: DefaultsDraft) -> Iterator[Problem]:
    for argument in defaults.kernel_arguments:
        key, _, _ = argument.value.partition("=")
        if origin := GENERATED_ARGUMENTS.get(key):
            yield argument.warning(
                f"{key}= is already set from {origin}, and only one of them takes effect; remove this one"
            )


def _network_arguments(host: HostDraft, release: Release | None) -> Iterator[Problem]:
    """Yield the arguments of *host* that set up the network a second time."""
    # An initramfs that writes a raw image always gets ip=dhcp. The live one uses DHCP anyway, and gets the argument
    # only for a host with several interfaces, together with the one to boot from, and for one without IPv4.
    is_only6 = host.address is None and host.address6 is not None
    has_ip_dhcp = (release is not None and not release.boots_live) or len(host.macs) - len(host.cards) > 1 or is_only6
    for argument in host.kernel_arguments:
        key, _, _ = argument.value.partition("=")
        if key in NETWORK_ARGUMENTS and host.entry.network_config is not None:
            yield argument.warning(
                f"{key}= is already set from networkConfig, and only one of them takes effect; remove this one"
            )
        elif key == "ip" and has_ip_dhcp:
            own = "ip=dhcp6" if is_only6 else "ip=dhcp"
            yield argument.warning(f"the appliance already sets {own} for this host; use networkConfig instead")


def _mixed_releases(draft: Draft) -> Iterator[Problem]:
    release, images, at = draft.release, draft.file.images, draft.document.at
    if release is None:
        return
    own = [(arch, getattr(images, arch.value)) for arch in Arch]
    for written in (
        at(images.release, "images", "release"),
        *(at(section.release, "images", arch.value, "release") for arch, section in own if section),
    ):
        of_images = naming_of(written.value) if written else None
        if written and of_images and of_images.boots_live is not release.boots_live:
            yield written.error(
                f"images of {written.value} boot {_way(of_images)}, but release {release} installs with "
                f"{_way(release)}; use images of 4.6 or later with release 4.6 or later, and older ones with older "
                "releases"
            )


def _way(release: Release) -> str:
    return "a live system" if release.boots_live else "an installer initramfs"


def _image_files(draft: Draft) -> Iterator[Problem]:
    release, document = draft.release, draft.document
    for arch, images in draft.images.items():
        for section in (("images",), ("images", arch.value)):
            if release and not release.boots_live and document.has(*section, "rootfs"):
                yield document.here(*section, "rootfs").warning(f"not used: release {release} installs images.metal")
        yield from _images(draft, arch, images)
    for (_, arch), images in draft.artifacts.items():
        yield from _images(draft, arch, images)


def _images(draft: Draft, arch: Arch, images: Sequence[ImageDraft]) -> Iterator[Problem]:
    document = draft.document
    first: dict[str, Placed[str]] = {}
    for image in images:
        name = image.name.value
        if is_reserved(name):
            yield image.name.error(f'"{name}" is a URL path that the appliance uses itself; rename the file')
        elif name in first:
            where = first[name].place(document)
            yield image.name.error(f'"{name}" is already used on {where}; each kind of image is a file of its own')
        elif draft.data_dir is not None:
            first[name] = image.name
            if why := _image_fault(image, arch, draft.data_dir / "images" / name, draft):
                yield image.name.warning(why)


def _creation(image: ImageDraft) -> str:
    """Return the command that makes *image*; "" for one that is downloaded."""
    if image.name.value.startswith(f"{ARTIFACTS_DIRECTORY}/node."):
        return "oc adm node-image create --pxe"
    return "openshift-install agent create pxe-files" if image.name.value.startswith(ARTIFACTS_DIRECTORY) else ""


def _image_fault(image: ImageDraft, arch: Arch, file: Path, draft: Draft) -> str | None:
    """Return why *file* cannot be booted as *image*, or None."""
    is_by_release = image.name.path == ("release",)
    remedy = _other_spelling(file)
    if not remedy and is_by_release and draft.spelled_release and is_okd(draft.spelled_release.value):
        remedy = (
            "; a release of OKD does not say which build it boots: write that as images.release, for example "
            "10.0.20250628-0 (SCOS) or 39.20240210.3.0 (FCOS), or write the names of the files"
        )
    if made_by := _creation(image):
        remedy = f"; make it with `{made_by}`, and copy it to this path"
    why = file_fault(file, remedy or "; download it from the mirror to this path")
    if why is None:
        try:
            why = misfit_of(image.kind, arch, file)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        why = why and f"{why}; download it again"
    return why and f"{NOUNS[image.kind]} {file} {why}"


def wrong_digests(draft: Draft) -> Iterator[Problem]:
    """Yield the images that do not match their sha256. Reads them completely: seconds per gigabyte."""
    if draft.data_dir is None:
        return
    for image in (image for images in (*draft.images.values(), *draft.artifacts.values()) for image in images):
        file = draft.data_dir / "images" / image.name.value
        if image.sha256 is None or file_fault(file, ""):
            continue
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != image.sha256.value:
            yield image.sha256.error(
                f"{file} has the sha256 {found}; download it again, or write the sha256 that its publisher gives"
            )


def file_fault(path: Path, remedy: str) -> str | None:
    """Return why the file at *path* cannot be served, with *remedy* if it is missing; None if it can be."""
    try:
        if path.is_dir():
            return "is a directory; replace it with the file"
        if not path.exists():
            return f"not found{remedy}"
        if not path.is_file():
            return "is not a regular file; replace it with the file"
        if not os.access(path, os.R_OK, effective_ids=True):
            return (
                "cannot be read by this user; chown it to the user that runs the "
                "appliance, or chmod a+r it if it is not secret"
            )
        return "is empty; download it again" if path.stat().st_size == 0 else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _other_spelling(path: Path) -> str:
    # A build of RHCOS 4.19 changed live-kernel-x86_64 to live-kernel.x86_64, so a directory may have either name.
    for old, new in (("-kernel-", "-kernel."), ("-kernel.", "-kernel-")):
        other = path.with_name(path.name.replace(old, new))
        if other != path and os.path.isfile(other):
            return f", but {other.name} exists; write that name as images.kernel"
    return ""
