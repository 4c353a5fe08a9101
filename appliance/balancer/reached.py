"""Which connections through the load balancer are reported: a node connects all the time, and is news once (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.balancer.compile import API, MACHINE_CONFIG, all_front_ends
from appliance.balancer.log import Connection, Outcome
from appliance.events import BalancerReached
from appliance.install.installation import SIGN_SECONDS, Installation
from appliance.model import Address, Cluster, Host

STRANGER = "stranger"  # the class of a client that is no host of the cluster


@dataclass(frozen=True, slots=True)
class Watched:
    """A front end whose connections show how far a host has come."""

    port: int
    hosts: Mapping[Address, Host]  # of its cluster

    def kind_of(self, client: Address) -> str:
        """Return the class of *client*, of which there are few: the role of a host, or STRANGER."""
        host = self.hosts.get(client)
        return STRANGER if host is None else host.role.value


def watched(clusters: Sequence[Cluster]) -> Mapping[str, Watched]:
    """Return what HAProxy's front ends for the API and the machine config servers of *clusters* are, by their names."""
    hosts: dict[str, dict[Address, Host]] = {}
    for cluster in clusters:
        known = hosts.setdefault(cluster.domain, {})
        known |= {address: host for host in cluster.hosts for address in host.addresses}
    return {
        front_end.name: Watched(front_end.port, hosts[front_end.cluster])
        for front_end in all_front_ends(clusters)
        if front_end.service in (API, MACHINE_CONFIG)
    }


@dataclass(frozen=True, slots=True)
class _Reported:
    at: float
    installation: Installation | None  # as it was after that


class Reached:
    """The connection of each host to each front end that was reported last."""

    def __init__(self) -> None:
        self._reported: dict[tuple[str, str], _Reported] = {}  # by the host and the front end, which are in the tables

    def event(
        self,
        connection: Connection,
        front_end: Watched,
        installations: Mapping[str, Installation],
        now: float,
    ) -> BalancerReached | None:
        """Return the event to publish for *connection*; None if it is no host's, no member took it, or it is no news.

        *now* is in seconds of a clock that does not go back. A node keeps connecting for as
        long as it runs. It is news again once its record has changed: at once if it has
        come to another stage, and otherwise after SIGN_SECONDS.
        """
        host = front_end.hosts.get(connection.client)
        if host is None or connection.outcome is not Outcome.FORWARDED:
            return None
        known = self._reported.get((host.name, connection.front_end))
        if known is not None and not _has_moved(known, installations.get(host.name), now):
            return None
        client = str(connection.client)
        return BalancerReached(host.name, client, connection.front_end, front_end.port, connection.member)

    def reported(self, event: BalancerReached, installation: Installation | None, now: float) -> None:
        """Note that *event* was published at *now*; *installation* is the record of its host after that."""
        self._reported[event.host, event.front_end] = _Reported(now, installation)

    def forget(self) -> None:
        """Forget everything: the hosts or the front ends are others now."""
        self._reported.clear()


def _has_moved(known: _Reported, now_at: Installation | None, now: float) -> bool:
    # Compared by identity, which is enough and fast: the registry replaces the record when anything changes.
    before = known.installation
    if before is now_at:
        return False
    if before is None or now_at is None or (before.number, before.stage) != (now_at.number, now_at.stage):
        return True
    return now - known.at >= SIGN_SECONDS
