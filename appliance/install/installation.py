"""The record of one installation of one host: how far it has come, and what its next network boot does.

A record is one try. A machine that starts again from the network before it is
installed has lost what it had in memory, so once it has shown that it did, a new
record begins. The tries share their token, so that none of them can take it from
another; the operator's `reinstall` begins a record with a new one.
`appliance.install.lifecycle` has the transitions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum, StrEnum
from operator import attrgetter

from appliance.model import Boot, DhcpMode, Install, Loader

# No installer unpacks more downloaded bytes than this in a second: gzip and xz are slower on any machine.
WRITE_BYTES_PER_SECOND = 100e6
# Firmware takes longer than this to start, so a shorter write needs no clock.
LEAST_WRITE_SECONDS = 1.0
# A live system that installs a whole cluster, or takes part in that, works for a quarter of an hour and more before it
# reboots into what it wrote. No such machine is back sooner than this: it has to load containers, to agree with others
# or to start a control plane, and to write its disk. Who is back sooner was reset.
LEAST_INSTALLATION_SECONDS: Mapping[Boot, float] = {Boot.AGENT: 180.0, Boot.NODE_IMAGE: 180.0, Boot.IN_PLACE: 300.0}
# The key in Installation.repeats of a host whose last script told it to wait for the machine config server.
TOLD_TO_WAIT = "wait"
# The doubt of a host that may or may not have written its disk before the appliance's machine was rebooted.
CLOCK_UNCLEAR = "clock-unclear"
# The doubt of a host that may be a running node, because of a query that anyone could have sent.
MAY_BE_RUNNING = "may-be-running"
# A running node asks for api-int every few seconds. One note a minute shows that, and costs the disk nothing.
SIGN_SECONDS = 60.0
# A look that ends this long after a query still shows who sent it. ARP gives up after 3 s, and a connection after a few
# more; a machine that is reset takes longer to reach its firmware, where nothing would listen.
LOOK_SECONDS = 15.0
# How long the doubt stays after the last query. A node that restarts asks again sooner, even after a long self-test.
LAPSE_SECONDS = 900.0
# In Installation.balancer: the key of an order for every front end, and the order that takes others back.
EVERYWHERE, READY = "", "ready"
# The condition of a host that needs a file which cannot be served.
FILE_MISSING = "file-missing"


class Stage(IntEnum):
    """How far an installation has come; within one record it never goes back. The numbers are on disk."""

    WAITING = 0  # nothing seen yet
    FIRMWARE = 1  # DHCP as a PXE or HTTP client
    LOADER = 2  # has fetched its boot file
    BOOTLOADER = 3  # iPXE has asked for DHCP, or GRUB for its configuration
    SCRIPT = 4  # has fetched the menu or its own script
    KERNEL = 5
    INITRAMFS = 6
    IMAGE = 7  # the rootfs (live releases) or the raw disk image (legacy)
    IGNITION = 8  # has its Ignition and its whole image
    INSTALLED = 9
    BOOTED = 10  # DHCP without network boot options after that
    JOINING = 11  # its system asks for api-int


class Order(StrEnum):
    """What a host's next network boot does."""

    INSTALL = "install"
    LOCAL = "local"  # boots from the disk
    HOLD = "hold"  # waits in iPXE until it is released


