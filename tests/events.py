"""Examples of every class of event."""

from dataclasses import fields
from enum import StrEnum
from typing import get_args, get_type_hints

from appliance.events import AnyEvent

CLASSES: tuple[type[AnyEvent], ...] = get_args(AnyEvent)


def example(event_type: type[AnyEvent]) -> AnyEvent:
    """Return an event of *event_type* in which no fact has its default value."""
    types = get_type_hints(event_type)
    return event_type(**{field.name: _value(field.name, types[field.name]) for field in fields(event_type)})


def _value(name: str, value_type: type) -> object:
    if issubclass(value_type, StrEnum):
        return list(value_type)[-1]
    return {str: f"some {name}", int: 1234, float: 2.5, bool: False}[value_type]
