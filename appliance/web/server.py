"""The web server: its sockets, and the order in which a request is judged."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from appliance import sockets
from appliance.boot.loaders import find_loader
from appliance.boot.urls import IGNITION_FILES
from appliance.events import Event, WaitEnded, WebKind
from appliance.files import Identity, UnservableError, open_below
from appliance.install.guard import ignition_verdict
from appliance.install.lifecycle import Installation, Order
from appliance.model import Host, Listen
from appliance.tables import Live
from appliance.web import protocol
from appliance.web.compile import Site, WebHost
from appliance.web.connections import Connections
from appliance.web.exchange import Desk, Exchange
from appliance.web.ignition import IgnitionShelf
from appliance.web.machineconfig import LONGEST_WAIT_SECONDS, MachineConfigProbe
from appliance.web.watch import ImageWatch

WATCH_SECONDS = 2.0  # between two looks at the files on disk
SHUTDOWN_SECONDS = 0.2  # for what is under way when we are cancelled; drain() gave it its time
NO_FILE_SECONDS = 30  # until a host asks again for an Ignition file that the operator has not put there


class WebServer:
    """Serves scripts, loaders, images and Ignition to the machines.

    `counts` holds ("request", kind, status), ("bytes", kind) and ("broken", kind),
    kind being a WebKind's value, and ("connection", "turned away").
    """

    def __init__(self, live: Live, listen: Listen, publish: Callable[[Event], None]) -> None:
        """Open the sockets; raises ListenError."""
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._live = live
        self._publish = publish
        self._sockets = [
            sockets.tcp_server(endpoint.address, endpoint.port, setting="listen.http") for endpoint in listen.http
        ]
        self._servers: list[asyncio.Server] = []
        self._connections: Connections | None = None
        self._desk = Desk(publish, self.counts)
        self._idle = asyncio.Event()
        self._idle.set()
        self._images = ImageWatch(publish)
        self._ignition = IgnitionShelf(publish)
        self._probes: dict[tuple[tuple[str, int], ...], MachineConfigProbe] = {}
        self._waiting: dict[str, tuple[int, float]] = {}  # by host: its installation, since when (loop clock)
        self._polling: dict[str, tuple[int, Order]] = {}  # by host whose last script told it to wait: then

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        self._connections = Connections(self._serve, self._malformed)
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
        """Take no new connection, end those that idle, and wait at most *seconds* for the others."""
        for server in self._servers:
            server.close()
        if self._connections is not None:
            self._connections.end_idle()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    async def _watch(self, connections: Connections) -> None:
        """Look at the files that cluster.yaml names, again and again."""
        while True:
            for site in self._live.tables.web.sites:
                for name in IGNITION_FILES:
                    await self._ignition.get(site.ignition(name), site.domain)
                await self._images.look(site)
            self.counts["connection", "turned away"] = connections.turned_away
            await asyncio.sleep(WATCH_SECONDS)

    def _malformed(self, request: web.BaseRequest, why: str) -> web.StreamResponse:
        return Exchange(self._desk, request, "").malformed(why)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._connections is not None
        busy, connection = self._connections.busy, request.protocol
        busy.add(connection)
        self._idle.clear()
        try:
            return await self._answer(request)
        finally:
            busy.discard(connection)
            if not busy:
                self._idle.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        table = self._live.tables.web
        client = request.remote or ""
        known = table.host(client)
        exchange = Exchange(self._desk, request, known.host.name if known else "")
        if request.method not in protocol.METHODS:
            return await exchange.refuse(protocol.Refusal(405, "only GET and HEAD are served"))
        asked = protocol.asked_for(table, client, request.raw_path)
        may_go_on = True
        if known is not None and protocol.waits_for_machine_config(asked, self._installation(known)):
            may_go_on = await self._may_go_on(known)
            # A reload may have come between.
            asked = protocol.asked_for(self._live.tables.web, client, request.raw_path)
        if isinstance(asked, protocol.Script):
            return await self._send_script(exchange, asked, may_go_on=may_go_on)
        if isinstance(asked, protocol.Ignition):
            return await self._send_ignition(exchange, asked, known.host if known else None)
        if isinstance(asked, protocol.File):
            return await self._send_file(exchange, asked)
        return await exchange.refuse(asked)

    async def _send_script(self, exchange: Exchange, asked: protocol.Script, *, may_go_on: bool) -> web.StreamResponse:
        installation = self._installation(asked.host)
        exchange.what = protocol.script_kind(asked, installation, may_go_on=may_go_on)
        exchange.is_quiet = self._repeats_poll(exchange, installation)
        body = protocol.script(asked, exchange.what, installation)
        exchange.start(0 if isinstance(body, protocol.Refusal) else len(body))
        if isinstance(body, protocol.Refusal):
            # That may have been the first word of the host, and have begun its installation.
            body = protocol.script(asked, exchange.what, self._installation(asked.host))
        if isinstance(body, protocol.Refusal):
            return await exchange.refuse(body)
        site = asked.host.site if asked.host else self._live.tables.web.sites[0]
        return await exchange.send_text(body, site.made_at)

    async def _send_ignition(
        self, exchange: Exchange, asked: protocol.Ignition, host: Host | None
    ) -> web.StreamResponse:
        exchange.what = WebKind.IGNITION
        if asked.token is not None:
            exchange.path = f"/ignition/…/{asked.name}"  # the token is a secret
        path = asked.site.ignition(asked.name)
        file = await self._ignition.get(path, asked.site.domain)
        refusal = self._ignition_refusal(exchange, asked, host, file.facts.expires_at if file else None)
        if refusal is not None:
            return await exchange.refuse(refusal)
        if file is None:
            # coreos-installer gives up for good at a 404, but the operator may still bring the file.
            status = 404 if asked.token is None else 503
            why = f"{path} cannot be given: {self._ignition.problem(path, asked.site.domain)}"
            return await exchange.refuse(protocol.Refusal(status, why, retry_seconds=NO_FILE_SECONDS))
        entity = file.identity.entity("application/vnd.coreos.ignition+json")
        exchange.start(entity.size)
        return await exchange.send_bytes(entity, file.content)

    def _ignition_refusal(
        self, exchange: Exchange, asked: protocol.Ignition, host: Host | None, expires_at: float | None
    ) -> protocol.Refusal | None:
        """Return why the client does not get the file now, or None."""
        if asked.token is None:
            if exchange.method == "HEAD":
                return None
            why = "only a host's own script names the path that gives it; HEAD is there for checking"
            return protocol.Refusal(403, why)
        verdict = ignition_verdict(
            host,
            self._live.installations.get(host.name) if host else None,
            asked.name,
            asked.token,
            expires_at=expires_at,
            now=time.time(),
            serve_expired=asked.site.serve_expired,
        )
        if verdict.status == 200:
            return None
        return protocol.Refusal(verdict.status, verdict.why, retry_seconds=verdict.retry_seconds)

    async def _send_file(self, exchange: Exchange, asked: protocol.File) -> web.StreamResponse:
        exchange.what = asked.kind
        try:
            fd, identity = self._open(exchange, asked)
        except UnservableError as error:
            return await exchange.refuse(protocol.Refusal(error.status, str(error), retry_seconds=error.retry_seconds))
        try:
            return await exchange.send_file(identity.entity(protocol.content_type(asked.path)), fd)
        finally:
            os.close(fd)

    def _open(self, exchange: Exchange, asked: protocol.File) -> tuple[int, Identity]:
        """Return the file that the path names for this client, opened; raises UnservableError."""
        failures: list[UnservableError] = []
        for site in asked.sites:
            try:
                return self._open_at(exchange, asked.path, site)
            except UnservableError as error:
                failures.append(error)
        # A file that is there and cannot be had says more than the places where it is not.
        raise next((failure for failure in failures if failure.status != 404), failures[0])

    def _open_at(self, exchange: Exchange, path: str, site: Site) -> tuple[int, Identity]:
        loader = None if path in site.kinds else find_loader(path, site.data_dir)
        if loader is not None:
            exchange.what = WebKind.LOADER
            real = loader.resolve()  # Debian has a link to /boot
            return open_below(real.parent, real.name)
        fd, identity = open_below(site.images, path)
        expected = site.sha256.get(path)
        found = self._images.sha256(site.images / path, identity)
        if expected and found and found != expected:
            os.close(fd)
            why = f"{site.images / path} has the sha256 {found}, cluster.yaml says {expected}; fetch it again"
            raise UnservableError(503, why)
        return fd, identity

    def _installation(self, host: WebHost | None) -> Installation | None:
        return self._live.installations.get(host.host.name) if host is not None else None

    def _repeats_poll(self, exchange: Exchange, installation: Installation | None) -> bool:
        """Return whether the host was told to wait the last time too; the journal holds that once."""
        if exchange.what is not WebKind.WAIT:
            self._polling.pop(exchange.host, None)
            return False
        # An order in between, or a new installation, makes it news again: it may wait for something else now.
        when = (installation.number, installation.order) if installation else (0, Order.INSTALL)
        repeats = self._polling.get(exchange.host) == when
        self._polling[exchange.host] = when
        return repeats

    async def _may_go_on(self, host: WebHost) -> bool:
        """Return whether the host's cluster configures machines already, or the host has waited long enough."""
        servers = host.site.machine_config
        probe = self._probes.get(servers)
        if probe is None:
            probe = self._probes[servers] = MachineConfigProbe(servers)
        name = host.host.name
        if await probe.answers():
            self._waiting.pop(name, None)
            return True
        now = asyncio.get_running_loop().time()
        installation = self._installation(host)
        number = installation.number if installation else 0
        known_number, since = self._waiting.get(name, (-1, now))
        if known_number != number:
            self._waiting[name] = number, now
            return False
        if now - since < LONGEST_WAIT_SECONDS:
            return False
        self._publish(WaitEnded(name, f"nothing answered on {servers[0][0]}:{servers[0][1]} for {now - since:.0f} s"))
        return True
