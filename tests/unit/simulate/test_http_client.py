"""The HTTP client of simulated machines, with aiohttp and with faulty servers."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import pytest
from aiohttp import web

from appliance.simulate.http import Http, HttpError
from appliance.simulate.machine import Patience
from tests.simulate_loopback import Loopback

LOOPBACK = IPv4Address("127.0.0.1")
BODY = bytes(range(256)) * 4096 * 3


async def _lookup(host: str) -> IPv4Address:
    return LOOPBACK


def client(idle: float = 5.0, agent: str = "test/1") -> Http:
    return Http(Loopback(), LOOPBACK, Patience(http_idle=idle), agent, _lookup)


@asynccontextmanager
async def aiohttp_server(handler: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        return handler(request)  # type: ignore[arg-type]  # a BaseRequest is all that is looked at

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(*answers: bytes) -> AsyncIterator[str]:
    """Run a server that sends an answer to each connection, regardless of the request, and closes it.

    After the last answer it is silent.
    """
    left = list(answers)
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            if left:
                writer.write(left.pop(0))
                await writer.drain()
            else:
                await reader.read()  # until the client closes
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*served)
        # A closed transport closes its socket in the next turn of the loop.
        await asyncio.sleep(0)


async def test_a_body_is_hashed_as_it_comes() -> None:
    async with aiohttp_server(lambda _: web.Response(body=BODY)) as url, client() as http:
        answer = await http.get(f"{url}/image")
    assert (answer.status, answer.size, answer.sha256) == (200, len(BODY), hashlib.sha256(BODY).hexdigest())
    assert answer.body == b""


async def test_a_body_that_is_only_counted_is_counted_right() -> None:
    async with aiohttp_server(lambda _: web.Response(body=BODY)) as url, client() as http:
        answer = await http.get(f"{url}/image", hashes=False)
    assert (answer.size, answer.sha256) == (len(BODY), "")


async def test_a_body_is_kept_where_it_is_wanted() -> None:
    async with aiohttp_server(lambda _: web.Response(text="#!ipxe\n")) as url, client() as http:
        assert (await http.get(url, keeps=True)).body == b"#!ipxe\n"


async def test_head_gives_the_length_and_no_body() -> None:
    async with aiohttp_server(lambda _: web.Response(body=BODY)) as url, client() as http:
        answer = await http.head(f"{url}/image")
    assert (answer.length, answer.size) == (len(BODY), 0)


async def test_several_requests_use_one_connection() -> None:
    peers = set()

    def note_peer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="x")

    async with aiohttp_server(note_peer) as url, client() as http:
        for _ in range(3):
            await http.get(url)
    assert len(peers) == 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    async with raw_server(reply, reply) as url, client() as http:
        await http.get(url)
        assert (await http.get(url)).size == 1


async def test_no_user_agent_is_sent_where_the_program_has_none() -> None:
    def show_agent(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("User-Agent", "none"))

    async with aiohttp_server(show_agent) as url, client(agent="") as http:
        assert (await http.get(url, keeps=True)).body == b"none"


async def test_a_server_that_is_told_to_wait_for_says_how_long() -> None:
    refusal = web.Response(status=503, headers={"Retry-After": "10"}, text="not yet")
    async with aiohttp_server(lambda _: refusal) as url, client() as http:
        answer = await http.get(url)
    assert (answer.status, answer.retry_seconds, answer.body) == (503, 10, b"not yet")


async def test_a_retry_after_that_is_not_a_number_means_five_seconds_as_in_ipxe() -> None:
    refusal = web.Response(status=503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
    async with aiohttp_server(lambda _: refusal) as url, client() as http:
        assert (await http.get(url)).retry_seconds == 5


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "chunked"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "without Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "after 5 of 9 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlonger", "5 bytes more than Content-Length"),
        (b"", "the connection ended"),
        (b"HTTP/1.1 200 OK\r\nContent-", "before the header did"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "which is not HTTP"),
        (b"HTTP/1.1 \xb2\xb9 OK\r\n\r\n", "which is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n", "without Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "without Content-Length"),
    ],
)
async def test_a_fault_of_the_server_is_named(answer: bytes, says: str) -> None:
    async with raw_server(answer) as url, client() as http:
        with pytest.raises(HttpError, match=says):
            await http.get(url)


async def test_a_server_that_falls_silent_is_given_up() -> None:
    # This limits connecting too, so it must be longer than a pause of this process.
    async with raw_server() as url, client(idle=1.0) as http:
        with pytest.raises(HttpError, match="no data for 1 s"):
            await http.get(url)


async def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with client() as http:
            with pytest.raises(HttpError, match=f"no connection to 127.0.0.1:{port}: connection refused"):
                await http.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["https://192.0.2.1/x", "/x", "http:///x", "ftp://192.0.2.1/x"])
async def test_url_that_is_not_http_is_refused(url: str) -> None:
    async with client() as http:
        with pytest.raises(HttpError, match="not an http:// URL"):
            await http.get(url)


@pytest.mark.parametrize("url", ["http://[", "http://192.0.2.1:99999/x", "http://192.0.2.1:x/"])
async def test_a_url_that_cannot_be_parsed_is_refused(url: str) -> None:
    async with client() as http:
        with pytest.raises(HttpError, match="is not a valid URL"):
            await http.get(url)
