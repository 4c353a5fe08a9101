"""Preparing one simulated machine: its hardware, its link, and what cluster.yaml says of it."""

import asyncio
import hashlib
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

from appliance.config import load
from appliance.errors import SimulationError
from appliance.model import Address, Arch, Boot, Cluster, Engine, Host, MacAddress, Network
from appliance.simulate.lab import Bridge, card_on
from appliance.simulate.link import Link, PacketLink
from appliance.simulate.machine import BootStep, Disk, Expected, Hardware, Machine, Patience, Ports
from appliance.simulate.namespace import ip_json
from appliance.simulate.nodes import pool_of
from appliance.simulate.power import power_on
from appliance.simulate.relay import Relay, RelayLink
from appliance.simulate.run import BootSummary

DEFAULT_CONFIG = Path("cluster.yaml")
HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """The machine to simulate, and what is known about it."""

    mac: MacAddress
    cluster: Cluster | None
    host: Host | None  # None for a machine that is not in cluster.yaml

    @property
    def name(self) -> str:
        """The host's name, or the MAC address."""
        return self.host.name if self.host else str(self.mac)

    def server(self, *, is_ipv6: bool) -> Address | None:
        """Return the appliance's address in the host's network, of the version of IP that the host boots by."""
        if self.cluster is None:
            return None
        version = 6 if is_ipv6 else 4
        own: list[Address] = []
        if self.host:
            first = self.host.ipv4_of(self.mac)
            own = [*([first] if first else []), *self.host.addresses]
            own = [address for address in own if address.version == version]
        networks = [network for address in own if (network := self.cluster.network_of(address))]
        servers = [*(network.server for network in networks), self.cluster.own_address(version)]
        return next((server for server in servers if server and server.version == version), None)


def find_target(host: str, config: Path | None) -> Target:
    """Return the machine *host*: a full or short name in *config*, or a MAC address.

    Raises ConfigError, or SimulationError when there is no such host.
    """
    path = config or DEFAULT_CONFIG
    clusters = load([path]) if config or path.exists() else ()
    try:
        mac = MacAddress.parse(host)
    except ValueError:
        mac = None
    for cluster in clusters:
        for known in cluster.hosts:
            if mac in known.macs or host.lower() in (known.name, known.short_name):
                return Target(mac or known.macs[0], cluster, known)
    if mac:
        return Target(mac, clusters[0] if clusters else None, None)
    if not clusters:
        raise SimulationError(f"{host!r} is not a MAC address, and {path} does not exist; use --config")
    names = ", ".join(known.short_name for cluster in clusters for known in cluster.hosts[:20])
    raise SimulationError(f"{path} has no host {host!r}; its hosts are {names}")


def ports_of(cluster: Cluster | None) -> Ports:
    """Return the ports of *cluster*'s appliance."""
    if cluster is None:
        return Ports()
    listen = cluster.listen
    return Ports(
        dhcp=listen.dhcp_port,
        tftp=listen.tftp[0].port if listen.tftp else 69,
        dns=listen.dns[0].port if listen.dns else 53,
    )


def image_sums(cluster: Cluster | None, images: Path | None) -> dict[str, str]:
    """Return the expected sha256 of each image: from cluster.yaml, else of the file in *images*."""
    sums = {}
    for of_arch in (*cluster.images.values(), *cluster.artifacts.values()) if cluster else ():
        for image in (of_arch.kernel, of_arch.initramfs, of_arch.rootfs, of_arch.metal):
            if image and image.sha256:
                sums[image.name] = image.sha256
            elif image and images and (images / image.name).is_file():
                sums[image.name] = _sha256(images / image.name)
    return sums


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def native_hardware(host: Host) -> Hardware:
    """Return the UEFI firmware of *host*'s architecture."""
    return Hardware.ARM64 if host.arch is Arch.AARCH64 else Hardware.X64


def machine_for(
    target: Target,
    hardware: Hardware | None,
    images: Path | None,
    hold_seconds: float,
    *,
    is_dry: bool = False,
    is_secure: bool = False,
    is_ipv6: bool = False,
) -> Machine:
    """Return the machine, with a disk that may have been written before; it waits *hold_seconds* at most."""
    host, cluster = target.host, target.cluster
    sums = image_sums(cluster, images)
    # Somebody else's load balancer may be behind a firewall that keeps this computer out.
    asks = host and cluster and host.boot is Boot.INSTALLER and cluster.load_balancer.engine is Engine.HAPROXY
    return Machine(
        name=host.short_name if host else str(target.mac),
        mac=target.mac,
        hardware=hardware or (native_hardware(host) if host else Hardware.X64),
        ports=ports_of(cluster),
        patience=Patience(dhcp_waits=_waits_within(hold_seconds), hold=hold_seconds),
        expected=expected_of(host, sums, target.mac) if host else Expected(sha256=sums),
        is_dry=is_dry,
        is_secure=is_secure,
        is_ipv6=is_ipv6,
        disk=Disk(),
        pool=pool_of(host) if host and asks else "",
    )


