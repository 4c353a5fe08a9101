"""The TFTP sockets: one for requests at each address, and one for each transfer.

Nothing is decided here but who is served at all. Each wake-up reads a bounded burst,
so that no client, and not TFTP as a whole, keeps the others waiting.
"""

import asyncio
import errno
import logging
import os
import select
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from appliance.allowance import Allowance, Allowances
from appliance.errors import ListenError
from appliance.events import Event, TftpAborted, TftpFailed, TftpFinished, TftpStarted
from appliance.model import Listen
from appliance.tftp.compile import TftpTable
from appliance.tftp.files import Content, Files
from appliance.tftp.protocol import Refusal, Request, Silence, parse_request
from appliance.tftp.session import Asked, Listener, Peer, Session
from appliance.tftp.transfer import Outcome

logger = logging.getLogger(__name__)

# A thousand hosts that power on in the same second, twice: UEFI asks for the size first, and the ERROR
# that ends its probe can still wait in that one's socket when the true request is read.
MAX_TRANSFERS = 2048
MAX_CLIENT_TRANSFERS = 512  # of one address: six racks behind a router that translates, and three quarters for others
ANSWER_BYTES = 256  # an ACK has 4; of an ERROR the beginning will do
REQUESTS_A_WAKE = 32
ANSWERS_A_WAKE = 64  # under 1 ms
TICK_SECONDS = 0.02  # how late a deadline may be seen; looking at 1,000 transfers takes 0.1 ms
# A boot makes four events; who asks without end under a host's address shall not fill log and journal.
HOST_EVENTS_A_SECOND = 10.0
HOST_EVENTS_AT_ONCE = 100.0
LIVELY_SECONDS = 1.0  # who sent an ACK so lately has not started anew, whatever the request that arrives says

Tap = Callable[[bytes, Peer, Peer], None]


