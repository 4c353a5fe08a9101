"""The dashboard's HTTP server: one page, its stream, and /metrics. Nothing can be changed through it."""

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from appliance import sockets
from appliance.balancer.view import BalancerView
from appliance.bus import Bus
from appliance.dashboard.stream import Stream
from appliance.metrics import CONTENT_TYPE, Metrics
from appliance.model import Listen
from appliance.registry_view import RegistryView
from appliance.status import view
from appliance.web.connections import FINISH_SECONDS, IDLE_SECONDS, GatedConnection
from appliance.web.doors import Doors
from appliance.web.head import Refusal

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": "index.html",
    **{
        f"/{name}": name
        for name in ("page.css", "page.js", "balancer.js", "waterfall.js", "tables.js", "words.js", "icon.svg")
    },
}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_READERS = 64  # browsers that follow the stream; each costs a few messages a second
# Answers that are sent at this moment and that hold the whole state: at 1,000 hosts about 2 MB each.
MAX_ANSWERS = 16
FRESH_SECONDS = 1.0  # for which such an answer is given again: with 1,000 hosts, making one takes tens of ms
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

    def __init__(
        self,
        listen: Listen,
        registry: RegistryView,
        bus: Bus,
        metrics: Metrics,
        balancer: BalancerView | None = None,
    ) -> None:
        """Open the sockets; raises ListenError. *balancer* is None if the appliance drives no load balancer."""
        self._registry = registry
        self._balancer = balancer
        self._metrics = metrics
        self._stream = Stream(registry, bus, balancer)
        # Nobody has places of their own: all browsers may come through one proxy or tunnel.
        self.doors: Doors[GatedConnection] = Doors(MAX_CONNECTIONS, MAX_CONNECTIONS, _is_nobody)
        self.readers: Doors[_Taker] = Doors(MAX_READERS, MAX_READERS, _is_nobody)
        self._answers: Doors[_Taker] = Doors(MAX_ANSWERS, MAX_ANSWERS, _is_nobody)
        self._one_at_a_time = asyncio.Lock()
        self._status_text = _Fresh(self._make_status)
        self._metrics_text = _Fresh(self._make_metrics)
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
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            handler_cancellation=True,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=0,  # GatedConnection drops bodies
        )
        await runner.setup()
        server = runner.server
        assert server is not None  # setup() makes it
        listeners = []
        try:
            for sock in self._sockets:
                loop = asyncio.get_running_loop()
                listener = await loop.create_server(
                    lambda: _Connection(server, self.doors, _complaint), sock=sock, backlog=sockets.BACKLOG
                )
                listeners.append(listener)
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

    async def _status(self, request: web.Request) -> web.StreamResponse:
        with _place(self._answers, request):
            return await _send(request, await self._status_text.get(), "application/json; charset=utf-8")

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        host = self._registry.hosts.get(request.match_info["name"])
        if host is None:
            raise web.HTTPNotFound(text="host not found\n")
        with _place(self._answers, request):
            async with self._one_at_a_time:
                body = json.dumps(view.explanation(self._registry, host)).encode()
                await asyncio.sleep(0)  # so that many of these take one turn of the loop each
            return await _send(request, body, "application/json; charset=utf-8")

    async def _scrape(self, request: web.Request) -> web.StreamResponse:
        with _place(self._answers, request):
            return await _send(request, await self._metrics_text.get(), CONTENT_TYPE)

    async def _make_status(self) -> bytes:
        return json.dumps(view.status(self._registry, balancer=self._balancer)).encode()

    async def _make_metrics(self) -> bytes:
        # In a thread: a thousand hosts have many time series, and the servers run in this one.
        return await asyncio.to_thread(self._metrics.exposition)

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with _place(self.readers, request):
            async with aclosing(self._stream.messages()) as messages:
                await response.prepare(request)
                # A browser that disconnects raises here, which ends its own stream and concerns nothing else.
                with suppress(ConnectionResetError):
                    async for message in messages:
                        try:
                            async with asyncio.timeout(WRITE_SECONDS):
                                await response.write(message)
                        except TimeoutError:
                            _abort(request)  # close() would wait for the browser to take what is buffered
                            break
        return response


class _Connection(GatedConnection):
    """A connection that ends when the client closes its side: a stream would not find out before it sends again."""

    __slots__ = ()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in GatedConnection
        """Return that the connection does not stay open."""
        return False


class _Taker:
    """A client that is sent the state, at once or as it changes."""

    def __init__(self, request: web.Request) -> None:
        self._request = request

    def leave(self) -> None:
        """Close its connection, so that another client gets its place."""
        _abort(self._request)


class _Fresh:
    """An answer that is made once a second, however many ask for it."""

    def __init__(self, make: Callable[[], Awaitable[bytes]]) -> None:
        self._make = make
        self._made = b""
        self._until = 0.0  # loop clock
        self._lock = asyncio.Lock()

    async def get(self) -> bytes:
        """Return the answer, which is FRESH_SECONDS old at most."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now >= self._until:
                self._made = await self._make()
                self._until = now + FRESH_SECONDS
            return self._made


@contextmanager
def _place(places: Doors[_Taker], request: web.Request) -> Iterator[None]:
    """Hold one of *places* during the block; raise 503 if the client cannot have one."""
    taker = _Taker(request)
    if not places.enter(taker, request.remote or ""):
        raise web.HTTPServiceUnavailable(text="too many browsers are connected already\n", headers={"Retry-After": "5"})
    places.begin(taker)
    try:
        yield
    finally:
        places.exit(taker)


async def _send(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Answer *request* with *body*; return when the client's system has all of it, or has taken too long."""
    response = web.Response(body=body, headers={"Content-Type": content_type})
    with suppress(ConnectionResetError):
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            _abort(request)
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _is_nobody(_client: str) -> bool:
    return False


def _complaint(_client: str, refusal: Refusal) -> bytes:
    """Return the response to a request that is not read any further."""
    body = f"{refusal.why}\n".encode()
    headers = {
        **HEADERS,
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
