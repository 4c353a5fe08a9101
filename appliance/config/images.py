"""The names of the files that machines boot, from a release or from the file itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.config.document import Document, Path_, Placed
from appliance.config.fields import parse_release
from appliance.config.vocabulary import ImageEntry, ImageSet, ImagesSection
from appliance.model import Arch, Boot, Image, Images, Release

# A build of RHCOS or SCOS. Up to 4.18 it begins with its release: 416.94.202405291527-0 is 4.16 on RHEL 9.4, and
# 413.9.202302280609-0 is 4.13 on CentOS Stream 9. Later ones begin with the system's version: 9.6.20250523-0 is
# RHEL 9.6, and 10.0.20250628-0 is CentOS Stream 10, which has no minor versions.
_BUILD = re.compile(r"(\d{1,3})\.(\d{1,3})\.\d{8,12}-\d+", re.ASCII)
# A build of FCOS: the release of Fedora, the date, the stream and the number.
_FCOS_BUILD = re.compile(r"\d{2,3}\.(\d{8})\.\d{1,3}\.\d{1,5}", re.ASCII)
# Builds of FCOS since this date have a dot before the kernel's architecture.
_FCOS_DOTTED = "20250410"
# And RHCOS and SCOS since this release, which came from another build system.
_DOTTED, _NOT_DOTTED = Release(4, 19), Release(4, 18)

KINDS = ("kernel", "initramfs", "rootfs", "metal")


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """One file that an architecture boots."""

    kind: str  # one of KINDS
    name: Placed[str]  # at the release where the name follows from it
    sha256: Placed[str] | None


def image_drafts(
    section: ImagesSection,
    document: Document,
    arch: Arch,
    release: Release,
    spelled_release: Placed[str],
    *,
    names_these: bool = True,
) -> Iterator[ImageDraft]:
    """Yield the files that *arch* boots: those that *section* names, and the others by the names of the release.

    A name that cannot be read is left out. Without *names_these*, *section* names other files.
    """
    own = (section.x86_64 if arch is Arch.X86_64 else section.aarch64) or ImageSet()
    of_images = document.at(section.release, "images", "release")
    of_arch = document.at(own.release, "images", arch.value, "release")
    by_release = of_arch or of_images or spelled_release
    built = names_of_release(by_release.value, release, arch)
    yield from _named_or_built(section if names_these else None, document, arch, KINDS, built, by_release.path)


# What `openshift-install agent create pxe-files` and `oc adm node-image create --pxe` call their files.
_ARTIFACTS = {"kernel": "vmlinuz", "initramfs": "initrd.img", "rootfs": "rootfs.img"}
_PREFIXES = {Boot.AGENT: "agent", Boot.NODE_IMAGE: "node"}
ARTIFACTS_DIRECTORY = "boot-artifacts"


def artifact_drafts(
    section: ImagesSection | None, document: Document, boot: Boot, arch: Arch, said_at: Path_
) -> Iterator[ImageDraft]:
    """Yield the files that hosts of *arch* boot that boot an agent or a node image, which *said_at* says.

    They are those that *section* names, and the others by the names that they are made with.
    """
    built = {kind: f"{ARTIFACTS_DIRECTORY}/{_PREFIXES[boot]}.{arch}-{ending}" for kind, ending in _ARTIFACTS.items()}
    yield from _named_or_built(section, document, arch, tuple(_ARTIFACTS), built, said_at)


def _named_or_built(
    section: ImagesSection | None,
    document: Document,
    arch: Arch,
    kinds: Sequence[str],
    built: Mapping[str, str],
    built_at: Path_,
) -> Iterator[ImageDraft]:
    places: list[tuple[ImageSet, Path_]] = []
    if section is not None:
        own = (section.x86_64 if arch is Arch.X86_64 else section.aarch64) or ImageSet()
        places.append((own, ("images", arch.value)))
    # The keys directly below images are for x86_64, which is the only architecture of most clusters.
    if section is not None and arch is Arch.X86_64:
        places.append((section, ("images",)))
    for kind in kinds:
        named = next(((entries, path) for entries, path in places if document.has(*path, kind)), None)
        if named is None:
            if kind in built:
                yield ImageDraft(kind, Placed(built[kind], built_at, document), None)
            continue
        entry, path = getattr(named[0], kind), (*named[1], kind)
        if isinstance(entry, ImageEntry) and entry.name is not None:
            name_path = (*path, "name") if document.has(*path, "name") else path
            yield ImageDraft(kind, Placed(entry.name, name_path, document), document.at(entry.sha256, *path, "sha256"))


def boot_images(drafts: Sequence[ImageDraft]) -> Images:
    """Return the images of an architecture; *drafts* are complete."""
    found = {draft.kind: Image(draft.name.value, draft.sha256.value if draft.sha256 else None) for draft in drafts}
    return Images(found["kernel"], found["initramfs"], found.get("rootfs"), found.get("metal"))


def names_of_release(release: str, cluster_release: Release, arch: Arch) -> dict[str, str]:
    """Return the file names by kind that their publisher gives the images of *release*.

    A release of two parts, such as 4.16, gives the names without a version, which the
    mirror's `latest` directory has too. A build gives the names that
    `openshift-install coreos print-stream-json` prints. A release of OKD does not say
    which build it boots, so it gives the names without a version.
    """
    naming = naming_of(release) or cluster_release
    is_build = _BUILD.fullmatch(release) or _FCOS_BUILD.fullmatch(release)
    version = f"-{release}" if is_build else ""
    if not is_build and not is_okd(release) and release.count(".") > 1:
        version = f"-{release}-{arch}"
    stem = f"{_system_of(release, naming)}{version}"
    if naming.boots_live:
        separator = "." if (naming.major, naming.minor) >= (_DOTTED.major, _DOTTED.minor) else "-"
        return {
            "kernel": f"{stem}-live-kernel{separator}{arch}",
            "initramfs": f"{stem}-live-initramfs.{arch}.img",
            "rootfs": f"{stem}-live-rootfs.{arch}.img",
        }
    if has_old_names(release, naming):
        # 4.1 and 4.2 have one disk image for BIOS and one for UEFI; the default is the one for UEFI.
        return {
            "kernel": f"{stem}-installer-kernel",
            "initramfs": f"{stem}-installer-initramfs.img",
            "metal": f"{stem}-metal{'' if naming.minor == 3 else '-uefi'}.raw.gz",
        }
    return {
        "kernel": f"{stem}-installer-kernel-{arch}",
        "initramfs": f"{stem}-installer-initramfs.{arch}.img",
        "metal": f"{stem}-metal.{arch}.raw.gz",
    }


def naming_of(release: str) -> Release | None:
    """Return a release of OpenShift whose images are named as those of *release* are; None if that is not known."""
    if form := _FCOS_BUILD.fullmatch(release):
        return _DOTTED if form[1] >= _FCOS_DOTTED else _NOT_DOTTED
    if form := _BUILD.fullmatch(release):
        return Release(4, int(form[1][1:])) if int(form[1]) > 40 else _DOTTED
    try:
        return parse_release(release)
    except ValueError:
        return None


def is_okd(release: str) -> bool:
    """Whether *release* is one of OKD, such as 4.15.0-0.okd-2024-03-10-010116 or 4.19.0-okd-scos.3."""
    return "okd" in release


def _system_of(release: str, naming: Release) -> str:
    """Return the system of *release*, with which the names of its images begin."""
    if _FCOS_BUILD.fullmatch(release):
        return "fedora-coreos"
    if form := _BUILD.fullmatch(release):
        return "scos" if form[2] in ("0", "9") else "rhcos"
    if is_okd(release):
        # OKD boots SCOS since 4.19, and FCOS before that, even where its nodes then become SCOS.
        return "scos" if naming.minor >= _DOTTED.minor else "fedora-coreos"
    return "rhcos"


def has_old_names(release: str, cluster_release: Release) -> bool:
    """Whether the images' names lack the architecture at their end (before 4.3.8)."""
    patch = release.split(".")[2] if release.count(".") > 1 else ""
    return (cluster_release.major, cluster_release.minor) < (4, 3) or (
        cluster_release.minor == 3 and patch.isdigit() and int(patch) < 8
    )
