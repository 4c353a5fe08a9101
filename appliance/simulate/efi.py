"""EFI programs as firmware with Secure Boot sees them: the processor, the signature, and what the program is.

Layout: Microsoft's PE/COFF specification, "Optional Header Data Directories" and "The
Attribute Certificate Table"; shim's SBAT.md. Whether a signature is good is not
checked, because that depends on the keys in each machine's firmware.
"""

import struct
from dataclasses import dataclass

DOS_MAGIC = b"MZ"
PE_MAGIC = b"PE\0\0"
PE_OFFSET_AT = 0x3C
COFF_BYTES = 24  # with the magic
OPTIONAL_BYTES_AT = 20
SECTION = struct.Struct("<8sIIII")  # name, virtual size, virtual address, size and place in the file
SECTION_BYTES, MAX_SECTIONS, MAX_SBAT_BYTES = 40, 96, 4096
PE32, PE32_PLUS = 0x10B, 0x20B
# Where the number of data directories is in the optional header; they follow it, of 8 bytes each.
DIRECTORIES_AT = {PE32: 92, PE32_PLUS: 108}
CERTIFICATES = 4  # index of the data directory
CERTIFICATE_HEADER = struct.Struct("<IHH")  # length, revision, type
PKCS_SIGNED_DATA = 2  # the type of an Authenticode signature

PROCESSORS = {0x14C: "i386", 0x8664: "x86_64", 0xAA64: "aarch64", 0x1C2: "arm"}


@dataclass(frozen=True, slots=True)
class EfiProgram:
    """What the header of an EFI program says."""

    processor: str  # as compilers name it, or "machine 0x…"
    signatures: int  # 0 when the program is not signed
    fault: str = ""  # why the certificate table cannot be read
    components: tuple[str, ...] = ()  # the names in its .sbat section, as "shim" or "grub.debian"


def efi_program(data: bytes) -> EfiProgram | None:
    """Return what the whole program *data* says about itself; None if it is no EFI program."""
    try:
        (at,) = struct.unpack_from("<I", data, PE_OFFSET_AT)
        if not data.startswith(DOS_MAGIC) or data[at : at + 4] != PE_MAGIC:
            return None
        machine, sections = struct.unpack_from("<HH", data, at + 4)
        (optional_bytes,) = struct.unpack_from("<H", data, at + OPTIONAL_BYTES_AT)
        header = at + COFF_BYTES
        (magic,) = struct.unpack_from("<H", data, header)
        if magic not in DIRECTORIES_AT:
            return None
        directories = header + DIRECTORIES_AT[magic]
        (count,) = struct.unpack_from("<I", data, directories)
        place, size = 0, 0
        if count > CERTIFICATES:
            place, size = struct.unpack_from("<II", data, directories + 4 + 8 * CERTIFICATES)
        components = _components(data, header + optional_bytes, sections)
    except struct.error:
        return None
    signatures, fault = _signatures(data, place, size)
    return EfiProgram(PROCESSORS.get(machine, f"machine {machine:#06x}"), signatures, fault, components)


def _components(data: bytes, at: int, sections: int) -> tuple[str, ...]:
    """Return the names in the .sbat section; *at* is where the table of *sections* is. Raises struct.error."""
    for number in range(min(sections, MAX_SECTIONS)):
        name, size, _, _, place = SECTION.unpack_from(data, at + number * SECTION_BYTES)
        if name.rstrip(b"\0") == b".sbat":
            text = data[place : place + min(size, MAX_SBAT_BYTES)].rstrip(b"\0").decode("ascii", "replace")
            return tuple(line.partition(",")[0] for line in text.splitlines() if line)
    return ()


def _signatures(data: bytes, place: int, size: int) -> tuple[int, str]:
    """Return the number of signatures in the certificate table at *place*, and why it is not readable."""
    if not size:
        return 0, ""
    end = place + size
    if end > len(data):
        return 0, f"its certificate table ends at byte {end:,} of {len(data):,}"
    found = 0
    while place + CERTIFICATE_HEADER.size <= end:
        length, _, kind = CERTIFICATE_HEADER.unpack_from(data, place)
        if not CERTIFICATE_HEADER.size < length <= end - place:
            return found, f"an entry of its certificate table has {length:,} of {end - place:,} bytes"
        found += kind == PKCS_SIGNED_DATA
        place += length + -length % 8
    return found, ""
