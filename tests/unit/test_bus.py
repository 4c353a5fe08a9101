"""The bus: who gets an event, in which order, and with which number."""

import logging

import pytest

from appliance.bus import Bus
from appliance.events import (
    DhcpUnknown,
    Event,
    Program,
    Reloaded,
    StageReached,
    Stamped,
    TftpAborted,
    TftpFailed,
    TftpFinished,
    TftpStarted,
)
from tests.boots import LIVE, NOW, Boot

M1 = Boot(LIVE.hosts[1])
OFFER, ACK = M1.dhcp(Program.PXE)


@pytest.fixture
def bus():
    return Bus(lambda: NOW)


def subscribed(bus: Bus) -> list[Stamped]:
    """Add a subscriber; return the list to which it appends its events."""
    heard: list[Stamped] = []
    bus.subscribers.append(heard.append)
    return heard


def test_event_is_stamped_with_time_and_number(bus):
    bus.first = lambda _: 7
    heard = subscribed(bus)
    bus.publish(OFFER)
    assert heard == [Stamped(NOW, OFFER, 7)]


def test_event_without_a_registry_has_no_number(bus):
    heard = subscribed(bus)
    bus.publish(OFFER)
    assert heard == [Stamped(NOW, OFFER, 0)]


def test_first_gets_an_event_before_every_subscriber(bus):
    order = []
    bus.subscribers.append(lambda _: order.append("subscriber"))
    bus.first = lambda _: order.append("first") or 0
    bus.publish(OFFER)
    assert order == ["first", "subscriber"]


def test_event_that_first_publishes_comes_after_its_cause_and_is_numbered_too(bus):
    stage = StageReached(M1.host, 3, "firmware")

    def first(stamped: Stamped) -> int:
        if stamped.event is OFFER:
            bus.publish(stage)
        return 3

    bus.first = first
    heard = subscribed(bus)
    bus.publish(OFFER)
    assert heard == [Stamped(NOW, OFFER, 3), Stamped(NOW, stage, 3)]


def test_event_that_a_subscriber_publishes_reaches_all_after_its_cause(bus):
    def reply(stamped: Stamped) -> None:
        if stamped.event is OFFER:
            bus.publish(ACK)

    bus.subscribers.append(reply)
    heard = subscribed(bus)
    bus.publish(OFFER)
    assert [stamped.event for stamped in heard] == [OFFER, ACK]


def broken(_stamped: Stamped) -> int:
    raise ValueError("broken")


def test_subscriber_that_raises_is_logged_and_counted_and_the_next_gets_the_event(bus, caplog):
    bus.subscribers.append(broken)
    heard = subscribed(bus)
    with caplog.at_level(logging.ERROR):
        bus.publish(OFFER)
    assert (len(heard), dict(bus.failures)) == (1, {"broken": 1})
    assert "subscriber broken failed on dhcp.offer" in caplog.text
    assert "ValueError: broken" in caplog.text


def test_all_subscribers_get_an_event_when_first_raises(bus):
    bus.first = broken
    heard = subscribed(bus)
    bus.publish(OFFER)
    assert (heard, dict(bus.failures)) == ([Stamped(NOW, OFFER, 0)], {"broken": 1})


def test_subscriber_that_has_left_gets_no_event(bus):
    heard: list[Event] = []

    def hear(stamped: Stamped) -> None:
        heard.append(stamped.event)

    bus.subscribers.append(hear)
    bus.publish(OFFER)
    bus.subscribers.remove(hear)
    bus.publish(Reloaded("", "a"))
    assert heard == [OFFER]


@pytest.mark.parametrize(
    "event",
    [
        TftpStarted("", "192.0.2.1", "secret", 1),
        TftpFinished("", "192.0.2.1", "secret", 1, 0.1, 0),
        TftpFailed("", "192.0.2.1", "secret", "secret"),
        TftpAborted("", "192.0.2.1", "secret", "secret"),
        DhcpUnknown("", "52:54:00:00:00:01", Program.PXE, vendor="secret"),
    ],
    ids=lambda event: event.kind,
)
def test_text_of_a_client_is_published_without_what_is_secret(bus, event):
    bus.hide = lambda text: text.replace("secret", "…")
    told = []
    bus.first = lambda stamped: told.append(stamped.event) or 0
    heard = subscribed(bus)
    bus.publish(event)
    assert "secret" not in f"{told} {heard}"
    assert "…" in heard[0].event.line() or "…" in str(heard[0].event)
