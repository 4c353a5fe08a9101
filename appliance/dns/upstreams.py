"""Which forwarder is asked first (pure)."""

from collections.abc import Sequence

from appliance.model import Endpoint

HOLD_DOWN_SECONDS = 10.0  # how long a forwarder that did not answer is asked last


class Upstreams:
    """The forwarders that recently did not answer. There are no more than in the list that is asked."""

    def __init__(self) -> None:
        self._failed_at: dict[Endpoint, float] = {}

    def in_turn(self, forwarders: Sequence[Endpoint], now: float) -> list[Endpoint]:
        """Return *forwarders* in their order, except that those that recently did not answer come last."""

        def is_held_down(forwarder: Endpoint) -> bool:
            failed_at = self._failed_at.get(forwarder)
            return failed_at is not None and now < failed_at + HOLD_DOWN_SECONDS

        return sorted(forwarders, key=is_held_down)

    def failed(self, forwarder: Endpoint, now: float) -> None:
        """Note that *forwarder* did not answer."""
        self._failed_at[forwarder] = now

    def answered(self, forwarder: Endpoint) -> None:
        """Note that *forwarder* answered."""
        self._failed_at.pop(forwarder, None)
