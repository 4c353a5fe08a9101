"""Several clusters on one appliance: conflicts between two files."""

from pathlib import Path

import pytest

from appliance.config import check
from tests.config_files import CLEAN, check_texts, edited


def other(*changes: tuple[str, str]) -> str:
    """Return a second cluster, without conflicts with CLEAN unless *changes* cause them."""
    text = CLEAN.replace("name: prod", "name: test").replace("192.0.2.", "203.0.113.").replace("52:54:00", "52:54:01")
    return edited(*changes, text=text)


def told(tmp_path: Path, *texts: str) -> list[str]:
    """Return the problems of *texts*, without missing files."""
    return [line for line in check_texts(tmp_path, texts) if "not found" not in line]


def test_two_clusters_get_along(tmp_path: Path) -> None:
    assert told(tmp_path, CLEAN, other()) == []


def test_two_clusters_may_share_a_network(tmp_path: Path) -> None:
    shared = CLEAN.replace("name: prod", "name: test").replace("52:54:00", "52:54:01")
    for number in (20, 21, 22, 23, 31):
        shared = shared.replace(f"address: 192.0.2.{number}", f"address: 192.0.2.{number + 100}")

    assert told(tmp_path, CLEAN, shared) == []


def test_mac_of_both_is_reported_in_the_second(tmp_path: Path) -> None:
    (line,) = told(tmp_path, CLEAN, other(("52:54:01:00:00:21", "52:54:00:00:00:21")))

    assert line == (
        "b.yaml:24: hosts[1].macAddress: 52:54:00:00:00:21 is also used by m1 "
        "(a.yaml:24); each interface needs its own MAC address"
    )


def test_address_of_both_is_reported_in_the_second(tmp_path: Path) -> None:
    second = other(("203.0.113.0/24", "192.0.2.0/24"), ("gateway: 203.0.113.1", "gateway: 192.0.2.1"))
    second = second.replace("203.0.113.", "192.0.2.1").replace("192.0.2.121", "192.0.2.21")

    assert told(tmp_path, CLEAN, second) == [
        "b.yaml:25: hosts[1].address: 192.0.2.21 is also used by m1 (a.yaml:25); each host needs its own address"
    ]


def test_host_on_the_other_cluster_s_load_balancer_is_reported(tmp_path: Path) -> None:
    second = other(("203.0.113.0/24", "192.0.2.0/24"), ("gateway: 203.0.113.1", "gateway: 192.0.2.1"))
    second = second.replace("203.0.113.", "192.0.2.1").replace("192.0.2.121", "192.0.2.8")

    assert told(tmp_path, CLEAN, second) == [
        "b.yaml:25: hosts[1].address: 192.0.2.8 is the API's address (apiVIPs) (a.yaml:13); change one of them"
    ]


def test_same_name_is_reported_at_the_name(tmp_path: Path) -> None:
    lines = told(tmp_path, CLEAN, other(("name: test", "name: prod")))

    assert lines[0] == "b.yaml:3: metadata.name: prod.example.com is also the cluster in a.yaml; choose another name"
    assert lines[1] == (
        "b.yaml:18: hosts[0].hostname: bs.prod.example.com is also used by bs (a.yaml:18); each host needs its own name"
    )


def test_overlapping_networks_are_reported(tmp_path: Path) -> None:
    second = other(("203.0.113.0/24", "192.0.2.0/23"), ("gateway: 203.0.113.1", "gateway: 192.0.3.1"))

    assert told(tmp_path, CLEAN, second.replace("203.0.113.", "192.0.3.")) == [
        (
            "b.yaml:7: networking.machineNetwork[0].cidr: 192.0.2.0/23 overlaps 192.0.2.0/24 (a.yaml:7); "
            "clusters must have the same network or separate ones"
        )
    ]


def test_shared_zone_is_a_warning(tmp_path: Path) -> None:
    zone = ("dns:\n", "dns:\n  zone: example.com\n")

    assert told(tmp_path, edited(zone), other(zone)) == [
        (
            "b.yaml:39: warning: dns.zone: example.com is also the zone in a.yaml, "
            "whose name servers and SOA values are used for both"
        )
    ]


def wider(text: str, *records: str) -> str:
    """Return *text* with the base domain as its zone, and with *records* beginning on line 42."""
    lines = "".join(f"    - {{{record}}}\n" for record in records)
    return edited(("dns:\n", "dns:\n  zone: example.com\n"), text=text) + f"  records:\n{lines}"


@pytest.mark.parametrize("second", [other(), other(("dns:\n", "dns:\n  zone: example.com\n"))], ids=["nested", "same"])
def test_alias_at_the_name_of_the_other_s_host_is_told(tmp_path: Path, second: str) -> None:
    lines = told(tmp_path, wider(CLEAN, "name: m1.test, type: CNAME, value: lb"), second)

    assert [line for line in lines if "warning" not in line] == [
        (
            "a.yaml:42: dns.records[0].name: m1.test.example.com already has records from hosts[1] in b.yaml, "
            "and a CNAME must be the only record of its name; remove this one"
        )
    ]


def test_alias_at_the_other_s_zone_is_reported(tmp_path: Path) -> None:
    assert told(tmp_path, other(), wider(CLEAN, "name: test, type: CNAME, value: lb")) == [
        (
            "b.yaml:42: dns.records[0].name: test.example.com already has records from the zone itself in a.yaml, "
            "and a CNAME must be the only record of its name; remove this one"
        )
    ]


