"""Rounds of A B A B, and what they come to: medians, and the ratio round by round with its spread."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.bench.lab import BenchError

OURS = "ocp-appliance"
BEGAN = time.monotonic()
BUDGET_SECONDS = 17 * 60  # past it every row has one round only, so that the bench ends within 20 minutes


@dataclass(frozen=True)
class Target:
    """What a figure is to reach beside one peer, or by itself."""

    ratio: float = 0.0  # ours over the peer's, or under it when less is better
    limit: float = 0.0  # of our own median


@dataclass(frozen=True)
class Figure:
    """One row of the table: every contestant's samples, one a round."""

    name: str
    unit: str
    samples: Mapping[str, tuple[float, ...]]
    more_is_better: bool = True
    targets: Mapping[str, Target] = field(default_factory=dict)  # by contestant
    failures: Mapping[str, str] = field(default_factory=dict)  # contestant → why there is no figure
    note: str = ""

    def median(self, contestant: str) -> float:
        """Return the median of the contestant's samples."""
        return statistics.median(self.samples[contestant])

    def ratios(self, peer: str) -> tuple[float, ...]:
        """Return ours over the peer's, round by round."""
        return tuple(ours / theirs for ours, theirs in zip(self.samples[OURS], self.samples[peer], strict=False))

    def is_met(self, contestant: str) -> bool | None:
        """Return whether the target beside *contestant* is reached; None where there is none, or no figure."""
        target = self.targets.get(contestant)
        if target is None or OURS not in self.samples or contestant not in self.samples:
            return None
        if target.limit:
            median = self.median(OURS)
            return median >= target.limit if self.more_is_better else median <= target.limit
        ratio = statistics.median(self.ratios(contestant))
        return ratio >= target.ratio if self.more_is_better else ratio <= target.ratio


Sample = Callable[[], float]


def measure(
    name: str,
    unit: str,
    contestants: Mapping[str, Sample],
    *,
    rounds: int,
    more_is_better: bool = True,
    targets: Mapping[str, Target] | None = None,
    note: str = "",
) -> Figure:
    """Run every contestant once a round, in turn; fewer rounds when the bench's time is used up.

    A contestant that fails or loses something leaves the row with its reason.
    """
    samples: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    failures: dict[str, str] = {}
    began = time.monotonic()
    for number in range(rounds):
        if number and time.monotonic() > BEGAN + BUDGET_SECONDS:
            note = f"{number} rounds only: the bench's time is used up; {note}".rstrip("; ")
            break
        for contestant, sample in contestants.items():
            if contestant in failures:
                continue
            try:
                value = sample()
            except BenchError as error:
                failures[contestant] = str(error)
                samples.pop(contestant)
            else:
                samples[contestant].append(value)
    print(f"  {name}: {time.monotonic() - began:.0f} s", flush=True)
    return Figure(
        name,
        unit,
        {contestant: tuple(values) for contestant, values in samples.items()},
        more_is_better,
        targets or {},
        failures,
        note,
    )
