"""Simulated machines with dnsmasq: they follow the standards, and do not depend on the appliance."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.model import MacAddress
from appliance.simulate.lab import Bridge
from appliance.simulate.machine import Ports
from tests.simulate_segment import Segment, segment

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed (dnsmasq-base)"),
]

COMMON = """
no-daemon
no-resolv
no-hosts
user=root
interface=br0
except-interface=lo
bind-interfaces
enable-tftp
tftp-root={root}
host-record=m1.ocp45.example.localdomain,172.16.0.21
host-record=api-int.ocp45.example.localdomain,172.16.0.110
"""

FULL = """
dhcp-range=172.16.0.0,static,255.255.255.0
dhcp-host=00:50:56:96:37:c8,172.16.0.21,m1
domain=ocp45.example.localdomain
dhcp-match=set:ipxe,175
dhcp-match=set:bios,option:client-arch,0
dhcp-vendorclass=set:http,HTTPClient
dhcp-boot=tag:!ipxe,tag:!bios,efi/ipxe.efi
dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe
dhcp-boot=tag:ipxe,http://172.16.0.101/boot.ipxe
dhcp-boot=tag:http,tag:!ipxe,http://172.16.0.101/ipxe.efi
dhcp-option-force=tag:http,60,HTTPClient
"""

# The other server only gives addresses; this one only adds the boot file, on port 4011.
# One server only gives addresses; the other adds the boot file, and is asked on port 4011.
ADDRESSES_ONLY = """
interface=eth0
dhcp-range=172.16.0.0,static,255.255.255.0
dhcp-host=00:50:56:96:37:c8,172.16.0.21,m1
domain=ocp45.example.localdomain
dhcp-option=option:dns-server,172.16.0.101
"""

PROXY = """
dhcp-range=172.16.0.0,proxy
dhcp-match=set:ipxe,175
pxe-service=tag:!ipxe,X86-64_EFI,"boot",efi/ipxe.efi
pxe-service=tag:!ipxe,x86PC,"boot",undionly.kpxe
dhcp-boot=tag:ipxe,http://172.16.0.101/boot.ipxe
"""

SCRIPT = """#!ipxe
iseq ${platform} efi && set kind uefi || set kind bios
echo booting ${net0/mac:hexhyp} on ${kind}
kernel vmlinuz initrd=main coreos.live.rootfs_url=http://172.16.0.101/rootfs.img coreos.inst.install_dev=/dev/sda \\
  coreos.inst.ignition_url=http://172.16.0.101/master.ign
