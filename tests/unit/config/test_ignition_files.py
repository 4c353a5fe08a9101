"""The Ignition files of a cluster: whether they exist, belong to this cluster, and have not expired."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config import check
from appliance.openshift.ignition import MAX_IGNITION_BYTES
from appliance.web.ignition import read_ignition
from tests.config_files import CLEAN, bootstrap_ign, certificate, check_text, make_data_dir, spelled, told

DIES_AT = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
HOUR = 3600


def pointer_ign(domain: str, role: str = "master", root: bytes = b"") -> str:
    """Return a *role*.ign that points to the API of *domain* and trusts the certificate *root*."""
    source = f"https://api-int.{domain}:22623/config/{role}"
    ignition: dict[str, object] = {"version": "3.2.0", "config": {"merge": [{"source": source}]}}
    if root:
        ignition["security"] = {"tls": {"certificateAuthorities": [{"source": data_url(root)}]}}
    return json.dumps({"ignition": ignition})


def assets_ign(root: bytes) -> str:
    """Return a bootstrap.ign that contains the root certificate *root*."""
    file = {"path": "/opt/openshift/tls/root-ca.crt", "contents": {"source": data_url(root)}}
    return json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": [file]}})


def data_url(pem: bytes) -> str:
    return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(pem).decode()}"


@pytest.fixture
def ignition(tmp_path: Path) -> Path:
    """Return the directory of the Ignition files, none of which has a problem."""
    directory = make_data_dir(tmp_path) / "ignition"
    (directory / "bootstrap.ign").write_text(bootstrap_ign(DIES_AT))
    return directory


def told_now(tmp_path: Path, now: float) -> list[str]:
    """Return the problems of CLEAN at the time *now*, with the present Ignition files."""
    (tmp_path / "cluster.yaml").write_text(CLEAN)
    checked = check([tmp_path / "cluster.yaml"], tmp_path / "data", now)
    assert checked.errors == ()
    return [line.removeprefix("cluster.yaml:") for line in spelled(tmp_path, checked)]


def test_live_certificates_are_no_problem(ignition: Path, tmp_path: Path) -> None:
    assert told_now(tmp_path, DIES_AT.timestamp() - 13 * HOUR) == []


def test_certificates_that_expire_within_twelve_hours_are_reported(ignition: Path, tmp_path: Path) -> None:
    assert told_now(tmp_path, DIES_AT.timestamp() - 3.5 * HOUR) == [
        (
            "19: warning: hosts[0].role: data/ignition/bootstrap.ign expires in 3 h 30 min, at 2026-11-24 06:30 UTC; "
            "create new files in an empty directory with `openshift-install create ignition-configs`, "
            "and copy all of them to ignition/ in the data directory"
        )
    ]


def test_expired_certificates_are_reported(ignition: Path, tmp_path: Path) -> None:
    assert told_now(tmp_path, DIES_AT.timestamp()) == [
        (
            "19: warning: hosts[0].role: data/ignition/bootstrap.ign expired "
            "at 2026-11-24 06:30 UTC and is not served; "
            "create new files in an empty directory with `openshift-install create ignition-configs`, "
            "and copy all of them to ignition/ in the data directory"
        )
    ]


def test_expired_certificates_that_are_served_anyway_are_reported_as_such(ignition: Path, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(f"{CLEAN}serveExpired: true\n")
    checked = check([tmp_path / "cluster.yaml"], tmp_path / "data", DIES_AT.timestamp())

    assert "expired at 2026-11-24 06:30 UTC and is served anyway (serveExpired)" in checked.warnings[0].message


def test_file_of_another_cluster_is_reported(ignition: Path, tmp_path: Path) -> None:
    (ignition / "master.ign").write_text(pointer_ign("test.example.com"))

    assert told_now(tmp_path, 0) == [
        (
            "23: warning: hosts[1].role: data/ignition/master.ign belongs to another cluster: "
            "it contains api-int.test.example.com, expected api-int.prod.example.com"
        )
    ]


def test_file_of_this_cluster_is_not_a_problem(ignition: Path, tmp_path: Path) -> None:
    (ignition / "master.ign").write_text(pointer_ign("prod.example.com"))

    assert told_now(tmp_path, 0) == []


ROOT, OTHER_ROOT = (certificate(DIES_AT) for _ in range(2))


def test_files_of_one_run_are_no_problem(ignition: Path, tmp_path: Path) -> None:
    (ignition / "bootstrap.ign").write_text(assets_ign(ROOT))
    for role in ("master", "worker"):
        (ignition / f"{role}.ign").write_text(pointer_ign("prod.example.com", role, ROOT))

    assert told_now(tmp_path, 0) == []


@pytest.mark.parametrize("other", ["bootstrap", "master", "worker"])
def test_file_of_another_run_is_reported(ignition: Path, tmp_path: Path, other: str) -> None:
    root = {role: OTHER_ROOT if role == other else ROOT for role in ("bootstrap", "master", "worker")}
    (ignition / "bootstrap.ign").write_text(assets_ign(root["bootstrap"]))
    for role in ("master", "worker"):
        (ignition / f"{role}.ign").write_text(pointer_ign("prod.example.com", role, root[role]))
    (line,) = told_now(tmp_path, 0)

    assert line.startswith("17: warning: hosts: in data/ignition, ")
    assert f"{other}.ign" in line
    assert "are of different runs of openshift-install" in line


def test_pointers_of_different_runs_are_reported_without_a_bootstrap_file(ignition: Path, tmp_path: Path) -> None:
    (ignition / "master.ign").write_text(pointer_ign("prod.example.com", "master", ROOT))
    (ignition / "worker.ign").write_text(pointer_ign("prod.example.com", "worker", OTHER_ROOT))
    (line,) = told_now(tmp_path, 0)

    assert "master.ign and worker.ign are of different runs of openshift-install" in line


def test_file_that_points_to_another_role_is_reported(ignition: Path, tmp_path: Path) -> None:
    (ignition / "master.ign").write_text(pointer_ign("prod.example.com", "worker"))

    assert told_now(tmp_path, 0) == [
        "23: warning: hosts[1].role: data/ignition/master.ign points to /config/worker, so it is a worker.ign"
    ]


def test_pool_of_the_operator_s_own_is_not_a_problem(ignition: Path, tmp_path: Path) -> None:
    (ignition / "worker.ign").write_text(pointer_ign("prod.example.com", "storage"))

    assert told_now(tmp_path, 0) == []


def test_bootstrap_file_under_another_name_is_reported(ignition: Path, tmp_path: Path) -> None:
    (ignition / "worker.ign").write_text(assets_ign(ROOT))

    assert told_now(tmp_path, 0) == [
        "35: warning: hosts[4].role: data/ignition/worker.ign is a bootstrap.ign: it contains the installer's assets"
    ]


def test_file_that_is_not_json_is_reported(ignition: Path, tmp_path: Path) -> None:
    (ignition / "worker.ign").write_text("<html>404</html>")
    (line,) = told_now(tmp_path, 0)

    assert line.startswith("35: warning: hosts[4].role: data/ignition/worker.ign: is not JSON")


def test_file_that_is_too_large_is_reported(ignition: Path, tmp_path: Path) -> None:
    (ignition / "worker.ign").write_bytes(bytes(MAX_IGNITION_BYTES + 1))

    assert told_now(tmp_path, 0) == [
        "35: warning: hosts[4].role: data/ignition/worker.ign is larger than 64 MiB; is it an image?"
    ]


def test_largest_file_that_is_served_is_not_a_problem(ignition: Path, tmp_path: Path) -> None:
    """validate and serve have the same limit."""
    text = b'{"ignition": {"version": "3.2.0"}}'
    (ignition / "worker.ign").write_bytes(text + b" " * (MAX_IGNITION_BYTES - len(text)))

    assert told_now(tmp_path, 0) == []
    assert read_ignition(ignition / "worker.ign", "prod.example.com").file is not None


def test_missing_file_is_reported_once_for_its_role(ignition: Path, tmp_path: Path) -> None:
    (ignition / "master.ign").unlink()

    assert told_now(tmp_path, 0) == [
        (
            "23: warning: hosts[1].role: data/ignition/master.ign not found; "
            "create it with `openshift-install create ignition-configs`, and copy it to this path"
        )
    ]


def test_infra_nodes_get_the_workers_file(tmp_path: Path) -> None:
    assert told(tmp_path, CLEAN.replace("role: worker", "role: infra")) == []


def test_clean_data_directory_has_no_problem(tmp_path: Path) -> None:
    assert check_text(tmp_path, CLEAN).problems == ()
