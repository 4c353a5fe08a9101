"""Which records follow from a cluster, and why each of them does.

Zones are made from these, and the checks of cluster.yaml ask here which names are
taken: a record that is added here is known to both.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from appliance.model import Cluster, Record, Role

ETCD_TTL = 86400  # seconds; what OpenShift's manual for 4.1 to 4.3 gives the SRV records

Address = IPv4Address | IPv6Address


class Held(NamedTuple):
    """A record that a zone of ours holds."""

    record: Record
    why: str  # the key of cluster.yaml that it follows from, as "hosts[2]" or "apiVIPs"


class HeldName(NamedTuple):
    """A name at which a zone of ours holds records of a type."""

    name: str
    type: str
    why: str  # as above


def names_held(cluster: Cluster) -> Iterator[HeldName]:
    """Yield the names that have records because of *cluster*, with type and reason, once for each record.

    Where a name has several reasons, the first is the one to name in a message.
    Records of `dns.records` have "dns.records[0]" and so on as theirs. Where a part
    of *cluster* is empty or None, its names are missing and nothing else is.
    """
    yield HeldName(cluster.dns.zone, "SOA", "the zone itself")
    nodes = tuple(node_pointers(cluster))
    names_of_nodes = {held.record.name for held in nodes}
    others = (held for held in other_pointers(cluster) if held.record.name not in names_of_nodes)
    everything = (*forward_records(cluster), *nodes, *others)
    # A name server is usually the appliance or a host as well, and may be there by default: that key says more.
    for record, why in sorted(everything, key=lambda held: held.why.startswith("dns.nameServers")):
        yield HeldName(record.name, record.type, why)
    for index, _ in enumerate(cluster.dns.name_servers):
        yield HeldName(cluster.dns.zone, "NS", f"dns.nameServers[{index}]")


def forward_records(cluster: Cluster) -> Iterator[Held]:
    """Yield the records of *cluster* that are not PTR, SOA or NS."""
    domain = cluster.domain
    for name, address, why in _named_addresses(cluster):
        yield Held(Record(name, "A" if address.version == 4 else "AAAA", cluster.dns.ttl, str(address)), why)
    if cluster.release.needs_etcd_records:
        masters = [index for index, host in enumerate(cluster.hosts) if host.role is Role.MASTER]
        for number, index in enumerate(masters):
            member, why = f"etcd-{number}.{domain}", f"hosts[{index}], an etcd member"
            ipv4 = cluster.hosts[index].ipv4
            if ipv4 is not None:
                yield Held(Record(member, "A", cluster.dns.ttl, str(ipv4)), why)
            service = Record(f"_etcd-server-ssl._tcp.{domain}", "SRV", ETCD_TTL, f"0 10 2380 {member}")
            yield Held(service, "the etcd members")
    yield from (held for held in _file_records(cluster) if held.record.type != "PTR")


def node_pointers(cluster: Cluster) -> Iterator[Held]:
    """Yield the PTR records of the addresses of hosts."""
    for index, host in enumerate(cluster.hosts):
        for address in host.addresses:
            yield _pointer(address, host.name, cluster.dns.ttl, f"hosts[{index}]")


def other_pointers(cluster: Cluster) -> Iterator[Held]:
    """Yield the PTR records that *cluster* has besides; an address of a host, in whichever cluster, takes none of them.

    A node that finds a second name for its address, as api, may take that for its
    hostname.
    """
    ttl = cluster.dns.ttl
    for address in appliance_addresses(cluster):
        yield _pointer(address, cluster.appliance_name, ttl, "appliance")
    for index, server in enumerate(cluster.dns.name_servers):
        if server.address is not None:
            yield _pointer(server.address, server.name, ttl, f"dns.nameServers[{index}]")
    for vip in cluster.api_vips:
        yield _pointer(vip, f"api.{cluster.domain}", ttl, "apiVIPs")
    for vip in cluster.api_int_vips:
        yield _pointer(vip, f"api-int.{cluster.domain}", ttl, "apiInternalVIPs")
    # None for ingressVIPs: a wildcard is not the name of anything.
    yield from (held for held in _file_records(cluster) if held.record.type == "PTR")


def appliance_addresses(cluster: Cluster) -> tuple[Address, ...]:
    """Return the appliance's addresses in the cluster's networks, its main one first."""
    return tuple(dict.fromkeys((cluster.address, *(network.server for network in cluster.networks))))


def _named_addresses(cluster: Cluster) -> Iterator[tuple[str, Address, str]]:
    """Yield each name with an address, and why it has that."""
    for index, server in enumerate(cluster.dns.name_servers):
        if server.address is not None:
            yield server.name, server.address, f"dns.nameServers[{index}]"
    for own in appliance_addresses(cluster):
        yield cluster.appliance_name, own, "appliance"
    for name, vips, key in (
        ("api", cluster.api_vips, "apiVIPs"),
        ("api-int", cluster.api_int_vips, "apiInternalVIPs"),
        ("*.apps", cluster.ingress_vips, "ingressVIPs"),
    ):
        for vip in vips:
            yield f"{name}.{cluster.domain}", vip, key
    for index, host in enumerate(cluster.hosts):
        for address in host.addresses:
            yield host.name, address, f"hosts[{index}]"


def _file_records(cluster: Cluster) -> Iterator[Held]:
    for index, record in enumerate(cluster.dns.records):
        yield Held(record, f"dns.records[{index}]")


def _pointer(address: Address, name: str, ttl: int, why: str) -> Held:
    return Held(Record(address.reverse_pointer, "PTR", ttl, name), why)
