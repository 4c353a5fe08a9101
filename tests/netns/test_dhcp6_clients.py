"""Common DHCPv6 clients and relays with the appliance's DHCPv6 server, in namespaces."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp6_lab import Lab6
from tests.dhcp6_messages import BS_MAC, M1_MAC
from tests.dhcp_lab import APPLIANCE_NAMESPACE, can_make_namespaces, ip

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(60),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

W2_MAC, STRANGER_MAC = "00:50:56:96:c1:c5", "52:54:00:00:00:99"
BS_ADDRESS, M1_ADDRESS, W2_ADDRESS = "2001:db8:0:10::11", "2001:db8:0:10::21", "2001:db8:0:20::32"

DHCLIENT_CONF = """
request dhcp6.name-servers, dhcp6.domain-search, dhcp6.sntp-servers, dhcp6.fqdn;
"""
DHCPCD_CONF = """
noipv6rs
slaac private
option dhcp6_name_servers, dhcp6_domain_search
interface eth0
ia_na 1
"""
UUID_DUID = r'default-duid "\000\004\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020";'


def lease_of(address: str) -> str:
    """Return the lease file of a client that had *address* until now."""
    now = int(time.time())
    return f"""{UUID_DUID}
lease6 {{
  interface "eth0";
  ia-na 56:96:11:c2 {{
    starts {now};
    renew 1800;
    rebind 2880;
    iaaddr {address} {{ starts {now}; preferred-life 3600; max-life 3600; }}
  }}
  option dhcp6.client-id 0:4:1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:10;
  option dhcp6.server-id 0:4:79:8:4c:43:9c:78:58:b6:ae:ac:87:bd:99:d7:fd:3e;
}}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab6]:
    with Lab6(tmp_path) as lab:
        lab.node_network()
        yield lab


def script(lab: Lab6, end: str = "") -> str:
    """Write the script that a client runs on each change of its lease: it saves its environment, and does *end*."""
    path = lab.directory / "script.sh"
    path.write_text(f'#!/bin/sh\n{{ echo "event=${{1:-$reason}}"; env; }} >> {lab.directory}/env\n{end}\n')
    path.chmod(0o755)
    return str(path)


def environment(lab: Lab6) -> dict[str, str]:
    """Return the variables that the client has set for its script, with their last values."""
    path = lab.directory / "env"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def until_reason(lab: Lab6, reason: str) -> dict[str, str]:
    """Wait until the client has run its script for *reason*; return the variables of its script."""
    deadline = time.monotonic() + 30
    while reason not in (got := environment(lab)).get("reason", ""):
        assert time.monotonic() < deadline, f"no {reason}: {got}"
        time.sleep(0.02)
    return got


def start_dhclient(lab: Lab6, namespace: str, *more: str, leases: str = "", end: str = "") -> "subprocess.Popen[str]":
    """Start the client of ISC; *end* is what its script does last."""
    conf, lease_file = lab.directory / "dhclient.conf", lab.directory / "leases"
    conf.write_text(DHCLIENT_CONF)
    lease_file.write_text(leases)
    files = ("-cf", str(conf), "-lf", str(lease_file), "-pf", str(lab.directory / "pid"), "-sf", script(lab, end))
    return lab.start(namespace, "dhclient", "-6", "-d", "-v", "-1", *more, *files, "eth0")


def dhclient(lab: Lab6, namespace: str, *more: str, leases: str = "", reason: str = "BOUND6") -> dict[str, str]:
    """Run the client of ISC until it has run its script for *reason*; return the variables of its script."""
    start_dhclient(lab, namespace, *more, leases=leases)
    return until_reason(lab, reason)


def use_stable_privacy(namespace: str) -> None:
    """Give the machine a link-local address that does not tell its MAC address (RFC 7217)."""
    ip(
        f"-n {namespace} addr flush dev eth0 scope link",
        f"-n {namespace} addr add fe80::1234:5678:9abc:def0/64 dev eth0 nodad",
    )


