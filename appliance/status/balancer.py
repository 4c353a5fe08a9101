"""The load balancer as JSON: a row for each member of each front end, and what is wrong (pure)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from appliance.balancer.membership import Standing, Standings
from appliance.balancer.reports import Report, Reports, state_of
from appliance.balancer.view import BalancerView
from appliance.model import FrontEnd, Member
from appliance.status.shapes import BalancerRow, BalancerStatus, TrialRow

if TYPE_CHECKING:  # imported only when a load balancer of others is tried
    from appliance.balancer.external import Trial


def balancer_status(balancer: BalancerView) -> BalancerStatus:
    """Return the rows of *balancer*, and what is wrong with it."""
    found = rows(balancer.front_ends, balancer.standings, balancer.reports)
    # One without members has no row that would say so.
    empty = [front_end.name for front_end in balancer.front_ends if not front_end.members]
    return {"rows": found, "trouble": balancer.trouble or "", "unanswered": [*unanswered(found), *empty]}


def rows(front_ends: Iterable[FrontEnd], standings: Standings, reports: Reports) -> list[BalancerRow]:
    """Return a row for each member of each front end, in the order of the configuration."""
    return [
        _row(
            front_end,
            member,
            standings.get((front_end.name, member.host), Standing()),
            reports.get((front_end.name, member.host)),
        )
        for front_end in front_ends
        for member in front_end.members
    ]


def unanswered(found: Iterable[BalancerRow]) -> list[str]:
    """Return the front ends that are known to have no member that gets connections."""
    states: dict[str, set[str]] = {}
    for row in found:
        states.setdefault(row["front_end"], set()).add(row["state"])
    return [name for name, of_members in states.items() if not of_members & {"up", "unknown"}]


def trial_row(cluster: str, trial: "Trial") -> TrialRow:
    """Return what came of trying one address of a front end of *cluster*."""
    return {
        "cluster": cluster,
        "front_end": trial.target.front_end.name,
        "address": str(trial.target.endpoint),
        "is_well": trial.is_well,
        "words": trial.words,
        "hint": trial.hint,
    }


def _row(front_end: FrontEnd, member: Member, standing: Standing, report: Report | None) -> BalancerRow:
    return {
        "front_end": front_end.name,
        "binds": [str(endpoint) for endpoint in front_end.binds],
        "host": member.host,
        "name": member.name,
        "address": str(member.address),
        "port": front_end.port,
        "is_backup": member.is_backup,
        "wanted": standing.admin.value,
        "why": standing.why,
        "state": state_of(report),
        "since": report.since if report else None,
        "check": report.check if report else "",
        "current": report.current if report else 0,
        "total": report.total if report else 0,
    }
