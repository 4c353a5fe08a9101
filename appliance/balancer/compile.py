"""The front ends of a cluster: where its load balancer listens, and for which hosts (pure)."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network

from appliance.model import (
    Address,
    Balance,
    Cidr,
    Cluster,
    Endpoint,
    Engine,
    FrontEnd,
    HealthCheck,
    Member,
    OwnFrontEnd,
    Probe,
    Role,
)
from appliance.openshift import names
from appliance.openshift.names import API_PORT, MACHINE_CONFIG_PORT

ROUTER_PORT = 1936  # where an ingress router says whether it is ready
API, MACHINE_CONFIG = f"api-{API_PORT}", f"machine-config-{MACHINE_CONFIG_PORT}"
INGRESS = {"ingress-443": 443, "ingress-80": 80}
STANDARD = (API, MACHINE_CONFIG, *INGRESS)  # the names of the front ends that every cluster has
# An arbiter runs neither an API server nor a machine config server.
CONTROL_PLANE = (Role.MASTER,)
# Where a router may run. Without such hosts, the masters run workloads.
ROUTER_ROLES = (Role.WORKER, Role.INFRA)


def all_front_ends(clusters: Sequence[Cluster]) -> tuple[FrontEnd, ...]:
    """Return the front ends of those of *clusters* that have engine haproxy, with names that are unique among them."""
    ours = [cluster for cluster in clusters if cluster.load_balancer.engine is Engine.HAPROXY]
    if len(ours) < 2:
        return tuple(front_end for cluster in ours for front_end in front_ends(cluster))
    return tuple(
        replace(front_end, name=f"{cluster.name}-{front_end.service}")
        for cluster in ours
        for front_end in front_ends(cluster)
    )


def front_ends(cluster: Cluster) -> tuple[FrontEnd, ...]:
    """Return the front ends of *cluster*: those that every cluster has, then the operator's own.

    One without an address is left out: a CNAME leads api or *.apps to a load balancer of others, or the nodes have
    the addresses themselves, as a single node has and the routers of a compact cluster may.
    """
    apis = _api_addresses(cluster)
    control = _members(cluster, (Role.BOOTSTRAP, *CONTROL_PLANE))
    routers = _members(cluster, ROUTER_ROLES) or _members(cluster, CONTROL_PLANE)
    is_ready = HealthCheck(Probe.HTTP, "/healthz/ready", ROUTER_PORT)
    readyz = HealthCheck(Probe.HTTPS, "/readyz", tls_name=names.api_int(cluster.domain))
    healthz = HealthCheck(Probe.HTTPS, "/healthz")
    api_int = _at(cluster.api_int_vips, MACHINE_CONFIG_PORT)
    found = (
        FrontEnd(API, _at(apis, API_PORT), control, API_PORT, readyz),
        FrontEnd(MACHINE_CONFIG, api_int, control, MACHINE_CONFIG_PORT, healthz, allowed=_nodes(cluster)),
        *(
            FrontEnd(name, _at(cluster.ingress_vips, port), routers, port, is_ready, Balance.SOURCE)
            for name, port in INGRESS.items()
        ),
        *(_own(each, cluster) for each in cluster.load_balancer.front_ends),
    )
    nodes = {address for host in cluster.hosts if host.role is not Role.OTHER for address in host.addresses}
    apart = (replace(each, binds=tuple(bind for bind in each.binds if bind.address not in nodes)) for each in found)
    return tuple(replace(each, cluster=cluster.domain, service=each.name) for each in apart if each.binds)


def _own(own: OwnFrontEnd, cluster: Cluster) -> FrontEnd:
    return FrontEnd(
        own.name,
        _at(own.addresses or _api_addresses(cluster), own.port),
        _members(cluster, own.roles, own.hosts),
        own.member_port,
        own.check,
        own.balance,
        own.allowed,
    )


def _api_addresses(cluster: Cluster) -> tuple[Address, ...]:
    return (*cluster.api_int_vips, *cluster.api_vips)


def _at(addresses: Iterable[Address], port: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(address, port) for address in dict.fromkeys(addresses))


def _members(cluster: Cluster, roles: Collection[Role], hosts: Collection[str] = ()) -> tuple[Member, ...]:
    """Return the hosts with one of *roles*, or one of the full names *hosts*, as members."""
    found = [host for host in cluster.hosts if host.role in roles or host.name in hosts]
    short = Counter(host.short_name for host in found)
    return tuple(
        Member(
            host.name,
            host.short_name if short[host.short_name] == 1 else host.name,
            host.address,
            is_backup=host.role is Role.BOOTSTRAP,
        )
        for host in found
    )


def _nodes(cluster: Cluster) -> tuple[Cidr, ...]:
    """Return the networks of the nodes, and the addresses of nodes outside of them."""
    networks = [network.cidr for network in cluster.networks]
    nodes = (host for host in cluster.hosts if host.role is not Role.OTHER)
    outside = (address for host in nodes for address in host.addresses if cluster.network_of(address) is None)
    return (*networks, *(ip_network(address) for address in dict.fromkeys(outside)))
