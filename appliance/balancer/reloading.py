"""Has HAProxy load its configuration again, without losing a connection, and finds out whether it did."""

import asyncio
from collections.abc import Mapping

from appliance.balancer import files, runtime
from appliance.balancer.configured import ConfigFile
from appliance.balancer.files import Place
from appliance.balancer.process import Child
from appliance.balancer.runtime import UnheardError

# A worker with certificates of many members takes a second or two.
RELOAD_SECONDS = 15.0
# Between attempts to tell HAProxy, which does not listen to commands for a moment after a reload.
FIRST_PAUSE_SECONDS = 2.0
# Between reloads with the same text. One that fails costs connections: the worker gives up its listeners for two or
# three seconds, in which the new one tries to open them. It also counts for mworker-max-reloads, as if the worker
# were an old one.
FAILED_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 3600.0


class Reloader:
    """Reloads HAProxy; one that does not help is followed by ever longer pauses."""

    def __init__(self, place: Place, config: ConfigFile, child: Child | None) -> None:
        self._place = place
        self._config = config
        self._child = child
        self._pause = FIRST_PAUSE_SECONDS
        self._next_at = 0.0  # loop clock
        self._mark: str | None = None  # of the text of the last attempt
        self._trouble: str | None = None

    async def reload(self, ports: Mapping[tuple[str, str], tuple[int, int]]) -> str | None:
        """Have HAProxy load the text on disk; return why it did not. *ports* are as for `runtime.state_of_ports`."""
        loop = asyncio.get_running_loop()
        if self._config.mark != self._mark:
            self._mark = self._config.mark
            self.hurry()
        if loop.time() < self._next_at:
            return self._trouble
        least, longest = FIRST_PAUSE_SECONDS, FAILED_PAUSE_SECONDS
        if self._child is not None:
            self._child.forget_alerts()
        try:
            # The new worker reads the file, and so knows who is up, and who was told to leave.
            state = await runtime.ask(self._place.stats, "show servers state")
            files.write_whole(self._place.server_state, runtime.state_of_ports(state, ports))
            self._trouble = await self._reload()
            least, longest = FAILED_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
        except OSError as error:
            self._trouble = f"cannot write {self._place.server_state}: {(error.strerror or str(error)).lower()}"
        except UnheardError as error:
            self._trouble = f"HAProxy cannot be told to load its new configuration: {error}"
        pause = min(max(self._pause, least), longest)
        self._next_at, self._pause = loop.time() + pause, 2 * pause
        return self._trouble

    def hurry(self) -> None:
        """Have the next reload without a pause: what it loads, or what prevented it, may have changed."""
        self._pause, self._next_at = FIRST_PAUSE_SECONDS, 0.0

    def settle(self) -> None:
        """Note that no reload is needed."""
        self.hurry()
        self._trouble = None

    async def _reload(self) -> str | None:
        if not self._config.version.has_master_socket:
            return await self._reload_by_signal()
        failed = runtime.processes(await self._ask_master("show proc")).failed
        # Since 2.7 it answers when it is done, and tells whether it could.
        answer = await runtime.ask(self._place.master, "reload", seconds=RELOAD_SECONDS)
        if answer.startswith("Success=0"):
            return self._failure(files.reason(answer))
        return await self._loaded(failed)

    async def _reload_by_signal(self) -> str | None:
        if self._child is not None:
            self._child.reload()
            return await self._loaded(0)
        return (
            f"HAProxy {self._config.version} has no master socket, and uses its former configuration; run `systemctl"
            " reload ocp-appliance-haproxy`"
        )

    async def _loaded(self, failed: int) -> str | None:
        """Wait until a worker says that it has loaded the text on disk; return why none did.

        *failed* is how many reloads had failed before.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RELOAD_SECONDS
        while loop.time() < deadline:
            try:
                worker = runtime.info(await runtime.ask(self._place.stats, "show info"))
                if worker.description == self._config.mark:
                    return None
                has_socket = self._config.version.has_master_socket
                if has_socket and runtime.processes(await self._ask_master("show proc")).failed > failed:
                    break
            except UnheardError:
                pass  # between the old process and the new one
            await asyncio.sleep(0.05)
        return self._failure(self._child.alert if self._child is not None else "")

    async def _ask_master(self, command: str) -> str:
        return await runtime.ask(self._place.master, command, is_master=True)

    def _failure(self, why: str) -> str:
        where = "the log of the appliance" if self._child is not None else "`journalctl -u ocp-appliance-haproxy`"
        return (
            f"HAProxy did not load its new configuration, and uses the former one: {why or 'see ' + where}; it is tried"
            " again ever more rarely, and at once when cluster.yaml is reloaded"
        )
