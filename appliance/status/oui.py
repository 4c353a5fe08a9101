"""The vendor of a network card, from the first octets of its MAC address.

The names are the IEEE registry's, in the copy that netaddr carries: blocks of
2^24 addresses (MA-L), and the older blocks of 2^12 (IAB). It lacks the blocks
of 2^20 and 2^12 of today (MA-M, MA-S), so cards from those have no vendor here;
makers of servers own blocks of the first size.
"""

from functools import lru_cache

from appliance.model import MacAddress

_LOCALLY_ADMINISTERED = 0x02  # IEEE 802, in the first octet
# The IEEE itself holds the blocks that it assigns in smaller parts.
_SUBDIVIDED = "IEEE Registration Authority"


# Each lookup opens netaddr's list, some 50 µs, and the dashboard repeats the latest 100 unknown machines every second.
# Bounded, because a client can invent addresses.
@lru_cache(maxsize=1024)
def vendor_of(mac: MacAddress) -> str:
    """Return the vendor of *mac*'s card, or "" when it is not in the registry.

    The first call in a process loads the registry's index, which takes about 0.2 s.
    """
    # Imported here, because it takes long to load and nothing else needs it.
    from netaddr import EUI
    from netaddr.core import NotRegisteredError

    address = EUI(int.from_bytes(mac.octets), version=48)
    try:
        # A few blocks are registered more than once (08-00-30 three times); the first entry has to do.
        vendor = address.iab.registration().org if address.is_iab() else address.oui.registration().org
    except NotRegisteredError:
        vendor = ""
    # After the lookup, because a few old registered blocks have this bit set, as 02-07-01.
    if not vendor and mac.octets[0] & _LOCALLY_ADMINISTERED:
        return "locally administered address (usually a virtual machine)"
    return "" if vendor == _SUBDIVIDED else str(vendor)
