"""Common DHCP clients, servers and a relay with the appliance's DHCP server, in namespaces."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp_lab import APPLIANCE_NAMESPACE, Lab, can_make_namespaces, ip
from tests.dhcp_messages import SYSTEM, request

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(60),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

BS_MAC, M1_MAC, W9_MAC = "00:50:56:96:11:c2", "00:50:56:96:37:c8", "00:50:56:96:99:39"

DHCLIENT_CONF = """
option classless code 121 = array of unsigned integer 8;
request subnet-mask, routers, domain-name-servers, host-name, domain-name, domain-search,
        ntp-servers, interface-mtu, broadcast-address, classless;
timeout 20;
"""

STALE_LEASE = """
lease {
  interface "eth0";
  fixed-address 172.16.0.99;
  option subnet-mask 255.255.255.0;
  option dhcp-server-identifier 172.16.0.101;
  option dhcp-lease-time 86400;
  renew 1 2037/01/05 00:00:00;
  rebind 1 2037/01/05 00:00:00;
  expire 1 2037/01/05 00:00:00;
}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        lab.node_network()
        yield lab


def script(lab: Lab) -> str:
    """Write the script that a client runs on each change of its lease; it saves its environment."""
    path = lab.directory / "script.sh"
    path.write_text(f'#!/bin/sh\n{{ echo "event=${{1:-$reason}}"; env; }} >> {lab.directory}/env\n')
    path.chmod(0o755)
    return str(path)


