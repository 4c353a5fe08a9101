"""What images are by their first bytes: a file that cannot be what cluster.yaml calls it is reported."""

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.boot.loaders import find_loader
from appliance.config import check
from appliance.config.checks.contents import Format, format_of, misfit_of
from appliance.config.images import KINDS
from appliance.model import Arch
from appliance.simulate.standins import make_standins
from tests.config_files import ARCHIVE, CLEAN, IMAGES, KERNEL, check_text, edited, make_data_dir, spelled

DISK = bytes(510) + b"\x55\xaa" + b"EFI PART" + bytes(500)
ARM_KERNEL = b"MZ" + bytes(0x36) + b"ARM\x64" + bytes(64)
ISO = bytes(510) + b"\x55\xaa" + bytes(0x8001 - 512) + b"CD001"
EFI_ARM = b"MZ" + bytes(0x3A) + (0x80).to_bytes(4, "little") + bytes(0x40) + b"PE\0\0\x64\xaa"
ZSTD = b"\x28\xb5\x2f\xfd" + bytes(100)

RIGHT = {
    "bzImage": ("kernel", Arch.X86_64, KERNEL),
    "Image": ("kernel", Arch.AARCH64, ARM_KERNEL),
    "zboot": ("kernel", Arch.AARCH64, EFI_ARM),
    "Image.gz": ("kernel", Arch.AARCH64, gzip.compress(ARM_KERNEL)),
    "newc": ("initramfs", Arch.X86_64, ARCHIVE),
    "cpio.gz": ("initramfs", Arch.X86_64, gzip.compress(ARCHIVE)),
    "cpio.xz": ("initramfs", Arch.X86_64, lzma.compress(ARCHIVE)),
    "cpio.zst": ("initramfs", Arch.X86_64, ZSTD),
    "rootfs": ("rootfs", Arch.X86_64, ARCHIVE),
    "raw": ("metal", Arch.X86_64, DISK),
    "raw.gz": ("metal", Arch.X86_64, gzip.compress(DISK)),
    "raw.xz": ("metal", Arch.X86_64, lzma.compress(DISK)),
}

WRONG = {
    "page": ("kernel", b"<!DOCTYPE html>", "is an HTML or XML page, expected a Linux kernel for x86_64"),
    "text": ("initramfs", b"not found\n", "is a text file, expected a cpio archive, which may be compressed"),
    "json": ("rootfs", b'{"stream": "rhcos"}', "is a JSON file, expected a cpio archive, which may be compressed"),
    "iso": ("kernel", ISO, "is an ISO image, expected a Linux kernel for x86_64"),
    "arm": ("kernel", ARM_KERNEL, "is a Linux kernel for aarch64, expected a Linux kernel for x86_64"),
    "swapped": ("kernel", ARCHIVE, "is a cpio archive, expected a Linux kernel for x86_64"),
    "squashfs": (
        "rootfs",
        b"hsqs" + bytes(100),
        "is a squashfs file system, expected a cpio archive, which may be compressed",
    ),
    "disk as initramfs": (
        "initramfs",
        gzip.compress(DISK),
        "is a gzip file with a disk image in it, expected a cpio archive, which may be compressed",
    ),
    "initramfs as disk": (
        "metal",
        gzip.compress(ARCHIVE),
        "is a gzip file with a cpio archive in it, expected a disk image, which may be compressed",
    ),
    "qcow2": ("metal", b"QFI\xfb" + bytes(100), "is a qcow2 image, expected a disk image, which may be compressed"),
    "damaged": ("metal", b"\x1f\x8b" + b"\xff" * 100, "is a gzip file, and damaged"),
    "unknown": ("kernel", b"\x01\x02\x03", "is of an unknown format, expected a Linux kernel for x86_64"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "arch", "content"), RIGHT.values(), ids=RIGHT)
def test_image_that_can_be_booted_is_not_reported(tmp_path: Path, kind: str, arch: Arch, content: bytes) -> None:
    (tmp_path / "image").write_bytes(content)

    assert misfit_of(kind, arch, tmp_path / "image") is None


