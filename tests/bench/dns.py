"""DNS, measured by dnsperf: queries per second, names never asked before, and the latency's tail."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import peers
from tests.bench.lab import SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import fresh_questions, hosts, questions, write_binary

HOSTS = 7
CLIENTS = 8
CONTESTANTS: dict[str, Callable[..., None]] = {
    OURS: peers.start_ours,
    "BIND": peers.start_bind,
    "dnsmasq": peers.start_dnsmasq_dns,
    "NSD": peers.start_nsd,
    "Knot": peers.start_knot,
}
TARGETS = {"BIND": Target(1.5), "dnsmasq": Target(1.0), "NSD": Target(1.0), "Knot": Target(1.0)}


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the DNS rows."""
    fleet = hosts(HOSTS)
    with labs([f"dns{number}" for number in range(len(CONTESTANTS))]) as made:
        running = dict(zip(CONTESTANTS, made.values(), strict=True))
        for name, lab in running.items():
            lab.attempt(CONTESTANTS[name], fleet)
        directory = running[OURS].directory
        mix = write_binary(questions(fleet), directory / "mix")
        rows = [_rate("DNS, the reference mix", running, mix, rounds, seconds, TARGETS)]
        hit_rate = rows[0].median(OURS) if OURS in rows[0].samples else 0.0
        for kind in ("wildcard", "nxdomain"):
            fresh = write_binary(fresh_questions(kind, int(seconds * 200_000)), directory / kind)
            floor = {OURS: Target(limit=hit_rate / 2)}
            rows.append(_rate(f"DNS, {kind} names never seen before", running, fresh, rounds, seconds, floor))
        # Half of what the slower one manages: at that rate neither has a queue that it cannot drain.
        rates = [rows[0].median(name) for name in (OURS, "dnsmasq") if name in rows[0].samples]
        if not rates:
            return rows
        rate = int(min(rates) * 0.5)
        rows.append(
            measure(
                f"DNS, p99 at {rate} queries/s",
                "ms",
                {name: partial(_p99, running[name], mix, rate, seconds) for name in (OURS, "dnsmasq")},
                rounds=rounds,
                more_is_better=False,
                targets={"dnsmasq": Target(1.0)},
            )
        )
        return rows


def _rate(
    name: str, running: dict[str, Lab], data: Path, rounds: int, seconds: float, targets: dict[str, Target]
) -> Figure:
    contestants = {contestant: partial(_queries_a_second, lab, data, seconds) for contestant, lab in running.items()}
    return measure(name, "queries/s", contestants, rounds=rounds, targets=targets)


def _queries_a_second(lab: Lab, data: Path, seconds: float) -> float:
    out = lab.load("dnsperf", "-B", "-s", SERVER, "-d", data, "-c", CLIENTS, "-T", 1, "-l", seconds, "-t", 2)
    return _figure(out, r"Queries per second:\s+([\d.]+)", lab.name)


def _p99(lab: Lab, data: Path, rate: int, seconds: float) -> float:
    out = lab.load(
        "dnsperf", "-B", "-v", "-s", SERVER, "-d", data, "-c", CLIENTS, "-T", 1, "-l", seconds, "-Q", rate, "-t", 2
    )
    _figure(out, r"Queries per second:\s+([\d.]+)", lab.name)
    latencies = sorted(float(found) for found in re.findall(r"^> \S+ \S+ \S+ ([\d.]+)$", out, re.MULTILINE))
    if not latencies:
        raise BenchError(f"dnsperf printed no latencies against {lab.name}: {out[:300]}")
    return latencies[int(len(latencies) * 0.99)] * 1000


def _figure(out: str, pattern: str, name: str) -> float:
    lost = re.search(r"Queries lost:\s+(\d+)", out)
    found = re.search(pattern, out)
    if not found or not lost or int(lost[1]):
        raise BenchError(f"{name} lost {lost[1] if lost else 'all'} queries")
    return float(found[1])
