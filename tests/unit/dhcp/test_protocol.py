"""Which client gets which reply: the decisions of RFC 2131, for hosts with reserved addresses."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.protocol import PROBE_ID, answer
from appliance.dhcp.reply import Reply
from appliance.events import (
    DhcpAcknowledged,
    DhcpDeclined,
    DhcpMisplaced,
    DhcpOffered,
    DhcpPassed,
    DhcpRefused,
    DhcpReleased,
    DhcpUnknown,
    Program,
)
from appliance.install.installation import FILE_MISSING, Condition, Installation, Order, Recipe
from appliance.model import DhcpMode, Install, Loader, LocalBoot, MacAddress
from tests.clusters import reference_cluster
from tests.dhcp_lab import rich_cluster
from tests.dhcp_messages import (
    BIOS,
    BS_MAC,
    FIRMWARE,
    HTTP_BOOT,
    IPXE,
    NODE_NETWORK,
    STRANGER_MAC,
    SYSTEM,
    Options,
    arrival,
    ask,
    read,
    request,
    silence,
)

BS = "bs.ocp45.example.localdomain"
W9_MAC = "00:50:56:96:99:39"
ELSEWHERE = arrival("192.168.124.5")
RELAY = arrival(source="172.16.0.254", source_port=67)  # that is a router of the node network


@pytest.fixture(scope="module")
def table() -> DhcpTable:
    return compile_dhcp((rich_cluster(),))


@pytest.fixture(scope="module")
def proxy() -> DhcpTable:
    return compile_dhcp((reference_cluster(dhcp=DhcpMode.PROXY),))


def table_with(**changes: object) -> DhcpTable:
    """Return the reference cluster's table with *changes* to the host bs."""
    cluster = reference_cluster()
    first, *rest = cluster.hosts
    return compile_dhcp((replace(cluster, hosts=(replace(first, **changes), *rest)),))  # type: ignore[arg-type]


# --- the four states of a REQUEST -------------------------------------------------------------


def test_selecting_our_offer_gets_an_ack(table: DhcpTable) -> None:
    asked = request("request", ("server_id", "172.16.0.101"), ("requested_addr", "172.16.0.11"))
    assert read(ask(table, asked).payload)["message-type"] == 5


def test_selecting_another_servers_offer_gets_silence(table: DhcpTable) -> None:
    asked = request("request", ("server_id", "172.16.0.66"), ("requested_addr", "172.16.0.11"))
    assert silence(table, asked).why == "other-server-chosen"


def test_init_reboot_with_its_own_address_gets_an_ack(table: DhcpTable) -> None:
    assert ask(table, request("request", ("requested_addr", "172.16.0.11"))).message == "ack"


def test_request_for_a_neighbours_address_gets_a_nak(table: DhcpTable) -> None:
    reply = ask(table, request("request", ("requested_addr", "172.16.0.21")))
    assert read(reply.payload)["message-type"] == 6
    assert reply.event == DhcpRefused(BS, BS_MAC, "172.16.0.21", "172.16.0.11", "")


def test_renewal_of_its_own_address_gets_an_ack_to_ciaddr(table: DhcpTable) -> None:
    where = arrival("192.168.124.5", source="172.16.0.11")
    reply = ask(table, request("request", ciaddr="172.16.0.11"), where)
    assert (reply.message, reply.address, reply.port, reply.mac) == ("ack", "172.16.0.11", 68, None)


def test_renewal_of_a_wrong_address_gets_a_nak(table: DhcpTable) -> None:
    assert ask(table, request("request", ciaddr="172.16.0.99")).message == "nak"


def test_rebinding_through_a_relay_gets_an_ack(table: DhcpTable) -> None:
    asked = request("request", mac=W9_MAC, ciaddr="172.16.9.39", giaddr="172.16.9.1")
    assert ask(table, asked).message == "ack"


def test_selecting_without_an_address_accepts_what_was_offered(table: DhcpTable) -> None:
    """RFC 2131 table 5 demands option 50, but silence would leave the client without a way on."""
    reply = ask(table, request("request", ("server_id", "172.16.0.101")))
    assert (reply.message, read(reply.payload).header.yiaddr) == ("ack", "172.16.0.11")


def test_selecting_in_a_wrong_network_without_an_address_gets_a_nak(table: DhcpTable) -> None:
    assert ask(table, request("request", ("server_id", "172.16.0.101"), mac=W9_MAC)).message == "nak"


