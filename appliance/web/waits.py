"""What is remembered of hosts that were told to wait: pure, and handed the time.

Both memories have an entry for each host of cluster.yaml at most.
"""

from collections.abc import Mapping

from appliance.events import Event, WebKind
from appliance.install.installation import Installation, Order
from appliance.web.answers import SendScript

# A bootstrap's own machine config server answers within some ten minutes. A worker that is installed before that
# retries by itself. So after this time it may install: the nodes may reach the server even if the appliance does not.
LONGEST_WAIT_SECONDS = 20 * 60.0
_WAITING = (WebKind.WAIT, WebKind.LACKING)


class Waits:
    """Since when each host has been waiting for the machine config server."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}  # by host: the number of its installation, and when it began

    def seconds(self, host: str, installations: Mapping[str, Installation], *, answers: bool, now: float) -> float:
        """Return for how many seconds *host* has been waiting in this installation; 0 once the server *answers*.

        *now* is in seconds of a clock that does not go back.
        """
        if answers:
            self._since.pop(host, None)
            return 0.0
        installation = installations.get(host)
        number = installation.number if installation else 0
        known_number, since = self._since.get(host, (-1, now))
        if known_number != number:
            # A new installation starts a new wait: the cause of the last wait may be gone.
            self._since[host] = number, now
            return 0.0
        return now - since


class Polls:
    """Which hosts were told to wait by the last script sent to them.

    iPXE polls every few seconds for as long as a host is held, and the journal
    needs the first poll of a series alone.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, Order, Event | None]] = {}  # by host

    def repeats(self, host: str, script: SendScript, installations: Mapping[str, Installation]) -> bool:
        """Return whether *script* tells *host* to wait for the same reason as the last one."""
        return script.kind in _WAITING and self._last.get(host) == _reason(host, script, installations)

    def is_repeat(self, host: str, script: SendScript, installations: Mapping[str, Installation]) -> bool:
        """Return what `repeats` does, and remember *script*, which the host has or is about to get."""
        is_same = self.repeats(host, script, installations)
        if script.kind in _WAITING:
            self._last[host] = _reason(host, script, installations)
        else:
            self._last.pop(host, None)
        return is_same


def _reason(
    host: str, script: SendScript, installations: Mapping[str, Installation]
) -> tuple[int, Order, Event | None]:
    """Return why *host* waits. After an order or in a new installation it may be for something else, which is news."""
    installation = installations.get(host)
    number, order = (installation.number, installation.order) if installation else (0, Order.INSTALL)
    return number, order, script.event
