"""A simulated machine: its parts, the steps that it reports while it boots, and how it fails."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from appliance.errors import SimulationError
from appliance.model import MacAddress


class Hardware(StrEnum):
    """A machine's firmware."""

    X64 = "x64"
    BIOS = "bios"
    ARM64 = "arm64"
    HTTP = "http"  # x64 UEFI that boots by HTTP
    ARM64_HTTP = "arm64-http"

    @property
    def code(self) -> int:
        """Option 93 (RFC 4578 section 2.1 and the IANA registry that followed it)."""
        return {"x64": 0x07, "bios": 0x00, "arm64": 0x0B, "http": 0x10, "arm64-http": 0x13}[self.value]

    @property
    def processor(self) -> str:
        """The processor, as compilers name it."""
        return "aarch64" if self in (Hardware.ARM64, Hardware.ARM64_HTTP) else "x86_64"

    @property
    def boots_by_http(self) -> bool:
        """Whether the firmware fetches its boot file by HTTP."""
        return self in (Hardware.HTTP, Hardware.ARM64_HTTP)

    @property
    def is_uefi(self) -> bool:
        """Whether boot files are EFI programs."""
        return self is not Hardware.BIOS


class Phase(StrEnum):
    """The program that runs on the machine."""

    OFF = "off"
    FIRMWARE = "firmware"
    LOADER = "loader"
    IPXE = "iPXE"
    GRUB = "GRUB"
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRAMFS = "initramfs"
    INSTALLER = "installer"
    IMAGE = "image"
    IGNITION = "Ignition"
    INSTALLED = "installed"
    DISK = "disk"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class BootStep:
    """One thing that a machine did, with its result."""

    machine: str
    phase: Phase
    text: str
    seconds: float  # since power-on


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the appliance's services; real firmware only knows the standard ones."""

    dhcp: int = 67
    tftp: int = 69
    dns: int = 53

    @property
    def dhcp_client(self) -> int:
        """The client's port."""
        return self.dhcp + 1

    @property
    def pxe(self) -> int:
        """The proxy's second port: 4011 where DHCP is on 67."""
        return self.dhcp + 3944

    @property
    def dhcp6(self) -> int:
        """The DHCPv6 server's port: 547 where DHCP is on 67."""
        return self.dhcp + 480

    @property
    def dhcp6_client(self) -> int:
        """The client's port."""
        return self.dhcp6 - 1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a machine waits, in seconds; real ones wait longer, which would show nothing more."""

    dhcp_waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)  # after each DISCOVER or REQUEST
    proxy_wait: float = 0.5  # for a proxy's offer, after an offer without a boot file
    tftp_wait: float = 1.0  # for a block, before the last ACK is retransmitted
    tftp_tries: int = 6
    http_idle: float = 30.0  # without a byte
    http_tries: int = 5
    longest_pause: float = 2.0  # the most that a script's sleep or a Retry-After may take
    hold: float = 120.0  # in total, for a script or a server that says "not yet"


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk as an installer wrote it."""

    device: str = ""  # "" for a disk that was written before this simulation
    domain: str = ""  # the cluster's, from the Ignition on it
    # The installer's kernel command line, whose network configuration the installed system inherits.
    arguments: str = ""
    has_machine_config: bool = False  # Ignition got it from the machine config server at the first boot


@dataclass(frozen=True, slots=True)
class Expected:
    """What cluster.yaml says of this machine; None and "" are not checked."""

    name: str = ""
    address: IPv4Address | None = None
    ignition: str = ""  # file name, as master.ign
    sha256: Mapping[str, str] = field(default_factory=dict)  # hex, by file name
    macs: frozenset[str] = frozenset()  # of all its network cards, with hyphens
    is_node_address: bool = True  # whether *address* is the one that has its name
    address6: IPv6Address | None = None


@dataclass(slots=True)
class Machine:
    """One machine: its hardware, its disk, and the functions that receive its reports."""

    name: str
    mac: MacAddress
    hardware: Hardware = Hardware.X64
    ports: Ports = field(default_factory=Ports)
    patience: Patience = field(default_factory=Patience)
    expected: Expected = field(default_factory=Expected)
    verifies: bool = True  # hash what is fetched; a load generator only counts bytes
    disk: Disk | None = None
    is_ipv6: bool = False  # boots by IPv6 instead of IPv4
    is_secure: bool = False  # Secure Boot is on: only signed programs start
    # Ends where its disk would be written, and only asks about its Ignition file, so that it never counts as installed.
    is_dry: bool = False
    pool: str = ""  # whose machine config it asks for through the load balancer; "" for none
    must_join: bool = False  # asks for it until it gets it; otherwise it only tries once whether the servers answer
    dice: random.Random = field(default_factory=random.Random)  # transaction ids; seeded, a run can be repeated
    report: Callable[[BootStep], None] = lambda _step: None
    starts: Callable[[], Awaitable[None]] | None = None  # called once its system is up, to start its servers
    progress: Callable[[int, int], None] | None = None  # called with bytes so far and in total of the current file


class StepError(SimulationError):
    """A machine failed at a step: the phase, what was sent, what was received, and what to check."""

    def __init__(self, phase: Phase, what: str, *, sent: str, received: str, check: str) -> None:
        self.phase, self.what, self.sent, self.received, self.check = phase, what, sent, received, check
        super().__init__(f"{phase}: {what}\n  sent:     {sent}\n  received: {received}\n  check:    {check}")
