"""Who gets which DHCPv6 reply, as scapy reads it (RFC 8415)."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from scapy.layers import dhcp6
from scapy.packet import Packet

from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6
from appliance.dhcp6.relays import HOP_COUNT_LIMIT
from appliance.events import (
    DhcpAcknowledged,
    DhcpDeclined,
    DhcpMisplaced,
    DhcpOffered,
    DhcpPassed,
    DhcpRefused,
    DhcpRelayRefused,
    DhcpReleased,
    DhcpUnknown,
    Program,
)
from appliance.install.installation import Installation, Order, Recipe
from appliance.model import INFINITE_LEASE, DhcpMode, LocalBoot, MacAddress
from tests.dhcp6_messages import (
    BS,
    BS_MAC,
    FIRMWARE,
    HTTP_BOOT,
    IPXE,
    M1_MAC,
    STRANGER_MAC,
    SYSTEM,
    TO_ONE_SERVER,
    UUID_DUID,
    arrival,
    ask,
    duid_ll,
    ia_na,
    link_local,
    read,
    relayed,
    request,
    silence,
    v6_cluster,
)

W2_MAC = "00:50:56:96:c1:c5"
FAR_HOST = "2001:db8:0:20::32"
OTHER_NODE = "2001:db8:0:10::77"
ELSEWHERE = "2001:db8:ffff::1"
STABLE_PRIVACY = "fe80::1234:5678:9abc:def0"
BS_NAME = "bs.ocp45.example.localdomain"


@pytest.fixture(scope="module")
def table() -> Dhcp6Table:
    return compile_dhcp6((v6_cluster(),))


def statuses(options: list[object]) -> list[int]:
    return [option.statuscode for option in options if isinstance(option, dhcp6.DHCP6OptStatusCode)]


# What a host is given


def test_solicit_gets_an_advertisement_of_the_hosts_address(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), *SYSTEM)).payload)
    assert isinstance(reply.packet, dhcp6.DHCP6_Advertise)
    assert reply.addresses == [(str(BS), 3600, 3600)]


def test_request_gets_a_reply_with_the_hosts_address(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("request", ia_na(BS), server_id=table.duid)).payload)
    assert isinstance(reply.packet, dhcp6.DHCP6_Reply)
    assert reply.addresses == [(str(BS), 3600, 3600)]


def test_reply_goes_to_the_clients_port(table: Dhcp6Table) -> None:
    assert ask(table, request("solicit", ia_na())).port == 546


def test_reply_returns_transaction_and_client_id_and_names_the_server(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), xid=0xABCDEF)).payload)
    assert reply.packet.trid == 0xABCDEF
    assert reply.option(dhcp6.DHCP6OptClientId).duid.lladdr == BS_MAC
    assert bytes(reply.option(dhcp6.DHCP6OptServerId).duid) == table.duid


def test_renewal_times_are_half_and_four_fifths_of_the_lifetime(table: Dhcp6Table) -> None:
    ia = read(ask(table, request("solicit", ia_na())).payload).option(dhcp6.DHCP6OptIA_NA)
    assert (ia.T1, ia.T2) == (1800, 2880)


def test_infinite_lease_is_never_renewed() -> None:
    cluster = v6_cluster()
    forever = tuple(replace(network, lease_seconds=INFINITE_LEASE) for network in cluster.networks)
    reply = read(ask(compile_dhcp6((replace(cluster, networks=forever),)), request("solicit", ia_na())).payload)
    ia = reply.option(dhcp6.DHCP6OptIA_NA)
    assert (ia.T1, ia.T2, reply.addresses[0][2]) == (INFINITE_LEASE, INFINITE_LEASE, INFINITE_LEASE)


def test_advertisement_has_the_highest_preference(table: Dhcp6Table) -> None:
    assert read(ask(table, request("solicit", ia_na())).payload).option(dhcp6.DHCP6OptPref).prefval == 255


def test_rapid_commit_gets_the_reply_at_once(table: Dhcp6Table) -> None:
    result = ask(table, request("solicit", ia_na(), dhcp6.DHCP6OptRapidCommit()))
    reply = read(result.payload)
    assert isinstance(reply.packet, dhcp6.DHCP6_Reply)
    assert reply.has(dhcp6.DHCP6OptRapidCommit)
    assert isinstance(result.event, DhcpAcknowledged)


def test_rapid_commit_to_a_host_that_gets_nothing_leaves_it_to_other_servers(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", dhcp6.DHCP6OptIA_PD(iaid=1), dhcp6.DHCP6OptRapidCommit())).payload)
    assert isinstance(reply.packet, dhcp6.DHCP6_Advertise)
    assert not reply.has(dhcp6.DHCP6OptRapidCommit)
    assert not reply.has(dhcp6.DHCP6OptPref)


def test_second_ia_gets_no_address(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(iaid=1), ia_na(iaid=2))).payload)
    first, second = reply.options(dhcp6.DHCP6OptIA_NA)
    assert [each.addr for each in first.ianaopts] == [str(BS)]
    assert statuses(second.ianaopts) == [2]  # NoAddrsAvail


def test_ia_that_names_the_address_keeps_it(table: Dhcp6Table) -> None:
    asked = request("renew", ia_na(iaid=1), ia_na(BS, iaid=2), server_id=table.duid)
    first, second = read(ask(table, asked).payload).options(dhcp6.DHCP6OptIA_NA)
    assert statuses(first.ianaopts) == [3]  # NoBinding
    assert [each.addr for each in second.ianaopts] == [str(BS)]


def test_temporary_addresses_and_prefixes_are_refused_by_their_own_status(table: Dhcp6Table) -> None:
    asked = request("solicit", ia_na(), dhcp6.DHCP6OptIA_TA(iaid=7), dhcp6.DHCP6OptIA_PD(iaid=8))
    reply = read(ask(table, asked).payload)
    assert statuses(reply.option(dhcp6.DHCP6OptIA_TA).iataopts) == [2]  # NoAddrsAvail
    assert statuses(reply.option(dhcp6.DHCP6OptIA_PD).iapdopt) == [6]  # NoPrefixAvail


def test_dns_servers_and_search_list_come_as_requested(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), *SYSTEM)).payload)
    assert reply.option(dhcp6.DHCP6OptDNSServers).dnsservers == ["2001:db8:0:10::101"]
    assert reply.option(dhcp6.DHCP6OptDNSDomains).dnsdomains == ["ocp45.example.localdomain.", "example.localdomain."]


def test_option_that_was_not_requested_is_not_sent(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[23]))).payload)
    assert reply.has(dhcp6.DHCP6OptDNSServers)
    assert not reply.has(dhcp6.DHCP6OptDNSDomains)


def with_ntp() -> Dhcp6Table:
    cluster = v6_cluster()
    servers = (IPv6Address("2001:db8:0:10::123"), IPv6Address("2001:db8:0:10::124"))
    return compile_dhcp6(
        (replace(cluster, networks=tuple(replace(each, ntp_servers=servers) for each in cluster.networks)),)
    )


def test_time_servers_come_in_rfc_5908s_option() -> None:
    reply = read(ask(with_ntp(), request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[56]))).payload)
    servers = reply.option(dhcp6.DHCP6OptNTPServer).ntpserver
    assert [server.addr for server in servers] == ["2001:db8:0:10::123", "2001:db8:0:10::124"]
    assert not reply.has(dhcp6.DHCP6OptSNTPServers)


def test_time_servers_come_in_the_older_option_to_clients_that_request_that() -> None:
    reply = read(ask(with_ntp(), request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[31]))).payload)
    assert reply.option(dhcp6.DHCP6OptSNTPServers).sntpservers == ["2001:db8:0:10::123", "2001:db8:0:10::124"]


@pytest.mark.parametrize(("asked", "told"), [("S", "S"), ("", "SO"), ("N", "SO")])
def test_name_is_given_and_needs_no_update(table: Dhcp6Table, asked: str, told: str) -> None:
    sent = dhcp6.DHCP6OptClientFQDN(flags=asked, fqdn=b"other.example.")
    fqdn = read(ask(table, request("solicit", ia_na(), sent)).payload).option(dhcp6.DHCP6OptClientFQDN)
    assert (str(fqdn.flags), fqdn.fqdn) == (told, f"{BS_NAME}.".encode())


# Boot files


def test_firmware_gets_its_loader_by_tftp(table: Dhcp6Table) -> None:
    result = ask(table, request("solicit", ia_na(), *FIRMWARE))
    reply = read(result.payload)
    assert reply.boot_url == "tftp://[2001:db8:0:10::101]/efi/ipxe.efi"
    # With PXEClient, edk2 would ask for the boot file once more, on port 4011.
    assert not reply.has(dhcp6.DHCP6OptVendorClass)
    event = result.event
    assert isinstance(event, DhcpOffered)
    assert (event.host, event.program, event.arch, event.boot) == (BS_NAME, Program.PXE, "x64-uefi", reply.boot_url)


@pytest.mark.parametrize(("firmware", "base"), [(FIRMWARE, "tftp"), (HTTP_BOOT, "http")])
def test_machine_gets_the_loader_of_its_recipe(table: Dhcp6Table, firmware: Sequence[Packet], base: str) -> None:
    known = {BS_NAME: Installation(BS_NAME, recipe=Recipe(loader="ipxe-snp"))}
    reply = read(ask(table, request("solicit", ia_na(), *firmware), installations=known).payload)
    assert reply.boot_url == f"{base}://[2001:db8:0:10::101]/efi/snponly.efi"


def test_offer_to_firmware_tells_its_vendor_class(table: Dhcp6Table) -> None:
    event = ask(table, request("solicit", ia_na(), *FIRMWARE)).event
    assert isinstance(event, DhcpOffered)
    assert event.vendor.startswith("PXEClient:Arch:00007")


def test_http_boot_gets_an_http_url_and_its_vendor_class(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), *HTTP_BOOT)).payload)
    assert reply.boot_url == "http://[2001:db8:0:10::101]/efi/ipxe.efi"
    vendor = reply.option(dhcp6.DHCP6OptVendorClass)
    assert (vendor.enterprisenum, [each.data for each in vendor.vcdata]) == (343, [b"HTTPClient"])


def test_ipxe_gets_its_script(table: Dhcp6Table) -> None:
    reply = read(ask(table, request("solicit", ia_na(), *IPXE)).payload)
    assert reply.boot_url == "http://[2001:db8:0:10::101]/pxeboot.ipxe"


def test_system_gets_no_boot_file(table: Dhcp6Table) -> None:
    assert read(ask(table, request("solicit", ia_na(), *SYSTEM)).payload).boot_url == ""


def test_boot_file_comes_without_a_list_of_requested_options(table: Dhcp6Table) -> None:
    asked = request("solicit", ia_na(), *FIRMWARE[1:])
    assert read(ask(table, asked).payload).boot_url


def test_installed_host_gets_an_address_and_no_loader(table: Dhcp6Table) -> None:
    installed = {BS_NAME: Installation(BS_NAME, order=Order.LOCAL)}
    reply = read(ask(table, request("solicit", ia_na(), *FIRMWARE), arrival(), installed).payload)
    assert reply.addresses
    assert "ipxe.efi" not in reply.boot_url


def test_installed_host_that_boots_by_a_script_gets_the_loader() -> None:
    cluster = v6_cluster()
    hosts = tuple(replace(host, local_boot=LocalBoot.EXIT) for host in cluster.hosts)
    installed = {BS_NAME: Installation(BS_NAME, order=Order.LOCAL)}
    table = compile_dhcp6((replace(cluster, hosts=hosts),))
    assert read(ask(table, request("solicit", ia_na(), *FIRMWARE), arrival(), installed).payload).boot_url


def test_second_card_of_a_host_gets_its_address_and_no_boot_file() -> None:
    cluster = v6_cluster()
    two = replace(cluster.hosts[0], macs=(*cluster.hosts[0].macs, MacAddress.parse(STRANGER_MAC)))
    table = compile_dhcp6((replace(cluster, hosts=(two,)),))
    reply = read(ask(table, request("solicit", ia_na(), *FIRMWARE), arrival(STRANGER_MAC)).payload)
    assert reply.addresses[0][0] == str(BS)
    assert reply.boot_url == ""


def test_user_class_without_a_length_is_ipxe_too(table: Dhcp6Table) -> None:
    asked = request("solicit", ia_na(), *FIRMWARE) + b"\0\x0f\0\x04iPXE"
    assert read(ask(table, asked).payload).boot_url.endswith("/pxeboot.ipxe")


def test_driver_of_edk2_gets_an_address_and_counts_as_no_system(table: Dhcp6Table) -> None:
    """It asks beside PXE, states no class, and requests the DNS servers only."""
    result = ask(table, request("solicit", ia_na(), dhcp6.DHCP6OptOptReq(reqopts=[23])))
    assert read(result.payload).addresses[0][0] == str(BS)
    assert (result.event, result.host) == (None, BS_NAME)


# Keeping, confirming, giving back


@pytest.mark.parametrize("message", ["renew", "rebind"])
def test_renewal_extends_the_hosts_address_and_ends_any_other(table: Dhcp6Table, message: str) -> None:
    server_id = table.duid if message in TO_ONE_SERVER else None
    reply = read(ask(table, request(message, ia_na(OTHER_NODE, BS), server_id=server_id)).payload)
    assert reply.addresses == [(str(BS), 3600, 3600), (OTHER_NODE, 0, 0)]


def test_request_for_an_address_of_another_network_is_refused(table: Dhcp6Table) -> None:
    result = ask(table, request("request", ia_na(ELSEWHERE), server_id=table.duid))
    assert statuses(read(result.payload).option(dhcp6.DHCP6OptIA_NA).ianaopts) == [4]  # NotOnLink
    assert isinstance(result.event, DhcpRefused)
    assert (result.event.asked, result.event.address) == (ELSEWHERE, str(BS))


def test_confirmation_of_the_hosts_address_succeeds(table: Dhcp6Table) -> None:
    result = ask(table, request("confirm", ia_na(BS)))
    assert read(result.payload).option(dhcp6.DHCP6OptStatusCode).statuscode == 0
    assert isinstance(result.event, DhcpAcknowledged)


@pytest.mark.parametrize("address", [OTHER_NODE, ELSEWHERE])
def test_confirmation_of_another_address_fails(table: Dhcp6Table, address: str) -> None:
    result = ask(table, request("confirm", ia_na(address)))
    assert read(result.payload).option(dhcp6.DHCP6OptStatusCode).statuscode == 4  # NotOnLink
    assert isinstance(result.event, DhcpRefused)


def test_confirmation_without_an_address_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, request("confirm", ia_na())).why == "no-address-asked"


@pytest.mark.parametrize(("message", "event"), [("release", DhcpReleased), ("decline", DhcpDeclined)])
def test_release_and_decline_succeed_and_are_told(table: Dhcp6Table, message: str, event: type) -> None:
    result = ask(table, request(message, ia_na(BS), server_id=table.duid))
    assert read(result.payload).option(dhcp6.DHCP6OptStatusCode).statuscode == 0
    assert result.event == event(BS_NAME, BS_MAC, str(BS))


@pytest.mark.parametrize("message", ["release", "decline"])
def test_release_and_decline_of_another_address_are_not_told(table: Dhcp6Table, message: str) -> None:
    result = ask(table, request(message, ia_na(OTHER_NODE), server_id=table.duid))
    assert statuses(read(result.payload).option(dhcp6.DHCP6OptIA_NA).ianaopts) == [3]  # NoBinding
    assert result.event is None


def test_information_request_gets_options_and_no_address(table: Dhcp6Table) -> None:
    asked = request("information-request", dhcp6.DHCP6OptOptReq(reqopts=[23, 32]))
    result = ask(table, asked)
    reply = read(result.payload)
    assert reply.option(dhcp6.DHCP6OptDNSServers).dnsservers == ["2001:db8:0:10::101"]
    assert reply.option(dhcp6.DHCP6OptInfoRefreshTime).reftime == 3600
    assert not reply.has(dhcp6.DHCP6OptIA_NA)
    assert isinstance(result.event, DhcpAcknowledged)


def test_information_request_of_ipxe_gets_its_script(table: Dhcp6Table) -> None:
    assert read(ask(table, request("information-request", *IPXE)).payload).boot_url.endswith("/pxeboot.ipxe")


def test_information_request_needs_no_client_id(table: Dhcp6Table) -> None:
    asked = bytes(dhcp6.DHCP6_InfoRequest(trid=1) / dhcp6.DHCP6OptOptReq(reqopts=[23]))
    assert read(ask(table, asked).payload).has(dhcp6.DHCP6OptDNSServers)


# Who the client is


def test_link_tells_the_host_whatever_the_duid_is(table: Dhcp6Table) -> None:
    asked = request("solicit", ia_na(), client_id=dhcp6.DUID_UUID(UUID_DUID))
    assert read(ask(table, asked, arrival(M1_MAC)).payload).addresses[0][0] == "2001:db8:0:10::21"


def test_link_counts_more_than_a_duid_of_another_host(table: Dhcp6Table) -> None:
    """A system that was copied has the DUID of the machine that it was copied from."""
    asked = request("solicit", ia_na(), client_id=duid_ll(BS_MAC))
    assert read(ask(table, asked, arrival(M1_MAC)).payload).addresses[0][0] == "2001:db8:0:10::21"


def test_source_that_tells_nothing_has_the_kernel_asked(table: Dhcp6Table) -> None:
    assert silence(table, request("solicit", ia_na()), arrival(source=STABLE_PRIVACY)).why == "unresolved-mac"


def test_kernel_is_not_asked_about_clients_in_networks_of_others(table: Dhcp6Table) -> None:
    where = arrival(source=STABLE_PRIVACY, on=ELSEWHERE)
    assert silence(table, request("solicit", ia_na()), where).why == "other-network"


def test_mac_that_the_kernel_knows_tells_the_host(table: Dhcp6Table) -> None:
    seen = bytes.fromhex(M1_MAC.replace(":", ""))
    asked = request("solicit", ia_na(), client_id=dhcp6.DUID_UUID(UUID_DUID))
    reply = read(ask(table, asked, arrival(source=STABLE_PRIVACY, seen=seen)).payload)
    assert reply.addresses[0][0] == "2001:db8:0:10::21"


@pytest.mark.parametrize("duid", [dhcp6.DUID_LL(lladdr=M1_MAC), dhcp6.DUID_LLT(lladdr=M1_MAC, timeval=1)])
def test_duid_tells_the_host_where_the_kernel_knows_nothing(table: Dhcp6Table, duid: dhcp6.DUID_LL) -> None:
    asked = request("solicit", ia_na(), client_id=duid)
    reply = read(ask(table, asked, arrival(source=STABLE_PRIVACY, seen=b"")).payload)
    assert reply.addresses[0][0] == "2001:db8:0:10::21"


def test_duid_of_other_hardware_tells_no_mac(table: Dhcp6Table) -> None:
    asked = request("solicit", ia_na(), client_id=dhcp6.DUID_LL(hwtype=32, lladdr=M1_MAC))
    assert silence(table, asked, arrival(source=STABLE_PRIVACY, seen=b"")).why == "unknown-mac"


def test_unknown_machine_gets_silence_and_is_told(table: Dhcp6Table) -> None:
    result = silence(table, request("solicit", ia_na(), *FIRMWARE, mac=STRANGER_MAC), arrival(STRANGER_MAC))
    assert result.is_local
    assert result.event == DhcpUnknown(
        "", STRANGER_MAC, Program.PXE, "x64-uefi", "PXEClient:Arch:00007:UNDI:003001", "", "eth0"
    )


def test_long_vendor_class_of_an_unknown_machine_is_cut(table: Dhcp6Table) -> None:
    long = dhcp6.DHCP6OptVendorClass(enterprisenum=343, vcdata=[dhcp6.VENDOR_CLASS_DATA(data=b"x" * 900)])
    event = silence(table, request("solicit", ia_na(), long, mac=STRANGER_MAC), arrival(STRANGER_MAC)).event
    assert isinstance(event, DhcpUnknown)
    assert event.vendor == "x" * 64


def test_host_without_an_ipv6_address_is_no_unknown_machine(table: Dhcp6Table) -> None:
    m2 = "00:50:56:96:ec:a7"
    result = silence(table, request("solicit", ia_na(), mac=m2), arrival(m2))
    assert (result.why, result.event) == ("host-without-ipv6", None)


def test_unknown_machine_in_a_network_of_others_is_not_told(table: Dhcp6Table) -> None:
    result = silence(table, request("solicit", ia_na(), mac=STRANGER_MAC), arrival(STRANGER_MAC, on=ELSEWHERE))
    assert (result.why, result.event) == ("other-network", None)


# How long a reply may be


def talkative() -> Dhcp6Table:
    """Return a table with more DNS servers and search domains than a short message is worth."""
    cluster = v6_cluster()
    servers = tuple(IPv6Address(f"2001:db8:0:10::{number}") for number in range(1, 20))
    search = tuple(f"domain-{number}.example.localdomain" for number in range(10))
    networks = tuple(replace(each, dns_servers=servers, search=search) for each in cluster.networks)
    return compile_dhcp6((replace(cluster, networks=networks),))


def test_reply_on_our_link_has_every_option() -> None:
    reply = read(ask(talkative(), request("solicit", ia_na())).payload)
    assert len(reply.option(dhcp6.DHCP6OptDNSServers).dnsservers) == 19
    assert len(reply.option(dhcp6.DHCP6OptDNSDomains).dnsdomains) == 10


def test_relay_gets_no_more_than_three_times_what_it_sent_and_the_address_in_any_case() -> None:
    asked = relayed(request("solicit", ia_na(), mac=W2_MAC), peer=link_local(W2_MAC))
    payload = ask(talkative(), asked, FROM_RELAY).payload
    assert len(payload) <= 3 * len(asked)
    _, inner = unwrapped(payload)
    assert read(inner).addresses[0][0] == FAR_HOST
    assert not read(inner).has(dhcp6.DHCP6OptDNSServers)


@pytest.mark.parametrize("message", ["solicit", "release"])
def test_relay_gets_nothing_where_refusals_would_be_more_than_three_times_what_it_sent(
    table: Dhcp6Table, message: str
) -> None:
    server_id = table.duid if message in TO_ONE_SERVER else None
    asked = request(message, *(dhcp6.DHCP6OptIA_TA(iaid=number) for number in range(20)), server_id=server_id)
    assert ask(table, asked).payload  # on our own link
    assert silence(table, relayed(asked, link="2001:db8:0:10::1"), FROM_RELAY).why == "too-long"


def test_message_with_more_ias_than_a_reply_holds_gets_silence(table: Dhcp6Table) -> None:
    asked = request("solicit", *(ia_na(iaid=number) for number in range(100)))
    assert len(asked) < 2048
    assert silence(table, asked).why == "too-long"


# What is not answered


@pytest.mark.parametrize("message", ["solicit", "confirm", "rebind"])
def test_message_to_every_server_that_names_one_gets_silence(table: Dhcp6Table, message: str) -> None:
    assert silence(table, request(message, ia_na(BS), server_id=table.duid)).why == "malformed-options"


@pytest.mark.parametrize("message", TO_ONE_SERVER)
def test_message_to_another_server_gets_silence(table: Dhcp6Table, message: str) -> None:
    assert silence(table, request(message, ia_na(BS), server_id=UUID_DUID)).why == "other-server-chosen"
    assert silence(table, request(message, ia_na(BS))).why == "malformed-options"


def test_message_without_a_client_id_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, bytes(dhcp6.DHCP6_Solicit(trid=1) / ia_na())).why == "no-client-id"


def test_solicit_without_an_ia_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, request("solicit", *SYSTEM)).why == "no-address-asked"


@pytest.mark.parametrize("message", TO_ONE_SERVER)
def test_unicast_is_told_to_use_multicast(table: Dhcp6Table, message: str) -> None:
    result = ask(table, request(message, ia_na(BS), server_id=table.duid), arrival(is_unicast=True))
    reply = read(result.payload)
    assert reply.option(dhcp6.DHCP6OptStatusCode).statuscode == 5  # UseMulticast
    assert not reply.has(dhcp6.DHCP6OptIA_NA)
    assert result.event is None


@pytest.mark.parametrize("message", ["solicit", "confirm", "rebind"])
def test_unicast_of_what_goes_to_every_server_gets_silence(table: Dhcp6Table, message: str) -> None:
    assert silence(table, request(message, ia_na(BS)), arrival(is_unicast=True)).why == "unicast"


def test_message_from_behind_a_router_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, request("solicit", ia_na()), arrival(source=str(BS))).why == "not-link-local"


def test_message_of_a_server_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, bytes(dhcp6.DHCP6_Advertise(trid=1))).why == "other-message"


def test_host_on_another_interface_gets_silence_and_is_told(table: Dhcp6Table) -> None:
    result = silence(table, request("solicit", ia_na()), arrival(on="2001:db8:0:20::101"))
    assert (result.why, result.is_local) == ("wrong-network", False)
    assert result.event == DhcpMisplaced(BS_NAME, BS_MAC, str(BS), "", "eth0")


def test_host_with_its_address_in_another_network_of_ours_is_refused(table: Dhcp6Table) -> None:
    result = ask(table, request("confirm", ia_na(BS)), arrival(on="2001:db8:0:20::101"))
    assert read(result.payload).option(dhcp6.DHCP6OptStatusCode).statuscode == 4  # NotOnLink
    assert not result.is_local


def test_renewal_in_another_network_of_ours_ends_the_address(table: Dhcp6Table) -> None:
    result = ask(table, request("rebind", ia_na(BS)), arrival(on="2001:db8:0:20::101"))
    assert read(result.payload).addresses == [(str(BS), 0, 0)]


def test_renewal_in_a_network_of_others_gets_silence(table: Dhcp6Table) -> None:
    assert silence(table, request("rebind", ia_na(BS)), arrival(on=ELSEWHERE)).why == "wrong-network"


def test_proxy_mode_gives_no_answer_and_tells_of_the_host() -> None:
    table = compile_dhcp6((v6_cluster(DhcpMode.PROXY),))
    result = silence(table, request("solicit", ia_na(), *FIRMWARE))
    assert result.why == "proxy-mode"
    assert isinstance(result.event, DhcpPassed)


def test_mode_off_serves_no_network() -> None:
    assert not compile_dhcp6((v6_cluster(DhcpMode.OFF),)).is_served


# Relays

FROM_RELAY = arrival(source="2001:db8:0:20::1", source_port=547, is_unicast=True)


def unwrapped(payload: bytes, levels: int = 1) -> tuple[list[dhcp6.DHCP6_RelayReply], bytes]:
    """Return the relays' replies in *payload*, the outermost first, and what they contain."""
    found = []
    for _ in range(levels):
        outer = dhcp6.DHCP6_RelayReply(payload)
        found.append(outer)
        payload = bytes(outer.getlayer(dhcp6.DHCP6OptRelayMsg).message)
    return found, payload


