"""The stand-in for the machine config server, for which workers wait."""

import socket
from ipaddress import IPv4Address

import pytest

from appliance.errors import SimulationError
from appliance.simulate.rehearsal import MACHINE_CONFIG_PORT, MachineConfigStandIn

ADDRESS = IPv4Address("127.16.77.1")


def answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((str(ADDRESS), MACHINE_CONFIG_PORT)) == 0


async def test_the_port_opens_with_the_last_master_and_closes_at_the_end() -> None:
    stand_in = MachineConfigStandIn([ADDRESS], frozenset({"m1", "m2"}))
    stand_in.master_is_up("m1")
    stand_in.master_is_up("w1")
    assert not answers()
    stand_in.master_is_up("m2")
    assert answers()
    await stand_in.close()
    assert not answers()


async def test_a_port_that_another_demo_has_is_an_error_of_the_simulation() -> None:
    with socket.create_server((str(ADDRESS), MACHINE_CONFIG_PORT)):
        stand_in = MachineConfigStandIn([ADDRESS], frozenset({"m1"}))
        with pytest.raises(SimulationError, match="another demo"):
            stand_in.master_is_up("m1")
        await stand_in.close()
