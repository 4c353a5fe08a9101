"""When bootstrapping is complete, by the health checks."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.balancer.bootstrapping import GAP_SECONDS, HOLD_SECONDS, Bootstrapping
from appliance.balancer.compile import all_front_ends
from appliance.balancer.reports import Report
from appliance.install.installation import Installation, Stage
from appliance.model import Member, Role
from tests.balancers import API, BALANCED, MACHINE_CONFIG

FRONT_ENDS = all_front_ends([BALANCED])
HOST = {host.short_name: host.name for host in BALANCED.hosts}
MASTERS = ("m1", "m2", "m3")
UP = Report(True, True, "ready", 1.0, "passed: HTTP 200", 1, 0, 0)
DOWN = replace(UP, is_up=False)
HAS_RUN = {"stage": Stage.BOOTED}


def heard(machine_config=MASTERS, **changes):
    """Return reports of masters that answer, and on 22623 those in *machine_config*; *changes* of the API's members."""
    return {
        **{(API, HOST[name]): changes.get(name, UP) for name in MASTERS},
        **{(MACHINE_CONFIG, HOST[name]): UP for name in machine_config},
        **{(API, HOST[name]): report for name, report in changes.items()},
    }


class Watched:
    """A cluster whose bootstrap machine was installed, unless a test says otherwise."""

    def __init__(self, front_ends=FRONT_ENDS, **records):
        self.records = {name: Installation(name) for name in HOST.values()}
        for name, changes in ({"bs": HAS_RUN} | records).items():
            self.records[HOST[name]] = Installation(HOST[name], **changes)
        self.front_ends = front_ends
        self.bootstrapping = Bootstrapping(self.records)
        self.now = 1000.0

    def see(self, seconds, reports=None, step=1.0):
        """Observe the same *reports* for *seconds*; return the hosts whose bootstrapping is complete by that."""
        found = []
        for _ in range(int(seconds / step)):
            found += self.bootstrapping.observe(self.front_ends, heard() if reports is None else reports, self.now)
            self.now += step
        return [(event.host, event.by) for event in found]


COMPLETE = [(HOST["bs"], "checks")]


def test_it_is_complete_when_all_masters_have_answered_for_a_minute():
    watched = Watched()
    assert watched.see(HOLD_SECONDS) == []
    assert watched.see(1) == COMPLETE


def test_one_machine_config_server_of_a_master_is_enough():
    assert Watched().see(HOLD_SECONDS + 1, heard(machine_config=["m2"])) == COMPLETE


@pytest.mark.parametrize(
    "reports",
    [
        {},
        heard(m3=DOWN),
        heard(m3=replace(UP, is_checked=False)),
        {key: report for key, report in heard().items() if key != (API, HOST["m1"])},
        heard(machine_config=[]),
        heard(machine_config=["bs"]),
    ],
    ids=["nothing", "down", "unchecked", "unheard", "no 22623", "22623 of the bootstrap"],
)
def test_it_is_not_complete_before_that(reports):
    assert Watched().see(5 * HOLD_SECONDS, reports) == []


OWN = replace(
    FRONT_ENDS[0],
    name="own",
    service="own",
    members=(
        *FRONT_ENDS[0].members,
        *(Member(HOST[name], name, IPv4Address("192.0.2.9")) for name in ("w1", "w2")),
    ),
)


def test_other_front_ends_with_the_same_machines_and_port_do_not_matter():
    assert Watched((*FRONT_ENDS, OWN)).see(HOLD_SECONDS + 1) == COMPLETE


def test_check_of_another_front_end_does_not_show_that_the_bootstrap_machine_has_run():
    alone = replace(OWN, port=6385, members=tuple(member for member in OWN.members if member.is_backup))
    reports = heard() | {(OWN.name, HOST["bs"]): UP}
    assert Watched((*FRONT_ENDS, alone), bs={}).see(5 * HOLD_SECONDS, reports) == []


def test_a_break_begins_the_minute_anew():
    watched = Watched()
    watched.see(HOLD_SECONDS - 1)
    watched.see(1, heard(m2=DOWN))
    assert watched.see(HOLD_SECONDS) == []


def test_a_time_without_reports_begins_the_minute_anew():
    watched = Watched()
    watched.see(HOLD_SECONDS - 1)
    watched.now += GAP_SECONDS + 1
    assert watched.see(HOLD_SECONDS) == []


