"""A request target as the path of a file (RFC 9112 section 3.2): pure and total.

One rule: a path is decoded once and judged as a whole, and a path that two programs
could read differently is refused.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from appliance.web.answers import ErrorResponse

_ABSOLUTE_FORM = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


# A request is judged anew after each finding, and its target is most of what that costs: 14 of 30 µs. A target has
# 8190 characters at most (aiohttp's bound on a line), so that this holds no more than 4 MiB.
@lru_cache(maxsize=256)
def normal_path(target: str) -> str | ErrorResponse:
    """Return the path of a request target: decoded, with single slashes, and none at its start or end.

    Doubled slashes are merged rather than redirected: firmware and hand-written
    URLs contain them, and UEFI HTTP Boot does not follow redirects.
    """
    # A client that believes we are its proxy sends the whole URL; a server must accept it (section 3.2.2).
    absolute = _ABSOLUTE_FORM.match(target)
    path = re.split("[?#]", target[absolute.end() :] if absolute else target, maxsplit=1)[0]
    if not path.startswith("/"):
        return ErrorResponse(400, "the request target is not a path")
    if _BAD_ESCAPE.search(path):
        return ErrorResponse(400, "% in the path is not followed by two hexadecimal digits")
    try:
        # aiohttp's parser passes octets above 127 on as lone surrogates.
        decoded = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        return ErrorResponse(400, "the path is not UTF-8")
    if "\\" in decoded or not decoded.isprintable():
        return ErrorResponse(400, "the path contains a backslash or a control character")
    parts = [part for part in decoded.split("/") if part not in ("", ".")]
    if ".." in parts:
        return ErrorResponse(400, "the path contains ..")
    # Editors, rsync and version control leave such files beside what an operator meant to publish.
    if any(part.startswith(".") for part in parts):
        return ErrorResponse(404, "names that begin with a dot are not served")
    if not parts or decoded.endswith(("/", "/.")):
        return ErrorResponse(404, "directories are not listed")
    return "/".join(parts)


def content_type(path: str) -> str:
    """Return the media type of the file *path*."""
    # UEFI HTTP Boot decides by it whether a file is an EFI program or a disk image (UEFI section 24.7).
    if path.lower().endswith(".efi"):
        return "application/efi"
    return "application/octet-stream"
