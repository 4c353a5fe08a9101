"""HAProxy's log: the format of a connection's line, and what a datagram says (pure).

Every byte may come from somebody who sends to the socket in HAProxy's place, so `parse`
accepts what HAProxy writes and nothing else. It never raises.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from appliance.model import Address
from appliance.peers import peer_address

# HAProxy's log-format for a front end in mode tcp, with `option logasap`: versions 1.8 to 3 have every variable, and
# none of them holds a space. Client's address and port, front end, server, milliseconds until the server accepted
# (-1: it did not), termination state ("--": none yet).
LOG_FORMAT = "connection %ci %cp %f %s %Tc %ts"
MAX_BYTES = 2048  # of a datagram; HAProxy cuts a line at 1024 unless it is told otherwise
_MOST_TEXT = 300  # characters of a notice that are kept

# <priority>, then RFC 3164 ("Nov 29 15:11:52 host haproxy[31806]: "; without a host unless HAProxy is told to send one)
# or RFC 5424 ("1 2026-11-29T15:13:19.181305+00:00 host haproxy 361 - - ").
_LINE = re.compile(
    r"<(?P<priority>\d{1,3})>"
    r"(?:1 \S{1,40} \S{1,255} \S{1,64} \S{1,10} \S{1,64} - "
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:\S{1,255} )?[^\s\[]{1,64}\[\d{1,10}\]: )"
    r"(?P<text>[^\n]+)\n?",
    re.ASCII,
)
_CONNECTION = re.compile(
    r"connection (?P<client>[0-9a-fA-F.:]{2,45}) (?P<port>\d{1,5}) "
    r"(?P<front_end>[\w.:-]{1,128}) (?P<member><NOSRV>|[\w.:-]{1,128}) (?P<milliseconds>-1|\d{1,10}) "
    r"(?P<state>[A-Za-z-]{2})",
    re.ASCII,
)
_UNPRINTABLE = re.compile(r"[^ -~]")
# The health checks of every member are read from HAProxy's statistics, so the same in its log is no alert.
_OF_CHECKS = re.compile(r"(?:Backup )?Server \S+ is |.* has no server available!", re.ASCII)
_ERROR = 3  # syslog severities from here down are errors, critical, alerts and emergencies (RFC 5424 section 6.2.1)


class Outcome(StrEnum):
    """What became of a connection."""

    FORWARDED = "forwarded"  # a member has accepted it
    FAILED = "failed"  # there was no member, or none accepted
    ABANDONED = "abandoned"  # the client gave up before a member accepted


@dataclass(frozen=True, slots=True)
class Connection:
    """A client connected to a front end."""

    client: Address
    port: int  # of the client
    front_end: str
    member: str  # short name; "" for none
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Notice:
    """Something else that HAProxy says."""

    text: str  # printable ASCII, at most some hundred characters
    is_alert: bool  # an error that its statistics do not show, such as too few file descriptors


def parse(datagram: bytes) -> Connection | Notice | None:
    """Return what *datagram*, one line of HAProxy's log, says; None if HAProxy does not write such a line."""
    if len(datagram) > MAX_BYTES:
        return None
    line = _LINE.fullmatch(datagram.decode("latin-1"))
    if line is None:
        return None
    text = line["text"]
    if text.startswith("connection "):
        return _connection(text)
    kept = _UNPRINTABLE.sub("?", text[:_MOST_TEXT])
    return Notice(kept, int(line["priority"]) % 8 <= _ERROR and not _OF_CHECKS.match(text))


def _connection(text: str) -> Connection | None:
    found = _CONNECTION.fullmatch(text)
    client = peer_address(found["client"]) if found is not None else None
    if found is None or client is None:
        return None
    member = "" if found["member"] == "<NOSRV>" else found["member"]
    if member and found["milliseconds"] != "-1":
        outcome = Outcome.FORWARDED
    else:
        # The first letter of the termination state: who ended it.
        outcome = Outcome.ABANDONED if found["state"][0] in "Cc" else Outcome.FAILED
    port = int(found["port"])
    return Connection(client, port, found["front_end"], member, outcome) if port < 1 << 16 else None
