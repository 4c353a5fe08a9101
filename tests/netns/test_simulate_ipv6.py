"""Simulated machines that boot by IPv6, against the real appliance: dual stack, and without IPv4."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.namespace import ip
from tests.efi_programs import efi_program
from tests.simulate_segment import ROOT, Segment, segment

pytestmark = pytest.mark.netns

DUAL, ONLY = ROOT / "data/dual-stack/cluster.yaml", ROOT / "data/ipv6-only/cluster.yaml"


def _served(config: Path, data_dir: Path, *addresses: str) -> Iterator[Segment]:
    for name, processor in {"efi/ipxe.efi": "x86_64", "arm64-efi/snponly.efi": "aarch64"}.items():
        path = data_dir / "tftp" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(efi_program(processor=processor, content=b"iPXE"))
    with segment(config) as made:
        ip(
            "addr del 172.16.0.101/24 dev br0",
            *(f"addr add {address} dev br0{' nodad' if ':' in address else ''}" for address in addresses),
            place=made.place,
        )
        with made.appliance(data_dir):
            yield made


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    yield from _served(DUAL, tmp_path_factory.mktemp("dual"), "192.0.2.5/24", "2001:db8:0:2::5/64")


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    yield from _served(ONLY, tmp_path_factory.mktemp("only"), "2001:db8:0:6::5/64")


@pytest.mark.parametrize(
    ("hardware", "loader"),
    [
        ("x64", "TFTP: tftp://[2001:db8:0:6::5]/efi/ipxe.efi"),
        ("http", "HTTP: http://[2001:db8:0:6::5]/efi/ipxe.efi"),
        ("arm64", "TFTP: tftp://[2001:db8:0:6::5]/arm64-efi/snponly.efi"),
        ("arm64-http", "HTTP: http://[2001:db8:0:6::5]/arm64-efi/snponly.efi"),
    ],
)
def test_firmware_gets_its_loader_by_ipv6(only: Segment, hardware: str, loader: str) -> None:
    done = only.simulate("master-0", "--arch", hardware, "--ipv6", "--dry")
    assert loader in done.stdout, done.stdout + done.stderr
    assert "would install after" in done.stdout


def test_machine_without_ipv4_is_installed_and_boots_its_disk(only: Segment) -> None:
    done = only.simulate("master-1", "--ipv6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "master-1.six.example.com: installed after" in done.stdout
    assert "up as master-1.six.example.com, 2001:db8:0:6::22 forward and reverse" in done.stdout


def test_installed_machine_gets_no_boot_file_by_ipv6(only: Segment) -> None:
    only.simulate("master-2", "--ipv6")
    done = only.simulate("master-2", "--ipv6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "booted from its disk" in done.stdout


def test_host_of_a_dual_stack_cluster_installs_by_ipv6_and_counts_for_both(dual: Segment) -> None:
    first = dual.simulate("master-0", "--ipv6")
    assert first.returncode == 0, first.stdout + first.stderr
    second = dual.simulate("master-0")
    assert "booted from its disk" in second.stdout, second.stdout + second.stderr


def test_machine_without_an_ipv6_address_is_told_what_to_look_at(dual: Segment) -> None:
    done = dual.simulate("02:00:00:00:00:77", "--ipv6", "--patience", "1")
    assert done.returncode == 1
    assert "PXEClient firmware received no DHCPv6 advertisement" in done.stdout
    assert "has the host an IPv6 address in cluster.yaml" in done.stdout
