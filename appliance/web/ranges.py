"""Conditional and range requests: which bytes of a file an answer holds (RFC 9110 sections 13 and 14).

Pure and total: whatever stands in a header, the result is a Response.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import blake2s
from typing import TypeAlias

# A client that resumes asks for one range, iPXE's SAN boot for one; more than this is somebody's
# attempt to make a small request dear (RFC 9110 section 17.15).
MAX_RANGES = 16
MAX_RANGE_DIGITS = 19  # of a 64-bit offset

CONDITIONS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "If-Range", "Range")

_RANGES = re.compile(r"bytes[ \t]*=[ \t,]*(.*)", re.IGNORECASE | re.DOTALL)
_RANGE = re.compile(r"([0-9]*)-([0-9]*)", re.ASCII)
_ETAG = re.compile(r'(W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Entity:
    """What stands at a path: how long, how old, and by which names a client may know it again."""

    size: int  # bytes
    etag: str  # strong, in its quotes
    modified: int  # seconds UTC
    content_type: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of the entity."""

    first: int
    size: int


Part: TypeAlias = Slice | bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer's status, headers, and what its body is made of."""

    status: int
    headers: Mapping[str, str]
    parts: tuple[Part, ...] = ()  # of a GET; HEAD has none


@lru_cache(maxsize=256)  # a fleet fetches the same few files; it takes 5 µs
def _http_date(seconds: int) -> str:
    """Return a time as headers have it (RFC 9110 section 5.6.7)."""
    return formatdate(seconds, usegmt=True)


def respond(entity: Entity, method: str, headers: Mapping[str, str]) -> Response:
    """Return the answer to a GET or HEAD of *entity*.

    *headers* holds those of CONDITIONS that the request has, a repeated one
    joined by commas.
    """
    common = {
        "Accept-Ranges": "bytes",
        "ETag": entity.etag,
        "Last-Modified": _http_date(entity.modified),
        "Content-Type": entity.content_type,
    }
    if headers:
        if not _preconditions_hold(entity, headers):
            return Response(412, common | {"Content-Length": "0"})
        if _is_unchanged(entity, headers):
            return Response(304, {name: value for name, value in common.items() if name != "Content-Type"})
        # Ranges are defined for GET alone (RFC 9110 section 14.2).
        if method == "GET" and "Range" in headers and _range_is_current(entity, headers):
            wanted = slices(headers["Range"], entity.size)
            if wanted is not None:
                return _partial(entity, wanted, common)
    whole = (Slice(0, entity.size),) if method == "GET" and entity.size else ()
    return Response(200, common | {"Content-Length": str(entity.size)}, whole)


def slices(header: str, size: int) -> list[Slice] | None:
    """Return the slices of an entity of *size* bytes that a Range header asks for; [] when it has none of them.

    None says that the header is to be ignored: another unit, malformed, or
    more work than the whole (RFC 9110 section 14.2).
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
        one = _slice(spec, size)
        if one is None:
            return None
        if one.size:
            found.append(one)
    # Overlapping ranges would send more than there is.
    return found if sum(one.size for one in found) <= size else None


def _slice(spec: str, size: int) -> Slice | None:
    """Return what one range takes of *size* bytes, of size 0 when that is nothing; None when it is malformed."""
    match = _RANGE.fullmatch(spec)
    if not match or max(map(len, match.groups())) > MAX_RANGE_DIGITS:
        return None
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        start = min(int(first), size)
        return Slice(start, min(int(last) + 1, size) - start if last else size - start)
    if last:
        length = min(int(last), size)
        return Slice(size - length, length)
    return None


def _partial(entity: Entity, wanted: list[Slice], common: dict[str, str]) -> Response:
    if not wanted:
        return Response(416, {"Content-Range": f"bytes */{entity.size}", "Content-Length": "0"})
    if len(wanted) == 1:
        one = wanted[0]
        headers = common | {"Content-Range": _content_range(one, entity), "Content-Length": str(one.size)}
        return Response(206, headers, (one,))
    # Unlikely in the body, and the same for the same answer.
    boundary = blake2s(repr((entity, wanted)).encode(), digest_size=16).hexdigest()
    parts: list[Part] = []
    for one in wanted:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {entity.content_type}\r\n"
            f"Content-Range: {_content_range(one, entity)}\r\n\r\n"
        )
        parts += [head.encode(), one]
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    length = sum(part.size if isinstance(part, Slice) else len(part) for part in parts)
    headers = common | {
        "Content-Type": f"multipart/byteranges; boundary={boundary}",
        "Content-Length": str(length),
    }
    return Response(206, headers, tuple(parts))


def _content_range(one: Slice, entity: Entity) -> str:
    return f"bytes {one.first}-{one.first + one.size - 1}/{entity.size}"


def _preconditions_hold(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether If-Match, or else If-Unmodified-Since, lets the request be answered."""
    if "If-Match" in headers:
        # A weak tag never matches here (RFC 9110 section 13.1.1).
        return headers["If-Match"].strip() == "*" or entity.etag in _strong_tags(headers["If-Match"])
    since = _seconds(headers.get("If-Unmodified-Since"))
    return since is None or entity.modified <= since


def _is_unchanged(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether the client has this very entity already, by If-None-Match or else If-Modified-Since."""
    if "If-None-Match" in headers:
        known = headers["If-None-Match"]
        return known.strip() == "*" or entity.etag in (tag for _, tag in _ETAG.findall(known))
    since = _seconds(headers.get("If-Modified-Since"))
    return since is not None and entity.modified <= since


def _range_is_current(entity: Entity, headers: Mapping[str, str]) -> bool:
    """Return whether the client's part is of this entity, so that a range of it helps (RFC 9110 section 13.1.5)."""
    condition = headers.get("If-Range", "").strip()
    if not condition:
        return True
    if condition.endswith('"'):
        return condition == entity.etag
    return _seconds(condition) == entity.modified


def _strong_tags(header: str) -> list[str]:
    return [tag for weak, tag in _ETAG.findall(header) if not weak]


def _seconds(date: str | None) -> int | None:
    """Return an HTTP date in seconds UTC, or None when there is none or it is none."""
    if not date:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
