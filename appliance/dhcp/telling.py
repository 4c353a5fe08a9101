"""Which events of a DHCP server are published: not all that their senders can cause."""

from collections import Counter
from collections.abc import Callable

from appliance.allowance import Allowance, Allowances, Sample
from appliance.events import Event

# A boot causes some ten events, and a machine in a boot loop a few a second. More messages of one kind than that with a
# host's MAC address still get replies, and are counted, but do not fill log and journal.
HOST_EVENTS_A_SECOND = 10.0
HOST_EVENTS_AT_ONCE = 50.0


class Telling:
    """Publishes events, unless their host, unknown machines together, or senders outside have caused too many."""

    def __init__(self, publish: Callable[[Event], None], counts: Counter[tuple[str, ...]]) -> None:
        """*counts* gets ("host-event" | "stranger-event" | "outside-event", "dropped") for those that are not."""
        self._publish = publish
        self._counts = counts
        self._allowances = Allowances(Sample(), HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE)
        self._outside = Allowance()

    def tell(self, event: Event, now: float, *, is_local: bool) -> None:
        """Publish *event* at *now*, see `Allowance.take`; *is_local* is whether it came from the host's own segment."""
        if is_local:
            # Each kind has its own, so that forged messages of one kind displace no events of another.
            is_told = self._allowances.take(event.host, now, event.kind, getattr(event, "mac", ""))
            whose = "host" if event.host else "stranger"
        else:
            is_told, whose = self._outside.take(now), "outside"
        if is_told:
            self._publish(event)
        else:
            self._counts[f"{whose}-event", "dropped"] += 1
