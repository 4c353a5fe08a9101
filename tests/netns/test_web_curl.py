"""Common clients with the running web server: curl, wget, and the requests of firmware and iPXE."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.install.installation import Stage
from tests.web_server import Running, fill, running

METAL = "/rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
KERNEL = "/rhcos-4.5.6-x86_64-installer-kernel-x86_64"
M1 = "127.16.0.21"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    fill(tmp_path)
    (tmp_path / "images" / METAL[1:]).write_bytes(os.urandom(5_000_000))
    async with running(tmp_path) as server:
        yield server


async def run(*command: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return process.returncode or 0, output


async def curl(*arguments: str) -> bytes:
    code, output = await run("curl", "--silent", "--show-error", *arguments)
    assert code == 0
    return output


async def status(*arguments: str) -> str:
    return (await curl("--output", "/dev/null", "--write-out", "%{http_code}", *arguments)).decode()


def content(web: Running) -> bytes:
    return (web.data_dir / "images" / METAL[1:]).read_bytes()


async def test_curl_gets_the_image(web: Running) -> None:
    assert await curl("--fail", web.url + METAL) == content(web)


async def test_curl_head_shows_what_the_operator_checks(web: Running) -> None:
    head = (await curl("--head", web.url + METAL)).decode().lower()
    assert head.startswith("http/1.1 200 ok")
    assert f"content-length: {len(content(web))}" in head
    for name in ("last-modified:", "etag:", "accept-ranges: bytes"):
        assert name in head


async def test_curl_head_of_every_file_of_the_reference_is_200(web: Running) -> None:
    paths = ["/pxeboot.ipxe", "/bootstrap.ign", "/master.ign", "/worker.ign", METAL, KERNEL]
    assert [await status("--head", web.url + path) for path in paths] == ["200"] * len(paths)


async def test_curl_takes_up_a_broken_download(web: Running, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(content(web)[:1_234_567])
    await curl("--fail", "--continue-at", "-", "--output", str(part), web.url + METAL)
    assert part.read_bytes() == content(web)


async def test_curl_downloads_again_only_what_has_changed(web: Running, tmp_path: Path) -> None:
    tags, got = str(tmp_path / "etag"), str(tmp_path / "got")
    options = ("--etag-save", tags, "--etag-compare", tags, "--output", got, "--write-out", "%{http_code}")
    assert await curl(*options, web.url + METAL) == b"200"
    assert await curl(*options, web.url + METAL) == b"304"
    assert await status("--time-cond", str(web.data_dir / "images" / METAL[1:]), web.url + METAL) == "304"


async def test_curl_gets_single_and_several_ranges(web: Running) -> None:
    assert await curl("--range", "100-199", web.url + METAL) == content(web)[100:200]
    assert await curl("--range", "-7", web.url + METAL) == content(web)[-7:]
    several = await curl("--range", "0-9,100-109", web.url + METAL)
    assert content(web)[100:110] in several
    assert await status("--range", "9999999-", web.url + METAL) == "416"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e%5cetc%5cpasswd",
        "/images/../../state",
        "/....//....//etc/passwd",
        "/%252e%252e/etc/passwd",
        "//etc/passwd",
        "/./../etc/passwd",
        "/%00/etc/passwd",
        "/ignition/../bootstrap.ign",
        "/.",
        "/",
    ],
)
async def test_tricks_with_the_path_get_nothing(web: Running, path: str) -> None:
    output = await curl("--path-as-is", "--write-out", "%{http_code}", web.url + path)
    assert output[-3:] in (b"400", b"404")
    assert b"root:" not in output


async def test_live_initramfs_asks_by_head_first_and_then_streams(web: Running) -> None:
    """coreos-livepxe-rootfs.sh runs curl --head until there is an answer, and then --fail --retry 5 into a pipe."""
    assert await status("--head", "--insecure", web.url + METAL) == "200"
    streamed = await curl("--fail", "--location", "--insecure", "--retry", "5", web.url + METAL)
    assert hashlib.sha256(streamed).digest() == hashlib.sha256(content(web)).digest()


async def test_legacy_initramfs_reads_the_length_from_a_head(web: Running) -> None:
    """The installer of 4.5 reads Content-Length from the output of curl -LsIf."""
    head = (await curl("-LsIf", web.url + METAL)).decode()
    lengths = [line.split()[1] for line in head.splitlines() if line.lower().startswith("content-length")]
    assert lengths == [str(len(content(web)))]


async def test_ignition_is_given_to_its_host_and_to_no_neighbour(web: Running) -> None:
    web.install("m1", Stage.INITRAMFS)
    path = f"{web.url}/ignition/0123456789abcdef/master.ign"
    assert b"ignition" in await curl("--fail", "--interface", M1, path)
    assert await status("--interface", "127.16.0.22", path) == "403"
    assert await status(path) == "403"


async def test_many_requests_share_one_connection(web: Running) -> None:
    output = await curl(
        "--head", "--write-out", "connects=%{num_connects} ", *[web.url + path for path in (METAL, KERNEL, METAL)]
    )
    assert output.count(b"connects=1") == 1
    assert output.count(b"connects=0") == 2


@pytest.mark.skipif(shutil.which("wget") is None, reason="needs wget")
async def test_wget_takes_up_a_broken_download(web: Running, tmp_path: Path) -> None:
    part = tmp_path / METAL[1:]
    part.write_bytes(content(web)[:1_000_000])
    code, _ = await run("wget", "--quiet", "--continue", "--directory-prefix", str(tmp_path), web.url + METAL)
    assert code == 0
    assert part.read_bytes() == content(web)


async def exchange(web: Running, *requests: bytes) -> list[bytes]:
    """Send each request after the complete answer to the last, on one connection; return heads and bodies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    answers = []
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        )
        answers.append(head + (b"" if request.startswith(b"HEAD") else await reader.readexactly(length)))
    writer.close()
    return answers


async def test_uefi_http_boot_gets_the_size_and_then_the_loader_on_one_connection(web: Running) -> None:
    """edk2 HttpBootDxe sends HEAD and GET on one connection (edk2 issue 9920), without redirects or chunks."""
    (web.data_dir / "tftp" / "efi" / "ipxe.efi").write_bytes(b"MZ" * 1000)
    fields = b"Host: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n"
    head, got = await exchange(
        web, b"HEAD /efi/ipxe.efi HTTP/1.1\r\n" + fields, b"GET /efi/ipxe.efi HTTP/1.1\r\n" + fields
    )
    assert b"Content-Length: 2000" in head
    assert b"Content-Type: application/efi" in head
    assert got.endswith(b"MZ" * 1000)
    assert b"chunked" not in got


async def test_ipxe_fetches_script_kernel_and_initramfs_on_one_connection(web: Running) -> None:
    fields = b"Connection: keep-alive\r\nUser-Agent: iPXE/1.0.0+git-20190125.36a4c85-5.1\r\nHost: 127.0.0.1\r\n\r\n"
    script, kernel = await exchange(
        web, b"GET /pxeboot.ipxe HTTP/1.1\r\n" + fields, b"GET " + KERNEL.encode() + b" HTTP/1.1\r\n" + fields
    )
    assert b"#!ipxe" in script
    assert kernel.endswith((web.data_dir / "images" / KERNEL[1:]).read_bytes())
