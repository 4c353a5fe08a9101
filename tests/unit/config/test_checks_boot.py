"""What machines boot: a correct file with one mistake, and the resulting problem."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told, with_host

FLAWS = [
    (
        with_host(("32\n    address", "32\n    rootDeviceHints: {deviceName: sda}\n    address")),
        '41: hosts[5].rootDeviceHints.deviceName: "sda" is not a path under /dev; write /dev/sda',
    ),
    (
        with_host(("32\n    address", "32\n    rootDeviceHints: {deviceName: /dev/sda, wwn: 0x5000}\n    address")),
        (
            "41: hosts[5].rootDeviceHints.wwn: unknown key; the installer accepts only a path: write "
            "deviceName, for example /dev/disk/by-id/wwn-0x5000c500a1b2c3d4"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    install: always\n    address")),
        (
            "41: warning: hosts[5].install: always reinstalls the host at every network boot, including "
            "the reboots during an installation; put the disk first in the firmware's boot order"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: ['a b']\n    address")),
        '41: hosts[5].kernelArguments[0]: "a b" contains a space; write each argument as a list item of its own',
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: ['a=${b}']\n    address")),
        (
            '41: hosts[5].kernelArguments[0]: "a=${b}" cannot be passed through iPXE; remove single quotes, '
            "backslashes, ${ and && || ; #"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    kernelArguments: [';']\n    address")),
        (
            '41: hosts[5].kernelArguments[0]: ";" cannot be passed through iPXE; remove single quotes, '
            "backslashes, ${ and && || ; #"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    arch: arm64\n    address")),
        (
            '41: hosts[5].arch: "arm64" is not valid; expected x86_64 or aarch64 (arm64 is called '
            "aarch64 here, as in RHCOS)"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    loader: efi/odd.efi\n    address")),
        (
            "41: warning: hosts[5].loader: boot file efi/odd.efi not found; put it at tftp/efi/odd.efi "
            "in the data directory"
        ),
    ),
    (
        with_host(("32\n    address", "32\n    loader: snponly\n    address")),
        (
            '41: hosts[5].loader: "snponly" is not valid; expected auto, ipxe, ipxe-snp, undionly or shim '
            "(snponly.efi is called ipxe-snp here; a file is written with its directory)"
        ),
    ),
    (
        f"{CLEAN}images: {{release: 4.5.6}}\n",
        (
            "40: images.release: images of 4.5.6 boot an installer initramfs, but release 4.16 installs "
            "with a live system; use images of 4.6 or later with release 4.6 or later, and older ones "
            "with older releases"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: /srv/kernel\n",
        (
            '41: images.kernel: "/srv/kernel" begins with /; write a path relative to images/ (or tftp/) '
            "in the data directory"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: https://mirror/kernel\n",
        (
            '41: images.kernel: "https://mirror/kernel" is a URL; download the file to images/ in the '
            "data directory, and write its name here"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel: ../kernel\n",
        (
            '41: images.kernel: "../kernel" is not a valid file name; use letters, digits and . _ + - '
            "(and / between directories)"
        ),
    ),
    (
        f"{CLEAN}images:\n  kernel:\n    name: rhcos-4.16.3-x86_64-live-kernel-x86_64\n    sha256: abc\n",
        '43: images.kernel.sha256: "abc" is not a sha256; expected 64 hexadecimal digits, got 3 characters',
    ),
    (
        f"{CLEAN}images:\n  kernel: master.ign\n",
        '41: images.kernel: "master.ign" is a URL path that the appliance uses itself; rename the file',
    ),
    (
        f"{CLEAN}images:\n  initramfs: rhcos-4.16.3-x86_64-live-kernel-x86_64\n",
        (
            '41: images.initramfs: "rhcos-4.16.3-x86_64-live-kernel-x86_64" is already used on line 4; '
            "each kind of image is a file of its own"
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]


NETWORK = "networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}}]}"


@pytest.mark.parametrize("argument", ["ip=dhcp", "nameserver=192.0.2.5", "rd.route=198.51.100.0/24:192.0.2.1"])
def test_network_arguments_alone_set_up_a_live_installer(tmp_path: Path, argument: str) -> None:
    text = with_host(("32\n    address", f"32\n    kernelArguments: ['{argument}']\n    address"))

    assert told(tmp_path, text) == []


def test_network_argument_beside_network_config_is_reported(tmp_path: Path) -> None:
    text = with_host(("32\n    address", f"32\n    kernelArguments: [ip=dhcp]\n    {NETWORK}\n    address"))

    assert told(tmp_path, text) == [
        (
            "41: warning: hosts[5].kernelArguments[0]: ip= is already set from networkConfig, "
            "and only one of them takes effect; remove this one"
        )
    ]


def test_role_s_network_argument_is_reported_once_for_hosts_with_network_config(tmp_path: Path) -> None:
    text = with_host(("32\n    address", f"32\n    {NETWORK}\n    address")).replace(
        "    address: 192.0.2.31", f"    address: 192.0.2.31\n    {NETWORK}"
    )
    lines = told(tmp_path, f"{text}roles: {{worker: {{kernelArguments: [ip=dhcp]}}}}\n")

    assert [line.split(":")[2] for line in lines] == [" roles.worker.kernelArguments[0]"]


def test_ip_argument_of_a_host_with_two_interfaces_is_reported(tmp_path: Path) -> None:
    change = ("52:54:00:00:00:32\n", "[52:54:00:00:00:32, 52:54:00:00:01:32]\n    kernelArguments: [ip=dhcp]\n")

    assert told(tmp_path, with_host(change)) == [
        (
            "41: warning: hosts[5].kernelArguments[0]: the appliance already sets ip=dhcp for this host; "
            "use networkConfig instead"
        )
    ]


def test_ip_argument_of_a_legacy_installer_is_reported(tmp_path: Path) -> None:
    text = with_host(("32\n    address", "32\n    kernelArguments: [ip=dhcp, nameserver=192.0.2.5]\n    address"))
    lines = told(tmp_path, edited(("4.16.3", "4.5.6"), text=text))

    assert [line.split(":")[2] for line in lines if "release" not in line] == [" hosts[5].kernelArguments[0]"]
