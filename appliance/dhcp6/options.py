"""DHCPv6 options on the wire: parsed from a message, and encoded.

The one rule: bytes in, bytes out; the meaning of an option is decided elsewhere.
"""

from collections.abc import Mapping
from typing import TypeAlias

# RFC 8415 section 21 unless a line says otherwise.
OPT_CLIENT_ID = 1
OPT_SERVER_ID = 2
OPT_IA_NA = 3
OPT_IA_TA = 4
OPT_IA_ADDRESS = 5
OPT_REQUEST = 6
OPT_PREFERENCE = 7
OPT_RELAY_MESSAGE = 9
OPT_STATUS = 13
OPT_RAPID_COMMIT = 14
OPT_USER_CLASS = 15
OPT_VENDOR_CLASS = 16
OPT_INTERFACE_ID = 18
OPT_DNS_SERVERS = 23  # RFC 3646
OPT_SEARCH = 24  # RFC 3646
OPT_IA_PD = 25
OPT_SNTP_SERVERS = 31  # RFC 4075
OPT_REFRESH_TIME = 32
OPT_CLIENT_FQDN = 39  # RFC 4704
OPT_ECHO_REQUEST = 43  # RFC 4994
OPT_NTP_SERVERS = 56  # RFC 5908
OPT_BOOT_URL = 59  # RFC 5970
OPT_CLIENT_ARCH = 61  # RFC 5970
OPT_CLIENT_LINK_LAYER = 79  # RFC 6939
OPT_RELAY_PORT = 135  # RFC 8357

NTP_SERVER, NTP_NAME = 1, 3  # suboptions of OPT_NTP_SERVERS (RFC 5908 section 4)

# Status codes (RFC 8415 section 21.13).
SUCCESS, NO_ADDRS_AVAIL, NO_BINDING, NOT_ON_LINK, USE_MULTICAST, NO_PREFIX_AVAIL = 0, 2, 3, 4, 5, 6

Options: TypeAlias = Mapping[int, list[bytes]]  # the values of each code, in the order of the message


def parse_options(area: bytes) -> Options | None:
    """Return the options that fill *area*, or None when one runs past its end."""
    found: dict[int, list[bytes]] = {}
    at, stop = 0, len(area)
    while at < stop:
        start = at + 4
        end = start + int.from_bytes(area[at + 2 : start], "big")
        if end > stop or start > stop:
            return None
        found.setdefault(int.from_bytes(area[at : at + 2], "big"), []).append(area[start:end])
        at = end
    return found


def only(options: Options, code: int) -> bytes | None:
    """Return the value of the option *code*, the first if there are several; None without it."""
    values = options.get(code)
    return values[0] if values else None


def counted(value: bytes) -> list[bytes]:
    """Return the data in *value*, each after its length in two bytes, up to the first that is cut off.

    User classes and vendor classes have this form (RFC 8415 sections 21.15 and 21.16).
    """
    found = []
    at = 0
    while at + 2 <= len(value):
        end = at + 2 + int.from_bytes(value[at : at + 2], "big")
        if end > len(value):
            break
        found.append(value[at + 2 : end])
        at = end
    return found


def encode_option(code: int, value: bytes) -> bytes:
    """Return an option as it is sent; *value* has at most 65,535 bytes."""
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def encode_status(code: int, text: str) -> bytes:
    """Return a status code option."""
    return encode_option(OPT_STATUS, code.to_bytes(2, "big") + text.encode("ascii"))


def encode_name(name: str) -> bytes:
    """Return a domain name as labels, without compression (RFC 8415 section 10)."""
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split(".")) + b"\0"