def test_relayed_host_gets_its_reply_through_the_relay(table: Dhcp6Table) -> None:
    asked = relayed(request("solicit", ia_na(), mac=W2_MAC), peer=link_local(W2_MAC))
    result = ask(table, asked, FROM_RELAY)
    (outer,), inner = unwrapped(result.payload)
    assert (outer.hopcount, outer.linkaddr, outer.peeraddr) == (0, "2001:db8:0:20::1", link_local(W2_MAC))
    assert read(inner).addresses == [(FAR_HOST, 7200, 7200)]
    assert result.port == 547
    assert result.event is not None
    assert result.is_local
    assert isinstance(result.event, DhcpOffered)
    assert result.event.relay == "2001:db8:0:20::1"


def test_relay_gets_its_interface_id_back(table: Dhcp6Table) -> None:
    asked = relayed(request("solicit", ia_na()), dhcp6.DHCP6OptIfaceId(ifaceid=b"port 7"), peer=link_local(W2_MAC))
    (outer,), _ = unwrapped(ask(table, asked, FROM_RELAY).payload)
    assert outer.getlayer(dhcp6.DHCP6OptIfaceId).ifaceid == b"port 7"


def test_relay_gets_back_what_it_asks_to_be_echoed(table: Dhcp6Table) -> None:
    remote, ero = dhcp6.DHCP6OptRemoteID(enterprisenum=9, remoteid=b"x"), dhcp6.DHCP6OptRelayAgentERO(reqopts=[37])
    asked = relayed(request("solicit", ia_na()), remote, ero, peer=link_local(W2_MAC))
    (outer,), _ = unwrapped(ask(table, asked, FROM_RELAY).payload)
    assert outer.getlayer(dhcp6.DHCP6OptRemoteID).remoteid == b"x"


