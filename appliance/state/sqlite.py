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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Self
from urllib.parse import quote

from appliance.clock import ClockSetting
from appliance.errors import StateError, StoreError
from appliance.install.installation import Installation
from appliance.install.owners import doubted
from appliance.state import database_files, marker
from appliance.state.encoding import UNREADABLE, decoded, encoded, is_intact
from appliance.state.events import Row
from appliance.state.serials import serial_after
from appliance.state.shares import Owner, owner_of, surplus
from appliance.state.store import KEPT_RECORDS, MAX_EVENTS, Change, Conflict, Facts, Kept, Saved

SCHEMA_VERSION = 3
_CLOCK_TABLE = "CREATE TABLE clock(name TEXT PRIMARY KEY, boot TEXT NOT NULL, ahead REAL NOT NULL) WITHOUT ROWID"
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
{_CLOCK_TABLE};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
_TABLES = ("installations", "serials", "secrets", "clock", "strangers", "events")
# Only in a file that replaced one which was lost, until every host without a record is held.
_LOSE = "CREATE TABLE lost(at REAL NOT NULL)"
_SETTLE_LOSS = "DROP TABLE IF EXISTS lost"
# What SQLite's own check lets pass: it knows neither types nor ranges.
_WRONG_ROWS = {
    "serials": (
        "typeof(zone) != 'text' OR typeof(digest) != 'text' OR typeof(serial) != 'integer' "
        "OR serial NOT BETWEEN 0 AND 4294967295"
    ),
    "secrets": "typeof(name) != 'text' OR typeof(value) != 'blob' OR length(value) != 32",
    "clock": "typeof(boot) != 'text' OR typeof(ahead) != 'real' OR abs(ahead) >= 1e11",
    "installations": (
        "typeof(host) != 'text' OR typeof(number) != 'integer' OR typeof(state) != 'text' "
        "OR typeof(revision) != 'integer' OR revision NOT BETWEEN 0 AND 9007199254740991"
    ),
}
# From each older schema to the one after it. What an older version wrote is at revision 1.
_MIGRATIONS = {1: "ALTER TABLE installations ADD COLUMN revision INTEGER NOT NULL DEFAULT 1", 2: _CLOCK_TABLE}

_EVENT_COLUMNS = ("at", "host", "number", "kind", "facts", "times", "last_at")  # all but the id
_INSERT_EVENT = f"INSERT INTO events({', '.join(_EVENT_COLUMNS)}) VALUES(?, ?, ?, ?, ?, ?, ?)"
_FORGET_OLDEST = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {} = ? ORDER BY id LIMIT ?)"
_FORGET_EVENTS_OF_HOST = _FORGET_OLDEST.format("host")
_FORGET_EVENTS_OF_KIND = _FORGET_OLDEST.format("host = '' AND kind")
_event_values = attrgetter(*_EVENT_COLUMNS)
_INSERT_INSTALLATION = "REPLACE INTO installations(host, number, state, revision) VALUES(?, ?, ?, ?)"
_FORGET = "DELETE FROM installations WHERE host = ?"

