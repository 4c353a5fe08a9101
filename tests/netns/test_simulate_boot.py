"""Simulated machines with the real appliance, on a separate segment."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.boot.loaders import find_loader
from tests.simulate_segment import REFERENCE, Segment, segment

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segment, Path]]:
    data_dir = tmp_path_factory.mktemp("simulate")
    # Make a worker a master: masters do not wait.
    config = data_dir / "cluster.yaml"
    text, changes = re.subn(r"(hostname: w1\W+role:) worker", r"\1 master", REFERENCE.read_text())
    assert changes == 1
    config.write_text(text)
    with segment(config) as made, made.appliance(data_dir):
        yield made, data_dir


@pytest.mark.parametrize(
    ("host", "hardware", "loader"),
    [
        ("m1", "x64", "TFTP: efi/ipxe.efi"),
        ("m2", "bios", "TFTP: undionly.kpxe"),
        ("m3", "http", "HTTP: http://172.16.0.101/efi/ipxe.efi"),
    ],
)
def test_a_machine_installs_itself_and_comes_up_from_its_disk(
    appliance: tuple[Segment, Path], host: str, hardware: str, loader: str
) -> None:
    made, data_dir = appliance
    done = made.simulate(host, "--arch", hardware, "--images", str(data_dir / "images"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert loader in done.stdout
    assert f"{host}.ocp45.example.localdomain: installed after" in done.stdout


def test_a_simulation_warns_before_the_host_is_recorded(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("w3", "--patience", "1")
    assert done.stdout.startswith(
        "warning: the appliance will record w3.ocp45.example.localdomain as installed; before you install the machine "
        "itself, run `ocp-appliance reinstall w3`."
    )


def test_a_dry_run_leaves_its_host_to_be_installed(tmp_path: Path) -> None:
    with segment() as made, made.appliance(tmp_path):
        dry = [made.simulate("m1", "--dry") for _ in range(2)]
        assert [done.returncode for done in dry] == [0, 0], dry[0].stdout + dry[0].stderr
        assert all("m1.ocp45.example.localdomain: would install after" in done.stdout for done in dry)
        assert "warning" not in dry[0].stdout
        done = made.simulate("m1")
        assert "m1.ocp45.example.localdomain: installed after" in done.stdout, done.stdout + done.stderr


def test_a_dry_run_of_an_installed_host_would_boot_its_disk(tmp_path: Path) -> None:
    with segment() as made, made.appliance(tmp_path):
        assert made.simulate("m1").returncode == 0
        done = made.simulate("m1", "--dry")
        assert "m1.ocp45.example.localdomain: would boot from its disk after" in done.stdout, done.stdout + done.stderr


def test_an_installed_machine_boots_from_its_disk(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    assert made.simulate("bs").returncode == 0
    done = made.simulate("bs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bs.ocp45.example.localdomain: booted from its disk" in done.stdout
    assert "0 bytes downloaded" in done.stdout


def test_a_mac_address_names_its_host(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("00-50-56-96-C1-C5", "--patience", "1")
    assert done.stdout.splitlines()[1].startswith("w2.ocp45.example.localdomain, 00:50:56:96:c1:c5")


def test_a_loader_that_is_not_there_is_named_with_what_to_do(appliance: tuple[Segment, Path]) -> None:
    made, data_dir = appliance
    if find_loader("arm64-efi/snponly.efi", data_dir):  # Debian does not have it; Fedora's package does
        pytest.skip("this machine has iPXE for arm64")
    done = made.simulate("w2", "--arch", "arm64", "--patience", "1")
    assert done.returncode == 1
    assert "loader: the boot program could not be downloaded" in done.stdout
    assert "read request for 'arm64-efi/snponly.efi' to 172.16.0.101:69/udp" in done.stdout
    assert "received: error 1" in done.stdout


def test_an_arm64_machine_boots_its_own_loader(appliance: tuple[Segment, Path]) -> None:
    made, data_dir = appliance
    loader = data_dir / "tftp" / "arm64-efi" / "snponly.efi"
    loader.parent.mkdir(parents=True)
    loader.write_bytes(b"MZ stand-in")
    try:
        done = made.simulate("w2", "--arch", "arm64", "--patience", "1")
    finally:
        loader.unlink()
        loader.parent.rmdir()
    assert "TFTP: arm64-efi/snponly.efi, 11 bytes" in done.stdout
    assert "w2.ocp45.example.localdomain waits" in done.stdout


def test_an_image_that_is_another_is_named_with_both_sums(appliance: tuple[Segment, Path], tmp_path: Path) -> None:
    made, _ = appliance
    (tmp_path / "rhcos-4.5.6-x86_64-installer-kernel-x86_64").write_bytes(b"another kernel")
    done = made.simulate("w1", "--images", str(tmp_path), "--patience", "1")
    assert done.returncode == 1
    assert f"its sha256 should be {hashlib.sha256(b'another kernel').hexdigest()}" in done.stdout


def test_a_worker_that_is_held_says_what_it_waits_for(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("w3", "--patience", "1")
    assert done.returncode == 1
    assert "no master answers on port 22623" in done.stdout
    assert "was told to wait for more than 1 s" in done.stdout


def test_an_unknown_machine_gets_no_offer_and_says_where_to_look(appliance: tuple[Segment, Path]) -> None:
    made, data_dir = appliance
    done = made.simulate("52:54:00:12:34:56", "--interface", "br0", "--patience", "1")
    assert done.returncode == 1
    assert "received no offer" in done.stdout
    assert "is this MAC address in cluster.yaml" in done.stdout
    assert "dhcp.unknown" in (data_dir / "serve.log").read_text()


def test_a_host_that_no_file_has_is_an_error_that_lists_the_hosts(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    done = made.simulate("m9")
    assert done.returncode == 1
    assert done.stderr == f"{made.config} has no host 'm9'; its hosts are bs, m1, m2, m3, w1, w2, w3\n"


def test_a_simulation_leaves_the_segment_as_it_was(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    made.simulate("w1", "--patience", "1")
    with made.place:
        names = sorted(name for name in Path("/proc/thread-self/net/dev").read_text().split() if name.endswith(":"))
    assert names == ["br0:", "lo:"]
