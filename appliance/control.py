"""The server of the control socket: it answers commands, and is the only way to change anything in the appliance.

`control_client.py` is the other end, and describes the protocol. Only the owner of
the socket can connect to it.
"""

import asyncio
import base64
import json
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from appliance import sockets
from appliance.balancer.view import BalancerView
from appliance.bus import Bus
from appliance.control_client import SOCKET_NAME, Json
from appliance.errors import ControlError, ListenError
from appliance.events import Stamped
from appliance.install.evidence import ORDERS
from appliance.install.installation import Installation
from appliance.model import Boot, Engine, Host, Role
from appliance.registry_view import RegistryView
from appliance.state.events import row_of
from appliance.status.shapes import EventRow

logger = logging.getLogger(__name__)

MAX_PATH_BYTES = 107  # sockaddr_un has room for 108, including the terminating null byte (unix(7))
MAX_REQUEST_BYTES = 64 << 10  # the names of 1,000 hosts are about 40 kB
MAX_CONNECTIONS = 32  # a few operators, each with a few terminals
REQUEST_SECONDS = 10.0  # for a client to send its line; programs do so at once, and a person with socat may type
# For a client to take an answer that it has asked for: long enough to read a page of `events` in a pager, but a client
# that was forgotten, such as a stopped one, does not hold its place for ever.
SEND_SECONDS = 600.0
FOLLOWED_EVENTS = 1000  # kept for a client that reads slowly; past it, it loses the oldest
CAPTURE_CHUNK_BYTES = 48 << 10  # 64 KiB a line as base64, so that no line is as long as a capture

Request = Mapping[str, object]
Verb = Callable[[Request], AsyncIterator[Json]]


