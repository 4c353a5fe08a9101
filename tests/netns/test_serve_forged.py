"""What one machine on the node network can do with forged datagrams, and with connections that it keeps."""

import os
import re
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dns.message
import pytest

from tests.attackers import APPLIANCE_MAC, frame
from tests.clusters import NODES
from tests.serve_lab import APPLIANCE, Serving, Site, site, until

pytestmark = pytest.mark.netns

STRANGER = ("172.16.0.200", "52:54:00:00:00:c8")
M1 = ("172.16.0.21", "00:50:56:96:37:c8")
IP_AND_UDP_BYTES = 28
LOADER = b"\0\1efi/ipxe.efi\0octet\0"
SILENT_SECONDS = 11.0  # one more than the appliance waits for the first answer of a TFTP client
LARGE_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
LARGE_HEAD += b"a" * (8191 - len(LARGE_HEAD))  # one byte more would be refused
IMAGE = "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz"
# A request without fields, and eight with fields of a megabyte.
QUEUED = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % IMAGE.encode()
QUEUED += (b"GET /x HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 125 + b"\r\n") * 8

Forge = Callable[[str, int, int, bytes], int]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@contextmanager
def forger(here: Site) -> Iterator[Forge]:
    """Yield a function that sends a datagram to the appliance from any address and port."""
    with here.neighbour(*STRANGER) as place:
        with place:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with wire:
            wire.bind(("eth0", 0))
            mac = wire.getsockname()[4]

            def send(source: str, source_port: int, port: int, payload: bytes) -> int:
                return wire.send(frame(source, source_port, port, payload, mac, APPLIANCE, APPLIANCE_MAC))

            yield send


def test_forged_query_of_each_host_makes_it_wait_and_moves_no_stage(here: Site) -> None:
    query = dns.message.make_query("api-int.ocp45.example.localdomain", "A").to_wire()
    with here.serve() as appliance, forger(here) as send:
        for _, _, address, _ in NODES:
            send(address, 40_000, 53, query)
        asked = ["dns.asked"] * len(NODES)
        until(lambda: [event["kind"] for event in appliance.events() if "dns." in event["kind"]] == asked, "queries")
        rows = appliance.rows().values()
    assert {(row["stage"], row["order"]) for row in rows} == {("waiting", "hold")}
    assert {row["condition"]["name"] for row in rows} == {"may-be-running"}


def test_half_open_transfers_of_forged_addresses_keep_no_host_from_its_loader(here: Site) -> None:
    with here.serve(), forger(here) as send, here.neighbour(*M1) as m1:
        for number in range(2100):
            send(f"172.16.0.{205 + number % 40}", 10_000 + number, 69, LOADER + b"timeout\x00255\0tsize\x000\0")
            if number % 100 == 99:
                time.sleep(0.01)
        with m1, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
            host.settimeout(2.0)
            for _ in range(3):  # the burst may have filled the socket that receives requests
                host.sendto(LOADER + b"tsize\x000\0", (APPLIANCE, 69))
                with suppress(TimeoutError):
                    assert host.recv(2048).startswith(b"\0\6tsize\0")
                    return
    raise AssertionError("no answer")


def test_stranger_is_sent_at_most_three_times_its_bytes_before_its_first_ack(here: Site) -> None:
    requests = [
        LOADER + options for options in (b"", b"tsize\x000\0", b"blksize\x001468\0windowsize\x0064\0tsize\x000\0")
    ]
    received = [0 for _ in requests]
    with here.serve(), here.neighbour(*STRANGER) as stranger, stranger, ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in requests]
        for each, request in zip(sockets, requests, strict=True):
            each.sendto(request, (APPLIANCE, 69))
        time.sleep(SILENT_SECONDS)
        for number, each in enumerate(sockets):
            each.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    received[number] += len(each.recv(65536)) + IP_AND_UDP_BYTES
    assert sum(received)
    for request, count in zip(requests, received, strict=True):
        assert count <= 3 * (len(request) + IP_AND_UDP_BYTES)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def kib(appliance: Serving, what: str) -> int:
    """Return a line of /proc/PID/status, such as VmHWM, the most memory that was ever in use."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{appliance.process.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_hostile_connections_cost_at_most_64_mib_in_all(here: Site, many_descriptors: None) -> None:
    os.truncate(
        here.data_dir / "images" / IMAGE, 64 << 20
    )  # more than the kernel takes for a client that does not read
    with here.serve() as appliance, here.neighbour(*STRANGER) as stranger, stranger, ExitStack() as stack:
        before = kib(appliance, "VmRSS")
        # 25 that read no answer and send megabytes of further requests, and unfinished heads as large as they may be.
        for sent in [QUEUED] * 25 + [LARGE_HEAD] * (4096 - 25):
            connection = stack.enter_context(socket.create_connection((APPLIANCE, 80), timeout=10.0))
            connection.settimeout(0.1)
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(sent)
        time.sleep(1.0)  # for the last ones to be read
        grown = kib(appliance, "VmHWM") - before
        print(f"{grown} KiB more")
    assert grown <= 64 << 10
