"""A symbolic link that changes its target all the time, for tests of races between looking up and opening."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def swapping(link: Path, *targets: Path) -> Iterator[None]:
    """Point *link* to each of *targets* in turn during the block, as fast as possible. It always exists."""
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
    """Return the set of results of *times* calls of *look*, or of more until it contains all of *wanted*.

    On a busy machine one thread may call *look* for a long time while the other has no chance to swap.
    """
    seen: set[object] = set()
    looks, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline and (looks < times or not seen.issuperset(wanted)):
        seen.add(look())
        looks += 1
    return seen