def test_request_without_any_address_or_server_gets_silence(table: DhcpTable) -> None:
    assert silence(table, request("request")).why == "no-address-asked"


def test_requested_address_of_three_bytes_gets_silence(table: DhcpTable) -> None:
    assert silence(table, request("request", (50, b"\1\2\3"))).why == "no-address-asked"


# --- other messages ----------------------------------------------------------------------------


def test_discover_gets_the_pinned_address_whatever_was_wished_for(table: DhcpTable) -> None:
    reply = ask(table, request("discover", ("requested_addr", "172.16.0.99")))
    assert read(reply.payload).header.yiaddr == "172.16.0.11"


def test_client_identifier_does_not_choose_the_host(table: DhcpTable) -> None:
    asked = request("discover", (61, b"\x01" + bytes.fromhex("0050569637c8")))
    assert read(ask(table, asked).payload).header.yiaddr == "172.16.0.11"


def test_client_identifier_is_returned(table: DhcpTable) -> None:
    asked = request("discover", (61, b"\xff1234"))
    assert read(ask(table, asked).payload)["client_id"] == b"\xff1234"


def test_inform_gets_options_without_address_or_lease(table: DhcpTable) -> None:
    reply = ask(table, request("inform", ciaddr="172.16.0.11"))
    got = read(reply.payload)
    assert got.header.yiaddr == "0.0.0.0"
    assert {"lease_time", "renewal_time", "rebinding_time"}.isdisjoint(got.options)
    assert got["hostname"] == BS.encode()


def test_inform_through_a_relay_is_answered_to_the_client(table: DhcpTable) -> None:
    reply = ask(table, request("inform", ciaddr="172.16.0.11", giaddr="172.16.0.1"))
    assert (reply.address, reply.port) == ("172.16.0.11", 68)


def test_inform_without_address_gets_silence(table: DhcpTable) -> None:
    assert silence(table, request("inform")).why == "inform-without-address"


def test_decline_gets_silence_and_names_the_host(table: DhcpTable) -> None:
    result = silence(table, request("decline", ("server_id", "172.16.0.101"), ("requested_addr", "172.16.0.11")))
    assert result.event == DhcpDeclined(BS, BS_MAC, "172.16.0.11")


def test_release_gets_silence_and_names_the_host(table: DhcpTable) -> None:
    result = silence(table, request("release", ("server_id", "172.16.0.101"), ciaddr="172.16.0.11"))
    assert result.event == DhcpReleased(BS, BS_MAC, "172.16.0.11")


def test_address_stays_pinned_after_a_decline(table: DhcpTable) -> None:
    silence(table, request("decline", ("requested_addr", "172.16.0.11")))
    assert read(ask(table, request("discover")).payload).header.yiaddr == "172.16.0.11"


def test_decline_meant_for_another_server_is_not_ours(table: DhcpTable) -> None:
    assert silence(table, request("decline", ("server_id", "172.16.0.66"))).event is None


@pytest.mark.parametrize("message", ["offer", "ack", "nak", "lease_query"])
def test_message_that_no_client_sends_gets_silence(table: DhcpTable, message: str) -> None:
    assert silence(table, request(message)).why == "other-message"


# --- strangers and broken messages ------------------------------------------------------------


@pytest.mark.parametrize("message", ["discover", "request"])
def test_unknown_mac_gets_silence_and_is_reported(table: DhcpTable, message: str) -> None:
    result = silence(table, request(message, *FIRMWARE, mac=STRANGER_MAC))
    assert result.event == DhcpUnknown(
        host="",
        mac=STRANGER_MAC,
        program=Program.PXE,
        arch="x64-uefi",
        vendor="PXEClient:Arch:00007:UNDI:003000",
        relay="",
        interface="node0",
    )


def test_vendor_class_that_is_not_text_is_reported_as_escapes(table: DhcpTable) -> None:
    event = silence(table, request("discover", (60, b"PXEClient\xff\n"), mac=STRANGER_MAC)).event
    assert isinstance(event, DhcpUnknown)
    assert event.vendor == "PXEClient\\xff\n"