# SQLite quotes what is damaged in its messages, which need not be UTF-8.
_DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)
MAX_NUMBER = 2**31  # of an installation; a host that installs every second has it after 68 years
_LATEST = 1e11  # of all times, seconds UTC: the year 5138, which every program can show

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
        self.is_lost = _is_lost(db)
        self.forgotten: set[str] = set()  # hosts whose records were dropped since this was opened
        self._db = db
        self._lock = threading.RLock()
        self._is_unsynced = False
        self._since_pruning = 0
        self._events_of = _counted(db)
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
                with _closed_on_error(db):
                    store = cls(db, path)
                    store._mark_open()
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

    def _mark_open(self) -> None:
        """Make sure that the log has a frame, and say so in the marker: a log that is gone later is a loss."""
        assert self.path is not None
        self._db.execute("REPLACE INTO secrets VALUES('tokens', ?)", (self.secret,))
        database_files.sync(database_files.log_of(self.path))
        marker.mark(self.path, len(self._revisions), marker.log_at(self.path))

    def settle_loss(self) -> None:
        """Note that every host is held whose record may have been lost."""
        self.is_lost = False
        self._write(_SETTLE_LOSS, ())

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
        return {
            host: Kept(_decoded_or_doubted(host, number, state), revisions[host])
            for host, number, state in rows
            if isinstance(host, str)
        }

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

    def clock(self) -> ClockSetting | None:
        """Return the setting of the clock that was saved last."""
        with self._lock, _refusals():
            row = self._db.execute("SELECT boot, ahead FROM clock").fetchone()
        return None if row is None else ClockSetting(*row)

    def save(
        self, changes: Sequence[Change], rows: Sequence[Row] = (), clock: ClockSetting | None = None
    ) -> Saved | Conflict:
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
                    if clock is not None:
                        db.execute("REPLACE INTO clock VALUES('wall', ?, ?)", (clock.boot, clock.ahead))
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
            self._events_of.update(map(owner_of, rows))
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
        return None if row is None else _decoded_or_doubted(host, *row)

    def _prune(self) -> None:
        self._since_pruning = 0
        given_up = surplus(self._events_of, MAX_EVENTS)
        with _refusals(), _transaction(self._db):
            for (host, kind), count in given_up.items():
                self._db.execute(_FORGET_EVENTS_OF_HOST if host else _FORGET_EVENTS_OF_KIND, (host or kind, count))
        self._events_of.subtract(given_up)

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
        return [Row(*row) for row in reversed(rows) if _is_event(row)]

    def position(self, host: str, back: int) -> int:
        """Return the id of the event that is *back* before the latest one (of *host*, if given); 0 if there is none."""
        where = "WHERE host = ?" if host else "WHERE ? = ''"
        query = f"SELECT id FROM events {where} ORDER BY id DESC LIMIT 1 OFFSET ?"  # noqa: S608 - our names
        with self._lock, _refusals():
            row = self._db.execute(query, (host, back)).fetchone()
        return int(row[0]) if row else 0

    def events_after(self, position: int, host: str, limit: int) -> list[Row]:
        """Return the first *limit* events (of *host*, if given) with a higher id than *position*, oldest first."""
        columns, of_host = ", ".join(_EVENT_COLUMNS), "host = ?" if host else "? = ''"
        query = f"SELECT {columns}, id FROM events WHERE id > ? AND {of_host} ORDER BY id LIMIT ?"  # noqa: S608 - our names
        with self._lock, _refusals():
            rows = self._db.execute(query, (position, host, limit)).fetchall()
        return [Row(*row) for row in rows if _is_event(row)]

    def last_event_id(self) -> int:
        """Return the id of the latest event, 0 when there are none."""
        with self._lock, _refusals():
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])

    # All else

    def strangers(self) -> list[dict[str, object]]:
        """Return the facts of the unknown machines, least recently seen first."""
        with self._lock, _refusals():
            rows = self._db.execute("SELECT facts FROM strangers ORDER BY last_at").fetchall()
        found = []
        for (facts,) in rows:
            with suppress(*UNREADABLE):
                found.append(json.loads(facts))
        return [facts for facts in found if isinstance(facts, dict)]

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
            hosts, written = len(self._revisions), marker.log_at(self.path)
        log = database_files.log_of(self.path)
        with _refusals():
            if log.stat().st_size < CHECKPOINT_BYTES:
                # SQLite's locks are on the database file itself, so that closing this one drops none.
                database_files.sync(log)
                marker.mark(self.path, hosts, written, durably=False)
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
            db.execute("DELETE FROM clock")  # what the file has may be older than the installations
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
        self._events_of = _counted(db)
        self._revisions, self._revision, self.secret = revisions, next_revision, memory.secret
        self.settle_loss()  # the registry knows every host

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
            # SQLite removes the log when all of it is in the database file.
            if self.lock_descriptor >= 0 and self.path is not None and not database_files.log_of(self.path).exists():
                with suppress(OSError, StateError):
                    marker.mark(self.path, len(self._revisions))
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
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
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
    """Return the database in the file *path*, and a notice if it was lost or had to be set aside."""
    why = database_files.misfit(path)
    if why is None and not path.exists():
        if not marker.was_used(path):
            return _begun(path), None
        why = "is missing"
    if why is None and path.stat().st_size == 0:
        why = "is empty"
    if why is None:
        expected, found = marker.marker_at(path), marker.log_at(path)
        try:
            db = _connected(path)
        except sqlite3.OperationalError:  # the disk refuses; the file may be sound
            raise
        except _DAMAGED as error:
            return _replaced(path, f"is damaged ({error})")
        with _closed_on_error(db):
            why = _unusable(db) or _missing(db, expected, found)
            if why is None:
                _migrate(db)
                return db, None
        db.close()
    return _replaced(path, why)


def _begun(path: Path) -> sqlite3.Connection:
    """Return a new database in the file *path*, which is never there unless it is whole."""
    new = database_files.new_beside(path)
    _created(new).close()
    new.rename(path)
    marker.mark(path, 0)
    return _connected(path)


def _missing(db: sqlite3.Connection, expected: marker.Marker | None, found: marker.Log | None) -> str | None:
    """Return what is missing in *db*, which is sound and had the log *found*, of what its marker says; or None."""
    if expected is None:
        return None
    if expected.log is not None:
        if found is None or found.sequence < expected.log.sequence:
            return "was in use at the last end of the appliance, and its log is missing or damaged"
        # In a copy in memory, which has no log, the number of frames is -1.
        _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames >= 0 and found.sequence == expected.log.sequence and frames < expected.log.frames:
            return f"has a damaged log: {frames} of {expected.log.frames} frames can be read"
    hosts = len(_revisions(db))
    return f"has records of {hosts} hosts instead of {expected.hosts}" if hosts < expected.hosts else None


