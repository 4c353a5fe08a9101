"""iPXE scripts: what they may contain, and what they load next."""

import re
from dataclasses import replace

import pytest

from appliance.boot import ipxe
from appliance.model import Arch, Cluster, Image, LocalBoot, Release
from appliance.share import share
from tests.clusters import LIVE_IMAGES, reference_cluster

# Commands that are in the builds of both Debian 12 and RHEL 9.
COMMANDS = {
    "boot", "chain", "choose", "config", "dhcp", "echo", "exit", "goto", "imgfree", "initrd", "iseq", "isset",
    "item", "kernel", "menu", "reboot", "sanboot", "set", "shell", "sleep",
}  # fmt: skip


def live() -> Cluster:
    return reference_cluster(release=Release(4, 16), images={Arch.X86_64: LIVE_IMAGES})


def every_script() -> list[str]:
    scripts = []
    for cluster in (reference_cluster(), live()):
        scripts += [ipxe.menu(cluster), ipxe.autoexec(cluster)]
        for host in cluster.hosts:
            scripts += [
                ipxe.host_menu(cluster, host),
                ipxe.install_script(cluster, host),
                ipxe.wait_script(cluster, host, "held"),
                *(ipxe.local_script(cluster, replace(host, local_boot=how)) for how in LocalBoot),
            ]
    return scripts


def commands(script: str) -> set[str]:
    lines = [line for line in script.splitlines() if line and not line.startswith(("#", ":"))]
    return {part.split()[0] for line in lines for part in re.split(r"\s(?:\|\||&&)(?:\s|$)", line) if part.split()}


def test_scripts_use_only_commands_that_packaged_builds_have() -> None:
    used = set().union(*map(commands, every_script()))
    assert used <= COMMANDS


def test_script_for_a_tagged_network_boots_without_commands_for_vlans_as_well() -> None:
    cluster = reference_cluster()
    tagged = replace(cluster, networks=tuple(replace(network, vlan=40) for network in cluster.networks))
    script = ipxe.autoexec(tagged, cluster.address)
    own = [line for line in script.splitlines() if "40" in line.replace("http://172.16.0.101", "")]

    assert commands("\n".join(own)) == {"vcreate", "dhcp", "goto"}
    assert all(line.endswith("||") for line in own)
    assert "\ndhcp || dhcp || exit 1\n" in script


def test_every_script_begins_with_the_magic_line() -> None:
    assert all(script.startswith("#!ipxe\n") for script in every_script())


def test_every_label_that_a_script_goes_to_is_in_it() -> None:
    for script in every_script():
        labels = set(re.findall(r"^:(\S+)", script, re.MULTILINE))
        assert set(re.findall(r"goto ([a-z]\S*)", script)) <= labels


def test_every_entry_of_the_menu_has_its_label() -> None:
    for script in (ipxe.menu(reference_cluster()), ipxe.host_menu(live(), live().hosts[0])):
        entries = re.findall(r"^item (?:--key . )?([a-z]+)", script, re.MULTILINE)
        assert entries == ["bootstrap", "master", "worker", "config", "shell", "reboot", "exit"]
        assert set(entries) <= set(re.findall(r"^:(\S+)", script, re.MULTILINE))


def test_no_placeholder_is_left_in_a_script() -> None:
    assert not any("@{" in script for script in every_script())


def test_token_is_in_an_install_script_once() -> None:
    cluster = reference_cluster()
    assert all(ipxe.install_script(cluster, host).count(ipxe.MARK) == 1 for host in cluster.hosts)


def test_every_line_that_fetches_says_what_happens_when_it_fails() -> None:
    for script in every_script():
        for line in script.splitlines():
            if line.startswith(("kernel ", "initrd ", "chain ", "boot", "sanboot ")):
                assert "||" in line, line


def test_legacy_initramfs_is_named_as_the_last_part_of_its_url() -> None:
    """iPXE passes the image to the kernel under this name, not its URL (Red Hat bug 1741922)."""
    cluster = reference_cluster()
    script = ipxe.install_script(cluster, cluster.hosts[0])
    named = re.search(r" initrd=(\S+)", script)
    fetched = re.search(r"^initrd (\S+)", script, re.MULTILINE)
    assert named
    assert fetched
    assert named[1] == fetched[1].rpartition("/")[2]


def test_image_in_a_subdirectory_is_named_without_it() -> None:
    images = reference_cluster().images[Arch.X86_64]
    images = replace(images, initramfs=Image("4.5/initramfs.img", None))
    cluster = reference_cluster(images={Arch.X86_64: images})
    script = ipxe.install_script(cluster, cluster.hosts[0])
    assert " initrd=initramfs.img " in script
    assert "initrd http://172.16.0.101/4.5/initramfs.img" in script


def test_menu_of_a_stranger_leaves_after_its_time() -> None:
    script = ipxe.menu(reference_cluster())
    assert "set wait 300000" in script
    assert "set default exit" in script


def test_menu_of_a_host_takes_its_own_role_after_a_short_time() -> None:
    cluster = reference_cluster()
    script = ipxe.host_menu(cluster, cluster.hosts[4])
    assert "set wait 10000" in script
    assert "set default worker" in script


def test_menu_that_waits_no_time_is_skipped() -> None:
    """For iPXE, --timeout 0 means no timeout."""
    cluster = reference_cluster(known_menu_seconds=0)
    script = ipxe.host_menu(cluster, cluster.hosts[4])
    assert script.index("goto worker\n") < script.index(":menu")


def test_menu_of_a_host_leads_to_its_own_script_only_from_its_own_role() -> None:
    cluster = reference_cluster()
    script = ipxe.host_menu(cluster, cluster.hosts[0])
    assert script.index(":bootstrap") < script.index("/ipxe/00-50-56-96-11-c2.ipxe") < script.index(":master")
    assert script.count("/ipxe/") == 1


@pytest.mark.parametrize(("release", "missing"), [(Release(4, 5), "metal"), (Release(4, 6), "rootfs")])
def test_host_without_an_image_that_its_release_needs_is_told_so(release: Release, missing: str) -> None:
    images = replace(LIVE_IMAGES, rootfs=None, metal=None)
    cluster = reference_cluster(release=release, images={Arch.X86_64: images})
    script = ipxe.install_script(cluster, cluster.hosts[0])
    assert f"has no {missing}" in script
    assert "kernel http" not in script


def test_templates_are_ascii() -> None:
    """Firmware consoles cannot show other characters."""
    assert all(file.read_bytes().isascii() for file in share("ipxe").glob("*.ipxe"))
