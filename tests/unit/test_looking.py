"""Which hosts are looked at, how often, and what a look shows."""

from dataclasses import replace

import pytest

from appliance.events import DnsAsked, HostAnswered, HostUnanswered, Transport
from appliance.install.installation import MAY_BE_RUNNING, Condition, Installation
from appliance.looking import EVERY_SECONDS, Port, concluded, due, proven
from tests.boots import LIVE, NOW

HOST = LIVE.hosts[1]
MAC, OTHER_MAC = HOST.macs[0].octets, bytes.fromhex("525400000099")
OPEN = {22: Port.REFUSES, 10250: Port.ACCEPTS}


def doubtful(host: str, name: str = MAY_BE_RUNNING) -> Installation:
    return Installation(host, doubt=Condition(name, "because", NOW))


def test_only_hosts_that_may_be_running_are_looked_at() -> None:
    installations = {"a": Installation("a"), "b": doubtful("b"), "c": doubtful("c", "state-lost")}
    assert due(installations, {}, 0.0) == [("b", None)]


def test_host_is_looked_at_again_after_a_while_and_the_longest_waiting_first() -> None:
    installations = {name: doubtful(name) for name in "abc"}
    looked = {("a", None): 100.0, ("b", None): 90.0}
    assert [name for name, _ in due(installations, looked, 100.0 + EVERY_SECONDS)] == ["c", "b", "a"]
    assert [name for name, _ in due(installations, looked, 99.0 + EVERY_SECONDS)] == ["c", "b"]


def test_host_is_looked_at_at_once_after_another_sign() -> None:
    """Some time after the query, the node may have gone, and its absence would show nothing."""
    before = doubtful("a")
    installations = {"a": replace(before, asked_at=60.0)}
    assert due(installations, {("a", before.asked_at): 100.0}, 101.0) == [("a", 60.0)]


def test_system_of_the_host_answers() -> None:
    assert concluded(HOST, OPEN, MAC) == HostAnswered(HOST.name, str(HOST.macs[0]), str(HOST.address), 10250)


@pytest.mark.parametrize(
    ("found", "mac"),
    [
        (OPEN, OTHER_MAC),
        (OPEN, b""),
        ({22: Port.REFUSES, 10250: Port.REFUSES}, MAC),
        ({22: Port.SILENT, 10250: Port.SILENT}, b""),
    ],
    ids=["another machine", "resolved no more", "no system", "nobody"],
)
def test_no_system_of_the_host_is_there(found: dict[int, Port], mac: bytes) -> None:
    assert isinstance(concluded(HOST, found, mac), HostUnanswered)


@pytest.mark.parametrize(
    ("found", "mac"),
    [(OPEN, None), ({22: Port.SILENT, 10250: Port.REFUSES}, MAC)],
    ids=["behind a router", "behind a firewall"],
)
def test_look_may_show_nothing(found: dict[int, Port], mac: bytes | None) -> None:
    assert concluded(HOST, found, mac) is None


def test_any_mac_address_that_cluster_yaml_gives_the_host_is_its_own() -> None:
    bonded = replace(HOST, network_arguments=("ifname=eth1:52:54:00:00:00:99",))
    assert isinstance(concluded(bonded, OPEN, OTHER_MAC), HostAnswered)


ASKED = DnsAsked(HOST.name, str(HOST.address), "api-int.ocp416.example.localdomain", Transport.TCP)
HOSTS = {HOST.name: HOST}


@pytest.mark.parametrize("mac", [OTHER_MAC, b""], ids=["another's", "not resolved"])
def test_query_over_tcp_by_another_machine_proves_no_more_than_one_over_udp(mac: bytes) -> None:
    assert proven(ASKED, HOSTS, lambda _address: mac) == replace(ASKED, transport=Transport.UDP)


@pytest.mark.parametrize("mac", [MAC, None], ids=["its own", "behind a router"])
def test_query_over_tcp_by_the_host_proves_a_running_system(mac: bytes | None) -> None:
    assert proven(ASKED, HOSTS, lambda _address: mac) is ASKED


def test_other_events_are_as_they_were() -> None:
    udp, stranger = replace(ASKED, transport=Transport.UDP), replace(ASKED, host="")
    assert [proven(event, HOSTS, lambda _address: OTHER_MAC) for event in (udp, stranger)] == [udp, stranger]
