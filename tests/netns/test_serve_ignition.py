"""Who gets Ignition files: each host its own file during its own installation, and no other client.

Each client is curl in its own namespace, with its own MAC address and IPv4 address.
"""

import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from appliance.simulate.namespace import Namespace, ip
from tests.serve_lab import APPLIANCE, Serving, Site, run, site, status_of

pytestmark = pytest.mark.netns

KERNEL = "/rhcos-4.5.6-x86_64-installer-kernel-x86_64"
INITRAMFS = "/rhcos-4.5.6-x86_64-installer-initramfs.x86_64.img"
SECRET = "pull-secret-9f1c2ad0"
HOSTS = {
    "bs": ("172.16.0.11", "00:50:56:96:11:c2"),
    "m1": ("172.16.0.21", "00:50:56:96:37:c8"),
    "m2": ("172.16.0.22", "00:50:56:96:ec:a7"),
    "w1": ("172.16.0.31", "00:50:56:96:6b:da"),
}
STRANGER = ("172.16.0.200", "52:54:00:00:00:99")


def script_path(name: str) -> str:
    return f"/ipxe/{HOSTS[name][1].replace(':', '-')}.ipxe"


class Wire:
    """The appliance, and the machines that send it requests."""

    def __init__(self, at: Site, serving: Serving, stack: ExitStack) -> None:
        self.at, self.serving = at, serving
        self._places = {
            name: stack.enter_context(at.neighbour(address, mac))
            for name, (address, mac) in {**HOSTS, "stranger": STRANGER}.items()
        }

    def place(self, name: str) -> Namespace:
        return self._places[name]

    def get(self, name: str, path: str) -> str:
        """Return the output of curl for *path*, run in the namespace of machine *name*."""
        done = run("curl", "-sf", f"http://{APPLIANCE}{path}", place=self.place(name))
        assert done.returncode == 0, (path, done, self.serving.text)
        return done.stdout

    def status(self, name: str, path: str, *options: str) -> str:
        """Return the HTTP status that machine *name* gets."""
        return status_of(self.place(name), path, *options)

    def lease(self, name: str) -> None:
        """Take the address of machine *name* by DHCP."""
        address, mac = HOSTS[name]
        self.at.lease(self.place(name), mac, address)

    def ignition_path(self, name: str) -> str:
        """Return the path of Ignition in the host's script, which machine *name* downloads once it has its address."""
        self.lease(name)
        found = re.search(r"/ignition/[0-9a-f]{16,}/\w+\.ign", self.get(name, script_path(name)))
        assert found
        return found[0]

    def boot(self, name: str) -> str:
        """Boot machine *name* until its installer would ask for Ignition; return the path of its file."""
        path = self.ignition_path(name)
        for image in (KERNEL, INITRAMFS):
            assert self.status(name, image) == "200"
        return path


