"""What `ocp-appliance serve` tells the firmware of installed hosts in an IPv4 network, over IPv6 and by HTTP."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers import dhcp6

from appliance.simulate.namespace import Namespace, ip
from tests.dhcp6_messages import FIRMWARE, ia_na, read, request
from tests.serve_lab import PATIENCE_SECONDS, REFERENCE_TEXT, Site, run, site, until

pytestmark = pytest.mark.netns

M1_MAC = "00:50:56:96:37:c8"
TEXT = REFERENCE_TEXT.replace(f"    macAddress: {M1_MAC}\n", f"    macAddress: {M1_MAC}\n    install: never\n")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TEXT) as made:
        # Before the appliance looks at its interfaces, as on a computer that has been up for a while.
        ip("addr add fe80::101/64 dev br0 nodad", place=made.place)
        yield made


def _has_link_local(place: Namespace) -> bool:
    text = run("ip", "-6", "addr", "show", "dev", "eth0", place=place).stdout
    return "fe80" in text and "tentative" not in text


def test_firmware_is_offered_nothing_over_ipv6_in_an_ipv4_network(here: Site) -> None:
    with here.serve(), here.neighbour("192.0.2.99", M1_MAC) as m1:
        until(lambda: _has_link_local(m1), "a link-local address")
        with m1, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.bind(("::", 546))
            client.settimeout(PATIENCE_SECONDS)
            asked = request("solicit", ia_na(), *FIRMWARE, mac=M1_MAC)
            client.sendto(asked, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
            packet = read(client.recv(4096)).packet
    assert isinstance(packet, dhcp6.DHCP6_Advertise)
    assert not packet.haslayer(dhcp6.DHCP6OptIA_NA)


def test_another_dhcpv6_server_on_this_machine_is_no_obstacle_in_an_ipv4_network(here: Site) -> None:
    with here.place, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 547))
    with other, here.serve() as appliance:
        assert appliance.rows()["m1"]["stage"]
