"""An event as it is kept: its kind and facts as text, and how often it happened in a row."""

import json
from dataclasses import dataclass

from appliance.events import Stamped


@dataclass(slots=True)
class Row:
    """An event as it is kept. An event that repeats before it is written is counted instead of written again."""

    at: float  # when it first happened, seconds UTC
    host: str
    number: int  # of the host's installation; 0 without one
    kind: str
    facts: str  # JSON
    times: int
    last_at: float  # when it last happened, seconds UTC
    id: int = 0  # assigned by the store, in rising order; 0 until then


def row_of(stamped: Stamped) -> Row:
    """Return *stamped* as it is kept, with a count of 1."""
    event = stamped.event
    facts = event.facts()
    facts.pop("host", None)  # it has a field of its own
    return Row(stamped.at, event.host, stamped.number, event.kind, json.dumps(facts), 1, stamped.at)
