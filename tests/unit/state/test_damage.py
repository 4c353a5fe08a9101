"""A state that is damaged, missing or foreign holds every host whose record it may have had."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.errors import StateError
from appliance.events import Ordered
from appliance.install.installation import Order
from appliance.state import database_files
from appliance.state.fallback import FallbackStore
from tests.boots import LIVE, Fleet


def lived(directory: Path) -> None:
    """Leave the state of a cluster in *directory*, of which m1 is installed and all others wait."""
    fleet = Fleet(directory, LIVE)
    fleet.happen(fleet.boot(1).live(rootfs=1000))
    fleet.journal.close()


def orders(directory: Path) -> dict[str, Order]:
    fleet = Fleet(directory, LIVE)
    fleet.journal.close()
    return {host: installation.order for host, installation in fleet.registry.installations.items()}


def edited(sql: str):
    def edit(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(sql)

    return edit


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_another_index(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, '(host', '(kind') WHERE name = 'events_of_host'")


def newer_without_records(path: Path) -> None:
    for sql in ("DELETE FROM installations", "PRAGMA user_version = 99"):
        edited(sql)(path)


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 5000),
    "foreign": lambda path: path.write_bytes(b"this is no database" * 1000),
    "link to a device": linked,
    "pipe": piped,
    "directory": made_directory,
    "newer schema without records": newer_without_records,
    "no table of records": edited("DROP TABLE installations"),
    "no table of secrets": edited("DROP TABLE secrets"),
    "text that is no JSON": edited("UPDATE installations SET state = '{'"),
    "deep JSON": edited("UPDATE installations SET state = printf('%.*c', 90000, '[')"),
    "bytes for text": edited("UPDATE installations SET state = x'ff'"),
    "bytes for a host": edited("UPDATE installations SET host = x'ff00'"),
    "another host": edited("UPDATE installations SET host = 'elsewhere.example'"),
    "text for a number": edited("UPDATE installations SET number = 'x'"),
    "text for a revision": edited("UPDATE installations SET revision = 'x'"),
    "huge revision": edited("UPDATE installations SET revision = 9223372036854775807"),
    "number for a secret": edited("UPDATE secrets SET value = 7"),
    "index of other values": with_another_index,
    "text for a serial": edited("INSERT INTO serials VALUES('a', 'b', 'c')"),
    "another fact": edited(
        "UPDATE installations SET state = replace(state, '\"is_settled\": true', '\"is_settled\": false')"
    ),
    "infinite time": edited("UPDATE installations SET state = replace(state, '\"tries\": 0', '\"tries\": 1e999')"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_state_arms_no_host(tmp_path, damage):
    lived(tmp_path)
    damage(tmp_path / "state.db")
    found = orders(tmp_path)
    assert set(found.values()) <= {Order.HOLD, Order.LOCAL}
    assert orders(tmp_path) == found  # also after another restart


def test_host_that_is_held_says_why_and_what_frees_it(tmp_path):
    lived(tmp_path)
    (tmp_path / "state.db").unlink()
    fleet = Fleet(tmp_path, LIVE)
    condition = fleet.registry.condition(fleet[fleet.boot(1)], 0.0)
    assert condition.name == "state-lost"
    assert f"`ocp-appliance adopt {fleet.boot(1).host}`" in condition.hint
    assert f"`ocp-appliance reinstall {fleet.boot(1).host}`" in condition.hint
    fleet.journal.close()


@pytest.mark.parametrize("order", ["hold", "none"])
def test_record_whose_wait_would_end_is_in_doubt_as_lost(tmp_path, order):
    """The latest record may be missing, in which the host was installed."""
    fleet = Fleet(tmp_path, LIVE)
    m1 = fleet.boot(1)
    fleet.happen(Ordered(m1.host, "hold") if order == "hold" else [m1.api_int(), m1.unanswered()])
    fleet.journal.close()
    DAMAGES["no table of secrets"](tmp_path / "state.db")

    found = Fleet(tmp_path, LIVE)
    assert (found[m1].doubt.name, found[m1].lapses_at) == ("state-lost", None)
    found.happen(Ordered(m1.host, "release"))
    assert found[m1].order is Order.HOLD


def test_first_start_installs(tmp_path):
    assert set(orders(tmp_path).values()) == {Order.INSTALL}
    assert set(orders(tmp_path).values()) == {Order.INSTALL}


def test_state_whose_directory_was_emptied_starts_afresh(tmp_path):
    lived(tmp_path / "state")
    shutil.rmtree(tmp_path / "state")
    assert set(orders(tmp_path / "state").values()) == {Order.INSTALL}


def test_good_state_without_a_marker_is_good_and_gets_one(tmp_path):
    lived(tmp_path)
    (tmp_path / "state.db-marker").unlink()
    assert Order.INSTALL in orders(tmp_path).values()
    assert (tmp_path / "state.db-marker").read_text().rstrip(" ") == "closed 1\n"


@pytest.fixture
def killed(tmp_path):
    """A directory after a kill: m1 is installed by the log alone."""
    fleet = Fleet(tmp_path / "lives", LIVE)
    fleet.happen(fleet.boot(1).live(rootfs=1000))
    fleet.journal.store.sync()
    copy = shutil.copytree(tmp_path / "lives", tmp_path / "killed")
    fleet.journal.close()
    return copy


def test_kill_alone_holds_nobody(killed):
    assert Order.HOLD not in orders(killed).values()


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda log: os.truncate(log, 0),
        lambda log: os.truncate(log, log.stat().st_size // 2),
        lambda log: log.write_bytes(log.read_bytes()[:5000] + b"x" + log.read_bytes()[5001:]),
    ],
    ids=["missing", "empty", "truncated", "flipped"],
)
def test_log_that_lost_what_was_synced_arms_no_host(killed, damage):
    damage(killed / "state.db-wal")
    assert Order.INSTALL not in orders(killed).values()


@pytest.mark.parametrize("name", ["state.db-lock", "state.db-marker"])
def test_pipe_in_place_of_a_file_of_ours_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(StateError, match="not a regular file"):
        FallbackStore(tmp_path)


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
@pytest.mark.parametrize("damage", [linked, piped], ids=["link to a device", "pipe"])
def test_no_file_beside_the_database_is_opened_unless_it_is_a_regular_one(tmp_path, damage, ending):
    lived(tmp_path)
    path = tmp_path / f"state.db{ending}"
    path.touch()
    damage(path)
    assert Order.INSTALL not in orders(tmp_path).values()


def test_files_set_aside_are_bounded_and_none_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(database_files, "MAX_ASIDE", 2)
    for number in range(6):
        (tmp_path / f"state.db.aside-{number}Z").touch()
    (tmp_path / "state.db").write_bytes(b"damage")
    with pytest.raises(StateError, match="move state"):
        FallbackStore(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == b"damage"
    assert len(list(tmp_path.glob("*.aside-*"))) == 6
