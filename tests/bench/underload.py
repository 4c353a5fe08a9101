"""Several load tools at once: latency of DNS and DHCP at a fixed rate while something else happens."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.lab import LOAD, SERVER, BenchError, Lab


@dataclass(frozen=True)
class Latencies:
    """The latency of each answer, in seconds, sorted."""

    seconds: tuple[float, ...]

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, in milliseconds."""
        return self.seconds[int(len(self.seconds) * 0.99)] * 1000

    @property
    def worst_ms(self) -> float:
        """The longest latency, in milliseconds."""
        return self.seconds[-1] * 1000


@contextmanager
def running(lab: Lab, *commands: Sequence[str | Path | float]) -> Iterator[list[subprocess.Popen[str]]]:
    """Run *commands* on the load's core at the same time; kill what still runs at the end of the block."""
    started = [
        subprocess.Popen(
            lab.load_command(*map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for command in commands
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def dns_at(rate: int, seconds: float, data: Path) -> list[str]:
    """Return the command that sends DNS queries at *rate* per second."""
    return [
        "dnsperf", "-B", "-v", "-s", SERVER, "-d", str(data), "-c", "8", "-T", "1",
        "-l", str(seconds), "-Q", str(rate), "-t", "2",
    ]  # fmt: skip


def dhcp_at(rate: int, seconds: float, hosts: int) -> list[str]:
    """Return the command that sends DISCOVERs at *rate* per second."""
    return [sys.executable, "-m", "tests.bench.dhcpprobe", SERVER, LOAD, str(hosts), str(rate), str(seconds)]


def image_to(clients: int, path: str, *, bytes_a_second: int = 0) -> list[str]:
    """Return the command with which *clients* fetch *path* at once."""
    urls = [argument for _ in range(clients) for argument in (f"http://{SERVER}/{path}", "-o", "/dev/null")]
    limit = ["--limit-rate", str(bytes_a_second)] if bytes_a_second else []
    return [
        "curl", "-s", "-Z", "--parallel-immediate", "--parallel-max", str(clients), *limit,
        "-w", "%{http_code} %{size_download}\\n", *urls,
    ]  # fmt: skip


def dns_latencies(lab: Lab, process: subprocess.Popen[str], skip: int = 0) -> Latencies:
    """Return dnsperf's latencies without the first *skip* answers. Raises BenchError when a query was lost.

    The other load tools start on the same core, and the delay that this causes is not the server's.
    """
    out, _ = process.communicate(timeout=120)
    lost = re.search(r"Queries lost:\s+(\d+)", out)
    if not lost or int(lost[1]):
        raise BenchError(f"{lab.name} lost {lost[1] if lost else 'all'} queries")
    answers = re.findall(r"^> \S+ \S+ \S+ ([\d.]+)$", out, re.MULTILINE)
    found = sorted(float(seconds) for seconds in answers[skip:])
    if not found:
        raise BenchError(f"dnsperf printed no latencies against {lab.name}: {out[:300]}")
    return Latencies(tuple(found))


def dhcp_latencies(lab: Lab, process: subprocess.Popen[str]) -> Latencies:
    """Return the latencies of the DHCP probe. Raises BenchError when an OFFER was lost."""
    out, _ = process.communicate(timeout=120)
    report = json.loads(out)
    if report["lost"] or not report["late"]:
        raise BenchError(f"{lab.name} lost {report['lost']} OFFERs")
    return Latencies(tuple(sorted(report["late"])))


def check_transfers(lab: Lab, process: subprocess.Popen[str], clients: int, size: int) -> None:
    """Raise BenchError unless each of *clients* got the whole file."""
    out, _ = process.communicate(timeout=120)
    if out.splitlines() != [f"200 {size}"] * clients:
        raise BenchError(f"{lab.name} broke a transfer: {out[:200]}")
