"""Receiving and answering many datagrams at once."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from appliance.dns.batch import BATCH, SLOT_BYTES, Batch


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def sockets(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """Return a server's socket and three clients connected to it."""
    family, host = request.param
    with ExitStack() as opened:
        server, *clients = (opened.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(4))
        server.bind((host, 0))
        for client in clients:
            client.bind((host, 0))
            client.connect(server.getsockname())
            client.settimeout(5)
        yield server, clients


def query(batch: Batch, index: int) -> bytes:
    length = batch.lengths[index * batch.LENGTH_STRIDE + batch.LENGTH_OFFSET]
    return batch.slots[index * SLOT_BYTES : index * SLOT_BYTES + length].tobytes()


def reply(batch: Batch, index: int, payload: bytes) -> None:
    batch.slots[index * SLOT_BYTES : index * SLOT_BYTES + len(payload)] = payload
    batch.reply_lengths[2 * index + 1] = len(payload)


def test_nothing_waits_at_first(sockets: tuple[socket.socket, list[socket.socket]]) -> None:
    assert Batch(sockets[0]).receive() == 0


def test_every_datagram_comes_with_its_sender(sockets: tuple[socket.socket, list[socket.socket]]) -> None:
    server, clients = sockets
    batch = Batch(server)
    for number, client in enumerate(clients):
        client.send(b"q" * (number + 1))
    assert batch.receive() == 3
    assert [query(batch, index) for index in range(3)] == [b"q", b"qq", b"qqq"]
    assert [batch.sender(index) for index in range(3)] == [client.getsockname() for client in clients]


def test_every_reply_goes_to_its_sender_and_gaps_stay_silent(
    sockets: tuple[socket.socket, list[socket.socket]],
) -> None:
    server, clients = sockets
    batch = Batch(server)
    for _ in range(2):  # lengths from the first round must have no effect in the second
        for client in clients:
            client.send(b"query")
        assert batch.receive() == 3
        reply(batch, 0, b"a longer reply")
        reply(batch, 2, b"2")
        assert batch.send(0, 1) + batch.send(2, 3) == []
        assert clients[0].recv(99) == b"a longer reply"
        assert clients[2].recv(99) == b"2"
    clients[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        clients[1].recv(99)


def test_more_than_a_batch_waits_for_the_next(sockets: tuple[socket.socket, list[socket.socket]]) -> None:
    server, clients = sockets
    batch = Batch(server)
    for _ in range(BATCH + 3):
        clients[0].send(b"query")
    assert [batch.receive(), batch.receive(), batch.receive()] == [BATCH, 3, 0]


def test_overlong_datagram_is_cut_off(sockets: tuple[socket.socket, list[socket.socket]]) -> None:
    server, clients = sockets
    batch = Batch(server)
    clients[0].send(b"q" * (SLOT_BYTES + 1))
    batch.receive()
    assert query(batch, 0) == b"q" * SLOT_BYTES


def test_reply_that_the_system_refuses_does_not_hold_up_the_others() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        batch = Batch(server)
        client.send(b"one")
        client.send(b"two")
        batch.receive()
        batch._addresses[2:4] = b"\0\0"  # port 0, from which only a raw socket can send
        for index in range(2):
            reply(batch, index, b"reply")
        assert len(batch.send(0, 2)) == 1
        assert client.recv(99) == b"reply"
