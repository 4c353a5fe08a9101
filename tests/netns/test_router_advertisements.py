"""Router advertisements, judged by the kernel, rdisc6 and scapy; and routers' own, by radvd."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp6_lab import Lab6
from tests.dhcp_lab import APPLIANCE_NAMESPACE, can_make_namespaces
from tests.packages import why_missing

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

NODE_MAC = "52:54:00:00:00:77"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab6]:
    with Lab6(tmp_path) as lab:
        lab.node_network()
        yield lab


def settings(lab: Lab6, node: str, **values: int) -> None:
    lab.run(node, "sysctl", "-qw", *(f"net.ipv6.conf.eth0.{key}={value}" for key, value in values.items()))


def until(claim: str, lab: Lab6, node: str, seconds: float = 30.0) -> None:
    """Wait until the shell command *claim* succeeds in *node*."""
    deadline = time.monotonic() + seconds
    while subprocess.run(["ip", "netns", "exec", node, "sh", "-c", claim], check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {claim}"
        time.sleep(0.05)


def radvd(lab: Lab6, name: str, mac: str, flags: str) -> None:
    """Start a router on the node network whose advertisements have *flags*."""
    router = lab.node(name, mac)
    lab.run(router, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    config = lab.directory / f"{name}.conf"
    config.write_text(f"interface eth0 {{ AdvSendAdvert on; {flags} prefix 2001:db8:0:10::/64 {{ }}; }};\n")
    lab.start(router, "radvd", "-n", "-C", str(config), "-p", str(lab.directory / f"{name}.pid"), "-m", "stderr")


@pytest.mark.skipif(bool(why_missing("rdisc6")), reason=why_missing("rdisc6"))
def test_rdisc6_is_told_that_addresses_come_from_dhcpv6(lab: Lab6) -> None:
    node = lab.node("node", NODE_MAC)
    lab.serve("advertising", program="tests.ra_lab")
    said = lab.run(node, "rdisc6", "-1", "-w", "4000", "eth0")
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert facts["Stateful address conf."] == "Yes"
    assert facts["Stateful other conf."] == "Yes"
    assert facts["Router lifetime"].split()[0] == "0"
    assert facts["Prefix"] == "2001:db8:0:10::/64"
    assert facts["On-link"] == "Yes"
    assert facts["Autonomous address conf."] == "No"
    assert facts["MTU"].split()[0] == "1400"
    assert facts["Recursive DNS server"] == "2001:db8:0:10::101"
    assert facts["DNS search list"].split() == ["ocp45.example.localdomain", "example.localdomain"]


def test_kernel_takes_the_prefix_and_mtu_and_makes_neither_address_nor_default_route(lab: Lab6) -> None:
    node = lab.node("node", NODE_MAC)
    settings(lab, node, accept_ra=2, autoconf=1)
    lab.serve("advertising", program="tests.ra_lab")
    until("ip -6 route | grep -q 2001:db8:0:10::/64", lab, node)
    assert "1400" in lab.run(node, "sysctl", "-n", "net.ipv6.conf.eth0.mtu")
    assert "default" not in lab.run(node, "ip", "-6", "route")
    addresses = json.loads(lab.run(node, "ip", "-6", "-j", "addr", "show", "dev", "eth0", "scope", "global"))
    assert [each for link in addresses for each in link.get("addr_info", ())] == []


def test_appliance_itself_does_not_hear_its_advertisements(lab: Lab6) -> None:
    node = lab.node("node", NODE_MAC)
    lab.run(APPLIANCE_NAMESPACE, "sysctl", "-qw", "net.ipv6.conf.br0.accept_ra=2")
    settings(lab, node, accept_ra=2)
    lab.serve("advertising", program="tests.ra_lab")
    until("ip -6 route | grep -q 2001:db8:0:10::/64", lab, node)
    assert "expires" not in lab.run(APPLIANCE_NAMESPACE, "ip", "-6", "route", "show", "dev", "br0")


def test_missing_routers_are_told_about(lab: Lab6) -> None:
    lab.node("node", NODE_MAC)
    event = lab.serve("silent", program="tests.ra_lab").event("ra.none")
    assert event["interface"] == "br0"


@pytest.mark.skipif(bool(why_missing("radvd")), reason=why_missing("radvd"))
def test_router_without_the_flag_m_is_told_about(lab: Lab6) -> None:
    served = lab.serve("silent", program="tests.ra_lab")
    radvd(lab, "router", "52:54:00:00:00:01", "AdvOtherConfigFlag on;")
    event = served.event("ra.unmanaged")
    assert event["network"] == "2001:db8:0:10::/64"
    assert event["router"] == "fe80::5054:ff:fe00:1"
