"""What firmware with Secure Boot reads from an EFI program; judged by real programs too where they are installed."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.simulate.efi import efi_program
from tests import efi_programs
from tests.efi_programs import GRUB_SBAT, SHIM_SBAT

KERNELS = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
IPXE = Path("/boot/ipxe.efi")


def test_signed_program_has_a_signature() -> None:
    found = efi_program(efi_programs.efi_program(is_signed=True))
    assert found is not None
    assert (found.signatures, found.fault) == (1, "")


def test_unsigned_program_has_none() -> None:
    found = efi_program(efi_programs.efi_program(content=b"code"))
    assert found is not None
    assert (found.signatures, found.fault) == (0, "")


@pytest.mark.parametrize("processor", ["x86_64", "aarch64", "i386"])
def test_processor_is_read(processor: str) -> None:
    found = efi_program(efi_programs.efi_program(processor=processor))
    assert found is not None
    assert found.processor == processor


@pytest.mark.parametrize(("sbat", "name"), [(SHIM_SBAT, "shim"), (GRUB_SBAT, "grub.debian")])
def test_components_are_read_from_the_sbat_section(sbat: str, name: str) -> None:
    found = efi_program(efi_programs.efi_program(sbat=sbat))
    assert found is not None
    assert name in found.components


def test_program_cut_off_within_its_signature_is_not_signed() -> None:
    found = efi_program(efi_programs.efi_program(is_signed=True)[:-4])
    assert found is not None
    assert found.signatures == 0
    assert "ends at byte" in found.fault


def test_certificate_of_another_type_is_no_signature() -> None:
    program = efi_programs.efi_program(is_signed=True)
    header = struct.pack("<IHH", 24, 0x200, 2)
    found = efi_program(program.replace(header, struct.pack("<IHH", 24, 0x200, 1)))
    assert found is not None
    assert found.signatures == 0


@pytest.mark.parametrize("data", [b"", b"MZ", b"MZ" + bytes(200), b"#!ipxe\n", b"\x7fELF" + bytes(500)])
def test_what_is_no_efi_program_is_told_so(data: bytes) -> None:
    assert efi_program(data) is None


@given(st.binary(max_size=2000), st.integers(0, 1500))
def test_any_bytes_give_an_answer(noise: bytes, at: int) -> None:
    whole = bytearray(efi_programs.efi_program(sbat=SHIM_SBAT, is_signed=True))
    whole[at : at + len(noise)] = noise
    found = efi_program(bytes(whole))
    assert found is None or found.signatures >= 0


@pytest.mark.skipif(not KERNELS, reason="Debian's cloud kernel is not installed")
def test_debians_kernel_is_signed() -> None:
    found = efi_program(KERNELS[-1].read_bytes())
    assert found is not None
    assert (found.processor, found.signatures, found.fault) == ("x86_64", 1, "")


@pytest.mark.skipif(not IPXE.exists(), reason="ipxe is not installed")
def test_debians_ipxe_is_not_signed() -> None:
    found = efi_program(IPXE.read_bytes())
    assert found is not None
    assert found.signatures == 0
