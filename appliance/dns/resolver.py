"""Asks forwarders about names outside our zones. Clients with the same question at the same time share one query."""

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import replace

from appliance.dns.compile import DnsTable
from appliance.dns.forward import (
    Action,
    AnswerCache,
    CachedAnswer,
    Question,
    judge,
    kept_of,
    question_of,
    reply_from,
    upstream_query,
)
from appliance.dns.message import TCP_BYTES, MessageError, Rcode, text_name
from appliance.dns.protocol import Forward, found_in, refusal
from appliance.dns.tree import MAX_CHAIN
from appliance.dns.upstreams import Upstreams
from appliance.dns.waiting import Waiting
from appliance.model import Endpoint
from appliance.sockets import udp_client

logger = logging.getLogger(__name__)

FAILED = "dns.failed name=%s; please report it"  # a traceback follows

TOTAL_SECONDS = 4.5  # a stub resolver gives up after five (RES_TIMEOUT in resolv.conf(5))
# How long each forwarder is waited for, by rounds. With a single forwarder the three add up to the total.
WAIT_SECONDS = (0.8, 1.6, 2.1)
STALE_WAIT_SECONDS = 1.8  # RFC 8767 section 5, the client response timer


class _Memory:
    """What is known from one choice of forwarders: their answers, which of them did not answer, and pending queries."""

    def __init__(self, table: DnsTable) -> None:
        self.table = table
        self.cache = AnswerCache()
        self.upstreams = Upstreams()
        self.under_way: dict[Question, asyncio.Task[CachedAnswer | None]] = {}


class Resolver:
    """Answers clients from the cache or from forwarders.

    When the forwarders change, the cache is emptied: other forwarders may have
    other answers, for example for names inside a company. So it is when a zone of ours
    comes or goes, because what is cached was freed from names in our zones. *counts* gets ("upstream",
    outcome): cached, stale or failed for each client, answered for each query that
    forwarders answered, and silent for each time that a forwarder did not.
    """

    def __init__(self, counts: Counter[tuple[str, ...]]) -> None:
        self._counts = counts
        self._memory: _Memory | None = None
        self._waiting = Waiting()

    # A bug of ours that a query or an answer triggers can be triggered again by its sender. It must not end the process
    # and with it all other services, so the two public methods catch everything, log it and answer SERVFAIL.

    def reply_at_once(self, forward: Forward, table: DnsTable, client: str) -> bytes | None:
        """Return the reply if it is cached, or SERVFAIL if too many wait. None takes a place: then call `reply`."""
        try:
            kept = self._kept_reply(forward, table)
        except Exception:
            logger.exception(FAILED, text_name(question_of(forward).name))
            return _failure(forward)
        # The place is taken here and not when the task starts, which is after all datagrams of a burst were read.
        return _failure(forward) if kept is None and not self._waiting.enter(client) else kept

    async def reply(self, forward: Forward, table: DnsTable, client: str, tasks: asyncio.TaskGroup) -> bytes:
        """Return the reply, or SERVFAIL if no forwarder has an answer. Raises nothing but CancelledError.

        It gives back the place that `reply_at_once` took for *client*.
        """
        try:
            return await self._resolved_reply(forward, table, client, tasks)
        except Exception:
            logger.exception(FAILED, text_name(question_of(forward).name))
            return _failure(forward)
        finally:
            self._waiting.leave(client)

    def _kept_reply(self, forward: Forward, table: DnsTable) -> bytes | None:
        now = asyncio.get_running_loop().time()
        cache = self._memory_of(table).cache
        while True:
            kept = cache.get(question_of(forward), now)
            if kept is None or kept.fresh_until < now:
                return None
            further = _further(kept, forward, now, table)
            if further is None:
                self._counts["upstream", "cached"] += 1
                return reply_from(kept, forward, now, table.nodes)
            forward = further

    async def _resolved_reply(self, forward: Forward, table: DnsTable, client: str, tasks: asyncio.TaskGroup) -> bytes:
        loop = asyncio.get_running_loop()
        until = loop.time() + TOTAL_SECONDS
        while True:
            kept = await self._resolve(question_of(forward), self._memory_of(table), client, tasks)
            if kept is None:
                self._counts["upstream", "failed"] += 1
                return _failure(forward)
            now = loop.time()
            further = _further(kept, forward, now, table) if now < until else None
            if further is None:
                if kept.is_stale(now):
                    self._counts["upstream", "stale"] += 1
                return reply_from(kept, forward, now, table.nodes)
            forward = further

    def _memory_of(self, table: DnsTable) -> _Memory:
        # Replaced instead of emptied: a pending query finishes in the memory that it began in.
        memory = self._memory
        if memory is None or (memory.table is not table and not memory.table.forwards_as(table)):
            memory = self._memory = _Memory(table)
        memory.table = table  # so that an old one is not compared again, nor kept
        return memory

    async def _resolve(
        self, question: Question, memory: _Memory, client: str, tasks: asyncio.TaskGroup
    ) -> CachedAnswer | None:
        now = asyncio.get_running_loop().time()
        kept = memory.cache.get(question, now)
        if (kept is not None and kept.fresh_until >= now) or memory.cache.has_failed(question, now):
            return kept
        asking = memory.under_way.get(question)
        if asking is None:
            if not self._waiting.begin(client, question.name):
                return kept
            asking = tasks.create_task(self._ask_once(question, memory, client))
            memory.under_way[question] = asking
        if kept is None:
            # Without shield(), a client that closes its connection would cancel the query that others wait for.
            return await asyncio.shield(asking)
        # Unlike wait_for(), wait() leaves the query running after the timeout: its answer goes to the cache.
        await asyncio.wait({asking}, timeout=STALE_WAIT_SECONDS)
        return (asking.result() or kept) if asking.done() else kept

    async def _ask_once(self, question: Question, memory: _Memory, client: str) -> CachedAnswer | None:
        loop = asyncio.get_running_loop()
        try:
            kept = await self._ask_in_time(question, memory)
            if kept is not None:
                self._counts["upstream", "answered"] += 1
                memory.cache.put(question, kept)
                return kept
        except Exception:  # it would end the server's TaskGroup, whenever the sender likes
            logger.exception(FAILED, text_name(question.name))
        finally:
            del memory.under_way[question]
            self._waiting.end(client, question.name)
        memory.cache.fail(question, loop.time())
        return None

    async def _ask_in_time(self, question: Question, memory: _Memory) -> CachedAnswer | None:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._ask_in_turn(question, memory)
        except TimeoutError:
            return None

    async def _ask_in_turn(self, question: Question, memory: _Memory) -> CachedAnswer | None:
        loop = asyncio.get_running_loop()
        upstreams = memory.upstreams
        forwarders = memory.table.forwarding.forwarders_of(question.name, question.key)
        for seconds in WAIT_SECONDS:
            for forwarder in upstreams.in_turn(forwarders, loop.time()):
                try:
                    async with asyncio.timeout(seconds):
                        kept = await _ask(question, forwarder, memory.table)
                except (TimeoutError, OSError, asyncio.IncompleteReadError):
                    upstreams.failed(forwarder, loop.time())
                    self._counts["upstream", "silent"] += 1
                    continue
                upstreams.answered(forwarder)
                if kept is not None:
                    return kept
        return None


