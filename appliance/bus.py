"""The bus that hands every event to the parts of the program that want to know it.

A server publishes an event after it has sent the reply. The registry hears of it
first, then the subscribers (log, metrics, recorder, dashboard), one after the
other, in the thread that published it.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from appliance.events import Event, Stamped

logger = logging.getLogger(__name__)

Subscriber = Callable[[Stamped], None]


class Bus:
    """Tells every subscriber of every event, in the order in which they subscribed.

    `first` is told before all of them, and returns the number of the installation
    that the event belongs to: the registry, whose state the others then find as
    the event left it. Append to `subscribers` to subscribe, remove from it to end that.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """*now* returns the time in seconds UTC."""
        self.first: Callable[[Stamped], int] = _no_number
        self.subscribers: list[Subscriber] = []
        self.failures: Counter[str] = Counter()  # by subscriber
        self._now = now
        self._waiting: deque[Stamped] = deque()
        self._is_telling = False

    def publish(self, event: Event) -> None:
        """Stamp *event* and tell every subscriber; one that raises is logged and counted, and the next one is told.

        What a subscriber publishes itself is told after all of them were told of the event that led to it.
        """
        self._waiting.append(Stamped(self._now(), event))
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._waiting:
                self._tell(self._waiting.popleft())
        finally:
            self._is_telling = False

    def _tell(self, stamped: Stamped) -> None:
        at, event, _ = stamped
        try:
            stamped = Stamped(at, event, self.first(stamped))
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            self._failed(self.first, event, error)
        for subscriber in self.subscribers:
            try:
                subscriber(stamped)
            except Exception as error:  # noqa: BLE001 - logged with its traceback
                self._failed(subscriber, event, error)

    def _failed(self, subscriber: Callable[[Stamped], object], event: Event, error: Exception) -> None:
        name = getattr(subscriber, "__qualname__", repr(subscriber))
        self.failures[name] += 1
        logger.error("subscriber %s failed on %s", name, event.kind, exc_info=error)


def _no_number(_stamped: Stamped) -> int:
    return 0
