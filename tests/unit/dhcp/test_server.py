"""The sockets on loopback, with relays at addresses in 127.0.0.0/8 and unprivileged ports."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance import sockets
from appliance.allowance import Allowance
from appliance.dhcp import telling
from appliance.dhcp.compile import compile_dhcp
from appliance.dhcp.interfaces import list_interfaces
from appliance.dhcp.server import DhcpServer
from appliance.dhcp.telling import HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE
from appliance.errors import ListenError
from appliance.events import DhcpAcknowledged, DhcpMisplaced, DhcpOffered, DhcpUnknown, Event, Program
from appliance.model import Cluster, DhcpMode
from tests.clusters import reference_cluster
from tests.dhcp_messages import FIRMWARE, STRANGER_MAC, read, request
from tests.serving import in_background

RELAY = "127.16.0.2"


@pytest.fixture
def port() -> int:
    """Return a port P where P, P + 1 and P + 3944 are free, as 67, 68 and 4011 would be.

    All three are below 32768, where the kernel does not choose ports for other sockets (ip_local_port_range).
    """
    while True:
        chosen = random.randrange(20000, 28000)
        with ExitStack() as stack:
            try:
                for wanted in (chosen, chosen + 1, chosen + 3944):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind(("0.0.0.0", wanted))
            except OSError:
                continue  # another process uses it
            return chosen


def loopback_cluster(port: int, mode: DhcpMode = DhcpMode.FULL) -> Cluster:
    cluster = reference_cluster(dhcp=mode)
    network = replace(cluster.networks[0], cidr=IPv4Network("127.16.0.0/24"), server=IPv4Address("127.16.0.101"))
    host = replace(cluster.hosts[0], addresses=(IPv4Address("127.16.0.11"),))
    listen = replace(cluster.listen, dhcp_port=port)
    return replace(cluster, networks=(network,), hosts=(host,), listen=listen)


def server_of(cluster: Cluster, publish: Callable[[Event], None] = lambda _event: None) -> DhcpServer:
    table = compile_dhcp((cluster,))
    return DhcpServer(lambda: table, {}, cluster.listen, publish)


class Running:
    """A running server, and the events that it has published."""

    def __init__(self, cluster: Cluster) -> None:
        self.events: list[Event] = []
        self.server = server_of(cluster, self.events.append)


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Running]:
    it = Running(cluster)
    async with in_background(it.server.run()):
        yield it


@pytest.fixture
def relay(port: int) -> Iterator[socket.socket]:
    """Return the socket of a relay, with the server's port and another address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        yield sock


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.01)


async def exchange(sock: socket.socket, datagram: bytes, to: tuple[str, int]) -> tuple[bytes, tuple[str, int]]:
    loop = asyncio.get_running_loop()
    await loop.sock_sendto(sock, datagram, to)
    async with asyncio.timeout(5):
        return await loop.sock_recvfrom(sock, 2048)


async def test_relay_on_the_same_port_is_answered_from_the_address_it_asked(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        relay.bind((RELAY, port))
        reply, source = await exchange(relay, request("discover", *FIRMWARE, giaddr=RELAY), ("127.16.0.101", port))
        assert source == ("127.16.0.101", port)
        assert read(reply).header.yiaddr == "127.16.0.11"
        assert it.server.counts == {("reply", "offer"): 1, ("sent", "unicast"): 1}
        assert [type(event) for event in it.events] == [DhcpOffered]


async def test_relay_with_a_port_of_its_own_is_answered_there(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)):
        relay.bind((RELAY, 0))
        asked = request("discover", (82, b"\x13\0"), giaddr=RELAY)
        reply, _ = await exchange(relay, asked, ("127.16.0.101", port))
        assert read(reply)["message-type"] == 2


