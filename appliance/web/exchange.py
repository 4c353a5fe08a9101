"""One request and its response: what is sent, counted and published."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import blake2b
from http import HTTPStatus

from aiohttp import web

from appliance.allowance import Allowance, Allowances
from appliance.boot.urls import is_optional
from appliance.errors import StoreError
from appliance.events import (
    ClientUnproven,
    Event,
    WebBroken,
    WebFinished,
    WebKind,
    WebProgress,
    WebRefused,
    WebStarted,
)
from appliance.files import Identity
from appliance.install.installation import Installation
from appliance.tokens import hide_tokens
from appliance.web.answers import ErrorResponse, Unproven
from appliance.web.head import Refusal
from appliance.web.protocol import http_response
from appliance.web.ranges import CONDITIONS, Entity, Response, Slice, respond
from appliance.web.transfer import STALL_SECONDS, BrokenTransferError, Sender

# Never empty: OVMF's HTTP Boot hangs on a response without it (edk2 issue 7443).
SERVER = "ocp-appliance"
MAX_EVENT_TEXT = 200  # characters of a path or a User-Agent in an event
# Events a second for errors sent to hosts. They explain to the operator why a host is stuck; 1,000 hosts that poll
# every half second fit.
HOSTS_REFUSALS = 2000.0
STRANGERS_AT_ONCE = 20.0  # a port scan or crawler sends more requests than that
# For each host and kind of file. A boot has two or three transfers of a kind; a client that fetches without end is
# served and counted, but must not push other hosts' events out of the journal.
HOST_TRANSFERS_A_SECOND = 10.0
HOST_TRANSFERS_AT_ONCE = 50.0
UNWRITTEN_SECONDS = 10  # until a host retries when its state could not be written; the store is tried as often
CLIENT_LEFT = "the client closed the connection"
CLIENT_STUCK = f"the client accepted no data for {STALL_SECONDS:g} s"


@dataclass(slots=True)
class ExchangeContext:
    """What all exchanges of one server share."""

    publish: Callable[[Event], None]
    counts: Counter[tuple[str, ...]]
    written: Callable[[str], Awaitable[None]]  # returns once the state of that host would survive a crash
    installations: Mapping[str, Installation]  # whose tokens are secrets
    sender: Sender = field(default_factory=Sender)
    strangers: Allowance = field(default_factory=lambda: Allowance(at_once=STRANGERS_AT_ONCE))
    refused_hosts: Allowance = field(default_factory=lambda: Allowance(HOSTS_REFUSALS, HOSTS_REFUSALS))
    transfers: Allowances = field(init=False)

    def __post_init__(self) -> None:
        self.transfers = Allowances(self.strangers, HOST_TRANSFERS_A_SECOND, HOST_TRANSFERS_AT_ONCE)

    def hide(self, text: str) -> str:
        """Return *text*, which a client sent, without the tokens of installations."""
        return hide_tokens(text, lambda: (installation.token for installation in self.installations.values()))

    def publish_unproven(self, about: Unproven, client: str, path: str) -> None:
        """Publish that a client is not proven to be the host *about* which it is, as often as that may be told."""
        if self.transfers.take(about.host, time.monotonic(), about.cause):
            self.publish(ClientUnproven(about.host, client, path, about.cause, about.why, about.mac))

    def publish_refusal(self, host: str, client: str, path: str, error: ErrorResponse) -> None:
        """Publish that a request got *error*, as often as the client may."""
        allowance = self.refused_hosts if host else self.strangers
        if allowance.take(time.monotonic()):
            # "not found" repeats what the client asked for. The reason for 503 does not, and may have a sha256 in it.
            why = error.why if error.status == 503 else self.hide(error.why)
            self.publish(WebRefused(host, client, path, error.kind, error.status, why))


class Exchange:
    """A request, until its response has been sent."""

    def __init__(self, context: ExchangeContext, request: web.BaseRequest, host: str) -> None:
        self.request = request
        self.method = request.method
        self.client = request.remote or ""
        self.host = host  # full name, or ""
        self.shown_path = ""  # what events call the path; "" until one needs it
        self.kind = WebKind.OTHER
        self.is_quiet = False  # one of many requests that mean the same, of which the first was published
        self._context = context
        self._sent = 0  # bytes of the body
        self._is_published = False  # its start was published, so its end must be too
        self._is_out = False  # all of it was sent
        self._first = 0  # offset of the first byte
        self._began = 0.0  # monotonic

    @property
    def path(self) -> str:
        """The path as events name it, searched for secrets at the first event."""
        if not self.shown_path:
            self.shown_path = self._context.hide(self.request.raw_path)[:MAX_EVENT_TEXT]
        return self.shown_path

    def start(self, total: int, first: int = 0) -> None:
        """Publish that a response of *total* bytes begins at offset *first*; do nothing for HEAD or a quiet poll."""
        self._began = time.monotonic()
        self._first = first
        if self.method != "GET" or self.is_quiet:
            return
        if self._context.transfers.take(self.host, self._began, self.kind):
            self._is_published = True
            self._context.publish(WebStarted(self.host, self.client, self.path, self.kind, first, total))

    def tell(self, about: Unproven) -> None:
        """Publish why the client is not proven to be a host."""
        self._context.publish_unproven(about, self.client, self.path)

    async def send_text(self, content: bytes, changed_at: int) -> web.StreamResponse:
        """Answer with a script, once start() was called."""
        etag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        return await self.send_bytes(Entity(len(content), etag, changed_at, "text/plain; charset=utf-8"), content)

    async def send_whole(self, entity: Entity, content: bytes) -> web.StreamResponse:
        """Answer with all of *content*, and publish that; a client whose conditions fail gets and publishes nothing."""
        # A server may ignore Range (RFC 9110 section 14.2). A part of a file would not show that the client has it.
        conditions = {name: value for name, value in _conditions(self.request).items() if name != "Range"}
        answer = respond(entity, self.method, conditions)
        if answer.status == 200:
            self.start(entity.size)
        return await self.send_bytes(entity, content, answer)

    async def send_bytes(self, entity: Entity, content: bytes, answer: Response | None = None) -> web.StreamResponse:
        """Answer with *content*, or the part of it that the client asked for, once start() was called."""
        try:
            await self._wait_until_written(entity.size)
        except StoreError as error:
            # 503, because installers repeat 503 and the state may be writable again by then.
            why = f"the state of {self.host} cannot be written: {error}"
            self._break(entity.size, why)  # start() counted it as sent
            return await self.refuse(ErrorResponse(503, why, self.kind, UNWRITTEN_SECONDS))
        if answer is None:
            answer = respond(entity, self.method, _conditions(self.request))
        body = _in_memory(answer, content)
        self._first = next((part.first for part in answer.parts if isinstance(part, Slice)), 0)
        response, is_out = await self._send(answer, body, {"Cache-Control": "no-store"})
        if is_out and body:
            self._finish(answer.status, entity.size)
        return response

    async def _wait_until_written(self, total: int) -> None:
        """Wait until what start() published, on which the response depends, survives a crash; raises StoreError."""
        if not self.host:
            return  # no response to a stranger depends on its state
        try:
            await self._context.written(self.host)
        except asyncio.CancelledError:
            self._break(total, CLIENT_LEFT)
            raise

    async def send_file(self, entity: Entity, fd: int, identity: Identity) -> web.StreamResponse:
        """Answer with the file *fd*, or the part of it that the client asked for."""
        answer = respond(entity, self.method, _conditions(self.request))
        slices = [part for part in answer.parts if isinstance(part, Slice)]
        if not slices:
            return (await self._send(answer, b"", {}))[0]
        self._count(answer.status)
        self.start(entity.size, slices[0].first)
        response = web.StreamResponse(status=answer.status, headers={"Server": SERVER, **answer.headers})
        try:
            await self._send_parts(response, answer, fd, identity)
        except (ConnectionError, TimeoutError, BrokenTransferError) as error:
            self._break(entity.size, _reason(error))
            self._cut(response)
        except asyncio.CancelledError:
            self._break(entity.size, CLIENT_LEFT)
            raise
        finally:
            self._context.counts["bytes", self.kind.value] += self._sent
        return response

    async def refuse(self, error: ErrorResponse) -> web.StreamResponse:
        """Answer with an error."""
        self._is_published = False  # the event of the error is the end of this request
        self._publish_error(error)
        answer = http_response(error, self.method)
        response, _ = await self._send(answer, _in_memory(answer, b""), {})
        return response

    async def _send(self, answer: Response, body: bytes, extra: dict[str, str]) -> tuple[web.StreamResponse, bool]:
        """Send an answer whose body is in memory; return it and whether all of it was sent."""
        self._count(answer.status)
        headers = {"Server": SERVER, **answer.headers, **extra}
        response = web.Response(status=answer.status, headers=headers, body=body or None)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await response.prepare(self.request)
                await response.write_eof()
        except (ConnectionError, TimeoutError) as error:
            self._break(len(body), _reason(error))
            self._cut(response)
            return response, False
        except asyncio.CancelledError:
            self._break(len(body), CLIENT_LEFT)
            raise
        self._sent = len(body)
        self._context.counts["bytes", self.kind.value] += len(body)
        return response, True

    async def _send_parts(self, response: web.StreamResponse, answer: Response, fd: int, identity: Identity) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            writer = await response.prepare(self.request)
            if writer is None:
                raise ConnectionResetError
            writer.send_headers()
            await writer.drain()
        for part in answer.parts:
            if isinstance(part, Slice):
                await self._send_slice(part, fd, identity, answer.status if part is answer.parts[-1] else None)
                continue
            async with asyncio.timeout(STALL_SECONDS):
                await response.write(part)
                await writer.drain()
            self._sent += len(part)
        self._finish(answer.status, identity.size)

    async def _send_slice(self, part: Slice, fd: int, identity: Identity, status_at_end: int | None) -> None:
        """Send *part*; *status_at_end* is the answer's status if this is its last part, whose end is published."""
        before, total = self._sent, identity.size

        def progress(sent: int) -> None:
            self._sent = before + sent
            if sent == part.size and status_at_end is not None:
                self._finish(status_at_end, total)
            elif sent < part.size and self._is_published:
                self._context.publish(
                    WebProgress(self.host, self.client, self.path, self.kind, part.first + sent, total)
                )

        transport = self.request.transport
        if transport is None:
            raise ConnectionResetError
        await self._context.sender.send(transport, fd, identity, part, progress)

    def _publish_error(self, error: ErrorResponse) -> None:
        self.kind = error.kind
        self.shown_path = error.shown_path or self.shown_path
        if not error.is_fault:
            return
        if error.unproven is not None:
            self._context.publish_unproven(error.unproven, self.client, self.path)
            return
        if error.status == 404 and is_optional(self.path.partition("?")[0]):
            return  # not worth an event
        self._context.publish_refusal(self.host, self.client, self.path, error)

    def _count(self, status: int) -> None:
        self._context.counts["request", self.kind.value, str(status)] += 1

    def _finish(self, status: int, total: int) -> None:
        if self._is_out:
            return
        self._is_out = True
        if not self._is_published:
            return
        self._context.publish(
            WebFinished(
                self.host,
                self.client,
                self.path,
                self.kind,
                status,
                self._sent,
                total,
                seconds=time.monotonic() - self._began,
                agent=self._agent(),
                first=self._first,
            )
        )

    def _agent(self) -> str:
        agent = self.request.headers.get("User-Agent", "")
        return self._context.hide(agent)[:MAX_EVENT_TEXT]

    def _break(self, total: int, why: str) -> None:
        if self._is_out:
            return  # a client that has received everything may leave before this task runs again
        self._context.counts["broken", self.kind.value] += 1
        if not self._is_published:
            return
        self._context.publish(WebBroken(self.host, self.client, self.path, self.kind, self._sent, total, why))

    def _cut(self, response: web.StreamResponse) -> None:
        """Close the connection, so that the client does not mistake the part that it has for the whole."""
        response.force_close()
        if self.request.transport is not None:
            self.request.transport.abort()


