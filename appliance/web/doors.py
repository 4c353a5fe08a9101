"""Who may have a connection: the places of a listener, shared out fairly among client addresses.

One rule: while there is room everybody gets in, because 1,000 hosts may share the one
address of a relay or NAT. Only when places run out does the address that has most of
them pay: it loses its oldest idle connection, and then its oldest busy one.
"""

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Generic, Protocol, TypeVar

from appliance.peers import peer_address

# A host of ours opens two connections. Whoever took over its address must not take the places of the others.
PLACES_OF_A_HOST = 32


class Connection(Protocol):
    """What has a place."""

    def leave(self) -> None:
        """Close at once."""


C = TypeVar("C", bound=Connection)


class _Places(Generic[C]):
    """The connections of one address, each kind with the oldest first."""

    __slots__ = ("busy", "idle", "is_kept")

    def __init__(self, *, is_kept: bool) -> None:
        self.idle: dict[C, None] = {}
        self.busy: dict[C, None] = {}
        self.is_kept = is_kept

    def __len__(self) -> int:
        return len(self.idle) + len(self.busy)

    def oldest(self, *, busy_too: bool) -> C | None:
        return next(iter(self.idle), None) or (next(iter(self.busy), None) if busy_too else None)


class Doors(Generic[C]):
    """The places of one listener."""

    def __init__(self, most: int, most_of_strangers: int, is_kept: Callable[[str], bool]) -> None:
        """*most* connections in all, of which clients for which *is_kept* is false have *most_of_strangers*."""
        self.most = most
        self.most_of_strangers = most_of_strangers
        self.turned_away = 0
        self._is_kept = is_kept
        self._open_of_strangers = 0
        self._addresses: dict[str, _Places[C]] = {}
        self._places: dict[C, tuple[str, _Places[C]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, connection: C, client: str) -> bool:
        """Give *connection* a place, if need be that of another; return whether it got one."""
        address = _block(client)
        own = self._addresses.get(address) or _Places(is_kept=self._is_kept(client))
        if not self._make_room(own):
            self.turned_away += 1
            return False
        # _make_room() may have closed the last connection of this address.
        own = self._addresses.setdefault(address, own)
        own.idle[connection] = None
        self._places[connection] = address, own
        self._open_of_strangers += not own.is_kept
        return True

    def begin(self, connection: C) -> None:
        """Note that *connection* has a request to answer."""
        if connection in self._places:
            own = self._places[connection][1]
            own.idle.pop(connection, None)
            own.busy[connection] = None

    def rest(self, connection: C) -> None:
        """Note that *connection* has nothing to do."""
        if connection in self._places:
            own = self._places[connection][1]
            own.busy.pop(connection, None)
            own.idle[connection] = None

    def exit(self, connection: C) -> None:
        """Take the place of *connection* back; do nothing if it has none."""
        address, own = self._places.pop(connection, (None, None))
        if address is None or own is None:
            return
        own.idle.pop(connection, None)
        own.busy.pop(connection, None)
        self._open_of_strangers -= not own.is_kept
        if not len(own):
            self._addresses.pop(address, None)

    def _make_room(self, own: _Places[C]) -> bool:
        if own.is_kept and len(own) >= PLACES_OF_A_HOST:
            return self._evict(own, busy_too=False)
        if not own.is_kept and self._open_of_strangers >= self.most_of_strangers:
            return self._evict_greediest([places for places in self._addresses.values() if not places.is_kept], own)
        if len(self) >= self.most:
            return self._evict_greediest(list(self._addresses.values()), own)
        return True

    def _evict_greediest(self, all_places: list[_Places[C]], own: _Places[C]) -> bool:
        # The newcomer counts for its address, so that an address never gains a place from one that has fewer.
        greediest = max(all_places, key=len, default=own)
        if len(greediest) <= len(own):
            return self._evict(own, busy_too=False)
        return self._evict(greediest, busy_too=len(greediest) > len(own) + 1)

    def _evict(self, places: _Places[C], *, busy_too: bool) -> bool:
        victim = places.oldest(busy_too=busy_too)
        if victim is None:
            return False
        self.exit(victim)
        victim.leave()
        return True


def _block(client: str) -> str:
    """Return what counts as one address: of IPv6 the /64, because whoever has one of its addresses has all."""
    address = peer_address(client)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)
