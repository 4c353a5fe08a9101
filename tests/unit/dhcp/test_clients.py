"""How clients identify themselves, in all known forms."""

import pytest

from appliance.dhcp.clients import identify
from appliance.events import Program

PXE = b"PXEClient:Arch:00007:UNDI:003000"
HTTP, TFTP, BZIMAGE, EFI, MENU = (bytes((code, 1, 1)) for code in (0x13, 0x15, 0x18, 0x24, 0x27))


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
    assert identify(PXE, b"\0\7", b"", HTTP + EFI + MENU).program is Program.IPXE


def test_ipxe_that_lists_no_features_is_taken_to_fetch_http() -> None:
    assert identify(PXE, b"\0\7", b"iPXE", b"\xb0\x01\x01").program is Program.IPXE


@pytest.mark.parametrize("features", [TFTP, b"\x13\x01\x00" + TFTP, TFTP + BZIMAGE + MENU])
def test_ipxe_without_http_is_treated_as_firmware(features: bytes) -> None:
    profile = identify(PXE, b"\0\7", b"iPXE", features)
    assert (profile.program, profile.arch, profile.otherwise) == (Program.PXE, "x64-uefi", None)


@pytest.mark.parametrize(
    ("features", "vendor"),
    [
        (HTTP + MENU, "iPXE without bzImage"),
        (HTTP + BZIMAGE, "iPXE without menu"),
        (HTTP, "iPXE without bzImage, menu"),
        (HTTP + MENU + b"\x18\x01\x00", "iPXE without bzImage"),
    ],
)
def test_ipxe_that_lacks_a_feature_is_firmware_that_could_fetch_its_script(features: bytes, vendor: str) -> None:
    profile = identify(PXE, b"\0\7", b"iPXE", features)
    assert (profile.program, profile.vendor) == (Program.PXE, vendor)
    assert profile.otherwise is not None
    assert profile.otherwise.program is Program.IPXE


@pytest.mark.parametrize("starts", [BZIMAGE, EFI, BZIMAGE + EFI])
def test_ipxe_lacks_nothing_if_it_starts_kernels_in_either_form(starts: bytes) -> None:
    assert identify(PXE, b"\0\7", b"iPXE", HTTP + MENU + starts).program is Program.IPXE


def test_firmware_is_of_the_class_that_its_architecture_and_vendor_class_make() -> None:
    assert identify(PXE, b"\0\7", b"", None).firmware == "x64-uefi PXEClient:Arch:00007:UNDI:003000"
    assert identify(PXE, b"\0\7", b"iPXE", None).firmware == ""
    assert identify(b"MSFT 5.0", b"", b"", None).firmware == ""


def test_vendor_class_has_a_bound() -> None:
    assert len(identify(b"PXEClient" + b"x" * 240, b"\0\7", b"", None).vendor) == 64


def test_option_175_that_is_cut_off_still_means_ipxe() -> None:
    assert identify(PXE, b"\0\7", b"", b"\x13\x05").program is Program.IPXE
