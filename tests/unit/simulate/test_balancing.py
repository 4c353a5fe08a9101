"""Which load balancer a demo has, and what it demands of it at the end."""

from pathlib import Path

import pytest
import yaml

from appliance.config import load
from appliance.control_client import Json
from appliance.errors import SimulationError
from appliance.model import Cluster, Engine, MacAddress
from appliance.simulate.balancing import Operator, put_haproxy_in, why_no_haproxy, with_engine
from appliance.simulate.plan import find_target, machine_for

DATA = Path(__file__).parents[3] / "data"
REFERENCE = DATA / "ocp45" / "cluster.yaml"


def loaded(file: Path) -> Cluster:
    (cluster,) = load([file])
    return cluster


# Which load balancer


def test_haproxy_takes_the_place_of_an_external_load_balancer(tmp_path: Path) -> None:
    file, said = put_haproxy_in(REFERENCE, tmp_path, in_lab=True)
    assert said == "HAProxy takes the place of the external load balancer at 172.16.0.110, 172.16.0.111"
    assert file != REFERENCE
    assert loaded(file).load_balancer.engine is Engine.HAPROXY


def test_a_file_with_engine_haproxy_is_used_as_it_is(tmp_path: Path) -> None:
    source = DATA / "ocp416" / "cluster.yaml"
    file, said = put_haproxy_in(source, tmp_path, in_lab=True)
    assert (file, said) == (source, "HAProxy is the load balancer at 192.0.2.8, 192.0.2.9")


def test_on_loopback_a_file_with_engine_haproxy_becomes_external(tmp_path: Path) -> None:
    file, said = put_haproxy_in(DATA / "ocp416" / "cluster.yaml", tmp_path, in_lab=False)
    assert said == "there is no load balancer, because the loopback interface does not have its addresses"
    assert loaded(file).load_balancer.engine is Engine.EXTERNAL


def test_a_file_that_is_wrong_with_haproxy_is_used_without_it(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    # The appliance's own web server then has port 80 of the routers' address.
    source.write_text(f"{REFERENCE.read_text()}\nlisten:\n  http: ['172.16.0.101:80', '172.16.0.111:80']\n")
    file, said = put_haproxy_in(source, tmp_path, in_lab=True)
    assert file == source
    assert said.startswith(f"there is no load balancer, because {source}:")
    assert "172.16.0.111" in said


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("single-node", "the VIP 192.0.2.20 is an address of bootstrap"),
        ("in-place", "the VIP 192.0.2.21 is an address of node"),
    ],
)
def test_a_cluster_without_addresses_for_it_has_no_haproxy(file: str, why: str) -> None:
    assert why_no_haproxy(loaded(DATA / file / "cluster.yaml"), in_lab=True) == why


@pytest.mark.parametrize(
    "section",
    [
        "loadBalancer: {engine: external}",
        "loadBalancer:\n  engine: external",
        "loadBalancer:  # ours\n  # elsewhere\n\n  engine: external\n",
        "loadBalancer:\n  frontends:\n  - {name: registry, port: 5000, hosts: [w1]}\n  engine: external",
        "loadBalancer: {\n  engine: external,\n  frontends: [\n{name: registry, port: 5000, hosts: [w1]}\n]\n}",
        "'loadBalancer':\n# elsewhere\n  engine: external\n# not ours",
        "loadBalancer:  # ours",
        "",
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_the_engine_is_replaced_and_everything_else_kept(tmp_path: Path, section: str, place: str) -> None:
    source, target = tmp_path / "source.yaml", tmp_path / "target.yaml"
    rest = {"baseDomain": "example.com", "hosts": [{"hostname": "w1"}]}
    texts = [section, yaml.safe_dump(rest)]
    source.write_text("\n".join(texts if place == "first" else reversed(texts)))
    with_engine(source, target, Engine.HAPROXY)
    before, after = (yaml.load(file.read_text(), yaml.BaseLoader) for file in (source, target))
    assert after == {**before, "loadBalancer": {**(before.get("loadBalancer") or {}), "engine": "haproxy"}}


@pytest.mark.parametrize(
    "text",
    [
        "{loadBalancer: {engine: external}, baseDomain: example.com}",
        "before: &ours {engine: external}\nloadBalancer: *ours\n",
    ],
)
def test_a_load_balancer_that_cannot_be_replaced_is_an_error(tmp_path: Path, text: str) -> None:
    source = tmp_path / "cluster.yaml"
    source.write_text(text)
    with pytest.raises(SimulationError, match="write loadBalancer: at the start of a line"):
        with_engine(source, source, Engine.HAPROXY)


# What it demands


def row(front_end: str, name: str, state: str, check: str = "") -> Json:
    host = f"{name}.ocp45.example.localdomain"
    return {"front_end": front_end, "name": name, "host": host, "state": state, "check": check}


def good() -> list[Json]:
    """The rows of the reference cluster at the end."""
    apis = [row(f, name, "up") for f in ("api-6443", "machine-config-22623") for name in ("m1", "m2", "m3")]
    out = [row(front_end, "bs", "maint") for front_end in ("api-6443", "machine-config-22623")]
    return [*apis, *out, *(row(f, name, "up") for f in ("ingress-443", "ingress-80") for name in ("w1", "w2", "w3"))]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(loaded(REFERENCE), tmp_path)


def test_there_is_no_complaint_about_masters_and_workers_that_are_up(operator: Operator) -> None:
    assert operator.about_all(good()) == []


def test_a_master_that_is_down_is_a_complaint(operator: Operator) -> None:
    rows = [*good()[1:], row("api-6443", "m1", "down", "failed: connection refused")]
    assert operator.about_all(rows) == ["m1 gets no connections of api-6443: down, failed: connection refused"]
    assert operator.about_masters(rows) == operator.about_all(rows)


def test_a_worker_that_is_down_is_a_complaint_about_all_but_not_about_masters(operator: Operator) -> None:
    rows = [*good()[:-1], row("ingress-80", "w3", "unknown")]
    assert operator.about_all(rows) == ["w3 gets no connections of ingress-80: unknown"]
    assert operator.about_masters(rows) == []


def test_a_bootstrap_that_still_gets_connections_is_a_complaint(operator: Operator) -> None:
    rows = [row("api-6443", "bs", "up"), *(each for each in good() if each["name"] != "bs")]
    assert operator.about_all(rows) == ["bs still gets connections of api-6443"]


def test_a_node_without_a_row_is_a_complaint(operator: Operator) -> None:
    rows = [each for each in good() if each["name"] != "w2"]
    assert operator.about_all(rows) == ["the load balancer does not know w2.ocp45.example.localdomain"]


# One simulated machine


@pytest.mark.parametrize(
    ("file", "host", "pool"),
    [
        ("ocp416", "worker-0", "worker"),
        ("ocp416", "master-0", "master"),
        ("ocp416", "bootstrap", ""),
        ("ocp45", "w1", ""),
    ],
)
def test_a_simulated_machine_asks_our_own_load_balancer_alone(file: str, host: str, pool: str) -> None:
    machine = machine_for(find_target(host, DATA / file / "cluster.yaml"), None, None, 10)
    assert (machine.pool, machine.must_join) == (pool, False)


def test_a_stranger_asks_no_load_balancer() -> None:
    target = find_target(str(MacAddress.parse("52:54:00:00:99:99")), DATA / "ocp416" / "cluster.yaml")
    assert machine_for(target, None, None, 10).pool == ""
