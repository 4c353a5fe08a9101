"""What the registry writes to its store, and when.

A change of an installation, with the event that made it, is in the store when
`save` returns. What decides nothing, an event that changed nothing or how often
a host repeated itself, is buffered, and written with the next change or by
`flush`. Whatever is buffered can be lost, so no reply may depend on it.

The journal also knows which revision of each host's installation the registry
has: the one that it loaded, saved or was given in a `Conflict`.
"""

import threading
from collections.abc import Callable, Iterable, Sequence

from appliance.events import Event, Stamped
from appliance.install.installation import Installation
from appliance.model import Cluster
from appliance.state.events import Row, row_of
from appliance.state.serials import serials
from appliance.state.store import Change, Conflict, Saved, Store

BUFFERED_EVENTS = 4096  # different ones, within a second; writing them takes some 20 ms
_NEVER_SAVED = Saved(0)


class Journal:
    """Writes to *store*, partly behind. Any thread may call it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.RLock()
        self._events: dict[tuple[Event, int], Row] = {}  # by the event and its installation's number
        self._repeated: dict[str, Installation] = {}  # by host: those of which only counts have changed
        self._saved: dict[str, Saved] = {}  # by host: the revision that the registry has

    @property
    def trouble(self) -> str | None:
        """Why changes are not durable at present, in the operator's words; None while they are."""
        return self.store.trouble

    @property
    def notice(self) -> str | None:
        """What the operator must know of how the store was opened; or None."""
        return self.store.notice

    def load(self) -> dict[str, Installation]:
        """Return every host's latest installation, also of hosts that no cluster.yaml names any more."""
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

    def save(self, installation: Installation, stamped: Stamped | None = None) -> Saved | Conflict:
        """Store an installation that was made from the one that the registry has, and the event that changed it.

        On a conflict nothing is stored, and from now on the registry has the installation in it.
        """
        host, number = installation.host, installation.number
        with self._lock:
            buffered: Row | None = None
            added: tuple[Row, ...] = ()
            if stamped is not None:
                # Looked up only where it may be: hashing an event takes longer than all else here.
                buffered = self._events.get((stamped.event, number)) if self._events else None
                if buffered is None:
                    added = (row_of(Stamped(stamped.at, stamped.event, number)),)
                else:
                    _repeat(buffered, stamped.at)
            self._repeated.pop(host, None)  # its counts are in this one too
            outcome = self._write((Change(host, self._revision(host), installation),), added)
            if buffered is not None and isinstance(outcome, Conflict):
                buffered.times -= 1
            return outcome

    def note(self, stamped: Stamped, number: int, repeated: Installation | None = None) -> None:
        """Keep an event that changed nothing that matters; *number* is that of its host's installation, or 0.

        *repeated* is the installation, when the event changed how often something in it was repeated.
        """
        with self._lock:
            self._note(stamped, number)
            if repeated is not None:
                self._repeated[repeated.host] = repeated
            if len(self._events) >= BUFFERED_EVENTS:
                self._write()

    def move(self, left: Iterable[str], moved: Iterable[Installation]) -> Saved | Conflict:
        """Forget all records under the names *left* and store *moved*: all of it, or nothing and a conflict."""
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

    async def written(self, host: str) -> None:
        """Return when all that `save` stored of *host* survives the death of this process; may raise StoreError."""
        await self._saved.get(host, _NEVER_SAVED).written

    def flush(self) -> None:
        """Write what is buffered."""
        with self._lock:
            if self._events or self._repeated:
                self._write()

    def serials(self, clusters: Iterable[Cluster]) -> Callable[[str, str], int]:
        """Return what gives the SOA serial for a zone of *clusters* and the digest of its content."""
        return serials(self.store.serial_of, clusters)

    def retry(self, installations: Iterable[Installation]) -> None:
        """While in trouble: write everything, with the current *installations*, where it belongs, if that works now."""
        if self.trouble is not None:
            self.flush()
            self.store.retry(installations)

    def close(self) -> None:
        """Write what is buffered, and close the store."""
        with self._lock:
            self.flush()
            self.store.close()

    # The lock is held in these.

    def _revision(self, host: str) -> int:
        return self._saved.get(host, _NEVER_SAVED).revision

    def _note(self, stamped: Stamped, number: int) -> None:
        key = stamped.event, number
        row = self._events.get(key)
        if row is None:
            self._events[key] = row_of(Stamped(stamped.at, stamped.event, number))
        else:
            _repeat(row, stamped.at)

    def _write(self, changes: Sequence[Change] = (), added: Sequence[Row] = ()) -> Saved | Conflict:
        """Write *changes*, and all that is buffered and *added*, unless one of the changes is in conflict."""
        while True:
            batch = list(changes)
            batch += [Change(host, self._revision(host), after) for host, after in self._repeated.items()]
            outcome = self.store.save(batch, [*self._events.values(), *added])
            if isinstance(outcome, Saved):
                break
            if self._repeated.pop(outcome.host, None) is None:
                self._saved[outcome.host] = Saved(outcome.revision)
                return outcome
            # Somebody else changed that host, so our counts of it are void. Its revision stays as it is here, so
            # that the registry's next change of it is in conflict too, and the registry learns what is current.
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
