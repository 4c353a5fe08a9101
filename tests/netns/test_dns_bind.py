"""The appliance's answers and BIND's for the same zones: every name and type, with and without RD."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import dns.message
import pytest

from appliance.dns.contents import zones_of
from appliance.dns.protocol import answer
from appliance.dns.tree import Tree
from appliance.dns.zone import Zone
from appliance.model import Cluster, Endpoint
from tests.clusters import reference_cluster
from tests.dns_bind import ask, bind, comparable
from tests.dns_cases import OUTSIDER, SERIAL, query, rich_cluster, table

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed (package bind9)")

TYPES = ("A", "AAAA", "NS", "SOA", "CNAME", "MX", "TXT", "SRV", "PTR", "DS", "DNSKEY", "HTTPS", "CAA", "TYPE65280")
CLUSTERS = {"reference": reference_cluster, "rich": rich_cluster}


def names_to_ask(zones: tuple[Zone, ...]) -> Iterator[str]:
    """Yield every name that exists, and names below each that may not exist, at two depths and in mixed case."""
    for name in Tree(zones, {zone.name: SERIAL for zone in zones}).names:
        yield name
        yield f"Nowhere.{name}"
        yield f"a.deeper.{name}".upper()


@pytest.fixture(scope="module", params=list(CLUSTERS))
def cluster(request: pytest.FixtureRequest) -> Cluster:
    cluster = CLUSTERS[request.param]()
    # With forwarders, so that both servers set RA.
    forwarders = (Endpoint(IPv4Address("127.0.0.1"), 9),)
    return replace(cluster, dns=replace(cluster.dns, forwarders=forwarders, is_isolated=False))


@pytest.fixture(scope="module")
def bind_port(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with bind(tmp_path_factory.mktemp("bind"), zones_of((cluster,)), SERIAL) as port:
        yield port


def is_meant_to_differ(name: str, kind: str, expected: tuple[object, ...], recursion_desired: bool) -> bool:
    # The appliance forwards queries for names outside its zones; this BIND cannot, and refers to the root servers.
    # A DS record belongs to the parent zone, which is outside for the topmost zones.
    if name.lower().startswith("out.") or kind == "DS":
        return True
    # Without recursion BIND does not follow a CNAME into another zone, although RFC 1034 section 4.3.2 says so.
    return not recursion_desired and "64/26" in str(expected[2])


@pytest.mark.parametrize("recursion_desired", [False, True], ids=["iterative", "recursive"])
def test_every_section_of_every_answer_equals_binds(cluster: Cluster, bind_port: int, recursion_desired: bool) -> None:
    ours = table(cluster)
    differences = []
    for name in names_to_ask(zones_of((cluster,))):
        for kind in TYPES:
            wire = query(name, kind, recursion_desired=recursion_desired, edns=True)
            reply = answer(ours, wire, OUTSIDER)
            assert isinstance(reply, bytes)
            expected = comparable(ask(bind_port, wire))
            found = comparable(dns.message.from_wire(reply))
            if found != expected and not is_meant_to_differ(name, kind, expected, recursion_desired):
                differences.append(f"{name} {kind}: BIND {expected}, we {found}")
    assert not differences, "\n".join(differences[:9])
