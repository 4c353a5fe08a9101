"""Keys of install-config.yaml and agent-config.yaml: where they are accepted, and what is reported about them."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from appliance.config.nmstate import NO_ARGUMENT
from appliance.config.schema import json_schema
from tests.config_files import CLEAN, check_text, edited, told, with_host

NETWORK_CONFIG = """\
    networkConfig:
      interfaces:
        - name: eno1
          mac-address: 52:54:00:00:00:32
          ipv4: {dhcp: true}
      dns-resolver: {config: {server: [192.0.2.5], search: [example.com]}}
      routes: {config: [{destination: 198.51.100.0/24, next-hop-address: 192.0.2.1, metric: 100}]}
"""

SILENT = {
    "platform none": f"{CLEAN}platform: {{none: {{}}}}\n",
    "platform of the agent": f"{CLEAN}platform:\n  baremetal: {{provisioningNetwork: Disabled}}\n",
    "creationTimestamp": edited(("  name: prod\n", "  name: prod\n  creationTimestamp: null\n")),
    "hostPrefix": edited(("10.128.0.0/14\n", "10.128.0.0/14\n      hostPrefix: 23\n")),
    "interfaces": with_host(
        (
            "    macAddress: 52:54:00:00:00:32\n",
            "    interfaces: [{name: eno1, macAddress: '52:54:00:00:00:32'}]\n",
        )
    ),
    "nmstate": with_host(("    address:", f"{NETWORK_CONFIG}    address:")),
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_pasted_key_without_a_use_is_passed_over(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == []


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_editor_accepts_what_is_passed_over(text: str) -> None:
    errors = jsonschema.Draft7Validator(json_schema()).iter_errors(yaml.load(text, yaml.BaseLoader))

    assert [error.message for error in errors if "Additional properties" in error.message] == []


def test_key_of_nmstate_with_a_dot_in_it_is_known(tmp_path: Path) -> None:
    card = "    networkConfig: {interfaces: [{name: eno1, ipv4: {dhcp: true}, 802.1x: {identity: w2}}]}\n"
    (problem,) = told(tmp_path, with_host(("    address:", f"{card}    address:")))

    assert "802.1x" in problem
    assert NO_ARGUMENT in problem


def test_platform_s_load_balancer_addresses_are_pointed_to_their_place(tmp_path: Path) -> None:
    platform = "platform:\n  baremetal:\n    apiVIPs: [192.0.2.8]\n    ingressVIP: 192.0.2.9\n"

    assert told(tmp_path, CLEAN + platform) == [
        "42: warning: platform.baremetal.apiVIPs: not used here; write apiVIPs at the top level of this file",
        "43: warning: platform.baremetal.ingressVIP: not used here; write ingressVIPs at the top level of this file",
    ]


PASTED = {
    "arbiter": (f"{CLEAN}arbiter: {{name: arbiter, replicas: 1}}\n", "give the machine the role arbiter in hosts"),
    "agent": (f"{CLEAN}bootArtifactsBaseURL: http://192.0.2.5/\n", "it belongs in agent-config.yaml"),
    "namespace": (edited(("  name: prod\n", "  name: prod\n  namespace: x\n")), "it belongs in agent-config.yaml"),
    "gates": (f"{CLEAN}featureGates: [A=true]\n", "it belongs in install-config.yaml"),
    "ovn": (edited(("networking:\n", "networking:\n  ovnKubernetesConfig: {}\n")), "it belongs in install-config.yaml"),
    "bmc": (
        with_host(("    address:", "    bmc: {address: redfish://192.0.2.9, username: u, password: p}\n    address:")),
        "Remove these secrets from the file",
    ),
}


@pytest.mark.parametrize(("text", "expected"), PASTED.values(), ids=PASTED)
def test_pasted_key_is_a_warning_that_says_where_it_belongs(tmp_path: Path, text: str, expected: str) -> None:
    (line,) = told(tmp_path, text)

    assert "warning: " in line
    assert expected in line


@pytest.mark.parametrize(
    ("key", "expected"),
    [("machineCIDR", "write machineNetwork, a list of `cidr:`"), ("serviceCIDR", "write serviceNetwork")],
)
def test_old_name_of_a_network_is_reported_with_the_present_one(tmp_path: Path, key: str, expected: str) -> None:
    (line,) = told(tmp_path, edited(("networking:\n", f"networking:\n  {key}: 192.0.2.0/24\n")))

    assert line.endswith(f"{key}: unknown key; {expected}")


def test_foreign_key_does_not_change_the_cluster(tmp_path: Path) -> None:
    (plain,), (pasted,) = check_text(tmp_path, CLEAN).clusters, check_text(tmp_path, SILENT["hostPrefix"]).clusters

    assert replace(pasted, digest=plain.digest) == plain


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("10.128.0.0/14\n", "10.128.0.0/14\n      hostPrefx: 23\n"), "hostPrefx"),
        (("dns:\n", "platfrom: {none: {}}\ndns:\n"), "platfrom"),
        (("dns:\n", "metric: 1\ndns:\n"), "metric"),
    ],
)
def test_foreign_key_that_is_misspelled_or_misplaced_is_unknown(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    (problem,) = check_text(tmp_path, edited(change)).errors

    assert problem.path.endswith(expected)
    assert "unknown key" in problem.message
