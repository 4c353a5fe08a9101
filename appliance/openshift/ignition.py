"""What an Ignition file says about itself: version, cluster, and when its first certificate expires.

`inspect` never raises: everything that is wrong with a file is in the result, worded
for the operator. It reads specification 2.x (OpenShift up to 4.5 writes 2.2.0)
and 3.x.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from urllib.parse import SplitResult, urlsplit

from appliance.openshift.dataurls import Budget
from appliance.openshift.names import api_int
from appliance.openshift.x509 import Validity, fingerprints, validities

# bootstrap.ign has a few hundred kB. A disk image with its name must not fill the memory, where these files are kept.
MAX_IGNITION_BYTES = 64 << 20
# For all embedded files together. bootstrap.ign has a few hundred, of some kB each, so this stops only a gzip bomb.
MAX_DECODED_BYTES = 64 << 20

# OpenShift's manual: the certificates are valid for 24 h, and an installation that begins more than 12 h after the
# files were made may be interrupted by their first rotation. So this much of their time must be left.
WARNING_SECONDS = 12 * 3600.0
# The name of the only file that `create single-node-ignition-config` writes, and a script that only this one contains.
IN_PLACE = "bootstrap-in-place-for-live-iso"
_IN_PLACE_SCRIPT = "/usr/local/bin/install-to-disk.sh"

# The pools of the machine config server for which openshift-install makes a pointer file of that name.
_POOLS = ("master", "worker", "arbiter")
_POOL = re.compile(r"/config/([a-z0-9-]+)/?")
# Where bootstrap.ign puts the installer's assets, among them its certificates. All others are an operator's own, which
# say nothing about how long the file is good for. The pointer files trust the root certificate.
_ASSETS = "/opt/openshift/"
_ROOT = "/opt/openshift/tls/root-ca.crt"
# What a client of the API trusts. The root certificate that the pointer files trust did not sign the certificates of
# the API servers, only that of the machine config server.
_API_AUTHORITIES = "/opt/openshift/tls/kube-apiserver-complete-server-ca-bundle.crt"
_AUTHORITIES = "ignition.security.tls.certificateAuthorities.crt"

_API_INT = re.compile(rb"https://(api-int\.[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)[:/\"'\s]")
_VERSION = re.compile(r"(?:2\.[0-9]+|3\.[0-9]+)\.[0-9]+(?:-experimental)?", re.ASCII)
# Placeholders in templates and instructions that were never filled in: <ssh key>, {{ name }}, ${NAME}, CHANGE_ME.
_PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w .-]*>|\{\{.*?\}\}|\$\{\w+\}|%[A-Z_]{3,}%|@[A-Z_]{3,}@|\b(?:REPLACE|CHANGE)[ _-]?ME\b|\bFIXME\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class IgnitionFacts:
    """What `inspect` found in an Ignition file."""

    version: str  # of the specification; "" if the file has none
    expires_at: float | None  # when its certificates no longer do, seconds UTC; None if it contains none that matter
    api_int: str | None  # the name of the cluster's internal API in it, api-int.<name>.<base domain>
    problems: tuple[str, ...]  # why it should not be served
    # sha256 of the root certificates: those that a pointer file trusts, or the one that bootstrap.ign contains. They
    # are the same in all files of one run of openshift-install, and in no others.
    roots: frozenset[bytes] = frozenset()
    pools: frozenset[str] = frozenset()  # of the machine config server, to which it points
    has_assets: bool = False  # it contains the installer's assets, as a bootstrap.ign does
    is_in_place: bool = False  # it is a bootstrap.ign that ends by writing the disk
    api_authorities: bytes = b""  # PEM: the certificates with which those of the API servers are verified


def expiry_text(expires_at: float) -> str:
    """Return *expires_at*, in seconds UTC, as a date and time."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires_at))


def creation(name: str) -> str:
    """Return the command that creates the Ignition file *name*."""
    what = "single-node-ignition-config" if name == f"{IN_PLACE}.ign" else "ignition-configs"
    return f"openshift-install create {what}"


def remedy(name: str) -> str:
    """Return what to do about an Ignition file *name* whose certificates expire."""
    return (
        f"create new files in an empty directory with `{creation(name)}`, and copy all of them to ignition/ in the "
        "data directory"
    )


def misfit(facts: IgnitionFacts, cluster_domain: str) -> str | None:
    """Return why a file with *facts* is not for the cluster *cluster_domain* (<name>.<base domain>), or None."""
    expected = api_int(cluster_domain)
    if facts.api_int is None or facts.api_int == expected:
        return None
    return f"belongs to another cluster: it contains {facts.api_int}, expected {expected}"


def misplaced(facts: IgnitionFacts, name: str) -> str | None:
    """Return why a file with *facts* does not belong under *name*, such as worker.ign; None if it may."""
    role = name.removesuffix(".ign")
    if facts.is_in_place and role != IN_PLACE:
        return f"is a {IN_PLACE}.ign: it writes the disk of the machine"
    if facts.has_assets and not facts.is_in_place and role != "bootstrap":
        return "is a bootstrap.ign: it contains the installer's assets"
    # An operator's own pool may have any other name.
    for pool in sorted(facts.pools.intersection(_POOLS) - {role}):
        return f"points to /config/{pool}, so it is a {pool}.ign"
    return None


