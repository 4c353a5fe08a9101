"""The load balancer's events in words, as steps of a host's boot."""

from typing import assert_never

from appliance import events


def balancer_words(
    event: events.BalancerOrdered
    | events.BalancerReached
    | events.MemberMoved
    | events.MemberAnswers
    | events.MemberFails,
) -> tuple[str, str]:
    """Return what a machine did and what the load balancer did, for one event; either may be ""."""
    match event:
        case events.BalancerOrdered():
            return f"operator: balancer {event.order} {event.front_end}".rstrip(), ""
        case events.BalancerReached():
            asked = "asks the machine config server" if event.asks_config else "reaches the API"
            return asked, f"forwarded to {event.member} by {event.front_end}"
        case events.MemberMoved():
            verb = {"ready": "entered", "drain": "drains from"}.get(event.state, "left")
            return "", f"{verb} {event.front_end}{f': {event.why}' if event.why else ''}"
        case events.MemberAnswers():
            return f"passes the health check of {event.front_end}", ""
        case events.MemberFails():
            return f"fails the health check of {event.front_end}: {event.why}", "no connections are forwarded to it"
        case _:
            assert_never(event)
