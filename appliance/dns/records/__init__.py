"""Every record type that the appliance knows, one file each: a new file here is a new type everywhere.

cluster.yaml takes each type that has an `example`; zones, compiled answers and
forwarded answers find them all by name or by number. A type without a file is
opaque: it is forwarded as it came (RFC 3597 section 3).
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from appliance.dns.rdata import RecordType

__all__ = ["BY_NAME", "BY_NUMBER", "FILE_TYPES", "may_share_a_name", "record_type"]


def _types() -> Iterator[RecordType]:
    for module in iter_modules(__path__):
        found: RecordType = import_module(f"{__name__}.{module.name}").RECORD
        yield found


BY_NAME: Mapping[str, RecordType] = MappingProxyType({found.name: found for found in _types()})
BY_NUMBER: Mapping[int, RecordType] = MappingProxyType({found.number: found for found in BY_NAME.values()})

# What `type` of a record in cluster.yaml may be.
FILE_TYPES = tuple(sorted(found.name for found in BY_NAME.values() if found.example))


def record_type(name: str) -> RecordType:
    """Return the type called *name*. Raises ValueError where there is none."""
    found = BY_NAME.get(name)
    if found is None:
        raise ValueError(f"unknown record type {name!r}; expected one of {', '.join(sorted(BY_NAME))}")
    return found


def may_share_a_name(one: str, other: str) -> bool:
    """Whether records of the types *one* and *other* may have the same owner name (RFC 2181 section 10.1)."""
    return not (record_type(one).is_alone or record_type(other).is_alone)
