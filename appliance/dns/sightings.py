"""Which queries of a host are news: it asks for api-int again and again, and only the first says anything."""

from appliance.dns.message import text_name
from appliance.dns.protocol import Watched
from appliance.events import DnsAsked
from appliance.install.installation import Installation


class Sightings:
    """The state of each host when its query was last reported. There are as many as hosts in the tables."""

    def __init__(self) -> None:
        self._reported: dict[str, Installation | None] = {}

    def event(self, watched: Watched, client: str, installation: Installation | None) -> DnsAsked | None:
        """Return the event to publish for a query, or None while *installation*, the host's, is as when last reported.

        A node that has joined asks for api-int every few seconds as long as it lives.
        """
        host = watched.host
        if host in self._reported and self._reported[host] is installation:
            return None
        return DnsAsked(host, client=client, name=text_name(watched.name))

    def reported(self, host: str, installation: Installation | None) -> None:
        """Note that *host* was reported; *installation* is its state after the event, which may change it."""
        self._reported[host] = installation
