"""A machine network as replies need it: its options, encoded once.

The one rule: options that are the same for every host of a network are made here, and
those of a single host in `templates.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from appliance.dhcp.options import (
    OPT_BROADCAST,
    OPT_CLASSLESS_ROUTES,
    OPT_DNS_SERVERS,
    OPT_DOMAIN_NAME,
    OPT_INTERFACE_MTU,
    OPT_LEASE_TIME,
    OPT_NTP_SERVERS,
    OPT_REBINDING_TIME,
    OPT_RENEWAL_TIME,
    OPT_ROUTERS,
    OPT_SEARCH,
    OPT_SERVER_ID,
    OPT_SUBNET_MASK,
    encode_name,
)
from appliance.model import INFINITE_LEASE, DhcpMode, Network


@dataclass(frozen=True, slots=True)
class Segment:
    """A network as replies need it."""

    first: int  # the network's address as a number
    mask: int
    server: bytes
    server_text: str
    values: Mapping[int, bytes]  # the options of every host in the network, by code
    mode: DhcpMode
    beside: tuple[tuple[int, int], ...] = ()  # networks and masks of the others on the same link

    def is_beside(self, address: int) -> bool:
        """Whether *address* is in another network on the same link."""
        return any(address & mask == first for first, mask in self.beside)

    def __contains__(self, address: int) -> bool:
        return address & self.mask == self.first

    def has_any(self, addresses: Iterable[int]) -> bool:
        """Whether one of *addresses* is in the network."""
        mask, first = self.mask, self.first
        # Each message is judged by this, and any() with a generator would take three times as long.
        for address in addresses:  # noqa: SIM110
            if address & mask == first:
                return True
        return False


def compile_segment(network: Network, mode: DhcpMode, networks: Iterable[Network] = ()) -> Segment:
    """Return the IPv4 *network* as replies need it; *networks* are all of its cluster."""
    cidr, server = network.cidr, network.server
    # The caller leaves IPv6 networks out, and the addresses of a network are of its own family.
    assert isinstance(cidr, IPv4Network)
    assert isinstance(server, IPv4Address)
    return Segment(
        first=int(cidr.network_address),
        mask=int(cidr.netmask),
        server=server.packed,
        server_text=str(server),
        values={code: value for code, value in _network_values(network, cidr) if value},
        mode=mode,
        beside=tuple(
            (int(other.cidr.network_address), int(other.cidr.netmask))
            for other in networks
            if network.shares_link(other)
        ),
    )


def _network_values(network: Network, cidr: IPv4Network) -> list[tuple[int, bytes]]:
    """Return the options of every host in *network*, by code; an empty value is not sent."""
    return [
        (OPT_SUBNET_MASK, cidr.netmask.packed),
        (OPT_ROUTERS, network.gateway.packed if network.gateway else b""),
        (OPT_DNS_SERVERS, b"".join(address.packed for address in network.dns_servers)),
        (OPT_DOMAIN_NAME, network.domain.encode("ascii")),
        (OPT_INTERFACE_MTU, network.mtu.to_bytes(2, "big") if network.mtu else b""),
        # RFC 3021: a /31 has no broadcast address, and neither has a /32.
        (OPT_BROADCAST, cidr.broadcast_address.packed if cidr.prefixlen < 31 else b""),
        (OPT_NTP_SERVERS, b"".join(address.packed for address in network.ntp_servers)),
        (OPT_SERVER_ID, network.server.packed),
        *_lease_values(network.lease_seconds),
        (OPT_SEARCH, b"".join(map(encode_name, network.search))),
        (OPT_CLASSLESS_ROUTES, _classless_routes(network)),
    ]


def _lease_values(seconds: int) -> list[tuple[int, bytes]]:
    """Return options 51, 58 and 59, with the default T1 and T2 of RFC 2131 section 4.4.5."""
    lease = (OPT_LEASE_TIME, seconds.to_bytes(4, "big"))
    if seconds == INFINITE_LEASE:
        return [lease]  # it is never renewed
    return [
        lease,
        (OPT_RENEWAL_TIME, (seconds // 2).to_bytes(4, "big")),
        (OPT_REBINDING_TIME, (seconds * 7 // 8).to_bytes(4, "big")),
    ]


def _classless_routes(network: Network) -> bytes:
    if not network.routes:
        return b""
    routes = [(route.destination, route.gateway) for route in network.routes]
    if network.gateway and all(destination.prefixlen for destination, _ in routes):
        # RFC 3442: a client that uses option 121 ignores option 3, so the default route is repeated here.
        routes.append((IPv4Network("0.0.0.0/0"), network.gateway))
    return b"".join(map(_encode_route, routes))


def _encode_route(route: tuple[IPv4Network, IPv4Address]) -> bytes:
    destination, gateway = route
    # RFC 3442: the prefix length, and only as many octets of the network as it covers.
    significant = (destination.prefixlen + 7) // 8
    return bytes((destination.prefixlen,)) + destination.network_address.packed[:significant] + gateway.packed