def mixed_runs(files: Mapping[str, IgnitionFacts]) -> str | None:
    """Return why *files*, by their names, are not of one run of openshift-install; None if nothing shows that."""
    with_roots = [(name, facts.roots) for name, facts in files.items() if facts.roots]
    for (first, roots), (second, others) in combinations(with_roots, 2):
        if roots.isdisjoint(others):
            return (
                f"{first} and {second} are of different runs of openshift-install, because their root certificates "
                "differ; copy all files of one run to ignition/ in the data directory, and remove those that no host "
                "needs any more"
            )
    return None


def inspect(data: bytes) -> IgnitionFacts:
    """Return what *data*, the contents of an Ignition file, says about itself. Never raises."""
    document = _parse(data)
    if isinstance(document, str):
        return IgnitionFacts("", None, None, (document,))
    problems: list[str] = []
    version = _at(document, "ignition", "version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        spelled = repr(version[:40]) if isinstance(version, str) else "missing" if version is None else "not a string"
        problems.append(f"ignition.version is {spelled}; OpenShift writes 2.2.0, or 3.1.0 and later")
    problems += _placeholders(document)
    budget = Budget(MAX_DECODED_BYTES)
    certificates: list[Validity] = []
    authorities: list[Validity] = []
    roots: set[bytes] = set()
    sources = list(_sources(document))
    api_ints = Counter(url.hostname for url in sources if url.hostname and url.hostname.startswith("api-int."))
    has_assets = is_in_place = False
    api_authorities = b""
    for name, source, compression in _embedded(document):
        has_assets = has_assets or name.startswith(_ASSETS)
        is_in_place = is_in_place or name == _IN_PLACE_SCRIPT
        try:
            content = budget.decode(source, compression)
            if name == _AUTHORITIES:
                authorities += validities(content)
            elif name.endswith(".crt") and name.startswith(_ASSETS):
                certificates += validities(content)
            if name in (_ROOT, _AUTHORITIES):
                roots |= fingerprints(content)
            if name == _API_AUTHORITIES:
                api_authorities = content
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        api_ints.update(match[1].decode() for match in _API_INT.finditer(content))
    return IgnitionFacts(
        version=version if isinstance(version, str) else "",
        expires_at=_expiry(certificates, authorities if _at(document, "ignition", "config") else []),
        # Many embedded files contain the cluster's own name. If another one occurs too, the most frequent decides.
        api_int=api_ints.most_common(1)[0][0] if api_ints else None,
        # A JSON string may have half a surrogate pair, which cannot be encoded as UTF-8 to print or log it.
        problems=tuple(problem.encode(errors="backslashreplace").decode() for problem in problems),
        roots=frozenset(roots),
        pools=frozenset(form[1] for url in sources if (form := _POOL.fullmatch(url.path))),
        has_assets=has_assets,
        is_in_place=is_in_place,
        api_authorities=api_authorities,
    )


def _expiry(certificates: list[Validity], authorities: list[Validity]) -> float | None:
    """Return when a file can no longer be used, by the installer's *certificates* and the *authorities* it trusts.

    bootstrap.ign needs each of its certificates. A pointer file needs the one authority that
    signed the machine config server's certificate; it does not say which of them that is, so the
    last one that is valid decides.
    """
    if certificates:
        return min(certificate.not_after for certificate in certificates)
    return max((authority.not_after for authority in authorities), default=None)


def _parse(data: bytes) -> dict[str, object] | str:
    """Return the document, or what is wrong with it."""
    if not data.strip():
        return "is empty"
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "starts with a byte order mark, which Ignition rejects; save it as UTF-8 without one"
    try:
        document = json.loads(data.decode())
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
    except json.JSONDecodeError as error:
        return f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # an integer of more than 4,300 digits; deep nesting
        return f"is not JSON that Ignition accepts: {error}"
    return document if isinstance(document, dict) else f"contains a JSON {type(document).__name__}, expected an object"


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
            yield _AUTHORITIES, source, authority.get("compression")


def _sources(document: dict[str, object]) -> Iterator[SplitResult]:
    """Yield the URLs of the configurations that *document* includes.

    master.ign and worker.ign are pointers: each only includes https://api-int…:22623/config/<role>.
    """
    for word in ("append", "merge"):  # spec 2, spec 3
        for child in _objects(_at(document, "ignition", "config", word)):
            source = child.get("source")
            try:
                url = urlsplit(source) if isinstance(source, str) else None
            except ValueError:  # for example http://[
                continue
            if url is not None:
                yield url


def _placeholders(document: dict[str, object]) -> list[str]:
    """Return a problem for each placeholder that was never filled in, outside embedded files and units.

    Those contain OpenShift's own shell scripts and Go templates, which look the same.
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
            found.append(f"{where} still contains the placeholder {match[0]!r}")
    return sorted(found)
