"""A rehearsal: a whole cluster of simulated machines, powered on against the real appliance, twice.

Its network is a lab of namespaces, or the loopback interface where namespaces are not allowed.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from appliance.control_client import Json
from appliance.errors import ControlError, SimulationError
from appliance.model import Boot, Cluster, Engine, Host, Role
from appliance.simulate.balancing import Operator
from appliance.simulate.child import Appliance
from appliance.simulate.fabric import Fabric
from appliance.simulate.link import Link
from appliance.simulate.machine import BootStep, Hardware, Machine, Patience, Phase
from appliance.simulate.nodes import MACHINE_CONFIG_PORT, Node, pool_of, services_of
from appliance.simulate.plan import expected_of, native_hardware, ports_of
from appliance.simulate.power import power_on
from appliance.simulate.run import BootSummary, Result
from appliance.simulate.standins import TLS_FILE

STAGGER_SECONDS = 0.15  # the most between two machines' power buttons
POWER_ON_SECONDS = 120.0  # for one machine; the whole rehearsal takes about ten

# Nobody reads these consoles, so the menu need not wait.
PATIENCE = Patience(longest_pause=1.0, hold=60.0)


@dataclass(slots=True)
class Entry:
    """One machine of the rehearsal, and its progress."""

    host: Host
    phase: Phase = Phase.OFF
    text: str = ""
    seconds: float = 0.0
    first: BootSummary | None = None  # of the first power-on
    second: BootSummary | None = None
    error: str = ""
    done_bytes: int = 0  # of the current file
    all_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a rehearsal."""

    entries: Sequence[Entry]
    install_seconds: float
    reboot_seconds: float
    balancer: Json | None = None  # as `ocp-appliance balancer -o json` has it; None where HAProxy does not run
    complaints: Sequence[str] = ()  # about the balancer

    @property
    def is_right(self) -> bool:
        """Whether every machine installed once, then booted from its disk, and gets the connections that it should."""
        return self.has_installed and not self.complaints

    @property
    def has_installed(self) -> bool:
        """Whether every machine installed once, then booted from its disk."""
        return all(
            entry.first is not None
            and entry.second is not None
            and (entry.first.result, entry.second.result) == (Result.INSTALLED, Result.BOOTED)
            for entry in self.entries
        )


