"""No bytes from the network raise out of the DHCP protocol, or get a reply for an unknown machine."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.dhcp.answers import Answers
from appliance.dhcp.clients import identify
from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.options import parse_options
from appliance.dhcp.probe import read_offer
from appliance.dhcp.protocol import answer
from appliance.dhcp.reply import Arrival, Reply, Silence
from appliance.install.installation import Installation, Order
from appliance.model import DhcpMode
from tests.clusters import reference_cluster
from tests.dhcp_lab import rich_cluster
from tests.dhcp_messages import FIRMWARE, IPXE, arrival, request

TABLES: tuple[DhcpTable, ...] = (
    compile_dhcp((rich_cluster(),)),
    compile_dhcp((reference_cluster(dhcp=DhcpMode.PROXY),)),
)
ARRIVALS = (arrival(), arrival("192.0.2.1"), arrival(source="172.16.0.77", source_port=4011, is_boot_server=True))
HOSTS = [host.name for host in rich_cluster().hosts]
MACS = [mac.octets for host in rich_cluster().hosts for mac in host.macs]

options = st.lists(
    st.tuples(
        st.sampled_from([0, 12, 43, 50, 52, 53, 54, 55, 57, 60, 61, 77, 82, 93, 97, 118, 175, 255]),
        st.one_of(
            st.binary(max_size=300),
            st.sampled_from([b"\1", b"\3", b"\4", b"\7", b"\x08", b"PXEClient:Arch:99999", b"HTTPClient", b"iPXE"]),
            st.sampled_from(
                [b"\xac\x10\x00\x65", b"\xac\x10\x00\x0b", b"\x05\x04\xac\x10\x09\x01", b"\x0b\x04\0\0\0\0"]
            ),
        ),
    ),
    max_size=12,
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw a message that passes the first checks, or almost."""
    head = b"\1\1\6" + draw(st.binary(min_size=1, max_size=1))
    addresses = b"".join(
        draw(st.sampled_from([bytes(4), b"\xac\x10\x00\x0b", b"\xac\x10\x09\x27", b"\xff" * 4])) for _ in range(4)
    )
    chaddr = draw(st.sampled_from(MACS) | st.binary(min_size=6, max_size=6)) + bytes(10)
    fields = draw(st.binary(max_size=192)).ljust(192, b"\0")
    body = b"".join(bytes((code, min(len(value), 255))) + value for code, value in draw(options))
    message = head + draw(st.binary(min_size=8, max_size=8)) + addresses + chaddr + fields + b"\x63\x82\x53\x63"
    return message + b"\x35\1" + draw(st.sampled_from([b"\1", b"\3", b"\4", b"\7", b"\x08", b"\xff"])) + body


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(TABLES), messages() | st.binary(max_size=700), st.sampled_from(ARRIVALS))
@example(TABLES[0], request("discover", *FIRMWARE), ARRIVALS[0])
@example(TABLES[0], request("discover", *IPXE, (82, b"\xff" * 255), (61, b"\xff" * 255)), ARRIVALS[0])
def test_every_datagram_gets_a_reply_or_a_reason(table: DhcpTable, datagram: bytes, where: Arrival) -> None:
    result = answer(table, datagram, where, {})
    if isinstance(result, Silence):
        assert result.why
        assert len(result.why) < 32
    else:
        assert datagram[28:34] in table.pins
        assert 300 <= len(result.payload) <= max(1500, len(datagram) + 400)
        assert parse_options(result.payload) is not None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TABLES), messages(), st.sampled_from(ARRIVALS))
def test_same_datagram_gets_the_same_result(table: DhcpTable, datagram: bytes, where: Arrival) -> None:
    first, second = answer(table, datagram, where, {}), answer(table, datagram, where, {})
    assert first == second
    assert isinstance(first, Reply | Silence)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_remembered_answer_equals_a_new_answer(data: st.DataObject) -> None:
    answers = Answers()
    asked = data.draw(st.lists(messages(), min_size=1, max_size=3))
    asked += [request("discover", *FIRMWARE), request("discover", *FIRMWARE, giaddr="172.16.0.254")]
    turn = st.tuples(
        st.sampled_from(TABLES),
        st.sampled_from(asked),
        st.sampled_from(ARRIVALS),
        st.sampled_from([None, *Order]),
        st.binary(min_size=6, max_size=6),
    )
    for table, datagram, where, order, xid_and_secs in data.draw(st.lists(turn, min_size=2, max_size=20)):
        again = datagram[:4] + xid_and_secs + datagram[10:]
        installations = {host: Installation(host, order=order) for host in HOSTS} if order else {}
        assert answers.answer(table, again, where, installations) == answer(table, again, where, installations)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 600), messages())
def test_datagram_cut_anywhere_does_not_raise(length: int, datagram: bytes) -> None:
    assert answer(TABLES[0], datagram[:length], ARRIVALS[0], {})


@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=40), st.none() | st.binary(max_size=40))
def test_identification_takes_any_bytes(vendor: bytes, arch: bytes, user: bytes, ipxe: bytes | None) -> None:
    assert identify(vendor, arch, user, ipxe).program


@given(st.binary(max_size=700))
def test_offer_of_another_server_may_be_any_bytes(frame: bytes) -> None:
    assert read_offer(frame, b"\1\2\3\4") is None
