"""The read-only view of the load balancer that commands, dashboard, metrics and the workers' gate are given."""

from typing import Protocol

from appliance.balancer.membership import Standings
from appliance.balancer.reports import Reports
from appliance.model import FrontEnd


class BalancerView(Protocol):
    """An HAProxy that the appliance drives, as of the last moment that it was heard."""

    @property
    def front_ends(self) -> tuple[FrontEnd, ...]:
        """The front ends of all clusters with engine haproxy, named as in HAProxy's configuration."""

    @property
    def standings(self) -> Standings:
        """What is wanted of the members; one that is missing is ready."""

    @property
    def reports(self) -> Reports:
        """What HAProxy says of its members; empty while HAProxy is not heard."""

    @property
    def trouble(self) -> str | None:
        """Why HAProxy does not do what cluster.yaml says, and what to do; None while it does."""

    def has_master(self, cluster: str) -> bool | None:
        """Whether a master's machine config server of *cluster* passes its check; None if HAProxy does not say.

        *cluster* is its domain.
        """
