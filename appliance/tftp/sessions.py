"""The transfers that are under way: found by descriptor, by client and by deadline."""

import select
from collections import Counter
from collections.abc import Iterator

from appliance.tftp import transfer
from appliance.tftp.session import Peer, Session

# Firmware answers within a round trip, and asks again after some seconds if it gets nothing.
UNANSWERED_GRACE_SECONDS = 1.0


class Sessions:
    """All sessions of a server.

    One with a socket of its own has that socket's descriptor as its number, and is
    watched by `epoll`. Those that share the listener's socket have numbers below 0,
    which no descriptor has.
    """

    def __init__(self) -> None:
        # An epoll of our own inside the loop's: reading many sockets costs less this way than with a reader for each.
        self.epoll = select.epoll()
        self.by_number: dict[int, Session] = {}
        self._latest: dict[Peer, Session] = {}
        self._of_address: Counter[str] = Counter()
        self._strangers = 0
        self._shared = 0

    def __len__(self) -> int:
        return len(self.by_number)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over a copy, so that sessions may end meanwhile."""
        return iter(list(self.by_number.values()))

    def latest(self, peer: Peer) -> Session | None:
        """Return the session that began last for the client's address and port *peer*, if it is still under way."""
        return self._latest.get(peer)

    def count_of(self, address: str) -> int:
        """Return how many sessions the client at *address* has."""
        return self._of_address[address]

    def has_room(self, address: str, host: str) -> bool:
        """Return whether the bounds allow another session for *address*, which is *host*'s, or a stranger's if ""."""
        return not self._is_address_full(address, host) and not self._is_full(host)

    def in_the_way(self, address: str, host: str, now: float) -> Session | None:
        """Return the oldest session that may end for another one: no answer has come, so it may be a forger's."""
        is_address_full = self._is_address_full(address, host)
        # Of many machines behind one address, each has the time to answer; the next one asks again. A host needs no
        # such time: only a forger makes so many requests in its name, and the latest may be its own.
        least_age = UNANSWERED_GRACE_SECONDS if is_address_full and not host else 0.0
        for session in self.by_number.values():
            is_rival = session.peer[0] == address if is_address_full else bool(session.host) == bool(host)
            if is_rival and not session.transfer.has_progressed:
                return session if now - session.transfer.progress_at >= least_age else None
        return None

    def _is_address_full(self, address: str, host: str) -> bool:
        most = transfer.MAX_CLIENT_TRANSFERS if host else transfer.MAX_STRANGER_CLIENT_TRANSFERS
        return self.count_of(address) >= most

    def _is_full(self, host: str) -> bool:
        if host:
            return len(self) - self._strangers >= transfer.MAX_TRANSFERS
        return self._strangers >= transfer.MAX_STRANGER_TRANSFERS

    def late(self, now: float) -> list[Session]:
        """Return the sessions whose deadline has passed at *now*, on the loop's clock."""
        return [session for session in self.by_number.values() if session.transfer.deadline <= now]

    def add(self, session: Session) -> None:
        """Number *session* and watch its socket."""
        if session.is_connected:
            session.number = session.sock.fileno()
            self.epoll.register(session.number, select.EPOLLIN)
        else:
            self._shared -= 1
            session.number = self._shared
        self.by_number[session.number] = session
        self._latest[session.peer] = session
        self._of_address[session.peer[0]] += 1
        self._strangers += not session.host

    def remove(self, session: Session) -> None:
        """Forget *session*, and close its socket unless that is the listener's."""
        del self.by_number[session.number]
        # The client may have begun another transfer from the same port meanwhile.
        if self._latest.get(session.peer) is session:
            del self._latest[session.peer]
        self._strangers -= not session.host
        address = session.peer[0]
        self._of_address[address] -= 1
        if not self._of_address[address]:  # else every address that was ever seen would stay
            del self._of_address[address]
        if session.is_connected:
            self.epoll.unregister(session.number)
            session.sock.close()
