"""Which events the journal gives up when it is full: those of whoever has most.

One rule: while there is room everybody's events are kept. When room runs out, each host,
and each kind of event that concerns no host, is entitled to the same number, and the
events that it has beyond that go first. So whatever others cause, the last events of a
host stay, and a flood of strangers' requests replaces its own kind only.
"""

from collections.abc import Mapping
from typing import TypeAlias

from appliance.state.events import Row

Owner: TypeAlias = tuple[str, str]  # a host and "", or "" and a kind of event

# Whoever is over its share is cut to this part of it, so that each is cut once in a while and not each time.
CUT_TO = 0.9


def owner_of(row: Row) -> Owner:
    """Return in whose share *row* counts."""
    return row.host, "" if row.host else row.kind


def surplus(counts: Mapping[Owner, int], most: int) -> dict[Owner, int]:
    """Return how many of its oldest events each owner gives up, so that no more than *most* are left."""
    over = sum(counts.values()) - most
    found: dict[Owner, int] = {}
    if over <= 0:
        return found
    share = _share(counts, most)
    # No more than a hundredth below its share, so that little is deleted at once.
    kept = share - min(share - int(share * CUT_TO), most // 100)
    for owner in sorted(counts, key=lambda owner: counts[owner], reverse=True):
        if over <= 0:
            break
        found[owner] = counts[owner] - kept
        over -= found[owner]
    return found


def _share(counts: Mapping[Owner, int], most: int) -> int:
    """Return the largest number that everyone may have, so that all have *most* at most."""
    room, left = most, len(counts)
    for count in sorted(counts.values()):
        if count * left > room:
            break
        room -= count
        left -= 1
    return room // left
