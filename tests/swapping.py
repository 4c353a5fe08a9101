"""A link that leads to one place after another, as fast as may be, for tests of who follows it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def swapping(link: Path, *targets: Path) -> Iterator[None]:
    """Let *link*, which is there at every moment, lead to each of *targets* in turn."""
    stopping = threading.Event()
    spare = link.with_name("spare")

    def swap() -> None:
        while not stopping.is_set():
            for target in targets:
                spare.symlink_to(target)
                spare.rename(link)

    link.symlink_to(targets[0])
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def met(look: Callable[[], object], *wanted: object, times: int = 2000, seconds: float = 60.0) -> set[object]:
    """Return what *look* met in *times* looks, and in as many more as it takes to meet all that is *wanted*.

    On a busy machine one thread may look for long while the other does not swap.
    """
    seen: set[object] = set()
    looks, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline and (looks < times or not seen.issuperset(wanted)):
        seen.add(look())
        looks += 1
    return seen
