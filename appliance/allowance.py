"""How many events strangers, and each host, may cause: buckets of tokens for each service.

A machine that is in no cluster.yaml, or who forges its address, can ask as
often as it likes. Each answer is counted; but log and journal are for the
operator, and a flood must not push out what happened to the hosts.
"""

# A rack of unknown machines that power on together is told in full.
STRANGER_EVENTS_PER_SECOND = 20.0
STRANGER_EVENTS_AT_ONCE = 200.0


class Allowance:
    """What one service may still tell, of strangers or of one host."""

    __slots__ = ("_at", "_at_once", "_left", "_per_second")  # there is one for each host and kind of file

    def __init__(
        self, per_second: float = STRANGER_EVENTS_PER_SECOND, at_once: float = STRANGER_EVENTS_AT_ONCE
    ) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Return whether one more event may be told at *now*, in seconds of any clock that does not go back."""
        self._left = min(self._left + (now - self._at) * self._per_second, self._at_once)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
