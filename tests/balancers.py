"""Load balancers as a reader sees them: what HAProxy said, without HAProxy."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from appliance.balancer.compile import front_ends
from appliance.balancer.membership import Admin, Standing
from appliance.balancer.reports import Report
from appliance.model import Cluster, Engine, FrontEnd, LoadBalancer
from tests.boots import LIVE

API, MACHINE_CONFIG = "api-6443", "machine-config-22623"
BALANCED = replace(LIVE, load_balancer=LoadBalancer(Engine.HAPROXY))
PASSED, REFUSED = "passed: HTTP 200", "failed: connection refused"


@dataclass
class Heard:
    """A load balancer whose HAProxy has said what a test lets it say."""

    cluster: Cluster = BALANCED
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    reports: dict[tuple[str, str], Report] = field(default_factory=dict)
    trouble: str | None = None

    @property
    def front_ends(self) -> tuple[FrontEnd, ...]:
        return front_ends(self.cluster)

    def has_master(self, _cluster: str) -> bool | None:
        return None

    def host(self, name: str) -> str:
        """Return the full name of a host."""
        return next(host.name for host in self.cluster.hosts if host.short_name == name)

    def say(self, front_end: str, names: Iterable[str], **changes: object) -> None:
        """Let HAProxy report *names* as up in *front_end*, with *changes* of the report."""
        report = Report(True, True, "ready", 1000.0, PASSED, 3, current=2, total=40)
        for name in names:
            self.reports[front_end, self.host(name)] = replace(report, **changes)  # type: ignore[arg-type] # of Report

    def order(self, front_end: str, name: str, admin: Admin, why: str) -> None:
        """Let *admin* be wanted of *name*."""
        self.standings[front_end, self.host(name)] = Standing(admin, why)
