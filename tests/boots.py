"""The events that the servers publish while a machine boots from the network, and a fleet to publish them to."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.bus import Bus
from appliance.events import (
    BalancerReached,
    DhcpAcknowledged,
    DhcpOffered,
    DnsAsked,
    Event,
    HostAnswered,
    HostUnanswered,
    Program,
    TftpFinished,
    TftpStarted,
    Transport,
    WebBroken,
    WebFinished,
    WebKind,
    WebProgress,
    WebStarted,
)
from appliance.install.installation import Installation
from appliance.model import Cluster, Host, Release
from appliance.registry import Registry
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from tests.clusters import LIVE_IMAGES, reference_cluster

NOW = 1_700_000_000.0
MB = 1_000_000

LEGACY = reference_cluster()
LIVE = reference_cluster(release=Release(4, 16), images={"x86_64": LIVE_IMAGES})


class Boot:
    """What one host does, as events: each method returns the events of one exchange, or of several in a row."""

    def __init__(self, host: Host) -> None:
        self.host = host.name
        self.mac = str(host.macs[0])
        self.address = str(host.address)
        self.role = host.role

    def dhcp(self, program: Program, boot: str = "") -> list[Event]:
        arch = "" if program is Program.OS else "x64-uefi"
        return [
            kind(self.host, self.mac, self.address, program, arch, boot) for kind in (DhcpOffered, DhcpAcknowledged)
        ]

    def loader(self) -> list[Event]:
        return self.tftp("efi/ipxe.efi")

    def tftp(self, path: str, what: WebKind = WebKind.LOADER) -> list[Event]:
        return [
            TftpStarted(self.host, self.address, path, MB, what),
            TftpFinished(self.host, self.address, path, MB, 0.5, 0, what),
        ]

    def get(self, what: WebKind, total: int = 1000, path: str = "") -> list[Event]:
        path = path or f"/{what.value}"
        return [self.started(what, total, path), self.finished(what, total, path)]

    def started(self, what: WebKind, total: int = 1000, path: str = "") -> WebStarted:
        return WebStarted(self.host, self.address, path or f"/{what.value}", what, 0, total)

    def progress(self, what: WebKind, position: int, total: int) -> WebProgress:
        return WebProgress(self.host, self.address, f"/{what.value}", what, position, total)

    def finished(self, what: WebKind, total: int = 1000, path: str = "") -> WebFinished:
        return WebFinished(self.host, self.address, path or f"/{what.value}", what, 200, total, total, 1.0)

    def broken(self, what: WebKind, sent: int = 1, total: int = 1000) -> WebBroken:
        return WebBroken(self.host, self.address, f"/{what.value}", what, sent, total, "the client closed")

    def to_script(self) -> list[Event]:
        """Return the events from power-on to the host's own script, with UEFI PXE."""
        return [
            *self.dhcp(Program.PXE, "efi/ipxe.efi"),
            *self.loader(),
            *self.dhcp(Program.IPXE, "http://172.16.0.101/pxeboot.ipxe"),
            *self.get(WebKind.MENU),
            *self.get(WebKind.SCRIPT),
        ]

    def to_initramfs(self) -> list[Event]:
        return [*self.to_script(), *self.get(WebKind.KERNEL, 14 * MB), *self.get(WebKind.INITRAMFS, 80 * MB)]

    def live(self, rootfs: int = 900 * MB) -> list[Event]:
        """Return the events from power-on until the live installer has everything it needs (openshift.md 4.1)."""
        return [
            *self.to_initramfs(),
            *self.dhcp(Program.OS),
            *self.get(WebKind.ROOTFS, rootfs),
            *self.get(WebKind.IGNITION),
        ]

    def legacy(self, image: int = 900 * MB) -> list[Event]:
        """Return the events from power-on until the legacy installer has everything it needs (openshift.md 4.4)."""
        return [
            *self.to_initramfs(),
            *self.dhcp(Program.OS),
            *self.get(WebKind.IGNITION),
            *self.get(WebKind.METAL, image),
        ]

    def api_int(self, transport: Transport = Transport.UDP) -> DnsAsked:
        return DnsAsked(self.host, self.address, "api-int.ocp45.example.localdomain", transport)

    def reached(self, port: int = 22623) -> BalancerReached:
        """Return the connection to the machine config server, or with 6443 to the API, through the load balancer."""
        return BalancerReached(self.host, f"{self.address}:40000", f"front-{port}", port, "bs")

    def answered(self) -> HostAnswered:
        return HostAnswered(self.host, self.mac, self.address, 22)

    def unanswered(self) -> HostUnanswered:
        return HostUnanswered(self.host, self.address, "neither port accepts a connection")


def refuse_writes(journal: Journal) -> None:
    """Make the disk refuse every change, like a file system that was remounted read-only."""
    assert isinstance(journal.store, FallbackStore)
    refuse_writes_of(journal.store)


def refuse_writes_of(store: FallbackStore) -> None:
    """Make the disk of *store* refuse every change."""
    store._store._db.execute("PRAGMA query_only = ON")


class Clock:
    """A clock that only moves when a test sets it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now


class Fleet:
    """A registry with a journal and a bus, and a clock that advances by a second with each event."""

    def __init__(self, data_dir: Path, cluster: Cluster = LEGACY, now: float = NOW) -> None:
        self.clock = Clock(now)
        self.cluster = cluster
        self.journal = Journal(FallbackStore(data_dir))
        self.told: list[Event] = []
        self.bus = Bus(lambda: self.clock.now)
        self.registry = Registry(self.journal, [cluster], self.publish)
        self.bus.first = self.registry.listen
        self.bus.subscribers.append(lambda stamped: self.told.append(stamped.event))

    def publish(self, event: Event) -> None:
        self.bus.publish(event)
        assert not self.bus.failures, "a subscriber failed; see the log of the bus"

    def happen(self, events: Event | Iterable[Event], seconds: float = 1.0) -> None:
        for event in [events] if isinstance(events, Event) else events:
            self.clock.now += seconds
            self.publish(event)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.registry.settle(self.clock.now)

    def boot(self, index: int) -> Boot:
        return Boot(self.cluster.hosts[index])

    def __getitem__(self, boot: Boot) -> Installation:
        return self.registry.installations[boot.host]

    def of(self, kind: type[Event]) -> Iterator[Event]:
        return (event for event in self.told if isinstance(event, kind))
