"""What is kept of unknown machines survives a restart, unless it is damaged."""

import pytest

from appliance.events import DhcpUnknown, Program
from appliance.install.strangers import MAX_STRANGERS, Strangers
from tests.boots import NOW

MAC = "52:54:00:00:00:01"


def kept():
    strangers = Strangers()
    strangers.see(DhcpUnknown("", MAC, Program.PXE, interface="eth0"), NOW)
    ((_, _, facts),) = strangers.rows()
    return facts


def test_machine_is_known_after_a_restart():
    assert [stranger.mac for stranger in Strangers([kept()]).latest()] == [MAC]


@pytest.mark.parametrize("damage", [{"mac": [MAC]}, {"last_at": "x"}, {"times": None}, {"arch": {}}])
def test_machine_with_a_damaged_fact_is_dropped(damage):
    assert Strangers([kept() | damage]).latest() == []


def test_flood_of_machines_that_ask_once_drops_none_that_asked_twice():
    strangers = Strangers()
    for _ in range(2):
        strangers.see(DhcpUnknown("", MAC, Program.PXE), NOW)
    for number in range(2 * MAX_STRANGERS):
        strangers.see(DhcpUnknown("", f"02:00:{number:08x}", Program.PXE), NOW + number)
    assert len(strangers) == MAX_STRANGERS
    assert strangers.latest()[-1].mac == MAC


def test_machines_that_asked_twice_are_bounded_too():
    strangers = Strangers()
    for number in range(2 * MAX_STRANGERS):
        for _ in range(2):
            strangers.see(DhcpUnknown("", f"02:00:{number:08x}", Program.PXE), NOW + number)
    assert len(strangers) == MAX_STRANGERS
