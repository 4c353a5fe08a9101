"""The record types that the appliance knows, one file each: a new file here is a new type everywhere.

cluster.yaml accepts each type that has an `example`; zones, compiled answers and
forwarded answers find all types by name or by number. A type without a file is
opaque: its records are forwarded unchanged (RFC 3597 section 3).
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from appliance.dns.rdata import RecordType

__all__ = ["BY_NAME", "BY_NUMBER", "FILE_TYPES", "record_type"]


def _types() -> Iterator[RecordType]:
    for module in iter_modules(__path__):
        found: RecordType = import_module(f"{__name__}.{module.name}").RECORD
        yield found


BY_NAME: Mapping[str, RecordType] = MappingProxyType({found.name: found for found in _types()})
BY_NUMBER: Mapping[int, RecordType] = MappingProxyType({found.number: found for found in BY_NAME.values()})

# The values that `type` of a record in cluster.yaml may have.
FILE_TYPES = tuple(sorted(found.name for found in BY_NAME.values() if found.example))


def record_type(name: str) -> RecordType:
    """Return the type called *name*. Raises ValueError for an unknown type."""
    found = BY_NAME.get(name)
    if found is None:
        raise ValueError(f"unknown record type {name!r}; expected one of {', '.join(sorted(BY_NAME))}")
    return found
