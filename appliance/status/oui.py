"""Who made a network card, from the first octets of its MAC address.

The list is the IEEE's in the form that Wireshark keeps, which comes with scapy:
its licence forbids a copy in here, and scapy is installed anyway.
"""

from functools import cache

from appliance.model import MacAddress

_LOCALLY_ADMINISTERED = 0x02  # IEEE 802, in the first octet


def vendor_of(mac: MacAddress) -> str:
    """Return the maker of *mac*'s card, or "" when nobody has registered it."""
    digits = mac.octets.hex()
    # The IEEE assigns blocks of 2^24, 2^20 and 2^12 addresses: 6, 7 and 9 digits.
    for size in (9, 7, 6):
        vendor = _vendors().get(digits[:size])
        if vendor:
            return vendor
    return "made up by software, as for a virtual machine" if mac.octets[0] & _LOCALLY_ADMINISTERED else ""


@cache
def _vendors() -> dict[str, str]:
    from scapy.libs.manuf import DATA

    vendors = {}
    for line in DATA.splitlines():
        prefix, _, rest = line.partition("\t")
        digits, _, bits = prefix.strip().replace(":", "").partition("/")
        vendors[digits.lower()[: int(bits or 24) // 4]] = rest.rpartition("\t")[2].strip()
    return vendors
