"""Whether the addresses at which HAProxy shall listen are on this machine."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from appliance.balancer.compile import front_ends
from appliance.dhcp import interfaces as ipv4_interfaces
from appliance.ipv6_interfaces import list_interfaces as list_ipv6_interfaces
from appliance.model import Address, Cidr, Cluster, Engine

NONLOCAL = {
    4: "net.ipv4.ip_nonlocal_bind",
    6: "net.ipv6.ip_nonlocal_bind",
}


@dataclass(frozen=True, slots=True)
class LocalAddresses:
    """This machine's addresses, as far as sockets are bound to them."""

    interfaces: Mapping[Address, str]  # the name of the interface that has the address
    # The IP versions of which sockets may be bound to an address that is elsewhere now, because VRRP moves it.
    nonlocal_versions: frozenset[int] = frozenset()

    def can_bind(self, address: Address) -> bool:
        """Whether a socket can be bound to *address*."""
        # Linux has the whole of 127.0.0.0/8 at the loopback interface.
        is_loopback = isinstance(address, IPv4Address) and address.is_loopback
        return address in self.interfaces or address.version in self.nonlocal_versions or is_loopback


def local_addresses() -> LocalAddresses:
    """Return the addresses of this machine, or of the network namespace that this process runs in."""
    found: dict[Address, str] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for interface in ipv4_interfaces.list_interfaces(sock).values():
            found |= dict.fromkeys(map(IPv4Address, interface.addresses), interface.name)
    for each in list_ipv6_interfaces().values():
        found |= dict.fromkeys(map(IPv6Address, each.addresses), each.name)
    return LocalAddresses(found, frozenset(version for version, name in NONLOCAL.items() if _is_set(name)))


def absent_addresses(clusters: Sequence[Cluster], here: LocalAddresses) -> list[str]:
    """Return a message for each address of a front end at which HAProxy cannot listen *here*; [] if it can."""
    messages: list[str] = []
    for cluster in clusters:
        if cluster.load_balancer.engine is Engine.HAPROXY:
            messages += _absent(cluster, here)
    return messages


def _absent(cluster: Cluster, here: LocalAddresses) -> Iterator[str]:
    services: dict[Address, list[str]] = {}
    for front_end in front_ends(cluster):
        for bind in front_end.binds:
            services.setdefault(bind.address, []).append(front_end.service)
    for address, names in services.items():
        if not here.can_bind(address):
            network = cluster.network_of(address)
            prefix = network.cidr.prefixlen if network else address.max_prefixlen
            interface = _interface_in(network.cidr, here) if network else None
            yield (
                f"{cluster.source}: loadBalancer: HAProxy cannot listen on {address} ({', '.join(names)}), which is no "
                f"address of this machine; run `ip address add {address}/{prefix} dev {interface or 'INTERFACE'}`, or, "
                f"if VRRP brings it, `sysctl -w {NONLOCAL[address.version]}=1`"
            )


def _interface_in(network: Cidr, here: LocalAddresses) -> str | None:
    return next((name for address, name in here.interfaces.items() if address in network), None)


def _is_set(name: str) -> bool:
    try:
        return (Path("/proc/sys") / name.replace(".", "/")).read_text().strip() == "1"
    except OSError:
        return False  # the kernel has no IPv6
