"""The MAC address of a DHCPv6 client, from its DUID or from an address that was made of it.

The one rule: pure functions of bytes. `origin.py` decides which of them to believe.
"""

ETHERNET = b"\0\1"  # hardware type
DUID_LLT, DUID_LL, DUID_UUID = b"\0\1", b"\0\3", b"\0\4"  # RFC 8415 section 11; UUID: RFC 6355
# RFC 8415 section 11.1: a type, and at least one byte and at most 128 bytes after it.
DUID_BYTES = range(3, 131)
LINK_LOCAL = 0xFE80 << 112
LINK_LOCAL_MASK = 0xFFC0 << 112  # fe80::/10


def mac_of_duid(duid: bytes) -> bytes:
    """Return the MAC address in a DUID-LLT or DUID-LL; b"" if *duid* has none."""
    kind = duid[:2]
    start = {DUID_LLT: 8, DUID_LL: 4}.get(kind, 0)
    is_ethernet = start > 0 and duid[2:4] == ETHERNET and len(duid) == start + 6
    return duid[start:] if is_ethernet else b""


def mac_of_address(address: bytes) -> bytes:
    """Return the MAC address from which *address* was made (modified EUI-64, RFC 4291 appendix A); b"" if from none."""
    if address[11:13] != b"\xff\xfe":
        return b""
    return bytes((address[8] ^ 2,)) + address[9:11] + address[13:16]


def mac_of_link_layer(value: bytes) -> bytes:
    """Return the MAC address in a relay's client link-layer address option (RFC 6939); b"" if it is of another type."""
    return value[2:] if value[:2] == ETHERNET and len(value) == 8 else b""


def is_link_local(address: bytes) -> bool:
    """Whether *address* is valid on one link only; routers do not forward it (RFC 4291 section 2.5.6)."""
    return int.from_bytes(address, "big") & LINK_LOCAL_MASK == LINK_LOCAL