def test_dhclient_gets_address_and_every_option(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    got = dhclient(lab, node)
    expected = {
        "new_ip6_address": BS_ADDRESS,
        "new_preferred_life": "3600",
        "new_max_life": "3600",
        "new_dhcp6_name_servers": "2001:db8:0:10::101",
        "new_dhcp6_domain_search": "ocp45.example.localdomain. example.localdomain.",
        "new_dhcp6_server_id": "0:4:79:8:4c:43:9c:78:58:b6:ae:ac:87:bd:99:d7:fd:3e",
    }
    assert {name: got.get(name) for name in expected} == expected
    assert "bs.ocp45.example.localdomain" in got["new_fqdn_fqdn"]
    assert served.event("dhcp.ack")["address"] == BS_ADDRESS


def test_dhclient_without_a_known_duid_or_address_is_known_by_its_mac(lab: Lab6) -> None:
    node = lab.node("m1", M1_MAC)
    use_stable_privacy(node)
    served = lab.serve6()
    got = dhclient(lab, node, leases=UUID_DUID)
    assert got["new_ip6_address"] == M1_ADDRESS
    # At its first message: the server has waited for the kernel to find out.
    assert served.counts() == {"reply advertise": 1, "reply reply": 1}


def test_dhclient_renews_in_time(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    lab.serve6("short")
    assert dhclient(lab, node, reason="RENEW6")["new_ip6_address"] == BS_ADDRESS


def test_dhclient_confirms_the_address_that_it_had(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    start_dhclient(lab, node, leases=lease_of(BS_ADDRESS))
    assert served.event("dhcp.ack")["address"] == BS_ADDRESS
    assert served.counts() == {"reply reply": 1}


def test_dhclient_with_a_foreign_address_gets_its_own(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    got = dhclient(lab, node, leases=lease_of("2001:db8:0:10::77"))
    assert served.event("dhcp.nak")["asked"] == "2001:db8:0:10::77"
    assert got["new_ip6_address"] == BS_ADDRESS


def test_dhclient_that_asks_for_options_only_gets_them(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    start_dhclient(lab, node, "-S")
    got = until_reason(lab, "RENEW6")
    assert got["new_dhcp6_name_servers"] == "2001:db8:0:10::101"
    assert "new_ip6_address" not in got
    assert served.event("dhcp.ack")["host"] == "bs.ocp45.example.localdomain"


def test_dhclient_releases_its_address(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    start_dhclient(lab, node, "-r", leases=lease_of(BS_ADDRESS))
    assert served.event("dhcp.release")["address"] == BS_ADDRESS


def test_address_that_another_machine_uses_is_declined_and_told(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    start_dhclient(lab, node, end="test $reason = BOUND6 && exit 3; exit 0")
    assert served.event("dhcp.decline")["address"] == BS_ADDRESS


def dhcpcd(lab: Lab6, namespace: str, more: str = "") -> dict[str, str]:
    """Run dhcpcd until it has its lease; *more* is added to its configuration; return the variables of its script."""
    conf = lab.directory / "dhcpcd.conf"
    conf.write_text(DHCPCD_CONF + more)
    # Its state is in /run and /var/lib, of which it gets its own: an interface eth0 may exist on this machine too.
    private = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib/dhcpcd && exec dhcpcd"
    arguments = f"-6 -1 -B -d -f {conf} -c {script(lab)} -t 20 eth0"
    lab.run(namespace, "unshare", "--mount", "sh", "-c", f"{private} {arguments}", seconds=40)
    return environment(lab)


def test_dhcpcd_gets_its_address(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    got = dhcpcd(lab, node)
    assert got["new_dhcp6_ia_na1_ia_addr1"] == BS_ADDRESS
    assert got["new_dhcp6_name_servers"] == "2001:db8:0:10::101"
    assert served.event("dhcp.ack")["address"] == BS_ADDRESS


def test_dhcpcd_gets_its_address_in_one_exchange_by_rapid_commit(lab: Lab6) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve6()
    assert dhcpcd(lab, node, "option dhcp6_rapid_commit\n")["new_dhcp6_ia_na1_ia_addr1"] == BS_ADDRESS
    counts = served.counts()
    assert "reply advertise" not in counts
    assert counts["reply reply"] > 0


@pytest.mark.parametrize("exchange", ["", "-f 20 -F 10"], ids=["first", "renewed"])
def test_perfdhcp_gets_every_answer(lab: Lab6, exchange: str) -> None:
    node = lab.node("bs", BS_MAC)
    lab.serve6()
    how = f"-6 -l eth0 -r 50 -n 100 -R 20 -W 1000000 {exchange}"
    said = lab.run(node, "perfdhcp", *how.split())
    sent, received = (re.findall(rf"{word} packets: (\d+)", said) for word in ("sent", "received"))
    assert "100" in sent, said
    assert sent == received, said


def test_unknown_mac_gets_no_address_and_is_reported(lab: Lab6) -> None:
    node = lab.node("stranger", STRANGER_MAC)
    served = lab.serve6()
    start_dhclient(lab, node)
    assert served.event("dhcp.unknown")["mac"] == STRANGER_MAC
    assert "reply advertise" not in served.counts()


# Relays


def far_network(lab: Lab6, *options: str) -> str:
    """Add a network behind the relay of ISC; return its only machine, w2."""
    relay = lab.node("relay", "52:54:00:00:00:02")
    far = lab.namespace("dhcp-far")
    lab.cable(far, "eth0", relay, "eth1", W2_MAC)
    lab.run(relay, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    ip(
        f"-n {relay} addr add 2001:db8:0:10::2/64 dev eth0 nodad",
        f"-n {relay} addr add 2001:db8:0:20::1/64 dev eth1 nodad",
        f"-n {APPLIANCE_NAMESPACE} route add 2001:db8:0:20::/64 via 2001:db8:0:10::2",
    )
    lab.run(far, "sh", "-c", "until ip -6 addr show dev eth0 | grep -q fe80; do sleep 0.02; done")
    start_relay(lab, relay, *options)
    return far


def start_relay(lab: Lab6, namespace: str, *options: str) -> None:
    """Start the relay of ISC between eth1 and eth0; return when it has its socket."""
    server = () if "-u" in options else ("-u", "2001:db8:0:10::101%eth0")
    relay = lab.start(namespace, "dhcrelay", "-d", "-6", "-l", "eth1", *server, *options)
    deadline = time.monotonic() + 30
    while ":547 " not in lab.run(namespace, "ss", "-Hlnu"):
        if relay.poll() is not None or time.monotonic() > deadline:
            relay.kill()
            pytest.fail(f"dhcrelay does not serve: {relay.communicate()[0]}")
        time.sleep(0.05)


def test_client_behind_a_real_relay_gets_the_address_of_its_network(lab: Lab6) -> None:
    far = far_network(lab)
    served = lab.serve6()
    assert dhclient(lab, far)["new_ip6_address"] == W2_ADDRESS
    assert served.event("dhcp.ack")["relay"] == "2001:db8:0:20::1"


def test_relay_finds_the_interface_of_its_client_by_its_interface_id(lab: Lab6) -> None:
    far = far_network(lab, "-I")
    lab.serve6()
    assert dhclient(lab, far)["new_ip6_address"] == W2_ADDRESS


def test_relay_that_sends_to_the_group_of_servers_is_heard(lab: Lab6) -> None:
    far = far_network(lab, "-u", "ff05::1:3%eth0")
    lab.serve6()
    assert dhclient(lab, far)["new_ip6_address"] == W2_ADDRESS