def _further(kept: CachedAnswer, forward: Forward, now: float, table: DnsTable) -> Forward | None:
    """Return what to ask next if *kept* leads to a CNAME of ours that leads outside our zones again; else None."""
    if not kept.own:
        return None
    key = forward.query[forward.name_end : forward.name_end + 4]
    found = found_in(table.nodes, kept.own, key)
    if found is None or not found.alias or not table.forwarding.forwarders_of(found.alias, key):
        return None
    so_far = reply_from(kept, replace(forward, edns=None, reply_bytes=TCP_BYTES), now, table.nodes)
    # It has no records if they do not fit.
    return replace(forward, alias=found.alias, own=so_far) if 0 < int.from_bytes(so_far[6:8]) <= MAX_CHAIN else None


def _failure(forward: Forward) -> bytes:
    return refusal(forward.query, Rcode.SERVFAIL, forward.name_end, forward.edns)


async def _ask(question: Question, forwarder: Endpoint, table: DnsTable) -> CachedAnswer | None:
    """Return the answer of *forwarder*, or None if it has none. Raises OSError, TimeoutError or IncompleteReadError."""
    query = _query(question, with_edns=True)
    action, message = await _over_udp(query, forwarder)
    if action is Action.WITHOUT_EDNS:
        query = _query(question, with_edns=False)
        action, message = await _over_udp(query, forwarder)
    if action is Action.USE_TCP:
        message = await _over_tcp(query, forwarder)
        action = judge(query, message, over_tcp=True)
    if action is not Action.ACCEPT:
        return None
    try:
        drops_private = table.forwarding.drops_private_of(question.name, question.key)
        return kept_of(message, asyncio.get_running_loop().time(), table.borders, drops_private=drops_private)
    except MessageError:
        return None


def _query(question: Question, *, with_edns: bool) -> bytes:
    case_bits = secrets.randbits(len(question.name))
    return upstream_query(question, secrets.randbits(16), case_bits, with_edns=with_edns)


async def _over_udp(query: bytes, forwarder: Endpoint) -> tuple[Action, bytes]:
    loop = asyncio.get_running_loop()
    with udp_client(forwarder.address, forwarder.port) as sock:
        sock.send(query)
        while True:
            message = await loop.sock_recv(sock, 65535)
            action = judge(query, message)
            if action is not Action.IGNORE:
                return action, message


async def _over_tcp(query: bytes, forwarder: Endpoint) -> bytes:
    reader, writer = await asyncio.open_connection(str(forwarder.address), forwarder.port)
    try:
        writer.write(len(query).to_bytes(2) + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()
