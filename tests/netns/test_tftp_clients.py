"""Common TFTP clients with the appliance's TFTP server, in namespaces."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dhcp_lab import Lab, Served, can_make_namespaces
from tests.tftp_lab import ADDRESS, CLIENT, build, serve

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

LOADER = random.Random(1).randbytes(850_528)  # as large as Debian's ipxe.efi
HOST = "m1.ocp45.example.localdomain"

# Sends a request from the client's namespace, and prints the answer in hexadecimal.
ASK = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 69))
print(sock.recv(70000).hex())
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "tftp" / "efi").mkdir(parents=True)
    (tmp_path / "tftp" / "efi" / "own.efi").write_bytes(LOADER)
    with Lab(tmp_path) as lab:
        build(lab)
        yield lab


@pytest.fixture
def server(lab: Lab) -> Served:
    return serve(lab, lab.directory)


Fetch = Callable[..., str]
HANG_SECONDS = 30.0  # every client gets the loader in less time


def tftp_hpa(lab: Lab, name: str) -> str:
    return lab.run(CLIENT, "tftp", "-m", "binary", ADDRESS, "-c", "get", name, "got")


def tftp_hpa_of_old(lab: Lab, name: str) -> str:
    """The client in literal mode, and without options."""
    return lab.run(CLIENT, "tftp", "-l", "-m", "octet", ADDRESS, "-c", "get", name, "got")


def atftp(lab: Lab, name: str) -> str:
    return lab.run(CLIENT, "atftp", "--get", "--remote-file", name, "--local-file", "got", ADDRESS)


def atftp_with_options(lab: Lab, name: str) -> str:
    options = [part for option in ("blksize 1468", "tsize 0", "timeout 2") for part in ("--option", option)]
    return lab.run(CLIENT, "atftp", *options, "--get", "--remote-file", name, "--local-file", "got", ADDRESS)


def atftp_with_window(lab: Lab, name: str, seconds: float = HANG_SECONDS) -> str:
    options = [part for option in ("blksize 1468", "windowsize 8") for part in ("--option", option)]
    files = ("--remote-file", name, "--local-file", "got")
    return lab.run(CLIENT, "atftp", *options, "--get", *files, ADDRESS, seconds=seconds)


def curl(lab: Lab, name: str, seconds: float = HANG_SECONDS) -> str:
    url = f"tftp://{ADDRESS}/{name}"
    return lab.run(CLIENT, "curl", "--silent", "--show-error", "--output", "got", url, seconds=seconds)


def curl_with_large_blocks(lab: Lab, name: str) -> str:
    url = f"tftp://{ADDRESS}/{name}"
    return lab.run(CLIENT, "curl", "--silent", "--show-error", "--tftp-blksize", "1468", "--output", "got", url)


def curl_without_options(lab: Lab, name: str) -> str:
    url = f"tftp://{ADDRESS}/{name}"
    return lab.run(CLIENT, "curl", "--silent", "--show-error", "--tftp-no-options", "--output", "got", url)


def busybox(lab: Lab, name: str) -> str:
    return lab.run(CLIENT, "busybox", "tftp", "-g", "-b", "1468", "-r", name, "-l", "got", ADDRESS)


CLIENTS = (
    *(tftp_hpa, tftp_hpa_of_old, atftp, atftp_with_options, atftp_with_window),
    *(curl, curl_with_large_blocks, curl_without_options, busybox),
)


@pytest.mark.parametrize("options", [(), ("--single-port",), ("--address", "0.0.0.0")], ids=["", "single", "any"])
@pytest.mark.parametrize("fetch", CLIENTS)
def test_client_gets_the_loader(fetch: Fetch, options: tuple[str, ...], lab: Lab) -> None:
    server = serve(lab, lab.directory, *options)
    fetch(lab, "efi/own.efi")
    assert (lab.directory / "got").read_bytes() == LOADER
    done = server.event("tftp.done")
    assert (done["host"], done["path"], str(done["total"])) == (HOST, "efi/own.efi", str(len(LOADER)))


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1468, 2936])
def test_file_of_any_length_arrives_whole(size: int, lab: Lab, server: Served) -> None:
    (lab.directory / "tftp" / "sized").write_bytes(LOADER[:size])
    # curl treats an OACK with tsize 0 as an error, so it asks without options.
    for fetch in (tftp_hpa_of_old, atftp_with_window, curl_without_options):
        (lab.directory / "got").unlink(missing_ok=True)
        fetch(lab, "sized")
        assert (lab.directory / "got").read_bytes() == LOADER[:size]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fetch", [curl, atftp_with_window])
def test_block_numbers_roll_over_in_a_large_file(fetch: Fetch, lab: Lab, server: Served) -> None:
    per_block = 512 if fetch is curl else 1468
    large = lab.directory / "tftp" / "large"
    with large.open("wb") as file:
        for number in range(65_537 + 3):
            file.write(number.to_bytes(4, "big") * (per_block // 4))
    # In lock step these are 65,540 round trips, which take eight seconds on an idle machine.
    fetch(lab, "large", seconds=120)
    assert (lab.directory / "got").read_bytes() == large.read_bytes()


def test_backslashes_and_capitals_reach_the_loader(lab: Lab, server: Served) -> None:
    busybox(lab, "\\EFI\\OWN.EFI")
    assert (lab.directory / "got").read_bytes() == LOADER


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("tftp", "-m", "binary", ADDRESS, "-c", "get", "nowhere"), "Error code 1: file not found"),
        (("tftp", "-m", "binary", ADDRESS, "-c", "get", "efi"), "Error code 2: access violation"),
        (("tftp", "-m", "binary", ADDRESS, "-c", "get", "../state.db"), "Error code 2: access violation"),
        (
            ("tftp", "-m", "ascii", ADDRESS, "-c", "get", "efi/own.efi"),
            "Error code 4: only octet (binary) mode is served",
        ),
        (("tftp", "-m", "binary", ADDRESS, "-c", "put", "note"), "Error code 2: this server is read-only"),
    ],
)
def test_client_shows_why_it_was_refused(command: tuple[str, ...], answer: str, lab: Lab, server: Served) -> None:
    (lab.directory / "note").write_text("a file of the client's own")
    assert answer in lab.run(CLIENT, *command)


def test_block_size_is_bounded_by_the_route_without_a_setting(tmp_path: Path) -> None:
    (tmp_path / "tftp").mkdir()
    (tmp_path / "tftp" / "loader").write_bytes(LOADER)
    with Lab(tmp_path) as lab:
        build(lab, mtu=1400)
        serve(lab, tmp_path)
        request = b"\0\1loader\0octet\0blksize\x008192\0"
        answer = lab.run(CLIENT, sys.executable, "-c", ASK, request.hex(), ADDRESS)
        assert bytes.fromhex(answer.strip()) == b"\0\6blksize\x001368\0"


def test_blocks_larger_than_the_route_carries_arrive_in_fragments(lab: Lab) -> None:
    """The kernel cannot segment a window of them, so each block is sent by itself."""
    serve(lab, lab.directory, "--single-port", "--mtu", "4000")
    options = ("--option", "blksize 3968", "--option", "windowsize 8")
    lab.run(CLIENT, "atftp", *options, "--get", "--remote-file", "efi/own.efi", "--local-file", "got", ADDRESS)
    assert (lab.directory / "got").read_bytes() == LOADER
