"""Clusters → the DHCP table: who is pinned where, and each reply's finished bytes.

The one rule: a reply is laid out once for each host, message and kind of client,
and after that only patched. It happens at first use, in some 10 µs: a host that
never boots costs nothing, and a thousand hosts start in no time; scapy in the
server would take 0.25 s of each start and 50 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.dhcp.clients import Asker, identify
from appliance.dhcp.options import HEADER_BYTES, parse_options
from appliance.dhcp.segments import Segment, compile_segment
from appliance.dhcp.templates import Form, Pin, Template, build_template, reply_values
from appliance.model import Cluster, DhcpMode, Host

# 1,000 hosts need six each (firmware, iPXE and system; offer and ack), 5 MB; a client that varies its wishes, 13 MB.
MAX_TEMPLATES = 16384


@dataclass(frozen=True, slots=True)
class DhcpTable:
    """Everything that DHCP answers from."""

    pins: Mapping[bytes, Pin]  # by MAC address
    servers: frozenset[bytes]  # every address that is ours
    segments: tuple[Segment, ...]  # where DHCP is not off
    port: int  # the server's; clients listen on the next one
    mode: DhcpMode  # the most that any cluster allows
    # Laid out at first use: a memory of build_template, which always says the same.
    _templates: dict[tuple[bytes, int, Asker, bool, bytes], Template] = field(
        default_factory=dict, compare=False, repr=False
    )

    def template(self, pin: Pin, form: Form, asker: Asker, boots: bool, requested: bytes) -> Template:
        """Return the reply of *form* with all its options in the options field."""
        key = (pin.mac, form, asker, boots, requested)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            found = self._templates[key] = build_template(pin, form, asker, boots=boots, requested=requested)
        return found


def compile_dhcp(clusters: Sequence[Cluster]) -> DhcpTable:
    """Return the table for *clusters*; where two claim a MAC address, the first keeps it."""
    pins: dict[bytes, Pin] = {}
    segments: list[Segment] = []
    for cluster in clusters:
        own = [compile_segment(network, cluster.dhcp) for network in cluster.networks if network.cidr.version == 4]
        segments += own
        for host in cluster.hosts:
            address = host.ipv4
            segment = next((segment for segment in own if address is not None and int(address) in segment), None)
            if address is None or segment is None:
                raise ValueError(f"{host.name}: {host.address} is outside every IPv4 network")
            for pin in _pins(cluster, host, address, segment):
                pins.setdefault(pin.mac, pin)
    for pin in pins.values():
        _judge(pin)
    modes = {cluster.dhcp for cluster in clusters}
    return DhcpTable(
        pins=pins,
        servers=frozenset(segment.server for segment in segments),
        segments=tuple(segment for segment in segments if segment.mode is not DhcpMode.OFF),
        port=clusters[0].listen.dhcp_port,
        mode=next(mode for mode in (DhcpMode.FULL, DhcpMode.PROXY, DhcpMode.OFF) if mode in modes),
    )


def _pins(cluster: Cluster, host: Host, address: IPv4Address, segment: Segment) -> list[Pin]:
    return [
        Pin(
            cluster=cluster,
            host=host,
            mac=mac.octets,
            mac_text=str(mac),
            address=address.packed,
            address_text=str(address),
            segment=segment,
            # Two cards that both boot would install the host twice, the second over the first.
            is_boot_nic=position == 0,
        )
        for position, mac in enumerate(host.macs)
    ]


def _judge(pin: Pin) -> None:
    """Read the host's offer back, and raise AssertionError unless it says what was meant."""
    asker = identify(b"PXEClient:Arch:00007:UNDI:003000", b"\0\7", b"", None)
    template = build_template(pin, Form.OFFER, asker, boots=True, requested=b"")
    message = bytes(HEADER_BYTES - 208 - 4) + template.tail  # 208: chaddr, sname, file; 4: cookie
    read = parse_options(message)
    meant = reply_values(pin, Form.OFFER, asker, template.boot)
    if read != meant:
        raise AssertionError(f"{pin.name}: the compiled offer reads as {read}, not as {meant}")
