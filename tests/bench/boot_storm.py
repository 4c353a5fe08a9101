"""A boot storm: power on all hosts of a cluster within the same second.

    python -m tests.bench.boot_storm cluster.yaml --via 172.16.0.250 --via 172.16.0.251

There is one process for each relay address, and it plays its share of the hosts.
The relay addresses and the hosts' addresses must belong to this computer. Bodies
are counted and dropped in the kernel, so that the generator is not the bottleneck;
the report says how busy it was.
"""

import asyncio
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import click

from appliance.config import load
from appliance.errors import SimulationError
from appliance.model import Host
from appliance.simulate.machine import Expected, Hardware, Machine, Patience, StepError
from appliance.simulate.plan import ports_of
from appliance.simulate.power import power_on
from appliance.simulate.relay import Relay, RelayLink

# The patience of real firmware and installers: if a machine has to retry, the server was too slow, not we too hasty.
PATIENCE = Patience(dhcp_waits=(4.0, 8.0, 16.0, 32.0), tftp_wait=4.0, http_idle=120.0, longest_pause=30.0, hold=600.0)
READY_SECONDS = 60.0


@dataclass(slots=True)
class Report:
    """The result of a storm; reports of several processes can be added."""

    hosts: int = 0
    installed: int = 0
    seconds_to_last: float = 0.0  # from the first power-on to the last disk written
    seconds: list[float] = field(default_factory=list)  # for each installed host, sorted
    retries: int = 0  # messages sent again and files requested again
    bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # count by kind of failure
    cpu_seconds: float = 0.0  # used by the generator
    busiest: float = 0.0  # share of a core that the busiest process of the generator used; 1.0 is a whole core

    @property
    def is_clean(self) -> bool:
        """Whether all hosts were installed without a retry."""
        return self.installed == self.hosts and not self.retries

    @property
    def ceiling(self) -> float:
        """Hosts per second that one core of the generator could play if the server answered at once."""
        return self.installed / self.cpu_seconds if self.cpu_seconds else 0.0

    def add(self, other: "Report") -> None:
        """Add the report of another process."""
        self.hosts += other.hosts
        self.installed += other.installed
        self.seconds_to_last = max(self.seconds_to_last, other.seconds_to_last)
        self.seconds = sorted(self.seconds + other.seconds)
        self.retries += other.retries
        self.bytes += other.bytes
        self.errors = dict(Counter(self.errors) + Counter(other.errors))
        self.cpu_seconds += other.cpu_seconds
        self.busiest = max(self.busiest, other.busiest)

    def __str__(self) -> str:
        count = len(self.seconds)
        quantiles = "".join(
            f", p{percent} {self.seconds[min(count * percent // 100, count - 1)]:.2f} s"
            for percent in (50, 90, 99)
            if count
        )
        rate = self.bytes / max(self.seconds_to_last, 1e-9)
        errors = sum(self.errors.values())
        lines = [
            f"{self.installed} of {self.hosts} hosts installed, the last after {self.seconds_to_last:.2f} s{quantiles}",
            f"{self.bytes / 1e9:.2f} GB, {rate / 1e9:.2f} GB/s; {self.retries} retries, {errors} errors",
            (
                f"generator: {self.cpu_seconds:.1f} s of CPU, {self.ceiling:.0f} hosts per CPU second;"
                f" the busiest process used {self.busiest:.0%} of a core"
            ),
            *(f"{times} x {what}" for what, times in sorted(self.errors.items())),
        ]
        return "\n".join(lines)


