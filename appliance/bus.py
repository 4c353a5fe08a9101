"""The bus that hands every event to the parts of the program that want to know it.

A server publishes an event after it has sent the reply. The registry hears of it
first, then the subscribers (log, metrics, recorder, dashboard), one after the
other, in the thread that published it.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance.events import DhcpUnknown, Event, Stamped, TftpAborted, TftpFailed, TftpFinished, TftpStarted

logger = logging.getLogger(__name__)

Subscriber = Callable[[Stamped], None]

# The fields that have text of a client. The web server hides tokens itself, before it cuts its text to a length.
_FOREIGN: Mapping[type[Event], tuple[str, ...]] = {
    TftpStarted: ("path",),
    TftpFinished: ("path",),
    TftpFailed: ("path", "why"),
    TftpAborted: ("path", "why"),
    DhcpUnknown: ("vendor",),
}


class Bus:
    """Tells every subscriber of every event, in the order in which they subscribed.

    `first` is told before all of them, and returns the number of the installation
    that the event belongs to: the registry, whose state the others then find as
    the event left it. `hide` returns text of a client without what is secret. Append
    to `subscribers` to subscribe, remove from it to end that.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """*now* returns the time in seconds UTC."""
        self.first: Callable[[Stamped], int] = _no_number
        self.hide: Callable[[str], str] = str
        self.subscribers: list[Subscriber] = []
        self.failures: Counter[str] = Counter()  # by subscriber
        self._now = now
        self._waiting: deque[Stamped] = deque()
        self._is_telling = False

    def publish(self, event: Event) -> None:
        """Stamp *event* and tell every subscriber; one that raises is logged and counted, and the next one is told.

        What a subscriber publishes itself is told after all of them were told of the event that led to it.
        """
        if type(event) in _FOREIGN:
            event = self._without_secrets(event)
        self._waiting.append(Stamped(self._now(), event))
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._waiting:
                self._tell(self._waiting.popleft())
        finally:
            self._is_telling = False

    def _without_secrets(self, event: Event) -> Event:
        texts = {name: getattr(event, name) for name in _FOREIGN[type(event)]}
        hidden = {name: self.hide(text) for name, text in texts.items()}
        return event if hidden == texts else replace(event, **hidden)

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