def environment(lab: Lab) -> dict[str, str]:
    """Return the variables that the client has set for its script, with their last values."""
    lines = (lab.directory / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def udhcpc(lab: Lab, namespace: str, *more: str) -> dict[str, str]:
    """Run the client of BusyBox until it has a lease; return the variables of its script."""
    asks = [part for name in ("ntpsrv", "mtu", "search", "lease") for part in ("-O", name)]
    lab.run(namespace, "udhcpc", "-i", "eth0", "-f", "-n", "-q", *asks, "-s", script(lab), *more)
    return environment(lab)


def dhclient(lab: Lab, namespace: str, leases: str = "") -> dict[str, str]:
    """Run the client of ISC until it has a lease; return the variables of its script."""
    conf, lease_file = lab.directory / "dhclient.conf", lab.directory / "leases"
    conf.write_text(DHCLIENT_CONF)
    lease_file.write_text(leases)
    pid_file = lab.directory / "dhclient.pid"
    files = ("-cf", str(conf), "-lf", str(lease_file), "-pf", str(pid_file), "-sf", script(lab))
    client = lab.start(namespace, "dhclient", "-d", "-v", "-1", *files, "eth0")
    assert client.stdout is not None
    for line in client.stdout:
        if line.startswith("bound to"):
            break
    return environment(lab)


def start_daemon(lab: Lab, namespace: str, *command: str) -> None:
    """Start another DHCP server or a relay; return when it has its UDP socket."""
    daemon = lab.start(namespace, *command)
    deadline = time.monotonic() + 30
    while ":67 " not in lab.run(namespace, "ss", "-Hlnu"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            pytest.fail(f"{command[0]} does not serve: {daemon.communicate()[0]}")
        time.sleep(0.05)


def far_network(lab: Lab) -> str:
    """Add a network behind the relay of ISC, which adds option 82; return its only machine, w9."""
    relay = lab.node("relay", "52:54:00:00:00:02")
    far = lab.namespace("dhcp-far")
    lab.cable(far, "eth0", relay, "eth1", W9_MAC)
    ip(
        f"-n {relay} addr add 172.16.0.1/24 dev eth0",
        f"-n {relay} addr add 172.16.9.1/24 dev eth1",
        f"-n {APPLIANCE_NAMESPACE} route add 172.16.9.0/24 via 172.16.0.1",
    )
    start_daemon(lab, relay, "dhcrelay", "-d", "-4", "-a", "-id", "eth1", "-iu", "eth0", "172.16.0.101")
    return far


def test_udhcpc_gets_address_name_and_every_option(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    lab.serve()
    got = udhcpc(lab, node)
    expected = {
        "ip": "172.16.0.11",
        "subnet": "255.255.255.0",
        "router": "172.16.0.254",
        "dns": "172.16.0.101",
        "hostname": "bs.ocp45.example.localdomain",
        "domain": "ocp45.example.localdomain",
        "ntpsrv": "172.16.0.101 172.16.0.102",
        "mtu": "1400",
        "search": "ocp45.example.localdomain example.localdomain",
        "lease": "3600",
        "serverid": "172.16.0.101",
    }
    assert {name: got.get(name) for name in expected} == expected


def test_dhclient_gets_address_name_and_every_option(lab: Lab) -> None:
    node = lab.node("m1", M1_MAC)
    lab.serve()
    got = dhclient(lab, node)
    expected = {
        "new_ip_address": "172.16.0.21",
        "new_subnet_mask": "255.255.255.0",
        "new_broadcast_address": "172.16.0.255",
        "new_routers": "172.16.0.254",
        "new_domain_name_servers": "172.16.0.101",
        "new_host_name": "m1.ocp45.example.localdomain",
        "new_domain_name": "ocp45.example.localdomain",
        "new_domain_search": "ocp45.example.localdomain. example.localdomain.",
        "new_ntp_servers": "172.16.0.101 172.16.0.102",
        "new_interface_mtu": "1400",
        "new_dhcp_lease_time": "3600",
        "new_dhcp_renewal_time": "1800",
        "new_dhcp_rebinding_time": "3150",
    }
    assert {name: got.get(name) for name in expected} == expected


def test_dhcpcd_gets_its_address(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    lab.serve()
    lab.run(node, "dhcpcd", "-4", "-1", "-B", "-A", "-c", script(lab), "-t", "20", "--nogateway", "eth0")
    got = environment(lab)
    assert got["new_ip_address"] == "172.16.0.11"
    assert got["new_host_name"] == "bs.ocp45.example.localdomain"


def test_dhclient_with_a_foreign_lease_is_refused_and_then_gets_its_own_address(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve()
    got = dhclient(lab, node, STALE_LEASE)
    assert served.event("dhcp.nak")["asked"] == "172.16.0.99"
    assert got["new_ip_address"] == "172.16.0.11"


def test_unknown_mac_gets_no_address_and_is_reported(lab: Lab) -> None:
    node = lab.node("stranger", "52:54:00:00:00:99")
    served = lab.serve()
    done = subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            node,
            "udhcpc",
            "-i",
            "eth0",
            "-f",
            "-n",
            "-q",
            "-t",
            "2",
            "-T",
            "1",
            "-s",
            "/bin/true",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "no lease" in done.stderr
    assert served.event("dhcp.unknown")["mac"] == "52:54:00:00:00:99"


def test_client_that_finds_its_address_taken_declines_it_and_is_reported(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    squatter = lab.node("squatter", "52:54:00:00:00:01")
    ip(f"-n {squatter} addr add 172.16.0.11/24 dev eth0")
    served = lab.serve()
    client = lab.start(node, "udhcpc", "-i", "eth0", "-f", "-a", "-s", "/bin/true")
    event = served.event("dhcp.decline")
    client.terminate()
    assert (event["host"], event["address"]) == ("bs.ocp45.example.localdomain", "172.16.0.11")


def test_release_is_reported(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve()
    # A RELEASE is sent by unicast, so the client needs the address that it releases.
    ip(f"-n {node} addr add 172.16.0.11/24 dev eth0")
    lease_file = lab.directory / "leases"
    lease_file.write_text(STALE_LEASE.replace("172.16.0.99", "172.16.0.11"))
    lab.run(
        node, "dhclient", "-r", "-lf", str(lease_file), "-pf", str(lab.directory / "pid"), "-sf", "/bin/true", "eth0"
    )
    assert served.event("dhcp.release")["address"] == "172.16.0.11"


def test_client_behind_a_real_relay_gets_the_address_of_its_network(lab: Lab) -> None:
    far = far_network(lab)
    served = lab.serve()
    got = dhclient(lab, far)
    assert (got["new_ip_address"], got["new_routers"]) == ("172.16.9.39", "172.16.9.1")
    # 10.20.0.0/16 via 172.16.9.2, and the default route: a client that uses option 121 ignores option 3.
    assert got["new_classless"] == "16 10 20 172 16 9 2 0 172 16 9 1"
    assert served.event("dhcp.ack")["relay"] == "172.16.9.1"


def test_host_moved_behind_a_relay_is_refused_its_old_address(lab: Lab) -> None:
    far = far_network(lab)
    served = lab.serve()
    got = dhclient(lab, far, STALE_LEASE)
    assert served.event("dhcp.nak")["relay"] == "172.16.9.1"
    assert got["new_ip_address"] == "172.16.9.39"


def test_client_without_an_address_is_reached_by_a_frame_to_its_mac(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve()
    udhcpc(lab, node)
    assert served.counts() == {"reply offer": 1, "reply ack": 1, "sent frame": 2}


def test_without_cap_net_raw_replies_are_broadcast(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    served = lab.serve(wrapper=("setpriv", "--bounding-set", "-net_raw"))
    udhcpc(lab, node)
    assert served.counts() == {"reply offer": 1, "reply ack": 1, "sent broadcast": 2}


def test_another_dhcp_server_on_the_segment_is_reported(lab: Lab) -> None:
    rogue = lab.node("rogue", "52:54:00:00:00:03")
    ip(f"-n {rogue} addr add 172.16.0.66/24 dev eth0")
    leases = lab.directory / "rogue.leases"
    options = ("--port=0", "--dhcp-authoritative", f"--dhcp-leasefile={leases}", "--user=root", "--no-ping")
    start_daemon(lab, rogue, "dnsmasq", "-d", "-C", "/dev/null", *options, "--dhcp-range=172.16.0.200,172.16.0.210,1h")
    served = lab.serve()
    event = served.event("dhcp.rogue")
    assert (event["server"], event["interface"]) == ("172.16.0.66", "br0")
    assert event["offered"].startswith("172.16.0.2")
    assert leases.read_text() == ""  # no address of its pool was used


def test_search_for_other_servers_reports_nothing_where_there_are_none(lab: Lab) -> None:
    """The search of a second appliance reaches the first, which must not answer or report an unknown machine."""
    node = lab.node("second", "52:54:00:00:00:04")
    ip(f"-n {node} addr add 172.16.0.105/24 dev eth0")
    first = lab.serve()
    lab.serve(namespace=node)
    deadline = time.monotonic() + 20
    while "silence own-probe" not in (counts := first.counts()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert counts == {"silence own-probe": 1}


def test_renewal_in_unicast_is_acknowledged_in_unicast(lab: Lab) -> None:
    node = lab.node("bs", BS_MAC)
    ip(f"-n {node} addr add 172.16.0.11/24 dev eth0")
    served = lab.serve()
    payload = request("request", *SYSTEM, ciaddr="172.16.0.11").hex()
    code = (
        "from socket import *;s=socket(AF_INET,SOCK_DGRAM);s.bind(('172.16.0.11',68));s.settimeout(5);"
        f"s.sendto(bytes.fromhex('{payload}'),('172.16.0.101',67));d,a=s.recvfrom(2048);print(a,d[242])"
    )
    assert lab.run(node, "python3", "-c", code).strip() == "('172.16.0.101', 67) 5"
    assert served.counts() == {"reply ack": 1, "sent unicast": 1}
