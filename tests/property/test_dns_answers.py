"""Properties of all queries: both paths give the same reply, and dnspython and dnslib can read it."""

from ipaddress import IPv4Address

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dnslib
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dns.message import expanded_name, text_name, wire_name
from appliance.dns.protocol import Forward, answer, own_answer
from appliance.model import Endpoint
from tests.clusters import reference_cluster
from tests.dns_cases import NODE, OUTSIDER, dividing_cluster, forwarding_cluster, query, rich_cluster, table

TABLES = (
    table(rich_cluster()),
    table(forwarding_cluster(Endpoint(IPv4Address("192.0.2.53"), 53))),
    table(dividing_cluster(Endpoint(IPv4Address("192.0.2.53"), 53))),
    table(reference_cluster()),
)
OUR_NAMES = sorted(TABLES[0].nodes.keys() | TABLES[2].nodes.keys())

label = st.one_of(
    st.sampled_from([b"*", b"apps", b"m1", b"_tcp", b"ocp45", b"example", b"arpa", b"ARPA", b"a\0b", b"\xc0\x0c"]),
    st.binary(min_size=1, max_size=63),
)
prefix = st.lists(label, max_size=6).map(lambda labels: b"".join(bytes([len(each)]) + each for each in labels))
suffix = st.one_of(st.sampled_from(OUR_NAMES), st.just(b"\0"))
name = st.builds(
    lambda before, after, upper: before + (after.upper() if upper else after), prefix, suffix, st.booleans()
)
kind = st.one_of(st.sampled_from([1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 65, 249, 252, 255]), st.integers(0, 65535))
opt = st.one_of(
    st.just(b""),
    st.builds(
        lambda size, version, flags, options: (
            b"\0\0\x29" + size.to_bytes(2) + bytes([0, version, flags, 0]) + len(options).to_bytes(2) + options
        ),
        st.integers(0, 65535),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([0, 0x80]),
        st.binary(max_size=20),
    ),
)


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Draw a query that is usually well-formed."""
    additional = draw(opt)
    flags = draw(st.sampled_from([b"\1\0", b"\0\0", b"\1\x10", b"\1\x20", b"\3\0", b"\x81\0", b"\x29\0"]))
    counts = b"\0\1\0\0\0\0" + bytes([0, bool(additional)])
    rdclass = draw(st.sampled_from([b"\0\1", b"\0\1", b"\0\1", b"\0\3", b"\0\xff"]))
    head = draw(st.binary(min_size=2, max_size=2)) + flags + counts
    wire: bytes = head + draw(name) + draw(kind).to_bytes(2) + rdclass + additional
    cut = draw(st.one_of(st.none(), st.none(), st.integers(0, len(wire))))
    return wire[:cut] + draw(st.sampled_from([b"", b"", b"\0", b"garbage"]))


@settings(max_examples=1000)
@given(wire=queries(), which=st.sampled_from(TABLES), client=st.sampled_from([NODE, OUTSIDER]))
def test_fast_path_equals_the_slow_path(wire: bytes, which: object, client: str) -> None:
    fast = own_answer(which, wire)  # type: ignore[arg-type]
    assert fast is None or fast == answer(which, wire, client)  # type: ignore[arg-type]


@given(wire=queries())
def test_every_reply_is_read_by_dnspython_under_its_question(wire: bytes) -> None:
    reply = answer(TABLES[0], wire, OUTSIDER)
    if not isinstance(reply, bytes):
        return
    message = dns.message.from_wire(reply)
    assert reply[:2] == wire[:2]
    for asked in message.question:
        assert wire[12:].startswith(asked.name.to_wire() or b"")
        if message.answer:
            assert message.answer[0].name == asked.name


@given(below=st.from_regex(r"([a-z0-9_*-]{1,9}\.){0,3}", fullmatch=True), asked=st.sampled_from(OUR_NAMES), kind=kind)
def test_every_reply_is_read_by_dnslib(below: str, asked: bytes, kind: int) -> None:
    wire = query(below + text_name(asked), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind)))
    reply = answer(TABLES[2], wire, OUTSIDER)
    assert isinstance(reply, bytes)
    message = dnslib.DNSRecord.parse(reply)
    counted = tuple(int.from_bytes(reply[at : at + 2]) for at in (6, 8, 10))
    assert (len(message.rr), len(message.auth), len(message.ar)) == counted


@given(wire=queries())
def test_reply_is_never_longer_than_the_client_takes(wire: bytes) -> None:
    reply = answer(TABLES[0], wire, OUTSIDER)
    assert not isinstance(reply, bytes) or len(reply) <= 1232


@given(wire=queries())
def test_nothing_is_forwarded_for_strangers(wire: bytes) -> None:
    for which in TABLES:
        assert not isinstance(answer(which, wire, OUTSIDER), Forward)


@given(labels=st.lists(st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=8))
def test_names_are_written_as_dnspython_writes_them(labels: list[str]) -> None:
    text = ".".join(labels)
    wire = wire_name(text)
    assert wire == dns.name.from_text(text).to_wire()
    assert text_name(wire) == text


@given(
    names=st.lists(
        st.lists(st.binary(min_size=1, max_size=9), max_size=5),
        min_size=1,
        max_size=6,
        unique_by=lambda labels: tuple(map(bytes.lower, labels)),
    )
)
def test_compressed_names_are_read_as_dnspython_wrote_them(names: list[list[bytes]]) -> None:
    message = dns.message.make_query(".", "NS")
    for labels in names:
        absolute = dns.name.Name([*labels, b""])
        message.additional.append(dns.rrset.from_text(absolute, 60, "IN", "A", "192.0.2.1"))
    wire = message.to_wire()
    at = 12 + 5
    for labels in names:
        name_read, end = expanded_name(wire, at)
        assert name_read.lower() == b"".join(bytes([len(each)]) + each for each in labels).lower() + b"\0"
        at = end + 10 + 4
