"""What the registry writes to its store, and when.

A change to an installation, and the event that caused it, are in the store when
`save` returns. Events that changed nothing, and counts of what a host repeated,
decide nothing: they are buffered, and written with the next change or by `flush`. A
crash loses what is buffered, so no reply may depend on it.

The journal also knows which revision of each host's installation the registry
has: the revision that it loaded, saved or got with a `Conflict`.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from appliance.clock import ClockSetting
from appliance.events import Event, Stamped
from appliance.install.installation import Installation
from appliance.model import Cluster
from appliance.state.events import Row, row_of
from appliance.state.serials import serials
from appliance.state.store import Change, Conflict, Saved, Store

BUFFERED_EVENTS = 4096  # different events, at most; writing that many takes some 20 ms
PAGE_EVENTS = 1000  # read at once for a command
_NEVER_SAVED = Saved(0)


class Journal:
    """Writes to *store*: changes at once, everything else a little later. Any thread may call it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.RLock()
        self._events: dict[tuple[Event, int], Row] = {}  # not written yet, by event and number of the installation
        self._repeated: dict[str, Installation] = {}  # not written yet, by host: only their counts have changed
        self._saved: dict[str, Saved] = {}  # by host: the revision that the registry has

    @property
    def trouble(self) -> str | None:
        """Why changes are not durable at present, for the operator; None while they are."""
        return self.store.trouble

    @property
    def notice(self) -> str | None:
        """What the operator must know about how the store was opened; or None."""
        return self.store.notice

    def load(self) -> dict[str, Installation]:
        """Return the latest installation of every host, including hosts that are no longer in any cluster.yaml."""
        with self._lock:
            kept = self.store.load()
            self._saved = {host: Saved(revision) for host, (_, revision) in kept.items()}
        return {host: installation for host, (installation, _) in kept.items()}

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first, without those that cannot be read."""
        self.flush()
        return self.store.records(host)

    def events(self, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first; only those of *host* and its installation *number* if given."""
        self.flush()
        return self.store.events(host, number, limit)

    def pages(self, host: str, limit: int) -> Iterator[list[Row]]:
        """Yield the last *limit* events (of *host*, if given), oldest first, some at a time: all take 114 MB."""
        self.flush()
        after, until = self.store.position(host, limit), self.store.position(host, 0)
        while rows := [row for row in self.store.events_after(after, host, PAGE_EVENTS) if row.id <= until]:
            after = rows[-1].id
            yield rows

    def save(self, installation: Installation, stamped: Stamped | None = None) -> Saved | Conflict:
        """Store *installation*, made from the revision that the registry has, and the event that changed it.

        On a conflict nothing is stored, and the registry must go on from the installation in it.
        """
        host, number = installation.host, installation.number
        with self._lock:
            buffered: Row | None = None
            added: tuple[Row, ...] = ()
            if stamped is not None:
                # Not looked up in an empty buffer: hashing an event takes longer than everything else here.
                buffered = self._events.get((stamped.event, number)) if self._events else None
                if buffered is None:
                    added = (row_of(Stamped(stamped.at, stamped.event, number)),)
                else:
                    _repeat(buffered, stamped.at)
            self._repeated.pop(host, None)  # *installation* has these counts too
            outcome = self._write((Change(host, self._revision(host), installation),), added)
            if buffered is not None and isinstance(outcome, Conflict):
                buffered.times -= 1
            return outcome

    def note(self, stamped: Stamped, number: int, repeated: Installation | None = None) -> None:
        """Keep an event that changed nothing that matters; *number* is that of its host's installation, or 0.

        *repeated* is the installation if the event changed a count in it.
        """
        with self._lock:
            self._note(stamped, number)
            if repeated is not None:
                self._repeated[repeated.host] = repeated
            if len(self._events) >= BUFFERED_EVENTS:
                self._write()

    def move(self, left: Iterable[str], moved: Iterable[Installation]) -> Saved | Conflict:
        """Forget all records under the names *left*, and store *moved*: either all of it, or nothing and a conflict."""
        forgotten = set(left)
        with self._lock:
            self.flush()
            changes = [
                Change(after.host, self._revision(after.host), after, forgets=after.host in forgotten)
                for after in moved
            ]
            forgotten.difference_update(change.host for change in changes)
            changes += [Change(host, self._revision(host), None) for host in forgotten]
            return self._write(changes)

    def set_clock(self, setting: ClockSetting, moved: Iterable[Installation]) -> Saved | Conflict:
        """Store *setting*, and *moved* with its instants by that clock: either all of it, or nothing and a conflict."""
        with self._lock:
            self.flush()
            changes = [Change(after.host, self._revision(after.host), after) for after in moved]
            return self._write(changes, clock=setting)

    async def written(self, host: str) -> None:
        """Return when everything that `save` stored for *host* would survive a crash of this process.

        Raises StoreError if it never will.
        """
        await self._saved.get(host, _NEVER_SAVED).written

    def flush(self) -> None:
        """Write what is buffered."""
        with self._lock:
            if self._events or self._repeated:
                self._write()

    def serials(self, clusters: Iterable[Cluster]) -> Callable[[str, str], int]:
        """Return a function that returns the SOA serial of a zone of *clusters*, from the digest of its content."""
        return serials(self.store.serial_of, clusters)

    def retry(self, installations: Iterable[Installation]) -> None:
        """While in trouble: try to write everything, with the current *installations*, to the disk."""
        if self.trouble is not None:
            self.flush()
            self.store.retry(installations)

    def close(self) -> None:
        """Write what is buffered, and close the store."""
        with self._lock:
            self.flush()
            self.store.close()

    # The caller of the methods below holds the lock.

    def _revision(self, host: str) -> int:
        return self._saved.get(host, _NEVER_SAVED).revision

    def _note(self, stamped: Stamped, number: int) -> None:
        key = stamped.event, number
        row = self._events.get(key)
        if row is None:
            self._events[key] = row_of(Stamped(stamped.at, stamped.event, number))
        else:
            _repeat(row, stamped.at)

    def _write(
        self, changes: Sequence[Change] = (), added: Sequence[Row] = (), clock: ClockSetting | None = None
    ) -> Saved | Conflict:
        """Write *changes*, everything buffered, and *added*, unless one of the changes is in conflict."""
        # Each turn after the first has one host less in _repeated, so the loop ends.
        while True:
            batch = list(changes)
            batch += [Change(host, self._revision(host), after) for host, after in self._repeated.items()]
            rows = [*self._events.values(), *added]
            outcome = self.store.save(batch, rows) if clock is None else self.store.save(batch, rows, clock)
            if isinstance(outcome, Saved):
                break
            if self._repeated.pop(outcome.host, None) is None:
                self._saved[outcome.host] = Saved(outcome.revision)
                return outcome
            # Another writer changed that host, so the counts for it are void. Its revision here stays as it is, so that
            # the registry's next change to it is in conflict too, and the registry gets the current installation.
        for host, _, installation, _ in batch:
            if installation is None:
                self._saved.pop(host, None)
            else:
                self._saved[host] = outcome
        self._events.clear()
        self._repeated.clear()
        return outcome


def _repeat(row: Row, at: float) -> None:
    row.times += 1
    row.last_at = at
