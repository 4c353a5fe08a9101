"""The network of a whole simulated cluster: a lab's bridge and router, or loopback addresses and relays.

machine (its MAC) ── veth ──┐
machine (its MAC) ── veth ──┤ bridge, with the appliance's address
router and relay ─── veth ──┘
   └─ the machines of every other network
"""

from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from types import TracebackType
from typing import Self

from appliance.errors import SimulationError
from appliance.model import Address, Boot, Cluster, Host, MacAddress, Network
from appliance.simulate.lab import BRIDGE, Bridge
from appliance.simulate.link import Link
from appliance.simulate.namespace import Namespace, ip
from appliance.simulate.plan import ports_of, relay_address
from appliance.simulate.relay import Relay, RelayLink

VERSIONS = (4, 6)  # of IP; machines with both boot by the first


class Fabric:
    """The network of one cluster, a context manager that removes it on exit."""

    def __init__(self, cluster: Cluster, *, in_lab: bool) -> None:
        """Prepare for *cluster*; *in_lab* is whether this process runs in its own network namespace.

        Raises SimulationError for hosts without IPv4 on loopback.
        """
        booting = (host for host in cluster.hosts if host.boot is not Boot.NOTHING)
        only6 = next((host for host in booting if host.ipv4_of(host.macs[0]) is None), None)
        if only6 is not None and not in_lab:
            raise SimulationError(
                f"{only6.name} has no IPv4 address, and the loopback interface has no other addresses for machines; "
                "use --network lab"
            )
        self._cluster, self._in_lab = cluster, in_lab
        own = [address for version in VERSIONS if (address := cluster.own_address(version))]
        # On the bridge, where IPv4 and IPv6 share a segment.
        self._homes = [network for address in own if (network := cluster.network_of(address))] or [cluster.networks[0]]
        self._home = self._homes[0]
        self._stack = ExitStack()
        self._bridge: Bridge | None = None
        self._router: Namespace | None = None
        self._relays: dict[Network, Relay] = {}
        taken = {address for host in cluster.hosts for address in host.addresses}
        taken |= set(own)
        # Where the cluster's load balancer listens.
        self.vips = tuple(
            vip
            for vip in dict.fromkeys((*cluster.api_int_vips, *cluster.api_vips, *cluster.ingress_vips))
            if (in_lab or vip.version == 4) and vip not in taken
        )

    def __enter__(self) -> Self:
        """Make the lab's bridge. Raises SimulationError."""
        if self._in_lab:
            prefix = self._home.cidr.prefixlen
            # cluster.yaml may name the interface that DHCP is served on.
            name = next(iter(self._cluster.listen.dhcp), BRIDGE)
            own: list[IPv4Interface | IPv6Interface] = []
            own += [IPv4Interface(f"{address}/{prefix}") for address in self._own_addresses()]
            own += self._own_addresses6()
            own += [self._of_vip(vip) for vip in self.vips]
            own = list(dict.fromkeys(own))
            self._bridge = self._stack.enter_context(Bridge.make(name, own, ports_of(self._cluster)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def plug_all(self, hosts: Sequence[Host]) -> dict[str, Link]:
        """Return the link of each host, by its name. Raises SimulationError.

        On loopback the appliance must be running already: it cannot bind a wildcard
        port while a relay has the same port open on one address.
        """
        links = {host.name: self._plug(host) for host in hosts}
        if self._bridge:
            self._bridge.wait_for_carrier()
        return links

    def plug_node(self, host: Host, boots: Link) -> Link:
        """Return the link of *host*'s own address, which is *boots* unless it boots from another card."""
        booted_from = host.macs[0]
        if host.ipv4_of(booted_from) in (None, host.ipv4):
            return boots
        own = next((mac for mac in host.macs if mac != booted_from and host.ipv4_of(mac) == host.ipv4), booted_from)
        return self._connect(host, own, host.address)

    def _plug(self, host: Host) -> Link:
        return self._connect(host, host.macs[0], host.ipv4_of(host.macs[0]) or host.address)

    def _connect(self, host: Host, mac: MacAddress, address: Address) -> Link:
        """Return the link of *host*'s card *mac*, which has *address*."""
        network = self._cluster.network_of(address)
        if network is None:
            raise SimulationError(f"{host.name} is outside every machine network and cannot be connected")
        if self._bridge and network in self._homes:
            return self._bridge.plug(mac)
        if network not in self._relays:
            self._relays[network] = self._relay(network)
        return RelayLink(self._relays[network])

    def _relay(self, network: Network) -> Relay:
        if not isinstance(network.server, IPv4Address):
            raise SimulationError(f"the machines of {network.cidr} need a DHCPv6 relay, which is not simulated")
        address = relay_address(network)
        place = self._routed(network, address) if self._bridge else None
        return self._stack.enter_context(Relay(address, network.server, ports_of(self._cluster), place))

    def _routed(self, network: Network, relay: IPv4Address) -> Namespace:
        """Put *network*'s machines behind the router, and add the route to them."""
        assert self._bridge is not None
        if self._router is None:
            near = IPv4Interface(f"{relay_address(self._home)}/{self._home.cidr.prefixlen}")
            self._router = self._bridge.plug_router(near)
        # A host that boots from a card with an address of its own has one in each of two networks.
        own = (address for host in self._cluster.hosts for address in host.addresses if address in network.cidr)
        far = [relay, *own]
        ip(*(f"addr add {address}/32 dev lo" for address in far), place=self._router)
        ip(f"route add {network.cidr} via {relay_address(self._home)}")
        return self._router

    def _own_addresses(self) -> list[IPv4Address]:
        listen = self._cluster.listen
        bound = [endpoint.address for endpoint in (*listen.dns, *listen.tftp, *listen.http)]
        servers = [network.server for network in self._cluster.networks]
        named = [
            address for address in (*servers, *bound) if isinstance(address, IPv4Address) and address in self._home.cidr
        ]
        main = [address for address in (self._cluster.address,) if isinstance(address, IPv4Address)]
        return list(dict.fromkeys([*main, *named]))

    def _own_addresses6(self) -> list[IPv6Interface]:
        """Return the appliance's IPv6 addresses, each with the prefix length of its network."""
        listen = self._cluster.listen
        bound = [endpoint.address for endpoint in (*listen.dns, *listen.tftp, *listen.http)]
        servers = [network.server for network in self._cluster.networks]
        found: dict[IPv6Interface, None] = {}
        for address in (self._cluster.own_address(6), *servers, *bound):
            if isinstance(address, IPv6Address) and not address.is_unspecified:
                network = self._cluster.network_of(address)
                found[IPv6Interface(f"{address}/{network.cidr.prefixlen if network else 128}")] = None
        return list(found)

    def _of_vip(self, vip: Address) -> IPv4Interface | IPv6Interface:
        """Return *vip* with its network, or alone where the machines of its network are behind the router."""
        network = self._cluster.network_of(vip)
        prefix = network.cidr.prefixlen if network in self._homes and network else vip.max_prefixlen
        return ip_interface(f"{vip}/{prefix}")
