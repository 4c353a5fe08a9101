"""An IPv6 machine network as replies need it: its options, encoded once.

The one rule: options that are the same for every host of a network are made here, and
those of a single host in `templates.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from appliance.dhcp6.options import (
    NTP_NAME,
    NTP_SERVER,
    OPT_DNS_SERVERS,
    OPT_NTP_SERVERS,
    OPT_SEARCH,
    OPT_SNTP_SERVERS,
    encode_name,
    encode_option,
)
from appliance.model import INFINITE_LEASE, Address, DhcpMode, Network

REFRESH_SECONDS, LEAST_REFRESH_SECONDS = 86400, 600  # IRT_DEFAULT and IRT_MINIMUM (RFC 8415 section 7.6)


@dataclass(frozen=True, slots=True)
class Segment:
    """A network as replies need it."""

    first: int  # the network's address as a number
    mask: int
    server_text: str
    values: Mapping[int, bytes]  # the options of every host in the network, by code
    times: bytes  # T1 and T2 of an IA_NA
    lifetimes: bytes  # preferred and valid lifetime of an address
    refresh: bytes  # after how long a host that has its address from elsewhere asks again
    mode: DhcpMode
    beside: tuple[tuple[int, int], ...] = ()  # networks and masks of the others on the same link

    def is_on_link(self, address: bytes) -> bool:
        """Whether *address*, 16 octets, is in the network, or in another on the same link."""
        return self.has(address) or any(int.from_bytes(address, "big") & mask == first for first, mask in self.beside)

    def __contains__(self, address: int) -> bool:
        return address & self.mask == self.first

    def has(self, address: bytes) -> bool:
        """Whether *address*, 16 octets, is in the network."""
        return int.from_bytes(address, "big") & self.mask == self.first

    def has_any(self, addresses: Iterable[int]) -> bool:
        """Whether one of *addresses* is in the network."""
        return any(address & self.mask == self.first for address in addresses)


def compile_segment(network: Network, mode: DhcpMode, networks: Iterable[Network] = ()) -> Segment:
    """Return the IPv6 *network* as replies need it, one that is served; *networks* are all of its cluster."""
    cidr = network.cidr
    assert isinstance(cidr, IPv6Network)
    seconds = network.lease_seconds
    t1, t2 = (seconds, seconds) if seconds == INFINITE_LEASE else (seconds // 2, seconds * 4 // 5)
    return Segment(
        first=int(cidr.network_address),
        mask=int(cidr.netmask),
        server_text=str(network.server),
        values={code: value for code, value in _network_values(network) if value},
        # RFC 8415 section 21.4 recommends these fractions of the preferred lifetime.
        times=t1.to_bytes(4, "big") + t2.to_bytes(4, "big"),
        # A host that cannot renew keeps using its address without a warning until the very end: no other is coming.
        lifetimes=seconds.to_bytes(4, "big") * 2,
        # RFC 8415 section 21.23: the default is a day, and the least ten minutes.
        refresh=min(max(seconds, LEAST_REFRESH_SECONDS), REFRESH_SECONDS).to_bytes(4, "big"),
        mode=mode,
        beside=tuple(
            (int(other.cidr.network_address), int(other.cidr.netmask))
            for other in networks
            if network.shares_link(other)
        ),
    )


def _network_values(network: Network) -> list[tuple[int, bytes]]:
    """Return the options of every host in *network*, by code; an empty value is not sent."""
    servers = _packed(network.ntp_servers)
    return [
        (OPT_DNS_SERVERS, b"".join(_packed(network.dns_servers) or [network.server.packed])),
        (OPT_SEARCH, b"".join(map(encode_name, network.search))),
        (
            OPT_NTP_SERVERS,
            b"".join(
                (
                    *(encode_option(NTP_SERVER, server) for server in servers),
                    *(encode_option(NTP_NAME, encode_name(name)) for name in network.ntp_names),
                )
            ),
        ),
        # For clients older than RFC 5908.
        (OPT_SNTP_SERVERS, b"".join(servers)),
    ]


def _packed(addresses: Iterable[Address]) -> list[bytes]:
    return [address.packed for address in addresses if isinstance(address, IPv6Address)]
