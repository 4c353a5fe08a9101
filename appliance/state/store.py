"""The interface of a store, in the words of the domain: the only way from the registry to a disk.

Two rules hold for every store:

- **A host's installation changes by compare-and-set on (host, revision).** A change
  names the revision that it was made from. If the host has another revision by
  then, nothing is written, and the caller gets the current installation as a value
  (`Conflict`), to start again from. Revisions only rise.
- **A call that changes something returns when every reader of the store sees the
  change.** `Saved.written` completes when the change would also survive a crash of
  this process.

SQLite (`sqlite.py`) has a single writer, so it has no conflicts unless its file was
lost, and a change is written when the call returns. A store that several appliances
share goes beside it: it implements `Store`, and passes tests/unit/state/test_store.py.
"""

from collections.abc import Awaitable, Generator, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from appliance.clock import ClockSetting
from appliance.install.installation import Installation
from appliance.state.events import Row

MAX_EVENTS = 200_000  # installing 1,000 hosts causes about 40,000; 50 MB on disk
KEPT_RECORDS = 10  # the last installations of each host

Facts = Mapping[str, object]


class _AtOnce:
    """An awaitable that is complete: awaiting it does not suspend."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # makes this a generator


AT_ONCE: Awaitable[None] = _AtOnce()


class Kept(NamedTuple):
    """A host's latest installation, and its revision."""

    installation: Installation
    revision: int


class Change(NamedTuple):
    """What a host's installation becomes, made from its *revision*."""

    host: str
    revision: int  # 0 if the store has no installation of this host
    installation: Installation | None  # None to forget the host
    forgets: bool = False  # whether to drop its earlier records too, which are of another machine that had this name


class Saved(NamedTuple):
    """All changes are in the store."""

    revision: int  # of every host that changed
    # Completes when the changes would survive a crash of this process; raises StoreError if they never will.
    written: Awaitable[None] = AT_ONCE


class Conflict(NamedTuple):
    """Nothing was changed, because *host* has another revision than the change named."""

    host: str
    installation: Installation | None  # the current one; None if the store has none
    revision: int  # the current one; 0 if the store has none


class Store(Protocol):
    """Where the state is kept. Any thread may call it; every method but `trouble` may raise StoreError."""

    @property
    def secret(self) -> bytes:
        """32 random bytes, from which tokens are made: the same for as long as the store exists."""

    @property
    def trouble(self) -> str | None:
        """Why changes are not durable at present, for the operator; None while they are."""

    @property
    def notice(self) -> str | None:
        """What the operator must know about how the store was opened, such as a file that was set aside; or None."""

    @property
    def is_lost(self) -> bool:
        """Whether a host without an installation here may have had one that was lost; until `settle_loss`."""

    def settle_loss(self) -> None:
        """Note that an installation in doubt was saved for each such host."""

    def load(self) -> dict[str, Kept]:
        """Return the latest installation of every host, including hosts that are no longer in any cluster.yaml.

        A record that cannot be read is returned as an installation in doubt, so that its host does not install by
        accident.
        """

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first, without those that cannot be read."""

    def clock(self) -> ClockSetting | None:
        """Return the setting of the clock by which the instants in the installations are; None if none was saved."""

    def save(
        self, changes: Sequence[Change], rows: Sequence[Row] = (), clock: ClockSetting | None = None
    ) -> Saved | Conflict:
        """Change installations and append events, and keep *clock* if it is given.

        It does all of that, or nothing and returns the first conflict.

        The last KEPT_RECORDS installations of each host and about MAX_EVENTS events are kept; see `shares`.
        """

    def events(self, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first; only those of *host* and its installation *number* if given."""

    def position(self, host: str, back: int) -> int:
        """Return the id of the event that is *back* before the latest one (of *host*, if given); 0 if there is none."""

    def events_after(self, position: int, host: str, limit: int) -> list[Row]:
        """Return the first *limit* events (of *host*, if given) with a higher id than *position*, oldest first."""

    def strangers(self) -> list[dict[str, object]]:
        """Return the facts of the unknown machines, least recently seen first."""

    def save_strangers(self, strangers: Iterable[tuple[str, float, Facts]]) -> None:
        """Replace the unknown machines; each is its MAC address, when it was last seen (seconds UTC), and its facts."""

    def serial_of(self, zone: str, digest: str, least: int = 0) -> int:
        """Return the SOA serial of *zone* with the content *digest*: at least *least*, and it never falls.

        The same content gets the same serial; see `serials.serial_after`.
        """

    def sync(self) -> None:
        """Make what was saved survive a loss of power; blocks for as long as the disk takes."""

    def retry(self, installations: Iterable[Installation]) -> None:
        """While there is `trouble`, try to write everything, with the hosts' current *installations*, to the disk.

        `trouble` is None after it has worked.
        """

    def close(self) -> None:
        """Close the store. No other call may follow."""
