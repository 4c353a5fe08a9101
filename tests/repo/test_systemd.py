"""The systemd unit, checked by systemd."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.app import DRAIN_SECONDS
from appliance.web.connections import DESCRIPTORS_EACH, MAX_CONNECTIONS

UNIT = Path(__file__).parents[2] / "systemd" / "ocp-appliance.service"
PROGRAM = "/opt/ocp-appliance/bin/ocp-appliance"
MOST_EXPOSED = 2.0

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _settings(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_unit_is_clean(tmp_path: Path) -> None:
    # verify requires the program to exist; where it is installed does not matter here.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_unit_is_exposed_by_two_points_at_most() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_unit_runs_the_installed_program() -> None:
    assert _settings("ExecStart") == [f"{PROGRAM} serve /etc/ocp-appliance/cluster.yaml"]


def test_unit_has_the_two_capabilities_and_no_other() -> None:
    both = "CAP_NET_BIND_SERVICE CAP_NET_RAW"
    assert (_settings("AmbientCapabilities"), _settings("CapabilityBoundingSet")) == ([both], [both])


def test_unit_leaves_the_data_directory_to_the_file() -> None:
    # Another variable would have priority over dataDir; STATE_DIRECTORY, which systemd sets, is only its default.
    assert (_settings("Environment"), _settings("StateDirectory")) == ([], ["ocp-appliance"])


def test_unit_waits_longer_for_the_end_than_transfers_may_take() -> None:
    (seconds,) = _settings("TimeoutStopSec")
    assert float(seconds.removesuffix("s")) > DRAIN_SECONDS


def test_unit_has_descriptors_for_every_connection() -> None:
    # The system call that raises the limit is in @resources, which the unit filters.
    (descriptors,) = _settings("LimitNOFILE")
    assert int(descriptors) >= MAX_CONNECTIONS * DESCRIPTORS_EACH


def test_unit_has_tasks_for_every_thread() -> None:
    (tasks,) = _settings("TasksMax")
    most_threads = 32  # of asyncio.to_thread(), on any number of processors
    assert int(tasks) > most_threads + 1


def test_unit_bounds_the_memory() -> None:
    assert _settings("MemoryMax") == ["4G"]