def test_relay_with_a_port_of_its_own_is_answered_there(table: Dhcp6Table) -> None:
    asked = relayed(request("solicit", ia_na()), peer=link_local(W2_MAC))
    asked = asked[:34] + b"\0\x87\0\2\0\0" + asked[34:]
    result = ask(table, asked, arrival(source="2001:db8:0:20::1", source_port=50000, is_unicast=True))
    assert result.port == 50000


def test_link_layer_address_that_a_relay_saw_tells_the_host(table: Dhcp6Table) -> None:
    seen = dhcp6.DHCP6OptClientLinkLayerAddr(clladdr=W2_MAC)
    asked = relayed(request("solicit", ia_na(), client_id=dhcp6.DUID_UUID(UUID_DUID)), seen, peer=STABLE_PRIVACY)
    _, inner = unwrapped(ask(table, asked, FROM_RELAY).payload)
    assert read(inner).addresses[0][0] == FAR_HOST


def test_host_behind_the_relay_of_another_network_gets_silence(table: Dhcp6Table) -> None:
    result = silence(table, relayed(request("solicit", ia_na())), FROM_RELAY)
    assert result.why == "wrong-network"


@pytest.mark.parametrize(("links", "is_answered"), [(("rack1", "rack1"), True), (("rack1", "rack2"), False)])
def test_relay_may_name_another_network_of_the_same_link(links: tuple[str, str], is_answered: bool) -> None:
    cluster = v6_cluster()
    *rest, here, far = cluster.networks
    networks = (*rest, replace(here, link=links[0]), replace(far, link=links[1]))
    asked = relayed(request("solicit", ia_na(), mac=W2_MAC), link="2001:db8:0:10::1", peer=link_local(W2_MAC))
    table = compile_dhcp6((replace(cluster, networks=networks),))
    if is_answered:
        _, message = unwrapped(ask(table, asked, FROM_RELAY).payload)
        assert read(message).addresses[0][0] == FAR_HOST
    else:
        assert silence(table, asked, FROM_RELAY).why == "wrong-network"


