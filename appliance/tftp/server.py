"""The TFTP sockets: one for requests at each address, and one for each transfer.

Nothing is decided here: protocol.py and transfer.py say what a datagram means and what
happens next. Each wake-up reads a bounded burst, so that neither a single client nor
TFTP as a whole keeps other clients and services waiting.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from appliance.allowance import Allowance, Allowances
from appliance.errors import ListenError
from appliance.events import Event, TftpAborted, TftpFailed, TftpFinished, TftpStarted
from appliance.model import Listen
from appliance.tftp.compile import TftpTable
from appliance.tftp.files import Content, Files, Found
from appliance.tftp.protocol import IgnoreReason, ReadRequest, Refusal, is_read_request, parse_request
from appliance.tftp.scripts import Askings, ScriptOf, no_script
from appliance.tftp.session import Arrival, Listener, Peer, Session, TooLargeAnswerError
from appliance.tftp.sessions import Sessions
from appliance.tftp.transfer import Outcome, ignore_reason

logger = logging.getLogger(__name__)

ANSWER_BYTES = 256  # an ACK has 4; the beginning of an ERROR is enough
REQUESTS_A_WAKE = 32
ANSWERS_A_WAKE = 64  # under 1 ms
TICK_SECONDS = 0.02  # how late a deadline may be noticed; looking at 1,000 transfers takes 0.1 ms
# A boot makes four events; a client that asks without end from a host's address must not fill log and journal.
HOST_EVENTS_A_SECOND = 10.0
HOST_EVENTS_AT_ONCE = 100.0

Tap = Callable[[bytes, Peer, Peer], None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a file, and who asks."""

    arrival: Arrival
    request: ReadRequest
    host: str  # full name, or ""
    mtu: int


