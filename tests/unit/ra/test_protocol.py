"""When an interface advertises, and what the advertisements of others mean."""

from dataclasses import replace
from ipaddress import IPv6Address
from itertools import pairwise

import pytest

from appliance.events import Event, RouterAbsent, RouterUnmanaged
from appliance.model import DhcpMode
from appliance.ra.compile import RaTable, compile_ra
from appliance.ra.message import MANAGED, advertisement
from appliance.ra.protocol import (
    ALL_NODES,
    ALL_ROUTERS,
    FORGET_SECONDS,
    MAX_ROUTERS,
    SOLICIT,
    Arrival,
    Link,
    heard,
    postponed,
    started,
    turn,
)
from tests.dhcp6_messages import v6_cluster
from tests.ra_lab import advertising

TABLE = compile_ra((v6_cluster(),))
ADDRESSES = (int(IPv6Address("fe80::5")), int(IPv6Address("2001:db8:0:10::101")))
ROUTER = IPv6Address("fe80::1").packed
OURS = b"what we advertise"
NOW = 1000.0


def hear(
    link: Link, datagram: bytes, *, source: bytes = ROUTER, hop_limit: int = 255, now: float = NOW, dice: float = 0.0
) -> tuple[Link, Event | None, str]:
    return heard(TABLE, link, datagram, Arrival("eth0", ADDRESSES, source, hop_limit), now, dice)


def sent(link: Link, now: float, dice: float = 0.0) -> Link:
    """Return *link* after its turn at *now*, at which it sends."""
    result = turn(link, "eth0", now, dice)
    assert result.message
    return result.link


def test_advertising_begins_at_once() -> None:
    assert started(OURS, NOW).next_at == NOW


def test_first_three_advertisements_are_at_most_16_seconds_apart_and_the_others_200_to_600() -> None:
    link, times = started(OURS, NOW), []
    for _ in range(5):
        times.append(link.next_at)
        link = sent(link, link.next_at, dice=1.0)
    assert [after - before for before, after in pairwise(times)] == [16.0, 16.0, 600.0, 600.0]


def test_solicitation_is_answered_to_all_within_half_a_second() -> None:
    link = replace(sent(started(OURS, NOW), NOW), last_at=NOW - 100, next_at=NOW + 500)
    assert hear(link, SOLICIT, dice=1.0)[0].next_at == NOW + 0.5
    assert turn(link, "eth0", NOW, 0.0).group == ALL_NODES


def test_answers_are_at_least_three_seconds_apart() -> None:
    link = sent(started(OURS, NOW), NOW)
    assert hear(link, SOLICIT, now=NOW + 0.1)[0].next_at == NOW + 3.0


def test_flood_of_solicitations_delays_no_answer() -> None:
    link = replace(sent(started(OURS, NOW), NOW), last_at=NOW - 100)
    for number in range(1000):
        link = hear(link, SOLICIT, now=NOW + number / 10_000, dice=0.5)[0]
    assert link.next_at == NOW + 0.25


def test_new_content_is_advertised_at_once_but_three_seconds_after_the_last() -> None:
    link = sent(started(OURS, NOW), NOW)
    assert started(b"new", NOW + 1, link).next_at == NOW + 3
    assert started(b"new", NOW + 10, link).next_at == NOW + 10


def test_same_content_is_not_advertised_anew() -> None:
    link = sent(started(OURS, NOW), NOW)
    assert started(OURS, NOW + 1, link) is link


def test_message_that_could_not_be_sent_is_tried_again_after_a_second() -> None:
    assert postponed(started(OURS, NOW), NOW).next_at == NOW + 1


@pytest.mark.parametrize("hop_limit", [0, 64, 254])
def test_datagram_that_a_router_forwarded_moves_nothing(hop_limit: int) -> None:
    link = started(OURS, NOW)
    assert hear(link, SOLICIT, hop_limit=hop_limit) == (link, None, "forwarded")
    assert hear(link, advertisement(0, []), hop_limit=hop_limit) == (link, None, "forwarded")


def test_nobody_is_answered_where_routers_advertise() -> None:
    assert hear(started(b"", NOW), SOLICIT)[2] == "not-advertising"