def test_a_restart_of_the_appliance_begins_the_minute_anew():
    watched = Watched()
    watched.see(HOLD_SECONDS - 1)
    watched.bootstrapping = Bootstrapping(watched.records)
    assert watched.see(HOLD_SECONDS) == []


def test_it_is_told_once():
    watched = Watched()
    assert watched.see(HOLD_SECONDS + 1) == COMPLETE
    watched.records[HOST["bs"]] = replace(watched.records[HOST["bs"]], bootstrapped_at=5.0)
    assert watched.see(5 * HOLD_SECONDS) == []


def test_cluster_without_a_bootstrap_machine_has_no_bootstrapping():
    hosts = tuple(host for host in BALANCED.hosts if host.role is not Role.BOOTSTRAP)
    assert Watched(all_front_ends([replace(BALANCED, hosts=hosts)])).see(5 * HOLD_SECONDS) == []


def test_cluster_without_masters_has_none():
    hosts = tuple(host for host in BALANCED.hosts if host.role is not Role.MASTER)
    assert Watched(all_front_ends([replace(BALANCED, hosts=hosts)])).see(5 * HOLD_SECONDS) == []


def test_master_that_was_added_has_to_answer_too():
    watched = Watched()
    watched.see(HOLD_SECONDS - 1)
    m4 = replace(BALANCED.hosts[1], name="m4.ocp45.example.localdomain")
    watched.front_ends = all_front_ends([replace(BALANCED, hosts=(*BALANCED.hosts, m4))])
    assert watched.see(5 * HOLD_SECONDS) == []


# Masters of an earlier cluster


def test_masters_that_answer_before_the_bootstrap_has_run_are_of_an_earlier_cluster():
    assert Watched(bs={"stage": Stage.IMAGE}).see(5 * HOLD_SECONDS) == []


def test_bootstrap_that_passed_a_check_has_run_whatever_its_record_says():
    watched = Watched(bs={})
    watched.see(1, heard(bs=UP))
    assert watched.see(HOLD_SECONDS) == COMPLETE


def test_check_that_it_passed_before_it_began_again_shows_nothing():
    watched = Watched(bs={})
    watched.see(1, heard(bs=UP))
    watched.records[HOST["bs"]] = Installation(HOST["bs"], number=2)
    assert watched.see(5 * HOLD_SECONDS) == []


def test_old_system_of_a_bootstrap_that_is_to_be_reinstalled_shows_nothing():
    assert Watched(bs={"reinstalled_at": 5.0}).see(5 * HOLD_SECONDS, heard(bs=UP)) == []


def test_masters_that_still_run_do_not_complete_the_bootstrapping_after_a_reinstall():
    assert Watched(bs={**HAS_RUN, "reinstalled_at": 5.0}).see(5 * HOLD_SECONDS) == []


def test_masters_that_were_installed_before_the_bootstraps_reinstall_do_not_complete_it():
    masters = {name: {"reached": {Stage.IGNITION: 4.0}, "stage": Stage.BOOTED} for name in MASTERS}
    assert Watched(bs={**HAS_RUN, "reinstalled_at": 5.0}, **masters).see(5 * HOLD_SECONDS) == []


def test_minute_begins_anew_for_a_bootstrap_that_was_no_member_meanwhile():
    watched = Watched()
    watched.see(HOLD_SECONDS - 5)
    front_ends, watched.front_ends = watched.front_ends, ()
    watched.see(HOLD_SECONDS)
    watched.front_ends = front_ends
    assert watched.see(HOLD_SECONDS) == []


def test_masters_that_were_installed_after_the_bootstraps_reinstall_complete_it():
    masters = {name: {"reached": {Stage.IGNITION: 6.0}, "stage": Stage.BOOTED} for name in MASTERS}
    assert Watched(bs={**HAS_RUN, "reinstalled_at": 5.0}, **masters).see(HOLD_SECONDS + 1) == COMPLETE


def test_master_that_is_to_be_reinstalled_is_of_an_earlier_cluster():
    assert Watched(m2={"reinstalled_at": 5.0}).see(5 * HOLD_SECONDS) == []


def test_bootstrap_that_the_operator_took_back_stays():
    assert Watched(bs={**HAS_RUN, "balancer": {"": "ready"}}).see(5 * HOLD_SECONDS) == []
