"""Whatever DHCP messages arrive in whatever order: no exception, no growth, and no host is armed by them."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.dhcp import answers as dhcp_answers
from appliance.dhcp import compile as dhcp_compile
from appliance.dhcp.answers import Answers
from appliance.dhcp.compile import compile_dhcp
from appliance.dhcp.options import HEADER_BYTES, encode_option
from appliance.dhcp.reply import Arrival, Reply, heard
from appliance.errors import ControlError
from appliance.events import Event
from appliance.install.installation import Installation, Order
from appliance.install.strangers import MAX_STRANGERS
from appliance.model import Cluster, DhcpMode, Install, MacAddress, Network
from appliance.recorder import HOST_BYTES, Recorder
from tests.boots import LIVE, Boot, Fleet
from tests.clusters import host
from tests.dhcp_messages import BIOS, FIRMWARE, HTTP_BOOT, IPXE, SYSTEM, Options, arrival

QUICK_SECONDS, FULL_SECONDS = 4.0, float(os.environ.get("FUZZ_SECONDS", "60"))
MOST_REPLIES, MOST_TEMPLATES = 100, 200  # so small that a few seconds exceed them

NEAR, FAR = IPv4Network("172.16.0.0/24"), IPv4Network("172.16.9.0/24")
RELAY, LISTED, UNLISTED = "172.16.9.1", "198.51.100.1", "198.51.100.9"
SPEAKERS: tuple[Options, ...] = (FIRMWARE, BIOS, HTTP_BOOT, IPXE, SYSTEM, ())
MESSAGES = (1, 1, 1, 3, 3, 3, 4, 7, 8, 0, 2, 5, 13, 255)
ODD_OPTIONS = (12, 43, 50, 51, 52, 53, 54, 55, 57, 60, 61, 77, 82, 93, 97, 118, 175)
ODD_VALUES = (
    b"",
    b"\1",
    b"\5\4\xac\x10\0\1",  # link selection (RFC 3527) in option 82: the near network, the far one
    b"\5\4\xac\x10\x09\1",
    b"\x0b\4\xac\x10\x09\1\x13\0",  # RFC 5107, 8357
    b"\xac\x10\0\x65",
    b"\xac\x10\0\x0b",
    b"iPXE",
    b"PXEClient:Arch:00007",
    b"\xff" * 40,
)


def cluster_with(mode: DhcpMode) -> Cluster:
    """Return a cluster with a network behind a relay, and hosts of every kind of `install`."""
    near = LIVE.networks[0]
    far = Network(
        FAR, near.server, IPv4Address(RELAY), (near.server,), domain=near.domain, lease_seconds=near.lease_seconds
    )
    hosts = list(LIVE.hosts)
    hosts[-1] = replace(hosts[-1], install=Install.NEVER)
    hosts[1] = replace(hosts[1], macs=(*hosts[1].macs, MacAddress.parse("52:54:00:00:01:02")))
    hosts.append(host("w9", hosts[-1].role, "172.16.9.39", "00:50:56:96:99:39"))
    listed = (IPv4Network(f"{LISTED}/32"),)
    return replace(LIVE, networks=(near, far), hosts=tuple(hosts), dhcp=mode, dhcp_relays=listed)


class Neighbourhood:
    """Machines that send random messages to one appliance, and what becomes of its hosts."""

    def __init__(self, directory: Path, mode: DhcpMode, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cluster = cluster_with(mode)
        self.fleet = Fleet(directory, self.cluster)
        self.registry = self.fleet.registry
        self.recorder = Recorder(self.registry, "172.16.0.101", lambda: self.fleet.clock.now)
        self.table = compile_dhcp((self.cluster,))
        self.answers = Answers()
        self.boots = [Boot(each) for each in self.cluster.hosts]
        self.kept: list[bytes] = []  # messages to repeat
        self.replies = 0

    # What happens

    def step(self) -> None:
        """Let one thing happen, and check it."""
        chance = self.dice.random()
        if chance < 0.9:
            self.hear(*self.message())
        elif chance < 0.98:
            self.fleet.happen(self.dice.choice(list(self.of_other_services())), seconds=0.1)
        elif chance < 0.995:
            self.fleet.wait(self.dice.choice((1.0, 60.0, 3600.0)))
        else:
            self.order()

    def of_other_services(self) -> Iterator[Event]:
        """What the other services see of a machine."""
        yield from self.dice.choice(self.boots).live(rootfs=self.dice.choice((1000, 900_000_000)))

    def order(self) -> None:
        machine = self.dice.choice(self.cluster.hosts)
        with suppress(ControlError):  # this host may not install
            self.registry.order(machine, self.dice.choice(("reinstall", "hold", "release", "adopt")))

    def hear(self, datagram: bytes, where: Arrival, is_inside: bool) -> None:
        before = dict(self.registry.installations)
        result = self.answers.answer(self.table, datagram, where, self.registry.installations)
        self.fleet.clock.now += 0.01
        if result.is_local:
            self.recorder.tap(datagram, (where.source, 68), ("172.16.0.101", 67), heard(result))
        if result.event is not None:
            assert "\n" not in result.event.line()
            self.fleet.publish(result.event)
        if isinstance(result, Reply):
            self.replies += 1
            assert datagram[28:34] in self.table.pins
            assert len(result.payload) <= 3 * len(datagram)
        after = self.registry.installations
        if not is_inside:
            assert all(after[name] is before[name] for name in before), f"{datagram.hex()} {where}"
            assert heard(result) is None
        for name, old in before.items():
            assert not armed(old, after[name]), f"{datagram.hex()} {where}"

    # Messages

    def message(self) -> tuple[bytes, Arrival, bool]:
        """Return a message, where it arrives, and whether it can be of a host, judged by its origin alone."""
        where, is_inside, giaddr = self.origin()
        if self.kept and self.dice.random() < 0.3:
            return self.dice.choice(self.kept), where, is_inside
        datagram = self.mutated(self.composed(giaddr))
        if len(self.kept) < 200:
            self.kept.append(datagram)
        else:
            self.kept[self.dice.randrange(200)] = datagram
        return datagram, where, is_inside

    def origin(self) -> tuple[Arrival, bool, bytes]:
        """Return where a message comes from, whether hosts are there, and the giaddr that belongs to it."""
        address = str(self.dice.choice(self.cluster.hosts).address)
        boot_server = self.dice.random() < 0.1
        where, is_inside, relay = self.dice.choice(
            (
                (arrival(), True, ""),
                (arrival(source=address), True, ""),
                (arrival(source="172.16.0.77"), True, ""),
                (arrival(source="172.16.0.254"), True, RELAY),
                (arrival(source=RELAY), True, RELAY),
                (arrival(source=LISTED), True, RELAY),
                (arrival(source=UNLISTED), False, RELAY),
                (arrival(source=UNLISTED), False, ""),
                (arrival("192.0.2.5"), False, ""),
                (arrival("192.0.2.5", source="192.0.2.9"), False, RELAY),
                (arrival("192.0.2.5", source=UNLISTED), False, ""),
            )
        )
        if boot_server:
            where = where._replace(is_boot_server=True, source_port=4011)
        return where, is_inside, IPv4Address(relay or 0).packed

    def composed(self, giaddr: bytes) -> bytes:
        """Return a message as a real client or relay would send it."""
        dice = self.dice
        is_stranger = dice.random() < 0.2
        machine = dice.choice(self.cluster.hosts)
        mac = dice.randbytes(6) if is_stranger else dice.choice(machine.macs).octets
        address = IPv4Address(str(machine.address)).packed
        ciaddr = dice.choice((bytes(4), bytes(4), address))
        kind = dice.choice(MESSAGES)
        options = [(53, bytes([kind]))]
        options += [(code, value) for code, value in dice.choice(SPEAKERS) if isinstance(code, int)]  # type: ignore[misc]
        if kind in (3, 4) and dice.random() < 0.7:
            options.append((50, dice.choice((address, address, dice.randbytes(4)))))
        if dice.random() < 0.4:
            options.append((54, dice.choice((b"\xac\x10\0\x65", b"\xac\x10\0\x65", dice.randbytes(4)))))
        flags = dice.choice((b"\0\0", b"\x80\0"))
        head = b"\1\1\6\0" + dice.randbytes(4) + bytes(2) + flags + ciaddr + bytes(8) + giaddr + mac + bytes(10 + 192)
        return head + b"\x63\x82\x53\x63" + b"".join(encode_option(*each) for each in options) + b"\xff"

    def mutated(self, datagram: bytes) -> bytes:
        """Return the message, often changed in a few places; its giaddr stays, which `origin` chose."""
        dice, changed = self.dice, bytearray(datagram)
        chance = dice.random()
        if chance < 0.4:
            return datagram
        if chance < 0.6:
            odd = [
                encode_option(dice.choice(ODD_OPTIONS), dice.choice(ODD_VALUES)) for _ in range(dice.randrange(1, 5))
            ]
            changed[HEADER_BYTES:HEADER_BYTES] = b"".join(odd)
        elif chance < 0.8:
            for _ in range(dice.choice((1, 1, 2, 8, 64))):
                changed[dice.randrange(len(changed))] = dice.choice((0, 1, 255, dice.randrange(256)))
        elif chance < 0.9:
            del changed[dice.randrange(len(changed)) :]
        else:
            changed[1:3] = dice.choice((b"\x20\0", b"\x20\x08", b"\x06\x06", b"\1\x10", dice.randbytes(2)))
        return bytes(changed)

    # What must hold

    def check_bounds(self) -> None:
        """Check that nothing has grown beyond its bound."""
        assert len(self.answers._remembered) <= MOST_REPLIES
        assert len(self.table._templates) <= MOST_TEMPLATES
        assert len(self.registry.strangers) <= MAX_STRANGERS
        assert set(self.registry.activity) <= set(self.registry.hosts)
        assert all(len(each.repeats) <= 20 for each in self.registry.installations.values())
        for name in self.registry.hosts:
            assert len(self.recorder.capture(name) or b"") < 3 * HOST_BYTES
        self.fleet.told.clear()
        self.registry.journal.flush()


def armed(old: Installation, new: Installation) -> bool:
    """Whether a host that would not have installed does so now."""
    return old.order is not Order.INSTALL and new.order is Order.INSTALL


@pytest.mark.parametrize("mode", [DhcpMode.FULL, DhcpMode.PROXY])
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(QUICK_SECONDS / 2, id="quick"),
        pytest.param(FULL_SECONDS / 2, id="full", marks=pytest.mark.slow),
    ],
)
def test_no_sequence_of_messages_arms_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: DhcpMode, seconds: float
) -> None:
    monkeypatch.setattr(dhcp_compile, "MAX_TEMPLATES", MOST_TEMPLATES)
    monkeypatch.setattr(dhcp_answers, "MAX_KNOWN", MOST_REPLIES)
    end = time.monotonic() + seconds
    steps, seed = 0, 0
    while time.monotonic() < end:
        seed += 1
        neighbourhood = Neighbourhood(tmp_path / str(seed), mode, seed)
        for _ in range(3000):
            neighbourhood.step()
            steps += 1
            if time.monotonic() > end:
                break
        neighbourhood.check_bounds()
        neighbourhood.fleet.journal.close()
    assert neighbourhood.replies
    print(f"{steps} steps, last seed {seed}")
