"""Other ways in which a simulated machine reaches an appliance, and in which it boots from its disk."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.model import MacAddress
from appliance.simulate.lab import Bridge
from appliance.simulate.loopback import moved_to_loopback
from appliance.simulate.machine import Ports
from appliance.simulate.namespace import ip
from tests.simulate_segment import REFERENCE, ROOT, Segment, segment

pytestmark = pytest.mark.netns


def with_local_boot(host: str, way: str, text: str) -> str:
    """Return the cluster.yaml *text* with localBoot set for *host*."""
    changed, changes = re.subn(rf"(?m)^(\s+)- hostname: {host}$", rf"\1- hostname: {host}\n\1  localBoot: {way}", text)
    assert changes == 1
    return changed


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Segment, Path]]:
    data_dir = tmp_path_factory.mktemp("ways")
    config = data_dir / "cluster.yaml"
    text = with_local_boot("m2", "exit", with_local_boot("m3", "sanboot", REFERENCE.read_text()))
    config.write_text(text)
    with segment(config) as made, made.appliance(data_dir):
        yield made, data_dir


@pytest.mark.parametrize("hardware", ["x64", "bios"])
@pytest.mark.parametrize(("host", "end"), [("m2", "exits to the disk"), ("m3", "boots the disk itself")])
def test_an_installed_machine_leaves_ipxe_for_its_disk(
    appliance: tuple[Segment, Path], host: str, end: str, hardware: str
) -> None:
    made, _ = appliance
    made.simulate(host)
    done = made.simulate(host, "--arch", hardware)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{host}.ocp45.example.localdomain is installed: starting it from its own disk" in done.stdout
    # iPXE supports SAN boot on EFI since 2024; on BIOS both ways end in a SAN boot.
    assert end in done.stdout or "boots the disk itself (sanboot)" in done.stdout
    assert "booted from its disk" in done.stdout


def test_a_machine_speaks_on_an_interface_of_its_own(appliance: tuple[Segment, Path]) -> None:
    made, _ = appliance
    with made.place, Bridge("br0", Ports()) as bridge:
        elsewhere = bridge.plug(MacAddress.parse("02:00:00:00:00:07"))
        command = [sys.executable, "-m", "appliance", "simulate", "m1", "--config", str(made.config)]
        with elsewhere.place:
            done = subprocess.run(
                [*command, "--interface", "eth0"], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
            )
            left = subprocess.run(
                ["ip", "-4", "-br", "addr", "show", "eth0"], capture_output=True, text=True, check=True
            )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "against 172.16.0.101 on eth0" in done.stdout
    assert "172.16.0.21" not in left.stdout


def test_a_machine_speaks_through_a_relay_on_loopback(tmp_path: Path) -> None:
    config = tmp_path / "cluster.yaml"
    moved_to_loopback(REFERENCE, config)
    with segment(config) as made, made.appliance(tmp_path):
        done = made.simulate("m1", "--images", str(tmp_path / "images"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "through a relay at 127.16.0.254" in done.stdout
    assert "m1.ocp45.example.localdomain: installed after" in done.stdout


def test_an_appliance_on_this_computer_without_a_bridge_is_explained() -> None:
    with segment() as made:
        ip(
            "link del br0",
            "link add card0 type veth peer name card1",
            "addr add 172.16.0.101/24 dev card0",
            place=made.place,
        )
        done = made.simulate("m1")
    assert done.returncode == 1
    assert "172.16.0.101 is this computer, which does not receive its own broadcasts" in done.stderr


def test_an_appliance_behind_a_router_is_explained() -> None:
    with segment() as made:
        ip("addr del 172.16.0.101/24 dev br0", "addr add 10.9.9.1/24 dev br0", place=made.place)
        ip(
            "link add up0 type veth peer name up1",
            "link set up0 master br0 up",
            "route add default via 10.9.9.254",
            place=made.place,
        )
        done = made.simulate("m1")
    assert done.returncode == 1
    assert "172.16.0.101 is behind the router 10.9.9.254" in done.stderr


def test_no_route_to_the_appliance_is_explained() -> None:
    with segment() as made:
        ip("addr del 172.16.0.101/24 dev br0", place=made.place)
        done = made.simulate("m1")
    assert done.returncode == 1
    assert "no route to 172.16.0.101; use --interface" in done.stderr


def test_an_interface_that_is_not_there_is_named() -> None:
    with segment() as made:
        done = made.simulate("m1", "--interface", "eth9")
    assert done.returncode == 1
    assert "interface 'eth9' not found" in done.stderr


def test_without_privilege_frames_cannot_be_sent_and_it_says_what_is_needed(tmp_path: Path) -> None:
    with segment() as made:
        ip("link add up0 type veth peer name up1", "link set up0 up", place=made.place)
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "appliance", "simulate"]
        with made.place:
            done = subprocess.run(
                [*command, "m1", "--config", str(REFERENCE), "--interface", "up0"],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(tmp_path)},
                check=False,
            )
    assert done.returncode == 1
    assert "cannot connect a machine to up0: cannot create a network namespace; root or CAP_NET_ADMIN" in done.stderr
