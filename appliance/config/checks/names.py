"""The zone, its name servers and records, and whose queries are forwarded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv6Network

from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.fields import MAX_NAME
from appliance.config.records import in_zone, too_long
from appliance.config.section_drafts import RecordDraft
from appliance.config.words import DEFAULT_PORTS
from appliance.dns.records import record_type
from appliance.dns.reverse import reverse_apexes
from appliance.errors import Problem
from appliance.model import Cidr, Role
from appliance.openshift import names as openshift

ONLY_CNAME = "a CNAME must be the only record of its name"  # RFC 1034 section 3.6.2
WIDEST_PREFIX = 8  # of 10.0.0.0/8, the widest private network; a wider one includes public addresses
WIDEST_PREFIX6 = 32  # what one provider has for all its customers
PRIVATE6 = IPv6Network("fc00::/7")  # RFC 4193


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the names of one file."""
    yield from _search(draft)
    yield from _recursion(draft)
    if not draft.is_domain_known:
        return  # without the domain, no full name is known
    longest = max(_derived_names(draft), key=len)
    if len(longest) > MAX_NAME:
        yield draft.document.here("baseDomain").error(too_long(longest, "shorten baseDomain or metadata.name"))
        return  # every other name would be too long as well
    zone = draft.document.at(draft.file.dns.zone, "dns", "zone")
    if zone and zone.value not in {draft.domain, draft.base_domain}:
        wanted = f"write {draft.domain}, or {draft.base_domain} for the whole base domain"
        yield zone.error(f"{zone.value} is not the cluster's domain; {wanted}")
        return
    for name in [draft.appliance_name, *(host.name for host in draft.hosts if host.name)]:
        if len(name.value) > MAX_NAME:
            yield name.error(too_long(name.value))
    for host in draft.hosts:
        if host.name and _misses(host.name.value, draft):
            yield host.name.warning(
                f"{host.name.value} is outside the zone {draft.zone}, so it has no A record here; correct it, "
                "or make sure that another DNS server has that record"
            )
    yield from _name_servers(draft)
    yield from _forwarded_twice(draft)
    yield from forwarded_although_served(draft, draft)
    yield from _Zone(draft).problems()


def _misses(name: str, draft: Draft) -> bool:
    """Whether *name* is in a domain that looks like a mistake for the cluster's, and not in one of its own."""
    domain, wanted = name.partition(".")[2], draft.domain
    if in_zone(name, draft.zone):
        return False
    # A part of the name that was meant to be short, as m1.rack1 and m1.ocp, or only a part of the domain.
    is_cut = "." not in domain or wanted.startswith(f"{domain}.") or domain == draft.base_domain
    return is_cut or bool(get_close_matches(domain, [wanted], cutoff=0.9))


def _derived_names(draft: Draft) -> Iterator[str]:
    """Yield the names that follow from the cluster's domain alone."""
    yield openshift.api_int(draft.domain)
    yield openshift.apps(draft.domain)
    if not draft.document.has("dns", "mailbox"):
        yield f"hostmaster.{draft.zone}"
    if draft.release and draft.release.needs_etcd_records:
        yield openshift.etcd_service(draft.domain)


def _name_servers(draft: Draft) -> Iterator[Problem]:
    known = {host.name.value for host in draft.hosts if host.name} | {draft.appliance_name.value}
    for server in draft.name_servers:
        name, path = server.name.value, server.path
        if len(name) > MAX_NAME:
            yield server.name.error(too_long(name))
            continue
        has_address = draft.document.has(*path, "address")
        if in_zone(name, draft.zone) and not has_address and name not in known:
            yield draft.document.here(*path, "address").error(
                f"is missing; {name} is in the zone, which needs its address"
            )
        elif has_address and not in_zone(name, draft.zone):
            where = draft.document.here(*path, "address")
            yield where.warning(
                f"not used: {name} is outside the zone {draft.zone}, and its address comes from its own zone"
            )


