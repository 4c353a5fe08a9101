"""The DNS server's sockets: UDP drained in bursts, and questions handed to the resolver. It decides nothing."""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from appliance.dns.batch import SLOT_BYTES, Batch
from appliance.dns.compile import DnsTable
from appliance.dns.connections import Connections
from appliance.dns.forward import question_of
from appliance.dns.message import Rcode, text_name
from appliance.dns.protocol import Forward, Silence, Watched, answer, own_answer, refusal
from appliance.dns.resolver import FAILED, Resolver
from appliance.events import DnsAsked, Event
from appliance.install.lifecycle import Installation
from appliance.model import Endpoint, Listen
from appliance.sockets import reply_source, tcp_server, udp_server

logger = logging.getLogger(__name__)

BURST = 64  # datagrams for each wake-up: half a millisecond, so that no other service waits longer
MAX_KNOWN = 4096  # queries whose replies are kept as they were sent: some 2 MiB
MAX_KNOWN_BYTES = 512  # and none that is padded beyond all use
MAX_WAITING = 4096  # clients of the resolver; one more gets SERVFAIL

Send = Callable[[bytes], None]
Address = tuple[str, int] | tuple[str, int, int, int]  # of IPv4 or IPv6


class DnsServer:
    """Answers DNS on every endpoint of listen.dns.

    `counts` has (transport, outcome): "udp" or "tcp" with an rcode's name, with
    "silence" for what gets no reply, with "unsent" for what the system refused;
    and what Resolver counts.
    """

    def __init__(
        self,
        table: Callable[[], DnsTable],
        installations: Mapping[str, Installation],
        listen: Listen,
        publish: Callable[[Event], None],
    ) -> None:
        """Open every socket; *table* returns what is served now. Raises ListenError."""
        self._table = table
        self._installations = installations
        self._publish = publish
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._udp_replies = [0] * 256  # by the header's fourth byte, whose lower half is the rcode
        self._resolver = Resolver(self._counts)
        self._waiting = 0
        self._told: dict[str, Installation | None] = {}  # by host: how far it was when that it asks was last told
        self._known: dict[bytes, bytes] = {}
        self._known_table: DnsTable | None = None
        with contextlib.ExitStack() as opened:
            self._udp = [(endpoint, opened.enter_context(_udp_socket(endpoint))) for endpoint in listen.dns]
            self._tcp = [
                opened.enter_context(tcp_server(endpoint.address, endpoint.port, setting="listen.dns"))
                for endpoint in listen.dns
            ]
            self._sockets = opened.pop_all()

    @property
    def counts(self) -> Counter[tuple[str, ...]]:
        """What has happened since the start."""
        counts = Counter(self._counts)
        for flags, number in enumerate(self._udp_replies):
            if number:
                counts["udp", rcode_name(flags)] += number
        return counts

    async def run(self) -> None:
        """Serve until cancelled, then close the sockets."""
        loop = asyncio.get_running_loop()
        with self._sockets:
            async with asyncio.TaskGroup() as tasks:
                for endpoint, sock in self._udp:
                    if endpoint.address.is_unspecified:
                        loop.add_reader(sock, self._drain_any_address, sock, bytearray(SLOT_BYTES), tasks)
                    else:
                        loop.add_reader(sock, self._drain, Batch(sock), sock, tasks)
                try:
                    for listener in self._tcp:
                        tasks.create_task(Connections(partial(self._tcp_reply, tasks)).run(listener, tasks))
                    await loop.create_future()  # until cancelled
                finally:
                    for _, sock in self._udp:
                        loop.remove_reader(sock)

    def _drain(self, batch: Batch, sock: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Answer what has arrived, up to a burst.

        A query that came before, id aside, gets the reply that it got then: what
        the inner loop does for it is 1 µs beside the 4 that the kernel takes.
        """
        table = self._table()
        known = self._known_replies(table)
        replies = self._udp_replies
        slots, lengths, reply_lengths = batch.slots, batch.lengths, batch.reply_lengths
        stride, place = batch.LENGTH_STRIDE, batch.LENGTH_OFFSET
        answered = 0
        while answered < BURST and (received := batch.receive()):
            first = 0  # of the replies that are not yet sent
            for index in range(received):
                at = index * SLOT_BYTES
                query = slots[at + 2 : at + lengths[index * stride + place]].tobytes()
                tail = known.get(query) or self._own_tail(table, slots[at : at + 2].tobytes() + query)
                if tail is None:
                    sender = batch.sender(index)
                    send = partial(self._send, sock, sender)
                    tail = self._other_tail(table, slots[at : at + 2].tobytes() + query, sender[0], send, tasks)
                    if tail is None:
                        self._note_unsent(batch.send(first, index))
                        first = index + 1
                        continue
                size = len(tail)
                slots[at + 2 : at + 2 + size] = tail
                reply_lengths[2 * index + 1] = size + 2
                replies[tail[1]] += 1
            self._note_unsent(batch.send(first, received))
            answered += received

    def _drain_any_address(self, sock: socket.socket, buffer: bytearray, tasks: asyncio.TaskGroup) -> None:
        """Do the same for a socket on all addresses: each reply must leave from the one that was asked."""
        table = self._table()
        known = self._known_replies(table)
        view = memoryview(buffer)
        for _ in range(BURST):
            try:
                size, ancillary, _flags, sender = sock.recvmsg_into([buffer], socket.CMSG_SPACE(64))
            except BlockingIOError:
                return
            query = view[:size].tobytes()
            send = partial(self._send_from, sock, ancillary, sender)
            tail = known.get(query[2:]) or self._own_tail(table, query)
            if tail is None:
                tail = self._other_tail(table, query, sender[0], send, tasks)
            if tail is not None:
                send(query[:2] + tail)

    def _known_replies(self, table: DnsTable) -> dict[bytes, bytes]:
        """Return replies without their ids, by queries without theirs; forgotten when the tables change."""
        if table is not self._known_table or len(self._known) >= MAX_KNOWN:
            self._known = {}
            self._known_table = table
        return self._known

    def _own_tail(self, table: DnsTable, query: bytes) -> bytes | None:
        """Return the reply to *query* without its id, and keep it, if everybody gets the same."""
        reply = own_answer(table, query)
        if reply is None:
            return None
        if len(query) <= MAX_KNOWN_BYTES:
            self._known[query[2:]] = reply[2:]
        return reply[2:]

    def _other_tail(
        self, table: DnsTable, query: bytes, client: str, send: Send, tasks: asyncio.TaskGroup
    ) -> bytes | None:
        """Return the reply to any other *query* without its id, or None where it is sent otherwise."""
        match answer(table, query, client):
            case bytes(reply):
                return reply[2:]
            case Watched(reply) as watched:
                send(reply)
                self._tell(watched, client)
            case Forward() as forward:
                self._send_forwarded(forward, send, tasks)
            case Silence():
                self._counts["udp", "silence"] += 1
        return None

    def _send_forwarded(self, forward: Forward, send: Send, tasks: asyncio.TaskGroup) -> None:
        reply = self._kept_reply(forward)
        if reply is not None:
            send(reply)
        elif self._waiting < MAX_WAITING:
            tasks.create_task(self._send_when_resolved(forward, send, tasks))
        else:
            send(refusal(forward.query, Rcode.SERVFAIL, forward.name_end, forward.edns))

    async def _send_when_resolved(self, forward: Forward, send: Send, tasks: asyncio.TaskGroup) -> None:
        self._waiting += 1
        try:
            send(await self._resolved_reply(forward, tasks))
        finally:
            self._waiting -= 1

    # A mistake of ours that a query or its answer brings about, they can bring about again: it must not end
    # the process, and with it every other service.

    def _kept_reply(self, forward: Forward) -> bytes | None:
        try:
            return self._resolver.kept_reply(forward, self._table().forwarders)
        except Exception:
            logger.exception(FAILED, text_name(question_of(forward).name))
            return refusal(forward.query, Rcode.SERVFAIL, forward.name_end, forward.edns)

    async def _resolved_reply(self, forward: Forward, tasks: asyncio.TaskGroup) -> bytes:
        try:
            return await self._resolver.reply(forward, self._table().forwarders, tasks)
        except Exception:
            logger.exception(FAILED, text_name(question_of(forward).name))
            return refusal(forward.query, Rcode.SERVFAIL, forward.name_end, forward.edns)

    def _note_unsent(self, replies: int) -> None:
        if replies:
            self._counts["udp", "unsent"] += replies

    def _send(self, sock: socket.socket, sender: Address, reply: bytes) -> None:
        try:
            sock.sendto(reply, sender)
        except OSError:
            self._counts["udp", "unsent"] += 1
        self._udp_replies[reply[3]] += 1

    def _send_from(
        self, sock: socket.socket, ancillary: list[tuple[int, int, bytes]], sender: tuple[str, int], reply: bytes
    ) -> None:
        try:
            sock.sendmsg([reply], reply_source(ancillary), 0, sender)
        except OSError:
            self._counts["udp", "unsent"] += 1
        self._udp_replies[reply[3]] += 1

    async def _tcp_reply(self, tasks: asyncio.TaskGroup, query: bytes, client: str) -> bytes | None:
        table = self._table()
        match answer(table, query, client, over_tcp=True):
            case bytes(reply):
                pass
            case Watched(reply) as watched:
                self._tell(watched, client)
            case Forward() as forward:
                reply = self._kept_reply(forward) or await self._resolved_reply(forward, tasks)
            case Silence():
                self._counts["tcp", "silence"] += 1
                return None
        self._counts["tcp", rcode_name(reply[3])] += 1
        return reply

    def _tell(self, watched: Watched, client: str) -> None:
        """Tell that a node asked for a name that tells how far it is: once, until something else happens to it.

        A node that has joined asks for api-int every few seconds, as long as it lives.
        """
        installations = self._installations
        if watched.host not in self._told or self._told[watched.host] is not installations.get(watched.host):
            self._publish(DnsAsked(watched.host, client=client, name=text_name(watched.name)))
            self._told[watched.host] = installations.get(watched.host)


def rcode_name(flags: int) -> str:
    """Return the name of the rcode in the header's fourth byte."""
    try:
        return Rcode(flags & 0xF).name
    except ValueError:
        return f"RCODE{flags & 0xF}"


def _udp_socket(endpoint: Endpoint) -> socket.socket:
    return udp_server(
        endpoint.address, endpoint.port, setting="listen.dns", with_packet_info=endpoint.address.is_unspecified
    )
