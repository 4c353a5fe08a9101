"""Networks do not overlap, and gateways, the appliance and the load balancer have possible addresses.

What holds for IPv6 networks alone is in `ipv6.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import combinations

from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.keys import is_misspelled
from appliance.config.section_drafts import NetworkDraft, OptionsDraft
from appliance.errors import Problem
from appliance.model import ON_LINK, Address, Cidr
from appliance.openshift import names as openshift

SHORT_LEASE_SECONDS = 3600


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the networks of one file."""
    yield from _overlaps(draft)
    for cidr in draft.cidrs:
        # It would also be the default of allowRecursion, and make the appliance an open resolver.
        if cidr.value.prefixlen == 0:
            example = "192.0.2.0/24" if cidr.value.version == 4 else "2001:db8::/64"
            yield cidr.error(
                f"{cidr.value} contains every address; write the network of the machines, for example {example}"
            )
    yield from _gateways(draft)
    yield from _routes(draft)
    yield from _relays(draft)
    yield from _appliance(draft)
    yield from _vips(draft)
    yield from _leases(draft)
    yield from _time_servers(draft)


def is_unclear(network: NetworkDraft, draft: Draft) -> bool:
    """Whether the network, or the appliance's address in it, cannot be read."""
    server = draft.document.has(*network.path, "serverAddress") or draft.document.has("appliance", "addressIPv6")
    is_served = draft.serves(network)
    return network.cidr is None or draft.appliance_in(network) is None or (network.is_ipv6 and server and not is_served)


def unusable(address: Address, network: Cidr) -> str | None:
    """Return why no machine can have *address* in *network*; None if one can."""
    # A /31 has neither of the two (RFC 3021), and a /127 no anycast address (RFC 6164).
    if network.max_prefixlen - network.prefixlen < 2:
        return None
    if address == network.network_address:
        kind = "network" if network.version == 4 else "routers' anycast"  # RFC 4291 section 2.6.1
        return f"is the {kind} address of {network}"
    if network.version == 4 and address == network.broadcast_address:
        return f"is the broadcast address of {network}"
    return None


def names_one_machine(address: Address) -> bool:
    """Whether *address* leads to one machine, from other links too, and a socket can be bound to it alone."""
    is_link_local = address.version == 6 and address.is_link_local
    return not (address.is_unspecified or address.is_multicast or is_link_local)


