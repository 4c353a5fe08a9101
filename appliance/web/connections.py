"""aiohttp's server with our bounds: how many connections, how long they may idle, and what a malformed request gets."""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

logger = logging.getLogger(__name__)

# As nginx; UEFI and iPXE keep one connection for a whole boot, with seconds between two files.
IDLE_SECONDS = 75.0
# 1,000 hosts booting at once, each with a second connection that it is about to leave.
MAX_CONNECTIONS = 4096
# A connection with an image under way holds its socket twice, and the file; as many again are for the
# TFTP transfers and everything else in this process.
DESCRIPTORS_EACH = 2 * 3

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Complaint = Callable[[web.BaseRequest, str], web.StreamResponse]


class HttpConnections(web.Server):
    """The connections of all listening sockets."""

    def __init__(self, handler: Handler, malformed: Complaint) -> None:
        # A handler whose client has gone is cancelled: it may be sending a GiB.
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=0,  # no request of ours has a body worth waiting for
        )
        self.malformed = malformed
        self.open = 0
        self.most = connection_bound()
        self.turned_away = 0
        self.busy: set[web.RequestHandler] = set()  # with a request that is not answered yet

    def end_idle(self) -> None:
        """End every connection: those that idle at once, the others after their answer."""
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
        self._is_half_closed = False  # the client sends no more, and still reads
        self.is_answering = False  # a request that has left the queue

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
        # "Drained" then means that the kernel has all of it, and sendfile may follow.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_counted:
            self._connections.open -= 1
            super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None, asyncio's protocol a truth
        """Return whether the connection stays open: while requests from before wait for their answers."""
        # aiohttp closes it at once, and whoever sends a request and shuts its side (RFC 9293 section 3.6) got nothing.
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
        # aiohttp writes a traceback for what is the client's mistake, not ours.
        response = self._connections.malformed(request, (message or "malformed request").splitlines()[0])
        response.force_close()
        return response


def connection_bound() -> int:
    """Return how many connections this process has descriptors for, at most MAX_CONNECTIONS.

    Takes more descriptors, if it may and needs them: shells give a process 1024
    for fear of select(), which nothing here uses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS * DESCRIPTORS_EACH
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // DESCRIPTORS_EACH)
