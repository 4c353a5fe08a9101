"""The dashboard over real sockets: what it answers, to whom, and that it changes nothing."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.dashboard import server as servers
from appliance.dashboard.server import FILES
from appliance.errors import ListenError
from appliance.status import view
from tests.dashboards import Dashboard

PATHS = [*FILES, "/status", "/metrics", "/stream", "/hosts/m1.ocp45.example.localdomain"]


@pytest.fixture
async def dashboard(tmp_path):
    dashboard = Dashboard(tmp_path)
    await dashboard.start()
    yield dashboard
    await dashboard.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(dashboard, path, method):
    async with dashboard.session.request(method, path, data=b"x") as answer:
        assert answer.status == 405


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_forbids_what_the_page_does_not_need(dashboard, path):
    async with dashboard.session.get(path) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/status", "application/json; charset=utf-8"),
        ("/stream", "text/event-stream"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_each_path_has_its_content_type(dashboard, path, kind):
    async with dashboard.session.get(path) as answer:
        assert answer.headers["Content-Type"] == kind


async def test_metrics_are_prometheus_text(dashboard):
    async with dashboard.session.get("/metrics") as answer:
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    assert sum(sample.value for sample in families["ocp_appliance_hosts"].samples) == 7


async def test_status_is_the_view(dashboard):
    dashboard.happen(dashboard.boot(1).to_script())
    async with dashboard.session.get("/status") as answer:
        told = await answer.json()
    assert told == json.loads(json.dumps(view.status(dashboard.registry, told["at"])))


async def test_a_hosts_last_boot_is_reported(dashboard):
    dashboard.happen(dashboard.boot(1).to_script())
    async with dashboard.session.get("/hosts/m1.ocp45.example.localdomain") as answer:
        steps = (await answer.json())["steps"]
    assert steps[0]["asked"] == "firmware (PXE) looks for a DHCP server"


@pytest.mark.parametrize("path", ["/hosts/nobody", "/hosts/", "/page.txt", "/server.py", "/%2e%2e/server.py"])
async def test_unknown_path_is_404(dashboard, path):
    async with dashboard.session.get(path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("192.0.2.1:8080", 200),
        ("[::1]:8080", 200),
        ("[2001:db8::1]", 200),
        ("localhost:8080", 200),
        ("LocalHost", 200),
        ("bastion.example.localdomain:8080", 200),
        ("bastion.example.localdomain.", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 400),
    ],
)
async def test_only_the_appliances_own_names_and_addresses_are_answered(dashboard, host, status):
    async with dashboard.session.get("/status", headers={"Host": host}) as answer:
        assert answer.status == status


async def test_a_request_without_a_host_header_is_refused(dashboard):
    reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port)
    writer.write(b"GET /status HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"403"
    writer.close()
    await writer.wait_closed()


async def test_one_browser_too_many_is_asked_to_come_back(dashboard):
    dashboard.server.readers.most = 2
    async with AsyncExitStack() as following:
        for _ in range(2):
            stream = await following.enter_async_context(dashboard.session.get("/stream"))
            await stream.content.readline()
        async with dashboard.session.get("/stream") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_browser_of_another_address_gets_the_place_of_one_who_has_many(dashboard):
    dashboard.server.readers.most = 3
    async with AsyncExitStack() as following:
        for _ in range(3):
            stream = await following.enter_async_context(dashboard.session.get("/stream"))
            await stream.content.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port, local_addr=("127.0.0.2", 0))
        writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()


async def test_connection_of_another_address_gets_the_place_of_one_who_has_many(dashboard):
    dashboard.server.doors.most = 20
    greedy = [await asyncio.open_connection("127.0.0.1", dashboard.port) for _ in range(20)]
    reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port, local_addr=("127.0.0.2", 0))
    writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in await reader.readline()
    for _, other in [*greedy, (reader, writer)]:
        other.close()


async def test_client_that_takes_no_answer_does_not_keep_others_from_theirs(dashboard):
    dashboard.server._answers.most = 2
    body = b" " * (8 << 20)
    dashboard.server._status_text._make = partial(asyncio.sleep, 0, body)
    stuck = [await asyncio.open_connection("127.0.0.1", dashboard.port, limit=1) for _ in range(2)]
    for reader, writer in stuck:
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.read(1)
    async with dashboard.session.get("/status") as answer:
        assert answer.status == 503
    reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port, local_addr=("127.0.0.2", 0))
    writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in await reader.readline()
    for _, other in [*stuck, (reader, writer)]:
        other.close()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nX: " + b"a" * 9000, b"CONNECT \r\n\r\n", b"GET /\r\n"])
async def test_head_that_is_no_request_is_refused_at_once(dashboard, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        assert await reader.read()
        writer.close()
        while len(dashboard.server.doors):
            await asyncio.sleep(0.01)


async def test_status_is_made_once_a_second_however_many_ask(dashboard, monkeypatch):
    made = []
    monkeypatch.setattr(view, "status", lambda _registry, balancer: made.append(balancer) or {})
    for _ in range(5):
        async with dashboard.session.get("/status") as answer:
            assert answer.status == 200
    assert len(made) == 1


async def test_a_browser_that_leaves_gives_its_place_back(dashboard):
    dashboard.server.readers.most = 1
    for _ in range(3):
        async with asyncio.timeout(5):
            while True:  # until the server notices that the client has gone
                async with dashboard.session.get("/stream") as answer:
                    if answer.status == 200:
                        assert await answer.content.readline() == b"event: status\n"
                        break


async def test_a_browser_that_takes_nothing_is_let_go(dashboard, monkeypatch):
    monkeypatch.setattr(servers, "WRITE_SECONDS", 0.05)
    monkeypatch.setattr(servers.Stream, "messages", endless)
    with socket.socket() as browser:
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        browser.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(browser, ("127.0.0.1", dashboard.port))
        await loop.sock_sendall(browser, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            while not endless.ended:
                await asyncio.sleep(0.01)


async def endless(_stream):
    """A stream that never ends."""
    try:
        while True:
            yield b":" + b" " * 100_000 + b"\n\n"
    finally:
        endless.ended = True


endless.ended = False


async def test_connections_are_bounded(dashboard):
    dashboard.server.doors.most = 1
    async with dashboard.session.get("/stream") as stream:
        await stream.content.readline()
        reader, second = await asyncio.open_connection("127.0.0.1", dashboard.port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        second.close()


async def test_a_taken_port_names_the_setting(dashboard):
    with pytest.raises(ListenError, match=r"listen\.dashboard"):
        dashboard.open()


async def test_the_end_does_not_wait_for_browsers(dashboard):
    async with dashboard.session.get("/stream") as answer:
        await answer.content.readline()
        dashboard.task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(dashboard.task, return_exceptions=True)
