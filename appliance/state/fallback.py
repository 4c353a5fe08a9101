"""The database that the state lives in: on disk, and in memory while the disk refuses.

The one rule: a change is whole in one of the two when `change` returns, and what
is in memory goes to the disk as soon as that takes it again.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from appliance.errors import StateError
from appliance.install.lifecycle import Installation
from appliance.state.sqlite import Opened, checkpoint, copied, created, in_memory, merge, opened, transact

logger = logging.getLogger(__name__)

CHECKPOINT_BYTES = 16 << 20  # of the write-ahead log, which a storm fills in some seconds
MAX_LOG_BYTES = 64 << 20  # of the same, when changes come too fast for it to be written back beside them


class Store:
    """A database, and the lock that whoever reads `db` holds. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        """Open the database *path*; raises StateError when another appliance has it open."""
        self.path = path
        self.lock = threading.RLock()
        self.db: sqlite3.Connection
        self.trouble: str | None = None  # why it is all in memory
        self._is_unsynced = False
        self._copied_events = 0  # the highest id that memory took over from the disk
        self.opened: Opened | None = None  # None where the disk refused
        try:
            self.opened = opened(path)
        except (OSError, sqlite3.OperationalError) as error:
            self.db = in_memory(path)
            self._enter_trouble(error)
        else:
            self.db = self.opened.db

    def change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do *work* on the database in one transaction; when the disk refuses, do it in memory."""
        with self.lock:
            self._is_unsynced = True
            try:
                transact(self.db, partial(work, self.db))
            except sqlite3.Error as error:
                if self.trouble is not None:  # memory does not refuse: this is our bug
                    raise
                self._fall_back(error)
            else:
                return
            try:
                transact(self.db, partial(work, self.db))
            except sqlite3.Error:  # what was copied from the disk is damaged
                self.db.close()
                self.db, self._copied_events = created(), 0
                transact(self.db, partial(work, self.db))

    def sync(self) -> None:
        """Make what was changed survive a loss of power; blocks for as long as the disk takes."""
        with self.lock:
            if not self._is_unsynced or self.trouble:
                return
            self._is_unsynced = False
        log = Path(f"{self.path}-wal")
        try:
            if log.stat().st_size >= CHECKPOINT_BYTES:
                checkpoint(self.path)
                if log.stat().st_size >= MAX_LOG_BYTES:
                    # SQLite begins the log anew when all of it was written back and nothing came meanwhile, which
                    # a steady writer prevents for ever. Little is left to write now: some tens of ms, once.
                    with self.lock:
                        checkpoint(self.path)
                return
            # SQLite's locks are on the database file itself, so that closing this one drops none.
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, sqlite3.Error) as error:
            with self.lock:
                self._fall_back(error)

    def retry(self, installations: Iterable[Installation]) -> None:
        """After trouble: put everything on disk, with the current *installations*, if that works now."""
        with self.lock:
            if self.trouble is None:
                return
            try:
                disk = opened(self.path).db
            except (OSError, sqlite3.Error, StateError):
                return
            try:
                merge(self.db, disk, self._copied_events, installations)
            except sqlite3.Error:
                disk.close()
                return
            self.db.close()
            self.db, self.trouble = disk, None
        logger.warning("state.recovered: %s is written again", self.path)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.db.close()

    # The lock is held in these.

    def _fall_back(self, error: Exception) -> None:
        if self.trouble is not None:
            return
        try:
            self.db = copied(self.db)
        except sqlite3.Error:
            self.db = in_memory(self.path)
        self._enter_trouble(error)

    def _enter_trouble(self, error: Exception) -> None:
        self._copied_events = self.db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
        self.trouble = (
            f"cannot write {self.path}: {error}; the installation goes on from memory, and a restart would forget it: "
            "free the disk, or make the directory writable"
        )
        logger.critical("state.trouble: %s", self.trouble)