def expected_of(host: Host, sums: Mapping[str, str], booted_from: MacAddress | None = None) -> Expected:
    """Return what is expected of *host*; *sums* has the sha256 of images by name.

    *booted_from* is the card that it boots from, by default the first.
    """
    macs = frozenset(mac.hyphenated for mac in host.macs)
    address = host.ipv4_of(booted_from or host.macs[0])
    return Expected(
        host.name,
        address,
        host.ignition,
        sums,
        macs,
        is_node_address=address == host.ipv4,
        address6=next((address for address in host.addresses if isinstance(address, IPv6Address)), None),
    )


def _waits_within(seconds: float) -> tuple[float, ...]:
    """Return as many of the waits for an offer as fit in *seconds*, but at least one."""
    waits = Patience().dhcp_waits
    return tuple(wait for number, wait in enumerate(waits) if number == 0 or sum(waits[: number + 1]) <= seconds)


@contextmanager
def plugged_in(
    target: Target, server: Address | None, via: IPv4Address | None, interface: str | None, *, is_ipv6: bool = False
) -> Iterator[tuple[Link, str]]:
    """Connect the machine; yield its link and a description of it. Raises SimulationError.

    Without *via* and *interface*: the interface that leads to the server, or a
    relay address where the server is on the loopback network.
    """
    server, ports = server or _server_of(target, is_ipv6=is_ipv6), ports_of(target.cluster)
    with ExitStack() as stack:
        if via is None and interface is None:
            if server.is_loopback:
                network = target.cluster.network_of(server) if target.cluster else None
                if network is None:
                    raise SimulationError(f"{server} is on the loopback network; use --via with a second address there")
                via = relay_address(network)
            else:
                interface = interface_to(server)
        if via is not None:
            if not isinstance(server, IPv4Address):
                raise SimulationError(f"{server} cannot be reached through a relay of DHCPv4")
            relay = stack.enter_context(Relay(via, server, ports))
            yield RelayLink(relay), f"{server} through a relay at {via}"
            return
        assert interface is not None
        if _link_kind(interface) == "bridge":
            bridge = stack.enter_context(Bridge(interface, ports))
            plugged = bridge.plug(target.mac)
            bridge.wait_for_carrier()
            yield plugged, f"{server} from a port of the bridge {interface}"
            return
        if _link_mac(interface) != str(target.mac):
            yield stack.enter_context(card_on(interface, target.mac, ports)), f"{server} on {interface}"
            return
        link = PacketLink(interface, ports)
        stack.callback(link.release)
        yield link, f"{server} on {interface}"


def _server_of(target: Target, *, is_ipv6: bool) -> Address:
    """Return the appliance's address. Raises SimulationError where cluster.yaml does not have it."""
    if server := target.server(is_ipv6=is_ipv6):
        return server
    if target.cluster is None:
        raise SimulationError("the appliance is not known; use --config cluster.yaml or --server ADDRESS")
    raise SimulationError(
        f"the appliance has no IPv{6 if is_ipv6 else 4} address in cluster.yaml; use"
        f" {'' if is_ipv6 else '--ipv6 or '}--server ADDRESS"
    )


def relay_address(network: Network) -> IPv4Address:
    """Return the address of a relay in *network*: the gateway's, or the last."""
    # Machines boot by IPv4 alone, and are plugged into such networks only.
    assert isinstance(network.cidr, IPv4Network)
    return network.gateway or network.cidr.broadcast_address - 1


def interface_to(server: Address) -> str:
    """Return the interface of the route to *server*. Raises SimulationError when there is none."""
    routes = ip_json("route", "get", str(server))
    route = routes[0] if routes else {}
    if route.get("type") != "local":
        if not route.get("dev"):
            raise SimulationError(f"no route to {server}; use --interface with an interface on the node network")
        if route.get("gateway"):
            raise SimulationError(
                f"{server} is behind the router {route['gateway']}; run this on the node network, or use --interface"
            )
        return str(route["dev"])
    # The appliance runs on this computer. A frame that leaves by an interface does not come back to it,
    # but the machine can be one more port of a bridge.
    for link in ip_json("addr", "show", "to", str(server)):
        if _link_kind(str(link["ifname"])) == "bridge":
            return str(link["ifname"])
    raise SimulationError(
        f"{server} is this computer, which does not receive its own broadcasts; run this on another machine of"
        " the node network, or move the appliance's address to a bridge"
    )


def _link_kind(interface: str) -> str:
    links = ip_json("-details", "link", "show", "dev", interface)
    if not links:
        raise SimulationError(f"interface {interface!r} not found")
    info = links[0].get("linkinfo")
    return str(info.get("info_kind", "")) if isinstance(info, dict) else ""


def _link_mac(interface: str) -> str:
    links = ip_json("link", "show", "dev", interface)
    return str(links[0].get("address", "")) if links else ""


async def run_machine(
    machine: Machine, link: Link, report: Callable[[BootStep], None], *, choice: str, network_first: bool
) -> BootSummary:
    """Switch *machine* on; a signal stops it. Raises StepError, or CancelledError after a signal."""
    machine.report = report
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await power_on(machine, link, choice=choice, network_first=network_first)
