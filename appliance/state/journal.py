"""The state on disk: every host's installations, the events, unknown machines and SOA serials, in SQLite.

`save` returns when the change would survive the death of this process; `sync`
makes what was saved survive the death of the machine, and is called about once
a second, in a thread. When the disk refuses, everything goes on in memory
(`store.py`), `trouble` says so, and `retry` puts it all on disk as soon as that
works again.
"""

import json
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.events import Event, Stamped
from appliance.install.lifecycle import Installation, Order
from appliance.model import Cluster
from appliance.state.encoding import decoded
from appliance.state.fallback import Store
from appliance.state.sqlite import store
from appliance.status.shapes import EventRow

logger = logging.getLogger(__name__)

FILE_NAME = "state.db"
MAX_EVENTS = 200_000  # a whole installation of 1,000 hosts is about 40,000; 50 MB on disk
UNREADABLE = (ValueError, TypeError, AttributeError)  # what `decoded` raises
BUFFERED_EVENTS = 4096  # the most that one second may bring unrepeated; written at once in some 20 ms


@dataclass(slots=True)
class Row:
    """An event as the journal keeps it; one that comes again before it is written is counted, not repeated."""

    at: float  # UTC
    host: str
    number: int  # of the host's installation; 0 without one
    kind: str
    facts: str  # JSON
    times: int
    last_at: float
    id: int = 0

    def columns(self) -> tuple[object, ...]:
        """Return what is written of it: all but the id, which SQLite gives."""
        return self.at, self.host, self.number, self.kind, self.facts, self.times, self.last_at

    def as_json(self) -> EventRow:
        """Return the row as the control socket tells it."""
        return {
            "id": self.id,
            "at": self.at,
            "host": self.host,
            "number": self.number,
            "kind": self.kind,
            "facts": json.loads(self.facts),
            "times": self.times,
            "last_at": self.last_at,
        }


def row_of(stamped: Stamped, number: int) -> Row:
    """Return an event as the journal keeps it; *number* is that of its host's installation, or 0."""
    event = stamped.event
    facts = event.facts()
    facts.pop("host", None)
    return Row(stamped.at, event.host, number, event.kind, json.dumps(facts), 1, stamped.at)


