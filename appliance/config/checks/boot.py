"""The files that machines boot: named rightly, and there. What is missing on disk is a warning, for it may yet come."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from appliance.boot.chains import usual_loaders
from appliance.boot.loaders import find_loader, package_hint
from appliance.boot.urls import is_reserved
from appliance.config import fields
from appliance.config.document import Path_
from appliance.config.facts import Facts
from appliance.config.images import KINDS, names_of_release
from appliance.errors import Problem
from appliance.model import Arch, Install, Release

NOUNS = {"kernel": "kernel", "initramfs": "initramfs", "rootfs": "root file system", "metal": "disk image"}

GENERATED_ARGUMENTS = {
    "coreos.inst.install_dev": "rootDeviceHints.deviceName",
    "coreos.inst.ignition_url": "the role",
    "coreos.inst.image_url": "images.metal",
    "coreos.live.rootfs_url": "images.rootfs",
    "initrd": "images.initramfs",
    **dict.fromkeys(("ip", "nameserver", "bond", "vlan"), "networkConfig"),
}


def problems_in(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with what one file's machines boot."""
    for path in _places_of_defaults(facts):
        yield from _arguments(facts, path)
        install = facts.at(fields.parse_enum(Install), *path, "install")
        if install and install.value is Install.ALWAYS:
            yield install.warning(
                "always installs again at every network boot, also at the reboots that belong to an installation;"
                " the disk must come first in the firmware's boot order"
            )
    mixed = list(_mixed_releases(facts))
    yield from mixed
    for arch, where in _arches(facts).items():
        if not mixed:
            yield from _images(facts, arch)
        yield from _loaders(facts, arch, where)
    yield from _own_loaders(facts)


def _places_of_defaults(facts: Facts) -> Iterator[Path_]:
    for role in ("bootstrap", "master", "worker", "infra"):
        yield ("roles", role)
    for host in facts.hosts:
        yield host.entry.path


def _arguments(facts: Facts, path: Path_) -> Iterator[Problem]:
    for argument in facts.all_at(fields.parse_kernel_argument, *path, "kernelArguments"):
        key, _, _ = argument.value.partition("=")
        if origin := GENERATED_ARGUMENTS.get(key):
            yield argument.warning(f"{key}= comes from {origin} already; this second one may win or lose")


def _arches(facts: Facts) -> dict[Arch, Path_]:
    """Return the architectures in use, each with the place of the first host that has it."""
    parse = fields.parse_enum(Arch)
    found: dict[Arch, Path_] = {}
    for host in facts.hosts:
        role = host.role.value.value if host.role else ""
        arch = facts.at(parse, *host.entry.path, "arch") or facts.at(parse, "roles", role, "arch")
        found.setdefault(arch.value if arch else Arch.X86_64, host.entry.path)
    return found


def _mixed_releases(facts: Facts) -> Iterator[Problem]:
    release = facts.release
    if release is None:
        return
    for path in (("images",), ("images", "x86_64"), ("images", "aarch64")):
        said = facts.at(fields.parse_image_release, *path, "release")
        of_images = facts.at(fields.parse_release, *path, "release")
        # A build's number, as 416.94.202405291527-0, is no release, and tells nothing here.
        if of_images and of_images.value.boots_live is not release.boots_live:
            yield of_images.error(
                f"{said.value if said else ''} boots {_way(of_images.value)}, and release {release} {_way(release)};"
                " take images from 4.6 on for live releases, and from before it for the others"
            )


def _way(release: Release) -> str:
    return "a live system" if release.boots_live else "an installer initramfs"


def _images(facts: Facts, arch: Arch) -> Iterator[Problem]:
    release, spelled = facts.release, facts.document.value_at(("release",))
    if release is None or not isinstance(spelled, str):
        return
    for section in (("images",), ("images", arch.value)):
        if facts.has(*section, "rootfs") and not release.boots_live:
            yield facts.here(*section, "rootfs").warning(f"is not used: release {release} installs images.metal")
    where: dict[str, Path_] = {}
    for kind, path, name in _image_names(facts, arch, release, spelled.strip()):
        if is_reserved(name):
            yield facts.here(*path).error(f'"{name}" is an address that the appliance uses itself; rename the file')
        elif name in where:
            first = facts.here(*where[name]).place(facts.document)
            yield facts.here(*path).error(f'"{name}" is named twice (first on {first}); each kind is a file of its own')
        elif facts.data_dir is not None:
            where[name] = path
            file = facts.data_dir / "images" / name
            if why := file_fault(file, _other_spelling(file)):
                yield facts.here(*path).warning(f"the {NOUNS[kind]} {file} {why}")


def wrong_digests(facts: Facts) -> Iterator[Problem]:
    """Yield the images that are not what their sha256 says. Reads them whole: seconds for a gigabyte."""
    release, spelled = facts.release, facts.document.value_at(("release",))
    if release is None or not isinstance(spelled, str) or facts.data_dir is None:
        return
    for arch in _arches(facts):
        for _, path, name in _image_names(facts, arch, release, spelled.strip()):
            said = facts.at(fields.parse_sha256, *path[:-1], "sha256")
            file = facts.data_dir / "images" / name
            if said is None or file_fault(file, ""):
                continue
            with file.open("rb") as image:
                found = hashlib.file_digest(image, "sha256").hexdigest()
            if found != said.value:
                yield said.error(f"{file} has {found}; fetch it again, or write what its publisher says")


def _image_names(facts: Facts, arch: Arch, release: Release, spelled: str) -> Iterator[tuple[str, Path_, str]]:
    """Yield the kind, place and name of each image that *arch* boots."""
    by_release: Path_ = ("release",)
    sections: list[Path_] = [("images", arch.value)]
    if arch is Arch.X86_64:
        sections.append(("images",))
    for path in (("images",), ("images", arch.value)):
        if said := facts.at(fields.parse_image_release, *path, "release"):
            spelled, by_release = said.value, said.path
    built = names_of_release(spelled, release, arch)
    for kind in KINDS:
        named = [(*section, kind) for section in sections if facts.has(*section, kind)]
        if named:
            fact = facts.at(fields.parse_file_name, *named[0]) or facts.at(fields.parse_file_name, *named[0], "name")
            if fact:
                yield kind, fact.path, fact.value
        elif kind in built:
            yield kind, by_release, built[kind]


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


def _loaders(facts: Facts, arch: Arch, where: Path_) -> Iterator[Problem]:
    if facts.data_dir is None:
        return
    for name in usual_loaders(arch):
        if find_loader(name, facts.data_dir) is None:
            yield facts.here(*where).warning(f"the boot file {name} for {arch} is not there; {package_hint(name)}")


def _own_loaders(facts: Facts) -> Iterator[Problem]:
    for path in _places_of_defaults(facts):
        loader = facts.at(fields.parse_file_name, *path, "loader")
        if loader and facts.data_dir is not None and find_loader(loader.value, facts.data_dir) is None:
            yield loader.warning(f"the boot file {loader.value} is not there; {package_hint(loader.value)}")
