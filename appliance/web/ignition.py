"""Ignition files, kept in memory: a file is served as it is on disk, or not at all.

A file that was replaced and is refused is not served in its former version either: its
cluster's other files may have been replaced as well, and a cluster that is installed from
two runs of openshift-install never comes up.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.events import Event, FileUnservable, IgnitionLoaded, IgnitionRefused
from appliance.files import Identity, UnservableError, current_identity, open_below
from appliance.openshift.ignition import MAX_IGNITION_BYTES, IgnitionFacts, inspect, misfit, misplaced, mixed_runs
from appliance.web.compile import Site


@dataclass(frozen=True, slots=True)
class IgnitionFile:
    """A valid Ignition file, as it is served."""

    content: bytes
    identity: Identity
    facts: IgnitionFacts


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading an Ignition file."""

    identity: Identity | None  # of the file whose contents were judged; None if they could not be read
    file: IgnitionFile | None  # None if it cannot be used
    event: Event | None


def read_ignition(path: Path, domain: str) -> Reading:
    """Read and check the Ignition file *path* of the cluster *domain*. Blocks on the disk, for some milliseconds."""
    try:
        fd, identity = open_below(path.parent, path.name)
    except UnservableError as error:
        event = None if error.status == 404 else FileUnservable("", str(path), str(error))
        return Reading(None, None, event)
    try:
        if identity.size > MAX_IGNITION_BYTES:
            return Reading(
                identity,
                None,
                IgnitionRefused("", str(path), f"{identity.size} bytes is too large for an Ignition file"),
            )
        content = _read_all(fd)
    except OSError as error:
        return Reading(None, None, FileUnservable("", str(path), f"cannot be read: {error.strerror}"))
    finally:
        os.close(fd)
    facts = inspect(content)
    problems = list(facts.problems)
    if foreign := misfit(facts, domain):
        problems.append(foreign)
    if elsewhere := misplaced(facts, path.name):
        problems.append(elsewhere)
    # A copy in progress. It has another identity when it is complete, and is then read again.
    if len(content) != identity.size:
        problems.append("the file changed while it was read")
    if problems:
        return Reading(identity, None, IgnitionRefused("", str(path), "; ".join(problems)))
    return Reading(identity, IgnitionFile(content, identity, facts), _loaded(path, facts))


def _read_all(fd: int) -> bytes:
    chunks: list[bytes] = []
    while chunk := os.read(fd, 1 << 20):
        chunks.append(chunk)
        if len(chunks) > MAX_IGNITION_BYTES >> 20:
            break
    return b"".join(chunks)


class IgnitionShelf:
    """The Ignition files in memory, as they are on disk."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._seen: dict[tuple[Path, str], Identity] = {}
        self._files: dict[tuple[Path, str], IgnitionFile] = {}
        self._problems: dict[tuple[Path, str], str] = {}  # of the version on disk
        self._mixtures: dict[Path, str] = {}  # by data directory, as published
        self._reading = asyncio.Lock()

    async def get(self, path: Path, domain: str) -> IgnitionFile | None:
        """Return the Ignition file *path* of the cluster *domain*, or None if it cannot be served."""
        key = path, domain
        if not self._is_current(key):
            # One read at a time, so that a fleet's requests for a changed file cause one read, in a thread.
            async with self._reading:
                if not self._is_current(key):
                    self._keep(key, await asyncio.to_thread(read_ignition, path, domain))
        return self._files.get(key)

    async def servable(self, site: Site, name: str) -> IgnitionFile | str:
        """Return the Ignition file *name* of *site*, or why no host may have it now."""
        path = site.ignition(name)
        file = await self.get(path, site.domain)
        if file is None:
            return self._problems.get((path, site.domain), "not found")
        return (self._mixture(site) if name in site.ignition_files else None) or file

    def look(self, site: Site) -> None:
        """Publish it when the files of *site* begin or cease to be of different runs of openshift-install."""
        why, before = self._mixture(site) or "", self._mixtures.get(site.data_dir, "")
        if why == before:
            return
        self._mixtures[site.data_dir] = why
        for path, file in ((site.ignition(name), file) for name, file in self._loaded(site).items()):
            self._publish(IgnitionRefused("", str(path), why) if why else _loaded(path, file.facts))

    def _mixture(self, site: Site) -> str | None:
        return mixed_runs({name: file.facts for name, file in self._loaded(site).items()})

    def _loaded(self, site: Site) -> dict[str, IgnitionFile]:
        """Return those of the files that the hosts of *site* need that are valid, by name."""
        found = ((name, self._files.get((site.ignition(name), site.domain))) for name in site.ignition_files)
        return {name: file for name, file in found if file is not None}

    def _is_current(self, key: tuple[Path, str]) -> bool:
        seen = self._seen.get(key)
        return seen is not None and seen == current_identity(key[0])

    def _keep(self, key: tuple[Path, str], reading: Reading) -> None:
        self._files.pop(key, None)
        self._seen.pop(key, None)
        # A file that could not be read is tried again each time: chmod does not change its identity.
        if reading.identity is not None:
            self._seen[key] = reading.identity
        if reading.file is not None:
            self._files[key] = reading.file
        before = self._problems.pop(key, None)
        if isinstance(reading.event, IgnitionRefused | FileUnservable):
            self._problems[key] = reading.event.why
            if reading.event.why == before:
                return
        if reading.event is not None:
            self._publish(reading.event)


def _loaded(path: Path, facts: IgnitionFacts) -> IgnitionLoaded:
    expires_at = "" if facts.expires_at is None else datetime.fromtimestamp(facts.expires_at, UTC).isoformat()
    return IgnitionLoaded("", str(path), facts.version, expires_at)
