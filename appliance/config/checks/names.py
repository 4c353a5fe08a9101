"""The zone, its name servers and records, and who may ask for what."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.config import addresses, fields
from appliance.config.facts import UNKNOWN_DOMAIN, Fact, Facts
from appliance.config.fields import MAX_NAME
from appliance.config.records import in_zone, owner_name, rdata, too_long
from appliance.config.words import RECORD_TYPES
from appliance.errors import Problem
from appliance.model import Role

WIDEST_PREFIX = 8  # wider than the widest private network, 10.0.0.0/8, is the internet


def problems_in(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with the names of one file."""
    yield from _search(facts)
    yield from _recursion(facts)
    if facts.domain == UNKNOWN_DOMAIN:
        return  # nothing can be said of names in a domain that is not known
    longest = max(_derived_names(facts), key=len)
    if len(longest) > MAX_NAME:
        yield facts.here("baseDomain").error(too_long(longest, "shorten baseDomain or metadata.name"))
        return  # every other name would be too long as well
    zone = facts.at(fields.parse_domain, "dns", "zone")
    if zone and zone.value not in {facts.domain, facts.base_domain}:
        wanted = f"write {facts.domain}, or {facts.base_domain} for the whole base domain"
        yield zone.error(f"{zone.value} is not the cluster's domain; {wanted}")
        return
    for name in [facts.appliance_name, *(host.name for host in facts.hosts if host.name)]:
        if len(name.value) > MAX_NAME:
            yield name.error(too_long(name.value))
    for host in facts.hosts:
        if host.name and not in_zone(host.name.value, facts.zone):
            yield host.name.error(
                f"{host.name.value} is outside the zone {facts.zone}; write the name without dots, or widen dns.zone"
            )
    yield from _name_servers(facts)
    yield from _Zone(facts).problems()


def _derived_names(facts: Facts) -> Iterator[str]:
    """Yield the names that follow from the cluster's domain alone."""
    yield f"api-int.{facts.domain}"
    yield f"*.apps.{facts.domain}"
    if not facts.has("dns", "mailbox"):
        yield f"hostmaster.{facts.zone}"
    if facts.release and facts.release.needs_etcd_records:
        yield f"_etcd-server-ssl._tcp.{facts.domain}"


def _name_servers(facts: Facts) -> Iterator[Problem]:
    known = {host.name.value for host in facts.hosts if host.name} | {facts.appliance_name.value}
    for index in range(facts.count("dns", "nameServers")):
        path = ("dns", "nameServers", index)
        said = facts.at(fields.parse_domain, *path, "name")
        if said is None:
            continue
        name = _name_server(facts, said)
        if len(name) > MAX_NAME:
            yield said.error(too_long(name))
            continue
        has_address = facts.has(*path, "address")
        if in_zone(name, facts.zone) and not has_address and name not in known:
            yield facts.here(*path, "address").error(
                f"is missing; {name} lies in the zone, which must tell its address"
            )
        elif has_address and not in_zone(name, facts.zone):
            where = facts.here(*path, "address")
            yield where.warning(f"is not used: {name} is outside the zone {facts.zone}, whose own server tells it")


def _name_server(facts: Facts, said: Fact[str]) -> str:
    return said.value if "." in said.value else f"{said.value}.{facts.zone}"


def names_given(facts: Facts) -> dict[str, str]:
    """Return the names that have records without any in dns.records, each with the key that gives them."""
    domain = facts.domain
    given = {facts.zone: "the zone itself", facts.appliance_name.value: "appliance"}
    for name, key in (("api", "apiVIPs"), ("api-int", "apiInternalVIPs"), ("*.apps", "ingressVIPs")):
        given[f"{name}.{domain}"] = key
    given |= {host.name.value: f"hosts[{host.entry.value}]" for host in facts.hosts if host.name}
    for index in range(facts.count("dns", "nameServers")):
        path = ("dns", "nameServers", index)
        said = facts.at(fields.parse_domain, *path, "name")
        name = _name_server(facts, said) if said else ""
        if facts.has(*path, "address") and in_zone(name, facts.zone):
            given.setdefault(name, f"dns.nameServers[{index}]")
    if facts.release and facts.release.needs_etcd_records:
        given[f"_etcd-server-ssl._tcp.{domain}"] = "the etcd members"
        masters = [host for host in facts.hosts if host.role and host.role.value is Role.MASTER]
        for index, master in enumerate(masters):
            given.setdefault(f"etcd-{index}.{domain}", f"hosts[{master.entry.value}], an etcd member")
    return given


def _search(facts: Facts) -> Iterator[Problem]:
    apps = f"apps.{facts.domain}"
    paths: list[tuple[str | int, ...]] = [("dhcp", "search")]
    paths += [(*network.path[:3], "search") for network in facts.networks]
    for path in paths:
        for domain in facts.all_at(fields.parse_domain, *path):
            if in_zone(domain.value, apps):
                yield domain.warning(
                    f"{domain.value} is under the wildcard: every unknown name would lead to the ingress"
                )


