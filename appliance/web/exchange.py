"""One request and its answer: what is sent, what is counted, and what is told of it."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from aiohttp import web

from appliance.allowance import Allowance, Allowances
from appliance.boot.urls import AUTOEXEC
from appliance.events import Event, WebBroken, WebFinished, WebKind, WebProgress, WebRefused, WebStarted
from appliance.web.protocol import Refusal, refused
from appliance.web.ranges import CONDITIONS, Answer, Entity, Slice, respond
from appliance.web.transfer import STALL_SECONDS, BrokenTransferError, Sender

SERVER = "ocp-appliance"  # never empty: OVMF hangs on that (edk2 issue 7443)
MAX_TOLD = 200  # characters of a path or a User-Agent in an event
# Refusals to hosts that become events, a second: they tell the operator why a host does not get on.
HOSTS_REFUSALS = 2000.0
STRANGERS_AT_ONCE = 20.0  # fewer than one scan has requests
# Of each host's transfers of one kind. A boot has two or three of a kind; who fetches without end is served, and
# counted, but shall not push what happened to the others out of the journal.
HOST_TRANSFERS_A_SECOND = 10.0
HOST_TRANSFERS_AT_ONCE = 50.0
# What a client asks for and does well without: iPXE its autoexec, coreos-installer a signature.
OPTIONAL = (".sig", AUTOEXEC)
# The token of an installation, as a step of a path: a secret, also where it stands in a path that is refused.
_TOKEN = re.compile(r"(?<=/)[0-9A-Fa-f]{16,}(?=[/?#]|$)")
CLIENT_LEFT = "the client closed the connection"
CLIENT_STUCK = f"the client took nothing for {STALL_SECONDS:g} seconds"


@dataclass(slots=True)
class Desk:
    """What the exchanges of one server share."""

    publish: Callable[[Event], None]
    counts: Counter[tuple[str, ...]]
    sender: Sender = field(default_factory=Sender)
    strangers: Allowance = field(default_factory=lambda: Allowance(at_once=STRANGERS_AT_ONCE))
    refused_hosts: Allowance = field(default_factory=lambda: Allowance(HOSTS_REFUSALS, HOSTS_REFUSALS))
    transfers: Allowances = field(init=False)

    def __post_init__(self) -> None:
        self.transfers = Allowances(self.strangers, HOST_TRANSFERS_A_SECOND, HOST_TRANSFERS_AT_ONCE)


class Exchange:
    """A request, until its answer is out."""

    def __init__(self, desk: Desk, request: web.BaseRequest, host: str) -> None:
        self.request = request
        self.method = request.method
        self.client = request.remote or ""
        self.host = host  # full name, or ""
        self.path = _TOKEN.sub("…", request.raw_path)[:MAX_TOLD]
        self.what = WebKind.OTHER
        self.is_quiet = False  # one of many that tell the same
        self._desk = desk
        self._sent = 0  # bytes of the body
        self._is_told = False  # that it was begun, so that its end is to be told too
        self._is_out = False  # all of it
        self._first = 0  # offset of the first byte
        self._began = 0.0  # monotonic

    def start(self, total: int, first: int = 0) -> None:
        """Tell that a GET for something of *total* bytes begins to be answered."""
        self._began = time.monotonic()
        self._first = first
        if self.method != "GET" or self.is_quiet:
            return
        if self._desk.transfers.take(self.host, self._began, self.what):
            self._is_told = True
            self._desk.publish(WebStarted(self.host, self.client, self.path, self.what, first, total))

    async def send_text(self, content: bytes, changed_at: int) -> web.StreamResponse:
        """Answer with a script; start() was called."""
        etag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        return await self.send_bytes(Entity(len(content), etag, changed_at, "text/plain; charset=utf-8"), content)

    async def send_bytes(self, entity: Entity, content: bytes) -> web.StreamResponse:
        """Answer with *content*, or the part of it that the client wants; start() was called."""
        answer = respond(entity, self.method, _conditions(self.request))
        body = _in_memory(answer, content)
        self._first = next((part.first for part in answer.parts if isinstance(part, Slice)), 0)
        response, is_out = await self._send(answer, body, {"Cache-Control": "no-store"})
        if is_out and body:
            self._finish(answer.status, entity.size)
        return response

    async def send_file(self, entity: Entity, fd: int) -> web.StreamResponse:
        """Answer with the file *fd*, or the part of it that the client wants."""
        answer = respond(entity, self.method, _conditions(self.request))
        slices = [part for part in answer.parts if isinstance(part, Slice)]
        if not slices:
            return (await self._send(answer, b"", {}))[0]
        self._count(answer.status)
        self.start(entity.size, slices[0].first)
        response = web.StreamResponse(status=answer.status, headers={"Server": SERVER, **answer.headers})
        try:
            await self._send_parts(response, answer, fd, entity.size)
        except (ConnectionError, TimeoutError, BrokenTransferError) as error:
            self._break(entity.size, _reason(error))
            self._cut(response)
        except asyncio.CancelledError:
            self._break(entity.size, CLIENT_LEFT)
            raise
        finally:
            self._desk.counts["bytes", self.what.value] += self._sent
        return response

    async def refuse(self, refusal: Refusal) -> web.StreamResponse:
        """Answer with an error."""
        self._is_told = False  # the refusal tells all
        self._tell(refusal)
        answer = refused(refusal, self.method)
        response, _ = await self._send(answer, _in_memory(answer, b""), {})
        return response

    def malformed(self, why: str) -> web.StreamResponse:
        """Return the answer to what is no request; aiohttp sends it and ends the connection."""
        refusal = Refusal(400, why)
        self._tell(refusal)
        self._count(refusal.status)
        answer = refused(refusal, "GET")
        return web.Response(status=400, headers={"Server": SERVER, **answer.headers}, body=_in_memory(answer, b""))

    async def _send(self, answer: Answer, body: bytes, extra: dict[str, str]) -> tuple[web.StreamResponse, bool]:
        """Send an answer that is in memory, and return it and whether all of it is out."""
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
        self._desk.counts["bytes", self.what.value] += len(body)
        return response, True

    async def _send_parts(self, response: web.StreamResponse, answer: Answer, fd: int, total: int) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            writer = await response.prepare(self.request)
            if writer is None:
                raise ConnectionResetError
            writer.send_headers()
            await writer.drain()
        for part in answer.parts:
            if isinstance(part, Slice):
                await self._send_slice(part, fd, total, answer.status if part is answer.parts[-1] else None)
                continue
            async with asyncio.timeout(STALL_SECONDS):
                await response.write(part)
                await writer.drain()
            self._sent += len(part)
        self._finish(answer.status, total)

    async def _send_slice(self, part: Slice, fd: int, total: int, status_at_end: int | None) -> None:
        """Send *part*; if it is the last, *status_at_end* has the answer's status, and its end is told at once."""
        before = self._sent

        def progress(sent: int) -> None:
            self._sent = before + sent
            if sent == part.size and status_at_end is not None:
                self._finish(status_at_end, total)
            elif sent < part.size and self._is_told:
                self._desk.publish(WebProgress(self.host, self.client, self.path, self.what, part.first + sent, total))

        transport = self.request.transport
        if transport is None:
            raise ConnectionResetError
        await self._desk.sender.send(transport, fd, part, progress)

    def _tell(self, refusal: Refusal) -> None:
        if refusal.what is not WebKind.OTHER:
            self.what = refusal.what
        if refusal.status == 404 and self.path.partition("?")[0].endswith(OPTIONAL):
            return
        allowance = self._desk.refused_hosts if self.host else self._desk.strangers
        if allowance.take(time.monotonic()):
            self._desk.publish(WebRefused(self.host, self.client, self.path, self.what, refusal.status, refusal.why))

    def _count(self, status: int) -> None:
        self._desk.counts["request", self.what.value, str(status)] += 1

    def _finish(self, status: int, total: int) -> None:
        if self._is_out:
            return
        self._is_out = True
        if not self._is_told:
            return
        self._desk.publish(
            WebFinished(
                self.host,
                self.client,
                self.path,
                self.what,
                status,
                self._sent,
                total,
                seconds=time.monotonic() - self._began,
                agent=self.request.headers.get("User-Agent", "")[:MAX_TOLD],
                first=self._first,
            )
        )

    def _break(self, total: int, why: str) -> None:
        if self._is_out:
            return  # a client that has it all may leave before we have turned to anything else
        self._desk.counts["broken", self.what.value] += 1
        if not self._is_told:
            return
        self._desk.publish(WebBroken(self.host, self.client, self.path, self.what, self._sent, total, why))

    def _cut(self, response: web.StreamResponse) -> None:
        """End the connection, so that the client does not take what it has for the whole."""
        response.force_close()
        if self.request.transport is not None:
            self.request.transport.abort()


def _conditions(request: web.BaseRequest) -> dict[str, str]:
    headers = request.headers
    return {name: ", ".join(headers.getall(name)) for name in CONDITIONS if name in headers}


def _in_memory(answer: Answer, content: bytes) -> bytes:
    """Return the body of *answer* to a request for *content*."""
    parts = [content[part.first : part.first + part.size] if isinstance(part, Slice) else part for part in answer.parts]
    # The whole of it is no copy: 300 kB of bootstrap.ign would take a tenth of what its answer takes.
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return CLIENT_STUCK
    return CLIENT_LEFT if isinstance(error, ConnectionError) else str(error)
