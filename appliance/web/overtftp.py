"""What GRUB is told over TFTP, where it has no HTTP: judged as the same request over HTTP."""

from collections.abc import Callable, Mapping

from appliance.boot.grub import GrubScript
from appliance.boot.urls import GRUB_SCRIPT
from appliance.errors import StoreError
from appliance.install.installation import Installation
from appliance.web.answers import (
    NO_FINDINGS,
    ErrorResponse,
    HttpRequest,
    LookFirst,
    NeighbourFirst,
    ProbeFirst,
    SendScript,
)
from appliance.web.compile import WebTable
from appliance.web.exchange import ExchangeContext
from appliance.web.finder import Finder
from appliance.web.protocol import judge
from appliance.web.waits import Polls


class ScriptsOverTftp:
    """Answers requests for GRUB's script that come to the TFTP server.

    The guard is the same. But a request by TFTP begins no installation: it is one
    datagram, which anyone could have sent.
    """

    def __init__(
        self,
        table: Callable[[], WebTable],
        installations: Mapping[str, Installation],
        now: Callable[[], float],
        finder: Finder,
        context: ExchangeContext,
        polls: Polls,
    ) -> None:
        self._table = table
        self._installations = installations
        self._now = now
        self._finder = finder
        self._context = context
        self._polls = polls

    async def script_of(self, client: str) -> GrubScript | None:
        """Return what GRUB at the address *client* is told; None if that is nothing now."""
        answer = await self._judged(client)
        unproven = answer.unproven
        if unproven is not None:
            self._context.publish_unproven(unproven, client, GRUB_SCRIPT)
        if not isinstance(answer, SendScript):
            return None
        known = self._table().host(client)
        host = known.host.name if known else ""
        is_quiet = self._polls.is_repeat(host, answer, self._installations)
        if answer.event is not None and not is_quiet:
            self._context.publish(answer.event)
        try:
            if host:
                await self._context.written(host)
        except StoreError:
            return None  # the token in it might not survive a crash
        return GrubScript(answer.content, answer.kind, is_quiet)

    async def _judged(self, client: str) -> SendScript | ErrorResponse:
        asked, found = HttpRequest("GET", f"/{GRUB_SCRIPT}", client), NO_FINDINGS
        while True:
            match judge(asked, self._table(), self._installations, self._now(), found):
                case ProbeFirst() | LookFirst() | NeighbourFirst() as wanted:
                    found = await self._finder.find(wanted, found)
                case SendScript() | ErrorResponse() as answer:
                    return answer
                case _:
                    return ErrorResponse(503, "the installation has not begun")