def test_alias_at_a_record_of_the_other_s_is_reported(tmp_path: Path) -> None:
    records = "  records:\n    - {name: www, type: A, value: 203.0.113.9}\n"

    assert told(tmp_path, wider(CLEAN, "name: www.test, type: CNAME, value: lb"), other() + records) == [
        (
            "a.yaml:42: dns.records[0].name: www.test.example.com has a CNAME and another record (b.yaml:41); "
            "a CNAME must be the only record of its name"
        )
    ]


def test_aliases_of_one_name_lead_to_the_same_place(tmp_path: Path) -> None:
    first = wider(CLEAN, "name: www, type: CNAME, value: lb", "name: ftp, type: CNAME, value: lb")
    second = wider(other(), "name: www, type: CNAME, value: lb.example.com", "name: ftp, type: CNAME, value: lb2")
    lines = told(tmp_path, first, second)

    assert [line for line in lines if "warning" not in line] == [
        (
            "b.yaml:43: dns.records[1].name: ftp.example.com has another CNAME (a.yaml:43); "
            "a CNAME must be the only record of its name"
        )
    ]


@pytest.mark.parametrize(("change", "count"), [(("name: test", "name: two"), 1), (("name: test", "name: lbs"), 0)])
def test_load_balancer_may_have_a_name_in_the_zone_of_the_other(
    tmp_path: Path, change: tuple[str, str], count: int
) -> None:
    target = '  records: [{name: "*.apps", type: CNAME, value: m1.lbs.example.com.}]\n'
    isolated = ("forwarders: [198.51.100.53]", "forwarders: []")
    first = edited(isolated, ("ingressVIPs: 192.0.2.9\n", "")) + target
    second = other(isolated).replace(*change)
    assert sum("m1.lbs.example.com cannot be resolved" in line for line in told(tmp_path, first, second)) == count


def test_aliases_that_lead_to_each_other_are_no_dead_end(tmp_path: Path) -> None:
    records = "[{name: api, type: CNAME, value: a}, {name: a, type: CNAME, value: api}]"
    text = edited(("apiVIPs: 192.0.2.8\n", "apiInternalVIPs: 192.0.2.8\n"), ("[198.51.100.53]", "[]"))
    assert told(tmp_path, f"{text}  records: {records}\n") == []


def test_shared_data_directory_is_reported(tmp_path: Path) -> None:
    lines = told(tmp_path, f"{CLEAN}dataDir: /srv/boot\n", other() + "dataDir: /srv/../srv/boot\n")

    assert lines == [
        "b.yaml:40: dataDir: /srv/../srv/boot is also the data directory of a.yaml; give each cluster its own dataDir"
    ]


def test_data_directories_of_one_name_are_reported_at_the_name(tmp_path: Path) -> None:
    lines = told(tmp_path, CLEAN, other(("name: test", "name: prod"), ("example.com", "example.org")))

    assert lines == [
        (
            "b.yaml:3: metadata.name: /var/lib/ocp-appliance/prod is also the data directory of a.yaml; "
            "give each cluster its own dataDir"
        )
    ]


def test_clusters_may_listen_at_the_same_place(tmp_path: Path) -> None:
    listen = "listen: {http: 0.0.0.0:8000, dhcpPort: 6767}\n"

    assert told(tmp_path, CLEAN + listen, other() + listen) == []


def test_everywhere_in_one_file_takes_the_other_s_ports_too(tmp_path: Path) -> None:
    lines = told(tmp_path, CLEAN, other() + "listen: {http: 0.0.0.0:80}\n")

    assert lines == [
        (
            "b.yaml:40: listen.http: 0.0.0.0:80 is already the TCP port of listen.http by default (a.yaml:16); "
            "choose another port"
        )
    ]


def test_two_dhcp_ports_are_reported(tmp_path: Path) -> None:
    assert told(tmp_path, CLEAN, other() + "listen: {dhcpPort: 6767}\n") == [
        "b.yaml:40: listen.dhcpPort: is 6767 here and 67 in a.yaml; one appliance has one value: write the same in both"
    ]


def test_file_named_twice_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CLEAN)
    errors = check([tmp_path / "a.yaml", tmp_path / ".." / tmp_path.name / "a.yaml"]).errors

    assert str(errors[0]).endswith("a.yaml: is given twice on the command line; give it once")


def test_one_bad_file_does_not_hide_the_other_s_problems(tmp_path: Path) -> None:
    lines = told(tmp_path, "- a\n", other(("4.16.3", "x")))

    assert [line.split(":")[0] for line in lines] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("prod.example.com", "prod.example.com is the zone that a.yaml serves; remove this entry"),
        ("2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa is the reverse zone of 192.0.2.0/24; remove this entry"),
        (
            "apps.prod.example.com",
            "*.apps.prod.example.com, which a.yaml gives records, is in apps.prod.example.com; remove this entry",
        ),
    ],
)
def test_zone_of_the_other_file_cannot_be_forwarded(tmp_path: Path, zone: str, problem: str) -> None:
    second = f"{other()}  forward: [{{zone: {zone}, forwarders: 203.0.113.53}}]\n"
    assert told(tmp_path, CLEAN, second) == [f"b.yaml:40: dns.forward[0].zone: {problem}"]
