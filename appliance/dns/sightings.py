"""Which queries of a host are reported: a node queries api-int all the time, and only a first query is news."""

from appliance.dns.message import text_name
from appliance.dns.protocol import Watched
from appliance.events import DnsAsked
from appliance.install.installation import Installation


class Sightings:
    """The installation of each host when its query was last reported. There are no more than hosts in the tables."""

    def __init__(self) -> None:
        self._reported: dict[str, Installation | None] = {}

    def event(self, watched: Watched, client: str, installation: Installation | None) -> DnsAsked | None:
        """Return the event to publish for a query, or None if the host's *installation* has not changed since the last.

        A node that has joined queries api-int every few seconds for as long as it runs.
        """
        host = watched.host
        # Compared by identity, which is enough and fast: the registry replaces the record when anything changes.
        if host in self._reported and self._reported[host] is installation:
            return None
        return DnsAsked(host, client=client, name=text_name(watched.name))

    def reported(self, host: str, installation: Installation | None) -> None:
        """Note that *host* was reported; *installation* is its record after the event, which may have changed it."""
        self._reported[host] = installation
