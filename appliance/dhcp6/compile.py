"""Clusters → the DHCPv6 table: each MAC address with its fixed IPv6 address, and the replies' options.

The one rule: options are laid out once for each host, kind of client and list of
requested options, at their first use.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from appliance.dhcp.clients import ClientProfile
from appliance.dhcp6.hardware import DUID_UUID
from appliance.dhcp6.segments import Segment, compile_segment
from appliance.dhcp6.templates import Pin, Template, build_template
from appliance.model import DHCP6_DISTANCE, Cluster, DhcpMode, Host, Loader

# 1,000 hosts need three each (firmware, iPXE, system): 2 MB. A client that keeps changing its list of requested options
# can fill it, with 10 MB.
MAX_TEMPLATES = 16384


@dataclass(frozen=True, slots=True)
class Bystander:
    """A MAC address of a host that has no IPv6 address, and the IPv4 network that it is in."""

    host: Host
    first: int  # the network's address as a number, as IPv4-mapped IPv6 address
    mask: int
    is_boot_nic: bool

    def is_near(self, addresses: Iterable[int]) -> bool:
        """Whether an interface with *addresses* is in the host's network."""
        return any(address & self.mask == self.first for address in addresses)


@dataclass(frozen=True, slots=True)
class Dhcp6Table:
    """Everything that DHCPv6 replies are made from."""

    duid: bytes  # the server's
    pins: Mapping[bytes, Pin]  # by MAC address
    known: frozenset[bytes]  # every MAC address of a host, also of those without an IPv6 address
    bystanders: Mapping[bytes, Bystander]  # by MAC address
    beside: tuple[tuple[int, int], ...]  # networks and masks of the bystanders, each once
    segments: tuple[Segment, ...]  # those where DHCP is not off
    relays: tuple[tuple[int, int], ...]  # networks and masks of the accepted relays outside the segments
    port: int  # the server's and the relays'; clients listen on the one before it
    # Filled at first use. It caches build_template, which is pure, so readers of the table see no change.
    _templates: dict[tuple[bytes, ClientProfile, bool, Loader, bytes], Template] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def is_served(self) -> bool:
        """Whether there is a network to serve."""
        return bool(self.segments)

    @property
    def has_clients(self) -> bool:
        """Whether there is anybody to answer, and so a socket to open."""
        return self.is_served or bool(self.bystanders)

    @property
    def mode(self) -> DhcpMode:
        """Full if any network has it, else proxy if any has it, else off."""
        modes = {segment.mode for segment in self.segments}
        return next((mode for mode in (DhcpMode.FULL, DhcpMode.PROXY) if mode in modes), DhcpMode.OFF)

    def in_segments(self, address: int) -> bool:
        """Whether *address* is in a network in which DHCP is not off."""
        return any(address in segment for segment in self.segments)

    def serves(self, addresses: Sequence[int]) -> bool:
        """Whether an interface with *addresses* is in a network in which DHCP is not off."""
        return any(segment.has_any(addresses) for segment in self.segments)

    def hears(self, addresses: Sequence[int]) -> bool:
        """Whether there may be hosts at an interface with *addresses*."""
        return self.serves(addresses) or any(
            address & mask == first for first, mask in self.beside for address in addresses
        )

    def accepts_relay(self, source: int) -> bool:
        """Whether relays may send from the address *source*."""
        return self.in_segments(source) or any(source & mask == first for first, mask in self.relays)

    def template(self, pin: Pin, profile: ClientProfile, boots: bool, loader: Loader, requested: bytes) -> Template:
        """Return the options of a reply to *pin*."""
        key = (pin.mac, profile, boots, loader, requested)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MAX_TEMPLATES:
                # All at once: it is refilled within a boot, and tracking the use of each entry would slow every reply.
                self._templates.clear()
            found = build_template(pin, profile, boots=boots, loader=loader, requested=requested)
            self._templates[key] = found
        return found


def compile_dhcp6(clusters: Sequence[Cluster]) -> Dhcp6Table:
    """Return the table for *clusters*; if two have the same MAC address, the first keeps it."""
    pins: dict[bytes, Pin] = {}
    segments: list[Segment] = []
    for cluster in clusters:
        own = [
            compile_segment(network, cluster.dhcp, cluster.networks)
            for network in cluster.networks
            if network.cidr.version == 6 and network.is_served
        ]
        segments += own
        for host in cluster.hosts:
            for pin in _pins(cluster, host, own):
                pins.setdefault(pin.mac, pin)
    bystanders = _bystanders(clusters, pins)
    return Dhcp6Table(
        duid=server_duid(clusters[0]),
        pins=pins,
        bystanders=bystanders,
        beside=tuple(dict.fromkeys((each.first, each.mask) for each in bystanders.values())),
        known=frozenset(mac.octets for cluster in clusters for host in cluster.hosts for mac in host.macs),
        segments=tuple(segment for segment in segments if segment.mode is not DhcpMode.OFF),
        relays=tuple(
            (int(relay.network_address), int(relay.netmask))
            for cluster in clusters
            for relay in cluster.dhcp_relays
            if relay.version == 6
        ),
        port=clusters[0].listen.dhcp_port + DHCP6_DISTANCE,
    )


def ipv4_mapped(address: int) -> int:
    """Return an IPv4 address as the number of its IPv6 form (RFC 4291 section 2.5.5.2)."""
    return 0xFFFF << 32 | address


def _bystanders(clusters: Sequence[Cluster], pins: Mapping[bytes, Pin]) -> dict[bytes, Bystander]:
    found: dict[bytes, Bystander] = {}
    for cluster in clusters:
        if cluster.dhcp is not DhcpMode.FULL:
            continue
        for host in cluster.hosts:
            for mac in host.macs:
                address = host.ipv4_of(mac)
                network = cluster.network_of(address) if address is not None else None
                if network is None or mac.octets in pins:
                    continue
                first, mask = int(network.cidr.network_address), int(network.cidr.netmask)
                is_boot_nic = host.boots_from(mac)
                bystander = Bystander(host, ipv4_mapped(first), ~0xFFFFFFFF | mask, is_boot_nic)
                found.setdefault(mac.octets, bystander)
    return found


def server_duid(cluster: Cluster) -> bytes:
    """Return the DUID-UUID (RFC 6355) of the appliance that serves *cluster*.

    It is made from names in cluster.yaml, which stay when the appliance is moved to another
    machine or its state is lost, and are the same on two machines that serve the same file.
    """
    name = f"dhcpv6.{cluster.appliance_name}.{cluster.domain}"
    return DUID_UUID + uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes


def _pins(cluster: Cluster, host: Host, segments: Sequence[Segment]) -> list[Pin]:
    """Return a pin for each MAC address of *host*; none if it has no IPv6 address in one of *segments*."""
    found = next(
        (
            (address, segment)
            for address in host.addresses
            if isinstance(address, IPv6Address)
            for segment in segments
            if int(address) in segment
        ),
        None,
    )
    if found is None:
        return []
    address, segment = found
    first = host.booting_with(address)
    return [
        Pin(
            cluster=cluster,
            host=first,
            mac=mac.octets,
            mac_text=str(mac),
            address=address.packed,
            address_text=str(address),
            segment=segment,
            is_boot_nic=host.boots_from(
                mac
            ),  # as for DHCPv4: otherwise a host with two cards could install itself twice
        )
        for mac in host.macs
    ]
