"""A cache of DNS replies: queries that differ only in their ids get replies that differ only in theirs.

The one rule: a reply from the cache is what `protocol.own_answer` returns for the same
table. That depends on the query and not on the client, so one reply serves all clients.
"""

from appliance.dns.compile import DnsTable
from appliance.dns.protocol import own_answer

MAX_KNOWN = 4096  # replies: about 2 MiB, with queries of some 50 bytes and replies of some 300
# Longer queries are answered, but their replies are not kept. A name has at most 255 bytes; more is padding (RFC 7830),
# with which one client could fill the cache with 4,096 queries of 2 KiB.
MAX_KNOWN_BYTES = 512


def new_tail(known: dict[bytes, bytes], table: DnsTable, query: bytes) -> bytes | None:
    """Return the reply to *query* without its id, and add it to *known* under the query without its id.

    None when the reply depends on the client, or needs a closer look: then `protocol.answer` decides.
    """
    reply = own_answer(table, query)
    if reply is None:
        return None
    tail = reply[2:]
    if len(query) <= MAX_KNOWN_BYTES:
        known[query[2:]] = tail
    return tail
