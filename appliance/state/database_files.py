"""The files of a database on disk: the database itself, what SQLite keeps beside it, its lock, and those set aside.

A database that cannot be used is never overwritten: it is renamed together with its
log, so that an operator can still look into it.
"""

import errno
import fcntl
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from appliance.errors import StateError

_LOCK_ENDING = "-lock"
_LOG_ENDING = "-wal"
_SIDE_ENDINGS = (_LOG_ENDING, "-shm")  # of the files that SQLite keeps beside its own
_NEW_ENDING = "-new"
# Files set aside, none of which is deleted: a disk that damages each new file must not fill up with them.
MAX_ASIDE = 20


def is_there(path: Path) -> bool:
    """Whether something has the name *path*, be it a link that leads nowhere; also if that cannot be known."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def open_regular(path: Path, flags: int) -> int:
    """Return a descriptor of the regular file *path*, created private with O_CREAT; raises StateError for all else."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV):
            raise _irregular(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def _irregular(path: Path) -> StateError:
    return StateError(f"{path} is not a regular file; move it away and start again")


def misfit(path: Path) -> str | None:
    """Return why the database *path* and what SQLite keeps beside it cannot be opened as files, or None."""
    for ending in ("", *_SIDE_ENDINGS):
        with suppress(FileNotFoundError):
            mode = os.lstat(f"{path}{ending}").st_mode
            if not stat.S_ISREG(mode):
                return f"is not usable, because {path.name}{ending} is not a regular file"
    return None


def lock(path: Path) -> int:
    """Return a descriptor that holds the lock on the database *path* until it is closed.

    Raises StateError when another process has the lock.
    """
    # Not SQLite's own exclusive mode, because that would also keep out the second connection that writes the log back.
    descriptor = open_regular(Path(f"{path}{_LOCK_ENDING}"), os.O_RDWR | os.O_CREAT)
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
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT))


def log_of(path: Path) -> Path:
    """Return the path of the write-ahead log of the database *path*."""
    return Path(f"{path}{_LOG_ENDING}")


def sync(path: Path) -> None:
    """Make what was written to the file or directory *path* survive a loss of power; blocks as long as the disk."""
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
    for ending in ("", "-journal"):  # of an earlier try
        Path(f"{new}{ending}").unlink(missing_ok=True)
    make_private(new)
    return new


def replace(path: Path, new: Path) -> Path:
    """Set the database *path* aside, if it is there, and put *new* in its place; return what the old one is called.

    Raises StateError when too many have been set aside.
    """
    if len(list(path.parent.glob(f"{path.name}.aside-*Z*"))) >= MAX_ASIDE * (1 + len(_SIDE_ENDINGS)):
        raise StateError(f"{path} cannot be used, and many were set aside before it: move {path.name}.aside-* away")
    aside = path.with_name(time.strftime(f"{path.name}.aside-%Y%m%dT%H%M%SZ", time.gmtime()))
    while any(is_there(Path(f"{aside}{ending}")) for ending in ("", *_SIDE_ENDINGS)):
        aside = aside.with_name(aside.name + "+")
    # The database goes first. If the power fails here it is missing, which holds all hosts; an old database without
    # its log would say what was true some time ago. SQLite would apply an old log to a new database, so that goes too.
    for ending in ("", *_SIDE_ENDINGS):
        if is_there(Path(f"{path}{ending}")):
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
    new.rename(path)
    sync(path.parent)
    return aside