def refuse_unread(context: ExchangeContext, client: str, refusal: Refusal) -> bytes:
    """Return the response to a request that is not read any further, and count and publish it."""
    error = ErrorResponse(refusal.status, refusal.why)
    path = context.hide(refusal.target)[:MAX_EVENT_TEXT]
    context.publish_refusal("", client, path, error)
    context.counts["request", error.kind.value, str(error.status)] += 1
    return wire_response(http_response(error, "GET"))


def wire_response(answer: Response) -> bytes:
    """Return *answer*, whose parts are in memory, as bytes that end the connection."""
    reason = HTTPStatus(answer.status).phrase
    headers = {"Server": SERVER, "Date": formatdate(usegmt=True), **answer.headers, "Connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + _in_memory(answer, b"")


def _conditions(request: web.BaseRequest) -> dict[str, str]:
    headers = request.headers
    return {name: ", ".join(headers.getall(name)) for name in CONDITIONS if name in headers}


def _in_memory(answer: Response, content: bytes) -> bytes:
    """Return the body of *answer* to a request for *content*."""
    parts = [content[part.first : part.first + part.size] if isinstance(part, Slice) else part for part in answer.parts]
    # A slice of the whole is not a copy. Copying 300 kB of bootstrap.ign would be a tenth of the cost of its answer.
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return CLIENT_STUCK
    return CLIENT_LEFT if isinstance(error, ConnectionError) else str(error)
