"""The names of the files that machines boot, from a release or from the file itself."""

import re

from appliance.config.vocabulary import ImageEntry, Images
from appliance.model import Arch, Image, Release
from appliance.model import Images as BootImages

# RHCOS builds: 416.94.202405291527-0 is 4.16 on RHEL 9.4; from 4.19 on they are RHEL's, as 9.6.20250523-0.
_BUILD = re.compile(r"\d{1,3}\.\d{1,3}\.\d{8,12}-\d+", re.ASCII)

KINDS = ("kernel", "initramfs", "rootfs", "metal")


def boot_images(images: Images, arch: Arch, cluster_release: Release, spelled_release: str) -> BootImages:
    """Return what *arch* boots: files named in cluster.yaml first, and the rest as *spelled_release* names them."""
    own = images.x86_64 if arch is Arch.X86_64 else images.aarch64
    release = (own and own.release) or images.release or spelled_release
    names = names_of_release(release, cluster_release, arch)

    def image(kind: str) -> Image | None:
        entry = (own and getattr(own, kind)) or (getattr(images, kind) if arch is Arch.X86_64 else None)
        if isinstance(entry, ImageEntry):
            return Image(entry.name, entry.sha256)
        return Image(names[kind], None) if kind in names else None

    kernel, initramfs = image("kernel"), image("initramfs")
    assert kernel is not None, "every release has a kernel's name"
    assert initramfs is not None, "every release has an initramfs's name"
    return BootImages(kernel, initramfs, image("rootfs"), image("metal"))


def names_of_release(release: str, cluster_release: Release, arch: Arch) -> dict[str, str]:
    """Return the file names by kind that the mirror gives the images of *release*.

    A release of two parts, as 4.16, gives the names without a version, which the
    mirror's `latest` directory has too. A build's number gives the names that
    `openshift-install coreos print-stream-json` says.
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
