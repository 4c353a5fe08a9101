"""Whether the files that an install script names can be served: looked up at most once a second."""

import os
import time
from collections.abc import Awaitable, Callable

from appliance.openshift.ignition import expiry_text, remedy
from appliance.web.answers import ErrorResponse, FilesFinding
from appliance.web.compile import Needs, Site, WebTable
from appliance.web.ignition import IgnitionFile
from appliance.web.opening import Opened, Sha256Of, open_first
from appliance.web.protocol import file_of

# Machines of a storm fetch their scripts within seconds, so almost none of them causes a file to be opened. A machine
# that was told to wait asks again after ten seconds.
KEEP_SECONDS = 1.0
MAX_KEPT = 64  # one for each architecture and role of each cluster; each reload makes new ones


class Gate:
    """What was found out a moment ago about the files that scripts name."""

    def __init__(
        self,
        sha256_of: Sha256Of,
        ignition: Callable[[Site, str], Awaitable[IgnitionFile | str]],
        now: Callable[[], float],
    ) -> None:
        """*sha256_of* returns the sum of an image, or None while it is not known.

        *ignition* returns an Ignition file, or why nobody may have it now; *now* returns seconds UTC.
        """
        self._sha256_of = sha256_of
        self._ignition = ignition
        self._now = now
        self._kept: dict[Needs, tuple[float, FilesFinding]] = {}

    def known(self, needs: Needs) -> FilesFinding | None:
        """Return what was found out about *needs* within the last second, or None."""
        until, found = self._kept.get(needs, (0.0, None))
        return found if time.monotonic() < until else None

    async def look(self, table: WebTable, needs: Needs) -> FilesFinding:
        """Return the first of *needs* that cannot be served, or that all can be."""
        found = self._images(table, needs) or await self._ignition_file(needs)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[needs] = time.monotonic() + KEEP_SECONDS, found
        return found

    def _images(self, table: WebTable, needs: Needs) -> FilesFinding | None:
        for name in needs.images:
            match open_first(file_of(table, needs.site, name), self._sha256_of):
                case Opened(fd):
                    os.close(fd)
                case ErrorResponse(_, why):
                    return FilesFinding(needs, name, str(needs.site.images / name), why)
        return None

    async def _ignition_file(self, needs: Needs) -> FilesFinding:
        if not needs.ignition:
            return FilesFinding(needs)
        read = await self._ignition(needs.site, needs.ignition)
        why = self._expired(needs, read) if isinstance(read, IgnitionFile) else read
        if not why:
            return FilesFinding(needs)
        return FilesFinding(needs, needs.ignition, str(needs.site.ignition(needs.ignition)), why)

    def _expired(self, needs: Needs, file: IgnitionFile) -> str:
        """Return why the valid *file* of *needs* would be refused to an installer; "" if it would not be."""
        expires_at = file.facts.expires_at
        if expires_at is None or self._now() < expires_at or needs.site.serve_expired:
            return ""
        return f"its certificates expired at {expiry_text(expires_at)}; {remedy(needs.ignition)}"
