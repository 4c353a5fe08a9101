"""The dashboard's listener: one page, its stream, and /metrics. It changes nothing."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path

from aiohttp import web

from appliance import sockets
from appliance.dashboard.stream import Stream
from appliance.events import Bus
from appliance.metrics import CONTENT_TYPE, Metrics
from appliance.model import Listen
from appliance.registry_view import RegistryView
from appliance.status import view

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": "index.html",
    **{f"/{name}": name for name in ("page.css", "page.js", "waterfall.js", "tables.js", "words.js", "icon.svg")},
}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_READERS = 64  # browsers that follow; each costs a few messages a second
MAX_CONNECTIONS = 512  # a browser opens six at most, so this is all readers with theirs, and Prometheus
WRITE_SECONDS = 30.0  # for a browser to take a message; a laptop that fell asleep gives its place back
SHUTDOWN_SECONDS = 0.2

HEADERS = {
    # The page needs nothing from anywhere else, and nobody else needs it in a frame.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class DashboardServer:
    """Serves the dashboard to browsers and the metrics to Prometheus."""

    def __init__(self, listen: Listen, registry: RegistryView, bus: Bus, metrics: Metrics) -> None:
        """Open the sockets; raises ListenError."""
        self._registry = registry
        self._metrics = metrics
        self._stream = Stream(registry, bus)
        self._static = {path: (STATIC / name).read_bytes() for path, name in FILES.items()}
        self._sockets = [
            sockets.tcp_server(endpoint.address, endpoint.port, setting="listen.dashboard")
            for endpoint in listen.dashboard
        ]

    async def run(self) -> None:
        """Serve until cancelled."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/stream", self._follow, allow_head=False)
        app.router.add_get("/hosts/{name}", self._explain)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._scrape)
        for path in FILES:
            app.router.add_get(path, self._page)
        app.on_response_prepare.append(_add_headers)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=True)
        await runner.setup()
        assert runner.server is not None  # setup() makes it
        accept = _bounded(runner.server)
        listeners = []
        try:
            for sock in self._sockets:
                loop = asyncio.get_running_loop()
                listeners.append(await loop.create_server(accept, sock=sock, backlog=sockets.BACKLOG))
            await asyncio.Event().wait()
        finally:
            for listener in listeners:
                listener.close()
            await runner.cleanup()
            for sock in self._sockets:
                sock.close()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # A page of somebody else's whose name is made to lead here must not read this one (DNS rebinding).
        host = request.headers.get("Host", "")
        if not _is_address(host) and host.partition(":")[0].lower().rstrip(".") not in self._names():
            raise web.HTTPForbidden(text="ask for the dashboard by its address, localhost or the appliance's name\n")
        return await handler(request)

    def _names(self) -> set[str]:
        return {cluster.appliance_name.lower() for cluster in self._registry.clusters} | {"localhost"}

    async def _page(self, request: web.Request) -> web.Response:
        suffix = Path(FILES[request.path]).suffix
        return web.Response(body=self._static[request.path], content_type=TYPES[suffix], charset="utf-8")

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(view.status(self._registry))

    async def _explain(self, request: web.Request) -> web.Response:
        host = self._registry.hosts.get(request.match_info["name"])
        if host is None:
            raise web.HTTPNotFound(text="there is no such host\n")
        return web.json_response(view.explanation(self._registry, host))

    async def _scrape(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        if len(self._stream) >= MAX_READERS:
            raise web.HTTPServiceUnavailable(text="too many browsers follow already\n", headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        async with aclosing(self._stream.messages()) as messages:
            await response.prepare(request)
            # A browser that went away ends its own stream, nothing else.
            with suppress(ConnectionResetError):
                async for message in messages:
                    try:
                        async with asyncio.timeout(WRITE_SECONDS):
                            await response.write(message)
                    except TimeoutError:
                        if request.transport is not None:
                            request.transport.abort()  # what it has not taken, it never will
                        break
        return response


class _TurnedAway(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _bounded(server: web.Server) -> Callable[[], asyncio.Protocol]:
    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < MAX_CONNECTIONS else _TurnedAway()

    return accept


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _is_address(host: str) -> bool:
    """Whether *host*, of a Host header, is an address and not a name."""
    bare = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True
