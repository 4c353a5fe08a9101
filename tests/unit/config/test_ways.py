"""The ways to install: a correct file with one mistake each, and what follows from a correct one."""

import re
from pathlib import Path

import pytest

from appliance import config
from appliance.config.images import ARTIFACTS_DIRECTORY
from appliance.model import IN_PLACE_IGNITION, Arch, Boot, Install
from appliance.share import share
from tests.config_files import CLEAN, check_text, edited, told

AGENT = (share("data") / "agent" / "cluster.yaml").read_text()
IN_PLACE = (share("data") / "in-place" / "cluster.yaml").read_text()
BOOTSTRAP = """\
  - hostname: bs
    role: bootstrap
    macAddress: 52:54:00:99:00:10
    address: 192.0.2.10
"""
WORKER = BOOTSTRAP.replace("bootstrap", "worker").replace("bs", "w9")
MASTER = BOOTSTRAP.replace("bootstrap", "master").replace("bs", "m9")


def with_host(text: str, host: str) -> str:
    return text.replace("\nhosts:\n", f"\nhosts:\n{host}")


LATER = CLEAN.replace("4.16.3", "4.18.3")


def flaws(tmp_path: Path, text: str) -> list[str]:
    """Return what is wrong with *text*, without the lines and without the files that are missing."""
    lines = (re.sub(r"^\d+: ", "", line) for line in told(tmp_path, text))
    return [line for line in lines if "not found" not in line]


FLAWS = {
    "bootstrap with an agent": (
        with_host(AGENT, BOOTSTRAP),
        (
            "hosts[0].role: an agent-based installation has no bootstrap machine: the host at rendezvousIP does that "
            "work; remove this host"
        ),
    ),
    "bootstrap with a node image": (
        with_host(CLEAN.replace("role: bootstrap", "role: worker"), f"{BOOTSTRAP}    boot: node-image\n"),
        "hosts[0].role: a node image adds nodes to a running cluster, which has no bootstrap machine",
    ),
    "rendezvous elsewhere": (
        AGENT.replace("rendezvousIP: 192.0.2.21", "rendezvousIP: 192.0.2.31"),
        (
            "rendezvousIP: 192.0.2.31 is not the address of a host with the role master; expected one of 192.0.2.21, "
            "192.0.2.22, 192.0.2.23"
        ),
    ),
    "rendezvous without an agent": (
        f"{CLEAN}rendezvousIP: 192.0.2.21\n",
        "warning: rendezvousIP: not used without `boot: agent`",
    ),
    "agent of 4.12": (
        AGENT.replace("4.18.9", "4.12.9"),
        "boot: release 4.12 has no `openshift-install agent create pxe-files`; use 4.13 or later",
    ),
    "agent for one host": (
        with_host(CLEAN, f"{WORKER}    boot: agent\n"),
        (
            "hosts[0].boot: agent is for a whole cluster; write `boot: agent` at the top level, or node-image for a "
            "host that is added to a running cluster"
        ),
    ),
    "node image for all": (
        AGENT.replace("boot: agent", "boot: node-image"),
        'boot: "node-image" is not valid; expected installer or agent',
    ),
    "node image of 4.16": (
        with_host(CLEAN, f"{WORKER}    boot: node-image\n"),
        (
            "hosts[0].boot: release 4.16 has no `oc adm node-image`; add the node with boot: installer and "
            "worker.ign, or write the present release of the cluster, 4.17 or later"
        ),
    ),
    "disk image with an agent": (
        f"{AGENT}images: {{metal: disk.raw.gz}}\n",
        "warning: images.metal: not used: an agent-based installation has no disk image",
    ),
    "release of images with an agent": (
        f"{AGENT}images: {{release: 4.18.1}}\n",
        "warning: images.release: not used: the names of the files of an agent-based installation have no release",
    ),
    "in place with an agent": (
        f"{AGENT}bootstrapInPlace: {{installationDisk: /dev/sda}}\n",
        "warning: bootstrapInPlace: not used: the agent-based installer installs a single node without it",
    ),
    "fips with Ignition files": (
        f"{CLEAN}fips: true\n",
        (
            "warning: fips: not used: only machines with boot agent or node-image get fips=1; for others it belongs in "
            "install-config.yaml, which puts it into the Ignition files"
        ),
    ),
    "bootstrap in place": (
        with_host(IN_PLACE, BOOTSTRAP),
        "hosts[0].role: an installation in place has no bootstrap machine; remove this host",
    ),
    "two masters in place": (
        with_host(IN_PLACE, MASTER + "").replace("dns:\n", "apiVIPs: 192.0.2.8\ningressVIPs: 192.0.2.9\ndns:\n"),
        (
            "bootstrapInPlace: is for a single node, and 2 hosts have the role master or arbiter; remove this key, and "
            "add a host with the role bootstrap"
        ),
    ),
    "three masters and a bootstrap machine in place": (
        f"{CLEAN}bootstrapInPlace: {{installationDisk: /dev/sda}}\n",
        "bootstrapInPlace: is for a single node, and 3 hosts have the role master or arbiter; remove this key",
    ),
    "disk image in place, beside a registry": (
        with_host(IN_PLACE, WORKER.replace("role: worker", "role: other")) + "images: {metal: disk.raw.gz}\n",
        "warning: images.metal: not used: an installation in place brings its own disk image",
    ),
    "in place with 4.7": (
        IN_PLACE.replace("4.18.9", "4.7.9"),
        "bootstrapInPlace: release 4.7 cannot install in place; use 4.8 or later",
    ),
    "in place without a disk": (
        re.sub(r"  installationDisk: .*\n", "  {}\n", IN_PLACE),
        "bootstrapInPlace.installationDisk: is missing; for example `installationDisk: /dev/sda`",
    ),
    "two disks": (
        IN_PLACE.replace("192.0.2.21\n", "192.0.2.21\n    rootDeviceHints: {deviceName: /dev/sdb}\n"),
        (
            "warning: hosts[0].rootDeviceHints: not used: the Ignition file names the disk, as "
            "bootstrapInPlace.installationDisk does (/dev/disk/by-id/wwn-0x64cd98f04fde100024684cf3034da5c2)"
        ),
    ),
    "disk image in place": (
        f"{IN_PLACE}images: {{metal: disk.raw.gz}}\n",
        "warning: images.metal: not used: an installation in place brings its own disk image",
    ),
    "boot file of another machine": (
        AGENT.replace("192.0.2.7\n", "192.0.2.7\n    loader: efi/snponly.efi\n"),
        (
            "warning: hosts[5].loader: not used: a machine with the role other gets DHCP and DNS, and boots nothing "
            "from here"
        ),
    ),
}


