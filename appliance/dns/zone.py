"""The zones that follow from the clusters, as text: names, records, and the master file of each.

Names are lower case, fully qualified and without the trailing dot. Values are
RDATA as a master file has it (RFC 1035 section 5), names in them like all names.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.model import Cluster, DnsSettings, NameServer, Record, Role

ETCD_TTL = 86400  # seconds; what OpenShift's manual for 4.1 to 4.3 gives the SRV records

# Which words of a value are names, and take a trailing dot in a master file.
_NAME_WORDS = {"CNAME": (0,), "NS": (0,), "PTR": (0,), "MX": (1,), "SRV": (3,), "SOA": (0, 1)}

_CHARACTER_STRING = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>(?:[^\s"\\]|\\.)+)', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)

# Reverse zones of private and special addresses: asking the outside world about
# them tells it our addresses, and gets no answer (RFC 6303 section 4, RFC 7793).
LOCAL_ZONES = (
    "10.in-addr.arpa",
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    "168.192.in-addr.arpa",
    *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    IPv6Address("::").reverse_pointer,
    IPv6Address("::1").reverse_pointer,
    "d.f.ip6.arpa",
    *(f"{nibble}.e.f.ip6.arpa" for nibble in "89ab"),
    "8.b.d.0.1.0.0.2.ip6.arpa",
)


@dataclass(frozen=True, slots=True)
class Rrset:
    """All records of one name and type."""

    name: str
    type: str
    ttl: int  # seconds; one for the whole set (RFC 2181 section 5.2)
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Soa:
    """A zone's SOA record but for its serial; times in seconds."""

    primary: str
    mailbox: str
    ttl: int
    refresh: int
    retry: int
    expire: int
    minimum: int

    def rrset(self, apex: str, serial: int) -> Rrset:
        """Return the record."""
        times = f"{self.refresh} {self.retry} {self.expire} {self.minimum}"
        return Rrset(apex, "SOA", self.ttl, (f"{self.primary} {self.mailbox} {serial} {times}",))

    @property
    def negative_ttl(self) -> int:
        """How long a negative answer may be kept (RFC 2308 section 3)."""
        return min(self.ttl, self.minimum)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of ours, with everything but its serial."""

    name: str
    soa: Soa
    rrsets: Mapping[str, Mapping[str, Rrset]]  # by name, then type

    @property
    def digest(self) -> str:
        """A hash of the content, in hex: the order of records is no part of it."""
        return hashlib.sha256("\n".join(sorted(self.text(0).splitlines())).encode()).hexdigest()

    def text(self, serial: int) -> str:
        """Return the zone as a master file (RFC 1035 section 5)."""
        lines = [f"$ORIGIN {self.name}.", f"$TTL {self.soa.ttl}", *_lines(self.name, self.soa.rrset(self.name, serial))]
        for name in sorted(self.rrsets, key=_canonical_order):
            for rrset in self.rrsets[name].values():
                lines.extend(_lines(self.name, rrset))
        return "\n".join(lines) + "\n"


def character_strings(value: str) -> Iterator[bytes]:
    """Yield the strings of a TXT record's value: quoted or not, with \\X and \\DDD escapes (RFC 1035 section 5.1)."""
    for match in _CHARACTER_STRING.finditer(value):
        text = match["quoted"] if match["quoted"] is not None else match["bare"]
        yield _ESCAPE.sub(_unescaped, text.encode())


def local_zones(own: Iterable[str]) -> tuple[Zone, ...]:
    """Return the empty zones that keep questions about private addresses here, but for those in *own* (RFC 6303)."""
    taken = set(own)
    return tuple(_local_zone(name, taken) for name in LOCAL_ZONES if name not in taken)


def zones_of(clusters: Iterable[Cluster]) -> tuple[Zone, ...]:
    """Return the forward and reverse zones of *clusters*; one that several clusters name is one zone.

    A zone below another of ours is delegated from it, so that the names between
    the two exist and a copy of the parent elsewhere leads here.
    """
    clusters = tuple(clusters)
    owners = _apexes(clusters)
    contents: dict[str, dict[str, dict[str, Rrset]]] = {apex: {} for apex in owners}
    for record in _records(clusters):
        apex = apex_of(record.name, owners)
        if apex is not None:
            _add(contents[apex], record)
    for apex, settings in owners.items():
        servers = [Record(apex, "NS", settings[0].ttl, server.name) for server in _name_servers(settings)]
        parent = apex_of(parent_of(apex), owners)
        for server in servers:
            _add(contents[apex], server)
            if parent is not None:
                _add(contents[parent], server)
    return tuple(Zone(apex, _soa(settings[0]), contents[apex]) for apex, settings in owners.items())


