"""Which addresses are private: their names and reverse names belong to the site, not to the Internet."""

from ipaddress import IPv6Address, ip_network

from appliance.model import Address, Cidr

NETWORKS: tuple[Cidr, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # "this host", which reaches the client itself (RFC 1122 section 3.2.1.3)
            "10.0.0.0/8",  # RFC 1918, as are 172.16.0.0/12 and 192.168.0.0/16
            "100.64.0.0/10",  # RFC 6598
            "127.0.0.0/8",
            "169.254.0.0/16",  # RFC 3927
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::/127",  # unspecified and loopback
            "fc00::/7",  # RFC 4193
            "fe80::/10",  # RFC 4291
        ),
    )
)


def is_private(address: Address) -> bool:
    """Whether *address* is private; an IPv4-mapped address is what it maps to."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in NETWORKS)
