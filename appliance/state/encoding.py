"""An installation as the text that the journal keeps, and back."""

import json
from collections.abc import Mapping
from dataclasses import fields

from appliance.install.lifecycle import Condition, Installation, Order, Stage

_NAMES = tuple(field.name for field in fields(Installation))
_PLAIN = tuple(name for name in _NAMES if name not in {"reached", "complaint", "condition", "repeats"})


def encoded(one: Installation) -> str:
    """Return *one* as JSON."""
    values: dict[str, object] = {name: getattr(one, name) for name in _PLAIN}
    values["reached"] = {int(stage): at for stage, at in one.reached.items()}
    values["repeats"] = dict(one.repeats)
    for name, condition in (("complaint", one.complaint), ("condition", one.condition)):
        if condition is not None:
            values[name] = [condition.name, condition.hint, condition.since]
    return json.dumps(values)


def decoded(text: str) -> Installation:
    """Return the installation that *text* tells of; what it lacks has its default, what is unknown is dropped.

    Raises ValueError or TypeError when it tells of none.
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


def _condition(document: Mapping[str, object], name: str) -> Condition | None:
    parts = document.get(name)
    if not isinstance(parts, list):
        return None
    title, hint, since = parts
    return Condition(title, hint, since)
