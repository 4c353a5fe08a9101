"""What the kernel's netlink messages say of an address: parsed whole, cut or as noise; and the kernel itself."""

import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import neighbours
from appliance.neighbours import (
    Message,
    Neighbours,
    error_of,
    link_of,
    mac_of,
    messages,
    neighbour_request,
    route_request,
    unknown_mac,
)
from appliance.simulate.namespace import Namespace, ip

ADDRESS, SIXTH = ip_address("172.16.0.21"), ip_address("2001:db8::21")
MAC = bytes.fromhex("0050569637c8")
# As Linux 6.18 answered: a route on a link, one through a router, one of its own addresses; and an entry.
ON_LINK = bytes.fromhex(
    "680000001800000001000000f967000002200000fe0000010002000008000f00fe00000008000100c0000201080004000400000008000700"
    "c0000202080019000000000024000c000200000000000000000000000000000000000000000000000000000000000000"
)
ENTRY = bytes.fromhex(
    "4c0000001c00000001000000f967000002000000040000000400000108000100c00002010a00020002fc0000000500000800040001000000"
    "1400030060720100f0710100e769010001000000"
)
ENTRY_ADDRESS, ENTRY_MAC, ENTRY_LINK = ip_address("192.0.2.1"), bytes.fromhex("02fc00000005"), 4


def attributes(**values: bytes) -> bytes:
    """Return the attributes with these *values*, by the names of their types in `neighbours`."""
    found = b""
    for name, value in values.items():
        found += neighbours.ATTRIBUTE.pack(4 + len(value), getattr(neighbours, name)) + value + bytes(-len(value) % 4)
    return found


def route(kind: int = neighbours.RTN_UNICAST, **values: bytes) -> Message:
    head = neighbours.ROUTE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, kind, 0)
    return Message(neighbours.RTM_NEWROUTE, 1, head + attributes(**values))


def entry(state: int, mac: bytes = MAC, **values: bytes) -> Message:
    head = neighbours.NEIGHBOUR.pack(socket.AF_INET, 3, state, 0, 1)
    return Message(
        neighbours.RTM_NEWNEIGH, 1, head + attributes(**{"NDA_DST": ADDRESS.packed, "NDA_LLADDR": mac} | values)
    )


OIF = struct.pack("=i", 3)


def test_answer_of_a_kernel_is_read() -> None:
    (on_link,), (found,) = messages(ON_LINK), messages(ENTRY)
    assert link_of(on_link) == ENTRY_LINK
    assert mac_of(found, ENTRY_ADDRESS, ENTRY_LINK) == ENTRY_MAC


@pytest.mark.parametrize(
    ("message", "interface"),
    [
        (route(RTA_OIF=OIF), 3),
        (route(RTA_OIF=OIF, RTA_GATEWAY=bytes(4)), 0),
        (route(RTA_OIF=OIF, RTA_VIA=bytes(18)), 0),
        (route(2, RTA_OIF=OIF), 0),  # RTN_LOCAL
        (route(), 0),
        (Message(neighbours.NLMSG_ERROR, 1, struct.pack("=i", -101)), 0),
    ],
    ids=["link", "router", "router of the other family", "own address", "no interface", "no route"],
)
def test_only_a_route_without_a_router_leads_to_a_link(message: Message, interface: int) -> None:
    assert link_of(message) == interface


@pytest.mark.parametrize("state", [0x02, 0x04, 0x08, 0x10, 0x80])
def test_resolved_entry_has_its_mac_address(state: int) -> None:
    assert mac_of(entry(state), ADDRESS, 3) == MAC


@pytest.mark.parametrize("state", [0x00, 0x01, 0x20])  # none, incomplete, failed
def test_entry_that_is_not_resolved_has_none(state: int) -> None:
    assert mac_of(entry(state), ADDRESS, 3) == b""


def test_link_without_mac_addresses_has_none_to_compare() -> None:
    assert mac_of(entry(0x40), ADDRESS, 3) is None


def test_entry_of_another_address_or_link_is_not_this_ones() -> None:
    assert mac_of(entry(0x02), ip_address("172.16.0.22"), 3) == b""
    assert mac_of(entry(0x02), ADDRESS, 4) == b""


@given(st.binary(max_size=200), st.integers(0, 150), st.integers(0, 150), st.sampled_from([ON_LINK, ENTRY]))
def test_any_bytes_are_read_without_an_error(noise: bytes, start: int, end: int, whole: bytes) -> None:
    for datagram in (noise, whole[:end], whole[:start] + noise + whole[end:]):
        for message in messages(datagram):
            assert 0 <= link_of(message) < 2**32
            assert mac_of(message, ADDRESS, 3) in (b"", None)
            assert isinstance(error_of(message), int)


@given(st.integers(0, len(ENTRY)))
def test_cut_answer_gives_the_whole_truth_or_nothing(size: int) -> None:
    found = [mac_of(message, ENTRY_ADDRESS, ENTRY_LINK) for message in messages(ENTRY[:size])]
    assert found == ([ENTRY_MAC] if size == len(ENTRY) else [])


@pytest.mark.parametrize("address", [ADDRESS, SIXTH])
def test_request_is_one_whole_message(address: neighbours.Address) -> None:
    for request in (
        route_request(address, 7),
        neighbour_request(address, 3, 7),
        neighbours.dump_request(address, 3, 7),
    ):
        ((_, number, payload),) = messages(request)
        assert (number, len(payload) + 16) == (7, len(request))


def test_without_the_kernel_no_address_is_on_a_link() -> None:
    assert unknown_mac(ADDRESS) is None


# The kernel


@pytest.fixture
def place():
    """Return a namespace with a link, a permanent entry and a failed one on it, and a route through a router."""
    try:
        made = Namespace()
    except OSError as error:
        pytest.skip(f"cannot create a network namespace: {error.strerror}")
    ip(
        "link set lo up",
        "link add a0 type veth peer name b0",
        "link set a0 up",
        "link set b0 up",
        "addr add 172.16.0.101/24 dev a0",
        "addr add 2001:db8::101/64 dev a0 nodad",
        f"neigh add {ADDRESS} lladdr {MAC.hex(':')} nud stale dev a0",
        f"neigh add {SIXTH} lladdr {MAC.hex(':')} nud reachable dev a0",
        "route add 198.51.100.0/24 via 172.16.0.1",
        place=made,
    )
    with made:
        asked = Neighbours()
    yield asked
    asked.close()
    made.close()


@pytest.mark.netns
@pytest.mark.parametrize(
    ("address", "mac"),
    [
        (str(ADDRESS), MAC),
        (str(SIXTH), MAC),
        ("172.16.0.22", b""),
        ("198.51.100.7", None),
        ("172.16.0.101", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("203.0.113.9", None),
    ],
    ids=["on the link", "IPv6", "unknown", "behind a router", "own", "loopback", "IPv6 loopback", "no route"],
)
def test_kernel_tells_the_mac_address_of_what_is_on_our_links(
    place: Neighbours, address: str, mac: bytes | None
) -> None:
    assert [place.mac(ip_address(address)) for _ in range(3)] == [mac] * 3


@pytest.mark.netns
def test_whole_table_has_the_same_entry(place: Neighbours) -> None:
    """Kernels before 5.0 answer for the whole table only."""
    interface = place._link(ADDRESS)
    assert interface
    answers = place._answers(neighbours.dump_request(ADDRESS, interface, place._next()), is_dump=True)
    assert MAC in [mac_of(answer, ADDRESS, interface) for answer in answers]
    assert place.mac(ADDRESS) == MAC
