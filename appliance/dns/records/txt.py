r"""TXT: strings of octets (RFC 1035 section 3.3.14).

The same grammar is for what people write and for what zones contain: the
character-strings of RFC 1035 section 5.1, quoted or without blanks, with \X for a
character and \DDD for an octet in decimal. A value made here has all strings in quotes.
"""

import re
from collections.abc import Iterator

from appliance.dns.rdata import FullName, RecordDataError, RecordType

MAX_STRING_BYTES = 255  # RFC 1035 section 3.3: a string follows one octet with its length
# A message has at most 65,535 octets (RFC 1035 section 4.2.2). This leaves 535 for everything else in it: a header of
# 12, a question of at most 259, a compressed owner name and fixed fields of 12, an OPT record of 11.
MAX_TXT_BYTES = 65_000

# The inner group of each form matches an escape as a whole, so \" does not end a quoted string.
_CHARACTER_STRING = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s"\\]|\\.)+))\s*', re.ASCII | re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9]{1,3}|.)", re.DOTALL)


def strings(value: str) -> Iterator[bytes]:
    """Yield the strings in *value*, with escapes resolved. Raises RecordDataError for text that is not well formed."""
    at = 0
    while at < len(value):
        found = _CHARACTER_STRING.match(value, at)
        if found is None:
            raise RecordDataError(
                "has a quote that is not closed, or a backslash at its end; leave out quotes for text"
            )
        quoted, bare = found.groups()
        yield _ESCAPE.sub(_octet, (bare if quoted is None else quoted).encode())
        at = found.end()


def _octet(escape: re.Match[bytes]) -> bytes:
    digits = escape[1]
    if not digits.isdigit():
        return digits
    if len(digits) < 3 or int(digits) > 255:
        raise RecordDataError(
            rf"has the escape \{digits.decode()}; expected three digits from \000 to \255, or \\ for a backslash"
        )
    return bytes([int(digits)])


def _parse(text: str, _full_name: FullName) -> str:
    # Most people write plain text, which may contain blanks and quotes; text that begins with a quote is taken as it
    # would be in a master file.
    found = list(strings(text)) if text.startswith('"') else [text.encode()]
    # An SPF or DKIM record is a single text in several strings, which its readers join (RFC 7208 section 3.3), so a
    # longer text is split instead of rejected.
    pieces = [
        string[at : at + MAX_STRING_BYTES] for string in found for at in range(0, len(string) or 1, MAX_STRING_BYTES)
    ]
    octets = sum(1 + len(piece) for piece in pieces)
    if octets > MAX_TXT_BYTES:
        raise RecordDataError(f"takes {octets} octets; a TXT record has room for {MAX_TXT_BYTES}")
    return " ".join('"' + "".join(map(_escaped, piece)) + '"' for piece in pieces)


def _escaped(octet: int) -> str:
    if chr(octet) in '"\\':
        return "\\" + chr(octet)
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"


RECORD = RecordType(
    "TXT", 16, _parse, encoder_arguments=lambda value: (list(strings(value)),), example="v=spf1 mx -all"
)
