"""Clusters → what is advertised in each IPv6 network that the appliance serves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from appliance.model import Cluster, DhcpMode, Network
from appliance.ra.message import (
    MANAGED,
    OTHER,
    advertisement,
    dns_option,
    mtu_option,
    prefix_option,
    search_option,
    source_option,
)

MOST_NAMES_BYTES = 512  # of search domains: what is beyond it is left out, so that an advertisement fits any link


@dataclass(frozen=True, slots=True)
class Segment:
    """A network whose hosts get their addresses from the appliance."""

    first: int  # the network's address as a number
    mask: int
    text: str
    options: tuple[bytes, ...]  # of an advertisement; () where routers send them

    def has_any(self, addresses: Iterable[int]) -> bool:
        """Whether one of *addresses* is in the network."""
        return any(address & self.mask == self.first for address in addresses)


@dataclass(frozen=True, slots=True)
class RaTable:
    """Everything that router advertisements are made from and judged by."""

    segments: tuple[Segment, ...]

    @property
    def advertises(self) -> bool:
        """Whether there is a network in which the appliance sends advertisements."""
        return any(segment.options for segment in self.segments)

    def segments_of(self, addresses: Sequence[int]) -> list[Segment]:
        """Return the networks on the link of an interface with *addresses*."""
        return [segment for segment in self.segments if segment.has_any(addresses)]

    def advertisement(self, addresses: Sequence[int], mac: bytes) -> bytes:
        """Return what an interface with *addresses* and *mac* sends; b"" where it sends nothing."""
        own = [segment.options for segment in self.segments_of(addresses) if segment.options]
        if not own:
            return b""
        options = dict.fromkeys(option for each in own for option in each)
        return advertisement(MANAGED | OTHER, [*([source_option(mac)] if len(mac) == 6 else []), *options])


def compile_ra(clusters: Sequence[Cluster]) -> RaTable:
    """Return the table for *clusters*; a network that several clusters share is advertised once."""
    segments: dict[IPv6Network, Segment] = {}
    for cluster in clusters:
        for network in cluster.networks:
            cidr = network.cidr
            if isinstance(cidr, IPv6Network) and network.is_served and cluster.dhcp is DhcpMode.FULL:
                found = _segment(cidr, network, advertises=cluster.router_advertisements)
                if found.options or cidr not in segments:
                    segments[cidr] = found
    return RaTable(tuple(segments.values()))


def _segment(cidr: IPv6Network, network: Network, *, advertises: bool) -> Segment:
    options: list[bytes] = []
    if advertises:
        servers = [server for server in network.dns_servers if isinstance(server, IPv6Address)]
        names = _within(network.search)
        options = [
            prefix_option(cidr),
            *([mtu_option(network.mtu)] if network.mtu else []),
            *([dns_option(servers)] if servers else []),
            *([search_option(names)] if names else []),
        ]
    return Segment(int(cidr.network_address), int(cidr.netmask), str(cidr), tuple(options))


def _within(names: Sequence[str]) -> list[str]:
    """Return as many of *names*, from the first on, as MOST_NAMES_BYTES hold."""
    kept, size = [], 0
    for name in names:
        size += len(name) + 2
        if size > MOST_NAMES_BYTES:
            break
        kept.append(name)
    return kept
