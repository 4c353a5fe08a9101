"""The codes of option 93, and the processor and firmware behind each."""

import pytest

from appliance.boot.architectures import ARCHITECTURES, UNSTATED, Firmware, architecture_of
from appliance.boot.chains import loader_file
from appliance.events import Program
from appliance.model import Arch, Loader


@pytest.mark.parametrize("code", [7, 8, 9, 0x10, 0x11])
def test_x64_uefi_has_an_x86_64_processor(code: int) -> None:
    found = architecture_of((code,))
    assert (found.firmware, found.processor) == (Firmware.UEFI, "x86_64")


@pytest.mark.parametrize("code", [6, 0x0F])
def test_ia32_uefi_runs_32_bit_programs_only(code: int) -> None:
    found = architecture_of((code,))
    assert (found.firmware, found.processor) == (Firmware.UEFI, "i386")


@pytest.mark.parametrize("code", [0x0B, 0x13])
def test_arm64_uefi_has_an_aarch64_processor(code: int) -> None:
    found = architecture_of((code,))
    assert (found.firmware, found.processor) == (Firmware.UEFI, "aarch64")


@pytest.mark.parametrize("code", [0x00, 0x14])
def test_bios_has_an_x86_64_processor(code: int) -> None:
    found = architecture_of((code,))
    assert (found.firmware, found.processor) == (Firmware.BIOS, "x86_64")


@pytest.mark.parametrize("code", [0x02, 0x0A, 0x0E, 0x16, 0x1B, 0x1F, 0x27, 0x7777])
def test_other_architectures_get_no_loader(code: int) -> None:
    assert loader_file(Loader.AUTO, Program.PXE, architecture_of((code,)), Arch.X86_64) is None


def test_first_known_code_counts() -> None:
    assert architecture_of((0x7777, 7, 0)).name == "x64-uefi"


def test_unknown_code_is_named_by_its_number() -> None:
    assert architecture_of((0x7777, 0x7778)).name == "arch-30583"


def test_no_code_is_said_as_such() -> None:
    assert architecture_of(()) is UNSTATED


def test_http_boot_and_pxe_of_one_machine_are_one_firmware() -> None:
    by_name = {each.name: each for each in ARCHITECTURES.values()}
    pairs = [(each, by_name[f"{name}-http"]) for name, each in by_name.items() if f"{name}-http" in by_name]
    assert len(pairs) >= 8
    assert all((pxe.firmware, pxe.processor) == (http.firmware, http.processor) for pxe, http in pairs)
