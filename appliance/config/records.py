"""DNS records as cluster.yaml spells them: whose they are, and their data as a zone file has it."""

import re
from ipaddress import ip_address

from appliance.config import addresses, fields
from appliance.config.document import describe

# RFC 1035 section 5.1
_CHARACTER_STRINGS = re.compile(r'(?:"(?:[^"\\]|\\[ -~])*"\s*)+', re.ASCII)
_NUMBERS = {"MX": ("preference",), "SRV": ("priority", "weight", "port"), "CNAME": (), "PTR": ()}
_EXAMPLES = {"MX": "10 mail", "SRV": "0 10 389 ldap", "CNAME": "lb1", "PTR": "lb1"}


def in_zone(name: str, zone: str) -> bool:
    """Whether *name* is *zone* or lies below it."""
    return name == zone or name.endswith(f".{zone}")


def is_reverse(name: str) -> bool:
    """Whether *name* stands for an address."""
    return name.endswith((".in-addr.arpa", ".ip6.arpa"))


def owner_name(name: str, zone: str) -> str:
    """Return the full name that a record's `name` stands for in *zone*."""
    try:
        return ip_address(name).reverse_pointer
    except ValueError:
        pass
    if name == "@":
        return zone
    if in_zone(name, zone) or is_reverse(name) or name.endswith("."):
        return name.removesuffix(".")
    return f"{name}.{zone}"


def target_name(name: str, zone: str) -> str:
    """Return the full name that a record points to: alone it is in the zone, with dots it is full already."""
    parsed = fields.parse_record_name(name).removesuffix(".")
    if parsed == "@":
        return zone
    return parsed if "." in parsed or name.endswith(".") else f"{parsed}.{zone}"


def rdata(kind: str, value: str, zone: str) -> str:
    """Return a record's data as a zone file has it, names full and without the final dot.

    Raises ValueError, saying what would be right, when *value* is no data of that type.
    """
    match kind:
        case "A":
            return str(addresses.parse_ipv4(value))
        case "AAAA":
            return str(addresses.parse_ipv6(value))
        case "TXT":
            return _quoted(value)
    wanted = _NUMBERS[kind]
    parts = value.split()
    if len(parts) != len(wanted) + 1:
        order = ", ".join([*wanted, "name"])
        raise ValueError(f"{describe(value)} is no {kind} data, which is {order}; write it as {_EXAMPLES[kind]}")
    numbers = [fields.parse_whole(0, 65535)(part) for part in parts[:-1]]
    if is_address(parts[-1]):
        raise ValueError(f"{describe(value)} points to an address; {kind} points to a name, as {_EXAMPLES[kind]}")
    return " ".join([*map(str, numbers), target_name(parts[-1], zone)])


def is_address(text: str) -> bool:
    """Whether *text* spells an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    if text.startswith('"'):  # somebody who knows zone files
        if not _CHARACTER_STRINGS.fullmatch(text):
            raise ValueError(f"{describe(text)} opens a quote that it does not close; leave the quotes out")
        return text
    octets = text.encode()
    # RFC 1035 section 3.3: a character-string has at most 255 octets.
    pieces = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
    return " ".join('"' + "".join(map(_escaped, piece)) + '"' for piece in pieces)


def _escaped(octet: int) -> str:
    if chr(octet) in '"\\':
        return "\\" + chr(octet)
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
