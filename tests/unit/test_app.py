"""How `App` handles a server that fails, in a separate process on loopback."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.simulate.loopback import moved_to_loopback
from tests.simulate_segment import REFERENCE, ROOT

pytestmark = pytest.mark.slow

# The real program, except for one server whose socket fails while it is running.
WITH_A_DYING_SERVER = """
import asyncio, sys
from appliance import app
from appliance.cli import main

class Dying(app.{server}):
    async def run(self):
        serving = asyncio.ensure_future(super().run())
        await asyncio.sleep(0.2)
        serving.cancel()
        {fault}

app.{server} = Dying
main()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    moved_to_loopback(REFERENCE, path)
    return path


def ended(config: Path, server: str, fault: str, *options: str) -> "subprocess.CompletedProcess[str]":
    program = WITH_A_DYING_SERVER.format(server=server, fault=fault)
    command = [sys.executable, "-c", program, "serve", str(config), "--data-dir", str(config.parent / "data"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


@pytest.mark.parametrize(("server", "part"), [("DnsServer", "dns"), ("WebServer", "web"), ("Registry", "registry")])
def test_a_server_that_dies_ends_the_process_with_its_reason(config: Path, server: str, part: str) -> None:
    done = ended(config, server, "raise OSError(100, 'Network is down')")
    assert done.returncode == 1
    assert f"critical: serve.failed part={part} why=[Errno 100] Network is down" in done.stderr
    assert done.stderr.count("Traceback") == 1  # a bug, so there is a traceback, but only one


def test_a_server_that_ends_without_a_reason_ends_the_process_too(config: Path) -> None:
    done = ended(config, "TftpServer", "return")
    assert done.returncode == 1
    assert "tftp ended unexpectedly" in done.stderr


def test_a_death_that_the_operator_can_mend_is_one_line(config: Path) -> None:
    done = ended(config, "DhcpServer", "raise app.ListenError('the interface br0 has gone; bring it back')")
    assert done.returncode == 71
    assert done.stderr.endswith("\nthe interface br0 has gone; bring it back\n")
    assert "Traceback" not in done.stderr
