"""The server of router advertisements in a network namespace.

As a program, in the appliance's namespace, it runs only the server, and prints each event as a line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address

from appliance.events import Event
from appliance.model import Cluster
from appliance.ra.compile import compile_ra
from appliance.ra.server import RaServer
from tests.dhcp6_messages import v6_cluster
from tests.dhcp_lab import READY


def advertising() -> Cluster:
    """Return a cluster whose router advertisements the appliance sends, with every option."""
    cluster = v6_cluster()
    networks = tuple(
        replace(each, mtu=1400, search=("ocp45.example.localdomain", "example.localdomain"), dns_servers=(each.server,))
        for each in cluster.networks
    )
    return replace(cluster, networks=networks, router_advertisements=True)


CLUSTERS: Mapping[str, Callable[[], Cluster]] = {"advertising": advertising, "silent": v6_cluster}
SERVER = IPv6Address("2001:db8:0:10::101")


async def _serve(cluster: Cluster) -> None:
    table = compile_ra((cluster,))
    server = RaServer(lambda: table, cluster.listen, _print)
    print(READY, flush=True)
    await server.run()


def _print(event: Event) -> None:
    print(json.dumps({"kind": event.kind, "host": event.host, **event.facts()}), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Serve the cluster named on the command line."""
    asyncio.run(_serve(CLUSTERS[arguments[0]]()))


if __name__ == "__main__":
    main(sys.argv[1:])
