"""aiohttp's connections behind a gate: one checked head at a time, a place for each, and bounds on time and memory."""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from appliance.web.doors import Doors
from appliance.web.head import END, MAX_HEAD_BYTES, Refusal, check_head, shown

logger = logging.getLogger(__name__)

# The same as nginx. UEFI and iPXE keep one connection for a whole boot and pause for seconds between two files.
IDLE_SECONDS = 75.0
# From the first byte of a head to its last. Clients send it in one packet; TCP repeats a lost one within 3 s.
HEAD_SECONDS = 10.0
# A response that is sent after the handler has returned: a page or the metrics of the dashboard.
FINISH_SECONDS = 120.0
# After a refusal, what the client still sends is read and dropped for as long. Closing at once would send a reset, at
# which the client's system may throw the answer away (RFC 9112 section 9.6).
LINGER_SECONDS = 2.0
LINGER_BYTES = 256 << 10
# 1,000 hosts that boot at once, each with a second connection that is about to close: 2,000, and twice that.
MAX_CONNECTIONS = 4096
# Half is for clients that are no hosts, because the 1,000 hosts may be behind a NAT.
SHARE_OF_STRANGERS = 0.5
# A connection that receives an image has its socket twice and the file open. As many descriptors again are left for
# TFTP transfers and everything else in this process.
DESCRIPTORS_EACH = 2 * 3

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Complaint = Callable[[str, Refusal], bytes]  # the client's address and the refusal → the response


class HttpConnections(web.Server):
    """The connections of all listening sockets of the web server."""

    def __init__(self, handler: Handler, complain: Complaint, is_host: Callable[[str], bool]) -> None:
        # Cancel a handler whose client has gone: it may have a GiB left to send.
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=0,  # GatedConnection drops bodies
        )
        most = connection_bound()
        self.doors: Doors[GatedConnection] = Doors(most, int(most * SHARE_OF_STRANGERS), is_host)
        self.complain = complain
        self.busy: set[web.RequestHandler] = set()  # with a request that has not been answered

    def end_idle(self) -> None:
        """Close idle connections at once, and the others after their response."""
        for connection in self.connections:
            if connection in self.busy:
                connection.close()
            else:
                connection.force_close()

    def __call__(self) -> web.RequestHandler:
        return GatedConnection(self, self.doors, self.complain)


class GatedConnection(web.RequestHandler):
    """A connection whose bytes reach aiohttp's parser as whole, checked heads, the next one after the answer."""

    __slots__ = (
        "_complain", "_doors", "_dropped", "_head_timer", "_inbox", "_is_half_closed", "is_busy",
    )  # fmt: skip

    def __init__(self, server: web.Server, doors: "Doors[GatedConnection]", complain: Complaint) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **server._kwargs)  # noqa: SLF001  # as web.Server.__call__
        self._doors = doors
        self._complain = complain
        self._inbox = b""  # at most one head, or what a client sent before the answer
        self._dropped = -1  # bytes that came after the last request to be read; -1 until then
        self._is_half_closed = False  # the client has shut down its sending side and still reads
        self.is_busy = False  # from a request until its response is sent
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        client = _client(transport)
        if not self._doors.enter(self, client):
            logger.debug("web.silence why=too-many-connections client=%s", client)
            transport.abort()
            return
        # With a limit of 0, drain() returns once the kernel has everything, and sendfile may write to the socket.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        # Whatever ends aiohttp's task, the socket and its place must not outlive it.
        assert self._task_handler is not None
        self._task_handler.add_done_callback(lambda _task: transport.close())

    def connection_lost(self, exc: BaseException | None) -> None:
        self._doors.exit(self)
        self._stop_head_timer()
        self._inbox = b""
        super().connection_lost(exc)

    def leave(self) -> None:
        """Close at once; another client gets this place."""
        if (transport := self.transport) is not None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; aiohttp's parser does not see it before a head is whole."""
        if self._force_close or self._close:
            return
        if self._dropped >= 0:
            self._drop(len(data))
            return
        self._inbox += data
        if not self.is_busy:
            self._next()
        elif len(self._inbox) > MAX_HEAD_BYTES:
            # Nobody sends so many requests before the first answer. The connection ends after that.
            self._drop(len(self._inbox))

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None, asyncio's protocol returns a bool
        """Return whether the connection stays open, which it does while a request waits for its response."""
        # A client may send its request and then shut down its side (RFC 9293 section 3.6).
        self._is_half_closed = self.is_busy
        return self._is_half_closed

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if resp.prepared:
            response, is_gone = await super().finish_response(request, resp, start_time)
        else:
            try:
                async with asyncio.timeout(FINISH_SECONDS):
                    response, is_gone = await super().finish_response(request, resp, start_time)
            except TimeoutError:
                self.leave()
                return resp, True
        self.is_busy = False
        self._doors.rest(self)
        if self._dropped >= 0:
            response.force_close()
        elif response.keep_alive:
            self._next()
            if self._is_half_closed and not self.is_busy:
                response.force_close()
        return response, is_gone

    def _next(self) -> None:
        """Hand the next request on, if its head is whole."""
        # Empty lines before a request line are ignored (RFC 9112 section 2.2).
        self._inbox = self._inbox.lstrip(b"\r\n")
        end = self._inbox.find(END, 0, MAX_HEAD_BYTES)
        if end < 0:
            self._wait_for_rest()
            return
        self._stop_head_timer()
        head, self._inbox = self._inbox[: end + len(END)], self._inbox[end + len(END) :]
        verdict = check_head(head)
        if isinstance(verdict, Refusal):
            self._refuse(verdict)
            return
        assert self._parser is not None
        try:
            messages, _, _ = self._parser.feed_data(verdict.head)
        except (HttpProcessingError, ValueError) as error:
            why = (getattr(error, "message", "") or str(error)).splitlines()[0]
            self._refuse(Refusal(400, why, shown(head.partition(b"\r\n")[0])))
            return
        self.is_busy = True
        self._doors.begin(self)
        if verdict.has_body or len(self._inbox) > MAX_HEAD_BYTES:
            self._drop(len(self._inbox))
        self._request_count += 1
        self._messages.extend(messages)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait_for_rest(self) -> None:
        if len(self._inbox) >= MAX_HEAD_BYTES:
            line = shown(self._inbox[:MAX_HEAD_BYTES].partition(b"\r\n")[0])
            self._refuse(Refusal(431, f"the head is longer than {MAX_HEAD_BYTES} bytes", line))
        elif b"\n" in self._inbox and b" HTTP/" not in (line_sent := self._inbox.partition(b"\n")[0]):
            # HTTP/0.9, or no HTTP at all: no empty line would follow.
            self._refuse(Refusal(400, "expected a request line as GET /path HTTP/1.1", shown(line_sent.rstrip())))
        elif self._inbox and self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self.leave)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refusal: Refusal) -> None:
        self._stop_head_timer()
        transport = self.transport
        if transport is None:
            return
        transport.write(self._complain(_client(transport), refusal))
        transport.write_eof()
        self._drop(len(self._inbox))
        self._head_timer = self._loop.call_later(LINGER_SECONDS, self.leave)

    def _drop(self, size: int) -> None:
        """Read nothing more on this connection: drop *size* bytes, and past a bound leave the rest to the kernel."""
        self._inbox = b""
        self._dropped = max(self._dropped, 0) + size
        if self._dropped > LINGER_BYTES and self.transport is not None:
            self.transport.pause_reading()


def _client(transport: asyncio.BaseTransport) -> str:
    return str((transport.get_extra_info("peername") or ("",))[0])


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