def test_relay_from_elsewhere_gets_silence_and_its_address_is_told(table: Dhcp6Table) -> None:
    where = arrival(source=ELSEWHERE, source_port=547, is_unicast=True)
    result = silence(table, relayed(request("solicit", ia_na()), peer=link_local(W2_MAC)), where)
    assert (result.why, result.is_local) == ("relay-not-accepted", False)
    hint = f"if the relay at {ELSEWHERE} is yours, add {ELSEWHERE} to dhcp.relays"
    assert result.event == DhcpRelayRefused("", W2_MAC, "2001:db8:0:20::1", ELSEWHERE, hint)


def test_relay_in_dhcp_relays_is_accepted() -> None:
    cluster = replace(v6_cluster(), dhcp_relays=(IPv6Network("2001:db8:ffff::/64"),))
    asked = relayed(request("solicit", ia_na()), peer=link_local(W2_MAC))
    assert ask(compile_dhcp6((cluster,)), asked, arrival(source=ELSEWHERE, source_port=547, is_unicast=True))


def test_relay_on_our_own_link_is_accepted_by_its_link_local_address(table: Dhcp6Table) -> None:
    asked = relayed(request("solicit", ia_na()), peer=link_local(W2_MAC))
    assert ask(table, asked, arrival(source="fe80::5", source_port=547))
    result = silence(table, asked, arrival(source="fe80::5", source_port=547, on=ELSEWHERE))
    assert result.why == "relay-not-accepted"


