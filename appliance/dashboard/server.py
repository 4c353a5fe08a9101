"""The dashboard's HTTP server: one page, its stream, and /metrics. Nothing can be changed through it."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path

from aiohttp import web

from appliance import sockets
from appliance.bus import Bus
from appliance.dashboard.stream import Stream
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
MAX_READERS = 64  # browsers that follow the stream; each costs a few messages a second
# A browser opens at most 6 connections to a server, so 64 browsers have 384; the rest is for Prometheus and scripts.
MAX_CONNECTIONS = 512
# A browser that accepts no message for this long, as on a sleeping laptop, loses its place among MAX_READERS.
WRITE_SECONDS = 30.0
SHUTDOWN_SECONDS = 0.2  # the streams never end by themselves, so a longer wait for them would be useless

HEADERS = {
    # The page loads nothing from other servers, and no other page has a reason to show it in a frame.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    # Nothing is worth keeping: the state changes by the second, and the page has to be that of the running release.
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
        # handler_cancellation: without it the stream of a browser that left would wait for its next event.
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
        # DNS rebinding: a foreign page may have its own name resolve to this server, to read the dashboard with the
        # user's browser. Such a request has the foreign name in its Host header, and never an address.
        host = request.headers.get("Host", "")
        if not _is_address(host) and host.partition(":")[0].lower().rstrip(".") not in self._names():
            raise web.HTTPForbidden(
                text="open the dashboard by its IP address, as localhost, or by the appliance's own name\n"
            )
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
            raise web.HTTPNotFound(text="host not found\n")
        return web.json_response(view.explanation(self._registry, host))

    async def _scrape(self, _request: web.Request) -> web.Response:
        # In a thread: a thousand hosts have many time series, and the servers run in this one.
        body = await asyncio.to_thread(self._metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        if len(self._stream) >= MAX_READERS:
            raise web.HTTPServiceUnavailable(
                text="too many browsers are connected already\n", headers={"Retry-After": "5"}
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        async with aclosing(self._stream.messages()) as messages:
            await response.prepare(request)
            # A browser that disconnects raises here, which ends its own stream and concerns nothing else.
            with suppress(ConnectionResetError):
                async for message in messages:
                    try:
                        async with asyncio.timeout(WRITE_SECONDS):
                            await response.write(message)
                    except TimeoutError:
                        if request.transport is not None:
                            request.transport.abort()  # close() would wait for the browser to take what is buffered
                        break
        return response


class _TurnedAway(asyncio.Protocol):
    """A connection over the limit; it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _bounded(server: web.Server) -> Callable[[], asyncio.Protocol]:
    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < MAX_CONNECTIONS else _TurnedAway()

    return accept


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _is_address(host: str) -> bool:
    """Whether *host*, the value of a Host header, is an IP address and not a name."""
    bare = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True
