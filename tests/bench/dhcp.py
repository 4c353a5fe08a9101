"""DHCP: four-way exchanges a second for pinned hosts, through a relay and by broadcast, by perfdhcp."""

import re
from collections.abc import Callable
from functools import partial

from tests.bench import peers
from tests.bench.lab import LOAD, SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import hosts

HOSTS = 250
LOSS_LIMIT_PERCENT = 0.1
CONTESTANTS: dict[str, Callable[..., None]] = {
    OURS: peers.start_ours,
    "Kea": peers.start_kea,
    "dhcpd": peers.start_dhcpd,
    "dnsmasq": peers.start_dnsmasq_dhcp,
}
# Rates to try, in exchanges a second: the figure is the highest with the loss under its limit.
LADDER = (250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 10000, 12000, 14000, 16000, 18000, 20000, 24000)


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the DHCP rows."""
    fleet = hosts(HOSTS)
    with labs([f"dhcp{number}" for number in range(len(CONTESTANTS))]) as made:
        running = dict(zip(CONTESTANTS, made.values(), strict=True))
        for name, lab in running.items():
            (lab.directory / "macs").write_text("".join(f"{host.mac}\n" for host in fleet))
            CONTESTANTS[name](lab, fleet)
        for lab in running.values():
            _wait_for_answers(lab)
        return [
            measure(
                f"DHCP, {HOSTS} pinned hosts, {way}",
                "exchanges/s",
                {name: _Climber(lab, way, seconds).sample for name, lab in running.items()},
                rounds=rounds,
                targets={"Kea": Target(1.2), "dhcpd": Target(1.2), "dnsmasq": Target(1.2)},
                note=f"highest rate with no more than {LOSS_LIMIT_PERCENT} % lost",
            )
            for way in ("through a relay", "by broadcast")
        ]


class _Climber:
    """Finds the highest rung of the ladder without loss, beginning where the last round ended."""

    def __init__(self, lab: Lab, way: str, seconds: float) -> None:
        self._try = partial(_exchange, lab, way, seconds)
        self._rung = 6  # between the slowest and the fastest

    def sample(self) -> float:
        """Return the rate that was reached on the highest rung that holds."""
        reached = 0.0
        rung = self._rung
        while rung < len(LADDER) and (rate := self._try(LADDER[rung])):
            reached, self._rung = rate, rung
            rung += 1
        while not reached and rung > 0:
            rung -= 1
            reached, self._rung = self._try(LADDER[rung]), rung
        if not reached:
            raise BenchError(f"loses more than {LOSS_LIMIT_PERCENT} % at {LADDER[0]} exchanges/s")
        return reached


def _exchange(lab: Lab, way: str, seconds: float, rate: int) -> float:
    """Return the rate that perfdhcp reached when it tried for *rate*, or 0 when too much was lost."""
    where = ["-l", LOAD, SERVER] if way == "through a relay" else ["-B", "-l", "load0"]
    out = lab.load(
        "perfdhcp", "-4", "-r", rate, "-p", max(1, round(seconds / 2)), "-R", HOSTS, "-M", lab.directory / "macs",
        "-g", "single", *where, check=False,
    )  # fmt: skip
    reached = re.search(r"^Rate: ([\d.]+)", out, re.MULTILINE)
    drops = [float(found) for found in re.findall(r"^drops ratio: ([\d.]+) %", out, re.MULTILINE)]
    if not reached or len(drops) != 2:
        raise BenchError(f"perfdhcp printed no figure: {out[-400:]}")
    return float(reached[1]) if max(drops) <= LOSS_LIMIT_PERCENT and float(reached[1]) >= 0.9 * rate else 0.0


def _wait_for_answers(lab: Lab) -> None:
    macs = str(lab.directory / "macs")
    lab.wait_until(
        "perfdhcp", "-4", "-n", "10", "-r", "100", "-W", "200000", "-R", str(HOSTS), "-M", macs, "-l", LOAD, SERVER
    )
