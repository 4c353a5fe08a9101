"""HAProxy as a child of the appliance, where no service manager runs it: it ends with the appliance."""

import asyncio
import ctypes
import logging
import re
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
# It has served for a while if it ends after this, so that it is started again without delay.
STABLE_SECONDS = 30.0
END_SECONDS = 5.0
MAX_LINE_CHARACTERS = 300
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SEVERITY = re.compile(r"^\[(ALERT|WARNING|NOTICE|DIAG)\]\s*(?:\S+\s+)?\(\d+\) : ", re.ASCII)
# Alerts that are not about HAProxy itself: about its members, or whoever reads its log.
_OF_OTHERS = re.compile(r"has no server available|failed in logger")

_libc = ctypes.CDLL(None)


class Child:
    """Runs HAProxy once `may_start` is set, and again whenever it ends."""

    def __init__(self, command: Sequence[str | Path], tell: Callable[[str], None]) -> None:
        """*command* runs HAProxy in the foreground, as the master of its workers. *tell* is told why it ended."""
        self.may_start = asyncio.Event()  # there is a configuration
        self._command = [str(word) for word in command]
        self._alerts: deque[str] = deque(maxlen=3)
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The PID of HAProxy's master; None while it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def alert(self) -> str:
        """The first of the last lines that HAProxy called alerts, or ""; the others only say that it gives up."""
        return self._alerts[0] if self._alerts else ""

    def forget_alerts(self) -> None:
        """Have only alerts from now on in `alert`."""
        self._alerts.clear()

    async def run(self) -> None:
        """Keep HAProxy running until cancelled; then end it."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        await self.may_start.wait()
        while True:
            began = loop.time()
            why = await self._run_once()
            if loop.time() - began > STABLE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._tell(f"HAProxy {why}; it is started again")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def reload(self) -> None:
        """Have it read its configuration again, as a version without a master socket is told to."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGUSR2)

    async def _run_once(self) -> str:
        """Start HAProxy; return how it ended."""
        self._alerts.clear()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                preexec_fn=_end_with_parent,
            )
        except OSError as error:
            return f"cannot be started: {(error.strerror or str(error)).lower()}"
        try:
            assert process.stderr is not None
            await self._log(process.stderr)
            code = await process.wait()
        finally:
            await _ended(process)
            self._process = None
        said = f": {self.alert}" if self.alert else ""
        return f"{'was killed by signal ' + str(-code) if code < 0 else f'exited with code {code}'}{said}"

    async def _log(self, stderr: asyncio.StreamReader) -> None:
        while line := await _line(stderr):
            text = _SEVERITY.sub("", line)
            if line.startswith("[ALERT]"):
                if not _OF_OTHERS.search(text):
                    self._alerts.append(text)
                logger.warning("haproxy %s", text)
            else:
                logger.debug("haproxy %s", text)


async def _line(stderr: asyncio.StreamReader) -> str:
    """Return the next line with text, cut to MAX_LINE_CHARACTERS; "" at the end."""
    while True:
        try:
            raw = await stderr.readline()
        except ValueError:  # longer than asyncio's limit, which has dropped it
            continue
        if not raw:
            return ""
        text = "".join(letter if letter.isprintable() else " " for letter in raw.decode("utf-8", "replace"))
        if text.strip():
            return text.strip()[:MAX_LINE_CHARACTERS]


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End *process* if it runs: the master ends its workers."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _end_with_parent() -> None:
    """Have the kernel end this process when the appliance ends, however that happens (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
