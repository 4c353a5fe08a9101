"""DHCPv6 for hosts that are pinned by their MAC address (RFC 8415), and what network boot needs of it (RFC 5970).

It stands on `dhcp`: which program sent a message, and whether a host boots from its disk,
is told by the same functions for both.
"""
