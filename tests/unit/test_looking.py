"""Which hosts are looked at, how often, and what a look shows."""

from dataclasses import replace

import pytest

from appliance.events import (
    DnsAsked,
    Event,
    HostAnswered,
    HostUnanswered,
    TftpFailed,
    TftpFinished,
    TftpStarted,
    Transport,
)
from appliance.install.installation import MAY_BE_RUNNING, Condition, Installation
from appliance.looking import EVERY_SECONDS, Looks, Port, concluded, credited, due, has_its_mac, together
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
    looked = {("a", None): Looks(0.0, 100.0), ("b", None): Looks(0.0, 90.0)}
    assert [name for name, _ in due(installations, looked, 100.0 + EVERY_SECONDS)] == ["c", "b", "a"]
    assert [name for name, _ in due(installations, looked, 99.0 + EVERY_SECONDS)] == ["c", "b"]


def test_host_is_looked_at_often_while_an_absence_shows_something() -> None:
    """The kernel takes a host that is gone for reachable for some seconds, so that the first look shows nothing."""
    installations, at, found = {"a": doubtful("a")}, 100.0, [100.0]
    looked = {("a", None): Looks(at, at)}
    while at < 130.0:
        at += 1.0
        if due(installations, looked, at):
            found.append(at)
            looked["a", None] = Looks(100.0, at)
    assert found == [100.0, 104.0, 108.0, 112.0]


def test_host_is_looked_at_at_once_after_another_sign() -> None:
    """Some time after the query, the node may have gone, and its absence would show nothing."""
    before = doubtful("a")
    installations = {"a": replace(before, asked_at=60.0)}
    assert due(installations, {("a", before.asked_at): Looks(99.0, 100.0)}, 101.0) == [("a", 60.0)]


def test_system_of_the_host_answers() -> None:
    assert concluded(HOST, OPEN, MAC) == HostAnswered(HOST.name, str(HOST.macs[0]), str(HOST.address), 10250)


@pytest.mark.parametrize(
    ("found", "mac"),
    [
        ({22: Port.REFUSES, 10250: Port.REFUSES}, MAC),
        ({22: Port.SILENT, 10250: Port.SILENT}, b""),
    ],
    ids=["no system", "nobody"],
)
def test_no_system_of_the_host_is_there(found: dict[int, Port], mac: bytes) -> None:
    assert isinstance(concluded(HOST, found, mac), HostUnanswered)


@pytest.mark.parametrize(
    ("found", "mac"),
    [
        (OPEN, None),
        ({22: Port.SILENT, 10250: Port.REFUSES}, MAC),
        (OPEN, OTHER_MAC),
        ({22: Port.SILENT, 10250: Port.SILENT}, OTHER_MAC),
        (OPEN, b""),
    ],
    ids=["behind a router", "behind a firewall", "another machine", "our view of it poisoned", "resolved no more"],
)
def test_look_may_show_nothing(found: dict[int, Port], mac: bytes | None) -> None:
    assert concluded(HOST, found, mac) is None


ANSWERED = HostAnswered(HOST.name, "", "2001:db8::21", 22)
UNANSWERED = HostUnanswered(HOST.name, "192.0.2.21", "nobody has the address")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([UNANSWERED, ANSWERED], ANSWERED),
        ([None, ANSWERED], ANSWERED),
        ([UNANSWERED, UNANSWERED], UNANSWERED),
        ([UNANSWERED, None], None),
        ([], None),
    ],
    ids=["one answers", "one answers, one is unclear", "none answers", "one is unclear", "behind a router"],
)
def test_host_with_two_addresses_is_absent_only_at_both(
    found: list[HostAnswered | HostUnanswered | None], expected: HostAnswered | HostUnanswered | None
) -> None:
    assert together(found) == expected


def test_any_mac_address_that_cluster_yaml_gives_the_host_is_its_own() -> None:
    bonded = replace(HOST, network_arguments=("ifname=eth1:52:54:00:00:00:99",))
    assert isinstance(concluded(bonded, OPEN, OTHER_MAC), HostAnswered)


HOSTS = {HOST.name: HOST}
ADDRESS = str(HOST.address)


@pytest.mark.parametrize(("mac", "is_host"), [(OTHER_MAC, False), (b"", False), (MAC, True), (None, True)])
def test_client_is_the_host_by_its_mac_address(mac: bytes | None, is_host: bool) -> None:
    assert has_its_mac(HOST.name, ADDRESS, HOSTS, lambda _address: mac) is is_host


FETCHED = TftpFinished(HOST.name, ADDRESS, "efi/ipxe.efi", 1000, 0.1, 0)


@pytest.mark.parametrize(("mac", "host"), [(OTHER_MAC, ""), (b"", ""), (MAC, HOST.name), (None, HOST.name)])
def test_boot_file_that_another_machine_fetched_counts_for_nobody(mac: bytes | None, host: str) -> None:
    assert credited(FETCHED, HOSTS, lambda _address: mac) == replace(FETCHED, host=host)


@pytest.mark.parametrize(
    "event",
    [
        TftpStarted(HOST.name, ADDRESS, "efi/ipxe.efi", 10),
        # Half a minute after a machine went on to its next boot entry, its address is resolved no longer.
        TftpFailed(HOST.name, ADDRESS, "efi/ipxe.efi", "no answer to block 2 of 600 for 30 s"),
    ],
)
def test_transfer_that_did_not_finish_is_credited_to_a_host_that_is_not_resolved(event: Event) -> None:
    assert credited(event, HOSTS, lambda _address: b"") == event


def test_other_events_are_credited_as_they_were() -> None:
    asked, stranger = DnsAsked(HOST.name, ADDRESS, "api-int.x", Transport.TCP), replace(FETCHED, host="")
    assert [credited(event, HOSTS, lambda _address: OTHER_MAC) for event in (asked, stranger)] == [asked, stranger]
