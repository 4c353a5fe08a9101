"""An installed machine with Secure Boot on that boots from the network first: GRUB starts its disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.firmware import Firmware
from tests.vm.machine import Machine
from tests.vm.parts import signed_loaders
from tests.vm.payload import Payload
from tests.vm.site import DISK_SECONDS, INSTALL_SECONDS, INSTALLED_LINE, disk_line, logs_kept, open_site

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

MAC = "52:54:00:00:00:21"
LEAVES = "is installed: starting it from its own disk"


@pytest.fixture
def installed(tmp_path: Path, signed_payload: Payload) -> Iterator[Machine]:
    """A machine that was installed, and restarts."""
    shim, grub = signed_loaders("x64", network=True)
    loaders = {"shim/x64/shimx64.efi": shim, "shim/x64/grubx64.efi": grub}
    host = (
        f"  - {{hostname: m1, role: master, macAddress: {MAC}, address: 172.16.0.21, loader: shim, localBoot: sanboot}}"
    )
    site = open_site(tmp_path, signed_payload, "4.16", host, loaders=loaders)
    machine = site.lab.machine("m1", MAC, Firmware.SECURE_PXE)
    with logs_kept(site, "grub-local-boot"):
        machine.power_on()
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        yield machine


def test_grub_brings_an_installed_machine_to_its_disk(installed: Machine) -> None:
    installed.wait_for(LEAVES, DISK_SECONDS)
    installed.wait_for(disk_line(installed.firmware), DISK_SECONDS)
