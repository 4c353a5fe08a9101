"""Small EFI programs with what firmware reads before it starts one: processor, signature and .sbat section."""

import struct

MACHINES = {"x86_64": 0x8664, "aarch64": 0xAA64, "i386": 0x14C}
PE_AT, OPTIONAL_BYTES, DIRECTORIES = 0x80, 112 + 16 * 8, 16


def efi_program(
    *, processor: str = "x86_64", sbat: str = "", is_signed: bool = False, content: bytes = b"", head: bytes = b""
) -> bytes:
    """Return a PE32+ program; *head* is put into its DOS header, *content* before its signature."""
    text = sbat.encode()
    sections = struct.pack("<8sIIII16x", b".sbat", len(text), 0x1000, len(text), 0x400) if sbat else b""
    body_end = 0x400 + len(text) + len(content)
    body_end += -body_end % 8
    signature = struct.pack("<IHH", 24, 0x200, 2) + b"not a signature." if is_signed else b""
    directories = bytearray(8 * DIRECTORIES)
    struct.pack_into("<II", directories, 8 * 4, body_end if is_signed else 0, len(signature))
    optional = struct.pack("<H", 0x20B).ljust(108, b"\0") + struct.pack("<I", DIRECTORIES) + bytes(directories)
    coff = struct.pack("<HHIIIHH", MACHINES[processor], bool(sbat), 0, 0, 0, len(optional), 0x22)
    dos = (b"MZ" + head).ljust(0x3C, b"\0") + struct.pack("<I", PE_AT)
    front = dos.ljust(PE_AT, b"\0") + b"PE\0\0" + coff + optional + sections
    return (front.ljust(0x400, b"\0") + text + content).ljust(body_end, b"\0") + signature


SHIM_SBAT = "sbat,1,SBAT Version,sbat,1,https://example.com\nshim,4,UEFI shim,shim,16.1,https://example.com\n"
GRUB_SBAT = (
    "sbat,1,SBAT Version,sbat,1,https://example.com\n"
    "grub,4,Free Software Foundation,grub,2.06,https://example.com\n"
    "grub.debian,4,Debian,grub2,2.06-13,https://example.com\n"
)
