"""The token of an installation is in nothing that the appliance shows, whatever clients do with it."""

import random
import re
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from appliance.simulate.namespace import Namespace
from tests.mutations import mutated
from tests.serve_lab import APPLIANCE, Serving, Site, run, site

pytestmark = pytest.mark.netns

HOST = ("172.16.0.21", "00:50:56:96:37:c8")
STRANGER = ("172.16.0.200", "52:54:00:00:00:99")
REQUESTS = 300
HEADS = (
    "GET /ignition/{}/master.ign HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /ignition/{}/master.ign?{} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n",
    "HEAD /{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nReferer: http://x/{}\r\n\r\n",
    'GET /x HTTP/1.1\r\nHost: x\r\nIf-None-Match: "{}"\r\n{}: {}\r\n\r\n',
    "GET http://{}/ignition/{} HTTP/1.0\r\n\r\n",
    "{} / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / {}\r\nHost: x\r\n\r\n",
    "{}\r\n\r\n",
    "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
    "GET /ipxe/{}.ipxe HTTP/1.1\r\nHost: x\r\nno colon {}\r\n\r\n",
)
TFTP_REQUESTS = (
    b"\0\1ignition/%s/master.ign\0octet\0",
    b"\0\1%s\0octet\0tsize\x000\0",
    b"\0\1x%s.efi\0%s\0",
    b"\0\2%s\0octet\0",
    b"\0\5\0\0%s\0",
)


def spelled(token: str, chance: random.Random) -> str:
    match chance.randrange(4):
        case 0:
            return "".join(f"%{ord(char):02x}" if chance.randrange(2) else char for char in token)
        case 1:
            return "".join(f"%25{ord(char):02X}" if chance.randrange(9) == 0 else char for char in token)
        case 2:
            return token.upper()
        case _:
            return token


def send_http(token: str, chance: random.Random) -> None:
    head = chance.choice(HEADS)
    request = head.format(*(spelled(token, chance) for _ in range(head.count("{}")))).encode()
    if chance.randrange(2):
        request = mutated(request, chance, most=3) + b"\r\n\r\n"
    with socket.create_connection((APPLIANCE, 80), timeout=5) as sock, suppress(OSError):
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


def send_tftp(token: str, chance: random.Random) -> None:
    seed = chance.choice(TFTP_REQUESTS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(seed.replace(b"%s", spelled(token, chance).encode()), (APPLIANCE, 69))


def send_abort(token: str) -> None:
    """Begin a transfer and end it with an ERROR whose message is the token."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(b"\0\1undionly.kpxe\0octet\0tsize\x000\0", (APPLIANCE, 69))
        _, server = sock.recvfrom(2048)
        sock.sendto(b"\0\5\0\0" + token.encode() + b"\0", server)


def send_dhcp(token: str, number: int) -> None:
    """Send a DISCOVER of an unknown machine whose vendor class, host name and user class are the token."""
    value = token.encode()
    options = b"".join(bytes([code, len(value)]) + value for code in (60, 12, 77))
    head = bytes([1, 1, 6, 0]) + bytes(24) + bytes.fromhex("5254000000") + bytes([number]) + bytes(10 + 64 + 128)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(head + b"\x63\x82\x53\x63\x35\x01\x01" + options + b"\xff", ("172.16.0.255", 67))


def token_of(place: Namespace) -> str:
    mac = HOST[1].replace(":", "-")
    script = run("curl", "-sf", "--retry", "5", f"http://{APPLIANCE}/ipxe/{mac}.ipxe", place=place).stdout
    found = re.search(r"/ignition/([0-9a-f]{16,})/", script)
    assert found, script
    return found[1]


def shown(serving: Serving, at: Site) -> Iterator[tuple[str, str]]:
    """Yield everything that an operator is shown, each with its name."""
    yield "log", serving.text
    for command in ("status", "explain", "events", "seen"):
        words = [command, "m1"] if command == "explain" else [command]
        yield command, serving.command(*words)
        yield f"{command} as JSON", serving.command(*words, "-o", "json")
    with closing(sqlite3.connect(at.data_dir / "state.db")) as db:
        for table in ("events", "strangers"):
            yield table, str(db.execute(f"SELECT * FROM {table}").fetchall())
    with at.place:
        for path in ("status", "metrics", "hosts/m1.ocp45.example.localdomain"):
            with urllib.request.urlopen(f"http://127.0.0.1:8080/{path}", timeout=10) as answer:
                yield path, answer.read().decode()
        with socket.create_connection(("127.0.0.1", 8080), timeout=10) as sock:
            sock.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            came = b""
            while b"event: rate" not in came:
                came += sock.recv(65536)
            yield "stream", came.decode()
    capture = at.data_dir.parent / "m1.pcapng"
    serving.command("capture", "m1", "-o", str(capture))
    # DHCP is recorded as it is; only a host's own datagrams are in its capture.
    yield "capture", capture.read_bytes().decode("latin-1")


def contains(text: str, token: str) -> bool:
    for _ in range(4):
        if token in text.lower():
            return True
        text = unquote(text)
    return False


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_token_is_shown_nowhere(log_format: str, tmp_path: Path) -> None:
    chance = random.Random(20261129)
    with site(tmp_path) as at, ExitStack() as stack:
        host, stranger = (stack.enter_context(at.neighbour(*each)) for each in (HOST, STRANGER))
        serving = stack.enter_context(at.serve("--verbose", "--log", log_format))
        token = token_of(host)
        for place in (host, stranger):
            with place:
                for number in range(REQUESTS // 2):
                    send_http(token, chance)
                    if number % 10 == 0:
                        send_tftp(token, chance)
                send_abort(token)
                send_dhcp(token, chance.randrange(256))
        for kind in ("web.refuse", "tftp.fail", "tftp.abort", "dhcp.unknown"):
            serving.said(kind.replace(".", r"\."))
        assert [name for name, text in shown(serving, at) if contains(text, token)] == []
