"""The zone, its records, and its clients: a correct file with one mistake, and the resulting problem."""

import re
from pathlib import Path

import pytest

from appliance.config import check
from appliance.config.checks.names import names_given
from appliance.config.draft import Draft
from appliance.config.reading import read
from appliance.config.validation import validated
from appliance.dns.compile import compile_dns
from appliance.dns.contents import zones_of
from tests.config_files import CLEAN, check_text, edited, flaw_id, make_data_dir, told, with_dns

FLAWS = [
    (
        with_dns("  zone: other.com\n"),
        (
            "40: dns.zone: other.com is not the cluster's domain; "
            "write prod.example.com, or example.com for the whole base domain"
        ),
    ),
    (
        with_dns("  nameServers:\n    - name: ns1\n"),
        "41: dns.nameServers[0].address: is missing; ns1.prod.example.com is in the zone, which needs its address",
    ),
    (
        with_dns("  nameServers:\n    - {name: ns.other.com, address: 192.0.2.53}\n"),
        (
            "41: warning: dns.nameServers[0].address: not used: ns.other.com is outside the zone "
            "prod.example.com, and its address comes from its own zone"
        ),
    ),
    (
        edited(("198.51.100.53", "192.0.2.5")),
        "39: dns.forwarders[0]: 192.0.2.5:53 is the appliance itself; write the DNS server that it asks",
    ),
    (
        edited(("  forwarders: [198.51.100.53]", "  ttl: 60")),
        (
            "38: warning: dns.forwarders: not set: nodes will not resolve quay.io. List your DNS "
            "servers, or write `forwarders: []` if you mean none"
        ),
    ),
    (
        with_dns("  allowRecursion: [0.0.0.0/0]\n"),
        (
            "40: warning: dns.allowRecursion[0]: 0.0.0.0/0 makes the appliance an open resolver; write "
            "only your own networks"
        ),
    ),
    (
        edited(("apiVIPs: 192.0.2.8\n", "")) + "  records: [{name: api, type: CNAME, value: lb.corp.example}]\n",
        (
            "1: apiInternalVIPs: is missing; write the load balancer's address that api-int.prod.example.com "
            "must resolve to"
        ),
    ),
    (
        with_dns("  records: [{name: api, type: CNAME, value: lb.corp.example}]\n"),
        (
            "40: dns.records[0].name: api.prod.example.com already has records from apiVIPs, and a CNAME "
            "must be the only record of its name; remove this one"
        ),
    ),
    (
        with_dns(
            "  records:\n    - {name: mail, type: CNAME, value: m1}\n    - {name: '@', type: MX, value: 10 mail}\n"
        ),
        (
            "42: warning: dns.records[1].value: mail.prod.example.com is a CNAME (line 41), which clients "
            "need not follow from MX; write the name that it leads to"
        ),
    ),
    (
        with_dns("  allowRecursion: [2001::/16]\n"),
        (
            "40: warning: dns.allowRecursion[0]: 2001::/16 makes the appliance an open resolver; write "
            "only your own networks"
        ),
    ),
    (
        with_dns("  forward:\n    - {zone: corp.example, forwarders: 192.0.2.5}\n"),
        ("41: dns.forward[0].forwarders: 192.0.2.5:53 is the appliance itself; write the DNS server that it asks"),
    ),
    (
        with_dns("  forward:\n    - {zone: corp.example, forwarders: []}\n"),
        "41: dns.forward[0].forwarders: is an empty list; add at least one entry",
    ),
    (
        with_dns("  forward:\n    - {zone: 10.0.0.0/8, forwarders: 192.0.2.53}\n"),
        (
            '41: dns.forward[0].zone: "10.0.0.0/8" is a range of addresses; write the name of its reverse '
            "zone: 10.in-addr.arpa"
        ),
    ),
    (
        with_dns("  forward:\n    - {zone: prod.example.com, forwarders: 192.0.2.53}\n"),
        "41: dns.forward[0].zone: prod.example.com is the zone that this file serves; remove this entry",
    ),
    (
        with_dns("  forward:\n    - {zone: 2.0.192.in-addr.arpa, forwarders: 192.0.2.53}\n"),
        ("41: dns.forward[0].zone: 2.0.192.in-addr.arpa is the reverse zone of 192.0.2.0/24; remove this entry"),
    ),
    (
        with_dns("  forward:\n    - {zone: apps.prod.example.com, forwarders: 192.0.2.53}\n"),
        (
            "41: dns.forward[0].zone: *.apps.prod.example.com, which this file gives records, is in "
            "apps.prod.example.com; remove this entry"
        ),
    ),
    (
        with_dns(
            "  forward:\n    - {zone: corp.example, forwarders: 192.0.2.53}\n"
            "    - {zone: Corp.Example., forwarders: 192.0.2.54}\n"
        ),
        "42: dns.forward[1].zone: corp.example is also on line 41; list all its forwarders in one entry",
    ),
    (
        edited(("  forwarders: [198.51.100.53]", "  forwarders: []\n  forwardPrivateReverse: true")),
        "40: warning: dns.forwardPrivateReverse: has no effect: dns.forwarders lists no DNS server",
    ),
    (
        edited(("  forwarders: [198.51.100.53]", "  forwarders: []\n  dropPrivateAnswers: true")),
        "40: warning: dns.dropPrivateAnswers: has no effect: dns.forwarders lists no DNS server",
    ),
    (
        f"{CLEAN}dhcp:\n  search: [apps.prod.example.com]\n",
        (
            "41: warning: dhcp.search[0]: apps.prod.example.com is below the wildcard: every unknown "
            "name would resolve to the ingress"
        ),
    ),
    (
        with_dns('  records:\n    - {name: "*", type: A, value: 192.0.2.9}\n'),
        '41: dns.records[0].name: "*" is not a valid name (RFC 1123); use letters, digits, hyphens and underscores',
    ),
    (
        with_dns('  records:\n    - {name: "*.prod.example.com", type: A, value: 192.0.2.9}\n'),
        (
            "41: warning: dns.records[0].name: *.prod.example.com answers for every name that does not "
            "exist, including quay.io.prod.example.com, which nodes look up first"
        ),
    ),
    (
        with_dns("  records:\n    - {name: m1, type: CNAME, value: m2}\n"),
        (
            "41: dns.records[0].name: m1.prod.example.com already has records from hosts[1], and a CNAME "
            "must be the only record of its name; remove this one"
        ),
    ),
    (
        with_dns(
            "  nameServers: [{name: ns1, address: 192.0.2.5}]\n  records:\n    - {name: ns1, type: CNAME, value: m2}\n"
        ),
        (
            "42: dns.records[0].name: ns1.prod.example.com already has records from dns.nameServers[0], "
            "and a CNAME must be the only record of its name; remove this one"
        ),
    ),
    (
        with_dns("  records:\n    - {name: a, type: CNAME, value: m2}\n    - {name: a, type: TXT, value: b}\n"),
        (
            "42: dns.records[1].name: a.prod.example.com has a CNAME and another record (line 41); a "
            "CNAME must be the only record of its name"
        ),
    ),
    (
        with_dns("  records:\n    - {name: a, type: TXT, value: b}\n    - {name: a, type: TXT, value: b}\n"),
        "42: dns.records[1].value: a.prod.example.com has this TXT record twice (first on line 41); keep one",
    ),
    (
        with_dns("  records:\n    - {name: api, type: A, value: 192.0.2.10}\n"),
        "41: dns.records[0].name: api.prod.example.com gets its addresses from apiVIPs; add this one there",
    ),
    (
        with_dns("  records:\n    - {name: 192.0.2.21, type: PTR, value: x}\n"),
        "41: dns.records[0].name: 192.0.2.21 already has the PTR record of hosts[1]; remove this one",
    ),
    (
        with_dns("  records:\n    - {name: www.other.com., type: A, value: 192.0.2.10}\n"),
        "41: dns.records[0].name: www.other.com is outside the zone prod.example.com; only PTR records may be",
    ),
    (
        with_dns("  records:\n    - {name: a, type: SPF, value: x}\n"),
        '41: dns.records[0].type: "SPF" is not valid; expected A, AAAA, CNAME, MX, PTR, SRV or TXT',
    ),
    (
        with_dns("  records:\n    - {name: a, type: MX, value: mail}\n"),
        '41: dns.records[0].value: "mail" is not MX data; expected "preference target", as in "10 mail"',
    ),
    (
        with_dns("  records:\n    - {name: a, type: CNAME, value: 192.0.2.9}\n"),
        '41: dns.records[0].value: "192.0.2.9" has an address as its target; expected a name, as in "lb1"',
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    ("name", "giver"),
    [("etcd-0", "hosts[1], an etcd member"), ("_etcd-server-ssl._tcp", "the etcd members")],
)
def test_alias_at_a_name_of_etcd_s_is_reported_where_there_are_such(tmp_path: Path, name: str, giver: str) -> None:
    new = with_dns(f"  records:\n    - {{name: {name}, type: CNAME, value: m2}}\n")
    lines = told(tmp_path, edited(("4.16.3", "4.3"), text=new))

    assert told(tmp_path, new) == []
    assert [line for line in lines if "CNAME" in line] == [
        (
            f"41: dns.records[0].name: {name}.prod.example.com already has records from {giver}, "
            "and a CNAME must be the only record of its name; remove this one"
        )
    ]


LONGEST = ".".join(["x" * 63] * 3) + f".{'y' * 45}"  # hostmaster.prod.… has 253 characters
TOO_LONG = [
    (("example.com", f"{LONGEST}y"), "1: baseDomain: {} has 254 …: shorten baseDomain or metadata.name"),
    (("hostname: w1", f"hostname: {'z' * 11}"), "34: hosts[4].hostname: {} has 254 …: shorten it"),
    (("192.0.2.5", f"192.0.2.5\n  hostname: {'z' * 11}"), "17: appliance.hostname: {} has 254 …: shorten it"),
    (
        ("dns:", f"dns:\n  nameServers: [{{name: {'z' * 11}, address: 192.0.2.6}}]"),
        "39: dns.nameServers[0].name: {} has 254 …: shorten it",
    ),
    (
        ("dns:", f"dns:\n  records: [{{name: {'_' * 11}, type: A, value: 192.0.2.6}}]"),
        "39: dns.records[0].name: {} has 254 …: shorten it",
    ),
    (
        ("dns:", f"dns:\n  records: [{{name: a, type: MX, value: 10 {'z' * 11}}}]"),
        "39: dns.records[0].value: {} has 254 …: shorten it",
    ),
]


@pytest.mark.parametrize(("change", "expected"), TOO_LONG)
def test_full_name_that_is_too_long_is_reported(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    lines = told(tmp_path, edited(change).replace("example.com", LONGEST))

    (line,) = (re.sub('".*"', "{}", line) for line in lines if "warning" not in line and "253" in line)
    assert line == expected.replace("…", "characters; a full name has at most 253")


def test_text_that_no_message_has_room_for_is_reported(tmp_path: Path) -> None:
    assert told(tmp_path, with_dns(f"  records:\n    - {{name: a, type: TXT, value: {'x' * 65_000}}}\n")) == [
        f'41: dns.records[0].value: "{"x" * 57}..." takes 65255 octets; a TXT record has room for 65000'
    ]


def test_longest_names_and_text_that_pass_can_be_served(tmp_path: Path) -> None:
    text = edited(("example.com", LONGEST))
    records = f"""\
  records:
    - {{name: {"z" * 10}, type: TXT, value: {"x" * 64_700}}}
    - {{name: b, type: TXT, value: '"v=DKIM1; p={"x" * 400}" "\\255"'}}
    - {{name: c, type: CNAME, value: {"z" * 10}}}
"""
    checked = check_text(tmp_path, text + records)
    assert checked.errors == ()
    assert compile_dns(checked.clusters, lambda _zone, _digest: 1).nodes


@pytest.mark.parametrize("release", ["4.3.8", "4.16.3"])
def test_names_that_are_taken_are_those_that_the_zone_has(tmp_path: Path, release: str) -> None:
    """The checks have their own list of names that need no entry in dns.records."""
    path = tmp_path / "cluster.yaml"
    path.write_text(edited(("4.16.3", release), text=with_dns("  nameServers: [{name: ns1, address: 192.0.2.53}]\n")))
    document = read(path)
    draft = Draft(document, validated(document)[0])
    (cluster,) = check([path], make_data_dir(tmp_path), 0.0).clusters
    (zone,) = (zone for zone in zones_of([cluster]) if zone.name == draft.zone)

    assert set(names_given(draft)) == set(zone.rrsets) | {draft.zone}


@pytest.mark.parametrize("network", ["10.0.0.0/8", "fc00::/7", "fd00::/8", "2001:db8::/32"])
def test_network_of_one_site_may_ask(tmp_path: Path, network: str) -> None:
    assert told(tmp_path, with_dns(f"  allowRecursion: [{network!r}]\n")) == []


def test_zone_above_ours_and_a_zone_below_it_may_have_forwarders(tmp_path: Path) -> None:
    zones = ("example.com", "corp.prod.example.com", "10.in-addr.arpa", "192.in-addr.arpa")
    entries = "".join(f"    - {{zone: {zone}, forwarders: 198.51.100.54}}\n" for zone in zones)
    assert told(tmp_path, with_dns(f"  forward:\n{entries}")) == []


def test_host_may_have_a_name_in_another_domain(tmp_path: Path) -> None:
    assert told(tmp_path, edited(("hostname: m1", "hostname: rhx0421.dc1.corp.example"))) == []


def test_load_balancers_may_have_names_of_their_own(tmp_path: Path) -> None:
    text = edited(("apiVIPs: 192.0.2.8\ningressVIPs: 192.0.2.9\n", "apiInternalVIPs: 192.0.2.8\n"))
    records = (
        '[{name: api, type: CNAME, value: lb.corp.example}, {name: "*.apps", type: CNAME, value: lb2.corp.example}]'
    )
    assert told(tmp_path, f"{text}  records: {records}\n") == []


LOAD_BALANCER = edited(("apiVIPs: 192.0.2.8\n", "apiInternalVIPs: 192.0.2.8\n")) + (
    "  records:\n    - {name: api, type: CNAME, value: lb}\n    - {name: lb, type: CNAME, value: lb.corp.example.}\n"
)
FORWARD = "  forward: [{zone: corp.example, forwarders: 198.51.100.53}]\n"
NO_FORWARDER = (
    "41: warning: dns.records[0].value: lb.corp.example cannot be resolved here, because it has no forwarder; "
    "add its zone to dns.forward"
)
ONLY_PUBLIC = (
    "41: warning: dns.records[0].value: lb.corp.example has no address here if that is private, because of "
    "dropPrivateAnswers; add its zone to dns.forward"
)


@pytest.mark.parametrize(
    ("forwarders", "more", "expected"),
    [
        ("[198.51.100.53]", "", []),
        ("[]", "", [NO_FORWARDER]),
        ("[]", FORWARD, []),
        ("[198.51.100.53]", "  dropPrivateAnswers: true\n", [ONLY_PUBLIC]),
        ("[198.51.100.53]", f"  dropPrivateAnswers: true\n{FORWARD}", []),
    ],
)
def test_load_balancer_s_name_that_nobody_here_resolves_is_a_warning(
    tmp_path: Path, forwarders: str, more: str, expected: list[str]
) -> None:
    text = LOAD_BALANCER.replace("[198.51.100.53]", forwarders, 1) + more
    assert told(tmp_path, text) == expected


@pytest.mark.parametrize("name", ["m1.prod", "m1.rack1", "m1.prod.example", "m1.example.com", "m1.prod.exmaple.com"])
def test_host_name_in_a_part_of_the_domain_is_a_warning(tmp_path: Path, name: str) -> None:
    (line,) = told(tmp_path, edited(("hostname: m1", f"hostname: {name}")))
    assert line.startswith(f"22: warning: hosts[1].hostname: {name} is outside the zone prod.example.com")


@pytest.mark.parametrize("source", ["0.pool.ntp.example", "2001:db8::123"])
def test_time_server_that_dhcp_cannot_name_is_a_warning(tmp_path: Path, source: str) -> None:
    text = CLEAN.replace("[198.51.100.53]", "[]") + f"additionalNTPSources: [192.0.2.123, '{source}']\n"
    (said,) = told(tmp_path, text)
    assert said.startswith(f"40: warning: additionalNTPSources[1]: hosts are not told of {source}: DHCP option 42 ")


def test_time_server_that_forwarders_can_be_asked_for_is_no_problem(tmp_path: Path) -> None:
    assert told(tmp_path, f"{CLEAN}additionalNTPSources: 0.pool.ntp.example\n") == []


@pytest.mark.parametrize("name", ["m1.prod.example.com", "clock.prod.example.com", "appliance.prod.example.com"])
def test_time_server_in_the_zone_is_told_by_its_address(tmp_path: Path, name: str) -> None:
    record = "  records: [{name: clock, type: A, value: 192.0.2.60}]\n"
    (cluster,) = check_text(tmp_path, f"{CLEAN}{record}additionalNTPSources: {name}\n").clusters
    expected = {"m1": "192.0.2.21", "clock": "192.0.2.60", "appliance": "192.0.2.5"}[name.partition(".")[0]]

    assert [str(server) for server in cluster.networks[0].ntp_servers] == [expected]
    assert cluster.networks[0].ntp_names == ()


@pytest.mark.parametrize("source", ["192.0.2.300", "192.0.2.0/24", "a b", "ntp..example"])
def test_time_server_that_is_neither_address_nor_name_is_an_error(tmp_path: Path, source: str) -> None:
    (said,) = told(tmp_path, f"{CLEAN}additionalNTPSources: ['{source}']\n")
    assert said.startswith(f'40: additionalNTPSources[0]: "{source}" ')
