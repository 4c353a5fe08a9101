"""How much longer than its query a reply over UDP can be, to a client whose address may be forged."""

from pathlib import Path

import pytest

from appliance.config import load
from appliance.dns.compile import DnsTable
from appliance.dns.message import text_name
from appliance.dns.protocol import Watched, answer
from appliance.model import Record
from appliance.share import share
from tests.dns_cases import forwarding_cluster, query, table

EXAMPLES = sorted(share("data").glob("*/cluster.yaml"))
TYPES = ("A", "AAAA", "NS", "SOA", "ANY", "MX", "TXT", "SRV", "PTR", "DS", "DNSKEY")
MOST = 7
STRANGER = "233.252.0.99"  # in no network of the examples


def replies(found: DnsTable, names: list[str], *, payload: int) -> list[tuple[bytes, bytes]]:
    """Return each query for one of *names* over UDP with the reply to it."""
    pairs = []
    for name in names:
        for kind in TYPES:
            for desired in (False, True):
                wire = query(name, kind, recursion_desired=desired, edns=payload > 0, payload=payload or 512)
                reply = answer(found, wire, STRANGER)
                reply = reply.reply if isinstance(reply, Watched) else reply
                assert isinstance(reply, bytes)
                pairs.append((wire, reply))
    return pairs


@pytest.mark.parametrize("payload", [0, 4096])
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_reply_is_at_most_seven_times_as_long_as_its_query(file: Path, payload: int) -> None:
    found = table(*load([file]))
    names = [text_name(name) for name in found.nodes]
    names += [f"x.{name}" for name in names]
    worst = max(replies(found, names, payload=payload), key=lambda pair: len(pair[1]) / len(pair[0]))
    assert len(worst[1]) <= MOST * len(worst[0])


@pytest.mark.parametrize(("payload", "most"), [(0, 512), (4096, 1232)])
def test_reply_with_many_records_has_a_bound(payload: int, most: int) -> None:
    records = tuple(Record("many.example.localdomain", "TXT", 60, f'"{index:0>200}"') for index in range(20))
    found = table(forwarding_cluster(records=records))
    pairs = replies(found, ["many.example.localdomain"], payload=payload)
    assert max(len(reply) for _, reply in pairs) <= most


@pytest.mark.parametrize("name", ["quay.io", "."])
def test_refusal_is_no_longer_than_its_query(name: str) -> None:
    assert all(len(reply) <= len(wire) for wire, reply in replies(table(), [name], payload=0))
