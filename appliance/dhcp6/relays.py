"""The messages of relays: a client's message, taken out, and a reply, put in again (RFC 8415 section 19).

The one rule: bounded, whatever arrives. A relay refuses to forward what has passed
HOP_COUNT_LIMIT relays, so a deeper nesting is not a relay's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from appliance.dhcp6.options import (
    OPT_ECHO_REQUEST,
    OPT_INTERFACE_ID,
    OPT_RELAY_MESSAGE,
    OPT_RELAY_PORT,
    Options,
    encode_option,
    only,
    parse_options,
)

RELAY_FORW, RELAY_REPL = 12, 13
HOP_COUNT_LIMIT = 8  # RFC 8415 section 7.6
MAX_RELAYS = HOP_COUNT_LIMIT + 1  # hop counts 0 to 8
HEAD_BYTES = 34  # message type, hop count, link-address, peer-address
UNSPECIFIED = bytes(16)


class Relay(NamedTuple):
    """What one relay has put around a message."""

    hops: int
    link: bytes  # an address in the client's network; UNSPECIFIED if this relay does not know it
    peer: bytes  # the address from which it had the message
    options: Options


def unwrap(datagram: bytes) -> tuple[tuple[Relay, ...], bytes] | None:
    """Return the relays of *datagram*, the last one first, and the client's message; None if it is malformed."""
    relays: list[Relay] = []
    while datagram[:1] == bytes((RELAY_FORW,)):
        options = parse_options(datagram[HEAD_BYTES:]) if len(datagram) >= HEAD_BYTES else None
        if options is None or len(relays) == MAX_RELAYS or len(options.get(OPT_RELAY_MESSAGE, ())) != 1:
            return None
        relays.append(Relay(datagram[1], datagram[2:18], datagram[18:34], options))
        datagram = options[OPT_RELAY_MESSAGE][0]
    return tuple(relays), datagram


def wrap(relays: Sequence[Relay], message: bytes) -> bytes:
    """Return *message* as a reply through *relays*, whose addresses and own options come back to them."""
    for relay in reversed(relays):
        head = bytes((RELAY_REPL, relay.hops)) + relay.link + relay.peer
        message = head + _echoed(relay.options) + encode_option(OPT_RELAY_MESSAGE, message)
    return message


def relay_port(relays: Sequence[Relay], source_port: int, port: int) -> int:
    """Return the port of the last relay: that from which it sent if it says so (RFC 8357), otherwise *port*."""
    return source_port if OPT_RELAY_PORT in relays[0].options else port


def _echoed(options: Options) -> bytes:
    wanted = only(options, OPT_ECHO_REQUEST) or b""
    codes = dict.fromkeys((OPT_INTERFACE_ID, OPT_RELAY_PORT))
    codes |= dict.fromkeys(int.from_bytes(wanted[at : at + 2], "big") for at in range(0, len(wanted) - 1, 2))
    codes.pop(OPT_RELAY_MESSAGE, None)
    return b"".join([encode_option(code, value) for code in codes for value in options.get(code, ())])
