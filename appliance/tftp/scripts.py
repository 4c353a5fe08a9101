"""Requests of GRUB for what it is told, which takes a moment to find out: who waits for an answer."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from appliance.boot.grub import GrubScript
from appliance.boot.urls import is_grub_script
from appliance.events import WebKind
from appliance.tftp.files import Content, Found
from appliance.tftp.protocol import Refusal
from appliance.tftp.session import Peer

logger = logging.getLogger(__name__)

# Each of them waits for the kernel to resolve an address, or for a probe: seconds at most. GRUB asks again. A thousand
# hosts that power on in the same second, twice. Only hosts wait; a stranger is answered in the same turn of the loop.
MAX_ASKING = 2048
# Of one address. GRUB asks from one port at a time; requests that are forged in the name of a host that is off, each of
# which waits a second, must not take the places of the others.
MAX_CLIENT_ASKING = 2

ScriptOf = Callable[[str], Awaitable[GrubScript | None]]  # for the client's address; None if it may have nothing now


async def no_script(_client: str) -> GrubScript | None:
    """Return None: this server has no scripts."""
    return None


class Askings:
    """The clients whose script is being found out, each once."""

    def __init__(self, script_of: ScriptOf) -> None:
        self._script_of = script_of
        self._tasks: dict[Peer, asyncio.Task[None]] = {}
        self._of_address: Counter[str] = Counter()

    @staticmethod
    def concerns(name: str) -> bool:
        """Whether *name* is a script, and not a file."""
        return is_grub_script(name)

    def begin(self, peer: Peer, name: str, answer: Callable[[Found], None]) -> bool:
        """Call *answer* with the script for *peer* once it is known; return False if there is no room for it."""
        is_full = len(self._tasks) >= MAX_ASKING or self._of_address[peer[0]] >= MAX_CLIENT_ASKING
        if peer in self._tasks or is_full:
            return False
        task = self._tasks[peer] = asyncio.get_running_loop().create_task(self._ask(peer, name, answer))
        self._of_address[peer[0]] += 1
        task.add_done_callback(lambda _: self._forget(peer))
        return True

    def _forget(self, peer: Peer) -> None:
        del self._tasks[peer]
        self._of_address[peer[0]] -= 1
        if not self._of_address[peer[0]]:  # else every address that was ever seen would stay
            del self._of_address[peer[0]]

    def stop(self) -> None:
        """Answer nobody any more."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def _ask(self, peer: Peer, name: str, answer: Callable[[Found], None]) -> None:
        try:
            answer(_found(name, await self._script_of(peer[0])))
        except Exception:  # a bug; one client must not end the server
            logger.exception("tftp.script client=%s", peer[0])


def _found(name: str, script: GrubScript | None) -> Found:
    if script is None:  # why has an event of its own
        return Found(name, Refusal.NOT_NOW, WebKind.SCRIPT, is_repeat=True)
    return Found(name, Content(script.content), script.kind, script.is_quiet, script.arrived)
