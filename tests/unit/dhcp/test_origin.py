"""Messages from outside a host's segment: none of them changes what becomes of the host."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.protocol import answer
from appliance.dhcp.reply import Arrival, Reply, Silence, heard
from appliance.events import (
    DhcpAcknowledged,
    DhcpDeclined,
    DhcpMisplaced,
    DhcpOffered,
    DhcpPassed,
    DhcpRelayRefused,
    DhcpReleased,
    DhcpUnknown,
    Program,
)
from appliance.model import DhcpMode
from tests.clusters import reference_cluster
from tests.dhcp_lab import rich_cluster
from tests.dhcp_messages import (
    BIOS,
    BS_MAC,
    FIRMWARE,
    IPXE,
    NODE_NETWORK,
    STRANGER_MAC,
    SYSTEM,
    arrival,
    ask,
    request,
    silence,
)

BS = "bs.ocp45.example.localdomain"
W9_MAC = "00:50:56:96:99:39"  # its network is 172.16.9.0/24
FAR = arrival(source="198.51.100.9")
TRANSIT = arrival(source="198.51.100.1", source_port=67)
ROUTER = arrival(source="172.16.0.254", source_port=67)
LINK_9 = (82, b"\x05\x04\xac\x10\x09\x01")


@pytest.fixture(scope="module")
def table() -> DhcpTable:
    return compile_dhcp((rich_cluster(),))


def judged(table: DhcpTable, datagram: bytes, where: Arrival) -> Reply | Silence:
    """Return the result as the server gets it: the source is that of *where*, whatever the message claims."""
    return answer(table, datagram, where, {})


# --- relays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("giaddr", ["172.16.0.1", "172.16.9.1", "10.99.0.1"])
def test_relay_that_sends_from_elsewhere_is_refused_whatever_its_giaddr(table: DhcpTable, giaddr: str) -> None:
    result = judged(table, request("discover", *FIRMWARE, giaddr=giaddr), TRANSIT)
    assert isinstance(result, Silence)
    assert (result.why, result.is_local, heard(result)) == ("relay-not-accepted", False, None)


def test_refused_relay_is_reported_with_the_remedy(table: DhcpTable) -> None:
    event = judged(table, request("discover", giaddr="172.16.9.1"), TRANSIT).event
    hint = "if the relay at 198.51.100.1 is yours, add 198.51.100.1 to dhcp.relays"
    assert event == DhcpRelayRefused("", BS_MAC, "172.16.9.1", "198.51.100.1", hint)


@pytest.mark.parametrize("accepted", ["198.51.100.1/32", "198.51.100.0/28"])
def test_relay_in_the_list_is_accepted(accepted: str) -> None:
    listed = compile_dhcp((replace(rich_cluster(), dhcp_relays=(IPv4Network(accepted),)),))
    result = judged(listed, request("discover", *FIRMWARE, mac=W9_MAC, giaddr="172.16.9.1"), TRANSIT)
    assert isinstance(result, Reply)
    assert (result.is_local, heard(result)) == (True, Program.PXE)


def test_relay_may_send_from_another_machine_network(table: DhcpTable) -> None:
    assert isinstance(judged(table, request("discover", mac=W9_MAC, giaddr="172.16.9.1"), ROUTER), Reply)


def test_relay_of_a_network_of_one_address_is_outside_of_it() -> None:
    cluster = reference_cluster()
    single = replace(cluster.networks[0], cidr=IPv4Network("172.16.0.11/32"))
    listed = (IPv4Network("198.51.100.1/32"),)
    table = compile_dhcp((replace(cluster, networks=(single,), hosts=cluster.hosts[:1], dhcp_relays=listed),))
    reply = judged(table, request("discover", giaddr="198.51.100.1"), TRANSIT)
    assert isinstance(reply, Reply)
    assert (reply.message, reply.address) == ("offer", "198.51.100.1")


def test_link_selection_counts_only_from_a_relay(table: DhcpTable) -> None:
    """RFC 3046 section 2.1: otherwise a machine could claim to be in another network."""
    assert isinstance(silence(table, request("discover", LINK_9, mac=W9_MAC)).event, DhcpMisplaced)


def test_link_selection_of_no_address_is_ignored(table: DhcpTable) -> None:
    asked = request("discover", (82, b"\x05\x04\0\0\0\0"), mac=W9_MAC, giaddr="172.16.0.1")
    assert isinstance(silence(table, asked).event, DhcpMisplaced)


def on_one_link(first: str, second: str) -> DhcpTable:
    """Return the table of a cluster with two networks, 172.16.0.0/24 and 172.16.9.0/24, on these links."""
    cluster = rich_cluster()
    links = {"172.16.0.0/24": first, "172.16.9.0/24": second}
    return compile_dhcp(
        (
            replace(
                cluster, networks=tuple(replace(each, link=links.get(str(each.cidr), "")) for each in cluster.networks)
            ),
        )
    )


def test_relay_may_name_another_network_on_the_same_link() -> None:
    asked = request("discover", *FIRMWARE, mac=W9_MAC, giaddr="172.16.0.1")
    reply = judged(on_one_link("rack1", "rack1"), asked, ROUTER)
    assert isinstance(reply, Reply)
    assert (reply.address, heard(reply)) == ("172.16.0.1", Program.PXE)
    assert reply.payload[16:20] == bytes([172, 16, 9, 39])


@pytest.mark.parametrize("links", [("", ""), ("rack1", "rack2"), ("rack1", "")])
def test_relay_of_another_link_gets_no_answer(links: tuple[str, str]) -> None:
    asked = request("discover", *FIRMWARE, mac=W9_MAC, giaddr="172.16.0.1")
    result = judged(on_one_link(*links), asked, ROUTER)
    assert isinstance(result, Silence)
    assert isinstance(result.event, DhcpMisplaced)


# --- without a relay -------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["discover", "request", "inform", "decline", "release"])
@pytest.mark.parametrize("speaker", [FIRMWARE, IPXE, SYSTEM])
def test_no_message_from_another_address_gets_a_reply_or_is_evidence(
    table: DhcpTable, message: str, speaker: list[tuple[int, bytes]]
) -> None:
    asked = request(message, *speaker, ("requested_addr", "172.16.0.11"), ciaddr="172.16.0.11")
    result = judged(table, asked, FAR)
    assert isinstance(result, Silence)
    assert (result.why, result.is_local, heard(result)) == ("from-outside", False, None)
    assert result.event is None or result.event.host == ""


@pytest.mark.parametrize("message", ["discover", "request", "inform"])
@pytest.mark.parametrize("mode", [DhcpMode.FULL, DhcpMode.PROXY])
def test_host_on_its_link_with_an_address_of_another_network_is_reported_with_it(mode: DhcpMode, message: str) -> None:
    table = compile_dhcp((reference_cluster(dhcp=mode),))
    result = judged(table, request(message, *SYSTEM), arrival(source="169.254.3.4"))
    assert result.event == DhcpMisplaced("", BS_MAC, "172.16.0.11", "", "node0", "169.254.3.4")


@pytest.mark.parametrize("message", ["decline", "release"])
def test_message_from_outside_that_wants_no_reply_is_not_reported(table: DhcpTable, message: str) -> None:
    assert judged(table, request(message, ciaddr="172.16.0.11"), FAR) == Silence("from-outside")


def test_routed_renewal_of_a_host_gets_an_ack_that_proves_nothing(table: DhcpTable) -> None:
    asked = request("request", *SYSTEM, ciaddr="172.16.0.11")
    reply = judged(table, asked, arrival("198.51.100.5", source="172.16.0.11"))
    assert isinstance(reply, Reply)
    assert isinstance(reply.event, DhcpAcknowledged)
    assert (reply.message, reply.event.is_local, heard(reply)) == ("ack", False, None)


def test_message_on_the_segment_shows_what_runs_on_its_host(table: DhcpTable) -> None:
    for speaker, program in ((FIRMWARE, Program.PXE), (IPXE, Program.IPXE), (SYSTEM, Program.OS)):
        assert heard(judged(table, request("discover", *speaker), NODE_NETWORK)) is program


@pytest.mark.parametrize("message", ["discover", "inform"])
@pytest.mark.parametrize("mode", [DhcpMode.FULL, DhcpMode.PROXY])
def test_ciaddr_shows_no_network_unless_the_message_came_from_it(mode: DhcpMode, message: str) -> None:
    table = compile_dhcp((replace(rich_cluster(), dhcp=mode),))
    result = judged(table, request(message, *SYSTEM, mac=W9_MAC, ciaddr="172.16.9.39"), NODE_NETWORK)
    assert isinstance(result, Silence)
    assert (result.is_local, heard(result)) == (False, None)


def test_inform_for_another_networks_address_gets_silence(table: DhcpTable) -> None:
    """Its reply would go to that address."""
    result = judged(table, request("inform", ciaddr="203.0.113.9"), NODE_NETWORK)
    assert isinstance(result, Silence)
    assert result.why == "wrong-network"


@pytest.mark.parametrize("source", ["198.51.100.9", "172.16.0.77", "0.0.0.0"])
@pytest.mark.parametrize("speaker", [FIRMWARE, BIOS])
def test_port_4011_is_silent_to_any_other_address(
    table: DhcpTable, source: str, speaker: list[tuple[int, bytes]]
) -> None:
    where = arrival(source=source, source_port=4011, is_boot_server=True)
    result = judged(table, request("request", *speaker, ciaddr="172.16.0.11"), where)
    assert isinstance(result, Silence)
    assert (result.why, result.event) == ("not-from-its-address", None)


def test_relays_address_makes_no_message_to_port_4011_local(table: DhcpTable) -> None:
    where = arrival("198.51.100.5", source="172.16.0.11", is_boot_server=True)
    assert heard(judged(table, request("request", *FIRMWARE, giaddr="172.16.0.11"), where)) is None


# --- DECLINE and RELEASE ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", [NODE_NETWORK, arrival(source="172.16.0.11")])
def test_release_on_the_segment_is_reported_and_shows_no_program(table: DhcpTable, where: Arrival) -> None:
    result = judged(table, request("release", *IPXE, ciaddr="172.16.0.11"), where)
    assert (type(result.event), heard(result)) == (DhcpReleased, None)


def test_release_of_another_address_is_not_reported(table: DhcpTable) -> None:
    assert judged(table, request("release", ciaddr="172.16.0.99"), NODE_NETWORK).event is None


def test_decline_of_another_address_is_not_reported(table: DhcpTable) -> None:
    """It would name an address of the sender's choice to the operator."""
    assert judged(table, request("decline", ("requested_addr", "172.16.0.99")), NODE_NETWORK).event is None


