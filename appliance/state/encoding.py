"""An installation as the text that a store keeps, and back; and events, restored from their facts."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from functools import cache
from typing import get_args, get_type_hints

from appliance.events import AnyEvent, StageReached
from appliance.install.installation import Condition, Installation, Order, Recipe, Stage
from appliance.model import Boot

_NAMES = tuple(field.name for field in fields(Installation))
_CONDITIONS = ("complaint", "condition", "doubt")
_PLAIN = tuple(name for name in _NAMES if name not in {"reached", "repeats", "recipe", "balancer", *_CONDITIONS})
_RECIPE = tuple(field.name for field in fields(Recipe))

# The errors that `decoded` raises for text that is not an installation; deep JSON is a RecursionError.
UNREADABLE = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)

# The last member of each record is a checksum of all before it, and of where it is kept: SQLite has none of its own,
# and one flipped bit makes another stage of a valid one.
_SUM = re.compile(r', "sum": "([0-9a-f]{8})"\}')
_SUM_CHARACTERS = len(', "sum": "01234567"}')
_MOST = 2**53  # no count or time is this large, and floats are exact up to here


def encoded(installation: Installation) -> str:
    """Return *installation* as JSON."""
    values: dict[str, object] = {name: getattr(installation, name) for name in _PLAIN}
    values["reached"] = {int(stage): at for stage, at in installation.reached.items()}
    values["repeats"] = dict(installation.repeats)
    if installation.recipe != Recipe():
        values["recipe"] = {name: getattr(installation.recipe, name) for name in _RECIPE}
    if installation.balancer:
        values["balancer"] = dict(installation.balancer)
    for name in _CONDITIONS:
        condition = getattr(installation, name)
        if condition is not None:
            values[name] = [condition.name, condition.hint, condition.since]
    text = json.dumps(values)[:-1]
    return f'{text}, "sum": "{zlib.crc32(text.encode()):08x}"}}'


def decoded(text: str) -> Installation:
    """Return the installation in *text*; missing fields get their defaults.

    Unknown fields are dropped if the checksum says that a newer version wrote them.
    Raises one of UNREADABLE if *text* is not an installation, or not as it was written.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("not an installation")
    # Versions before the checksum wrote no other fields than those of today.
    if not _has_sum(text) and not document.keys() <= set(_NAMES):
        raise ValueError("damaged: no checksum")
    values: dict[str, object] = {
        name: _checked(document.get(name), _TYPES[name]) for name in _PLAIN if name == "host" or name in document
    }
    reached, repeats = document.get("reached", {}), document.get("repeats", {})
    values["reached"] = {Stage(int(stage)): _checked(at, float) for stage, at in reached.items()}
    values["repeats"] = {name: _checked(times, int) for name, times in repeats.items()}
    values["recipe"] = _recipe(document.get("recipe", {}))
    # A newer version's orders are kept as they are: whoever carries them out knows which it knows.
    values["balancer"] = {name: _checked(order, str) for name, order in document.get("balancer", {}).items()}
    for name in _CONDITIONS:
        values[name] = _condition(document.get(name))
    return Installation(**values)  # type: ignore[arg-type] # _checked compared the types


def is_intact(host: str, number: int, text: str) -> bool:
    """Whether *text*, which is kept as record *number* of *host*, can be read and is that record."""
    try:
        installation = decoded(text)
    except UNREADABLE:
        return False
    return (installation.host, installation.number) == (host, number)


def _has_sum(text: str) -> bool:
    """Whether *text* ends with its checksum; raises ValueError if that is wrong."""
    found = _SUM.fullmatch(text, len(text) - _SUM_CHARACTERS) if len(text) > _SUM_CHARACTERS else None
    if found is None:
        return False
    if int(found[1], 16) != zlib.crc32(text[:-_SUM_CHARACTERS].encode()):
        raise ValueError("damaged: wrong checksum")
    return True


def _recipe(document: Mapping[str, object]) -> Recipe:
    known = {name: _checked(document[name], _RECIPE_TYPES[name]) for name in _RECIPE if name in document}
    return Recipe(**known)  # type: ignore[arg-type] # _checked compared the types


def _condition(value: object) -> Condition | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != len(fields(Condition)):
        raise TypeError("not a condition")
    name, hint, since = value
    for part, wanted in ((name, str), (hint, str), (since, float)):
        _checked(part, wanted)
    return Condition(name, hint, since)


def _checked(value: object, wanted: object) -> object:
    """Return *value*, which must be as *wanted* says: a type of a plain field of Installation."""
    if value is None and wanted == float | None:
        return None
    if wanted in (float, float | None):
        if type(value) not in (int, float):
            raise TypeError("not a time")
        number = float(value)  # type: ignore[arg-type] # an int or a float
        if not abs(number) < _MOST:  # also for NaN
            raise ValueError("not a time")
        return number
    if wanted is Stage and type(value) is int:
        return Stage(value)
    if wanted in (Order, Boot) and type(value) is str:
        return wanted(value)
    if type(value) is not wanted or (wanted is int and not 0 <= value < _MOST):  # type: ignore[operator]
        raise TypeError(f"expected {wanted}")
    return value


_TYPES: Mapping[str, object] = get_type_hints(Installation)
_RECIPE_TYPES: Mapping[str, object] = get_type_hints(Recipe)


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
    # And the stage at which iPXE or GRUB runs as "ipxe".
    if event_type is StageReached and facts.get("stage") == "ipxe":
        facts = {**facts, "stage": Stage.BOOTLOADER.name.lower()}
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
