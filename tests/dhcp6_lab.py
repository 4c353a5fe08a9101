"""Network namespaces in which common DHCPv6 clients talk to the DHCPv6 server.

    client (any MAC) ── veth ── [bridge br0 2001:db8:0:10::101/64] appliance

As a program, in the appliance's namespace, it runs only the server, and prints each event as a line of JSON.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from appliance.dhcp6.compile import compile_dhcp6
from appliance.dhcp6.server import Dhcp6Server
from appliance.events import Event
from appliance.model import Cluster, DhcpMode
from appliance.neighbours import Neighbours
from tests.dhcp6_messages import v6_cluster
from tests.dhcp_lab import APPLIANCE_NAMESPACE, READY, Lab, Served, ip

CLUSTERS: Mapping[str, Callable[[], Cluster]] = {
    "full": v6_cluster,
    "short": lambda: _with_lease(8),
    "proxy": lambda: v6_cluster(DhcpMode.PROXY),
}


def _with_lease(seconds: int) -> Cluster:
    cluster = v6_cluster()
    return replace(cluster, networks=tuple(replace(each, lease_seconds=seconds) for each in cluster.networks))


class Lab6(Lab):
    """The same, with IPv6."""

    def node_network(self) -> None:
        """Make the appliance's namespace, with the bridge br0."""
        super().node_network()
        self.run(APPLIANCE_NAMESPACE, "sysctl", "-qw", "net.ipv6.conf.br0.accept_dad=0")
        ip(f"-n {APPLIANCE_NAMESPACE} addr add 2001:db8:0:10::101/64 dev br0 nodad")

    def namespace(self, name: str) -> str:
        """Make a namespace in which an interface can use its addresses at once, without looking for duplicates."""
        found = super().namespace(name)
        self.run(name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        return found

    def node(self, name: str, mac: str) -> str:
        """Add a machine to the node network; its interface is eth0, with a link-local address that is usable."""
        found = super().node(name, mac)
        self.run(found, "sh", "-c", "until ip -6 addr show dev eth0 | grep -q 'fe80'; do sleep 0.02; done")
        return found

    def serve6(self, cluster: str = "full") -> Served:
        """Start the server; return when it is ready."""
        return self.serve(cluster, program="tests.dhcp6_lab")


async def _serve(cluster: Cluster) -> None:
    table = compile_dhcp6((cluster,))
    server = Dhcp6Server(lambda: table, {}, cluster.listen, _print, Neighbours().mac_on_link)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: _print_counts(server))
    print(READY, flush=True)
    await server.run()


def _print(event: Event) -> None:
    print(json.dumps({"kind": event.kind, "host": event.host, **event.facts()}), flush=True)


def _print_counts(server: Dhcp6Server) -> None:
    print("counts", json.dumps({"counts": {" ".join(key): value for key, value in server.counts.items()}}), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Serve the cluster named on the command line."""
    asyncio.run(_serve(CLUSTERS[arguments[0]]()))


if __name__ == "__main__":
    main(sys.argv[1:])
