"""An event as it is kept: its kind and facts as text, and how often it happened in a row."""

import json
from dataclasses import dataclass

from appliance.events import Stamped


@dataclass(slots=True)
class Row:
    """An event as it is kept. One that repeats before it is written is counted instead of written again."""

    at: float  # when it first happened, seconds UTC
    host: str
    number: int  # of the host's installation; 0 without one
    kind: str
    facts: str  # JSON
    times: int
    last_at: float  # when it last happened, seconds UTC
    id: int = 0  # given by the store, and rising; 0 until then


def row_of(stamped: Stamped) -> Row:
    """Return an event as it is kept."""
    event = stamped.event
    facts = event.facts()
    facts.pop("host", None)  # a column of its own
    return Row(stamped.at, event.host, stamped.number, event.kind, json.dumps(facts), 1, stamped.at)
