"""A memory for clients that ask the same again: in this boot, after the next start, to renew.

The one rule: it says what `protocol.answer` would say. Clients change xid and secs
only, and a reply has no secs, so that they get what they got.
"""

from collections.abc import Mapping
from typing import NamedTuple

from appliance.dhcp.compile import DhcpTable
from appliance.dhcp.protocol import answer, boots_local
from appliance.dhcp.reply import Arrival, Reply, Silence
from appliance.dhcp.templates import Pin
from appliance.install.lifecycle import Installation
from appliance.remembered import Remembered

MAX_KNOWN = 1024  # replies kept: what 170 hosts ask in a boot, or 1,000 that renew; some 1.5 MB
MAX_KNOWN_BYTES = 1024  # and none to a request that is padded beyond all use


class _Known(NamedTuple):
    """A reply to what was asked before, and what it depended on besides."""

    reply: Reply
    pin: Pin
    boots_local: bool


class Answers:
    """What was answered from one table; a reply from here takes 1 µs instead of 11."""

    def __init__(self) -> None:
        self._remembered: Remembered[tuple[bytes, bytes, Arrival], _Known] = Remembered(MAX_KNOWN)

    def answer(
        self, table: DhcpTable, datagram: bytes, arrival: Arrival, installations: Mapping[str, Installation]
    ) -> Reply | Silence:
        """Return what `answer` returns."""
        replies = self._remembered.of(table)
        key = datagram[:4], datagram[10:], arrival
        known = replies.get(key)
        if known is not None and known.boots_local == boots_local(known.pin, installations):
            return known.reply.to(datagram[4:8])
        result = answer(table, datagram, arrival, installations)
        if isinstance(result, Reply) and len(datagram) <= MAX_KNOWN_BYTES:
            pin = table.pins[datagram[28:34]]
            replies[key] = _Known(result, pin, boots_local(pin, installations))
        return result
