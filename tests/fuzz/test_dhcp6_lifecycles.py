"""Whatever DHCPv6 messages arrive in whatever order: no exception, and no host is armed by them."""

import os
import random
import time
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from appliance.dhcp6.compile import compile_dhcp6
from appliance.dhcp6.options import encode_option
from appliance.dhcp6.protocol import answer
from appliance.dhcp6.reply import MAX_REPLY_BYTES, Arrival, Reply, heard
from appliance.install.installation import Order
from appliance.install.strangers import MAX_STRANGERS
from appliance.model import Cluster, DhcpMode, Install, Network
from appliance.recorder import HOST_BYTES, Recorder
from tests.boots import LIVE, Boot, Fleet
from tests.dhcp6_messages import (
    FIRMWARE,
    HTTP_BOOT,
    IPXE,
    MESSAGES,
    SERVER,
    SYSTEM,
    TO_ONE_SERVER,
    UUID_DUID,
    arrival,
    link_local,
)

QUICK_SECONDS, FULL_SECONDS = 2.0, float(os.environ.get("FUZZ_SECONDS", "60")) / 2
# In bytes, because scapy takes milliseconds for each message.
SPEAKERS = tuple(b"".join(map(bytes, options)) for options in (FIRMWARE, HTTP_BOOT, IPXE, SYSTEM, ()))
KINDS = {name: kind().msgtype for name, kind in MESSAGES.items()}
ELSEWHERE, RELAY = "2001:db8:ffff::1", "2001:db8:0:10::1"


def cluster_with(mode: DhcpMode) -> Cluster:
    """Return a cluster whose hosts have an IPv6 address each, of every kind of `install`."""
    network = Network(IPv6Network("2001:db8:0:10::/64"), SERVER, lease_seconds=3600)
    hosts = [
        replace(host, addresses=(*host.addresses, IPv6Address(f"2001:db8:0:10::{number}")))
        for number, host in enumerate(LIVE.hosts, 11)
    ]
    hosts[-1] = replace(hosts[-1], install=Install.NEVER)
    return replace(LIVE, networks=(*LIVE.networks, network), hosts=tuple(hosts), dhcp=mode)


def through_relay(message: bytes, mac: str) -> bytes:
    """Return *message* as a relay forwards it, which had it from the machine with *mac*."""
    return b"\x0c\0" + IPv6Address(RELAY).packed + IPv6Address(link_local(mac)).packed + encode_option(9, message)


class Neighbourhood:
    """Machines that send random messages to one appliance, and what becomes of its hosts."""

    def __init__(self, directory: Path, mode: DhcpMode, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cluster = cluster_with(mode)
        self.fleet = Fleet(directory, self.cluster)
        self.registry = self.fleet.registry
        self.recorder = Recorder(self.registry, str(SERVER), lambda: self.fleet.clock.now)
        self.table = compile_dhcp6((self.cluster,))
        self.boots = [Boot(host) for host in self.cluster.hosts]
        self.replies = 0

    def step(self) -> None:
        """Let one thing happen, and check it."""
        chance = self.dice.random()
        if chance < 0.95:
            self.hear(*self.message())
        elif chance < 0.99:
            self.fleet.happen(list(self.dice.choice(self.boots).live(rootfs=self.dice.choice((1000, 900_000_000)))))
        else:
            self.fleet.wait(self.dice.choice((1.0, 60.0, 3600.0)))

    def hear(self, datagram: bytes, where: Arrival, is_inside: bool) -> None:
        before = dict(self.registry.installations)
        result = answer(self.table, datagram, where, self.registry.installations)
        self.fleet.clock.now += 0.01
        if result.is_local and result.host:
            self.recorder.tap_host(result.host, datagram, ("fe80::1", 546), ("ff02::1:2", 547), heard(result))
        if result.event is not None:
            assert "\n" not in result.event.line()
            self.fleet.publish(result.event)
        if isinstance(result, Reply):
            self.replies += 1
            assert len(result.payload) <= MAX_REPLY_BYTES
        after = self.registry.installations
        if not is_inside:
            assert all(after[name] is before[name] for name in before), f"{datagram.hex()} {where}"
            assert heard(result) is None
        for name, old in before.items():
            is_armed = old.order is not Order.INSTALL and after[name].order is Order.INSTALL
            assert not is_armed, f"{datagram.hex()} {where}"

    def message(self) -> tuple[bytes, Arrival, bool]:
        """Return a message, where it arrives, and whether it can be of a host, judged by its origin alone."""
        host = self.dice.choice(self.cluster.hosts)
        mac, kind = str(host.macs[0]), self.dice.choice(("solicit", "request", *MESSAGES))
        server_id = self.dice.choice((self.table.duid,) * 9 + (UUID_DUID,)) if kind in TO_ONE_SERVER else None
        named = self.dice.choice((b"", host.addresses[-1].packed, IPv6Address(ELSEWHERE).packed))
        options = [
            encode_option(1, b"\0\3\0\1" + host.macs[0].octets),
            encode_option(2, server_id) if server_id else b"",
            encode_option(3, bytes(12) + (encode_option(5, named + bytes(8)) if named else b"")),
            self.dice.choice(SPEAKERS),
        ]
        datagram = bytes((KINDS[kind],)) + self.dice.randbytes(3) + b"".join(options)
        if self.dice.random() < 0.1:
            cut = bytearray(datagram)
            cut[self.dice.randrange(len(cut))] = self.dice.randrange(256)
            datagram = bytes(cut)
        origin = self.dice.randrange(5)
        if origin == 0:
            relay = arrival(source=ELSEWHERE, source_port=547, is_unicast=True)
            return through_relay(datagram, mac), relay, False
        if origin == 1:
            relay = arrival(source=RELAY, source_port=547, is_unicast=True)
            return through_relay(datagram, mac), relay, True
        if origin == 2:
            return datagram, arrival(mac, on=ELSEWHERE), False
        if origin == 3:
            return datagram, arrival(source=ELSEWHERE), False
        return datagram, arrival(mac, is_unicast=self.dice.random() < 0.1), True

    def check_bounds(self) -> None:
        """Check that nothing has grown beyond its bound."""
        assert len(self.registry.strangers) <= MAX_STRANGERS
        assert all(len(each.repeats) <= 20 for each in self.registry.installations.values())
        for name in self.registry.hosts:
            assert len(self.recorder.capture(name) or b"") < 3 * HOST_BYTES


@pytest.mark.parametrize("mode", [DhcpMode.FULL, DhcpMode.PROXY])
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(QUICK_SECONDS, id="quick"),
        pytest.param(FULL_SECONDS, id="full", marks=pytest.mark.slow),
    ],
)
def test_no_sequence_of_messages_arms_a_host(tmp_path: Path, mode: DhcpMode, seconds: float) -> None:
    end = time.monotonic() + seconds
    steps, seed, replies = 0, 0, 0
    while time.monotonic() < end:
        seed += 1
        neighbourhood = Neighbourhood(tmp_path / str(seed), mode, seed)
        for _ in range(3000):
            neighbourhood.step()
            steps += 1
            if time.monotonic() > end:
                break
        neighbourhood.check_bounds()
        replies += neighbourhood.replies
        neighbourhood.fleet.journal.close()
    assert bool(replies) == (mode is DhcpMode.FULL)
    print(f"{steps} steps, last seed {seed}")
