"""The real appliance as a child process; it is ready when it says so by sd_notify(3)."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.balancer.files import SOCKETS_VARIABLE, STATE_VARIABLE
from appliance.errors import SimulationError
from appliance.simulate.lab import die_with_parent
from appliance.simulate.link import readable

READY_SECONDS = 30.0  # a thousand hosts take three
STOP_SECONDS = 10.0
LOG_LINES_SHOWN = 15


def _environment() -> dict[str, str]:
    """Return the environment without the place of an HAProxy that a service manager runs: this one has its own."""
    return {name: value for name, value in os.environ.items() if name not in (SOCKETS_VARIABLE, STATE_VARIABLE)}


class Appliance:
    """A running `ocp-appliance serve`, which is killed when this process ends for whatever reason."""

    def __init__(self, cluster_file: Path, data_dir: Path) -> None:
        """Start serving *cluster_file*; the log goes to serve.log in *data_dir*."""
        self._cluster_file, self._data_dir = cluster_file, data_dir
        self.log = data_dir / "serve.log"

    async def __aenter__(self) -> Self:
        notify_path = self._data_dir / "notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
            notify.bind(str(notify_path))
            with self.log.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "appliance", "serve", str(self._cluster_file)),
                    *("--data-dir", str(self._data_dir), "--log", "text"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**_environment(), "NOTIFY_SOCKET": str(notify_path)},
                    # Ctrl-C at the terminal is meant for us; we stop the child ourselves.
                    start_new_session=True,
                    preexec_fn=lambda: die_with_parent(signal.SIGKILL),
                )
            try:
                await self._wait_until_ready(notify)
            except BaseException:
                await self.stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _wait_until_ready(self, notify: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        while loop.time() < deadline:
            if await readable(notify, 0.2):
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            elif self._process.returncode is not None:
                raise SimulationError(f"ocp-appliance serve exited before it was ready:\n{self.last_lines()}")
        raise SimulationError(f"ocp-appliance serve was not ready after {READY_SECONDS:g} s:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of its log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        return ""

    @property
    def is_running(self) -> bool:
        """Whether the process is still running."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """Stop the process and wait for it to exit."""
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            if self._process.returncode is not None:
                return
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), seconds)
