"""What makes the firmware of a host without a boot file go on to its next boot entry."""

import pytest
from scapy.layers import dhcp6

from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6
from appliance.events import DhcpOffered
from appliance.install.installation import Installation, Order
from tests.dhcp6_messages import FIRMWARE, HTTP_BOOT, SYSTEM, ask, ia_na, read, request, v6_cluster

INSTALLED = {"bs.ocp45.example.localdomain": Installation("bs.ocp45.example.localdomain", order=Order.LOCAL)}


@pytest.fixture(scope="module")
def table() -> Dhcp6Table:
    return compile_dhcp6((v6_cluster(),))


def test_installed_hosts_http_boot_gets_a_url_that_firmware_refuses_at_once(table: Dhcp6Table) -> None:
    result = ask(table, request("solicit", ia_na(), *HTTP_BOOT), installations=INSTALLED)
    reply = read(result.payload)
    assert reply.boot_url == "none://[2001:db8:0:10::101]/no-boot-file"
    assert reply.option(dhcp6.DHCP6OptVendorClass).vcdata[0].data == b"HTTPClient"
    assert isinstance(result.event, DhcpOffered)
    assert result.event.boot == ""


@pytest.mark.parametrize("speaker", [FIRMWARE, SYSTEM], ids=["pxe", "system"])
def test_installed_hosts_other_programs_get_no_url(table: Dhcp6Table, speaker: list[object]) -> None:
    reply = read(ask(table, request("solicit", ia_na(), *speaker), installations=INSTALLED).payload)
    assert not reply.has(dhcp6.DHCP6OptBootFileUrl)
