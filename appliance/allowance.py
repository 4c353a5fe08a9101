"""How many events strangers and each host may cause: token buckets, for each service its own.

A machine that is not in cluster.yaml, or that forges a host's address, can send
requests as fast as it likes. All of them are counted and answered, but the log and the
journal are for the operator, and a flood must not displace the events of other hosts.
"""

# Enough for a rack of 42 unknown machines that power on together and cause four events each.
STRANGER_EVENTS_PER_SECOND = 20.0
STRANGER_EVENTS_AT_ONCE = 200.0


class Allowance:
    """A token bucket: how many more events strangers, or one host, may cause now."""

    __slots__ = ("_at", "_at_once", "_left", "_per_second")  # there is one for each host and kind of file

    def __init__(
        self, per_second: float = STRANGER_EVENTS_PER_SECOND, at_once: float = STRANGER_EVENTS_AT_ONCE
    ) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Return whether another event may be published at *now*, in seconds of a clock that does not go back."""
        self._left = min(self._left + (now - self._at) * self._per_second, self._at_once)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Allowances:
    """The buckets of one service: one for all strangers, and one for each host and kind of event.

    There are no more than the hosts of cluster.yaml times the kinds that the service uses.
    """

    def __init__(self, strangers: Allowance, host_per_second: float, host_at_once: float) -> None:
        self._strangers = strangers
        self._host_per_second = host_per_second
        self._host_at_once = host_at_once
        self._hosts: dict[tuple[str, str], Allowance] = {}

    def take(self, host: str, now: float, kind: str = "") -> bool:
        """Return whether another event of *host* ("" for a stranger) may be published at *now*, see Allowance.take."""
        if not host:
            return self._strangers.take(now)
        allowance = self._hosts.get((host, kind))
        if allowance is None:
            allowance = self._hosts[host, kind] = Allowance(self._host_per_second, self._host_at_once)
        return allowance.take(now)
