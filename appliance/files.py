"""Files on disk: names from the network lead only to regular files below their root, and changes are noticed.

The one rule: a file is checked by its descriptor, never by its name. `open_below`
gets a handle on the file without opening it (O_PATH), asks the kernel where that file
is and what it is, and only then opens that same file through the handle. So swapping
a link in between achieves nothing, and a device or a pipe is never opened. Links
within the root are followed, so that operators can arrange images as they like;
openat2's RESOLVE_BENEATH would refuse every absolute link.
"""

import errno
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.confidential import (
    HEAD_BYTES,
    TEXT_BYTES,
    confidential_content,
    confidential_name,
    is_sealed_name,
    wants_more,
)

# A text takes milliseconds to judge, which all other clients would wait for with each request. Kept by the identity
# from before it was read: while a file is written, that changes.
MAX_VERDICTS = 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Facts that change when a file's content does; cheap even for a file of several GiB."""

    device: int
    inode: int
    size: int  # bytes
    modified_ns: int  # UTC

    @property
    def etag(self) -> str:
        """A strong entity tag: nanoseconds distinguish two writes of the same size within a second."""
        return f'"{self.modified_ns:x}-{self.size:x}-{self.inode:x}"'


_verdicts: dict[Identity, str] = {}


class Fault(StrEnum):
    """Why a file cannot be served, for callers that need more than the text."""

    MISSING = "missing"
    DIRECTORY = "directory"
    OUTSIDE = "outside"  # a link leads out of the root
    SPECIAL = "special"  # a device, a pipe or a socket
    UNREADABLE = "unreadable"  # this process has no permission
    CONFIDENTIAL = "confidential"  # of a class that nobody gets
    LOOP = "loop"  # of links
    TROUBLE = "trouble"  # the disk or the process cannot give it now
    EXHAUSTED = "exhausted"  # the process or the system has no descriptor left


class UnservableError(Exception):
    """A file cannot be served; *status* is that of an HTTP response, and the text states what to do."""

    RETRY_SECONDS = 30  # clients try again, and an operator takes longer than this to repair it

    def __init__(self, status: int, why: str, fault: Fault = Fault.TROUBLE) -> None:
        super().__init__(why)
        self.status = status
        self.fault = fault
        self.retry_seconds = self.RETRY_SECONDS if status == 503 else 0


