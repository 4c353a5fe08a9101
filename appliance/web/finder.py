"""What the judge asks for, found out: the reads and probes of one web server."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from appliance.install.installation import Installation
from appliance.neighbours import MacOf
from appliance.peers import peer_address
from appliance.web.answers import (
    Findings,
    LookFirst,
    MachineConfigFinding,
    NeighbourFinding,
    NeighbourFirst,
    ProbeFirst,
)
from appliance.web.compile import WebHost, WebTable
from appliance.web.gate import Gate
from appliance.web.machineconfig import MachineConfigProbe
from appliance.web.waits import Waits

# The kernel may have dropped an entry that it has not used for a while. What the client sends makes it resolve the
# address again, which takes a round trip.
RESOLVE_SECONDS = 0.05
RESOLVE_TRIES = 20

Wanted: TypeAlias = ProbeFirst | LookFirst | NeighbourFirst
# The domain of a cluster → whether a master's machine config server passes the load balancer's check; None if nobody
# knows.
HasMaster: TypeAlias = Callable[[str], bool | None]


def unknown_master(_cluster: str) -> bool | None:
    """Return None: the load balancer is somebody else's."""
    return None


class Finder:
    """Finds out what does not depend on the protocol that a client came by."""

    def __init__(
        self,
        table: Callable[[], WebTable],
        installations: Mapping[str, Installation],
        mac_of: MacOf,
        gate: Gate,
        has_master: HasMaster = unknown_master,
    ) -> None:
        self._table = table
        self._installations = installations
        self._mac_of = mac_of
        self._gate = gate
        self._has_master = has_master
        self._probes: dict[tuple[tuple[str, int], ...], MachineConfigProbe] = {}
        self._waits = Waits()

    def known(self, host: WebHost, client: str) -> Findings:
        """Return what is known without waiting of a request from the address of *host*, so that the judge need not ask.

        Nearly always that is everything: the files in its script were looked at for another host, and the kernel
        resolved the client's address when it connected.
        """
        address = peer_address(client)
        mac = self._mac_of(address) if address is not None else b""
        neighbour = None if mac == b"" else NeighbourFinding(mac)
        return Findings(files=self._gate.known(host.needs), neighbour=neighbour)

    async def find(self, wanted: Wanted, found: Findings) -> Findings:
        """Return *found* with what is *wanted*."""
        match wanted:
            case ProbeFirst():
                return replace(found, machine_config=await self._probe(wanted))
            case LookFirst(needs):
                return replace(found, files=await self._gate.look(self._table(), needs))
            case NeighbourFirst():
                return replace(found, neighbour=await self._neighbour(wanted))

    async def _probe(self, wanted: ProbeFirst) -> MachineConfigFinding:
        answers = self._has_master(wanted.cluster)
        if answers is None:
            # All hosts of a cluster share a probe. A reload that changes its addresses adds one.
            probe = self._probes.get(wanted.servers)
            if probe is None:
                probe = self._probes[wanted.servers] = MachineConfigProbe(wanted.servers)
            answers = await probe.answers()
        now = asyncio.get_running_loop().time()
        waited = self._waits.seconds(wanted.host, self._installations, answers=answers, now=now)
        return MachineConfigFinding(answers, waited)

    async def _neighbour(self, wanted: NeighbourFirst) -> NeighbourFinding:
        """Return the client's MAC address, after a moment in which the kernel may resolve it."""
        mac = self._mac_of(wanted.address)
        for _ in range(RESOLVE_TRIES):
            if mac != b"":
                break
            await asyncio.sleep(RESOLVE_SECONDS)
            mac = self._mac_of(wanted.address)
        return NeighbourFinding(mac)  # asked anew each time: who takes the address can take over a connection, too
