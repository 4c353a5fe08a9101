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
from appliance.web.protocol import is_host, judge
from appliance.web.waits import Polls


class ScriptsOverTftp:
    """Answers requests for GRUB's script that come to the TFTP server.

    The guard is the same. But a request by TFTP is one datagram, which anyone could have
    sent: it begins no installation, and what the script tells the host is neither
    published nor remembered before the script has arrived there.
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
        answer, is_its_host = await self._judged(client)
        if isinstance(answer, ErrorResponse):
            if answer.unproven is not None:  # the kernel says so
                self._context.publish_unproven(answer.unproven, client, GRUB_SCRIPT)
            return None
        known = self._table().host(client)
        host = known.host.name if known and is_its_host else ""
        try:
            if host:
                await self._context.written(host)
        except StoreError:
            return None  # the token in it might not survive a crash
        is_quiet = self._polls.repeats(host, answer, self._installations)
        return GrubScript(answer.content, answer.kind, is_quiet, lambda: self._tell(host, client, answer))

    def _tell(self, host: str, client: str, sent: SendScript) -> None:
        """Publish what *sent*, which has arrived, says about *host*."""
        is_quiet = self._polls.is_repeat(host, sent, self._installations)
        if sent.event is not None and not is_quiet:
            self._context.publish(sent.event)
        if sent.unproven is not None:
            self._context.publish_unproven(sent.unproven, client, GRUB_SCRIPT)

    async def _judged(self, client: str) -> tuple[SendScript | ErrorResponse, bool]:
        """Return the answer to *client*, and whether it is the host whose address it has, as far as our links show."""
        asked, found, is_its_host = HttpRequest("GET", f"/{GRUB_SCRIPT}", client), NO_FINDINGS, True
        while True:
            match judge(asked, self._table(), self._installations, self._now(), found):
                case ProbeFirst() | LookFirst() as wanted:
                    found = await self._finder.find(wanted, found)
                case NeighbourFirst() as wanted:
                    found = await self._finder.find(wanted, found)
                    is_its_host = found.neighbour is not None and is_host(wanted.macs, found.neighbour)
                case SendScript() | ErrorResponse() as answer:
                    return answer, is_its_host
                case _:
                    return ErrorResponse(503, "the installation has not begun"), is_its_host