@pytest.mark.parametrize(("kind", "content", "expected"), WRONG.values(), ids=WRONG)
def test_image_that_is_something_else_is_reported(tmp_path: Path, kind: str, content: bytes, expected: str) -> None:
    (tmp_path / "image").write_bytes(content)

    assert misfit_of(kind, Arch.X86_64, tmp_path / "image") == expected


@given(head=st.binary(max_size=600), kind=st.sampled_from(KINDS), arch=st.sampled_from(Arch))
def test_any_bytes_are_something(tmp_path_factory: pytest.TempPathFactory, head: bytes, kind: str, arch: Arch) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(head)
    misfit_of(kind, arch, file)

    assert format_of(head) in Format


def test_page_in_place_of_a_kernel_is_reported_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(CLEAN)
    data_dir = make_data_dir(tmp_path)
    (data_dir / "images" / IMAGES[0]).write_text("<html>404</html>")

    assert spelled(tmp_path, check([tmp_path / "cluster.yaml"], data_dir, 0.0)) == [
        (
            "cluster.yaml:4: warning: release: kernel data/images/rhcos-4.16.3-x86_64-live-kernel-x86_64 is an HTML or "
            "XML page, expected a Linux kernel for x86_64; download it again"
        )
    ]


@pytest.mark.parametrize("release", ["4.5.6", "4.16.3"])
def test_stand_ins_are_what_they_stand_in_for(tmp_path: Path, release: str) -> None:
    (cluster,) = check_text(tmp_path, edited(("release: 4.16.3", f"release: {release}"))).clusters
    make_standins(cluster, tmp_path, 0)

    assert [
        misfit_of(kind, arch, tmp_path / "images" / image.name)
        for arch, images in cluster.images.items()
        for kind in KINDS
        if (image := getattr(images, kind))
    ] == [None] * 3


# The boot loader of a host that is to leave iPXE

DEBIANS = b"MZ\x001.0.0+git-20190125.36a4c85-5.1\x00"


def warned_of_exit(root: Path, how: str, loader: str, build: bytes) -> list[str]:
    """Return the problems where w1 has localBoot *how* and *loader*, and efi/ipxe.efi is *build*."""
    data_dir = make_data_dir(root)
    (data_dir / "tftp" / "efi" / "ipxe.efi").write_bytes(build)
    last = "    address: 192.0.2.31\n"
    (root / "cluster.yaml").write_text(edited((last, f"{last}    localBoot: {how}\n{loader}")))
    assert find_loader("efi/ipxe.efi", data_dir) is not None
    return spelled(root, check([root / "cluster.yaml"], data_dir, 0.0))


@pytest.mark.parametrize("how", ["exit", "sanboot"])
def test_debian_s_ipxe_that_does_not_leave_is_reported(tmp_path: Path, how: str) -> None:
    assert warned_of_exit(tmp_path, how, "", DEBIANS) == [
        (
            f"cluster.yaml:38: warning: hosts[4].localBoot: {how} needs iPXE to exit, and data/tftp/efi/ipxe.efi, "
            "Debian's build of 2019, stops at its prompt instead on UEFI; add `loader: ipxe-snp`, or leave "
            "localBoot at no-offer"
        )
    ]


@pytest.mark.parametrize(
    ("how", "loader", "build"),
    [
        ("no-offer", "", DEBIANS),
        ("exit", "    loader: efi/snponly.efi\n", DEBIANS),
        ("exit", "    loader: ipxe-snp\n", DEBIANS),
        ("exit", "", b"MZ\x001.21.1+git-20250501\x00"),
        ("exit", "    arch: x86_64\n", b"MZ"),
    ],
    ids=["no exit", "snponly", "ipxe-snp", "newer", "other"],
)
def test_ipxe_that_leaves_is_not_reported(tmp_path: Path, how: str, loader: str, build: bytes) -> None:
    assert warned_of_exit(tmp_path, how, loader, build) == []
