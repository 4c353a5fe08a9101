"""The web server on loopback: what it sends to whom, and the events that it publishes."""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from appliance.allowance import STRANGER_EVENTS_PER_SECOND
from appliance.errors import ListenError, StoreError
from appliance.events import (
    FileUnservable,
    IgnitionLoaded,
    WebBroken,
    WebFinished,
    WebKind,
    WebProgress,
    WebRefused,
    WebStarted,
)
from appliance.install.installation import Order, Stage
from appliance.model import Arch, DhcpMode, Image, Role
from appliance.web import transfer
from appliance.web.compile import compile_web
from appliance.web.connections import GatedConnection
from appliance.web.exchange import HOST_TRANSFERS_A_SECOND, HOST_TRANSFERS_AT_ONCE, STRANGERS_AT_ONCE
from appliance.web.server import WebServer
from tests.clusters import LEGACY_IMAGES, reference_cluster
from tests.config_files import bootstrap_ign
from tests.serving import free_port
from tests.web_server import IGNITION, Running, fill, loopback_cluster, running

KERNEL = "/rhcos-4.5.6-x86_64-installer-kernel-x86_64"
METAL = "/rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
BS, M1, W1, STRANGER = "127.16.0.11", "127.16.0.21", "127.16.0.31", "127.0.0.1"
M1_SCRIPT = "/ipxe/00-50-56-96-37-c8.ipxe"
W1_SCRIPT = "/ipxe/00-50-56-96-6b-da.ipxe"
TOKEN = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as received."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    fill(tmp_path)
    async with running(tmp_path) as server:
        yield server


async def read_reply(reader: asyncio.StreamReader, method: str) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(status_line.split()[1])
    length = 0 if method == "HEAD" or status == 304 else int(headers["content-length"])
    return Reply(status, headers, await reader.readexactly(length))