def test_long_vendor_class_of_an_unknown_machine_is_cut(table: DhcpTable) -> None:
    event = silence(table, request("discover", (60, b"x" * 255), mac=STRANGER_MAC)).event
    assert isinstance(event, DhcpUnknown)
    assert event.vendor == "x" * 64


def test_unknown_mac_in_another_servers_network_is_not_reported(table: DhcpTable) -> None:
    result = silence(table, request("discover", mac=STRANGER_MAC), ELSEWHERE)
    assert (result.why, result.event) == ("other-network", None)


def test_search_for_other_servers_is_not_taken_for_a_machine(table: DhcpTable) -> None:
    result = silence(table, request("discover", (61, PROBE_ID), mac=STRANGER_MAC))
    assert (result.why, result.event) == ("own-probe", None)


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"", "short"),
        (request("discover")[:239], "short"),
        (b"\2" + request("discover")[1:], "not-a-request"),
        (b"\1\6" + request("discover")[2:], "unknown-mac"),
        (b"\1\1\x10" + request("discover")[3:], "unknown-mac"),
        (request("discover")[:236] + bytes(64), "bootp"),
        (request(""), "bootp"),
        (request("discover")[:240] + b"\x35\x40\1", "malformed-options"),
        (request("discover")[:240] + b"\x35\2\1\1\xff", "malformed-options"),
        (request("discover")[:240] + b"\x35\0\xff", "malformed-options"),
        (request("discover")[:240] + b"\x35", "malformed-options"),
    ],
)
def test_broken_message_gets_silence_by_its_reason(table: DhcpTable, datagram: bytes, why: str) -> None:
    assert silence(table, datagram).why == why


# --- where the reply goes ----------------------------------------------------------------------


def test_client_without_address_is_answered_by_frame(table: DhcpTable) -> None:
    reply = ask(table, request("discover"))
    assert (reply.address, reply.port, reply.mac) == ("172.16.0.11", 68, bytes.fromhex("0050569611c2"))


def test_broadcast_flag_is_obeyed(table: DhcpTable) -> None:
    reply = ask(table, request("discover", flags=0x8000))
    assert (reply.address, reply.port, reply.mac) == ("255.255.255.255", 68, None)


def test_relay_is_answered_on_the_servers_port(table: DhcpTable) -> None:
    reply = ask(table, request("discover", giaddr="172.16.0.1"), ELSEWHERE)
    assert (reply.address, reply.port, reply.mac) == ("172.16.0.1", 67, None)


def test_relay_with_a_port_of_its_own_is_answered_there(table: DhcpTable) -> None:
    where = arrival(source="172.16.0.1", source_port=40067)
    asked = request("discover", (82, b"\x13\0"), giaddr="172.16.0.1")
    assert ask(table, asked, where).port == 40067


def test_nak_without_relay_is_broadcast(table: DhcpTable) -> None:
    reply = ask(table, request("request", ciaddr="172.16.0.99"))
    assert (reply.address, reply.port) == ("255.255.255.255", 68)


def test_nak_through_a_relay_asks_it_to_broadcast(table: DhcpTable) -> None:
    reply = ask(table, request("request", ("requested_addr", "172.16.0.99"), giaddr="172.16.0.1"))
    assert reply.address == "172.16.0.1"
    assert int(read(reply.payload).header.flags) == 0x8000


@pytest.mark.parametrize("message", ["discover", "request"])
def test_option_82_is_returned_unchanged_and_last(table: DhcpTable, message: str) -> None:
    agent = b"\x01\x06\x00\x04\x00\x02\x00\x07\x02\x03abc"
    asked = request(message, (61, b"\1id"), (82, agent), ("requested_addr", "172.16.0.11"), giaddr="172.16.0.1")
    got = read(ask(table, asked).payload)
    assert (got.order[-1], got["relay_agent_information"]) == ("relay_agent_information", agent)


def test_nak_returns_option_82_too(table: DhcpTable) -> None:
    asked = request("request", (82, b"\1\1x"), ("requested_addr", "172.16.0.99"), giaddr="172.16.0.1")
    assert read(ask(table, asked).payload)["relay_agent_information"] == b"\1\1x"


def test_clients_port_follows_the_servers() -> None:
    cluster = reference_cluster()
    moved = compile_dhcp((replace(cluster, listen=replace(cluster.listen, dhcp_port=6767)),))
    assert ask(moved, request("discover")).port == 6768
    assert ask(moved, request("discover", giaddr="172.16.0.1")).port == 6767


