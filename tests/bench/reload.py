"""A reload under load: the longest pause, with nothing lost or broken; and latency while another service is busy."""

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import peers
from tests.bench.lab import SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.underload import (
    check_transfers,
    dhcp_at,
    dhcp_latencies,
    dns_at,
    dns_latencies,
    image_to,
    running,
)
from tests.bench.workload import DOMAIN, Host, hosts, questions, write_binary, zone_files

HOSTS = 1000
PAUSE_LIMIT_MS = 50
DNS_RATE, DHCP_RATE = 5000, 200
FLOOD_RATE = 200_000  # more than any of them answers, so dnsperf sends as fast as answers arrive
CLIENTS = 8
FAN_OUT_CLIENTS = 32
IMAGE = "metal.raw.gz"
IMAGE_BYTES = 256 << 20
SECONDS = 5.0  # of load in each sample
BEFORE_SECONDS = 1.5  # of load before the reload
STACK = "BIND + dhcpd + nginx"
SMALL_STACK = "dnsmasq + nginx"


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the rows for reload and fairness; *seconds* bounds the fairness rows only."""
    fleet = hosts(HOSTS)
    with labs(["reload0", "reload1", "reload2"]) as made:
        by_name = dict(zip(STARTS, made.values(), strict=True))
        for name, lab in by_name.items():
            lab.attempt(STARTS[name], fleet)
        data = write_binary(questions(fleet), by_name[OURS].directory / "mix")
        reloaded = {name: _Reloads(by_name[name], fleet, data, RELOADS[name]) for name in RELOADS}
        return [
            measure(
                f"reload under load, {HOSTS} hosts, worst DNS latency",
                "ms",
                {name: reloads.worst_dns_ms for name, reloads in reloaded.items()},
                rounds=rounds,
                more_is_better=False,
                targets={OURS: Target(limit=PAUSE_LIMIT_MS)},
                note=f"{DNS_RATE} queries/s, {DHCP_RATE} DISCOVERs/s, {CLIENTS} images under way; none lost or broken",
            ),
            Figure(
                f"reload under load, {HOSTS} hosts, worst DHCP latency",
                "ms",
                {name: tuple(reloads.worst_dhcp_ms) for name, reloads in reloaded.items() if reloads.worst_dhcp_ms},
                more_is_better=False,
                targets={OURS: Target(limit=PAUSE_LIMIT_MS)},
            ),
            _fairness(
                f"DNS p99 while {FAN_OUT_CLIENTS} clients fetch an image",
                _dns_in_fan_out,
                by_name,
                data,
                rounds,
                seconds,
            ),
            _fairness("DHCP p99 in a flood of DNS queries", _dhcp_in_flood, by_name, data, rounds, seconds),
        ]


def _fairness(
    name: str,
    sample: Callable[[Lab, Path, float], float],
    by_name: dict[str, Lab],
    data: Path,
    rounds: int,
    seconds: float,
) -> Figure:
    contestants = {contestant: partial(sample, lab, data, seconds) for contestant, lab in by_name.items()}
    return measure(name, "ms", contestants, rounds=rounds, more_is_better=False)


def _start_ours(lab: Lab, fleet: list[Host]) -> None:
    images = lab.directory / "data" / "images"
    images.mkdir(parents=True)
    _write_image(images)
    peers.start_ours(lab, fleet)


def _start_web_peer(lab: Lab) -> None:
    www = lab.directory / "www"
    www.mkdir()
    _write_image(www)
    peers.start_nginx(lab)


def _start_stack(lab: Lab, fleet: list[Host]) -> None:
    peers.start_bind(lab, fleet)
    peers.start_dhcpd(lab, fleet)
    _start_web_peer(lab)


def _start_small_stack(lab: Lab, fleet: list[Host]) -> None:
    peers.start_dnsmasq(lab, fleet)
    _start_web_peer(lab)


def _write_image(directory: Path) -> None:
    with (directory / IMAGE).open("wb") as out:
        out.truncate(IMAGE_BYTES)


def _reload_ours(lab: Lab, fleet: list[Host], api: str) -> None:
    """Change cluster.yaml and signal the appliance."""
    path = peers.write_cluster(lab, fleet)
    path.write_text(path.read_text().replace("apiVIPs: [172.16.0.111]", f"apiVIPs: [{api}]"))
    lab.signal(signal.SIGHUP)


def _reload_bind(lab: Lab, fleet: list[Host], api: str) -> None:
    """Rewrite every zone with a higher serial and signal BIND. dhcpd cannot reload, and is left alone."""
    serial = 2000091802 + int(api.rpartition(".")[2])
    for path in zone_files(fleet, lab.directory).values():
        path.write_text(
            path.read_text()
            .replace("2000091802", str(serial))
            .replace("api.ocp45 A 172.16.0.111", f"api.ocp45 A {api}")
        )
    lab.signal(signal.SIGHUP)


class _Reloads:
    """One contestant's reloads: DNS latency is the sample, DHCP latency is collected with it."""

    def __init__(self, lab: Lab, fleet: list[Host], data: Path, reload: Callable[[Lab, list[Host], str], None]) -> None:
        self._lab, self._fleet, self._data, self._reload = lab, fleet, data, reload
        self._number = 0
        self.worst_dhcp_ms: list[float] = []

    def worst_dns_ms(self) -> float:
        """Reload once under load; return the worst DNS latency in milliseconds."""
        self._number += 1
        api = f"172.16.0.{111 + self._number}"
        commands = (
            dns_at(DNS_RATE, SECONDS, self._data),
            dhcp_at(DHCP_RATE, SECONDS, HOSTS),
            image_to(CLIENTS, IMAGE, bytes_a_second=int(IMAGE_BYTES / SECONDS)),
        )
        with running(self._lab, *commands) as (dns, dhcp, http):
            time.sleep(BEFORE_SECONDS)
            self._reload(self._lab, self._fleet, api)
            worst_ms = dns_latencies(self._lab, dns, skip=int(DNS_RATE * BEFORE_SECONDS * 0.6)).worst_ms
            self.worst_dhcp_ms.append(dhcp_latencies(self._lab, dhcp).worst_ms)
            check_transfers(self._lab, http, CLIENTS, IMAGE_BYTES)
        if self._lab.load("dig", "+short", f"@{SERVER}", f"api.{DOMAIN}").strip() != api:
            raise BenchError(f"{self._lab.name} still serves the old data after its reload: {self._lab.log()}")
        return worst_ms


def _dns_in_fan_out(lab: Lab, data: Path, seconds: float) -> float:
    with running(lab, image_to(FAN_OUT_CLIENTS, IMAGE), dns_at(DNS_RATE // 2, seconds, data)) as (http, dns):
        latencies = dns_latencies(lab, dns)
        check_transfers(lab, http, FAN_OUT_CLIENTS, IMAGE_BYTES)
    return latencies.p99_ms


def _dhcp_in_flood(lab: Lab, data: Path, seconds: float) -> float:
    with running(lab, dns_at(FLOOD_RATE, seconds, data), dhcp_at(DHCP_RATE, seconds, HOSTS)) as (_, dhcp):
        return dhcp_latencies(lab, dhcp).p99_ms


STARTS: dict[str, Callable[[Lab, list[Host]], None]] = {
    OURS: _start_ours,
    STACK: _start_stack,
    SMALL_STACK: _start_small_stack,
}
# Without dnsmasq: it reads the names of its zone only at its start.
RELOADS = {OURS: _reload_ours, STACK: _reload_bind}
