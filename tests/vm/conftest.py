"""Fixtures of the tests with virtual machines: the payload, and a machine that has been installed."""

import shutil
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.firmware import ARM64, X64, Firmware
from tests.vm.parts import signed_loaders, unpacked
from tests.vm.payload import Payload, System, build_arm64_payload, build_payload, build_signed_payload
from tests.vm.site import (
    ARTIFACTS,
    DISK_SECONDS,
    INSTALL_SECONDS,
    INSTALLED_LINE,
    Installed,
    Site,
    disk_line,
    logs_kept,
    open_site,
)

NEEDS = (
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("grub-mkimage", "grub-common"),
    ("mcopy", "mtools"),
    ("mkfs.vfat", "dosfstools"),
    ("cpio", "cpio"),
    ("nsenter", "util-linux"),
    ("dnsmasq", "dnsmasq-base"),
    (str(X64.code), "ovmf"),
    ("/usr/lib/grub/i386-pc/boot.img", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi/serial.mod", "grub-efi-amd64-bin"),
    ("/boot/ipxe.efi", "ipxe"),
)


ARM64_NEEDS = (
    (ARM64.emulator, "qemu-system-arm"),
    (str(ARM64.code), "qemu-efi-aarch64"),
)


def _skip_without(needs: Iterable[tuple[str, str]]) -> None:
    for path, package in needs:
        if shutil.which(path) is None and not Path(path).exists():
            pytest.skip(f"{path} not found, and virtual machines need it; install {package}")
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun not found; load the kernel module tun")


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Payload:
    """The kernel, the stand-in installer and the disk image for x86_64, built once for the whole run."""
    _skip_without(NEEDS)
    return build_payload(tmp_path_factory.mktemp("payload"))


@pytest.fixture(scope="session")
def arm64_payload(tmp_path_factory: pytest.TempPathFactory) -> Payload:
    """The same for arm64, of Debian 12's packages for arm64."""
    _skip_without((*NEEDS, *ARM64_NEEDS))
    linux = unpacked("bookworm", "linux-image-cloud-arm64", "arm64")
    busybox = unpacked("bookworm", "busybox-static", "arm64") / "bin/busybox"
    (kernel,) = (linux / "boot").glob("vmlinuz-*")
    system = replace(System.below(linux, kernel), busybox=busybox)
    return build_arm64_payload(tmp_path_factory.mktemp("arm64"), system, *signed_loaders("aa64"))


@pytest.fixture(scope="session")
def signed_payload(tmp_path_factory: pytest.TempPathFactory, payload: Payload) -> Payload:
    """The payload for x86_64, with a disk that starts under Secure Boot."""
    return build_signed_payload(tmp_path_factory.mktemp("signed"), payload, *signed_loaders("x64"))


@pytest.fixture(scope="module")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, payload: Payload
) -> Iterator[Installed]:
    """A machine that was powered on with an empty disk, was installed, and has booted from it.

    The parameter is its firmware and the release.
    """
    firmware: Firmware
    firmware, release = request.param
    mac = "52:54:00:00:00:21"
    host = f"  - {{hostname: m1, role: master, macAddress: {mac}, address: 172.16.0.21}}"
    site = open_site(tmp_path_factory.mktemp(firmware.name.lower()), payload, release, host)
    machine = site.lab.machine("m1", mac, firmware)
    with logs_kept(site, f"installed-{firmware.name.lower()}"):
        machine.power_on()
        machine.wait_for(INSTALLED_LINE, INSTALL_SECONDS)
        machine.wait_for(disk_line(firmware), DISK_SECONDS)
        yield Installed(site, machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of the serial ports and of the appliance if a test fails."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            site = value.site if isinstance(value, Installed) else value
            if isinstance(site, Site):
                site.lab.keep_logs(ARTIFACTS / item.name.replace("/", "_"))
    return report