@pytest.mark.parametrize("message", ["decline", "release"])
def test_a_host_of_another_segment_cannot_be_given_up_on_this_one(table: DhcpTable, message: str) -> None:
    asked = request(message, ("requested_addr", "172.16.9.39"), mac=W9_MAC, ciaddr="172.16.9.39")
    assert judged(table, asked, NODE_NETWORK) == Silence("from-outside")


def test_decline_by_an_accepted_relay_is_reported(table: DhcpTable) -> None:
    asked = request("decline", ("requested_addr", "172.16.9.39"), mac=W9_MAC, giaddr="172.16.9.1")
    assert isinstance(judged(table, asked, ROUTER).event, DhcpDeclined)


# --- no amplifier ----------------------------------------------------------------------------------


def test_reply_to_a_short_message_is_at_most_three_times_as_long() -> None:
    cluster = reference_cluster()
    domains = tuple(f"{'x' * 50}{number}.example.localdomain" for number in range(12))
    long = compile_dhcp((replace(cluster, networks=(replace(cluster.networks[0], search=domains),)),))
    asked = request("discover", (55, bytes(range(1, 255))), (57, b"\x05\xdc"))
    short = request("discover", (57, b"\x05\xdc"))
    assert len(ask(long, asked).payload) > 1200 > 3 * len(short)
    assert len(ask(long, short).payload) <= 3 * len(short)


