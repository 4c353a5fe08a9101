"""AAAA: an IPv6 address (RFC 3596 section 2)."""

from ipaddress import IPv6Address

from appliance.dns.rdata import FullName, RecordDataError, RecordType

EXAMPLE = "2001:db8::40"


def _parse(text: str, _full_name: FullName) -> str:
    try:
        address = IPv6Address(text.strip())
    except ValueError:
        hint = "" if ":" in text else ", or type A for IPv4"
        raise RecordDataError(f"is not an IPv6 address; expected one such as {EXAMPLE}{hint}") from None
    # A zone index (RFC 4007 section 11) is an interface of one machine, and the 16 octets have no room for it.
    if address.scope_id is not None:
        raise RecordDataError(f"has an interface after %; expected an address without one, such as {EXAMPLE}")
    return str(address)


RECORD = RecordType("AAAA", 28, _parse, encoder_arguments=lambda value: (value,), example=EXAMPLE)
