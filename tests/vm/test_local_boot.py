"""Installed machines whose boot order has the network first: each reaches its own disk, and soon."""

import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.vm import nvram
from tests.vm.firmware import DISK, NIC, X64, Firmware
from tests.vm.machine import Machine
from tests.vm.payload import Payload
from tests.vm.site import DISK_SECONDS, Site, disk_line, logs_kept, open_site

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

MOST_SECONDS = 20.0  # over the time with the disk first
# Where much else runs, the clock of the firmware is slow, because it loses ticks. An entry that waits in vain takes a
# minute and more.
SLOW_FACTOR = 3.0
TRIES = 3

# By name: the firmware, and the host's keys in cluster.yaml. After `exit 1` Debian's ipxe.efi stops at a
# prompt, while snponly.efi continues with the next boot entry.
WAYS = {
    "bios-sanboot": (Firmware.BIOS, "localBoot: sanboot"),
    "bios-exit": (Firmware.BIOS, "localBoot: exit"),
    "uefi-sanboot": (Firmware.UEFI_PXE, "localBoot: sanboot, loader: efi/snponly.efi"),
    "uefi-exit": (Firmware.UEFI_PXE, "localBoot: exit, loader: efi/snponly.efi"),
}
DUAL_STACK, IPV4_ONLY = 31, 32  # hosts with `localBoot: no-offer`
NETWORKS = "    - {cidr: fd00::/64, serverAddress: fd00::101}\n"  # the lab's
DISK_FIRST = ("disk",)
# The boot order in which OVMF puts its entries by itself.
DEFAULT = ("pxe_ipv4", "pxe_ipv6", "http_ipv4", "http_ipv6", "disk")
HTTP_FIRST = ("http_ipv4", "http_ipv6", "disk")
IPV6_FIRST = ("pxe_ipv6", "http_ipv6", "pxe_ipv4", "http_ipv4", "disk")
IPV6_ONLY = ("pxe_ipv6", "http_ipv6", "disk")


def _mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def _host(name: str, number: int, keys: str) -> str:
    named = f"hostname: {name}, role: master, macAddress: {_mac(number)}, address: 172.16.0.{number}"
    return f"  - {{{named}, install: never, {keys}}}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, payload: Payload) -> Iterator[Site]:
    """A cluster with a host for each way of local boot; with `install: never` they count as installed."""
    hosts = "".join(_host(name, number, keys) for number, (name, (_, keys)) in enumerate(WAYS.items(), 21))
    hosts += _host("dual-stack", DUAL_STACK, f"addressIPv6: 'fd00::{DUAL_STACK}'")
    hosts += _host("ipv4-only", IPV4_ONLY, "localBoot: no-offer")
    site = open_site(tmp_path_factory.mktemp("local"), payload, "4.5", hosts, networks=NETWORKS)
    with logs_kept(site, "local-boot"):
        yield site


def _installed(site: Site, payload: Payload, name: str, number: int, firmware: Firmware) -> Machine:
    """Return a machine with the image on its disk."""
    machine = site.lab.machine(name, _mac(number), firmware)
    with machine.disk.open("r+b") as disk:
        disk.write(payload.raw_image)
    return machine


@pytest.fixture(scope="module")
def machines(site: Site, payload: Payload) -> Mapping[str, Machine]:
    """The hosts with iPXE, powered on at the same time."""
    found = {}
    for number, (name, (firmware, _)) in enumerate(WAYS.items(), 21):
        found[name] = machine = _installed(site, payload, name, number, firmware)
        machine.power_on()
    return found


@pytest.mark.parametrize("name", WAYS)
def test_installed_machine_leaves_ipxe_for_its_disk(machines: Mapping[str, Machine], name: str) -> None:
    machine = machines[name]
    machine.wait_for("is installed: starting", DISK_SECONDS)
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    machine.power_off()


@pytest.fixture(scope="module")
def uefi(site: Site, payload: Payload) -> Mapping[int, Machine]:
    """The hosts with `localBoot: no-offer`, by number, with UEFI."""
    return {
        number: _installed(site, payload, f"uefi-{number}", number, Firmware.UEFI_PXE)
        for number in (DUAL_STACK, IPV4_ONLY)
    }


@pytest.fixture(scope="module")
def bios(site: Site, payload: Payload) -> Machine:
    """The host with both addresses, with a BIOS."""
    return _installed(site, payload, "bios", DUAL_STACK, Firmware.BIOS)


def _seconds(machine: Machine) -> float:
    """Return how long *machine* takes from power-on to its disk."""
    began = time.monotonic()
    machine.power_on()
    machine.wait_for(disk_line(machine.firmware), DISK_SECONDS)
    taken = time.monotonic() - began
    machine.power_off()
    return taken


def _order(machine: Machine, entries: Sequence[str]) -> None:
    """Set the boot order of *machine*, which is off."""
    machine.disk_first = entries == DISK_FIRST
    card = NIC, bytes.fromhex(machine.mac.replace(":", ""))
    makers = {
        "pxe_ipv4": lambda: nvram.pxe_ipv4(*card),
        "pxe_ipv6": lambda: nvram.pxe_ipv6(*card),
        "http_ipv4": lambda: nvram.http_ipv4(*card),
        "http_ipv6": lambda: nvram.http_ipv6(*card),
        "disk": lambda: nvram.disk(DISK),
    }
    order = [makers[entry]() for entry in entries]
    machine.nvram.write_bytes(nvram.with_boot_order(X64.variables.read_bytes(), order))


def _assert_is_soon(machine: Machine, entries: Sequence[str]) -> None:
    """Fail unless *machine* reaches its disk as soon with *entries* as with the disk first, but for MOST_SECONDS."""
    seen = []
    for _ in range(TRIES):
        _order(machine, DISK_FIRST)
        disk_first = _seconds(machine)
        _order(machine, entries)
        over = _seconds(machine) - disk_first
        if over <= max(MOST_SECONDS, SLOW_FACTOR * disk_first):
            return
        seen.append(f"{over:.1f} s more than {disk_first:.1f} s")
    pytest.fail(", ".join(seen))


@pytest.mark.parametrize(
    ("number", "entries"),
    [
        pytest.param(DUAL_STACK, DEFAULT, id="default-order"),
        pytest.param(DUAL_STACK, HTTP_FIRST, id="http-first"),
        pytest.param(DUAL_STACK, IPV6_FIRST, id="ipv6-first"),
        pytest.param(IPV4_ONLY, IPV6_ONLY, id="ipv6-first-without-an-ipv6-address"),
    ],
)
def test_uefi_machine_with_the_network_first_is_on_its_disk_soon(
    uefi: Mapping[int, Machine], number: int, entries: Sequence[str]
) -> None:
    _assert_is_soon(uefi[number], entries)


def test_bios_machine_with_the_network_first_is_on_its_disk_soon(bios: Machine) -> None:
    _assert_is_soon(bios, DEFAULT)