@contextlib.asynccontextmanager
async def connection(
    web: Running, client: str = STRANGER
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port, local_addr=(client, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def fetch(web: Running, path: str, client: str = STRANGER, method: str = "GET", headers: str = "") -> Reply:
    async with connection(web, client) as (reader, writer):
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1"))
        return await read_reply(reader, method)


async def until(web: Running, kind: str) -> None:
    """Wait for an event of *kind*; the end of a transfer is published after the client has received it."""
    async with asyncio.timeout(10):
        while kind not in web.kinds():
            await asyncio.sleep(0.01)


async def test_image_goes_out_byte_for_byte(web: Running) -> None:
    content = (web.data_dir / "images" / METAL[1:]).read_bytes()
    assert (await fetch(web, METAL)).body == content


async def test_large_image_goes_out_byte_for_byte(web: Running) -> None:
    content = os.urandom(20_000_003)
    (web.data_dir / "images" / METAL[1:]).write_bytes(content)
    reply = await fetch(web, METAL)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(content).digest()


async def test_head_has_the_headers_that_nginx_had(web: Running) -> None:
    reply = await fetch(web, METAL, method="HEAD")
    assert reply.status == 200
    assert reply.headers["content-length"] == str((web.data_dir / "images" / METAL[1:]).stat().st_size)
    assert {"last-modified", "etag", "accept-ranges", "date", "server"} <= set(reply.headers)
    assert "transfer-encoding" not in reply.headers
    assert reply.headers["server"]


async def test_connection_stays_open_for_the_next_request(web: Running) -> None:
    async with connection(web) as (reader, writer):
        for _ in range(3):
            writer.write(f"GET {KERNEL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await read_reply(reader, "GET")).status == 200


async def test_requests_in_one_packet_are_answered_in_order(web: Running) -> None:
    async with connection(web) as (reader, writer):
        writer.write(
            b"HEAD /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n"
            + f"GET {KERNEL} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert [(await read_reply(reader, method)).status for method in ("HEAD", "GET", "GET")] == [200, 200, 404]


@pytest.mark.parametrize("path", [METAL, "/pxeboot.ipxe", "/nothing"])
async def test_client_that_closes_its_side_after_asking_gets_the_answer_and_the_end(web: Running, path: str) -> None:
    whole = (await fetch(web, path)).body
    async with connection(web) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        writer.write_eof()
        async with asyncio.timeout(10):
            assert (await read_reply(reader, "GET")).body == whole
            assert await reader.read() == b""


async def test_every_request_from_before_the_client_closed_its_side_is_answered(web: Running) -> None:
    async with connection(web) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        writer.write_eof()
        async with asyncio.timeout(10):
            assert [(await read_reply(reader, "GET")).status for _ in range(2)] == [200, 404]
            assert await reader.read() == b""


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
async def test_client_that_closes_its_side_without_a_request_is_closed(web: Running, sent: bytes) -> None:
    async with connection(web) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read() == b""


async def test_image_never_overtakes_what_the_client_has_not_read_yet(web: Running) -> None:
    """Text is sent through the transport's buffer, and images directly to the socket."""
    web.install("m1", Stage.INITRAMFS)
    large = b'{"ignition":{"version":"3.2.0"},"x":"' + b"x" * 3_000_000 + b'"}'
    (web.data_dir / "ignition" / "master.ign").write_bytes(large)
    image = (web.data_dir / "images" / METAL[1:]).read_bytes()
    async with connection(web, M1) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for path in (*[f"/ignition/{TOKEN}/master.ign"] * 4, METAL):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(web, "web.start")
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        bodies = [(await read_reply(reader, "GET")).body for _ in range(5)]
    assert bodies == [large] * 4 + [image]


async def test_http_1_0_client_gets_its_file_and_the_end(web: Running) -> None:
    async with connection(web) as (reader, writer):
        writer.write(f"GET {KERNEL} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert body == (web.data_dir / "images" / KERNEL[1:]).read_bytes()


async def test_range_resumes_a_broken_download(web: Running) -> None:
    content = (web.data_dir / "images" / METAL[1:]).read_bytes()
    reply = await fetch(web, METAL, headers="Range: bytes=1000-\r\n")
    assert (reply.status, reply.body) == (206, content[1000:])


async def test_several_ranges_come_in_one_body(web: Running) -> None:
    content = (web.data_dir / "images" / METAL[1:]).read_bytes()
    reply = await fetch(web, METAL, headers="Range: bytes=0-9,-5\r\n")
    assert reply.status == 206
    assert content[:10] in reply.body
    assert reply.body.count(b"Content-Range") == 2


async def test_known_entity_is_not_sent_again(web: Running) -> None:
    etag = (await fetch(web, METAL, method="HEAD")).headers["etag"]
    reply = await fetch(web, METAL, headers=f"If-None-Match: {etag}\r\n")
    assert (reply.status, reply.body) == (304, b"")


async def test_doubled_slashes_are_served_and_not_redirected(web: Running) -> None:
    """UEFI HTTP Boot does not follow redirects."""
    assert (await fetch(web, f"/{KERNEL}")).status == 200


async def test_replaced_image_is_served_without_a_restart(web: Running) -> None:
    before = (await fetch(web, METAL)).headers["etag"]
    fresh = web.data_dir / "images" / "new"
    fresh.write_bytes(b"new image")
    fresh.rename(web.data_dir / "images" / METAL[1:])
    reply = await fetch(web, METAL)
    assert reply.body == b"new image"
    assert reply.headers["etag"] != before


async def test_loader_is_found_in_the_data_directory(web: Running) -> None:
    (web.data_dir / "tftp" / "efi" / "ipxe.efi").write_bytes(b"MZ")
    reply = await fetch(web, "/efi/ipxe.efi")
    assert reply.body == b"MZ"
    assert reply.headers["content-type"] == "application/efi"
    await until(web, "web.done")
    assert [event.what for event in web.events if isinstance(event, WebFinished)] == [WebKind.LOADER]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_refused(web: Running, method: str) -> None:
    reply = await fetch(web, KERNEL, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n", b"GET /x\r\n"],
)
async def test_bytes_that_are_not_a_request_get_400_and_the_end(
    web: Running, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connection(web) as (reader, writer):
        writer.write(request_bytes + b"\r\n\r\n")
        reply = await reader.read()
    assert reply.startswith(b"HTTP/1.")
    assert b" 400 " in reply.splitlines()[0]
    assert [event.status for event in web.events if isinstance(event, WebRefused)] == [400]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("sent", "path", "why"),
    [
        (b"GET / HTTP/9.9\r\nHost: x", "GET / HTTP/9.9", "a request line"),
        (b"\x16\x03\x01", r"\x16\x03\x01", "a request line"),
        (b"GET /x HTTP/1.1\r\nHost: a/b", "/x", "in Host, got 'a/b'"),
        (b"GET /x HTTP/1.1\r\nHost: u@x", "/x", "in Host, got 'u@x'"),
        (b"GET /x HTTP/1.1\r\nHost: a, b", "/x", "in Host, got 'a, b'"),
        (b"GET /x HTTP/1.1\r\nHost:", "/x", "in Host, got ''"),
        (b"GET /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:", "/x", "Transfer-Encoding"),
        (b"GET /x HTTP/1.1\r\nHost: x\r\nbad field", "/x", "header field: 'bad field'"),
    ],
)
async def test_what_cannot_be_parsed_gets_400_in_http_1_1_and_is_named_in_the_log(
    web: Running, sent: bytes, path: str, why: str
) -> None:
    async with connection(web) as (reader, writer), asyncio.timeout(5):
        writer.write(sent + b"\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
    (refused,) = [event for event in web.events if isinstance(event, WebRefused)]
    assert (refused.status, refused.path) == (400, path)
    assert why in refused.why


async def test_directory_is_not_listed(web: Running) -> None:
    (web.data_dir / "images" / "sub").mkdir()
    assert [(await fetch(web, path)).status for path in ("/", "/sub", "/sub/")] == [404, 404, 404]


async def test_link_out_of_the_data_directory_is_refused(web: Running) -> None:
    (web.data_dir / "images" / "passwd").symlink_to("/etc/passwd")
    reply = await fetch(web, "/passwd")
    assert reply.status == 403
    assert b"root:" not in reply.body


async def test_transfer_is_told_from_start_to_end(web: Running) -> None:
    size = (web.data_dir / "images" / METAL[1:]).stat().st_size
    await fetch(web, METAL, client=M1, headers="User-Agent: curl/7.88\r\n")
    await until(web, "web.done")
    started, finished = (event for event in web.events if isinstance(event, (WebStarted, WebFinished)))
    assert isinstance(started, WebStarted)
    assert (started.host, started.client, started.what, started.total) == (
        "m1.ocp45.example.localdomain", M1, WebKind.METAL, size,
    )  # fmt: skip
    assert isinstance(finished, WebFinished)
    assert (finished.status, finished.sent, finished.total, finished.agent) == (200, size, size, "curl/7.88")


async def test_progress_is_reported_of_a_long_transfer(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PROGRESS_SECONDS", 0.0)
    os.truncate(web.data_dir / "images" / METAL[1:], 32 << 20)
    await fetch(web, METAL, client=M1)
    await until(web, "web.done")
    progress = [event.position for event in web.events if isinstance(event, WebProgress)]
    assert progress == sorted(progress)
    assert 0 < progress[0] < progress[-1] < 32 << 20


async def test_client_that_leaves_is_reported_as_broken(web: Running) -> None:
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web, M1) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1000)
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await until(web, "web.broken")
    (broken,) = (event for event in web.events if isinstance(event, WebBroken))
    assert 0 < broken.sent < 64 << 20
    assert "web.done" not in web.kinds()


@pytest.mark.parametrize("is_half_closed", [False, True])
async def test_client_that_takes_nothing_is_cut_off(
    web: Running, monkeypatch: pytest.MonkeyPatch, is_half_closed: bool
) -> None:
    monkeypatch.setattr(transfer, "STALL_SECONDS", 0.2)
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web, M1) as (_, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if is_half_closed:
            writer.write_eof()
        await until(web, "web.broken")
    (broken,) = (event for event in web.events if isinstance(event, WebBroken))
    assert "the client accepted" in broken.why


async def test_file_that_shrinks_ends_the_connection_instead_of_the_promise(web: Running) -> None:
    image = web.data_dir / "images" / METAL[1:]
    os.truncate(image, 64 << 20)
    async with connection(web, M1) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1000)
        os.truncate(image, 1000)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                assert len(await reader.read()) < 64 << 20
    await until(web, "web.broken")


async def test_no_descriptor_is_left_after_broken_and_whole_transfers(web: Running) -> None:
    await fetch(web, METAL)
    before = len(os.listdir("/proc/self/fd"))
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    for _ in range(3):
        async with connection(web, M1) as (reader, writer):
            writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readexactly(1000)
        web.events.clear()
        await until(web, "web.broken")
        await fetch(web, METAL, headers="Range: bytes=0-0\r\n")
    async with asyncio.timeout(5):
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0.01)


async def test_host_installs_with_its_own_script_and_ignition(web: Running) -> None:
    web.install("m1", Stage.INITRAMFS)
    script = (await fetch(web, M1_SCRIPT, client=M1)).body.decode()
    path = script.partition(f"coreos.inst.ignition_url={web.url}")[2].split()[0]
    reply = await fetch(web, path, client=M1)
    assert (reply.status, reply.body) == (200, IGNITION)
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("client", "path", "status"),
    [
        (M1, f"/ignition/{TOKEN}/master.ign", 200),
        (M1, f"/ignition/{TOKEN}/bootstrap.ign", 403),
        (M1, "/ignition/wrong/master.ign", 403),
        (W1, f"/ignition/{TOKEN}/master.ign", 403),
        (STRANGER, f"/ignition/{TOKEN}/master.ign", 403),
        (M1, "/master.ign", 403),
        (STRANGER, "/bootstrap.ign", 403),
    ],
)
async def test_ignition_reaches_only_its_own_host(web: Running, client: str, path: str, status: int) -> None:
    web.install("m1", Stage.INITRAMFS)
    reply = await fetch(web, path, client=client)
    assert reply.status == status
    assert (IGNITION in reply.body) is (status == 200)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", "", 200),
        ("GET", "If-None-Match: *\r\n", 304),
        ("GET", 'If-Match: "other"\r\n', 412),
    ],
)
async def test_ignition_that_is_not_sent_whole_is_not_reported_as_sent(
    web: Running, method: str, headers: str, status: int
) -> None:
    web.install("m1", Stage.INITRAMFS)
    reply = await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1, method=method, headers=headers)
    assert reply.status == status
    assert not {"web.start", "web.done"} & set(web.kinds())


