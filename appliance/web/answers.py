"""The inputs and the results of `protocol.judge`, as values."""

from dataclasses import dataclass
from typing import TypeAlias

from appliance.events import Event, WebKind
from appliance.model import Address
from appliance.web.compile import Needs, Site

IGNITION_TYPE = "application/vnd.coreos.ignition+json"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a client sent."""

    method: str
    target: str  # the request target as it was sent (RFC 9112 section 3.2)
    client: str  # the client's address; "" if it is unknown


# What the server has to find out before a request can be judged


@dataclass(frozen=True, slots=True)
class ProbeFirst:
    """Find out whether the machine config server of the host's cluster answers, then judge again."""

    host: str  # full name
    cluster: str  # its domain
    servers: tuple[tuple[str, int], ...]  # address and port


@dataclass(frozen=True, slots=True)
class ReadFirst:
    """Read an Ignition file of *site*, if it has changed, then judge again."""

    site: Site
    name: str


@dataclass(frozen=True, slots=True)
class NeighbourFirst:
    """Find out which MAC address the client has, which has the address of a host, then judge again."""

    address: Address
    macs: frozenset[bytes]  # of the host


@dataclass(frozen=True, slots=True)
class LookFirst:
    """Find out whether the files that an install script names can be served, then judge again."""

    needs: Needs


@dataclass(frozen=True, slots=True)
class BeginFirst:
    """Publish that the host fetches its script, which begins its installation, then judge again."""

    kind: WebKind


@dataclass(frozen=True, slots=True)
class MachineConfigFinding:
    """What a probe found, and for how long the host has been waiting."""

    answers: bool
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class IgnitionFinding:
    """What reading an Ignition file found."""

    asked: ReadFirst
    problem: str | None = None  # why it cannot be served; None if it can
    expires_at: float | None = None  # when its certificates expire, in seconds UTC; None if it has none


@dataclass(frozen=True, slots=True)
class NeighbourFinding:
    """Which MAC address the client has; see `Neighbours.mac`."""

    mac: bytes | None


@dataclass(frozen=True, slots=True)
class FilesFinding:
    """The first of the files that an install script names that cannot be served; the texts are "" if all can be."""

    needs: Needs
    name: str = ""
    path: str = ""  # on disk
    why: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the server has found out for one request so far; None where the judge has not asked for it."""

    machine_config: MachineConfigFinding | None = None
    ignition: IgnitionFinding | None = None
    neighbour: NeighbourFinding | None = None
    files: FilesFinding | None = None
    has_begun: bool = False


NO_FINDINGS = Findings()


# Answers to send


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why a client with the address of *host* is not proven to be it, for the event."""

    host: str  # full name
    cause: str
    why: str
    mac: str  # "" if it is not known


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error status, with its reason for the operator, which the client is not told."""

    status: int
    why: str
    kind: WebKind = WebKind.OTHER
    retry_seconds: int = 0  # for Retry-After, with 503 (RFC 9110 section 10.2.3)
    shown_path: str = ""  # as in SendIgnition
    unproven: Unproven | None = None  # published instead of the refusal
    is_fault: bool = True  # if not, it is not published


@dataclass(frozen=True, slots=True)
class SendScript:
    """A complete script."""

    content: bytes
    kind: WebKind
    changed_at: int  # seconds UTC
    event: Event | None = None  # to publish before it is sent
    unproven: Unproven | None = None  # likewise, as often as the client may


@dataclass(frozen=True, slots=True)
class SendIgnition:
    """An Ignition file that this client may have now."""

    site: Site
    name: str
    # What events call the path if it contains the token of an installation, which is a secret; otherwise "".
    shown_path: str = ""
    kind: WebKind = WebKind.IGNITION


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file may be: among the images of *site* and, unless *is_image*, before that among its boot loaders."""

    site: Site
    is_image: bool


@dataclass(frozen=True, slots=True)
class SendFile:
    """A file on disk, from the first of *places* that has it."""

    path: str  # relative, without parent steps
    kind: WebKind  # of the image; a boot loader is WebKind.LOADER
    content_type: str
    places: tuple[Place, ...]  # in the order to look
    is_sealed: bool = False  # has an Ignition configuration in it by its name, and this client may have it


Answer: TypeAlias = SendScript | SendIgnition | SendFile | ErrorResponse
Judgement: TypeAlias = Answer | ProbeFirst | ReadFirst | LookFirst | NeighbourFirst | BeginFirst
