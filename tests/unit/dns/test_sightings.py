"""Which queries for api-int are reported."""

from dataclasses import replace

from appliance.dns.message import wire_name
from appliance.dns.protocol import Watched
from appliance.dns.sightings import Sightings
from appliance.events import DnsAsked, Transport
from appliance.install.installation import SIGN_SECONDS, Installation

NOW = 1_700_000_000.0
M1, API_INT = "m1.example", "api-int.example"
WATCHED = Watched(b"reply", M1, wire_name(API_INT))
EVENT = DnsAsked(M1, client="192.0.2.21", name=API_INT)


def test_first_query_of_a_host_is_news() -> None:
    assert Sightings().event(WATCHED, "192.0.2.21", None, NOW) == EVENT


def test_host_without_a_state_is_news_once_only() -> None:
    sightings = Sightings()
    sightings.reported(WATCHED, None)
    assert sightings.event(WATCHED, "192.0.2.21", None, NOW) is None


def test_state_that_the_event_itself_led_to_is_not_news() -> None:
    sightings, after = Sightings(), Installation(M1, 1)
    sightings.reported(WATCHED, after)
    assert sightings.event(WATCHED, "192.0.2.21", after, NOW) is None


def test_host_that_something_has_happened_to_is_news_again() -> None:
    sightings = Sightings()
    sightings.reported(WATCHED, Installation(M1, 1))
    assert sightings.event(WATCHED, "192.0.2.21", Installation(M1, 2), NOW) == EVENT


def test_other_hosts_are_news_by_themselves() -> None:
    sightings = Sightings()
    sightings.reported(replace(WATCHED, host="m2.example"), None)
    assert sightings.event(WATCHED, "192.0.2.21", None, NOW) == EVENT


def test_query_over_tcp_is_news_although_one_over_udp_was_reported() -> None:
    """The datagram may have been forged, and the handshake was not."""
    sightings = Sightings()
    sightings.reported(WATCHED, None)
    assert sightings.event(replace(WATCHED, transport=Transport.TCP), "192.0.2.21", None, NOW) == replace(
        EVENT, transport=Transport.TCP
    )


def test_host_in_doubt_is_news_again_a_minute_after_its_last_query() -> None:
    """Otherwise the doubt about a running node would end although it still queries."""
    sightings, after = Sightings(), Installation(M1, 1, asked_at=NOW)
    sightings.reported(WATCHED, after)
    found = [sightings.event(WATCHED, "192.0.2.21", after, NOW + late) for late in (SIGN_SECONDS - 1, SIGN_SECONDS)]
    assert found == [None, EVENT]