def test_unknown_machine_gets_nothing_at_all(table: DhcpTable) -> None:
    for message in ("discover", "request", "inform", "decline", "release"):
        for speaker in (FIRMWARE, IPXE, SYSTEM):
            assert isinstance(silence(table, request(message, *speaker, mac=STRANGER_MAC)), Silence)


# --- beside another DHCP server --------------------------------------------------------------------


def test_proxy_hears_a_host_only_on_its_segment() -> None:
    proxy = compile_dhcp((reference_cluster(dhcp=DhcpMode.PROXY),))
    near, far = (judged(proxy, request("discover", *SYSTEM), where) for where in (NODE_NETWORK, FAR))
    assert (type(near.event), heard(near)) == (DhcpPassed, Program.OS)
    assert isinstance(far, Silence)
    assert (far.why, far.is_local, heard(far)) == ("from-outside", False, None)


def test_offer_by_a_relay_is_evidence(table: DhcpTable) -> None:
    event = ask(table, request("discover", *FIRMWARE, giaddr="172.16.0.1")).event
    assert isinstance(event, DhcpOffered)
    assert event.is_local


# --- other hardware --------------------------------------------------------------------------------

GUID = "00:02:c9:03:00:4b:d3:e1"
DUID = b"\xff\x00\x00\x00\x01\x00\x03\x00\x20" + bytes.fromhex("fe80000000000000" + GUID.replace(":", ""))


def of_hardware(kind: int, length: int, chaddr: bytes, *options: tuple[int | str, object]) -> bytes:
    message = request("discover", *options, mac=STRANGER_MAC)
    return message[:1] + bytes((kind, length)) + message[3:28] + chaddr.ljust(16, b"\0") + message[44:]


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        pytest.param(of_hardware(32, 8, bytes.fromhex(GUID.replace(":", "")), *IPXE), GUID, id="InfiniBand in iPXE"),
        pytest.param(of_hardware(32, 0, b"", (61, DUID)), GUID, id="InfiniBand in a system (RFC 4390)"),
        pytest.param(of_hardware(32, 0, b""), "00:00:00:00:00:00:00:00", id="InfiniBand without an identifier"),
        pytest.param(of_hardware(6, 6, b"\2\0\0\0\0\1"), "06-02:00:00:00:00:01", id="token ring"),
        pytest.param(of_hardware(1, 16, b"\2"), "01-02" + ":00" * 15, id="Ethernet of a wrong length"),
        pytest.param(of_hardware(9, 255, b"\2"), "09-02" + ":00" * 15, id="a length beyond the field"),
        pytest.param(of_hardware(7, 0, b""), "07-", id="no address at all"),
    ],
)
def test_machine_with_other_hardware_is_reported(table: DhcpTable, asked: bytes, address: str) -> None:
    event = silence(table, asked).event
    assert isinstance(event, DhcpUnknown)
    assert event.mac == address


def test_other_hardware_with_a_hosts_mac_is_not_the_host(table: DhcpTable) -> None:
    asked = of_hardware(6, 6, bytes.fromhex(BS_MAC.replace(":", "")))
    assert silence(table, asked).why == "unknown-mac"
