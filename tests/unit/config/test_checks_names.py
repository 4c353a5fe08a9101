"""The zone, its records, and who may ask: one flaw in a clean file, and what is told."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told, with_dns

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
        (
            "41: dns.nameServers[0].address: is missing; "
            "ns1.prod.example.com lies in the zone, which must tell its address"
        ),
    ),
    (
        with_dns("  nameServers:\n    - {name: ns.other.com, address: 192.0.2.53}\n"),
        (
            "41: warning: dns.nameServers[0].address: is not used: ns.other.com is outside the zone "
            "prod.example.com, whose own server tells it"
        ),
    ),
    (
        edited(("198.51.100.53", "192.0.2.5")),
        "39: dns.forwarders[0]: 192.0.2.5:53 is the appliance itself; name the DNS server behind it",
    ),
    (
        edited(("  forwarders: [198.51.100.53]", "  ttl: 60")),
        (
            "38: warning: dns.forwarders: is not given, so nodes cannot find quay.io; "
            "name your DNS servers, or write `forwarders: []` for none"
        ),
    ),
    (
        with_dns("  allowRecursion: [0.0.0.0/0]\n"),
        (
            "40: warning: dns.allowRecursion[0]: 0.0.0.0/0 makes the appliance an open resolver; "
            "write the networks of your own"
        ),
    ),
    (
        f"{CLEAN}dhcp:\n  search: [apps.prod.example.com]\n",
        (
            "41: warning: dhcp.search[0]: apps.prod.example.com is under the wildcard: "
            "every unknown name would lead to the ingress"
        ),
    ),
    (
        with_dns('  records:\n    - {name: "*", type: A, value: 192.0.2.9}\n'),
        ('41: dns.records[0].name: "*" is not a name (RFC 1123); write letters, digits, hyphens and underscores'),
    ),
    (
        with_dns('  records:\n    - {name: "*.prod.example.com", type: A, value: 192.0.2.9}\n'),
        (
            "41: warning: dns.records[0].name: *.prod.example.com answers for every name that is not there, "
            "also quay.io.prod.example.com, which nodes try first"
        ),
    ),
    (
        with_dns("  records:\n    - {name: m1, type: CNAME, value: m2}\n"),
        (
            "41: dns.records[0].name: m1.prod.example.com has addresses from hosts[1], "
            "and a CNAME stands alone; leave this one out"
        ),
    ),
    (
        with_dns("  records:\n    - {name: a, type: CNAME, value: m2}\n    - {name: a, type: TXT, value: b}\n"),
        ("42: dns.records[1].name: a.prod.example.com has a CNAME and another record (line 41); a CNAME stands alone"),
    ),
    (
        with_dns("  records:\n    - {name: a, type: TXT, value: b}\n    - {name: a, type: TXT, value: b}\n"),
        "42: dns.records[1].value: a.prod.example.com has this TXT record twice (first on line 41); keep one",
    ),
    (
        with_dns("  records:\n    - {name: api, type: A, value: 192.0.2.10}\n"),
        "41: dns.records[0].name: api.prod.example.com has its addresses from apiVIPs; add this one there",
    ),
    (
        with_dns("  records:\n    - {name: 192.0.2.21, type: PTR, value: x}\n"),
        "41: dns.records[0].name: 192.0.2.21 has the PTR record of hosts[1]; leave this one out",
    ),
    (
        with_dns("  records:\n    - {name: www.other.com., type: A, value: 192.0.2.10}\n"),
        "41: dns.records[0].name: www.other.com is outside the zone prod.example.com; only PTR records may be",
    ),
    (
        with_dns("  records:\n    - {name: a, type: SPF, value: x}\n"),
        '41: dns.records[0].type: "SPF" is not known here; write A, AAAA, CNAME, TXT, SRV, MX or PTR',
    ),
    (
        with_dns("  records:\n    - {name: a, type: MX, value: mail}\n"),
        '41: dns.records[0].value: "mail" is no MX data, which is preference, name; write it as 10 mail',
    ),
    (
        with_dns("  records:\n    - {name: a, type: CNAME, value: 192.0.2.9}\n"),
        '41: dns.records[0].value: "192.0.2.9" points to an address; CNAME points to a name, as lb1',
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_told_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
