"""What the data directory shows to those who should not see it: clients of the appliance, and users of this machine."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from appliance.confidential import confidential_name
from appliance.config.draft import Draft
from appliance.errors import Problem
from appliance.files import Fault, UnservableError, group_name, open_public, user_name

PUBLIC = ("images", "tftp")  # what clients get
# Looking at a file takes 30 µs from memory. Every file is looked at again when it is served, however many there are.
MOST_FILES = 10_000
SHOWN_FILES = 5  # of a directory; a mistake with a wildcard has many


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield the files of one data directory that are secret and lie where others get them, and who may write there."""
    if draft.data_dir is None:
        return
    where = draft.document.here("dataDir")
    found = (
        *(_in_public(draft.data_dir / name) for name in PUBLIC),
        _readable(draft.data_dir),
        _readable_images(draft, draft.data_dir / "images"),
    )
    for messages in found:
        first = list(islice(messages, SHOWN_FILES))
        yield from map(where.warning, first)
        more = sum(1 for _ in messages)
        if more:
            yield where.warning(f"the same is true of {more} more {'file' if more == 1 else 'files'}")
    yield from map(where.warning, _writable(draft.data_dir))


def _in_public(root: Path) -> Iterator[str]:
    """Yield a message for each file of a public directory that is never served."""
    found = (Path(directory, name) for directory, _, names in os.walk(root) for name in sorted(names))
    for path in islice(found, MOST_FILES):
        try:
            # Of the images, hosts may boot it.
            fd, _ = open_public(root, str(path.relative_to(root)), may_be_sealed=root.name == "images")
        except UnservableError as error:
            if error.fault is Fault.CONFIDENTIAL:
                yield str(error)
        else:
            os.close(fd)


def _readable_images(draft: Draft, images: Path) -> Iterator[str]:
    """Yield a message for each initramfs with an Ignition configuration that every user of this machine can read."""
    for drafts in draft.artifacts.values():
        for image in drafts:
            path = images / image.name.value
            if image.kind == "initramfs" and _is_readable(path) and not _keeps_out(path.parent, stat.S_IXOTH):
                yield _told(path)


def _is_readable(path: Path) -> bool:
    mode = _mode(path)
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)


def _told(path: Path) -> str:
    return (
        f"every user of this machine can read {path} (mode {stat.S_IMODE(_mode(path)):04o}); chmod o-r it, "
        "and chown it to the user that runs the appliance, or chmod o-x its directory"
    )


def _readable(data_dir: Path) -> Iterator[str]:
    """Yield a message for each secret file that every user of this machine can read."""
    for directory in (data_dir, data_dir / "ignition", data_dir / "auth"):
        if _keeps_out(directory, stat.S_IXOTH):
            continue
        for path in _files_in(directory):
            if confidential_name(str(path.relative_to(data_dir))) and _is_readable(path):
                yield _told(path)


def _writable(data_dir: Path) -> Iterator[str]:
    """Yield a message for each directory whose files others may add to or replace, which decides what machines boot."""
    for directory in (data_dir, *(data_dir / name for name in (*PUBLIC, "ignition"))):
        mode = _mode(directory)
        if not stat.S_ISDIR(mode):
            continue
        told = f"(mode {stat.S_IMODE(mode):04o}), and so decide what machines boot"
        if mode & stat.S_IWOTH and not _keeps_out(directory, stat.S_IXOTH):
            yield f"every user of this machine can write to {directory} {told}; chmod o-w it"
        elif mode & stat.S_IWGRP and not _keeps_out(directory, stat.S_IXOTH | stat.S_IXGRP):
            facts = directory.stat()
            group = group_name(facts.st_gid)
            # Many distributions give each user a group of the same name, and a umask that lets it write.
            if group != user_name(facts.st_uid):
                yield f"the group {group} can write to {directory} {told}; chmod g-w it, unless all of them may"


def _keeps_out(directory: Path, bits: int) -> bool:
    """Return whether others, to whom one of the mode *bits* applies, cannot enter *directory* or one above it."""
    try:
        real = directory.resolve(strict=True)
    except (OSError, RuntimeError):  # it does not exist, or a link leads back to itself
        return True
    return any(not _mode(each) & bits for each in (real, *real.parents))


def _files_in(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(Path(entry.path) for entry in islice(entries, MOST_FILES))
    except OSError:
        return []  # this process may not read it, which is reported where its files are needed


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
