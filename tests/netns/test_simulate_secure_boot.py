"""Simulated machines with Secure Boot, and with UEFI HTTP Boot on arm64, against the real appliance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.efi_programs import efi_program
from tests.simulate_segment import REFERENCE, Segment, segment

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segment, Path]]:
    data_dir = tmp_path_factory.mktemp("secure")
    for name, program in {
        "efi/ipxe.efi": efi_program(content=b"iPXE, not signed"),
        "arm64-efi/snponly.efi": efi_program(content=b"iPXE", processor="aarch64"),
    }.items():
        path = data_dir / "tftp" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(program)
    with segment(REFERENCE) as made, made.appliance(data_dir):
        yield made, data_dir


@pytest.mark.parametrize("hardware", ["x64", "http"])
def test_secure_boot_refuses_an_unsigned_loader_and_names_the_cure(
    appliance: tuple[Segment, Path], hardware: str
) -> None:
    made, _ = appliance
    done = made.simulate("m1", "--arch", hardware, "--secure-boot", "--dry")
    assert done.returncode == 1
    assert "loader: Secure Boot refuses " in done.stdout
    assert "efi/ipxe.efi, which has no signature" in done.stdout
    assert "`loader: shim` in cluster.yaml" in done.stdout


def test_firmware_without_secure_boot_starts_the_same_loader(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("m1", "--dry")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would install" in done.stdout


def test_arm64_machine_boots_by_http(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("m2", "--arch", "arm64-http", "--dry")
    assert "HTTP: http://172.16.0.101/arm64-efi/snponly.efi" in done.stdout, done.stdout + done.stderr
    assert "would install" in done.stdout


def test_loader_for_another_processor_is_refused(appliance: tuple[Segment, Path]) -> None:
    made, data_dir = appliance
    loader = data_dir / "tftp" / "arm64-efi" / "snponly.efi"
    right = loader.read_bytes()
    loader.write_bytes(efi_program(content=b"iPXE for x64"))
    try:
        done = made.simulate("m2", "--arch", "arm64", "--dry")
    finally:
        loader.write_bytes(right)
    assert done.returncode == 1
    assert "arm64-efi/snponly.efi does not run on arm64 firmware" in done.stdout
    assert "an EFI program for x86_64, not for aarch64" in done.stdout
