"""Common TFTP clients with the appliance's TFTP server over IPv6, in namespaces."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dhcp_lab import Lab, can_make_namespaces, ip
from tests.tftp_lab import ADDRESS6, CLIENT, SERVER, build, serve

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

LOADER = random.Random(1).randbytes(850_528)  # as large as Debian's ipxe.efi
HOST = "m1.ocp45.example.localdomain"
ROUTER, FAR = "tftp-router", "tftp-far"
SECOND = "2001:db8:0:10::102"  # another address of the server

ASK = """
import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 69))
print(sock.recv(70000).hex())
"""

# Fetches a file with tftpy's client, which takes no IPv6 by itself: a socket of that family is put in its place.
TFTPY = """
import socket, sys, tftpy
tftpy.TftpStates.socket = tftpy.TftpContexts.socket = socket
plain = socket.socket
class Six(plain):
    def __init__(self, family=-1, type=-1, *rest): super().__init__(socket.AF_INET6, type, *rest)
    def recvfrom(self, size): data, peer = super().recvfrom(size); return data, peer[:2]
socket.socket = Six
socket.gethostbyname = lambda name: name
tftpy.TftpClient(sys.argv[1], 69, {"blksize": 1428}).download(sys.argv[2], "got")
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "tftp" / "efi").mkdir(parents=True)
    (tmp_path / "tftp" / "efi" / "own.efi").write_bytes(LOADER)
    with Lab(tmp_path) as lab:
        build(lab)
        ip(f"-n {SERVER} addr add {SECOND}/64 dev eth0 nodad")
        yield lab


Fetch = Callable[[Lab, str, str], str]


def tftp_hpa(lab: Lab, address: str, name: str) -> str:
    return lab.run(CLIENT, "tftp", "-6", "-m", "binary", address, "-c", "get", name, "got")


def atftp(lab: Lab, address: str, name: str) -> str:
    options = [part for option in ("blksize 1428", "windowsize 8") for part in ("--option", option)]
    return lab.run(CLIENT, "atftp", *options, "--get", "--remote-file", name, "--local-file", "got", address)


def curl(lab: Lab, address: str, name: str) -> str:
    url = f"tftp://[{address}]/{name}"
    return lab.run(CLIENT, "curl", "-g", "-sS", "--tftp-blksize", "1428", "--output", "got", url)


def tftpy(lab: Lab, address: str, name: str) -> str:
    return lab.run(CLIENT, sys.executable, "-c", TFTPY, address, name)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        (("--address", ADDRESS6), ADDRESS6),
        (("--address", ADDRESS6, "--single-port"), ADDRESS6),
        (("--address", "::"), SECOND),
        (("--address", "::", "--single-port"), SECOND),
    ],
    ids=["one", "one-single", "any", "any-single"],
)
@pytest.mark.parametrize("fetch", [tftp_hpa, atftp, curl, tftpy])
def test_client_gets_the_loader(fetch: Fetch, options: tuple[str, ...], address: str, lab: Lab) -> None:
    server = serve(lab, lab.directory, *options)
    fetch(lab, address, "efi/own.efi")
    assert (lab.directory / "got").read_bytes() == LOADER
    done = server.event("tftp.done")
    assert (done["host"], done["path"], str(done["total"])) == (HOST, "efi/own.efi", str(len(LOADER)))


@pytest.mark.parametrize(("mtu", "block"), [(1500, 1448), (1280, 1228)])
def test_block_and_headers_fit_in_the_route_s_mtu(mtu: int, block: int, tmp_path: Path) -> None:
    (tmp_path / "tftp").mkdir()
    (tmp_path / "tftp" / "loader").write_bytes(LOADER)
    with Lab(tmp_path) as lab:
        build(lab, mtu=mtu)
        serve(lab, tmp_path, "--address", ADDRESS6)
        request = b"\0\1loader\0octet\0blksize\x008192\0"
        answer = lab.run(CLIENT, sys.executable, "-c", ASK, request.hex(), ADDRESS6)
        assert bytes.fromhex(answer.strip()) == b"\0\6blksize\0%d\0" % block


@pytest.mark.parametrize("window", ["1", "8"])
def test_narrow_link_behind_a_router_is_found_out(window: str, lab: Lab) -> None:
    """The server's own link carries 1,500 bytes, and that of the client 1,280: a router says so by ICMPv6."""
    lab.namespace(ROUTER)
    lab.namespace(FAR)
    lab.run(ROUTER, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    lab.cable(ROUTER, "near", SERVER, "eth1")
    lab.cable(FAR, "eth0", ROUTER, "far")
    ip(
        f"-n {SERVER} addr add 2001:db8:0:20::101/64 dev eth1 nodad",
        "-n tftp-router addr add 2001:db8:0:20::1/64 dev near nodad",
        "-n tftp-router addr add 2001:db8:0:30::1/64 dev far nodad",
        "-n tftp-router link set far mtu 1280",
        "-n tftp-far link set eth0 mtu 1280",
        "-n tftp-far addr add 2001:db8:0:30::21/64 dev eth0 nodad",
        "-n tftp-far route add default via 2001:db8:0:30::1",
        f"-n {SERVER} route add 2001:db8:0:30::/64 via 2001:db8:0:20::1",
    )
    serve(lab, lab.directory, "--address", "2001:db8:0:20::101")
    options = [part for option in ("blksize 1428", f"windowsize {window}", "tsize 0") for part in ("--option", option)]
    files = ("--remote-file", "efi/own.efi", "--local-file", "got")
    lab.run(FAR, "atftp", *options, "--get", *files, "2001:db8:0:20::101", seconds=60)
    assert (lab.directory / "got").read_bytes() == LOADER
