"""What the registry keeps of the load balancer: orders, and that bootstrapping is complete."""

from dataclasses import replace

import pytest

from appliance.balancer.bootstrapping import BY_CHECKS
from appliance.errors import ControlError
from appliance.events import BootstrapCompleted, KeysUnneeded, MemberAnswers, MemberFails, MemberMoved, Ordered
from appliance.install.installation import Order, Stage
from appliance.model import Boot, Engine, HealthCheck, Install, LoadBalancer, OwnFrontEnd, Probe, Role
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from appliance.status.view import notices
from tests.balancers import API, BALANCED, MACHINE_CONFIG
from tests.boots import Fleet

BS, M1, W1 = 0, 1, 4


@pytest.fixture
def fleet(quick_path):
    fleet = Fleet(quick_path, replace(BALANCED, data_dir=quick_path))
    yield fleet
    fleet.journal.close()


def balance(fleet, index, order, front_end=""):
    return fleet.registry.balance(fleet.cluster.hosts[index], order, front_end)


def completed(fleet):
    bs = fleet.boot(BS)
    fleet.happen(BootstrapCompleted(bs.host, BY_CHECKS, "because"))
    return bs


# Orders


@pytest.mark.parametrize("order", ["drain", "maint"])
def test_order_is_kept_until_it_is_taken_back(fleet, order):
    assert balance(fleet, W1, order).balancer == {"": order}
    assert balance(fleet, W1, "ready").balancer == {}


def test_order_is_on_disk_at_once(fleet, quick_path):
    balance(fleet, W1, "maint")
    fleet.journal.close()
    fleet.journal = Journal(FallbackStore(quick_path))
    assert fleet.journal.load()[fleet.boot(W1).host].balancer == {"": "maint"}


def test_order_for_all_front_ends_replaces_those_for_one(fleet):
    balance(fleet, M1, "maint", API)
    assert balance(fleet, M1, "drain").balancer == {"": "drain"}


def test_front_end_is_excepted_from_an_order_for_all(fleet):
    balance(fleet, M1, "drain")
    assert balance(fleet, M1, "ready", API).balancer == {"": "drain", API: "ready"}
    assert balance(fleet, M1, "drain", API).balancer == {"": "drain"}


def test_order_outlives_tries_and_a_reinstallation(fleet):
    balance(fleet, M1, "maint", API)
    m1 = fleet.boot(M1)
    fleet.happen([*m1.live(), *m1.to_script(), Ordered(m1.host, "reinstall")])
    assert fleet[m1].number == 3
    assert fleet[m1].balancer == {API: "maint"}


def test_order_moves_with_a_machine_that_is_renamed(fleet):
    m1 = fleet.boot(M1)
    fleet.happen(m1.to_script())
    balance(fleet, M1, "maint")
    hosts = [replace(host, name=host.name.replace("m1", "m9")) for host in fleet.cluster.hosts]
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    assert fleet.registry.installations[m1.host.replace("m1", "m9")].balancer == {"": "maint"}


def test_order_changes_nothing_of_the_next_network_boot(fleet):
    before = fleet[fleet.boot(W1)]
    assert balance(fleet, W1, "maint") == replace(before, balancer={"": "maint"})


@pytest.mark.parametrize("order", ["hold", "reinstall"])
def test_machine_that_boots_nothing_any_more_is_taken_away_by_no_former_order(fleet, order):
    hosts = list(fleet.cluster.hosts)
    fleet.registry.order(hosts[W1], order)
    assert fleet[fleet.boot(W1)].is_leaving
    hosts[W1] = replace(hosts[W1], role=Role.OTHER, boot=Boot.NOTHING)
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    assert not fleet[fleet.boot(W1)].is_leaving


def test_machine_that_boots_nothing_takes_orders_of_the_load_balancer(fleet):
    hosts = list(fleet.cluster.hosts)
    hosts[W1] = replace(hosts[W1], role=Role.OTHER, boot=Boot.NOTHING)
    own = OwnFrontEnd("registry", 5000, (), (hosts[W1].name,), (), 5000, HealthCheck(Probe.TCP))
    balancer = LoadBalancer(Engine.HAPROXY, (own,))
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts), load_balancer=balancer)])
    assert balance(fleet, W1, "maint", "registry").balancer == {"registry": "maint"}


