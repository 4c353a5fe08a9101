"""IPv6 networks: each key has values of its network's family, and hosts can learn their addresses there."""

from collections.abc import Iterator

from appliance.config.checks.networks import is_unclear
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.section_drafts import NetworkDraft
from appliance.errors import Problem
from appliance.model import Address, Boot, DhcpMode

MIN_MTU6 = 1280  # RFC 8200 section 5
# Keys whose options DHCPv6 does not have.
ONLY_IPV4 = {
    "gateway": "hosts learn their router from its router advertisements",
    "routes": "hosts learn routes from router advertisements (RFC 4191)",
}
USED_WHEN_SERVED = ("dnsServers", "domain", "leaseTime", "mtu", "search", "ntp")


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the families of the addresses of one file, and with its IPv6 networks."""
    yield from _appliance(draft)
    for network in draft.networks:
        yield from _families(network, draft)
        if network.is_ipv6:
            yield from _network(network, draft)
    yield from _dhcp_section(draft)
    yield from _advertisements(draft)


def _appliance(draft: Draft) -> Iterator[Problem]:
    main, second = draft.appliance, draft.appliance6
    if main and second and main.value.version == 6:
        yield second.error(
            "conflicts with appliance.address, which is an IPv6 address; write the IPv4 address there, or remove this"
        )
    for address in draft.appliance_addresses:
        if address.value.is_link_local or address.value.is_multicast:
            kind = "a link-local" if address.value.is_link_local else "a multicast"
            yield address.error(f"{address.value} is {kind} address, which no URL can have; write a global address")


def _families(network: NetworkDraft, draft: Draft) -> Iterator[Problem]:
    if network.cidr is None:
        return
    cidr, version = network.cidr.value, network.cidr.value.version
    said: list[Placed[Address]] = [network.server] if network.server else []
    for address in [*said, *network.dns_servers]:
        if address.value.version != version:
            yield address.error(f"{address.value} is not IPv{version}, as {cidr} is; write an IPv{version} address")
    # One that cannot be read has an error of its own.
    has_server = draft.document.has(*network.path, "serverAddress")
    if version == 4 and not has_server and draft.appliance and not draft.serves(network):
        yield network.cidr.error(
            f"the appliance has no IPv4 address for {cidr}; write one as serverAddress here, or as appliance.address "
            "(with its IPv6 address as appliance.addressIPv6)"
        )


def _network(network: NetworkDraft, draft: Draft) -> Iterator[Problem]:
    document, path, cidr = draft.document, network.path, network.cidr
    assert cidr is not None
    if cidr.value.is_link_local:
        yield cidr.error(f"{cidr.value} is link-local; write a global network, or a unique local one in fd00::/8")
    for key, instead in ONLY_IPV4.items():
        if document.has(*path, key):
            yield document.here(*path, key).error(f"does not apply to an IPv6 network: {instead}; remove this key")
    if not draft.serves(network) and not is_unclear(network, draft):
        yield from _unserved(network, draft)
    if document.has(*path, "link"):
        yield document.here(*path, "link").warning(
            "not used for an IPv6 network: a DHCPv6 relay sends a link-address in the network of the host itself"
        )
    mtu = document.at(network.entry.mtu, *path, "mtu")
    if mtu and mtu.value < MIN_MTU6:
        yield mtu.error(f"{mtu.value} is below {MIN_MTU6}, the least MTU of IPv6; write {MIN_MTU6} or more")


def _unserved(network: NetworkDraft, draft: Draft) -> Iterator[Problem]:
    """Yield what an IPv6 network that is only for DNS cannot do for its hosts, and the keys that it does not use."""
    document, cidr = draft.document, network.cidr
    assert cidr is not None
    lost = [
        host.label
        for host in draft.hosts
        if host.boot is not Boot.NOTHING
        and host.address6
        and host.address6.value in cidr.value
        # An address that cannot be read may be an IPv4 address.
        and (host.address6.path[-1] == "address" or not document.has(*host.path, "address"))
    ]
    if lost:
        who = lost[0] if len(lost) == 1 else f"{lost[0]} and {len(lost) - 1} more"
        yield cidr.warning(
            f"the appliance has no IPv6 address for {cidr.value}, so hosts that have no IPv4 address ({who}) cannot "
            "boot; write one as appliance.addressIPv6, or as serverAddress here"
        )
    for key in USED_WHEN_SERVED:
        if document.has(*network.path, key):
            yield document.here(*network.path, key).warning(
                "not used: the appliance has no IPv6 address, so this network is only for DNS; "
                "write appliance.addressIPv6, or serverAddress here"
            )


def _dhcp_section(draft: Draft) -> Iterator[Problem]:
    gateway = draft.file.dhcp.gateway
    if gateway is not None and gateway.version == 6:
        yield draft.document.here("dhcp", "gateway").error(
            f"{gateway} is an IPv6 address: {ONLY_IPV4['gateway']}; remove this key, or write the IPv4 gateway"
        )
    common = draft.document.at(draft.file.dhcp.mtu, "dhcp", "mtu")
    if common and common.value < MIN_MTU6 and any(each.is_ipv6 and draft.serves(each) for each in draft.networks):
        yield common.error(
            f"{common.value} is below {MIN_MTU6}, the least MTU of IPv6; write {MIN_MTU6} or more, "
            "or `mtu` in the IPv4 network that needs it"
        )


def _advertisements(draft: Draft) -> Iterator[Problem]:
    served = [network.cidr for network in draft.networks if network.is_ipv6 and draft.serves(network) and network.cidr]
    where = draft.document.here("dhcp", "routerAdvertisements")
    wanted, mode = draft.file.dhcp.router_advertisements, draft.file.dhcp.mode
    is_full = mode is DhcpMode.FULL
    if wanted and not served and not draft.has_every_server:
        return  # what cannot be read may be what it needs
    if wanted and not served:
        yield where.error(
            "needs an IPv6 network in networking.machineNetwork and an IPv6 address of the appliance; add them, or "
            "remove this key"
        )
    elif wanted and not is_full:
        yield where.error(
            f"sends hosts to the appliance for their addresses, which dhcp.mode {mode} does not give; write mode: full"
        )
    elif served and is_full and not draft.document.has("dhcp", "routerAdvertisements"):
        networks = " and ".join(str(cidr.value) for cidr in served)
        yield where.warning(
            f"not set: hosts ask for an IPv6 address only where router advertisements in {networks} have the flags M "
            "and O. Write false if your routers set them, or true if no router does and the appliance has to"
        )
