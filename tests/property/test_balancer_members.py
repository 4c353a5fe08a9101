"""For any events in any order: a member leaves by an order, or as the bootstrap once that is done with."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance import model
from appliance.balancer.compile import all_front_ends
from appliance.balancer.membership import Admin, standings
from appliance.balancer.reports import Report
from appliance.events import (
    BalancerOrdered,
    BalancerReached,
    BootstrapCompleted,
    MemberAnswers,
    MemberFails,
    MemberMoved,
    Ordered,
    Stamped,
)
from appliance.install.installation import Installation, Rules, begin
from appliance.install.instants import after_reboot, shifted
from appliance.install.lifecycle import advance
from appliance.install.owners import doubted
from appliance.model import Install
from tests.balancers import API, BALANCED
from tests.boots import NOW
from tests.property.test_lifecycle_stages import M1, WALKS, rules, walked

FRONT_ENDS = all_front_ends([BALANCED])
HOSTS = [host.name for host in BALANCED.hosts]
BS = HOSTS[0]
UP = Report(True, True, "ready", 1.0, "passed", 1, 0, 0)
REPORTS = st.sampled_from([UP, replace(UP, is_up=False), replace(UP, is_checked=False), None])
HEARD = st.dictionaries(
    st.sampled_from([(each.name, member.host) for each in FRONT_ENDS for member in each.members]), REPORTS
).map(lambda heard: {key: report for key, report in heard.items() if report is not None})
# What may come of a host without an order of the operator about it.
OTHERS = [
    BalancerReached(M1.host, M1.address, API, 6443, "m2"),
    MemberMoved(M1.host, API, "drain", ""),
    MemberAnswers(M1.host, API),
    MemberFails(M1.host, API, "connection refused"),
]
ORDERS = [
    *[Ordered(M1.host, what) for what in ("reinstall", "hold", "release", "adopt")],
    *[BalancerOrdered(M1.host, what, where) for what in ("ready", "drain", "maint") for where in ("", API, "gone")],
    BootstrapCompleted(M1.host, "checks", "because"),
]
LEAVING = st.sampled_from(
    [
        {},
        {"is_held": True},
        {"reinstalled_at": 1.0},
        {"is_held": True, "reinstalled_at": 1.0},
        {"reinstalled_at": 1.0, "is_settled": True},
    ]
)


@given(WALKS, st.lists(st.sampled_from(OTHERS), max_size=3), st.sampled_from(Install), HEARD, st.booleans())
def test_member_without_an_order_is_ready_whatever_happens(walk, others, install, heard, is_lost):
    ruled = rules(install, (True, model.Boot.INSTALLER))
    is_order = {"reinstall", "hold"}
    steps = [step for step in [*walk, *others] if not (isinstance(step, Ordered) and step.order in is_order)]
    records = [begin(M1.host, ruled), *(after for _, _, after in walked(steps, ruled))]
    for record in records:
        for kept in (record, doubted(record, NOW) if is_lost else shifted(record, -5.0)):
            again = after_reboot(kept, NOW, 5.0, install)
            assert standings(FRONT_ENDS, {M1.host: again}, heard) == {}


@given(st.lists(st.sampled_from(ORDERS), max_size=8), st.sampled_from(Install), st.sampled_from(model.Boot))
def test_orders_have_the_same_effect_at_every_moment_and_can_be_taken_back(orders, install, boot):
    ruled = Rules(install, True, lambda host, number: f"{host}-{number}", boot=boot)
    record = begin(M1.host, ruled)
    taken_back = [Ordered(M1.host, "release"), Ordered(M1.host, "adopt"), BalancerOrdered(M1.host, "ready")]
    for at, event in enumerate([*orders, *taken_back]):
        record = advance(record, Stamped(NOW + at, event), ruled)
    assert set(record.balancer.values()) <= {"ready"}
    assert record.bootstrapped_at is None
    assert standings(FRONT_ENDS, {M1.host: record}, {}) == {}


@given(st.fixed_dictionaries(dict.fromkeys(HOSTS, LEAVING)), HEARD)
def test_last_member_that_answers_is_never_drained_by_hold_or_reinstall(changes, heard):
    records = {name: Installation(name, **changed) for name, changed in changes.items()}
    found = standings(FRONT_ENDS, records, heard)
    for front_end in FRONT_ENDS:
        answering = {
            member.host
            for member in front_end.members
            if (report := heard.get((front_end.name, member.host))) and report.is_up and report.is_checked
        }
        drained = {host for name, host in found if name == front_end.name}
        assert not answering or answering - drained
        # And what is not known may be an answer.
        if not answering:
            unknown = {
                member.host
                for member in front_end.members
                if (report := heard.get((front_end.name, member.host))) is None or not report.is_checked
            }
            assert not unknown & drained


@given(st.fixed_dictionaries(dict.fromkeys(HOSTS, LEAVING)), HEARD)
def test_bootstrap_that_is_done_with_is_out_and_stays_out(changes, heard):
    records = {name: Installation(name, **changed) for name, changed in changes.items()}
    records[BS] = replace(records[BS], bootstrapped_at=1.0)
    found = standings(FRONT_ENDS, records, heard)
    own = [(each.name, BS) for each in FRONT_ENDS if any(member.host == BS for member in each.members)]
    assert [found[key].admin for key in own] == [Admin.MAINT] * 2
