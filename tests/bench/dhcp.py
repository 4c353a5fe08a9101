"""DHCP, measured by perfdhcp: four-message exchanges per second, and their processor time.

Hosts with reservations ask through a relay and by broadcast.
"""

import re
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from tests.bench import peers
from tests.bench.lab import LOAD, SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import Host, hosts

HOSTS = 250
LOSS_LIMIT_PERCENT = 0.1
WAYS = ("through a relay", "by broadcast")
SAME_RATE = 5000  # exchanges/s: well below what the slowest of the three reaches
CONTESTANTS: dict[str, Callable[..., None]] = {
    OURS: peers.start_ours,
    "Kea": peers.start_kea,
    "dhcpd": peers.start_dhcpd,
    "dnsmasq": peers.start_dnsmasq_dhcp,
}
# Rates to try, in exchanges per second: the figure is the highest whose loss stays under the limit.
LADDER = (250, 500, 1000, 1500, 2000, 3000, 4000, *range(5000, 16000, 1000), *range(16000, 26000, 2000))


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the DHCP rows."""
    fleet = hosts(HOSTS)
    with labs([f"dhcp{number}" for number in range(len(CONTESTANTS))]) as made:
        running = dict(zip(CONTESTANTS, made.values(), strict=True))
        for name, lab in running.items():
            (lab.directory / "macs").write_text("".join(f"{host.mac}\n" for host in fleet))
            lab.attempt(_start, CONTESTANTS[name], fleet)
        rates = [_rates(running, way, rounds, seconds) for way in WAYS]
        times = [
            measure(
                f"DHCP, processor time of an exchange {way}, at {SAME_RATE}/s",
                "µs",
                {name: partial(_processor_time, running[name], way, seconds) for name in (OURS, "Kea", "dhcpd")},
                rounds=rounds,
                more_is_better=False,
            )
            for way in WAYS
        ]
        return rates + times


def _start(lab: Lab, start: Callable[..., None], fleet: list[Host]) -> None:
    start(lab, fleet)
    _wait_for_answers(lab)


def _rates(running: dict[str, Lab], way: str, rounds: int, seconds: float) -> Figure:
    climbers = {name: _Climber(lab, way, seconds) for name, lab in running.items()}
    figure = measure(
        f"DHCP, {HOSTS} pinned hosts, {way}",
        "exchanges/s",
        {name: climber.sample for name, climber in climbers.items()},
        rounds=rounds,
        targets={"Kea": Target(1.2), "dhcpd": Target(1.2), "dnsmasq": Target(1.2)},
    )
    busiest = max(climber.load_share for climber in climbers.values())
    note = f"highest rate with no more than {LOSS_LIMIT_PERCENT} % lost; perfdhcp used up to {busiest:.0%} of its core"
    return replace(figure, note=note)


class _Climber:
    """Finds the highest rate of the ladder without loss, beginning at the last round's."""

    def __init__(self, lab: Lab, way: str, seconds: float) -> None:
        self._run = partial(_run, lab, way, seconds)
        self.load_share = 0.0  # the largest share of its core that perfdhcp used in a run without loss
        self._rung = LADDER.index(6000)  # a first guess, between the slowest and the fastest server

    def sample(self) -> float:
        """Return the rate reached on the highest rung without loss."""
        reached = 0.0
        rung = self._rung
        while rung < len(LADDER) and (rate := self._try(LADDER[rung])):
            reached, self._rung = rate, rung
            rung += 1
        while not reached and rung > 0:
            rung -= 1
            reached, self._rung = self._try(LADDER[rung]), rung
        if not reached:
            raise BenchError(f"more than {LOSS_LIMIT_PERCENT} % lost even at {LADDER[0]} exchanges/s")
        return reached

    def _try(self, rate: int) -> float:
        """Return the rate that perfdhcp reached when it aimed at *rate*, or 0 when too much was lost."""
        ran = self._run(rate)
        if ran.lost_percent > LOSS_LIMIT_PERCENT or ran.rate < 0.9 * rate:
            return 0.0
        self.load_share = max(self.load_share, ran.load_share)
        return ran.rate


class Report(NamedTuple):
    """perfdhcp's report of one run."""

    rate: float  # exchanges/s
    lost_percent: float  # of DISCOVERs or REQUESTs, whichever lost more
    exchanges: int


class _Ran(NamedTuple):
    """A run of perfdhcp."""

    rate: float  # exchanges/s
    lost_percent: float
    exchanges: int
    load_share: float  # of its core that perfdhcp used


def _processor_time(lab: Lab, way: str, seconds: float) -> float:
    """Return the server's processor time per exchange at a rate that all of them reach, in microseconds."""
    before = lab.cpu_seconds()
    ran = _run(lab, way, seconds, SAME_RATE)
    if not ran.exchanges:
        raise BenchError(f"{lab.name} completed no exchange at {SAME_RATE} exchanges/s")
    return (lab.cpu_seconds() - before) * 1e6 / ran.exchanges


def _run(lab: Lab, way: str, seconds: float, rate: int) -> _Ran:
    where = ["-l", LOAD, SERVER] if way == WAYS[0] else ["-B", "-l", "load0"]
    used, began = _load_seconds(), time.monotonic()
    out = lab.load(
        "perfdhcp", "-4", "-r", rate, "-p", max(1, round(seconds / 2)), "-R", HOSTS, "-M", lab.directory / "macs",
        "-g", "single", *where, check=False,
    )  # fmt: skip
    share = (_load_seconds() - used) / (time.monotonic() - began)
    return _Ran(*parse_report(out), share)


def parse_report(out: str) -> Report:
    """Return what perfdhcp printed about a run. Raises BenchError when it printed no statistics."""
    reached = re.search(r"^Rate: ([\d.]+)", out, re.MULTILINE)
    drops = re.findall(r"^drops ratio: (\S+) %", out, re.MULTILINE)
    received = re.findall(r"^received packets: (\d+)", out, re.MULTILINE)
    if not reached or len(drops) != 2 or len(received) != 2:
        raise BenchError(f"perfdhcp printed no statistics: {out[-400:]}")
    # The ratio is "-nan" when no REQUEST was sent, because every OFFER was lost: the server was overloaded.
    lost = [100.0 if "nan" in drop else float(drop) for drop in drops]
    return Report(float(reached[1]), max(lost), int(received[1]))


def _load_seconds() -> float:
    """Return the processor time of all load tools that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_answers(lab: Lab) -> None:
    macs = str(lab.directory / "macs")
    lab.wait_until(
        "perfdhcp", "-4", "-n", "10", "-r", "100", "-W", "200000", "-R", str(HOSTS), "-M", macs, "-l", LOAD, SERVER
    )
