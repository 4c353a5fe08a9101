"""All zones as one tree of names: which records a name has, and which records answer for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.dns.zone import Rrset, Zone, apex_of, parent_of

# CNAMEs followed one after another. A longer chain is a mistake, and may be a loop.
MAX_CHAIN = 16


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a CNAME leads."""

    aliases: tuple[Rrset, ...]  # the CNAMEs, in order
    target: str  # of the last of them
    rrsets: Mapping[str, Rrset] | None  # of the target, by type; None if it does not exist or is not ours


class Tree:
    """Every name of every zone, with the records of the deepest zone that holds it."""

    def __init__(self, zones: Iterable[Zone], serials: Mapping[str, int], forwarded: Iterable[str] = ()) -> None:
        """*forwarded* are names that are not ours from there down, although a zone above them may be."""
        self.zones = {zone.name: zone for zone in zones}
        self.forwarded = {name for name in forwarded if name not in self.zones}
        self._borders = dict.fromkeys((*self.zones, *self.forwarded))
        self.serials = serials
        self.names: dict[str, dict[str, Rrset]] = {}
        for apex, zone in self.zones.items():
            self.names.setdefault(apex, {})["SOA"] = self.soa(apex)
            for name, rrsets in zone.rrsets.items():
                # The records that a zone has at names of a zone below it are a delegation: NS and glue. The zone below
                # is authoritative for these names, so its own records are the answer (RFC 1034 section 4.2.1).
                if self.apex(name) == apex:
                    self.names.setdefault(name, {}).update(rrsets)
                self._add_names_between(name, apex)
        for name in self.forwarded:
            parent = self.apex(parent_of(name))
            if parent is not None:
                self.names[name] = {}
                self._add_names_between(name, parent)

    def soa(self, apex: str) -> Rrset:
        """Return the SOA record of a zone."""
        return self.zones[apex].soa.rrset(apex, self.serials[apex])

    def apex(self, name: str) -> str | None:
        """Return the apex of the deepest zone that contains *name*, or None if it is not ours."""
        border = apex_of(name, self._borders)
        return border if border in self.zones else None

    def found(self, name: str) -> Mapping[str, Rrset] | None:
        """Return the records that answer for *name*: its own, or a wildcard's (RFC 4592). None if it does not exist."""
        if name in self.names:
            return self.names[name]
        # Only the closest name above that exists can have the wildcard (RFC 4592 section 3.3.1).
        encloser = apex_of(parent_of(name), self.names)
        return self.names.get(f"*.{encloser}")

    def chain(self, alias: Rrset) -> Chain:
        """Return where *alias* leads, following further CNAMEs in our zones."""
        aliases = [alias]
        while True:
            target = aliases[-1].values[0]
            if self.apex(target) is None:
                return Chain(tuple(aliases), target, None)
            found = self.found(target)
            if found is None:
                return Chain(tuple(aliases), target, None)
            renamed = {kind: Rrset(target, kind, rrset.ttl, rrset.values) for kind, rrset in found.items()}
            if "CNAME" not in renamed:
                return Chain(tuple(aliases), target, renamed)
            if len(aliases) == MAX_CHAIN:
                # NODATA after the CNAMEs so far: the client sees how the chain goes on, and can follow it itself.
                return Chain(tuple(aliases), target, {})
            aliases.append(renamed["CNAME"])

    def _add_names_between(self, name: str, apex: str) -> None:
        """Add the names between *name* and its apex, which exist without records (RFC 4592 section 2.2.2)."""
        while name != apex:
            name = parent_of(name)
            self.names.setdefault(name, {})