async def test_boot_server_keeps_its_distance_from_the_servers_port(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        relay.bind(("127.16.0.11", 0))
        asked = request("request", *FIRMWARE, ciaddr="127.16.0.11")
        reply, source = await exchange(relay, asked, ("127.16.0.101", port + 3944))
        assert source == ("127.16.0.101", port + 3944)
        assert read(reply).file == "efi/ipxe.efi"
        assert [type(event) for event in it.events] == [DhcpAcknowledged]


async def test_tap_sees_both_datagrams(port: int, relay: socket.socket) -> None:
    seen: list[tuple[bytes, tuple[str, int], tuple[str, int], Program | None]] = []
    async with running(loopback_cluster(port)) as it:
        it.server.tap = lambda *datagram: seen.append(datagram)
        relay.bind((RELAY, port))
        asked = request("discover", giaddr=RELAY)
        reply, _ = await exchange(relay, asked, ("127.16.0.101", port))
    assert seen == [
        (asked, (RELAY, port), ("127.16.0.101", port), Program.OS),
        (reply, ("127.16.0.101", port), (RELAY, port), None),
    ]


async def test_tap_sees_no_message_from_outside(port: int, relay: socket.socket) -> None:
    seen: list[bytes] = []
    async with running(loopback_cluster(port)) as it:
        it.server.tap = lambda datagram, *_where: seen.append(datagram)
        relay.bind(("127.99.0.1", port))
        loop = asyncio.get_running_loop()
        for message, giaddr in (("release", "0.0.0.0"), ("discover", "0.0.0.0"), ("discover", RELAY)):
            asked = request(message, ciaddr="127.16.0.11", giaddr=giaddr)
            await loop.sock_sendto(relay, asked, ("127.16.0.101", port))
        await until(lambda: it.server.counts.total() == 3)
    assert seen == []
    assert it.server.counts == {("silence", "from-outside"): 2, ("silence", "relay-not-accepted"): 1}


async def test_reload_changes_the_next_answer(port: int, relay: socket.socket) -> None:
    cluster = loopback_cluster(port)
    tables = [compile_dhcp((cluster,))]
    server = DhcpServer(lambda: tables[-1], {}, cluster.listen, lambda _event: None)
    relay.bind((RELAY, port))
    moved = replace(cluster, hosts=(replace(cluster.hosts[0], addresses=(IPv4Address("127.16.0.12"),)),))
    async with in_background(server.run()):
        tables.append(compile_dhcp((moved,)))
        reply, _ = await exchange(relay, request("discover", giaddr=RELAY), ("127.16.0.101", port))
    assert read(reply).header.yiaddr == "127.16.0.12"


async def test_flood_of_strangers_is_counted_but_not_told_without_end(
    port: int, relay: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "Sample", lambda: Allowance(per_second=0.0, at_once=5.0))
    async with running(loopback_cluster(port)) as it:
        relay.bind((RELAY, port))
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await loop.sock_sendto(relay, request("discover", mac=STRANGER_MAC, giaddr=RELAY), ("127.16.0.101", port))
        # This is answered after all of them.
        await exchange(relay, request("discover", giaddr=RELAY), ("127.16.0.101", port))
        assert it.server.counts["silence", "unknown-mac"] == 20
        assert sum(isinstance(event, DhcpUnknown) for event in it.events) == 5
        assert it.server.counts["stranger-event", "dropped"] == 15


async def test_flood_under_a_hosts_name_is_answered_and_told_within_bounds(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        relay.bind((RELAY, port))
        began = time.monotonic()
        for xid in range(200):
            reply, _ = await exchange(relay, request("discover", giaddr=RELAY, xid=xid), ("127.16.0.101", port))
            assert read(reply).header.xid == xid
        allowed = HOST_EVENTS_AT_ONCE + HOST_EVENTS_A_SECOND * (time.monotonic() - began)
        assert HOST_EVENTS_AT_ONCE <= len(it.events) <= allowed + 1
        assert it.server.counts["host-event", "dropped"] == 200 - len(it.events)


async def test_flood_of_declines_displaces_no_offer(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        relay.bind((RELAY, port))
        loop = asyncio.get_running_loop()
        decline = request("decline", ("requested_addr", "127.16.0.11"), giaddr=RELAY)
        for _ in range(200):
            await loop.sock_sendto(relay, decline, ("127.16.0.101", port))
        await exchange(relay, request("discover", giaddr=RELAY), ("127.16.0.101", port))
    assert it.server.counts["host-event", "dropped"] > 0
    assert isinstance(it.events[-1], DhcpOffered)


async def test_flood_with_a_hosts_mac_address_from_outside_is_told_within_bounds(port: int) -> None:
    async with running(loopback_cluster(port)) as it:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
            outside.bind(("127.99.0.1", 0))
            for _ in range(25):
                for _ in range(20):
                    outside.sendto(request("discover"), ("127.16.0.101", port))
                await asyncio.sleep(0)  # the server reads, so that its socket's buffer does not overflow
        await until(lambda: it.server.counts["silence", "from-outside"] == 500)
    assert {type(event) for event in it.events} == {DhcpMisplaced}
    assert it.server.counts["outside-event", "dropped"] == 500 - len(it.events) > 0


async def test_flood_from_outside_uses_up_no_events_of_hosts_and_unknown_machines(
    port: int, relay: socket.socket
) -> None:
    async with running(loopback_cluster(port)) as it:
        relay.bind((RELAY, port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
            outside.bind(("127.99.0.1", 0))
            for _ in range(50):
                for _ in range(20):
                    outside.sendto(request("discover", giaddr="127.16.0.3"), ("127.16.0.101", port))
                await asyncio.sleep(0)  # the server reads, so that its socket's buffer does not overflow
        await until(lambda: it.server.counts["silence", "relay-not-accepted"] == 1000)
        await exchange(relay, request("discover", giaddr=RELAY), ("127.16.0.101", port))
        await asyncio.get_running_loop().sock_sendto(
            relay, request("discover", mac=STRANGER_MAC, giaddr=RELAY), ("127.16.0.101", port)
        )
        await until(lambda: isinstance(it.events[-1], DhcpUnknown))
    assert isinstance(it.events[-2], DhcpOffered)
    assert it.server.counts["outside-event", "dropped"] > 0


async def test_sockets_are_closed_when_the_server_ends(port: int) -> None:
    async with running(loopback_cluster(port)):
        pass
    with sockets.udp_server(IPv4Address(0), port, setting="listen.dhcp"):
        pass


def test_port_that_is_taken_is_one_line_with_the_remedy(port: int) -> None:
    cluster = loopback_cluster(port)
    with (
        sockets.udp_server(IPv4Address(0), port, setting="other"),
        pytest.raises(ListenError, match=rf"0\.0\.0\.0:{port}/udp: address already in use; stop the other server"),
    ):
        server_of(cluster)


def test_second_socket_that_fails_closes_the_first(port: int) -> None:
    cluster = loopback_cluster(port)
    with sockets.udp_server(IPv4Address(0), port + 3944, setting="other"), pytest.raises(ListenError):
        server_of(cluster)
    with sockets.udp_server(IPv4Address(0), port, setting="other"):
        pass


def test_mode_off_opens_no_socket(port: int) -> None:
    cluster = loopback_cluster(port, DhcpMode.OFF)
    with sockets.udp_server(IPv4Address(0), port, setting="other"):
        server_of(cluster).close()


def test_interface_that_is_not_there_is_one_line_with_the_remedy(port: int) -> None:
    cluster = loopback_cluster(port)
    listen = replace(cluster.listen, dhcp=("nonesuch0",))
    with pytest.raises(ListenError, match=r"listen\.dhcp|CAP_NET_RAW"):
        server_of(replace(cluster, listen=listen))


def test_loopback_is_listed_with_its_address_and_without_a_mac() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = list_interfaces(sock)
    loopback = found[socket.if_nametoindex("lo")]
    assert (loopback.name, loopback.mac) == ("lo", None)
    assert int(IPv4Address("127.0.0.1")) in loopback.addresses
