"""A fleet with a control socket, and commands that are run against it."""

import asyncio
import time
from pathlib import Path

from click.testing import CliRunner, Result

from appliance.cli import cli
from appliance.control import ControlServer
from appliance.control_client import Json, ask
from appliance.errors import ApplianceError
from appliance.model import Cluster
from tests.boots import LIVE, Fleet


class Appliance(Fleet):
    """A fleet with a control socket."""

    def __init__(self, data_dir: Path, cluster: Cluster = LIVE) -> None:
        super().__init__(data_dir, cluster, now=time.time())
        self.data_dir = data_dir
        self.reloads = 0
        registry = self.registry
        self.server = ControlServer(data_dir, registry, self.bus, registry.order, registry.balance, self._reload)
        self.task = asyncio.create_task(self.server.run())

    def _reload(self) -> None:
        self.reloads += 1

    async def close(self) -> None:
        """Stop serving and close the journal."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()

    async def ask(self, verb: str, **details: object) -> list[Json]:
        """Return the answers to a request."""
        return await asyncio.to_thread(lambda: list(ask(self.server.path, verb, **details)))

    async def run(self, *arguments: str, said: str = "") -> tuple[int, str, str]:
        """Run a command in a thread; return its exit code, output and error output."""

        def invoke() -> Result:
            return CliRunner().invoke(cli, [*arguments, "--data-dir", str(self.data_dir)], input=said)

        result = await asyncio.to_thread(invoke)
        if isinstance(result.exception, ApplianceError):  # main() prints the error and exits with its code
            return result.exception.exit_code, result.stdout, f"{result.exception}\n"
        return result.exit_code, result.stdout, result.stderr
