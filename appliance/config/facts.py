"""What a file says, as far as it can be read, each fact with its place: what the checks compare.

Taken from the text and not from the validated model, so that one bad value hides
nothing else: what cannot be read is told by validation, and left out here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Generic, TypeVar

from appliance.config import addresses, fields
from appliance.config.document import Document, Items, Path_, spell_path
from appliance.errors import Problem
from appliance.model import MacAddress, Release, Role

T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)

# Stands for the cluster's domain where that cannot be read; no domain is spelled so.
UNKNOWN_DOMAIN = "<name>.<baseDomain>"


@dataclass(frozen=True, slots=True)
class Fact(Generic[V_co]):
    """A value and where it stands. *owner* says whose it is, for a message about something else."""

    value: V_co
    path: Path_
    document: Document
    owner: str = ""

    def error(self, message: str) -> Problem:
        """Return a problem at this place."""
        return Problem(self.document.file, self.document.line_of(self.path), spell_path(self.path), message)

    def warning(self, message: str) -> Problem:
        """Return a warning at this place."""
        return Problem(self.document.file, self.document.line_of(self.path), spell_path(self.path), message, True)

    def place(self, seen_from: Document) -> str:
        """Return where this stands, for a message in *seen_from*."""
        line = self.document.line_of(self.path)
        return f"line {line}" if seen_from is self.document else f"{self.document.file}:{line}"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One entry of hosts, as far as it can be read."""

    entry: Fact[int]
    label: str  # what to call it: its name, or hosts[2]
    name: Fact[str] | None  # fully qualified
    role: Fact[Role] | None
    macs: list[Fact[MacAddress]]
    address: Fact[IPv4Address] | None
    address6: Fact[IPv6Address] | None


