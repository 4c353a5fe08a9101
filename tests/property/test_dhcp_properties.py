"""Properties of replies for all networks, hosts and clients, checked by scapy."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP, DHCPOptions
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.frame import ethernet_frame
from appliance.dhcp.options import encode_option, lay_out, parse_options, scan_options
from appliance.dhcp.reply import LINK_SELECTION, reply_address
from appliance.model import INFINITE_LEASE, Network, Route
from tests.clusters import reference_cluster
from tests.dhcp_messages import BS_MAC, arrival, ask, request, silence

NAMES = {code: option if isinstance(option, str) else option.name for code, option in DHCPOptions.items()}

label = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
domain = st.lists(label, min_size=1, max_size=4).map(".".join)
address = st.integers(1, 2**32 - 2).map(IPv4Address)

HOME = IPv4Address("172.16.0.11").packed  # in every network that the strategy draws


def suboption(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def names_no_other_network(agent: bytes) -> bool:
    """Whether option 82 selects no network, or the one of HOME, as giaddr does (RFC 3527)."""
    found: dict[int, bytes] = {}
    scan_options(agent, 0, len(agent), found)
    link = found.get(LINK_SELECTION, b"")
    return len(link) != 4 or link == HOME


codes = st.integers(1, 254) | st.just(LINK_SELECTION)
suboptions = st.builds(suboption, codes, st.binary(max_size=28) | st.just(HOME))
agents = (st.binary(max_size=120) | st.lists(suboptions, max_size=4).map(b"".join)).filter(names_no_other_network)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw a network that contains 172.16.0.11, with any settings."""
    prefix = draw(st.integers(8, 28))
    return Network(
        cidr=IPv4Network(("172.16.0.11", prefix), strict=False),
        server=draw(address),
        gateway=draw(st.none() | address),
        dns_servers=tuple(draw(st.lists(address, max_size=4))),
        ntp_servers=tuple(draw(st.lists(address, max_size=4))),
        domain=draw(domain),
        search=tuple(draw(st.lists(domain, max_size=6))),
        mtu=draw(st.none() | st.integers(576, 9000)),
        lease_seconds=draw(st.integers(60, INFINITE_LEASE)),
        routes=tuple(
            Route(IPv4Network((draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 32))), strict=False), draw(address))
            for _ in range(draw(st.integers(0, 3)))
        ),
    )


def table_of(network: Network) -> DhcpTable:
    """Return the table of a cluster with this network and the host bs."""
    cluster = reference_cluster()
    return compile_dhcp((replace(cluster, networks=(network,), hosts=cluster.hosts[:1]),))


def meant(network: Network) -> dict[int, bytes]:
    """Return the options that a host of *network* must get, built by scapy or as the RFC says."""
    packed = [
        ("subnet_mask", str(network.cidr.netmask)),
        ("broadcast_address", str(network.cidr.broadcast_address)),
        ("server_id", str(network.server)),
        ("lease_time", network.lease_seconds),
        ("domain", network.domain.encode()),
        *([("router", str(network.gateway))] if network.gateway else []),
        *([("name_server", *map(str, network.dns_servers))] if network.dns_servers else []),
        *([("NTP_server", *map(str, network.ntp_servers))] if network.ntp_servers else []),
        *([("interface-mtu", network.mtu)] if network.mtu else []),
    ]
    found: dict[int, bytes] = {}
    encoded = bytes(DHCP(options=packed))
    assert scan_options(encoded, 0, len(encoded), found)
    return found


@settings(max_examples=80, deadline=None)
@given(networks(), st.binary(max_size=40))
def test_offer_says_what_the_network_says(network: Network, identifier: bytes) -> None:
    table = table_of(network)
    asked = request("discover", (55, bytes(range(1, 255))), (57, b"\x05\xdc"), (61, identifier), giaddr="172.16.0.10")
    read = parse_options(ask(table, asked).payload)
    assert read is not None
    expected = meant(network)
    assert {code: read.get(code) for code in expected} == expected
    assert read.get(61, b"") == identifier


@settings(max_examples=80, deadline=None)
@given(networks(), st.binary(max_size=30), st.integers(0, 1500), agents)
def test_reply_fits_the_client_and_keeps_the_lease(
    network: Network, parameters: bytes, size: int, agent: bytes
) -> None:
    table = table_of(network)
    asked = request("discover", (55, parameters), (57, size.to_bytes(2, "big")), (82, agent), giaddr="172.16.0.10")
    payload = ask(table, asked).payload
    assert len(payload) <= max(576, size) - 28
    read = parse_options(payload)
    assert read is not None
    assert {1, 12, 51, 53, 54} <= set(read)
    assert read.get(82, b"") == agent


