"""The metrics of the load balancer, read by the parser of Prometheus."""

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.balancer.membership import Admin
from appliance.metrics import PREFIX, Metrics
from tests.balancers import API, BALANCED, MACHINE_CONFIG, REFUSED, Heard
from tests.boots import NOW, Fleet

COUNTS = Counter(
    {
        ("connection", API, "master", "forwarded"): 5,
        ("connection", "other", "stranger", "failed"): 2,
        ("line", "unreadable"): 3,
    }
)


@pytest.fixture
def metrics(tmp_path):
    fleet = Fleet(tmp_path, BALANCED)
    yield Metrics(fleet.registry, fleet.bus, {"balancer": lambda: COUNTS}, lambda: NOW)
    fleet.journal.close()


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the load balancer's samples by name and values of labels, which Prometheus' format has in their order."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    found = {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    return {key: value for key, value in found.items() if key[0].startswith("balancer_")}


def test_members_are_counted_by_state(metrics):
    heard = metrics.balancer = Heard()
    heard.say(API, ["m1", "m2"])
    heard.say(API, ["m3"], is_up=False, check=REFUSED)
    heard.say(API, ["bs"], admin="drain")
    found = samples(metrics)
    counts = {state: found["balancer_members", API, state] for state in ("up", "down", "drain", "maint", "unknown")}
    assert counts == {"up": 2, "down": 1, "drain": 1, "maint": 0, "unknown": 0}


def test_front_end_of_which_nothing_was_heard_has_only_unknown_members(metrics):
    metrics.balancer = Heard()
    assert samples(metrics)["balancer_members", API, "unknown"] == 4


def test_members_that_are_drained_are_not_wanted(metrics):
    heard = metrics.balancer = Heard()
    heard.order(API, "bs", Admin.DRAIN, "bootstrapping complete")
    found = samples(metrics)
    assert (found["balancer_members_wanted", API], found["balancer_members_wanted", MACHINE_CONFIG]) == (3, 4)


def test_connections_are_told_by_member(metrics):
    heard = metrics.balancer = Heard()
    heard.say(API, ["m1"])
    found = samples(metrics)
    assert (found["balancer_connections", API, "m1"], found["balancer_connections_total", API, "m1"]) == (2, 40)


@pytest.mark.parametrize(("said", "up"), [(["m1"], 1), ([], 0)], ids=["answers", "silent"])
def test_haproxy_that_answers_is_up(metrics, said, up):
    heard = metrics.balancer = Heard()
    heard.say(API, said)
    assert samples(metrics)["balancer_up",] == up


@pytest.mark.parametrize(("trouble", "value"), [(None, 0), ("HAProxy does not answer", 1)])
def test_trouble_of_the_balancer_is_told(metrics, trouble, value):
    metrics.balancer = Heard(trouble=trouble)
    assert samples(metrics)["balancer_trouble",] == value


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (("balancer_client_connections_total", "master", API, "forwarded"), 5),
        (("balancer_client_connections_total", "stranger", "other", "failed"), 2),
        (("balancer_log_lines_total", "unreadable"), 3),
    ],
)
def test_what_was_read_in_haproxys_log_is_counted(metrics, sample, value):
    metrics.balancer = Heard()
    assert samples(metrics)[sample] == value


def test_appliance_without_haproxy_tells_nothing_of_it(tmp_path):
    fleet = Fleet(tmp_path)
    assert samples(Metrics(fleet.registry, fleet.bus, {}, lambda: NOW)) == {}
    fleet.journal.close()
