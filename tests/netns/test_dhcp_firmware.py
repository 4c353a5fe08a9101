"""Real UEFI firmware with another DHCP server: it gets its address there, and its boot file from port 4011."""

import select
import shutil
import time
from pathlib import Path

import pytest

from tests.dhcp_lab import APPLIANCE_NAMESPACE, Lab, can_make_namespaces, ip
from tests.dhcp_messages import BS_MAC

OVMF_CODE, OVMF_VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
IPXE = Path("/boot/ipxe.efi")
SCRIPT = "#!ipxe\necho script reached with ${net0/ip} by ${filename}, end of script\npoweroff\n"
BOOT_SECONDS = 240  # 38 on two idle cores, without KVM

pytestmark = [
    pytest.mark.netns,
    pytest.mark.vm,
    pytest.mark.timeout(BOOT_SECONDS + 30),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
    pytest.mark.skipif(
        not (shutil.which("qemu-system-x86_64") and OVMF_CODE.exists() and IPXE.exists()),
        reason="needs the packages qemu-system-x86, ovmf and ipxe",
    ),
]


def test_uefi_firmware_reaches_the_script_through_our_proxy(tmp_path: Path) -> None:
    tftp, web = tmp_path / "tftp", tmp_path / "web"
    (tftp / "efi").mkdir(parents=True)
    web.mkdir()
    shutil.copy(IPXE, tftp / "efi" / "ipxe.efi")
    (web / "pxeboot.ipxe").write_text(SCRIPT)
    with Lab(tmp_path) as lab:
        lab.node_network()
        other = lab.node("other", "52:54:00:00:00:03")
        ip(
            f"-n {other} addr add 172.16.0.66/24 dev eth0",
            f"-n {APPLIANCE_NAMESPACE} tuntap add dev tap0 mode tap",
            f"-n {APPLIANCE_NAMESPACE} link set tap0 up master br0",
        )
        dnsmasq = ("dnsmasq", "-d", "-C", "/dev/null", "--port=0", "--user=root")
        leases = f"--dhcp-leasefile={tmp_path}/leases"
        pinned = f"--dhcp-host={BS_MAC},172.16.0.11"
        lab.start(other, *dnsmasq, leases, "--no-ping", pinned, "--dhcp-range=172.16.0.200,172.16.0.210,1h")
        lab.start(APPLIANCE_NAMESPACE, *dnsmasq, "--enable-tftp", f"--tftp-root={tftp}")
        lab.start(APPLIANCE_NAMESPACE, "python3", "-m", "http.server", "80", "-d", str(web))
        served = lab.serve("proxy")
        printed = boot(lab, tmp_path)
        assert "script reached with 172.16.0.11" in printed
        assert "by http://172.16.0.101/pxeboot.ipxe, end of script" in printed
        # From the firmware: in this mode only port 4011 sends an ACK.
        assert served.event("dhcp.ack")["boot"] == "efi/ipxe.efi"


def boot(lab: Lab, directory: Path) -> str:
    """Power on the machine bs; return the output of its serial port until the script runs."""
    shutil.copy(OVMF_VARS, directory / "vars.fd")
    machine = lab.start(
        APPLIANCE_NAMESPACE,
        *("qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "512", "-nographic", "-no-reboot"),
        *("-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"),
        *("-drive", f"if=pflash,format=raw,file={directory}/vars.fd"),
        *("-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"),
        *("-device", "virtio-net-pci,netdev=net,mac=00:50:56:96:11:c2,romfile="),
    )
    assert machine.stdout is not None
    printed, deadline = b"", time.monotonic() + BOOT_SECONDS
    while b"end of script" not in printed and time.monotonic() < deadline and machine.poll() is None:
        if select.select([machine.stdout], [], [], 1)[0]:
            printed += machine.stdout.buffer.read1(4096)  # type: ignore[attr-defined]
    return printed.decode("ascii", "replace")
