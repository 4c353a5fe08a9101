"""A cache of replies, for clients that repeat a message: within a boot, at the next one, or to renew.

The one rule: a reply from the cache is what `protocol.answer` would return. A client
that repeats a message changes only xid and secs, and a reply contains no secs.
"""

from collections.abc import Mapping
from typing import NamedTuple

from appliance.dhcp.clients import identify_options
from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.options import parse_options
from appliance.dhcp.protocol import answer
from appliance.dhcp.reply import Arrival, Reply, Silence
from appliance.dhcp.situation import Situation, situation_of
from appliance.install.installation import Installation
from appliance.install.recipes import NO_BEGINNINGS, Beginnings
from appliance.model import Host, Loader
from appliance.remembered import Remembered

# Replies in the cache: enough for 170 hosts that boot (six each) or 1,000 that renew. Some 1.5 MB.
MAX_KNOWN = 1024
# Replies to longer messages are not kept: clients send 300 to 600 bytes, and the key contains the message.
MAX_KNOWN_BYTES = 1024


class _Known(NamedTuple):
    """A reply, and what it depends on besides the message."""

    reply: Reply
    host: Host
    firmware: str
    situation: Situation
    installation: Installation | None
    beginning: Loader | None


class Answers:
    """The replies made from the present table. A reply from the cache takes 1 µs instead of 11."""

    def __init__(self) -> None:
        self._remembered: Remembered[tuple[bytes, bytes, Arrival], _Known] = Remembered(MAX_KNOWN)

    def answer(
        self,
        table: DhcpTable,
        datagram: bytes,
        arrival: Arrival,
        installations: Mapping[str, Installation],
        beginnings: Beginnings = NO_BEGINNINGS,
    ) -> Reply | Silence:
        """Return what `protocol.answer` returns, from the cache if possible."""
        replies = self._remembered.of(table)
        # Without xid (4 to 8) and secs (8 to 10), the only fields that a client changes when it repeats a message.
        key = datagram[:4], datagram[10:], arrival
        known = replies.get(key)
        if known is not None:
            reply, host, firmware, situation, installation, beginning = known
            # A record that is the same object needs no look into it, which would take half of the time.
            is_same = installation is installations.get(host.name) and beginning is beginnings.get(firmware)
            if is_same or situation == situation_of(host, firmware, installations, beginnings):
                return reply.to(datagram[4:8])
        result = answer(table, datagram, arrival, installations, beginnings)
        if isinstance(result, Reply) and len(datagram) <= MAX_KNOWN_BYTES:
            host = table.pins[datagram[28:34]].host
            firmware = identify_options(parse_options(datagram) or {}).firmware
            situation = situation_of(host, firmware, installations, beginnings)
            replies[key] = _Known(
                result, host, firmware, situation, installations.get(host.name), beginnings.get(firmware)
            )
        return result
