"""An HTTP/1.1 client that is as strict as firmware: exact lengths, no redirects, no chunks (RFC 9112).

Bodies are hashed or discarded as they arrive, so that a 900 MB image costs no memory
and one process can simulate a thousand machines.
"""

import asyncio
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from appliance.model import Address
from appliance.simulate.link import Link, readable
from appliance.simulate.machine import Patience

HEAD_BYTES = 64 << 10  # of a response's header; ours are about 400
KEEP_BYTES = 64 << 20  # of a body that is kept: a script or an Ignition file
CHUNK_BYTES = 1 << 20
TURN_BYTES = 8 << 20  # read before the next machine's turn
DATED_RETRY_SECONDS = 5  # where Retry-After is a date, which the appliance does not send
RETRIED = frozenset({408, 429, 500, 502, 503, 504})  # coreos-installer and curl retry these

_scratch = bytearray(CHUNK_BYTES)  # discarded bodies are read into this buffer, shared by all clients


class HttpError(Exception):
    """No complete response was received; the text says what was."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    url: str
    status: int
    headers: Mapping[str, str]  # names in lower case
    size: int  # bytes of the body received
    sha256: str  # hex; "" when it was only counted
    body: bytes  # b"" unless it was kept

    @property
    def length(self) -> int | None:
        """Content-Length, or None."""
        return _whole(self.headers.get("content-length", ""))

    @property
    def retry_seconds(self) -> int | None:
        """Retry-After in seconds; None when the server sent none."""
        value = self.headers.get("retry-after")
        if value is None:
            return None
        seconds = _whole(value)
        return DATED_RETRY_SECONDS if seconds is None else seconds


class Http:
    """The HTTP client of one program: its User-Agent, and a persistent connection."""

    def __init__(
        self,
        link: Link,
        address: Address,
        patience: Patience,
        agent: str,
        lookup: Callable[[str], Awaitable[Address]],
    ) -> None:
        """Connect from *address*; *lookup* resolves a URL's host name; no User-Agent is sent where *agent* is ""."""
        self._link, self._address, self._patience = link, address, patience
        self._agent, self._lookup = agent, lookup
        self._sock: socket.socket | None = None
        self._peer: tuple[str, int] | None = None
        self.progress: Callable[[int, int], None] | None = None  # bytes so far, bytes in all

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._sock:
            self._sock.close()
            self._sock = None

    async def head(self, url: str) -> Response:
        """Return the response to HEAD. Raises HttpError."""
        return await self._request("HEAD", url, keeps=False, hashes=False)

    async def get(self, url: str, *, keeps: bool = False, hashes: bool = True) -> Response:
        """Return the response to GET, with its body where *keeps*. Raises HttpError."""
        return await self._request("GET", url, keeps=keeps, hashes=hashes)

    async def _request(self, method: str, url: str, *, keeps: bool, hashes: bool) -> Response:
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError as error:
            raise HttpError(f"{url!r} is not a valid URL: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise HttpError(f"{url!r} is not an http:// URL with a host")
        try:
            address: Address = ip_address(parts.hostname)
        except ValueError:
            address = await self._lookup(parts.hostname)
        peer = (str(address), port)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        agent = f"User-Agent: {self._agent}\r\n" if self._agent else ""
        request = f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n{agent}Accept: */*\r\n\r\n".encode()
        was_open = self._sock is not None and self._peer == peer
        try:
            return await self._exchange(request, peer, url, has_body=method == "GET", keeps=keeps, hashes=hashes)
        except (ConnectionError, HttpError):
            self.close()
            if not was_open:
                raise
        # A server may close an idle connection at any time (RFC 9112 section 9.3.1): retry once on a new one.
        return await self._exchange(request, peer, url, has_body=method == "GET", keeps=keeps, hashes=hashes)

    async def _exchange(
        self, request: bytes, peer: tuple[str, int], url: str, *, has_body: bool, keeps: bool, hashes: bool
    ) -> Response:
        sock = await self._connected(peer)
        try:
            await asyncio.get_running_loop().sock_sendall(sock, request)
            status, headers, rest = await self._read_head(sock)
            length = _length(status, headers)
            body = _Body(length if has_body else 0, rest, keeps=keeps or status >= 400, hashes=hashes)
            await self._read_body(sock, body)
        except OSError as error:
            self.close()
            raise HttpError(f"the connection broke: {error.strerror or error}") from error
        except HttpError:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(url, status, headers, body.size, body.sha256, bytes(body.kept))

    async def _connected(self, peer: tuple[str, int]) -> socket.socket:
        if self._sock and self._peer == peer:
            return self._sock
        self.close()
        # To a server of the other version of IP, the kernel chooses the address.
        is_other = (":" in peer[0]) != (self._address.version == 6)
        own: Address = (IPv6Address(0) if ":" in peer[0] else IPv4Address(0)) if is_other else self._address
        sock = self._link.socket(socket.SOCK_STREAM, own)
        try:
            async with asyncio.timeout(self._patience.http_idle):
                await asyncio.get_running_loop().sock_connect(sock, peer)
        except (OSError, TimeoutError) as error:
            sock.close()
            # asyncio replaces strerror by a text of its own, and TimeoutError is an OSError without errno.
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no answer"
            raise HttpError(f"no connection to {peer[0]}:{peer[1]}: {why.lower()}") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock, self._peer = sock, peer
        return sock

    async def _read_head(self, sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > HEAD_BYTES:
                raise HttpError(f"a header of more than {HEAD_BYTES} bytes")
            more = await self._some(sock)
            if not more:
                raise HttpError("the connection ended before the header did" if data else "the connection ended")
            data += more
        lines = data[:end].decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        status = _whole(words[1]) if len(words) > 1 and words[0].startswith("HTTP/1.") else None
        if status is None:
            raise HttpError(f"{lines[0][:80]!r}, which is not HTTP")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        return status, headers, data[end + 4 :]

    async def _some(self, sock: socket.socket) -> bytes:
        while True:
            try:
                return sock.recv(65536)
            except BlockingIOError:
                await self._wait(sock)

    async def _wait(self, sock: socket.socket) -> None:
        if not await readable(sock, self._patience.http_idle):
            raise HttpError(f"no data for {self._patience.http_idle:g} s")

    async def _read_body(self, sock: socket.socket, body: "_Body") -> None:
        turn = 0
        while body.left:
            try:
                got = body.receive(sock)
            except BlockingIOError:
                await self._wait(sock)
                continue
            if not got:
                raise HttpError(f"the connection ended after {body.size} of {body.total} bytes")
            if self.progress:
                self.progress(body.size, body.total)
            turn += got
            if turn > TURN_BYTES:
                turn = 0
                await asyncio.sleep(0)


def _length(status: int, headers: Mapping[str, str]) -> int:
    """Return Content-Length. Raises HttpError where firmware would not know the length of the body."""
    if "transfer-encoding" in headers:
        raise HttpError("a chunked response; firmware requires Content-Length")
    length = _whole(headers.get("content-length", ""))
    if length is None and status not in (204, 304):
        raise HttpError(f"status {status} without Content-Length")
    return length or 0


def _whole(text: str) -> int | None:
    """Return the number of at most 18 digits that *text* is, or None; any of these is within 64 bits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


class _Body:
    """The destination of a body: kept, hashed, or discarded in the kernel."""

    def __init__(self, total: int, rest: bytes, *, keeps: bool, hashes: bool) -> None:
        if len(rest) > total:
            raise HttpError(f"{len(rest) - total} bytes more than Content-Length")
        if keeps and total > KEEP_BYTES:
            raise HttpError(f"{total} bytes, too many for a text file")
        self.total, self.size = total, 0
        self.kept = bytearray()
        self._keeps = keeps
        self._hash = hashlib.sha256() if hashes else None
        self._take(memoryview(rest))

    @property
    def left(self) -> int:
        return self.total - self.size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest() if self._hash else ""

    def receive(self, sock: socket.socket) -> int:
        """Receive the available bytes; return 0 at the end of the connection. Raises BlockingIOError."""
        want = min(self.left, CHUNK_BYTES)
        if not self._keeps and not self._hash:
            # MSG_TRUNC on TCP discards the bytes without copying them (tcp(7)).
            got = sock.recv_into(_scratch, want, socket.MSG_TRUNC)
            self.size += got
            return got
        got = sock.recv_into(_scratch, want)
        self._take(memoryview(_scratch)[:got])
        return got

    def _take(self, data: memoryview) -> None:
        self.size += len(data)
        if self._hash:
            self._hash.update(data)
        if self._keeps:
            self.kept += data