def _recursion(facts: Facts) -> Iterator[Problem]:
    if not facts.has("dns", "forwarders"):
        yield facts.here("dns", "forwarders").warning(
            "is not given, so nodes cannot find quay.io; name your DNS servers, or write `forwarders: []` for none"
        )
    for forwarder in facts.all_at(addresses.parse_endpoint(53), "dns", "forwarders"):
        own = [fact.value for fact in [facts.appliance, *facts.servers] if fact]
        if forwarder.value.address in own and forwarder.value.port == 53:
            yield forwarder.error(f"{forwarder.value} is the appliance itself; name the DNS server behind it")
    for network in facts.all_at(addresses.parse_cidr, "dns", "allowRecursion"):
        if network.value.prefixlen < WIDEST_PREFIX:
            yield network.warning(
                f"{network.value} makes the appliance an open resolver; write the networks of your own"
            )


@dataclass(frozen=True, slots=True)
class SaidRecord:
    """One entry of dns.records, as far as it can be read."""

    name: Fact[str]
    owner: str  # the full name
    kind: str
    value: Fact[str] | None


def records_said(facts: Facts) -> Iterator[SaidRecord]:
    """Yield the entries of dns.records that have a name and a type."""
    for index in range(facts.count("dns", "records")):
        path = ("dns", "records", index)
        name = facts.at(fields.parse_record_name, *path, "name")
        kind = facts.at(lambda text: fields.parse_one_of(RECORD_TYPES)(text.upper()), *path, "type")
        if name is not None and kind is not None:
            yield SaidRecord(name, owner_name(name.value, facts.zone), kind.value, facts.at(str, *path, "value"))


@dataclass
class _Zone:
    """What the zone holds so far, so that a record can be set against it."""

    facts: Facts
    owners: dict[str, str] = field(default_factory=dict)  # name → what gives it records
    reverse: dict[str, str] = field(default_factory=dict)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with dns.records."""
        self._take_in_hosts()
        cnames: dict[str, Fact[str]] = {}
        others: dict[str, Fact[str]] = {}
        seen: dict[tuple[str, str, str], Fact[str]] = {}
        for record in records_said(self.facts):
            name, owner, kind = record.name, record.owner, record.kind
            if len(owner) > MAX_NAME:
                yield name.error(too_long(owner))
                continue
            yield from self._owner(name, owner, kind)
            if record.value is not None:
                yield from self._data(record.value, owner, kind, seen)
            held = cnames if kind == "CNAME" else others
            other = others.get(owner) or cnames.get(owner) if kind == "CNAME" else cnames.get(owner)
            if other:
                yield name.error(
                    f"{owner} has a CNAME and another record ({other.place(name.document)}); a CNAME stands alone"
                )
            held.setdefault(owner, name)

    def _take_in_hosts(self) -> None:
        facts = self.facts
        self.owners |= names_given(facts)
        for host in facts.hosts:
            for address in (host.address, host.address6):
                if address:
                    self.reverse[address.value.reverse_pointer] = f"hosts[{host.entry.value}]"

    def _owner(self, name: Fact[str], owner: str, kind: str) -> Iterator[Problem]:
        facts = self.facts
        giver = self.owners.get(owner)
        if kind == "PTR":
            if owner in self.reverse:
                yield name.error(f"{name.value} has the PTR record of {self.reverse[owner]}; leave this one out")
        elif not in_zone(owner, facts.zone):
            yield name.error(f"{owner} is outside the zone {facts.zone}; only PTR records may be")
        elif kind == "CNAME" and giver:
            yield name.error(f"{owner} has records from {giver}, and a CNAME stands alone; leave this one out")
        elif kind in {"A", "AAAA"} and giver in {"apiVIPs", "apiInternalVIPs", "ingressVIPs"}:
            yield name.error(f"{owner} has its addresses from {giver}; add this one there")
        elif owner in {f"*.{facts.zone}", f"*.{facts.domain}", f"*.{facts.base_domain}"}:
            wrong = f"quay.io.{facts.domain}" if in_zone(facts.domain, owner[2:]) else f"quay.io.{owner[2:]}"
            yield name.warning(f"{owner} answers for every name that is not there, also {wrong}, which nodes try first")

    def _data(
        self, value: Fact[str], owner: str, kind: str, seen: dict[tuple[str, str, str], Fact[str]]
    ) -> Iterator[Problem]:
        try:
            data = rdata(kind, value.value, self.facts.zone)
        except ValueError as error:
            yield value.error(str(error))
            return
        first = seen.setdefault((owner, kind, data), value)
        if first is not value:
            yield value.error(
                f"{owner} has this {kind} record twice (first on {first.place(value.document)}); keep one"
            )
