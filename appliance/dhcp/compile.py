"""Clusters → the DHCP table: each MAC address with its fixed address, and the replies' bytes.

The one rule: a reply is laid out once for each host, message and kind of client,
and then only patched. It is laid out at its first use, in some 20 µs, so that a host
that never boots costs nothing and a thousand hosts do not delay the start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.dhcp.clients import ClientProfile, identify
from appliance.dhcp.options import HEADER_BYTES, parse_options
from appliance.dhcp.segments import Segment, compile_segment
from appliance.dhcp.templates import Form, Pin, Template, build_template, reply_values
from appliance.model import Cluster, DhcpMode, Host, Loader, MacAddress

# 1,000 hosts need six each (firmware, iPXE and system; offer and ack): 5 MB. A client that keeps changing its option
# 55 can fill the cache, with 13 MB.
MAX_TEMPLATES = 16384


@dataclass(frozen=True, slots=True)
class DhcpTable:
    """Everything that DHCP replies are made from."""

    pins: Mapping[bytes, Pin]  # by MAC address
    servers: frozenset[bytes]  # every address of the appliance
    segments: tuple[Segment, ...]  # those where DHCP is not off
    port: int  # the server's; clients listen on the next one
    relays: tuple[tuple[int, int], ...]  # networks and masks of the accepted relays outside the segments
    mode: DhcpMode  # full if any cluster with an IPv4 network has it, else proxy if any has it, else off
    # Filled at first use. It caches build_template, which is pure, so readers of the table see no change.
    _templates: dict[tuple[bytes, int, ClientProfile, bool, Loader, bytes], Template] = field(
        default_factory=dict, compare=False, repr=False
    )

    def in_segments(self, address: int) -> bool:
        """Whether *address* is in a network in which DHCP is not off."""
        return any(address in segment for segment in self.segments)

    def accepts_relay(self, source: int) -> bool:
        """Whether relays may send from the address *source*.

        The source decides, not giaddr: whoever reaches our port can write any giaddr. The two differ where a relay
        sends from the address of the interface towards us.
        """
        return self.in_segments(source) or any(source & mask == first for first, mask in self.relays)

    def template(
        self, pin: Pin, form: Form, profile: ClientProfile, boots: bool, loader: Loader, requested: bytes
    ) -> Template:
        """Return the reply of *form* with all its options in the options field."""
        key = (pin.mac, form, profile, boots, loader, requested)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MAX_TEMPLATES:
                # All at once: it is refilled within a boot, and tracking the use of each entry would slow every reply.
                self._templates.clear()
            found = build_template(pin, form, profile, boots=boots, loader=loader, requested=requested)
            self._templates[key] = found
        return found


def compile_dhcp(clusters: Sequence[Cluster]) -> DhcpTable:
    """Return the table for *clusters*; if two have the same MAC address, the first keeps it.

    Hosts without an IPv4 address are not in it. Raises ValueError for one outside every IPv4 network, which `validate`
    has ruled out.
    """
    pins: dict[bytes, Pin] = {}
    segments: list[Segment] = []
    for cluster in clusters:
        own = [
            compile_segment(network, cluster.dhcp, cluster.networks)
            for network in cluster.networks
            if network.cidr.version == 4
        ]
        segments += own
        for host in cluster.hosts:
            for mac in host.macs:
                if address := host.ipv4_of(mac):
                    pins.setdefault(mac.octets, _pin(cluster, host, mac, address, own))
    for pin in pins.values():
        _judge(pin)
    modes = {segment.mode for segment in segments}
    return DhcpTable(
        pins=pins,
        servers=frozenset(segment.server for segment in segments),
        segments=tuple(segment for segment in segments if segment.mode is not DhcpMode.OFF),
        port=clusters[0].listen.dhcp_port,
        relays=tuple(
            (int(relay.network_address), int(relay.netmask))
            for cluster in clusters
            for relay in cluster.dhcp_relays
            if relay.version == 4
        ),
        mode=next((mode for mode in (DhcpMode.FULL, DhcpMode.PROXY) if mode in modes), DhcpMode.OFF),
    )


def _pin(cluster: Cluster, host: Host, mac: MacAddress, address: IPv4Address, segments: Sequence[Segment]) -> Pin:
    segment = next((segment for segment in segments if int(address) in segment), None)
    if segment is None:
        raise ValueError(f"{host.name}: {address} is outside every IPv4 network")
    return Pin(
        cluster=cluster,
        # With the URLs of the network in which this card is.
        host=host.booting_with(address),
        mac=mac.octets,
        mac_text=str(mac),
        address=address.packed,
        address_text=str(address),
        segment=segment,
        # If every card got a boot file, a host with two could install itself twice, the second time over the first.
        is_boot_nic=host.boots_from(mac),
    )


def _judge(pin: Pin) -> None:
    """Parse an offer to the host, and raise AssertionError unless it has exactly the intended options."""
    profile = identify(b"PXEClient:Arch:00007:UNDI:003000", b"\0\7", b"", None)
    template = build_template(pin, Form.OFFER, profile, boots=True, requested=b"")
    message = bytes(HEADER_BYTES - 208 - 4) + template.tail  # 208: chaddr, sname, file; 4: cookie
    read = parse_options(message)
    intended = reply_values(pin, Form.OFFER, profile, pin.chain(profile, starts_disk=False))
    if read != intended:
        raise AssertionError(f"{pin.name}: the compiled offer has the options {read}, expected {intended}")
