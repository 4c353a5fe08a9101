"""The load generator of the boot storm, with its echo and with the real appliance, on loopback."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.config import load
from appliance.simulate.loopback import moved_to_loopback
from appliance.simulate.standins import make_standins
from tests.bench.boot_storm import Report, storm
from tests.simulate_segment import REFERENCE, ROOT

VIA = [IPv4Address("127.16.0.254"), IPv4Address("127.16.0.253")]


@pytest.fixture
def cluster_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    moved_to_loopback(REFERENCE, path)
    return path


@contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_every_host_of_a_storm_is_played_once(cluster_file: Path) -> None:
    sizes = ["--kernel", "100000", "--initrd", "200000", "--image", "300000"]
    command = [sys.executable, "-m", "tests.bench.echo", str(cluster_file), *sizes]
    echo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with ended(echo):
        assert echo.stdout is not None
        assert echo.stdout.readline() == "ready\n"
        report = storm(cluster_file, VIA, within=0.1)
    assert report.is_clean, str(report)
    assert (report.hosts, report.installed, len(report.seconds)) == (7, 7, 7)
    # The loader, three files, a script and Ignition for each host.
    assert 7 * 1_450_000 < report.bytes < 7 * 1_453_000


def test_a_storm_is_installed_by_the_real_appliance(cluster_file: Path, tmp_path: Path) -> None:
    cluster_file.write_text(cluster_file.read_text().replace("role: worker", "role: master"))
    (cluster,) = load([cluster_file], tmp_path)
    make_standins(cluster, tmp_path, seed=0)
    notify_path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(notify_path))
        notify.settimeout(30)
        command = [sys.executable, "-m", "appliance", "serve", str(cluster_file), "--data-dir", str(tmp_path)]
        with (tmp_path / "serve.log").open("w") as log:
            environment = {**os.environ, "NOTIFY_SOCKET": str(notify_path)}
            appliance = subprocess.Popen(command, stderr=log, text=True, cwd=ROOT, env=environment)
        with ended(appliance):
            assert b"READY=1" in notify.recv(4096), (tmp_path / "serve.log").read_text()
            report = storm(cluster_file, VIA[:1], within=0.1)
    assert report.is_clean, str(report)
    assert report.installed == 7


def test_a_relay_address_that_is_none_is_refused(cluster_file: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.boot_storm", str(cluster_file), "--via", "no address"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 2
    assert "expected an IPv4 address, got 'no address'" in done.stderr


def test_reports_of_several_processes_add_up() -> None:
    total = Report(hosts=2, installed=2, seconds_to_last=3.0, seconds=[1.0, 3.0], retries=1, errors={"x": 1})
    total.add(Report(hosts=1, installed=1, seconds_to_last=2.0, seconds=[2.0], errors={"x": 1, "y": 2}, busiest=0.5))
    assert (total.hosts, total.installed, total.seconds_to_last, total.seconds) == (3, 3, 3.0, [1.0, 2.0, 3.0])
    assert (total.retries, total.errors, total.busiest) == (1, {"x": 2, "y": 2}, 0.5)
    assert not total.is_clean