@dataclass(frozen=True)
class Facts:
    """One document, read fact by fact."""

    document: Document
    data_dir: Path | None = None  # None where it cannot be known

    def at(self, parse: Callable[[str], T], *path: str | int, owner: str = "") -> Fact[T] | None:
        """Return what stands at *path*; None when nothing does or *parse* refuses it."""
        text = self.document.value_at(path)
        if not isinstance(text, str):
            return None
        try:
            return Fact(parse(text), path, self.document, owner or spell_path(path))
        except ValueError:
            return None

    def all_at(self, parse: Callable[[str], T], *path: str | int, owner: str = "") -> list[Fact[T]]:
        """Return what stands in the list at *path*, or the one value there, less what *parse* refuses."""
        value = self.document.value_at(path)
        paths = [(*path, index) for index in range(len(value))] if isinstance(value, Items) else [path]
        return [fact for each in paths if (fact := self.at(parse, *each, owner=owner)) is not None]

    def count(self, *path: str | int) -> int:
        """Return how many entries the list at *path* has."""
        value = self.document.value_at(path)
        return len(value) if isinstance(value, Items) else 0

    def has(self, *path: str | int) -> bool:
        """Whether something is written at *path*."""
        return self.document.value_at(path) is not None

    def here(self, *path: str | int) -> Fact[None]:
        """Return the place *path*, whatever stands there."""
        return Fact(None, path, self.document)

    @cached_property
    def name(self) -> Fact[str] | None:
        """metadata.name."""
        return self.at(fields.parse_label, "metadata", "name")

    @cached_property
    def domain(self) -> str:
        """The cluster's domain; UNKNOWN_DOMAIN when it cannot be read."""
        base = self.at(fields.parse_domain, "baseDomain")
        return f"{self.name.value}.{base.value}" if self.name and base else UNKNOWN_DOMAIN

    @cached_property
    def base_domain(self) -> str:
        """baseDomain; UNKNOWN_DOMAIN when it cannot be read."""
        base = self.at(fields.parse_domain, "baseDomain")
        return base.value if base else UNKNOWN_DOMAIN

    @cached_property
    def zone(self) -> str:
        """The apex of the zone that is answered for."""
        zone = self.at(fields.parse_domain, "dns", "zone")
        return zone.value if zone else self.domain

    @cached_property
    def release(self) -> Release | None:
        """The release."""
        fact = self.at(fields.parse_release, "release")
        return fact.value if fact else None

    @cached_property
    def networks(self) -> list[Fact[addresses.Cidr]]:
        """The ranges of the machine networks."""
        count = self.count("networking", "machineNetwork")
        found = [self.at(addresses.parse_cidr, "networking", "machineNetwork", i, "cidr") for i in range(count)]
        return [fact for fact in found if fact is not None]

    @cached_property
    def networks4(self) -> list[IPv4Network]:
        """The IPv4 ranges among them; none when one cannot be read, for nothing can be said to be outside then."""
        if len(self.networks) < self.count("networking", "machineNetwork"):
            return []
        return [fact.value for fact in self.networks if isinstance(fact.value, IPv4Network)]

    @cached_property
    def appliance(self) -> Fact[IPv4Address] | None:
        """The appliance's address."""
        return self.at(addresses.parse_ipv4, "appliance", "address", owner="the appliance's own address")

    @cached_property
    def appliance_name(self) -> Fact[str]:
        """The appliance's full name."""
        said = self.at(fields.parse_domain, "appliance", "hostname")
        name = said.value if said else "appliance"
        full = name if "." in name else f"{name}.{self.domain}"
        return Fact(full, said.path if said else ("appliance",), self.document, "the appliance's name")

    @cached_property
    def gateways(self) -> list[Fact[IPv4Address]]:
        """Every default gateway."""
        count = self.count("networking", "machineNetwork")
        paths = [("networking", "machineNetwork", i, "gateway") for i in range(count)]
        found = [self.at(addresses.parse_ipv4, *path, owner="the gateway") for path in [*paths, ("dhcp", "gateway")]]
        return [fact for fact in found if fact is not None]

    @cached_property
    def servers(self) -> list[Fact[IPv4Address]]:
        """The appliance's addresses in the machine networks, where they are said."""
        count = self.count("networking", "machineNetwork")
        paths = [("networking", "machineNetwork", i, "serverAddress") for i in range(count)]
        found = [self.at(addresses.parse_ipv4, *path, owner="the appliance's address there") for path in paths]
        return [fact for fact in found if fact is not None]

    @cached_property
    def vips(self) -> dict[str, list[Fact[addresses.Address]]]:
        """The load balancer's addresses, by key."""
        keys = {"apiVIPs": "the API's", "apiInternalVIPs": "api-int's", "ingressVIPs": "the ingress's"}
        return {
            key: self.all_at(addresses.parse_address, key, owner=f"{whose} address ({key})")
            for key, whose in keys.items()
        }

    @cached_property
    def hosts(self) -> list[HostFacts]:
        """The entries of hosts."""
        return [self._host(index) for index in range(self.count("hosts"))]

    def _host(self, index: int) -> HostFacts:
        def at(parse: Callable[[str], T], key: str) -> Fact[T] | None:
            return self.at(parse, "hosts", index, key, owner=label)

        short = self.at(fields.parse_domain, "hosts", index, "hostname")
        label = short.value if short else f"hosts[{index}]"
        macs = self.all_at(addresses.parse_mac, "hosts", index, "macAddress", owner=label)
        for number in range(self.count("hosts", index, "interfaces")):
            path = ("hosts", index, "interfaces", number, "macAddress")
            macs += self.all_at(addresses.parse_mac, *path, owner=label)
        return HostFacts(
            entry=Fact(index, ("hosts", index), self.document, label),
            label=label,
            name=short and self._full(short, label),
            role=at(fields.parse_enum(Role), "role"),
            macs=macs,
            address=at(addresses.parse_ipv4, "address"),
            address6=at(addresses.parse_ipv6, "addressIPv6"),
        )

    def _full(self, short: Fact[str], owner: str) -> Fact[str]:
        name = short.value if "." in short.value else f"{short.value}.{self.domain}"
        return Fact(name, short.path, self.document, owner)

    @cached_property
    def is_single_node(self) -> bool:
        """Whether one node alone is the cluster, the bootstrap machine left aside."""
        return sum(1 for host in self.hosts if not (host.role and host.role.value is Role.BOOTSTRAP)) == 1
