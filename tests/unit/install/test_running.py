"""What shows that a host without a history runs a system already, and what a forged datagram can do at most."""

from dataclasses import replace

import pytest

from appliance.events import DoubtLapsed, Ordered, Program, Transport, WebKind
from appliance.install.installation import (
    LAPSE_SECONDS,
    LOOK_SECONDS,
    MAY_BE_RUNNING,
    SIGN_SECONDS,
    Condition,
    Installation,
    Order,
    Stage,
)
from appliance.model import Install
from appliance.registry import Registry
from appliance.state.encoding import decoded, encoded
from tests.boots import LIVE, NOW, Fleet

EARLY = {
    "waiting": lambda m1: [],
    "firmware": lambda m1: m1.dhcp(Program.PXE),
    "loader": lambda m1: [*m1.dhcp(Program.PXE), *m1.loader()],
    "bootloader": lambda m1: [*m1.dhcp(Program.PXE), *m1.loader(), *m1.dhcp(Program.IPXE)],
}
early = pytest.mark.parametrize("before", EARLY.values(), ids=EARLY)
PROOFS = {
    "tcp": lambda m1: m1.api_int(Transport.TCP),
    "machine config server": lambda m1: m1.reached(22623),
    "api": lambda m1: m1.reached(6443),
    "own look": lambda m1: m1.answered(),
}
proven = pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)


def suspected(fleet: Fleet, index: int = 1):
    boot = fleet.boot(index)
    fleet.happen(boot.api_int())
    return boot


def doubt_of(installation: Installation) -> str | None:
    return installation.doubt.name if installation.doubt else None


def with_install(install):
    return replace(LIVE, hosts=tuple(replace(host, install=install) for host in LIVE.hosts))


@early
def test_datagram_makes_a_host_without_a_history_wait_and_moves_no_stage(live, before):
    m1 = live.boot(1)
    live.happen(before(m1))
    stage = live[m1].stage
    live.happen(m1.api_int())
    assert (live[m1].stage, live[m1].order, doubt_of(live[m1])) == (stage, Order.HOLD, MAY_BE_RUNNING)


def test_lease_of_a_system_and_a_datagram_prove_nothing_of_a_waiting_host(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.OS), m1.api_int()])
    assert (live[m1].stage, live[m1].order) == (Stage.WAITING, Order.HOLD)


@early
@proven
def test_proof_counts_a_host_without_a_history_as_installed(live, before, proof):
    m1 = live.boot(1)
    live.happen([*before(m1), proof(m1)])
    assert (live[m1].stage, live[m1].order) == (Stage.JOINING, Order.LOCAL)


@proven
def test_proof_settles_the_doubt(live, proof):
    m1 = suspected(live)
    live.happen(proof(m1))
    assert (live[m1].doubt, live[m1].asked_at, live[m1].order) == (None, None, Order.LOCAL)


@proven
def test_proof_settles_the_doubt_of_a_lost_record(live, proof):
    m1 = live.boot(1)
    lost = replace(live[m1], doubt=Condition("state-lost", "", NOW), order=Order.HOLD, number=7)
    live.registry.installations[m1.host] = lost
    live.happen(proof(m1))
    assert (live[m1].doubt, live[m1].order) == (None, Order.LOCAL)


def test_datagram_does_not_touch_the_doubt_of_a_lost_record(live):
    m1 = live.boot(1)
    lost = replace(live[m1], doubt=Condition("state-lost", "", NOW), order=Order.HOLD)
    live.registry.installations[m1.host] = lost
    live.happen(m1.api_int())
    assert live[m1] is lost


@proven
@pytest.mark.parametrize("steps", [lambda m1: m1.to_script(), lambda m1: m1.live()], ids=["script", "ignition"])
def test_machine_that_installs_runs_no_node_whatever_answers(live, proof, steps):
    """The live installer listens on port 22 too."""
    m1 = live.boot(1)
    live.happen(steps(m1))
    before = live[m1]
    live.happen([proof(m1), m1.api_int()])
    assert live[m1] is before


def test_doubt_ends_a_quarter_of_an_hour_after_the_last_query_if_nobody_was_there(live):
    m1 = suspected(live)
    live.happen(m1.unanswered())
    live.wait(LAPSE_SECONDS - 2)
    assert live[m1].order is Order.HOLD
    live.wait(1)
    assert (live[m1].order, live[m1].doubt, live[m1].condition) == (Order.INSTALL, None, None)


def test_doubt_of_a_host_whose_try_ends_meanwhile_still_ends(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), m1.api_int(), m1.unanswered(), *m1.get(WebKind.KERNEL), *m1.dhcp(Program.PXE)])
    live.wait(60)
    live.happen(m1.loader())
    live.wait(LAPSE_SECONDS)
    assert (live[m1].number, live[m1].doubt, live[m1].order) == (2, None, Order.INSTALL)


def test_doubt_stays_where_nobody_has_looked(live):
    """A node that restarts and waits in iPXE sends no queries either."""
    m1 = suspected(live)
    live.wait(30 * LAPSE_SECONDS)
    assert live[m1].order is Order.HOLD