# --- networks ------------------------------------------------------------------------------------


def test_relay_in_the_hosts_network_gets_the_offer(table: DhcpTable) -> None:
    reply = ask(table, request("discover", mac=W9_MAC, giaddr="172.16.9.1"))
    assert read(reply.payload)["router"] == "172.16.9.1"


def test_host_in_a_network_that_is_not_its_own_gets_silence_and_is_reported(table: DhcpTable) -> None:
    result = silence(table, request("discover", mac=W9_MAC))
    assert result.event == DhcpMisplaced("w9.ocp45.example.localdomain", W9_MAC, "172.16.9.39", "", "node0")


def test_host_that_remembers_its_address_in_a_wrong_network_gets_a_nak(table: DhcpTable) -> None:
    """RFC 2131 section 4.3.2: INIT-REBOOT on the wrong net."""
    asked = request("request", ("requested_addr", "172.16.9.39"), mac=W9_MAC, giaddr="172.16.0.1")
    assert ask(table, asked).message == "nak"


def test_host_in_another_servers_network_is_not_refused(table: DhcpTable) -> None:
    assert silence(table, request("request", ("requested_addr", "172.16.0.11")), ELSEWHERE).why == "wrong-network"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(request("request", ("requested_addr", "10.99.0.50"), giaddr="10.99.0.1"), id="init-reboot"),
        pytest.param(request("request", ciaddr="10.99.0.50", giaddr="10.99.0.1"), id="rebinding"),
        pytest.param(
            request("request", ("requested_addr", "172.16.0.11"), (82, b"\x05\x04\x0a\x63\0\x01"), giaddr="172.16.0.1"),
            id="link selection",
        ),
    ],
)
def test_host_behind_a_relay_of_another_servers_network_is_not_refused(table: DhcpTable, asked: bytes) -> None:
    result = silence(table, asked, arrival(source="172.16.0.254", source_port=67))
    assert (result.why, type(result.event)) == ("wrong-network", DhcpMisplaced)


def test_link_selection_takes_precedence_over_giaddr(table: DhcpTable) -> None:
    """RFC 3527: the relay's own address may be outside the client's network."""
    asked = request("discover", (82, b"\x05\x04\xac\x10\x09\x01"), mac=W9_MAC, giaddr="192.0.2.1")
    assert ask(table, asked, RELAY).address == "192.0.2.1"


def test_broken_link_selection_is_ignored(table: DhcpTable) -> None:
    assert ask(table, request("discover", (82, b"\x05\x04\xac"), giaddr="172.16.0.1")).message == "offer"


def test_relay_may_stand_in_as_the_server(table: DhcpTable) -> None:
    """RFC 5107: the reply has the relay's server identifier, and the REQUEST returns it."""
    agent = b"\x0b\x04\xac\x10\x09\x01"
    offer = read(ask(table, request("discover", (82, agent), mac=W9_MAC, giaddr="172.16.9.1")).payload)
    assert offer["server_id"] == "172.16.9.1"
    chosen = request(
        "request",
        ("server_id", "172.16.9.1"),
        ("requested_addr", "172.16.9.39"),
        (82, agent),
        mac=W9_MAC,
        giaddr="172.16.9.1",
    )
    assert ask(table, chosen).message == "ack"


def test_second_cluster_in_the_same_process_is_answered_too() -> None:
    other = reference_cluster()
    network = replace(other.networks[0], cidr=IPv4Network("192.0.2.0/24"), server=IPv4Address("192.0.2.5"))
    host = replace(other.hosts[0], addresses=(IPv4Address("192.0.2.11"),), macs=(MacAddress.parse(STRANGER_MAC),))
    both = compile_dhcp((reference_cluster(), replace(other, networks=(network,), hosts=(host,))))
    reply = ask(both, request("discover", mac=STRANGER_MAC), arrival("192.0.2.5"))
    assert read(reply.payload)["server_id"] == "192.0.2.5"


# --- boot files ------------------------------------------------------------------------------------


