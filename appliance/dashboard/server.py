"""The dashboard's listener: one page, its stream, and /metrics. It changes nothing."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from appliance import sockets
from appliance.dashboard import view
from appliance.dashboard.stream import Stream
from appliance.install.registry import Registry
from appliance.metrics import CONTENT_TYPE, Metrics
from appliance.model import Listen

STATIC = Path(__file__).parent / "static"
FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_READERS = 64  # browsers that follow; each costs a few messages a second
SHUTDOWN_SECONDS = 0.2

HEADERS = {
    # The page needs nothing from anywhere else, and nobody else needs it in a frame.
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class DashboardServer:
    """Serves the dashboard to browsers and the metrics to Prometheus."""

    def __init__(self, listen: Listen, registry: Registry, metrics: Metrics) -> None:
        """Open the sockets; raises ListenError."""
        self._registry = registry
        self._metrics = metrics
        self._stream = Stream(registry)
        self._names = {cluster.appliance_name for cluster in registry.clusters} | {"localhost"}
        self._static = {path: (STATIC / name).read_bytes() for path, name in FILES.items()}
        self._sockets = [
            sockets.tcp_server(endpoint.address, endpoint.port, setting="listen.dashboard")
            for endpoint in listen.dashboard
        ]

    async def run(self) -> None:
        """Serve until cancelled."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/stream", self._follow)
        app.router.add_get("/hosts/{name}", self._explain)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._scrape)
        for path in FILES:
            app.router.add_get(path, self._page)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            for sock in self._sockets:
                await web.SockSite(runner, sock).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            for sock in self._sockets:
                sock.close()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # A page of somebody else's whose name is made to lead here must not read this one (DNS rebinding).
        if not _is_address(request.host) and request.host.partition(":")[0].lower() not in self._names:
            raise web.HTTPForbidden(text="ask for the dashboard by its address, localhost or the appliance's name\n")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        suffix = Path(FILES[request.path]).suffix
        return web.Response(
            body=self._static[request.path], content_type=TYPES[suffix], headers=HEADERS, charset="utf-8"
        )

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(view.status(self._registry), headers=HEADERS)

    async def _explain(self, request: web.Request) -> web.Response:
        host = self._registry.hosts.get(request.match_info["name"])
        if host is None:
            raise web.HTTPNotFound(text="there is no such host\n")
        return web.json_response(view.explanation(self._registry, host), headers=HEADERS)

    async def _scrape(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        if len(self._stream) >= MAX_READERS:
            raise web.HTTPServiceUnavailable(text="too many browsers follow already\n", headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        # A browser that went away ends its own stream, nothing else.
        with suppress(ConnectionResetError):
            async for message in self._stream.messages():
                await response.write(message)
        return response


def _is_address(host: str) -> bool:
    """Whether *host*, of a Host header, is an address and not a name."""
    bare = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True
