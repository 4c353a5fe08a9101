"""The latest requests that were answered with an error, of which no client can take all places."""

from collections import Counter
from collections.abc import Iterator

from appliance.events import WebRefused

MAX_REFUSALS = 20  # about as many as fit a screen below the hosts


class Refusals:
    """The latest refusals, oldest first; all strangers together count as one host."""

    def __init__(self) -> None:
        self._latest: list[tuple[float, WebRefused]] = []

    def __iter__(self) -> Iterator[tuple[float, WebRefused]]:
        return iter(list(self._latest))

    def add(self, at: float, event: WebRefused) -> None:
        """Keep a refusal; past the bound, the host that has most of them loses its oldest."""
        self._latest.append((at, event))
        if len(self._latest) > MAX_REFUSALS:
            ((greediest, _),) = Counter(event.host for _, event in self._latest).most_common(1)
            oldest = next(index for index, (_, event) in enumerate(self._latest) if event.host == greediest)
            del self._latest[oldest]

    def shift(self, seconds: float) -> None:
        """Move all times by *seconds*, because the clock was set."""
        self._latest = [(at + seconds, event) for at, event in self._latest]
