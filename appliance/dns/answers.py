"""Replies to queries that came before: equal queries, ids aside, get equal replies, ids aside.

The one rule: it says what `protocol.own_answer` would say of the same table. That
depends on the query alone and not on the client, so a reply can be kept for all.
"""

from appliance.dns.compile import DnsTable
from appliance.dns.protocol import own_answer

MAX_KNOWN = 4096  # replies; with queries of some 50 bytes and replies of some 300 about 2 MiB
# Longer queries are answered and not kept: a name has at most 255 bytes, and the rest is padding (RFC 7830), with
# which one client could fill the memory with 4,096 times 2 KiB.
MAX_KNOWN_BYTES = 512


def new_tail(known: dict[bytes, bytes], table: DnsTable, query: bytes) -> bytes | None:
    """Return the reply to *query* after its id, and keep it in *known* under the query after its id.

    None where clients get different replies: then `protocol.answer` decides.
    """
    reply = own_answer(table, query)
    if reply is None:
        return None
    tail = reply[2:]
    if len(query) <= MAX_KNOWN_BYTES:
        known[query[2:]] = tail
    return tail
