"""The zones that follow from clusters, and the records in each."""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network

from appliance.dns.holdings import address_record, forward_records, node_pointers, other_pointers
from appliance.dns.reverse import PRIVATE_ZONES, SPECIAL_ZONES, classless_apex, reverse_apexes
from appliance.dns.zone import Rrset, Soa, Zone, apex_of, parent_of
from appliance.model import Cluster, DnsSettings, NameServer, Record

ISOLATED_SECONDS = 60  # how long a node may believe that a name does not exist, until forwarders are configured


def local_zones(own: Iterable[str], forwarded: Collection[str] = (), *, with_private: bool = True) -> tuple[Zone, ...]:
    """Return the zones for private addresses (RFC 6303), without those in *own*, the names of our zones.

    They are empty but for delegations to the zones in *own*. Those at or below a name
    in *forwarded* are left out, and without *with_private* so are those of which
    servers of the site may know names.
    """
    taken = set(own)
    elsewhere = dict.fromkeys(forwarded)
    names = (*PRIVATE_ZONES, *SPECIAL_ZONES) if with_private else SPECIAL_ZONES
    return tuple(_local_zone(name, taken) for name in names if name not in taken and apex_of(name, elsewhere) is None)


def empty_root() -> Zone:
    """Return a root zone without names, for nodes that can reach no other DNS server."""
    nobody = "nobody.invalid"
    soa = Soa(nobody, nobody, ISOLATED_SECONDS, 3600, 1200, 604800, ISOLATED_SECONDS)
    return Zone("", soa, {"": {"NS": Rrset("", "NS", ISOLATED_SECONDS, (nobody,))}})


def zones_of(clusters: Iterable[Cluster]) -> tuple[Zone, ...]:
    """Return the forward and reverse zones of *clusters*. A zone that several clusters share is one zone.

    A zone below another of these is delegated from it, so that the names between the
    two exist, and a copy of the parent zone on another server refers to the appliance.
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
                # Glue: the zone is delegated to a server whose own name is in it, so a resolver could not find
                # that server's addresses without asking that server (RFC 1034 section 4.2.1).
                for address in server.addresses if server.name.endswith(f".{apex}") else ():
                    _add(contents[parent], address_record(server.name, settings[0].ttl, address))
    return tuple(Zone(apex, _soa(settings[0]), contents[apex]) for apex, settings in owners.items())


def _apexes(clusters: tuple[Cluster, ...]) -> dict[str, list[DnsSettings]]:
    """Return the names of all zones, each with the settings of the clusters that it belongs to."""
    owners: dict[str, list[DnsSettings]] = {}
    for cluster in clusters:
        apexes = [cluster.dns.zone]
        for network in cluster.networks:
            apexes.extend(reverse_apexes(network.cidr))
        apexes.extend(classless_apex(network) for network in _classless(cluster))
        for apex in dict.fromkeys(apexes):
            owners.setdefault(apex, []).append(cluster.dns)
    for cluster in clusters:
        for pointer in _pointers((cluster,)):
            # An address outside every network has a zone of its own. A wider zone would answer NXDOMAIN for the
            # neighbouring addresses, which belong to others.
            if apex_of(pointer, owners) is None:
                owners[pointer] = [cluster.dns]
    return owners


def _records(clusters: tuple[Cluster, ...]) -> Iterator[Record]:
    """Yield all records but SOA and NS. Each belongs in the deepest zone at or above its name."""
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
        yield from forward_records(cluster)


def _pointers(clusters: tuple[Cluster, ...]) -> dict[str, list[Record]]:
    """Return the PTR records by owner name."""
    # The hosts of every cluster first. An address of a host has no other PTR record: a node that finds a second name
    # for its address, such as api, may take it as its hostname.
    nodes = {record.name: record for cluster in clusters for record in node_pointers(cluster)}
    pointers = {name: [record] for name, record in nodes.items()}
    for cluster in clusters:
        for record in other_pointers(cluster):
            if record.name not in nodes:
                pointers.setdefault(record.name, []).append(record)
    return pointers


def _classless(cluster: Cluster) -> tuple[IPv4Network, ...]:
    """Return the networks whose reverse zones are named as in RFC 2317."""
    if not cluster.dns.rfc2317:
        return ()
    cidrs = (network.cidr for network in cluster.networks)
    # A /24 or wider ends on an octet and has zones of the usual form; a /32 is a zone of its own address.
    return tuple(cidr for cidr in cidrs if isinstance(cidr, IPv4Network) and 24 < cidr.prefixlen < 32)


def _name_servers(settings: Iterable[DnsSettings]) -> tuple[NameServer, ...]:
    return tuple({server.name: server for dns in settings for server in dns.name_servers}.values())


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
    # The values of RFC 6303 section 3. The zone is its own name server, so that no other server is asked.
    return Zone(name, Soa(name, "nobody.invalid", 10800, 3600, 1200, 604800, 10800), rrsets)


def _add(rrsets: dict[str, dict[str, Rrset]], record: Record) -> None:
    by_type = rrsets.setdefault(record.name, {})
    before = by_type.get(record.type)
    if before is None:
        by_type[record.type] = Rrset(record.name, record.type, record.ttl, (record.value,))
    elif record.value not in before.values:
        # All records of a set have one TTL (RFC 2181 section 5.2). With the lowest, none is cached for longer than
        # its own TTL allows.
        ttl = min(before.ttl, record.ttl)
        by_type[record.type] = Rrset(record.name, record.type, ttl, (*before.values, record.value))
