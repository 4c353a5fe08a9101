"""A: an IPv4 address (RFC 1035 section 3.4.1)."""

from ipaddress import IPv4Address

from appliance.dns.rdata import FullName, RecordDataError, RecordType

EXAMPLE = "192.0.2.40"


def _parse(text: str, _full_name: FullName) -> str:
    try:
        return str(IPv4Address(text.strip()))
    except ValueError:
        pass
    if "/" in text:
        raise RecordDataError(f"has a prefix length; expected an address without one, such as {EXAMPLE}")
    if ":" in text:
        raise RecordDataError(f"is not an IPv4 address; expected one such as {EXAMPLE}, or type AAAA for IPv6")
    # Leading zeros are rejected because some programs read 010 as octal 8 and others as 10.
    raise RecordDataError(
        f"is not an IPv4 address; expected four numbers up to 255 without leading zeros, such as {EXAMPLE}"
    )


RECORD = RecordType("A", 1, _parse, encoder_arguments=lambda value: (value,), example=EXAMPLE)
