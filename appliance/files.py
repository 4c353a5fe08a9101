"""Files on disk: opened only below their root, known again by inode, size and time.

One rule: what is opened is judged by its descriptor, so that a link that
changes meanwhile leads nowhere.
"""

import errno
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """What changes when a file's content does; cheap for a file of GiB."""

    inode: int
    size: int  # bytes
    modified_ns: int  # UTC

    @property
    def etag(self) -> str:
        """A strong entity tag: the nanoseconds tell two writes apart that a size and a second would not."""
        return f'"{self.modified_ns:x}-{self.size:x}-{self.inode:x}"'


class UnservableError(Exception):
    """A file is not to be had; *status* is the answer's, and the text says what to do."""

    RETRY_SECONDS = 30  # what only an operator mends takes longer, and the client asks again

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.retry_seconds = self.RETRY_SECONDS if status == 503 else 0


def identity_of(facts: os.stat_result) -> Identity:
    """Return the identity of the file that *facts* are about."""
    return Identity(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def current_identity(path: Path) -> Identity | None:
    """Return the identity of the file at *path*, or None when it cannot be told."""
    try:
        return identity_of(path.stat())
    except OSError:
        return None


def open_below(root: Path, path: str) -> tuple[int, Identity]:
    """Return a descriptor of the regular file *path* below *root*, and its identity.

    Raises UnservableError: 404 when it is not there or is a directory, 403 when
    it lies outside, is no regular file, or may not be read; 503 when the disk
    or the process cannot give it now.
    """
    file = root / path
    try:
        real_root = os.path.realpath(root, strict=True)
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise _wrong_type(file)  # before it is opened: a tape or a watchdog would start by that
        # Without O_NONBLOCK a pipe put there meanwhile would stop the whole appliance.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _unservable(error, file) from error
    try:
        return fd, _judged(fd, file, real_root)
    except BaseException:
        os.close(fd)
        raise


def diagnosis(file: Path) -> str:
    """Return why this process may not read *file*, and what would let it."""
    who = f"uid {os.geteuid()}"
    for parent in reversed(file.parents):
        if not os.access(parent, os.X_OK, effective_ids=True):
            return f"{who} may not enter {parent} ({_modes(parent)}); chmod a+x {parent}"
    if not os.access(file, os.R_OK, effective_ids=True):
        return f"{who} may not read {file} ({_modes(file)}); chmod a+r {file}"
    # The modes allow it, so that something else forbids it.
    label = _selinux_label(file)
    if label:
        return f"the modes of {file} allow it, so SELinux forbids it: its label is {label}; restorecon -v {file}"
    return f"the modes of {file} allow it; look at mount options, ACLs and AppArmor"


def _judged(fd: int, file: Path, real_root: str) -> Identity:
    """Return the identity of what was opened; raises UnservableError when it is not to be served."""
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode):
        raise _wrong_type(file)
    if not os.readlink(f"/proc/self/fd/{fd}").startswith(real_root + "/"):
        raise UnservableError(403, f"{file} is a link that leads out of its directory; put the file itself there")
    return identity_of(facts)


def _unservable(error: OSError, file: Path) -> UnservableError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return UnservableError(404, f"there is no file {file}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnservableError(403, diagnosis(file))
    if error.errno == errno.ELOOP:
        return UnservableError(403, f"{file} is a loop of links")
    return UnservableError(503, f"{file} cannot be opened: {error.strerror}")


def _wrong_type(file: Path) -> UnservableError:
    if file.is_dir():
        return UnservableError(404, "directories are not listed")
    return UnservableError(403, f"{file} is no regular file")


def _modes(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError as error:
        return error.strerror or "unknown"
    return f"mode {stat.S_IMODE(facts.st_mode):04o}, {_user(facts.st_uid)}:{_group(facts.st_gid)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _selinux_label(path: Path) -> str:
    try:
        return os.getxattr(path, "security.selinux").rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return ""