def boot_of(reply: Reply) -> str:
    """Return the boot file in the event; fail unless header, option 67 and siaddr agree with it."""
    assert isinstance(reply.event, DhcpOffered | DhcpAcknowledged)
    got = read(reply.payload)
    if not reply.event.boot:
        assert got.file == ""
        # Firmware with a menu that starts its disk would ask siaddr for a boot file.
        assert got.header.siaddr == ("0.0.0.0" if "vendor_specific" in got else "172.16.0.101")
        assert {"boot-file-name", "tftp_server_name"}.isdisjoint(got.options)
        return ""
    end = b"\0" if reply.event.program is Program.PXE else b""
    assert got["boot-file-name"] == reply.event.boot.encode() + end
    assert got.file == reply.event.boot
    assert (got.header.siaddr, got["tftp_server_name"]) == ("172.16.0.101", b"172.16.0.101" + end)
    return reply.event.boot


def test_uefi_firmware_boots_ipxe_by_tftp(table: DhcpTable) -> None:
    reply = ask(table, request("discover", *FIRMWARE))
    assert boot_of(reply) == "efi/ipxe.efi"
    # To edk2 a bare PXEClient means "ask port 4011".
    assert "vendor_class_id" not in read(reply.payload)


def test_bios_firmware_boots_undionly(table: DhcpTable) -> None:
    assert boot_of(ask(table, request("discover", *BIOS))) == "undionly.kpxe"


def test_http_boot_gets_a_url_and_its_vendor_class(table: DhcpTable) -> None:
    reply = ask(table, request("discover", *HTTP_BOOT))
    assert boot_of(reply) == "http://172.16.0.101/efi/ipxe.efi"
    assert read(reply.payload)["vendor_class_id"] == b"HTTPClient"


def test_ipxe_boots_the_script(table: DhcpTable) -> None:
    reply = ask(table, request("discover", *IPXE))
    assert boot_of(reply) == "http://172.16.0.101/pxeboot.ipxe"
    # Without the option no-pxedhcp, iPXE waits for a proxyDHCP server.
    assert read(reply.payload)[175] == b"\xb0\x01\x01"


def poor_ipxe(features: str) -> Options:
    """Return the options of an iPXE with these features (option 175)."""
    return tuple((code, bytes.fromhex(features)) if code == 175 else (code, value) for code, value in IPXE)


NO_MENU, NO_HTTP = poor_ipxe("130101 150101 240101"), poor_ipxe("150101 240101 270101")
LOADED = {BS: Installation(BS, recipe=Recipe(loaded="efi/ipxe.efi", loads=1))}
NO_FILE = {BS: Installation(BS, complaint=Condition(FILE_MISSING, "", 0.0))}


@pytest.mark.parametrize("options", [NO_MENU, NO_HTTP])
def test_ipxe_that_lacks_what_scripts_need_gets_our_ipxe(table: DhcpTable, options: Options) -> None:
    assert boot_of(ask(table, request("discover", *options), installations={BS: Installation(BS)})) == "efi/ipxe.efi"


@pytest.mark.parametrize("installations", [LOADED, NO_FILE], ids=["loaded", "no file"])
def test_ipxe_that_has_loaded_ours_in_vain_gets_the_script_that_it_can_fetch(
    table: DhcpTable, installations: dict[str, Installation]
) -> None:
    reply = ask(table, request("discover", *NO_MENU), installations=installations)
    assert boot_of(reply) == "http://172.16.0.101/pxeboot.ipxe"


def test_ipxe_without_http_never_gets_a_script(table: DhcpTable) -> None:
    assert boot_of(ask(table, request("discover", *NO_HTTP), installations=LOADED)) == "efi/ipxe.efi"


def test_firmware_that_has_loaded_ipxe_gets_it_again(table: DhcpTable) -> None:
    assert boot_of(ask(table, request("discover", *FIRMWARE), installations=LOADED)) == "efi/ipxe.efi"


def with_loader(loader: str) -> dict[str, Installation]:
    return {BS: Installation(BS, recipe=Recipe(loader=loader))}


@pytest.mark.parametrize(("options", "base"), [(FIRMWARE, ""), (HTTP_BOOT, "http://172.16.0.101/")])
def test_machine_gets_the_loader_of_its_recipe(table: DhcpTable, options: Options, base: str) -> None:
    reply = ask(table, request("discover", *options), installations=with_loader("ipxe-snp"))
    assert boot_of(reply) == f"{base}efi/snponly.efi"


