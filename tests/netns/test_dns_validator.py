"""A client that checks signatures: delv reaches names of ours through the appliance, below a signed zone in BIND."""

import asyncio
import shutil
import subprocess
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class SignedZone(Zone):
    """A zone whose master file is signed already."""

    signed: str

    def text(self, serial: int) -> str:
        """Return the signed master file, whose serial is SERIAL."""
        assert serial == SERIAL
        return self.signed


def parent_zone() -> Zone:
    """Return the zone above that of the cluster, with an insecure delegation to it."""
    ns = f"ns.{PARENT}"
    rrsets = {
        PARENT: {"NS": Rrset(PARENT, "NS", 300, (ns,))},
        ns: {"A": Rrset(ns, "A", 300, ("127.0.0.1",))},
        APEX: {"NS": Rrset(APEX, "NS", 300, (f"ns1.{APEX}",))},
        f"ns1.{APEX}": {"A": Rrset(f"ns1.{APEX}", "A", 300, ("172.16.0.102",))},
    }
    return Zone(PARENT, Soa(ns, f"root.{PARENT}", 300, 3600, 900, 86400, 300), rrsets)


def signed(zone: Zone, folder: Path) -> tuple[SignedZone, Path]:
    """Return *zone* signed, and the file of its trust anchor for delv."""
    plain, result, anchors = folder / "plain", folder / "signed", folder / "anchors"
    plain.write_text(zone.text(SERIAL))
    keygen = ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", folder, zone.name]
    key = subprocess.check_output(keygen, text=True).strip()
    signing = [
        "dnssec-signzone",
        "-q",
        "-S",
        "-z",
        "-P",
        "-K",
        folder,
        "-d",
        folder,
        "-o",
        zone.name,
        "-f",
        result,
        plain,
    ]
    subprocess.run(signing, check=True, capture_output=True)
    words = (folder / f"{key}.key").read_text().splitlines()[-1].split()
    flags, protocol, algorithm, *parts = words[words.index("DNSKEY") + 1 :]
    anchors.write_text(
        f'trust-anchors {{ {zone.name}. static-key {flags} {protocol} {algorithm} "{"".join(parts)}"; }};\n'
    )
    return SignedZone(zone.name, zone.soa, zone.rrsets, result.read_text()), anchors


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
    parent, anchors = signed(parent_zone(), tmp_path)
    with bind(tmp_path, (parent,), SERIAL) as port:
        async with serving(cluster(port)) as served:
            said = await delv(served.port, anchors, "m1.ocp45.example.localdomain")
    assert ("; unsigned answer" in said, "172.16.0.21" in said) == (True, True), said
