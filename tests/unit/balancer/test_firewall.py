"""What a firewall and SELinux must allow, and the traces by which they are found."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.balancer import firewall
from appliance.balancer.compile import all_front_ends
from appliance.balancer.firewall import BOOLEAN, ENFORCE, FIREWALLD, advice
from appliance.cli import cli
from appliance.model import FrontEnd
from tests.config_files import CLEAN, check_text

OURS = f"{CLEAN}loadBalancer:\n  engine: haproxy\n"
SETSEBOOL = "SELinux: let HAProxy listen on and connect to these ports: setsebool -P haproxy_connect_any=1"


def front_ends_of(tmp_path: Path, text: str = OURS) -> tuple[FrontEnd, ...]:
    """Return the front ends of *text*."""
    return all_front_ends(check_text(tmp_path, text).clusters)


def write(root: Path, place: Path, text: str) -> None:
    """Write *text* to *place* below *root*."""
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)


@pytest.mark.parametrize("place", FIREWALLD, ids=["v2", "v1"])
def test_running_firewalld_must_let_every_front_end_in(tmp_path: Path, place: Path) -> None:
    (tmp_path / "root" / place).mkdir(parents=True)
    assert list(advice(front_ends_of(tmp_path), tmp_path / "root")) == [
        ("firewall: 6443/tcp to 192.0.2.8 (api-6443) from every client: firewall-cmd --permanent --add-port=6443/tcp"),
        (
            "firewall: 22623/tcp to 192.0.2.8 (machine-config-22623) from 192.0.2.0/24: firewall-cmd --permanent "
            '--add-rich-rule=\'rule family="ipv4" source address="192.0.2.0/24" port port="22623" protocol="tcp" '
            "accept'"
        ),
        "firewall: 443/tcp to 192.0.2.9 (ingress-443) from every client: firewall-cmd --permanent --add-port=443/tcp",
        "firewall: 80/tcp to 192.0.2.9 (ingress-80) from every client: firewall-cmd --permanent --add-port=80/tcp",
        "firewall: when all are added: firewall-cmd --reload",
    ]


def test_networks_of_a_family_without_an_address_need_no_rule(tmp_path: Path) -> None:
    text = OURS.replace("    address: 192.0.2.31\n", "    address: 192.0.2.31\n    addressIPv6: 2001:db8:ff::31\n")
    (tmp_path / "root" / FIREWALLD[0]).mkdir(parents=True)
    assert not any("ipv6" in line for line in advice(front_ends_of(tmp_path, text), tmp_path / "root"))


def test_machine_without_firewalld_and_selinux_needs_nothing(tmp_path: Path) -> None:
    assert list(advice(front_ends_of(tmp_path), tmp_path / "root")) == []


@pytest.mark.parametrize(
    ("enforce", "boolean", "expected"),
    [("1", "0 0\n", [SETSEBOOL]), ("1", "1 1\n", []), ("0", "0 0\n", []), ("1", None, [])],
    ids=["off", "on", "permissive", "policy without it"],
)
def test_boolean_is_told_where_selinux_enforces_and_it_is_off(
    tmp_path: Path, enforce: str, boolean: str | None, expected: list[str]
) -> None:
    root = tmp_path / "root"
    write(root, ENFORCE, enforce)
    if boolean is not None:
        write(root, BOOLEAN, boolean)
    assert list(advice(front_ends_of(tmp_path), root)) == expected


def test_load_balancer_of_others_needs_nothing_here(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, ENFORCE, "1")
    write(root, BOOLEAN, "0 0")
    (root / FIREWALLD[0]).mkdir(parents=True)
    assert list(advice(front_ends_of(tmp_path, CLEAN), root)) == []


def test_validate_ends_with_what_applies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "FIREWALLD", (tmp_path.relative_to("/"),))
    (tmp_path / "cluster.yaml").write_text(OURS)
    output = CliRunner().invoke(cli, ["validate", str(tmp_path / "cluster.yaml")]).stdout
    assert "firewall: when all are added: firewall-cmd --reload" in output.splitlines()


def test_validate_tells_programs_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "FIREWALLD", (tmp_path.relative_to("/"),))
    (tmp_path / "cluster.yaml").write_text(OURS)
    told = json.loads(CliRunner().invoke(cli, ["validate", "-o", "json", str(tmp_path / "cluster.yaml")]).stdout)
    assert "firewall: when all are added: firewall-cmd --reload" in told["advice"]