class Journal:
    """The state on disk, or in memory while the disk refuses. Any thread may call it."""

    def __init__(self, data_dir: Path) -> None:
        """Open the state in *data_dir*, which is made when it is missing.

        Raises StateError when another appliance has it open.
        """
        self.path = data_dir / FILE_NAME
        self._store = Store(self.path)
        self._lock = self._store.lock
        self._buffer: dict[tuple[Event, int], Row] = {}
        self._changed: dict[str, Installation] = {}  # by host
        self._since_pruning = 0
        self.notice = self._notice()  # what happened to a file that could not be used
        self.secret = self._secret()

    @property
    def trouble(self) -> str | None:
        """Why it is all in memory; None while the disk takes it."""
        return self._store.trouble

    @property
    def _db(self) -> sqlite3.Connection:
        return self._store.db

    def load(self) -> dict[str, Installation]:
        """Return every host's latest installation, also of hosts that no cluster.yaml names any more."""
        with self._lock:
            rows = self._db.execute("SELECT host, max(number), state FROM installations GROUP BY host").fetchall()
        found = {}
        for host, number, state in rows:
            try:
                found[host] = decoded(state)
            except UNREADABLE:
                logger.critical("state.unreadable host=%s: it is held; `reinstall` and `release` it, or leave it", host)
                found[host] = Installation(host, number, is_held=True, order=Order.HOLD)
        return found

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first, as far as they can be read."""
        with self._lock:
            self.flush()
            rows = self._db.execute(
                "SELECT state FROM installations WHERE host = ? ORDER BY number", (host,)
            ).fetchall()
        found = []
        for (state,) in rows:
            with suppress(*UNREADABLE):
                found.append(decoded(state))
        return found

    def save(self, one: Installation, stamped: Stamped | None = None) -> None:
        """Store an installation and the event that changed it."""
        with self._lock:
            if stamped is not None:
                self._note(stamped, one.number)
            self._changed[one.host] = one
            self._write()

    def note(self, stamped: Stamped, number: int, repeated: Installation | None = None) -> None:
        """Keep an event that told nothing new; *repeated* is its installation where that counts how often.

        It is written with the next that does, or by `flush`.
        """
        with self._lock:
            self._note(stamped, number)
            if repeated is not None:
                self._changed[repeated.host] = repeated
            if len(self._buffer) >= BUFFERED_EVENTS:
                self._write()

    def move(self, left: Iterable[str], moved: Iterable[Installation]) -> None:
        """Forget the installations under the names *left*, and store *moved*: all of it or nothing."""
        names, rows = [(name,) for name in left], list(moved)

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM installations WHERE host = ?", names)
            store(db, (), rows)

        with self._lock:
            self.flush()
            self._store.change(work)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._lock:
            if self._buffer or self._changed:
                self._write()

    def events(self, *, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first; of one host and installation if asked."""
        where, values = ["TRUE"], []
        for column, value in (("host", host or None), ("number", number)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        query = (
            "SELECT at, host, number, kind, facts, times, last_at, id FROM events "  # noqa: S608 - our own words only
            f"WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        )
        with self._lock:
            self.flush()
            rows = self._db.execute(query, (*values, limit)).fetchall()
        return [Row(*row) for row in reversed(rows)]

    def save_strangers(self, strangers: Iterable[tuple[str, float, Mapping[str, object]]]) -> None:
        """Store unknown machines, each as its MAC, when it was last seen, and its facts; they replace all others."""
        rows = [(mac, last_at, json.dumps(facts)) for mac, last_at, facts in strangers]

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM strangers")
            db.executemany("INSERT INTO strangers VALUES(?, ?, ?)", rows)

        self._store.change(work)

    def load_strangers(self) -> list[dict[str, object]]:
        """Return the facts of the unknown machines, the one seen longest ago first."""
        with self._lock:
            rows = self._db.execute("SELECT facts FROM strangers ORDER BY last_at").fetchall()
        return [json.loads(facts) for (facts,) in rows]

    def serial_of(self, zone: str, digest: str, least: int = 0) -> int:
        """Return the SOA serial of *zone* with the content *digest*: the same again, or a higher one (RFC 1982).

        It is at least *least*. Without that, a new zone begins at the time in
        seconds, so that it rises even when the state was lost.
        """
        with self._lock:
            row = self._db.execute("SELECT digest, serial FROM serials WHERE zone = ?", (zone,)).fetchone()
            if row is not None and row[0] == digest and not is_higher(least, row[1]):
                return int(row[1])
            serial = int(time.time()) if row is None else (int(row[1]) + 1) % 2**32 or 1
            if least and is_higher(least, serial):
                serial = least
            self._store.change(lambda db: db.execute("REPLACE INTO serials VALUES(?, ?, ?)", (zone, digest, serial)))
            return serial

    def serials(self, clusters: Iterable[Cluster]) -> Callable[[str, str], int]:
        """Return `serial_of` for the zones of *clusters*, which know the least serial of each."""
        least_of = {cluster.dns.zone: cluster.dns.serial for cluster in clusters}
        # A reverse zone may hold hosts of several files.
        least = max(least_of.values(), default=0)

        def serial_of(zone: str, digest: str) -> int:
            return self.serial_of(zone, digest, least_of.get(zone, least))

        return serial_of

    def sync(self) -> None:
        """Make what was saved survive a loss of power; blocks for as long as the disk takes."""
        self._store.sync()

    def retry(self, installations: Iterable[Installation]) -> None:
        """After trouble: put everything on disk, with the current *installations*, if that works now."""
        if self.trouble is not None:
            self.flush()
            self._store.retry(installations)

    def close(self) -> None:
        """Write what is buffered and close the file."""
        with self._lock:
            self.flush()
            self._store.close()

    # The lock is held in all of these.

    def _notice(self) -> str | None:
        """Keep what could be read of a file that was set aside, and return what its owner must know of it."""
        found = self._store.opened
        if found is None or found.set_aside is None:
            return None
        for one in found.salvaged:
            self.save(one)
        notice = (
            f"{self.path} {found.why}; it is now {found.set_aside.name}. {len(found.salvaged)} hosts that it says "
            "are installed or held stay so, all others may install: see `ocp-appliance status` before any restarts"
        )
        logger.critical("state.aside: %s", notice)
        return notice

    def _secret(self) -> bytes:
        row = self._db.execute("SELECT value FROM secrets WHERE name = 'tokens'").fetchone()
        if row is not None:
            return bytes(row[0])
        secret = secrets.token_bytes(32)
        self._store.change(lambda db: db.execute("INSERT INTO secrets VALUES('tokens', ?)", (secret,)))
        return secret

    def _note(self, stamped: Stamped, number: int) -> None:
        row = self._buffer.get((stamped.event, number))
        if row is None:
            self._buffer[stamped.event, number] = row_of(stamped, number)
        else:
            row.times += 1
            row.last_at = stamped.at

    def _write(self) -> None:
        rows = [row.columns() for row in self._buffer.values()]
        self._store.change(lambda db: store(db, rows, self._changed.values()))
        self._buffer.clear()
        self._changed.clear()
        self._since_pruning += len(rows)
        if self._since_pruning >= MAX_EVENTS // 100:
            self._since_pruning = 0
            query = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?"
            self._store.change(lambda db: db.execute(query, (MAX_EVENTS,)))


def is_higher(one: int, other: int) -> bool:
    """Return whether serial *one* comes after *other* (RFC 1982 section 3.2)."""
    return 0 < (one - other) % 2**32 < 2**31
