"""The examples in data/: each loads without errors, is valid for the schema, and shows what its comments say."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from appliance import config
from appliance.config.foreign import silent_keys
from appliance.config.schema import json_schema
from appliance.model import Cluster, Engine, Role
from appliance.share import share
from tests.config_files import spelled

EXAMPLES = sorted(share("data").glob("*/cluster.yaml"))
MODELINE = "# yaml-language-server: $schema=../cluster.schema.json"


class EditorLoader(yaml.SafeLoader):
    """Reads scalars by the core schema of YAML 1.2, as editors do."""


EditorLoader.yaml_implicit_resolvers = {}
for tag, form, first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    EditorLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{form})$"), first)


def example(name: str) -> Cluster:
    """Return the cluster in the example *name*."""
    (cluster,) = config.load([share("data") / name / "cluster.yaml"])
    return cluster


def uncommented(text: str, keys: list[str]) -> str:
    """Return *text* without the comment signs of the sections *keys*, which begin in the first column."""
    lines, is_inside = [], False
    for line in text.splitlines():
        is_inside = line.startswith("# ") and (
            any(line.startswith(f"# {key}:") for key in keys) or (is_inside and line.startswith("#   "))
        )
        lines.append(line[2:] if is_inside and not line.startswith("#   #") else line)
    return "\n".join(lines) + "\n"


def errors_of(tmp_path: Path, text: str) -> list[str]:
    """Return the errors of *text*, without warnings."""
    (tmp_path / "cluster.yaml").write_text(text)
    checked = config.check([tmp_path / "cluster.yaml"])
    return [line for line in spelled(tmp_path, checked) if ": warning: " not in line]


def test_examples_are_those_of_the_manual() -> None:
    names = {path.parent.name for path in EXAMPLES}

    assert names == {
        "ocp45",
        "ocp416",
        "compact",
        "single-node",
        "two-subnets",
        "slash20",
        "ipv6-dns",
        "agent",
        "in-place",
        "dual-stack",
        "ipv6-only",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_example_warns_of_missing_files_only(path: Path) -> None:
    assert [str(problem) for problem in config.check([path]).problems if "not found" not in problem.message] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_example_passes_the_schema_as_an_editor_reads_it(path: Path) -> None:
    jsonschema.validate(yaml.load(path.read_text(), EditorLoader), json_schema(), jsonschema.Draft7Validator)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_example_names_the_schema_in_its_first_line(path: Path) -> None:
    assert path.read_text().splitlines()[0] == MODELINE


def test_current_release_boots_live_and_bonds() -> None:
    cluster = example("ocp416")
    bonded = next(host for host in cluster.hosts if len(host.macs) == 2)

    assert cluster.release.boots_live
    assert any(
        argument.startswith("bond=bond0:52-54-00-10-00-31,52-54-00-10-01-31:") for argument in bonded.network_arguments
    )


def test_reference_has_the_load_balancers_of_others() -> None:
    assert example("ocp45").load_balancer.engine is Engine.EXTERNAL


def test_commented_front_ends_of_the_reference_are_correct(tmp_path: Path) -> None:
    text = (share("data") / "ocp45" / "cluster.yaml").read_text()
    begin = text.index("  # frontends:")
    end = text.index("\n\n", begin)
    lines = [line.replace("  # ", "  ", 1) for line in text[begin:end].splitlines()]

    assert errors_of(tmp_path, text[:begin] + "\n".join(lines) + text[end:]) == []


def test_current_release_has_haproxy_at_addresses_besides_the_appliance_s() -> None:
    cluster = example("ocp416")

    assert cluster.load_balancer.engine is Engine.HAPROXY
    assert cluster.address not in (*cluster.api_vips, *cluster.ingress_vips)


def test_compact_cluster_has_three_masters_and_no_worker() -> None:
    roles = [host.role for host in example("compact").hosts]

    assert sorted(roles) == [Role.BOOTSTRAP, Role.MASTER, Role.MASTER, Role.MASTER]


def test_single_node_is_its_own_ingress() -> None:
    cluster = example("single-node")

    assert cluster.ingress_vips == (cluster.hosts[1].address,)


def test_agent_example_has_no_bootstrap_machine_and_no_ignition_file() -> None:
    cluster = example("agent")

    assert {host.ignition for host in cluster.hosts} == {""}
    assert cluster.rendezvous == cluster.hosts[0].address


def test_node_in_place_is_its_own_api_and_ingress() -> None:
    cluster = example("in-place")

    assert cluster.api_vips == cluster.api_int_vips == cluster.ingress_vips == cluster.hosts[0].addresses


def test_two_subnets_tell_different_things() -> None:
    near, far = example("two-subnets").networks

    assert (near.gateway, near.mtu, far.gateway, far.mtu) == (
        IPv4Address("192.0.2.1"),
        None,
        IPv4Address("192.0.2.129"),
        1400,
    )


def test_slash_20_has_hosts_in_several_octets() -> None:
    cluster = example("slash20")

    assert cluster.networks[0].cidr == IPv4Network("10.16.0.0/20")
    assert len({host.address.packed[2] for host in cluster.hosts}) > 4


def test_ipv6_example_names_every_host_in_both_families() -> None:
    cluster = example("ipv6-dns")

    assert [network.cidr for network in cluster.networks][1:] == [IPv6Network("2001:db8:0:2::/64")]
    assert all([type(address) for address in host.addresses] == [IPv4Address, IPv6Address] for host in cluster.hosts)


def test_dual_stack_example_is_given_both_families_by_dhcp() -> None:
    cluster = example("dual-stack")

    assert all(cluster.gives(address) for host in cluster.hosts for address in host.addresses)
    assert {len(host.addresses) for host in cluster.hosts} == {2}


def test_ipv6_only_example_has_no_ipv4_address() -> None:
    cluster = example("ipv6-only")
    addresses = [cluster.address, *(address for host in cluster.hosts for address in host.addresses)]

    assert {address.version for address in addresses} == {6}
    assert cluster.router_advertisements


def test_day_two_hosts_of_the_reference_can_be_taken_in(tmp_path: Path) -> None:
    text = (share("data") / "ocp45" / "cluster.yaml").read_text()
    text = re.sub(r"(?m)^  # (- hostname: [is]\d|  role|  macAddress|  address)", r"  \1", text)
    (tmp_path / "cluster.yaml").write_text(text)
    (cluster,) = config.load([tmp_path / "cluster.yaml"])

    assert [host.short_name for host in cluster.hosts[7:]] == ["i1", "i2", "i3", "s1", "s2", "s3"]


@pytest.mark.parametrize(
    "key",
    ["additionalNTPSources", "roles", "dhcp", "listen", "dataDir", "menu", "holdUntil", "serveExpired"],
)
def test_commented_section_of_the_reference_is_right(tmp_path: Path, key: str) -> None:
    text = (share("data") / "ocp45" / "cluster.yaml").read_text()
    changed = uncommented(text, [key])

    assert changed != text
    assert errors_of(tmp_path, changed) == []


def test_commented_records_of_the_reference_are_right(tmp_path: Path) -> None:
    text = (share("data") / "ocp45" / "cluster.yaml").read_text()
    changed = re.sub(r"(?m)^  # (records:|  - \{name: .*\})$", r"  \1", text)

    assert changed.count("\n    - {name: ") == 6
    assert errors_of(tmp_path, changed) == []


def keys_of(schema: dict[str, Any], names: set[str]) -> set[str]:
    """Return the keys at the top level and in the definitions *names*."""
    parts = [schema, *(schema["$defs"][name] for name in names)]
    return {key for part in parts for key in part["properties"]}


def test_reference_shows_every_key() -> None:
    text = (share("data") / "ocp45" / "cluster.yaml").read_text()
    of_network_config = {"Address4", "Address6", "Ipv4", "Ipv6", "Vlan", "LinkAggregation", "NmstateInterface"}
    of_network_config |= {"BondPort", "Bridge", "BridgePort"}
    of_network_config |= {"DnsResolver", "NmstateResolver", "Routes", "NmstateRoute", "NetworkConfig"}
    keys = keys_of(json_schema(), set(json_schema()["$defs"]) - of_network_config)

    foreign = {steps[-1] for steps in silent_keys()}

    assert {key for key in keys - {"apiVersion"} - foreign if not re.search(rf"\b{key}\b", text)} == set()


def test_schema_beside_the_examples_is_the_schema() -> None:
    shipped = yaml.safe_load((share("data") / "cluster.schema.json").read_text())

    assert shipped == json_schema()
