"""Machines without IPv4: OVMF boots by DHCPv6, TFTP and HTTP over IPv6, and so do iPXE and the installer."""

from collections.abc import Iterator

import pytest

from tests.vm.firmware import Firmware
from tests.vm.payload import IGNITION_OFFSET_BYTES, Payload
from tests.vm.processes import ADDRESS6
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
HOST = f"""\
  - hostname: m1
    role: master
    macAddress: {MAC}
    address: 2001:db8:0:16::21
    networkConfig:
      interfaces:
        - name: eth0
          type: ethernet
          ipv6: {{enabled: true, address: [{{ip: 2001:db8:0:16::21, prefix-length: 64}}]}}
"""

both = pytest.mark.parametrize(
    "installed6",
    [pytest.param(Firmware.UEFI_PXE6, id="pxe"), pytest.param(Firmware.UEFI_HTTP6, id="http")],
    indirect=True,
)


@pytest.fixture(scope="module")
def installed6(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, payload: Payload
) -> Iterator[Installed]:
    """A machine that was installed by IPv6 alone, and has booted from its disk."""
    firmware: Firmware = request.param
    name = f"ipv6-{firmware.name.lower()}"
    site = open_site(tmp_path_factory.mktemp(name), payload, "4.16", HOST, is_ipv6=True)
    machine = site.lab.machine("m1", MAC, firmware)
    with logs_kept(site, name):
        machine.power_on()
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
        yield Installed(site, machine)


@both
def test_installer_gets_urls_of_ipv6(installed6: Installed) -> None:
    assert installed6.machine.console is not None
    assert f"coreos.live.rootfs_url=http://[{ADDRESS6}]/" in installed6.machine.console.text


@both
def test_machine_has_the_ignition_of_its_role(installed6: Installed) -> None:
    with installed6.machine.disk.open("rb") as disk:
        disk.seek(IGNITION_OFFSET_BYTES)
        assert disk.read(4096).rstrip(b"\0").decode() == ignition_of("master")


@both
def test_appliance_counts_the_machine_as_installed(installed6: Installed) -> None:
    assert installed6.site.status("m1")["stage"] == "installed"


@both
def test_installed_machine_boots_its_disk_once_more(installed6: Installed) -> None:
    machine = installed6.machine
    machine.power_off()
    machine.power_on()
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    assert machine.console is not None
    assert "installer:" not in machine.console.text
