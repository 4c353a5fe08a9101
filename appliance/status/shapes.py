"""The JSON that the control socket and the dashboard send, as types.

Times (…_at, since) are seconds since the epoch, UTC; sizes are bytes.
"""

from typing import TypedDict


class Progress(TypedDict):
    """A running download."""

    what: str  # loader, kernel, initramfs, rootfs, metal …
    path: str
    sent: int
    total: int
    began_at: float
    moved_at: float  # when the last bytes went out


class ConditionRow(TypedDict):
    """A problem that keeps a host from continuing."""

    name: str
    hint: str  # the known causes, and what to do
    since: float


class HostRow(TypedDict):
    """One host."""

    host: str  # full name
    name: str  # short
    cluster: str
    role: str
    boot: str  # what it boots from the network: installer, in-place, agent, node-image or nothing
    address: str  # the first of them
    addresses: list[str]  # IPv4 before IPv6
    mac: str  # of the card that it boots from
    arch: str  # as its DHCP client reports it; "" before that
    stage: str  # "" for a machine that boots nothing
    step: int  # the stage's number, 0 (waiting) to 11 (joining)
    since: float | None  # when it reached that stage
    reached: dict[str, float]  # stage → when it was reached, earliest first
    # machine-config, api → when it first connected there through the load balancer, since it was installed
    connected: dict[str, float]
    order: str  # what its next network boot does: install, local (boot from disk) or hold; "" if it boots nothing
    install: str  # from cluster.yaml: once, always or never
    number: int  # of this installation or attempt, counted from 1
    tries: int  # failed attempts directly before this one
    progress: Progress | None
    awaits: str  # what it was told to wait for, as host:port, or ""
    seen_at: float | None
    condition: ConditionRow | None
    remedy: str  # a line for the host in cluster.yaml, which makes it begin with the loader that worked; "" for none


class ClusterRow(TypedDict):
    """One cluster.yaml."""

    name: str
    domain: str
    release: str
    source: str
    hosts: int
    version: str
    bootstrapped_at: float | None  # when bootstrapping was complete, as far as a load balancer of the appliance's tells
    bootstrapped_by: str  # checks or operator; "" before that


class CertificateRow(TypedDict):
    """One Ignition file."""

    file: str
    path: str
    version: str  # of the specification
    expires_at: float | None
    seconds_left: float | None
    problem: str  # why the file on disk is not served, or ""


class RefusalRow(TypedDict):
    """A request that got an error."""

    at: float
    host: str
    client: str
    path: str
    what: str
    status: int
    why: str


class BalancerRow(TypedDict):
    """One member of one front end of the load balancer."""

    front_end: str
    binds: list[str]  # where it listens, as address:port
    host: str  # full name
    name: str  # short
    address: str
    port: int
    is_backup: bool
    wanted: str  # ready, drain or maint
    why: str  # why that is wanted, or ""
    state: str  # up, down, drain, maint or unknown: whether it gets connections
    since: float | None  # when it changed between up and down
    check: str  # the result of the last health check in words, or ""
    current: int  # connections now
    total: int  # connections since HAProxy started


class BalancerStatus(TypedDict):
    """The load balancer, if it is an HAProxy that the appliance drives."""

    rows: list[BalancerRow]
    trouble: str  # why HAProxy does not do what cluster.yaml says, or ""
    unanswered: list[str]  # the front ends of which no member gets connections


class TrialRow(TypedDict):
    """One address of a front end of a load balancer that the appliance does not drive, tried from its machine."""

    cluster: str
    front_end: str
    address: str  # address:port
    is_well: bool
    words: str  # what was found
    hint: str  # the usual cause, and what to do; "" if all is well


class Status(TypedDict):
    """Everything at once."""

    at: float
    appliance: str  # its version
    clusters: list[ClusterRow]
    hosts: list[HostRow]
    certificates: list[CertificateRow]
    refusals: list[RefusalRow]  # the latest, oldest first
    unknown: int  # number of unknown machines
    notices: list[str]  # faults of the appliance itself
    balancer: BalancerStatus | None  # None if the appliance drives no HAProxy


class StrangerRow(TypedDict):
    """A machine that asked for an address and is in no cluster.yaml."""

    mac: str
    first_at: float
    last_at: float
    times: int
    program: str
    arch: str
    vendor_class: str
    relay: str
    interface: str


class SeenRow(StrangerRow):
    """An unknown machine, and how to add it to cluster.yaml."""

    vendor: str  # of its network card; "" when unknown
    stanza: str  # its entry for cluster.yaml, to complete


class StepRow(TypedDict):
    """One event of a boot."""

    at: float
    seconds: float  # until the next step
    kind: str
    times: int  # how often in a row
    asked: str  # what the machine did
    told: str  # what the appliance answered or did


class RecordRow(TypedDict):
    """One installation of a host, finished or abandoned."""

    number: int
    stage: str  # the last that it reached
    began_at: float | None
    ended_at: float | None


class Explanation(TypedDict):
    """A host's last boot."""

    host: HostRow
    steps: list[StepRow]
    missing: str  # what has to happen next
    records: list[RecordRow]


class EventRow(TypedDict):
    """One event of the journal."""

    id: int  # 0 for an event that is not on disk yet
    at: float
    host: str
    number: int  # of the host's installation; 0 without one
    kind: str
    facts: dict[str, str | int | float]
    times: int  # how often it happened in a row
    last_at: float  # when it last happened
