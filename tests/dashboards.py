"""A dashboard over a registry that a test feeds with events."""

import asyncio
import socket
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp

from appliance.balancer.view import BalancerView
from appliance.dashboard.server import DashboardServer
from appliance.metrics import Metrics
from appliance.model import Cluster, Endpoint
from tests.boots import LIVE, Fleet


class Dashboard(Fleet):
    """A fleet with a dashboard on loopback; its clock starts at the current time."""

    def __init__(self, data_dir: Path, cluster: Cluster = LIVE, balancer: BalancerView | None = None) -> None:
        super().__init__(data_dir, cluster, now=time.time())
        self.balancer = balancer
        self.data_dir = data_dir
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.listen = replace(cluster.listen, dashboard=(Endpoint(IPv4Address("127.0.0.1"), self.port),))

    def open(self) -> DashboardServer:
        """Return a dashboard server with open sockets."""
        metrics = Metrics(self.registry, self.bus, {}, time.time)
        return DashboardServer(self.listen, self.registry, self.bus, metrics, self.balancer)

    async def start(self) -> None:
        """Serve until `stop`."""
        self.server = self.open()
        self.task = asyncio.create_task(self.server.run())
        self.session = aiohttp.ClientSession(self.url)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop serving; the fleet keeps running."""
        await self.session.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def close(self) -> None:
        """Stop serving and close the journal."""
        await self.stop()
        self.journal.close()
