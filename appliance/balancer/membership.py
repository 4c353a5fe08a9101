"""Which members of a front end get connections; pure.

A member leaves by an order of the operator, or because bootstrapping is complete. What
is only not known takes no member out: that is up to the health checks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from appliance.balancer.reports import Report, Reports, answers
from appliance.install.installation import EVERYWHERE, Installation
from appliance.model import FrontEnd, Member


class Admin(StrEnum):
    """What is wanted of a member, by HAProxy's words; whether it gets connections is then up to its health check."""

    READY = "ready"
    DRAIN = "drain"  # keeps its connections, and gets no new ones
    MAINT = "maint"  # gets no new ones, and is not checked


@dataclass(frozen=True, slots=True)
class Standing:
    """What is wanted of one member of one front end, and why."""

    admin: Admin = Admin.READY
    why: str = ""  # in the operator's words; "" for a member that is ready as usual


# By the front end's name and the host's full name; a member that is missing is ready.
Standings: TypeAlias = Mapping[tuple[str, str], Standing]

_ORDERS = {
    "drain": Standing(Admin.DRAIN, "ordered by the operator"),
    "maint": Standing(Admin.MAINT, "ordered by the operator"),
}
_COMPLETE = Standing(Admin.MAINT, "bootstrapping is complete")
_HELD = Standing(Admin.DRAIN, "it is held")
_REINSTALLED = Standing(Admin.DRAIN, "it is to be reinstalled")


def standings(front_ends: Iterable[FrontEnd], installations: Mapping[str, Installation], reports: Reports) -> Standings:
    """Return what is wanted of each member that is not ready as usual.

    *installations* is by the host's full name. Without *reports*, no member leaves because of `hold` or `reinstall`,
    since it may be the last that answers.
    """
    found: dict[tuple[str, str], Standing] = {}
    for front_end in front_ends:
        for member, standing in _standings_of(front_end, installations, reports):
            found[front_end.name, member.host] = standing
    return found


def _standings_of(
    front_end: FrontEnd, installations: Mapping[str, Installation], reports: Reports
) -> list[tuple[Member, Standing]]:
    found: list[tuple[Member, Standing]] = []
    leaving: list[tuple[Member, Standing]] = []
    staying: list[Member] = []
    for member in front_end.members:
        installation = installations.get(member.host)
        decided = None if installation is None else _decided(front_end.service, member, installation)
        if decided is not None:
            found.append((member, decided))
        elif installation is not None and installation.is_leaving:
            leaving.append((member, _HELD if installation.is_held else _REINSTALLED))
        else:
            staying.append(member)

    def report(member: Member) -> Report | None:
        return reports.get((front_end.name, member.host))

    if not any(answers(report(member)) for member in staying):
        kept = _kept([(member, report(member)) for member, _ in leaving])
        leaving = [(member, standing) for member, standing in leaving if member.host not in kept]
    return found + leaving


def _decided(service: str, member: Member, installation: Installation) -> Standing | None:
    """Return what holds for *member* whether or not another one answers; None if nothing does."""
    order = installation.balancer.get(service, installation.balancer.get(EVERYWHERE, ""))
    # An order that this version does not know, of a newer one, takes nothing out.
    if (ordered := _ORDERS.get(order)) is not None:
        return ordered
    # In front ends of one's own too: nothing runs on the bootstrap machine that a cluster needs for longer.
    return _COMPLETE if member.is_backup and installation.bootstrapped_at is not None else None


def _kept(leaving: list[tuple[Member, Report | None]]) -> set[str]:
    """Return which of the *leaving* members stay, because no other answers: one that answers, or all that may."""
    answering = [member.host for member, report in leaving if answers(report)]
    if answering:
        return {answering[-1]}
    return {member.host for member, report in leaving if report is None or not report.is_checked}