def bootstrap_ign(expires_at: datetime) -> str:
    """Return a bootstrap.ign with a secret, whose certificates expire at *expires_at*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelet-signer")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(expires_at - timedelta(days=1))
        .not_valid_after(expires_at)
        .sign(key, SHA256())
    )
    pem = base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()
    files = [
        ("/opt/openshift/tls/kubelet-signer.crt", f"data:text/plain;charset=utf-8;base64,{pem}"),
        ("/root/.docker/config.json", f"data:,{SECRET}"),
    ]
    return json.dumps(
        {
            "ignition": {"version": "2.2.0"},
            "storage": {
                "files": [
                    {"filesystem": "root", "path": path, "mode": 0o600, "contents": {"source": source}}
                    for path, source in files
                ]
            },
        }
    )


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with site(tmp_path) as at, ExitStack() as stack:
        ignition = at.data_dir / "ignition" / "bootstrap.ign"
        ignition.write_text(bootstrap_ign(datetime.now(UTC) + timedelta(hours=20)))
        yield Wire(at, stack.enter_context(at.serve("--verbose")), stack)


def test_a_host_gets_its_ignition_and_a_neighbour_with_its_path_does_not(wire: Wire) -> None:
    path = wire.boot("bs")
    assert wire.status("stranger", path) == "403"
    assert wire.status("m1", path) == "403"
    assert SECRET in wire.get("bs", path)


def test_a_host_of_another_role_gets_no_other_roles_file(wire: Wire) -> None:
    path = wire.boot("m1")
    assert wire.status("m1", path.replace("master.ign", "bootstrap.ign")) == "403"
    assert wire.status("m1", path.replace("master.ign", "worker.ign")) == "403"
    assert wire.status("m1", path) == "200"


def test_a_host_of_the_same_role_gets_no_file_by_anothers_path(wire: Wire) -> None:
    path = wire.boot("m1")
    wire.boot("m2")
    assert wire.status("m2", path) == "403"


def test_a_host_that_says_it_is_another_by_header_is_refused(wire: Wire) -> None:
    path = wire.boot("bs")
    address = HOSTS["bs"][0]
    for header in (f"X-Forwarded-For: {address}", f"X-Real-IP: {address}", f"Forwarded: for={address}"):
        assert wire.status("stranger", path, "--header", header) == "403"


def test_an_answer_that_broke_on_the_way_is_given_again(wire: Wire) -> None:
    path = wire.boot("m1")
    assert [wire.status("m1", path) for _ in range(2)] == ["200", "200"]


def test_before_its_initramfs_a_host_is_told_to_wait(wire: Wire) -> None:
    path = wire.ignition_path("m1")
    done = run("curl", "-si", f"http://{APPLIANCE}{path}", place=wire.place("m1"))
    assert done.stdout.startswith("HTTP/1.1 503 ")
    assert re.search(r"^Retry-After: \d+\r?$", done.stdout, re.MULTILINE)
    wire.boot("m1")
    assert wire.status("m1", path) == "200"


def test_once_it_is_installed_a_host_is_refused(wire: Wire) -> None:
    done = wire.at.simulate("m3")
    assert "m3.ocp45.example.localdomain: installed" in done.stdout, done.stdout + done.stderr
    # The path has not been shown to any client, so take it from the state.
    with closing(sqlite3.connect(f"file:{wire.at.data_dir}/state.db?mode=ro", uri=True)) as state:
        ((row,),) = state.execute("SELECT state FROM installations WHERE host LIKE 'm3.%'").fetchall()
    path = f"/ignition/{json.loads(row)['token']}/master.ign"
    with wire.at.neighbour("172.16.0.23", "00:50:56:96:e5:2f") as machine:
        done = run("curl", "-si", f"http://{APPLIANCE}{path}", place=machine)
    assert done.stdout.startswith("HTTP/1.1 403 ")
    assert "reinstall" in wire.serving.said("web.refuse .*172.16.0.23")


def test_the_path_dies_with_its_installation(wire: Wire) -> None:
    path = wire.boot("m1")
    wire.serving.command("reinstall", "m1", "--yes")
    assert wire.boot("m1") != path
    assert wire.status("m1", path) == "403"


def test_the_plain_path_gives_nobody_anything(wire: Wire) -> None:
    wire.boot("bs")
    for name in ("bs", "m1", "stranger"):
        for path in ("/bootstrap.ign", "/ignition/bootstrap.ign", "/ignition//bootstrap.ign", "//bootstrap.ign"):
            assert wire.status(name, path) in ("403", "404"), (name, path)
    head = run("curl", "-sI", f"http://{APPLIANCE}/bootstrap.ign", place=wire.place("stranger")).stdout
    assert head.startswith("HTTP/1.1 200 ")


def test_a_neighbour_does_not_get_the_script_that_names_the_path(wire: Wire) -> None:
    for name in ("m1", "stranger"):
        assert wire.status(name, script_path("bs")) == "403"
        done = run("curl", "-s", f"http://{APPLIANCE}/pxeboot.ipxe", place=wire.place(name))
        assert not re.search(r"/ignition/[0-9a-f]{16,}/bootstrap", done.stdout)


def test_an_expired_bootstrap_ign_is_not_handed_out_and_asked_for_again(wire: Wire) -> None:
    path = wire.boot("bs")
    ignition = wire.at.data_dir / "ignition" / "bootstrap.ign"
    ignition.write_text(bootstrap_ign(datetime.now(UTC) - timedelta(hours=1)))
    done = run("curl", "-si", f"http://{APPLIANCE}{path}", place=wire.place("bs"))
    assert done.stdout.startswith("HTTP/1.1 503 ")
    assert re.search(r"^Retry-After: \d+\r?$", done.stdout, re.MULTILINE)
    assert SECRET not in done.stdout
    ignition.write_text(bootstrap_ign(datetime.now(UTC) + timedelta(hours=23)))
    assert wire.status("bs", path) == "200"


def test_each_refusal_is_an_event_that_says_why(wire: Wire) -> None:
    path = wire.boot("bs")
    wire.status("stranger", path)
    wire.status("m1", path)
    refusals = [event["facts"] for event in wire.serving.events() if event["kind"] == "web.refuse"]
    assert [(facts["client"], facts["status"]) for facts in refusals] == [
        (STRANGER[0], 403),
        (HOSTS["m1"][0], 403),
    ]
    assert all(facts["why"] for facts in refusals)


def test_no_secret_reaches_log_journal_or_status(wire: Wire) -> None:
    paths = [wire.boot(name) for name in ("bs", "m1", "w1")]
    for name, path in zip(("bs", "m1", "w1"), paths, strict=True):
        assert wire.status(name, path) == "200"
        # With the right token, but another file name, another method, or a longer path.
        for odd in (path + ".sig", path + "/", path.replace(".ign", ".json"), path.rsplit("/", 1)[0], path + "?x=1"):
            wire.status(name, odd)
        wire.status(name, path, "--request", "POST")
        wire.status(name, path, "--head")
    assert wire.serving.end() == 0
    with wire.at.serve("--verbose", name="again") as again:
        told = [
            wire.serving.text,
            again.command("events", "-n", "100000", "-o", "json"),
            again.command("events", "-n", "100000"),
            again.command("status", "-o", "json"),
            again.command("status", "-o", "wide"),
            again.command("explain", "bs", "--all"),
            run("curl", "-s", "http://127.0.0.1:8080/status", place=wire.at.place).stdout,
            run("curl", "-s", "http://127.0.0.1:8080/metrics", place=wire.at.place).stdout,
            again.text,
        ]
    for secret in [SECRET, *(path.split("/")[2] for path in paths)]:
        for text in told:
            assert text
            assert secret not in text, text[max(0, text.index(secret) - 300) :][:400]


# A neighbour that takes the address of a host that is off

OFF = ("172.16.0.32", "00:50:56:96:c1:c5")  # w2, which no namespace has


@pytest.fixture
def off(wire: Wire) -> tuple[str, str]:
    """Return the address and the MAC address of a host that is off."""
    assert wire.serving.rows()["w2"]["address"] == OFF[0]
    return OFF


def status_at(wire: Wire, path: str, address: str, mac: str) -> str:
    """Return the HTTP status that a machine with this *address* and *mac* gets for *path*."""
    with wire.at.neighbour(address, mac) as machine:
        return status_of(machine, path)


def test_another_machine_at_a_hosts_address_gets_no_script(wire: Wire, off: tuple[str, str]) -> None:
    address, mac = off
    with wire.at.neighbour(address) as other:
        done = run("curl", "-si", f"http://{APPLIANCE}/ipxe/{mac.replace(':', '-')}.ipxe", place=other)
    assert done.stdout.startswith("HTTP/1.1 503 ")
    assert re.search(r"^Retry-After: \d+\r?$", done.stdout, re.MULTILINE)
    assert mac not in done.stdout  # whose MAC address is expected is nobody's business


def test_another_machine_with_the_hosts_dhcp_gets_no_script_either(wire: Wire, off: tuple[str, str]) -> None:
    address, mac = off
    with wire.at.neighbour(address) as other:
        wire.at.lease(other, mac, address)
        assert status_of(other, f"/ipxe/{mac.replace(':', '-')}.ipxe") == "503"


def test_another_machine_that_knows_the_path_gets_no_ignition(wire: Wire) -> None:
    path = wire.boot("bs")
    address, mac = HOSTS["bs"]
    ip("link set eth0 down", place=wire.place("bs"))
    assert status_at(wire, path, address, STRANGER[1]) == "503"
    assert status_at(wire, path, address, mac) == "200"


def test_another_machine_at_a_hosts_address_moves_nothing_and_is_reported(wire: Wire, off: tuple[str, str]) -> None:
    address, mac = off
    before = wire.serving.rows()["w2"]
    with wire.at.neighbour(address) as other:
        for path in ("/pxeboot.ipxe", f"/ipxe/{mac.replace(':', '-')}.ipxe", KERNEL, INITRAMFS):
            status_of(other, path)
    after = wire.serving.rows()["w2"]
    assert (before["stage"], after["stage"]) == ("waiting", "waiting")
    assert after["condition"]["name"] == "address-conflict"
    assert "52:54:00:00:00:99" in after["condition"]["hint"]
    assert "52:54:00:00:00:99" in wire.serving.said("web.unproven")


def test_host_whose_address_was_taken_installs_when_it_is_back(wire: Wire, off: tuple[str, str]) -> None:
    address, mac = off
    assert status_at(wire, f"/ipxe/{mac.replace(':', '-')}.ipxe", address, STRANGER[1]) == "503"
    done = wire.at.simulate("w2")
    assert "w2.ocp45.example.localdomain: installed" in done.stdout, done.stdout + done.stderr


def test_machine_without_our_dhcp_is_told_to_ask_for_an_address_and_then_gets_its_script(wire: Wire) -> None:
    script = wire.get("m1", script_path("m1"))
    assert "\ndhcp netX " in script
    assert "/ignition/" not in script
    assert wire.serving.rows()["m1"]["stage"] == "waiting"
    wire.lease("m1")
    assert "/ignition/" in wire.get("m1", script_path("m1"))


def test_machine_that_waits_in_ipxe_goes_on_after_reinstall(wire: Wire) -> None:
    """It has its address already, from before the record that `reinstall` begins."""
    wire.boot("m1")
    wire.serving.command("reinstall", "m1", "--yes")
    assert "\ndhcp netX " in wire.get("m1", script_path("m1"))
    assert wire.boot("m1")
