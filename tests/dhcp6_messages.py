"""DHCPv6 messages for tests: requests as common clients send them, built by scapy, and replies parsed by scapy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network

from scapy.layers import dhcp6
from scapy.packet import Packet

from appliance.dhcp6.compile import Dhcp6Table
from appliance.dhcp6.protocol import answer
from appliance.dhcp6.reply import Arrival, Reply, Silence
from appliance.install.installation import Installation
from appliance.model import Cluster, DhcpMode, Network
from tests.clusters import reference_cluster

BS_MAC, M1_MAC = "00:50:56:96:11:c2", "00:50:56:96:37:c8"
STRANGER_MAC = "52:54:00:00:00:99"
SERVER = IPv6Address("2001:db8:0:10::101")
BS, M1, W1 = (IPv6Address(f"2001:db8:0:10::{host}") for host in ("11", "21", "31"))
FAR_RELAY = "2001:db8:0:20::1"
XID = 0x123456
IAID = 0x56961102

MESSAGES: Mapping[str, type[Packet]] = {
    "solicit": dhcp6.DHCP6_Solicit,
    "request": dhcp6.DHCP6_Request,
    "confirm": dhcp6.DHCP6_Confirm,
    "renew": dhcp6.DHCP6_Renew,
    "rebind": dhcp6.DHCP6_Rebind,
    "release": dhcp6.DHCP6_Release,
    "decline": dhcp6.DHCP6_Decline,
    "information-request": dhcp6.DHCP6_InfoRequest,
}
TO_ONE_SERVER = ("request", "renew", "release", "decline")

UUID = dhcp6.DUID_UUID(uuid="00112233-4455-6677-8899-aabbccddeeff") if hasattr(dhcp6, "DUID_UUID") else None
UUID_DUID = bytes((0, 4, *range(16)))


def v6_cluster(mode: DhcpMode = DhcpMode.FULL) -> Cluster:
    """Return the reference cluster with IPv6 beside IPv4: bs, m1 and w1 here, w2 behind a relay."""
    cluster = reference_cluster(dhcp=mode)
    here = Network(
        cidr=IPv6Network("2001:db8:0:10::/64"),
        server=SERVER,
        search=("ocp45.example.localdomain", "example.localdomain"),
        lease_seconds=3600,
    )
    far = replace(here, cidr=IPv6Network("2001:db8:0:20::/64"), search=(), lease_seconds=7200)
    addresses = {"bs": BS, "m1": M1, "w1": W1, "w2": IPv6Address("2001:db8:0:20::32")}
    hosts = tuple(
        replace(host, addresses=(*host.addresses, addresses[host.short_name])) if host.short_name in addresses else host
        for host in cluster.hosts
    )
    return replace(cluster, networks=(*cluster.networks, here, far), hosts=hosts)


def link_local(mac: str) -> str:
    """Return the link-local address that is made of *mac* (RFC 4291 appendix A)."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])))


def arrival(
    mac: str = BS_MAC,
    *,
    source: str = "",
    on: str = str(SERVER),
    source_port: int = 546,
    is_unicast: bool = False,
    seen: bytes | None = None,
) -> Arrival:
    """Return how a datagram of the machine with *mac* arrives at an interface that has the address *on*."""
    packed = IPv6Address(source or link_local(mac)).packed
    return Arrival("eth0", (int(IPv6Address(on)),), packed, source_port, is_unicast, seen)


def duid_ll(mac: str) -> Packet:
    """Return a DUID-LL."""
    return dhcp6.DUID_LL(lladdr=mac)


def ia_na(*addresses: str | IPv6Address, iaid: int = IAID) -> Packet:
    """Return an IA_NA that names *addresses*."""
    return dhcp6.DHCP6OptIA_NA(
        iaid=iaid, T1=0, T2=0, ianaopts=[dhcp6.DHCP6OptIAAddress(addr=str(address)) for address in addresses]
    )


