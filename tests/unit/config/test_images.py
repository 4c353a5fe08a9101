"""The names of image files for each release agree with those on the mirror."""

from pathlib import Path

import pytest

from appliance.config.fields import parse_release
from appliance.config.images import names_of_release
from appliance.model import Arch, Image
from tests.clusters import LEGACY_IMAGES, LIVE_IMAGES
from tests.config_files import CLEAN, check_text

NAMES = {
    "4.2.0": ("rhcos-4.2.0-x86_64-installer-kernel", "rhcos-4.2.0-x86_64-installer-initramfs.img"),
    "4.3.0": ("rhcos-4.3.0-x86_64-installer-kernel", "rhcos-4.3.0-x86_64-installer-initramfs.img"),
    "4.3.8": ("rhcos-4.3.8-x86_64-installer-kernel-x86_64", "rhcos-4.3.8-x86_64-installer-initramfs.x86_64.img"),
    "4.5.6": (LEGACY_IMAGES.kernel.name, LEGACY_IMAGES.initramfs.name),
    "4.6.1": ("rhcos-4.6.1-x86_64-live-kernel-x86_64", "rhcos-4.6.1-x86_64-live-initramfs.x86_64.img"),
    "4.16.3": (LIVE_IMAGES.kernel.name, LIVE_IMAGES.initramfs.name),
    "4.19.0": ("rhcos-4.19.0-x86_64-live-kernel.x86_64", "rhcos-4.19.0-x86_64-live-initramfs.x86_64.img"),
    "4.16": ("rhcos-live-kernel-x86_64", "rhcos-live-initramfs.x86_64.img"),
    "4.20": ("rhcos-live-kernel.x86_64", "rhcos-live-initramfs.x86_64.img"),
}
LAST = {
    "4.2.0": ("metal", "rhcos-4.2.0-x86_64-metal-uefi.raw.gz"),
    "4.3.0": ("metal", "rhcos-4.3.0-x86_64-metal.raw.gz"),
    "4.5.6": ("metal", "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"),
    "4.16.3": ("rootfs", "rhcos-4.16.3-x86_64-live-rootfs.x86_64.img"),
}


@pytest.mark.parametrize(("release", "expected"), NAMES.items(), ids=NAMES)
def test_kernel_and_initramfs_have_the_mirror_s_names(release: str, expected: tuple[str, str]) -> None:
    names = names_of_release(release, parse_release(release), Arch.X86_64)

    assert (names["kernel"], names["initramfs"]) == expected


@pytest.mark.parametrize(("release", "expected"), LAST.items(), ids=LAST)
def test_third_file_is_a_disk_image_or_a_root_file_system(release: str, expected: tuple[str, str]) -> None:
    names = names_of_release(release, parse_release(release), Arch.X86_64)

    assert list(names.items())[2:] == [expected]


def images_of(tmp_path: Path, lines: str, arch: Arch = Arch.X86_64) -> list[Image | None]:
    """Return the names of kernel, initramfs, rootfs and metal for CLEAN with *lines* added."""
    checked = check_text(tmp_path, CLEAN + lines)
    assert checked.errors == ()
    found = checked.clusters[0].images[arch]
    return [found.kernel, found.initramfs, found.rootfs, found.metal]


def test_named_image_comes_before_the_release_s(tmp_path: Path) -> None:
    lines = f"images:\n  kernel: k\n  initramfs: {{name: i, sha256: {'AB' * 32}}}\n"

    assert images_of(tmp_path, lines) == [Image("k", None), Image("i", "ab" * 32), LIVE_IMAGES.rootfs, None]


def test_architecture_s_own_image_comes_first(tmp_path: Path) -> None:
    lines = "images:\n  kernel: k\n  rootfs: r\n  x86_64: {kernel: own}\n"

    assert images_of(tmp_path, lines)[::2] == [Image("own", None), Image("r", None)]


def test_other_architecture_takes_the_release_and_not_the_names(tmp_path: Path) -> None:
    lines = "roles: {worker: {arch: aarch64}}\nimages:\n  release: 4.16.9\n  kernel: k\n"

    assert images_of(tmp_path, lines, Arch.AARCH64)[0] == Image("rhcos-4.16.9-aarch64-live-kernel-aarch64", None)


def test_names_of_a_build_have_no_architecture_behind_its_number(tmp_path: Path) -> None:
    build = "rhcos-416.94.202405291527-0"
    lines = "images: {release: 416.94.202405291527-0}\n"

    assert images_of(tmp_path, lines) == [
        Image(f"{build}-live-kernel-x86_64", None),
        Image(f"{build}-live-initramfs.x86_64.img", None),
        Image(f"{build}-live-rootfs.x86_64.img", None),
        None,
    ]


BUILDS = {
    "45.82.202008010929-0": ("4.5.6", "rhcos-45.82.202008010929-0-installer-kernel-x86_64"),
    "42.81.20191113-0": ("4.2.0", "rhcos-42.81.20191113-0-installer-kernel"),
    "418.94.202501221327-0": ("4.18.2", "rhcos-418.94.202501221327-0-live-kernel-x86_64"),
    "9.6.20250523-0": ("4.19.0", "rhcos-9.6.20250523-0-live-kernel.x86_64"),
}


@pytest.mark.parametrize(("build", "release", "kernel"), [(b, *rest) for b, rest in BUILDS.items()], ids=BUILDS)
def test_form_of_a_build_s_names_is_that_of_the_cluster_s_release(build: str, release: str, kernel: str) -> None:
    assert names_of_release(build, parse_release(release), Arch.X86_64)["kernel"] == kernel


def test_only_architectures_of_hosts_have_images(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, CLEAN).clusters

    assert list(cluster.images) == [Arch.X86_64]
