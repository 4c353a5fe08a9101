"""Which answer a request gets: pure decisions over the table, no socket and no clock.

One rule: a path is decoded once and judged whole; nothing that would be
understood in two ways is served.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from appliance.boot.urls import IGNITION, IGNITION_FILES, MENU, SCRIPT_SUFFIX, SCRIPTS, is_autoexec
from appliance.events import WebKind
from appliance.install.lifecycle import Installation, Order
from appliance.model import Install, MacAddress
from appliance.web.compile import Site, WebHost, WebTable
from appliance.web.ranges import Answer

METHODS = ("GET", "HEAD")
AWAITED_SECONDS = 5  # until a client asks again for what is about to be there

_ABSOLUTE_FORM = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error, with its reason."""

    status: int
    why: str
    what: WebKind = WebKind.OTHER
    retry_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """The menu, or a host's own script; without a *host*, *content* is what everybody gets."""

    host: WebHost | None
    is_menu: bool
    content: bytes = b""
    what: WebKind = WebKind.MENU  # of the content


@dataclass(frozen=True, slots=True)
class Ignition:
    """An Ignition file; *token* is None for the plain path, which is there for an operator's HEAD."""

    site: Site
    name: str
    token: str | None


@dataclass(frozen=True, slots=True)
class File:
    """A file on disk: a boot loader where *sites* have one by this path, else one in their images."""

    sites: tuple[Site, ...]  # in the order to look
    path: str
    kind: WebKind


Asked: TypeAlias = Script | Ignition | File


def asked_for(table: WebTable, client: str, target: str) -> Asked | Refusal:
    """Return what the request target *target* means to the client with the address *client*."""
    path = normal_path(target)
    if isinstance(path, Refusal):
        return path
    host = table.host(client)
    first, _, rest = path.partition("/")
    if path == MENU:
        return Script(host, True, b"" if host else table.stranger(client)[1])
    if first == SCRIPTS and rest.endswith(SCRIPT_SUFFIX):
        return _own_script(table, host, rest.removesuffix(SCRIPT_SUFFIX))
    site = host.site if host else table.stranger(client)[0]
    if path in IGNITION_FILES:
        return Ignition(site, path, None)
    if first == IGNITION:
        token, _, name = rest.partition("/")
        if name not in IGNITION_FILES:
            return Refusal(404, "there is no such Ignition file", WebKind.IGNITION)
        return Ignition(site, name, token)
    if is_autoexec(path):
        return Script(None, True, host.autoexec if host else table.stranger(client)[2], WebKind.OTHER)
    sites = (site, *(other for other in table.sites if other is not site))
    kind = next((one.kinds[path] for one in sites if path in one.kinds), WebKind.OTHER)
    return File(sites, path, kind)


def normal_path(target: str) -> str | Refusal:
    """Return the path of a request target, decoded, with single slashes and none at its start.

    A doubled slash is read as one, since firmware and hand-written URLs have
    them and some clients follow no redirect.
    """
    absolute = _ABSOLUTE_FORM.match(target)  # RFC 9112 section 3.2.2
    path = re.split("[?#]", target[absolute.end() :] if absolute else target, maxsplit=1)[0]
    if not path.startswith("/"):
        return Refusal(400, "the request target is no path")
    if _BAD_ESCAPE.search(path):
        return Refusal(400, "the path has a % without two hexadecimal digits")
    try:
        # The parser hands on octets past ASCII as lone surrogates.
        decoded = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        return Refusal(400, "the path is not UTF-8")
    if "\\" in decoded or not decoded.isprintable():
        return Refusal(400, "the path has a backslash or a control character")
    parts = [part for part in decoded.split("/") if part not in ("", ".")]
    if ".." in parts:
        return Refusal(400, "the path has a parent step")
    if any(part.startswith(".") for part in parts):
        return Refusal(404, "names that begin with a dot are not served")
    if not parts or decoded.endswith(("/", "/.")):
        return Refusal(404, "directories are not listed")
    return "/".join(parts)


def script_kind(asked: Script, installation: Installation | None, *, may_go_on: bool) -> WebKind:
    """Return which script the client gets now; *may_go_on* is False while the machine config server is awaited."""
    if asked.host is None:
        return asked.what
    order = _order(asked.host, installation)
    if order is Order.LOCAL:
        return WebKind.LOCAL
    if order is Order.HOLD:
        return WebKind.WAIT
    if asked.is_menu:
        return WebKind.MENU
    return WebKind.SCRIPT if may_go_on or asked.host.wait is None else WebKind.WAIT


def script(asked: Script, kind: WebKind, installation: Installation | None) -> bytes | Refusal:
    """Return the script of that *kind*."""
    host = asked.host
    if host is None:
        return asked.content
    if kind is WebKind.MENU:
        return host.menu
    if kind is WebKind.LOCAL:
        return host.local
    if kind is WebKind.WAIT:
        return host.hold if _order(host, installation) is Order.HOLD or host.wait is None else host.wait
    if len(host.install) > 1 and (installation is None or not installation.token):
        why = f"the installation of {host.host.name} has not begun"
        return Refusal(503, why, WebKind.SCRIPT, AWAITED_SECONDS)
    return (installation.token.encode() if installation else b"").join(host.install)


def waits_for_machine_config(asked: Asked | Refusal, installation: Installation | None) -> bool:
    """Return whether the answer depends on the machine config server's being up."""
    return (
        isinstance(asked, Script)
        and not asked.is_menu
        and asked.host is not None
        and asked.host.wait is not None
        and _order(asked.host, installation) is Order.INSTALL
    )


def refused(refusal: Refusal, method: str) -> Answer:
    """Return a refusal as an answer, with its reason as text."""
    body = f"{refusal.why}\n".encode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    if refusal.status == 503:
        headers["Retry-After"] = str(refusal.retry_seconds)
    if refusal.status == 405:
        headers["Allow"] = ", ".join(METHODS)
    return Answer(refusal.status, headers, () if method == "HEAD" else (body,))


def content_type(path: str) -> str:
    """Return the media type of the file *path*."""
    # UEFI HTTP Boot tells an EFI program from a disk image by it.
    if path.lower().endswith(".efi"):
        return "application/efi"
    return "application/octet-stream"


def _own_script(table: WebTable, host: WebHost | None, name: str) -> Script | Refusal:
    try:
        owner = table.hosts_by_mac.get(MacAddress.parse(name).hyphenated)
    except ValueError:
        return Refusal(404, "scripts are named by MAC address, as 52-54-00-12-34-56.ipxe", WebKind.SCRIPT)
    if owner is None:
        return Refusal(404, "no host in cluster.yaml has this MAC address", WebKind.SCRIPT)
    if owner is not host:
        why = f"this script is given to {owner.host.address} alone; `ocp-appliance render script` prints it"
        return Refusal(403, why, WebKind.SCRIPT)
    return Script(owner, False)


def _order(host: WebHost, installation: Installation | None) -> Order:
    if installation is not None:
        return installation.order
    return Order.LOCAL if host.host.install is Install.NEVER else Order.INSTALL
