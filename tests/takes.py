"""How long something takes beside something else, on a machine that may be slow or busy."""

import time
from collections.abc import Callable

Work = Callable[[], object]


def quickest(*works: Work, takes: int = 5) -> list[float]:
    """Return the seconds of the quickest take of each.

    They take turns: whoever else has the core for a while slows all of them, and a pause spoils one take only.
    """
    return [min(seconds) for seconds in zip(*(map(seconds_of, works) for _ in range(takes)), strict=True)]


def seconds_of(work: Work) -> float:
    """Return how long *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
