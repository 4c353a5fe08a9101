"""What is kept of unknown machines survives a restart, unless it is damaged."""

import pytest

from appliance.events import DhcpUnknown, Program
from appliance.install.strangers import Strangers
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
