"""What a boot file is by its first bytes, and whether it can be what cluster.yaml calls it.

A page of a proxy saved under an image's name, or an ISO instead of a kernel, is
found here and not at the console of a machine.
"""

import lzma
import zlib
from enum import StrEnum
from pathlib import Path

from appliance.model import Arch

HEAD_BYTES = 0x8006  # an ISO 9660 file system says what it is behind 16 sectors of 2 KiB
UNPACKED_BYTES = 4096
TEXT_BYTES = 512


class Format(StrEnum):
    """What a file is; the values are words of messages."""

    PAGE = "an HTML or XML page"
    JSON = "a JSON file"
    TEXT = "a text file"
    ISO = "an ISO image"
    QCOW2 = "a qcow2 image"
    SQUASHFS = "a squashfs file system"
    ELF = "an ELF program"
    KERNEL_X86_64 = "a Linux kernel for x86_64"
    KERNEL_AARCH64 = "a Linux kernel for aarch64"
    EFI_X86_64 = "an EFI program for x86_64"
    EFI_AARCH64 = "an EFI program for aarch64"
    CPIO = "a cpio archive"
    DISK = "a disk image"
    GZIP = "a gzip file"
    XZ = "an xz file"
    ZSTD = "a zstd file"
    BZIP2 = "a bzip2 file"
    LZ4 = "an lz4 file"
    LZMA = "an lzma file"
    UNKNOWN = "of an unknown format"


# By the bytes at an offset; the first that fits is right. A hybrid ISO is also a disk image, and so is a bzImage.
_MAGIC = (
    (Format.ISO, 0x8001, b"CD001"),
    (Format.KERNEL_X86_64, 0x202, b"HdrS"),
    (Format.KERNEL_AARCH64, 0x38, b"ARM\x64"),
    (Format.CPIO, 0, b"070701"),
    (Format.CPIO, 0, b"070702"),
    (Format.GZIP, 0, b"\x1f\x8b"),
    (Format.XZ, 0, b"\xfd7zXZ\x00"),
    (Format.ZSTD, 0, b"\x28\xb5\x2f\xfd"),
    (Format.BZIP2, 0, b"BZh"),
    (Format.LZ4, 0, b"\x02\x21\x4c\x18"),
    (Format.LZ4, 0, b"\x04\x22\x4d\x18"),
    (Format.LZMA, 0, b"\x5d\x00\x00"),
    (Format.SQUASHFS, 0, b"hsqs"),
    (Format.QCOW2, 0, b"QFI\xfb"),
    (Format.ELF, 0, b"\x7fELF"),
    (Format.DISK, 510, b"\x55\xaa"),
)
# The field Machine of a PE header.
_MACHINES = {b"\x64\x86": Format.EFI_X86_64, b"\x64\xaa": Format.EFI_AARCH64}

_ARCHIVE = "a cpio archive, which may be compressed"
_KERNELS = {
    Arch.X86_64: (Format.KERNEL_X86_64, Format.EFI_X86_64),
    Arch.AARCH64: (Format.KERNEL_AARCH64, Format.EFI_AARCH64),
}
# Those that the standard library does not unpack are believed.
_PACKED = (Format.GZIP, Format.XZ)
_BELIEVED = (Format.ZSTD, Format.BZIP2, Format.LZ4, Format.LZMA)


def misfit_of(kind: str, arch: Arch, file: Path) -> str | None:
    """Return why *file* cannot be the image *kind* (one of `images.KINDS`) of *arch*, or None.

    Raises OSError if the file cannot be read.
    """
    with file.open("rb") as content:
        head = content.read(HEAD_BYTES)
    found = format_of(head)
    expected: tuple[Format, ...]
    match kind:
        case "kernel":
            expected, wanted = _KERNELS[arch], f"a Linux kernel for {arch}"
            # iPXE unpacks a kernel for ARM only, if at all.
            may_be_packed = arch is Arch.AARCH64
        case "metal":
            expected, wanted, may_be_packed = (Format.DISK,), "a disk image, which may be compressed", True
        case _:
            expected, wanted, may_be_packed = (Format.CPIO,), _ARCHIVE, True
    if found in expected or (may_be_packed and kind != "kernel" and found in _BELIEVED):
        return None
    if found not in _PACKED or not may_be_packed:
        return f"is {found}, expected {wanted}"
    inside = _unpacked(found, head)
    if inside is None:
        return f"is {found}, and damaged"
    if (what := format_of(inside)) not in expected:
        return f"is {found} with {_noun(what)} in it, expected {wanted}"
    return None


def format_of(head: bytes) -> Format:
    """Return what a file is that begins with *head*."""
    for found, offset, magic in _MAGIC:
        if head.startswith(magic, offset):
            return found
    if head.startswith(b"MZ"):
        at = int.from_bytes(head[0x3C:0x40], "little")
        return _MACHINES.get(head[at + 4 : at + 6], Format.UNKNOWN)
    text = head[:TEXT_BYTES].lstrip()
    if text[:1] == b"<":
        return Format.PAGE
    if text[:1] == b"{":
        return Format.JSON
    is_text = bool(text) and all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in text)
    return Format.TEXT if is_text else Format.UNKNOWN


def _unpacked(packed: Format, head: bytes) -> bytes | None:
    """Return the first bytes inside a file of the format *packed* that begins with *head*; None if it is damaged."""
    try:
        if packed is Format.GZIP:
            return zlib.decompressobj(wbits=31).decompress(head, UNPACKED_BYTES)
        return lzma.LZMADecompressor().decompress(head, UNPACKED_BYTES)
    except (zlib.error, lzma.LZMAError):
        return None


def _noun(what: Format) -> str:
    return "something" if what is Format.UNKNOWN else what.value
