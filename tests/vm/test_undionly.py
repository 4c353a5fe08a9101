"""A BIOS worker with a PXE ROM: undionly.kpxe by TFTP, the wait for the control plane, and the installation."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.vm.firmware import Firmware
from tests.vm.payload import Payload
from tests.vm.processes import Namespace
from tests.vm.site import (
    DISK_SECONDS,
    INSTALL_SECONDS,
    INSTALLED_LINE,
    Installed,
    disk_line,
    logs_kept,
    open_site,
)

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

M1 = "172.16.0.21"
MAC = "52:54:00:00:00:31"
HOSTS = f"""\
  - {{hostname: m1, role: master, macAddress: 52:54:00:00:00:21, address: 172.16.0.21}}
  - {{hostname: w1, role: worker, macAddress: {MAC}, address: 172.16.0.31}}
"""
WAITS = "waits:"


def _machine_config_server(namespace: Namespace) -> subprocess.Popen[bytes]:
    """Start a server that accepts connections on port 22623 of m1 and, like a TLS server, does not speak first."""
    namespace.run("ip", "addr", "add", f"{M1}/24", "dev", "br0")
    return subprocess.Popen(
        namespace.command(sys.executable, "-m", "http.server", "--bind", M1, "22623"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory, payload: Payload) -> Iterator[Installed]:
    """A worker that has waited for the control plane, has been installed, and has booted from its disk."""
    # The reference network has no IPv6.
    site = open_site(tmp_path_factory.mktemp("undionly"), payload, "4.16", HOSTS, has_ipv6_router=False)
    machine = site.lab.machine("w1", MAC, Firmware.BIOS_ROM)
    with logs_kept(site, "undionly"):
        machine.power_on()
        machine.wait_for(WAITS, INSTALL_SECONDS)
        assert machine.console is not None
        assert "installer:" not in machine.console.text
        server = _machine_config_server(site.lab.namespace)
        try:
            machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        finally:
            server.kill()
            server.wait()
        yield Installed(site, machine)


def test_bios_rom_fetches_undionly_by_tftp(chained: Installed) -> None:
    assert "path=undionly.kpxe" in chained.site.appliance.output.text


def test_worker_waits_for_the_machine_config_server_before_it_installs(chained: Installed) -> None:
    assert chained.machine.console is not None
    text = chained.machine.console.text
    assert text.index(WAITS) < text.index("installer:")


def test_bios_worker_boots_from_its_disk_afterwards(chained: Installed) -> None:
    machine = chained.machine
    machine.power_off()
    machine.rom = None
    machine.power_on()
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
