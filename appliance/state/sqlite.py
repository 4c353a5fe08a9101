"""A store in SQLite: a file on disk, or memory. The only module that knows SQL.

A file that cannot be used is set aside, and what must not be lost of it is carried
over (database_files.py moves the files). One process writes a file, by a lock beside it.

The store and the functions that open a database are in one file, though it is long,
so that the types and exceptions of the driver are known here and nowhere else.
"""

import json
import os
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Self
from urllib.parse import quote

from appliance.errors import StoreError
from appliance.install.installation import Installation, Order, order_of
from appliance.model import Install
from appliance.state import database_files
from appliance.state.encoding import UNREADABLE, decoded, decoded_or_held, encoded
from appliance.state.events import Row
from appliance.state.serials import serial_after
from appliance.state.store import KEPT_RECORDS, MAX_EVENTS, Change, Conflict, Facts, Kept, Saved

SCHEMA_VERSION = 2
_SCHEMA = f"""
BEGIN;
CREATE TABLE installations(
    host TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY(host, number)
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
_TABLES = ("installations", "serials", "secrets", "strangers", "events")
# From each older schema to the one after it. What an older version wrote is at revision 1.
_MIGRATIONS = {1: "ALTER TABLE installations ADD COLUMN revision INTEGER NOT NULL DEFAULT 1"}

_EVENT_COLUMNS = ("at", "host", "number", "kind", "facts", "times", "last_at")  # all but the id
_INSERT_EVENT = f"INSERT INTO events({', '.join(_EVENT_COLUMNS)}) VALUES(?, ?, ?, ?, ?, ?, ?)"
_event_values = attrgetter(*_EVENT_COLUMNS)
_INSERT_INSTALLATION = "REPLACE INTO installations(host, number, state, revision) VALUES(?, ?, ?, ?)"
_FORGET = "DELETE FROM installations WHERE host = ?"

CHECKPOINT_BYTES = 16 << 20  # of the write-ahead log, which a boot storm fills in some seconds
MAX_LOG_BYTES = 64 << 20  # of the same, when changes arrive faster than it is written back


class SqliteStore:
    """A `Store` in one SQLite database. Without `path` it is in memory."""

    def __init__(self, db: sqlite3.Connection, path: Path | None = None, secret: bytes | None = None) -> None:
        """Take over *db*, which has the current schema. Its secret becomes *secret*, if that is given."""
        self.path = path
        self.trouble: str | None = None
        self.notice: str | None = None
        self.lock_descriptor = -1  # held until `close`
        self.forgotten: set[str] = set()  # hosts whose records were dropped since this was opened
        self._db = db
        self._lock = threading.RLock()
        self._is_unsynced = False
        self._since_pruning = 0
        # No other process writes this database, so that no query is needed to compare a revision.
        self._revisions = _revisions(db)
        # One rising number for all hosts, so that a host that is forgotten and comes back never repeats a revision.
        self._revision = max(self._revisions.values(), default=0)
        self.secret = self._kept_secret(secret)

    @classmethod
    def on_disk(cls, path: Path) -> Self:
        """Open the file *path*, which is created when it is missing.

        A damaged or newer file is set aside, and `notice` says so. Raises StateError
        when another process has it open, StoreError when the disk refuses.
        """
        with _refusals():
            path.parent.mkdir(parents=True, exist_ok=True)
            lock_descriptor = database_files.lock(path)
            try:
                db, notice = _opened(path)
                store = cls(db, path)
            except BaseException:
                os.close(lock_descriptor)
                raise
        store.notice, store.lock_descriptor = notice, lock_descriptor
        return store

    @classmethod
    def in_memory(cls, secret: bytes | None = None) -> Self:
        """Return an empty store in memory."""
        return cls(_created(":memory:"), secret=secret)

    @classmethod
    def read_from(cls, path: Path, secret: bytes | None = None) -> Self:
        """Return a store in memory with as much as can be read of the file *path*, which stays as it is."""
        return cls(_read(path), secret=secret)

    def copied(self) -> "SqliteStore":
        """Return a copy in memory, and close this store. Raises StoreError when it cannot be read."""
        with self._lock, _refusals():
            try:
                db = _copied(self._db)
            finally:
                self.close()
            return SqliteStore(db, secret=self.secret)

    # Installations and events

    def load(self) -> dict[str, Kept]:
        """Return the latest installation of every host, with its revision."""
        # SQLite takes the other columns from the row that has the maximum.
        query = "SELECT host, max(number), state FROM installations GROUP BY host"
        with self._lock, _refusals():
            rows = self._db.execute(query).fetchall()
            revisions = dict(self._revisions)
        return {host: Kept(decoded_or_held(host, number, state), revisions[host]) for host, number, state in rows}

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first."""
        with self._lock, _refusals():
            rows = self._db.execute(
                "SELECT state FROM installations WHERE host = ? ORDER BY number", (host,)
            ).fetchall()
        found = []
        for (state,) in rows:
            with suppress(*UNREADABLE):
                found.append(decoded(state))
        return found

    def save(self, changes: Sequence[Change], rows: Sequence[Row] = ()) -> Saved | Conflict:
        """Change installations and append events in one transaction, which survives this process when it returns."""
        with self._lock:
            revision = self._revision + 1
            db = self._db
            try:
                for host, made_from, _, _ in changes:
                    current = self._revisions.get(host, 0)
                    if current != made_from:
                        return Conflict(host, self._latest(host), current)
                db.execute("BEGIN IMMEDIATE")
                try:
                    for change in changes:
                        self._change(change, revision)
                    if rows:
                        db.executemany(_INSERT_EVENT, map(_event_values, rows))
                    db.execute("COMMIT")
                except BaseException:
                    _roll_back(db)
                    raise
            except sqlite3.Error as error:
                raise StoreError(str(error)) from error
            self._revision = revision
            self._is_unsynced = True
            for host, _, installation, _ in changes:
                if installation is None:
                    self._revisions.pop(host, None)
                else:
                    self._revisions[host] = revision
            self._since_pruning += len(rows)
            if self._since_pruning >= MAX_EVENTS // 100:
                self._prune()
            return Saved(revision)

    def _change(self, change: Change, revision: int) -> None:
        host, _, installation, forgets = change
        if installation is None or forgets:
            self._db.execute(_FORGET, (host,))
            self.forgotten.add(host)
        if installation is not None:
            number = installation.number
            self._db.execute(_INSERT_INSTALLATION, (host, number, encoded(installation), revision))
            if number > KEPT_RECORDS:
                query = "DELETE FROM installations WHERE host = ? AND number <= ?"
                self._db.execute(query, (host, number - KEPT_RECORDS))

    def _latest(self, host: str) -> Installation | None:
        query = "SELECT number, state FROM installations WHERE host = ? ORDER BY number DESC LIMIT 1"
        row = self._db.execute(query, (host,)).fetchone()
        return None if row is None else decoded_or_held(host, *row)

    def _prune(self) -> None:
        self._since_pruning = 0
        self._write("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (MAX_EVENTS,))

    def events(self, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first."""
        where, values = ["TRUE"], []
        for column, value in (("host", host or None), ("number", number)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        columns, condition = ", ".join(_EVENT_COLUMNS), " AND ".join(where)
        query = f"SELECT {columns}, id FROM events WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608 - our names
        with self._lock, _refusals():
            rows = self._db.execute(query, (*values, limit)).fetchall()
        return [Row(*row) for row in reversed(rows)]

    def last_event_id(self) -> int:
        """Return the id of the latest event, 0 when there are none."""
        with self._lock, _refusals():
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])

    # All else

    def strangers(self) -> list[dict[str, object]]:
        """Return the facts of the unknown machines, least recently seen first."""
        with self._lock, _refusals():
            rows = self._db.execute("SELECT facts FROM strangers ORDER BY last_at").fetchall()
        return [json.loads(facts) for (facts,) in rows]

    def save_strangers(self, strangers: Iterable[tuple[str, float, Facts]]) -> None:
        """Replace the unknown machines."""
        rows = [(mac, last_at, json.dumps(facts)) for mac, last_at, facts in strangers]
        with self._lock, _refusals(), _transaction(self._db):
            self._db.execute("DELETE FROM strangers")
            self._db.executemany("INSERT INTO strangers VALUES(?, ?, ?)", rows)
            self._is_unsynced = True

    def serial_of(self, zone: str, digest: str, least: int = 0) -> int:
        """Return the SOA serial of *zone* with the content *digest*; see `serials.serial_after`."""
        with self._lock:
            with _refusals():
                kept = self._db.execute("SELECT digest, serial FROM serials WHERE zone = ?", (zone,)).fetchone()
            serial = serial_after(digest, kept, least, time.time())
            if kept != (digest, serial):
                self._write("REPLACE INTO serials VALUES(?, ?, ?)", (zone, digest, serial))
            return serial

    def _kept_secret(self, secret: bytes | None) -> bytes:
        row = self._db.execute("SELECT value FROM secrets WHERE name = 'tokens'").fetchone()
        if row is not None and secret is None:
            return bytes(row[0])
        secret = secret or secrets.token_bytes(32)
        self._db.execute("REPLACE INTO secrets VALUES('tokens', ?)", (secret,))
        return secret

    def _write(self, query: str, values: tuple[object, ...]) -> None:
        with self._lock, _refusals():
            self._db.execute(query, values)
            self._is_unsynced = True

    # The disk

    def sync(self) -> None:
        """Make what was saved survive a loss of power; blocks for as long as the disk takes."""
        with self._lock:
            if not self._is_unsynced or self.path is None:
                return
            self._is_unsynced = False
        log = database_files.log_of(self.path)
        with _refusals():
            if log.stat().st_size < CHECKPOINT_BYTES:
                # SQLite's locks are on the database file itself, so that closing this one drops none.
                database_files.sync(log)
                return
            _checkpoint(self.path)
            if log.stat().st_size >= MAX_LOG_BYTES:
                # SQLite begins the log anew when all of it was written back and nothing came meanwhile, which
                # a steady writer prevents for ever. Little is left to write now: some tens of ms, once.
                with self._lock:
                    _checkpoint(self.path)

    def merge(self, memory: "SqliteStore", copied_events: int, installations: Iterable[Installation]) -> None:
        """Write what *memory* has beyond this store, and the current *installations*: all of it, or StoreError.

        *copied_events* is the id of the last event that memory took over from here.
        """
        db = self._db
        with self._lock, _refusals(), _transaction(db):
            db.executemany(_FORGET, [(host,) for host in memory.forgotten])
            db.execute("DELETE FROM strangers")
            for table in _TABLES[:-1]:  # the events have other ids here
                _replace_rows(db, table, memory.rows_of(table))
            added = [row for row in memory.events(limit=MAX_EVENTS) if row.id > copied_events]
            db.executemany(_INSERT_EVENT, map(_event_values, added))
            revisions = _revisions(db)
            next_revision = max(revisions.values(), default=0) + 1
            for installation in installations:
                # Not a change: a host that is there keeps its revision, which the registry has.
                revision = revisions.setdefault(installation.host, next_revision)
                values = [installation.host, installation.number, encoded(installation), revision]
                db.execute(_INSERT_INSTALLATION, values)
            self._is_unsynced = True
        self._revisions, self._revision, self.secret = revisions, next_revision, memory.secret

    def rows_of(self, table: str) -> list[tuple[object, ...]]:
        """Return all rows of *table*, for `merge`."""
        with self._lock, _refusals():
            return self._db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a name from merge

    def retry(self, installations: Iterable[Installation]) -> None:
        """Do nothing: this store is never in trouble by itself."""

    def close(self) -> None:
        """Close the database, and let another process have its file."""
        with self._lock:
            self._db.close()
            if self.lock_descriptor >= 0:
                os.close(self.lock_descriptor)
                self.lock_descriptor = -1


def _replace_rows(db: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"REPLACE INTO {table} VALUES({marks})", rows)


def _revisions(db: sqlite3.Connection) -> dict[str, int]:
    """Return the revision of each host, which is that of its record written last."""
    return dict(db.execute("SELECT host, max(revision) FROM installations GROUP BY host"))


# Transactions


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what SQLite and the system raise into StoreError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(str(error)) from error


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do what follows in one transaction of *db*: all of it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        _roll_back(db)
        raise


@contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """Close *db* when what follows raises."""
    try:
        yield
    except BaseException:
        db.close()
        raise


def _roll_back(db: sqlite3.Connection) -> None:
    # After some errors, as a full disk, SQLite has done it already.
    if db.in_transaction:
        db.execute("ROLLBACK")


# Making, opening and reading a database


def _created(path: Path | str) -> sqlite3.Connection:
    """Return a new database with the current schema."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with _closed_on_error(db):
        db.executescript(_SCHEMA)
    return db


def _opened(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return the database in the file *path*, and a notice if an older file had to be set aside."""
    if not path.exists() or path.stat().st_size == 0:
        db = _connected(path)
        with _closed_on_error(db):
            db.executescript(_SCHEMA)
        return db, None
    try:
        db = _connected(path)
    except sqlite3.OperationalError:  # the disk refuses; the file may be sound
        raise
    except sqlite3.DatabaseError as error:
        return _replaced(path, f"is damaged ({error})")
    with _closed_on_error(db):
        why = _unusable(db)
        if why is None:
            _migrate(db)
            return db, None
    db.close()
    return _replaced(path, why)


def _connected(path: Path) -> sqlite3.Connection:
    database_files.make_private(path)
    db = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
    with _closed_on_error(db):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a commit survives this process; `sync` does the rest
        db.execute("PRAGMA wal_autocheckpoint = 0")  # in the writer's thread it would sync for tens of ms
        db.execute("PRAGMA journal_size_limit = 0")  # a log that was written back whole gives its space back
        # A file system that is read-only is found out here, not at the first change.
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    return db


def _unusable(db: sqlite3.Connection) -> str | None:
    """Return why *db* cannot be used, or None."""
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not 1 <= version <= SCHEMA_VERSION:
            return f"has schema {version}, and this version of ocp-appliance reads schemas 1 to {SCHEMA_VERSION}"
        for table in _TABLES:
            db.execute(f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 - our names
        damage = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    return None if damage == "ok" else f"is damaged ({damage})"


def _migrate(db: sqlite3.Connection) -> None:
    """Bring *db* to the current schema: all the way, or not at all."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == SCHEMA_VERSION:
        return
    with _transaction(db):
        for older in range(version, SCHEMA_VERSION):
            db.execute(_MIGRATIONS[older])
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _replaced(path: Path, why: str) -> tuple[sqlite3.Connection, str]:
    """Set the file *path* aside, and return a new one in its place, with what must not be lost, and a notice."""
    salvaged = _salvaged(path)
    # The new file is complete before anything is renamed: if the disk refuses, the old file is where it was.
    new = database_files.new_beside(path)
    with closing(_created(new)) as db:
        _fill(db, salvaged)
    aside = database_files.replace(path, new)
    notice = (
        f"{path} {why}; it was moved to {aside.name}, and a new file was begun. The hosts recorded there as installed "
        f"or held ({len(salvaged)}) keep that state; all others may install again: run `ocp-appliance status` "
        "before any of them restarts"
    )
    return _connected(path), notice


def _salvaged(path: Path) -> list[Installation]:
    """Return the installations of hosts that must not install again by accident, as far as *path* can be read."""
    found: dict[str, Installation] = {}
    # With its log if it can be, else as it was at the last checkpoint: SQLite reads no log where it may not write.
    for mode in ("ro", "ro&immutable=1"):
        with suppress(sqlite3.Error), closing(_readable(path, mode)) as db:
            rows = db.execute("SELECT state, max(number) FROM installations GROUP BY host")
            while (row := rows.fetchone()) is not None:
                with suppress(*UNREADABLE):
                    installation = decoded(row[0])
                    if order_of(installation, Install.ONCE) is not Order.INSTALL:
                        found.setdefault(installation.host, installation)
            return list(found.values())  # the whole table was read
    return list(found.values())


def _fill(db: sqlite3.Connection, installations: Iterable[Installation]) -> None:
    with _transaction(db):
        for installation in installations:
            db.execute(_INSERT_INSTALLATION, (installation.host, installation.number, encoded(installation), 1))


def _read(path: Path) -> sqlite3.Connection:
    """Return a database in memory, with what can be read of the file *path*."""
    # SQLite cannot read a write-ahead log where it may not write, so it reads a copy.
    with (
        suppress(OSError, sqlite3.Error),
        tempfile.TemporaryDirectory() as directory,
        closing(_readable(database_files.copy(path, Path(directory)), "ro")) as source,
    ):
        return _copied(source)
    # There is no room for a copy: as it was at the last checkpoint.
    with suppress(OSError, sqlite3.Error), closing(_readable(path, "ro&immutable=1")) as source:
        return _copied(source)
    db = _created(":memory:")
    _fill(db, _salvaged(path))
    return db


def _copied(source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of *source* in memory, with the current schema. Raises sqlite3.Error when it cannot be read."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with _closed_on_error(memory):
        source.backup(memory)
        why = _unusable(memory)
        if why is not None:
            raise sqlite3.DatabaseError(why)
        _migrate(memory)
    return memory


def _readable(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True)


def _checkpoint(path: Path) -> None:
    """Write the log of the database *path* back into it, while its writer may go on in another thread."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
