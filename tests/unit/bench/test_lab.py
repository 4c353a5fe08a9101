"""A contestant that cannot run: its rows give the reason, and the other contestants have figures."""

import time
from collections.abc import Iterator

import pytest

from tests.bench.lab import BenchError, Lab
from tests.bench.measure import measure

REASON = "no-such-server is not installed"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab without namespaces, which these tests do not reach."""
    lab = Lab("unit")
    yield lab
    lab.directory.rmdir()


def test_missing_server_is_the_reason_of_every_later_use(lab: Lab) -> None:
    lab.attempt(lambda its: its.start("no-such-server"))
    with pytest.raises(BenchError, match=REASON):
        lab.load("true")


def test_missing_probe_is_named_at_once(lab: Lab) -> None:
    with pytest.raises(BenchError, match="no-such-probe is not installed"):
        lab.wait_until("no-such-probe")


def test_row_keeps_the_figures_of_the_others(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.measure.BEGAN", time.monotonic())  # these tests may have begun long ago
    lab.attempt(lambda its: its.start("no-such-server"))
    contestants = {"theirs": lambda: float(lab.load("true")), "ours": lambda: 1.0}
    figure = measure("row", "unit", contestants, rounds=2)
    assert (figure.samples, figure.failures) == ({"ours": (1.0, 1.0)}, {"theirs": REASON})
