"""Every iPXE script as it is sent, byte for byte. APPLIANCE_GOLDEN=write writes the files again."""

import os
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from appliance.boot import ipxe
from appliance.model import (
    Arch,
    Boot,
    Cluster,
    Endpoint,
    Host,
    Image,
    Images,
    LocalBoot,
    MacAddress,
    Network,
    Release,
    Role,
)
from tests.clusters import APPLIANCE, LIVE_IMAGES, host, reference_cluster

GOLDEN = Path(__file__).parent / "ipxe"


def live() -> Cluster:
    return reference_cluster(release=Release(4, 16), images={Arch.X86_64: LIVE_IMAGES})


def live_with_metal() -> Cluster:
    images = replace(LIVE_IMAGES, metal=Image("rhcos-4.16.3-x86_64-metal.x86_64.raw.gz", None))
    return reference_cluster(release=Release(4, 16), images={Arch.X86_64: images})


def high_port() -> Cluster:
    cluster = reference_cluster()
    return replace(cluster, listen=replace(cluster.listen, http=(Endpoint(APPLIANCE, 8080),)))


def tagged() -> Cluster:
    cluster = reference_cluster()
    return replace(cluster, networks=tuple(replace(network, vlan=40) for network in cluster.networks))


def named(cluster: Cluster, name: str, **changes: object) -> Host:
    found = next(host for host in cluster.hosts if host.short_name == name)
    return replace(found, **changes)  # type: ignore[arg-type]


STATIC = (
    "ip=172.16.0.31::172.16.0.254:255.255.255.0:w1.ocp45.example.localdomain:ens192:none",
    "nameserver=172.16.0.101",
)
BOND = (
    "ip=172.16.0.31::172.16.0.254:255.255.255.0:w1.ocp45.example.localdomain:bond0:none",
    "nameserver=172.16.0.101",
    "bond=bond0:ens1,ens2:mode=802.3ad",
)
TWO_NICS = (MacAddress.parse("00:50:56:96:6b:da"), MacAddress.parse("00:50:56:96:6b:db"))


def install(cluster: Cluster, name: str, **changes: object) -> str:
    return ipxe.install_script(cluster, named(cluster, name, **changes))


ARTIFACTS = Images(
    Image("boot-artifacts/agent.x86_64-vmlinuz", None),
    Image("boot-artifacts/agent.x86_64-initrd.img", None),
    Image("boot-artifacts/agent.x86_64-rootfs.img", None),
    None,
)


def agent(**changes: object) -> Cluster:
    """Return the live cluster with what an agent and an added node boot."""
    artifacts = {(boot, Arch.X86_64): ARTIFACTS for boot in (Boot.AGENT, Boot.NODE_IMAGE)}
    return replace(live(), artifacts=artifacts, **changes)  # type: ignore[arg-type]


def both_families() -> Cluster:
    """Return a dual-stack cluster: m1 has an address of each family, w1 only IPv6."""
    cluster, network = live(), Network(IPv6Network("2001:db8::/64"), IPv6Address("2001:db8::101"))
    six = IPv6Address("2001:db8::21")
    hosts = tuple(
        replace(each, addresses=(*each.addresses, six) if each.short_name == "m1" else (IPv6Address("2001:db8::31"),))
        for each in cluster.hosts
        if each.short_name in ("m1", "w1")
    )
    return replace(cluster, networks=(*cluster.networks, network), hosts=hosts, address_ipv6=network.server)


def over_ipv6(name: str) -> Host:
    host = named(both_families(), name)
    assert host.ipv6
    return host.booting_with(host.ipv6)


