"""Images that contain an Ignition configuration: who gets them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.events import WebKind
from appliance.install.installation import Installation, Order
from appliance.model import Arch, Boot, Cluster, Image, Images, Release
from appliance.web.answers import ErrorResponse, Findings, HttpRequest, Judgement, NeighbourFinding, SendFile
from appliance.web.compile import compile_web
from appliance.web.opening import Opened, open_first
from appliance.web.protocol import judge
from tests.clusters import LIVE_IMAGES, reference_cluster

ARTIFACTS = Images(Image("a/vmlinuz", None), Image("a/initrd.img", None), Image("a/rootfs.img", None), None)
INITRD, M1, W1, STRANGER = "/a/initrd.img", "172.16.0.21", "172.16.0.31", "172.16.0.99"
M1_NAME = "m1.ocp45.example.localdomain"
READY = Installation(M1_NAME, token="0123456789abcdef", boot=Boot.AGENT)


def agents(directory: str = "/var/lib/ocp-appliance") -> Cluster:
    """Return the reference cluster with masters that boot an agent, and workers with Ignition files."""
    cluster = reference_cluster(Path(directory), release=Release(4, 18), images={Arch.X86_64: LIVE_IMAGES})
    hosts = tuple(replace(host, boot=Boot.AGENT) if "m" in host.short_name else host for host in cluster.hosts)
    return replace(cluster, hosts=hosts, artifacts={(Boot.AGENT, Arch.X86_64): ARTIFACTS})


TABLE = compile_web((agents(),))


def judged(
    client: str,
    target: str = INITRD,
    method: str = "GET",
    record: Installation = READY,
    mac: bytes | None = None,
) -> Judgement:
    request = HttpRequest(method, target, client)
    return judge(request, TABLE, {record.host: record}, 0.0, Findings(neighbour=NeighbourFinding(mac)))


def test_host_that_boots_it_gets_it() -> None:
    answer = judged(M1)
    assert isinstance(answer, SendFile)
    assert answer.kind is WebKind.INITRAMFS


@pytest.mark.parametrize("client", [STRANGER, W1])
def test_others_get_nothing_and_the_reason_is_in_the_log(client: str) -> None:
    answer = judged(client)
    assert isinstance(answer, ErrorResponse)
    assert (answer.status, answer.why) == (
        403,
        "a/initrd.img contains an Ignition configuration, and is served only to the hosts that boot it",
    )


@pytest.mark.parametrize("spelling", ["/a//initrd.img", "/a/./initrd.img", "/a/%69nitrd.img", "/x/../a/initrd.img"])
def test_another_spelling_of_its_path_helps_nobody(spelling: str) -> None:
    assert isinstance(judged(STRANGER, spelling), ErrorResponse)


def test_another_machine_at_the_address_of_the_host_waits() -> None:
    answer = judged(M1, mac=b"\2\0\0\0\0\1")
    assert isinstance(answer, ErrorResponse)
    assert (answer.status, answer.unproven is not None) == (503, True)


def test_host_without_dhcp_waits() -> None:
    answer = judged(M1, record=replace(READY, has_dhcp=False))
    assert isinstance(answer, ErrorResponse)
    assert answer.status == 503


@pytest.mark.parametrize(("order", "why"), [(Order.LOCAL, "boots from its disk"), (Order.HOLD, "is held")])
def test_host_that_does_not_install_gets_nothing(order: Order, why: str) -> None:
    answer = judged(M1, record=replace(READY, order=order))
    assert isinstance(answer, ErrorResponse)
    assert (answer.status, why in answer.why) == (403, True)


@pytest.mark.parametrize(
    "name", ["agent.x86_64-initrd.img", "boot-artifacts/node.aarch64-initrd.img", "pxe/agent-initrd.x86_64.img"]
)
def test_file_that_is_named_like_one_is_kept_back_although_no_host_boots_it(name: str) -> None:
    answer = judged(M1, f"/{name}")
    assert isinstance(answer, ErrorResponse)
    assert answer.status == 403


@pytest.mark.parametrize("client", [STRANGER, M1])
def test_head_is_for_everyone(client: str) -> None:
    assert isinstance(judged(client, method="HEAD"), SendFile)


@pytest.mark.parametrize("name", ["vmlinuz", "rootfs.img"])
def test_kernel_and_rootfs_are_no_secrets(name: str) -> None:
    assert isinstance(judged(STRANGER, f"/a/{name}"), SendFile)


def test_file_of_another_cluster_with_the_same_name_is_not_this_host_s() -> None:
    other = agents("/srv/other")
    moved = replace(other, name="other", hosts=())
    table = compile_web((moved, agents()))
    request = HttpRequest("GET", INITRD, M1)
    answer = judge(request, table, {M1_NAME: READY}, 0.0, Findings(neighbour=NeighbourFinding(None)))
    assert isinstance(answer, SendFile)
    assert [place.site.name for place in answer.places] == ["ocp45"]


def test_worker_of_an_agent_based_installation_waits_for_no_machine_config_server() -> None:
    cluster = agents()
    workers = tuple(replace(host, boot=Boot.AGENT) for host in cluster.hosts)
    table = compile_web((replace(cluster, hosts=workers),))
    assert {
        host.host.short_name
        for host in table.hosts.values()
        if host.ipxe.wait is not None or host.grub.wait is not None
    } == set()


def test_file_that_is_a_link_to_one_is_kept_back(tmp_path: Path) -> None:
    table = compile_web((agents(str(tmp_path)),))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "agent.x86_64-initrd.img").write_bytes(b"initramfs")
    (tmp_path / "images" / "plain.img").symlink_to("agent.x86_64-initrd.img")
    answer = judge(HttpRequest("GET", "/plain.img", STRANGER), table, {}, 0.0)
    assert isinstance(answer, SendFile)
    refused = open_first(answer, lambda _path, _identity: None)
    assert isinstance(refused, ErrorResponse)
    assert refused.status == 403


def test_host_that_boots_it_gets_it_by_a_link_too(tmp_path: Path) -> None:
    table = compile_web((agents(str(tmp_path)),))
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "agent.x86_64-initrd.img").write_bytes(b"initramfs")
    (tmp_path / "images" / "a" / "initrd.img").symlink_to("../agent.x86_64-initrd.img")
    request = HttpRequest("GET", INITRD, M1)
    answer = judge(request, table, {M1_NAME: READY}, 0.0, Findings(neighbour=NeighbourFinding(None)))
    assert isinstance(answer, SendFile)
    opened = open_first(answer, lambda _path, _identity: None)
    assert isinstance(opened, Opened)
    os.close(opened.fd)
