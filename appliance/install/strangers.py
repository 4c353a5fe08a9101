"""Machines that asked for an address and are in no cluster.yaml: a bounded list with what is known of each."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import get_type_hints

from appliance.events import DhcpUnknown

# As many machines as a /22 network can have, before any of them is in cluster.yaml.
MAX_STRANGERS = 1024
# Of these, as many as asked more than once are safe from those that asked once: a true machine repeats its request, and
# a flood of invented MAC addresses does not.
KEPT_REPEATERS = MAX_STRANGERS // 2


@dataclass(slots=True)
class Stranger:
    """One unknown machine; times in seconds UTC."""

    mac: str
    first_at: float
    last_at: float
    times: int
    program: str  # that spoke last, as in appliance.events.Program
    arch: str
    vendor_class: str
    relay: str
    interface: str


class Strangers:
    """The unknown machines that were seen last."""

    def __init__(self, known: Iterable[dict[str, object]] = ()) -> None:
        """Begin with what the journal kept, oldest first."""
        # By MAC address, those seen last at the end.
        self._once: dict[str, Stranger] = {}
        self._again: dict[str, Stranger] = {}  # asked more than once
        self.has_changed = False
        for facts in known:
            try:
                stranger = Stranger(**_with_program(facts))  # type: ignore[arg-type] # what rows() wrote
            except TypeError:  # of another version
                continue
            if not _is_sound(stranger):
                continue
            self._keep(stranger)

    def __len__(self) -> int:
        return len(self._once) + len(self._again)

    def see(self, event: DhcpUnknown, at: float) -> bool:
        """Record a machine; return whether it is new and no other machine was dropped for it."""
        self.has_changed = True
        before = self._drop(event.mac)
        self._keep(
            Stranger(
                mac=event.mac,
                first_at=before.first_at if before else at,
                last_at=at,
                times=before.times + 1 if before else 1,
                program=event.program.value,
                # An operating system sends less about its machine than the firmware before it did.
                arch=event.arch or (before.arch if before else ""),
                vendor_class=event.vendor or (before.vendor_class if before else ""),
                relay=event.relay,
                interface=event.interface,
            )
        )
        if len(self) > MAX_STRANGERS:
            victims = self._again if len(self._again) > KEPT_REPEATERS else self._once
            del victims[next(iter(victims))]
            return False
        return before is None

    def forget(self, macs: Iterable[str]) -> None:
        """Drop the machines with *macs*, which are in a cluster.yaml by now."""
        for mac in macs:
            self.has_changed |= self._drop(mac) is not None

    def shift(self, seconds: float) -> None:
        """Move all times by *seconds*, because the clock was set."""
        self.has_changed = True
        for stranger in self.latest():
            stranger.first_at += seconds
            stranger.last_at += seconds

    def latest(self) -> list[Stranger]:
        """Return the machines, latest first."""
        return sorted([*self._once.values(), *self._again.values()], key=attrgetter("last_at"), reverse=True)

    def rows(self) -> list[tuple[str, float, dict[str, object]]]:
        """Return what the journal keeps of each: its MAC address, when it was last seen, and all facts."""
        return [(stranger.mac, stranger.last_at, asdict(stranger)) for stranger in reversed(self.latest())]

    def _keep(self, stranger: Stranger) -> None:
        (self._again if stranger.times > 1 else self._once)[stranger.mac] = stranger

    def _drop(self, mac: str) -> Stranger | None:
        return self._once.pop(mac, None) or self._again.pop(mac, None)


def _with_program(facts: dict[str, object]) -> dict[str, object]:
    # Older versions kept the program as "client".
    return {"program" if fact == "client" else fact: value for fact, value in facts.items()}


_TYPES = get_type_hints(Stranger)


def _is_sound(stranger: Stranger) -> bool:
    """Whether each fact has the type that rows() wrote; the file that kept it may be damaged."""
    return all(type(value) is _TYPES[name] for name, value in asdict(stranger).items())
