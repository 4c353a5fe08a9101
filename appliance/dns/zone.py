"""A zone as text: names, records, and its master file.

Names are lower case, fully qualified and without the trailing dot, here and in
values, which otherwise are RDATA as in a master file (RFC 1035 section 5).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.dns.records import record_type


@dataclass(frozen=True, slots=True)
class Rrset:
    """All records with the same name and type."""

    name: str
    type: str
    ttl: int  # seconds; one for the whole set (RFC 2181 section 5.2)
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Soa:
    """A zone's SOA record without its serial (RFC 1035 section 3.3.13). Times are in seconds."""

    primary: str  # name server
    mailbox: str  # as a name: the part before the @ is the first label
    ttl: int
    refresh: int
    retry: int
    expire: int
    minimum: int

    def rrset(self, apex: str, serial: int) -> Rrset:
        """Return the SOA record of the zone *apex*."""
        times = f"{self.refresh} {self.retry} {self.expire} {self.minimum}"
        return Rrset(apex, "SOA", self.ttl, (f"{self.primary} {self.mailbox} {serial} {times}",))

    @property
    def negative_ttl(self) -> int:
        """How long a negative answer may be cached, in seconds (RFC 2308 section 3)."""
        return min(self.ttl, self.minimum)


@dataclass(frozen=True, slots=True)
class Zone:
    """One of our zones, without its serial, which depends on the digests of its earlier contents."""

    name: str
    soa: Soa
    rrsets: Mapping[str, Mapping[str, Rrset]]  # by name, then type; all but the SOA

    @property
    def digest(self) -> str:
        """A SHA-256 of the content, in hex. The order of records does not matter, so reordering changes no serial."""
        return hashlib.sha256("\n".join(sorted(self.text(0).splitlines())).encode()).hexdigest()

    def text(self, serial: int) -> str:
        """Return the zone as a master file (RFC 1035 section 5)."""
        lines = [f"$ORIGIN {self.name}.", f"$TTL {self.soa.ttl}", *_lines(self.name, self.soa.rrset(self.name, serial))]
        for name in sorted(self.rrsets, key=_canonical_order):
            for rrset in self.rrsets[name].values():
                lines.extend(_lines(self.name, rrset))
        return "\n".join(lines) + "\n"


def apex_of(name: str, apexes: Mapping[str, object]) -> str | None:
    """Return the deepest of *apexes* at or above *name*, or None."""
    while name:
        if name in apexes:
            return name
        name = parent_of(name)
    return name if name in apexes else None  # "" is the root


def parent_of(name: str) -> str:
    """Return *name* without its first label; "" for a name of one label."""
    return name.partition(".")[2]


def _canonical_order(name: str) -> tuple[str, ...]:
    # The last label first, so that a name is followed by the names below it (RFC 4034 section 6.1).
    return tuple(reversed(name.split(".")))


def _lines(apex: str, rrset: Rrset) -> Iterator[str]:
    # Relative to $ORIGIN, as people write zones.
    owner = "@" if rrset.name == apex else rrset.name.removesuffix("." + apex)
    kind = record_type(rrset.type)
    for value in rrset.values:
        yield f"{owner} {rrset.ttl} IN {rrset.type} {kind.master_text(value)}"
