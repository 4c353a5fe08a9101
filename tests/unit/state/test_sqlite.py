"""The SQLite file: its mode, its migration, and what happens to a file that cannot be used."""

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.clock import ClockSetting
from appliance.errors import StateError, StoreError
from appliance.install.installation import Order, Stage
from appliance.state import sqlite
from appliance.state.encoding import encoded
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change, Kept, Saved
from tests.boots import NOW
from tests.state_examples import FULL


def opened(directory):
    return SqliteStore.on_disk(directory / "state.db")


def save(store, installation):
    kept = store.load().get(installation.host)
    outcome = store.save([Change(installation.host, kept.revision if kept else 0, installation)])
    assert isinstance(outcome, Saved)


@pytest.fixture
def kept(quick_path):
    store = opened(quick_path)
    yield store
    store.close()


def test_state_with_its_secret_is_readable_by_its_owner_alone(quick_path):
    old = os.umask(0o022)
    try:
        kept = opened(quick_path)
    finally:
        os.umask(old)
    save(kept, FULL)
    names = {path.name for path in quick_path.iterdir() if path.stat().st_mode & 0o077 == 0}
    kept.close()
    assert names == {"state.db", "state.db-lock", "state.db-marker", "state.db-shm", "state.db-wal"}


def test_record_that_cannot_be_read_hides_no_other(kept, quick_path):
    for number in (1, 2, 3):
        save(kept, replace(FULL, number=number))
    with closing(sqlite3.connect(quick_path / "state.db")) as db, db:
        db.execute("UPDATE installations SET state = 'x' WHERE number = 2")
    assert [record.number for record in kept.records(FULL.host)] == [1, 3]


def test_second_appliance_on_the_same_directory_is_refused(kept, quick_path):
    with pytest.raises(StateError, match="another appliance"):
        opened(quick_path)


def test_directory_is_free_again_after_close(quick_path):
    for _ in range(2):
        opened(quick_path).close()


def test_log_stays_bounded_under_a_writer_that_never_rests(kept, monkeypatch):
    monkeypatch.setattr(sqlite, "CHECKPOINT_BYTES", 200_000)
    monkeypatch.setattr(sqlite, "MAX_LOG_BYTES", 2_000_000)
    log = Path(f"{kept.path}-wal")
    burst, bursts, ahead = 50, 100, 4
    save_bytes = 3 * 4120  # a little more than two pages, each with the header of its frame
    waiting = threading.Semaphore(0)
    written = threading.Semaphore(ahead)  # how many bursts the writer may be behind or ahead of a sync

    def writing():
        for number in range(1, bursts * burst + 1):
            if number % burst == 1:
                assert waiting.acquire(timeout=60)
            save(kept, replace(FULL, number=number))
            if number % burst == 0:
                written.release()

    sizes = []
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(writing)
        for _ in range(bursts):
            assert written.acquire(timeout=60)
            waiting.release()
            kept.sync()
            sizes.append(log.stat().st_size)
        done.result()
    assert kept.load()[FULL.host].installation.number == bursts * burst
    assert max(sizes) < 2_000_000 + 2 * ahead * burst * save_bytes


def test_installations_of_a_memory_that_knows_no_clock_are_not_taken_for_those_of_the_files_clock(kept):
    kept.save([], (), ClockSetting("boot", 1.0))
    kept.merge(SqliteStore.in_memory(), 0, [FULL])
    assert kept.clock() is None


# A file of an older version

