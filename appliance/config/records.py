"""DNS records as cluster.yaml spells them: whose they are, and their data as a zone file has it."""

import re
from ipaddress import ip_address

from appliance.config import addresses, fields
from appliance.config.document import describe
from appliance.config.fields import MAX_NAME

MAX_STRING_OCTETS = 255  # RFC 1035 section 3.3
# RFC 1035 section 4.2.2: with header, question, owner and OPT record it must go into 65,535 octets.
MAX_TXT_OCTETS = 65_000

# RFC 1035 section 5.1
_CHARACTER_STRING = re.compile(r'"((?:[^"\\]|\\[ -~])*)"\s*', re.ASCII)
_ESCAPE = re.compile(rb"\\([0-9]{1,3}|.)", re.DOTALL)
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
    full = parsed if "." in parsed or name.endswith(".") else f"{parsed}.{zone}"
    if len(full) > MAX_NAME:
        raise ValueError(too_long(full))
    return full


def too_long(name: str, remedy: str = "shorten it") -> str:
    """Return what is wrong with a full name of more than MAX_NAME characters."""
    return f"{describe(name)} has {len(name)} characters; a full name has at most {MAX_NAME}: {remedy}"


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
    strings = _strings(text) if text.startswith('"') else [text.encode()]
    pieces = [
        string[i : i + MAX_STRING_OCTETS] for string in strings for i in range(0, len(string) or 1, MAX_STRING_OCTETS)
    ]
    octets = sum(1 + len(piece) for piece in pieces)
    if octets > MAX_TXT_OCTETS:
        raise ValueError(
            f"{describe(text)} takes {octets} octets; a TXT record has room for {MAX_TXT_OCTETS}: shorten it"
        )
    return " ".join('"' + "".join(map(_escaped, piece)) + '"' for piece in pieces)


def _strings(text: str) -> list[bytes]:
    """Return the strings that somebody wrote who knows zone files; one that is too long is split like any other."""
    found, at = [], 0
    while at < len(text):
        string = _CHARACTER_STRING.match(text, at)
        if string is None:
            raise ValueError(f"{describe(text)} opens a quote that it does not close; leave the quotes out")
        found.append(_ESCAPE.sub(_unescaped, string[1].encode()))
        at = string.end()
    return found


def _unescaped(escape: re.Match[bytes]) -> bytes:
    what = escape[1]
    if not what.isdigit():
        return what
    if len(what) < 3 or int(what) > 255:
        spelled = escape[0].decode()
        wanted = r"three digits from \000 to \255, or \\ for a backslash"
        raise ValueError(f"{spelled} is no octet; write it as {wanted}")
    return bytes([int(what)])


def _escaped(octet: int) -> str:
    if chr(octet) in '"\\':
        return "\\" + chr(octet)
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
