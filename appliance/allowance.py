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

    def take(self, now: float, _who: str = "") -> bool:
        """Return whether another event may be published at *now*, in seconds of a clock that does not go back."""
        self._left = min(self._left + (now - self._at) * self._per_second, self._at_once)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


# A flood invents a new MAC address for each message. A machine repeats its own: firmware sends four DISCOVERs within a
# minute. So the first, second, third and all further messages of a machine have a quarter of the events each: whoever
# wants to use up all four has to repeat every address as often, and can invent fewer.
SAMPLE_RANKS = 4
# At 100 invented addresses a second, these are the last 80 s; firmware repeats after 4, 8 and 16 s.
SAMPLE_ADDRESSES = 8192


class Sample:
    """How many more events unknown machines may cause now, by how often each has asked."""

    def __init__(self) -> None:
        share = STRANGER_EVENTS_PER_SECOND / SAMPLE_RANKS, STRANGER_EVENTS_AT_ONCE / SAMPLE_RANKS
        self._allowances = [Allowance(*share) for _ in range(SAMPLE_RANKS)]
        self._asked: dict[str, int] = {}  # by MAC address, those that asked last at the end

    def take(self, now: float, mac: str) -> bool:
        """Return whether this message of *mac* may be published at *now*, see Allowance.take."""
        rank = min(self._asked.pop(mac, 0) + 1, SAMPLE_RANKS)
        self._asked[mac] = rank
        if len(self._asked) > SAMPLE_ADDRESSES:
            del self._asked[next(iter(self._asked))]
        return self._allowances[rank - 1].take(now)


class Allowances:
    """The buckets of one service: one for all strangers, and one for each host and kind of event.

    There are no more than the hosts of cluster.yaml times the kinds that the service uses.
    """

    def __init__(self, strangers: Allowance | Sample, host_per_second: float, host_at_once: float) -> None:
        self._strangers = strangers
        self._host_per_second = host_per_second
        self._host_at_once = host_at_once
        self._hosts: dict[tuple[str, str], Allowance] = {}

    def take(self, host: str, now: float, kind: str = "", who: str = "") -> bool:
        """Return whether another event of *host* may be published at *now*, see Allowance.take.

        For a stranger *host* is "", and *who* its MAC address if the strangers have a Sample.
        """
        if not host:
            return self._strangers.take(now, who)
        allowance = self._hosts.get((host, kind))
        if allowance is None:
            allowance = self._hosts[host, kind] = Allowance(self._host_per_second, self._host_at_once)
        return allowance.take(now)
