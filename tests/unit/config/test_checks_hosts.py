"""Names, MAC addresses, addresses and roles of hosts: a correct file with one mistake, and the resulting problem."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, check_text, edited, flaw_id, told

TWO_NETWORKS = edited(
    ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 198.51.100.0/24\n"),
    ("macAddress: 52:54:00:00:00:22", "macAddress: [52:54:00:00:00:22, 52:54:00:00:01:22]"),
    ("198.51.100.53", "203.0.113.53"),
)

SECOND_CARD = """\
    networkConfig:
      interfaces:
        - {name: eno1, ipv4: {dhcp: true}}
        - {name: eno2, ipv4: {address: [{ip: 198.51.100.22, prefix-length: 24}]}}
      routes: {config: [{destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: eno1}]}
"""

FLAWS = [
    (
        edited(
            ("apiVIPs: 192.0.2.8", "apiVIPs: [192.0.2.8, '2001:db8::8']"),
            ("    address: 192.0.2.31\n", "    address: 192.0.2.31\n    addressIPv6: 2001:db8::8\n"),
        ),
        "38: hosts[4].addressIPv6: 2001:db8::8 is the API's address (apiVIPs) (line 13); change one of them",
    ),
    (
        TWO_NETWORKS.replace("    address: 192.0.2.22\n", f"    address: 192.0.2.22\n{SECOND_CARD}"),
        (
            "29: warning: hosts[2].macAddress[1]: m2 has several interfaces and only 192.0.2.22, which DHCP gives to "
            "each; an interface in 198.51.100.0/24 gets no answer, so boot from one in the address's network"
        ),
    ),
    (
        edited(("hostname: m2", "hostname: m1")),
        "26: hosts[2].hostname: m1.prod.example.com is also used by m1 (line 22); each host needs its own name",
    ),
    (
        edited(("hostname: m2", "hostname: m1.prod.example.com")),
        "26: hosts[2].hostname: m1.prod.example.com is also used by m1 (line 22); each host needs its own name",
    ),
    (
        edited(("hostname: m2", "hostname: m_2")),
        (
            '26: hosts[2].hostname: "m_2" is not a valid name (RFC 1123); use letters, digits and '
            "hyphens, with no hyphen at either end"
        ),
    ),
    (
        edited(("hostname: m2", f"hostname: {'m' * 64}")),
        f'26: hosts[2].hostname: "{"m" * 57}..." has 64 characters; a label has at most 63',
    ),
    (
        edited(("hostname: m2", "hostname: m2..x")),
        '26: hosts[2].hostname: "m2..x" has two dots in a row, or begins with a dot',
    ),
    (
        edited(("hostname: m2", "hostname: api-int")),
        (
            "26: hosts[2].hostname: api-int.prod.example.com is reserved for the cluster; choose another "
            "name for the machine"
        ),
    ),
    (
        edited(("hostname: m2", "hostname: localhost")),
        (
            "26: hosts[2].hostname: localhost.prod.example.com makes the machine call itself localhost; "
            "choose another name"
        ),
    ),
    (
        edited(("hostname: m2", "hostname: appliance")),
        (
            "26: hosts[2].hostname: appliance.prod.example.com is the name of the appliance (line 15); "
            "choose another name for the machine"
        ),
    ),
    (
        edited(("hostname: m2", "hostname: m2.prod.exmaple.com")),
        (
            "26: warning: hosts[2].hostname: m2.prod.exmaple.com is outside the zone prod.example.com, so it has "
            "no A record here; correct it, or make sure that another DNS server has that record"
        ),
    ),
    (
        edited(("hostname: m2", "hostname: m2.apps.prod.example.com")),
        (
            "26: warning: hosts[2].hostname: m2.apps.prod.example.com is below the wildcard "
            "*.apps.prod.example.com, which is for routes"
        ),
    ),
    (
        edited(("hostname: m2", f"hostname: {'m' * 60}")),
        (
            f"26: warning: hosts[2].hostname: {'m' * 60}.prod.example.com has 77 characters; "
            "RHCOS truncates host names to 63"
        ),
    ),
    (
        edited(("  name: prod", "  name: prod.x")),
        '3: metadata.name: "prod.x" contains a dot; write only the name here, and its domain as baseDomain',
    ),
    (
        edited(("52:54:00:00:00:22", "5254.0000.0021")),
        (
            "28: hosts[2].macAddress: 52:54:00:00:00:21 is also used by m1 (line 24); each interface "
            "needs its own MAC address"
        ),
    ),
    (
        edited(("52:54:00:00:00:22", "[52:54:00:00:00:22, 52-54-00-00-00-22]")),
        (
            "28: hosts[2].macAddress[1]: 52:54:00:00:00:22 is given twice (first on line 28); each "
            "interface needs its own MAC address"
        ),
    ),
    (
        edited(("52:54:00:00:00:22", "52:54:00:00:22")),
        '28: hosts[2].macAddress: "52:54:00:00:22" has 5 bytes; a MAC address has 6',
    ),
    (
        edited(("52:54:00:00:00:22", "52:54:00:00:00:2g")),
        '28: hosts[2].macAddress: "52:54:00:00:00:2g" is not a MAC address; for example 52:54:00:12:34:56',
    ),
    (
        edited(("52:54:00:00:00:22", "01:00:5e:00:00:01")),
        (
            '28: hosts[2].macAddress: "01:00:5e:00:00:01" is a multicast address; the first byte of an '
            "interface's own address is even"
        ),
    ),
    (
        edited(("52:54:00:00:00:22", "00:00:00:00:00:00")),
        ('28: hosts[2].macAddress: "00:00:00:00:00:00" is not the address of an interface; write the machine\'s own'),
    ),
    (
        edited(("    macAddress: 52:54:00:00:00:22\n", "")),
        "26: hosts[2].macAddress: is missing; for example `macAddress: 52:54:00:12:34:56`",
    ),
    (
        edited(("52:54:00:00:00:22", "[]")),
        "28: hosts[2].macAddress: is an empty list; add at least one entry",
    ),
    (
        edited(("52:54:00:00:00:22\n", "52:54:00:00:00:22\n    interfaces: [{macAddress: 52:54:00:00:01:22}]\n")),
        (
            "29: hosts[2].interfaces: conflicts with macAddress; write one of them, beginning with the "
            "interface that the machine boots from"
        ),
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.21")),
        "29: hosts[2].address: 192.0.2.21 is also used by m1 (line 25); each host needs its own address",
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.9.7")),
        (
            "29: hosts[2].address: 192.0.9.7 is outside networking.machineNetwork 192.0.2.0/24; change "
            "it, or add its network"
        ),
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.300")),
        '29: hosts[2].address: "192.0.2.300" has a part above 255; for example 192.0.2.21',
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.022")),
        '29: hosts[2].address: "192.0.2.022" has leading zeros; for example 192.0.2.21',
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.22/24")),
        '29: hosts[2].address: "192.0.2.22/24" has a prefix length; write only the address, for example 192.0.2.21',
    ),
    (
        edited(("address: 192.0.2.22", "address: 2001:db8::22")),
        ("29: hosts[2].address: networking.machineNetwork has no IPv6 network for 2001:db8::22; add its network"),
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.0")),
        "29: hosts[2].address: 192.0.2.0 is the network address of 192.0.2.0/24; no machine can have it",
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.255")),
        ("29: hosts[2].address: 192.0.2.255 is the broadcast address of 192.0.2.0/24; no machine can have it"),
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.8")),
        "29: hosts[2].address: 192.0.2.8 is the API's address (apiVIPs) (line 13); change one of them",
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.9")),
        "29: hosts[2].address: 192.0.2.9 is the ingress's address (ingressVIPs) (line 14); change one of them",
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.1")),
        "29: hosts[2].address: 192.0.2.1 is the gateway (line 8); change one of them",
    ),
    (
        edited(("address: 192.0.2.22", "address: 192.0.2.5")),
        "29: hosts[2].address: 192.0.2.5 is the appliance's own address (line 16); change one of them",
    ),
    (
        edited(
            ("192.0.2.21\n", "192.0.2.21\n    addressIPv6: 2001:db8::21\n"),
            ("192.0.2.22\n", "192.0.2.22\n    addressIPv6: 2001:db8:0::21\n"),
        ),
        "31: hosts[2].addressIPv6: 2001:db8::21 is also used by m1 (line 26); each host needs its own address",
    ),
    (
        edited(("role: worker", "role: storage")),
        (
            '35: hosts[4].role: "storage" is not valid; expected bootstrap, master, arbiter, worker, infra or other (a '
            "storage node is installed as a worker and labelled later)"
        ),
    ),
    (
        edited(("role: worker", "role: no")),
        '35: hosts[4].role: "no" is not valid; expected bootstrap, master, arbiter, worker, infra or other',
    ),
    (
        edited(("role: worker", "role: bootstrap")),
        "35: hosts[4].role: w1 is a second bootstrap host besides bs (line 19); a cluster has one",
    ),
    (
        CLEAN.replace("role: master", "role: worker"),
        "17: hosts: no host has the role master; a cluster needs three, or one for a single node",
    ),
    (
        edited(("role: master", "role: worker")),
        "17: warning: hosts: 2 hosts have the role master; etcd needs an odd number, three or one",
    ),
    (
        edited(("role: bootstrap", "role: worker")),
        ("17: warning: hosts: no host has the role bootstrap; a cluster that is not installed yet needs one"),
    ),
]


def test_two_masters_and_an_arbiter_are_a_cluster(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, edited(("m3\n    role: master", "a1\n    role: arbiter"))).clusters

    assert [host.role.ignition for host in cluster.hosts[1:4]] == ["master.ign", "master.ign", "arbiter.ign"]


def test_only_its_ignition_file_is_missing_for_an_arbiter(tmp_path: Path) -> None:
    (line,) = told(tmp_path, edited(("m3\n    role: master", "a1\n    role: arbiter")))

    assert line.startswith("31: warning: hosts[3].role: data/ignition/arbiter.ign not found")


def test_three_masters_and_an_arbiter_are_reported(tmp_path: Path) -> None:
    lines = told(tmp_path, edited(("w1\n    role: worker", "a1\n    role: arbiter")))

    assert lines[0] == (
        "17: warning: hosts: 4 hosts have the role master or arbiter; etcd needs an odd number of both together, "
        "for example two masters and an arbiter"
    )


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]


def test_host_may_have_two_cards_in_one_of_two_networks(tmp_path: Path) -> None:
    assert told(tmp_path, TWO_NETWORKS) == []
