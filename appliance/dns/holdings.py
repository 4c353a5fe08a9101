"""The records that follow from a cluster; `contents.py` puts them into zones.

The checks of cluster.yaml have their own list of the names that get records, for a
cluster that may be incomplete (`names_given` in config/checks/names.py).
"""

from collections.abc import Iterator

from appliance.model import Address, Cluster, Record, Role
from appliance.openshift import names

ETCD_TTL = 86400  # seconds; OpenShift's manual for 4.1 to 4.3 gives the SRV records this TTL


def forward_records(cluster: Cluster) -> Iterator[Record]:
    """Yield the records of *cluster* that are not PTR, SOA or NS."""
    ttl = cluster.dns.ttl
    for name, address in _named_addresses(cluster):
        yield address_record(name, ttl, address)
    if cluster.release.needs_etcd_records:
        masters = [host for host in cluster.hosts if host.role is Role.MASTER]
        for index, host in enumerate(masters):
            member = names.etcd_member(index, cluster.domain)
            yield address_record(member, ttl, host.ipv4 or host.address)
            # Priority, weight, and 2380: the port on which the members of etcd reach each other.
            yield Record(names.etcd_service(cluster.domain), "SRV", ETCD_TTL, f"0 10 2380 {member}")
    yield from (record for record in cluster.dns.records if record.type != "PTR")


def node_pointers(cluster: Cluster) -> Iterator[Record]:
    """Yield the PTR records of the addresses of hosts."""
    for host in cluster.hosts:
        for address in host.addresses:
            if name := host.name_of(address):
                yield Record(address.reverse_pointer, "PTR", cluster.dns.ttl, name)


def other_pointers(cluster: Cluster) -> Iterator[Record]:
    """Yield all other PTR records of *cluster*. The caller drops those of addresses that a host of any cluster has."""
    ttl = cluster.dns.ttl
    for address in appliance_addresses(cluster):
        yield Record(address.reverse_pointer, "PTR", ttl, cluster.appliance_name)
    for server in cluster.dns.name_servers:
        for address in server.addresses:
            yield Record(address.reverse_pointer, "PTR", ttl, server.name)
    for vip in cluster.api_vips:
        yield Record(vip.reverse_pointer, "PTR", ttl, names.api(cluster.domain))
    for vip in cluster.api_int_vips:
        yield Record(vip.reverse_pointer, "PTR", ttl, names.api_int(cluster.domain))
    # ingressVIPs have none: their only name is a wildcard, which is not the name of a host.
    yield from (record for record in cluster.dns.records if record.type == "PTR")


def appliance_addresses(cluster: Cluster) -> tuple[Address, ...]:
    """Return the appliance's addresses in the cluster's networks, its main one first."""
    second = (cluster.address_ipv6,) if cluster.address_ipv6 else ()
    return tuple(dict.fromkeys((cluster.address, *second, *(network.server for network in cluster.networks))))


def address_record(name: str, ttl: int, address: Address) -> Record:
    """Return the A or AAAA record of *name* with *address*."""
    return Record(name, "A" if address.version == 4 else "AAAA", ttl, str(address))


def _named_addresses(cluster: Cluster) -> Iterator[tuple[str, Address]]:
    """Yield each name that has addresses with each of its addresses."""
    for server in cluster.dns.name_servers:
        for address in server.addresses:
            yield server.name, address
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
            if name := host.name_of(address):
                yield name, address
