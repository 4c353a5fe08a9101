"""What can happen, as values.

A protocol function returns its event with its reply; the server publishes it on
the bus (bus.py) once the reply is sent. An event names a host by its full name,
or "" when it concerns none of our hosts. The kinds and fields of events appear in
the log and in the journal, so operators and their scripts rely on them. They are all
in this one file so that `AnyEvent` can be complete and a reader finds every kind.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import ClassVar, NamedTuple


class Transport(StrEnum):
    """How a DNS query arrived. A sender over TCP receives at the address that it sends from; over UDP it may not."""

    UDP = "udp"
    TCP = "tcp"


class Program(StrEnum):
    """Which program on the machine sent the request."""

    PXE = "pxe"  # firmware: vendor class PXEClient
    HTTP = "http"  # UEFI HTTP Boot: vendor class HTTPClient
    IPXE = "ipxe"
    OS = "os"  # no network boot options: an installer or an installed system


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a host, or that a host did."""

    kind: ClassVar[str]
    level: ClassVar[int] = logging.INFO

    host: str

    def facts(self) -> dict[str, str | int | float]:
        """Return the fields that have a value, by name; what is true is the normal case, and left out."""
        names = self.__match_args__
        pairs = zip(names, _values_of(names)(self), strict=True)
        return {name: value for name, value in pairs if value != "" and value is not None and value is not True}

    def line(self) -> str:
        """Return the event as one line: its kind, then its facts."""
        names = self.__match_args__
        texts = [value if type(value) is str else _text(value) for value in _values_of(names)(self)]
        if not _is_plain("".join(texts)):
            texts = [text if _is_plain(text) else ascii(text) for text in texts]
        return f"{self.kind} {' '.join([f'{name}={text}' for name, text in zip(names, texts, strict=True) if text])}"


@cache
def _values_of(names: tuple[str, ...]) -> Callable[[Event], tuple[str | int | float | None, ...]]:
    """Return a function that gets all these fields of an event at once, which takes 1 µs less than one by one."""
    return attrgetter(*names)


def _text(value: str | float | None) -> str:
    if value is None or value is True:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def fact_text(value: str | float | None) -> str:
    """Return a fact as it is written in a line of text: quoted if it could not be told from what is around it."""
    text = _text(value)
    return text if _is_plain(text) else ascii(text)


def _is_plain(text: str) -> bool:
    # Text off the wire may hold anything; keep one event on one line.
    return text.isprintable() and not (" " in text or '"' in text or "=" in text)


@dataclass(frozen=True, slots=True)
class DhcpOffered(Event):
    """A DISCOVER got its OFFER."""

    kind: ClassVar[str] = "dhcp.offer"
    mac: str
    address: str
    program: Program
    arch: str = ""  # as in the table of architectures: x64-uefi, bios …
    boot: str = ""  # the boot file or URL offered
    relay: str = ""
    is_local: bool = True  # arrived on the host's own segment, directly or by an accepted relay
    vendor: str = ""  # what firmware calls itself: its vendor class, or what an iPXE lacks


@dataclass(frozen=True, slots=True)
class DhcpAcknowledged(Event):
    """A REQUEST or INFORM got its ACK."""

    kind: ClassVar[str] = "dhcp.ack"
    mac: str
    address: str
    program: Program
    arch: str = ""
    boot: str = ""
    relay: str = ""
    is_local: bool = True  # arrived on the host's own segment, directly or by an accepted relay
    vendor: str = ""  # what firmware calls itself: its vendor class, or what an iPXE lacks


@dataclass(frozen=True, slots=True)
class DhcpRefused(Event):
    """A known host requested an address that is not its own, and got a NAK."""

    kind: ClassVar[str] = "dhcp.nak"
    level: ClassVar[int] = logging.WARNING
    mac: str
    asked: str
    address: str  # its own
    relay: str = ""


@dataclass(frozen=True, slots=True)
class DhcpDeclined(Event):
    """A host found its own address in use by another machine."""

    kind: ClassVar[str] = "dhcp.decline"
    level: ClassVar[int] = logging.ERROR
    mac: str
    address: str
    is_local: bool = True  # arrived on the host's own segment, directly or by an accepted relay


