"""Complete DHCP exchanges as files in tests/golden/dhcp/: request, reply, and both as scapy reads them.

`python -m tests.dhcp_golden` writes the files again; read the diff before you commit it.
"""

from pathlib import Path

from appliance.dhcp.compile import compile_dhcp
from appliance.dhcp.protocol import answer
from appliance.dhcp.reply import Arrival, Silence
from appliance.model import DhcpMode
from tests.clusters import reference_cluster
from tests.dhcp_messages import (
    BIOS,
    FIRMWARE,
    HTTP_BOOT,
    IPXE,
    NODE_NETWORK,
    STRANGER_MAC,
    SYSTEM,
    Options,
    arrival,
    read,
    request,
    sent_by,
)

DIRECTORY = Path(__file__).parent / "golden" / "dhcp"
BOOT_SERVER = arrival(source="172.16.0.11", source_port=4011, is_boot_server=True)
CHOSEN: Options = (("server_id", "172.16.0.101"), ("requested_addr", "172.16.0.11"))
AGENT: Options = ((82, b"\x01\x04eth1\x02\x06\x00\x11\x22\x33\x44\x55"),)

Exchange = tuple[DhcpMode, list[tuple[bytes, Arrival]]]


def four_way(speaker: Options, *more: tuple[int | str, object], giaddr: str = "0.0.0.0") -> Exchange:
    """Return a DISCOVER and the REQUEST that answers its offer, from a client that sends the options *speaker*."""
    return DhcpMode.FULL, [
        (request("discover", *speaker, *more, giaddr=giaddr), NODE_NETWORK),
        (request("request", *speaker, *CHOSEN, *more, giaddr=giaddr), NODE_NETWORK),
    ]


EXCHANGES: dict[str, Exchange] = {
    "uefi-firmware": four_way(FIRMWARE),
    "bios-firmware": four_way(BIOS),
    "uefi-http-boot": four_way(HTTP_BOOT),
    "ipxe": four_way(IPXE),
    "ipxe-behind-relay": four_way(IPXE, *AGENT, giaddr="172.16.0.1"),
    "system": four_way(SYSTEM),
    "system-with-a-wrong-address": (
        DhcpMode.FULL,
        [(request("request", *SYSTEM, ("requested_addr", "172.16.0.99")), NODE_NETWORK)],
    ),
    "unknown-machine": (DhcpMode.FULL, [(request("discover", *FIRMWARE, mac=STRANGER_MAC), NODE_NETWORK)]),
    "proxy-uefi-firmware": (
        DhcpMode.PROXY,
        [
            (request("discover", *FIRMWARE), NODE_NETWORK),
            (request("request", *FIRMWARE, ciaddr="172.16.0.11"), BOOT_SERVER),
        ],
    ),
    "proxy-ipxe": (DhcpMode.PROXY, [(request("discover", *IPXE), NODE_NETWORK)]),
}


def render(name: str) -> str:
    """Return the contents of the file for the exchange *name*."""
    mode, asked = EXCHANGES[name]
    table = compile_dhcp((reference_cluster(dhcp=mode),))
    parts = [f"# {name}, dhcp mode {mode}\n"]
    for datagram, where in asked:
        result = answer(table, datagram, sent_by(datagram, where), {})
        parts += [f"\nrequest{' to port 4011' if where.is_boot_server else ''}\n", _hex(datagram), _readable(datagram)]
        if isinstance(result, Silence):
            parts.append(f"\nsilence: {result.why}\n")
            continue
        way = f", frame to {result.mac.hex(':')}" if result.mac else ""
        parts += [
            f"\nreply to {result.address}:{result.port}{way}\n",
            _hex(result.payload),
            _readable(result.payload),
        ]
        if result.event:
            parts.append(f"event {result.event.kind} {result.event.facts()}\n")
    return "".join(parts)


def _hex(payload: bytes) -> str:
    return "".join(f"  {payload[at : at + 32].hex()}\n" for at in range(0, len(payload), 32))


def _readable(payload: bytes) -> str:
    message = read(payload)
    header = message.header
    fields = {name: getattr(header, name) for name in ("xid", "flags", "ciaddr", "yiaddr", "siaddr", "giaddr")}
    fields["file"] = message.file
    shown = [f"  {name} = {value}\n" for name, value in fields.items() if value not in (0, "0.0.0.0", "")]
    return "".join(shown + [f"  option {name} = {message[name]!r}\n" for name in message.order])


def main() -> None:
    """Write the file of every exchange."""
    DIRECTORY.mkdir(exist_ok=True)
    for name in EXCHANGES:
        (DIRECTORY / f"{name}.txt").write_text(render(name))


if __name__ == "__main__":
    main()