@pytest.mark.parametrize(
    ("index", "order", "front_end", "message"),
    [
        (W1, "stop", "", "unknown order 'stop'; valid orders: ready, drain, maint"),
        (W1, "drain", "api", "unknown front end 'api'; front ends: api-6443, machine-config-22623, ingress-443"),
        (W1, "drain", API, "w1.ocp45.example.localdomain is not a member of api-6443; it is one of ingress-443, ingr"),
    ],
)
def test_order_that_cannot_be_is_refused_with_those_that_can(fleet, index, order, front_end, message):
    with pytest.raises(ControlError) as refused:
        balance(fleet, index, order, front_end)
    assert message in str(refused.value)


def test_member_of_nothing_is_refused(fleet):
    hosts = list(fleet.cluster.hosts)
    hosts[W1] = replace(hosts[W1], role=Role.OTHER)
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    fleet.cluster = fleet.registry.clusters[0]
    with pytest.raises(ControlError, match="is a member of no front end"):
        balance(fleet, W1, "drain")


def test_load_balancer_of_others_takes_no_orders(fleet):
    fleet.registry.update([replace(fleet.cluster, load_balancer=LoadBalancer(Engine.EXTERNAL))])
    with pytest.raises(ControlError, match="drives no load balancer"):
        balance(fleet, W1, "drain")


def test_ready_says_what_else_keeps_a_host_out(fleet):
    fleet.happen(Ordered(fleet.boot(W1).host, "hold"))
    with pytest.raises(ControlError, match="it is held; run `ocp-appliance release w1`"):
        balance(fleet, W1, "ready")


# Bootstrapping


@pytest.mark.parametrize("order", ["drain", "maint"])
def test_operator_completes_the_bootstrapping(fleet, order):
    after = balance(fleet, BS, order)
    assert (after.bootstrapped_by, after.balancer) == ("operator", {})
    assert after.bootstrapped_at is not None


def test_bootstrap_that_leaves_one_front_end_does_not_complete_it(fleet):
    assert balance(fleet, BS, "drain", MACHINE_CONFIG).bootstrapped_at is None


def test_operator_takes_it_back_and_the_checks_are_told(fleet):
    bs = completed(fleet)
    assert fleet[bs].bootstrapped_at is not None
    after = balance(fleet, BS, "ready")
    assert (after.bootstrapped_at, after.bootstrapped_by, after.balancer) == (None, "", {"": "ready"})
    assert balance(fleet, BS, "ready") == after
    assert balance(fleet, BS, "drain").balancer == {}


def test_front_end_alone_does_not_take_it_back(fleet):
    completed(fleet)
    with pytest.raises(ControlError, match="without a front end takes that back"):
        balance(fleet, BS, "ready", API)


def test_reinstall_begins_another_bootstrapping(fleet):
    bs = completed(fleet)
    balance(fleet, BS, "ready")
    fleet.happen(Ordered(bs.host, "reinstall"))
    assert (fleet[bs].bootstrapped_at, fleet[bs].balancer) == (None, {})
    assert fleet[bs].reinstalled_at == fleet.clock.now


@pytest.mark.parametrize("install", [Install.ONCE, Install.ALWAYS])
def test_network_boots_of_the_bootstrap_begin_none(fleet, install):
    hosts = list(fleet.cluster.hosts)
    hosts[BS] = replace(hosts[BS], install=install)
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    bs = completed(fleet)
    fleet.happen([*bs.live(), *bs.live(), Ordered(bs.host, "adopt"), *bs.live()])
    assert fleet[bs].number > 1
    assert fleet[bs].bootstrapped_at is not None


@pytest.mark.parametrize("order", ["hold", "release", "adopt"])
def test_other_orders_leave_it_complete(fleet, order):
    bs = completed(fleet)
    fleet.happen(Ordered(bs.host, order))
    assert fleet[bs].bootstrapped_at is not None


def test_bootstrap_that_is_complete_and_comes_again_is_told_once(fleet):
    bs = completed(fleet)
    before = fleet[bs]
    fleet.happen(BootstrapCompleted(bs.host, "api", "because"))
    assert fleet[bs] is before


