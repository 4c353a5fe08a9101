"""Ignition files, whole in memory: one that changed is read again, whole or not at all."""

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
    """An Ignition file as it is served."""

    content: bytes
    identity: Identity
    facts: IgnitionFacts


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading an Ignition file."""

    identity: Identity | None  # of what stands on disk; None when it is not there
    file: IgnitionFile | None  # None when it cannot be used
    event: Event | None


def read_ignition(path: Path, domain: str) -> Reading:
    """Read the Ignition file *path* of the cluster *domain* and judge it; may take some ms."""
    try:
        fd, identity = open_below(path.parent, path.name)
    except UnservableError as error:
        event = None if error.status == 404 else FileUnservable("", str(path), str(error))
        return Reading(current_identity(path), None, event)
    try:
        if identity.size > MAX_IGNITION_BYTES:
            return Reading(identity, None, IgnitionRefused("", str(path), f"{identity.size} bytes are no Ignition"))
        content = _read_all(fd)
    except OSError as error:
        return Reading(identity, None, FileUnservable("", str(path), f"cannot be read: {error.strerror}"))
    finally:
        os.close(fd)
    facts = inspect(content)
    problems = list(facts.problems)
    if stranger := misfit(facts, domain):
        problems.append(stranger)
    if len(content) != identity.size:
        problems.append("it changed while it was read")
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
    """The Ignition files in memory, each as new as the last one that could be used."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._seen: dict[tuple[Path, str], Identity | None] = {}
        self._files: dict[tuple[Path, str], IgnitionFile] = {}
        self._problems: dict[tuple[Path, str], str] = {}  # of what stands on disk
        self._reading = asyncio.Lock()

    async def get(self, path: Path, domain: str) -> IgnitionFile | None:
        """Return the Ignition file *path* of the cluster *domain*, or None when none could be used yet."""
        key = path, domain
        if key not in self._seen or self._seen[key] != current_identity(path):
            async with self._reading:
                if key not in self._seen or self._seen[key] != current_identity(path):
                    self._keep(key, await asyncio.to_thread(read_ignition, path, domain))
        return self._files.get(key)

    def problem(self, path: Path, domain: str) -> str:
        """Return why `get` has no such file."""
        return self._problems.get((path, domain), "it is not there")

    def _keep(self, key: tuple[Path, str], reading: Reading) -> None:
        if reading.file is not None:
            self._files[key] = reading.file
        elif reading.identity is None:
            self._files.pop(key, None)  # taken away by its owner
        self._seen[key] = reading.identity
        self._problems.pop(key, None)
        if isinstance(reading.event, IgnitionRefused | FileUnservable):
            self._problems[key] = reading.event.why
        if reading.event is not None:
            self._publish(reading.event)