def _connected(path: Path) -> sqlite3.Connection:
    database_files.make_private(path)
    db = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    with _closed_on_error(db):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a commit survives this process; `sync` does the rest
        db.execute("PRAGMA wal_autocheckpoint = 0")  # in the writer's thread it would sync for tens of ms
        db.execute("PRAGMA journal_size_limit = 0")  # a log that was written back whole gives its space back
        # A file system that is read-only is found out here, not at the first change.
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    return db


def _text(value: bytes) -> str:
    """Return text of a database; what is not UTF-8 is damage, which is found where the text is understood."""
    return value.decode(errors="replace")


def _is_lost(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lost'").fetchone() is not None


def _unusable(db: sqlite3.Connection) -> str | None:
    """Return why *db* cannot be used, or None."""
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not 1 <= version <= SCHEMA_VERSION:
            return f"has schema {version}, and this version of ocp-appliance reads schemas 1 to {SCHEMA_VERSION}"
        damage = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if damage != "ok":
            return f"is damaged ({damage})"
        if _columns(db) != _expected_columns(version):
            return "is damaged (its tables are not those of ocp-appliance)"
        if _has_wrong_rows(db, version) or not _has_intact_records(db):
            return "is damaged (a record is not what was written)"
    except _DAMAGED as error:
        return f"is damaged ({error})"
    return None


def _has_wrong_rows(db: sqlite3.Connection, version: int) -> bool:
    since = {"installations": 2, "clock": 3}  # the schema that has these columns
    wrong = {table: where for table, where in _WRONG_ROWS.items() if version >= since.get(table, 1)}
    return any(
        db.execute(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1").fetchone()  # noqa: S608 - our names
        for table, where in wrong.items()
    )


def _has_intact_records(db: sqlite3.Connection) -> bool:
    rows = db.execute("SELECT host, number, state FROM installations")
    return all(type(number) is int and is_intact(host, number, state) for host, number, state in rows)


def _columns(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return the name, type, and place in the primary key of each column of each table, and whether it may be NULL."""
    query = 'SELECT name, type, pk, "notnull" FROM pragma_table_info(?)'
    return {table: db.execute(query, (table,)).fetchall() for table in _TABLES}


@cache
def _expected_columns(version: int) -> dict[str, list[tuple[object, ...]]]:
    with closing(_created(":memory:")) as db:
        columns = _columns(db)
    if version == 1:
        columns["installations"] = [column for column in columns["installations"] if column[0] != "revision"]
    if version < 3:
        columns["clock"] = []
    return columns


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
    """Set the file *path* aside, and return a new one in its place, with what could be read of it, and a notice."""
    # First of all, so that a crash between here and the end is known as a loss.
    if not database_files.is_there(marker.marker_of(path)):
        marker.mark(path, 0)
    salvaged = _salvaged(path)
    # The new file is complete before anything is renamed: if the disk refuses, the old file is where it was.
    new = database_files.new_beside(path)
    with closing(_created(new)) as db:
        _fill(db, salvaged)
    was_there = database_files.is_there(path)
    aside = database_files.replace(path, new)
    why = " ".join(why.split())  # SQLite writes several lines about some damage
    kept = sum(installation.doubt is None for installation in salvaged)
    notice = (
        f"{path} {why}; {f'it was moved to {aside.name}, and ' if was_there else ''}a new file was begun. The records "
        f"of {kept} hosts were carried over. Every other host of cluster.yaml is held until you run "
        "`ocp-appliance adopt` or `ocp-appliance reinstall` for it: see `ocp-appliance status`"
    )
    return _connected(path), notice


def _salvaged(path: Path) -> list[Installation]:
    """Return the latest installation of each host, as far as the file *path* can be read; in doubt where it cannot."""
    if not _is_file(path):
        return []
    # With its log if it can be, else as it was at the last checkpoint: SQLite reads no log where it may not write.
    found: dict[str, Installation] = {}
    is_whole = False
    for mode in ("ro", "ro&immutable=1"):
        with suppress(sqlite3.Error, OSError, UnicodeDecodeError), closing(_readable(path, mode)) as db:
            # A newer version may have a reason to change its schema, and none to change what a record is.
            is_whole = mode == "ro" and _is_newer(db)
            _salvage_rows(db, found)
            break  # the whole table was read
        is_whole = False
    # Where rows are damaged the latest may be missing, and the one before it would install over what that one wrote: at
    # once, after `release`, or when its doubt ends by itself.
    now = time.time()
    return [kept if is_whole or kept.is_done else doubted(kept, now) for kept in found.values()]


def _is_newer(db: sqlite3.Connection) -> bool:
    """Whether *db* is sound, as a newer version of the appliance left it."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    is_sound = db.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    return version > SCHEMA_VERSION and is_sound and _has_intact_records(db)


def _salvage_rows(db: sqlite3.Connection, found: dict[str, Installation]) -> None:
    """Add to *found* the latest record of each host; in doubt where that is not what was written."""
    latest: dict[str, int] = {}
    rows = db.execute("SELECT host, number, state FROM installations")
    while (row := rows.fetchone()) is not None:
        host, number, state = row
        if not isinstance(host, str):
            continue
        # A number that is damaged could be the latest.
        is_number = type(number) is int and 0 <= number < MAX_NUMBER
        is_good = is_number and is_intact(host, number, state)
        if not is_good or number >= latest.get(host, 0):
            was_bad = latest.get(host, 0) >= MAX_NUMBER
            latest[host] = number if is_good and not was_bad else MAX_NUMBER
            if is_good and not was_bad:
                found[host] = decoded(state)
            else:
                known = max(number if is_number else 1, found[host].number if host in found else 1)
                found[host] = doubted(Installation(host, known), time.time())


def _decoded_or_doubted(host: str, number: int, state: str) -> Installation:
    """Return the installation in *state*, or, if it cannot be read, one in doubt, which is held.

    A host whose record is lost must not install again by accident: that would wipe its disk.
    """
    try:
        return decoded(state)
    except UNREADABLE:
        return doubted(Installation(host, number), time.time())


def _counted(db: sqlite3.Connection) -> Counter[Owner]:
    """Return how many events each owner has."""
    of_hosts = "SELECT host, '', count(*) FROM events WHERE host != '' GROUP BY host"
    of_kinds = "SELECT '', kind, count(*) FROM events WHERE host = '' GROUP BY kind"
    return Counter({(host, kind): count for host, kind, count in (*db.execute(of_hosts), *db.execute(of_kinds))})


def _is_event(row: tuple[object, ...]) -> bool:
    """Whether *row* can be an event: its types are those of Row, and its facts are a JSON object."""
    at, host, number, kind, facts, times, last_at, _ = row
    if not (isinstance(host, str) and isinstance(kind, str) and isinstance(facts, str)):
        return False
    if not (type(number) is int and type(times) is int and type(at) is float and type(last_at) is float):
        return False
    try:
        return abs(at) < _LATEST and abs(last_at) < _LATEST and isinstance(json.loads(facts), dict)
    except UNREADABLE:
        return False


def _fill(db: sqlite3.Connection, installations: Iterable[Installation]) -> None:
    """Fill *db*, which replaces a database that was lost."""
    with _transaction(db):
        for installation in installations:
            db.execute(_INSERT_INSTALLATION, (installation.host, installation.number, encoded(installation), 1))
        db.execute(_LOSE)


def _is_file(path: Path) -> bool:
    """Whether *path* is a file with content; False where this process may not look."""
    try:
        return database_files.misfit(path) is None and path.stat().st_size > 0
    except OSError:
        return False


def _read(path: Path) -> sqlite3.Connection:
    """Return a database in memory, with what can be read of the file *path*."""
    if _is_file(path):
        # SQLite cannot read a write-ahead log where it may not write, so it reads a copy.
        with (
            suppress(OSError, sqlite3.Error, UnicodeDecodeError),
            tempfile.TemporaryDirectory() as directory,
            closing(_readable(database_files.copy(path, Path(directory)), "ro")) as source,
        ):
            copied = _copied(source)
            if _missing(copied, marker.marker_at(path), marker.log_at(path)) is None:
                return copied
            copied.close()
        # There is no room for a copy: as it was at the last checkpoint, which is not the whole state if there is a log.
        if not database_files.is_there(database_files.log_of(path)):
            with (
                suppress(OSError, sqlite3.Error, UnicodeDecodeError),
                closing(_readable(path, "ro&immutable=1")) as source,
            ):
                return _copied(source)
    db = _created(":memory:")
    if database_files.is_there(path) or marker.was_used(path):
        _fill(db, _salvaged(path))
    return db


def _copied(source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of *source* in memory, with the current schema. Raises sqlite3.Error when it cannot be read."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    memory.text_factory = _text
    with _closed_on_error(memory):
        source.backup(memory)
        why = _unusable(memory)
        if why is not None:
            raise sqlite3.DatabaseError(why)
        _migrate(memory)
    return memory


def _readable(path: Path, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True)
    db.text_factory = _text
    return db


def _checkpoint(path: Path) -> None:
    """Write the log of the database *path* back into it, while its writer may go on in another thread."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
