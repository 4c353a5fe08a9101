"""The head of a request, checked before aiohttp sees it (RFC 9112 sections 2 to 6): pure and total.

One rule: aiohttp's parser gets one whole head at a time, in HTTP/1.1, of GET or HEAD,
without a body and without an upgrade. Whatever else a client sends ends here.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

# Firmware sends some 200 bytes, a browser with the cookies of other programs on this address a few thousand. 4,096
# connections that each hold an unfinished head hold 32 MiB.
MAX_HEAD_BYTES = 8192
MAX_FIELDS = 64
END = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\x00-\x20\x7f]+) HTTP/([0-9])\.([0-9])")
_FIELD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELDS = re.compile(rb"(?:\r\n" + _FIELD + rb")*")
# The fields that decide where a message ends and what follows it.
_FRAMING = re.compile(
    rb"\r\n(host|connection|content-length|transfer-encoding|upgrade|expect):[ \t]*([^\r]*)", re.IGNORECASE
)
# uri-host [":" port] (RFC 9110 section 7.2): a name, an IPv4 address, or an address in brackets. Empty if the target
# has no authority, but all of our clients' URLs have one.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?[ \t]*")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request as aiohttp's parser gets it."""

    head: bytes
    has_body: bool  # which nobody reads, so that this is the connection's last request


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not read any further."""

    status: int
    why: str
    target: str  # as events show it; the beginning of what came if that is not a request line


Verdict: TypeAlias = Admitted | Refusal


# Checking takes 10 µs, a tenth of what a script costs, and clients repeat their heads. No more than 4 MiB of them.
@lru_cache(maxsize=256)
def check_head(data: bytes) -> Verdict:
    """Return what becomes of the head *data*, which ends with its empty line."""
    line, _, _ = data.partition(b"\r\n")
    request = _REQUEST_LINE.fullmatch(line)
    if request is None or request[3] != b"1":
        return Refusal(400, "expected a request line as GET /path HTTP/1.1", shown(line))
    method, target = request[1], shown(request[2])
    fields = data[len(line) : -len(END)]
    if not _FIELDS.fullmatch(fields):
        return Refusal(400, f"bad header field: {_bad_field(fields)}", target)
    if fields.count(b"\r\n") > MAX_FIELDS:
        return Refusal(431, f"more than {MAX_FIELDS} header fields", target)
    if method not in (b"GET", b"HEAD"):
        return Refusal(405, "only GET and HEAD are served", target)
    is_1_0 = request[4] == b"0"
    framing = _framing(fields)
    why = _complaint(framing, is_1_0=is_1_0)
    if why is not None:
        return Refusal(400, why, target)
    if request[4] == b"1" and framing.keys() <= {b"host", b"connection"}:
        return Admitted(data, has_body=False)
    has_body = framing.get(b"transfer-encoding", [b""]) != [b""] or framing.get(b"content-length", [b"0"])[0] != b"0"
    # HTTP/1.0 has no persistent connections of its own (RFC 9112 section 9.3).
    ends = is_1_0 or has_body or b"close" in re.split(rb"[, \t]+", b",".join(framing.get(b"connection", [])).lower())
    head = b"%s %s HTTP/1.1\r\nHost: %s" % (method, request[2], framing.get(b"host", [b"-"])[0])
    head += _FRAMING.sub(b"", fields) + (b"\r\nConnection: close" if ends else b"") + END
    return Admitted(head, has_body)


def shown(text: bytes) -> str:
    """Return *text* as events show it: printable ASCII, in which the rest is escaped."""
    return ascii(text.decode("latin-1"))[1:-1]


def _framing(fields: bytes) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in _FRAMING.findall(fields):
        found.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    return found


def _complaint(framing: dict[bytes, list[bytes]], *, is_1_0: bool) -> str | None:
    """Return what is wrong with the fields that decide where a message ends, and whom it is for."""
    hosts = framing.get(b"host", [])
    if len(hosts) != 1 and not (is_1_0 and not hosts):
        return f"expected one Host, got {len(hosts)}"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return f"expected a name or an address in Host, got '{shown(hosts[0][:64])}'"
    lengths = framing.get(b"content-length", [])
    if len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", length) for length in lengths):
        return "expected one number in Content-Length"
    codings = framing.get(b"transfer-encoding", [])
    if codings and (lengths or is_1_0 or [coding.lower() for coding in codings] != [b"chunked"]):
        return "expected Transfer-Encoding to be chunked, without Content-Length, in HTTP/1.1"
    return None


def _bad_field(fields: bytes) -> str:
    one = re.compile(_FIELD)
    bad = next((field for field in fields.split(b"\r\n")[1:] if not one.fullmatch(field)), b"")
    return f"'{shown(bad[:64])}'"
