"""The names of reverse zones (RFC 1035 section 3.5, RFC 3596 section 2.5)."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network

# Reverse zones of private and special addresses. Queries about them must not leave the site: they would reveal its
# addresses, and no server outside can answer them (RFC 6303 section 4, RFC 7793). Servers of the site may know the
# private ones,
PRIVATE_ZONES = (
    "10.in-addr.arpa",
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    "168.192.in-addr.arpa",
    *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),
    "d.f.ip6.arpa",
)
# and nobody has names for the special ones.
SPECIAL_ZONES = (
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    IPv6Address("::").reverse_pointer,
    IPv6Address("::1").reverse_pointer,
    *(f"{nibble}.e.f.ip6.arpa" for nibble in "89ab"),
    "8.b.d.0.1.0.0.2.ip6.arpa",
)


def reverse_apexes(network: IPv4Network | IPv6Network) -> Iterator[str]:
    """Yield the reverse zones that together cover *network*. They end on octets (IPv4) or nibbles (IPv6).

    A prefix that ends between two octets needs several zones: a /20 needs sixteen, each
    of a /24. A prefix longer than /24 gets the zone of the /24 around it, unless it is a
    single address. IPv6 is the same with nibbles and /124.
    """
    if isinstance(network, IPv4Network):
        bits, last = 8, 24
    else:
        bits, last = 4, 124
    if network.prefixlen > last and network.prefixlen < network.max_prefixlen:
        network = network.supernet(new_prefix=last)
    prefix = -(-network.prefixlen // bits) * bits  # rounded up
    labels_cut = (network.max_prefixlen - prefix) // bits
    for subnet in network.subnets(new_prefix=prefix):
        yield subnet.network_address.reverse_pointer.split(".", labels_cut)[labels_cut]


def classless_apex(network: IPv4Network) -> str:
    """Return the reverse zone of a network smaller than /24: 64/26.2.0.192.in-addr.arpa (RFC 2317 section 4)."""
    first, above = network.network_address.reverse_pointer.split(".", 1)
    return f"{first}/{network.prefixlen}.{above}"
