"""Conditional and range requests: which bytes of a file a response contains (RFC 9110 sections 13 and 14).

Pure and total: whatever a header contains, the result is a Response.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import blake2s
from typing import TypeAlias

# A client that resumes a download asks for one range, and so does iPXE's SAN boot. More than this is an attempt to make
# a small request expensive (RFC 9110 section 17.15).
MAX_RANGES = 16
MAX_RANGE_DIGITS = 19  # of a signed 64-bit offset; int() itself raises past 4,300

CONDITIONS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "If-Range", "Range")

_RANGES = re.compile(r"bytes[ \t]*=[ \t,]*(.*)", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(r"([0-9]*)-([0-9]*)", re.ASCII)
_ETAG = re.compile(r'(W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Entity:
    """The representation at a path: how long it is, and what a client can recognise it by."""

    size: int  # bytes
    etag: str  # strong, in its quotes
    modified: int  # seconds UTC
    content_type: str


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of bytes of the entity."""

    first: int
    size: int


Part: TypeAlias = Slice | bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A status, its headers, and what the body consists of."""

    status: int
    headers: Mapping[str, str]
    parts: tuple[Part, ...] = ()  # of a GET; a response to HEAD has no body


@lru_cache(maxsize=256)  # a fleet downloads the same few files, and formatting takes 5 µs
def _http_date(seconds: int) -> str:
    """Return a time in the form of HTTP headers (RFC 9110 section 5.6.7)."""
    return formatdate(seconds, usegmt=True)


def respond(entity: Entity, method: str, headers: Mapping[str, str]) -> Response:
    """Return the response to a GET or HEAD of *entity*.

    *headers* contains those of CONDITIONS that the request has; a field that
    occurs several times is joined by commas (RFC 9110 section 5.3).
    """
    common = {
        "Accept-Ranges": "bytes",
        "ETag": entity.etag,
        "Last-Modified": _http_date(entity.modified),
        "Content-Type": entity.content_type,
    }
    # The order of these checks is that of RFC 9110 section 13.2.2.
    if headers:
        if not _preconditions_hold(entity, headers):
            return Response(412, common | {"Content-Length": "0"})
        if _is_unchanged(entity, headers):
            # A 304 has no body, and its client knows the type of what it has (RFC 9110 section 15.4.5).
            return Response(304, {name: value for name, value in common.items() if name != "Content-Type"})
        # Ranges are defined for GET alone (RFC 9110 section 14.2).
        if method == "GET" and "Range" in headers and _range_is_current(entity, headers):
            wanted = slices(headers["Range"], entity.size)
            if wanted is not None:
                return _partial(entity, wanted, common)
    whole = (Slice(0, entity.size),) if method == "GET" and entity.size else ()
    return Response(200, common | {"Content-Length": str(entity.size)}, whole)


def slices(header: str, size: int) -> list[Slice] | None:
    """Return the slices of an entity of *size* bytes that a Range header asks for; [] if all lie past its end.

    None means that the header must be ignored and the whole sent: it has another
    unit, is malformed, or asks for more than the whole (RFC 9110 section 14.2).
    """
    match = _RANGES.fullmatch(header)
    if not match:
        return None
    specs = [spec.strip(" \t") for spec in match[1].split(",")]
    specs = [spec for spec in specs if spec]
    if not specs or len(specs) > MAX_RANGES:
        return None
    found: list[Slice] = []
    for spec in specs:
        part = _slice(spec, size)
        if part is None:
            return None
        if part.size:
            found.append(part)
    # Overlapping ranges would make the response longer than the entity.
    return found if sum(part.size for part in found) <= size else None


def _slice(spec: str, size: int) -> Slice | None:
    """Return the slice of *size* bytes that a range-spec names, of size 0 if it is past the end; None if malformed."""
    match = _RANGE.fullmatch(spec)
    if not match or max(map(len, match.groups())) > MAX_RANGE_DIGITS:
        return None
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        start = min(int(first), size)
        return Slice(start, min(int(last) + 1, size) - start if last else size - start)
    # A suffix range: the last so many bytes.
    if last:
        length = min(int(last), size)
        return Slice(size - length, length)
    return None


def _partial(entity: Entity, wanted: list[Slice], common: dict[str, str]) -> Response:
    if not wanted:
        return Response(416, {"Content-Range": f"bytes */{entity.size}", "Content-Length": "0"})
    if len(wanted) == 1:
        (part,) = wanted
        headers = common | {"Content-Range": _content_range(part, entity), "Content-Length": str(part.size)}
        return Response(206, headers, (part,))
    # Multipart (RFC 9110 section 14.6). A hash is unlikely to occur in the body, and equal requests get equal bytes.
    boundary = blake2s(repr((entity, wanted)).encode(), digest_size=16).hexdigest()
    parts: list[Part] = []
    for part in wanted:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {entity.content_type}\r\n"
            f"Content-Range: {_content_range(part, entity)}\r\n\r\n"
        )
        parts += [head.encode(), part]
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    length = sum(each.size if isinstance(each, Slice) else len(each) for each in parts)
    headers = common | {
        "Content-Type": f"multipart/byteranges; boundary={boundary}",
        "Content-Length": str(length),
    }
    return Response(206, headers, tuple(parts))


def _content_range(part: Slice, entity: Entity) -> str:
    return f"bytes {part.first}-{part.first + part.size - 1}/{entity.size}"


def _preconditions_hold(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether If-Match, or without it If-Unmodified-Since, allows the request."""
    if "If-Match" in headers:
        # By strong comparison, in which a weak tag never matches (RFC 9110 section 13.1.1).
        return headers["If-Match"].strip() == "*" or entity.etag in _strong_tags(headers["If-Match"])
    since = _seconds(headers.get("If-Unmodified-Since"))
    return since is None or entity.modified <= since


def _is_unchanged(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether the client already has this entity, by If-None-Match or without it If-Modified-Since."""
    # By weak comparison, which ignores the W/ (RFC 9110 section 13.1.2).
    if "If-None-Match" in headers:
        known = headers["If-None-Match"]
        return known.strip() == "*" or entity.etag in (tag for _, tag in _ETAG.findall(known))
    since = _seconds(headers.get("If-Modified-Since"))
    return since is not None and entity.modified <= since


def _range_is_current(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether the part that the client has is of this entity, so that a range completes it (section 13.1.5)."""
    condition = headers.get("If-Range", "").strip()
    if not condition:
        return True
    if condition.endswith('"'):
        return condition == entity.etag
    return _seconds(condition) == entity.modified


def _strong_tags(header: str) -> list[str]:
    return [tag for weak, tag in _ETAG.findall(header) if not weak]


def _seconds(date: str | None) -> int | None:
    """Return an HTTP date in seconds UTC, or None if it is missing or malformed."""
    if not date:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
