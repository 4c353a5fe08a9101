"""Which forwarders know a name, and which of them is asked first (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.dns.message import CLASS_IN, TYPE_DS, wire_name
from appliance.model import Cluster, Endpoint

HOLD_DOWN_SECONDS = 10.0  # how long a forwarder that did not answer is asked last

KEY_DS = TYPE_DS.to_bytes(2) + CLASS_IN


@dataclass(frozen=True, slots=True)
class Forwarding:
    """To which forwarders queries go: to those of a zone, or to the general ones."""

    forwarders: tuple[Endpoint, ...]
    zones: Mapping[bytes, tuple[Endpoint, ...]]  # by name, in lower case and wire form
    drops_private: bool  # private addresses in answers of the general ones are dropped

    def __bool__(self) -> bool:
        """Whether any name is forwarded."""
        return bool(self.forwarders or self.zones)

    def forwarders_of(self, name: bytes, key: bytes) -> tuple[Endpoint, ...]:
        """Return whom to ask about *name*, in lower case, and the type and class in *key*: () for nobody."""
        if not self.zones:
            return self.forwarders
        zone = self._zone_of(name, key)
        return self.forwarders if zone is None else self.zones[zone]

    def drops_private_of(self, name: bytes, key: bytes) -> bool:
        """Whether private addresses are dropped from the answer. A zone of its own may have any."""
        return self.drops_private and (not self.zones or self._zone_of(name, key) is None)

    def _zone_of(self, name: bytes, key: bytes) -> bytes | None:
        # DS belongs to the parent's side of a zone cut (RFC 4035 section 3.1.4.1), which other servers know.
        at = 1 + name[0] if key == KEY_DS and name[0] else 0
        while name[at]:
            if name[at:] in self.zones:
                return name[at:]
            at += 1 + name[at]
        return None


def forwarding_of(clusters: Iterable[Cluster]) -> Forwarding:
    """Return to which forwarders *clusters* have queries go."""
    clusters = tuple(clusters)
    zones: dict[bytes, dict[Endpoint, None]] = {}
    for cluster in clusters:
        for entry in cluster.dns.forward:
            zones.setdefault(wire_name(entry.zone), {}).update(dict.fromkeys(entry.forwarders))
    return Forwarding(
        forwarders=tuple(dict.fromkeys(endpoint for cluster in clusters for endpoint in cluster.dns.forwarders)),
        zones={zone: tuple(forwarders) for zone, forwarders in zones.items()},
        drops_private=any(cluster.dns.drop_private_answers for cluster in clusters),
    )


class Upstreams:
    """The forwarders that recently did not answer. There are no more than cluster.yaml lists."""

    def __init__(self) -> None:
        self._failed_at: dict[Endpoint, float] = {}

    def in_turn(self, forwarders: Sequence[Endpoint], now: float) -> list[Endpoint]:
        """Return *forwarders* in their order, except that those that recently did not answer come last."""

        def is_held_down(forwarder: Endpoint) -> bool:
            failed_at = self._failed_at.get(forwarder)
            return failed_at is not None and now < failed_at + HOLD_DOWN_SECONDS

        return sorted(forwarders, key=is_held_down)

    def failed(self, forwarder: Endpoint, now: float) -> None:
        """Note that *forwarder* did not answer."""
        self._failed_at[forwarder] = now

    def answered(self, forwarder: Endpoint) -> None:
        """Note that *forwarder* answered."""
        self._failed_at.pop(forwarder, None)
