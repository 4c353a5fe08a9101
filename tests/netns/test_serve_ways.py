"""`serve` and `simulate` with the ways to install that need no bootstrap machine, and a machine that is not installed.

Each client is curl or a simulated machine in its own namespace, with its own MAC address and IPv4 address.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from appliance.simulate.namespace import ip
from tests.serve_lab import APPLIANCE, REFERENCE_TEXT, Serving, Site, run, site, status_of

pytestmark = pytest.mark.netns

BOOTSTRAP = re.compile(r"  - hostname: bs\n    role: bootstrap\n    macAddress: .*\n    address: .*\n")
CURRENT = re.sub(r"(?m)^images:\n  release: 4.5.6$", "", REFERENCE_TEXT.replace("release: 4.5\n", "release: 4.18.9\n"))
AGENT = (
    BOOTSTRAP.sub("", CURRENT).replace("release: 4.18.9\n", "release: 4.18.9\nboot: agent\n")
    + "\nroles: {infra: {boot: node-image}}\n"
)
AGENT = AGENT.replace(
    "  - hostname: w2\n    role: worker\n    macAddress: 00:50:56:96:c1:c5\n",
    "  - hostname: w2\n    role: other\n    macAddress: 00:50:56:96:c1:c5\n",
).replace("  - hostname: w3\n    role: worker\n", "  - hostname: w3\n    role: infra\n")
IN_PLACE = (
    re.sub(r"(?ms)^  - hostname: m2\n.*?^  # To add", "  # To add", BOOTSTRAP.sub("", CURRENT))
    + "\nbootstrapInPlace: {installationDisk: /dev/vda}\n"
)
IN_PLACE = re.sub(r"(?m)^(apiVIPs|apiInternalVIPs|ingressVIPs):.*\n  - .*\n", "", IN_PLACE)
# m1 boots from either of two cards, in a network that is only for that, and is a node in the other.
TWO_NETWORKS = CURRENT.replace(
    "    macAddress: 00:50:56:96:37:c8\n",
    "    bootMACAddress: [02:00:00:00:01:01, 02:00:00:00:01:02]\n"
    "    interfaces:\n"
    "      - {macAddress: 02:00:00:00:01:01, address: 198.51.100.21, hostname: m1-boot}\n"
    "      - {macAddress: 02:00:00:00:01:02, address: 198.51.100.22}\n"
    "      - {macAddress: 00:50:56:96:37:c8}\n",
).replace("  machineNetwork:\n", "  machineNetwork:\n    - {cidr: 198.51.100.0/24, serverAddress: 198.51.100.5}\n")
INITRD = "/boot-artifacts/agent.x86_64-initrd.img"
M1 = ("172.16.0.21", "00:50:56:96:37:c8")


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Serving]]:
    with site(tmp_path_factory.mktemp("agents"), AGENT) as at, at.serve() as serving:
        yield at, serving


def stage(serving: Serving, host: str) -> tuple[str, str]:
    row = serving.rows()[host]
    return row["stage"], row["order"]


def dhcp_facts(serving: Serving, mac: str) -> list[dict[str, Any]]:
    """Return the facts of the DHCP replies to *mac*."""
    facts: list[dict[str, Any]] = [event["facts"] for event in serving.events() if event["kind"].startswith("dhcp.")]
    return [each for each in facts if each.get("mac") == mac]


@pytest.mark.parametrize("host", ["m1", "m2", "w1"])
def test_every_host_of_an_agent_based_installation_installs_once(agents: tuple[Site, Serving], host: str) -> None:
    at, serving = agents
    first = at.simulate(host)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "runs the agent" in first.stdout
    assert f"{host}.ocp45.example.localdomain: installed after" in first.stdout
    assert stage(serving, host)[1] == "local"
    again = at.simulate(host)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "firmware was offered no boot file" in again.stdout or "booted from its disk" in again.stdout


def test_added_node_installs_from_its_node_image(agents: tuple[Site, Serving]) -> None:
    at, serving = agents
    done = at.simulate("w3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node.x86_64-vmlinuz" in done.stdout + serving.text
    assert "installed after" in done.stdout


def test_machine_that_is_no_node_has_a_name_and_is_offered_no_boot_file(agents: tuple[Site, Serving]) -> None:
    at, serving = agents
    with at.neighbour("172.16.0.32", "00:50:56:96:c1:c5") as balancer:
        at.lease(balancer, "00:50:56:96:c1:c5", "172.16.0.32")
    assert at.addresses("w2.ocp45.example.localdomain") == ["172.16.0.32"]
    answers = dhcp_facts(serving, "00:50:56:96:c1:c5")
    assert {answer["program"] for answer in answers} == {"ipxe"}
    assert {answer.get("boot") for answer in answers} == {None}
    row = serving.rows()["w2"]
    assert (row["boot"], row["stage"], row["order"], row["condition"]) == ("nothing", "", "", None)
    assert re.search(r"(?m)^w2 +other +172\.16\.0\.32 +\S+ +- +- +- +-", serving.command("status"))


def test_initramfs_with_ignition_in_it_goes_to_its_hosts_only(tmp_path: Path) -> None:
    with site(tmp_path, AGENT) as at, at.serve(), ExitStack() as stack:
        m1 = stack.enter_context(at.neighbour(*M1))
        thief = stack.enter_context(at.neighbour("172.16.0.200"))
        balancer = stack.enter_context(at.neighbour("172.16.0.32", "00:50:56:96:c1:c5"))
        assert status_of(thief, INITRD) == "403"
        assert status_of(balancer, INITRD) == "403"
        assert status_of(thief, INITRD, "-I") == "200"
        assert status_of(thief, INITRD.replace("initrd", "rootfs")) == "200"
        assert status_of(m1, INITRD) == "503"  # DHCP has not answered it
        at.lease(m1, M1[1], M1[0])
        assert status_of(m1, INITRD) == "200"


def test_neighbour_with_the_address_of_a_host_gets_no_initramfs(tmp_path: Path) -> None:
    with site(tmp_path, AGENT) as at, at.serve(), at.neighbour(M1[0]) as thief:
        assert status_of(thief, INITRD) == "503"


def test_node_in_place_installs_itself_once_and_is_its_own_api(tmp_path: Path) -> None:
    with site(tmp_path, IN_PLACE) as at, at.serve() as serving:
        first = at.simulate("m1")
        assert first.returncode == 0, first.stdout + first.stderr
        assert "installs itself in place" in first.stdout
        assert stage(serving, "m1")[1] == "local"
        assert at.addresses("api-int.ocp45.example.localdomain") == ["172.16.0.21"]
        assert at.addresses("console.apps.ocp45.example.localdomain") == ["172.16.0.21"]
        again = at.simulate("m1")
        assert again.returncode == 0, again.stdout + again.stderr


def test_ignition_of_a_node_in_place_goes_to_the_node_only(tmp_path: Path) -> None:
    with site(tmp_path, IN_PLACE) as at, at.serve(), ExitStack() as stack:
        m1 = stack.enter_context(at.neighbour(*M1))
        thief = stack.enter_context(at.neighbour("172.16.0.200"))
        at.lease(m1, M1[1], M1[0])
        script = run("curl", "-sf", f"http://{APPLIANCE}/ipxe/00-50-56-96-37-c8.ipxe", place=m1).stdout
        found = re.search(r"ignition\.config\.url=http://[^/]+(/ignition/[0-9a-f]{16,}/\S+\.ign)", script)
        assert found, script
        assert status_of(thief, found[1]) == "403"
        assert status_of(m1, found[1]) == "503"  # it has fetched no initramfs
        for kind in ("kernel-x86_64", "initramfs.x86_64.img"):
            assert status_of(m1, f"/rhcos-4.18.9-x86_64-live-{kind}") == "200"
        assert status_of(m1, found[1]) == "200"
        assert status_of(thief, "/bootstrap-in-place-for-live-iso.ign") == "403"


def test_host_that_boots_in_another_network_is_the_same_host_on_each_of_its_cards(tmp_path: Path) -> None:
    with site(tmp_path, TWO_NETWORKS) as at:
        ip("addr add 198.51.100.5/24 dev br0", place=at.place)
        with at.serve() as serving:
            first = at.simulate("02:00:00:00:01:02")
            assert first.returncode == 0, first.stdout + first.stderr
            assert "198.51.100.22" in first.stdout
            assert "http://198.51.100.5/" in first.stdout + serving.text
            assert "installed after" in first.stdout
            other = at.simulate("02:00:00:00:01:01")
            assert other.returncode == 0, other.stdout + other.stderr
            assert "installed after" not in other.stdout
            assert serving.rows()["m1"]["number"] == 1
            assert at.addresses("m1.ocp45.example.localdomain") == ["172.16.0.21"]
            assert at.addresses("m1-boot.ocp45.example.localdomain") == ["198.51.100.21"]


def test_card_that_does_not_boot_is_offered_no_boot_file(tmp_path: Path) -> None:
    with site(tmp_path, TWO_NETWORKS) as at:
        ip("addr add 198.51.100.5/24 dev br0", place=at.place)
        with at.serve() as serving:
            at.simulate("00:50:56:96:37:c8")
            offers = dhcp_facts(serving, "00:50:56:96:37:c8")
            assert offers
            assert {offer.get("boot") for offer in offers} == {None}
