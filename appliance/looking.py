"""Looks at the addresses of hosts in doubt: does a system of the host run there?

One datagram with a host's address makes it doubtful whether the host runs a node. What
we find ourselves cannot be forged with a datagram: a port that only a running system
listens on accepts our connection, and the kernel has resolved the address to a MAC
address of the host. It is looked for at once after each sign of a node, because only
then an absence shows anything, and again as long as the doubt lasts, because the node
may be starting.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from operator import itemgetter
from typing import NamedTuple

from appliance.events import (
    Event,
    HostAnswered,
    HostUnanswered,
    TftpAborted,
    TftpFailed,
    TftpFinished,
    TftpStarted,
)
from appliance.install.guard import Client, macs_of
from appliance.install.installation import LOOK_SECONDS, MAY_BE_RUNNING, Installation
from appliance.model import Address, Host
from appliance.neighbours import MacOf
from appliance.peers import peer_address
from appliance.registry_view import RegistryView

PORTS = (22, 10250)  # sshd and kubelet; firmware and iPXE listen on no port
# Between two looks at a host after the same sign: at first, as long as an absence shows something, and then. For some
# 9 s the kernel still takes a host that is gone for reachable, if it was there a moment ago.
QUICK_SECONDS = 4.0
EVERY_SECONDS = 30.0
CONNECT_SECONDS = 2.5  # a SYN is repeated after 1 s
TICK_SECONDS = 1.0
AT_ONCE = 64  # looks at the same time, with two sockets for each address: 1,000 hosts that nobody has take 40 s


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


class Looks(NamedTuple):
    """When a host was first and last looked at after a sign, in seconds of a clock that does not go back."""

    first_at: float
    last_at: float


NEVER = Looks(float("-inf"), float("-inf"))


def due(installations: Mapping[str, Installation], looked: Mapping[Sign, Looks], now: float) -> list[Sign]:
    """Return the hosts to look at now, each with its last sign, those first that have waited longest."""
    signs = [(name, installation.asked_at) for name, installation in installations.items() if is_open(installation)]
    waiting = [(looked.get(sign, NEVER), sign) for sign in signs]
    found = [(looks.last_at, sign) for looks, sign in waiting if now - looks.last_at >= _pause(looks, now)]
    return [sign for _, sign in sorted(found, key=itemgetter(0))]


def _pause(looks: Looks, now: float) -> float:
    return QUICK_SECONDS if now - looks.first_at <= LOOK_SECONDS else EVERY_SECONDS


def concluded(host: Host, found: Mapping[int, Port], mac: bytes | None) -> HostAnswered | HostUnanswered | None:
    """Return what a look at *host*, at the address that it boots with, shows; None if it shows nothing.

    *found* says what its ports did, and *mac* is the MAC address that its address has then, as from `Neighbours.mac`.
    """
    address = str(host.address)
    if mac is None:  # behind a router, where nobody knows who answers
        return None
    is_its_own = mac in macs_of(host)
    # A machine that took the address, or only our view of it, would hide a running node.
    if mac and not is_its_own:
        return None
    for port, state in found.items():
        if state is Port.ACCEPTS:
            return HostAnswered(host.name, mac.hex(":"), address, port) if is_its_own else None
    if not mac:
        return HostUnanswered(host.name, address, "nobody has the address")
    if Port.SILENT in found.values():  # a firewall on the node looks the same
        return None
    return HostUnanswered(host.name, address, f"neither port accepts: {' and '.join(map(str, found))}")


async def look(host: Host, mac_of: MacOf, ports: tuple[int, ...] = PORTS) -> HostAnswered | HostUnanswered | None:
    """Look at *host* and return what that shows; None if it shows nothing. Raises nothing."""
    places = [host.booting_with(address) for address in host.addresses if mac_of(address) is not None]
    return together(await asyncio.gather(*(_look_at(place, mac_of, ports) for place in places)))


def together(found: Sequence[HostAnswered | HostUnanswered | None]) -> HostAnswered | HostUnanswered | None:
    """Return what looks at each address of one host show: a system that answers, or that none does at any address."""
    answered = next((each for each in found if isinstance(each, HostAnswered)), None)
    if answered is not None:
        return answered
    return found[0] if found and None not in found else None


async def _look_at(host: Host, mac_of: MacOf, ports: tuple[int, ...]) -> HostAnswered | HostUnanswered | None:
    address = host.address
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


def has_its_mac(name: str, client: str, hosts: Mapping[str, Host], mac_of: MacOf) -> bool:
    """Whether nothing on our links says that *client* is another machine than the host *name* whose address it has."""
    host, address = hosts.get(name), peer_address(client)
    return host is None or Client(macs_of(host), mac_of(address) if address else None, needs_dhcp=False).is_host


def credited(event: Event, hosts: Mapping[str, Host], mac_of: MacOf) -> Event:
    """Return *event*, of no host if it is a TFTP transfer to another machine at the address of one."""
    if not isinstance(event, TftpStarted | TftpFinished | TftpFailed | TftpAborted) or event.host not in hosts:
        return event
    address = peer_address(event.client)
    mac = mac_of(address) if address else None
    # Not resolved yet, or no longer, says nothing: a client of UDP is resolved once we have answered it. But no block
    # went out to an address that is not resolved at the end: then what acknowledged the blocks was forged.
    is_forged = mac == b"" and isinstance(event, TftpFinished)
    is_other = bool(mac) and mac not in macs_of(hosts[event.host])
    return replace(event, host="") if is_forged or is_other else event


def _is_last(sign: Sign, installations: Mapping[str, Installation]) -> bool:
    installation = installations.get(sign[0])
    return installation is not None and is_open(installation) and installation.asked_at == sign[1]


class Looker:
    """Looks at all hosts in doubt, again and again."""

    def __init__(
        self, registry: RegistryView, publish: Callable[[HostAnswered | HostUnanswered], None], mac_of: MacOf
    ) -> None:
        self._registry, self._publish, self._mac_of = registry, publish, mac_of
        self._looked: dict[Sign, Looks] = {}
        self._looking = 0

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = asyncio.get_running_loop().time()
                installations = self._registry.installations
                self._looked = {sign: at for sign, at in self._looked.items() if _is_last(sign, installations)}
                for sign in due(installations, self._looked, now)[: AT_ONCE - self._looking]:
                    self._looked[sign] = Looks(self._looked[sign].first_at if sign in self._looked else now, now)
                    self._looking += 1
                    tasks.create_task(self._look(self._registry.hosts[sign[0]]))
                await asyncio.sleep(TICK_SECONDS)

    async def _look(self, host: Host) -> None:
        try:
            found = await look(host, self._mac_of)
        finally:
            self._looking -= 1
        installation = self._registry.installations.get(host.name)
        # The operator or the host may have settled the doubt in the meantime, and an absence counts for a while only.
        if found is None or installation is None or not is_open(installation):
            return
        if isinstance(found, HostAnswered) or installation.awaits_look(self._registry.now()):
            self._publish(found)
