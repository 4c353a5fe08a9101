"""What shim and GRUB are served, asked for as they ask: by curl and atftp, from the addresses of hosts."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.simulate.namespace import Namespace
from tests.serve_lab import APPLIANCE, Serving, Site, run, site, until

pytestmark = pytest.mark.netns

M1, M2 = ("172.16.0.21", "00:50:56:96:37:c8"), ("172.16.0.22", "00:50:56:96:ec:a7")
STRANGER = ("172.16.0.200", "52:54:00:00:00:99")
THIEF = ("172.16.0.23", "52:54:00:00:00:66")  # the address is that of m3
SHIM, GRUB = b"MZ shim" * 400_000, b"MZ grub" * 300_000
KERNEL = "rhcos-4.5.6-x86_64-installer-kernel-x86_64"
TOKEN = re.compile(r"/ignition/([0-9a-f]{16,})/master\.ign")
# In the order of GRUB's own search, and where Debian's builds look.
CONFIGS = (
    "shim/x64/grub.cfg-01-00-50-56-96-37-c8",
    "shim/x64/grub.cfg-AC100015",
    "shim/x64/grub.cfg-AC1",
    "shim/x64/grub.cfg",
    "grub/x86_64-efi/grub.cfg",
    "debian-installer/amd64/grub/grub.cfg",
    "EFI/redhat/grub.cfg",
)
# shim's and GRUB's, in a boot without a fault.
MISSING = (
    "shim/x64/revocations_sku.efi",
    "shim/x64/revocations_sbat.efi",
    "shim/x64/shim_certificate_0.efi",
    "grub/x86_64-efi/command.lst",
    "grub/x86_64-efi/http.mod",
)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("grub")) as it:
        signed = it.data_dir / "tftp" / "shim" / "x64"
        signed.mkdir(parents=True)
        (signed / "shimx64.efi").write_bytes(SHIM)
        (signed / "grubx64.efi").write_bytes(GRUB)
        yield it


class Wire:
    """The appliance, and the clients that send it requests."""

    def __init__(self, at: Site, serving: Serving, directory: Path, stack: ExitStack) -> None:
        self.at, self.serving, self._directory = at, serving, directory
        self._places = {each: stack.enter_context(at.neighbour(*each)) for each in (M1, M2, STRANGER, THIEF)}

    def place(self, client: tuple[str, str]) -> Namespace:
        return self._places[client]

    def boot(self, client: tuple[str, str]) -> None:
        """Take an address by DHCP."""
        self.at.lease(self.place(client), client[1], client[0])

    def http(self, client: tuple[str, str], path: str) -> tuple[str, bytes]:
        """Return the status and the body of a GET that follows no redirect."""
        got = self._directory / "got"
        done = run(
            "curl", "-s", "--path-as-is", "-o", got, "-w", "%{http_code}", f"http://{APPLIANCE}/{path}",
            place=self.place(client),
        )  # fmt: skip
        return done.stdout, got.read_bytes()

    def tftp(self, client: tuple[str, str], path: str) -> bytes | None:
        """Return the file that is fetched by TFTP, or None if that was refused."""
        got = self._directory / "got"
        got.unlink(missing_ok=True)
        run(
            "atftp", "--option", "blksize 1024", "--get", "--remote-file", path, "--local-file", got, APPLIANCE,
            place=self.place(client),
        )  # fmt: skip
        return got.read_bytes() if got.exists() and got.stat().st_size else None

    def stage(self, name: str) -> str:
        return str(self.serving.rows()[name]["stage"])


@pytest.fixture
def wire(at: Site, tmp_path: Path) -> Iterator[Wire]:
    with at.serve() as serving, ExitStack() as stack:
        yield Wire(at, serving, tmp_path, stack)


def test_machine_boots_by_shim_and_grub_over_tftp_alone(wire: Wire) -> None:
    """As with Debian 12's GRUB, which has no HTTP."""
    wire.boot(M1)
    assert wire.tftp(M1, "shim/x64/shimx64.efi") == SHIM
    assert wire.tftp(M1, "shim/x64//grubx64.efi") == GRUB
    until(lambda: wire.stage("m1") == "bootloader", "m1 at bootloader")
    assert b"source $from/grub/boot.cfg" in (wire.tftp(M1, "/grub/grub.cfg") or b"")
    script = (wire.tftp(M1, "/grub/boot.cfg") or b"").decode()
    assert TOKEN.search(script)
    assert f"linux $from/{KERNEL} " in script
    until(lambda: wire.stage("m1") == "script", "m1 at script")
    assert wire.tftp(M1, f"/{KERNEL}") == (wire.at.data_dir / "images" / KERNEL).read_bytes()
    until(lambda: wire.stage("m1") == "kernel", "m1 at kernel")


def test_first_configuration_is_the_same_at_every_name_and_over_both_protocols(wire: Wire) -> None:
    texts = {wire.http(STRANGER, path) for path in CONFIGS} | {("200", wire.tftp(STRANGER, path)) for path in CONFIGS}
    ((status, text),) = texts
    assert status == "200"
    assert f"set from=(http,{APPLIANCE})".encode() in (text or b"")


def test_grub_is_told_the_same_over_both_protocols(wire: Wire) -> None:
    wire.boot(M1)
    status, text = wire.http(M1, "grub/boot.cfg")
    assert (status, wire.tftp(M1, "grub/boot.cfg")) == ("200", text)


def test_only_the_host_is_told_its_token(wire: Wire) -> None:
    wire.boot(M1)
    mine = TOKEN.search(wire.http(M1, "grub/boot.cfg")[1].decode())
    assert mine
    for client in (M2, STRANGER):
        for text in (wire.http(client, "grub/boot.cfg")[1], wire.tftp(client, "grub/boot.cfg") or b""):
            assert mine[1].encode() not in text


def test_machine_with_a_host_s_address_and_another_mac_is_told_nothing(wire: Wire) -> None:
    assert wire.http(THIEF, "grub/boot.cfg")[0] == "503"
    assert wire.tftp(THIEF, "grub/boot.cfg") is None
    wire.serving.said("web.unproven .*path=grub/boot.cfg cause=address-conflict")


def test_host_without_our_dhcp_is_not_told_its_token_over_tftp(wire: Wire) -> None:
    text = wire.tftp(M2, "grub/boot.cfg") or b""
    assert text.endswith(b"reboot\n")
    assert not TOKEN.search(text.decode())


def test_file_that_shim_or_grub_can_do_without_is_no_fault(wire: Wire) -> None:
    wire.boot(M1)
    for path in MISSING:
        assert wire.http(M1, path)[0] == "404"
        assert wire.tftp(M1, path) is None
    assert wire.serving.rows()["m1"]["condition"] is None
    assert not re.search("tftp.fail|web.refuse", wire.serving.text)


def test_grub_behind_a_doubled_slash_is_sent_without_a_redirect(wire: Wire) -> None:
    assert wire.http(M1, "/grubx64.efi") == ("200", GRUB)
    assert wire.http(M1, "shim/x64//grubx64.efi") == ("200", GRUB)


def test_held_host_waits_in_grub(wire: Wire) -> None:
    wire.boot(M1)
    wire.serving.command("hold", "m1")
    assert b"m1.ocp45.example.localdomain waits: held" in wire.http(M1, "grub/boot.cfg")[1]
    assert b"m1.ocp45.example.localdomain waits: held" in (wire.tftp(M1, "grub/boot.cfg") or b"")
