"""The only place that wires the parts: load, compile, bind every socket, serve, reload, stop."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import __version__, systemd, time_servers
from appliance.bus import Bus
from appliance.clock import Clock
from appliance.config import check, state_dir_of
from appliance.control import ControlServer
from appliance.dashboard.server import DashboardServer
from appliance.dhcp.server import DhcpServer
from appliance.dhcp6.server import Dhcp6Server
from appliance.dns.server import DnsServer
from appliance.errors import ApplianceError, ConfigError, ListenError, Problem
from appliance.events import Reloaded, ReloadRefused
from appliance.install.recipes import block_bytes_of
from appliance.logs import LogHandler
from appliance.looking import Looker, credited, has_its_mac
from appliance.metrics import Metrics
from appliance.model import Cluster, DhcpMode, Engine, Listen
from appliance.neighbours import MacOf, MacOnLink, Neighbours, unknown_mac, unknown_mac_on_link
from appliance.ra.server import RaServer
from appliance.recorder import Recorder
from appliance.registry import Registry
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from appliance.tables import Tables, compile_tables
from appliance.tftp.server import TftpServer
from appliance.tokens import hide_tokens, hide_values
from appliance.web.finder import unknown_master
from appliance.web.server import WebServer

if TYPE_CHECKING:  # imported only where a cluster has a load balancer of ours
    from appliance.balancer.logreader import LogReader
    from appliance.balancer.server import Balancer

logger = logging.getLogger(__name__)

# Long enough for a rootfs of 1 GiB to seven hosts on a 1 Gbit/s link; systemd's own limit is set above it.
DRAIN_SECONDS = 75.0
# A thread that computes, such as one that compiles tables or writes metrics, keeps the interpreter for this long
# each time the loop wants to run: the loop waits 0.7 ms instead of 5.2 ms, for a tenth more of the thread's time.
SWITCH_SECONDS = 0.0005
# New objects between two runs of the garbage collector. With Python's 700 it took 4 % of the time of a server busy with
# DHCP, and found nothing: the objects of a datagram are in no reference cycle, and are freed at once.
COLLECT_OBJECTS = 10_000


@dataclass(slots=True)
class Live:
    """The tables that are served now; a reload replaces them."""

    tables: Tables


class App:
    """One appliance, from its files to its last datagram."""

    def __init__(self, files: Sequence[Path], data_dir: Path | None, log: LogHandler) -> None:
        """*data_dir* overrides that of the files."""
        self._files = tuple(files)
        self._data_dir = data_dir
        self._log = log
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; a second signal stops it without waiting for transfers.

        Raises ConfigError, ListenError or StateError before anything is served, and
        after that the exception that ended a server.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        # First of all, because until then a signal kills the process at once.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        clusters = await asyncio.to_thread(self._load)
        state_dir = state_dir_of(clusters, self._data_dir)
        journal = Journal(FallbackStore(state_dir))
        try:
            await self._serve(clusters, state_dir, journal)
        except BaseExceptionGroup as group:
            # The first exception is the reason: the task group then cancelled all other tasks.
            raise group.exceptions[0] from None
        finally:
            journal.close()

    async def _serve(self, clusters: tuple[Cluster, ...], state_dir: Path, journal: Journal) -> None:
        tables = await asyncio.to_thread(compile_tables, clusters, journal.serials(clusters))
        parts = self._parts(tables, state_dir, journal)
        # All objects so far live as long as the process, so the garbage collector need not visit them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_OBJECTS)
        async with asyncio.TaskGroup() as tasks:
            works = {**parts.works(), "reload": self._reload_when_asked(parts), "watchdog": _feed_watchdog()}
            running = [tasks.create_task(_endless(name, work), name=name) for name, work in works.items()]
            # One turn of the loop, so that every server runs before systemd is notified.
            await asyncio.sleep(0)
            hosts = sum(len(cluster.hosts) for cluster in clusters)
            logger.info("serve.ready version=%s hosts=%d appliance=%s", tables.version, hosts, __version__)
            systemd.notify("READY=1", f"STATUS=serving {hosts} hosts, version {tables.version}")
            await self._stopping.wait()
            logger.info("serve.stopping drain_seconds=%g", DRAIN_SECONDS)
            systemd.notify("STOPPING=1")
            await self._drain(parts.tftp, parts.web)
            for task in running:
                task.cancel()
        logger.info("serve.stopped")

    def _parts(self, tables: Tables, state_dir: Path, journal: Journal) -> "_Parts":
        """Build all parts and connect them, with every socket bound; raises ListenError."""
        clock = Clock()
        bus = Bus(clock.now)
        registry = Registry(journal, tables.clusters, bus.publish, clock)
        bus.first = registry.listen
        bus.subscribers.append(self._log.listen)
        live = Live(tables)
        mac_of, mac_on_link = _macs_of()
        installations = registry.installations

        def tokens() -> list[str]:
            return [installation.token for installation in list(installations.values())]  # threads write to the log too

        bus.hide = lambda text: hide_tokens(text, tokens)
        self._log.hide = lambda text: hide_values(text, tokens)
        listen = union_of_listens(tables.clusters)
        dns = DnsServer(
            lambda: live.tables.dns,
            installations,
            listen,
            bus.publish,
            clock.now,
            lambda host, client: has_its_mac(host, client, registry.hosts, mac_of),
        )
        begins = registry.beginnings
        dhcp = DhcpServer(lambda: live.tables.dhcp, installations, listen, bus.publish, begins)
        dhcp6 = Dhcp6Server(lambda: live.tables.dhcp6, installations, listen, bus.publish, mac_on_link, begins)
        ra = RaServer(lambda: live.tables.ra, listen, bus.publish)
        balancer, balancer_log = _balancer(live, state_dir, bus, registry, mac_of)
        web = WebServer(
            lambda: live.tables.web,
            installations,
            listen,
            bus.publish,
            registry.written,
            clock.now,
            mac_of,
            unknown_master if balancer is None else balancer.has_master,
        )
        tftp = TftpServer(
            lambda: live.tables.tftp,
            listen,
            lambda event: bus.publish(credited(event, registry.hosts, mac_of)),
            web.over_tftp.script_of,
            lambda host: block_bytes_of(installations.get(host)),
        )
        counts = {
            "dns": lambda: dns.counts,
            "dhcp": lambda: dhcp.counts,
            "dhcp6": lambda: dhcp6.counts,
            "ra": lambda: ra.counts,
            "tftp": lambda: tftp.counts,
            "web": lambda: web.counts,
        }
        metrics = Metrics(registry, bus, counts, clock.now)
        first = tables.clusters[0]
        recorder = Recorder(registry, str(first.address), clock.now, server6=str(first.own_address(6)))
        recorder.hide = bus.hide
        dhcp.tap = tftp.tap = recorder.tap
        dhcp6.tap = recorder.tap_host
        bus.subscribers += [metrics.listen, recorder.listen]
        dashboard = DashboardServer(listen, registry, bus, metrics, balancer)
        control = ControlServer(state_dir, registry, bus, registry.order, registry.balance, self._reload_wanted.set)
        control.capture = recorder.capture
        looker = Looker(registry, bus.publish, mac_of)
        if balancer is not None and balancer_log is not None:
            bus.subscribers.append(balancer.listen)
            counts["balancer"] = lambda: balancer_log.counts
            control.balancer = metrics.balancer = balancer
        return _Parts(
            live,
            listen,
            state_dir,
            bus,
            registry,
            recorder,
            dns,
            dhcp,
            dhcp6,
            ra,
            tftp,
            web,
            dashboard,
            control,
            looker,
            balancer,
            balancer_log,
        )

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    async def _drain(self, tftp: TftpServer, web: WebServer) -> None:
        draining = asyncio.gather(tftp.drain(DRAIN_SECONDS), web.drain(DRAIN_SECONDS))
        hurrying = asyncio.ensure_future(self._hurrying.wait())
        try:
            await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                draining.result()
        finally:
            hurrying.cancel()
            draining.cancel()
            await asyncio.gather(draining, hurrying, return_exceptions=True)

    def _load(self) -> tuple[Cluster, ...]:
        """Return the clusters of the files, and log the warnings about them; raises ConfigError."""
        checked = check(self._files, self._data_dir)
        if checked.errors:
            raise ConfigError(checked.problems)
        for warning in checked.warnings:
            logger.warning("config.odd %s", _spelled(warning))
        clusters, missing = time_servers.resolved(checked.clusters)
        for name in missing:
            logger.warning("ntp.unresolved name=%s; DHCP tells hosts of it after the next reload that finds it", name)
        return clusters

    async def _reload_when_asked(self, parts: "_Parts") -> None:
        live, bus, journal = parts.live, parts.bus, parts.registry.journal
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            systemd.notify_reloading()
            try:
                tables = await asyncio.to_thread(self._load_again, parts, journal)
            except ApplianceError as error:
                for problem in error.problems if isinstance(error, ConfigError) else ():
                    logger.log(logging.WARNING if problem.is_warning else logging.ERROR, "%s", _spelled(problem))
                bus.publish(ReloadRefused("", version=live.tables.version, why=_in_short(error)))
            except Exception as error:
                # A bug, and not a mistake of the operator; the old tables still work.
                logger.exception("reload failed unexpectedly; please report this")
                bus.publish(ReloadRefused("", version=live.tables.version, why=f"unexpected: {error!r}"))
            else:
                live.tables = tables
                parts.registry.update(tables.clusters)
                parts.recorder.update()
                bus.publish(Reloaded("", version=tables.version))
            hosts = sum(len(cluster.hosts) for cluster in live.tables.clusters)
            systemd.notify("READY=1", f"STATUS=serving {hosts} hosts, version {live.tables.version}")

    def _load_again(self, parts: "_Parts", journal: Journal) -> Tables:
        clusters = self._load()
        if union_of_listens(clusters) != parts.listen:
            raise ListenError("listen changed; restart to move a socket")
        if state_dir_of(clusters, self._data_dir) != parts.state_dir:
            raise ListenError("dataDir changed; restart to move the state")
        tables = compile_tables(clusters, journal.serials(clusters))
        before = parts.live.tables
        if (before.dhcp.mode is DhcpMode.OFF) != (tables.dhcp.mode is DhcpMode.OFF):
            raise ListenError("dhcp.mode changed to or from off; restart to open or close the DHCP sockets")
        if before.dhcp6.is_served != tables.dhcp6.is_served:
            raise ListenError("DHCPv6 has its first or no network; restart to open or close its sockets")
        if tables.dhcp6.has_clients and not before.dhcp6.has_clients:
            raise ListenError("DHCPv6 answers its first hosts; restart to open its socket")
        if tables.ra.advertises and not parts.ra.is_open:
            raise ListenError("dhcp.routerAdvertisements needs a socket, which was not opened at the start; restart")
        if has_balancer(clusters) != (parts.balancer is not None):
            raise ListenError("loadBalancer.engine changed to or from haproxy; restart")
        _check_addresses(clusters)
        return tables


@dataclass(frozen=True, slots=True)
class _Parts:
    """The running parts, and what they were started with."""

    live: Live
    listen: Listen
    state_dir: Path
    bus: Bus
    registry: Registry
    recorder: Recorder
    dns: DnsServer
    dhcp: DhcpServer
    dhcp6: Dhcp6Server
    ra: RaServer
    tftp: TftpServer
    web: WebServer
    dashboard: DashboardServer
    control: ControlServer
    looker: Looker
    balancer: "Balancer | None"  # without a cluster that has engine haproxy
    balancer_log: "LogReader | None"

    def works(self) -> dict[str, Coroutine[None, None, None]]:
        """Return the work of each part, by its name; each runs until it is cancelled."""
        works = {
            "dns": self.dns.run(),
            "dhcp": self.dhcp.run(),
            "dhcp6": self.dhcp6.run(),
            "ra": self.ra.run(),
            "tftp": self.tftp.run(),
            "web": self.web.run(),
            "registry": self.registry.run(),
            "dashboard": self.dashboard.run(),
            "control": self.control.run(),
            "looker": self.looker.run(),
        }
        if self.balancer is not None and self.balancer_log is not None:
            works |= {"balancer": self.balancer.run(), "balancer-log": self.balancer_log.run()}
        return works


def has_balancer(clusters: Sequence[Cluster]) -> bool:
    """Whether the appliance drives HAProxy for one of *clusters*."""
    return any(cluster.load_balancer.engine is Engine.HAPROXY for cluster in clusters)


def _check_addresses(clusters: Sequence[Cluster]) -> None:
    """Raise ListenError if HAProxy cannot listen where *clusters* say."""
    if not has_balancer(clusters):
        return
    from appliance.balancer.addresses import absent_addresses, local_addresses

    if absent := absent_addresses(clusters, local_addresses()):
        raise ListenError("\n".join(absent))


def _balancer(
    live: Live, state_dir: Path, bus: Bus, registry: Registry, mac_of: MacOf
) -> "tuple[Balancer, LogReader] | tuple[None, None]":
    """Return what drives HAProxy, and what reads its log, where a cluster wants them. Raises ListenError."""
    if not has_balancer(live.tables.clusters):
        return None, None
    from appliance.balancer.files import place_of
    from appliance.balancer.logreader import LogReader
    from appliance.balancer.server import Balancer

    _check_addresses(live.tables.clusters)
    place = place_of(state_dir, os.environ)
    if systemd.runs_under_systemd() and not place.is_service:
        logger.warning("balancer.child why=HAProxy ends with the appliance; install ocp-appliance-haproxy.service")
    installations = registry.installations

    def clusters() -> tuple[Cluster, ...]:
        return live.tables.clusters

    def is_host(host: str, client: str) -> bool:
        return has_its_mac(host, client, registry.hosts, mac_of)

    balancer = Balancer(clusters, installations, place, bus.publish, registry.now)
    return balancer, LogReader(place.log, clusters, installations, bus.publish, is_host)


def union_of_listens(clusters: Sequence[Cluster]) -> Listen:
    """Return the endpoints of all *clusters*, each once; all other settings are those of the first file."""
    listens = [cluster.listen for cluster in clusters]
    return replace(
        listens[0],
        dns=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.dns)),
        dhcp=tuple(dict.fromkeys(interface for listen in listens for interface in listen.dhcp)),
        tftp=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.tftp)),
        http=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.http)),
        dashboard=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.dashboard)),
    )


def _macs_of() -> tuple[MacOf, MacOnLink]:
    """Return what tells a client's MAC address; a substitute, with a warning, where netlink is not allowed."""
    try:
        neighbours = Neighbours()
    except OSError as error:
        logger.warning("neighbours.off why=%s", error.strerror)
        return unknown_mac, unknown_mac_on_link
    return neighbours.mac, neighbours.mac_on_link


async def _endless(name: str, work: Coroutine[None, None, None]) -> None:
    """Run *work* until it is cancelled; if it ends in any other way, log that and raise, which ends the process."""
    try:
        await work
    except Exception as error:
        logger.critical("serve.failed part=%s why=%s", name, _in_short(error))
        raise
    raise RuntimeError(f"{name} ended unexpectedly")


async def _feed_watchdog() -> None:
    seconds = systemd.watchdog_seconds()
    while True:
        if seconds is not None:
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(3600.0 if seconds is None else seconds / 2)


def _in_short(error: Exception) -> str:
    """Return *error* on one line."""
    if not isinstance(error, ConfigError):
        return str(error) or repr(error)
    errors = [problem for problem in error.problems if not problem.is_warning]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{_spelled(errors[0])}{more}"


def _spelled(problem: Problem) -> str:
    # Without the word "warning", since the line in the log has a level.
    return str(replace(problem, is_warning=False))
