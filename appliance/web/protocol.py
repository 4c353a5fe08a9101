"""Which response a request gets: pure decisions over the table, without socket, file or clock.

One rule: `judge` is the only place that decides. Where it lacks a fact, it returns
which; the server finds that out and has the request judged again, so that a
reload or an event in the meantime is taken into account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from appliance.boot.urls import (
    GRUB_SCRIPT,
    IGNITION,
    IGNITION_FILES,
    MENU,
    NO_BOOT_FILE,
    SCRIPT_SUFFIX,
    SCRIPTS,
    is_autoexec,
    is_grub_config,
)
from appliance.confidential import is_sealed_name
from appliance.events import FileUnservable, WaitEnded, WebKind
from appliance.install.guard import NO_DHCP, UNRESOLVED, Client, Verdict, ignition_verdict, unproven
from appliance.install.installation import Installation, Order
from appliance.model import Install, MacAddress
from appliance.peers import peer_address
from appliance.web.answers import (
    NO_FINDINGS,
    Answer,
    BeginFirst,
    ErrorResponse,
    FilesFinding,
    Findings,
    HttpRequest,
    IgnitionFinding,
    Judgement,
    LookFirst,
    MachineConfigFinding,
    NeighbourFinding,
    NeighbourFirst,
    Place,
    ProbeFirst,
    ReadFirst,
    SendFile,
    SendIgnition,
    SendScript,
    Unproven,
)
from appliance.web.compile import Openings, Scripts, Site, WebHost, WebTable
from appliance.web.ranges import Response
from appliance.web.target import content_type, normal_path
from appliance.web.waits import LONGEST_WAIT_SECONDS

METHODS = ("GET", "HEAD")
BEGUN_SECONDS = 5  # until a client asks again for its script, when its installation is about to begin
UNPROVEN = "the machine at this address is not proven to be its host"
NO_FILE_SECONDS = 30  # until a host asks again for a file that the operator has yet to add or to replace


@dataclass(frozen=True, slots=True)
class _Case:
    """A request and everything that its judgement depends on."""

    request: HttpRequest
    table: WebTable
    installations: Mapping[str, Installation]
    now: float  # seconds UTC
    found: Findings
    host: WebHost | None  # whose address the client has

    @property
    def site(self) -> Site:
        return self.host.site if self.host else self.table.stranger(self.request.client)[0]

    @property
    def openings(self) -> Openings:
        return self.host.openings if self.host else self.table.stranger(self.request.client)[1]

    @property
    def made_at(self) -> int:
        return self.host.site.made_at if self.host else self.table.sites[0].made_at

    def installation(self) -> Installation | None:
        return self.installations.get(self.host.host.name) if self.host else None


def judge(
    request: HttpRequest,
    table: WebTable,
    installations: Mapping[str, Installation],
    now: float,
    found: Findings = NO_FINDINGS,
) -> Judgement:
    """Return the answer to *request* at *now*, in seconds UTC, or what has to be found out first.

    Total: any method, target and client is answered.
    """
    if request.method not in METHODS:
        return ErrorResponse(405, "only GET and HEAD are served")
    case = _Case(request, table, installations, now, found, table.host(request.client))
    if case.host is not None and found.neighbour is None and (address := peer_address(request.client)) is not None:
        # Also for images: what another machine fetches says nothing about the host.
        return NeighbourFirst(address, case.host.macs)
    path = normal_path(request.target)
    if isinstance(path, ErrorResponse):
        return path
    first, _, rest = path.partition("/")
    if path == NO_BOOT_FILE:
        return ErrorResponse(404, "this name is never found, so that firmware goes on to its disk", is_fault=False)
    if path == MENU:
        return _menu(case)
    if path == GRUB_SCRIPT:
        return _grub_script(case)
    if first == SCRIPTS and rest.endswith(SCRIPT_SUFFIX):
        return _own_script(case, rest.removesuffix(SCRIPT_SUFFIX))
    if path in IGNITION_FILES:
        return _plain_ignition(case, path)
    if first == IGNITION:
        token, _, name = rest.partition("/")
        if name not in IGNITION_FILES:
            return ErrorResponse(404, "Ignition file not found", WebKind.IGNITION)
        return _ignition(case, name, token)
    if is_autoexec(path):
        return SendScript(case.openings.autoexec, WebKind.OTHER, case.made_at)
    if is_grub_config(path):
        return SendScript(case.openings.grub_start, WebKind.GRUB, case.made_at)
    return _file(case, path)


def ignition_files(table: WebTable) -> list[ReadFirst]:
    """Return the Ignition files that are kept in memory, so that no client waits for the first read of a file."""
    return [ReadFirst(site, name) for site in table.sites for name in IGNITION_FILES]


def http_response(error: ErrorResponse, method: str) -> Response:
    """Return *error* with its headers, and a text that is the same for all errors of its status.

    The reason is for the operator, and is in the event: it may name files, their modes, or the address of another host.
    """
    body = f"{HTTPStatus(error.status).phrase}; the reason is in the log of the appliance\n".encode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",  # 404 may be cached by default, and the file may come (RFC 9110 section 15.1)
    }
    if error.status == 503:
        headers["Retry-After"] = str(error.retry_seconds)
    if error.status == 405:
        headers["Allow"] = ", ".join(METHODS)  # required (RFC 9110 section 15.5.6)
    return Response(error.status, headers, () if method == "HEAD" else (body,))


def is_host(macs: frozenset[bytes], found: NeighbourFinding) -> bool:
    """Whether the client is the host with *macs* whose address it has, as far as our links show."""
    return Client(macs, found.mac, needs_dhcp=False).is_host


def damage(site: Site, path: str, sha256: str | None) -> ErrorResponse | None:
    """Return why the image *path* of *site*, whose file has that *sha256*, is not served; None if it may be.

    An image whose sum is not known yet is served: hashing a GiB takes seconds, and
    a machine that boots in the meantime would be turned away from a good image.
    """
    expected = site.sha256.get(path)
    if expected is None or sha256 is None or sha256 == expected:
        return None
    why = f"the sha256 of {site.images / path} is {sha256}, cluster.yaml expects {expected}; download it again"
    # 503, because the operator can replace the file and coreos-installer repeats 503 until then.
    return ErrorResponse(503, why, site.kinds.get(path, WebKind.OTHER), NO_FILE_SECONDS)


def most_telling(failures: Sequence[ErrorResponse]) -> ErrorResponse:
    """Return the most informative of *failures*, one a place: that of a file that exists but cannot be served."""
    return next((failure for failure in failures if failure.status != 404), failures[0])


# Scripts


def _menu(case: _Case) -> Judgement:
    menu = SendScript(case.openings.menu, WebKind.MENU, case.made_at)
    return menu if case.host is None else _scripts_of(case.host, case.host.ipxe, case) or menu


def _grub_script(case: _Case) -> Judgement:
    if case.host is None:
        return SendScript(case.openings.grub_unknown, WebKind.MENU, case.made_at)
    return _scripts_of(case.host, case.host.grub, case) or _install_script(case.host, case.host.grub, case)


def _own_script(case: _Case, name: str) -> Judgement:
    owner = case.table.hosts_by_mac.get(name)  # iPXE spells it as the table does
    try:
        owner = owner or case.table.hosts_by_mac.get(MacAddress.parse(name).hyphenated)
    except ValueError:
        return ErrorResponse(404, "scripts are named by MAC address, as 52-54-00-12-34-56.ipxe", WebKind.SCRIPT)
    if owner is None:
        return ErrorResponse(404, "no host in cluster.yaml has this MAC address", WebKind.SCRIPT)
    # The script contains the secret path of the host's Ignition file, so no other client gets it.
    own = case.host
    if own is None or own.host.name != owner.host.name:
        addresses = " and ".join(map(str, owner.host.addresses))
        why = f"this script is served to {addresses} only; `ocp-appliance render script` prints it"
        return ErrorResponse(403, why, WebKind.SCRIPT)
    return _scripts_of(own, own.ipxe, case) or _install_script(own, own.ipxe, case)


def _scripts_of(host: WebHost, scripts: Scripts, case: _Case) -> SendScript | None:
    """Return the script that keeps *host* from installing, or None if it may install."""
    installation = case.installation()
    match _order(host, installation):
        case Order.LOCAL:
            return SendScript(scripts.local, WebKind.LOCAL, host.site.made_at)
        case Order.HOLD:
            script = scripts.doubt if installation is not None and installation.doubt is not None else scripts.hold
            return SendScript(script, WebKind.WAIT, host.site.made_at)
        case Order.INSTALL:
            return None


def _install_script(host: WebHost, scripts: Scripts, case: _Case) -> Judgement:
    made_at = host.site.made_at
    event = None
    verdict = unproven(host.host, case.installation(), _client(host, case)) if host.installs else None
    if verdict is not None and verdict.unproven == NO_DHCP:
        return SendScript(scripts.renew, WebKind.OTHER, made_at, unproven=_unproven(host, verdict, case))
    if verdict is not None:
        return _put_off(host, verdict, case, WebKind.SCRIPT)
    if host.installs:
        looked = case.found.files
        if looked is None or looked.needs is not host.needs:
            return LookFirst(host.needs)
        if looked.why:
            return _lacking_script(host, scripts, looked)
    if scripts.wait is not None:
        finding = case.found.machine_config
        if finding is None:
            return ProbeFirst(host.host.name, host.site.domain, host.site.machine_config)
        if not _may_go_on(finding):
            return SendScript(scripts.wait, WebKind.WAIT, made_at)
        event = None if finding.answers else _wait_ended(host, finding.waited_seconds)
    installation = case.installation()
    token = installation.token if installation else ""
    if host.installs and not token:
        # Where another server gives out addresses, this request may be the first sign of the host.
        if not case.found.has_begun:
            return BeginFirst(WebKind.SCRIPT)
        why = f"the installation of {host.host.name} has not begun"
        return ErrorResponse(503, why, WebKind.SCRIPT, BEGUN_SECONDS)
    return SendScript(token.encode().join(scripts.install), WebKind.SCRIPT, made_at, event)


def _client(host: WebHost, case: _Case) -> Client:
    neighbour = case.found.neighbour
    return Client(host.macs, neighbour.mac if neighbour else b"", host.needs_dhcp)


def _unproven(host: WebHost, verdict: Verdict, case: _Case) -> Unproven:
    mac = _client(host, case).mac
    return Unproven(host.host.name, verdict.unproven, verdict.why, mac.hex(":") if mac else "")


def _put_off(host: WebHost, verdict: Verdict, case: _Case, kind: WebKind, shown_path: str = "") -> ErrorResponse:
    """Return the error for a client that is not proven to be *host*, which is told nothing else."""
    about = _unproven(host, verdict, case)
    return ErrorResponse(verdict.status, UNPROVEN, kind, verdict.retry_seconds, shown_path, about)


def _lacking_script(host: WebHost, scripts: Scripts, looked: FilesFinding) -> SendScript:
    """Return the script with which *host* waits: an installer that meets a 404 ends at an emergency shell."""
    event = FileUnservable(host.host.name, looked.path, looked.why)
    return SendScript(looked.name.encode().join(scripts.lacking), WebKind.LACKING, host.site.made_at, event)


def _may_go_on(finding: MachineConfigFinding) -> bool:
    return finding.answers or finding.waited_seconds >= LONGEST_WAIT_SECONDS


def _wait_ended(host: WebHost, seconds: float) -> WaitEnded:
    servers = ", ".join(
        f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in host.site.machine_config
    )
    return WaitEnded(host.host.name, f"no answer from {servers} for {seconds:.0f} s")


def _order(host: WebHost, installation: Installation | None) -> Order:
    if installation is not None:
        return installation.order
    return Order.LOCAL if host.host.install is Install.NEVER else Order.INSTALL


# Ignition


def _plain_ignition(case: _Case, name: str) -> Judgement:
    """Judge a path without a token, which no machine uses and operators check with HEAD."""
    if case.request.method != "HEAD":
        why = "Ignition is served only at the path that a host's own script names; this one answers HEAD"
        return ErrorResponse(403, why, WebKind.IGNITION)
    return _from_disk(case, name, missing_status=404, shown_path="")


def _ignition(case: _Case, name: str, token: str) -> Judgement:
    shown_path = f"/{IGNITION}/…/{name}"
    found = _ignition_finding(case, name)
    verdict = ignition_verdict(
        case.host.host if case.host else None,
        case.installation(),
        name,
        token,
        _client(case.host, case) if case.host else None,
        # The guard looks at this last. Before the file was read it judges everything else, so that a client
        # that may not have the file causes no read and learns nothing about it.
        expires_at=found.expires_at if found else None,
        now=case.now,
        serve_expired=case.site.serve_expired,
    )
    if verdict.unproven and case.host is not None:
        return _put_off(case.host, verdict, case, WebKind.IGNITION, shown_path)
    if verdict.status != 200:
        return ErrorResponse(verdict.status, verdict.why, WebKind.IGNITION, verdict.retry_seconds, shown_path)
    # coreos-installer gives up for good at 404 but repeats 503, and the operator may still add the file.
    return _from_disk(case, name, missing_status=503, shown_path=shown_path)


def _from_disk(case: _Case, name: str, *, missing_status: int, shown_path: str) -> Judgement:
    site, found = case.site, _ignition_finding(case, name)
    if found is None:
        return ReadFirst(site, name)
    if found.problem is not None:
        why = f"{site.ignition(name)} cannot be served: {found.problem}"
        return ErrorResponse(missing_status, why, WebKind.IGNITION, NO_FILE_SECONDS, shown_path)
    return SendIgnition(site, name, shown_path)


def _ignition_finding(case: _Case, name: str) -> IgnitionFinding | None:
    """Return what is known of the file *name* of the client's cluster, which may have changed by a reload."""
    found = case.found.ignition
    is_it = found is not None and found.asked.site is case.site and found.asked.name == name
    return found if is_it else None


