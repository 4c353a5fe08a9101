"""Whether the images that an install script names can be served: looked up at most once a second."""

import os
import time

from appliance.web.answers import ErrorResponse
from appliance.web.compile import Needs, WebTable
from appliance.web.opening import Opened, Sha256Of, open_first
from appliance.web.protocol import file_of

# Machines of a storm fetch their scripts within seconds, so almost none of them causes a file to be opened. A machine
# that was told to wait asks again after ten seconds.
KEEP_SECONDS = 1.0
MAX_KEPT = 64  # one for each architecture of each cluster; reloads add more


class Gate:
    """What was found out about the images of each cluster and architecture a moment ago."""

    def __init__(self, sha256_of: Sha256Of) -> None:
        """*sha256_of* returns the sum of an image, or None while it is not known."""
        self._sha256_of = sha256_of
        self._kept: dict[tuple[str, tuple[str, ...]], tuple[float, tuple[str, str] | None]] = {}

    def fault(self, table: WebTable, needs: Needs) -> tuple[str, str] | None:
        """Return the name of the first image of *needs* that cannot be served, and why; None if all can be."""
        key = str(needs.site.data_dir), needs.images
        until, found = self._kept.get(key, (0.0, None))
        now = time.monotonic()
        if now >= until:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            found = self._look(table, needs)
            self._kept[key] = now + KEEP_SECONDS, found
        return found

    def _look(self, table: WebTable, needs: Needs) -> tuple[str, str] | None:
        for name in needs.images:
            match open_first(file_of(table, needs.site, name), self._sha256_of):
                case Opened(fd):
                    os.close(fd)
                case ErrorResponse(_, why):
                    return name, why
        return None
