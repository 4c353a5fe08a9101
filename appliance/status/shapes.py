"""The JSON that the control socket and the dashboard tell, as types.

Times (…_at, since) are seconds since the epoch, UTC; sizes are bytes.
"""

from typing import TypedDict


class Progress(TypedDict):
    """A transfer under way."""

    what: str  # loader, kernel, initramfs, rootfs, metal …
    path: str
    sent: int
    total: int
    began_at: float
    moved_at: float  # when the last bytes went out


class ConditionRow(TypedDict):
    """What keeps a host from getting on."""

    name: str
    hint: str
    since: float


class HostRow(TypedDict):
    """One host."""

    host: str  # full name
    name: str  # short
    cluster: str
    role: str
    address: str
    mac: str  # that it boots from
    arch: str  # as its DHCP client says; "" until then
    stage: str
    step: int  # the stage's number, of 11
    since: float | None  # when it reached that stage
    reached: dict[str, float]  # stage → when, in the order of time
    order: str  # what its next boot does: install, local or hold
    install: str  # how often it may install: once, always or never
    number: int  # of its installations and tries, this one
    tries: int  # before this one, in vain
    progress: Progress | None
    awaits: str  # what it was told to wait for, or ""
    seen_at: float | None
    condition: ConditionRow | None


class ClusterRow(TypedDict):
    """One cluster.yaml."""

    name: str
    domain: str
    release: str
    source: str
    hosts: int
    version: str


class CertificateRow(TypedDict):
    """One Ignition file."""

    file: str
    path: str
    version: str  # of the specification
    expires_at: float | None
    seconds_left: float | None
    problem: str  # why what stands on disk is not served


class RefusalRow(TypedDict):
    """A request that got an error."""

    at: float
    host: str
    client: str
    path: str
    what: str
    status: int
    why: str


class Status(TypedDict):
    """The whole picture."""

    at: float
    appliance: str  # its version
    clusters: list[ClusterRow]
    hosts: list[HostRow]
    certificates: list[CertificateRow]
    refusals: list[RefusalRow]  # the latest, oldest first
    unknown: int  # machines
    notices: list[str]  # what is wrong with the appliance itself


class StrangerRow(TypedDict):
    """An unknown machine."""

    mac: str
    first_at: float
    last_at: float
    times: int
    client: str
    arch: str
    vendor_class: str
    relay: str
    interface: str


class Step(TypedDict):
    """One event of a boot."""

    at: float
    seconds: float  # until the next one
    kind: str
    times: int
    asked: str
    told: str


class RecordRow(TypedDict):
    """One installation of a host, done or given up."""

    number: int
    stage: str  # that it came to
    began_at: float | None
    ended_at: float | None


class Explanation(TypedDict):
    """A host's last boot."""

    host: HostRow
    steps: list[Step]
    missing: str
    records: list[RecordRow]


class EventRow(TypedDict):
    """One event of the journal."""

    id: int  # 0 for one that is not on disk yet
    at: float
    host: str
    number: int  # of the host's installation; 0 without one
    kind: str
    facts: dict[str, str | int | float]
    times: int  # how often it came in a row
    last_at: float
