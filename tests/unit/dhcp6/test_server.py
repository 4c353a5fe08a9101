"""The sockets on loopback, with a relay at ::1 and unprivileged ports."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import cast

import pytest

from appliance import sockets
from appliance.dhcp.telling import HOST_EVENTS_A_SECOND, HOST_EVENTS_AT_ONCE
from appliance.dhcp6.compile import compile_dhcp6
from appliance.dhcp6.server import BURST, MAX_RESOLVING, Dhcp6Server
from appliance.errors import ListenError
from appliance.events import DhcpOffered, DhcpRelayRefused, DhcpUnknown, Event, Program
from appliance.model import DHCP6_DISTANCE, Cluster, DhcpMode
from appliance.neighbours import unknown_mac_on_link
from appliance.sockets import IN6_PKTINFO
from tests.dhcp6_messages import (
    BS_MAC,
    FIRMWARE,
    STRANGER_MAC,
    duid_ll,
    ia_na,
    link_local,
    relayed,
    request,
    v6_cluster,
)
from tests.serving import in_background

LINK = "::1"


@pytest.fixture
def port() -> int:
    """Return the port for `listen.dhcpPort` with which DHCPv6's server and client ports are free."""
    while True:
        chosen = random.randrange(20000, 28000)
        with ExitStack() as stack:
            try:
                for wanted in (chosen + DHCP6_DISTANCE, chosen + DHCP6_DISTANCE - 1):
                    sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                    sock.bind(("::", wanted))
            except OSError:
                continue  # another process uses it
            return chosen


def loopback_cluster(port: int, mode: DhcpMode = DhcpMode.FULL) -> Cluster:
    """Return a cluster whose IPv6 network is around ::1, where the relay is."""
    cluster = v6_cluster(mode)
    network = replace(cluster.networks[1], cidr=IPv6Network("::/120"), server=IPv6Address(LINK))
    host = replace(cluster.hosts[0], addresses=(IPv6Address("::11"),))
    listen = replace(cluster.listen, dhcp_port=port)
    return replace(cluster, networks=(cluster.networks[0], network), hosts=(host,), listen=listen)