def test_routers_are_asked_three_times_and_then_missed() -> None:
    link, said = started(b"", NOW), []
    for _ in range(4):
        result = turn(link, "eth0", link.next_at, 0.0)
        link = result.link
        said.append((result.message, result.group if result.message else "", result.event))
    assert said == [(SOLICIT, ALL_ROUTERS, None)] * 3 + [(b"", "", RouterAbsent("", interface="eth0"))]
    assert link.next_at == float("inf")


def test_router_that_answered_is_not_missed() -> None:
    link, _, _ = hear(replace(started(b"", NOW), sent=3), advertisement(MANAGED, []))
    assert turn(link, "eth0", NOW, 0.0).event is None


def test_router_without_the_flag_m_is_told_about_once() -> None:
    link, event, what = hear(started(b"", NOW), advertisement(0x40, []))
    assert (event, what) == (
        RouterUnmanaged("", router="fe80::1", interface="eth0", network="2001:db8:0:10::/64"),
        "advertisement",
    )
    assert hear(link, advertisement(0x40, []))[1] is None


def test_router_that_loses_the_flag_m_is_told_about() -> None:
    link, first, _ = hear(started(b"", NOW), advertisement(MANAGED, []))
    assert first is None
    assert isinstance(hear(link, advertisement(0, []))[1], RouterUnmanaged)


def test_router_without_the_flag_m_is_no_problem_beside_one_that_has_it() -> None:
    link = hear(started(b"", NOW), advertisement(MANAGED, []))[0]
    assert hear(link, advertisement(0, []), source=IPv6Address("fe80::2").packed)[1] is None


def test_router_without_the_flag_m_is_no_problem_where_we_advertise() -> None:
    assert hear(started(OURS, NOW), advertisement(0, []))[1] is None


def invaded() -> Link:
    """Return a link on which somebody has invented many routers that set the flag M."""
    link = started(b"", NOW)
    for number in range(1000):
        source = bytes((0xFE, 0x80)) + bytes(12) + number.to_bytes(2, "big")
        link = hear(link, advertisement(MANAGED, []), source=source)[0]
    return link


def test_routers_that_are_remembered_are_bounded() -> None:
    assert len(invaded().routers) == MAX_ROUTERS


def test_invented_routers_hide_no_true_one_for_good() -> None:
    true = IPv6Address("fe80::ffff:1").packed
    link, event, _ = hear(invaded(), advertisement(0, []), source=true)
    assert event is None
    link, event, _ = hear(link, advertisement(0, []), source=true, now=NOW + FORGET_SECONDS)
    assert isinstance(event, RouterUnmanaged)
    assert list(link.routers) == ["fe80::ffff:1"]


def test_router_without_the_flag_m_is_told_about_when_the_one_that_had_it_is_gone() -> None:
    link, other = hear(started(b"", NOW), advertisement(MANAGED, []))[0], IPv6Address("fe80::2").packed
    link = hear(link, advertisement(0, []), source=other)[0]
    link, event, _ = hear(link, advertisement(0, []), source=other, now=NOW + FORGET_SECONDS)
    assert isinstance(event, RouterUnmanaged)
    assert hear(link, advertisement(0, []), source=other, now=NOW + FORGET_SECONDS + 1)[1] is None


def test_own_advertisement_is_not_a_router_s() -> None:
    assert hear(started(b"", NOW), advertisement(0, []), source=IPv6Address("fe80::5").packed)[2] == "own"


@pytest.mark.parametrize("mode", [DhcpMode.PROXY, DhcpMode.OFF])
def test_routers_are_not_judged_where_another_server_gives_addresses(mode: DhcpMode) -> None:
    assert compile_ra((v6_cluster(mode),)) == RaTable(())


def test_network_of_two_clusters_is_advertised_once() -> None:
    both = (v6_cluster(), advertising())
    assert len(compile_ra(both).segments) == len(TABLE.segments)
    assert compile_ra(both).advertises


def test_interface_advertises_only_the_networks_it_is_in() -> None:
    table = compile_ra((advertising(),))
    assert table.advertisement((int(IPv6Address("2001:db8:99::1")),), bytes(6)) == b""
    assert IPv6Address("2001:db8:0:10::").packed in table.advertisement(ADDRESSES, bytes(6))
