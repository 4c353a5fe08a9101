"""Secure Boot with Microsoft's keys: shim and GRUB of Debian, and Debian's signed kernel in place of RHCOS'.

Debian 12's by TFTP on x64 and arm64; Debian 13's by UEFI HTTP Boot, for which Debian 12's GRUB (2.06) is too old.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.vm.firmware import Firmware
from tests.vm.parts import signed_loaders
from tests.vm.payload import IGNITION_OFFSET_BYTES, Payload
from tests.vm.site import (
    DISK_SECONDS,
    INSTALL_SECONDS,
    INSTALLED_LINE,
    Installed,
    disk_line,
    ignition_of,
    logs_kept,
    open_site,
)

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

MAC = "52:54:00:00:00:21"


@dataclass(frozen=True, slots=True)
class Case:
    """Firmware, and the release whose shim and GRUB it gets."""

    firmware: Firmware
    release: str
    suffix: str  # as in UEFI's file names

    @property
    def arch(self) -> str:
        return "aarch64" if self.suffix == "aa64" else "x86_64"

    @property
    def loaders(self) -> Mapping[str, Path]:
        """The files in the data directory."""
        shim, grub = signed_loaders(self.suffix, self.release, network=True)
        where = f"shim/{self.suffix}"
        return {f"{where}/shim{self.suffix}.efi": shim, f"{where}/grub{self.suffix}.efi": grub}


TFTP = Case(Firmware.SECURE_PXE, "bookworm", "x64")
HTTP = Case(Firmware.SECURE_HTTP, "trixie", "x64")
ARM64 = Case(Firmware.ARM64_SECURE_PXE, "bookworm", "aa64")

every_case = pytest.mark.parametrize(
    "secured",
    [pytest.param(TFTP, id="tftp"), pytest.param(HTTP, id="http"), pytest.param(ARM64, id="arm64")],
    indirect=True,
)


def _host(case: Case, loader: str = "shim") -> str:
    arch = case.arch
    return (
        f"  - {{hostname: m1, role: master, macAddress: {MAC}, address: 172.16.0.21, arch: {arch}, loader: {loader}}}"
    )


@pytest.fixture(scope="module")
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A machine with Secure Boot on that was installed, and has booted from its disk."""
    case: Case = request.param
    name = f"secure-{case.firmware.name.lower()}"
    payload: Payload = request.getfixturevalue("arm64_payload" if case.suffix == "aa64" else "signed_payload")
    site = open_site(tmp_path_factory.mktemp(name), payload, "4.16", _host(case), loaders=case.loaders)
    machine = site.lab.machine("m1", MAC, case.firmware)
    with logs_kept(site, name):
        machine.power_on()
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
        yield Installed(site, machine)


@every_case
def test_kernel_ran_with_secure_boot_on(secured: Installed) -> None:
    assert secured.machine.console is not None
    # Debian's kernel locks itself down if firmware says that Secure Boot is on.
    assert "installer: lockdown none [integrity] confidentiality" in secured.machine.console.text


@every_case
def test_machine_has_the_ignition_of_its_role(secured: Installed) -> None:
    with secured.machine.disk.open("rb") as disk:
        disk.seek(IGNITION_OFFSET_BYTES)
        assert disk.read(4096).rstrip(b"\0").decode() == ignition_of("master")


@every_case
def test_appliance_counts_the_machine_as_installed(secured: Installed) -> None:
    assert secured.site.status("m1")["stage"] == "installed"


@every_case
def test_installed_machine_boots_its_disk_once_more(secured: Installed) -> None:
    machine = secured.machine
    machine.power_off()
    machine.power_on()
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    assert machine.console is not None
    assert "installer:" not in machine.console.text


@every_case
def test_files_that_shim_can_do_without_are_no_fault(secured: Installed) -> None:
    log = secured.site.appliance.output.text
    assert [line for line in log.splitlines() if "revocations" in line or "shim_certificate" in line] == []


def test_machine_that_refuses_ipxe_is_given_shim_and_installs(tmp_path: Path, signed_payload: Payload) -> None:
    site = open_site(tmp_path, signed_payload, "4.16", _host(TFTP, "auto"), loaders=TFTP.loaders)
    machine = site.lab.machine("m1", MAC, TFTP.firmware)
    with logs_kept(site, "refused-ipxe"):
        machine.power_on()
        machine.wait_for("Access Denied", INSTALL_SECONDS)
        assert site.appliance.output.wait_for("it gets shim/x64/shimx64.efi now", INSTALL_SECONDS)
        assert "Firmware with Secure Boot refuses iPXE" in site.appliance.command("explain", "m1")
        machine.power_off()
        machine.power_on()
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)


def test_shim_refuses_a_kernel_without_its_signature(tmp_path: Path, signed_payload: Payload) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(_without_signature(signed_payload.kernel.read_bytes()))
    payload = replace(signed_payload, kernel=kernel)
    site = open_site(tmp_path / "lab", payload, "4.16", _host(TFTP), loaders=TFTP.loaders)
    machine = site.lab.machine("m1", MAC, TFTP.firmware)
    with logs_kept(site, "refused-kernel"):
        machine.power_on()
        machine.wait_for("bad shim signature", INSTALL_SECONDS)
        assert machine.console is not None
        assert "installer:" not in machine.console.text


def _without_signature(program: bytes) -> bytes:
    """Return an EFI program (PE32+) without its certificate table."""
    (at,) = struct.unpack_from("<I", program, 0x3C)
    entry = at + 24 + 112 + 4 * 8  # data directory 4, after the COFF header and the fixed part of the optional header
    place, size = struct.unpack_from("<II", program, entry)
    assert size > 0
    return program[:entry] + bytes(8) + program[entry + 8 : place]
