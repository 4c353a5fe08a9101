"""Ignition files, kept in memory: a file that changed is read again, and replaces the old one only if it is valid."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.events import Event, FileUnservable, IgnitionLoaded, IgnitionRefused
from appliance.files import Identity, UnservableError, current_identity, open_below
from appliance.openshift.ignition import MAX_IGNITION_BYTES, IgnitionFacts, inspect, misfit


@dataclass(frozen=True, slots=True)
class IgnitionFile:
    """A valid Ignition file, as it is served."""

    content: bytes
    identity: Identity
    facts: IgnitionFacts


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading an Ignition file."""

    identity: Identity | None  # of the file on disk; None if it does not exist
    file: IgnitionFile | None  # None if it cannot be used
    event: Event | None


def read_ignition(path: Path, domain: str) -> Reading:
    """Read and check the Ignition file *path* of the cluster *domain*. Blocks on the disk, for some milliseconds."""
    try:
        fd, identity = open_below(path.parent, path.name)
    except UnservableError as error:
        event = None if error.status == 404 else FileUnservable("", str(path), str(error))
        return Reading(current_identity(path), None, event)
    try:
        if identity.size > MAX_IGNITION_BYTES:
            return Reading(
                identity,
                None,
                IgnitionRefused("", str(path), f"{identity.size} bytes is too large for an Ignition file"),
            )
        content = _read_all(fd)
    except OSError as error:
        return Reading(identity, None, FileUnservable("", str(path), f"cannot be read: {error.strerror}"))
    finally:
        os.close(fd)
    facts = inspect(content)
    problems = list(facts.problems)
    if foreign := misfit(facts, domain):
        problems.append(foreign)
    # A copy in progress. It has another identity when it is complete, and is then read again.
    if len(content) != identity.size:
        problems.append("the file changed while it was read")
    if problems:
        return Reading(identity, None, IgnitionRefused("", str(path), "; ".join(problems)))
    expires_at = "" if facts.expires_at is None else datetime.fromtimestamp(facts.expires_at, UTC).isoformat()
    loaded = IgnitionLoaded("", str(path), facts.version, expires_at)
    return Reading(identity, IgnitionFile(content, identity, facts), loaded)


def _read_all(fd: int) -> bytes:
    chunks: list[bytes] = []
    while chunk := os.read(fd, 1 << 20):
        chunks.append(chunk)
        if len(chunks) > MAX_IGNITION_BYTES >> 20:
            break
    return b"".join(chunks)


class IgnitionShelf:
    """The Ignition files in memory: of each, the last version that was valid."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._seen: dict[tuple[Path, str], Identity | None] = {}
        self._files: dict[tuple[Path, str], IgnitionFile] = {}
        self._problems: dict[tuple[Path, str], str] = {}  # of the version on disk
        self._reading = asyncio.Lock()

    async def get(self, path: Path, domain: str) -> IgnitionFile | None:
        """Return the Ignition file *path* of the cluster *domain*, or None if no valid version was read yet."""
        key = path, domain
        if key not in self._seen or self._seen[key] != current_identity(path):
            # One read at a time, so that a fleet's requests for a changed file cause one read, in a thread.
            async with self._reading:
                if key not in self._seen or self._seen[key] != current_identity(path):
                    self._keep(key, await asyncio.to_thread(read_ignition, path, domain))
        return self._files.get(key)

    def problem(self, path: Path, domain: str) -> str:
        """Return why `get` returned None."""
        return self._problems.get((path, domain), "not found")

    def _keep(self, key: tuple[Path, str], reading: Reading) -> None:
        if reading.file is not None:
            self._files[key] = reading.file
        elif reading.identity is None:
            # Removed by the operator, who does not want it served. A file that is damaged keeps its last version.
            self._files.pop(key, None)
        self._seen[key] = reading.identity
        self._problems.pop(key, None)
        if isinstance(reading.event, IgnitionRefused | FileUnservable):
            self._problems[key] = reading.event.why
        if reading.event is not None:
            self._publish(reading.event)
