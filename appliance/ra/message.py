"""Router solicitations and advertisements as bytes (RFC 4861 sections 4.1, 4.2 and 6.1, RFC 8106)."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network

SOLICITATION, ADVERTISEMENT = 133, 134
HOP_LIMIT = 255  # of every message; a router would have lowered it, so it shows that the sender is on the link
MANAGED, OTHER = 0x80, 0x40  # the flags M and O

OPT_SOURCE_MAC, OPT_PREFIX, OPT_MTU, OPT_DNS_SERVERS, OPT_SEARCH = 1, 3, 5, 25, 31
ON_LINK = 0x80  # the flag L of a prefix; its flag A, for addresses without DHCPv6, stays clear

VALID_SECONDS, PREFERRED_SECONDS = 2592000, 604800  # AdvValidLifetime and AdvPreferredLifetime (section 6.2.1)
# Three times the longest interval between advertisements (RFC 8106 section 5.1).
DNS_SECONDS = 1800

_SOLICITATION_BYTES, _ADVERTISEMENT_BYTES = 8, 16


def advertisement(flags: int, options: Sequence[bytes]) -> bytes:
    """Return an advertisement from a machine that is no router, without its checksum, which the kernel writes.

    Its router lifetime is 0, so hosts make no default route of it, and it leaves hop limit and times to others.
    """
    return bytes((ADVERTISEMENT, 0, 0, 0, 0, flags)) + bytes(10) + b"".join(options)


def source_option(mac: bytes) -> bytes:
    """Return the option with the sender's MAC address, so that hosts need not ask for it."""
    return _option(OPT_SOURCE_MAC, mac)


def prefix_option(network: IPv6Network) -> bytes:
    """Return the option that says that *network* is on the link, and that its addresses come from DHCPv6 only."""
    lifetimes = VALID_SECONDS.to_bytes(4, "big") + PREFERRED_SECONDS.to_bytes(4, "big")
    return _option(
        OPT_PREFIX, bytes((network.prefixlen, ON_LINK)) + lifetimes + bytes(4) + network.network_address.packed
    )


def mtu_option(mtu: int) -> bytes:
    """Return the option with the link's MTU in bytes."""
    return _option(OPT_MTU, bytes(2) + mtu.to_bytes(4, "big"))


def dns_option(servers: Sequence[IPv6Address]) -> bytes:
    """Return the option with the addresses of DNS servers."""
    return _option(
        OPT_DNS_SERVERS, bytes(2) + DNS_SECONDS.to_bytes(4, "big") + b"".join(each.packed for each in servers)
    )


def search_option(domains: Sequence[str]) -> bytes:
    """Return the option with the domains in which hosts look up short names."""
    names = b"".join(_name(domain) for domain in domains)
    return _option(OPT_SEARCH, bytes(2) + DNS_SECONDS.to_bytes(4, "big") + names)


def is_solicitation(message: bytes, source: bytes) -> bool:
    """Whether *message*, from the address *source*, is a valid solicitation (section 6.1.1)."""
    if len(message) < _SOLICITATION_BYTES or message[0] != SOLICITATION or message[1]:
        return False
    options = list(_options(message, _SOLICITATION_BYTES))
    if None in options:
        return False
    return any(source) or all(option is None or option[0] != OPT_SOURCE_MAC for option in options)


def flags_of(message: bytes, source: bytes) -> int | None:
    """Return the flags of the advertisement *message* from the address *source*; None if it is no valid one (6.1.2)."""
    if len(message) < _ADVERTISEMENT_BYTES or message[0] != ADVERTISEMENT or message[1]:
        return None
    if not IPv6Address(source).is_link_local or None in _options(message, _ADVERTISEMENT_BYTES):
        return None
    return message[5]


def _option(kind: int, value: bytes) -> bytes:
    """Return an option, padded with zeros to a multiple of 8 octets, in which its length is counted."""
    padded = value + bytes(-(len(value) + 2) % 8)
    return bytes((kind, (len(padded) + 2) // 8)) + padded


def _options(message: bytes, start: int) -> Iterator[tuple[int, bytes] | None]:
    """Yield each option's type and value; None, as the last, where one has no length or is cut off."""
    at = start
    while at < len(message):
        size = message[at + 1] * 8 if at + 1 < len(message) else 0
        if size == 0 or at + size > len(message):
            yield None
            return
        yield message[at], message[at + 2 : at + size]
        at += size


def _name(domain: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in domain.split(".")) + b"\0"
