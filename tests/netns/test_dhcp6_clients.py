"""Common DHCPv6 clients and relays with the appliance's DHCPv6 server, in namespaces."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp6_lab import Lab6
from tests.dhcp6_messages import BS_MAC
from tests.dhcp_lab import can_make_namespaces

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(60),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

DHCLIENT_CONF = """
option dhcp6.ntp-server code 56 = string;
request dhcp6.name-servers, dhcp6.domain-search, dhcp6.sntp-servers, dhcp6.fqdn;
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab6]:
    with Lab6(tmp_path) as lab:
        lab.node_network()
        yield lab


def script(lab: Lab6) -> str:
    """Write the script that a client runs on each change of its lease; it saves its environment."""
    path = lab.directory / "script.sh"
    path.write_text(f'#!/bin/sh\n{{ echo "event=${{1:-$reason}}"; env; }} >> {lab.directory}/env\n')
    path.chmod(0o755)
    return str(path)


def environment(lab: Lab6) -> dict[str, str]:
    """Return the variables that the client has set for its script, with their last values."""
    lines = (lab.directory / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def until_reason(lab: Lab6, reason: str) -> dict[str, str]:
    """Wait until the client has run its script for *reason*; return the variables of its script."""
    deadline = time.monotonic() + 30
    while reason not in (got := environment(lab)).get("reason", "") and time.monotonic() < deadline:
        time.sleep(0.02)
    return got


def dhclient(lab: Lab6, namespace: str, *more: str) -> dict[str, str]:
    """Run the client of ISC until it has its lease; return the variables of its script."""
    conf, lease_file = lab.directory / "dhclient.conf", lab.directory / "leases"
    conf.write_text(DHCLIENT_CONF)
    files = ("-cf", str(conf), "-lf", str(lease_file), "-pf", str(lab.directory / "pid"), "-sf", script(lab))
    client = lab.start(namespace, "dhclient", "-6", "-d", "-v", "-1", *more, *files, "eth0")
    assert client.stdout is not None
    # It says that it is bound, and then runs the script.
    next(line for line in client.stdout if "Bound to lease" in line)
    return until_reason(lab, "BOUND6")


def test_dhclient_gets_address_and_every_option(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    got = dhclient(lab, node)
    expected = {
        "new_ip6_address": "2001:db8:0:10::11",
        "new_preferred_life": "3600",
        "new_max_life": "3600",
        "new_dhcp6_name_servers": "2001:db8:0:10::101",
        "new_dhcp6_domain_search": "ocp45.example.localdomain. example.localdomain.",
    }
    assert {name: got.get(name) for name in expected} == expected
    assert served.event("dhcp.ack")["address"] == "2001:db8:0:10::11"
