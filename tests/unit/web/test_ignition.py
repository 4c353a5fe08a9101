"""Ignition files are held in memory complete, or not at all."""

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.events import Event, FileUnservable, IgnitionLoaded, IgnitionRefused
from appliance.web.compile import Site, compile_web
from appliance.web.ignition import IgnitionFile, IgnitionShelf
from tests.clusters import reference_cluster
from tests.config_files import certificate, nobodys_directory

DOMAIN = "ocp45.example.localdomain"
ROOT, OTHER_ROOT = (certificate(datetime(2040, 1, 1, tzinfo=UTC)) for _ in range(2))


def pointer(domain: str = DOMAIN, note: str = "") -> bytes:
    source = f"https://api-int.{domain}:22623/config/worker"
    merge = [{"source": source, "verification": {"hash": note}}] if note else [{"source": source}]
    return json.dumps({"ignition": {"version": "3.2.0", "config": {"merge": merge}}}).encode()


@pytest.fixture
def told() -> list[Event]:
    return []


async def test_file_is_loaded_whole(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    file = await IgnitionShelf(told.append).get(path, DOMAIN)
    assert file is not None
    assert file.content == pointer()
    assert [type(event) for event in told] == [IgnitionLoaded]


async def test_unchanged_file_is_read_once(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    shelf = IgnitionShelf(told.append)
    assert await shelf.get(path, DOMAIN) is await shelf.get(path, DOMAIN)
    assert len(told) == 1


async def test_changed_file_is_read_again(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    shelf = IgnitionShelf(told.append)
    await shelf.get(path, DOMAIN)
    (tmp_path / "new").write_bytes(pointer(note="sha512-00"))
    (tmp_path / "new").rename(path)
    file = await shelf.get(path, DOMAIN)
    assert file is not None
    assert file.content == pointer(note="sha512-00")


async def test_half_a_file_is_not_served_and_neither_is_the_old_one(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    shelf = IgnitionShelf(told.append)
    await shelf.get(path, DOMAIN)
    path.write_bytes(pointer()[:40])
    assert await shelf.get(path, DOMAIN) is None
    assert [type(event) for event in told] == [IgnitionLoaded, IgnitionRefused]


async def test_broken_file_is_complained_of_once(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(b"{")
    shelf = IgnitionShelf(told.append)
    assert await shelf.get(path, DOMAIN) is None
    assert await shelf.get(path, DOMAIN) is None
    assert [type(event) for event in told] == [IgnitionRefused]


async def test_file_of_another_cluster_is_not_served(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer("other.example"))
    assert await IgnitionShelf(told.append).get(path, DOMAIN) is None
    assert isinstance(told[0], IgnitionRefused)
    assert "api-int.other.example" in told[0].why


async def test_file_that_is_taken_away_is_gone(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    shelf = IgnitionShelf(told.append)
    await shelf.get(path, DOMAIN)
    path.unlink()
    assert await shelf.get(path, DOMAIN) is None


async def test_missing_file_is_no_event(tmp_path: Path, told: list[Event]) -> None:
    assert await IgnitionShelf(told.append).get(tmp_path / "worker.ign", DOMAIN) is None
    assert told == []


async def test_pipe_under_the_name_is_refused(tmp_path: Path, told: list[Event]) -> None:
    os.mkfifo(tmp_path / "worker.ign")
    assert await IgnitionShelf(told.append).get(tmp_path / "worker.ign", DOMAIN) is None
    assert [type(event) for event in told] == [FileUnservable]


async def test_file_too_large_to_be_ignition_is_not_read(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.touch()
    os.truncate(path, 1 << 40)
    assert await IgnitionShelf(told.append).get(path, DOMAIN) is None
    assert [type(event) for event in told] == [IgnitionRefused]


async def test_file_that_points_to_another_role_is_not_served(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "master.ign"
    path.write_bytes(pointer())
    assert await IgnitionShelf(told.append).get(path, DOMAIN) is None
    assert [event.why for event in told if isinstance(event, IgnitionRefused)] == [
        "points to /config/worker, so it is a worker.ign"
    ]


async def test_file_that_became_readable_is_read_although_it_has_not_changed(told: list[Event]) -> None:
    with nobodys_directory() as directory:
        path = directory / "worker.ign"
        path.write_bytes(pointer())
        path.chmod(0)
        shelf = IgnitionShelf(told.append)
        assert [await shelf.get(path, DOMAIN), await shelf.get(path, DOMAIN)] == [None, None]
        path.chmod(0o644)
        assert await shelf.get(path, DOMAIN) is not None
    assert [type(event) for event in told] == [FileUnservable, IgnitionLoaded]


# Several files of one cluster


def of_run(run: bytes, role: str) -> str:
    """Return the *role*.ign of the run of openshift-install that made the root certificate *run*, as PEM."""
    url = f"data:text/plain;charset=utf-8;base64,{base64.b64encode(run).decode()}"
    if role == "bootstrap":
        files = [{"path": "/opt/openshift/tls/root-ca.crt", "contents": {"source": url}}]
        return json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": files}})
    document = json.loads(pointer())
    document["ignition"]["config"]["merge"][0]["source"] = f"https://api-int.{DOMAIN}:22623/config/{role}"
    document["ignition"]["security"] = {"tls": {"certificateAuthorities": [{"source": url}]}}
    return json.dumps(document)


ROLES = ("bootstrap", "master", "worker")


def put(data_dir: Path, run: bytes, *roles: str) -> None:
    """Replace the files of *roles* by those of *run*."""
    for role in roles:
        new = data_dir / "new"
        new.write_text(of_run(run, role))
        new.rename(data_dir / "ignition" / f"{role}.ign")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with three files of one run."""
    (tmp_path / "ignition").mkdir()
    put(tmp_path, ROOT, *ROLES)
    return compile_web((reference_cluster(tmp_path),)).sites[0]


async def names_served(shelf: IgnitionShelf, site: Site) -> list[str]:
    for name in site.ignition_files:  # as the server does every two seconds
        await shelf.servable(site, name)
    shelf.look(site)
    found = [(name, await shelf.servable(site, name)) for name in site.ignition_files]
    return [name for name, file in found if isinstance(file, IgnitionFile)]


async def test_files_of_one_run_are_served(site: Site, told: list[Event]) -> None:
    assert await names_served(IgnitionShelf(told.append), site) == ["bootstrap.ign", "master.ign", "worker.ign"]


@pytest.mark.parametrize("replaced", [("bootstrap",), ("master",), ("worker",), ("master", "worker")])
async def test_files_of_two_runs_are_not_served_until_all_are_of_one(
    tmp_path: Path, site: Site, told: list[Event], replaced: tuple[str, ...]
) -> None:
    shelf = IgnitionShelf(told.append)
    await names_served(shelf, site)
    put(tmp_path, OTHER_ROOT, *replaced)
    assert await names_served(shelf, site) == []
    put(tmp_path, OTHER_ROOT, *ROLES)
    assert await names_served(shelf, site) == ["bootstrap.ign", "master.ign", "worker.ign"]


async def test_two_runs_are_reported_once_and_the_end_of_it_too(tmp_path: Path, site: Site, told: list[Event]) -> None:
    shelf = IgnitionShelf(told.append)
    put(tmp_path, OTHER_ROOT, "worker")
    await names_served(shelf, site)
    await names_served(shelf, site)
    refusals = [event for event in told if isinstance(event, IgnitionRefused)]
    assert [(Path(event.path).name, "different runs of openshift-install" in event.why) for event in refusals] == [
        ("bootstrap.ign", True),
        ("master.ign", True),
        ("worker.ign", True),
    ]
    told.clear()
    put(tmp_path, ROOT, "worker")
    await names_served(shelf, site)
    assert {type(event) for event in told} == {IgnitionLoaded}


async def test_new_file_that_is_refused_does_not_leave_two_runs_in_service(
    tmp_path: Path, site: Site, told: list[Event]
) -> None:
    shelf = IgnitionShelf(told.append)
    await names_served(shelf, site)
    put(tmp_path, OTHER_ROOT, "bootstrap", "master")
    (tmp_path / "ignition" / "worker.ign").write_text("{")
    assert await names_served(shelf, site) == ["bootstrap.ign", "master.ign"]
