"""HAProxy's configuration on disk: replaced when what it says changes, and only by one that HAProxy accepts."""

import asyncio
import hashlib
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.balancer import files
from appliance.balancer.files import Place
from appliance.balancer.haproxy import NO_SERVER_STATE, Settings, configuration
from appliance.balancer.membership import Standings
from appliance.balancer.versions import of_banner
from appliance.errors import ApplianceError
from appliance.model import FrontEnd

# What HAProxy refused is offered again after this: it may have refused what is not in the text, such as a file.
REFUSED_SECONDS = 60.0
# A connection that is forwarded takes two file descriptors. HAProxy does not start without enough of them.
SERVICE_DESCRIPTORS = 524_288  # LimitNOFILE= in ocp-appliance-haproxy.service
OTHER_DESCRIPTORS = 1000  # health checks, sockets, listeners
MAX_CONNECTIONS = 10_000  # of one front end
_MARK = re.compile(r"^ *description (ocp-appliance-[0-9a-f]{16})$", re.ASCII | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a configuration says."""

    front_ends: tuple[FrontEnd, ...]
    standings: Standings
    ca_files: Mapping[str, str]  # by front end


class ConfigFile:
    """The file with HAProxy's configuration."""

    def __init__(self, program: Path, place: Place) -> None:
        """Raises ListenError, UnknownVersionError."""
        self.version = files.version_of(program)
        # The name that the text on disk gives itself, which HAProxy repeats once it has loaded it; "" without one.
        self.mark = _mark_in(files.read_text(place.config))
        self._program = program
        self._place = place
        self._signature = files.signature(place.config)
        self._wanted: Wanted | None = None
        self._refused: str | None = None
        self._refused_at = 0.0  # loop clock

    async def replace(self, wanted: Wanted) -> str | None:
        """Have *wanted* on disk. Return what prevents that, and None if it is there."""
        is_due = self._refused is not None and self._time() - self._refused_at > REFUSED_SECONDS
        # Somebody may edit the file, or remove it.
        is_touched = files.signature(self._place.config) != self._signature
        if wanted == self._wanted and not is_due and not is_touched:
            return self._refused
        self._wanted, self._refused_at = wanted, self._time()
        try:
            self._refused = await self._replaced(wanted)
        except (OSError, TimeoutError) as error:
            why = (getattr(error, "strerror", None) or "HAProxy does not end").lower()
            self._refused = f"cannot replace HAProxy's configuration {self._place.config}: {why}"
        self._signature = files.signature(self._place.config)
        self.mark = _mark_in(files.read_text(self._place.config))
        return self._refused

    async def _replaced(self, wanted: Wanted) -> str | None:
        try:
            _, banner = await files.run(self._program, "-v")  # the package may have been upgraded
            self.version = of_banner(banner)
            text = await asyncio.to_thread(self._text, wanted)
        except (ApplianceError, ValueError) as error:
            return f"HAProxy's configuration cannot be written: {error}"
        if text == files.read_text(self._place.config):
            return None
        if not self._place.server_state.exists():
            files.write_whole(self._place.server_state, NO_SERVER_STATE)
        new = self._place.config.with_suffix(".new")
        files.write_whole(new, text, is_moved=False)
        code, printed = await files.run(self._program, "-c", "-f", new)
        if code:
            why = files.reason(printed.replace(str(new), str(self._place.config))) or f"exit code {code}"
            return f"HAProxy refuses its new configuration {new}, and the one before stays in use: {why}"
        await asyncio.to_thread(files.move_durably, new, self._place.config)
        return None

    def _text(self, wanted: Wanted) -> str:
        """Return HAProxy's configuration. Raises ValueError."""
        settings = Settings(
            self.version,
            runtime_socket=str(self._place.stats),
            log=str(self._place.log),
            server_state=str(self._place.server_state),
            ca_files=wanted.ca_files,
            connections=_connections(len(wanted.front_ends), is_service=self._place.is_service),
        )
        # Commands change what is wanted of members, so that the name must not depend on that.
        bare = configuration(wanted.front_ends, {}, settings)
        name = f"ocp-appliance-{hashlib.sha256(bare.encode()).hexdigest()[:16]}"
        return configuration(wanted.front_ends, wanted.standings, replace(settings, description=name))

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def _connections(front_ends: int, *, is_service: bool) -> int:
    """Return how many connections each of *front_ends* can accept at a time."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = SERVICE_DESCRIPTORS if is_service or limit == resource.RLIM_INFINITY else limit
    return max(10, min(MAX_CONNECTIONS, (descriptors - OTHER_DESCRIPTORS) // 2 // max(front_ends, 1)))


def _mark_in(text: str) -> str:
    found = _MARK.search(text)
    return found[1] if found is not None else ""
