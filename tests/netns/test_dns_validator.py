"""A client that checks signatures: delv reaches names of ours through the appliance, below a signed zone in BIND."""

import asyncio
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.dns.zone import Rrset, Soa, Zone
from appliance.model import Cluster, Endpoint
from tests.dns_bind import bind
from tests.dns_cases import SERIAL, forwarding_cluster
from tests.dns_serving import serving

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("named", "delv", "dnssec-signzone")),
    reason="BIND is not installed (packages bind9, bind9-dnsutils, bind9-utils)",
)

PARENT = "localdomain"
APEX = "example.localdomain"


class SignedZone(Zone):
    """A zone whose master file is signed already."""

    signed: str

    def text(self, serial: int) -> str:
        """Return the master file."""
        return SIGNED[self.name] if self.name in SIGNED else super().text(serial)


SIGNED: dict[str, str] = {}


def parent_zone() -> Zone:
    """Return the zone above that of the cluster, with an insecure delegation to it."""
    ns = f"ns.{PARENT}"
    rrsets = {
        PARENT: {"NS": Rrset(PARENT, "NS", 300, (ns,))},
        ns: {"A": Rrset(ns, "A", 300, ("127.0.0.1",))},
        APEX: {"NS": Rrset(APEX, "NS", 300, ("ns1.example.localdomain",))},
        "ns1.example.localdomain": {"A": Rrset("ns1.example.localdomain", "A", 300, ("172.16.0.102",))},
    }
    return SignedZone(PARENT, Soa(ns, f"root.{PARENT}", 300, 3600, 900, 86400, 300), rrsets)


def sign(zone: Zone, folder: Path) -> str:
    """Sign *zone*; return the trust anchor, as delv reads it."""
    (folder / "plain").write_text(zone.text(SERIAL))
    key = subprocess.check_output(
        ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", folder, zone.name], text=True
    ).strip()
    subprocess.run(
        [
            "dnssec-signzone",
            "-q",
            "-S",
            "-z",
            "-P",
            "-K",
            folder,
            "-o",
            zone.name,
            "-f",
            folder / "signed",
            folder / "plain",
        ],
        check=True,
        capture_output=True,
    )
    SIGNED[zone.name] = (folder / "signed").read_text()
    record = (folder / f"{key}.key").read_text().splitlines()[-1].split()
    at = record.index("DNSKEY")
    flags, protocol, algorithm = record[at + 1 : at + 4]
    return (
        f'trust-anchors {{ {zone.name}. static-key {flags} {protocol} {algorithm} "{"".join(record[at + 4 :])}"; }};\n'
    )


async def delv(port: int, anchors: Path, name: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("delv", "@127.0.0.1", "-p", str(port), "-a", str(anchors), f"+root={PARENT}", "+nomultiline", name, "A"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


def cluster(forwarder_port: int) -> Cluster:
    found = forwarding_cluster(Endpoint(IPv4Address("127.0.0.1"), forwarder_port))
    return replace(found, dns=replace(found.dns, zone=APEX))


async def test_name_of_ours_is_proven_insecure_and_not_bogus(tmp_path: Path) -> None:
    parent = parent_zone()
    (tmp_path / "anchors").write_text(sign(parent, tmp_path))
    with bind(tmp_path, (parent,), SERIAL) as port:
        async with serving(cluster(port)) as served:
            said = await delv(served.port, tmp_path / "anchors", "m1.ocp45.example.localdomain")
    assert ("; unsigned answer" in said, "172.16.0.21" in said) == (True, True), said