@pytest.mark.parametrize("kind", [MemberMoved, MemberAnswers, MemberFails])
def test_what_haproxy_says_of_a_host_is_no_sign_of_life_from_it(fleet, kind):
    m1 = fleet.boot(M1)
    fleet.happen(kind(m1.host, API) if kind is MemberAnswers else kind(m1.host, API, "because"))
    assert fleet.registry.activity[m1.host].seen_at == 0.0


# The keys


def key_file(fleet):
    path = fleet.cluster.data_dir / "ignition" / "bootstrap.ign"
    path.parent.mkdir()
    path.write_text("{}")
    return path


def test_operator_is_told_once_to_delete_the_keys(fleet):
    path = key_file(fleet)
    bs = completed(fleet)
    fleet.happen([BootstrapCompleted(bs.host, "api", "because")])
    assert [event.path for event in fleet.of(KeysUnneeded)] == [str(path)]


def test_status_tells_it_until_they_are_deleted(fleet):
    path = key_file(fleet)
    assert notices(fleet.registry) == []
    completed(fleet)
    assert [notice for notice in notices(fleet.registry) if str(path) in notice and "delete it" in notice]
    path.unlink()
    assert notices(fleet.registry) == []


@pytest.mark.parametrize("is_first", [True, False])
def test_keys_that_another_cluster_in_the_directory_needs_are_left_alone(fleet, is_first):
    key_file(fleet)
    renamed = [replace(host, name=host.name.replace("ocp45", "other"), macs=()) for host in fleet.cluster.hosts[:1]]
    other = replace(fleet.cluster, name="other", hosts=tuple(renamed))
    fleet.registry.update([other, fleet.cluster] if is_first else [fleet.cluster, other])
    completed(fleet)
    assert notices(fleet.registry) == []


def test_clock_of_their_certificates_ends(fleet):
    path = key_file(fleet)
    assert fleet.registry._is_needed(path)
    completed(fleet)
    assert not fleet.registry._is_needed(path)


def test_clock_of_the_workers_certificates_goes_on_for_a_machine_that_was_the_bootstrap(fleet):
    completed(fleet)
    hosts = [replace(host, role=Role.WORKER) for host in fleet.cluster.hosts[:1]]
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    assert fleet.registry._is_needed(fleet.cluster.data_dir / "ignition" / "worker.ign")


# Lost state


def test_host_whose_record_was_lost_is_not_leaving(fleet, quick_path):
    fleet.journal.close()
    for path in quick_path.glob("state.db*"):
        path.write_bytes(b"not a database" * 1000)
    again = Fleet(quick_path, fleet.cluster)
    lost = again.registry.installations
    assert {installation.order for installation in lost.values()} == {Order.HOLD}
    assert not any(installation.is_leaving or installation.bootstrapped_at for installation in lost.values())
    again.journal.close()
    fleet.journal = Journal(FallbackStore(quick_path))


def test_adopt_calls_a_reinstallation_off(fleet):
    m1 = fleet.boot(M1)
    fleet.happen(Ordered(m1.host, "reinstall"))
    assert fleet[m1].is_leaving
    fleet.happen(Ordered(m1.host, "adopt"))
    assert not fleet[m1].is_leaving


def test_tries_of_a_reinstallation_go_on_leaving_until_it_is_installed(fleet):
    m1 = fleet.boot(M1)
    fleet.happen([Ordered(m1.host, "reinstall"), *m1.live(), *m1.to_script()])
    assert (fleet[m1].number, fleet[m1].stage, fleet[m1].is_leaving) == (3, Stage.SCRIPT, True)
    fleet.happen(m1.live())
    fleet.wait(30)
    assert not fleet[m1].is_leaving


def test_network_boot_with_install_always_is_no_order_to_leave(fleet):
    hosts = list(fleet.cluster.hosts)
    hosts[M1] = replace(hosts[M1], install=Install.ALWAYS)
    fleet.registry.update([replace(fleet.cluster, hosts=tuple(hosts))])
    m1 = fleet.boot(M1)
    fleet.happen([Ordered(m1.host, "reinstall"), *m1.live()])
    fleet.wait(30)
    fleet.happen(m1.to_script())
    fleet.happen(m1.to_script())
    assert fleet[m1].number > 2
    assert not fleet[m1].is_leaving
