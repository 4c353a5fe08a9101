"""Which queries of a host are reported: a node queries api-int all the time, and only a first query is news."""

from collections.abc import Callable
from dataclasses import replace

from appliance.dns.message import text_name
from appliance.dns.protocol import Watched
from appliance.events import DnsAsked, Transport
from appliance.install.installation import Installation


def as_proven(watched: Watched, client: str, is_host: Callable[[str, str], bool]) -> Watched:
    """Return *watched* as it may count: a query over TCP is worth one over UDP if another machine sent it.

    *is_host* says whether a client, by its address, is the host of that name.
    """
    if watched.transport is Transport.UDP or is_host(watched.host, client):
        return watched
    return replace(watched, transport=Transport.UDP)


class Sightings:
    """The installation of each host when its query was last reported, by transport.

    There are no more hosts than in the tables.
    """

    def __init__(self) -> None:
        # Each transport by itself: a datagram may be forged, so it must not hide the query over TCP, which proves more.
        self._reported: dict[tuple[str, Transport], Installation | None] = {}

    def event(self, watched: Watched, client: str, installation: Installation | None, now: float) -> DnsAsked | None:
        """Return the event to publish for a query, or None if the host's *installation* has not changed since the last.

        A node that has joined queries api-int every few seconds for as long as it runs. At *now*, seconds UTC, it
        is news again for a host in doubt, which ends once nobody queries.
        """
        key = watched.host, watched.transport
        # Compared by identity, which is enough and fast: the registry replaces the record when anything changes.
        is_known = key in self._reported and self._reported[key] is installation
        if is_known and not (installation is not None and installation.is_sign_due(now)):
            return None
        return DnsAsked(watched.host, client=client, name=text_name(watched.name), transport=watched.transport)

    def reported(self, watched: Watched, installation: Installation | None) -> None:
        """Note that *watched* was reported; *installation* is the record of its host after that."""
        self._reported[watched.host, watched.transport] = installation
