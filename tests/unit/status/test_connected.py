"""When a host first connected through the load balancer, in its row of the status."""

import pytest

from appliance.events import Program
from appliance.status.view import row
from tests.boots import LIVE, Fleet


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    yield fleet
    fleet.journal.close()


def connected(fleet):
    return row(fleet.registry, LIVE.hosts[1])["connected"]


def installed(fleet):
    m1 = fleet.boot(1)
    fleet.happen(m1.live())
    fleet.wait(60)
    fleet.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS)])
    return m1


def test_host_that_never_connected_has_no_times(fleet):
    installed(fleet)
    assert connected(fleet) == {}


def test_first_connections_to_the_machine_config_server_and_to_the_api_have_their_times(fleet):
    m1 = installed(fleet)
    fleet.happen(m1.reached(22623))
    asked_at = fleet.clock.now
    fleet.happen(m1.reached(6443))
    assert connected(fleet) == {"machine-config": asked_at, "api": asked_at + 1}


def test_later_connections_do_not_move_the_time_of_the_first(fleet):
    m1 = installed(fleet)
    fleet.happen(m1.reached(6443))
    asked_at = fleet.clock.now
    fleet.happen([m1.reached(6443)] * 3)
    assert connected(fleet) == {"api": asked_at}


def test_machine_that_installs_again_has_not_connected_yet(fleet):
    m1 = installed(fleet)
    fleet.happen([m1.reached(22623), m1.reached(6443)])
    fleet.happen(m1.live())
    assert connected(fleet) == {}


def test_times_move_with_the_clock_when_it_is_set(fleet):
    m1 = installed(fleet)
    fleet.happen(m1.reached(6443))
    before = connected(fleet)["api"]
    fleet.registry.activity[m1.host].shift(3600)
    assert connected(fleet) == {"api": before + 3600}
