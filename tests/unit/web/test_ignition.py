"""Ignition files are held in memory complete, or not at all."""

import json
import os
from pathlib import Path

import pytest

from appliance.events import Event, FileUnservable, IgnitionLoaded, IgnitionRefused
from appliance.web.ignition import IgnitionShelf

DOMAIN = "ocp45.example.localdomain"


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


async def test_half_a_file_leaves_the_old_one(tmp_path: Path, told: list[Event]) -> None:
    path = tmp_path / "worker.ign"
    path.write_bytes(pointer())
    shelf = IgnitionShelf(told.append)
    await shelf.get(path, DOMAIN)
    path.write_bytes(pointer()[:40])
    file = await shelf.get(path, DOMAIN)
    assert file is not None
    assert file.content == pointer()
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
