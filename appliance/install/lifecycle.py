"""A host's installation: its stages, what is known of it, and what its next boot shall do.

A record is one try. A machine that starts again from the network before it is
installed has lost what it had, so that its firmware's DHCP begins a new record,
with a new token; so does the operator's `reinstall`. `appliance.install.evidence`
says which event leads where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from appliance.model import Install

WRITE_BYTES_PER_SECOND = 100e6
# Shorter than any firmware's start, so not worth a clock.
LEAST_WRITE_SECONDS = 1.0
TOLD_TO_WAIT = "wait"  # in Installation.repeats: it was told to, until the machine config server answers


class Stage(IntEnum):
    """How far an installation is; it never goes backwards within one."""

    WAITING = 0  # never seen
    FIRMWARE = 1  # DHCP as PXE or HTTP client
    LOADER = 2  # boot file fetched
    IPXE = 3  # DHCP as iPXE
    SCRIPT = 4
    KERNEL = 5
    INITRAMFS = 6
    IMAGE = 7  # rootfs (live releases) or raw disk image (legacy)
    IGNITION = 8  # has its Ignition and its whole image
    INSTALLED = 9
    BOOTED = 10  # DHCP without network boot options after that
    JOINING = 11  # asks for api-int


class Order(StrEnum):
    """What a host's next network boot shall do."""

    INSTALL = "install"
    LOCAL = "local"  # boot what is on the disk
    HOLD = "hold"  # wait at iPXE until released


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that keeps a host from getting on."""

    name: str
    hint: str  # the known causes, and what to do
    since: float  # UTC


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of one host; all times in seconds UTC."""

    host: str
    number: int = 1  # counts this host's installations from 1
    token: str = ""  # the unguessable part of its Ignition path
    order: Order = Order.INSTALL
    stage: Stage = Stage.WAITING
    reached: Mapping[Stage, float] = field(default_factory=dict)  # when each stage was reached
    boots_live: bool = False  # by a live system (4.6 and later), which has its rootfs before it asks for Ignition
    mac: str = ""  # that it boots from
    arch: str = ""  # as its DHCP client says
    is_held: bool = False
    window_opened_at: float | None = None  # when its script last went out, or its Ignition was last put off
    delivered_at: float | None = None  # when its Ignition first went out whole
    image_bytes: int = 0  # of the rootfs or disk image, whole
    lacks_image: bool = True  # a disk image that it needs is not whole yet
    ready_at: float | None = None  # when it had everything to write its disk
    is_settled: bool = False  # and has had the time for it
    early_returns: int = 0  # tries in a row that were ready and came back before they were settled
    tries: int = 0  # records before this one that ended before they were installed
    ended_at: Stage = Stage.WAITING  # where the last of them did
    repeats: Mapping[str, int] = field(default_factory=dict)  # what happened again since the last new stage
    knocking_since: float | None = None  # firmware came back, though installed, and no system has started since
    knocked_at: float | None = None
    complaint: Condition | None = None  # of one event, as a refusal
    condition: Condition | None = None  # what `conditions.judge` makes of all this

    @property
    def is_told_to_wait(self) -> bool:
        """Whether the last script that it got told it to wait for the machine config server."""
        return TOLD_TO_WAIT in self.repeats

    @property
    def write_seconds(self) -> float:
        """The least time that writing the disk takes, in seconds; 0 where it is not worth a clock."""
        seconds = self.image_bytes / WRITE_BYTES_PER_SECOND
        # A host that was back sooner once before has shown how fast it is, or breaks each time at that point.
        return 0.0 if seconds < LEAST_WRITE_SECONDS or self.early_returns else seconds


@dataclass(frozen=True, slots=True)
class Rules:
    """What a host's cluster.yaml says about its installations."""

    install: Install
    boots_live: bool
    token_of: Callable[[str, int], str]  # host and number of the installation → token


def begin(host: str, rules: Rules, number: int = 1) -> Installation:
    """Return the record of a host that shall install next."""
    fresh = Installation(
        host,
        number,
        token=rules.token_of(host, number),
        boots_live=rules.boots_live,
        lacks_image=not rules.boots_live,
    )
    return replace(fresh, order=order_of(fresh, rules.install))


def order_of(one: Installation, install: Install) -> Order:
    """Return what the next network boot of *one* shall do."""
    if one.is_held:
        return Order.HOLD
    if install is Install.ALWAYS:
        return Order.INSTALL
    is_done = one.is_settled or one.stage >= Stage.INSTALLED
    return Order.LOCAL if is_done or install is Install.NEVER else Order.INSTALL


def again(one: Installation, rules: Rules) -> Installation:
    """Return the record of a new try after *one*, which it ends."""
    was_installed = one.stage >= Stage.INSTALLED
    fresh = replace(begin(one.host, rules, one.number + 1), mac=one.mac, arch=one.arch, is_held=one.is_held)
    return replace(
        fresh,
        tries=0 if was_installed or one.is_held else one.tries + 1,
        ended_at=one.stage,
        early_returns=0 if was_installed or one.ready_at is None else one.early_returns + 1,
    )


def reach(one: Installation, stage: Stage, at: float, repeat: str = "") -> Installation:
    """Return *one* at *stage*, or as it is when it is further; a new stage forgets what was in its way."""
    if one.stage >= stage:
        return one
    reached = one.reached if stage in one.reached else {**one.reached, stage: at}
    return replace(one, stage=stage, reached=reached, repeats={repeat: 1} if repeat else {}, complaint=None)


def reach_or_count(one: Installation, stage: Stage, at: float, repeat: str) -> Installation:
    """Return *one* at *stage*, or with *repeat* counted once more where it is that far."""
    return reach(one, stage, at, repeat) if one.stage < stage else count(one, repeat)


def count(one: Installation, repeat: str) -> Installation:
    """Return *one* with *repeat* counted once more."""
    return replace(one, repeats={**one.repeats, repeat: one.repeats.get(repeat, 0) + 1})
