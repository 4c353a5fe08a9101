"""An installation as the text that a store keeps, and back; and events, restored from their facts."""

import json
import logging
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from functools import cache
from typing import get_args, get_type_hints

from appliance.events import AnyEvent
from appliance.install.installation import Condition, Installation, Order, Stage

logger = logging.getLogger(__name__)

_NAMES = tuple(field.name for field in fields(Installation))
_PLAIN = tuple(name for name in _NAMES if name not in {"reached", "complaint", "condition", "repeats"})

# The errors that `decoded` raises for text that is not an installation.
UNREADABLE = (ValueError, TypeError, AttributeError)


def encoded(installation: Installation) -> str:
    """Return *installation* as JSON."""
    values: dict[str, object] = {name: getattr(installation, name) for name in _PLAIN}
    values["reached"] = {int(stage): at for stage, at in installation.reached.items()}
    values["repeats"] = dict(installation.repeats)
    for name, condition in (("complaint", installation.complaint), ("condition", installation.condition)):
        if condition is not None:
            values[name] = [condition.name, condition.hint, condition.since]
    return json.dumps(values)


def decoded(text: str) -> Installation:
    """Return the installation in *text*; missing fields get their defaults, and unknown fields are dropped.

    Raises ValueError, TypeError or AttributeError if *text* is not an installation.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("host"), str):
        raise TypeError("not an installation")
    values: dict[str, object] = {name: document[name] for name in _PLAIN if name in document}
    values["stage"] = Stage(document.get("stage", 0))
    values["ended_at"] = Stage(document.get("ended_at", 0))
    values["order"] = Order(document.get("order", Order.INSTALL))
    reached = document.get("reached", {})
    values["reached"] = {Stage(int(stage)): float(at) for stage, at in reached.items()}
    values["repeats"] = dict(document.get("repeats", {}))
    for name in ("complaint", "condition"):
        values[name] = _condition(document, name)
    return Installation(**values)  # type: ignore[arg-type] # names and types are the ones that encoded() wrote


def decoded_or_held(host: str, number: int, text: str) -> Installation:
    """Return the installation in *text*, or, if it cannot be read, an installation that is held.

    A host whose record is lost must not install again by accident: that would wipe its disk.
    """
    try:
        return decoded(text)
    except UNREADABLE:
        logger.critical(
            "state.unreadable host=%s: the record of its installation cannot be read, so the host is held. To install "
            "it again, run `ocp-appliance reinstall` and then `ocp-appliance release`; otherwise leave it held",
            host,
        )
        return Installation(host, number, is_held=True, order=Order.HOLD)


def _condition(document: Mapping[str, object], name: str) -> Condition | None:
    parts = document.get(name)
    if not isinstance(parts, list):
        return None
    title, hint, since = parts
    return Condition(title, hint, since)


def event_of(kind: str, host: str, facts: Mapping[str, object]) -> AnyEvent | None:
    """Return the event of this *kind* with these *facts*, which are what `Event.facts` returned, through JSON.

    A fact that is missing, because an older version did not keep it, gets its default,
    or else is "" or 0; an unknown fact is dropped. Returns None for an unknown kind, and
    for facts of unexpected types.
    """
    event_type = _event_types().get(kind)
    if event_type is None:
        return None
    # Older versions kept the program of a DHCP message as "client".
    if "program" not in facts and "program" in _fields_of(kind) and "client" in facts:
        facts = {**facts, "program": facts["client"]}
    values: dict[str, object] = {"host": host}
    for name, (value_type, default) in _fields_of(kind).items():
        try:
            values[name] = _typed(facts[name], value_type) if name in facts else default
        except (ValueError, TypeError):
            return None
        if values[name] is MISSING:
            return None
    return event_type(**values)  # type: ignore[arg-type] # names and types are the ones of its own fields


@cache
def _event_types() -> dict[str, type[AnyEvent]]:
    return {event_type.kind: event_type for event_type in get_args(AnyEvent)}


@cache
def _fields_of(kind: str) -> dict[str, tuple[type, object]]:
    """Return the facts that events of this *kind* have: the type of each, and its value if it is missing.

    `Event.facts` leaves out empty text, so a missing text is "". A member of an
    enumeration has no empty value, so there it is MISSING.
    """
    event_type = _event_types()[kind]
    types = get_type_hints(event_type)
    found: dict[str, tuple[type, object]] = {}
    for field in fields(event_type):
        if field.name == "host":
            continue
        empty = MISSING if issubclass(types[field.name], StrEnum) else types[field.name]()
        found[field.name] = types[field.name], empty if field.default is MISSING else field.default
    return found


def _typed(value: object, value_type: type) -> object:
    """Return *value* as *value_type*; raises ValueError or TypeError if JSON had something else."""
    if issubclass(value_type, StrEnum):
        return value_type(str(value))
    # Another JSON writer may spell 2.0 as 2. The exact type is compared below because True is an int in Python.
    if value_type is float and type(value) is int:
        return float(value)
    if type(value) is not value_type:
        raise TypeError(f"expected {value_type.__name__}, got {value!r}")
    return value
