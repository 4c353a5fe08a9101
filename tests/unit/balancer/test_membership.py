"""Who leaves a front end, and who does not."""

from dataclasses import replace

import pytest

from appliance.balancer.compile import all_front_ends
from appliance.balancer.membership import Admin, standings
from appliance.balancer.reports import Report
from appliance.install.installation import Condition, Installation, Stage
from appliance.model import Engine, HealthCheck, LoadBalancer, OwnFrontEnd, Probe, Role
from tests.balancers import API, BALANCED, MACHINE_CONFIG

FRONT_ENDS = all_front_ends([BALANCED])
HOST = {host.short_name: host.name for host in BALANCED.hosts}
UP = Report(True, True, "ready", 1.0, "passed: HTTP 200", 1, 0, 0)
DOWN = replace(UP, is_up=False, check="failed: connection refused")
UNCHECKED = replace(UP, is_checked=False, check="")
HELD = {"is_held": True}
REINSTALLED = {"reinstalled_at": 5.0, "number": 2}
COMPLETE = {"bootstrapped_at": 5.0, "bootstrapped_by": "checks"}


def judged(records, reports=None, front_ends=FRONT_ENDS):
    """Return (front end, short name) → admin, for *records* of hosts by short name, all of which answer by default."""
    installations = {name: Installation(name) for name in HOST.values()}
    installations |= {HOST[name]: Installation(HOST[name], **changes) for name, changes in records.items()}
    if reports is None:
        reports = dict.fromkeys(HOST, UP)
    heard = {(each.name, HOST[name]): report for each in front_ends for name, report in reports.items()}
    return {
        (front_end, host.partition(".")[0]): standing.admin
        for (front_end, host), standing in standings(front_ends, installations, heard).items()
    }


def of_api(records, reports=None):
    return {name: admin for (front_end, name), admin in judged(records, reports).items() if front_end == API}


def test_members_of_which_nothing_is_known_are_ready():
    assert judged({}, {}) == {}


def test_host_without_a_record_is_ready():
    assert standings(FRONT_ENDS, {}, {}) == {}


def test_bootstrap_is_out_of_both_front_ends_once_bootstrapping_is_complete():
    assert judged({"bs": COMPLETE}) == {(API, "bs"): Admin.MAINT, (MACHINE_CONFIG, "bs"): Admin.MAINT}


def test_bootstrap_leaves_front_ends_of_ones_own_too():
    own = OwnFrontEnd("ironic", 6385, (), (), (Role.BOOTSTRAP, Role.MASTER), 6385, HealthCheck(Probe.TCP))
    front_ends = all_front_ends([replace(BALANCED, load_balancer=LoadBalancer(Engine.HAPROXY, (own,)))])
    assert [member.name for member in front_ends[-1].members if member.is_backup] == ["bs"]
    assert judged({"bs": COMPLETE}, front_ends=front_ends)["ironic", "bs"] is Admin.MAINT


def test_machine_that_was_the_bootstrap_and_is_a_worker_now_is_a_member():
    assert judged({"w1": COMPLETE}) == {}


@pytest.mark.parametrize("order", ["drain", "maint"])
def test_order_of_the_operator_holds_in_every_front_end(order):
    found = judged({"w1": {"balancer": {"": order}}})
    assert found == {("ingress-443", "w1"): Admin(order), ("ingress-80", "w1"): Admin(order)}


def test_order_for_one_front_end_leaves_the_others():
    assert judged({"m1": {"balancer": {API: "maint"}}}) == {(API, "m1"): Admin.MAINT}


def test_order_for_one_front_end_wins_over_that_for_all():
    assert judged({"m1": {"balancer": {"": "maint", API: "ready"}}}) == {(MACHINE_CONFIG, "m1"): Admin.MAINT}


def test_order_of_the_operator_wins_over_complete_bootstrapping():
    assert of_api({"bs": {**COMPLETE, "balancer": {API: "drain"}}}) == {"bs": Admin.DRAIN}


def test_order_that_only_a_newer_version_knows_takes_nothing_out():
    assert judged({"m1": {"balancer": {"": "half"}}}) == {}


def test_orders_go_by_the_name_without_the_clusters():
    """They are kept while other clusters come and go in the same process."""
    other = replace(BALANCED, name="other", hosts=())
    found = judged({"m1": {"balancer": {API: "maint"}}}, front_ends=all_front_ends([BALANCED, other]))
    assert found == {(f"{BALANCED.name}-{API}", "m1"): Admin.MAINT}


@pytest.mark.parametrize("record", [HELD, REINSTALLED], ids=["hold", "reinstall"])
def test_host_that_is_to_be_wiped_is_drained(record):
    assert of_api({"m1": record}) == {"m1": Admin.DRAIN}


@pytest.mark.parametrize("done", [{"is_settled": True, "stage": Stage.IGNITION}, {"stage": Stage.BOOTED}], ids=str)
def test_host_whose_disk_was_written_anew_is_up_to_its_health_checks(done):
    assert of_api({"m1": {**REINSTALLED, **done}}) == {}


def test_host_in_doubt_is_up_to_its_health_checks():
    assert judged({"m1": {"doubt": Condition("state-lost", "", 1.0)}}) == {}


@pytest.mark.parametrize("record", [HELD, REINSTALLED], ids=["hold", "reinstall"])
@pytest.mark.parametrize("other", [DOWN, UNCHECKED, None], ids=["down", "unchecked", "unheard"])
def test_last_member_that_answers_stays(record, other):
    reports = {"m1": UP} | ({"m2": other, "m3": other, "bs": other} if other else {})
    assert of_api({"m1": record}, reports) == {}


def test_one_of_the_members_that_are_all_to_be_wiped_stays():
    found = of_api(dict.fromkeys(("bs", "m1", "m2", "m3"), REINSTALLED))
    assert found == dict.fromkeys(("bs", "m1", "m2"), Admin.DRAIN)


def test_when_the_member_that_stayed_is_gone_another_one_takes_its_place():
    records = dict.fromkeys(("bs", "m1", "m2", "m3"), REINSTALLED)
    assert "m2" not in of_api(records, {"m1": UP, "m2": UP, "m3": DOWN})


def test_members_that_are_all_to_be_wiped_stay_while_nothing_is_heard():
    assert of_api(dict.fromkeys(("bs", "m1", "m2", "m3"), REINSTALLED), {}) == {}


def test_member_that_is_out_anyway_does_not_count_as_one_that_answers():
    assert of_api({"m1": HELD, "bs": COMPLETE, "m2": {"balancer": {"": "drain"}}, "m3": {}}, {"m1": UP, "m2": UP}) == {
        "bs": Admin.MAINT,
        "m2": Admin.DRAIN,
    }


def test_operator_may_take_the_last_member_out():
    assert of_api({"m1": {"balancer": {"": "drain"}}}, {"m1": UP}) == {"m1": Admin.DRAIN}


def test_hosts_of_another_cluster_stay_as_they_are():
    renamed = [replace(host, name=host.name.replace("ocp45", "other")) for host in BALANCED.hosts]
    both = all_front_ends([BALANCED, replace(BALANCED, name="other", hosts=tuple(renamed))])
    found = judged({"m1": HELD}, front_ends=both)
    assert {front_end for front_end, _ in found} == {f"{BALANCED.name}-{API}", f"{BALANCED.name}-{MACHINE_CONFIG}"}
