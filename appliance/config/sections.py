"""What all mappings of cluster.yaml have in common: they accept only known keys, some of which every file needs.

A needed key nevertheless has a default, None or an empty value, so that a file with
mistakes can be read as well. `missing` finds the needed keys that a file lacks, and
the JSON Schema lists needed keys as `required`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from appliance.config.document import Path_

T = TypeVar("T")

_NEEDED: JsonDict = {"needed": True}


@overload
def needed() -> None: ...
@overload
def needed(empty: Callable[[], T]) -> T: ...
def needed(empty: Callable[[], T] | None = None) -> T | None:
    """Return the default of a key that every file needs: None, or what *empty* returns."""
    default: T | None = Field(default_factory=empty or _nothing, json_schema_extra=_NEEDED)
    return default


def known(value: T | None) -> T:
    """Return *value*, the value of a needed key in a file without errors."""
    assert value is not None, "a file without a needed value has an error"
    return value


def _nothing() -> None:
    return None


def _list_needed(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Turn the marks of needed keys into JSON Schema's own list of them."""
    for part in schema.get("properties", {}).values():
        part.pop("needed", None)
    if keys := [key for _, key, is_needed in _keys(model) if is_needed]:
        schema["required"] = keys


class BaseSection(BaseModel):
    """A mapping with known keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_list_needed)


def missing(section: BaseModel, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the places of the needed keys that the file lacks in *section*, which is at *path*, and below it."""
    given = section.model_fields_set
    for name, key, is_needed in _keys(type(section)):
        if name in given:
            value = getattr(section, name)
            if isinstance(value, BaseModel):
                yield from missing(value, (*path, key))
            elif isinstance(value, tuple):
                for index, item in enumerate(value):
                    if isinstance(item, BaseModel):
                        yield from missing(item, (*path, key, index))
        elif is_needed:
            yield (*path, key)


@cache
def _keys(model: type[BaseModel]) -> tuple[tuple[str, str, bool], ...]:
    """Return the name, the key in the file and whether it is needed, of each field of *model*."""
    fields = model.model_fields.items()
    return tuple((name, field.alias or name, field.json_schema_extra is _NEEDED) for name, field in fields)
