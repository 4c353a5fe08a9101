"""How long one piece of work takes compared with another, on a machine that may be slow or busy."""

import time
from collections.abc import Callable

Work = Callable[[], object]


def quickest(*works: Work, takes: int = 5) -> list[float]:
    """Return the shortest time of each of *works*, in seconds.

    They run in turn, so that another busy program slows all of them, and a pause spoils only one run.
    """
    return [min(seconds) for seconds in zip(*(map(seconds_of, works) for _ in range(takes)), strict=True)]


def seconds_of(work: Work) -> float:
    """Return how long *work* takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
