"""Images on disk, checked before a machine needs them: readable, and with the sha256 that cluster.yaml gives."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from appliance.events import Event, FileUnservable, ImageDamaged, ImageVerified
from appliance.files import Identity, UnservableError, current_identity, open_below
from appliance.web.compile import Site

# A file that was just written may still be growing, and would be hashed again and again.
SETTLED_SECONDS = 3.0
CHUNK_BYTES = 1 << 20  # large enough for hashlib to release the GIL for most of the time


class ImageWatch:
    """What is known of each image file in the state in which it was last read."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._complaints: dict[Path, str] = {}
        self._hashes: dict[Path, tuple[Identity, str]] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Abort a hash that is being computed."""
        self._stopping.set()

    def sha256(self, path: Path, identity: Identity) -> str | None:
        """Return the file's sha256 in hex, or None while it is not known for a file with this *identity*."""
        known = self._hashes.get(path)
        return known[1] if known is not None and known[0] == identity else None

    async def look(self, site: Site) -> None:
        """Check every image in the cluster.yaml of *site*, and publish what has changed."""
        for name in site.kinds:
            path = site.images / name
            identity = self._readable(site.images, name)
            expected = site.sha256.get(name)
            if identity is None or expected is None or self.sha256(path, identity) is not None:
                continue
            # A time in the future says nothing but that a clock was set.
            if 0 <= time.time() - identity.modified_ns / 1e9 < SETTLED_SECONDS:
                continue
            await self._verify(path, identity, expected)

    def _readable(self, root: Path, name: str) -> Identity | None:
        path = root / name
        try:
            fd, identity = open_below(root, name)
        except UnservableError as error:
            # Files that do not exist are reported by `validate` and at the start.
            why = "" if error.status == 404 else str(error)
            if why and self._complaints.get(path) != why:
                self._publish(FileUnservable("", str(path), why))
            self._complaints[path] = why
            return None
        os.close(fd)
        self._complaints.pop(path, None)
        return identity

    async def _verify(self, path: Path, identity: Identity, expected: str) -> None:
        started = time.monotonic()
        found = await asyncio.to_thread(self._hash, path)
        if found is None or current_identity(path) != identity:
            return  # it changed in the meantime, and the next round reads it again
        self._hashes[path] = identity, found
        if found == expected:
            self._publish(ImageVerified("", str(path), found, time.monotonic() - started))
        else:
            self._publish(ImageDamaged("", str(path), found, expected))

    def _hash(self, path: Path) -> str | None:
        digest = hashlib.sha256()
        try:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK_BYTES):
                    if self._stopping.is_set():
                        return None
                    digest.update(chunk)
        except OSError:
            return None
        return digest.hexdigest()
