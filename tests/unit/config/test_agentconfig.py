"""agent-config.yaml as `ocp-appliance render agent-config` prints it, for the schema in the installer's manual."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from appliance.cli import cli
from appliance.config import render_agent_config
from appliance.errors import ApplianceError
from appliance.share import share

AGENT = (share("data") / "agent" / "cluster.yaml").read_text()

TEXT = {"type": "string", "minLength": 1}
# "Installation configuration parameters for the Agent-based Installer" in OpenShift's manual.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata"],
    "properties": {
        "apiVersion": {"enum": ["v1beta1", "v1alpha1"]},
        "kind": {"const": "AgentConfig"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z0-9-]+$"}}},
        "rendezvousIP": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "bootArtifactsBaseURL": {"type": "string", "pattern": "^https?://"},
        "additionalNTPSources": {"type": "array", "items": TEXT},
        "hosts": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "hostname": TEXT,
                    "role": {"enum": ["master", "worker", "arbiter"]},
                    "rootDeviceHints": {"type": "object", "properties": {"deviceName": {"pattern": "^/dev/"}}},
                    "interfaces": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["name", "macAddress"],
                            "properties": {"name": TEXT, "macAddress": {"pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"}},
                        },
                    },
                    "networkConfig": {"type": "object"},
                },
            },
        },
    },
}


def rendered(tmp_path: Path, text: str = AGENT) -> dict[str, Any]:
    (tmp_path / "cluster.yaml").write_text(text)
    made: dict[str, Any] = yaml.safe_load(render_agent_config(tmp_path / "cluster.yaml"))
    jsonschema.validate(made, SCHEMA, format_checker=jsonschema.FormatChecker())
    return made


def with_network(text: str, interface: str, macs: str = "macAddress: 52:54:00:40:00:21") -> str:
    network = f"    networkConfig: {{interfaces: [{interface}]}}\n"
    return text.replace("    macAddress: 52:54:00:40:00:21\n", f"    {macs}\n{network}")


def test_command_prints_it(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(AGENT)
    done = CliRunner().invoke(cli, ["render", "agent-config", str(tmp_path / "cluster.yaml")])

    assert yaml.safe_load(done.output) == rendered(tmp_path)


def test_it_names_the_rendezvous_host_and_where_the_files_will_be(tmp_path: Path) -> None:
    made = rendered(tmp_path)

    assert (made["metadata"], made["rendezvousIP"]) == ({"name": "prod"}, "192.0.2.21")
    assert made["bootArtifactsBaseURL"] == "http://192.0.2.5/boot-artifacts"


def test_it_has_the_hosts_that_boot_an_agent_and_no_others(tmp_path: Path) -> None:
    added = "  - {hostname: n1, role: worker, boot: node-image, macAddress: 52:54:00:00:00:99, address: 192.0.2.99}\n"
    made = rendered(tmp_path, AGENT.replace("\nhosts:\n", f"\nhosts:\n{added}"))

    assert [host["hostname"].partition(".")[0] for host in made["hosts"]] == [
        "master-0",
        "master-1",
        "master-2",
        "worker-0",
        "worker-1",
    ]


def test_infra_node_is_a_worker(tmp_path: Path) -> None:
    made = rendered(tmp_path, AGENT.replace("role: worker", "role: infra"))

    assert {host["role"] for host in made["hosts"][3:]} == {"worker"}


def test_disk_is_the_host_s_or_its_role_s_or_the_agent_s_choice(tmp_path: Path) -> None:
    text = AGENT.replace("192.0.2.21\n  - host", "192.0.2.21\n    rootDeviceHints: {deviceName: /dev/vda}\n  - host")
    disks = [host.get("rootDeviceHints", {}).get("deviceName") for host in rendered(tmp_path, text)["hosts"]]

    assert disks == ["/dev/vda", None, None, "/dev/nvme0n1", "/dev/nvme0n1"]


def test_network_configuration_has_numbers_and_truth_values(tmp_path: Path) -> None:
    bond = rendered(tmp_path)["hosts"][4]["networkConfig"]["interfaces"][0]

    assert bond["ipv4"] == yaml.safe_load("{enabled: true, address: [{ip: 192.0.2.32, prefix-length: 24}]}")
    assert bond["link-aggregation"]["options"] == {"miimon": 100}


def test_single_value_that_nmstate_wants_in_a_list_is_in_one(tmp_path: Path) -> None:
    """cluster.yaml takes both (docs/cluster-yaml.md, Values); nmstate refuses `server: 192.0.2.53`."""
    bond = "{name: bond0, type: bond, link-aggregation: {mode: 1, port: eno1}}"
    resolver = "], dns-resolver: {config: {server: 192.0.2.53, search: example.com}}}\n"
    text = with_network(AGENT, f"{{name: eno1}}, {bond}").replace("]}\n", resolver, 1)
    config = rendered(tmp_path, text)["hosts"][0]["networkConfig"]

    assert config["dns-resolver"]["config"] == {"server": ["192.0.2.53"], "search": ["example.com"]}
    assert config["interfaces"][1]["link-aggregation"] == {"mode": "1", "port": ["eno1"]}


def test_text_of_digits_stays_as_it_is_written(tmp_path: Path) -> None:
    card = "{name: eno1, ipv4: {dhcp: true, dhcp-client-id: '12'}, 802.1x: {identity: m0, password: '0123'}}"
    (interface,) = rendered(tmp_path, with_network(AGENT, card))["hosts"][0]["networkConfig"]["interfaces"]

    assert (interface["ipv4"]["dhcp-client-id"], interface["802.1x"]["password"]) == ("12", "0123")


def test_name_that_looks_like_a_number_stays_a_name(tmp_path: Path) -> None:
    text = with_network(AGENT, '{name: "7", type: ethernet, ipv4: {dhcp: yes}}')
    host = rendered(tmp_path, text)["hosts"][0]

    assert host["interfaces"] == [{"name": "7", "macAddress": "52:54:00:40:00:21"}]
    assert host["networkConfig"]["interfaces"] == [{"name": "7", "type": "ethernet", "ipv4": {"dhcp": True}}]


def test_cards_that_the_network_configuration_does_not_tell_apart_are_reported(tmp_path: Path) -> None:
    interfaces = "{name: eno1, ipv4: {dhcp: true}}, {name: eno2, ipv4: {dhcp: true}}"
    text = with_network(AGENT, interfaces, "macAddress: [52:54:00:40:00:21, 52:54:00:40:01:21]")

    with pytest.raises(ApplianceError, match="write `interfaces` with name and macAddress in place of macAddress"):
        rendered(tmp_path, text)


def test_time_servers_are_told(tmp_path: Path) -> None:
    text = f"{AGENT}additionalNTPSources: [192.0.2.60, ntp.example.com]\n"

    assert rendered(tmp_path, text)["additionalNTPSources"] == ["192.0.2.60", "ntp.example.com"]


def test_preview_of_4_13_gets_the_version_that_it_knows(tmp_path: Path) -> None:
    made = rendered(tmp_path, AGENT.replace("4.18.9", "4.13.1"))

    assert (made["apiVersion"], "bootArtifactsBaseURL" in made) == ("v1alpha1", False)


def test_cluster_without_agents_has_none(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text((share("data") / "compact" / "cluster.yaml").read_text())

    with pytest.raises(ApplianceError, match="write `boot: agent`"):
        render_agent_config(tmp_path / "cluster.yaml")
