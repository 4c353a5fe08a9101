"""Our own look at a host in doubt, against machines in namespaces: what counts as a running system of the host."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.query
import pytest

from appliance.events import HostAnswered, HostUnanswered
from appliance.install.installation import MAY_BE_RUNNING, Condition
from appliance.looking import PORTS, Looker, look
from appliance.neighbours import Neighbours
from appliance.simulate.namespace import Namespace, ip
from tests.boots import LIVE, NOW, Fleet
from tests.serve_lab import APPLIANCE, site

pytestmark = pytest.mark.netns
HOST = LIVE.hosts[1]
OTHER_MAC = "52:54:00:00:00:99"
Found = HostAnswered | HostUnanswered | None


class Wire:
    """The place of the appliance, and of a machine that is connected to it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.place = Namespace()
        stack.callback(self.place.close)
        ip("link set lo up", place=self.place)

    def connect(self, mac: str) -> Namespace:
        """Return a machine with this *mac* and the address of HOST."""
        machine = Namespace()
        self._stack.callback(machine.close)
        ip(
            f"link add a0 type veth peer name eth0 address {mac} netns {machine.path}",
            "link set a0 up",
            "addr add 172.16.0.101/24 dev a0",
            place=self.place,
        )
        ip("link set lo up", "link set eth0 up", f"addr add {HOST.address}/24 dev eth0", place=machine)
        return machine

    def listen(self, machine: Namespace, port: int) -> None:
        """Accept connections to *port* of *machine*."""
        with machine:
            self._stack.enter_context(socket.create_server(("", port)))

    def look(self) -> Found:
        """Return what a look at HOST finds."""
        with self.place:
            neighbours = Neighbours()
            self._stack.callback(neighbours.close)
            return asyncio.run(look(HOST, neighbours.mac))


@pytest.fixture
def wire() -> Iterator[Wire]:
    with ExitStack() as stack:
        try:
            made = Wire(stack)
        except OSError as error:
            pytest.skip(f"cannot create a network namespace: {error.strerror}")
        yield made


@pytest.mark.parametrize("port", PORTS)
def test_host_with_an_open_port_of_a_system_answers(wire: Wire, port: int) -> None:
    wire.listen(wire.connect(str(HOST.macs[0])), port)
    assert wire.look() == HostAnswered(HOST.name, str(HOST.macs[0]), str(HOST.address), port)


@pytest.mark.parametrize("port", PORTS)
def test_another_machine_with_an_open_port_shows_nothing(wire: Wire, port: int) -> None:
    """It may hide a running node."""
    wire.listen(wire.connect(OTHER_MAC), port)
    assert wire.look() is None


def test_host_without_a_system_does_not_answer(wire: Wire) -> None:
    wire.listen(wire.connect(str(HOST.macs[0])), 80)
    assert isinstance(wire.look(), HostUnanswered)


def test_host_that_is_off_does_not_answer(wire: Wire) -> None:
    machine = wire.connect(str(HOST.macs[0]))
    ip(f"addr del {HOST.address}/24 dev eth0", place=machine)
    assert wire.look() == HostUnanswered(HOST.name, str(HOST.address), "nobody has the address")


def test_host_behind_a_firewall_may_run_or_not(wire: Wire) -> None:
    machine = wire.connect(str(HOST.macs[0]))
    wire.listen(machine, 80)
    # A route for the answers that drops them is a firewall without one.
    ip("route add blackhole 172.16.0.101/32", place=machine)
    assert wire.look() is None


def test_host_behind_a_router_cannot_be_looked_at(wire: Wire) -> None:
    machine = wire.connect(OTHER_MAC)
    wire.listen(machine, 22)
    ip("addr add 172.16.0.1/24 dev eth0", place=machine)
    ip("addr del 172.16.0.101/24 dev a0", "addr add 172.16.0.101/30 dev a0", place=wire.place)
    ip(f"route add {HOST.address}/32 via 172.16.0.102", place=wire.place)
    assert wire.look() is None


def test_doubtful_host_is_looked_at_until_its_system_runs(wire: Wire, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, LIVE)
    machine = wire.connect(str(HOST.macs[0]))
    registry = fleet.registry
    doubt = Condition(MAY_BE_RUNNING, "because", NOW)
    asked = replace(registry.installations[HOST.name], doubt=doubt, asked_at=registry.now())
    registry.installations[HOST.name] = asked
    found: list[HostAnswered | HostUnanswered] = []

    async def looked(wanted: type[HostAnswered | HostUnanswered]) -> None:
        neighbours = Neighbours()
        looker = Looker(registry, found.append, neighbours.mac)
        running = asyncio.create_task(looker.run())
        async with asyncio.timeout(20):
            while not any(isinstance(event, wanted) for event in found):
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        neighbours.close()

    with wire.place:
        asyncio.run(looked(HostUnanswered))
    wire.listen(machine, 22)
    with wire.place:
        asyncio.run(looked(HostAnswered))
    assert {event.host for event in found} == {HOST.name}
    fleet.journal.close()


# The whole appliance

W2 = ("172.16.0.32", "00:50:56:96:c1:c5")


def ask_for_api_int(machine: Namespace) -> None:
    """Ask for api-int over UDP from *machine*, as a running node does."""
    query = dns.message.make_query("api-int.ocp45.example.localdomain", "A")
    with machine:
        dns.query.udp(query, APPLIANCE, timeout=10)


@pytest.mark.parametrize(
    ("mac", "stage", "condition"), [(W2[1], "joining", None), (OTHER_MAC, "waiting", "may-be-running")]
)
def test_node_of_an_earlier_appliance_is_told_from_a_machine_that_took_its_address(
    mac: str, stage: str, condition: str | None, tmp_path: Path
) -> None:
    with site(tmp_path) as at, at.serve() as serving, at.neighbour(W2[0], mac) as machine:
        with machine:
            listening = socket.create_server(("", 22))
        with listening:
            listening.settimeout(30)
            ask_for_api_int(machine)
            for _ in range(2):  # the second look comes once the first has ended
                listening.accept()[0].close()
                if condition is None:
                    break
            if condition is None:
                serving.said(r"host\.answered .*172\.16\.0\.32")
            row = serving.rows()["w2"]
    assert row["stage"] == stage
    assert (row["condition"] and row["condition"]["name"]) == condition
