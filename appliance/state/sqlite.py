"""The database file: made, opened, moved aside when it cannot be used; never overwritten."""

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from appliance.errors import StateError
from appliance.install.lifecycle import Installation, Stage
from appliance.state.encoding import decoded, encoded

SCHEMA_VERSION = 1
_BEGIN = f"""
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
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
LOCK_ENDING = "-lock"
KEPT_RECORDS = 10  # of each host
SIDE_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that can be written, and what became of an older file that could not be used."""

    db: "LockedConnection"
    set_aside: Path | None = None
    why: str = ""
    salvaged: tuple[Installation, ...] = ()  # of hosts that the old file says are installed or held


def opened(path: Path) -> Opened:
    """Return the database at *path*, made if it is missing; a damaged or newer file is moved aside first.

    Raises StateError when another process has it, OSError or sqlite3.OperationalError
    when the directory or the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(path)
    try:
        found = _opened(path)
    except BaseException:
        os.close(lock)
        raise
    found.db.lock = lock
    return found


class LockedConnection(sqlite3.Connection):
    """A connection to the file that this process alone writes; another appliance cannot lock it until this closes."""

    lock = -1  # a descriptor

    def close(self) -> None:
        """Close the connection, and let others have the file."""
        super().close()
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def created() -> sqlite3.Connection:
    """Return a new database in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    db.executescript(_BEGIN)
    return db


def checkpoint(path: Path) -> None:
    """Write the log of the database at *path* back into it; beside the writer, in another thread, while it writes."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        db.close()


def in_memory(path: Path) -> sqlite3.Connection:
    """Return a database in memory, with what can be read of the one at *path*."""
    # SQLite cannot read a write-ahead log where it may not write, so it reads a copy.
    try:
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name, path.name)
            for ending in ("", "-wal"):
                if Path(f"{path}{ending}").exists():
                    shutil.copy(f"{path}{ending}", f"{copy}{ending}")
            return copied(_readable(copy, "ro"))
    except (OSError, sqlite3.Error):
        pass  # nowhere to copy to
    try:
        return copied(_readable(path, "ro&immutable=1"))  # as it was at the last checkpoint
    except (OSError, sqlite3.Error):
        return created()  # there is nothing to read


def copied(source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of *source* in memory, and close *source*. Raises sqlite3.Error when it cannot be read."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        source.backup(memory)
    except BaseException:
        memory.close()
        raise
    finally:
        source.close()
    if why := _unusable(memory):
        memory.close()
        raise sqlite3.DatabaseError(why)
    return memory


def transact(db: sqlite3.Connection, work: Callable[[], object]) -> None:
    """Do *work* in one transaction of *db*: all of it, or nothing and sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        work()
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def store(
    db: sqlite3.Connection, events: Iterable[tuple[object, ...]], installations: Iterable[Installation] = ()
) -> None:
    """Write *events* (all columns but the id) and *installations*, and drop what is older than is kept."""
    db.executemany(
        "INSERT INTO events(at, host, number, kind, facts, times, last_at) VALUES(?, ?, ?, ?, ?, ?, ?)", events
    )
    for one in installations:
        db.execute("REPLACE INTO installations VALUES(?, ?, ?)", (one.host, one.number, encoded(one)))
        if one.number > KEPT_RECORDS:
            oldest = one.number - KEPT_RECORDS
            db.execute("DELETE FROM installations WHERE host = ? AND number <= ?", (one.host, oldest))


def merge(
    memory: sqlite3.Connection, disk: sqlite3.Connection, copied_events: int, installations: Iterable[Installation]
) -> None:
    """Write to *disk* what *memory* has beyond it, and the current *installations*: all of it, or sqlite3.Error."""

    def work() -> None:
        for table, marks in (("installations", "?, ?, ?"), ("serials", "?, ?, ?"), ("secrets", "?, ?")):
            rows = memory.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a name of three
            disk.executemany(f"REPLACE INTO {table} VALUES({marks})", rows)
        disk.execute("DELETE FROM strangers")
        disk.executemany("INSERT INTO strangers VALUES(?, ?, ?)", memory.execute("SELECT * FROM strangers").fetchall())
        query = "SELECT at, host, number, kind, facts, times, last_at FROM events WHERE id > ? ORDER BY id"
        store(disk, memory.execute(query, (copied_events,)).fetchall(), installations)

    transact(disk, work)


def _readable(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True)


def _locked(path: Path) -> int:
    """Return a descriptor that holds the lock on *path*; raises StateError when another process has it."""
    # Not SQLite's own exclusive mode: that would keep `checkpoint` out too.
    lock = os.open(f"{path}{LOCK_ENDING}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise StateError(f"{path} is in use: another appliance runs on this data directory") from error
        raise
    return lock


def _opened(path: Path) -> Opened:
    if not path.exists() or path.stat().st_size == 0:
        return Opened(_new(path))
    try:
        db = _connected(path)
    except sqlite3.OperationalError:  # the disk refuses
        raise
    except sqlite3.DatabaseError as error:
        return _anew(path, f"is damaged ({error})")
    why = _unusable(db)
    if why is None:
        return Opened(db)
    db.close()
    return _anew(path, why)


def _connected(path: Path) -> LockedConnection:
    # It holds the secret of every token, and SQLite makes it as the umask has it. The log gets the same modes.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False, factory=LockedConnection)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a commit survives this process; Journal.sync does the rest
        db.execute("PRAGMA wal_autocheckpoint = 0")  # in the writer's thread it would sync for tens of ms
        db.execute("PRAGMA journal_size_limit = 0")  # a log that was written back whole gives its space back
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _new(path: Path) -> LockedConnection:
    db = _connected(path)
    try:
        db.executescript(_BEGIN)
    except BaseException:
        db.close()
        raise
    return db


def _unusable(db: sqlite3.Connection) -> str | None:
    """Return why *db* cannot be used, or None."""
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version != SCHEMA_VERSION:
            return f"has schema {version}, and this appliance knows {SCHEMA_VERSION}"
        damage = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    return None if damage == "ok" else f"is damaged ({damage})"


def _anew(path: Path, why: str) -> Opened:
    salvaged = tuple(_salvaged(path))
    aside = path.with_name(time.strftime(f"{path.name}.aside-%Y%m%dT%H%M%SZ", time.gmtime()))
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    for ending in (*SIDE_FILES, ""):
        if Path(f"{path}{ending}").exists():
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
    return Opened(_new(path), aside, why, salvaged)


def _salvaged(path: Path) -> Iterator[Installation]:
    """Yield the installations of hosts that must not install again by accident, as far as they can be read."""
    try:
        db = _readable(path, "ro")
        try:
            rows = db.execute("SELECT state, max(number) FROM installations GROUP BY host")
            while (row := rows.fetchone()) is not None:
                try:
                    one = decoded(row[0])
                except (ValueError, TypeError, AttributeError, json.JSONDecodeError):
                    continue
                if one.stage >= Stage.INSTALLED or one.is_settled or one.is_held:
                    yield one
        finally:
            db.close()
    except sqlite3.Error:
        return