FIRMWARE: Sequence[Packet] = (
    dhcp6.DHCP6OptOptReq(reqopts=[59, 60, 23]),
    dhcp6.DHCP6OptClientNetworkInterId(iitype=1, iimajor=3, iiminor=0),
    dhcp6.DHCP6OptClientArchType(archtypes=[7]),
    dhcp6.DHCP6OptVendorClass(
        enterprisenum=343, vcdata=[dhcp6.VENDOR_CLASS_DATA(data=b"PXEClient:Arch:00007:UNDI:003001")]
    ),
)
HTTP_BOOT: Sequence[Packet] = (
    dhcp6.DHCP6OptOptReq(reqopts=[59, 60, 23]),
    dhcp6.DHCP6OptClientArchType(archtypes=[16]),
    dhcp6.DHCP6OptVendorClass(
        enterprisenum=343, vcdata=[dhcp6.VENDOR_CLASS_DATA(data=b"HTTPClient:Arch:00016:UNDI:003001")]
    ),
)
IPXE: Sequence[Packet] = (
    dhcp6.DHCP6OptOptReq(reqopts=[23, 24, 59, 60, 56]),
    dhcp6.DHCP6OptUserClass(userclassdata=[dhcp6.USER_CLASS_DATA(data=b"iPXE")]),
    dhcp6.DHCP6OptVendorClass(
        enterprisenum=10, vcdata=[dhcp6.VENDOR_CLASS_DATA(data=b"PXEClient:Arch:00007:UNDI:003010")]
    ),
    dhcp6.DHCP6OptClientArchType(archtypes=[7]),
)
SYSTEM: Sequence[Packet] = (dhcp6.DHCP6OptOptReq(reqopts=[23, 24, 56, 31, 39]),)


def request(
    message: str,
    *options: Packet,
    mac: str = BS_MAC,
    client_id: Packet | bytes | None = None,
    server_id: bytes | None = None,
    xid: int = XID,
) -> bytes:
    """Return a message with a client identifier made of *mac*, unless *client_id* says otherwise."""
    parts = MESSAGES[message](trid=xid)
    parts /= dhcp6.DHCP6OptClientId(duid=client_id if client_id is not None else duid_ll(mac))
    if server_id is not None:
        parts /= dhcp6.DHCP6OptServerId(duid=server_id)
    parts /= dhcp6.DHCP6OptElapsedTime(elapsedtime=0)
    for option in options:
        parts /= option
    return bytes(parts)


def relayed(message: bytes, *options: Packet, link: str = FAR_RELAY, peer: str = "", hops: int = 0) -> bytes:
    """Return *message* as a relay forwards it, which had it from *peer*."""
    parts = dhcp6.DHCP6_RelayForward(hopcount=hops, linkaddr=link, peeraddr=peer or link_local(BS_MAC))
    for option in options:
        parts /= option
    return bytes(parts) + b"\0\x09" + len(message).to_bytes(2, "big") + message


@dataclass(frozen=True)
class Read:
    """A reply, parsed by scapy."""

    packet: Packet

    def option(self, kind: type[Packet]) -> Packet:
        """Return the first option of *kind*."""
        found = self.packet.getlayer(kind)
        assert found is not None, self.packet.show(dump=True)
        return found

    def has(self, kind: type[Packet]) -> bool:
        """Whether there is an option of *kind*."""
        return self.packet.getlayer(kind) is not None

    def options(self, kind: type[Packet]) -> list[Packet]:
        """Return all options of *kind* that are not inside another."""
        found, layer = [], self.packet
        while layer:
            if isinstance(layer, kind):
                found.append(layer)
            layer = layer.payload
        return found

    @property
    def addresses(self) -> list[tuple[str, int, int]]:
        """The addresses in all IA_NAs, each with its preferred and its valid lifetime."""
        return [
            (inner.addr, inner.preflft, inner.validlft)
            for ia in self.options(dhcp6.DHCP6OptIA_NA)
            for inner in ia.ianaopts
            if isinstance(inner, dhcp6.DHCP6OptIAAddress)
        ]

    @property
    def boot_url(self) -> str:
        """The URL of the boot file; "" without one."""
        found = self.packet.getlayer(dhcp6.DHCP6OptBootFileUrl)
        return found.optdata.decode() if found else ""


def read(payload: bytes) -> Read:
    """Parse a reply that went through no relay."""
    kinds = {2: dhcp6.DHCP6_Advertise, 7: dhcp6.DHCP6_Reply}
    return Read(kinds[payload[0]](payload))


def ask(
    table: Dhcp6Table,
    datagram: bytes,
    where: Arrival | None = None,
    installations: Mapping[str, Installation] | None = None,
) -> Reply:
    """Return the reply to *datagram*; fail if there is none."""
    result = answer(table, datagram, where or arrival(), installations or {})
    assert isinstance(result, Reply), result
    return result


def silence(table: Dhcp6Table, datagram: bytes, where: Arrival | None = None) -> Silence:
    """Return why *datagram* gets no reply; fail if it gets one."""
    result = answer(table, datagram, where or arrival(), {})
    assert isinstance(result, Silence), result
    return result