@pytest.mark.parametrize("loader", ["undionly", "of-another-version"])
def test_loader_of_a_recipe_that_is_not_for_this_firmware_gives_way(table: DhcpTable, loader: str) -> None:
    assert boot_of(ask(table, request("discover", *FIRMWARE), installations=with_loader(loader))) == "efi/ipxe.efi"


def test_loader_in_cluster_yaml_is_the_one_that_is_sent() -> None:
    cluster = reference_cluster()
    hosts = tuple(replace(host, loader=Loader.IPXE) for host in cluster.hosts)
    table = compile_dhcp((replace(cluster, hosts=hosts),))
    assert boot_of(ask(table, request("discover", *FIRMWARE), installations=with_loader("ipxe-snp"))) == "efi/ipxe.efi"


@pytest.mark.parametrize(
    ("own", "kind", "file"),
    [
        ("", "x64-uefi PXEClient:Arch:00007:UNDI:003000", "efi/snponly.efi"),
        ("", "x64-uefi PXEClient:Arch:00007:UNDI:003016", "efi/ipxe.efi"),
        ("auto", "x64-uefi PXEClient:Arch:00007:UNDI:003000", "efi/ipxe.efi"),
    ],
)
def test_machine_without_experience_begins_where_its_class_does(
    table: DhcpTable, own: str, kind: str, file: str
) -> None:
    reply = answer(table, request("discover", *FIRMWARE), NODE_NETWORK, with_loader(own), {kind: Loader.IPXE_SNP})
    assert isinstance(reply, Reply)
    assert boot_of(reply) == file


def test_offer_to_firmware_tells_its_vendor_class(table: DhcpTable) -> None:
    event = ask(table, request("discover", *FIRMWARE)).event
    assert isinstance(event, DhcpOffered)
    assert event.vendor == "PXEClient:Arch:00007:UNDI:003000"


def test_urls_name_the_web_servers_port() -> None:
    cluster = reference_cluster()
    http = tuple(replace(endpoint, port=8080) for endpoint in cluster.listen.http)
    moved = compile_dhcp((replace(cluster, listen=replace(cluster.listen, http=http)),))
    assert boot_of(ask(moved, request("discover", *IPXE))) == "http://172.16.0.101:8080/pxeboot.ipxe"
    assert boot_of(ask(moved, request("discover", *HTTP_BOOT))) == "http://172.16.0.101:8080/efi/ipxe.efi"


def test_system_gets_no_boot_file(table: DhcpTable) -> None:
    assert boot_of(ask(table, request("discover", *SYSTEM))) == ""


def test_hosts_own_loader_takes_precedence_over_the_architectures() -> None:
    own = table_with(loader="efi/snponly.efi")
    assert boot_of(ask(own, request("discover", *FIRMWARE))) == "efi/snponly.efi"
    assert boot_of(ask(own, request("discover", *HTTP_BOOT))) == "http://172.16.0.101/efi/snponly.efi"
    assert boot_of(ask(own, request("discover", *IPXE))) == "http://172.16.0.101/pxeboot.ipxe"


def test_boot_file_longer_than_the_headers_field_is_only_in_option_67() -> None:
    name = "efi/" + "x" * 200 + ".efi"
    got = read(ask(table_with(loader=name), request("discover", *FIRMWARE)).payload)
    assert (got.file, got["boot-file-name"]) == ("", name.encode() + b"\0")


def test_boot_file_of_127_characters_fits_the_headers_field() -> None:
    name = "x" * 127
    got = read(ask(table_with(loader=name), request("discover", *FIRMWARE)).payload)
    assert got.file == name


def test_boot_file_of_128_characters_would_lack_its_end_in_the_headers_field() -> None:
    got = read(ask(table_with(loader="x" * 128), request("discover", *FIRMWARE)).payload)
    assert got.file == ""


def test_second_card_gets_the_address_but_no_boot_file() -> None:
    macs = (MacAddress.parse(BS_MAC), MacAddress.parse(STRANGER_MAC))
    two = table_with(macs=macs)
    reply = ask(two, request("discover", *FIRMWARE, mac=STRANGER_MAC))
    assert boot_of(reply) == ""
    assert read(reply.payload).header.yiaddr == "172.16.0.11"


INSTALLED = {BS: Installation(BS, order=Order.LOCAL)}


