"""The files of a database on disk: the database itself, what SQLite keeps beside it, its lock, and those set aside.

A database that cannot be used is never overwritten: it is renamed together with its
log, so that an operator can still look into it.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path

from appliance.errors import StateError

_LOCK_ENDING = "-lock"
_LOG_ENDING = "-wal"
_SIDE_ENDINGS = (_LOG_ENDING, "-shm")  # of the files that SQLite keeps beside its own
_NEW_ENDING = "-new"


def lock(path: Path) -> int:
    """Return a descriptor that holds the lock on the database *path* until it is closed.

    Raises StateError when another process has the lock.
    """
    # Not SQLite's own exclusive mode, because that would also keep out the second connection that writes the log back.
    descriptor = os.open(f"{path}{_LOCK_ENDING}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise StateError(f"{path} is in use: another appliance runs on this data directory") from error
        raise
    return descriptor


def make_private(path: Path) -> None:
    """Create the file *path*, readable by its owner alone, unless it exists."""
    # The file holds the secret of every token, and SQLite would create it with the mode that the umask leaves. The
    # log gets the mode of its database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def log_of(path: Path) -> Path:
    """Return the path of the write-ahead log of the database *path*."""
    return Path(f"{path}{_LOG_ENDING}")


def sync(path: Path) -> None:
    """Make what was written to the file *path* survive a loss of power; blocks for as long as the disk takes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy(path: Path, directory: Path) -> Path:
    """Copy the database *path* with its log into *directory*, and return the path of the copy."""
    for source in (path, log_of(path)):
        if source.exists():
            shutil.copy(source, directory / source.name)
    return directory / path.name


def new_beside(path: Path) -> Path:
    """Return the path of an empty, private file, in which what is to replace the database *path* can be prepared."""
    new = path.with_name(f"{path.name}{_NEW_ENDING}")
    new.unlink(missing_ok=True)
    make_private(new)
    return new


def replace(path: Path, new: Path) -> Path:
    """Set the database *path* aside and put *new* in its place; return the path under which the old one is now."""
    aside = path.with_name(time.strftime(f"{path.name}.aside-%Y%m%dT%H%M%SZ", time.gmtime()))
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    # The log goes before its database: SQLite would apply an old log to a new database.
    for ending in (*_SIDE_ENDINGS, ""):
        if Path(f"{path}{ending}").exists():
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
    new.rename(path)
    return aside
