"""Which queries of a host are reported: a node queries api-int all the time, and only a first query is news."""

from appliance.dns.message import text_name
from appliance.dns.protocol import Watched
from appliance.events import DnsAsked, Transport
from appliance.install.installation import Installation


class Sightings:
    """The installation of each host when its query was last reported, by transport.

    There are no more hosts than in the tables.
    """

    def __init__(self) -> None:
        # Each transport by itself: a datagram may be forged, so it must not hide the query over TCP that proves more.
        self._reported: dict[tuple[str, Transport], Installation | None] = {}

    def event(
        self, watched: Watched, client: str, installation: Installation | None, transport: Transport = Transport.UDP
    ) -> DnsAsked | None:
        """Return the event to publish for a query, or None if the host's *installation* has not changed since the last.

        A node that has joined queries api-int every few seconds for as long as it runs.
        """
        host, key = watched.host, (watched.host, transport)
        # Compared by identity, which is enough and fast: the registry replaces the record when anything changes.
        if key in self._reported and self._reported[key] is installation:
            return None
        return DnsAsked(host, client=client, name=text_name(watched.name), transport=transport)

    def reported(self, host: str, installation: Installation | None, transport: Transport = Transport.UDP) -> None:
        """Note that *host* was reported; *installation* is its record after the event, which may have changed it."""
        self._reported[host, transport] = installation