@pytest.mark.parametrize("speaker", [FIRMWARE, BIOS, IPXE])
def test_installed_host_gets_its_address_and_no_boot_file(table: DhcpTable, speaker: list[tuple[int, bytes]]) -> None:
    reply = ask(table, request("discover", *speaker), installations=INSTALLED)
    assert boot_of(reply) == ""
    assert read(reply.payload).header.yiaddr == "172.16.0.11"


@pytest.mark.parametrize("speaker", [FIRMWARE, BIOS])
def test_installed_hosts_firmware_is_told_to_boot_its_disk_at_once(
    table: DhcpTable, speaker: list[tuple[int, bytes]]
) -> None:
    """Firmware that only gets an address keeps asking for a minute, as edk2 did in tests/vm/."""
    got = read(ask(table, request("discover", *speaker), installations=INSTALLED).payload)
    control, menu, prompt = b"\6\1\3", b"\x09\x0d\0\0\x0aLocal boot", b"\x0a\x0b\0Local boot"
    assert (got["vendor_class_id"], got["vendor_specific"]) == (b"PXEClient", control + menu + prompt + b"\xff")


@pytest.mark.parametrize(("kind", "mac"), [("discover", BS_MAC), ("request", BS_MAC), ("discover", STRANGER_MAC)])
def test_http_boot_that_gets_no_boot_file_is_sent_to_a_url_that_is_never_found(kind: str, mac: str) -> None:
    """edk2 ignores an offer without a URL and keeps asking for a minute, as it did in tests/vm/."""
    macs = (MacAddress.parse(BS_MAC), MacAddress.parse(STRANGER_MAC))
    options = (*HTTP_BOOT, ("requested_addr", "172.16.0.11"))
    reply = ask(table_with(macs=macs), request(kind, *options, mac=mac), installations=INSTALLED)
    got = read(reply.payload)
    url = "http://172.16.0.101/no-boot-file"
    assert (got.header.yiaddr, got["vendor_class_id"]) == ("172.16.0.11", b"HTTPClient")
    assert (got.file, got["boot-file-name"].decode()) == (url, url)


def test_url_that_is_never_found_is_told_as_no_boot_file(table: DhcpTable) -> None:
    event = ask(table, request("discover", *HTTP_BOOT), installations=INSTALLED).event
    assert isinstance(event, DhcpOffered)
    assert event.boot == ""


def test_installed_hosts_ipxe_gets_no_pxe_menu(table: DhcpTable) -> None:
    got = read(ask(table, request("discover", *IPXE), installations=INSTALLED).payload)
    assert {"vendor_class_id", "vendor_specific"}.isdisjoint(got.options)


@pytest.mark.parametrize("local_boot", [LocalBoot.EXIT, LocalBoot.SANBOOT])
def test_installed_host_that_leaves_by_script_gets_its_loader(local_boot: LocalBoot) -> None:
    reply = ask(table_with(local_boot=local_boot), request("discover", *FIRMWARE), installations=INSTALLED)
    assert boot_of(reply) == "efi/ipxe.efi"


@pytest.mark.parametrize("order", [Order.INSTALL, Order.HOLD])
def test_host_that_is_not_installed_gets_its_loader(table: DhcpTable, order: Order) -> None:
    installations = {BS: Installation(BS, order=order)}
    assert boot_of(ask(table, request("discover", *FIRMWARE), installations=installations)) == "efi/ipxe.efi"


def test_host_that_never_installs_gets_no_boot_file_before_its_first_boot() -> None:
    assert boot_of(ask(table_with(install=Install.NEVER), request("discover", *FIRMWARE))) == ""


# --- proxy and off ---------------------------------------------------------------------------------


def test_proxy_offers_a_boot_file_and_no_address(proxy: DhcpTable) -> None:
    reply = ask(proxy, request("discover", *FIRMWARE))
    got = read(reply.payload)
    assert (got.header.yiaddr, got.header.siaddr, got.file) == ("0.0.0.0", "172.16.0.101", "efi/ipxe.efi")
    assert got["vendor_class_id"] == b"PXEClient"
    assert {"lease_time", "subnet_mask", "router", "hostname"}.isdisjoint(got.options)
    assert (reply.address, reply.mac) == ("255.255.255.255", None)


def test_proxy_lets_uefi_come_to_port_4011(proxy: DhcpTable) -> None:
    """Some UEFI firmware ignores a proxy offer with option 43; all of it uses port 4011 without that option."""
    assert "vendor_specific" not in read(ask(proxy, request("discover", *FIRMWARE)).payload)