@dataclass(frozen=True, slots=True)
class DhcpReleased(Event):
    """A host released its address."""

    kind: ClassVar[str] = "dhcp.release"
    mac: str
    address: str
    is_local: bool = True  # arrived on the host's own segment, directly or by an accepted relay


@dataclass(frozen=True, slots=True)
class DhcpUnknown(Event):
    """A machine whose MAC address is in no cluster.yaml asked for an address."""

    kind: ClassVar[str] = "dhcp.unknown"
    level: ClassVar[int] = logging.WARNING
    mac: str
    program: Program
    arch: str = ""
    vendor: str = ""  # the vendor class it sent
    relay: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class DhcpMisplaced(Event):
    """A known host asked from a network that its address does not belong to, and got no reply.

    *host* is "" if the message came from a *source* outside the host's network, because anybody may have sent it.
    """

    kind: ClassVar[str] = "dhcp.misplaced"
    level: ClassVar[int] = logging.WARNING
    mac: str
    address: str  # its own
    relay: str = ""
    interface: str = ""
    source: str = ""  # the address that the datagram came from, where it is outside the host's network


@dataclass(frozen=True, slots=True)
class DhcpRelayRefused(Event):
    """A relay sent a message from an address outside the machine networks and dhcp.relays; *host* is ""."""

    kind: ClassVar[str] = "dhcp.relay-refused"
    level: ClassVar[int] = logging.WARNING
    mac: str
    relay: str  # giaddr
    source: str  # the address that the datagram came from
    hint: str


@dataclass(frozen=True, slots=True)
class DhcpPassed(Event):
    """A known host asked for an address where another server assigns them, and needs no boot file from us."""

    kind: ClassVar[str] = "dhcp.pass"
    mac: str
    address: str
    program: Program
    arch: str = ""
    relay: str = ""
    is_local: bool = True  # arrived on the host's own segment, directly or by an accepted relay
    vendor: str = ""  # what firmware calls itself


@dataclass(frozen=True, slots=True)
class RogueDhcp(Event):
    """Another DHCP server answers on one of our segments."""

    kind: ClassVar[str] = "dhcp.rogue"
    level: ClassVar[int] = logging.ERROR
    server: str
    interface: str
    offered: str


class WebKind(StrEnum):
    """What kind of file a path of the web server is, and one that is fetched by TFTP."""

    MENU = "menu"
    SCRIPT = "script"  # a host's own, which installs it
    WAIT = "wait"  # the same path, while the host is held or waits for the machine config server
    LACKING = "lacking"  # the same path, while a file that the script names cannot be served
    LOCAL = "local"  # the same path, once the host is to boot from its own disk
    LOADER = "loader"
    GRUB = "grub"  # GRUB's first configuration, which shows that GRUB runs
    KERNEL = "kernel"
    INITRAMFS = "initramfs"
    ROOTFS = "rootfs"
    METAL = "metal"
    IGNITION = "ignition"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RouterUnmanaged(Event):
    """No router advertisement on one of our segments sends hosts to DHCPv6: the flag M is clear; *host* is ""."""

    kind: ClassVar[str] = "ra.unmanaged"
    level: ClassVar[int] = logging.WARNING
    router: str  # its link-local address
    interface: str
    network: str


@dataclass(frozen=True, slots=True)
class RouterAbsent(Event):
    """Nobody sends router advertisements on one of our segments, so that hosts do not ask for IPv6 addresses there."""

    kind: ClassVar[str] = "ra.none"
    level: ClassVar[int] = logging.WARNING
    interface: str


@dataclass(frozen=True, slots=True)
class TftpStarted(Event):
    """A transfer began."""

    kind: ClassVar[str] = "tftp.start"
    client: str  # address
    path: str
    total: int  # bytes
    what: WebKind = WebKind.LOADER


@dataclass(frozen=True, slots=True)
class TftpFinished(Event):
    """The last block was acknowledged."""

    kind: ClassVar[str] = "tftp.done"
    client: str
    path: str
    total: int  # bytes
    seconds: float
    resent: int  # blocks
    what: WebKind = WebKind.LOADER


@dataclass(frozen=True, slots=True)
class TftpFailed(Event):
    """A transfer was refused, aborted, or timed out."""

    kind: ClassVar[str] = "tftp.fail"
    level: ClassVar[int] = logging.WARNING
    client: str
    path: str
    why: str
    what: WebKind = WebKind.LOADER
    is_answered: bool = True  # the client had answered, and so receives at its address


