"""SIGTERM and SIGINT: what has begun is finished, within a bounded time, and a second signal ends it at once."""

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from appliance.app import DRAIN_SECONDS
from appliance.web.server import SHUTDOWN_SECONDS
from tests.serve_lab import APPLIANCE, Serving, Site, run, site

pytestmark = pytest.mark.netns

METAL = "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
M1 = "172.16.0.21"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        # More than the kernel buffers, so that a client that stops reading keeps the appliance busy.
        os.truncate(made.data_dir / "images" / METAL, 64 << 20)
        yield made


@pytest.fixture
def serving(here: Site) -> Iterator[Serving]:
    with here.serve() as appliance:
        yield appliance


@contextmanager
def download(here: Site) -> Iterator[http.client.HTTPResponse]:
    """Begin to download the image; return before any of its body is read."""
    with here.place, closing(http.client.HTTPConnection(APPLIANCE, timeout=30)) as client:
        client.request("GET", f"/{METAL}")
        with client.getresponse() as response:
            yield response


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_nothing_is_under_way(serving: Serving, number: signal.Signals) -> None:
    began = time.monotonic()
    assert serving.end(number) == 0
    assert time.monotonic() - began < DRAIN_SECONDS / 2
    assert serving.text.endswith("serve.stopped\n")
    assert "Traceback" not in serving.text


def test_the_service_manager_is_told_that_it_stops(serving: Serving) -> None:
    serving.process.send_signal(signal.SIGTERM)
    serving.notified("STOPPING=1")


def test_a_download_under_way_is_finished(here: Site, serving: Serving) -> None:
    with download(here) as response:
        serving.process.send_signal(signal.SIGTERM)
        serving.notified("STOPPING=1")
        # Longer than the time that a server has to finish its work after it was cancelled.
        with pytest.raises(subprocess.TimeoutExpired):
            serving.process.wait(10 * SHUTDOWN_SECONDS)
        got = response.read()
        assert serving.process.wait(30) == 0
    image = here.data_dir / "images" / METAL
    assert hashlib.sha256(got).digest() == hashlib.sha256(image.read_bytes()).digest()
    assert serving.text.index("serve.stopping") < serving.text.index("web.done") < serving.text.index("serve.stopped")


def test_a_tftp_transfer_under_way_is_finished(here: Site, serving: Serving) -> None:
    loader = here.data_dir / "tftp" / "small.efi"
    loader.parent.mkdir(exist_ok=True)
    loader.write_bytes(bytes(range(256)) * 5)
    with here.place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"\0\1small.efi\0octet\0tsize\0000\0", (APPLIANCE, 69))
        _, server = client.recvfrom(1024)
        serving.process.send_signal(signal.SIGTERM)
        serving.notified("STOPPING=1")
        got, number, block = b"", 0, bytes(4 + 512)
        while len(block) == 4 + 512:
            client.sendto(b"\0\4" + number.to_bytes(2), server)
            number += 1
            while int.from_bytes(block[2:4]) != number:  # a request that is too late to be acknowledged is repeated
                block, server = client.recvfrom(1024)
            got += block[4:]
        client.sendto(b"\0\4" + number.to_bytes(2), server)
        assert got == loader.read_bytes()
        assert serving.process.wait(30) == 0
    assert serving.text.index("serve.stopping") < serving.text.index("tftp.done") < serving.text.index("serve.stopped")


def test_client_that_connects_during_the_stop_is_turned_away(here: Site, serving: Serving) -> None:
    with download(here):
        serving.process.send_signal(signal.SIGTERM)
        serving.notified("STOPPING=1")
        other = run("curl", "-s", "-m", "5", f"http://{APPLIANCE}/pxeboot.ipxe", place=here.place)
        assert other.returncode == 7  # could not connect
        # DNS still answers, for the machines whose downloads are being finished.
        assert here.addresses("m1.ocp45.example.localdomain") == [M1]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_transfers(here: Site, serving: Serving, second: signal.Signals) -> None:
    with download(here):
        serving.process.send_signal(signal.SIGINT)
        serving.notified("STOPPING=1")
        began = time.monotonic()
        assert serving.end(second) == 0
        assert time.monotonic() - began < DRAIN_SECONDS / 2
    assert "web.done" not in serving.text
    assert "Traceback" not in serving.text


def test_a_restart_takes_over_at_once(here: Site) -> None:
    """No port in TIME_WAIT, no socket file and no lock is left over."""
    for _ in range(2):
        with here.serve() as appliance:
            assert run("curl", "-sf", f"http://{APPLIANCE}/pxeboot.ipxe", place=here.place).returncode == 0
            assert appliance.end() == 0
    assert not (here.data_dir / "control.sock").exists()


def test_a_start_after_a_kill_takes_over_the_control_socket(here: Site) -> None:
    with here.serve() as appliance:
        appliance.process.kill()
        appliance.process.wait()
    assert (here.data_dir / "control.sock").exists()
    with here.serve() as appliance:
        assert "m1" in appliance.rows()
