"""Which connections through the load balancer are events of a host."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from appliance.balancer.log import Connection, Outcome
from appliance.balancer.reached import Reached, watched
from appliance.events import BalancerReached
from appliance.install.installation import SIGN_SECONDS, Installation, Stage
from appliance.model import Engine, LoadBalancer
from tests.clusters import reference_cluster

NOW = 1000.0
CLUSTER = replace(reference_cluster(), load_balancer=LoadBalancer(Engine.HAPROXY))
M1 = CLUSTER.hosts[1]
CONFIG, API = "machine-config-22623", "api-6443"
ASKED = Connection(M1.address, 40000, CONFIG, "bs", Outcome.FORWARDED)
EVENT = BalancerReached(M1.name, str(M1.address), CONFIG, 22623, "bs")
RECORD = Installation(M1.name, stage=Stage.INSTALLED)


def event(connection=ASKED, record=RECORD, now=NOW, reached=None):
    front_end = watched((CLUSTER,))[connection.front_end]
    return (reached or Reached()).event(connection, front_end, {M1.name: record}, now)


def after(record=RECORD):
    reached = Reached()
    reached.reported(EVENT, record, NOW)
    return reached


def test_first_connection_of_a_host_is_news() -> None:
    assert event() == EVENT


def test_first_connection_to_the_api_is_news_by_itself() -> None:
    found = event(replace(ASKED, front_end=API), reached=after())
    assert found == replace(EVENT, front_end=API, port=6443)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FORWARDED])
def test_connection_that_no_member_took_is_no_event(outcome) -> None:
    assert event(replace(ASKED, outcome=outcome)) is None


@pytest.mark.parametrize("client", ["198.51.100.9", str(CLUSTER.address), str(CLUSTER.api_int_vips[0]), "2001:db8::1"])
def test_connection_of_a_client_that_is_no_host_is_no_event(client) -> None:
    assert event(replace(ASKED, client=ip_address(client))) is None


def test_node_that_keeps_connecting_is_no_news_however_long() -> None:
    assert event(now=NOW + 100 * SIGN_SECONDS, reached=after()) is None


def test_host_that_has_come_to_another_stage_is_news_at_once() -> None:
    assert event(record=replace(RECORD, stage=Stage.BOOTED), now=NOW, reached=after()) == EVENT


def test_host_that_is_installed_again_is_news_at_once() -> None:
    assert event(record=replace(RECORD, number=2), now=NOW, reached=after()) == EVENT


@pytest.mark.parametrize(("late", "expected"), [(SIGN_SECONDS - 1, None), (SIGN_SECONDS, EVENT)])
def test_host_whose_record_has_changed_is_news_once_a_minute(late, expected) -> None:
    """A firmware's messages, which anybody can forge, change the record of an installed host."""
    assert event(record=replace(RECORD, knocked_at=NOW), now=NOW + late, reached=after()) == expected


def test_front_ends_of_the_ingress_and_of_the_operator_say_nothing_of_a_host() -> None:
    assert set(watched((CLUSTER,))) == {CONFIG, API}


def test_host_of_another_cluster_is_a_stranger() -> None:
    other = reference_cluster(name="other", base_domain="example.org")
    other = replace(other, load_balancer=CLUSTER.load_balancer, hosts=())
    found = watched((CLUSTER, other))
    kinds = {name: front_end.kind_of(M1.address) for name, front_end in found.items()}
    assert kinds[f"{CLUSTER.name}-{API}"] == "master"
    assert kinds[f"other-{API}"] == "stranger"
