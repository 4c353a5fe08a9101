"""The clocks of a machine that a test sets, and an appliance without servers on it."""

from collections.abc import Iterable
from pathlib import Path

from appliance.bus import Bus
from appliance.clock import Clock
from appliance.events import Event
from appliance.install.guard import Client, Verdict, ignition_verdict
from appliance.install.installation import Installation
from appliance.registry import Registry
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from tests.boots import LIVE, NOW, Boot


class MachineClock:
    """The wall clock, the seconds since the last boot, and the `true` time, which nobody on the machine knows."""

    def __init__(self, wall: float = NOW) -> None:
        self.true = 0.0
        self.wall = wall
        self.up = 100.0
        self.boots = 1

    def wait(self, seconds: float) -> None:
        self.true += seconds
        self.wall += seconds
        self.up += seconds

    def set(self, seconds: float) -> None:
        """Set the wall clock, forward or back."""
        self.wall += seconds

    def reboot(self, down: float = 0.0, up: float = 1.0, error: float = 0.0) -> None:
        """Go down for some seconds; *error* is what the wall clock loses or gains by that."""
        self.wait(down)
        self.wall += error
        self.up = 0.0
        self.boots += 1
        self.wait(up)

    def clock(self) -> Clock:
        """Return the clock of a process that starts now."""
        return Clock(lambda: self.wall, lambda: self.up, f"boot {self.boots}")


class SettableAppliance:
    """A registry on a machine whose clocks are set, which restarts and reboots."""

    def __init__(self, data_dir: Path, machine: MachineClock | None = None) -> None:
        self.data_dir = data_dir
        self.machine = machine or MachineClock()
        self.told: list[Event] = []
        self.start()

    def start(self) -> None:
        clock = self.machine.clock()
        self.journal = Journal(FallbackStore(self.data_dir))
        self.bus = Bus(clock.now)
        self.registry = Registry(self.journal, [LIVE], self.bus.publish, clock)
        self.bus.first = self.registry.listen
        self.bus.subscribers.append(lambda stamped: self.told.append(stamped.event))

    def tick(self) -> None:
        """Do what the registry does every second."""
        self.registry.follow_clock()
        self.registry.settle(self.registry.now())
        self.registry.tell_silences(self.registry.now())

    def happen(self, events: Iterable[Event]) -> None:
        for event in events:
            self.bus.publish(event)
        assert not self.bus.failures

    def __getitem__(self, boot: Boot) -> Installation:
        return self.registry.installations[boot.host]

    def verdict(self, boot: Boot) -> Verdict:
        """Return whether the host of *boot* may have its Ignition now."""
        host = self.registry.hosts[boot.host]
        return ignition_verdict(
            host,
            self[boot],
            host.role.ignition,
            self[boot].token,
            Client(frozenset(), None, needs_dhcp=True),
            expires_at=None,
            now=self.registry.now(),
            serve_expired=False,
        )
