"""Which changes of the load balancer's members the operator reads (pure)."""

from collections.abc import Iterator

from appliance.balancer.membership import Admin, Standing, Standings
from appliance.balancer.reports import Report, Reports
from appliance.events import MemberAnswers, MemberFails, MemberMoved

_READY = Standing()


class MemberNews:
    """Remembers what was told of each member.

    What the members are when the appliance starts beside a running HAProxy is no news,
    and a host that was not installed yet is not missed.
    """

    def __init__(self) -> None:
        self._admins: dict[tuple[str, str], str] = {}
        self._answers: dict[tuple[str, str], bool] = {}

    def of(
        self, reports: Reports, standings: Standings, *, was_running: bool
    ) -> Iterator[MemberMoved | MemberAnswers | MemberFails]:
        """Yield the events since the last call. *was_running* is whether HAProxy ran before the appliance did."""
        is_first = was_running and not self._admins
        for key, report in reports.items():
            yield from self._moved(key, report, standings.get(key, _READY))
            yield from self._checked(key, report, is_first=is_first)
        for gone in self._admins.keys() - reports.keys():
            # A host that was removed from cluster.yaml; one that comes back is a new one.
            del self._admins[gone]
            self._answers.pop(gone, None)

    def _moved(self, key: tuple[str, str], report: Report, standing: Standing) -> Iterator[MemberMoved]:
        before = self._admins.get(key)
        self._admins[key] = report.admin
        if before not in {None, report.admin}:
            why = standing.why if standing.admin == report.admin else "not by the appliance"
            yield MemberMoved(key[1], key[0], report.admin, why)

    def _checked(
        self, key: tuple[str, str], report: Report, *, is_first: bool
    ) -> Iterator[MemberAnswers | MemberFails]:
        front_end, host = key
        if not report.is_checked or report.admin == Admin.MAINT:
            return
        answered = self._answers.get(key, False)
        self._answers[key] = report.is_up
        if is_first:
            return
        if report.is_up and not answered:
            yield MemberAnswers(host, front_end)
        # The end of a member that gets no connections any more is what everybody waits for.
        elif answered and not report.is_up and report.admin == Admin.READY:
            yield MemberFails(host, front_end, report.check)