@dataclass(frozen=True, slots=True)
class Condition:
    """A problem that keeps a host from making progress."""

    name: str
    hint: str  # the likely cause and the remedy, for the operator
    since: float  # seconds UTC


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a machine's firmware loads with `loader: auto`, and how that went: see `install.recipes`."""

    firmware: str = ""  # the class of its firmware
    loader: str = ""  # by its name; "" for a machine that has no experience of its own
    block_bytes: int = 0  # the most that a TFTP block has; 0 for as many as fit the path
    loaded: str = ""  # the boot file that it fetched last, whole, since it last fetched a script
    loaded_at: float | None = None  # None also once nothing has followed for long
    loads: int = 0  # how often it has fetched that, with nothing that followed
    is_refused: bool = False  # its firmware was back at once after that
    breaks: int = 0  # TFTP transfers in a row that broke off
    tried: str = ""  # the loaders that did not start, since one last did
    worked: str = ""  # the loader with which it last reached its script
    worked_at: float | None = None
    worked_on: str = ""  # the class of its firmware then; a forged message later makes it no other machine's

    @property
    def at_first(self) -> "Recipe":
        """The recipe of the same machine when it begins anew: what worked."""
        worked = Recipe(worked=self.worked, worked_at=self.worked_at, worked_on=self.worked_on)
        return replace(worked, firmware=self.firmware, loader=self.worked, block_bytes=self.block_bytes)


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of one host. Every float is an instant in seconds UTC: see `install.instants`."""

    host: str
    number: int = 1  # counts this host's installations from 1
    token: str = ""  # the unguessable part of its Ignition path, the same for all tries until the host is installed
    order: Order = Order.INSTALL
    stage: Stage = Stage.WAITING
    reached: Mapping[Stage, float] = field(default_factory=dict)  # when each stage was reached
    boots_live: bool = False  # a live system (4.6 and later), which fetches a rootfs
    boot: Boot = Boot.INSTALLER  # what it boots
    mac: str = ""  # of the interface that it boots from
    arch: str = ""  # as its DHCP client reports it
    # `begin` starts both with False. A record of a version that did not note them is believed.
    has_dhcp: bool = True  # our DHCP server has answered it in this installation
    has_fetched: bool = True  # it has fetched all of what comes before Ignition: the rootfs, or a legacy initramfs
    is_held: bool = False
    returned_at: float | None = None  # when its firmware or iPXE asked again, which shows no reset by itself
    window_opened_at: float | None = None  # when its script last went out, or its Ignition was last put off
    delivered_at: float | None = None  # when its Ignition first went out
    image_bytes: int = 0  # size of the whole rootfs or disk image
    lacks_image: bool = True  # a disk image that it needs is not complete yet
    ready_at: float | None = None  # when it had everything to write its disk
    is_settled: bool = False  # has also had the time to write its disk
    early_returns: int = 0  # tries in a row that were ready and came back before they were settled
    tries: int = 0  # records before this one that ended before the host was installed
    ended_at: Stage = Stage.WAITING  # the stage at which the last of them ended
    repeats: Mapping[str, int] = field(default_factory=dict)  # what happened again since the last new stage
    recipe: Recipe = field(default_factory=Recipe)  # what its firmware loads, with `loader: auto`
    knocking_since: float | None = None  # firmware of an installed host asked again, and no system has started since
    knocked_at: float | None = None
    doubt: Condition | None = None  # why its disk may hold what must not be wiped; it waits until that is settled
    asked_at: float | None = None  # when a query that proves nothing last suggested that a system of it runs
    looked_at: float | None = None  # when our own look, right after such a query, last found no system of it
    complaint: Condition | None = None  # raised by a single event, such as a refusal
    condition: Condition | None = None  # what `conditions.judged` concludes from all of this
    reinstalled_at: float | None = None  # when `reinstall` began this installation; None in others
    bootstrapped_at: float | None = None  # of the bootstrap machine: when bootstrapping was complete
    bootstrapped_by: str = ""  # who said so: checks, operator …
    # What the operator ordered of the load balancer, by front end: drain, maint, or ready, which excepts a front end
    # from an order for all. Ready for all keeps a bootstrap machine that the checks would find to be done with.
    balancer: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_reinstalling(self) -> bool:
        """Whether the operator ordered `reinstall`, and that is not done.

        Once the disk is written anew, the system before that is gone for certain.
        """
        return self.reinstalled_at is not None and not self.is_done

    @property
    def is_leaving(self) -> bool:
        """Whether the operator's order takes it away: `hold`, or `reinstall` until that is done."""
        return self.is_held or self.is_reinstalling

    @property
    def asks_early(self) -> bool:
        """Whether its initramfs asks for Ignition, before its image is there; else its rootfs does."""
        return not self.boots_live or self.boot is Boot.IN_PLACE

    @property
    def is_done(self) -> bool:
        """Whether it counts as written to the disk."""
        return self.is_settled or self.stage >= Stage.INSTALLED

    @property
    def is_told_to_wait(self) -> bool:
        """Whether its last script told it to wait for the machine config server."""
        return TOLD_TO_WAIT in self.repeats

    @property
    def lapses_at(self) -> float | None:
        """When its doubt ends by itself; None where it has none, or where nobody has looked whether a system runs."""
        if self.asked_at is None or self.looked_at is None or self.looked_at < self.asked_at:
            return None
        return self.asked_at + LAPSE_SECONDS

    def is_sign_due(self, now: float) -> bool:
        """Whether another query that proves nothing would be news at *now*, seconds UTC."""
        return self.asked_at is not None and now - self.asked_at >= SIGN_SECONDS

    def awaits_look(self, now: float) -> bool:
        """Whether a look that finds no system at *now*, seconds UTC, lets its doubt end by itself."""
        # Later than that the node may have gone, to come back as firmware: then the look shows nothing.
        return self.asked_at is not None and self.lapses_at is None and 0 <= now - self.asked_at <= LOOK_SECONDS

    @property
    def write_seconds(self) -> float:
        """The least time that installing takes from here, in seconds; 0 where no clock is needed."""
        seconds = self.image_bytes / WRITE_BYTES_PER_SECOND
        least = LEAST_INSTALLATION_SECONDS.get(self.boot)
        if least is not None:
            return 0.0 if seconds < LEAST_WRITE_SECONDS else max(seconds, least)
        # A host that came back early once before is either this fast, or fails at this point every time.
        # In both cases another wait would only make it install once more.
        return 0.0 if seconds < LEAST_WRITE_SECONDS or self.early_returns else seconds