def overlap(one: Cidr, other: Cidr) -> bool:
    """Whether the two networks are of one family and have an address in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def home_of(address: Address, draft: Draft) -> Cidr | None:
    """Return the machine network that contains *address*; None if there is none, or one of them cannot be read."""
    return next((network for network in draft.ranges(address.version) if address in network), None)


def _overlaps(draft: Draft) -> Iterator[Problem]:
    networking, at = draft.file.networking, draft.document.at
    pods: list[Placed[Cidr] | None] = [
        at(network.cidr, "networking", "clusterNetwork", index, "cidr")
        for index, network in enumerate(networking.cluster_network)
    ]
    services: list[Placed[Cidr]] = draft.document.all_at(networking.service_network, "networking", "serviceNetwork")
    ranges: list[Placed[Cidr]] = [*draft.cidrs, *(cidr for cidr in pods if cidr), *services]
    for first, second in combinations(ranges, 2):
        other, own = first.value, second.value
        if overlap(other, own):
            where = f"{first.owner} ({first.place(second.document)})"
            yield second.error(
                f"{own} overlaps {other}, {where}; machine, cluster and service networks must not overlap"
            )


def _gateways(draft: Draft) -> Iterator[Problem]:
    for gateway, networks, on_link in _by_network(draft, lambda options: [options.gateway] if options.gateway else []):
        home = next((network for network in networks if gateway.value in network), None)
        if home is None and networks and not _contains(on_link, gateway):
            wanted = " or ".join(map(str, networks))
            yield gateway.error(
                f"{gateway.value} is outside {wanted}; a gateway must have an address in the network, "
                f"or an entry of its `routes` with gateway {ON_LINK}"
            )
        elif home is not None and (why := unusable(gateway.value, home)):
            yield gateway.error(f"{gateway.value} {why}; no machine can have it")
        for vip in (vip for vips in draft.vips.values() for vip in vips if vip.value == gateway.value):
            yield vip.error(f"{vip.value} is also the gateway ({gateway.place(vip.document)}); change one of them")


def _routes(draft: Draft) -> Iterator[Problem]:
    for gateway, networks, on_link in _by_network(draft, lambda options: options.route_gateways):
        if gateway.value == ON_LINK:
            if gateway.path[0] == "dhcp":
                yield gateway.error(
                    f"{ON_LINK} is in no network; write this route in the machineNetwork that it is for"
                )
        elif networks and not _contains([*networks, *on_link], gateway):
            wanted = " or ".join(map(str, networks))
            yield gateway.error(
                f"{gateway.value} is outside {wanted}; the gateway of a route must be in the network, "
                f"or have a route of its own there with gateway {ON_LINK}"
            )


def _contains(networks: Iterable[IPv4Network], address: Placed[IPv4Address]) -> bool:
    return any(address.value in network for network in networks)


def _by_network(
    draft: Draft, addresses_of: Callable[[OptionsDraft], list[Placed[IPv4Address]]]
) -> Iterator[tuple[Placed[IPv4Address], list[IPv4Network], list[IPv4Network]]]:
    """Yield each address that DHCP options name, the networks that it may be in, and those that need no gateway."""
    for network in draft.networks:
        for address in addresses_of(network.options):
            yield address, network.ranges4, network.options.on_link
    for address in addresses_of(draft.dhcp):
        yield address, draft.ranges4, []


def _relays(draft: Draft) -> Iterator[Problem]:
    relays: list[Placed[Cidr]] = draft.document.all_at(draft.file.dhcp.relays, "dhcp", "relays")
    for relay in relays:
        if relay.value.prefixlen == 0:
            yield relay.error(f"{relay.value} contains every address; write those of your DHCP relays")


def _appliance(draft: Draft) -> Iterator[Problem]:
    own: tuple[Placed[Address] | None, ...] = (draft.appliance, draft.appliance6)
    for address in (address for address in own if address):
        ranges, home = draft.ranges(address.value.version), home_of(address.value, draft)
        if home is None and ranges:
            wanted = " or ".join(map(str, ranges))
            yield address.warning(
                f"{address.value} is outside {wanted}; hosts can reach the appliance only through a DHCP relay and a "
                "router"
            )
        elif home is not None and (why := unusable(address.value, home)):
            yield address.error(f"{address.value} {why}; no machine can have it")


def _vips(draft: Draft) -> Iterator[Problem]:
    domain = draft.domain
    needed = {"apiVIPs": openshift.api(domain), "ingressVIPs": openshift.apps(domain)}
    if draft.is_alias(needed["apiVIPs"]) and not draft.file.api_vips:
        needed["apiInternalVIPs"] = openshift.api_int(domain)
    for key, name in needed.items():
        is_optional = draft.may_be_single_node and not draft.has_haproxy  # by default, its address is the node's
        if is_optional or is_misspelled((key,), draft.document) or draft.is_alias(name):
            continue
        value = draft.document.value_at((key,))
        if value is None or value == []:
            what = "is missing" if value is None else "is an empty list"
            yield draft.document.here(key).error(
                f"{what}; write the load balancer's address that {name} must resolve to"
            )
    for vips in draft.vips.values():
        yield from _home_of(vips, draft)


def _home_of(vips: list[Placed[Address]], draft: Draft) -> Iterator[Problem]:
    for vip in vips:
        home = home_of(vip.value, draft)
        if not names_one_machine(vip.value):
            yield vip.error(f"{vip.value} is no single address; write one that a load balancer can have")
        elif home is not None and (why := unusable(vip.value, home)):
            yield vip.error(f"{vip.value} {why}; no load balancer can have it")


def _leases(draft: Draft) -> Iterator[Problem]:
    for lease in (options.lease_seconds for options in draft.options):
        if lease and lease.value < SHORT_LEASE_SECONDS:
            yield lease.warning(
                f"{lease.value} s is short: a node loses its address if the "
                "appliance is down for that long; 7d is usual"
            )


def _time_servers(draft: Draft) -> Iterator[Problem]:
    if not draft.has_every_server:
        return  # the network that could tell hosts may be one that cannot be read
    told = [(draft.document.all_at(draft.file.additional_ntp_sources, "additionalNTPSources"), draft.networks)]
    told += [(draft.document.all_at(each.entry.ntp, *each.path, "ntp"), [each]) for each in draft.networks]
    # As written: one that cannot be read has an error of its own.
    has_forwarders = any(draft.document.value_at(("dns", key)) for key in ("forwarders", "forward"))
    for sources, networks in told:
        if any(is_unclear(network, draft) for network in networks):
            continue  # its hosts may be those that can be told
        can_name = any(network.is_ipv6 and draft.serves(network) for network in networks)
        has_ipv4 = any(not network.is_ipv6 for network in networks)
        for source in sources:
            if isinstance(source.value, IPv4Address):
                if not has_ipv4:
                    yield source.warning(
                        f"hosts are not told of {source.value}: DHCPv6 option 56 takes IPv6 addresses and names only"
                    )
            elif isinstance(source.value, str) and (draft.addresses_of(source.value) or has_forwarders):
                continue  # it is ours, or looked up at the start
            elif not can_name:
                yield source.warning(
                    f"hosts are not told of {source.value}: DHCP option 42 takes IPv4 addresses only"
                    + (", and no dns.forwarders can be asked for it" if isinstance(source.value, str) else "")
                    + "; write an IPv4 address, or configure chrony with a MachineConfig"
                )
