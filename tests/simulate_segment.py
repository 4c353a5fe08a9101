"""A separate network segment with the real appliance, or another server, and simulated machines."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from appliance.config import load
from appliance.simulate.namespace import Namespace, ip
from appliance.simulate.standins import make_standins

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "data" / "ocp45" / "cluster.yaml"
READY_SECONDS = 30.0


class Segment:
    """A bridge with the appliance's address, in an unnamed network namespace."""

    def __init__(self, place: Namespace, config: Path) -> None:
        self.place, self.config = place, config
        ip(
            "link set lo up",
            # With a fixed MAC address. Otherwise it is the lowest of the ports', and changes when a machine goes.
            "link add br0 address 02:00:ac:10:00:65 type bridge stp_state 0 forward_delay 0",
            "link set br0 up",
            "addr add 172.16.0.101/24 dev br0",
            place=place,
        )

    def simulate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ocp-appliance simulate` on this segment; return it when it has exited."""
        command = [sys.executable, "-m", "appliance", "simulate", "--config", str(self.config), *arguments]
        with self.place:
            return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)

    @contextmanager
    def running(
        self,
        command: Sequence[str],
        log: Path,
        *,
        place: AbstractContextManager[None] | None = None,
        **environment: str,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run *command* during the block, in the segment's namespace or in *place*."""
        with log.open("wb") as output, place or self.place:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=ROOT, env={**os.environ, **environment}
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_for_port(self, port: int) -> None:
        """Wait until something listens on the appliance's TCP *port*."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with self.place, socket.socket() as probe:
                if probe.connect_ex(("172.16.0.101", port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"nothing listens on port {port}")

    def wait_for_socket(self, port: int, place: AbstractContextManager[None] | None = None) -> None:
        """Wait until a process in the segment's namespace, or in *place*, has a UDP socket on *port*."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with place or self.place:
                found = subprocess.run(["ss", "-Hlnu"], capture_output=True, text=True, check=True).stdout
            if f":{port} " in found:
                return
            time.sleep(0.02)
        raise TimeoutError(f"no process has a socket on UDP port {port}")

    @contextmanager
    def appliance(self, data_dir: Path) -> Iterator[Path]:
        """Serve the segment's cluster with stand-in files; yield the path of the log."""
        (cluster,) = load([self.config], data_dir)
        make_standins(cluster, data_dir, seed=0)
        notify_path, log = data_dir / "notify.sock", data_dir / "serve.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(notify_path))
            command = [sys.executable, "-m", "appliance", "serve", str(self.config), "--data-dir", str(data_dir)]
            with self.running(command, log, NOTIFY_SOCKET=str(notify_path)):
                readable, _, _ = select.select([notify], [], [], READY_SECONDS)
                assert readable, log.read_text()
                assert b"READY=1" in notify.recv(4096), log.read_text()
                yield log


@contextmanager
def segment(config: Path = REFERENCE) -> Iterator[Segment]:
    """Make a segment; skip the test where network namespaces are not allowed."""
    try:
        place = Namespace()
    except OSError as error:
        pytest.skip(f"cannot create a network namespace: {error.strerror}")
    try:
        yield Segment(place, config)
    finally:
        place.close()
