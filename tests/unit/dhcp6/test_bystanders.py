"""What the firmware of hosts without an IPv6 address is told over IPv6, as scapy reads it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from scapy.layers import dhcp6

from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6, ipv4_mapped
from appliance.dhcp6.protocol import answer
from appliance.dhcp6.reply import Arrival, Reply, Silence
from appliance.install.installation import Installation, Order
from appliance.model import Card, DhcpMode, LocalBoot, MacAddress
from tests.clusters import reference_cluster
from tests.dhcp6_messages import (
    BS_MAC,
    FIRMWARE,
    HTTP_BOOT,
    IPXE,
    STRANGER_MAC,
    SYSTEM,
    arrival,
    ia_na,
    read,
    request,
)

NAME = "bs.ocp45.example.localdomain"
INSTALLED = {NAME: Installation(NAME, order=Order.LOCAL)}
INSTALLING = {NAME: Installation(NAME, order=Order.INSTALL)}


def near(mac: str = BS_MAC, address: str = "172.16.0.101") -> Arrival:
    """Return how a datagram arrives at an interface that has the IPv4 *address* only."""
    return arrival(mac)._replace(addresses=(ipv4_mapped(int(IPv4Address(address))),))


def table_of(mode: DhcpMode = DhcpMode.FULL, **changes: object) -> Dhcp6Table:
    cluster = reference_cluster(dhcp=mode)
    bs = replace(cluster.hosts[0], **changes)  # type: ignore[arg-type]
    return compile_dhcp6((replace(cluster, hosts=(bs, *cluster.hosts[1:])),))


@pytest.fixture(scope="module")
def table() -> Dhcp6Table:
    return table_of()


@pytest.mark.parametrize("speaker", [FIRMWARE, HTTP_BOOT], ids=["pxe", "http"])
def test_installed_hosts_firmware_is_offered_nothing(table: Dhcp6Table, speaker: list[object]) -> None:
    """edk2 gives up after the first offer without a boot file, and takes no notice of one with a status."""
    result = answer(table, request("solicit", ia_na(), *speaker, xid=0xABCDEF), near(), INSTALLED)
    assert isinstance(result, Reply)
    packet = read(result.payload).packet
    assert (type(packet), packet.trid) == (dhcp6.DHCP6_Advertise, 0xABCDEF)
    assert packet.getlayer(dhcp6.DHCP6OptClientId).duid.lladdr == BS_MAC
    assert bytes(packet.getlayer(dhcp6.DHCP6OptServerId).duid) == table.duid
    others = (dhcp6.DHCP6OptIA_NA, dhcp6.DHCP6OptStatusCode, dhcp6.DHCP6OptBootFileUrl, dhcp6.DHCP6OptPref)
    assert not any(packet.haslayer(other) for other in others)


def test_offer_of_nothing_goes_to_the_client_and_shows_nothing(table: Dhcp6Table) -> None:
    result = answer(table, request("solicit", ia_na(), *FIRMWARE), near(), INSTALLED)
    assert isinstance(result, Reply)
    assert (result.port, result.event, result.host) == (546, None, NAME)


@pytest.mark.parametrize("speaker", [SYSTEM, IPXE], ids=["system", "ipxe"])
def test_other_programs_of_a_host_without_ipv6_get_silence(table: Dhcp6Table, speaker: list[object]) -> None:
    result = answer(table, request("solicit", ia_na(), *speaker), near(), INSTALLED)
    assert isinstance(result, Silence)
    assert result.event is None


def test_host_that_installs_over_ipv4_gets_silence(table: Dhcp6Table) -> None:
    assert isinstance(answer(table, request("solicit", ia_na(), *FIRMWARE), near(), INSTALLING), Silence)


def test_installed_host_that_boots_by_a_script_gets_silence() -> None:
    own = table_of(local_boot=LocalBoot.EXIT)
    assert isinstance(answer(own, request("solicit", ia_na(), *FIRMWARE), near(), INSTALLED), Silence)


def test_second_card_is_offered_nothing_at_any_time() -> None:
    own = table_of(macs=(MacAddress.parse(BS_MAC), MacAddress.parse(STRANGER_MAC)))
    asked = request("solicit", ia_na(), *FIRMWARE, mac=STRANGER_MAC)
    assert isinstance(answer(own, asked, near(STRANGER_MAC), INSTALLING), Reply)


def test_second_card_that_may_boot_too_gets_silence_while_its_host_installs() -> None:
    macs = MacAddress.parse(BS_MAC), MacAddress.parse(STRANGER_MAC)
    own = table_of(macs=macs, boot_macs=macs)
    asked = request("solicit", ia_na(), *FIRMWARE, mac=STRANGER_MAC)
    assert isinstance(answer(own, asked, near(STRANGER_MAC), INSTALLING), Silence)
    assert isinstance(answer(own, asked, near(STRANGER_MAC), INSTALLED), Reply)


def test_card_in_a_network_of_its_own_is_offered_nothing_there_and_nowhere_else() -> None:
    cluster = reference_cluster()
    boot_network = replace(cluster.networks[0], cidr=IPv4Network("198.51.100.0/24"))
    boot_card, address = MacAddress.parse(STRANGER_MAC), IPv4Address("198.51.100.11")
    bs = cluster.hosts[0]
    bs = replace(
        bs,
        macs=(boot_card, *bs.macs),
        addresses=(*bs.addresses, address),
        cards=(Card(boot_card, address, ""),),
    )
    own = compile_dhcp6((replace(cluster, networks=(*cluster.networks, boot_network), hosts=(bs,)),))
    asked = request("solicit", ia_na(), *FIRMWARE, mac=STRANGER_MAC)
    assert isinstance(answer(own, asked, near(STRANGER_MAC, "198.51.100.5"), INSTALLED), Reply)
    assert isinstance(answer(own, asked, near(STRANGER_MAC), INSTALLED), Silence)


@pytest.mark.parametrize("address", ["172.16.1.101", "192.0.2.1"])
def test_host_on_another_interface_gets_silence(table: Dhcp6Table, address: str) -> None:
    asked = request("solicit", ia_na(), *FIRMWARE)
    assert isinstance(answer(table, asked, near(address=address), INSTALLED), Silence)


@pytest.mark.parametrize("mode", [DhcpMode.PROXY, DhcpMode.OFF])
def test_beside_another_server_hosts_without_ipv6_get_silence(mode: DhcpMode) -> None:
    assert isinstance(answer(table_of(mode), request("solicit", ia_na(), *FIRMWARE), near(), INSTALLED), Silence)


def test_interface_with_an_ipv4_machine_network_is_heard(table: Dhcp6Table) -> None:
    assert table.hears(near().addresses)
    assert not table.hears(near(address="192.0.2.1").addresses)


def test_interfaces_are_compared_with_each_network_once_however_many_hosts_there_are(table: Dhcp6Table) -> None:
    """Whoever reaches the port makes the server ask whether it hears an interface, once for each datagram."""
    assert (len(table.bystanders), len(table.beside)) == (7, 1)
