"""The address of a peer, from the text that a socket gives for it.

The one rule: tables are keyed by address and never by text, which has several
spellings of one IPv6 address.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from appliance.model import Address

# Reading an address takes some 2 µs and a known text 0.1: room for 1,000 hosts and the strangers around them.
# Some 200 bytes each.
MAX_KNOWN = 4096


@lru_cache(maxsize=MAX_KNOWN)
def peer_address(text: str) -> Address | None:
    """Return the address that *text* spells, or None when it spells none.

    An IPv4 peer of a socket that takes both families (::ffff:192.0.2.21, RFC 4291
    section 2.5.5.2) has its IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