SCRIPTS: dict[str, Callable[[], str]] = {
    "menu-unknown-ipv6": lambda: ipxe.menu(both_families(), IPv6Address("2001:db8::99")),
    "autoexec-ipv6": lambda: ipxe.autoexec(both_families(), IPv6Address("2001:db8:9::99")),
    "menu-master-ipv6": lambda: ipxe.host_menu(both_families(), over_ipv6("m1")),
    "live-master-ipv6": lambda: ipxe.install_script(both_families(), over_ipv6("m1")),
    "live-worker-ipv6": lambda: ipxe.install_script(both_families(), over_ipv6("w1")),
    "live-worker-ipv6-two-nics": lambda: ipxe.install_script(both_families(), replace(over_ipv6("w1"), macs=TWO_NICS)),
    "menu-unknown": lambda: ipxe.menu(reference_cluster()),
    "menu-unknown-port-8080": lambda: ipxe.menu(high_port(), IPv4Address("172.16.0.99")),
    "menu-bootstrap": lambda: ipxe.host_menu(reference_cluster(), named(reference_cluster(), "bs")),
    "menu-master": lambda: ipxe.host_menu(reference_cluster(), named(reference_cluster(), "m1")),
    "menu-infra": lambda: ipxe.host_menu(
        reference_cluster(), host("i1", Role.INFRA, "172.16.0.41", "00:50:56:96:00:41")
    ),
    "legacy-bootstrap": lambda: install(reference_cluster(), "bs"),
    "legacy-master": lambda: install(reference_cluster(), "m1"),
    "legacy-worker": lambda: install(reference_cluster(), "w1"),
    "legacy-worker-static": lambda: install(reference_cluster(), "w1", network_arguments=STATIC),
    "legacy-worker-two-nics": lambda: install(reference_cluster(), "w1", macs=TWO_NICS),
    "legacy-worker-by-id": lambda: install(
        reference_cluster(),
        "w1",
        install_disk="/dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
        kernel_arguments=("console=ttyS1,115200n8", "nomodeset"),
    ),
    "live-bootstrap": lambda: install(live(), "bs"),
    "live-worker": lambda: install(live(), "w1"),
    "live-worker-bond": lambda: install(live(), "w1", network_arguments=BOND, macs=TWO_NICS),
    "live-worker-two-nics": lambda: install(live(), "w1", macs=TWO_NICS, kernel_arguments=("console=ttyS0",)),
    "live-worker-metal": lambda: install(live_with_metal(), "w1"),
    "agent-master": lambda: install(agent(), "m1", boot=Boot.AGENT),
    "agent-worker-fips": lambda: install(agent(fips=True), "w1", boot=Boot.AGENT, network_arguments=STATIC),
    "node-image": lambda: install(agent(), "w1", boot=Boot.NODE_IMAGE, kernel_arguments=("console=ttyS0",)),
    "in-place": lambda: install(live_with_metal(), "m1", boot=Boot.IN_PLACE, install_disk="/dev/nvme0n1"),
    "in-place-static": lambda: install(live(), "m1", boot=Boot.IN_PLACE, network_arguments=STATIC),
    "other": lambda: install(live(), "m1", role=Role.OTHER, boot=Boot.NOTHING),
    "no-image-for-arch": lambda: install(reference_cluster(), "w1", arch=Arch.AARCH64),
    "local-exit": lambda: ipxe.local_script(
        reference_cluster(), named(reference_cluster(), "m1", local_boot=LocalBoot.EXIT)
    ),
    "local-sanboot": lambda: ipxe.local_script(
        reference_cluster(), named(reference_cluster(), "m1", local_boot=LocalBoot.SANBOOT)
    ),
    "wait": lambda: ipxe.wait_script(reference_cluster(), named(reference_cluster(), "w1"), "nothing answers yet"),
    "autoexec": lambda: ipxe.autoexec(reference_cluster()),
    "autoexec-vlan": lambda: ipxe.autoexec(tagged(), APPLIANCE),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_what_the_golden_file_holds(name: str) -> None:
    script = SCRIPTS[name]()
    file = GOLDEN / f"{name}.ipxe"
    if os.environ.get("APPLIANCE_GOLDEN") == "write":
        file.write_text(script, encoding="ascii")
    assert script == file.read_text(encoding="ascii")


def test_no_golden_file_is_without_its_script() -> None:
    assert {file.stem for file in GOLDEN.glob("*.ipxe")} == set(SCRIPTS)
