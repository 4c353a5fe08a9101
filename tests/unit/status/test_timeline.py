"""The descriptions of events in the history of a boot."""

import json
from dataclasses import replace

import pytest

from appliance.events import (
    BalancerReached,
    DhcpAcknowledged,
    DhcpMisplaced,
    DhcpOffered,
    Program,
    TftpFinished,
    WebFinished,
    WebKind,
)
from appliance.install.installation import Installation, Stage
from appliance.model import Boot, Role
from appliance.state.journal import Row
from appliance.status.event_words import words
from appliance.status.timeline import last_boot, missing, steps
from tests.clusters import reference_cluster
from tests.events import CLASSES, example

NEXT = {
    "agent, waiting for the others": (Boot.AGENT, Stage.IGNITION, "install it together with the other hosts"),
    "agent, rootfs": (Boot.AGENT, Stage.IMAGE, "the live system must load its whole rootfs"),
    "node image": (Boot.NODE_IMAGE, Stage.IGNITION, "its live system must install it, and the host must boot"),
    "in place, initramfs": (Boot.IN_PLACE, Stage.INITRAMFS, "download its Ignition and its rootfs"),
    "in place, rootfs": (Boot.IN_PLACE, Stage.IMAGE, "its Ignition"),
    "in place, at work": (Boot.IN_PLACE, Stage.IGNITION, "start a control plane and write the disk"),
    "no node": (Boot.NOTHING, Stage.WAITING, "is not installed"),
}
NOW = 1_700_000_000.0
HOST = "m1.example.com"


def row(kind, facts, at=NOW):
    return Row(at, HOST, 1, kind, json.dumps(facts), 1, at)


@pytest.mark.parametrize("event_type", CLASSES, ids=lambda event_type: event_type.kind)
def test_every_event_has_words(event_type):
    asked, told = words(example(event_type))
    assert asked or told
    assert "None" not in asked + told


def test_message_from_an_address_outside_the_hosts_network_is_told_with_that_address():
    asked, _ = words(DhcpMisplaced("", "52:54:00:00:00:01", "192.0.2.21", "", "eth1", "169.254.3.4"))
    assert asked == "looks for a DHCP server from 169.254.3.4 on interface eth1"


def test_host_in_the_wrong_network_is_told_what_to_do():
    asked, told = words(DhcpMisplaced(HOST, "52:54:00:00:00:01", "192.0.2.21", "198.51.100.1", "eth1"))
    assert asked == "looks for a DHCP server via relay 198.51.100.1 on interface eth1"
    assert told == (
        "no answer: its address 192.0.2.21 is of another network; "
        "connect it to the VLAN of that address, or correct its address in cluster.yaml"
    )


@pytest.mark.parametrize(
    ("client", "boot", "told"),
    [
        (Program.PXE, "efi/ipxe.efi", "offered 192.0.2.21, boot file efi/ipxe.efi"),
        (Program.IPXE, "", "offered 192.0.2.21, no boot file"),
        (Program.OS, "", "offered 192.0.2.21"),
    ],
)
def test_offer_names_its_boot_file(client, boot, told):
    assert words(DhcpOffered(HOST, "", "192.0.2.21", client, "x64-uefi", boot))[1] == told


def test_offer_is_told_apart_from_acknowledgement():
    said = [words(event("", "", "192.0.2.21", Program.OS)) for event in (DhcpOffered, DhcpAcknowledged)]
    assert said[0] != said[1]


@pytest.mark.parametrize(
    ("port", "front_end", "asked"),
    [(22623, "machine-config-22623", "asks the machine config server"), (6443, "api-6443", "reaches the API")],
)
def test_connection_through_the_balancer_names_what_was_asked_and_who_got_it(port, front_end, asked):
    event = BalancerReached(HOST, "192.0.2.21", front_end, port, "m2")
    assert words(event) == (asked, f"forwarded to m2 by {front_end}")


@pytest.mark.parametrize(
    ("role", "boot", "asks"),
    [
        (Role.MASTER, Boot.INSTALLER, True),
        (Role.WORKER, Boot.NODE_IMAGE, True),
        (Role.BOOTSTRAP, Boot.INSTALLER, False),
        (Role.MASTER, Boot.IN_PLACE, False),
    ],
)
@pytest.mark.parametrize("stage", [Stage.INSTALLED, Stage.BOOTED])
def test_system_must_ask_for_its_configuration_unless_its_ignition_file_has_it(role, boot, asks, stage):
    host = replace(reference_cluster().hosts[1], role=role, boot=boot)
    told = missing(Installation(HOST, stage=stage, boot=boot), host)
    assert ("ask api-int:22623 for its configuration" in told) is asks


@pytest.mark.parametrize(("resent", "told"), [(0, "1.0 MB in 500 ms"), (3, "1.0 MB in 500 ms, 3 blocks resent")])
def test_transfer_shows_how_much_was_sent_again(resent, told):
    assert words(TftpFinished(HOST, "", "efi/ipxe.efi", 1_000_000, 0.5, resent))[1] == told


def test_download_is_reported_with_its_size_and_time():
    done = WebFinished(HOST, "", "/k", WebKind.KERNEL, 200, 14_000_000, 14_000_000, 1.25)
    assert words(done) == ("received /k", "14.0 MB in 1.3 s")


@pytest.mark.parametrize(
    ("kind", "facts"),
    [("dhcp.inform", {"vlan": 7}), ("web.start", {"vlan": 7})],
    ids=["unknown kind", "facts of another version"],
)
def test_event_of_another_version_is_told_by_its_kind_and_facts(kind, facts):
    (step,) = steps([row(kind, facts)], NOW)
    assert (step["asked"], step["told"]) == (kind, "vlan 7")


def test_step_lasts_until_the_next_one_and_the_last_until_now():
    rows = [row("dns.asked", {"name": "api-int"}, at) for at in (NOW, NOW + 2)]
    assert [step["seconds"] for step in steps(rows, NOW + 5)] == [2.0, 3.0]


def test_last_boot_begins_with_the_first_message_of_firmware():
    firmware, system, stage = {"program": "pxe"}, {"program": "os"}, {"stage": "firmware", "number": 1}
    rows = [
        row("dhcp.offer", firmware),
        row("dhcp.offer", system),
        row("dhcp.offer", firmware),
        row("install.stage", stage),
        row("dhcp.ack", firmware),
        row("dhcp.ack", system),
    ]
    assert last_boot(rows) == rows[2:]


def test_last_boot_without_firmware_is_everything():
    rows = [row("dhcp.offer", {"program": "os"}), row("dns.asked", {"name": "api-int"})]
    assert last_boot(rows) == rows


@pytest.mark.parametrize(("boot", "stage", "expected"), NEXT.values(), ids=NEXT)
def test_what_comes_next_depends_on_what_the_host_boots(boot, stage, expected):
    host = replace(reference_cluster().hosts[1], boot=boot)
    installation = Installation(HOST, stage=stage, boot=boot, boots_live=True)
    assert expected in missing(installation, host)
