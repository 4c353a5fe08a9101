"""The web server's sockets, and the reads, probes and responses that `protocol.judge` asks for. It decides nothing."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from aiohttp import web

from appliance import sockets
from appliance.events import Event
from appliance.install.installation import Installation
from appliance.model import Listen
from appliance.neighbours import MacOf, unknown_mac
from appliance.web.answers import (
    IGNITION_TYPE,
    NO_FINDINGS,
    BeginFirst,
    ErrorResponse,
    Findings,
    HttpRequest,
    IgnitionFinding,
    LookFirst,
    NeighbourFirst,
    ProbeFirst,
    ReadFirst,
    SendFile,
    SendIgnition,
    SendScript,
)
from appliance.web.compile import WebTable
from appliance.web.connections import HttpConnections
from appliance.web.exchange import Exchange, ExchangeContext, refuse_unread
from appliance.web.finder import Finder, HasMaster, unknown_master
from appliance.web.gate import Gate
from appliance.web.head import Refusal
from appliance.web.ignition import IgnitionFile, IgnitionShelf
from appliance.web.opening import Opened, entity_of, open_first
from appliance.web.overtftp import ScriptsOverTftp
from appliance.web.protocol import ignition_files, is_host, judge
from appliance.web.waits import Polls
from appliance.web.watch import ImageWatch

WATCH_SECONDS = 2.0  # between two looks at the files on disk
SHUTDOWN_SECONDS = 0.2  # for what is under way when we are cancelled; drain() gave it its time

Written = Callable[[str], Awaitable[None]]


async def already_written(_host: str) -> None:
    """Return at once: the state was on disk before the subscriber of its event returned."""


class WebServer:
    """Serves scripts, loaders, images and Ignition to the machines.

    `counts` holds ("request", kind, status), ("bytes", kind) and ("broken", kind),
    kind being a WebKind's value, and ("connection", "turned away").
    """

    def __init__(
        self,
        table: Callable[[], WebTable],
        installations: Mapping[str, Installation],
        listen: Listen,
        publish: Callable[[Event], None],
        written: Written = already_written,
        now: Callable[[], float] = time.time,
        mac_of: MacOf = unknown_mac,
        has_master: HasMaster = unknown_master,
    ) -> None:
        """Open the sockets. Raises ListenError.

        *table* returns what is served now. *written* is awaited with a host's full
        name before a script or Ignition goes out to it, and returns once the state
        that this answer depends on would survive a crash. *now* returns the time in
        seconds UTC by which the installations are. *mac_of* returns the MAC address
        of a client, as `Neighbours.mac` does. *has_master* says what the load balancer
        knows of a cluster's machine config server.
        """
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._table = table
        self._installations = installations
        self._publish = publish
        self._now = now
        self._sockets = [
            sockets.tcp_server(endpoint.address, endpoint.port, setting="listen.http") for endpoint in listen.http
        ]
        self._servers: list[asyncio.Server] = []
        self._connections: HttpConnections | None = None
        self._context = ExchangeContext(publish, self.counts, written, installations)
        self._idle = asyncio.Event()
        self._idle.set()
        self._images = ImageWatch(publish)
        self._ignition = IgnitionShelf(publish)
        self._gate = Gate(self._images.sha256, self._ignition.servable, now)
        self._finder = Finder(table, installations, mac_of, self._gate, has_master)
        self._polls = Polls()
        self.over_tftp = ScriptsOverTftp(table, installations, now, self._finder, self._context, self._polls)

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        self._connections = HttpConnections(self._serve, self._refuse, self._is_host)
        try:
            for sock in self._sockets:
                server = await loop.create_server(self._connections, sock=sock, backlog=sockets.BACKLOG)
                self._servers.append(server)
            await self._watch(self._connections)
        finally:
            self._images.stop()
            for server in self._servers:
                server.close()
            for sock in self._sockets:
                sock.close()
            await self._connections.shutdown(SHUTDOWN_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Accept no new connections, close the idle ones, and wait at most *seconds* for the others."""
        for server in self._servers:
            server.close()
        if self._connections is not None:
            self._connections.end_idle()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    async def _watch(self, connections: HttpConnections) -> None:
        """Check the files that cluster.yaml names every WATCH_SECONDS."""
        while True:
            table = self._table()
            for wanted in ignition_files(table):
                await self._ignition.servable(wanted.site, wanted.name)
            for site in table.sites:
                self._ignition.look(site)
                await self._images.look(site)
            self.counts["connection", "turned away"] = connections.doors.turned_away
            await asyncio.sleep(WATCH_SECONDS)

    def _refuse(self, client: str, refusal: Refusal) -> bytes:
        return refuse_unread(self._context, client, refusal)

    def _is_host(self, client: str) -> bool:
        return self._table().host(client) is not None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._connections is not None
        busy, connection = self._connections.busy, request.protocol
        busy.add(connection)
        self._idle.clear()
        try:
            return await self._answer(request)
        finally:
            busy.discard(connection)
            # For drain(), which waits until no request is being answered.
            if not busy:
                self._idle.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Collect what the judge asks for until it returns a response, and send that.

        This ends, because each finding is asked for once, or once more after a reload.
        """
        asked = HttpRequest(request.method, request.raw_path, request.remote or "")
        # Events name the host that the client's address belonged to when its request arrived.
        host = self._table().host(asked.client)
        exchange = Exchange(self._context, request, host.host.name if host else "")
        found = NO_FINDINGS
        if host is not None:
            found = self._finder.known(host, asked.client)
            if found.neighbour is not None and not is_host(host.macs, found.neighbour):
                exchange.host = ""  # what it fetches says nothing about the host
        ignition: IgnitionFile | None = None
        while True:
            match judge(asked, self._table(), self._installations, self._now(), found):
                case ProbeFirst() | LookFirst() as wanted:
                    found = await self._finder.find(wanted, found)
                case ReadFirst() as wanted:
                    read = await self._ignition.servable(wanted.site, wanted.name)
                    ignition = read if isinstance(read, IgnitionFile) else None
                    found = replace(found, ignition=_finding(wanted, read))
                case NeighbourFirst() as wanted:
                    found = await self._finder.find(wanted, found)
                    if found.neighbour is None or not is_host(wanted.macs, found.neighbour):
                        exchange.host = ""
                case BeginFirst(kind):
                    exchange.kind = kind
                    exchange.start(0)
                    found = replace(found, has_begun=True)
                case SendScript() as answer:
                    return await self._send_script(exchange, answer, found)
                case SendIgnition() as answer:
                    assert ignition is not None  # the judge has a finding that says so
                    return await self._send_ignition(exchange, answer, ignition)
                case SendFile() as answer:
                    return await self._send_file(exchange, answer)
                case ErrorResponse() as answer:
                    return await exchange.refuse(answer)

    async def _send_script(self, exchange: Exchange, answer: SendScript, found: Findings) -> web.StreamResponse:
        exchange.kind = answer.kind
        if answer.unproven is not None:
            exchange.tell(answer.unproven)
        # Before the event below, which may change the installation that this compares with.
        exchange.is_quiet = self._polls.is_repeat(exchange.host, answer, self._installations)
        if answer.event is not None and not exchange.is_quiet:
            self._publish(answer.event)
        # The event may begin a new try of the host. The reducer then keeps the token that is in this script already.
        if not found.has_begun:
            exchange.start(len(answer.content))
        return await exchange.send_text(answer.content, answer.changed_at)

    async def _send_ignition(self, exchange: Exchange, answer: SendIgnition, file: IgnitionFile) -> web.StreamResponse:
        exchange.kind = answer.kind
        exchange.shown_path = answer.shown_path
        entity = entity_of(file.identity, IGNITION_TYPE)
        # The host counts as having the file from its first byte on. The body is a single write, so that after a crash
        # at this point it most likely does; otherwise it asks again.
        return await exchange.send_whole(entity, file.content)

    async def _send_file(self, exchange: Exchange, answer: SendFile) -> web.StreamResponse:
        match open_first(answer, self._images.sha256):
            case Opened(fd, identity, entity, kind):
                exchange.kind = kind
                try:
                    return await exchange.send_file(entity, fd, identity)
                finally:
                    os.close(fd)
            case ErrorResponse() as error:
                return await exchange.refuse(error)


def _finding(wanted: ReadFirst, read: IgnitionFile | str) -> IgnitionFinding:
    if isinstance(read, IgnitionFile):
        return IgnitionFinding(wanted, expires_at=read.facts.expires_at)
    return IgnitionFinding(wanted, read)