def test_client_behind_a_relay_cannot_claim_another_network(table: Dhcp6Table) -> None:
    """A relay forwards a message that is a relay's already, whoever has made it."""
    forged = relayed(request("solicit", ia_na()), link="2001:db8:0:10::1", peer=link_local(BS_MAC))
    asked = relayed(forged, link="2001:db8:0:20::1", peer="fe80::bad", hops=1)
    assert silence(table, asked, FROM_RELAY).why == "relay-not-accepted"


@pytest.mark.parametrize("between", ["::", "2001:db8:0:20::9"])
def test_client_behind_a_relay_cannot_invent_a_relay_that_is_accepted(table: Dhcp6Table, between: str) -> None:
    """What is inside a client's message names no relay that we know: only the client says that it came from there."""
    forged = relayed(request("solicit", ia_na()), link="2001:db8:0:10::1", peer=link_local(BS_MAC))
    forged = relayed(forged, link=between, peer="2001:db8:0:20::1", hops=1)
    asked = relayed(forged, link="2001:db8:0:20::1", peer="fe80::bad", hops=2)
    assert silence(table, asked, FROM_RELAY).why == "relay-not-accepted"


def test_client_behind_a_relay_that_names_no_network_is_not_in_that_of_our_interface(table: Dhcp6Table) -> None:
    """It names none for a relay's message from a global address (RFC 8415 section 19.1.2), which a client can send."""
    forged = relayed(request("request", ia_na(BS), server_id=table.duid), link="::", peer=link_local(BS_MAC))
    result = silence(table, relayed(forged, link="::", peer=ELSEWHERE, hops=1), FROM_RELAY)
    assert result.why == "wrong-network"
    assert isinstance(result.event, DhcpMisplaced)


