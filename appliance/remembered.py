"""Replies kept by request, so that a client that sends the same again is answered by a lookup.

The one rule: all of them were made from one table, and none outlives it.
"""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Replies of type V by requests of type K; K must hold everything that a reply depends on besides the table."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._table: object = None
        self._kept: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, table: object) -> dict[K, V]:
        """Return the replies made from *table*, for the caller to read and to add to.

        It is empty after *table* changes, and when *most* replies are kept: a
        caller that adds several between two calls can exceed that by as many.
        """
        # Dropping all costs nothing, and those that still matter are back within one query each. Giving up the least
        # used would cost every lookup a change of the dictionary.
        if table is not self._table or len(self._kept) >= self._most:
            self._table, self._kept = table, {}
        return self._kept