def identity_of(facts: os.stat_result) -> Identity:
    """Return the identity of the file whose stat result is *facts*."""
    return Identity(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def current_identity(path: Path) -> Identity | None:
    """Return the identity of the file at *path*, or None when it cannot be read."""
    try:
        return identity_of(path.stat())
    except OSError:
        return None


def normalised(name: str) -> str:
    """Return *name* in the spelling of loaders: with single forward slashes, and in lower case.

    Firmware requests efi\\IPXE.EFI, /efi/ipxe.efi and efi//ipxe.efi and means the same file.
    """
    return tidied(name).lower()


def tidied(name: str) -> str:
    """Return *name* with single forward slashes between its parts and without "." parts; letters stay as they are."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def open_below(root: Path, name: str, *, in_any_case: bool = False) -> tuple[int, Identity]:
    """Return a descriptor of the regular file *name* below *root*, and its identity.

    *in_any_case* is for names that firmware spells as it likes: see `find_below`.
    Raises UnservableError: 404 if the file does not exist or is a directory, 403 if it
    is outside the root, is not a regular file, or may not be read; 503 if the disk or
    the process cannot open it at present.
    """
    fd, identity, _ = _opened(root, name, in_any_case=in_any_case)
    return fd, identity


def open_public(
    root: Path, name: str, *, in_any_case: bool = False, may_be_sealed: bool = False
) -> tuple[int, Identity]:
    """Return what `open_below` does, for a file that anybody gets.

    Raises UnservableError, with 403, also for a file that confidential.py recognises. With
    *may_be_sealed* the caller has made sure that an initramfs with Ignition in it is for this client.
    """
    fd, identity, real = _opened(root, name, in_any_case=in_any_case)
    try:
        # Both names, because a link may have a harmless one.
        found = confidential_name(tidied(name)) or confidential_name(real) or _verdict(fd, identity)
    except OSError as error:
        os.close(fd)
        raise _unservable(error, root / tidied(name)) from error
    if not found and not may_be_sealed and any(map(is_sealed_name, (tidied(name), real))):
        os.close(fd)
        why = f"{root / tidied(name)} contains Ignition by its name; its hosts get it from images/ over HTTP"
        raise UnservableError(403, why, Fault.CONFIDENTIAL)
    if found:
        os.close(fd)
        why = f"{root / tidied(name)} looks like {found}, which is never served; remove it from there"
        raise UnservableError(403, why, Fault.CONFIDENTIAL)
    return fd, identity


def find_below(root: Path, name: str) -> Path | None:
    """Return the real path of the regular file *name* below *root*, or None.

    Slashes may be backslashes, and letters match in either case if no file has the
    exact name. Not found are names with a part that begins with a dot, links that lead
    out of *root*, and files that are not regular.
    """
    try:
        handle, real, below = _reached_in_any_case(root, name)
    except UnservableError:
        return None
    os.close(handle)
    return Path(real, below)


def diagnosis(file: Path) -> str:
    """Return why this process may not read *file*, and the command that changes that."""
    user = f"uid {os.geteuid()}"
    # From / downwards: the first directory that this process may not enter hides everything below it.
    for parent in reversed(file.parents):
        if not os.access(parent, os.X_OK, effective_ids=True):
            return f"{user} may not enter {parent} ({_modes(parent)}); chmod a+x {parent}"
    if not os.access(file, os.R_OK, effective_ids=True):
        return f"{user} may not read {file} ({_modes(file)}); chmod a+r {file}"
    label = _selinux_label(file)
    if label:
        return f"{file} is readable by its mode, but SELinux denies access (label {label}); restorecon -v {file}"
    return f"{file} is readable by its mode, but access is denied; check mount options, ACLs and AppArmor"


def _opened(root: Path, name: str, *, in_any_case: bool) -> tuple[int, Identity, str]:
    """Return a descriptor of a file, its identity, and where it is below *root*."""
    handle, _, below = _reached_in_any_case(root, name) if in_any_case else _reached(root, name)
    try:
        # Through the handle this opens the same file that was checked, whatever has its name by now.
        fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _unservable(error, root / tidied(name)) from error
    finally:
        os.close(handle)
    return fd, identity_of(os.fstat(fd)), below


def _verdict(fd: int, identity: Identity) -> str:
    """Return what the content of the file *fd* is, as `confidential_content` does."""
    found = _verdicts.get(identity)
    if found is None:
        head = os.pread(fd, HEAD_BYTES, 0)
        found = confidential_content(os.pread(fd, TEXT_BYTES, 0) if wants_more(head) else head)
        if len(_verdicts) >= MAX_VERDICTS:
            _verdicts.clear()
        _verdicts[identity] = found
    return found


def _reached_in_any_case(root: Path, name: str) -> tuple[int, str, str]:
    """Return what `_reached` returns, for a name from the network in any spelling."""
    wanted = tidied(name)
    # Hidden files are not served: editors and file managers leave them behind. This also excludes "..".
    if any(part.startswith(".") or not part.isprintable() for part in wanted.split("/")):
        raise _missing(root / "(hidden)")
    try:
        return _reached(root, wanted)
    except UnservableError as error:
        if error.fault is not Fault.MISSING:
            raise
    return _reached(root, _spelled(root, wanted))


def _spelled(root: Path, name: str) -> str:
    """Return *name* as the directories below *root* spell it; at each step the exact spelling takes precedence."""
    found = str(root)
    for part in name.split("/"):
        exact = f"{found}/{part}"
        if os.path.exists(exact):
            found = exact
            continue
        folded = part.lower()
        try:
            # Sorted, so that the same file is found every time.
            found = next(f"{found}/{entry}" for entry in sorted(os.listdir(found)) if entry.lower() == folded)
        except (OSError, StopIteration) as error:
            raise _missing(root / name) from error
    return found[len(str(root)) + 1 :]


def _reached(root: Path, name: str) -> tuple[int, str, str]:
    """Return a handle (O_PATH) on the regular file *name* below *root*, which the caller closes.

    Also returned are the real paths of *root*, and of the file below it. Raises
    UnservableError for anything else.
    """
    try:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            real_root = os.readlink(f"/proc/self/fd/{top}")
        finally:
            os.close(top)
        # Not root / name, which would be the file at *name* itself if that is absolute.
        handle = os.open(f"{root}/{name}", os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise _unservable(error, root / name) from error
    except ValueError as error:  # a NUL, or a letter that no file name can have
        raise _missing(root / ascii(name)) from error
    try:
        return handle, real_root, _judged(handle, real_root, root, name)
    except BaseException:
        os.close(handle)
        raise


def _judged(handle: int, real_root: str, root: Path, name: str) -> str:
    """Return where the file behind *handle* is in the root; raises UnservableError unless it is regular and in it."""
    try:
        real, mode = os.readlink(f"/proc/self/fd/{handle}"), os.fstat(handle).st_mode
    except OSError as error:  # the path is too long for readlink(2)
        raise _unservable(error, root / name) from error
    top = real_root.rstrip("/") + "/"
    if real != real_root and not real.startswith(top):
        why = f"{root / name} is a link to a file outside its directory; copy the file there instead"
        raise UnservableError(403, why, Fault.OUTSIDE)
    if stat.S_ISDIR(mode):
        raise UnservableError(404, "directories are not listed", Fault.DIRECTORY)
    if not stat.S_ISREG(mode):
        raise UnservableError(403, f"{root / name} is not a regular file", Fault.SPECIAL)
    return real[len(top) :]


def _unservable(error: OSError, file: Path) -> UnservableError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return _missing(file)
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnservableError(403, diagnosis(file), Fault.UNREADABLE)
    if error.errno == errno.ELOOP:
        return UnservableError(403, f"{file} is a link that leads back to itself", Fault.LOOP)
    is_exhausted = error.errno in (errno.EMFILE, errno.ENFILE)
    fault = Fault.EXHAUSTED if is_exhausted else Fault.TROUBLE
    return UnservableError(503, f"cannot open {file}: {error.strerror}", fault)


def _missing(file: Path) -> UnservableError:
    return UnservableError(404, f"{file} not found", Fault.MISSING)


def _modes(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError as error:
        return error.strerror or "unknown"
    return f"mode {stat.S_IMODE(facts.st_mode):04o}, {user_name(facts.st_uid)}:{group_name(facts.st_gid)}"


def user_name(uid: int) -> str:
    """Return the name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of a group, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _selinux_label(path: Path) -> str:
    try:
        return os.getxattr(path, "security.selinux").rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return ""
