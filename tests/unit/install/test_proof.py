"""What shows that a client with a host's address is the host: an answer of our DHCP server, and its MAC address."""

from dataclasses import replace

import pytest

from appliance.events import (
    ClientUnproven,
    DhcpAcknowledged,
    DhcpOffered,
    DhcpPassed,
    Ordered,
    Program,
    Stamped,
    WebKind,
)
from appliance.install.effects import ABANDONED_SECONDS
from appliance.install.installation import Installation, Rules, Stage, begin, order_of
from appliance.install.lifecycle import advance
from appliance.model import DhcpMode, Install
from tests.boots import LIVE, NOW, Boot

M1 = Boot(LIVE.hosts[1])
ACK = DhcpAcknowledged(M1.host, M1.mac, M1.address, Program.IPXE, "x64-uefi")
OFFER = DhcpOffered(M1.host, M1.mac, M1.address, Program.IPXE, "x64-uefi")
TAKEN = ClientUnproven(
    M1.host, M1.address, "/ipxe/…", "address-conflict", "it is 52:54:00:00:00:99", "52:54:00:00:00:99"
)
WITHOUT = ClientUnproven(M1.host, M1.address, "/ipxe/…", "no-dhcp", "no DHCP")


def rules(dhcp: DhcpMode = DhcpMode.FULL, install: Install = Install.ONCE) -> Rules:
    return Rules(install, True, lambda host, number: f"t{number}", dhcp)


def after(*events, installation: Installation | None = None, ruled: Rules | None = None) -> Installation:
    found = installation or begin(M1.host, ruled or rules())
    for number, event in enumerate(events):
        found = advance(found, Stamped(NOW + number, event), ruled or rules())
    return found


@pytest.mark.parametrize("program", Program)
def test_ack_of_our_server_is_remembered(program):
    assert after(replace(ACK, program=program)).has_dhcp


@pytest.mark.parametrize("event", [OFFER, replace(ACK, is_local=False)], ids=["offer", "ack from outside its segment"])
def test_less_than_an_ack_is_not(event):
    assert not after(event).has_dhcp


@pytest.mark.parametrize(
    "event", [OFFER, ACK, DhcpPassed(M1.host, M1.mac, M1.address, Program.IPXE)], ids=["offer", "boot server", "passed"]
)
def test_beside_another_server_any_answer_is_enough(event):
    assert after(event, ruled=rules(DhcpMode.PROXY)).has_dhcp


def test_new_try_needs_its_own_ack():
    known = after(ACK, *M1.get(WebKind.MENU), *M1.get(WebKind.SCRIPT), M1.started(WebKind.KERNEL))
    assert known.has_dhcp
    then = NOW - ABANDONED_SECONDS
    abandoned = replace(known, reached=dict.fromkeys(known.reached, then), window_opened_at=then)
    again = after(OFFER, installation=abandoned)
    assert (again.number, again.has_dhcp) == (2, False)
    assert after(ACK, installation=abandoned).has_dhcp  # it begins the new try and is its ack


def test_reinstall_needs_a_new_ack():
    assert not after(ACK, Ordered(M1.host, "reinstall")).has_dhcp


def test_script_that_begins_a_new_try_was_judged_by_the_old_one():
    done = after(*M1.live())
    again = after(M1.started(WebKind.SCRIPT), installation=done)
    assert (again.number, again.token, again.has_dhcp) == (done.number + 1, done.token, True)


@pytest.mark.parametrize("event", [TAKEN, WITHOUT], ids=["taken", "without DHCP"])
@pytest.mark.parametrize("stage", list(Stage))
def test_unproven_client_moves_nothing(event, stage):
    known = replace(after(ACK), stage=stage, window_opened_at=5.0, delivered_at=6.0)
    known = replace(known, order=order_of(known, Install.ONCE))
    moved = after(event, installation=known)
    assert replace(moved, complaint=None, repeats=known.repeats) == known


def test_another_machine_at_the_address_is_a_condition_that_names_it(live):
    live.happen(TAKEN)
    condition = live[M1].condition
    assert condition is not None
    assert (condition.name, condition.hint) == ("address-conflict", TAKEN.why)


def test_another_machine_that_goes_on_asking_changes_nothing_more():
    known = after(TAKEN)
    assert after(TAKEN, installation=known) is known


def test_request_without_dhcp_is_a_condition_once_it_is_repeated(live):
    live.happen([WITHOUT, WITHOUT])
    assert live[M1].condition is None
    live.happen(WITHOUT)
    assert live[M1].condition is not None
    assert live[M1].condition.name == "no-dhcp"


def test_condition_of_a_taken_address_ends_when_the_host_boots(live):
    live.happen([TAKEN, *M1.dhcp(Program.PXE)])
    assert live[M1].condition is None
