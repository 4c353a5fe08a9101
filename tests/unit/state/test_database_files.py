"""The files of a database: who holds them, what travels with them, and where an old one goes."""

import os
from pathlib import Path

import pytest

from appliance.errors import StateError
from appliance.state import database_files


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    path.write_text("database")
    database_files.log_of(path).write_text("log")
    return path


def test_lock_is_for_one_process(database: Path) -> None:
    descriptor = database_files.lock(database)
    with pytest.raises(StateError, match="in use"):
        database_files.lock(database)
    os.close(descriptor)


def test_lock_ends_when_its_descriptor_is_closed(database: Path) -> None:
    for _ in range(2):
        os.close(database_files.lock(database))


def test_file_that_exists_stays_when_it_is_made_private(database: Path) -> None:
    database_files.make_private(database)
    assert database.read_text() == "database"


def test_copy_has_the_log_of_the_original(database: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copies"
    directory.mkdir()
    copied = database_files.copy(database, directory)
    assert (copied.read_text(), database_files.log_of(copied).read_text()) == ("database", "log")


def test_new_file_is_empty_even_if_an_earlier_try_left_one(database: Path) -> None:
    database_files.new_beside(database).write_text("left")
    assert database_files.new_beside(database).read_text() == ""


def test_new_file_is_readable_by_its_owner_alone(database: Path) -> None:
    assert database_files.new_beside(database).stat().st_mode & 0o777 == 0o600


def test_old_database_keeps_its_log_when_it_is_set_aside(database: Path) -> None:
    aside = database_files.replace(database, database_files.new_beside(database))
    assert (aside.read_text(), database_files.log_of(aside).read_text()) == ("database", "log")


def test_new_database_does_not_inherit_the_log_of_the_old_one(database: Path) -> None:
    database_files.replace(database, database_files.new_beside(database))
    assert database.read_text() == ""
    assert not database_files.log_of(database).exists()