@dataclass(slots=True)
class Rehearsal:
    """One cluster, its machines and its network."""

    cluster: Cluster
    cluster_file: Path
    data_dir: Path
    sums: Mapping[str, str]  # sha256 of the images, by name
    in_lab: bool  # whether this process is in a network of its own
    seed: int = 0
    hardware: Mapping[str, Hardware] = field(default_factory=dict)  # by host name; x64 is the default
    tell: Callable[[Entry, BootStep], None] = lambda _entry, _step: None
    entries: list[Entry] = field(init=False)
    _machines: dict[str, tuple[Machine, Link, Node]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.entries = [Entry(host) for host in self.cluster.hosts if host.boot is not Boot.NOTHING]

    async def run(self, announce: Callable[[str], None], linger: Callable[[], Awaitable[None]] | None = None) -> Report:
        """Install every machine, power each on again, and return the result. Raises ApplianceError.

        *announce* is called with the headings; *linger* is awaited before the appliance is stopped.
        """
        with Fabric(self.cluster, in_lab=self.in_lab) as fabric:
            async with AsyncExitStack() as services:
                appliance = await services.enter_async_context(Appliance(self.cluster_file, self.data_dir))
                self._assemble(fabric)
                services.push_async_callback(self._switch_off)
                report = await self._power_on_twice(announce)
                if not appliance.is_running:
                    self.entries[0].error = f"the appliance exited:\n{appliance.last_lines()}"
                if linger:
                    await linger()
        return report

    @property
    def has_haproxy(self) -> bool:
        """Whether the cluster's load balancer runs here."""
        return self.cluster.load_balancer.engine is Engine.HAPROXY

    async def _power_on_twice(self, announce: Callable[[str], None]) -> Report:
        announce(f"first power-on of {len(self.entries)} machines: each installs")
        install_seconds = await self._power_on_all(1)
        if not all(entry.first for entry in self.entries):
            return Report(self.entries, install_seconds, 0.0)
        operator = Operator(self.cluster, self.data_dir)
        if self.has_haproxy:
            await self._end_bootstrapping(operator, announce)
        announce("second power-on: each boots from its own disk")
        reboot_seconds = await self._power_on_all(2)
        if not self.has_haproxy:
            return Report(self.entries, install_seconds, reboot_seconds)
        complaints = await operator.wait(operator.about_all)
        try:
            return Report(self.entries, install_seconds, reboot_seconds, await operator.status(), complaints)
        except ControlError as error:
            return Report(self.entries, install_seconds, reboot_seconds, None, [str(error)])

    async def _end_bootstrapping(self, operator: Operator, announce: Callable[[str], None]) -> None:
        """Take the bootstrap out of the load balancer once the masters answer, as the operator may."""
        bootstrap = next((entry.host for entry in self.entries if entry.host.role is Role.BOOTSTRAP), None)
        if bootstrap is None or await operator.wait(operator.about_masters):
            return
        announce(
            f"ocp-appliance balancer drain {bootstrap.short_name}: as the operator, say that bootstrapping is complete"
            " (the appliance finds that itself once the masters have answered for a minute)"
        )
        try:
            await operator.drain(bootstrap)
        except ControlError as error:
            announce(f"the order was refused: {error}")

    def _assemble(self, fabric: Fabric) -> None:
        """Assemble every machine and connect it."""
        dice = random.Random(self.seed)  # noqa: S311 - for repeatable runs, not for secrets
        links = fabric.plug_all([entry.host for entry in self.entries])
        tls = self._tls()
        for entry in self.entries:
            host, link = entry.host, links[entry.host.name]
            joins = self.has_haproxy and host.boot is Boot.INSTALLER
            machine = Machine(
                name=host.short_name,
                mac=host.macs[0],
                hardware=self.hardware.get(host.short_name, native_hardware(host)),
                ports=ports_of(self.cluster),
                patience=PATIENCE,
                expected=expected_of(host, self.sums),
                dice=random.Random(dice.random()),  # noqa: S311 - as above
                report=self._hear(entry),
                progress=_progress(entry),
                is_ipv6=host.ipv4_of(host.macs[0]) is None,
                pool=pool_of(host) if joins else "",
                must_join=joins,
            )
            # On loopback, an ordinary user may not listen on a web server's ports.
            services = [
                each for each in services_of(host, self.cluster) if self.in_lab or each.port == MACHINE_CONFIG_PORT
            ]
            node = Node(host, self.cluster, fabric.plug_node(host, link), services, tls)
            machine.starts = node.start
            self._machines[host.name] = (machine, link, node)

    def _tls(self) -> ssl.SSLContext | None:
        """Return the certificate of all nodes; None if none could be made."""
        if not (self.data_dir / TLS_FILE).exists():
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.data_dir / TLS_FILE)
        return context

    async def _switch_off(self) -> None:
        for _, _, node in self._machines.values():
            node.stop()

    def _hear(self, entry: Entry) -> Callable[[BootStep], None]:
        def hear(step: BootStep) -> None:
            entry.phase, entry.text, entry.seconds = step.phase, step.text, step.seconds
            entry.done_bytes = entry.all_bytes = 0
            self.tell(entry, step)

        return hear

    async def _power_on_all(self, turn: int) -> float:
        """Power every machine on for the first or second *turn*; return the seconds until the last was up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        others = self.entries
        if turn == 2 and self.has_haproxy:
            # One after the other, as a cluster reboots them, so that one always answers.
            masters = [entry for entry in self.entries if entry.host.role is Role.MASTER]
            others = [entry for entry in self.entries if entry not in masters]
            for entry in masters:
                await self._power_on(entry, turn, 0)
        async with asyncio.TaskGroup() as machines:
            for number, entry in enumerate(others):
                machines.create_task(self._power_on(entry, turn, number * STAGGER_SECONDS))
        return loop.time() - began

    async def _power_on(self, entry: Entry, turn: int, delay: float) -> None:
        machine, link, node = self._machines[entry.host.name]
        await asyncio.sleep(delay)
        node.stop()
        try:
            async with asyncio.timeout(POWER_ON_SECONDS):
                outcome = await power_on(machine, link)
        # A machine that fails must not end the others, which an exception in this task would.
        except SimulationError as error:
            entry.error = str(error)
            return
        except TimeoutError:
            entry.error = f"not up after {POWER_ON_SECONDS:g} s; last seen: {entry.phase}: {entry.text}"
            return
        if turn == 1:
            entry.first = outcome
        else:
            entry.second = outcome


def _progress(entry: Entry) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        entry.done_bytes, entry.all_bytes = done, total

    return progress