def apex_of(name: str, apexes: Mapping[str, object]) -> str | None:
    """Return the deepest of *apexes* at or above *name*, or None."""
    while name:
        if name in apexes:
            return name
        name = parent_of(name)
    return None


def parent_of(name: str) -> str:
    """Return *name* without its first label; "" above the last."""
    return name.partition(".")[2]


def reverse_apexes(network: IPv4Network | IPv6Network) -> Iterator[str]:
    """Yield the reverse zones on octets (IPv4) or nibbles (IPv6) that together hold *network*.

    A prefix between two octets takes several zones: a /20 sixteen of /24. One past
    the last octet but one takes the /24 around it.
    """
    if isinstance(network, IPv4Network):
        bits, last = 8, 24
    else:
        bits, last = 4, 124
    if network.prefixlen > last and network.prefixlen < network.max_prefixlen:
        network = network.supernet(new_prefix=last)
    prefix = -(-network.prefixlen // bits) * bits
    labels_cut = (network.max_prefixlen - prefix) // bits
    for subnet in network.subnets(new_prefix=prefix):
        yield subnet.network_address.reverse_pointer.split(".", labels_cut)[labels_cut]


def classless_apex(network: IPv4Network) -> str:
    """Return the name of the reverse zone of a network smaller than /24, as 64/26.2.0.192.in-addr.arpa (RFC 2317)."""
    first, above = network.network_address.reverse_pointer.split(".", 1)
    return f"{first}/{network.prefixlen}.{above}"


def _apexes(clusters: tuple[Cluster, ...]) -> dict[str, list[DnsSettings]]:
    """Return each zone's name, and the settings of the clusters that it belongs to."""
    owners: dict[str, list[DnsSettings]] = {}
    for cluster in clusters:
        apexes = [cluster.dns.zone]
        networks: list[IPv4Network | IPv6Network] = [network.cidr for network in cluster.networks]
        for network in (*networks, *cluster.networks6):
            apexes.extend(reverse_apexes(network))
        apexes.extend(classless_apex(network) for network in _classless(cluster))
        for apex in dict.fromkeys(apexes):
            owners.setdefault(apex, []).append(cluster.dns)
    for cluster in clusters:
        for pointer in _pointers((cluster,)):
            # An address outside every network has a zone of its own, so that its neighbours stay whose they are.
            if apex_of(pointer, owners) is None:
                owners[pointer] = [cluster.dns]
    return owners


def _records(clusters: tuple[Cluster, ...]) -> Iterator[Record]:
    """Yield everything but SOA and NS, as it shall stand in whichever zone holds its name."""
    classless = {
        address.reverse_pointer: f"{int(address) & 0xFF}.{classless_apex(network)}"
        for cluster in clusters
        for network in _classless(cluster)
        for address in network
    }
    for pointer, records in _pointers(clusters).items():
        if pointer in classless:
            yield Record(pointer, "CNAME", records[0].ttl, classless[pointer])
        for record in records:
            yield Record(classless.get(pointer, pointer), "PTR", record.ttl, record.value)
    for cluster in clusters:
        yield from _forward_records(cluster)


def _forward_records(cluster: Cluster) -> Iterator[Record]:
    ttl = cluster.dns.ttl
    domain = cluster.domain
    named: list[tuple[str, IPv4Address | IPv6Address]] = [
        (server.name, server.address) for server in cluster.dns.name_servers if server.address is not None
    ]
    named += ((cluster.appliance_name, address) for address in _appliance_addresses(cluster))
    for name, vips in (
        (f"api.{domain}", cluster.api_vips),
        (f"api-int.{domain}", cluster.api_int_vips),
        (f"*.apps.{domain}", cluster.ingress_vips),
    ):
        named += ((name, address) for address in vips)
    for host in cluster.hosts:
        named += ((host.name, address) for address in (host.address, host.address6) if address is not None)
    for name, address in named:
        yield Record(name, "A" if address.version == 4 else "AAAA", ttl, str(address))
    if cluster.release.needs_etcd_records:
        masters = (host for host in cluster.hosts if host.role is Role.MASTER)
        for index, master in enumerate(masters):
            member = f"etcd-{index}.{domain}"
            yield Record(member, "A", ttl, str(master.address))
            yield Record(f"_etcd-server-ssl._tcp.{domain}", "SRV", ETCD_TTL, f"0 10 2380 {member}")
    yield from (record for record in cluster.dns.records if record.type != "PTR")


def _pointers(clusters: tuple[Cluster, ...]) -> dict[str, list[Record]]:
    """Return the PTR records by their names.

    A node's address has its own name and no other: a node that is told a second
    one, as api, may take that for its hostname.
    """
    nodes = {
        address.reverse_pointer: Record(address.reverse_pointer, "PTR", cluster.dns.ttl, host.name)
        for cluster in clusters
        for host in cluster.hosts
        for address in (host.address, host.address6)
        if address is not None
    }
    pointers = {name: [record] for name, record in nodes.items()}
    for cluster in clusters:
        ttl = cluster.dns.ttl
        others: list[tuple[IPv4Address | IPv6Address, str]] = []
        others += [(address, cluster.appliance_name) for address in _appliance_addresses(cluster)]
        others += [(server.address, server.name) for server in cluster.dns.name_servers if server.address is not None]
        others += [(address, f"api.{cluster.domain}") for address in cluster.api_vips]
        others += [(address, f"api-int.{cluster.domain}") for address in cluster.api_int_vips]
        records = [Record(address.reverse_pointer, "PTR", ttl, name) for address, name in others]
        for record in (*records, *(record for record in cluster.dns.records if record.type == "PTR")):
            if record.name not in nodes:
                pointers.setdefault(record.name, []).append(record)
    return pointers


def _appliance_addresses(cluster: Cluster) -> tuple[IPv4Address, ...]:
    return tuple(dict.fromkeys((cluster.address, *(network.server for network in cluster.networks))))


def _classless(cluster: Cluster) -> tuple[IPv4Network, ...]:
    """Return the networks whose reverse zone is named as RFC 2317 does."""
    if not cluster.dns.rfc2317:
        return ()
    return tuple(network.cidr for network in cluster.networks if 24 < network.cidr.prefixlen < 32)


def _name_servers(settings: Iterable[DnsSettings]) -> tuple[NameServer, ...]:
    return tuple({server.name: server for one in settings for server in one.name_servers}.values())


def _soa(settings: DnsSettings) -> Soa:
    return Soa(
        primary=settings.name_servers[0].name,
        mailbox=settings.mailbox,
        ttl=settings.ttl,
        refresh=settings.refresh,
        retry=settings.retry,
        expire=settings.expire,
        minimum=settings.minimum,
    )


def _local_zone(name: str, own: set[str]) -> Zone:
    rrsets: dict[str, dict[str, Rrset]] = {}
    for apex in (name, *(apex for apex in own if apex.endswith("." + name))):
        _add(rrsets, Record(apex, "NS", 10800, name))
    # The values of RFC 6303 section 3.
    return Zone(name, Soa(name, "nobody.invalid", 10800, 3600, 1200, 604800, 10800), rrsets)


def _add(rrsets: dict[str, dict[str, Rrset]], record: Record) -> None:
    by_type = rrsets.setdefault(record.name, {})
    before = by_type.get(record.type)
    if before is None:
        by_type[record.type] = Rrset(record.name, record.type, record.ttl, (record.value,))
    elif record.value not in before.values:
        ttl = min(before.ttl, record.ttl)
        by_type[record.type] = Rrset(record.name, record.type, ttl, (*before.values, record.value))


def _canonical_order(name: str) -> tuple[str, ...]:
    return tuple(reversed(name.split(".")))


def _lines(apex: str, rrset: Rrset) -> Iterator[str]:
    owner = "@" if rrset.name == apex else rrset.name.removesuffix("." + apex)
    for value in rrset.values:
        yield f"{owner} {rrset.ttl} IN {rrset.type} {_with_dots(rrset.type, value)}"


def _with_dots(record_type: str, value: str) -> str:
    places = _NAME_WORDS.get(record_type)
    if places is None:
        return value
    words = value.split()
    for place in places:
        words[place] += "."
    return " ".join(words)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([int(escaped) & 0xFF]) if len(escaped) == 3 else escaped
