"""Machines with real firmware, from power-on to a boot from disk, with the real `ocp-appliance serve`."""

import pytest

from tests.vm.firmware import Firmware
from tests.vm.payload import IGNITION_OFFSET_BYTES, Payload
from tests.vm.site import DISK_SECONDS, INSTALL_SECONDS, INSTALLED_LINE, Installed, disk_line, ignition_of

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

UEFI = pytest.param((Firmware.UEFI_PXE, "4.16"), id="uefi-live")
BIOS = pytest.param((Firmware.BIOS, "4.5"), id="bios-legacy")
HTTP = pytest.param((Firmware.UEFI_HTTP, "4.5"), id="http-legacy")

every_firmware = pytest.mark.parametrize("installed", [UEFI, BIOS, HTTP], indirect=True)
pxe_firmware = pytest.mark.parametrize("installed", [UEFI, BIOS], indirect=True)


@every_firmware
def test_machine_has_the_image_on_its_disk(installed: Installed, payload: Payload) -> None:
    with installed.machine.disk.open("rb") as disk:
        assert disk.read(len(payload.raw_image)) == payload.raw_image


@every_firmware
def test_machine_has_the_ignition_of_its_role(installed: Installed) -> None:
    with installed.machine.disk.open("rb") as disk:
        disk.seek(IGNITION_OFFSET_BYTES)
        assert disk.read(4096).rstrip(b"\0").decode() == ignition_of("master")


@every_firmware
def test_installer_found_its_name_in_reverse_dns(installed: Installed) -> None:
    console = installed.machine.console
    assert console is not None
    assert "installer: reverse name m1.ocp45.example.localdomain" in console.text


@pxe_firmware
def test_appliance_counts_the_machine_as_installed(installed: Installed) -> None:
    assert installed.site.status("m1")["stage"] == "installed"


@pxe_firmware
def test_installed_machine_boots_its_disk_when_the_network_comes_first(installed: Installed) -> None:
    machine = installed.machine
    machine.power_off()
    machine.power_on()
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    assert machine.console is not None
    assert "installer:" not in machine.console.text


@pxe_firmware
def test_reinstalled_machine_installs_again_and_then_boots_its_disk(installed: Installed) -> None:
    machine = installed.machine
    machine.power_off()
    number = installed.site.status("m1")["number"]
    installed.site.appliance.command("reinstall", "m1", "--yes")
    machine.power_on()
    machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    assert isinstance(number, int)
    assert installed.site.status("m1")["number"] == number + 1