async def play(hosts: Sequence[Host], relay: Relay, hardware: Hardware, within: float, seed: int) -> Report:
    """Power on *hosts* behind *relay*, spread over *within* seconds; return when all have installed or failed."""
    report = Report(hosts=len(hosts))
    loop = asyncio.get_running_loop()
    began, cpu_began = loop.time(), time.process_time()
    dice = random.Random(seed)

    async def power_on_after(delay: float, machine: Machine) -> None:
        await asyncio.sleep(delay)
        try:
            outcome = await power_on(machine, RelayLink(relay), comes_up=False)
        except StepError as error:
            what = f"{error.phase}: {error.what}: {error.received}"
            report.errors[what] = report.errors.get(what, 0) + 1
            return
        report.installed += 1
        report.seconds.append(outcome.seconds)
        report.retries += outcome.retries
        report.bytes += outcome.bytes

    async with asyncio.TaskGroup() as machines:
        for host in hosts:
            machine = Machine(
                name=host.short_name,
                mac=host.macs[0],
                hardware=hardware,
                ports=relay.ports,
                patience=PATIENCE,
                expected=Expected(host.name, host.address, host.role.ignition),
                verifies=False,
                dice=random.Random(dice.random()),
            )
            machines.create_task(power_on_after(dice.random() * within, machine))
    report.seconds_to_last = loop.time() - began
    report.cpu_seconds = time.process_time() - cpu_began
    report.busiest = report.cpu_seconds / max(report.seconds_to_last, 1e-9)
    report.seconds.sort()
    return report


def storm(cluster_file: Path, via: Sequence[IPv4Address], *, prefix: Sequence[str] = (), **options: object) -> Report:
    """Play a storm with one process for each address in *via*; return the sum of their reports.

    *prefix* is put before each command, such as ("taskset", "-c", "1").
    *options* are those of the command line: hosts, arch, within, seed.
    Raises SimulationError when a process ends without a report.
    """
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    children = [
        subprocess.Popen(
            [
                *prefix,
                *(sys.executable, "-m", "tests.bench.boot_storm", str(cluster_file), *flags),
                *("--via", str(address), "--share", f"{number}/{len(via)}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, address in enumerate(via)
    ]
    total = Report()
    try:
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise SimulationError("a process of the storm did not start; see its error above")
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            output, _ = child.communicate()
            try:
                total.add(Report(**json.loads(output)))
            except ValueError as error:
                raise SimulationError("a process of the storm ended without a report") from error
    finally:
        for child in children:
            child.kill()
            child.communicate()
    return total


def _addresses(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[IPv4Address, ...]:
    try:
        return tuple(map(IPv4Address, values))
    except ValueError:
        raise click.BadParameter(f"expected an IPv4 address, got {', '.join(map(repr, values))}") from None


@click.command()
@click.argument("cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--via",
    multiple=True,
    required=True,
    metavar="ADDRESS",
    callback=_addresses,
    help="A relay address of this computer; one process for each.",
)
@click.option("--hosts", type=int, default=0, help="Play only the first N hosts.")
@click.option("--arch", type=click.Choice([kind.value for kind in Hardware]), default="x64", show_default=True)
@click.option(
    "--within", type=float, default=1.0, show_default=True, help="Seconds over which to spread the power-ons."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--share", hidden=True, help="This is process i of n, as i/n.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    cluster_file: Path,
    via: tuple[IPv4Address, ...],
    hosts: int,
    arch: str,
    within: float,
    seed: int,
    share: str | None,
    *,
    as_json: bool,
) -> None:
    """Power on all hosts of CLUSTER_FILE at once, as through relays, and report."""
    if share is None:
        report = storm(cluster_file, via, hosts=hosts, arch=arch, within=within, seed=seed)
        click.echo(json.dumps(asdict(report)) if as_json else str(report))
        sys.exit(0 if report.is_clean else 1)
    number, processes = map(int, share.split("/"))
    (cluster,) = load([cluster_file])
    own = (cluster.hosts[:hosts] if hosts else cluster.hosts)[number::processes]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = cluster.network_of(own[0].address) if own else None
    with Relay(via[0], server.server if server else cluster.address, ports_of(cluster)) as relay:
        click.echo("ready")
        sys.stdin.readline()
        played = asyncio.run(play(own, relay, Hardware(arch), within, seed + number))
        click.echo(json.dumps(asdict(played)))


if __name__ == "__main__":
    command()