def test_proxy_tells_bios_to_take_the_file_at_once(proxy: DhcpTable) -> None:
    assert read(ask(proxy, request("discover", *BIOS)).payload)["vendor_specific"] == b"\x06\x01\x08\xff"


def test_proxy_offers_the_script_to_ipxe(proxy: DhcpTable) -> None:
    got = read(ask(proxy, request("discover", *IPXE)).payload)
    assert (got.file, got["vendor_class_id"]) == ("http://172.16.0.101/pxeboot.ipxe", b"PXEClient")


def test_proxy_is_silent_to_systems_and_reports_them(proxy: DhcpTable) -> None:
    found = silence(proxy, request("discover", *SYSTEM))
    assert found.why == "nothing-to-boot"
    assert found.event == DhcpPassed(BS, BS_MAC, "172.16.0.11", Program.OS)


def test_proxy_is_silent_to_an_installed_hosts_firmware_and_reports_it(proxy: DhcpTable) -> None:
    found = silence(proxy, request("discover", *FIRMWARE), installations=INSTALLED)
    vendor = "PXEClient:Arch:00007:UNDI:003000"
    assert found.event == DhcpPassed(BS, BS_MAC, "172.16.0.11", Program.PXE, "x64-uefi", vendor=vendor)


def test_proxy_leaves_requests_to_the_server_that_gave_the_address(proxy: DhcpTable) -> None:
    assert silence(proxy, request("request", *FIRMWARE, ("requested_addr", "172.16.0.99"))).why == "proxy-mode"


def test_proxy_does_not_report_machines_that_do_not_boot_from_it(proxy: DhcpTable) -> None:
    assert silence(proxy, request("discover", *SYSTEM, mac=STRANGER_MAC)).event is None
    assert silence(proxy, request("discover", *FIRMWARE, mac=STRANGER_MAC)).event is not None


BOOT_SERVER = arrival(source="172.16.0.11", source_port=4011, is_boot_server=True)


@pytest.mark.parametrize("mode", [DhcpMode.FULL, DhcpMode.PROXY])
@pytest.mark.parametrize(("speaker", "loader"), [(FIRMWARE, "efi/ipxe.efi"), (BIOS, "undionly.kpxe")])
def test_port_4011_gives_the_boot_file_to_a_client_that_asks(
    mode: DhcpMode, speaker: list[tuple[int, bytes]], loader: str
) -> None:
    reply = ask(
        compile_dhcp((reference_cluster(dhcp=mode),)), request("request", *speaker, ciaddr="172.16.0.11"), BOOT_SERVER
    )
    got = read(reply.payload)
    assert (got["message-type"], got.file, got["vendor_class_id"]) == (5, loader, b"PXEClient")
    assert (got.header.yiaddr, got.header.ciaddr) == ("0.0.0.0", "172.16.0.11")
    assert (reply.address, reply.port) == ("172.16.0.11", 4011)


def test_port_4011_is_silent_to_an_installed_host(table: DhcpTable) -> None:
    asked = request("request", *FIRMWARE, ciaddr="172.16.0.11")
    assert silence(table, asked, BOOT_SERVER, INSTALLED).why == "nothing-to-boot"


def test_mode_off_is_silent_to_its_hosts() -> None:
    off = compile_dhcp((reference_cluster(dhcp=DhcpMode.OFF),))
    assert answer(off, request("discover"), NODE_NETWORK, {}).why == "mode-off"  # type: ignore[union-attr]


def test_network_whose_dhcp_is_off_is_somebody_elses_beside_one_that_is_served() -> None:
    other = reference_cluster(dhcp=DhcpMode.OFF)
    network = replace(other.networks[0], cidr=IPv4Network("192.0.2.0/24"), server=IPv4Address("192.0.2.5"))
    host = replace(other.hosts[0], addresses=(IPv4Address("192.0.2.11"),), macs=(MacAddress.parse(W9_MAC),))
    both = compile_dhcp((reference_cluster(), replace(other, networks=(network,), hosts=(host,))))
    assert silence(both, request("discover", mac=STRANGER_MAC), arrival("192.0.2.5")).why == "other-network"
    assert silence(both, request("discover", mac=W9_MAC), arrival("192.0.2.5")).why == "mode-off"
