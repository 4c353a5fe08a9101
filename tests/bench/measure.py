"""Rounds of A B A B: medians, and ratios round by round with their spread.

Contestants take turns within a round, so that a slow minute of the machine affects all of them.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.bench.lab import BenchError

OURS = "ocp-appliance"
BEGAN = time.monotonic()
BUDGET_SECONDS = 17 * 60  # after this, each row gets one round, so that the bench ends within 20 minutes


@dataclass(frozen=True)
class Target:
    """What a figure should reach, relative to one peer or absolutely."""

    ratio: float = 0.0  # of ours to the peer's: at least this, or at most this when less is better
    limit: float = 0.0  # for our own median


@dataclass(frozen=True)
class Figure:
    """One row of the table: each contestant's samples, one per round."""

    name: str
    unit: str
    samples: Mapping[str, tuple[float, ...]]
    more_is_better: bool = True
    targets: Mapping[str, Target] = field(default_factory=dict)  # by contestant
    failures: Mapping[str, str] = field(default_factory=dict)  # contestant → why it has no figure
    note: str = ""

    def median(self, contestant: str) -> float:
        """Return the median of the contestant's samples."""
        return statistics.median(self.samples[contestant])

    def ratios(self, peer: str) -> tuple[float, ...]:
        """Return our sample divided by the peer's, for each round."""
        return tuple(ours / theirs for ours, theirs in zip(self.samples[OURS], self.samples[peer], strict=False))

    def is_met(self, contestant: str) -> bool | None:
        """Return whether the target next to *contestant* is met; None without a target or a figure."""
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
    """Run each contestant once per round, in turn; fewer rounds when the bench's time is used up.

    A contestant whose sample raises BenchError has no figure; Figure.failures has the reason.
    """
    samples: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    failures: dict[str, str] = {}
    began = time.monotonic()
    for number in range(rounds):
        if number and time.monotonic() > BEGAN + BUDGET_SECONDS:
            note = f"only {number} rounds, for lack of time; {note}".rstrip("; ")
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
