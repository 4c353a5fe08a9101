"""DHCP options on the wire: parsed from a message, encoded, and laid out in a reply.

The one rule: bytes in, bytes out; the meaning of an option is decided elsewhere.
RFC 2131 section 4.1, RFC 2132, RFC 3396 (long options).
"""

from collections.abc import Iterable
from dataclasses import dataclass

PAD, END = 0, 255

# RFC 2132 unless a line says otherwise.
OPT_SUBNET_MASK = 1
OPT_ROUTERS = 3
OPT_DNS_SERVERS = 6
OPT_HOST_NAME = 12
OPT_DOMAIN_NAME = 15
OPT_INTERFACE_MTU = 26
OPT_BROADCAST = 28
OPT_NTP_SERVERS = 42
OPT_VENDOR_SPECIFIC = 43
OPT_REQUESTED_ADDRESS = 50
OPT_LEASE_TIME = 51
OPT_OVERLOAD = 52
OPT_MESSAGE_TYPE = 53
OPT_SERVER_ID = 54
OPT_PARAMETERS = 55
OPT_MESSAGE = 56
OPT_MAX_SIZE = 57
OPT_RENEWAL_TIME = 58
OPT_REBINDING_TIME = 59
OPT_VENDOR_CLASS = 60
OPT_CLIENT_ID = 61
OPT_TFTP_SERVER = 66
OPT_BOOT_FILE = 67
OPT_USER_CLASS = 77  # RFC 3004
OPT_RELAY_AGENT = 82  # RFC 3046
OPT_CLIENT_ARCH = 93  # RFC 4578 section 2.1
OPT_CLIENT_UNDI = 94  # RFC 4578 section 2.2
OPT_MACHINE_ID = 97  # RFC 4578 section 2.3
OPT_SEARCH = 119  # RFC 3397
OPT_CLASSLESS_ROUTES = 121  # RFC 3442
OPT_IPXE = 175  # Etherboot's encapsulated options

HEADER_BYTES = 240  # the fixed fields and the magic cookie
COOKIE = b"\x63\x82\x53\x63"
SNAME = slice(44, 108)
FILE = slice(108, 236)
SNAME_BYTES, FILE_BYTES = 64, 128

# Values of option 52 (RFC 2132 section 9.3).
FILE_HOLDS_OPTIONS, SNAME_HOLDS_OPTIONS = 1, 2
_OVERLOAD_BYTES = 3  # option 52 itself


def parse_options(message: bytes) -> dict[int, bytes] | None:
    """Return the options of a DHCP message by code, or None when one runs past the end of its field.

    The instances of an option that occurs several times are joined (RFC 3396 section
    7). `file` and `sname` are parsed as well if option 52 says that they hold options.
    A missing end mark is accepted.
    """
    found: dict[int, bytes] = {}
    if not scan_options(message, HEADER_BYTES, len(message), found):
        return None
    overload = found.get(OPT_OVERLOAD)
    if overload is not None:
        held = overload[0] if len(overload) == 1 else 0
        for flag, area in ((FILE_HOLDS_OPTIONS, FILE), (SNAME_HOLDS_OPTIONS, SNAME)):
            if held & flag and not scan_options(message, area.start, area.stop, found):
                return None
    return found


def scan_options(area: bytes, start: int, stop: int, found: dict[int, bytes]) -> bool:
    """Add the options between *start* and *stop* to *found*; return False if one is truncated."""
    at = start
    while at < stop:
        code = area[at]
        if code == END:
            return True
        at += 1
        if code == PAD:
            continue
        if at >= stop:
            return False
        end = at + 1 + area[at]
        if end > stop:
            return False
        value = area[at + 1 : end]
        found[code] = found[code] + value if code in found else value
        at = end
    return True


def encode_option(code: int, value: bytes) -> bytes:
    """Return an option as it is sent: in several instances if *value* is longer than 255 bytes (RFC 3396)."""
    if len(value) <= 255:
        return bytes((code, len(value))) + value
    return b"".join(bytes((code, len(value[at : at + 255]))) + value[at : at + 255] for at in range(0, len(value), 255))


def encode_name(name: str) -> bytes:
    """Return a domain name as labels (RFC 1035 section 3.1), the form of option 119."""
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split(".")) + b"\0"


@dataclass(frozen=True, slots=True)
class Layout:
    """The options of a reply, by the fields that contain them."""

    main: bytes  # without the end mark
    file: bytes  # b"" when the header field contains no options
    sname: bytes


def lay_out(options: Iterable[tuple[int, bytes]], room: int, *, file_is_free: bool) -> Layout:
    """Return *options*, codes and values, spread over the fields of a message; what does not fit is left out.

    *room* is the size of the options field, in bytes. Each option goes to the first
    field with room for all of it, in the order in which a client reads the fields
    (options, file, sname: RFC 2131 section 4.1), and is split over several fields as a
    last resort. So put the dispensable ones last.
    """
    main, file, sname = bytearray(), bytearray(), bytearray()
    # The options field keeps room for option 52, and each header field for its end mark.
    areas = (
        (main, room - _OVERLOAD_BYTES),
        (file, FILE_BYTES - 1 if file_is_free else 0),
        (sname, SNAME_BYTES - 1),
    )
    for code, value in options:
        encoded = encode_option(code, value)
        area = next((area for area, size in areas if len(area) + len(encoded) <= size), None)
        if area is None:
            _split(areas, code, value)
        else:
            area.extend(encoded)
    held = (FILE_HOLDS_OPTIONS if file else 0) | (SNAME_HOLDS_OPTIONS if sname else 0)
    if held:
        main += bytes((OPT_OVERLOAD, 1, held))
    return Layout(bytes(main), _ended(file), _ended(sname))


def _split(areas: Iterable[tuple[bytearray, int]], code: int, value: bytes) -> None:
    """Put an option in pieces into the space that is left in the areas (RFC 3396 section 5), or leave it out."""
    pieces: list[tuple[bytearray, bytes]] = []
    at = 0
    for area, size in areas:
        space = size - len(area)
        # The code and the length of a piece take two bytes.
        while at < len(value) and space > 2:
            piece = value[at : at + min(255, space - 2)]
            pieces.append((area, bytes((code, len(piece))) + piece))
            at += len(piece)
            space -= 2 + len(piece)
    if at == len(value):
        for area, piece in pieces:
            area.extend(piece)


def _ended(area: bytearray) -> bytes:
    return bytes((*area, END)) if area else b""