def test_look_long_after_the_query_does_not_let_the_doubt_end(live):
    m1 = suspected(live)
    live.happen(m1.unanswered(), LOOK_SECONDS + 1)
    live.wait(30 * LAPSE_SECONDS)
    assert live[m1].order is Order.HOLD


def test_second_look_after_the_same_query_changes_nothing(live):
    m1 = suspected(live)
    live.happen(m1.unanswered())
    before = live[m1]
    live.happen(m1.unanswered())
    assert live[m1] is before


def test_another_query_prolongs_the_doubt_until_somebody_looked_again(live):
    m1 = suspected(live)
    live.happen(m1.unanswered())
    live.happen(m1.api_int(), SIGN_SECONDS)
    live.wait(30 * LAPSE_SECONDS)
    assert live[m1].order is Order.HOLD
    live.happen([m1.api_int(), m1.unanswered()])
    live.wait(LAPSE_SECONDS)
    assert live[m1].order is Order.INSTALL


def test_queries_of_one_minute_are_one_sign(live):
    m1 = suspected(live)
    before = live[m1]
    live.happen([m1.api_int()] * 50)
    assert live[m1] is before


def test_lapse_before_its_time_ends_no_doubt(live):
    m1 = suspected(live)
    live.happen([m1.unanswered(), DoubtLapsed(m1.host, 1)])
    assert live[m1].order is Order.HOLD


def test_doubt_outlives_a_restart_and_still_ends(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    m1 = suspected(fleet)
    fleet.happen(m1.unanswered())
    fleet.registry = Registry(fleet.journal, [LIVE], fleet.publish)
    fleet.bus.first = fleet.registry.listen
    assert doubt_of(fleet[m1]) == MAY_BE_RUNNING
    fleet.wait(LAPSE_SECONDS)
    assert fleet[m1].order is Order.INSTALL
    fleet.journal.close()


def test_what_the_doubt_waits_for_survives_the_encoding(live):
    m1 = suspected(live)
    live.happen(m1.unanswered())
    assert decoded(encoded(live[m1])) == live[m1]


@pytest.mark.parametrize(("order", "then"), [("adopt", Order.LOCAL), ("reinstall", Order.INSTALL)])
def test_operator_settles_the_doubt(live, order, then):
    m1 = suspected(live)
    live.happen(Ordered(m1.host, order))
    assert (live[m1].order, live[m1].doubt, live[m1].asked_at) == (then, None, None)


def test_condition_names_both_commands_that_settle_the_doubt(live):
    m1 = suspected(live)
    assert live[m1].condition.name == MAY_BE_RUNNING
    assert f"adopt {m1.host}" in live[m1].condition.hint
    assert f"reinstall {m1.host}" in live[m1].condition.hint


def test_old_system_raises_no_doubt_about_an_ordered_reinstallation(live):
    m1 = live.boot(1)
    live.happen([Ordered(m1.host, "reinstall"), m1.api_int(), m1.api_int(Transport.TCP), m1.answered()])
    assert (live[m1].stage, live[m1].order, live[m1].doubt) == (Stage.WAITING, Order.INSTALL, None)


def test_host_that_always_installs_is_not_held_by_a_datagram(tmp_path):
    fleet = Fleet(tmp_path, with_install(Install.ALWAYS))
    m1 = suspected(fleet)
    assert (fleet[m1].order, fleet[m1].doubt) == (Order.INSTALL, None)
    fleet.journal.close()


@pytest.mark.parametrize("install", [Install.ONCE, Install.NEVER])
def test_datagram_does_not_hide_a_machine_that_does_not_boot(tmp_path, install):
    fleet = Fleet(tmp_path, with_install(install))
    m1 = fleet.boot(1)
    fleet.happen(Ordered(m1.host, "adopt"))
    for _ in range(10):
        fleet.happen([m1.dhcp(Program.PXE)[0], m1.api_int()], 60)
    assert fleet[m1].condition is not None
    assert fleet[m1].condition.name == "not-booting"
    fleet.journal.close()


@proven
def test_proof_ends_the_complaint_about_a_machine_that_does_not_boot(live, proof):
    m1 = live.boot(1)
    live.happen(Ordered(m1.host, "adopt"))
    live.happen([m1.dhcp(Program.PXE)[0]] * 10, 60)
    live.happen(proof(m1))
    assert (live[m1].condition, live[m1].stage >= Stage.BOOTED) == (None, True)


def test_system_with_a_static_address_reaches_the_last_stage_by_a_datagram(live):
    """Nothing depends on it any more: the host boots its disk since the time to write passed."""
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    order = live[m1].order
    live.happen([*m1.dhcp(Program.PXE), m1.api_int()])
    assert (live[m1].stage, live[m1].order) == (Stage.JOINING, order)


def test_seven_datagrams_hold_a_cluster_no_longer_than_the_attack_lasts(live):
    boots = [live.boot(index) for index in range(len(LIVE.hosts))]
    for boot in boots:
        live.happen([boot.api_int(), boot.unanswered()], 0.1)
    live.wait(LAPSE_SECONDS + 1)
    for boot in boots:
        live.happen([*boot.to_script(), *boot.get(WebKind.KERNEL)])
        assert live[boot].stage is Stage.KERNEL
