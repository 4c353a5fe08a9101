"""Addresses of front ends that this machine does not have."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from appliance import config
from appliance.balancer.addresses import LocalAddresses, absent_addresses, local_addresses
from appliance.model import Address, Cluster
from tests.config_files import CLEAN, check_text

OURS = "loadBalancer: {engine: haproxy}\n"
OWN: dict[Address, str] = {IPv4Address("192.0.2.5"): "eno1"}
VIPS: dict[Address, str] = {IPv4Address("192.0.2.8"): "eno1", IPv4Address("192.0.2.9"): "eno1"}


def cluster_of(tmp_path: Path, text: str) -> Cluster:
    """Return the cluster that *text* describes."""
    (cluster,) = check_text(tmp_path, text).clusters
    return cluster


def test_absent_address_is_told_with_the_command_that_adds_it(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, CLEAN + OURS)
    (message,) = absent_addresses([cluster], LocalAddresses(OWN | {IPv4Address("192.0.2.9"): "eno1"}))
    assert message.removeprefix(str(cluster.source)) == (
        ": loadBalancer: HAProxy cannot listen on 192.0.2.8 (api-6443, machine-config-22623), which is no address of "
        "this machine; run `ip address add 192.0.2.8/24 dev eno1`, or, if VRRP brings it, "
        "`sysctl -w net.ipv4.ip_nonlocal_bind=1`"
    )


def test_machine_with_every_address_hears_nothing(tmp_path: Path) -> None:
    assert absent_addresses([cluster_of(tmp_path, CLEAN + OURS)], LocalAddresses(OWN | VIPS)) == []


def test_external_load_balancer_needs_no_address_here(tmp_path: Path) -> None:
    assert absent_addresses([cluster_of(tmp_path, CLEAN)], LocalAddresses({})) == []


def test_address_that_vrrp_brings_may_be_elsewhere(tmp_path: Path) -> None:
    here = LocalAddresses(OWN, nonlocal_versions=frozenset({4}))
    assert absent_addresses([cluster_of(tmp_path, CLEAN + OURS)], here) == []


def test_leave_for_ipv4_is_none_for_ipv6(tmp_path: Path) -> None:
    text = CLEAN.replace("ingressVIPs: 192.0.2.9", "ingressVIPs: ['192.0.2.9', '2001:db8::9']") + OURS
    (message,) = absent_addresses([cluster_of(tmp_path, text)], LocalAddresses(OWN, frozenset({4})))
    assert "ip address add 2001:db8::9/128 dev INTERFACE`" in message
    assert "net.ipv6.ip_nonlocal_bind=1" in message


def test_loopback_addresses_are_always_here(tmp_path: Path) -> None:
    text = CLEAN.replace("192.0.2.8", "127.0.0.8").replace("192.0.2.9", "127.0.0.9") + OURS
    assert absent_addresses([cluster_of(tmp_path, text)], LocalAddresses({})) == []


def test_own_addresses_are_found_in_the_kernel() -> None:
    assert local_addresses().interfaces[IPv4Address("127.0.0.1")] == "lo"
    assert IPv6Address("2001:db8::1") not in local_addresses().interfaces


def test_file_for_another_machine_is_valid_here(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(CLEAN + OURS)
    assert config.check([tmp_path / "cluster.yaml"]).errors == ()
