"""Which zones follow from clusters, and which records stand in each."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.dns.reverse import LOCAL_ZONES, classless_apex, reverse_apexes
from appliance.dns.zone import Rrset, Soa, Zone, apex_of, parent_of
from appliance.model import Cluster, DnsSettings, NameServer, Record, Role
from appliance.openshift import names as openshift

ETCD_TTL = 86400  # seconds; what OpenShift's manual for 4.1 to 4.3 gives the SRV records


def local_zones(own: Iterable[str]) -> tuple[Zone, ...]:
    """Return the empty zones that keep questions about private addresses here, but for those in *own* (RFC 6303)."""
    taken = set(own)
    return tuple(_local_zone(name, taken) for name in LOCAL_ZONES if name not in taken)


def zones_of(clusters: Iterable[Cluster]) -> tuple[Zone, ...]:
    """Return the forward and reverse zones of *clusters*; one that several clusters name is one zone.

    A zone below another of ours is delegated from it, so that the names between
    the two exist and a copy of the parent elsewhere leads here.
    """
    clusters = tuple(clusters)
    owners = _apexes(clusters)
    contents: dict[str, dict[str, dict[str, Rrset]]] = {apex: {} for apex in owners}
    for record in _records(clusters):
        apex = apex_of(record.name, owners)
        if apex is not None:
            _add(contents[apex], record)
    for apex, settings in owners.items():
        parent = apex_of(parent_of(apex), owners)
        for server in _name_servers(settings):
            record = Record(apex, "NS", settings[0].ttl, server.name)
            _add(contents[apex], record)
            if parent is not None:
                _add(contents[parent], record)
                if server.address is not None and server.name.endswith(f".{apex}"):
                    # Glue: the parent's copy must say where the servers are (RFC 1034 section 4.2.1).
                    _add(contents[parent], Record(server.name, "A", settings[0].ttl, str(server.address)))
    return tuple(Zone(apex, _soa(settings[0]), contents[apex]) for apex, settings in owners.items())


def _apexes(clusters: tuple[Cluster, ...]) -> dict[str, list[DnsSettings]]:
    """Return each zone's name, and the settings of the clusters that it belongs to."""
    owners: dict[str, list[DnsSettings]] = {}
    for cluster in clusters:
        apexes = [cluster.dns.zone]
        networks: list[IPv4Network | IPv6Network] = [network.cidr for network in cluster.networks]
        for network in (*networks, *cluster.networks6):
            apexes.extend(reverse_apexes(network))
        apexes.extend(classless_apex(network) for network in _classless(cluster))
        for apex in dict.fromkeys(apexes):
            owners.setdefault(apex, []).append(cluster.dns)
    for cluster in clusters:
        for pointer in _pointers((cluster,)):
            # An address outside every network has a zone of its own, so that its neighbours stay whose they are.
            if apex_of(pointer, owners) is None:
                owners[pointer] = [cluster.dns]
    return owners


def _records(clusters: tuple[Cluster, ...]) -> Iterator[Record]:
    """Yield everything but SOA and NS, as it shall stand in whichever zone holds its name."""
    classless = {
        address.reverse_pointer: f"{int(address) & 0xFF}.{classless_apex(network)}"
        for cluster in clusters
        for network in _classless(cluster)
        for address in network
    }
    for pointer, records in _pointers(clusters).items():
        if pointer in classless:
            yield Record(pointer, "CNAME", records[0].ttl, classless[pointer])
        for record in records:
            yield Record(classless.get(pointer, pointer), "PTR", record.ttl, record.value)
    for cluster in clusters:
        yield from _forward_records(cluster)