@settings(max_examples=80, deadline=None)
@given(networks(), st.sampled_from(["discover", "request", "inform"]), st.booleans(), agents)
def test_reply_is_at_most_three_times_the_request(network: Network, message: str, is_short: bool, agent: bytes) -> None:
    options = () if is_short else ((57, b"\x05\xdc"), (82, agent), (61, agent))
    asked = request(message, *options, ciaddr="172.16.0.11", giaddr="172.16.0.10")
    assert len(ask(table_of(network), asked).payload) <= 3 * len(asked)


@settings(deadline=None)
@given(networks(), address)
def test_link_selection_of_another_network_gets_silence(network: Network, elsewhere: IPv4Address) -> None:
    assume(elsewhere not in network.cidr)
    link = suboption(LINK_SELECTION, elsewhere.packed)
    asked = request("discover", (82, link), giaddr="172.16.0.10")
    assert silence(table_of(network), asked).why == "wrong-network"


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([6, 12, 15, 43, 66, 67, 119]), st.binary(max_size=400)),
    st.integers(20, 400),
    st.booleans(),
)
def test_layout_is_read_back_whole_or_without_the_option(
    options: dict[int, bytes], room: int, file_is_free: bool
) -> None:
    layout = lay_out(options.items(), room, file_is_free=file_is_free)
    assert len(layout.main) <= room
    assert len(layout.file) <= 128
    assert len(layout.sname) <= 64
    header = bytes(BOOTP(op=2, file=layout.file, sname=layout.sname))[:236]
    read = parse_options(header + b"\x63\x82\x53\x63" + layout.main + b"\xff")
    assert read is not None
    read.pop(52, None)
    assert read.items() <= options.items()


@given(st.integers(1, 254), st.binary(min_size=1, max_size=255))
def test_encoded_option_equals_scapys(code: int, value: bytes) -> None:
    assert encode_option(code, value) == bytes(DHCP(options=[(code, value)]))


@given(st.integers(1, 254), st.binary(max_size=2000))
def test_option_of_any_length_is_read_back(code: int, value: bytes) -> None:
    found: dict[int, bytes] = {}
    encoded = encode_option(code, value)
    assert scan_options(encoded, 0, len(encoded), found)
    assert found == {code: value}


mac = st.binary(min_size=6, max_size=6)
octets = st.binary(min_size=4, max_size=4)


@settings(deadline=None)
@given(st.binary(max_size=600), mac, mac, octets, octets, st.integers(1, 65535), st.integers(1, 65535))
def test_frame_equals_scapys(
    payload: bytes, ours: bytes, theirs: bytes, source: bytes, to: bytes, source_port: int, port: int
) -> None:
    frame = ethernet_frame(
        payload, source_mac=ours, mac=theirs, source=source, address=to, source_port=source_port, port=port
    )
    scapys = (
        Ether(dst=theirs.hex(":"), src=ours.hex(":"))
        / IP(src=str(IPv4Address(source)), dst=str(IPv4Address(to)), id=0, ttl=64)
        / UDP(sport=source_port, dport=port)
        / payload
    )
    assert frame == bytes(scapys)


@given(octets, octets, st.booleans(), octets, st.booleans(), st.integers(1, 60000))
def test_reply_address_follows_rfc_2131(
    giaddr: bytes, ciaddr: bytes, broadcast: bool, yiaddr: bytes, is_nak: bool, port: int
) -> None:
    """Section 4.1, sentence by sentence."""
    got = reply_address(
        giaddr=giaddr, ciaddr=ciaddr, has_broadcast_flag=broadcast, yiaddr=yiaddr, is_nak=is_nak, port=port
    )
    if any(giaddr):
        expected = (str(IPv4Address(giaddr)), port, False)
    elif is_nak:
        expected = ("255.255.255.255", port + 1, False)
    elif any(ciaddr):
        expected = (str(IPv4Address(ciaddr)), port + 1, False)
    elif broadcast or not any(yiaddr):
        expected = ("255.255.255.255", port + 1, False)
    else:
        expected = (str(IPv4Address(yiaddr)), port + 1, True)
    assert got == expected


TABLE = compile_dhcp((reference_cluster(),))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 65535), st.integers(1, 254))
def test_xid_flags_and_giaddr_come_back(xid: int, flags: int, last_octet: int) -> None:
    relay = f"172.16.0.{last_octet}"
    payload = ask(TABLE, request("discover", xid=xid, flags=flags, giaddr=relay), arrival()).payload
    read = BOOTP(payload)
    assert (read.xid, int(read.flags), read.giaddr) == (xid, flags, relay)
    assert read.chaddr[:6].hex(":") == BS_MAC
