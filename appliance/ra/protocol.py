"""When an interface advertises, and what the advertisements of others mean: pure values, without socket and clock.

The one rule: an answer to a solicitation goes to all nodes, at most one in three
seconds. A boot storm of 1,000 machines, and a forged flood, cost one small datagram
each three seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import NamedTuple

from appliance.events import Event, RouterAbsent, RouterUnmanaged
from appliance.ra.compile import RaTable
from appliance.ra.message import HOP_LIMIT, MANAGED, SOLICITATION, flags_of, is_solicitation

# RFC 4861 section 10, in seconds.
MAX_ANSWER_DELAY = 0.5
MIN_BETWEEN = 3.0
INITIAL_ADVERTISEMENTS, INITIAL_INTERVAL = 3, 16.0
MIN_INTERVAL, MAX_INTERVAL = 200.0, 600.0

# A host asks three times at an interval of 4 s, and waits for an answer as long.
SOLICITATIONS, SOLICITATION_INTERVAL = 3, 4.0
RETRY_SECONDS = 1.0
SOLICIT = bytes((SOLICITATION, 0, 0, 0, 0, 0, 0, 0))
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
MAX_ROUTERS = 16  # that are remembered for each link; more of them are not told about
# A router sends at least every 1,800 s (MaxRtrAdvInterval, RFC 4861 section 6.2.1). One that was replaced, or that
# somebody invented, says nothing any more after three times as long.
FORGET_SECONDS = 5400.0


class Arrival(NamedTuple):
    """How a datagram came."""

    interface: str
    addresses: tuple[int, ...]  # of the interface, as numbers
    source: bytes
    hop_limit: int


class Router(NamedTuple):
    """A router that sends advertisements."""

    is_managed: bool  # whether it sets the flag M
    heard_at: float


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of an interface's link, and what happens on it next. Times are of a clock that never jumps."""

    advertised: bytes = b""  # what the interface sends; b"" for nothing
    next_at: float = 0.0  # of the next advertisement, or of the next solicitation where it sends nothing
    last_at: float = float("-inf")  # of the last
    sent: int = 0
    routers: Mapping[str, Router] = field(default_factory=dict)  # by address

    @property
    def is_managed(self) -> bool:
        """Whether hosts on it are sent to DHCPv6."""
        return bool(self.advertised) or any(router.is_managed for router in self.routers.values())


def started(advertised: bytes, now: float, before: Link | None = None) -> Link:
    """Return the link of an interface that is to send *advertised* from *now* on; *before* is what was known of it."""
    if before is not None and before.advertised == advertised:
        return before
    known = before.routers if before is not None else {}
    last_at = before.last_at if before is not None else float("-inf")
    return Link(advertised, max(now, last_at + MIN_BETWEEN), last_at, routers=known)


class Turn(NamedTuple):
    """What an interface does at its time."""

    link: Link  # after it
    message: bytes = b""  # to send; b"" for none
    group: str = ALL_NODES
    event: Event | None = None


def turn(link: Link, interface: str, now: float, dice: float) -> Turn:
    """Return what *interface* does at *now*, the time of *link*; *dice* is at random from 0 to 1."""
    interval = SOLICITATION_INTERVAL
    if link.advertised:
        interval = MIN_INTERVAL + dice * (MAX_INTERVAL - MIN_INTERVAL)
        if link.sent + 1 < INITIAL_ADVERTISEMENTS:
            interval = min(interval, INITIAL_INTERVAL)
    elif link.sent >= SOLICITATIONS:
        ended = replace(link, next_at=float("inf"))
        return Turn(ended, event=None if link.routers else RouterAbsent("", interface=interface))
    after = replace(link, next_at=now + interval, last_at=now, sent=link.sent + 1)
    return Turn(after, link.advertised) if link.advertised else Turn(after, SOLICIT, ALL_ROUTERS)


def postponed(link: Link, now: float) -> Link:
    """Return *link* when its message could not be sent: the interface is down, or its own address is not ready yet."""
    return replace(link, next_at=now + RETRY_SECONDS)


def heard(
    table: RaTable, link: Link, datagram: bytes, arrival: Arrival, now: float, dice: float
) -> tuple[Link, Event | None, str]:
    """Return *link* after a datagram, what to say about it, and a word to count it by."""
    if arrival.hop_limit != HOP_LIMIT:
        return link, None, "forwarded"
    if is_solicitation(datagram, arrival.source):
        if not link.advertised:
            return link, None, "not-advertising"
        at = max(now + dice * MAX_ANSWER_DELAY, link.last_at + MIN_BETWEEN)
        return replace(link, next_at=min(link.next_at, at)), None, "solicitation"
    flags = flags_of(datagram, arrival.source)
    if flags is None:
        return link, None, "malformed"
    if int.from_bytes(arrival.source, "big") in arrival.addresses:
        return link, None, "own"
    return *_router(table, link, arrival, Router(bool(flags & MANAGED), now)), "advertisement"


def _router(table: RaTable, link: Link, arrival: Arrival, router: Router) -> tuple[Link, Event | None]:
    address = str(IPv6Address(arrival.source))
    known = {each: seen for each, seen in link.routers.items() if router.heard_at - seen.heard_at < FORGET_SECONDS}
    before = known.get(address)
    if before is None and len(known) >= MAX_ROUTERS:
        return link, None
    found = replace(link, routers={**known, address: router})
    is_same = before is not None and before.is_managed is router.is_managed
    # Hosts take the flags of all routers together.
    if found.is_managed or (is_same and not link.is_managed):
        return found, None
    networks = " and ".join(segment.text for segment in table.segments_of(arrival.addresses))
    return found, RouterUnmanaged("", router=address, interface=arrival.interface, network=networks)