initrd --name main initramfs.img
boot
"""


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[tuple[Segment, Path]]:
    """A segment with the web server of Python, and the directory that it serves."""
    for name, content in {
        "efi/ipxe.efi": b"MZ" + b"x" * 300_000,
        "undionly.kpxe": b"x" * 70_000,
        "ipxe.efi": b"MZ" + b"x" * 300_000,
        "boot.ipxe": SCRIPT.encode(),
        "vmlinuz": b"k" * 1_000_000,
        "initramfs.img": b"i" * 2_000_000,
        "rootfs.img": b"r" * 3_000_000,
        "master.ign": b'{"ignition": {"version": "3.2.0"}}',
    }.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(content)
    with segment() as made:
        web = [sys.executable, "-m", "http.server", "80", "--bind", "172.16.0.101", "-d", str(tmp_path / "root")]
        with made.running(web, tmp_path / "web.log"):
            made.wait_for_port(80)
            yield made, tmp_path


@contextmanager
def dnsmasq(
    peers: tuple[Segment, Path],
    name: str,
    *parts: str,
    place: AbstractContextManager[None] | None = None,
    ports: Sequence[int] = (67,),
) -> Iterator[None]:
    """Run dnsmasq with the configuration *parts*; the block begins when it has its sockets."""
    made, directory = peers
    text = "\n".join(parts).format(root=directory / "root")
    (directory / f"{name}.conf").write_text(f"{text}\ndhcp-leasefile={directory}/{name}.leases\n")
    log = directory / f"{name}.log"
    with made.running(["dnsmasq", "-C", str(directory / f"{name}.conf")], log, place=place):
        try:
            for port in ports:
                made.wait_for_socket(port, place)
        except TimeoutError:
            pytest.fail(f"dnsmasq does not serve: {log.read_text()}")
        yield


@pytest.mark.parametrize(
    ("hardware", "loader"),
    [("x64", "TFTP: efi/ipxe.efi"), ("bios", "TFTP: undionly.kpxe"), ("http", "HTTP: http://172.16.0.101/ipxe.efi")],
)
def test_a_machine_installs_itself_from_dnsmasq(peers: tuple[Segment, Path], hardware: str, loader: str) -> None:
    made, directory = peers
    with dnsmasq(peers, "full", COMMON, FULL):
        done = made.simulate("m1", "--arch", hardware, "--disk-first", "--images", str(directory / "root"))
    assert done.returncode == 0, done.stdout + done.stderr + (directory / "full.log").read_text()
    assert loader in done.stdout
    assert f"booting 00-50-56-96-37-c8 on {'bios' if hardware == 'bios' else 'uefi'}" in done.stdout
    assert "m1.ocp45.example.localdomain: installed after" in done.stdout


def test_a_server_that_knows_no_once_lets_a_machine_go_round_in_a_circle(peers: tuple[Segment, Path]) -> None:
    made, _ = peers
    with dnsmasq(peers, "full", COMMON, FULL):
        done = made.simulate("m1")
    assert done.returncode == 1
    assert "it keeps booting from the network" in done.stdout


@pytest.mark.parametrize(("hardware", "loader"), [("x64", "efi/ipxe.efi"), ("bios", "undionly.kpxe")])
def test_a_machine_finds_its_boot_file_through_a_proxy(peers: tuple[Segment, Path], hardware: str, loader: str) -> None:
    made, directory = peers
    with made.place, Bridge("br0", Ports()) as bridge:
        other = bridge.plug(MacAddress.parse("02:00:00:00:00:02"))
        other.configure(IPv4Address("172.16.0.102"), 24, None)
        common = "port=0\nno-daemon\nuser=root\nbind-interfaces"
        with (
            dnsmasq(peers, "addresses", common, ADDRESSES_ONLY, place=other.place),
            dnsmasq(peers, "proxy", COMMON, PROXY, ports=(67, 4011)),
        ):
            done = made.simulate("m1", "--arch", hardware, "--disk-first")
    assert done.returncode == 0, done.stdout + done.stderr + (directory / "proxy.log").read_text()
    assert f"TFTP: {loader}" in done.stdout
    assert "m1.ocp45.example.localdomain: installed after" in done.stdout


REVERSE = "ptr-record=21.0.16.172.in-addr.arpa,"
WITHOUT_DNS = "port=0"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (f"{REVERSE}other.ocp45.example.localdomain", "its address resolves to a different name"),
        (
            f"{REVERSE}m1.ocp45.example.localdomain\nhost-record=m1.ocp45.example.localdomain,172.16.0.99",
            "its name resolves to a different address",
        ),
        ("bogus-priv", "the node calls itself localhost"),
        (WITHOUT_DNS, "received: Connection refused from 172.16.0.101"),
        ("host-record=m1.ocp45.example.localdomain,172.16.0.21", "sent:     A api-int.ocp45.example.localdomain"),
    ],
    ids=["other name", "other address", "no PTR", "no DNS", "no api-int"],
)
def test_a_system_whose_names_do_not_hold_says_how(peers: tuple[Segment, Path], names: str, says: str) -> None:
    made, _ = peers
    # Without a name in dhcp-host, for which dnsmasq would answer regardless of the records.
    addresses = ADDRESSES_ONLY.replace("interface=eth0", "").replace("172.16.0.21,m1", "172.16.0.21")
    common = "no-daemon\nno-resolv\nno-hosts\nuser=root\ninterface=br0\nexcept-interface=lo\nbind-interfaces"
    with dnsmasq(peers, "names", common, addresses, names):
        done = made.simulate("m1")
    assert done.returncode == 1
    assert says in done.stdout