@dataclass(frozen=True, slots=True)
class TftpAborted(Event):
    """The client ended the transfer itself: UEFI does, once it knows the size."""

    kind: ClassVar[str] = "tftp.abort"
    client: str
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class WebStarted(Event):
    """The response to a GET for a file began."""

    kind: ClassVar[str] = "web.start"
    client: str  # address
    path: str
    what: WebKind
    first: int  # offset of the first byte sent
    total: int  # bytes of the whole file


@dataclass(frozen=True, slots=True)
class WebProgress(Event):
    """More of a large file was sent; at most a few events a second for each host."""

    kind: ClassVar[str] = "web.progress"
    level: ClassVar[int] = logging.DEBUG
    client: str
    path: str
    what: WebKind
    position: int  # bytes of the file up to which it was sent, counted from its first byte
    total: int


@dataclass(frozen=True, slots=True)
class WebFinished(Event):
    """The last requested byte was sent."""

    kind: ClassVar[str] = "web.done"
    client: str
    path: str
    what: WebKind
    status: int
    sent: int  # bytes of this response
    total: int  # bytes of the whole file
    seconds: float
    agent: str = ""  # User-Agent
    first: int = 0  # offset of the first byte sent


@dataclass(frozen=True, slots=True)
class WebBroken(Event):
    """The client closed the connection, or was too slow, before the last byte."""

    kind: ClassVar[str] = "web.broken"
    level: ClassVar[int] = logging.WARNING
    client: str
    path: str
    what: WebKind
    sent: int
    total: int
    why: str


@dataclass(frozen=True, slots=True)
class WebRefused(Event):
    """A request was answered with an error."""

    kind: ClassVar[str] = "web.refuse"
    level: ClassVar[int] = logging.WARNING
    client: str
    path: str
    what: WebKind
    status: int
    why: str


@dataclass(frozen=True, slots=True)
class ClientUnproven(Event):
    """A client with the address of a host asked for what only the host may have, and was not proven to be it."""

    kind: ClassVar[str] = "web.unproven"
    level: ClassVar[int] = logging.ERROR
    client: str
    path: str
    cause: str  # address-conflict, no-dhcp or unresolved
    why: str
    mac: str = ""  # that the address has on our link; "" if that is not known


@dataclass(frozen=True, slots=True)
class WaitEnded(Event):
    """A host has waited for the machine config server for as long as allowed, and now installs without it."""

    kind: ClassVar[str] = "web.wait-over"
    level: ClassVar[int] = logging.WARNING
    why: str


@dataclass(frozen=True, slots=True)
class FileUnservable(Event):
    """A file in the data directory cannot be served; *host* is that which waits for it, or "" when it was found."""

    kind: ClassVar[str] = "file.unservable"
    level: ClassVar[int] = logging.ERROR
    path: str  # on disk
    why: str


@dataclass(frozen=True, slots=True)
class ImageVerified(Event):
    """An image has the sha256 given in cluster.yaml; *host* is ""."""

    kind: ClassVar[str] = "image.verified"
    path: str  # on disk
    sha256: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ImageDamaged(Event):
    """An image does not have the sha256 given in cluster.yaml, and is not served; *host* is ""."""

    kind: ClassVar[str] = "image.damaged"
    level: ClassVar[int] = logging.ERROR
    path: str  # on disk
    sha256: str  # of the file
    expected: str


@dataclass(frozen=True, slots=True)
class IgnitionLoaded(Event):
    """An Ignition file was read; *host* is ""."""

    kind: ClassVar[str] = "ignition.load"
    path: str  # on disk
    version: str  # of the specification
    expires_at: str  # UTC; "" when it holds no certificates


@dataclass(frozen=True, slots=True)
class IgnitionRefused(Event):
    """An Ignition file cannot be used; its last good content, if any, is still served; *host* is ""."""

    kind: ClassVar[str] = "ignition.refuse"
    level: ClassVar[int] = logging.ERROR
    path: str  # on disk
    why: str


@dataclass(frozen=True, slots=True)
class DnsAsked(Event):
    """A node queried a name that shows how far it has come, such as api-int."""

    kind: ClassVar[str] = "dns.asked"
    client: str
    name: str
    transport: Transport = Transport.UDP


