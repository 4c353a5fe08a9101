"""SIGTERM and SIGINT: what is under way is finished, for a bounded time; and a server that dies ends it all."""

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve_lab import APPLIANCE, Serving, Site, run, site, until

pytestmark = pytest.mark.netns

METAL = "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
M1 = "172.16.0.21"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as one:
        # More than the kernel's buffers take, so that a slow client keeps the appliance at work.
        os.truncate(one.data_dir / "images" / METAL, 64 << 20)
        yield one


@pytest.fixture
def serving(here: Site) -> Iterator[Serving]:
    with here.serve() as one:
        yield one


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def start(place: Site, *command: str) -> "subprocess.Popen[bytes]":
    with place.place:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_nothing_is_under_way(serving: Serving, number: signal.Signals) -> None:
    began = time.monotonic()
    assert serving.end(number) == 0
    assert time.monotonic() - began < 5
    assert serving.text.endswith("serve.stopped\n")
    assert "Traceback" not in serving.text


def test_the_service_manager_is_told_that_it_stops(serving: Serving) -> None:
    serving.process.send_signal(signal.SIGTERM)
    serving.notified("STOPPING=1")


def test_a_download_under_way_is_finished(here: Site, serving: Serving, tmp_path: Path) -> None:
    got = tmp_path / "got"
    with start(here, "curl", "-sf", "--limit-rate", "20M", "-o", str(got), f"http://{APPLIANCE}/{METAL}") as client:
        until(lambda: got.exists() and got.stat().st_size > 1 << 20, "the download goes on")
        assert serving.end() == 0
        assert client.wait(30) == 0
    assert sha256(got) == sha256(here.data_dir / "images" / METAL)
    assert serving.text.index("serve.stopping") < serving.text.index("web.done") < serving.text.index("serve.stopped")


def test_a_tftp_transfer_under_way_is_finished(here: Site, serving: Serving) -> None:
    loader = here.data_dir / "tftp" / "small.efi"
    loader.parent.mkdir(exist_ok=True)
    loader.write_bytes(bytes(range(256)) * 5)
    with here.place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"\0\1small.efi\0octet\0", (APPLIANCE, 69))
        block, server = client.recvfrom(1024)
        serving.process.send_signal(signal.SIGTERM)
        serving.notified("STOPPING=1")
        got = block[4:]
        while len(block) == 4 + 512:
            client.sendto(b"\0\4" + block[2:4], server)
            block, server = client.recvfrom(1024)
            got += block[4:]
        client.sendto(b"\0\4" + block[2:4], server)
        assert got == loader.read_bytes()
        assert serving.process.wait(30) == 0
    assert serving.text.index("serve.stopping") < serving.text.index("tftp.done") < serving.text.index("serve.stopped")


def test_who_comes_while_it_stops_is_turned_away(here: Site, serving: Serving, tmp_path: Path) -> None:
    got = tmp_path / "got"
    with start(here, "curl", "-sf", "--limit-rate", "2M", "-o", str(got), f"http://{APPLIANCE}/{METAL}") as client:
        until(lambda: got.exists() and got.stat().st_size > 1 << 20, "the download goes on")
        serving.process.send_signal(signal.SIGTERM)
        serving.notified("STOPPING=1")
        other = run("curl", "-s", "-m", "5", f"http://{APPLIANCE}/pxeboot.ipxe", place=here.place)
        assert other.returncode == 7  # could not connect
        # Names are still resolved, for the machines that are being finished.
        assert here.addresses("m1.ocp45.example.localdomain") == [M1]
        client.kill()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_transfers(
    here: Site, serving: Serving, tmp_path: Path, second: signal.Signals
) -> None:
    got = tmp_path / "got"
    with start(here, "curl", "-sf", "--limit-rate", "100k", "-o", str(got), f"http://{APPLIANCE}/{METAL}") as client:
        until(lambda: got.exists() and got.stat().st_size > 1 << 16, "the download goes on")
        serving.process.send_signal(signal.SIGINT)
        serving.notified("STOPPING=1")
        began = time.monotonic()
        assert serving.end(second) == 0
        assert time.monotonic() - began < 10  # finishing would take minutes
        client.kill()
    assert "web.done" not in serving.text
    assert "Traceback" not in serving.text


def test_a_restart_takes_over_at_once(here: Site) -> None:
    """No port is left in TIME_WAIT, no socket file, no lock."""
    for _ in range(2):
        with here.serve() as one:
            assert run("curl", "-sf", f"http://{APPLIANCE}/pxeboot.ipxe", place=here.place).returncode == 0
            assert one.end() == 0
    assert not (here.data_dir / "control.sock").exists()


def test_a_start_after_a_kill_takes_over_the_control_socket(here: Site) -> None:
    with here.serve() as one:
        one.process.kill()
        one.process.wait()
    assert (here.data_dir / "control.sock").exists()
    with here.serve() as one:
        assert "m1" in one.rows()