def server_of(cluster: Cluster, publish: Callable[[Event], None] = lambda _event: None) -> Dhcp6Server:
    table = compile_dhcp6((cluster,))
    return Dhcp6Server(lambda: table, {}, cluster.listen, publish, unknown_mac_on_link)


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
def relay() -> Iterator[socket.socket]:
    """Return the socket of a relay that listens on the port that it sends from (RFC 8357)."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((LINK, 0))
        yield sock


def through(message: bytes, mac: str = BS_MAC) -> bytes:
    """Return *message* as the relay forwards it, with its request for replies to its own port."""
    whole = relayed(message, link=LINK, peer=link_local(mac))
    return whole[:34] + b"\0\x87\0\2\0\0" + whole[34:]


async def exchange(sock: socket.socket, datagram: bytes, port: int) -> tuple[bytes, tuple[str, int]]:
    loop = asyncio.get_running_loop()
    await loop.sock_sendto(sock, datagram, (LINK, port + DHCP6_DISTANCE))
    async with asyncio.timeout(5):
        payload, source = await loop.sock_recvfrom(sock, 2048)
        return payload, cast("tuple[str, int]", source[:2])


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.01)


async def test_relay_is_answered_from_the_address_and_port_that_it_asked(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        reply, source = await exchange(relay, through(request("solicit", ia_na(), *FIRMWARE)), port)
        assert (reply[0], source) == (13, (LINK, port + DHCP6_DISTANCE))
        assert it.server.counts == {("reply", "advertise"): 1}
        assert [type(event) for event in it.events] == [DhcpOffered]


async def test_tap_sees_both_datagrams_with_their_host(port: int, relay: socket.socket) -> None:
    seen: list[tuple[str, bytes, tuple[str, int], tuple[str, int], Program | None]] = []
    async with running(loopback_cluster(port)) as it:
        it.server.tap = lambda *datagram: seen.append(datagram)
        asked = through(request("solicit", ia_na(), *FIRMWARE))
        reply, ours = await exchange(relay, asked, port)
    name, own = "bs.ocp45.example.localdomain", relay.getsockname()[:2]
    assert seen == [(name, asked, own, ours, Program.PXE), (name, reply, ours, own, None)]


async def test_tap_sees_no_message_of_a_relay_that_is_not_accepted(port: int, relay: socket.socket) -> None:
    seen: list[str] = []
    cluster = loopback_cluster(port)
    elsewhere = replace(cluster.networks[1], cidr=IPv6Network("2001:db8::/64"))
    host = replace(cluster.hosts[0], addresses=(IPv6Address("2001:db8::11"),))
    async with running(replace(cluster, networks=(cluster.networks[0], elsewhere), hosts=(host,))) as it:
        it.server.tap = lambda host, *_datagram: seen.append(host)
        await asyncio.get_running_loop().sock_sendto(
            relay, through(request("solicit", ia_na())), (LINK, port + DHCP6_DISTANCE)
        )
        await until(lambda: it.server.counts["silence", "relay-not-accepted"] == 1)
        assert [type(event) for event in it.events] == [DhcpRelayRefused]
    assert seen == []


async def test_reload_changes_the_next_answer(port: int, relay: socket.socket) -> None:
    cluster = loopback_cluster(port)
    tables = [compile_dhcp6((cluster,))]
    server = Dhcp6Server(lambda: tables[-1], {}, cluster.listen, lambda _event: None, unknown_mac_on_link)
    moved = replace(cluster, hosts=(replace(cluster.hosts[0], addresses=(IPv6Address("::12"),)),))
    async with in_background(server.run()):
        tables.append(compile_dhcp6((moved,)))
        reply, _ = await exchange(relay, through(request("solicit", ia_na())), port)
    assert IPv6Address("::12").packed in reply


async def test_flood_under_a_hosts_name_is_answered_and_told_within_bounds(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        message = through(request("solicit", ia_na()))
        began = time.monotonic()
        for _ in range(200):
            await exchange(relay, message, port)
        allowed = HOST_EVENTS_AT_ONCE + HOST_EVENTS_A_SECOND * (time.monotonic() - began)
        assert HOST_EVENTS_AT_ONCE <= len(it.events) <= allowed + 1
        assert it.server.counts["host-event", "dropped"] == 200 - len(it.events)


async def test_flood_of_declines_displaces_no_offer(port: int, relay: socket.socket) -> None:
    cluster = loopback_cluster(port)
    async with running(cluster) as it:
        decline = through(request("decline", ia_na("::11"), server_id=compile_dhcp6((cluster,)).duid))
        for _ in range(200):
            await exchange(relay, decline, port)
        await exchange(relay, through(request("solicit", ia_na())), port)
    assert it.server.counts["host-event", "dropped"] > 0
    assert isinstance(it.events[-1], DhcpOffered)


async def test_flood_of_strangers_is_counted_but_not_told_without_end(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        loop = asyncio.get_running_loop()
        macs = [f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(400)]
        # Made before they are sent: scapy takes milliseconds for each.
        for message in [through(request("solicit", ia_na(), mac=mac), mac) for mac in macs]:
            await loop.sock_sendto(relay, message, (LINK, port + DHCP6_DISTANCE))
            await asyncio.sleep(0)  # the server reads, so that its socket's buffer does not overflow
        await until(lambda: it.server.counts["silence", "unknown-mac"] == 400)
        assert {type(event) for event in it.events} == {DhcpUnknown}
        assert len(it.events) < 200
        assert it.server.counts["stranger-event", "dropped"] == 400 - len(it.events)


async def test_stranger_that_no_address_tells_is_known_by_its_duid(port: int, relay: socket.socket) -> None:
    async with running(loopback_cluster(port)) as it:
        asked = relayed(request("solicit", ia_na(), client_id=duid_ll(STRANGER_MAC)), link=LINK, peer="fe80::1")
        await asyncio.get_running_loop().sock_sendto(relay, asked, (LINK, port + DHCP6_DISTANCE))
        await until(lambda: bool(it.events))
    assert isinstance(it.events[0], DhcpUnknown)
    assert it.events[0].mac == STRANGER_MAC


class FloodedSocket:
    """A socket at which *message* comes from another link-local address each time, and what was sent from it."""

    def __init__(self, message: bytes) -> None:
        self.message, self.number = message, 0
        self.sent: list[tuple[bytes, int]] = []  # with the port

    def recvmsg(self, *_sizes: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int, int, int]]:
        self.number += 1
        index = socket.if_nametoindex("lo")
        pktinfo = IN6_PKTINFO.pack(IPv6Address("ff02::1:2").packed, index)
        ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, pktinfo)]
        return self.message, ancillary, 0, (f"fe80::{self.number:x}", 546, 0, index)

    def sendmsg(self, parts: tuple[bytes], _ancillary: object, _flags: int, to: tuple[str, int, int, int]) -> None:
        self.sent.append((parts[0], to[1]))


async def test_machines_beyond_those_that_are_resolved_are_not_known_by_their_duids(port: int) -> None:
    cluster = loopback_cluster(port)
    table = compile_dhcp6((cluster,))
    server = Dhcp6Server(lambda: table, {}, cluster.listen, lambda _event: None, lambda _address, _interface: b"")
    flooded = FloodedSocket(request("solicit", ia_na(), client_id=duid_ll(BS_MAC)))
    with closing(server):
        for _ in range(MAX_RESOLVING // BURST + 1):
            server._drain(cast("socket.socket", flooded))
        assert flooded.sent == [(b"", 9)] * MAX_RESOLVING
        assert server.counts == {("silence", "unresolved-mac"): BURST}
        await until(lambda: server.counts["reply", "advertise"] == MAX_RESOLVING)


async def test_sockets_are_closed_when_the_server_ends(port: int) -> None:
    async with running(loopback_cluster(port)):
        pass
    with sockets.udp_server(IPv6Address(0), port + DHCP6_DISTANCE, setting="listen.dhcp"):
        pass


def test_port_that_is_taken_is_one_line_with_the_remedy(port: int) -> None:
    with (
        sockets.udp_server(IPv6Address(0), port + DHCP6_DISTANCE, setting="other"),
        pytest.raises(
            ListenError, match=rf"\[::\]:{port + DHCP6_DISTANCE}/udp: address already in use; stop the other"
        ),
    ):
        server_of(loopback_cluster(port))


@pytest.mark.parametrize("networks", [1, 2])
def test_no_socket_is_opened_without_a_network_to_serve(port: int, networks: int) -> None:
    cluster = loopback_cluster(port, DhcpMode.OFF)
    with sockets.udp_server(IPv6Address(0), port + DHCP6_DISTANCE, setting="other"):
        server_of(replace(cluster, networks=cluster.networks[:networks])).close()
