"""What machines boot: one flaw in a clean file, and what is told."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, flaw_id, told, with_host

FLAWS = [
    (
        with_host(("32\n    address", "32\n    rootDeviceHints: {deviceName: sda}\n    address")),
        '41: hosts[5].rootDeviceHints.deviceName: "sda" is not a path under /dev; write /dev/sda',
    ),
    (
        with_host(("32\n    address", "32\n    rootDeviceHints: {deviceName: /dev/sda, wwn: 0x5000}\n    address")),
        (
            "41: hosts[5].rootDeviceHints.wwn: is no key here; the installer takes only a path: "
            "write deviceName, as /dev/disk/by-id/wwn-0x5000c500a1b2c3d4"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    install: always\n    address")),
        (
            "41: warning: hosts[5].install: always installs again at every network boot, also at the reboots "
            "that belong to an installation; the disk must come first in the firmware's boot order"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: ['a b']\n    address")),
        ('41: hosts[5].kernelArguments[0]: "a b" holds a blank; give each argument a line of its own in the list'),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: ['a=${b}']\n    address")),
        (
            '41: hosts[5].kernelArguments[0]: "a=${b}" would not pass iPXE as it is: '
            "leave out quotes, backslashes, ${ and && || ; #"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: [';']\n    address")),
        (
            '41: hosts[5].kernelArguments[0]: ";" would not pass iPXE as it is: '
            "leave out quotes, backslashes, ${ and && || ; #"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: [ip=dhcp]\n    address")),
        (
            "41: warning: hosts[5].kernelArguments[0]: ip= comes from networkConfig already; "
            "this second one may win or lose"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    arch: arm64\n    address")),
        (
            '41: hosts[5].arch: "arm64" is not known here; write x86_64 or aarch64 '
            "(arm64 is aarch64 here, as RHCOS names it)"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    loader: efi/odd.efi\n    address")),
        (
            "41: warning: hosts[5].loader: the boot file efi/odd.efi is not there; "
            "put it at tftp/efi/odd.efi in the data directory"
        ),
    ),
    (
        f"{CLEAN}images: {{release: 4.5.6}}\n",
        (
            "40: images.release: 4.5.6 boots an installer initramfs, and release 4.16 a live system; "
            "take images from 4.6 on for live releases, and from before it for the others"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: /srv/kernel\n",
        (
            '41: images.kernel: "/srv/kernel" begins with /; '
            "write the path below images/ (or tftp/) of the data directory"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: https://mirror/kernel\n",
        (
            '41: images.kernel: "https://mirror/kernel" is a URL; '
            "fetch the file into images/ of the data directory, and name it here"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: ../kernel\n",
        (
            '41: images.kernel: "../kernel" cannot be a file name here; '
            "use letters, digits and . _ + - (and / between directories)"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel:\n    name: rhcos-4.16.3-x86_64-live-kernel-x86_64\n    sha256: abc\n",
        ('43: images.kernel.sha256: "abc" has 3 characters or other signs; a sha256 has 64 hexadecimal digits'),
    ),
    (
        f"{CLEAN}images:\n  kernel: master.ign\n",
        '41: images.kernel: "master.ign" is an address that the appliance uses itself; rename the file',
    ),
    (
        f"{CLEAN}images:\n  initramfs: rhcos-4.16.3-x86_64-live-kernel-x86_64\n",
        (
            '41: images.initramfs: "rhcos-4.16.3-x86_64-live-kernel-x86_64" is named twice (first on line 4); '
            "each kind is a file of its own"
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_told_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
