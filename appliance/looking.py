"""Looks at the addresses of hosts in doubt: does a system of the host run there?

One datagram with a host's address makes it doubtful whether the host runs a node. What
we find ourselves cannot be forged with a datagram: a port that only a running system
listens on accepts our connection, and the kernel has resolved the address to a MAC
address of the host. It is looked for at once after each sign of a node, because only
then an absence shows anything, and again as long as the doubt lasts, because the node
may be starting.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum

from appliance.events import DnsAsked, Event, HostAnswered, HostUnanswered, Transport
from appliance.install.guard import Client, macs_of
from appliance.install.installation import MAY_BE_RUNNING, Installation
from appliance.model import Address, Host
from appliance.neighbours import MacOf
from appliance.peers import peer_address
from appliance.registry_view import RegistryView

PORTS = (22, 10250)  # sshd and kubelet; firmware and iPXE listen on no port
EVERY_SECONDS = 30.0  # between two looks at a host after the same sign
CONNECT_SECONDS = 2.5  # a SYN is repeated after 1 s
TICK_SECONDS = 1.0
AT_ONCE = 64  # looks at the same time, with two sockets each: 1,000 hosts that nobody has take 40 s


class Port(Enum):
    """What a connection to a port found."""

    ACCEPTS = "accepts"
    REFUSES = "refuses"  # somebody is there, and nothing listens
    SILENT = "silent"  # nobody is there, or a firewall drops what we send


def is_open(installation: Installation | None) -> bool:
    """Whether the host of *installation* is in a doubt that a look can settle."""
    return installation is not None and installation.doubt is not None and installation.doubt.name == MAY_BE_RUNNING


# A host, and when it last gave a sign of a node.
Sign = tuple[str, float | None]


def due(installations: Mapping[str, Installation], looked: Mapping[Sign, float], now: float) -> list[Sign]:
    """Return the hosts to look at now, each with its last sign, those first that have waited longest.

    *looked* says when each was last looked at; it and *now* are in seconds of a clock that does not go back.
    """
    never = float("-inf")
    waiting = [(name, installation.asked_at) for name, installation in installations.items() if is_open(installation)]
    waiting = [sign for sign in waiting if now - looked.get(sign, never) >= EVERY_SECONDS]
    return sorted(waiting, key=lambda sign: looked.get(sign, never))


def concluded(host: Host, found: Mapping[int, Port], mac: bytes | None) -> HostAnswered | HostUnanswered | None:
    """Return what a look at *host* shows; None if it shows nothing.

    *found* says what its ports did, and *mac* is the MAC address that its address has then, as from `Neighbours.mac`.
    """
    address = str(host.address)
    if mac is None:  # behind a router, where nobody knows who answers
        return None
    if not mac:
        return HostUnanswered(host.name, address, "nobody has the address")
    if mac not in macs_of(host):
        return HostUnanswered(host.name, address, f"another machine has the address: {mac.hex(':')}")
    for port, state in found.items():
        if state is Port.ACCEPTS:
            return HostAnswered(host.name, mac.hex(":"), address, port)
    if Port.SILENT in found.values():  # a firewall on the node looks the same
        return None
    return HostUnanswered(host.name, address, f"neither port accepts: {' and '.join(map(str, found))}")


async def look(host: Host, mac_of: MacOf, ports: tuple[int, ...] = PORTS) -> HostAnswered | HostUnanswered | None:
    """Look at *host* and return what that shows; None if it shows nothing. Raises nothing."""
    address = host.address
    if mac_of(address) is None:
        return None
    states = await asyncio.gather(*(_state(address, port) for port in ports))
    return concluded(host, dict(zip(ports, states, strict=True)), mac_of(address))


async def _state(address: Address, port: int) -> Port:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(str(address), port)
    except ConnectionRefusedError:
        return Port.REFUSES
    except OSError:  # includes TimeoutError
        return Port.SILENT
    writer.transport.abort()
    return Port.ACCEPTS


def proven(event: Event, hosts: Mapping[str, Host], mac_of: MacOf) -> Event:
    """Return *event* as it may count: a query over TCP by another machine at a host's address is worth one over UDP."""
    host = hosts.get(event.host)
    if host is None or not isinstance(event, DnsAsked) or event.transport is not Transport.TCP:
        return event
    address = peer_address(event.client)
    client = Client(macs_of(host), mac_of(address) if address else None, needs_dhcp=False)
    return event if client.is_host else replace(event, transport=Transport.UDP)


def _is_last(sign: Sign, installations: Mapping[str, Installation]) -> bool:
    installation = installations.get(sign[0])
    return installation is not None and is_open(installation) and installation.asked_at == sign[1]


class Looker:
    """Looks at all hosts in doubt, again and again."""

    def __init__(
        self, registry: RegistryView, publish: Callable[[HostAnswered | HostUnanswered], None], mac_of: MacOf
    ) -> None:
        self._registry, self._publish, self._mac_of = registry, publish, mac_of
        self._looked: dict[Sign, float] = {}
        self._looking = 0

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = asyncio.get_running_loop().time()
                installations = self._registry.installations
                self._looked = {sign: at for sign, at in self._looked.items() if _is_last(sign, installations)}
                for sign in due(installations, self._looked, now)[: AT_ONCE - self._looking]:
                    self._looked[sign] = now
                    self._looking += 1
                    tasks.create_task(self._look(self._registry.hosts[sign[0]]))
                await asyncio.sleep(TICK_SECONDS)

    async def _look(self, host: Host) -> None:
        try:
            found = await look(host, self._mac_of)
        finally:
            self._looking -= 1
        # The operator or the host may have settled the doubt in the meantime.
        if found is not None and is_open(self._registry.installations.get(host.name)):
            self._publish(found)
