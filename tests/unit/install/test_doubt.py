"""A host in doubt waits in iPXE until the operator adopts or reinstalls it."""

from dataclasses import replace

import pytest

from appliance.errors import ControlError
from appliance.events import ConditionRaised, Ordered, Program, Stamped
from appliance.install.guard import Client, ignition_verdict
from appliance.install.installation import Condition, Order, Rules, Stage, begin, order_of
from appliance.install.lifecycle import advance
from appliance.model import Install
from appliance.state.encoding import decoded, encoded
from tests.boots import LIVE, NOW, Boot, Fleet

DOUBT = Condition("state-lost", "Its record was lost.", NOW)


def in_doubt(fleet, index=1):
    boot = fleet.boot(index)
    before = replace(fleet[boot], doubt=DOUBT, order=Order.HOLD)
    fleet.registry.installations[boot.host] = before
    return boot


@pytest.mark.parametrize(
    ("install", "order"), [(Install.ONCE, Order.HOLD), (Install.ALWAYS, Order.HOLD), (Install.NEVER, Order.LOCAL)]
)
def test_host_in_doubt_installs_under_no_setting(install, order):
    rules = Rules(install, True, lambda host, number: "t")
    assert order_of(replace(begin("m1", rules), doubt=DOUBT), install) is order


def test_doubt_survives_the_encoding():
    installation = replace(begin("m1", Rules(Install.ONCE, True, lambda host, number: "t")), doubt=DOUBT)
    assert decoded(encoded(installation)).doubt == DOUBT


def test_doubt_is_shown_as_the_condition(live):
    m1 = in_doubt(live)
    live.happen(m1.dhcp(Program.PXE))
    assert [(event.name, event.hint) for event in live.of(ConditionRaised)] == [(DOUBT.name, DOUBT.hint)]


def test_doubt_is_reported_once_however_it_is_noticed(live):
    m1 = in_doubt(live)
    for _ in range(2):
        live.registry.tell_silences(live.clock.now)
        live.happen(m1.dhcp(Program.PXE))
    live.registry.tell_silences(live.clock.now)
    assert [event.name for event in live.of(ConditionRaised)] == [DOUBT.name]


def test_doubt_that_comes_back_is_reported_again(live):
    m1 = in_doubt(live)
    live.happen(m1.dhcp(Program.PXE))
    live.happen(Ordered(m1.host, "adopt"))
    in_doubt(live)
    live.registry.tell_silences(live.clock.now)
    assert [event.name for event in live.of(ConditionRaised)] == [DOUBT.name] * 2


def test_adopted_host_counts_as_installed_and_boots_its_disk(live):
    m1 = in_doubt(live)
    live.registry.order(live.registry.hosts[m1.host], "adopt")
    assert (live[m1].stage, live[m1].order, live[m1].doubt) == (Stage.INSTALLED, Order.LOCAL, None)


def test_reinstall_settles_a_doubt(live):
    m1 = in_doubt(live)
    live.happen(Ordered(m1.host, "reinstall"))
    assert (live[m1].doubt, live[m1].order) == (None, Order.INSTALL)


def test_release_names_what_settles_a_doubt(live):
    m1 = in_doubt(live)
    with pytest.raises(ControlError, match=r"adopt m1.*reinstall m1"):
        live.registry.order(live.registry.hosts[m1.host], "release")
    assert live[m1].order is Order.HOLD


def test_host_that_installs_always_cannot_be_adopted(tmp_path):
    hosts = tuple(replace(host, install=Install.ALWAYS) for host in LIVE.hosts)
    fleet = Fleet(tmp_path, replace(LIVE, hosts=hosts))
    with pytest.raises(ControlError, match="install: always"):
        fleet.registry.order(fleet.registry.hosts[fleet.boot(1).host], "adopt")
    fleet.journal.close()


def test_guard_puts_off_the_ignition_of_a_host_in_doubt(live):
    m1 = in_doubt(live)
    host = live.registry.hosts[m1.host]
    client = Client(frozenset(), None, needs_dhcp=False)
    verdict = ignition_verdict(
        host, live[m1], host.role.ignition, live[m1].token, client, expires_at=None, now=NOW, serve_expired=False
    )
    assert (verdict.status, "state-lost" in verdict.why) == (503, True)


@pytest.mark.parametrize("index", [0, 1])
def test_dhcp_message_from_outside_its_segment_is_no_evidence(live, index):
    m1 = live.boot(1)
    event = replace(m1.dhcp(Program.PXE)[index], is_local=False)
    before = live[m1]
    live.happen(event)
    assert live[m1] is before


def test_remote_dhcp_message_is_marked_in_the_log_and_a_local_one_is_not():
    event = Boot(LIVE.hosts[1]).dhcp(Program.PXE)[0]
    assert "is_local" not in event.line()
    assert "is_local=False" in replace(event, is_local=False).line()


def test_advance_keeps_a_doubt_through_a_reset():
    rules = Rules(Install.ALWAYS, True, lambda host, number: f"t{number}")
    installation = replace(begin("m1", rules), stage=Stage.INSTALLED, doubt=DOUBT)
    event = Boot(LIVE.hosts[1]).dhcp(Program.PXE)[0]
    after = advance(installation, Stamped(NOW, event), rules)
    assert (after.number, after.doubt) == (2, DOUBT)


@pytest.mark.parametrize(("name", "order"), [("clock-unclear", Order.LOCAL), ("state-lost", Order.HOLD)])
def test_time_to_write_the_disk_settles_a_doubt_about_the_clock_alone(live, name, order):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.registry.installations[m1.host] = replace(live[m1], doubt=replace(DOUBT, name=name), order=Order.HOLD)
    live.wait(30)
    assert (live[m1].is_settled, live[m1].order) == (True, order)


def test_host_that_comes_back_while_the_clock_is_unclear_waits_for_the_operator(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    doubt = replace(DOUBT, name="clock-unclear")
    live.registry.installations[m1.host] = replace(live[m1], doubt=doubt, order=Order.HOLD)
    live.happen([*m1.dhcp(Program.PXE), *m1.loader()])
    live.wait(3600)
    assert (live[m1].doubt, live[m1].order) == (doubt, Order.HOLD)
