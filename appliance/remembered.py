"""Replies kept by request, so that a client that repeats a request is answered by a lookup.

The one rule: all of them were made from the same table, and none outlives it.
"""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Replies of type V by requests of type K, which must contain all that a reply depends on besides the table."""

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
        # Dropping all of them costs nothing, and each that is still needed is made again once. Dropping the least used
        # instead would make every lookup change the dictionary.
        if table is not self._table or len(self._kept) >= self._most:
            self._table, self._kept = table, {}
        return self._kept
