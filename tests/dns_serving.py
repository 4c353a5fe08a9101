"""The appliance's DNS server on loopback."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import dns.asyncquery
import dns.message

from appliance.dns.compile import DnsTable
from appliance.dns.server import DnsServer
from appliance.events import Event
from appliance.install.installation import Installation
from appliance.model import Cluster, Endpoint
from tests.dns_cases import table
from tests.serving import free_port, in_background

LOOPBACK = "127.0.0.1"


@dataclass
class Served:
    """A running server, the state that it reads, and the events that it has published."""

    table: DnsTable
    port: int
    installations: dict[str, Installation] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    server: DnsServer = field(init=False)

    async def ask(self, wire: bytes) -> dns.message.Message:
        return await dns.asyncquery.udp(dns.message.from_wire(wire), LOOPBACK, timeout=10, port=self.port)

    async def ask_over_tcp(self, wire: bytes) -> dns.message.Message:
        return await dns.asyncquery.tcp(dns.message.from_wire(wire), LOOPBACK, timeout=10, port=self.port)


@contextlib.asynccontextmanager
async def serving(cluster: Cluster, address: str = LOOPBACK) -> AsyncIterator[Served]:
    port = free_port()
    listen = replace(cluster.listen, dns=(Endpoint(IPv4Address(address), port),))
    served = Served(table(cluster), port)
    served.server = DnsServer(lambda: served.table, served.installations, listen, served.events.append)
    async with in_background(served.server.run()):
        yield served