def test_client_behind_a_switch_on_our_link_is_in_the_network_of_our_interface(table: Dhcp6Table) -> None:
    asked = relayed(request("solicit", ia_na()), link="::", peer=link_local(BS_MAC))
    assert ask(table, asked).host == BS_NAME


def test_relays_of_ours_around_a_switch_that_relays_are_all_accepted(table: Dhcp6Table) -> None:
    """The last relay names no network, because the one before it has sent from an address of its own."""
    first = relayed(request("solicit", ia_na(), mac=W2_MAC), link="::", peer=link_local(W2_MAC))
    second = relayed(first, link="2001:db8:0:20::1", peer=link_local(W2_MAC), hops=1)
    asked = relayed(second, link="::", peer="2001:db8:0:20::1", hops=2)
    where = arrival(source="2001:db8:0:10::1", source_port=547, is_unicast=True)
    assert ask(table, asked, where).host == "w2.ocp45.example.localdomain"


def test_two_relays_of_ours_are_both_answered(table: Dhcp6Table) -> None:
    first = relayed(request("solicit", ia_na(), mac=W2_MAC), peer=link_local(W2_MAC))
    asked = relayed(first, link="2001:db8:0:10::1", peer="2001:db8:0:20::1", hops=1)
    (outer, inner), message = unwrapped(ask(table, asked, FROM_RELAY).payload, 2)
    assert (outer.hopcount, outer.linkaddr, outer.peeraddr) == (1, "2001:db8:0:10::1", "2001:db8:0:20::1")
    assert (inner.hopcount, inner.linkaddr) == (0, "2001:db8:0:20::1")
    assert read(message).addresses[0][0] == FAR_HOST