@pytest.mark.parametrize("wanted", ["bytes=0-0", "bytes=1-", "bytes=99999999-"])
async def test_ignition_is_sent_whole_to_a_client_that_asks_for_a_range(web: Running, wanted: str) -> None:
    web.install("m1", Stage.INITRAMFS)
    reply = await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1, headers=f"Range: {wanted}\r\n")
    assert (reply.status, reply.body) == (200, IGNITION)


async def test_token_is_in_no_event(web: Running) -> None:
    web.install("m1", Stage.INITRAMFS)
    await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1)
    await fetch(web, f"/ignition/{TOKEN}/master.ign", client=W1)
    await until(web, "web.done")
    assert not any(TOKEN in str(event) for event in web.events)


@pytest.mark.parametrize("path", ["/ignition/{}/m.ign", "/ignition/{}/", "/ignition/{}", "/./ignition//{}/worker.txt?"])
async def test_token_in_a_path_that_is_refused_is_not_reported(web: Running, path: str) -> None:
    web.install("m1", Stage.INITRAMFS)
    await fetch(web, path.format(TOKEN), client=M1)
    await until(web, "web.refuse")
    assert not any(TOKEN in str(event) for event in web.events)


async def test_ignition_before_its_stage_is_asked_to_come_again(web: Running) -> None:
    web.install("m1", Stage.SCRIPT)
    reply = await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0


