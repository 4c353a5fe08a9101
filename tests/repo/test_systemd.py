"""The systemd unit, checked by systemd."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.app import DRAIN_SECONDS
from appliance.balancer.configured import SERVICE_DESCRIPTORS
from appliance.balancer.files import SERVICE_STATE, SOCKETS_VARIABLE
from appliance.web.connections import DESCRIPTORS_EACH, MAX_CONNECTIONS

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "ocp-appliance.service"
HAPROXY = SYSTEMD / "ocp-appliance-haproxy.service"
HAPROXYS_PATH = SYSTEMD / "ocp-appliance-haproxy.path"
DROP_IN = SYSTEMD / "ocp-appliance.service.d" / "haproxy.conf"
PROGRAM = "/opt/ocp-appliance/bin/ocp-appliance"
DIRECTORIES = "ocp-appliance-haproxy.conf"
MOST_EXPOSED = 2.0

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _settings(name: str, unit: Path = UNIT) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def _verified(*units: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


# verify requires the program to exist; where it is installed does not matter here.
@pytest.mark.parametrize("is_haproxys", [False, True])
def test_unit_is_clean(tmp_path: Path, is_haproxys: bool) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    if is_haproxys:
        drop_in = tmp_path / DROP_IN.parent.name
        drop_in.mkdir()
        shutil.copy(DROP_IN, drop_in)
    assert _verified(unit) == (0, "")


def test_units_of_haproxy_are_clean(tmp_path: Path) -> None:
    unit, path = tmp_path / HAPROXY.name, tmp_path / HAPROXYS_PATH.name
    unit.write_text(HAPROXY.read_text().replace("/usr/sbin/haproxy", sys.executable))
    shutil.copy(HAPROXYS_PATH, path)
    assert _verified(path, unit) == (0, "")


@pytest.mark.parametrize("unit", [UNIT, HAPROXY], ids=lambda unit: unit.name)
def test_unit_is_exposed_by_two_points_at_most(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
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


def test_haproxy_has_one_capability() -> None:
    one = "CAP_NET_BIND_SERVICE"
    assert (_settings("AmbientCapabilities", HAPROXY), _settings("CapabilityBoundingSet", HAPROXY)) == ([one], [one])


def test_haproxy_has_the_descriptors_that_the_appliance_counts_on() -> None:
    assert _settings("LimitNOFILE", HAPROXY) == [str(SERVICE_DESCRIPTORS)]


def test_haproxy_is_started_from_where_the_appliance_writes() -> None:
    config = str(SERVICE_STATE / "haproxy.cfg")
    (command,) = _settings("ExecStart", HAPROXY)
    assert (command.split()[-1], _settings("PathExists", HAPROXYS_PATH)) == (config, [config])


def test_drop_in_names_the_directory_of_haproxys_sockets() -> None:
    (command,) = _settings("ExecStart", HAPROXY)
    assert _settings("Environment", DROP_IN) == [f"{SOCKETS_VARIABLE}={Path(command.split()[3]).parent}"]


def test_appliance_may_write_where_haproxy_reads() -> None:
    made = re.findall(r"^d (\S+) +(\d+) (\S+) \S+$", (SYSTEMD / "tmpfiles.d" / DIRECTORIES).read_text(), re.MULTILINE)
    (group,) = _settings("SupplementaryGroups", DROP_IN)
    assert made == [(path, "2770", group) for path in _settings("ReadWritePaths", DROP_IN)[0].split()]
