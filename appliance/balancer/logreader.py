"""Reads HAProxy's log from a socket, and counts and reports the connections in it."""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from appliance.allowance import Allowance
from appliance.balancer.log import MAX_BYTES, Connection, Notice, parse
from appliance.balancer.reached import STRANGER, Reached, Watched, watched
from appliance.events import BalancerReached
from appliance.install.installation import Installation
from appliance.model import Cluster
from appliance.sockets import log_server

logger = logging.getLogger(__name__)

BURST = 64  # datagrams in a turn of the loop: they take less than a millisecond, and no other service waits longer
ELSEWHERE = "other"  # instead of the name of a front end that says nothing of a host
# HAProxy repeats an alert for as long as its cause lasts.
ALERTS_PER_SECOND, ALERTS_AT_ONCE = 1 / 60, 5.0


class LogReader:
    """Publishes what hosts do through the load balancer.

    `counts` has ("connection", front end, class of the client, outcome) for each
    connection, and ("line", what) for each datagram: "connection", "alert", "notice"
    or "unreadable". What HAProxy sends faster than it is read is lost, and HAProxy
    does not wait.
    """

    def __init__(
        self,
        path: Path,
        clusters: Callable[[], Sequence[Cluster]],
        installations: Mapping[str, Installation],
        publish: Callable[[BalancerReached], None],
        is_host: Callable[[str, str], bool] = lambda _host, _client: True,
    ) -> None:
        """Open the socket at *path*. Raises ListenError.

        *clusters* returns those that are served at present. *is_host* says whether a
        client, by its address, is the host of that name.
        """
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._clusters, self._installations = clusters, installations
        self._publish, self._is_host = publish, is_host
        self._compiled: Sequence[Cluster] | None = None
        self._watched: Mapping[str, Watched] = {}
        self._reached = Reached()
        self._alerts = Allowance(ALERTS_PER_SECOND, ALERTS_AT_ONCE)
        self._path = path
        self._socket = log_server(path)

    async def run(self) -> None:
        """Read until cancelled, then close the socket."""
        loop = asyncio.get_running_loop()
        with self._socket:
            loop.add_reader(self._socket, self._drain, self._socket, loop)
            try:
                await loop.create_future()  # until cancelled
            finally:
                loop.remove_reader(self._socket)
                with contextlib.suppress(OSError):
                    self._path.unlink()

    def _drain(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        """Read the datagrams that have arrived, up to a burst."""
        now = loop.time()
        for _ in range(BURST):
            try:
                datagram = sock.recv(MAX_BYTES + 1)
            except BlockingIOError:
                return
            self._take(datagram, now)

    def _take(self, datagram: bytes, now: float) -> None:
        match parse(datagram):
            case Connection() as connection:
                self.counts["line", "connection"] += 1
                self._connected(connection, now)
            case Notice(text, is_alert=True):
                self.counts["line", "alert"] += 1
                if self._alerts.take(now):
                    logger.warning("balancer.alert HAProxy says: %s", text)
            case Notice():
                self.counts["line", "notice"] += 1
            case None:
                self.counts["line", "unreadable"] += 1

    def _connected(self, connection: Connection, now: float) -> None:
        front_end = self._front_ends().get(connection.front_end)
        if front_end is None:
            self.counts["connection", ELSEWHERE, STRANGER, connection.outcome] += 1
            return
        kind = front_end.kind_of(connection.client)
        self.counts["connection", connection.front_end, kind, connection.outcome] += 1
        event = self._reached.event(connection, front_end, self._installations, now)
        # The kernel is asked last, because that takes the longest.
        if event is not None and self._is_host(event.host, event.client):
            self._publish(event)
            self._reached.reported(event, self._installations.get(event.host), now)

    def _front_ends(self) -> Mapping[str, Watched]:
        clusters = self._clusters()
        if clusters is not self._compiled:  # at the start, and after a reload of cluster.yaml
            self._compiled, self._watched = clusters, watched(clusters)
            self._reached.forget()
        return self._watched
