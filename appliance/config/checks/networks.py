"""Networks against each other, and the addresses that every host relies on against the networks."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import combinations

from appliance.config import addresses, fields
from appliance.config.facts import Fact, Facts
from appliance.config.keys import is_misspelled
from appliance.errors import Problem

IPV4_KEYS = ("gateway", "serverAddress", "dnsServers", "leaseTime", "mtu", "domain", "search", "ntp", "routes")
SHORT_LEASE_SECONDS = 3600


def problems_in(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with the networks of one file."""
    yield from _overlaps(facts)
    for network in facts.networks:
        # It would also be the default of allowRecursion, and so an open resolver.
        if network.value.prefixlen == 0:
            example = "192.0.2.0/24" if network.value.version == 4 else "2001:db8::/64"
            yield network.error(
                f"{network.value} is every address there is; write the network that the machines are in, as {example}"
            )
    if facts.networks and not facts.networks4 and all(fact.value.version == 6 for fact in facts.networks):
        yield facts.here("networking", "machineNetwork").error("holds no IPv4 network; machines boot over IPv4")
    yield from _gateways(facts)
    yield from _routes(facts)
    yield from _appliance(facts)
    yield from _vips(facts)
    yield from _leases(facts)
    for index in range(facts.count("networking", "machineNetwork")):
        yield from _keys_of_ipv6(facts, index)


def unusable(address: IPv4Address, network: IPv4Network) -> str | None:
    """Return why no machine can have *address* in *network*; None when one can."""
    # RFC 3021: a /31 has neither.
    if network.prefixlen < 31 and address == network.network_address:
        return f"is the network's own address in {network}"
    if network.prefixlen < 31 and address == network.broadcast_address:
        return f"is the broadcast address of {network}"
    return None


def _overlaps(facts: Facts) -> Iterator[Problem]:
    count = facts.count("networking", "clusterNetwork")
    pods = [facts.at(addresses.parse_cidr, "networking", "clusterNetwork", i, "cidr") for i in range(count)]
    services = facts.all_at(addresses.parse_cidr, "networking", "serviceNetwork")
    ranges = [*facts.networks, *(fact for fact in pods if fact), *services]
    for first, second in combinations(ranges, 2):
        one, two = first.value, second.value
        if (isinstance(one, IPv4Network) and isinstance(two, IPv4Network) and one.overlaps(two)) or (
            isinstance(one, IPv6Network) and isinstance(two, IPv6Network) and one.overlaps(two)
        ):
            where = f"{first.owner} ({first.place(second.document)})"
            yield second.error(f"{two} overlaps {one}, {where}; machine, cluster and service networks share no address")


def _gateways(facts: Facts) -> Iterator[Problem]:
    for gateway in facts.gateways:
        own = gateway.path[:3] if gateway.path[0] == "networking" else None
        of_entry = [fact.value for fact in facts.networks if fact.path[:3] == own]
        networks = facts.networks4 if own is None else [n for n in of_entry if isinstance(n, IPv4Network)]
        home = next((network for network in networks if gateway.value in network), None)
        if home is None and networks:
            wanted = " or ".join(map(str, networks))
            yield gateway.error(f"{gateway.value} is outside {wanted}; a gateway has an address in the network")
        elif home is not None and (why := unusable(gateway.value, home)):
            yield gateway.error(f"{gateway.value} {why}; no machine can have it")
        for vip in (vip for vips in facts.vips.values() for vip in vips if vip.value == gateway.value):
            yield vip.error(
                f"{vip.value} is the gateway ({gateway.place(vip.document)}); give one of them another address"
            )


def _routes(facts: Facts) -> Iterator[Problem]:
    places: list[tuple[tuple[str | int, ...], list[IPv4Network]]] = [(("dhcp", "routes"), facts.networks4)]
    places += [((*n.path[:3], "routes"), [n.value]) for n in facts.networks if isinstance(n.value, IPv4Network)]
    for path, networks in places:
        for index in range(facts.count(*path)):
            gateway = facts.at(addresses.parse_ipv4, *path, index, "gateway")
            if gateway and networks and not any(gateway.value in network for network in networks):
                wanted = " or ".join(map(str, networks))
                yield gateway.error(f"{gateway.value} is outside {wanted}; a route's gateway must be a neighbour")


def _appliance(facts: Facts) -> Iterator[Problem]:
    address = facts.appliance
    if address is None or not facts.networks4:
        return
    home = next((network for network in facts.networks4 if address.value in network), None)
    if home is None:
        wanted = " or ".join(map(str, facts.networks4))
        yield address.warning(
            f"{address.value} is outside {wanted}; hosts then reach the appliance only by a DHCP relay and a route"
        )
    elif why := unusable(address.value, home):
        yield address.error(f"{address.value} {why}; no machine can have it")


def _vips(facts: Facts) -> Iterator[Problem]:
    domain = facts.domain
    for key, name in (("apiVIPs", f"api.{domain}"), ("ingressVIPs", f"*.apps.{domain}")):
        if facts.is_single_node or is_misspelled((key,), facts.document):
            continue
        value = facts.document.value_at((key,))
        if value is None or value == []:
            what = "is missing" if value is None else "is an empty list"
            yield facts.here(key).error(f"{what}; write the load balancer's address, which {name} shall name")
    for vips in facts.vips.values():
        yield from _home_of(vips, facts)


def _home_of(vips: list[Fact[addresses.Address]], facts: Facts) -> Iterator[Problem]:
    for vip in vips:
        if not isinstance(vip.value, IPv4Address):
            continue
        home = next((network for network in facts.networks4 if vip.value in network), None)
        if home is not None and (why := unusable(vip.value, home)):
            yield vip.error(f"{vip.value} {why}; no load balancer can have it")


def _leases(facts: Facts) -> Iterator[Problem]:
    paths: list[tuple[str | int, ...]] = [("dhcp", "leaseTime")]
    paths += [(*network.path[:3], "leaseTime") for network in facts.networks]
    for path in paths:
        lease = facts.at(fields.parse_lease, *path)
        if lease and lease.value < SHORT_LEASE_SECONDS:
            yield lease.warning(
                f"{lease.value} s is short: a node loses its address when the appliance is away that long; 7d is usual"
            )


def _keys_of_ipv6(facts: Facts, index: int) -> Iterator[Problem]:
    path = ("networking", "machineNetwork", index)
    cidr = facts.at(addresses.parse_cidr, *path, "cidr")
    if cidr is None or cidr.value.version == 4:
        return
    for key in IPV4_KEYS:
        if facts.has(*path, key):
            yield facts.here(*path, key).warning("is not used: an IPv6 network is there for reverse DNS alone")