def test_switch_that_relays_without_an_address_leaves_the_network_to_the_next_relay(table: Dhcp6Table) -> None:
    """A lightweight relay (RFC 6221) has no link-address."""
    first = relayed(request("solicit", ia_na(), mac=W2_MAC), link="::", peer=link_local(W2_MAC))
    asked = relayed(first, link="2001:db8:0:20::1", peer=link_local(W2_MAC), hops=1)
    _, message = unwrapped(ask(table, asked, FROM_RELAY).payload, 2)
    assert read(message).addresses[0][0] == FAR_HOST


@pytest.mark.parametrize(("hops", "is_answered"), [(HOP_COUNT_LIMIT, True), (HOP_COUNT_LIMIT + 1, False)])
def test_nesting_is_followed_as_far_as_relays_may_forward(table: Dhcp6Table, hops: int, is_answered: bool) -> None:
    asked = relayed(request("solicit", ia_na(), mac=W2_MAC), peer=link_local(W2_MAC))
    for hop in range(1, hops + 1):
        asked = relayed(asked, peer="2001:db8:0:20::1", hops=hop)
    if is_answered:
        assert ask(table, asked, FROM_RELAY)
    else:
        assert silence(table, asked, FROM_RELAY).why == "malformed-relay-message"


def test_relayed_message_without_a_message_gets_silence(table: Dhcp6Table) -> None:
    asked = bytes(dhcp6.DHCP6_RelayForward(linkaddr="2001:db8:0:20::1", peeraddr="fe80::1"))
    assert silence(table, asked, FROM_RELAY).why == "malformed-relay-message"
