"""The registry as its readers see it: these types allow no change.

Status, metrics, recorder, dashboard and control socket get the registry as a
`RegistryView`. It is the registry itself and not a copy, so it must be read in the
loop's thread; other threads copy a collection before they iterate over it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from appliance import events
from appliance.install.certificates import IgnitionState
from appliance.install.installation import Condition, Installation
from appliance.install.strangers import Stranger
from appliance.model import Cluster, Host
from appliance.state.events import Row


class ActivityView(Protocol):
    """A host's latest transfer, and when the host was last heard from; see `install.activity.Activity`."""

    @property
    def seen_at(self) -> float: ...
    @property
    def what(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def sent(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def began_at(self) -> float: ...
    @property
    def moved_at(self) -> float: ...
    @property
    def is_under_way(self) -> bool: ...
    @property
    def asked_config_at(self) -> float: ...
    @property
    def asked_api_at(self) -> float: ...


class StrangersView(Protocol):
    """The unknown machines; see `install.strangers.Strangers`."""

    def __len__(self) -> int: ...
    def latest(self) -> list[Stranger]:
        """Return the machines, most recently seen first."""


class CertificatesView(Protocol):
    """The Ignition files; see `install.certificates.CertificateClock`."""

    def states(self) -> list[IgnitionState]:
        """Return the files that exist and that a host may still need, by path."""


class HistoryView(Protocol):
    """The kept installations and events; see `state.journal.Journal`. Any thread may call it."""

    @property
    def trouble(self) -> str | None:
        """Why changes are not durable at present; None while they are."""

    @property
    def notice(self) -> str | None:
        """What the operator must know about how the store was opened; or None."""

    def records(self, host: str) -> list[Installation]:
        """Return the kept installations of *host*, oldest first."""

    def events(self, host: str = "", number: int | None = None, limit: int = 1000) -> list[Row]:
        """Return the last *limit* events, oldest first; only those of *host* and its installation *number* if given."""

    def pages(self, host: str, limit: int) -> Iterator[list[Row]]:
        """Yield the last *limit* events (of *host*, if given), oldest first, some at a time."""


class RegistryView(Protocol):
    """The clusters, their hosts, and what is known about each. Every mapping is by the host's full name."""

    @property
    def clusters(self) -> Sequence[Cluster]: ...
    @property
    def hosts(self) -> Mapping[str, Host]: ...
    @property
    def cluster_of(self) -> Mapping[str, Cluster]: ...
    @property
    def installations(self) -> Mapping[str, Installation]: ...
    @property
    def activity(self) -> Mapping[str, ActivityView]: ...
    @property
    def certificates(self) -> CertificatesView: ...
    @property
    def strangers(self) -> StrangersView: ...
    @property
    def refusals(self) -> Iterable[tuple[float, events.WebRefused]]:
        """The latest requests that were answered with an error, each with its time, oldest first."""

    @property
    def bytes(self) -> Mapping[tuple[str, ...], int]:
        """The bytes sent, by (host, kind of file)."""

    @property
    def journal(self) -> HistoryView: ...

    def now(self) -> float:
        """Return the time by which its instants are, in seconds UTC. Any thread may call it."""

    def named(self, names: Iterable[str]) -> list[Host]:
        """Return the hosts with these full or short names; raises ControlError for an unknown or ambiguous name."""

    def condition(self, installation: Installation, now: float) -> Condition | None:
        """Return what keeps a host from making progress at *now*, seconds UTC."""
