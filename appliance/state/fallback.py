"""A store on disk that continues in memory while the disk refuses writes.

When `save` returns, a change is completely in one of the two. What is in memory is
written to the disk as soon as the disk accepts writes again.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from appliance.clock import ClockSetting
from appliance.errors import StateError, StoreError
from appliance.install.installation import Installation
from appliance.state.events import Row
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change, Conflict, Facts, Kept, Saved

logger = logging.getLogger(__name__)

FILE_NAME = "state.db"

T = TypeVar("T")


class FallbackStore:
    """A `Store` in the file `path`, or in memory while that cannot be written; `trouble` then states why."""

    def __init__(self, data_dir: Path) -> None:
        """Open the state in *data_dir*, which is created if it does not exist.

        Raises StateError if another appliance has it open.
        """
        self.path = data_dir / FILE_NAME
        self.trouble: str | None = None
        self._lock = threading.RLock()
        self._copied_events = 0  # the id of the last event that was copied from the disk to memory
        self._store: SqliteStore
        try:
            self._store = SqliteStore.on_disk(self.path)
        except StoreError as error:
            self._store = SqliteStore.read_from(self.path)
            self._enter_trouble(error)
        self.notice = self._store.notice
        if self.notice is not None:
            logger.critical("state.aside: %s", self.notice)

    @property
    def secret(self) -> bytes:
        """What tokens are made from."""
        return self._store.secret

    @property
    def is_lost(self) -> bool:
        """Whether a host without a record here may have had one that was lost."""
        return self._store.is_lost

    def settle_loss(self) -> None:
        """Note that every host is held whose record may have been lost."""
        self._do(lambda store: store.settle_loss())

    def load(self) -> dict[str, Kept]:
        """Return the latest installation of every host, with its revision."""
        return self._do(lambda store: store.load())

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first."""
        return self._do(lambda store: store.records(host))

    def clock(self) -> ClockSetting | None:
        """Return the setting of the clock that was saved last."""
        return self._do(lambda store: store.clock())

    def save(
        self, changes: Sequence[Change], rows: Sequence[Row] = (), clock: ClockSetting | None = None
    ) -> Saved | Conflict:
        """Change installations, append events and keep *clock*: on disk, or in memory if the disk refuses."""
        return self._do(lambda store: store.save(changes, rows, clock))

    def events(self, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first."""
        return self._do(lambda store: store.events(host, number, limit))

    def position(self, host: str, back: int) -> int:
        """Return the id of the event that is *back* before the latest one."""
        return self._do(lambda store: store.position(host, back))

    def events_after(self, position: int, host: str, limit: int) -> list[Row]:
        """Return the first *limit* events with a higher id than *position*."""
        return self._do(lambda store: store.events_after(position, host, limit))

    def strangers(self) -> list[dict[str, object]]:
        """Return the facts of the unknown machines, least recently seen first."""
        return self._do(lambda store: store.strangers())

    def save_strangers(self, strangers: Iterable[tuple[str, float, Facts]]) -> None:
        """Replace the unknown machines."""
        rows = list(strangers)
        self._do(lambda store: store.save_strangers(rows))

    def serial_of(self, zone: str, digest: str, least: int = 0) -> int:
        """Return the SOA serial of *zone* with the content *digest*."""
        return self._do(lambda store: store.serial_of(zone, digest, least))

    def sync(self) -> None:
        """Make what was saved survive a loss of power; blocks for as long as the disk takes."""
        # Without the lock, so that changes go on meanwhile.
        store = self._store
        try:
            store.sync()
        except StoreError as error:
            with self._lock:
                if self._store is store:
                    self._fall_back(error)

    def retry(self, installations: Iterable[Installation]) -> None:
        """While in trouble: write everything to disk, with the current *installations*, if the disk accepts it now."""
        with self._lock:
            if self.trouble is None:
                return
            try:
                disk = SqliteStore.on_disk(self.path)
            except (StoreError, StateError):
                return
            try:
                disk.merge(self._store, self._copied_events, installations)
            except StoreError:
                disk.close()
                return
            self._store.close()
            self._store, self.trouble = disk, None
            self.notice = disk.notice or self.notice
        logger.warning("state.recovered: %s can be written again, and contains the whole state", self.path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._store.close()

    def _do(self, work: Callable[[SqliteStore], T]) -> T:
        """Return the result of *work* on disk, or in memory if the disk refuses."""
        with self._lock:
            try:
                return work(self._store)
            except StoreError as error:
                self._fall_back(error)
            return self._in_memory(work)

    # The caller of the methods below holds the lock.

    def _fall_back(self, error: StoreError) -> None:
        """Continue in memory. Raises *error* if it happened there: memory refuses no writes, so it is a bug of ours."""
        if self.trouble is not None:
            raise error
        secret = self._store.secret
        try:
            self._store = self._store.copied()
        except StoreError:
            # Tokens that hosts already have must stay valid, even if the file's secret can no longer be read.
            self._store = SqliteStore.read_from(self.path, secret)
        self._enter_trouble(error)

    def _in_memory(self, work: Callable[[SqliteStore], T]) -> T:
        """Return the result of *work*, which the disk has refused, on the store in memory."""
        with suppress(StoreError):
            return work(self._store)
        # The copy from the disk is damaged. The registry still has the installations, and `retry` saves them again.
        secret = self._store.secret
        self._store.close()
        self._store, self._copied_events = SqliteStore.in_memory(secret), 0
        return work(self._store)

    def _enter_trouble(self, error: StoreError) -> None:
        self._copied_events = self._store.last_event_id()
        self.trouble = (
            f"cannot write {self.path}: {error}. The appliance keeps running with its state in memory, which a restart "
            "would lose: free space on the disk, or make the directory writable"
        )
        logger.critical("state.trouble: %s", self.trouble)