# Files


def _file(case: _Case, path: str) -> Answer:
    answer = file_of(case.table, case.site, path)
    if answer.is_sealed and case.request.method != "HEAD":
        return _sealed(case, answer)
    # What an installation is made of counts for the host only if its address can be resolved; otherwise the host would
    # have the file, and wait for ever for what comes after it.
    if case.host is not None and answer.kind is not WebKind.OTHER:
        verdict = unproven(case.host.host, case.installation(), _client(case.host, case))
        if verdict is not None and verdict.unproven == UNRESOLVED:
            return _put_off(case.host, verdict, case, answer.kind)
    return answer


def _sealed(case: _Case, answer: SendFile) -> Answer:
    """Judge an image that contains an Ignition configuration, and so the pull secret and private keys."""
    host = case.host
    if host is None or answer.path not in host.needs.images:
        why = f"{answer.path} contains an Ignition configuration, and is served only to the hosts that boot it"
        return ErrorResponse(403, why, answer.kind)
    verdict = unproven(host.host, case.installation(), _client(host, case))
    if verdict is not None:
        return _put_off(host, verdict, case, answer.kind)
    if (order := _order(host, case.installation())) is not Order.INSTALL:
        what = "boots from its disk" if order is Order.LOCAL else "is held"
        return ErrorResponse(403, f"{host.host.name} {what} and does not install", answer.kind)
    # Another cluster's file of the same name is not this host's.
    return replace(answer, places=tuple(place for place in answer.places if place.site is host.site))


def file_of(table: WebTable, site: Site, path: str) -> SendFile:
    """Return where the file *path* is looked for, for a client of *site*."""
    # All clusters share one tree of URLs, and a client's own cluster comes first.
    sites = (site, *(other for other in table.sites if other is not site))
    kind = next((site.kinds[path] for site in sites if path in site.kinds), WebKind.OTHER)
    # A name that cluster.yaml gives an image is that image, whatever lies among the boot loaders.
    places = tuple(Place(site, path in site.kinds) for site in sites)
    is_sealed = is_sealed_name(path) or any(path in site.sealed for site in sites)
    return SendFile(path, kind, content_type(path), places, is_sealed)
