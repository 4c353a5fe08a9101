"""Simulated machines with Secure Boot, and with UEFI HTTP Boot on arm64, against the real appliance."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.efi_programs import GRUB_SBAT, SHIM_SBAT, efi_program
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


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segment, Path]]:
    """An appliance with signed programs, for hosts with `loader: shim`; m1's kernel is signed."""
    data_dir = tmp_path_factory.mktemp("signed")
    config = data_dir / "cluster.yaml"
    text = REFERENCE.read_text()
    config.write_text(re.sub(r"(?m)^(\s+)- hostname: (m\d|bs)$", r"\1- hostname: \2\n\1  loader: shim", text))
    for suffix, processor in (("x64", "x86_64"), ("aa64", "aarch64")):
        directory = data_dir / "tftp" / "shim" / suffix
        directory.mkdir(parents=True)
        for name, sbat in ((f"shim{suffix}.efi", SHIM_SBAT), (f"grub{suffix}.efi", GRUB_SBAT)):
            program = efi_program(processor=processor, sbat=sbat, is_signed=True, content=bytes(100_000))
            (directory / name).write_bytes(program)
    with segment(config) as made, made.appliance(data_dir):
        (kernel,) = (data_dir / "images").glob("*installer-kernel*")
        kernel.write_bytes(efi_program(is_signed=True, content=bytes(1 << 20)))
        yield made, data_dir


@pytest.mark.parametrize(
    ("host", "hardware", "grub", "config"),
    [
        ("m1", "x64", "TFTP: shim/x64/grubx64.efi", "TFTP: /grub/grub.cfg-01-00-50-56-96-37-c8"),
        ("m2", "http", "HTTP: /shim/x64//grubx64.efi", "HTTP: /grub/grub.cfg"),
    ],
)
def test_signed_chain_installs_and_the_machine_comes_up_from_its_disk(
    signed: tuple[Segment, Path], host: str, hardware: str, grub: str, config: str
) -> None:
    made, _ = signed
    done = made.simulate(host, "--arch", hardware, "--secure-boot")
    assert done.returncode == 0, done.stdout + done.stderr
    assert grub in done.stdout
    assert config in done.stdout
    assert f"{host}.ocp45.example.localdomain: installed after" in done.stdout


def test_installed_machine_that_boots_grub_is_sent_to_its_disk(signed: tuple[Segment, Path]) -> None:
    made, _ = signed
    assert made.simulate("m3", "--secure-boot").returncode == 0
    done = made.simulate("m3", "--secure-boot")
    assert "booted from its disk" in done.stdout, done.stdout + done.stderr


def test_shim_of_an_arm64_machine_loads_its_own_grub(signed: tuple[Segment, Path]) -> None:
    made, _ = signed
    done = made.simulate("bs", "--arch", "arm64", "--secure-boot", "--dry")
    assert "TFTP: shim/aa64/grubaa64.efi" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tftp/shim/x64/grubx64.efi", "loader: Secure Boot refuses shim/x64/grubx64.efi, which has no signature"),
        ("images/rhcos-4.5.6-x86_64-installer-kernel-x86_64", "kernel: Secure Boot refuses rhcos-4.5.6-x86_64"),
    ],
)
def test_secure_boot_refuses_a_second_stage_and_a_kernel_without_signature(
    signed: tuple[Segment, Path], name: str, why: str
) -> None:
    made, data_dir = signed
    path = data_dir / name
    right = path.read_bytes()
    path.write_bytes(efi_program(content=bytes(1 << 20), sbat=GRUB_SBAT if "grub" in name else ""))
    try:
        done = made.simulate("bs", "--secure-boot", "--dry")
    finally:
        path.write_bytes(right)
    assert done.returncode == 1
    assert why in done.stdout, done.stdout + done.stderr


def test_shim_without_its_second_stage_says_what_is_missing(signed: tuple[Segment, Path]) -> None:
    made, data_dir = signed
    grub = data_dir / "tftp/shim/x64/grubx64.efi"
    right = grub.read_bytes()
    grub.unlink()
    try:
        done = made.simulate("bs", "--secure-boot", "--dry")
    finally:
        grub.write_bytes(right)
    assert done.returncode == 1
    assert "loader: shim found no second stage" in done.stdout
    assert "tftp request for shim/x64/grubx64.efi to 172.16.0.101" in done.stdout