class TftpServer:
    """Serves the current table; `tap` hears every datagram, but for the plain steps of a transfer in lock step.

    *counts* has ("started",), ("finished",), ("aborted",), ("failed",), ("refused", why),
    ("silent", why), ("resent",) in blocks and ("bytes",) of the files that arrived.
    """

    def __init__(self, table: Callable[[], TftpTable], listen: Listen, publish: Callable[[Event], None]) -> None:
        """Open every listening socket; *table* returns what is served now. Raises ListenError."""
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.tap: Tap | None = None
        self._table = table
        self._publish = publish
        self._allowances = Allowances(Allowance(), HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE)
        self._is_verbose = logger.isEnabledFor(logging.DEBUG)
        self._is_single_port = listen.tftp_single_port
        self._files = Files()
        self._sessions: dict[int, Session] = {}  # by descriptor; by a number below 0 where they share the listener's
        self._by_peer: dict[Peer, Session] = {}  # the latest of each
        self._by_client: Counter[str] = Counter()
        self._shared = 0
        self._is_draining = False
        self._idle = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None
        # An epoll of our own inside the loop's: reading many sockets costs less so than by a reader for each.
        self._epoll = select.epoll()
        self._listeners: list[Listener] = []
        try:
            self._listeners += [Listener.open(endpoint) for endpoint in listen.tftp]
        except ListenError:
            self._close()
            raise

    async def run(self) -> None:
        """Serve until cancelled, then close every socket."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._read_answers)
        for listener in self._listeners:
            self._loop.add_reader(listener.sock.fileno(), self._read_requests, listener)
        try:
            await self._loop.create_future()
        finally:
            for listener in self._listeners:
                self._loop.remove_reader(listener.sock.fileno())
            self._loop.remove_reader(self._epoll.fileno())
            if self._ticking:
                self._ticking.cancel()
            for session in list(self._sessions.values()):
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
        self._epoll.close()

    def _read_requests(self, listener: Listener) -> None:
        for _ in range(REQUESTS_A_WAKE):
            asked = listener.receive()
            if asked is None:
                return
            if self.tap:
                self.tap(asked.datagram, asked.peer, asked.local)
            session = self._by_peer.get(asked.peer) if self._is_single_port else None
            if session and asked.datagram[:2] != b"\0\1":
                self._take(session, asked.datagram, self._loop.time())
            else:
                self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        request = Silence.BROADCAST if asked.is_broadcast else parse_request(asked.datagram)
        if isinstance(request, Silence):
            self._note_silence(request, asked)
            return
        host, site = self._table().client(asked.peer[0])
        if isinstance(request, Refusal):
            self._refuse(asked, request, host, "")
            return
        silence = self._silence_for(asked)
        if silence:
            self._note_silence(silence, asked)
            return
        try:
            content = self._files.open(site, request.name)
            if isinstance(content, Refusal):
                self._refuse(asked, content, host, request.name)
            else:
                self._begin(asked, request, host, site.mtu, content)
        except (OSError, ListenError):
            # No descriptor left. The client asks again, and by then some transfer will have ended.
            self._note_silence(Silence.BUSY, asked)

    def _silence_for(self, asked: Asked) -> Silence | None:
        """Return why a request shall begin no transfer, or None."""
        latest = self._by_peer.get(asked.peer)
        now = self._loop.time()
        if latest and latest.request == asked.datagram:
            if not latest.transfer.has_progressed:
                latest.transfer.repeat(now)
                self._send(latest)
                return Silence.REPEATED
            if now - latest.transfer.progress_at < LIVELY_SECONDS:
                return Silence.REPEATED
        if self._is_draining:
            return Silence.DRAINING
        if len(self._sessions) >= MAX_TRANSFERS or self._by_client[asked.peer[0]] >= MAX_CLIENT_TRANSFERS:
            return Silence.BUSY
        return None

    def _note_silence(self, why: Silence, asked: Asked) -> None:
        self.counts["silent", why] += 1
        if self._is_verbose:
            logger.debug("tftp.silence why=%s client=%s", why, asked.peer[0])

    def _refuse(self, asked: Asked, refusal: Refusal, host: str, name: str) -> None:
        datagram = self._table().errors[refusal]
        with suppress(OSError):  # the client has gone, or the buffer is full; it asks again
            asked.reply(datagram)
        self.counts["refused", refusal] += 1
        if self.tap:
            self.tap(datagram, asked.local, asked.peer)
        self._tell(TftpFailed(host, client=asked.peer[0], path=name, why=refusal))

    def _begin(self, asked: Asked, request: Request, host: str, mtu: int, content: Content) -> None:
        now = self._loop.time()
        latest = self._by_peer.get(asked.peer)
        if latest and self._is_single_port:
            self._end(latest, Outcome.ABORTED, "client began anew")
        session = Session.open(
            asked, request, host=host, mtu=mtu, content=content, now=now, is_single_port=self._is_single_port
        )
        if session.is_connected:
            session.number = session.sock.fileno()
            self._epoll.register(session.number, select.EPOLLIN)
        else:
            self._shared -= 1
            session.number = self._shared
        self._sessions[session.number] = session
        self._by_peer[asked.peer] = session
        self._by_client[asked.peer[0]] += 1
        self.counts["started",] += 1
        self._send(session)
        self._tell(TftpStarted(host, client=asked.peer[0], path=session.path, total=content.total))
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)

    def _read_answers(self) -> None:
        left = ANSWERS_A_WAKE
        # Ask again while answers come in: a turn of the event loop costs as much as two blocks.
        while left > 0 and (ready := self._epoll.poll(0, left)):
            left -= len(ready)
            now = self._loop.time()
            for descriptor, _ in ready:
                # One datagram a turn: epoll hands the sockets out in turn, so that all go on equally fast.
                self._read_answer(self._sessions[descriptor], now)

    def _read_answer(self, session: Session, now: float) -> None:
        try:
            # Not recv() and send() of the socket object: 8.1 instead of 9.1 µs for a block and its ACK, both ends.
            datagram = os.read(session.number, ANSWER_BYTES)
            block = session.transfer.follow(datagram, now)
            if block is not None:
                os.write(session.number, block)
        except BlockingIOError:
            return  # a wrong checksum, or no room to send: the deadline will see to it
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
            return  # the kernel's buffer is full: as if lost, and sent again at the deadline
        except OSError as error:
            self._lose(session, error)
            return
        if self.tap:
            for datagram in datagrams:
                self.tap(datagram, session.local, session.peer)

    def _lose(self, session: Session, error: OSError) -> None:
        """Take it that a transfer's socket or file reports an error."""
        if isinstance(error, ConnectionRefusedError):
            # The client's port is closed. Many close it with their last ACK, and that one can get lost.
            outcome = Outcome.FINISHED if session.transfer.sends_last else Outcome.ABORTED
            self._end(session, outcome, "client closed its port")
        elif error.errno == errno.ESTALE:
            # Part of what the client has is of another version; an error keeps it from using that.
            with suppress(OSError):
                session.send((self._table().errors[Refusal.CHANGED],))
            self._end(session, Outcome.FAILED, "the file changed while it was sent")
        # Any other, as an unreachable host, may pass: ARP can take longer than a try. The deadline decides.

    def _tick(self) -> None:
        now = self._loop.time()
        for session in [late for late in self._sessions.values() if late.transfer.deadline <= now]:
            if session.is_connected:
                # On a busy machine the answer may have come and not have had its turn yet.
                self._read_answer(session, now)
                if session.number not in self._sessions:
                    continue
            session.transfer.expire(now)
            if session.transfer.outcome:
                self._end(session, session.transfer.outcome, session.transfer.why)
            else:
                self._send(session)
        self._ticking = self._loop.call_later(TICK_SECONDS, self._tick) if self._sessions else None

    def _end(self, session: Session, outcome: Outcome, why: str) -> None:
        del self._sessions[session.number]
        if self._by_peer.get(session.peer) is session:
            del self._by_peer[session.peer]
        client, path, transfer = session.peer[0], session.path, session.transfer
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        if session.is_connected:
            self._epoll.unregister(session.number)
            session.sock.close()
        self.counts[outcome.value,] += 1
        self.counts["resent",] += transfer.resent_blocks
        if outcome is Outcome.FINISHED:
            total = session.content.total
            self.counts["bytes",] += total
            seconds = self._loop.time() - session.started_at
            event: Event = TftpFinished(
                session.host, client=client, path=path, total=total, seconds=seconds, resent=transfer.resent_blocks
            )
        elif outcome is Outcome.ABORTED:
            event = TftpAborted(session.host, client=client, path=path, why=why)
        else:
            event = TftpFailed(session.host, client=client, path=path, why=why)
        self._tell(event)
        if not self._sessions:
            self._idle.set()

    def _tell(self, event: Event) -> None:
        """Publish *event*, unless strangers, or whoever speaks from its host's address, have caused too many."""
        if self._allowances.take(event.host, self._loop.time()):
            self._publish(event)
