"""What HAProxy says of its servers, as values."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from appliance.balancer.runtime import CERTIFICATE_FOR_ANOTHER, NO_HANDSHAKE, ServerStat
from appliance.model import FrontEnd


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one member of one front end."""

    is_up: bool  # gets connections if it is ready, or would
    is_checked: bool  # a health check has ended, so that `is_up` is more than an assumption
    admin: str  # ready, drain or maint, as HAProxy has it
    since: float  # when it changed between up and down, in seconds UTC
    check: str  # the result of the last health check, in words: "passed: HTTP 200", "failed: connection refused"
    checked_ms: int | None  # how long that check took
    current: int  # connections now
    total: int  # connections since the appliance and HAProxy were started


# How a report begins of a member whose certificate was signed by somebody else, and of one that is for another name.
NOT_TRUSTED = "failed: certificate not trusted"
OTHER_NAME = f"failed: {CERTIFICATE_FOR_ANOTHER}"
# By the front end's name and the host's full name.
Reports: TypeAlias = Mapping[tuple[str, str], Report]

STATES = ("up", "down", "drain", "maint", "unknown")


def answers(report: Report | None) -> bool:
    """Whether a member is known to pass its health check."""
    return report is not None and report.is_up and report.is_checked


def state_of(report: Report | None) -> str:
    """Return whether a member gets connections, as HAProxy says, not as it should: one of STATES."""
    if report is None:
        return "unknown"
    if report.admin != "ready":
        return report.admin
    # HAProxy takes a server for up until its first health check has ended; nobody knows yet.
    if not report.is_checked:
        return "unknown"
    return "up" if report.is_up else "down"


def reports_of(
    front_ends: Iterable[FrontEnd],
    stats: Mapping[tuple[str, str], ServerStat],
    admins: Mapping[tuple[str, str], str],
    before: Reports,
    now: float,
    verified: Container[str] = (),
) -> dict[tuple[str, str], Report]:
    """Return a report of each member that HAProxy knows; *before* are those of its last answer.

    *verified* has the names of the front ends whose members' certificates are verified.
    """
    found = {}
    for front_end in front_ends:
        for member in front_end.members:
            server, key = (front_end.name, member.name), (front_end.name, member.host)
            stat, admin = stats.get(server), admins.get(server)
            if stat is not None and front_end.name in verified and stat.check == f"failed: {NO_HANDSHAKE}":
                stat = replace(stat, check=f"{NOT_TRUSTED}, or no TLS")
            if stat is not None and admin is not None:
                found[key] = _report(stat, admin, before.get(key), now)
    return found


def _report(stat: ServerStat, admin: str, before: Report | None, now: float) -> Report:
    is_checked, check, checked_ms = stat.is_checked, stat.check, stat.checked_ms
    # A worker that has just been started by a reload knows from the one before who is up, and has checked nobody yet.
    if not is_checked and admin != "maint" and before is not None and before.is_checked and before.is_up == stat.is_up:
        is_checked, check, checked_ms = True, before.check, before.checked_ms
    since = now - stat.seconds
    # HAProxy counts whole seconds, so the moment would tremble.
    if before is not None and before.is_up == stat.is_up and abs(since - before.since) < 2.0:
        since = before.since
    return Report(stat.is_up, is_checked, admin, since, check, checked_ms, stat.current, stat.total)


class Totals:
    """Counts connections over all workers: each begins at 0, and a reload starts a new one."""

    def __init__(self) -> None:
        self._pid = 0
        self._before: dict[tuple[str, str], int] = {}  # by workers that were replaced
        self._last: Mapping[tuple[str, str], ServerStat] = {}

    def over_workers(
        self, pid: int, stats: Mapping[tuple[str, str], ServerStat], current: Mapping[tuple[str, str], int]
    ) -> Mapping[tuple[str, str], ServerStat]:
        """Return the *stats* of the worker *pid* with the connections of those before it.

        *current* are those that they still have.
        """
        if pid != self._pid:
            for server, stat in self._last.items():
                self._before[server] = self._before.get(server, 0) + stat.total
            self._before = {server: total for server, total in self._before.items() if server in stats}
            self._pid = pid
        self._last = stats
        if not current and not any(self._before.values()):
            return stats
        return {
            server: replace(
                stat,
                current=stat.current + current.get(server, 0),
                total=stat.total + self._before.get(server, 0),
            )
            for server, stat in stats.items()
        }