async def test_head_of_a_plain_ignition_path_serves_the_operators_check(web: Running) -> None:
    reply = await fetch(web, "/bootstrap.ign", method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(IGNITION)))
    assert {"etag", "last-modified", "accept-ranges"} <= set(reply.headers)


async def test_missing_ignition_is_waited_for_by_its_host_and_missing_for_the_operator(web: Running) -> None:
    """coreos-installer gives up after 404, and repeats the request forever after 503."""
    web.install("m1", Stage.INITRAMFS)
    (web.data_dir / "ignition" / "master.ign").unlink()
    assert (await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1)).status == 503
    assert (await fetch(web, "/master.ign", method="HEAD")).status == 404


async def test_host_that_fetches_without_end_is_served_and_leaves_room_in_the_journal(web: Running) -> None:
    web.install("m1", Stage.BOOTLOADER)
    began = time.monotonic()
    async with connection(web, client=M1) as (reader, writer):
        for _ in range(200):
            writer.write(f"GET {M1_SCRIPT} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await read_reply(reader, "GET")).status == 200
    allowed = HOST_TRANSFERS_AT_ONCE + HOST_TRANSFERS_A_SECOND * (time.monotonic() - began)
    await fetch(web, KERNEL, client=M1)  # another kind, which publishes progress
    await until(web, "web.done")
    told = [event.what for event in web.events if isinstance(event, WebStarted)]
    assert HOST_TRANSFERS_AT_ONCE <= told.count(WebKind.SCRIPT) <= allowed + 1
    assert told.count(WebKind.KERNEL) == 1
    assert web.server.counts["request", "script", "200"] == 200


@pytest.mark.parametrize(("content", "why"), [(None, "not found"), (b"{", "is not JSON")])
async def test_host_whose_ignition_cannot_be_served_gets_the_reason(
    web: Running, content: bytes | None, why: str
) -> None:
    web.install("m1", Stage.INITRAMFS)
    path = web.data_dir / "ignition" / "master.ign"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1)
    (refused,) = [event for event in web.events if isinstance(event, WebRefused) and event.status == 503]
    assert str(path) in refused.why
    assert why in refused.why


async def test_new_ignition_is_served_without_a_restart(web: Running) -> None:
    web.install("m1", Stage.INITRAMFS)
    fresh = b'{"ignition":{"version":"3.1.0"}}'
    (web.data_dir / "ignition" / "master.ign").write_bytes(fresh)
    assert (await fetch(web, f"/ignition/{TOKEN}/master.ign", client=M1)).body == fresh


async def test_files_are_read_at_the_start_before_anybody_asks(web: Running) -> None:
    await until(web, "ignition.load")
    assert isinstance(web.events[0], IgnitionLoaded)


