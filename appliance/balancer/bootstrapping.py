"""Whether bootstrapping is complete, as the health checks show it; without a clock or a socket.

The cluster no longer needs its bootstrap machine once every master has answered on the
API's port for a minute, and the machine config server on one. The masters of an
earlier cluster may answer while a new one is installed, so two things must be true:

- the bootstrap machine has run: its disk was written, or it has passed a check itself;
- if the operator ordered `reinstall` of it, each master got its Ignition after that.

Where that cannot be seen, the operator says it (`ocp-appliance balancer drain`). Until
then the bootstrap machine stays as a backup, which gets no connections while a master
answers.
"""

from collections.abc import Iterable, Mapping, Sequence

from appliance.balancer.compile import API, MACHINE_CONFIG
from appliance.balancer.reports import Reports, answers
from appliance.events import BootstrapCompleted
from appliance.install.installation import EVERYWHERE, READY, Installation, Stage
from appliance.model import FrontEnd, Member

HOLD_SECONDS = 60.0  # for which every master must have answered without a break
GAP_SECONDS = 10.0  # without reports for longer, nobody knows whether there was a break
BY_CHECKS = "checks"


class Bootstrapping:
    """The bootstrap machines of all clusters, and since when their masters answer."""

    def __init__(self, installations: Mapping[str, Installation]) -> None:
        """*installations* is by the host's full name, and is read at each observation."""
        self._installations = installations
        self._since: dict[str, float] = {}  # bootstrap machine → since when every master has answered
        self._has_run: dict[str, int] = {}  # bootstrap machine → the number of its installation that passed a check
        self._observed_at = float("-inf")

    def observe(self, front_ends: Sequence[FrontEnd], reports: Reports, now: float) -> list[BootstrapCompleted]:
        """Return the events to publish after fresh *reports*.

        *now* is in seconds of a clock that does not go back. Without fresh reports, this must not be called.
        """
        if now - self._observed_at > GAP_SECONDS:
            self._since.clear()
        self._observed_at = now
        bootstraps = dict.fromkeys(
            member.host for front_end in front_ends for member in front_end.members if member.is_backup
        )
        self._since = {host: since for host, since in self._since.items() if host in bootstraps}
        found = (self._observe(host, front_ends, reports, now) for host in bootstraps)
        return [event for event in found if event is not None]

    def _observe(
        self, bootstrap: str, front_ends: Sequence[FrontEnd], reports: Reports, now: float
    ) -> BootstrapCompleted | None:
        # An operator's own front end may have it too, with others, and checks what it likes.
        standard = [each for each in front_ends if each.service in (API, MACHINE_CONFIG)]
        own = [each for each in standard if any(_is_of(member, bootstrap) for member in each.members)]
        record = self._installations.get(bootstrap)
        if record is None or not self._may_be_complete(bootstrap, record, own, reports):
            self._since.pop(bootstrap, None)
            return None
        apis = [each for each in own if each.service == API]
        masters = dict.fromkeys(member.host for each in apis for member in each.members if not member.is_backup)
        is_met = (
            all(answers(reports.get((each.name, host))) for each in apis for host in masters)
            and any(
                answers(reports.get((each.name, host)))
                for each in own
                if each.service == MACHINE_CONFIG
                for host in masters
            )
            and all(self._is_of_this_installation(host, record) for host in masters)
        )
        if not is_met:
            self._since.pop(bootstrap, None)
            return None
        if now - self._since.setdefault(bootstrap, now) < HOLD_SECONDS:
            return None
        why = f"the API server of every master has answered for {HOLD_SECONDS:.0f} seconds, and a machine config server"
        return BootstrapCompleted(bootstrap, BY_CHECKS, why)

    def _may_be_complete(self, bootstrap: str, record: Installation, own: Iterable[FrontEnd], reports: Reports) -> bool:
        """Whether the bootstrap machine has run, and nobody has decided about it yet."""
        if any(answers(reports.get((each.name, bootstrap))) for each in own):
            self._has_run[bootstrap] = record.number
        is_decided = record.bootstrapped_at is not None or record.balancer.get(EVERYWHERE) == READY
        return not is_decided and (record.is_done or self._has_run.get(bootstrap) == record.number)

    def _is_of_this_installation(self, master: str, bootstrap: Installation) -> bool:
        """Whether *master* was not installed before its *bootstrap*'s new installation, and is not to be."""
        record = self._installations.get(master)
        if record is None or record.is_reinstalling:
            return False
        if bootstrap.reinstalled_at is None:
            return True
        return record.reached.get(Stage.IGNITION, float("-inf")) > bootstrap.reinstalled_at


def _is_of(member: Member, bootstrap: str) -> bool:
    return member.is_backup and member.host == bootstrap
