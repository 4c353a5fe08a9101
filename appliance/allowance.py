"""How many events strangers, and each host, may cause: buckets of tokens for each service.

A machine that is in no cluster.yaml, or who forges its address, can ask as
often as it likes. Each answer is counted; but log and journal are for the
operator, and a flood must not push out what happened to the hosts.
"""

# A rack of unknown machines that power on together is told in full.
STRANGER_EVENTS_PER_SECOND = 20.0
STRANGER_EVENTS_AT_ONCE = 200.0


class Allowance:
    """What may still be told, of strangers or of one host."""

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


class Allowances:
    """What one service may still tell: of strangers together, and of each host, by kind where it tells them apart."""

    def __init__(self, strangers: Allowance, host_per_second: float, host_at_once: float) -> None:
        self._strangers = strangers
        self._host_per_second = host_per_second
        self._host_at_once = host_at_once
        self._hosts: dict[tuple[str, str], Allowance] = {}

    def take(self, host: str, now: float, kind: str = "") -> bool:
        """Return whether one more event of *host* may be told at *now*, seconds of any clock; "" is a stranger."""
        if not host:
            return self._strangers.take(now)
        allowance = self._hosts.get((host, kind))
        if allowance is None:
            allowance = self._hosts[host, kind] = Allowance(self._host_per_second, self._host_at_once)
        return allowance.take(now)
