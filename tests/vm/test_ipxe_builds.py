"""iPXE of Debian 13 (1.21.1) and iPXE 2.0.0, for x64 and arm64: each boots a machine through the whole chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.firmware import Firmware
from tests.vm.parts import unpacked
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
# By Debian release: the version that this iPXE calls itself.
VERSIONS = {"trixie": "iPXE 1.21.1", "forky": "iPXE 2.0.0"}


def _host(loader: str, arch: str) -> str:
    return (
        f"  - {{hostname: m1, role: master, macAddress: {MAC}, address: 172.16.0.21, arch: {arch}, loader: {loader}}}"
    )


def _ipxe(release: str, name: str) -> Path:
    return unpacked(release, "ipxe") / "usr/lib/ipxe" / name


@pytest.fixture(scope="module", params=VERSIONS)
def arm64(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, arm64_payload: Payload
) -> Iterator[Installed]:
    """An arm64 machine that was installed by iPXE of a Debian release, and has booted from its disk."""
    release: str = request.param
    loader = "arm64-efi/snponly.efi"
    loaders = {loader: _ipxe(release, "ipxe-arm64.efi")}
    directory = tmp_path_factory.mktemp(f"arm64-{release}")
    site = open_site(directory, arm64_payload, "4.16", _host(loader, "aarch64"), loaders=loaders)
    machine = site.lab.machine("m1", MAC, Firmware.ARM64_PXE)
    with logs_kept(site, f"arm64-{release}"):
        machine.power_on()
        machine.wait_for(VERSIONS[release], INSTALL_SECONDS)
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
        yield Installed(site, machine)


def test_arm64_machine_has_the_image_on_its_disk(arm64: Installed, arm64_payload: Payload) -> None:
    with arm64.machine.disk.open("rb") as disk:
        assert disk.read(len(arm64_payload.raw_image)) == arm64_payload.raw_image


def test_arm64_machine_has_the_ignition_of_its_role(arm64: Installed) -> None:
    with arm64.machine.disk.open("rb") as disk:
        disk.seek(IGNITION_OFFSET_BYTES)
        assert disk.read(4096).rstrip(b"\0").decode() == ignition_of("master")


def test_appliance_counts_the_arm64_machine_as_installed(arm64: Installed) -> None:
    assert arm64.site.status("m1")["stage"] == "installed"


@pytest.mark.parametrize("name", ["ipxe.efi", "snponly.efi"])
@pytest.mark.parametrize("release", VERSIONS)
def test_x64_machine_is_installed_and_boots_its_disk(tmp_path: Path, payload: Payload, release: str, name: str) -> None:
    loader = f"efi/{name}"
    site = open_site(tmp_path, payload, "4.16", _host(loader, "x86_64"), loaders={loader: _ipxe(release, name)})
    machine = site.lab.machine("m1", MAC, Firmware.UEFI_PXE)
    with logs_kept(site, f"x64-{release}-{name}"):
        machine.power_on()
        machine.wait_for(VERSIONS[release], INSTALL_SECONDS)
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
