"""DNS records as cluster.yaml spells them: their owner names, and their data as a zone holds it."""

from ipaddress import ip_address

from appliance.config import fields
from appliance.config.document import describe
from appliance.config.fields import MAX_NAME
from appliance.dns.rdata import RecordDataError
from appliance.dns.records import record_type


def in_zone(name: str, zone: str) -> bool:
    """Whether *name* is *zone* or below it."""
    return name == zone or name.endswith(f".{zone}")


def is_reverse(name: str) -> bool:
    """Whether *name* is the reverse name of an address (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return name.endswith((".in-addr.arpa", ".ip6.arpa"))


def owner_name(name: str, zone: str) -> str:
    """Return the full name that a record's `name` means in *zone*."""
    try:
        return ip_address(name).reverse_pointer
    except ValueError:
        pass
    if name == "@":
        return zone
    # Unlike in a master file a full name needs no trailing dot: it is known by the zone at its end.
    if in_zone(name, zone) or is_reverse(name) or name.endswith("."):
        return name.removesuffix(".")
    return f"{name}.{zone}"


def target_name(name: str, zone: str) -> str:
    """Return the full name that a record points to: a name without dots is in the zone, others are full already.

    Raises ValueError when *name* is not a domain name, or too long in *zone*.
    """
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
    """Return a record's data as a zone holds it: names fully qualified, without the trailing dot.

    Raises ValueError, with what would be right, when *value* is not data of that type.
    """
    try:
        return record_type(kind).parse(value, lambda name: target_name(name, zone))
    except RecordDataError as error:
        raise fields.wrong(value, str(error)) from None