@pytest.mark.parametrize(("text", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaw_of_a_way_is_reported(tmp_path: Path, text: str, flaw: str) -> None:
    assert flaw in flaws(tmp_path, text)


def test_cluster_that_cannot_install_in_place_may_keep_its_bootstrap_machine(tmp_path: Path) -> None:
    text = f"{CLEAN}bootstrapInPlace: {{installationDisk: /dev/sda}}\n"

    assert not any("remove this host" in line for line in flaws(tmp_path, text))


UNUSED = """\
    arch: aarch64
    boot: agent
    install: always
    kernelArguments: [ip=dhcp]
    loader: undionly
    localBoot: exit
    networkConfig:
      interfaces:
        - {name: eno1, type: dummy, lldp: {enabled: true}}
        - {name: a name that is too long, type: bond}
    rootDeviceHints: {deviceName: /dev/sdb}
"""


def test_each_unused_key_of_another_machine_is_reported_once(tmp_path: Path) -> None:
    text = with_host(CLEAN, WORKER.replace("role: worker", "role: other") + UNUSED)
    tagged = edited(("gateway: 192.0.2.1\n", "gateway: 192.0.2.1\n      vlan: 40\n"), text=text)

    found = [line for line in flaws(tmp_path, tagged) if "hosts[0]" in line]

    assert found == [
        (
            f"warning: hosts[0].{key}: not used: a machine with the role other gets DHCP and DNS, and boots nothing "
            "from here"
        )
        for key in re.findall(r"^    (\w+):", UNUSED, re.MULTILINE)
    ]


def test_agent_s_own_network_arguments_are_no_second_ones(tmp_path: Path) -> None:
    """An agent is given no arguments for the network, whatever networkConfig says."""
    config = "    kernelArguments: [ip=dhcp]\n    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}}]}\n"

    assert [line for line in flaws(tmp_path, with_host(AGENT, WORKER + config)) if "kernelArguments" in line] == []


def test_two_masters_in_place_get_no_other_way(tmp_path: Path) -> None:
    assert any(line.startswith("bootstrapInPlace: is for") for line in flaws(tmp_path, with_host(IN_PLACE, MASTER)))


@pytest.mark.parametrize("text", [AGENT, IN_PLACE], ids=["agent", "in place"])
def test_cluster_without_a_bootstrap_machine_needs_none(tmp_path: Path, text: str) -> None:
    assert flaws(tmp_path, text) == []


def test_agents_boot_the_files_that_the_installer_makes(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, AGENT).clusters
    images = cluster.images_of(cluster.hosts[0])

    assert images is not None
    assert images.rootfs is not None
    assert [image.name for image in (images.kernel, images.initramfs, images.rootfs)] == [
        f"boot-artifacts/agent.x86_64-{part}" for part in ("vmlinuz", "initrd.img", "rootfs.img")
    ]
    assert cluster.images == {}


def test_files_of_an_agent_can_be_named(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, f"{AGENT}images: {{kernel: pxe/agent-vmlinuz.x86_64}}\n").clusters

    assert cluster.artifacts[Boot.AGENT, Arch.X86_64].kernel.name == "pxe/agent-vmlinuz.x86_64"


def test_added_node_boots_a_node_image_beside_hosts_with_ignition_files(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, with_host(LATER, f"{WORKER}    boot: node-image\n    arch: aarch64\n")).clusters
    added, master = cluster.hosts[0], cluster.hosts[2]

    assert cluster.artifacts.keys() == {(Boot.NODE_IMAGE, Arch.AARCH64)}
    assert cluster.artifacts[added.boot, added.arch].kernel.name == f"{ARTIFACTS_DIRECTORY}/node.aarch64-vmlinuz"
    assert (added.ignition, master.ignition) == ("", "master.ign")
    assert cluster.images.keys() == {Arch.X86_64}


def test_role_says_what_its_hosts_boot(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, f"{LATER}roles: {{worker: {{boot: node-image}}}}\n").clusters

    assert [host.boot for host in cluster.hosts[3:]] == [Boot.INSTALLER, Boot.NODE_IMAGE]


def test_first_master_leads_by_default(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, AGENT.replace("rendezvousIP: 192.0.2.21\n", "")).clusters

    assert cluster.rendezvous == cluster.hosts[0].address


def test_node_in_place_fetches_the_ignition_file_of_a_single_node(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, IN_PLACE).clusters
    (node,) = cluster.hosts

    assert (node.boot, node.ignition) == (Boot.IN_PLACE, IN_PLACE_IGNITION)
    assert node.install_disk == "/dev/disk/by-id/wwn-0x64cd98f04fde100024684cf3034da5c2"


def test_worker_beside_a_node_in_place_is_installed_as_usual(tmp_path: Path) -> None:
    text = with_host(IN_PLACE, WORKER) + "apiVIPs: 192.0.2.21\ningressVIPs: 192.0.2.21\n"
    (cluster,) = check_text(tmp_path, text).clusters

    assert [host.ignition for host in cluster.hosts] == ["worker.ign", IN_PLACE_IGNITION]


def test_machine_that_is_no_node_boots_nothing(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, AGENT).clusters
    balancer = cluster.hosts[5]

    assert (balancer.boot, balancer.install, balancer.ignition) == (Boot.NOTHING, Install.NEVER, "")
    assert cluster.images_of(balancer) is None


def test_machine_that_is_no_node_leaves_a_single_node_single(tmp_path: Path) -> None:
    text = with_host(IN_PLACE, WORKER.replace("role: worker", "role: other"))
    (cluster,) = check_text(tmp_path, text).clusters

    assert [str(address) for address in cluster.api_vips] == ["192.0.2.21"]


def test_missing_file_of_an_agent_is_reported_with_the_command_that_makes_it(tmp_path: Path) -> None:
    lines = told(tmp_path, AGENT)

    assert any("vmlinuz not found; make it with `openshift-install agent create pxe-files`" in line for line in lines)


def test_missing_file_of_a_single_node_is_reported_with_the_command_that_makes_it(tmp_path: Path) -> None:
    lines = told(tmp_path, IN_PLACE)

    assert any("create it with `openshift-install create single-node-ignition-config`" in line for line in lines)


def test_images_with_an_agent_are_checked(tmp_path: Path) -> None:
    text = f"{AGENT}images: {{kernel: pxeboot.ipxe}}\n"

    assert any("is a URL path that the appliance uses itself" in line for line in told(tmp_path, text))


def test_files_can_be_served_without_errors(tmp_path: Path) -> None:
    for text in (AGENT, IN_PLACE):
        (tmp_path / "cluster.yaml").write_text(text)
        assert config.load([tmp_path / "cluster.yaml"])