@dataclass(frozen=True, slots=True)
class HostAnswered(Event):
    """We looked ourselves: the kernel resolved the host's address to a MAC of it, and a system's port accepted."""

    kind: ClassVar[str] = "host.answered"
    mac: str
    address: str
    port: int  # 22 or 10250: no firmware and no boot loader listens there


@dataclass(frozen=True, slots=True)
class HostUnanswered(Event):
    """We looked ourselves, right after a query from the host's address, and found no system of the host there.

    Not published where a look can show nothing, as for an address that is not on our links.
    """

    kind: ClassVar[str] = "host.unanswered"
    address: str
    why: str  # nobody has the address, another machine has it, or neither port accepts


@dataclass(frozen=True, slots=True)
class Ordered(Event):
    """The operator changed what a host's next network boot does."""

    kind: ClassVar[str] = "operator.order"
    order: str  # reinstall, hold, release or adopt


@dataclass(frozen=True, slots=True)
class InstallSettled(Event):
    """By the registry's clock, a host that had everything to install has had the time to write its disk."""

    kind: ClassVar[str] = "install.settled"
    level: ClassVar[int] = logging.DEBUG
    number: int  # of the installation


@dataclass(frozen=True, slots=True)
class DoubtLapsed(Event):
    """By the registry's clock, nothing suggests any more that a host runs, and our own look found no system of it."""

    kind: ClassVar[str] = "install.doubt-lapsed"
    number: int  # of the installation


@dataclass(frozen=True, slots=True)
class LoaderSilent(Event):
    """By the registry's clock, nothing has followed a boot file for so long that it did not start."""

    kind: ClassVar[str] = "install.loader-silent"
    level: ClassVar[int] = logging.DEBUG
    number: int  # of the installation


@dataclass(frozen=True, slots=True)
class RecipeChosen(Event):
    """A host with `loader: auto` gets another loader, or smaller TFTP blocks, from now on."""

    kind: ClassVar[str] = "install.recipe"
    level: ClassVar[int] = logging.WARNING
    number: int  # of the installation
    loader: str
    block_bytes: int  # the most that a TFTP block has; 0 for as many as fit the path
    why: str


@dataclass(frozen=True, slots=True)
class StageReached(Event):
    """An installation reached its next stage."""

    kind: ClassVar[str] = "install.stage"
    number: int  # of the installation
    stage: str


@dataclass(frozen=True, slots=True)
class ConditionRaised(Event):
    """Something keeps a host from making progress."""

    kind: ClassVar[str] = "install.condition"
    level: ClassVar[int] = logging.WARNING
    name: str
    hint: str


@dataclass(frozen=True, slots=True)
class CertificatesDying(Event):
    """The certificates in an Ignition file expire soon, or have expired; *host* is ""."""

    kind: ClassVar[str] = "ignition.expiry"
    level: ClassVar[int] = logging.WARNING
    path: str  # on disk
    seconds_left: int  # negative once they have expired
    hint: str


@dataclass(frozen=True, slots=True)
class BootstrapCompleted(Event):
    """The masters run the cluster's control plane, and the bootstrap machine, *host*, is no longer needed."""

    kind: ClassVar[str] = "bootstrap.complete"
    by: str  # checks or operator
    why: str


@dataclass(frozen=True, slots=True)
class KeysUnneeded(Event):
    """Bootstrapping is complete, and its Ignition file with the cluster's keys is still on disk; *host* is ""."""

    kind: ClassVar[str] = "bootstrap.keys"
    level: ClassVar[int] = logging.WARNING
    path: str  # on disk
    hint: str


@dataclass(frozen=True, slots=True)
class BalancerOrdered(Event):
    """The operator changed which connections the load balancer forwards to a host."""

    kind: ClassVar[str] = "operator.balancer"
    order: str  # ready, drain or maint
    front_end: str = ""  # "" for all


@dataclass(frozen=True, slots=True)
class BalancerReached(Event):
    """A host's connection went through the load balancer to a member that works."""

    kind: ClassVar[str] = "balancer.reached"
    client: str
    front_end: str
    port: int  # 6443 (the API) or 22623 (the machine config server)
    member: str  # short name

    @property
    def asks_config(self) -> bool:
        """Whether it asks the machine config server; else it reaches the API."""
        return self.port == 22623