def names_given(draft: Draft) -> dict[str, str]:
    """Return the names that have records without dns.records, each with the key that they come from."""
    domain = draft.domain
    given = {draft.zone: "the zone itself", draft.appliance_name.value: "appliance"}
    given[openshift.api_int(domain)] = "apiInternalVIPs"
    if draft.file.api_vips or not draft.is_alias(openshift.api(domain)):
        given[openshift.api(domain)] = "apiVIPs"
    if draft.file.ingress_vips or not draft.is_alias(openshift.apps(domain)):
        given[openshift.apps(domain)] = "ingressVIPs"
    given |= {host.name.value: f"hosts[{index}]" for index, host in enumerate(draft.hosts) if host.name}
    given |= {
        card.name.value: f"{host.label}, an interface" for host in draft.hosts for card in host.cards if card.name
    }
    for server in draft.name_servers:
        if draft.document.has(*server.path, "address") and in_zone(server.name.value, draft.zone):
            given.setdefault(server.name.value, f"dns.nameServers[{server.path[-1]}]")
    if draft.release and draft.release.needs_etcd_records:
        given[openshift.etcd_service(domain)] = "the etcd members"
        masters = [index for index, host in enumerate(draft.hosts) if host.role and host.role.value is Role.MASTER]
        for number, index in enumerate(masters):
            given.setdefault(openshift.etcd_member(number, domain), f"hosts[{index}], an etcd member")
    return given


def _search(draft: Draft) -> Iterator[Problem]:
    for domain in (domain for options in draft.options for domain in options.search):
        if in_zone(domain.value, f"apps.{draft.domain}"):
            yield domain.warning(
                f"{domain.value} is below the wildcard: every unknown name would resolve to the ingress"
            )


def _recursion(draft: Draft) -> Iterator[Problem]:
    dns, document = draft.file.dns, draft.document
    if not document.has("dns", "forwarders"):
        yield document.here("dns", "forwarders").warning(
            "not set: nodes will not resolve quay.io. List your DNS servers, or write `forwarders: []` if you mean none"
        )
    own = [address.value for address in draft.appliance_addresses]
    forwarders = document.all_at(dns.forwarders, "dns", "forwarders")
    for index, entry in enumerate(dns.forward):
        forwarders += document.all_at(entry.forwarders, "dns", "forward", index, "forwarders")
    for forwarder in forwarders:
        if forwarder.value.address in own and forwarder.value.port == DEFAULT_PORTS["dns"]:
            yield forwarder.error(f"{forwarder.value} is the appliance itself; write the DNS server that it asks")
    networks: list[Placed[Cidr]] = document.all_at(dns.allow_recursion, "dns", "allowRecursion")
    for network in networks:
        if _is_of_many_sites(network.value):
            yield network.warning(f"{network.value} makes the appliance an open resolver; write only your own networks")
    for key, is_set in (
        ("forwardPrivateReverse", dns.forward_private_reverse),
        ("dropPrivateAnswers", dns.drop_private_answers),
    ):
        if is_set and not dns.forwarders:
            yield document.here("dns", key).warning("has no effect: dns.forwarders lists no DNS server")


def _is_of_many_sites(network: Cidr) -> bool:
    if isinstance(network, IPv6Network):
        return network.prefixlen < WIDEST_PREFIX6 and not network.subnet_of(PRIVATE6)
    return network.prefixlen < WIDEST_PREFIX


def forwarded_although_served(draft: Draft, holder: Draft) -> Iterator[Problem]:
    """Yield the zones in dns.forward of *draft* that *holder* serves, or in which it has records."""
    here = "this file" if holder is draft else str(holder.document.file)
    served = {holder.zone: f"the zone that {here} serves"}
    for cidr in holder.cidrs:
        served |= dict.fromkeys(reverse_apexes(cidr.value), f"the reverse zone of {cidr.value}")
    addresses = [address for host in holder.hosts for address in host.addresses]
    given = [
        *names_given(holder),
        *(record.owner for record in holder.records),
        *(address.value.reverse_pointer for address in addresses),
    ]
    for zone in _forwarded(draft):
        is_below = any(in_zone(zone.value, name) for name in served)
        name = next((name for name in given if is_below and in_zone(name, zone.value)), None)
        if zone.value in served:
            yield zone.error(f"{zone.value} is {served[zone.value]}; remove this entry")
        elif name:
            yield zone.error(f"{name}, which {here} gives records, is in {zone.value}; remove this entry")