class TftpServer:
    """Serves the current table; `tap` gets every datagram, except the expected ACKs and the blocks that answer them.

    Of the blocks of a script with a token it gets the heads.

    *counts* has ("started",), ("finished",), ("aborted",), ("failed",), ("refused", why),
    ("silent", why), ("resent",) in blocks and ("bytes",) of the files that arrived.
    """

    def __init__(
        self,
        table: Callable[[], TftpTable],
        listen: Listen,
        publish: Callable[[Event], None],
        script_of: ScriptOf = no_script,
        block_bytes_of: Callable[[str], int] = lambda _host: 0,
    ) -> None:
        """Open every listening socket; *table* returns what is served now. Raises ListenError.

        *script_of* returns what GRUB at a client's address is told, and *block_bytes_of* the
        most that a block for a host has; 0 for no limit.
        """
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.tap: Tap | None = None
        self._table = table
        self._block_bytes_of = block_bytes_of
        self._publish = publish
        self._allowances = Allowances(Allowance(), HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE)
        self._is_verbose = logger.isEnabledFor(logging.DEBUG)
        self._is_single_port = listen.tftp_single_port
        self._files = Files()
        self._sessions = Sessions()
        self._askings = Askings(script_of)
        self._is_draining = False
        self._idle = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None
        self._listeners: list[Listener] = []
        try:
            self._listeners += [Listener.open(endpoint) for endpoint in listen.tftp]
        except ListenError:
            self._close()
            raise

    async def run(self) -> None:
        """Serve until cancelled, then close every socket."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sessions.epoll.fileno(), self._read_answers)
        for listener in self._listeners:
            self._loop.add_reader(listener.sock.fileno(), self._read_requests, listener)
        try:
            await self._loop.create_future()
        finally:
            for listener in self._listeners:
                self._loop.remove_reader(listener.sock.fileno())
            self._loop.remove_reader(self._sessions.epoll.fileno())
            if self._ticking:
                self._ticking.cancel()
            self._askings.stop()
            for session in self._sessions:
                self._end(session, Outcome.FAILED, "the appliance stopped")
            self._close()

    async def drain(self, seconds: float) -> None:
        """Begin no more transfers, and wait at most *seconds* for those under way."""
        self._is_draining = True
        if not self._sessions:
            return
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return

    def _close(self) -> None:
        for listener in self._listeners:
            listener.sock.close()
        self._sessions.epoll.close()

    def _read_requests(self, listener: Listener) -> None:
        for _ in range(REQUESTS_A_WAKE):
            arrival = listener.receive()
            if arrival is None:
                return
            if self.tap:
                self.tap(arrival.datagram, arrival.peer, arrival.local)
            session = self._sessions.latest(arrival.peer) if self._is_single_port else None
            if session and not is_read_request(arrival.datagram):
                self._take(session, arrival.datagram, self._loop.time())
            else:
                self._answer(arrival)

    def _answer(self, arrival: Arrival) -> None:
        request = parse_request(arrival.datagram, is_broadcast=arrival.is_broadcast)
        if isinstance(request, IgnoreReason):
            self._note_silence(request, arrival)
            return
        host, served = self._table().client(arrival.peer[0])
        if isinstance(request, Refusal):
            self._refuse(arrival, request, host)
            return
        silence = self._ignore_reason(arrival, host)
        if silence:
            self._note_silence(silence, arrival)
            return
        asked = _Asked(arrival, request, host, served.mtu)
        if self._askings.concerns(request.name):
            if not self._askings.begin(arrival.peer, request.name, lambda found: self._answer_with(asked, found)):
                self._note_silence(IgnoreReason.BUSY, arrival)
            return
        try:
            self._reply(asked, self._files.find(served, request.name))
        except OSError:
            self._note_silence(IgnoreReason.BUSY, arrival)

    def _answer_with(self, asked: "_Asked", found: Found) -> None:
        """Answer a request that waited for *found*."""
        silence = self._ignore_reason(asked.arrival, asked.host)
        if silence:
            self._note_silence(silence, asked.arrival)
        else:
            self._reply(asked, found)

    def _reply(self, asked: "_Asked", found: Found) -> None:
        try:
            if isinstance(found.content, Refusal):
                self._refuse(asked.arrival, found.content, asked.host, found)
            else:
                self._begin(asked, found, found.content)
        except TooLargeAnswerError:
            self._refuse(asked.arrival, Refusal.PLAIN, asked.host, found)
        except (OSError, ListenError):
            # No descriptor is left. The client retries, and by then some transfer will have ended.
            self._note_silence(IgnoreReason.BUSY, asked.arrival)

    def _ignore_reason(self, arrival: Arrival, host: str) -> IgnoreReason | None:
        """Return why a request begins no transfer, or None; a repeated request may get its first answer again."""
        now = self._loop.time()
        latest = self._sessions.latest(arrival.peer)
        reason = ignore_reason(
            latest.transfer if latest else None,
            now,
            is_repeated=latest is not None and latest.request == arrival.datagram,
            is_draining=self._is_draining,
            has_room=lambda: self._has_room(arrival.peer[0], host, now),
        )
        if latest and reason is IgnoreReason.REPEATED and latest.transfer.repeat(now):
            self._send(latest)
        return reason

    def _has_room(self, address: str, host: str, now: float) -> bool:
        """Return whether another transfer may begin, after ending one that was never answered if need be."""
        if not self._sessions.has_room(address, host) and (victim := self._sessions.in_the_way(address, host, now)):
            self._end(victim, Outcome.FAILED, "not answered, and its place was needed")
        return self._sessions.has_room(address, host)

    def _note_silence(self, why: IgnoreReason, arrival: Arrival) -> None:
        self.counts["silent", why] += 1
        if self._is_verbose:
            logger.debug("tftp.silence why=%s client=%s", why, arrival.peer[0])

    def _refuse(self, arrival: Arrival, refusal: Refusal, host: str, found: Found | None = None) -> None:
        datagram = self._table().errors[refusal]
        with suppress(OSError):  # the client has gone, or the buffer is full; it retries
            arrival.reply(datagram)
        self.counts["refused", refusal] += 1
        if self.tap:
            self.tap(datagram, arrival.local, arrival.peer)
        if found is None:
            self._tell(TftpFailed(host, arrival.peer[0], path="", why=refusal, is_answered=False))
        elif found.is_news:
            name, what = found.name, found.what
            self._tell(TftpFailed(host, arrival.peer[0], name, why=refusal, what=what, is_answered=False))

    def _begin(self, asked: "_Asked", found: Found, content: Content) -> None:
        now, arrival, host = self._loop.time(), asked.arrival, asked.host
        latest = self._sessions.latest(arrival.peer)
        if latest and self._is_single_port:
            self._end(latest, Outcome.ABORTED, "client began a new transfer")
        session = Session.open(
            arrival,
            asked.request,
            host=host,
            mtu=asked.mtu,
            most_block_bytes=self._block_bytes_of(host),
            content=content,
            what=found.what,
            is_news=found.is_news,
            arrived=found.arrived,
            now=now,
            is_single_port=self._is_single_port,
        )
        self._sessions.add(session)
        self.counts["started",] += 1
        self._send(session)
        if found.is_news:
            path, what = session.path, found.what
            self._tell(TftpStarted(host, client=arrival.peer[0], path=path, total=content.total, what=what))
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)

    def _read_answers(self) -> None:
        left, sessions = ANSWERS_A_WAKE, self._sessions
        # Poll again while answers arrive: a turn of the event loop costs as much as two blocks.
        while left > 0 and (ready := sessions.epoll.poll(0, left)):
            left -= len(ready)
            now = self._loop.time()
            for descriptor, _ in ready:
                # One datagram per turn: epoll returns the sockets in turn, so that all progress equally fast.
                self._read_answer(sessions.by_number[descriptor], now)

    def _read_answer(self, session: Session, now: float) -> None:
        try:
            # Not recv() and send() of the socket object: 8.1 instead of 9.1 µs for a block and its ACK, both ends.
            datagram = os.read(session.number, ANSWER_BYTES)
            block = session.transfer.follow(datagram, now)
            if block is not None:
                os.write(session.number, block)
        except BlockingIOError:
            return  # a wrong checksum, or no room to send: the deadline repairs it
        except OSError as error:
            self._lose(session, error)
            return
        if block is not None:
            return
        if self.tap:
            self.tap(datagram, session.peer, session.local)
        self._take(session, datagram, now)

    def _take(self, session: Session, datagram: bytes, now: float) -> None:
        transfer = session.transfer
        transfer.take(datagram, now)
        if transfer.outcome:
            self._end(session, transfer.outcome, transfer.why)
        else:
            self._send(session)

    def _send(self, session: Session) -> None:
        try:
            datagrams = session.transfer.datagrams()
            session.send(datagrams)
        except BlockingIOError:
            return  # the kernel's buffer is full: the datagram counts as lost, and is sent again at the deadline
        except OSError as error:
            self._lose(session, error)
            return
        if self.tap:
            for datagram in datagrams:
                self.tap(session.shown(datagram), session.local, session.peer)

    def _lose(self, session: Session, error: OSError) -> None:
        """End a transfer whose socket or file reports an error that does not pass."""
        transfer = session.transfer
        transfer.fail(error)
        if transfer.parting:
            with suppress(OSError):
                session.send((self._table().errors[transfer.parting],))
        if transfer.outcome:
            self._end(session, transfer.outcome, transfer.why)

    def _tick(self) -> None:
        self._ticking = None
        try:
            self._expire(self._loop.time())
        finally:
            # Also after an error in one transfer, which must not leave all others without deadlines.
            if self._sessions:
                self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)

    def _expire(self, now: float) -> None:
        for session in self._sessions.late(now):
            if session.is_connected:
                # On a busy machine the answer may have arrived but not been read yet.
                self._read_answer(session, now)
                if session.number not in self._sessions.by_number:
                    continue
            session.transfer.expire(now)
            if session.transfer.outcome:
                self._end(session, session.transfer.outcome, session.transfer.why)
            else:
                self._send(session)

    def _end(self, session: Session, outcome: Outcome, why: str) -> None:
        self._sessions.remove(session)
        client, path, transfer = session.peer[0], session.path, session.transfer
        self.counts[outcome.value,] += 1
        self.counts["resent",] += transfer.resent_blocks
        if outcome is Outcome.FINISHED:
            if session.arrived is not None:
                session.arrived()
            total = session.content.total
            self.counts["bytes",] += total
            seconds = self._loop.time() - session.started_at
            event: Event = TftpFinished(
                session.host,
                client=client,
                path=path,
                total=total,
                seconds=seconds,
                resent=transfer.resent_blocks,
                what=session.what,
            )
        elif outcome is Outcome.ABORTED:
            event = TftpAborted(session.host, client=client, path=path, why=why)
        else:
            is_answered = transfer.has_progressed
            event = TftpFailed(session.host, client, path, why, what=session.what, is_answered=is_answered)
        if session.is_news:
            self._tell(event)
        if not self._sessions:
            self._idle.set()

    def _tell(self, event: Event) -> None:
        """Publish *event*, unless its host's address, or all strangers together, have caused too many."""
        if self._allowances.take(event.host, self._loop.time()):
            self._publish(event)
