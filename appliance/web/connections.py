"""aiohttp's server with bounds on connections and idle time, and its own response to malformed requests."""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

logger = logging.getLogger(__name__)

# The same as nginx. UEFI and iPXE keep one connection for a whole boot and pause for seconds between two files.
IDLE_SECONDS = 75.0
# 1,000 hosts that boot at once, each with a second connection that is about to close: 2,000, and twice that.
MAX_CONNECTIONS = 4096
# A connection that receives an image has its socket twice and the file open. As many descriptors again are left for
# TFTP transfers and everything else in this process.
DESCRIPTORS_EACH = 2 * 3

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Complaint = Callable[[web.BaseRequest, str], web.StreamResponse]


class HttpConnections(web.Server):
    """The connections of all listening sockets of the web server."""

    def __init__(self, handler: Handler, malformed: Complaint) -> None:
        # Cancel a handler whose client has gone: it may have a GiB left to send.
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=0,  # GET and HEAD have no body worth reading to its end
        )
        self.malformed = malformed
        self.open = 0
        self.most = connection_bound()
        self.turned_away = 0
        self.busy: set[web.RequestHandler] = set()  # with a request that has not been answered

    def end_idle(self) -> None:
        """Close idle connections at once, and the others after their response."""
        for connection in self.connections:
            if connection in self.busy:
                connection.close()
            else:
                connection.force_close()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        assert isinstance(protocol, _Connection)
        protocol.is_answering = True
        return super()._make_request(message, payload, protocol, writer, task)


class _Connection(web.RequestHandler):
    __slots__ = ("_connections", "_is_counted", "_is_half_closed", "is_answering")

    def __init__(self, connections: HttpConnections, **settings: object) -> None:
        super().__init__(connections, **settings)  # type: ignore[arg-type]
        self._connections = connections
        self._is_counted = False
        self._is_half_closed = False  # the client has shut down its sending side and still reads
        self.is_answering = False  # a request that was taken from the queue

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._connections.open >= self._connections.most:
            self._connections.turned_away += 1
            assert isinstance(transport, asyncio.Transport)
            client = (transport.get_extra_info("peername") or ("",))[0]
            logger.debug("web.silence why=too-many-connections client=%s", client)
            transport.abort()
            return
        self._connections.open += 1
        self._is_counted = True
        assert isinstance(transport, asyncio.Transport)
        # With a limit of 0, drain() returns once the kernel has everything, and sendfile may write to the socket.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_counted:
            self._connections.open -= 1
            super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None, asyncio's protocol returns a bool
        """Return whether the connection stays open, which it does while requests wait for their responses."""
        # aiohttp would close it at once, so that a client that sends its request and then shuts down its side, as
        # RFC 9293 section 3.6 allows, would get no response.
        self._is_half_closed = bool(self._messages) or self.is_answering
        return self._is_half_closed

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        response, is_gone = await super().finish_response(request, resp, start_time)
        self.is_answering = False
        if self._is_half_closed and not self._messages:
            response.force_close()
        return response, is_gone

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status != 400:
            return super().handle_error(request, status, exc, message)
        # aiohttp would log a traceback, but the mistake is the client's.
        response = self._connections.malformed(request, (message or "malformed request").splitlines()[0])
        response.force_close()
        return response


def connection_bound() -> int:
    """Return how many connections this process has descriptors for, at most MAX_CONNECTIONS.

    Raises the soft limit on descriptors if it is too low. Its usual value, 1024,
    protects programs that use select(2), which fails above it; nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS * DESCRIPTORS_EACH
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // DESCRIPTORS_EACH)
