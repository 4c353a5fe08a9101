"""Which queries for api-int are reported."""

from dataclasses import replace

from appliance.dns.message import wire_name
from appliance.dns.protocol import Watched
from appliance.dns.sightings import Sightings
from appliance.events import DnsAsked, Transport
from appliance.install.installation import Installation

M1, API_INT = "m1.example", "api-int.example"
WATCHED = Watched(b"reply", M1, wire_name(API_INT))
EVENT = DnsAsked(M1, client="192.0.2.21", name=API_INT)


def test_first_query_of_a_host_is_news() -> None:
    assert Sightings().event(WATCHED, "192.0.2.21", None) == EVENT


def test_host_without_a_state_is_news_once_only() -> None:
    sightings = Sightings()
    sightings.reported(WATCHED, None)
    assert sightings.event(WATCHED, "192.0.2.21", None) is None


def test_state_that_the_event_itself_led_to_is_not_news() -> None:
    sightings, after = Sightings(), Installation(M1, 1)
    sightings.reported(WATCHED, after)
    assert sightings.event(WATCHED, "192.0.2.21", after) is None


def test_host_that_something_has_happened_to_is_news_again() -> None:
    sightings = Sightings()
    sightings.reported(WATCHED, Installation(M1, 1))
    assert sightings.event(WATCHED, "192.0.2.21", Installation(M1, 2)) == EVENT


def test_other_hosts_are_news_by_themselves() -> None:
    sightings = Sightings()
    sightings.reported(replace(WATCHED, host="m2.example"), None)
    assert sightings.event(WATCHED, "192.0.2.21", None) == EVENT


def test_query_over_tcp_is_news_although_one_over_udp_was_reported() -> None:
    """The datagram may have been forged, and the handshake was not."""
    sightings = Sightings()
    sightings.reported(WATCHED, None)
    assert sightings.event(replace(WATCHED, transport=Transport.TCP), "192.0.2.21", None) == replace(
        EVENT, transport=Transport.TCP
    )
