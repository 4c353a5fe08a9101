"""The front ends of a cluster: where its load balancer listens, and for which hosts (pure)."""

from collections.abc import Iterable

from appliance.model import (
    Address,
    Balance,
    Boot,
    Cluster,
    Endpoint,
    FrontEnd,
    HealthCheck,
    Host,
    Member,
    Probe,
    Role,
)
from appliance.openshift import names

API_PORT, MACHINE_CONFIG_PORT = 6443, 22623
ROUTER_PORT = 1936  # where an ingress router says whether it is ready
API, MACHINE_CONFIG = "api", "machine-config"
CONTROL_PLANE = (Role.MASTER,)
# Where a router may run. Without such hosts, the masters run workloads.
ROUTER_ROLES = (Role.WORKER, Role.INFRA)


def front_ends(cluster: Cluster) -> tuple[FrontEnd, ...]:
    """Return the front ends of *cluster*: those that every cluster has, then the operator's own."""
    name = names.api_int(cluster.domain)
    apis = tuple(dict.fromkeys((*cluster.api_int_vips, *cluster.api_vips)))
    control = _members(cluster, (Role.BOOTSTRAP, *CONTROL_PLANE))
    routers = _members(cluster, ROUTER_ROLES) or _members(cluster, CONTROL_PLANE)
    nodes = tuple(network.cidr for network in cluster.networks)
    ready = HealthCheck(Probe.HTTP, "/healthz/ready", ROUTER_PORT)
    return (
        FrontEnd(f"{API}-{API_PORT}", _at(apis, API_PORT), control, API_PORT, _https("/readyz", name)),
        FrontEnd(
            f"{MACHINE_CONFIG}-{MACHINE_CONFIG_PORT}",
            _at(cluster.api_int_vips, MACHINE_CONFIG_PORT),
            control,
            MACHINE_CONFIG_PORT,
            _https("/healthz", ""),
            allowed=nodes,
        ),
        FrontEnd("ingress-443", _at(cluster.ingress_vips, 443), routers, 443, ready, Balance.SOURCE),
        FrontEnd("ingress-80", _at(cluster.ingress_vips, 80), routers, 80, ready, Balance.SOURCE),
        *cluster.load_balancer.front_ends,
    )


def _https(path: str, name: str) -> HealthCheck:
    return HealthCheck(Probe.HTTPS, path, tls_name=name)


def _at(addresses: Iterable[Address], port: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(address, port) for address in addresses)


def _members(cluster: Cluster, roles: tuple[Role, ...]) -> tuple[Member, ...]:
    found = [host for host in cluster.hosts if host.role in roles and host.boot is not Boot.NOTHING]
    return tuple(_member(host) for host in found)


def _member(host: Host) -> Member:
    return Member(host.name, host.short_name, host.address, is_backup=host.role is Role.BOOTSTRAP)
