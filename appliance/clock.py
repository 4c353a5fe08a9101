"""The time by which waits and windows are judged: the wall clock's, without its jumps.

The wall clock can be set by years at any moment: by NTP on a machine whose battery is
flat, by a hypervisor, by hand. The kernel also counts the seconds since it booted,
suspension included, and nobody can set that (clock_gettime(2), CLOCK_BOOTTIME).
`Clock.now` is that count plus a constant, so it does not jump. The registry calls
`follow` every second or so, which makes it agree with the wall clock again, and moves
all instants that it keeps by the same step: their distances stay true, and what
operators read is the time of their own clocks.

The constant is kept with the state. After a restart it tells by how much the clock
was set meanwhile, unless the machine was rebooted as well.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

# NTP slews an error below a fraction of a second, and sets the clock for a larger one. Steps this small that add up
# are followed once they have.
STEP_SECONDS = 1.0
# Two clocks are read one after the other. Further apart, the process was stopped in between.
_READING_SECONDS = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_seconds_since_boot = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How the wall clock of a machine was set."""

    boot: str  # identifies the boot of the machine; "" if that is not known
    ahead: float  # the wall clock, seconds UTC, minus the seconds since that boot


def this_boot() -> str:
    """Return what identifies this boot of the machine, or "" if the kernel does not say."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""


class Clock:
    """A wall clock that does not jump. Any thread may call `now`."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        uptime: Callable[[], float] = _seconds_since_boot,
        boot: str | None = None,
    ) -> None:
        """*wall* returns seconds UTC, *uptime* seconds since the *boot*; by default those of this machine."""
        self.uptime = uptime
        self._wall = wall
        self.setting = ClockSetting(this_boot() if boot is None else boot, self._ahead())

    def now(self) -> float:
        """Return the time in seconds UTC, by the wall clock as it was last followed."""
        return self.uptime() + self.setting.ahead

    def follow(self) -> float:
        """Agree with the wall clock again if it was set, and return by how many seconds; else return 0.0.

        The caller moves all instants that it keeps by as much.
        """
        step = self._ahead() - self.setting.ahead
        if abs(step) <= STEP_SECONDS:
            return 0.0
        self.setting = replace(self.setting, ahead=self.setting.ahead + step)
        return step

    def step_since(self, kept: ClockSetting | None) -> float | None:
        """Return by how many seconds the clock was set since *kept*; None if the machine was rebooted since."""
        if kept is None or not kept.boot or kept.boot != self.setting.boot:
            return None
        step = self.setting.ahead - kept.ahead
        return step if abs(step) > STEP_SECONDS else 0.0

    def _ahead(self) -> float:
        while True:
            before, wall = self.uptime(), self._wall()
            if self.uptime() - before < _READING_SECONDS:
                return wall - before
