"""Who may wait for forwarders: bounds for all clients together, for each client and for each domain (pure)."""

from collections import Counter
from typing import TypeVar

K = TypeVar("K", str, bytes)

# Clients at once; the next one gets SERVFAIL. 1,000 hosts behind one address that look up the same name stay below the
# second.
MAX_WAITING = 4096
MAX_WAITING_PER_CLIENT = 1024
# Different questions at once, each with a socket of its own. A question beyond that gets a stale answer, or SERVFAIL.
# 1,000 hosts that pull the same images stay far below it.
MAX_UNDER_WAY = 256
MAX_UNDER_WAY_PER_CLIENT = 64
# Below one domain: it bounds what a domain whose servers are silent occupies, for 4.5 seconds a question. A domain that
# answers in 20 ms still gets 1,600 questions a second.
MAX_UNDER_WAY_PER_DOMAIN = 32
# The last places are for clients that have few: those that ask much cannot take them from all others.
RESERVED = 64
FEW = 4

_ARPA = b"\4arpa\0"


class Waiting:
    """The clients that wait, and the questions under way. Nothing is kept of a client or a domain that has none."""

    def __init__(self) -> None:
        self._clients: Counter[str] = Counter()
        self._askers: Counter[str] = Counter()
        self._domains: Counter[bytes] = Counter()
        self._waiting = 0
        self._under_way = 0

    def enter(self, client: str) -> bool:
        """Take a place for *client*, or return False if there is none; `leave` gives it back."""
        if self._waiting >= MAX_WAITING or self._clients.get(client, 0) >= MAX_WAITING_PER_CLIENT:
            return False
        self._waiting += 1
        self._clients[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Give back the place that `enter` took."""
        self._waiting -= 1
        _decrease(self._clients, client)

    def begin(self, client: str, name: bytes) -> bool:
        """Take a place for a question of *client* about *name*, or return False; `end` gives it back."""
        own = self._askers.get(client, 0)
        is_full = self._under_way >= MAX_UNDER_WAY - (0 if own < FEW else RESERVED)
        domain = domain_of(name)
        if is_full or own >= MAX_UNDER_WAY_PER_CLIENT or self._domains.get(domain, 0) >= MAX_UNDER_WAY_PER_DOMAIN:
            return False
        self._under_way += 1
        self._askers[client] += 1
        self._domains[domain] += 1
        return True

    def end(self, client: str, name: bytes) -> None:
        """Give back the place that `begin` took."""
        self._under_way -= 1
        _decrease(self._askers, client)
        _decrease(self._domains, domain_of(name))


def domain_of(name: bytes) -> bytes:
    """Return the domain of *name* that is counted: its last two labels, of reverse names the last four."""
    starts = []
    at = 0
    while name[at]:
        starts.append(at)
        at += 1 + name[at]
    labels = 4 if name.endswith(_ARPA) else 2
    return name[starts[-labels] :] if len(starts) > labels else name


def _decrease(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]  # so that forged addresses leave nothing behind