def socket_path(data_dir: Path) -> Path:
    """Return the path of the appliance's socket: in systemd's RuntimeDirectory= if there is one, or in *data_dir*."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(runtime or data_dir) / SOCKET_NAME


class ControlServer:
    """Answers commands.

    `capture` returns a host's last boot as pcapng; it is None if nothing records
    packets. `balancer` is the load balancer that the appliance drives, or None.
    """

    def __init__(
        self,
        data_dir: Path,
        registry: RegistryView,
        bus: Bus,
        order: Callable[[Host, str], Installation],
        balance: Callable[[Host, str, str], Installation],
        reload: Callable[[], None],
    ) -> None:
        """Open the socket; raises ListenError.

        *order* and *balance* are the registry's methods of these names: the only ways to change a host.
        """
        self.path = socket_path(data_dir)
        if len(os.fsencode(self.path)) > MAX_PATH_BYTES:
            raise ListenError(f"cannot listen on {self.path}: the path is longer than {MAX_PATH_BYTES} bytes")
        self.capture: Callable[[str], bytes | None] | None = None
        self.balancer: BalancerView | None = None
        self._registry = registry
        self._bus = bus
        self._carry_out = order
        self._carry_out_balancing = balance
        self._reload = reload
        self._socket = sockets.control_server(self.path)
        self._conversations: set[asyncio.Task[None]] = set()
        self._verbs: Mapping[str, Verb] = {
            "status": self._status,
            "events": self._events,
            "explain": self._explain,
            "seen": self._seen,
            "resolve": self._resolve,
            "order": self._order,
            "reload": self._reload_files,
            "capture": self._captured,
            "balancer": self._balancer_status,
            "balance": self._balance,
        }

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            server = await asyncio.start_unix_server(self._converse, sock=self._socket, limit=MAX_REQUEST_BYTES)
            async with server:
                await server.serve_forever()
        finally:
            for conversation in list(self._conversations):
                conversation.cancel()
            self._socket.close()
            with suppress(OSError):
                self.path.unlink()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._conversations) >= 2 * MAX_CONNECTIONS:
            writer.close()  # as many as MAX_CONNECTIONS may be waiting to be told that they are too many
            return
        self._conversations.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone, or the appliance is stopping; asyncio would log both as errors
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                line = await reader.readline()
            if len(self._conversations) > MAX_CONNECTIONS:
                await _send(writer, {"error": f"{MAX_CONNECTIONS} clients are connected already; end one of them"})
                return
            request = json.loads(line)
        except (ValueError, RecursionError):  # also a line over the limit
            await _send(
                writer, {"error": f"invalid request: expected a line of JSON, at most {MAX_REQUEST_BYTES} bytes"}
            )
            return
        name = request.get("do") if isinstance(request, dict) else None
        verb = self._verbs.get(name) if isinstance(name, str) else None
        if verb is None:
            await _send(writer, {"error": f"unknown verb {name!r}; valid verbs: {', '.join(self._verbs)}"})
            return
        answering = asyncio.ensure_future(_send_all(writer, verb(request)))
        # The answer to a client that follows has no end, so it stops when the client closes the connection. After any
        # other request, a client that closes only its sending side (as `socat` does) still gets its whole answer.
        waiting = {answering, asyncio.ensure_future(_at_end(reader))} if request.get("follow") else {answering}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            results = await asyncio.gather(*waiting, return_exceptions=True)
        for failure in results:
            if isinstance(failure, Exception):  # a bug in the appliance, which must not look like the end of the answer
                logger.error("control.failed verb=%s", name, exc_info=failure)
                await _send(writer, {"error": f"{name} failed because of a bug; see the appliance's log"})

    # The verbs

    async def _status(self, _request: Request) -> AsyncIterator[Json]:
        from appliance.status.view import status

        yield {"status": status(self._registry, balancer=self.balancer)}

    async def _events(self, request: Request) -> AsyncIterator[Json]:
        from appliance.status.view import event_row

        host = self._host(request).name if request.get("host") else ""
        limit = request.get("limit")
        waiting: deque[EventRow] = deque(maxlen=FOLLOWED_EVENTS)
        arrived = asyncio.Event()

        def follow(stamped: Stamped) -> None:
            if not host or stamped.event.host == host:
                waiting.append(event_row(row_of(stamped)))
                arrived.set()

        if request.get("follow"):
            self._bus.subscribers.append(follow)
        try:
            # Reading all 200,000 events takes a second, and the servers run in this thread.
            pages = self._registry.journal.pages(host, limit if isinstance(limit, int) else 1000)
            while rows := await asyncio.to_thread(next, pages, None):
                for row in rows:
                    yield {"event": event_row(row)}
            while request.get("follow"):
                await arrived.wait()
                arrived.clear()
                while waiting:
                    yield {"event": waiting.popleft()}
        finally:
            if follow in self._bus.subscribers:
                self._bus.subscribers.remove(follow)

    async def _explain(self, request: Request) -> AsyncIterator[Json]:
        from appliance.status.view import explanation

        is_whole = bool(request.get("all"))
        yield {"explain": explanation(self._registry, self._host(request), is_whole=is_whole)}

    async def _seen(self, _request: Request) -> AsyncIterator[Json]:
        from appliance.status.view import strangers

        yield {"seen": strangers(self._registry)}

    async def _resolve(self, request: Request) -> AsyncIterator[Json]:
        from appliance.status.view import row

        yield {"hosts": [row(self._registry, host) for host in self._hosts(request)]}

    async def _order(self, request: Request) -> AsyncIterator[Json]:
        what = request.get("what")
        if what not in ORDERS:
            raise ControlError(f"unknown order {what!r}; valid orders: {', '.join(ORDERS)}")
        for host in self._hosts(request):
            try:
                after = self._carry_out(host, str(what))
            except ControlError as error:
                yield {"refused": str(error), "host": host.name}
            else:
                yield {"host": host.name, "order": after.order.value, "number": after.number}

    async def _reload_files(self, _request: Request) -> AsyncIterator[Json]:
        self._reload()
        yield {"reload": "asked"}

    async def _captured(self, request: Request) -> AsyncIterator[Json]:
        host = self._host(request)
        packets = self.capture(host.name) if self.capture is not None else None
        if packets is None:
            raise ControlError(f"no packets recorded for {host.name} yet")
        for start in range(0, len(packets), CAPTURE_CHUNK_BYTES):
            yield {"pcapng": base64.b64encode(packets[start : start + CAPTURE_CHUNK_BYTES]).decode()}

    async def _balancer_status(self, _request: Request) -> AsyncIterator[Json]:
        from appliance.balancer.external import targets, tried
        from appliance.status.balancer import balancer_status, trial_row

        others = [cluster for cluster in self._registry.clusters if cluster.load_balancer.engine is Engine.EXTERNAL]
        owned = [(cluster.name, target) for cluster in others for target in targets(cluster)]
        trials = await tried([target for _, target in owned])
        yield {
            "at": self._registry.now(),
            "balancer": balancer_status(self.balancer) if self.balancer else None,
            "trials": [trial_row(name, trial) for (name, _), trial in zip(owned, trials, strict=True)],
        }

    async def _balance(self, request: Request) -> AsyncIterator[Json]:
        order, front_end = request.get("order"), request.get("front_end") or ""
        if not isinstance(order, str) or not isinstance(front_end, str):
            raise ControlError("invalid request: order and front_end must be text")
        for host in self._hosts(request):
            try:
                after = self._carry_out_balancing(host, order, front_end)
            except ControlError as error:
                yield {"refused": str(error), "host": host.name}
            else:
                yield {"host": host.name, "order": order, "is_bootstrapped": after.bootstrapped_at is not None}

    # The hosts that a request names

    def _host(self, request: Request) -> Host:
        name = request.get("host")
        if not isinstance(name, str):
            raise ControlError("invalid request: no host given")
        return self._registry.named([name])[0]

    def _hosts(self, request: Request) -> list[Host]:
        names, role = request.get("hosts") or [], request.get("role")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ControlError("invalid request: hosts must be a list of names")
        if role is not None and role not in list(Role):
            raise ControlError(f"unknown role {role!r}; valid roles: {', '.join(Role)}")
        found = self._registry.named(names)
        if request.get("all") or role is not None:
            everyone = [host for host in self._registry.hosts.values() if host.boot is not Boot.NOTHING]
            found += [host for host in everyone if role is None or host.role == role]
        if not found:
            raise ControlError("no host selected; name hosts, or use --role or --all")
        return list(dict.fromkeys(found))


async def _send(writer: asyncio.StreamWriter, answer: Json) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await writer.drain()
    except TimeoutError:
        writer.transport.abort()
        raise ConnectionResetError from None


async def _send_all(writer: asyncio.StreamWriter, answers: AsyncIterator[Json]) -> None:
    with suppress(ConnectionError):
        try:
            async for answer in answers:
                await _send(writer, answer)
            await _send(writer, {"end": True})
        except ControlError as error:
            await _send(writer, {"error": str(error)})


async def _at_end(reader: asyncio.StreamReader) -> None:
    """Return when the client closes; anything it sends after its request is dropped."""
    while await reader.read(4096):
        pass