@dataclass(frozen=True, slots=True)
class Rules:
    """What cluster.yaml says about the installations of a host."""

    install: Install
    boots_live: bool
    token_of: Callable[[str, int], str]  # host and number of the installation → token
    dhcp: DhcpMode = DhcpMode.FULL
    boot: Boot = Boot.INSTALLER
    # Its live system starts the cluster's control plane, and so asks for api-int as a node does.
    leads: bool = False
    loader: Loader | str = Loader.AUTO
    has_file: Callable[[str], bool] = lambda _path: False  # whether there is a boot file with this path
    beginnings: Mapping[str, Loader] = field(default_factory=dict)  # where AUTO begins, by class of firmware


def begin(host: str, rules: Rules, number: int = 1) -> Installation:
    """Return the record of a host of which nothing has been seen yet."""
    fresh = Installation(
        host,
        number,
        token=rules.token_of(host, number),
        boots_live=rules.boots_live,
        boot=rules.boot,
        has_dhcp=False,
        has_fetched=False,
    )
    # A live system is itself the image. It lacks one only if it requests a disk image, or asks for Ignition first.
    fresh = replace(fresh, lacks_image=fresh.asks_early)
    return replace(fresh, order=order_of(fresh, rules.install))


def order_of(installation: Installation, install: Install) -> Order:
    """Return what the host's next network boot does."""
    if installation.is_held or (installation.doubt is not None and install is not Install.NEVER):
        return Order.HOLD
    if install is Install.ALWAYS:
        return Order.INSTALL
    return Order.LOCAL if installation.is_done or install is Install.NEVER else Order.INSTALL


def needs_ignition(installation: Installation, install: Install) -> bool:
    """Return whether the host may need its Ignition file before an operator orders anything."""
    return install is Install.ALWAYS or (install is Install.ONCE and not installation.is_done)


def again(installation: Installation, rules: Rules) -> Installation:
    """Return the record of a new try, which ends *installation*."""
    was_installed = installation.stage >= Stage.INSTALLED
    fresh = begin(installation.host, rules, installation.number + 1)
    # A host that was kept waiting proves nothing by its tries.
    starts_over = was_installed or installation.is_held or installation.doubt is not None
    return replace(
        fresh,
        # If the other try still runs after all, its installer takes the 403 to another token for final.
        token=fresh.token if was_installed else installation.token,
        mac=installation.mac,
        arch=installation.arch,
        is_held=installation.is_held,
        doubt=installation.doubt,
        asked_at=installation.asked_at,
        looked_at=installation.looked_at,
        tries=0 if starts_over else installation.tries + 1,
        ended_at=installation.stage,
        recipe=installation.recipe,
        early_returns=0 if was_installed or installation.ready_at is None else installation.early_returns + 1,
        reinstalled_at=None if was_installed else installation.reinstalled_at,
        # A bootstrap machine that boots again, whatever it does then, begins no new bootstrapping.
        bootstrapped_at=installation.bootstrapped_at,
        bootstrapped_by=installation.bootstrapped_by,
        balancer=installation.balancer,
    )


def reach(installation: Installation, stage: Stage | None, at: float, repeat: str = "") -> Installation:
    """Return the installation at *stage*; unchanged if it has come that far already, or if *stage* is None.

    A new stage clears all counts and the complaint, and counts *repeat* once. It shows that this try goes on.
    """
    if stage is None or installation.stage >= stage:
        return installation
    # IGNITION already has a time if a legacy installer fetched the file before the image.
    reached = installation.reached if stage in installation.reached else {**installation.reached, stage: at}
    repeats = {repeat: 1} if repeat else {}
    return replace(installation, stage=stage, reached=reached, repeats=repeats, complaint=None, returned_at=None)


_NAMES = tuple(each.name for each in fields(Installation))
_VALUES = attrgetter(*_NAMES)
_REPEATS = _NAMES.index("repeats")


def count(installation: Installation, repeat: str) -> Installation:
    """Return the installation with *repeat* counted once more."""
    # `dataclasses.replace` takes twice as long, and a host in a loop is counted ten times a second.
    values = list(_VALUES(installation))
    values[_REPEATS] = {**installation.repeats, repeat: installation.repeats.get(repeat, 0) + 1}
    return Installation(*values)


def without_doubt(installation: Installation) -> Installation:
    """Return the installation with the doubt about its disk settled."""
    return replace(installation, doubt=None, asked_at=None, looked_at=None)
