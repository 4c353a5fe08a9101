"""When the certificates in Ignition files expire, and when to warn the operator."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.events import CertificatesDying, Event, FileUnservable, IgnitionLoaded, IgnitionRefused
from appliance.install.installation import Installation
from appliance.model import Cluster
from appliance.openshift.ignition import WARNING_SECONDS, remedy

IGNITION_ENDING = ".ign"
DELETE_HINT = "it holds the cluster's private keys and the pull secret, and nobody needs it any more: delete it"


@dataclass(frozen=True, slots=True)
class IgnitionState:
    """What is known about one Ignition file."""

    path: str
    version: str  # of the specification
    expires_at: float | None  # seconds UTC; None when it holds no certificates
    problem: str  # why the file on disk is not served; "" when it is


class CertificateClock:
    """The Ignition files that were loaded, each with the time when it expires."""

    def __init__(self, is_needed: Callable[[Path], bool]) -> None:
        """*is_needed* says whether a host may still need a file."""
        self._is_needed = is_needed
        self._states: dict[str, IgnitionState] = {}
        self._warned: dict[str, int] = {}  # path → 1 once the first warning went out, 2 once it has expired

    def hear(self, event: Event) -> None:
        """Record that a file was read, or why it could not be.

        What keeps a file from one host is no problem of the file: it may pass without a new one.
        """
        if isinstance(event, IgnitionLoaded):
            expires_at = datetime.fromisoformat(event.expires_at).timestamp() if event.expires_at else None
            self._states[event.path] = IgnitionState(event.path, event.version, expires_at, "")
            self._warned.pop(event.path, None)
        elif isinstance(event, IgnitionRefused) or (
            isinstance(event, FileUnservable) and not event.host and event.path.endswith(IGNITION_ENDING)
        ):
            before = self._states.get(event.path)
            self._states[event.path] = IgnitionState(
                event.path, before.version if before else "", before.expires_at if before else None, event.why
            )

    def states(self) -> list[IgnitionState]:
        """Return the files that exist and that a host may still need, by path."""
        known = sorted(self._states.items())
        return [state for path, state in known if _may_be_there(path) and self._is_needed(Path(path))]

    def warnings(self, now: float) -> list[CertificatesDying]:
        """Return the warnings due at *now*, seconds UTC; each is returned once for as long as a host needs the file."""
        found = []
        states = self.states()
        self._warned = {state.path: self._warned.get(state.path, 0) for state in states}
        for state in states:
            if state.expires_at is None:
                continue
            left_seconds = state.expires_at - now
            due = 2 if left_seconds <= 0 else 1 if left_seconds < WARNING_SECONDS else 0
            if due > self._warned[state.path]:
                self._warned[state.path] = due
                found.append(CertificatesDying("", state.path, int(left_seconds), remedy(Path(state.path).name)))
        return found


def unneeded(clusters: Iterable[Cluster], installations: Mapping[str, Installation]) -> list[Path]:
    """Return the Ignition files of bootstrap machines that are on disk although bootstrapping is complete."""
    needed: dict[Path, bool] = {}  # by path: clusters may share a data directory
    for cluster in clusters:
        for host in cluster.hosts:
            if host.is_bootstrap and host.ignition:
                path, installation = cluster.data_dir / "ignition" / host.ignition, installations.get(host.name)
                is_over = installation is not None and installation.bootstrapped_at is not None
                needed[path] = needed.get(path, False) or not is_over
    return [path for path, is_needed in needed.items() if not is_needed and _may_be_there(str(path))]


def _may_be_there(path: str) -> bool:
    """Whether the file exists, or nobody can say, because its directory may not be entered or the disk fails."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
