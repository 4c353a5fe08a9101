"""Which records follow from a cluster, before they are sorted into zones.

The checks of cluster.yaml list the same names with the keys that they come from
(`config/checks/names.py`), because they must do so while half of the file cannot be
read. A test compares the two lists.
"""

from collections.abc import Iterator

from appliance.model import Address, Cluster, Record, Role
from appliance.openshift import names

ETCD_TTL = 86400  # seconds; what OpenShift's manual for 4.1 to 4.3 gives the SRV records


def forward_records(cluster: Cluster) -> Iterator[Record]:
    """Yield the records of *cluster* that are not PTR, SOA or NS."""
    domain, ttl = cluster.domain, cluster.dns.ttl
    for name, address in _named_addresses(cluster):
        yield Record(name, "A" if address.version == 4 else "AAAA", ttl, str(address))
    if cluster.release.needs_etcd_records:
        masters = [host for host in cluster.hosts if host.role is Role.MASTER]
        for number, master in enumerate(masters):
            member = names.etcd_member(number, domain)
            if master.ipv4 is not None:
                yield Record(member, "A", ttl, str(master.ipv4))
            yield Record(names.etcd_service(domain), "SRV", ETCD_TTL, f"0 10 2380 {member}")
    yield from (record for record in cluster.dns.records if record.type != "PTR")


def node_pointers(cluster: Cluster) -> Iterator[Record]:
    """Yield the PTR records of the addresses of hosts."""
    for host in cluster.hosts:
        for address in host.addresses:
            yield _pointer(address, host.name, cluster.dns.ttl)


def other_pointers(cluster: Cluster) -> Iterator[Record]:
    """Yield the PTR records that *cluster* has besides; an address of a host, in whichever cluster, takes none of them.

    A node that finds a second name for its address, as api, may take that for its
    hostname.
    """
    ttl = cluster.dns.ttl
    for address in appliance_addresses(cluster):
        yield _pointer(address, cluster.appliance_name, ttl)
    for server in cluster.dns.name_servers:
        if server.address is not None:
            yield _pointer(server.address, server.name, ttl)
    for vip in cluster.api_vips:
        yield _pointer(vip, names.api(cluster.domain), ttl)
    for vip in cluster.api_int_vips:
        yield _pointer(vip, names.api_int(cluster.domain), ttl)
    # None for ingressVIPs: a wildcard is not the name of anything.
    yield from (record for record in cluster.dns.records if record.type == "PTR")


def appliance_addresses(cluster: Cluster) -> tuple[Address, ...]:
    """Return the appliance's addresses in the cluster's networks, its main one first."""
    return tuple(dict.fromkeys((cluster.address, *(network.server for network in cluster.networks))))


def _named_addresses(cluster: Cluster) -> Iterator[tuple[str, Address]]:
    """Yield each name that has an address, with that address."""
    for server in cluster.dns.name_servers:
        if server.address is not None:
            yield server.name, server.address
    for own in appliance_addresses(cluster):
        yield cluster.appliance_name, own
    for name, vips in (
        (names.api(cluster.domain), cluster.api_vips),
        (names.api_int(cluster.domain), cluster.api_int_vips),
        (names.apps(cluster.domain), cluster.ingress_vips),
    ):
        for vip in vips:
            yield name, vip
    for host in cluster.hosts:
        for address in host.addresses:
            yield host.name, address


def _pointer(address: Address, name: str, ttl: int) -> Record:
    return Record(address.reverse_pointer, "PTR", ttl, name)
