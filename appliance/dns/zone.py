"""A zone as text: names, records, and its master file.

Names are lower case, fully qualified and without the trailing dot. Values are
RDATA as a master file has it (RFC 1035 section 5), names in them like all names.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Which words of a value are names, and take a trailing dot in a master file.
_NAME_WORDS = {"CNAME": (0,), "NS": (0,), "PTR": (0,), "MX": (1,), "SRV": (3,), "SOA": (0, 1)}

_CHARACTER_STRING = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>(?:[^\s"\\]|\\.)+)', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rrset:
    """All records of one name and type."""

    name: str
    type: str
    ttl: int  # seconds; one for the whole set (RFC 2181 section 5.2)
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Soa:
    """A zone's SOA record but for its serial; times in seconds."""

    primary: str
    mailbox: str
    ttl: int
    refresh: int
    retry: int
    expire: int
    minimum: int

    def rrset(self, apex: str, serial: int) -> Rrset:
        """Return the record."""
        times = f"{self.refresh} {self.retry} {self.expire} {self.minimum}"
        return Rrset(apex, "SOA", self.ttl, (f"{self.primary} {self.mailbox} {serial} {times}",))

    @property
    def negative_ttl(self) -> int:
        """How long a negative answer may be kept (RFC 2308 section 3)."""
        return min(self.ttl, self.minimum)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of ours, with everything but its serial."""

    name: str
    soa: Soa
    rrsets: Mapping[str, Mapping[str, Rrset]]  # by name, then type

    @property
    def digest(self) -> str:
        """A hash of the content, in hex: the order of records is no part of it."""
        return hashlib.sha256("\n".join(sorted(self.text(0).splitlines())).encode()).hexdigest()

    def text(self, serial: int) -> str:
        """Return the zone as a master file (RFC 1035 section 5)."""
        lines = [f"$ORIGIN {self.name}.", f"$TTL {self.soa.ttl}", *_lines(self.name, self.soa.rrset(self.name, serial))]
        for name in sorted(self.rrsets, key=_canonical_order):
            for rrset in self.rrsets[name].values():
                lines.extend(_lines(self.name, rrset))
        return "\n".join(lines) + "\n"


def character_strings(value: str) -> Iterator[bytes]:
    """Yield the strings of a TXT record's value: quoted or not, with \\X and \\DDD escapes (RFC 1035 section 5.1)."""
    for match in _CHARACTER_STRING.finditer(value):
        text = match["quoted"] if match["quoted"] is not None else match["bare"]
        yield _ESCAPE.sub(_unescaped, text.encode())


def apex_of(name: str, apexes: Mapping[str, object]) -> str | None:
    """Return the deepest of *apexes* at or above *name*, or None."""
    while name:
        if name in apexes:
            return name
        name = parent_of(name)
    return None


def parent_of(name: str) -> str:
    """Return *name* without its first label; "" above the last."""
    return name.partition(".")[2]


def _canonical_order(name: str) -> tuple[str, ...]:
    return tuple(reversed(name.split(".")))


def _lines(apex: str, rrset: Rrset) -> Iterator[str]:
    owner = "@" if rrset.name == apex else rrset.name.removesuffix("." + apex)
    for value in rrset.values:
        yield f"{owner} {rrset.ttl} IN {rrset.type} {_with_dots(rrset.type, value)}"


def _with_dots(record_type: str, value: str) -> str:
    places = _NAME_WORDS.get(record_type)
    if places is None:
        return value
    words = value.split()
    for place in places:
        words[place] += "."
    return " ".join(words)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([int(escaped) & 0xFF]) if len(escaped) == 3 else escaped
