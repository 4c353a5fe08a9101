"""The metrics of the load balancer. Without one, they have no samples."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from appliance.balancer.membership import Admin, Standing
from appliance.balancer.reports import STATES, state_of
from appliance.balancer.view import BalancerView
from appliance.metrics.described import Counts, counter, gauge, under

Samples = dict[tuple[str, ...], float]


def of_balancer(balancer: BalancerView | None, log: Counts) -> Iterator[Metric]:
    """Yield the metrics of *balancer*, and of what was read in HAProxy's log."""
    states, wanted, now, total = Samples(), Samples(), Samples(), Samples()
    general = {"balancer_up": Samples(), "balancer_trouble": Samples()}
    if balancer is not None:
        reports, standings = balancer.reports, balancer.standings  # each is replaced as a whole
        general = {"balancer_up": {(): bool(reports)}, "balancer_trouble": {(): balancer.trouble is not None}}
        for front_end in balancer.front_ends:
            found = {member: reports.get((front_end.name, member.host)) for member in front_end.members}
            at_state = Counter(state_of(report) for report in found.values())
            states |= {(front_end.name, state): at_state[state] for state in STATES}
            to_get = [standings.get((front_end.name, member.host), Standing()).admin for member in found]
            wanted[front_end.name,] = to_get.count(Admin.READY)
            for member, report in found.items():
                if report is not None:
                    now[front_end.name, member.name] = report.current
                    total[front_end.name, member.name] = report.total
    yield from (gauge(name, samples) for name, samples in general.items())
    yield gauge("balancer_members", states)
    yield gauge("balancer_members_wanted", wanted)
    yield gauge("balancer_connections", now)
    yield counter("balancer_connections_total", total)
    yield counter("balancer_client_connections_total", under(log, "connection"))
    yield counter("balancer_log_lines_total", under(log, "line"))
