"""DNS for tests: tables of the reference cluster and of a cluster with all record types, and queries by dnspython."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import dns.flags
import dns.message
import dns.rdatatype

from appliance.dns.compile import DnsTable, compile_dns
from appliance.model import Cluster, Endpoint, ForwardZone, NameServer, Network, Record, Release, Role
from tests.clusters import host, reference_cluster

SERIAL = 2000091802
NODE = "172.16.0.21"  # m1
OUTSIDER = "192.0.2.99"


def table(*clusters: Cluster) -> DnsTable:
    """Return the table of *clusters*, by default of the reference cluster."""
    return compile_dns(clusters or (reference_cluster(),), lambda _zone, _digest: SERIAL)


def forwarding_cluster(*forwarders: Endpoint, records: tuple[Record, ...] = ()) -> Cluster:
    """Return the reference cluster with forwarders, which its machines and clients on loopback may use."""
    cluster = reference_cluster()
    allowed = (*cluster.dns.allow_recursion, IPv4Network("127.0.0.0/8"))
    settings = replace(cluster.dns, forwarders=forwarders, allow_recursion=allowed, records=records, is_isolated=False)
    return replace(cluster, dns=settings)


def dividing_cluster(forwarder: Endpoint) -> Cluster:
    """Return a cluster that forwards a zone below its own, a reverse zone and all else to *forwarder*."""
    cluster = forwarding_cluster(forwarder)
    zones = ("corp.example.localdomain", "3.10.in-addr.arpa", "corp.example")
    forward = tuple(ForwardZone(zone, (forwarder,)) for zone in zones)
    return replace(cluster, dns=replace(cluster.dns, forward=forward))


def rich_cluster() -> Cluster:
    """Return a cluster with two name servers, IPv6, etcd records, a small network by RFC 2317 and all record types."""
    cluster = reference_cluster(release=Release(4, 3))
    small = replace(
        cluster.networks[0],
        cidr=IPv4Network("192.0.2.64/26"),
        server=IPv4Address("192.0.2.65"),
    )
    v6 = replace(cluster.hosts[0], addresses=(*cluster.hosts[0].addresses, IPv6Address("2001:db8:0:1::11")))
    far = host("far", Role.WORKER, "192.0.2.70", "00:50:56:96:00:70")
    dns = replace(
        cluster.dns,
        rfc2317=True,
        name_servers=(*cluster.dns.name_servers, NameServer("ns2.example.localdomain", (IPv4Address("172.16.0.103"),))),
        records=(
            Record("200.0.16.172.in-addr.arpa", "PTR", 300, "a.b.deep.example.localdomain"),
            *(
                Record(f"{name}.example.localdomain", kind, 300, value)
                for name, kind, value in (
                    ("www", "CNAME", "console.apps.ocp45.example.localdomain"),
                    ("alias", "CNAME", "www.example.localdomain"),
                    ("lost", "CNAME", "nowhere.example.localdomain"),
                    ("empty", "CNAME", "ocp45.example.localdomain"),
                    ("out", "CNAME", "www.example.net"),
                    ("*.web", "CNAME", "alias.example.localdomain"),
                    ("a.b.deep", "A", "172.16.0.200"),
                    ("*.deep", "TXT", '"any depth" "two strings"'),
                    ("mail", "A", "172.16.0.201"),
                    ("mail", "AAAA", "2001:db8::201"),
                    ("post", "MX", "10 mail.example.localdomain"),
                    ("post", "MX", "20 ns1.example.localdomain"),
                    ("_ldap._tcp", "SRV", "0 5 389 mail.example.localdomain"),
                    ("text", "TXT", r'"semi;colon \"quoted\" back\\slash" unquoted "\001\255"'),
                )
            ),
        ),
    )
    return replace(
        cluster,
        networks=(*cluster.networks, small, Network(IPv6Network("2001:db8:0:1::/64"), cluster.address)),
        hosts=(v6, *cluster.hosts[1:], far),
        api_vips=(IPv4Address("172.16.0.111"), IPv6Address("2001:db8:0:1::111")),
        dns=dns,
    )


def query(
    name: str, kind: str = "A", *, recursion_desired: bool = True, edns: bool = False, payload: int = 1232
) -> bytes:
    """Return a query in wire form, built by dnspython."""
    message = dns.message.make_query(name, kind, use_edns=0 if edns else -1, payload=payload)
    if not recursion_desired:
        message.flags &= ~dns.flags.RD
    return message.to_wire()
