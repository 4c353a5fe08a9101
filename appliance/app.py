"""The only place that wires: load, compile, bind everything, serve, reload, stop."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from appliance import __version__, systemd
from appliance.config import load
from appliance.control import ControlServer
from appliance.dashboard.server import DashboardServer
from appliance.dhcp.server import DhcpServer
from appliance.dns.server import DnsServer
from appliance.errors import ApplianceError, ListenError
from appliance.events import Bus, Reloaded, ReloadRefused, log_event
from appliance.install.journal import Journal
from appliance.install.registry import Registry
from appliance.metrics import Metrics
from appliance.model import Cluster, Listen
from appliance.recorder import Recorder
from appliance.tables import Live, Tables, compile_tables
from appliance.tftp.server import TftpServer
from appliance.web.server import WebServer

logger = logging.getLogger(__name__)

# Long enough for a rootfs of 1 GiB to seven hosts on a 1 Gbit/s link; systemd's own limit is set above it.
DRAIN_SECONDS = 75.0


class App:
    """One appliance, from its files to its last datagram."""

    def __init__(self, files: Sequence[Path], data_dir: Path | None) -> None:
        self._files = tuple(files)
        self._data_dir = data_dir
        self._stopping = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises ConfigError or ListenError before anything is served, and
        whatever ended a server after that.
        """
        clusters = await asyncio.to_thread(load, self._files, self._data_dir)
        journal = Journal(clusters[0].data_dir)
        try:
            await self._serve(clusters, journal)
        finally:
            journal.close()

    async def _serve(self, clusters: tuple[Cluster, ...], journal: Journal) -> None:
        tables = await asyncio.to_thread(compile_tables, clusters, journal.serials(clusters))
        bus = Bus()
        registry = Registry(journal, clusters, bus.publish)
        live = Live(tables, registry.installations)
        bus.listeners += [registry.listen, log_event]

        listen = union_of_listens(clusters)
        dns = DnsServer(live, listen, bus.publish)
        dhcp = DhcpServer(live, listen, bus.publish)
        tftp = TftpServer(live, listen, bus.publish)
        web = WebServer(live, listen, bus.publish)
        counts = {
            "dns": lambda: dns.counts,
            "dhcp": lambda: dhcp.counts,
            "tftp": lambda: tftp.counts,
            "web": lambda: web.counts,
        }
        metrics = Metrics(registry, bus, counts, time.time)
        bus.listeners.append(metrics.listen)
        dashboard = DashboardServer(listen, registry, metrics)
        recorder = Recorder(registry, str(clusters[0].address))
        dhcp.tap = tftp.tap = recorder.tap
        bus.listeners.append(recorder.listen)
        control = ControlServer(clusters[0].data_dir, registry, self._reload_wanted.set)
        control.capture = recorder.capture

        for cluster in clusters:
            for warning in cluster.warnings:
                logger.warning("%s", warning)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        # What has been built so far lives as long as the process: keep the collector from walking it.
        gc.collect()
        gc.freeze()

        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(work, name=name)
                for name, work in (
                    ("dns", dns.run()),
                    ("dhcp", dhcp.run()),
                    ("tftp", tftp.run()),
                    ("web", web.run()),
                    ("registry", registry.run()),
                    ("dashboard", dashboard.run()),
                    ("control", control.run()),
                    ("reload", self._reload_when_asked(live, listen, registry, recorder, bus)),
                    ("watchdog", _feed_watchdog()),
                )
            ]
            # One turn of the loop, so that every server has begun before anybody is told.
            await asyncio.sleep(0)
            hosts = sum(len(cluster.hosts) for cluster in clusters)
            logger.info("serve.ready version=%s hosts=%d appliance=%s", tables.version, hosts, __version__)
            systemd.notify("READY=1", f"STATUS=serving {hosts} hosts, version {tables.version}")
            await self._stopping.wait()
            logger.info("serve.stopping drain_seconds=%g", DRAIN_SECONDS)
            systemd.notify("STOPPING=1")
            await asyncio.gather(tftp.drain(DRAIN_SECONDS), web.drain(DRAIN_SECONDS))
            for task in running:
                task.cancel()

    async def _reload_when_asked(
        self, live: Live, listen: Listen, registry: Registry, recorder: Recorder, bus: Bus
    ) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            systemd.notify_reloading()
            try:
                tables = await asyncio.to_thread(self._load_again, listen, registry.journal)
            except ApplianceError as error:
                bus.publish(ReloadRefused("", version=live.tables.version, why=str(error)))
            else:
                live.tables = tables
                registry.update(tables.clusters)
                recorder.update()
                bus.publish(Reloaded("", version=tables.version))
            systemd.notify("READY=1")

    def _load_again(self, listen: Listen, journal: Journal) -> Tables:
        clusters = load(self._files, self._data_dir)
        if union_of_listens(clusters) != listen:
            raise ListenError("listen changed; restart to move a socket")
        return compile_tables(clusters, journal.serials(clusters))


def union_of_listens(clusters: Sequence[Cluster]) -> Listen:
    """Return every endpoint that any of *clusters* names, each once; the first file decides the rest."""
    listens = [cluster.listen for cluster in clusters]
    return replace(
        listens[0],
        dns=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.dns)),
        dhcp=tuple(dict.fromkeys(interface for listen in listens for interface in listen.dhcp)),
        tftp=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.tftp)),
        http=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.http)),
        dashboard=tuple(dict.fromkeys(endpoint for listen in listens for endpoint in listen.dashboard)),
    )


async def _feed_watchdog() -> None:
    seconds = systemd.watchdog_seconds()
    if seconds is None:
        return
    while True:
        systemd.notify("WATCHDOG=1")
        await asyncio.sleep(seconds / 2)