@dataclass(frozen=True, slots=True)
class MemberMoved(Event):
    """A host, *host*, entered or left a front end of the load balancer."""

    kind: ClassVar[str] = "balancer.member"
    front_end: str
    state: str  # ready, drain or maint
    why: str = ""


@dataclass(frozen=True, slots=True)
class MemberAnswers(Event):
    """A host passes the health check of a front end again, or for the first time."""

    kind: ClassVar[str] = "balancer.up"
    front_end: str


@dataclass(frozen=True, slots=True)
class MemberFails(Event):
    """A host no longer passes the health check of a front end, which forwards no connections to it."""

    kind: ClassVar[str] = "balancer.down"
    level: ClassVar[int] = logging.WARNING
    front_end: str
    why: str


@dataclass(frozen=True, slots=True)
class BalancerConfigured(Event):
    """HAProxy uses a new configuration; *host* is ""."""

    kind: ClassVar[str] = "balancer.config"
    by: str  # start or reload
    front_ends: int


@dataclass(frozen=True, slots=True)
class BalancerTrouble(Event):
    """HAProxy does not run, or does not do what cluster.yaml says; *host* is ""."""

    kind: ClassVar[str] = "balancer.trouble"
    level: ClassVar[int] = logging.ERROR
    why: str


@dataclass(frozen=True, slots=True)
class BalancerRecovered(Event):
    """HAProxy does again what cluster.yaml says; *host* is ""."""

    kind: ClassVar[str] = "balancer.well"
    seconds: float  # for how long it did not


@dataclass(frozen=True, slots=True)
class StateTrouble(Event):
    """The state cannot be written to disk, and is kept in memory until it can; *host* is ""."""

    kind: ClassVar[str] = "state.trouble"
    level: ClassVar[int] = logging.CRITICAL
    why: str


@dataclass(frozen=True, slots=True)
class ClockSet(Event):
    """The wall clock was set; every time that the appliance keeps was moved along with it; *host* is ""."""

    kind: ClassVar[str] = "clock.set"
    level: ClassVar[int] = logging.WARNING
    seconds: float  # negative if it was set back


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """cluster.yaml was reloaded; *host* is ""."""

    kind: ClassVar[str] = "config.reload"
    version: str


@dataclass(frozen=True, slots=True)
class ReloadRefused(Event):
    """cluster.yaml could not be reloaded, and the old tables stay in use; *host* is ""."""

    kind: ClassVar[str] = "config.refuse"
    level: ClassVar[int] = logging.ERROR
    version: str  # that is still in use
    why: str


# Every event there is, so that a match on classes that ends in assert_never fails mypy until it knows a new one.
AnyEvent = (
    DhcpOffered
    | DhcpAcknowledged
    | DhcpRefused
    | DhcpDeclined
    | DhcpReleased
    | DhcpUnknown
    | DhcpMisplaced
    | DhcpRelayRefused
    | DhcpPassed
    | RogueDhcp
    | RouterUnmanaged
    | RouterAbsent
    | TftpStarted
    | TftpFinished
    | TftpFailed
    | TftpAborted
    | WebStarted
    | WebProgress
    | WebFinished
    | WebBroken
    | WebRefused
    | ClientUnproven
    | WaitEnded
    | FileUnservable
    | ImageVerified
    | ImageDamaged
    | IgnitionLoaded
    | IgnitionRefused
    | DnsAsked
    | HostAnswered
    | HostUnanswered
    | Ordered
    | InstallSettled
    | DoubtLapsed
    | LoaderSilent
    | RecipeChosen
    | StageReached
    | ConditionRaised
    | CertificatesDying
    | BootstrapCompleted
    | KeysUnneeded
    | BalancerOrdered
    | BalancerReached
    | MemberMoved
    | MemberAnswers
    | MemberFails
    | BalancerConfigured
    | BalancerTrouble
    | BalancerRecovered
    | StateTrouble
    | ClockSet
    | Reloaded
    | ReloadRefused
)


class Stamped(NamedTuple):
    """An event, when it happened, and to which installation of its host."""

    at: float  # seconds since the epoch, UTC
    event: Event
    number: int = 0  # of the host's installation after the event; 0 without one
