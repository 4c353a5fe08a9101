"""An installation as the text that a store keeps, and back."""

import json
import logging
from collections.abc import Mapping
from dataclasses import fields

from appliance.install.lifecycle import Condition, Installation, Order, Stage

logger = logging.getLogger(__name__)

_NAMES = tuple(field.name for field in fields(Installation))
_PLAIN = tuple(name for name in _NAMES if name not in {"reached", "complaint", "condition", "repeats"})


# What `decoded` raises for text that is no installation.
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
    """Return the installation in *text*; missing fields get their default, unknown fields are dropped.

    Raises ValueError, TypeError or AttributeError when *text* is not an installation.
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
    """Return the installation in *text*, or, when it cannot be read, one that is held.

    A host whose record is lost must not install again by accident, for that would wipe a disk.
    """
    try:
        return decoded(text)
    except UNREADABLE:
        logger.critical(
            "state.unreadable host=%s: the record of its installation cannot be read, so the host is held. To install "
            "it again run `ocp-appliance reinstall` and then `ocp-appliance release`; otherwise leave it held",
            host,
        )
        return Installation(host, number, is_held=True, order=Order.HOLD)


def _condition(document: Mapping[str, object], name: str) -> Condition | None:
    parts = document.get(name)
    if not isinstance(parts, list):
        return None
    title, hint, since = parts
    return Condition(title, hint, since)
