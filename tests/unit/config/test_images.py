"""The names of image files for each release agree with those on the mirror."""

from pathlib import Path

import pytest

from appliance.config.fields import parse_release
from appliance.config.images import names_of_release
from appliance.model import Arch, Image
from tests.clusters import LEGACY_IMAGES, LIVE_IMAGES
from tests.config_files import CLEAN, check_text, edited

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
    "10.2.20260715-0": ("4.22.0", "rhcos-10.2.20260715-0-live-kernel.x86_64"),
    "9.6.20250523-0": ("4.19.0", "rhcos-9.6.20250523-0-live-kernel.x86_64"),
}


@pytest.mark.parametrize(("build", "release", "kernel"), [(b, *rest) for b, rest in BUILDS.items()], ids=BUILDS)
def test_names_of_a_build_are_those_of_its_own_release(build: str, release: str, kernel: str) -> None:
    assert names_of_release(build, parse_release(release), Arch.X86_64)["kernel"] == kernel


@pytest.mark.parametrize(("images", "cluster"), [("4.18.1", "4.19.0"), ("4.19.0", "4.18.1"), ("4.18", "4.19.0")])
def test_names_are_those_of_the_images_release_and_not_of_the_cluster_s(images: str, cluster: str) -> None:
    own, other = parse_release(images), parse_release(cluster)

    assert names_of_release(images, other, Arch.X86_64) == names_of_release(images, own, Arch.X86_64)


def test_build_of_a_legacy_installer_is_an_error_for_a_live_release(tmp_path: Path) -> None:
    (problem,) = check_text(tmp_path, f"{CLEAN}images: {{release: 45.82.202008010929-0}}\n").errors

    assert "images of 45.82.202008010929-0 boot an installer initramfs" in problem.message


# OKD: the system and the build are not those of the release.

OKD_KERNELS = {
    ("4.15.0-0.okd-2024-03-10-010116", None): "fedora-coreos-live-kernel-x86_64",
    ("4.17.0-okd-scos.0", None): "fedora-coreos-live-kernel-x86_64",
    ("4.20.0-okd-scos.3", None): "scos-live-kernel.x86_64",
    ("4.20.0-okd-scos.3", "10.0.20250628-0"): "scos-10.0.20250628-0-live-kernel.x86_64",
    ("4.19.0-okd-scos.3", "9.0.20250510-0"): "scos-9.0.20250510-0-live-kernel.x86_64",
    ("4.13.0-0.okd-scos-2023-05-04-192252", "413.9.202302280609-0"): "scos-413.9.202302280609-0-live-kernel-x86_64",
    ("4.15.0-0.okd-2024-03-10-010116", "39.20240210.3.0"): "fedora-coreos-39.20240210.3.0-live-kernel-x86_64",
    ("4.18.0-okd-scos.1", "42.20250410.3.1"): "fedora-coreos-42.20250410.3.1-live-kernel.x86_64",
}


@pytest.mark.parametrize(("release", "build", "kernel"), [(*key, name) for key, name in OKD_KERNELS.items()])
def test_okd_s_images_have_their_system_s_names(tmp_path: Path, release: str, build: str | None, kernel: str) -> None:
    text = edited(("release: 4.16.3", f"release: {release}")) + (f"images: {{release: {build}}}\n" if build else "")
    checked = check_text(tmp_path, text)

    assert checked.errors == ()
    assert checked.clusters[0].images[Arch.X86_64].kernel.name == kernel


def test_missing_image_of_okd_asks_for_its_build(tmp_path: Path) -> None:
    text = edited(("release: 4.16.3", "release: 4.20.0-okd-scos.3"))

    assert [
        "write that as images.release, for example 10.0.20250628-0 (SCOS)" in problem.message
        for problem in check_text(tmp_path, text).warnings
    ] == [True] * 3


def test_only_architectures_of_hosts_have_images(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, CLEAN).clusters

    assert list(cluster.images) == [Arch.X86_64]
