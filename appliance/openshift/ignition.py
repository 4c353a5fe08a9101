"""What an Ignition file says about itself: version, cluster, and when its certificates expire.

`inspect` is total: a file that is not what it should be has problems, in words
for its owner; nothing raises. It reads spec 2.2.0 (OpenShift up to 4.5) and 3.x.
"""

import binascii
import json
import re
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from appliance.openshift.x509 import Validity, validities

# bootstrap.ign has some hundred kB. A disk image under its name must not fill the memory, where these files are kept.
MAX_IGNITION_BYTES = 64 << 20
# It embeds a few hundred files of some kB each; a gzip bomb stops here.
MAX_DECODED_BYTES = 64 << 20

# OpenShift's manual: an installation that begins later than 12 h after the files were made may be interrupted
# by the first rotation of their certificates, which are valid for 24 h. So this is what must be left of them.
WARNING_SECONDS = 12 * 3600.0
REMEDY = (
    "create new files in an empty directory with `openshift-install create ignition-configs`, and copy all of "
    "them to ignition/ in the data directory"
)

_API_INT = re.compile(rb"https://(api-int\.[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)[:/\"'\s]")
_VERSION = re.compile(r"(?:2\.[0-9]+|3\.[0-9]+)\.[0-9]+(?:-experimental)?", re.ASCII)
# What templates and instructions leave behind when nobody filled them in.
_PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w .-]*>|\{\{.*?\}\}|\$\{\w+\}|%[A-Z_]{3,}%|@[A-Z_]{3,}@|\b(?:REPLACE|CHANGE)[ _-]?ME\b|\bFIXME\b",
    re.IGNORECASE,
)
# The operator's own trust bundle; the cluster neither makes nor renews what is in it.
_OPERATORS_OWN = "/etc/pki/"


@dataclass(frozen=True, slots=True)
class IgnitionFacts:
    """What an Ignition file says about itself."""

    version: str  # of the specification; "" when it names none
    expires_at: float | None  # when its first certificate expires, seconds UTC; None when it has none
    api_int: str | None  # the host name of the cluster's internal API that it points to
    problems: tuple[str, ...]  # why no machine should get it


def misfit(facts: IgnitionFacts, cluster_domain: str) -> str | None:
    """Return why a file with *facts* is not of the cluster *cluster_domain* (<name>.<base domain>), or None."""
    expected = f"api-int.{cluster_domain}"
    if facts.api_int is None or facts.api_int == expected:
        return None
    return f"is for another cluster: it points to {facts.api_int}, this one's is {expected}"


def inspect(data: bytes) -> IgnitionFacts:
    """Return what the Ignition file with the contents *data* says about itself; its problems are in the result."""
    document = _parse(data)
    if isinstance(document, str):
        return IgnitionFacts("", None, None, (document,))
    problems: list[str] = []
    version = _at(document, "ignition", "version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        spelled = repr(version[:40]) if isinstance(version, str) else "missing" if version is None else "not a text"
        problems.append(f"ignition.version is {spelled}; OpenShift writes 2.2.0, or 3.1.0 and later")
    problems += _placeholders(document)
    budget = _Budget(MAX_DECODED_BYTES)
    certificates: list[Validity] = []
    api_ints: Counter[str] = Counter(_hosts_of_sources(document))
    for name, source, compression in _embedded(document):
        try:
            content = budget.decode(source, compression)
            if name.endswith(".crt") and not name.startswith(_OPERATORS_OWN):
                certificates += validities(content)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        api_ints.update(match[1].decode() for match in _API_INT.finditer(content))
    first_to_expire = min(certificates, key=lambda validity: validity.not_after, default=None)
    return IgnitionFacts(
        version=version if isinstance(version, str) else "",
        expires_at=first_to_expire.not_after if first_to_expire else None,
        api_int=api_ints.most_common(1)[0][0] if api_ints else None,
        # A name may hold half a surrogate pair, which no terminal could print.
        problems=tuple(problem.encode(errors="backslashreplace").decode() for problem in problems),
    )


class _Budget:
    """Decodes data URLs until a number of bytes is used up."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def decode(self, source: str, compression: object) -> bytes:
        """Return what a data URL holds (RFC 2397), unpacked; b"" for any other URL. Raises ValueError."""
        if not source.startswith("data:"):
            return b""
        header, comma, payload = source.partition(",")
        if not comma:
            raise ValueError("a data URL without a comma")
        content = unquote_to_bytes(payload)
        if header.endswith(";base64"):
            try:
                content = b64decode(content, validate=True)
            except binascii.Error as error:
                raise ValueError(f"a data URL that is not base64: {error}") from error
        if compression == "gzip":
            content = self._unpack(content)
        self.left_bytes -= len(content)
        if self.left_bytes < 0:
            raise ValueError("holds more than any Ignition file of OpenShift's")
        return content

    def _unpack(self, packed: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        try:
            content = unpacker.decompress(packed, self.left_bytes + 1)
        except zlib.error as error:
            raise ValueError(f"is not gzip: {error}") from error
        if not unpacker.eof and len(content) <= self.left_bytes:
            raise ValueError("gzip that is cut short")
        return content


def _parse(data: bytes) -> dict[str, object] | str:
    """Return the document, or what is wrong with it."""
    if not data.strip():
        return "is empty"
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte order mark, which Ignition refuses; save it as plain UTF-8"
    try:
        document = json.loads(data.decode())
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
    except json.JSONDecodeError as error:
        return f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; a thousand brackets
        return f"is not JSON that Ignition takes: {error}"
    return document if isinstance(document, dict) else f"holds a JSON {type(document).__name__}, not an object"


def _at(node: object, *path: str) -> object:
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _objects(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, list):
        yield from (item for item in node if isinstance(item, dict))


def _embedded(document: dict[str, object]) -> Iterator[tuple[str, str, object]]:
    """Yield each embedded file: its path or place, its source URL and its compression."""
    for file in _objects(_at(document, "storage", "files")):
        source, path = _at(file, "contents", "source"), file.get("path")
        if isinstance(source, str) and isinstance(path, str):
            yield path, source, _at(file, "contents", "compression")
    for authority in _objects(_at(document, "ignition", "security", "tls", "certificateAuthorities")):
        source = authority.get("source")
        if isinstance(source, str):
            yield "ignition.security.tls.certificateAuthorities.crt", source, authority.get("compression")


def _hosts_of_sources(document: dict[str, object]) -> Iterator[str]:
    """Yield the api-int names among the hosts of the configurations that this one points to."""
    for word in ("append", "merge"):  # spec 2, spec 3
        for child in _objects(_at(document, "ignition", "config", word)):
            source = child.get("source")
            try:
                host = urlsplit(source).hostname if isinstance(source, str) else None
            except ValueError:  # as in http://[
                continue
            if host and host.startswith("api-int."):
                yield host


def _placeholders(document: dict[str, object]) -> list[str]:
    """Return a problem for each text that was never filled in, outside embedded files and units.

    Those hold shell and Go templates of OpenShift's own, which look the same.
    """
    found = []
    parts = {key: document.get(key) for key in ("ignition", "passwd")}
    waiting: list[tuple[str, object]] = list(parts.items())
    while waiting:
        where, node = waiting.pop()
        if isinstance(node, dict):
            waiting += [(f"{where}.{key}", value) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(f"{where}[{index}]", value) for index, value in enumerate(node)]
        elif isinstance(node, str) and not node.startswith("data:") and (match := _PLACEHOLDER.search(node)):
            found.append(f"{where} still has the placeholder {match[0]!r}")
    return sorted(found)
