"""The workload that all contestants share: a cluster of any size, its zones, and the queries."""

import random
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from tests.bench.lab import LOAD, PREFIX, SERVER

A, PTR, AAAA = 1, 12, 28  # RFC 1035 section 3.2.2, RFC 3596
DOMAIN = "ocp45.example.localdomain"
ZONE = "example.localdomain"
FIRST_HOST = IPv4Address("172.16.1.1")
REVERSE_ZONES = tuple(f"{third}.16.172.in-addr.arpa" for third in range(16))


class Host:
    """A host with a reserved address."""

    def __init__(self, number: int) -> None:
        self.name = f"n{number}"
        self.fqdn = f"{self.name}.{DOMAIN}"
        self.address = str(FIRST_HOST + number)
        self.mac = f"00:50:56:96:{number >> 8:02x}:{number & 255:02x}"
        self.role = "bootstrap" if number == 0 else "master" if number <= 3 else "worker"

    @property
    def reverse_name(self) -> str:
        """The owner name of its PTR record."""
        return IPv4Address(self.address).reverse_pointer


def hosts(count: int) -> list[Host]:
    """Return *count* hosts: a bootstrap, three masters, the rest workers."""
    return [Host(number) for number in range(count)]


def cluster_yaml(fleet: list[Host], data_dir: Path) -> str:
    """Return cluster.yaml for *fleet*: the data of the reference cluster, in a /20."""
    listed = "".join(
        f"""
- hostname: {host.name}
  role: {host.role}
  macAddress: {host.mac}
  address: {host.address}"""
        for host in fleet
    )
    return f"""baseDomain: example.localdomain
metadata:
  name: ocp45
release: "4.5.6"
appliance:
  hostname: bastion
  address: {SERVER}
networking:
  machineNetwork:
  - cidr: 172.16.0.0/{PREFIX}
    gateway: {LOAD}
  clusterNetwork:
  - cidr: 10.128.0.0/14
    hostPrefix: 23
  serviceNetwork:
  - 172.30.0.0/16
apiVIPs: [172.16.0.111]
apiInternalVIPs: [172.16.0.110]
ingressVIPs: [172.16.0.111]
dns:
  zone: {ZONE}
dhcp:
  leaseTime: 7d
holdUntil:
  worker: none
dataDir: {data_dir}
images:
  kernel: kernel
  initramfs: initramfs
  metal: metal.raw.gz
hosts:{listed}
"""


def zone_files(fleet: list[Host], directory: Path) -> dict[str, Path]:
    """Write the same data as zone files for the peers; return zone → path."""
    head = (
        "$TTL 3600\n@ SOA ns1.example.localdomain. root.example.localdomain. 2000091802 3600 900 3600000 3600\n"
        "@ NS ns1.example.localdomain.\n"
    )
    forward = head + f"ns1 A {SERVER}\nbastion A {SERVER}\n"
    forward += "api.ocp45 A 172.16.0.111\napi-int.ocp45 A 172.16.0.110\n*.apps.ocp45 A 172.16.0.111\n"
    forward += "".join(f"{host.name}.ocp45 A {host.address}\n" for host in fleet)
    zones = {ZONE: forward} | dict.fromkeys(REVERSE_ZONES, head)
    for host in fleet:
        label, _, zone = host.reverse_name.partition(".")
        zones[zone] += f"{label} PTR {host.fqdn}.\n"
    written = {}
    for zone, text in zones.items():
        written[zone] = directory / f"{zone}.zone"
        written[zone].write_text(text)
    return written


def questions(fleet: list[Host], count: int = 20000, seed: int = 4) -> Iterator[bytes]:
    """Yield the query mix: 75 % existing names; the rest wildcard names, PTR, NXDOMAIN and NODATA; 10 % with EDNS."""
    dice = random.Random(seed)
    for number in range(count):
        host = dice.choice(fleet)
        kind = dice.random()
        if kind < 0.75:
            name, rdtype = dice.choice([host.fqdn, host.fqdn, f"api.{DOMAIN}", f"api-int.{DOMAIN}"]), A
        elif kind < 0.8125:
            name, rdtype = f"app{dice.randrange(200)}.apps.{DOMAIN}", A
        elif kind < 0.875:
            name, rdtype = host.reverse_name, PTR
        elif kind < 0.9375:
            name, rdtype = f"missing{dice.randrange(200)}.{DOMAIN}", A
        else:
            name, rdtype = host.fqdn, AAAA
        yield query(name, rdtype, use_edns=number % 10 == 0)


def fresh_questions(kind: str, count: int = 400_000, seed: int = 5) -> Iterator[bytes]:
    """Yield queries for names never asked before: below the wildcard, or not existing."""
    dice = random.Random(seed)
    for _ in range(count):
        label = f"{dice.getrandbits(64):016x}"
        yield query(f"{label}.apps.{DOMAIN}" if kind == "wildcard" else f"{label}.{DOMAIN}", A)


def write_binary(messages: Iterator[bytes], path: Path) -> Path:
    """Write *messages* for dnsperf -B: each after its length, as over TCP."""
    with path.open("wb") as out:
        for wire in messages:
            out.write(struct.pack("!H", len(wire)) + wire)
    return path


def query(name: str, rdtype: int, *, use_edns: bool = False) -> bytes:
    """Return a query in wire form, with id 0."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    opt = struct.pack("!BHHIH", 0, 41, 1232, 0, 0) if use_edns else b""
    # RD is set, as stub resolvers do; the load tool fills in the id.
    return struct.pack("!6H", 0, 0x0100, 1, 0, 0, len(opt) and 1) + labels + struct.pack("!BHH", 0, rdtype, 1) + opt
