"""How clients identify themselves, in all known forms."""

import pytest

from appliance.dhcp.clients import identify
from appliance.events import Program

PXE = b"PXEClient:Arch:00007:UNDI:003000"
HTTP_FEATURE, TFTP_FEATURE = b"\x13\x01\x01", b"\x15\x01\x01"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x00, "bios"),
        (0x06, "ia32-uefi"),
        (0x07, "x64-uefi"),
        (0x08, "x64-uefi"),
        (0x09, "x64-uefi"),
        (0x0B, "arm64-uefi"),
        (0x0F, "ia32-uefi-http"),
        (0x10, "x64-uefi-http"),
        (0x13, "arm64-uefi-http"),
        (0x0E, "ppc-opal"),
        (0x1B, "riscv64-uefi"),
        (0x1F, "s390-basic"),
    ],
)
def test_code_of_option_93_names_the_architecture(code: int, name: str) -> None:
    assert identify(b"PXEClient", code.to_bytes(2, "big"), b"", None).arch == name


def test_first_known_code_of_several_counts() -> None:
    assert identify(b"PXEClient", b"\x77\x77\x00\x07\x00\x00", b"", None).arch == "x64-uefi"


def test_unknown_code_is_named_by_its_number() -> None:
    assert identify(b"PXEClient", b"\x77\x77", b"", None).arch == "arch-30583"


def test_vendor_class_gives_the_architecture_where_option_93_is_missing() -> None:
    assert identify(b"PXEClient:Arch:00011:UNDI:003000", b"", b"", None).arch == "arm64-uefi"
    assert identify(b"HTTPClient:Arch:00016:UNDI:003000", b"", b"", None).arch == "x64-uefi-http"


def test_option_93_of_one_byte_is_as_none() -> None:
    assert identify(PXE, b"\x00", b"", None).arch == "x64-uefi"


def test_vendor_class_tells_firmware_from_http_boot_and_system() -> None:
    assert identify(PXE, b"\0\7", b"", None).program is Program.PXE
    assert identify(b"HTTPClient:Arch:00016", b"\0\x10", b"", None).program is Program.HTTP
    assert identify(b"MSFT 5.0", b"", b"", None).program is Program.OS


@pytest.mark.parametrize("user_class", [b"iPXE", b"\x04iPXE", b"\x03foo\x04iPXE"])
def test_ipxe_is_known_by_its_user_class_raw_or_counted(user_class: bytes) -> None:
    assert identify(PXE, b"\0\7", user_class, None).program is Program.IPXE


@pytest.mark.parametrize("user_class", [b"", b"iPXE2", b"\x05iPXE", b"\x00", b"\xff", b"\x00\x00"])
def test_other_user_classes_are_not_ipxe(user_class: bytes) -> None:
    assert identify(PXE, b"\0\7", user_class, None).program is Program.PXE


def test_ipxe_is_known_by_option_175_alone() -> None:
    assert identify(PXE, b"\0\7", b"", HTTP_FEATURE).program is Program.IPXE


def test_ipxe_that_lists_no_features_is_taken_to_fetch_http() -> None:
    assert identify(PXE, b"\0\7", b"iPXE", b"\xb0\x01\x01").program is Program.IPXE


@pytest.mark.parametrize("features", [TFTP_FEATURE, b"\x13\x01\x00" + TFTP_FEATURE])
def test_ipxe_without_http_is_treated_as_firmware(features: bytes) -> None:
    profile = identify(PXE, b"\0\7", b"iPXE", features)
    assert (profile.program, profile.arch) == (Program.PXE, "x64-uefi")


def test_option_175_that_is_cut_off_still_means_ipxe() -> None:
    assert identify(PXE, b"\0\7", b"", b"\x13\x05").program is Program.IPXE
