"""The load balancer as JSON."""

from dataclasses import replace

import pytest

from appliance.balancer.membership import Admin
from appliance.events import MemberMoved
from appliance.model import Engine, HealthCheck, LoadBalancer, OwnFrontEnd, Probe, Role
from appliance.status.balancer import balancer_status
from appliance.status.balancer_words import balancer_words
from tests.balancers import API, BALANCED, MACHINE_CONFIG, PASSED, REFUSED, Heard


def row(heard: Heard, front_end: str, name: str):
    rows = balancer_status(heard)["rows"]
    return next(row for row in rows if (row["front_end"], row["name"]) == (front_end, name))


def test_rows_are_the_members_of_each_front_end_in_order():
    rows = balancer_status(Heard())["rows"]
    assert [row["name"] for row in rows if row["front_end"] == API] == ["bs", "m1", "m2", "m3"]
    assert [row["name"] for row in rows if row["front_end"] == "ingress-80"] == ["w1", "w2", "w3"]


def test_row_says_where_its_front_end_listens():
    assert row(Heard(), API, "m1")["binds"] == ["172.16.0.110:6443", "172.16.0.111:6443"]


def test_bootstrap_is_a_backup():
    assert row(Heard(), API, "bs")["is_backup"]
    assert not row(Heard(), API, "m1")["is_backup"]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, "up"),
        ({"is_up": False, "check": REFUSED}, "down"),
        ({"is_checked": False}, "unknown"),
        ({"admin": "drain"}, "drain"),
        ({"admin": "maint", "is_up": False}, "maint"),
    ],
    ids=["passes", "fails", "not checked yet", "drained", "in maintenance"],
)
def test_state_is_what_haproxy_does(said, state):
    heard = Heard()
    heard.say(API, ["m1"], **said)
    assert row(heard, API, "m1")["state"] == state


def test_state_is_not_what_was_merely_ordered():
    heard = Heard()
    heard.say(API, ["m1"])
    heard.order(API, "m1", Admin.DRAIN, "by the operator")
    found = row(heard, API, "m1")
    assert (found["state"], found["wanted"], found["why"]) == ("up", "drain", "by the operator")


def test_member_of_which_nothing_was_heard_is_unknown():
    found = row(Heard(), API, "m1")
    assert (found["state"], found["since"], found["check"]) == ("unknown", None, "")


def test_row_has_the_connections_and_the_last_check():
    heard = Heard()
    heard.say(API, ["m1"])
    found = row(heard, API, "m1")
    assert (found["current"], found["total"], found["check"], found["since"]) == (2, 40, PASSED, 1000.0)


def test_front_end_whose_members_all_fail_is_unanswered():
    heard = Heard()
    heard.say(API, ["m1"])
    heard.say(API, ["bs", "m2", "m3"], is_up=False)
    heard.say(MACHINE_CONFIG, ["bs", "m1", "m2", "m3"], is_up=False)
    assert balancer_status(heard)["unanswered"] == [MACHINE_CONFIG]


def test_front_end_without_members_is_unanswered():
    own = OwnFrontEnd("registry", 5000, (), (), (Role.INFRA,), 5000, HealthCheck(Probe.TCP))
    cluster = replace(BALANCED, load_balancer=LoadBalancer(Engine.HAPROXY, (own,)))
    assert balancer_status(Heard(cluster))["unanswered"] == ["registry"]


def test_front_end_of_which_nothing_is_known_is_not_called_unanswered():
    assert balancer_status(Heard())["unanswered"] == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("ready", "entered api-6443: bootstrapping is complete"),
        ("drain", "drains from api-6443: bootstrapping is complete"),
        ("maint", "left api-6443: bootstrapping is complete"),
    ],
)
def test_host_that_moves_is_told_in_words(state, words):
    moved = MemberMoved("bs.ocp45.example.localdomain", API, state, "bootstrapping is complete")
    assert balancer_words(moved) == ("", words)
