"""The DNS server's sockets: UDP is read in bursts, and queries are passed on to the resolver. It decides nothing."""

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from appliance.dns.answers import MAX_KNOWN, new_tail
from appliance.dns.batch import SLOT_BYTES, Batch, Sender
from appliance.dns.compile import DnsTable
from appliance.dns.connections import DnsConnections
from appliance.dns.message import rcode_name
from appliance.dns.protocol import Forward, NoReply, Watched, answer
from appliance.dns.resolver import Resolver
from appliance.dns.sightings import Sightings, as_proven
from appliance.events import Event
from appliance.install.installation import Installation
from appliance.model import Endpoint, Listen
from appliance.remembered import Remembered
from appliance.sockets import reply_source, tcp_server, udp_server

logger = logging.getLogger(__name__)

BURST = 64  # datagrams in a turn of the loop: they take half a millisecond, and no other service waits longer

Send = Callable[[bytes], None]


class DnsServer:
    """Answers DNS on every endpoint of listen.dns.

    `counts` has (transport, outcome): "udp" or "tcp" with the name of an rcode for each
    reply sent, with "silence" for messages that get no reply, or with "unsent" for
    replies that the kernel refused to send; and what Resolver counts.
    """

    def __init__(
        self,
        table: Callable[[], DnsTable],
        installations: Mapping[str, Installation],
        listen: Listen,
        publish: Callable[[Event], None],
        now: Callable[[], float] = time.time,
        is_host: Callable[[str, str], bool] = lambda _host, _client: True,
    ) -> None:
        """Open every socket. Raises ListenError.

        *table* returns the table that is served at present, and *now* the time in seconds
        UTC by which the installations are. *is_host* says whether a client, by its
        address, is the host of that name.
        """
        self._table = table
        self._installations = installations
        self._publish = publish
        self._now = now
        self._is_host = is_host
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._udp_replies = [0] * 256  # replies by the header's fourth byte, whose lower half is the rcode
        self._resolver = Resolver(self._counts)
        self._sightings = Sightings()
        self._remembered: Remembered[bytes, bytes] = Remembered(MAX_KNOWN)  # replies by query, both without their ids
        with contextlib.ExitStack() as opened:
            self._udp = [(endpoint, opened.enter_context(_udp_socket(endpoint))) for endpoint in listen.dns]
            self._tcp = [
                opened.enter_context(tcp_server(endpoint.address, endpoint.port, setting="listen.dns"))
                for endpoint in listen.dns
            ]
            self._sockets = opened.pop_all()

    @property
    def counts(self) -> Counter[tuple[str, ...]]:
        """A copy of what was counted since the start."""
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
                        tasks.create_task(DnsConnections(partial(self._tcp_reply, tasks)).run(listener, tasks))
                    await loop.create_future()  # until cancelled
                finally:
                    for _, sock in self._udp:
                        loop.remove_reader(sock)

    def _drain(self, batch: Batch, sock: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Answer the datagrams that have arrived, up to a burst.

        For a query that is in the cache, the inner loop takes 1 µs, and the kernel 4.
        So the loop avoids every call of a Python function that it can.
        """
        table = self._table()
        known = self._remembered.of(table)
        replies = self._udp_replies
        slots, lengths, reply_lengths = batch.slots, batch.lengths, batch.reply_lengths
        stride, place = batch.LENGTH_STRIDE, batch.LENGTH_OFFSET
        answered = 0
        while answered < BURST and (received := batch.receive()):
            first = 0  # slot of the first reply that has not been sent yet
            for index in range(received):
                at = index * SLOT_BYTES
                query = slots[at + 2 : at + lengths[index * stride + place]].tobytes()
                tail = known.get(query) or new_tail(known, table, slots[at : at + 2].tobytes() + query)
                if tail is None:
                    sender = batch.sender(index)
                    send = partial(self._send, sock, sender)
                    tail = self._other_tail(table, slots[at : at + 2].tobytes() + query, sender[0], send, tasks)
                    if tail is None:
                        self._note_unsent(batch, batch.send(first, index))
                        first = index + 1
                        continue
                size = len(tail)
                slots[at + 2 : at + 2 + size] = tail
                reply_lengths[2 * index + 1] = size + 2
                replies[tail[1]] += 1
            self._note_unsent(batch, batch.send(first, received))
            answered += received

    def _drain_any_address(self, sock: socket.socket, buffer: bytearray, tasks: asyncio.TaskGroup) -> None:
        """Answer the datagrams that have arrived at a socket on all addresses, up to a burst.

        Each reply must leave from the address that the query was sent to, or the client
        does not accept it. `Batch` cannot choose that address.
        """
        table = self._table()
        known = self._remembered.of(table)
        view = memoryview(buffer)
        for _ in range(BURST):
            try:
                size, ancillary, _flags, sender = sock.recvmsg_into([buffer], socket.CMSG_SPACE(64))
            except BlockingIOError:
                return
            query = view[:size].tobytes()
            send = partial(self._send_from, sock, ancillary, sender)
            tail = known.get(query[2:]) or new_tail(known, table, query)
            if tail is None:
                tail = self._other_tail(table, query, sender[0], send, tasks)
            if tail is not None:
                send(query[:2] + tail)

    def _other_tail(
        self, table: DnsTable, query: bytes, client: str, send: Send, tasks: asyncio.TaskGroup
    ) -> bytes | None:
        """Return the reply, without its id, to a *query* that `own_answer` does not answer; None to send nothing now.

        That is when there is no reply, when it comes later, and when it has been sent
        already because an event must follow it.
        """
        match answer(table, query, client):
            case bytes(reply):
                return reply[2:]
            case Watched(reply) as watched:
                send(reply)
                self._report(watched, client)
            case Forward() as forward:
                resolved = self._resolver.reply_at_once(forward, table, client)
                if resolved is None:
                    tasks.create_task(self._send_when_resolved(forward, table, client, send, tasks))
                else:
                    send(resolved)
            case NoReply() as silence:
                self._note_silence("udp", silence, client)
        return None

    async def _send_when_resolved(
        self, forward: Forward, table: DnsTable, client: str, send: Send, tasks: asyncio.TaskGroup
    ) -> None:
        send(await self._resolver.reply(forward, table, client, tasks))

    def _note_silence(self, transport: str, silence: NoReply, client: str) -> None:
        self._counts[transport, "silence"] += 1
        # At DEBUG, because anybody can send messages that get no reply, as fast as they like.
        logger.debug("dns.silence why=%s client=%s", silence.why, client)

    def _note_unsent(self, batch: Batch, refused: list[int]) -> None:
        for index in refused:
            self._udp_replies[batch.slots[index * SLOT_BYTES + 3]] -= 1  # counted before it was sent
            self._counts["udp", "unsent"] += 1

    def _send(self, sock: socket.socket, sender: Sender, reply: bytes) -> None:
        try:
            sock.sendto(reply, sender)
        except OSError:
            self._counts["udp", "unsent"] += 1
        else:
            self._udp_replies[reply[3]] += 1

    def _send_from(
        self, sock: socket.socket, ancillary: list[tuple[int, int, bytes]], sender: tuple[str, int], reply: bytes
    ) -> None:
        try:
            sock.sendmsg([reply], reply_source(ancillary), 0, sender)
        except OSError:
            self._counts["udp", "unsent"] += 1
        else:
            self._udp_replies[reply[3]] += 1

    async def _tcp_reply(self, tasks: asyncio.TaskGroup, query: bytes, client: str) -> bytes | None:
        table = self._table()
        match answer(table, query, client, over_tcp=True):
            case bytes(reply):
                pass
            case Watched(reply) as watched:
                self._report(watched, client)
            case Forward() as forward:
                resolved = self._resolver.reply_at_once(forward, table, client)
                reply = resolved or await self._resolver.reply(forward, table, client, tasks)
            case NoReply() as silence:
                self._note_silence("tcp", silence, client)
                return None
        self._counts["tcp", rcode_name(reply[3])] += 1
        return reply

    def _report(self, watched: Watched, client: str) -> None:
        """Publish that a host queried a name that shows how far its installation has come, if that is news."""
        installations = self._installations
        watched = as_proven(watched, client, self._is_host)
        event = self._sightings.event(watched, client, installations.get(watched.host), self._now())
        if event is not None:
            self._publish(event)
            self._sightings.reported(watched, installations.get(watched.host))


def _udp_socket(endpoint: Endpoint) -> socket.socket:
    return udp_server(
        endpoint.address, endpoint.port, setting="listen.dns", with_packet_info=endpoint.address.is_unspecified
    )