def _forward_records(cluster: Cluster) -> Iterator[Record]:
    ttl = cluster.dns.ttl
    domain = cluster.domain
    named: list[tuple[str, IPv4Address | IPv6Address]] = [
        (server.name, server.address) for server in cluster.dns.name_servers if server.address is not None
    ]
    named += ((cluster.appliance_name, address) for address in _appliance_addresses(cluster))
    for name, vips in (
        (openshift.api(domain), cluster.api_vips),
        (openshift.api_int(domain), cluster.api_int_vips),
        (openshift.apps(domain), cluster.ingress_vips),
    ):
        named += ((name, address) for address in vips)
    for host in cluster.hosts:
        named += ((host.name, address) for address in (host.address, host.address6) if address is not None)
    for name, address in named:
        yield Record(name, "A" if address.version == 4 else "AAAA", ttl, str(address))
    if cluster.release.needs_etcd_records:
        masters = (host for host in cluster.hosts if host.role is Role.MASTER)
        for index, master in enumerate(masters):
            member = openshift.etcd_member(index, domain)
            yield Record(member, "A", ttl, str(master.address))
            yield Record(openshift.etcd_service(domain), "SRV", ETCD_TTL, f"0 10 2380 {member}")
    yield from (record for record in cluster.dns.records if record.type != "PTR")


def _pointers(clusters: tuple[Cluster, ...]) -> dict[str, list[Record]]:
    """Return the PTR records by their names.

    A node's address has its own name and no other: a node that is told a second
    one, as api, may take that for its hostname.
    """
    nodes = {
        address.reverse_pointer: Record(address.reverse_pointer, "PTR", cluster.dns.ttl, host.name)
        for cluster in clusters
        for host in cluster.hosts
        for address in (host.address, host.address6)
        if address is not None
    }
    pointers = {name: [record] for name, record in nodes.items()}
    for cluster in clusters:
        ttl = cluster.dns.ttl
        others: list[tuple[IPv4Address | IPv6Address, str]] = []
        others += [(address, cluster.appliance_name) for address in _appliance_addresses(cluster)]
        others += [(server.address, server.name) for server in cluster.dns.name_servers if server.address is not None]
        others += [(address, openshift.api(cluster.domain)) for address in cluster.api_vips]
        others += [(address, openshift.api_int(cluster.domain)) for address in cluster.api_int_vips]
        records = [Record(address.reverse_pointer, "PTR", ttl, name) for address, name in others]
        for record in (*records, *(record for record in cluster.dns.records if record.type == "PTR")):
            if record.name not in nodes:
                pointers.setdefault(record.name, []).append(record)
    return pointers


def _appliance_addresses(cluster: Cluster) -> tuple[IPv4Address, ...]:
    return tuple(dict.fromkeys((cluster.address, *(network.server for network in cluster.networks))))


def _classless(cluster: Cluster) -> tuple[IPv4Network, ...]:
    """Return the networks whose reverse zone is named as RFC 2317 does."""
    if not cluster.dns.rfc2317:
        return ()
    return tuple(network.cidr for network in cluster.networks if 24 < network.cidr.prefixlen < 32)


def _name_servers(settings: Iterable[DnsSettings]) -> tuple[NameServer, ...]:
    return tuple({server.name: server for one in settings for server in one.name_servers}.values())


def _soa(settings: DnsSettings) -> Soa:
    return Soa(
        primary=settings.name_servers[0].name,
        mailbox=settings.mailbox,
        ttl=settings.ttl,
        refresh=settings.refresh,
        retry=settings.retry,
        expire=settings.expire,
        minimum=settings.minimum,
    )


def _local_zone(name: str, own: set[str]) -> Zone:
    rrsets: dict[str, dict[str, Rrset]] = {}
    for apex in (name, *(apex for apex in own if apex.endswith("." + name))):
        _add(rrsets, Record(apex, "NS", 10800, name))
    # The values of RFC 6303 section 3.
    return Zone(name, Soa(name, "nobody.invalid", 10800, 3600, 1200, 604800, 10800), rrsets)


def _add(rrsets: dict[str, dict[str, Rrset]], record: Record) -> None:
    by_type = rrsets.setdefault(record.name, {})
    before = by_type.get(record.type)
    if before is None:
        by_type[record.type] = Rrset(record.name, record.type, record.ttl, (record.value,))
    elif record.value not in before.values:
        ttl = min(before.ttl, record.ttl)
        by_type[record.type] = Rrset(record.name, record.type, ttl, (*before.values, record.value))