async def test_first_word_of_a_host_may_begin_its_installation(tmp_path: Path) -> None:
    """With another DHCP server, the request for its script is the first that the appliance gets from a host."""
    fill(tmp_path)
    async with running(tmp_path, dhcp=DhcpMode.OFF) as web:
        assert (await fetch(web, M1_SCRIPT, client=M1)).status == 503
        web.server._context.publish = lambda event: web.install("m1", Stage.SCRIPT)
        assert TOKEN.encode() in (await fetch(web, M1_SCRIPT, client=M1)).body


class SlowDisk:
    """A store whose writes complete when a test allows it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_asked = asyncio.Event()
        self.may_end = asyncio.Event()

    async def written(self, host: str) -> None:
        self.asked.append(host)
        self.is_asked.set()
        await self.may_end.wait()


@pytest.mark.parametrize("path", [M1_SCRIPT, f"/ignition/{TOKEN}/master.ign"])
async def test_answer_that_depends_on_the_state_goes_out_once_that_is_written(tmp_path: Path, path: str) -> None:
    fill(tmp_path)
    disk = SlowDisk()
    async with running(tmp_path, written=disk.written) as web:
        web.install("m1", Stage.INITRAMFS)
        async with connection(web, M1) as (reader, writer), asyncio.timeout(10):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await disk.is_asked.wait()
            # The event comes first, because the state that must be written depends on it.
            assert "web.start" in web.kinds()
            assert "web.done" not in web.kinds()
            assert web.server.counts["request", "script", "200"] + web.server.counts["request", "ignition", "200"] == 0
            disk.may_end.set()
            assert (await read_reply(reader, "GET")).status == 200
    assert disk.asked == ["m1.ocp45.example.localdomain"]


async def test_client_that_leaves_before_the_state_is_written_is_reported_as_broken(tmp_path: Path) -> None:
    fill(tmp_path)
    disk = SlowDisk()
    async with running(tmp_path, written=disk.written) as web:
        web.install("m1", Stage.INITRAMFS)
        async with connection(web, M1) as (_, writer), asyncio.timeout(10):
            writer.write(f"GET /ignition/{TOKEN}/master.ign HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await disk.is_asked.wait()
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(web, "web.broken")
    (broken,) = (event for event in web.events if isinstance(event, WebBroken))
    assert (broken.what, broken.sent) == (WebKind.IGNITION, 0)


@pytest.mark.parametrize("path", [M1_SCRIPT, f"/ignition/{TOKEN}/master.ign"])
async def test_answer_whose_state_cannot_be_written_is_503_and_counts_as_not_sent(tmp_path: Path, path: str) -> None:
    async def full_disk(_host: str) -> None:
        raise StoreError("no space left on device")

    fill(tmp_path)
    async with running(tmp_path, written=full_disk) as web:
        web.install("m1", Stage.INITRAMFS)
        reply = await fetch(web, path, client=M1)
    assert (reply.status, reply.headers["retry-after"]) == (503, "10")
    assert TOKEN.encode() not in reply.body
    assert [kind for kind in web.kinds() if kind in ("web.broken", "web.done")] == ["web.broken"]


async def test_images_and_strangers_wait_for_no_state(tmp_path: Path) -> None:
    fill(tmp_path)
    disk = SlowDisk()
    async with running(tmp_path, written=disk.written) as web:
        assert (await fetch(web, METAL, client=M1)).status == 200
        assert (await fetch(web, "/pxeboot.ipxe")).status == 200
    assert disk.asked == []


@pytest.mark.parametrize(
    ("order", "told"),
    [(Order.LOCAL, b"sanboot --no-describe --drive 0x80"), (Order.HOLD, b"ocp-appliance release m1")],
)
async def test_order_decides_what_the_menus_path_gives(web: Running, order: Order, told: bytes) -> None:
    web.install("m1", Stage.WAITING, order=order)
    assert told in (await fetch(web, "/pxeboot.ipxe", client=M1)).body


async def test_polls_of_a_held_host_are_reported_once(web: Running) -> None:
    web.install("m1", Stage.WAITING, order=Order.HOLD)
    for _ in range(3):
        await fetch(web, M1_SCRIPT, client=M1)
    await until(web, "web.done")
    assert [event.what for event in web.events if isinstance(event, WebStarted)] == [WebKind.WAIT]


async def test_client_that_leaves_with_its_answers_last_byte_leaves_no_connection_behind(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most clients close then, before the next request is awaited; a thousand connections would stay for a minute."""
    answered = GatedConnection.finish_response
    stays_open: list[bool] = []

    async def answered_and_left(self: GatedConnection, *told: Any) -> Any:
        result = await answered(self, *told)
        stays_open.append(self.eof_received())
        return result

    monkeypatch.setattr(GatedConnection, "finish_response", answered_and_left)
    await fetch(web, "/pxeboot.ipxe")
    assert stays_open == [False]


