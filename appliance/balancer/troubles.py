"""What keeps HAProxy from doing what cluster.yaml says, told once."""

from collections.abc import Callable
from enum import IntEnum

from appliance.events import BalancerRecovered, BalancerTrouble, Event


class Kind(IntEnum):
    """What can be wrong, the worst first: the operator reads one line."""

    UNHEARD = 0  # it does not run, or does not answer
    UNLOADED = 1  # it has not loaded the configuration that is on disk
    REFUSED = 2  # the configuration could not be replaced
    UNMOVED = 3  # a member is not as it is wanted
    UNSAVED = 4  # the state of the members, with which a restarted HAProxy begins


class Troubles:
    """The troubles of the moment."""

    def __init__(self, publish: Callable[[Event], None], now: Callable[[], float]) -> None:
        self._publish = publish
        self._now = now
        self._texts: dict[Kind, str] = {}
        self._told: str | None = None
        self._since = 0.0

    @property
    def text(self) -> str | None:
        """The worst of them; None without any."""
        return self._texts[min(self._texts)] if self._texts else None

    def set(self, kind: Kind, text: str | None) -> None:
        """Have *text*, which is what is wrong and what to do, as the trouble of that *kind*; None if there is none."""
        if text is None:
            self._texts.pop(kind, None)
        else:
            self._texts[kind] = text

    def has(self, kind: Kind) -> bool:
        """Whether there is a trouble of that *kind*."""
        return kind in self._texts

    def tell(self) -> None:
        """Publish what has changed since the last call."""
        text = self.text
        if text == self._told:
            return
        if self._told is None:
            self._since = self._now()
        self._told = text
        self._publish(
            BalancerRecovered("", seconds=round(self._now() - self._since, 1))
            if text is None
            else BalancerTrouble("", why=text)
        )