def _forwarded_twice(draft: Draft) -> Iterator[Problem]:
    seen: dict[str, Placed[str]] = {}
    for zone in _forwarded(draft):
        first = seen.setdefault(zone.value, zone)
        if first is not zone:
            where = first.place(zone.document)
            yield zone.error(f"{zone.value} is also on {where}; list all its forwarders in one entry")


def _forwarded(draft: Draft) -> list[Placed[str]]:
    entries = enumerate(draft.file.dns.forward)
    zones = (draft.document.at(entry.zone, "dns", "forward", index, "zone") for index, entry in entries)
    return [zone for zone in zones if zone]


@dataclass
class _Zone:
    """What the zone contains so far, to compare each record with it."""

    draft: Draft
    owners: dict[str, str] = field(default_factory=dict)  # name → the key that its records come from
    reverse: dict[str, str] = field(default_factory=dict)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with dns.records."""
        self._take_in_hosts()
        cnames: dict[str, Placed[str]] = {}
        others: dict[str, Placed[str]] = {}
        seen: dict[tuple[str, str, str], Placed[str]] = {}
        for record in self.draft.records:
            name, owner, kind = record.name, record.owner, record.kind
            if len(owner) > MAX_NAME:
                yield name.error(too_long(owner))
                continue
            yield from self._owner(name, owner, kind)
            if record.value is not None:
                yield from self._data(record, record.value, seen)
            held = cnames if kind == "CNAME" else others
            other = others.get(owner) or cnames.get(owner) if kind == "CNAME" else cnames.get(owner)
            if other:
                yield name.error(f"{owner} has a CNAME and another record ({other.place(name.document)}); {ONLY_CNAME}")
            held.setdefault(owner, name)
        yield from self._targets(cnames)

    def _targets(self, cnames: dict[str, Placed[str]]) -> Iterator[Problem]:
        """Yield the mail servers and services whose names are aliases (RFC 2181 section 10.3, RFC 2782)."""
        for record in self.draft.records:
            if record.value and record.data and record.kind in {"MX", "SRV"}:
                target = record_type(record.kind).names(record.data)[-1]
                if target in cnames:
                    where = cnames[target].place(record.value.document)
                    yield record.value.warning(
                        f"{target} is a CNAME ({where}), which clients need not follow from {record.kind}; "
                        "write the name that it leads to"
                    )

    def _take_in_hosts(self) -> None:
        draft = self.draft
        self.owners |= names_given(draft)
        for index, host in enumerate(draft.hosts):
            for address in host.addresses:
                self.reverse[address.value.reverse_pointer] = f"hosts[{index}]"

    def _owner(self, name: Placed[str], owner: str, kind: str) -> Iterator[Problem]:
        draft = self.draft
        giver = self.owners.get(owner)
        if kind == "PTR":
            if owner in self.reverse:
                yield name.error(f"{name.value} already has the PTR record of {self.reverse[owner]}; remove this one")
        elif not in_zone(owner, draft.zone):
            yield name.error(f"{owner} is outside the zone {draft.zone}; only PTR records may be")
        elif kind == "CNAME" and giver:
            yield name.error(f"{owner} already has records from {giver}, and {ONLY_CNAME}; remove this one")
        elif kind in {"A", "AAAA"} and giver in {"apiVIPs", "apiInternalVIPs", "ingressVIPs"}:
            yield name.error(f"{owner} gets its addresses from {giver}; add this one there")
        elif owner in {f"*.{draft.zone}", f"*.{draft.domain}", f"*.{draft.base_domain}"}:
            wrong = f"quay.io.{draft.domain}" if in_zone(draft.domain, owner[2:]) else f"quay.io.{owner[2:]}"
            yield name.warning(
                f"{owner} answers for every name that does not exist, including {wrong}, which nodes look up first"
            )

    def _data(
        self, record: RecordDraft, value: Placed[str], seen: dict[tuple[str, str, str], Placed[str]]
    ) -> Iterator[Problem]:
        if record.data is None:
            yield value.error(record.fault or "")
            return
        first = seen.setdefault((record.owner, record.kind, record.data), value)
        if first is not value:
            yield value.error(
                f"{record.owner} has this {record.kind} record twice (first on {first.place(value.document)}); keep one"
            )
