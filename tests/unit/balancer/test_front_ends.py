"""The front ends that follow from a cluster.yaml."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.balancer.compile import all_front_ends, front_ends
from appliance.config import load
from appliance.model import Balance, Cluster, FrontEnd, Probe
from appliance.share import share
from tests.config_files import CLEAN, check_text, edited
from tests.simulate_segment import REFERENCE

OURS = f"{CLEAN}loadBalancer:\n  engine: haproxy\n"
OWN = OURS + (
    "  frontends:\n"
    "    - {name: registry, port: 5000, hosts: [w1], roles: infra, memberPort: 30500, balance: source,\n"
    "       addresses: 192.0.2.9, check: {type: https, path: /healthz, port: 30501}, allow: [192.0.2.0/24]}\n"
    "    - {name: ironic, port: 6385, roles: master, check: http}\n"
)
LB1 = "  - hostname: lb1\n    role: other\n    macAddress: 52:54:00:00:00:99\n    address: 192.0.2.99\n"


def cluster_of(tmp_path: Path, text: str) -> Cluster:
    """Return the cluster that *text* describes."""
    checked = check_text(tmp_path, text)
    assert checked.errors == ()
    return checked.clusters[0]


def of(front_ends: tuple[FrontEnd, ...], service: str) -> FrontEnd:
    """Return the front end *service*."""
    return next(each for each in front_ends if each.service == service)


def names(front_end: FrontEnd) -> list[str]:
    """Return the names of its members."""
    return [member.name for member in front_end.members]


def binds(front_end: FrontEnd) -> list[str]:
    """Return where it listens."""
    return [str(bind) for bind in front_end.binds]


def test_machine_config_is_only_on_the_inner_address_and_for_nodes() -> None:
    (cluster,) = load([REFERENCE])
    machine_config = of(front_ends(cluster), "machine-config-22623")
    assert binds(machine_config) == ["172.16.0.110:22623"]
    assert [str(network) for network in machine_config.allowed] == ["172.16.0.0/24"]


def test_api_is_on_the_inner_and_the_outer_address() -> None:
    (cluster,) = load([REFERENCE])
    assert binds(of(front_ends(cluster), "api-6443")) == ["172.16.0.110:6443", "172.16.0.111:6443"]


def test_bootstrap_gets_connections_only_while_no_master_works() -> None:
    (cluster,) = load([REFERENCE])
    api = of(front_ends(cluster), "api-6443")
    assert [(member.name, member.is_backup) for member in api.members] == [
        ("bs", True),
        ("m1", False),
        ("m2", False),
        ("m3", False),
    ]


def test_api_is_asked_by_the_name_in_its_certificate() -> None:
    (cluster,) = load([REFERENCE])
    check = of(front_ends(cluster), "api-6443").check
    assert (check.probe, check.path, check.port, check.tls_name) == (
        Probe.HTTPS,
        "/readyz",
        0,
        "api-int.ocp45.example.localdomain",
    )


def test_routes_go_to_workers_and_infra_nodes_alone(tmp_path: Path) -> None:
    infra = LB1.replace("lb1", "i1").replace("other", "infra").replace("99", "41")
    text = CLEAN.replace("dns:\n", f"{LB1}{infra}dns:\n")
    assert names(of(front_ends(cluster_of(tmp_path, text)), "ingress-443")) == ["w1", "i1"]


def test_router_says_itself_whether_it_gets_connections() -> None:
    (cluster,) = load([REFERENCE])
    check = of(front_ends(cluster), "ingress-80").check
    assert (check.probe, check.path, check.port) == (Probe.HTTP, "/healthz/ready", 1936)


def test_routes_of_a_compact_cluster_go_to_its_masters() -> None:
    (cluster,) = load([share("data") / "compact" / "cluster.yaml"])
    cluster = replace(cluster, ingress_vips=(ip_address("192.0.2.9"),))
    assert names(of(front_ends(cluster), "ingress-443")) == ["node-0", "node-1", "node-2"]


def test_routes_that_dns_spreads_over_the_nodes_have_no_front_end() -> None:
    (cluster,) = load([share("data") / "compact" / "cluster.yaml"])
    assert [front_end.name for front_end in front_ends(cluster)] == ["api-6443", "machine-config-22623"]


def test_agent_based_cluster_has_no_bootstrap_member() -> None:
    (cluster,) = load([share("data") / "agent" / "cluster.yaml"])
    api = of(front_ends(cluster), "api-6443")
    assert names(api)
    assert not any(member.is_backup for member in api.members)


def test_single_node_is_the_only_member() -> None:
    (cluster,) = load([share("data") / "in-place" / "cluster.yaml"])
    vips = (ip_address("192.0.2.9"),)
    cluster = replace(cluster, api_vips=vips, api_int_vips=vips, ingress_vips=vips)
    members = {(front_end.service, *names(front_end)) for front_end in front_ends(cluster)}
    node = cluster.hosts[0].short_name
    assert members == {(service, node) for service in ("api-6443", "machine-config-22623", "ingress-443", "ingress-80")}


@pytest.mark.parametrize("name", ["in-place", "single-node"])
def test_single_node_that_answers_by_itself_has_no_front_end(name: str) -> None:
    (cluster,) = load([share("data") / name / "cluster.yaml"])
    assert front_ends(cluster) == ()


def test_arbiter_serves_no_api_and_no_routes(tmp_path: Path) -> None:
    text = edited(("hostname: m3\n    role: master", "hostname: m3\n    role: arbiter"))
    found = front_ends(cluster_of(tmp_path, text))
    assert not any("m3" in names(front_end) for front_end in found)


def test_dual_stack_cluster_listens_on_both_families() -> None:
    (cluster,) = load([share("data") / "dual-stack" / "cluster.yaml"])
    machine_config = of(front_ends(cluster), "machine-config-22623")
    assert {bind.address.version for bind in machine_config.binds} == {4, 6}
    assert {network.version for network in machine_config.allowed} == {4, 6}


def test_member_with_both_families_is_one_member() -> None:
    (cluster,) = load([share("data") / "dual-stack" / "cluster.yaml"])
    members = of(front_ends(cluster), "api-6443").members
    assert len({member.host for member in members}) == len(members)


def test_node_with_an_address_outside_the_networks_gets_machine_configs(tmp_path: Path) -> None:
    text = edited(("    address: 192.0.2.31\n", "    address: 192.0.2.31\n    addressIPv6: 2001:db8:ff::31\n"))
    allowed = of(front_ends(cluster_of(tmp_path, text)), "machine-config-22623").allowed
    assert [str(network) for network in allowed] == ["192.0.2.0/24", "2001:db8:ff::31/128"]


def test_address_that_is_written_twice_is_listened_on_once(tmp_path: Path) -> None:
    text = edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: [192.0.2.9, 192.0.2.9]"))
    assert binds(of(front_ends(cluster_of(tmp_path, text)), "ingress-80")) == ["192.0.2.9:80"]


def test_routes_that_a_cname_leads_elsewhere_have_no_front_end(tmp_path: Path) -> None:
    text = edited(
        ("ingressVIPs: 192.0.2.9\n", ""),
        ("dns:\n", "dns:\n  records: [{name: '*.apps', type: CNAME, value: lb.example.org.}]\n"),
    )
    found = front_ends(cluster_of(tmp_path, text))
    assert [each.service for each in found] == ["api-6443", "machine-config-22623"]


def test_own_front_end_is_as_the_file_says(tmp_path: Path) -> None:
    registry = of(front_ends(cluster_of(tmp_path, OWN)), "registry")
    assert binds(registry) == ["192.0.2.9:5000"]
    assert (names(registry), registry.port, registry.balance) == (["w1"], 30500, Balance.SOURCE)
    assert (registry.check.probe, registry.check.path, registry.check.port) == (Probe.HTTPS, "/healthz", 30501)
    assert [str(network) for network in registry.allowed] == ["192.0.2.0/24"]


def test_own_front_end_listens_beside_the_api_by_default(tmp_path: Path) -> None:
    ironic = of(front_ends(cluster_of(tmp_path, OWN)), "ironic")
    assert binds(ironic) == ["192.0.2.8:6385"]
    assert (names(ironic), ironic.port, ironic.balance) == (["m1", "m2", "m3"], 6385, Balance.ROUND_ROBIN)
    assert (ironic.check.probe, ironic.check.path, ironic.check.port) == (Probe.HTTP, "/", 0)


def test_machine_that_is_no_node_may_be_a_member_of_an_own_front_end(tmp_path: Path) -> None:
    text = OWN.replace("hosts: [w1]", "hosts: [w1, lb1]").replace("dns:\n", f"{LB1}dns:\n")
    assert names(of(front_ends(cluster_of(tmp_path, text)), "registry")) == ["w1", "lb1"]


def test_members_with_one_short_name_have_their_full_names(tmp_path: Path) -> None:
    text = CLEAN.replace("dns:\n", LB1.replace("lb1", "w1.example.org").replace("other", "worker") + "dns:\n")
    api = of(front_ends(cluster_of(tmp_path, text)), "ingress-443")
    assert names(api) == ["w1.prod.example.com", "w1.example.org"]


def test_load_balancer_of_others_has_no_front_end_here(tmp_path: Path) -> None:
    assert all_front_ends([cluster_of(tmp_path, CLEAN)]) == ()


@pytest.mark.parametrize(("other", "name"), [(CLEAN, "api-6443"), (OURS, "prod-api-6443")], ids=["external", "haproxy"])
def test_clusters_name_is_in_front_only_where_several_have_haproxy(tmp_path: Path, other: str, name: str) -> None:
    ours = cluster_of(tmp_path, OURS)
    second = cluster_of(tmp_path, other.replace("name: prod", "name: test"))
    front_end = all_front_ends([ours, second])[0]
    assert (front_end.name, front_end.service, front_end.cluster) == (name, "api-6443", "prod")
