"""A host's stages: a pure reducer over events, and what the host's next boot shall do."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


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
    IGNITION = 8
    INSTALLED = 9
    BOOTED = 10  # DHCP without network boot options after that
    JOINING = 11  # asks for api-int


class Order(StrEnum):
    """What a host's next network boot shall do."""

    INSTALL = "install"
    LOCAL = "local"  # boot what is on the disk
    HOLD = "hold"  # wait at iPXE until released


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of one host."""

    host: str
    number: int = 1  # counts this host's installations from 1
    token: str = ""  # the unguessable part of its Ignition path
    order: Order = Order.INSTALL
    stage: Stage = Stage.WAITING
    reached: dict[Stage, float] = field(default_factory=dict)  # when each stage was reached, UTC
    boots_live: bool = False  # by a live system (4.6 and later), which has its rootfs before it asks for Ignition
    window_opened_at: float | None = None  # UTC; when its script last went out, or its Ignition was last put off
    delivered_at: float | None = None  # UTC; when its Ignition first went out whole