async def test_a_poll_is_reported_again_after_an_order_in_between(web: Running) -> None:
    for order, number in ((Order.HOLD, 1), (Order.INSTALL, 1), (Order.HOLD, 1), (Order.HOLD, 2)):
        web.install("m1", Stage.WAITING, order=order, number=number)
        for _ in range(2):
            await fetch(web, M1_SCRIPT, client=M1)
    await until(web, "web.done")
    told = [event.what for event in web.events if isinstance(event, WebStarted)]
    assert told == [WebKind.WAIT, WebKind.SCRIPT, WebKind.SCRIPT, WebKind.WAIT, WebKind.WAIT]


def allowed_since(began: float) -> float:
    """Return how many events unknown clients may have caused since *began*."""
    return STRANGERS_AT_ONCE + STRANGER_EVENTS_PER_SECOND * (time.monotonic() - began)


async def test_scan_by_a_stranger_does_not_flood_the_journal(web: Running) -> None:
    began = time.monotonic()
    async with connection(web) as (reader, writer):
        for number in range(200):
            writer.write(f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await read_reply(reader, "GET")
    assert len([event for event in web.events if isinstance(event, WebRefused)]) <= allowed_since(began)
    assert web.server.counts["request", "other", "404"] == 200


async def test_stranger_that_fetches_without_end_does_not_flood_the_journal(web: Running) -> None:
    began = time.monotonic()
    async with connection(web) as (reader, writer):
        for _ in range(200):
            writer.write(b"GET /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n")
            await read_reply(reader, "GET")
    told = len([event for event in web.events if isinstance(event, WebStarted | WebFinished)])
    assert 0 < told <= 2 * allowed_since(began)
    assert web.server.counts["request", "menu", "200"] == 200


async def test_absence_of_what_clients_do_without_is_no_event(web: Running) -> None:
    (web.data_dir / "images" / "no-boot-file").write_text("never found, even where there is one")
    assert [(await fetch(web, path)).status for path in (f"{METAL}.sig", "/no-boot-file")] == [404, 404]
    assert "web.refuse" not in web.kinds()


async def test_host_waits_for_a_missing_image_and_goes_on_when_it_comes(web: Running) -> None:
    web.install("m1", Stage.BOOTLOADER)
    kernel = web.data_dir / "images" / "rhcos-4.5.6-x86_64-installer-kernel-x86_64"
    content = kernel.read_bytes()
    kernel.unlink()
    held = await fetch(web, M1_SCRIPT, M1)
    assert (held.status, b"waits: the appliance has no usable rhcos-4.5.6-x86_64-installer-kernel" in held.body) == (
        200,
        True,
    )
    assert str(web.data_dir).encode() not in held.body
    told = [event for event in web.events if isinstance(event, FileUnservable)]
    assert [(event.host, event.path) for event in told] == [("m1.ocp45.example.localdomain", str(kernel))]
    kernel.write_bytes(content)
    async with asyncio.timeout(10.0):
        while b"waits:" in (await fetch(web, M1_SCRIPT, M1)).body:
            await asyncio.sleep(0.1)


async def test_polls_of_a_host_that_waits_for_a_file_are_reported_once(web: Running) -> None:
    web.install("m1", Stage.BOOTLOADER)
    (web.data_dir / "ignition" / "master.ign").unlink()
    for _ in range(3):
        assert b"no usable master.ign" in (await fetch(web, M1_SCRIPT, M1)).body
    assert [event.kind for event in web.events if event.host].count("file.unservable") == 1


@pytest.mark.parametrize(("left", "serve_expired", "waits"), [(-1, False, True), (1, False, False), (-1, True, False)])
async def test_host_waits_in_ipxe_for_ignition_whose_certificates_are_valid(
    left: int, serve_expired: bool, waits: bool, tmp_path: Path
) -> None:
    fill(tmp_path)
    expires_at = datetime.now(UTC) + timedelta(hours=left)
    (tmp_path / "ignition" / "bootstrap.ign").write_text(bootstrap_ign(expires_at))
    host = reference_cluster().hosts[0]
    async with running(tmp_path, serve_expired=serve_expired) as web:
        web.install(host.short_name, Stage.BOOTLOADER)
        script = await fetch(web, f"/ipxe/{host.macs[0].hyphenated}.ipxe", f"127.16.0.{host.address.packed[3]}")
        assert (b"no usable bootstrap.ign" in script.body) is waits
        told = [event.why for event in web.events if isinstance(event, FileUnservable)]
    assert [why.split(" at ")[0] for why in told] == ["its certificates expired"] * waits


async def test_damaged_image_is_held_back_until_it_is_mended(tmp_path: Path) -> None:
    fill(tmp_path)
    image = tmp_path / "images" / METAL[1:]
    os.utime(image, (0, 0))
    right = hashlib.sha256(b"right").hexdigest()
    images = replace(LEGACY_IMAGES, metal=Image(METAL[1:], right))
    async with running(tmp_path, images={Arch.X86_64: images}) as web:
        await until(web, "image.damaged")
        assert (await fetch(web, METAL)).status == 503
        image.write_bytes(b"right")
        assert (await fetch(web, METAL)).body == b"right"


async def answer_and_stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve as a machine config server does for whoever only connects: it waits for the client to begin."""
    await reader.read()
    writer.close()


@pytest.fixture
def machine_config_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the port of the machine config servers, which are probed anew each time."""
    port = free_port()
    monkeypatch.setattr("appliance.web.machineconfig.KEEP_SECONDS", 0.0)
    monkeypatch.setattr("appliance.web.machineconfig.SETTLE_SECONDS", 0.05)
    monkeypatch.setattr("appliance.web.compile.MACHINE_CONFIG_PORT", port)
    return port


async def waits(web: Running) -> bool:
    """Whether w1 gets the script with which it waits, and not that which installs it."""
    web.install("w1", Stage.BOOTLOADER)
    body = (await fetch(web, W1_SCRIPT, client=W1)).body
    assert (b" yet\n" in body) != (b"coreos.inst" in body)
    return b" yet\n" in body


async def test_worker_waits_until_a_master_answers(tmp_path: Path, machine_config_port: int) -> None:
    fill(tmp_path)
    async with running(tmp_path, hold_workers=True) as web:
        assert await waits(web)
        async with await asyncio.start_server(answer_and_stay, M1, machine_config_port):
            assert not await waits(web)


async def test_worker_waits_while_connections_are_dropped(
    tmp_path: Path, machine_config_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than any pause of this process; the probe notices at once that the connection is dropped.
    monkeypatch.setattr("appliance.web.machineconfig.SETTLE_SECONDS", 30.0)
    fill(tmp_path)

    async def drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, M1, machine_config_port)
    async with server, running(tmp_path, hold_workers=True) as web:
        assert await waits(web)


@pytest.mark.parametrize("address", [BS, "127.0.0.1"], ids=["bootstrap", "api-int"])
async def test_machine_config_server_of_the_bootstrap_is_none_for_workers(
    tmp_path: Path, machine_config_port: int, address: str
) -> None:
    fill(tmp_path)
    server = await asyncio.start_server(answer_and_stay, address, machine_config_port)
    async with server, running(tmp_path, hold_workers=True, api_int_vips=(IPv4Address("127.0.0.1"),)) as web:
        assert await waits(web)


async def test_worker_of_a_cluster_whose_masters_are_not_in_the_file_waits_for_api_int(
    tmp_path: Path, machine_config_port: int
) -> None:
    fill(tmp_path)
    vip = IPv4Address("127.0.0.1")
    hosts = tuple(host for host in loopback_cluster(tmp_path, 80).hosts if host.role is Role.WORKER)
    async with running(tmp_path, hold_workers=True, api_int_vips=(vip,), hosts=hosts) as web:
        assert await waits(web)
        async with await asyncio.start_server(answer_and_stay, str(vip), machine_config_port):
            assert not await waits(web)


@pytest.mark.parametrize("has_master", [True, False])
async def test_load_balancer_of_ours_knows_whether_a_master_answers(
    tmp_path: Path, machine_config_port: int, has_master: bool
) -> None:
    """Whatever answers at a master's address besides."""
    fill(tmp_path)
    asked = []

    def knows(cluster: str) -> bool:
        asked.append(cluster)
        return has_master

    server = await asyncio.start_server(answer_and_stay, M1, machine_config_port)
    async with server, running(tmp_path, hold_workers=True, has_master=knows) as web:
        assert await waits(web) is not has_master
    assert set(asked) == {"ocp45.example.localdomain"}


async def test_masters_are_probed_while_the_load_balancer_is_not_heard(
    tmp_path: Path, machine_config_port: int
) -> None:
    fill(tmp_path)
    async with running(tmp_path, hold_workers=True, has_master=lambda _cluster: None) as web:
        assert await waits(web)
        async with await asyncio.start_server(answer_and_stay, M1, machine_config_port):
            assert not await waits(web)


@pytest.mark.usefixtures("machine_config_port")
async def test_worker_that_has_waited_long_enough_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine config server may be reachable from the nodes but not from the appliance."""
    monkeypatch.setattr("appliance.web.protocol.LONGEST_WAIT_SECONDS", 1e-9)
    fill(tmp_path)
    async with running(tmp_path, hold_workers=True) as web:
        assert await waits(web)
        assert not await waits(web)
        assert "web.wait-over" in web.kinds()


@pytest.mark.parametrize(("level", "lines"), [(logging.DEBUG, 1), (logging.INFO, 0)])
async def test_connection_past_the_bound_is_turned_away(
    web: Running, caplog: pytest.LogCaptureFixture, level: int, lines: int
) -> None:
    caplog.set_level(level, "appliance")
    assert web.server._connections is not None
    web.server._connections.doors.most = 1
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1000)
        async with connection(web) as (second, _):
            with contextlib.suppress(ConnectionError):
                assert await second.read() == b""
    assert web.server._connections.doors.turned_away == 1
    assert caplog.text.count(f"web.silence why=too-many-connections client={STRANGER}") == lines


async def test_thousand_machines_behind_one_address_are_all_served_at_once(web: Running) -> None:
    assert web.server._connections is not None
    count = min(1000, web.server._connections.doors.most_of_strangers)
    async with contextlib.AsyncExitStack() as stack:
        machines = [await stack.enter_async_context(connection(web)) for _ in range(count)]
        for path in ("/pxeboot.ipxe", KERNEL):
            for _, writer in machines:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert {(await read_reply(reader, "GET")).status for reader, _ in machines} == {200}


async def test_idle_connection_gives_its_place_to_the_next(web: Running) -> None:
    assert web.server._connections is not None
    web.server._connections.doors.most = 1
    async with connection(web) as (first, _), connection(web) as (reader, writer), asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await first.read() == b""
        writer.write(b"HEAD /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_reply(reader, "HEAD")).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT \r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nmore",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        b"GET / HT",
    ],
)
async def test_request_leaves_no_place_taken_once_its_client_left(web: Running, sent: bytes) -> None:
    assert web.server._connections is not None
    async with connection(web) as (_, writer):
        writer.write(sent)
        await writer.drain()
    async with asyncio.timeout(5):
        while len(web.server._connections.doors):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/1.0", "HTTP/1.1", ""])
async def test_status_line_says_http_1_1(web: Running, version: str) -> None:
    async with connection(web) as (reader, writer), asyncio.timeout(5):
        writer.write(f"GET /nothing {version}\r\nHost: x\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")


async def test_requests_that_are_piled_up_before_the_answer_are_dropped(web: Running) -> None:
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1000)
        writer.write((b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8000 + b"\r\n\r\n") * 20)
        assert web.server._connections is not None
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        assert web.server.counts["request", "other", "404"] == 0


@pytest.mark.parametrize(
    "spelling", [f"/x?t={TOKEN}", f"//ignition///%30{TOKEN[1:]}/x", f"/%2530{TOKEN[1:]}", f"http://a/x/{TOKEN.upper()}"]
)
async def test_token_is_hidden_however_it_is_spelled(web: Running, spelling: str) -> None:
    web.install("m1", Stage.INITRAMFS)
    await fetch(web, spelling, client=M1)
    await fetch(web, KERNEL, client=M1, headers=f"User-Agent: {TOKEN}\r\n")
    await until(web, "web.done")
    assert [event for event in web.events if TOKEN[1:] in str(event).lower()] == []


async def test_client_that_never_finishes_its_request_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.web.connections.IDLE_SECONDS", 0.1)
    fill(tmp_path)
    async with running(tmp_path) as web, connection(web) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost")
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_drain_finishes_what_is_under_way_and_takes_nothing_new(web: Running) -> None:
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web, M1) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        draining = asyncio.create_task(web.server.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", web.port)
        assert len(await reader.readexactly(64 << 20)) == 64 << 20
        await draining


async def test_drain_ends_connections_that_idle(web: Running) -> None:
    async with connection(web) as (reader, writer):
        writer.write(b"HEAD /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n")
        await read_reply(reader, "HEAD")
        await web.server.drain(5)
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_drain_ends_in_its_time_when_a_client_does_not(web: Running) -> None:
    os.truncate(web.data_dir / "images" / METAL[1:], 64 << 20)
    async with connection(web, M1) as (reader, writer):
        writer.write(f"GET {METAL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(1)
        async with asyncio.timeout(5):
            await web.server.drain(0.1)


async def test_port_that_is_taken_is_one_line_with_a_remedy(web: Running) -> None:
    cluster = loopback_cluster(web.data_dir, web.port)
    with pytest.raises(ListenError, match=r"listen\.http"):
        WebServer(lambda: compile_web((cluster,)), {}, cluster.listen, print)
