"""How much longer than its query a reply over UDP can be, to a client whose address may be forged."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from appliance.config import load
from appliance.dns.compile import DnsTable
from appliance.dns.message import Rcode, wire_name
from appliance.dns.protocol import Watched, answer
from appliance.model import Record
from appliance.share import share
from tests.dns_cases import forwarding_cluster, table

EXAMPLES = sorted(share("data").glob("*/cluster.yaml"))
# A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DS, DNSKEY, ANY
TYPES = (1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 48, 255)
MOST = 7
STRANGER = "233.252.0.99"  # in no network of the examples


def replies(found: DnsTable, names: Iterable[bytes], *, payload: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each query for one of *names* over UDP with the reply to it; without EDNS if *payload* is 0."""
    opt = b"\0\0\x29" + payload.to_bytes(2) + bytes(6) if payload else b""
    for name, kind, desired in itertools.product(names, TYPES, (0, 1)):
        head = bytes([0, 0, desired, 0, 0, 1, 0, 0, 0, 0, 0, bool(opt)])
        wire = head + name + kind.to_bytes(2) + b"\0\1" + opt
        reply = answer(found, wire, STRANGER)
        reply = reply.reply if isinstance(reply, Watched) else reply
        assert isinstance(reply, bytes)
        yield wire, reply


@pytest.mark.parametrize("payload", [0, 4096])
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_reply_is_at_most_seven_times_as_long_as_its_query(file: Path, payload: int) -> None:
    found = table(*load([file]))
    names = [*found.nodes, *(b"\1x" + name for name in found.nodes)]
    worst = max(replies(found, names, payload=payload), key=lambda pair: len(pair[1]) / len(pair[0]))
    assert len(worst[1]) <= MOST * len(worst[0])


@pytest.mark.parametrize(("payload", "most"), [(0, 512), (4096, 1232)])
def test_reply_with_many_records_has_a_bound(payload: int, most: int) -> None:
    records = tuple(Record("many.example.localdomain", "TXT", 60, f'"{index:0>200}"') for index in range(20))
    found = table(forwarding_cluster(records=records))
    pairs = replies(found, [wire_name("many.example.localdomain")], payload=payload)
    assert max(len(reply) for _, reply in pairs) <= most


POINTER = b"\xc0\x0c"  # to the name of the question
LONG = wire_name(".".join(["x" * 62] * 4)[:250])


@pytest.mark.parametrize("question", [wire_name("quay.io"), LONG])
@pytest.mark.parametrize("owner", [wire_name("key"), POINTER])
@pytest.mark.parametrize("algorithm", [wire_name("hmac-sha256"), POINTER])
@pytest.mark.parametrize(("mac", "payload"), [(b"", 0), (bytes(32), 4096), (bytes(600), 0)])
def test_refusal_of_a_signed_query_is_no_longer_than_it_and_fits_in_any_datagram(
    question: bytes, owner: bytes, algorithm: bytes, mac: bytes, payload: int
) -> None:
    data = algorithm + bytes(8) + len(mac).to_bytes(2) + mac + bytes(6)
    signature = owner + b"\0\xfa\0\xff" + bytes(4) + len(data).to_bytes(2) + data
    opt = b"\0\0\x29" + payload.to_bytes(2) + bytes(6) if payload else b""
    head = bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 + bool(opt)])
    wire = head + question + b"\0\1\0\1" + opt + signature
    reply = answer(table(), wire, STRANGER)
    assert isinstance(reply, bytes)
    assert reply[3] & 0xF == Rcode.NOTAUTH
    assert len(reply) <= min(len(wire), 512)


@pytest.mark.parametrize("name", ["quay.io", ""])
def test_refusal_is_no_longer_than_its_query(name: str) -> None:
    assert all(len(reply) <= len(wire) for wire, reply in replies(table(), [wire_name(name)], payload=0))
