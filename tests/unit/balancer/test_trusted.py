"""Which authorities are on disk for HAProxy, through an installation and after it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.balancer.compile import front_ends
from appliance.balancer.reports import NOT_TRUSTED, Report
from appliance.balancer.trusted import BOOTSTRAP_SECONDS, Authorities
from appliance.install.installation import Installation, Stage
from appliance.model import Cluster, Role
from tests.balancers import API, BALANCED
from tests.unit.balancer.test_authority import BUNDLE, api_server
from tests.unit.openshift.test_ignition import DAY, MADE_AT, bootstrap, certificate, file

NOW = MADE_AT.timestamp() + 3600.0
OURS, OTHERS = certificate(3650 * DAY), certificate(3651 * DAY)
BS = next(host.name for host in BALANCED.hosts if host.role is Role.BOOTSTRAP)
MASTERS = [host.name for host in BALANCED.hosts if host.role is Role.MASTER]
NEW = Installation(BS)
BEGUN = Installation(BS, stage=Stage.JOINING, reached={Stage.IGNITION: NOW - 600.0})
COMPLETE = replace(BEGUN, bootstrapped_at=NOW)
PASSED = "passed: HTTP 200"


class Disk:
    """A data directory, and what was found there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "haproxy"
        self.directory.mkdir()
        self.cluster: Cluster = replace(BALANCED, data_dir=directory)
        self.records: dict[str, Installation] = {}
        self.path = directory / "ignition" / "bootstrap.ign"
        self.path.parent.mkdir()
        self.start()

    def start(self) -> None:
        """Be an appliance that has just been started."""
        self.authorities = Authorities(self.directory, self.records)

    def put(self, pem: bytes) -> None:
        """Let bootstrap.ign have the authorities *pem*."""
        self.path.write_bytes(bootstrap(file(BUNDLE, pem), api_server(self.cluster.domain)))

    def found(self, record: Installation | None, check: str = PASSED, now: float = NOW) -> bytes:
        """Return the authorities for HAProxy, with *record* of the bootstrap machine and *check* of all masters."""
        if record is not None:
            self.records[BS] = record
        report = Report(check == PASSED, True, "ready", 0.0, check, 1, 0, 0)
        reports: Mapping[tuple[str, str], Report] = {(API, name): report for name in MASTERS}
        paths = self.authorities.find([self.cluster], front_ends(self.cluster), reports, now)
        return Path(paths[API]).read_bytes() if API in paths else b""


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_new_files_are_taken_as_long_as_bootstrapping_goes_on(disk: Disk) -> None:
    disk.put(OURS)
    assert disk.found(NEW) == OURS
    disk.put(OTHERS)
    assert disk.found(NEW) == OTHERS


@pytest.mark.parametrize("is_started_again", [False, True], ids=["running", "started again"])
def test_file_of_another_run_does_not_replace_those_of_a_cluster_that_runs(disk: Disk, is_started_again: bool) -> None:
    disk.put(OURS)
    disk.found(BEGUN)
    disk.put(OTHERS)
    if is_started_again:
        disk.start()
    assert disk.found(COMPLETE) == OURS


def test_file_of_another_run_is_taken_once_the_bootstrap_machine_is_reinstalled(disk: Disk) -> None:
    disk.put(OURS)
    disk.found(COMPLETE)
    disk.put(OTHERS)
    disk.found(COMPLETE)
    assert disk.found(NEW) == OTHERS


def test_records_that_a_reload_is_replacing_change_nothing(disk: Disk) -> None:
    disk.put(OURS)
    disk.found(NEW)
    disk.put(OTHERS)
    disk.records.clear()
    assert disk.found(None) == OURS


def test_file_that_becomes_readable_is_read(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its mode is no part of the signature. A directory stands for a file that even root cannot read.
    monkeypatch.setattr("appliance.balancer.files.signature", lambda _path: (1, 2, 3))
    disk.path.mkdir()
    assert disk.found(NEW) == b""
    disk.path.rmdir()
    disk.put(OURS)
    assert disk.found(NEW) == OURS


def test_pipe_in_the_place_of_the_file_holds_nobody_up(disk: Disk) -> None:
    os.mkfifo(disk.path)
    assert disk.found(NEW) == b""


def test_file_is_read_again_once_cluster_yaml_has_its_domain(disk: Disk) -> None:
    disk.put(OURS)
    right = disk.cluster
    disk.cluster = replace(right, base_domain="wrong.example")
    assert disk.found(NEW) == b""
    disk.cluster = right
    assert disk.found(NEW) == OURS


@pytest.mark.parametrize(
    "record",
    [COMPLETE, NEW, replace(BEGUN, reached={Stage.IGNITION: NOW - BOOTSTRAP_SECONDS})],
    ids=["complete", "lost state", "of an older version"],
)
def test_cluster_that_runs_with_other_authorities_is_no_longer_verified(disk: Disk, record: Installation) -> None:
    disk.put(OURS)
    disk.found(NEW)
    assert disk.found(record, NOT_TRUSTED) == b""
    disk.start()
    assert disk.found(record, PASSED) == b""


def test_cluster_without_a_bootstrap_machine_any_more_gives_way_too(disk: Disk) -> None:
    disk.put(OURS)
    disk.found(NEW)
    disk.cluster = replace(disk.cluster, hosts=tuple(host for host in disk.cluster.hosts if host.name != BS))
    assert disk.found(COMPLETE) == OURS
    assert disk.found(COMPLETE, NOT_TRUSTED) == b""


def test_cluster_that_is_being_installed_insists(disk: Disk) -> None:
    disk.put(OURS)
    assert disk.found(BEGUN, NOT_TRUSTED) == OURS


def test_masters_of_an_earlier_cluster_do_not_end_the_verification_of_the_next(disk: Disk) -> None:
    disk.put(OURS)
    disk.found(NEW)
    assert disk.found(NEW, NOT_TRUSTED) == b""
    assert disk.found(BEGUN) == OURS
    assert disk.found(COMPLETE) == OURS


def test_expiry_of_one_authority_does_not_begin_verification_anew(disk: Disk) -> None:
    disk.put(OURS + certificate(DAY))
    disk.found(NEW)
    assert disk.found(COMPLETE, NOT_TRUSTED) == b""
    assert disk.found(COMPLETE, PASSED, NOW + 2 * BOOTSTRAP_SECONDS) == b""


def test_operator_can_have_them_verified_again(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.put(OURS)
    disk.found(NEW)
    disk.found(COMPLETE, NOT_TRUSTED)
    (mark,) = disk.directory.glob("*.refuted")
    assert f"remove {mark} to have them verified again" in caplog.text
    mark.unlink()
    assert disk.found(COMPLETE) == OURS
