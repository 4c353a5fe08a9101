"""Installed machines that boot iPXE because of localBoot: each reaches its own disk."""

from collections.abc import Iterator, Mapping

import pytest

from tests.vm.firmware import Firmware
from tests.vm.machine import Machine
from tests.vm.payload import Payload
from tests.vm.site import DISK_SECONDS, Site, disk_line, logs_kept, open_site

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

# By name: the firmware, and the host's keys in cluster.yaml. After `exit 1` Debian's ipxe.efi stops at a
# prompt, while snponly.efi continues with the next boot entry.
WAYS = {
    "bios-sanboot": (Firmware.BIOS, "localBoot: sanboot"),
    "bios-exit": (Firmware.BIOS, "localBoot: exit"),
    "uefi-sanboot": (Firmware.UEFI_PXE, "localBoot: sanboot, loader: efi/snponly.efi"),
    "uefi-exit": (Firmware.UEFI_PXE, "localBoot: exit, loader: efi/snponly.efi"),
}


def _mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, payload: Payload) -> Iterator[Site]:
    """A cluster with a host for each way of local boot; with `install: never` they count as installed."""
    hosts = "".join(
        f"  - {{hostname: {name}, role: master, macAddress: {_mac(number)}, address: 172.16.0.{number},"
        f" install: never, {said}}}\n"
        for number, (name, (_, said)) in enumerate(WAYS.items(), 21)
    )
    site = open_site(tmp_path_factory.mktemp("local"), payload, "4.5", hosts)
    with logs_kept(site, "local-boot"):
        yield site


@pytest.fixture(scope="module")
def machines(site: Site, payload: Payload) -> Mapping[str, Machine]:
    """The hosts, with the image on their disks, powered on at the same time."""
    found = {}
    for number, (name, (firmware, _)) in enumerate(WAYS.items(), 21):
        machine = site.lab.machine(name, _mac(number), firmware)
        with machine.disk.open("r+b") as disk:
            disk.write(payload.raw_image)
        machine.power_on()
        found[name] = machine
    return found


@pytest.mark.parametrize("name", WAYS)
def test_installed_machine_leaves_ipxe_for_its_disk(machines: Mapping[str, Machine], name: str) -> None:
    machine = machines[name]
    machine.wait_for("is installed: starting", DISK_SECONDS)
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
