"""The names of the files that machines boot, from a release or from the file itself."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.config.document import Document, Path_, Placed
from appliance.config.vocabulary import ImageEntry, ImageSet, ImagesSection
from appliance.model import Arch, Image, Images, Release

# RHCOS builds: 416.94.202405291527-0 is 4.16 on RHEL 9.4; from 4.19 on they are RHEL's, as 9.6.20250523-0.
_BUILD = re.compile(r"\d{1,3}\.\d{1,3}\.\d{8,12}-\d+", re.ASCII)

KINDS = ("kernel", "initramfs", "rootfs", "metal")


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """One file that an architecture boots."""

    kind: str  # one of KINDS
    name: Placed[str]  # at the release where the name follows from it
    sha256: Placed[str] | None


def image_drafts(
    section: ImagesSection, document: Document, arch: Arch, release: Release, spelled_release: Placed[str]
) -> Iterator[ImageDraft]:
    """Yield the files that *arch* boots: those that *section* names, and the others by the names of the release.

    A name that cannot be read is left out.
    """
    own = (section.x86_64 if arch is Arch.X86_64 else section.aarch64) or ImageSet()
    of_images = document.at(section.release, "images", "release")
    of_arch = document.at(own.release, "images", arch.value, "release")
    by_release = of_arch or of_images or spelled_release
    built = names_of_release(by_release.value, release, arch)
    places: list[tuple[ImageSet, Path_]] = [(own, ("images", arch.value))]
    # The keys directly below images are for x86_64, which is the only architecture of most clusters.
    if arch is Arch.X86_64:
        places.append((section, ("images",)))
    for kind in KINDS:
        named = next(((entries, path) for entries, path in places if document.has(*path, kind)), None)
        if named is None:
            if kind in built:
                yield ImageDraft(kind, Placed(built[kind], by_release.path, document), None)
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
    """Return the file names by kind that the mirror gives the images of *release*.

    A release of two parts, such as 4.16, gives the names without a version, which the
    mirror's `latest` directory has too. A build number gives the names that
    `openshift-install coreos print-stream-json` prints.
    """
    version = f"-{release}-{arch}" if release.count(".") > 1 else ""
    if _BUILD.fullmatch(release):
        version = f"-{release}"
    if cluster_release.boots_live:
        # RHCOS 4.19 came from another build system, which writes a dot there.
        separator = "." if (cluster_release.major, cluster_release.minor) >= (4, 19) else "-"
        return {
            "kernel": f"rhcos{version}-live-kernel{separator}{arch}",
            "initramfs": f"rhcos{version}-live-initramfs.{arch}.img",
            "rootfs": f"rhcos{version}-live-rootfs.{arch}.img",
        }
    if has_old_names(release, cluster_release):
        # 4.1 and 4.2 have one disk image for BIOS and one for UEFI; the default is the one for UEFI.
        return {
            "kernel": f"rhcos{version}-installer-kernel",
            "initramfs": f"rhcos{version}-installer-initramfs.img",
            "metal": f"rhcos{version}-metal{'' if cluster_release.minor == 3 else '-uefi'}.raw.gz",
        }
    return {
        "kernel": f"rhcos{version}-installer-kernel-{arch}",
        "initramfs": f"rhcos{version}-installer-initramfs.{arch}.img",
        "metal": f"rhcos{version}-metal.{arch}.raw.gz",
    }


def has_old_names(release: str, cluster_release: Release) -> bool:
    """Whether the images' names lack the architecture at their end (before 4.3.8)."""
    patch = release.split(".")[2] if release.count(".") > 1 else ""
    return (cluster_release.major, cluster_release.minor) < (4, 3) or (
        cluster_release.minor == 3 and patch.isdigit() and int(patch) < 8
    )