SCHEMA_1 = """
BEGIN;
CREATE TABLE installations(
    host TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY(host, number)
) WITHOUT ROWID;
CREATE TABLE events(
    id INTEGER PRIMARY KEY, at REAL NOT NULL, host TEXT NOT NULL, number INTEGER NOT NULL,
    kind TEXT NOT NULL, facts TEXT NOT NULL, times INTEGER NOT NULL, last_at REAL NOT NULL
);
CREATE INDEX events_of_host ON events(host, id);
CREATE TABLE strangers(mac TEXT PRIMARY KEY, last_at REAL NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE serials(zone TEXT PRIMARY KEY, digest TEXT NOT NULL, serial INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE secrets(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""
SECRET = bytes(range(32))


@pytest.fixture
def older(tmp_path):
    """A directory with a file of schema 1 after a kill: its last changes are only in the log."""
    path = tmp_path / "state.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;" + SCHEMA_1)
    for number in (2, 3):
        db.execute(
            "INSERT INTO installations VALUES(?, ?, ?)", (FULL.host, number, encoded(replace(FULL, number=number)))
        )
    db.execute("INSERT INTO events VALUES(41, ?, ?, 3, 'dhcp.offer', '{}', 2, ?)", (NOW, FULL.host, NOW + 1))
    db.execute("INSERT INTO strangers VALUES('a', ?, '{\"mac\": \"a\"}')", (NOW,))
    db.execute("INSERT INTO serials VALUES('example', 'digest', 2000091802)")
    db.execute("INSERT INTO secrets VALUES('tokens', ?)", (SECRET,))
    copy = tmp_path / "killed"
    copy.mkdir()
    for file in tmp_path.glob("state.db*"):
        (copy / file.name).write_bytes(file.read_bytes())
    db.close()
    return copy


def test_file_of_schema_1_keeps_everything(older):
    kept = opened(older)
    assert kept.notice is None
    assert kept.load()[FULL.host].installation == FULL
    assert [record.number for record in kept.records(FULL.host)] == [2, 3]
    (row,) = kept.events()
    assert (row.id, row.at, row.host, row.number, row.times, row.last_at) == (41, NOW, FULL.host, 3, 2, NOW + 1)
    assert kept.strangers() == [{"mac": "a"}]
    assert kept.serial_of("example", "digest") == 2000091802
    assert kept.secret == SECRET
    kept.close()
    assert not list(older.glob("*aside*"))


def test_file_of_schema_2_keeps_everything_and_knows_no_clock(quick_path):
    kept = opened(quick_path)
    save(kept, FULL)
    revision = kept.load()[FULL.host].revision
    kept._db.executescript("DROP TABLE clock; PRAGMA user_version = 2")
    kept.close()
    again = opened(quick_path)
    assert (again.notice, again.clock(), again.load()[FULL.host]) == (None, None, Kept(FULL, revision))
    again.close()


def test_file_of_schema_1_is_migrated_once_and_can_be_changed(older):
    for tries in (5, 6):
        kept = opened(older)
        save(kept, replace(FULL, tries=tries))
        kept.close()
    with closing(sqlite3.connect(older / "state.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM installations").fetchone() == (2,)


def test_file_of_schema_1_that_cannot_be_written_is_read_whole(older):
    kept = SqliteStore.read_from(older / "state.db")
    assert kept.load()[FULL.host].installation == FULL
    assert kept.secret == SECRET
    kept.close()
    with closing(sqlite3.connect(older / "state.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_migration_that_breaks_off_leaves_the_file_as_it_was(older, monkeypatch):
    monkeypatch.setattr(sqlite, "_MIGRATIONS", {1: sqlite._MIGRATIONS[1] + " broken"})
    with pytest.raises(StoreError):
        opened(older)
    monkeypatch.undo()
    kept = opened(older)
    assert kept.load()[FULL.host].installation == FULL
    kept.close()


# A file that cannot be used


def damaged(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def newer(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()


@pytest.mark.parametrize("spoil", [damaged, newer])
def test_file_that_cannot_be_used_is_set_aside_whole(tmp_path, spoil):
    opened(tmp_path).close()
    spoil(tmp_path / "state.db")
    before = (tmp_path / "state.db").read_bytes()
    kept = opened(tmp_path)
    save(kept, FULL)
    kept.close()
    (aside,) = tmp_path.glob("state.db.aside-*Z")
    assert aside.read_bytes() == before
    assert str(aside.name) in kept.notice


def test_second_file_set_aside_in_a_second_does_not_overwrite_the_first(tmp_path):
    for _ in range(3):
        damaged(tmp_path / "state.db")
        opened(tmp_path).close()
    assert len(list(tmp_path.glob("state.db.aside-*"))) == 3


def test_records_of_a_sound_newer_file_are_carried_over(tmp_path):
    first = opened(tmp_path)
    installed = replace(FULL, host="a.example", stage=Stage.BOOTED, is_held=False, order=Order.LOCAL)
    held = replace(FULL, host="b.example", stage=Stage.WAITING, is_settled=False)
    under_way = replace(FULL, host="c.example", stage=Stage.IMAGE, is_settled=False, is_held=False)
    for installation in (installed, held, under_way):
        save(first, installation)
    first.close()
    newer(tmp_path / "state.db")
    second = opened(tmp_path)
    assert {host: kept.installation for host, kept in second.load().items()} == {
        "a.example": installed,
        "b.example": held,
        "c.example": under_way,
    }
    second.close()


def test_state_that_cannot_be_read_holds_its_host(tmp_path):
    opened(tmp_path).close()
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("INSERT INTO installations(host, number, state) VALUES('m1.example', 4, '{')")
    db.commit()
    db.close()
    kept = opened(tmp_path)
    assert kept.load()["m1.example"].installation.order is Order.HOLD
    kept.close()


def test_notice_names_the_file_the_reason_and_how_many_hosts_were_kept(tmp_path):
    first = opened(tmp_path)
    save(first, replace(FULL, doubt=None))
    first.close()
    newer(tmp_path / "state.db")
    kept = opened(tmp_path)
    kept.close()
    assert kept.notice.startswith(f"{tmp_path}/state.db has schema 99, and this version of ocp-appliance reads")
    assert "The records of 1 hosts were carried over. Every other host of cluster.yaml is held until" in kept.notice


def test_newer_file_that_cannot_be_set_aside_still_holds_its_hosts(tmp_path):
    first = opened(tmp_path)
    save(first, FULL)
    first.close()
    newer(tmp_path / "state.db")
    kept = SqliteStore.read_from(tmp_path / "state.db")
    assert kept.load()[FULL.host].installation == FULL
    kept.close()


def test_new_file_that_cannot_be_made_leaves_the_old_one_in_its_place(tmp_path, monkeypatch):
    first = opened(tmp_path)
    save(first, FULL)
    first.close()
    newer(tmp_path / "state.db")
    before = (tmp_path / "state.db").read_bytes()
    monkeypatch.setattr(sqlite, "_SCHEMA", "CREATE nothing")
    with pytest.raises(StoreError):
        opened(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == before
