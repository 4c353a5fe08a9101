"""What `ocp-appliance serve` makes of machines that ask by DHCPv6: their installation, captures, strangers, reloads."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers import dhcp6
from scapy.layers.inet6 import UDP, IPv6
from scapy.utils import rdpcap

from appliance.simulate.namespace import Namespace, ip
from appliance.state.fallback import FILE_NAME
from tests.dhcp6_messages import FIRMWARE, IPXE, STRANGER_MAC, SYSTEM, Read, ia_na, read, request
from tests.serve_lab import PATIENCE_SECONDS, REFERENCE_TEXT, Serving, Site, run, site, until

pytestmark = pytest.mark.netns

M1_MAC, M1_NAME = "00:50:56:96:37:c8", "m1.ocp45.example.localdomain"
NETWORK = "    - cidr: 2001:db8:0:10::/64\n"
TEXT = (
    REFERENCE_TEXT.replace("  machineNetwork:\n", f"  machineNetwork:\n{NETWORK}")
    .replace("  address: 172.16.0.101\n", "  address: 172.16.0.101\n  addressIPv6: 2001:db8:0:10::101\n")
    .replace(f"    macAddress: {M1_MAC}\n", f"    macAddress: {M1_MAC}\n    addressIPv6: 2001:db8:0:10::21\n")
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TEXT) as made:
        ip("addr add 2001:db8:0:10::101/64 dev br0 nodad", place=made.place)
        yield made


@contextmanager
def machine(here: Site, mac: str = M1_MAC) -> Iterator[Namespace]:
    """Connect a machine with a link-local address that it can use."""
    with here.neighbour("192.0.2.99", mac) as made:
        until(
            lambda: (
                "tentative" not in (text := run("ip", "-6", "addr", "show", "dev", "eth0", place=made).stdout)
                and "fe80" in text
            ),
            "a link-local address",
        )
        yield made


def exchange(place: Namespace, message: bytes) -> Read:
    """Send *message* to all servers on the link; return the reply."""
    with place, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.bind(("::", 546))
        client.settimeout(PATIENCE_SECONDS)
        client.sendto(message, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
        return read(client.recv(4096))


def ask(place: Namespace, *options: object) -> Read:
    """Ask for an address as a program that sends *options*, in four messages; return the last."""
    offered = exchange(place, request("solicit", ia_na(), *options, mac=M1_MAC))  # type: ignore[arg-type]
    server = bytes(offered.option(dhcp6.DHCP6OptServerId).duid)
    asked = request("request", ia_na("2001:db8:0:10::21"), *options, mac=M1_MAC, server_id=server)  # type: ignore[arg-type]
    return exchange(place, asked)


def stage(appliance: Serving) -> str:
    """Return how far m1 has come."""
    return str(appliance.rows()["m1"]["stage"])


def test_firmware_and_loader_move_the_installation(here: Site) -> None:
    with here.serve() as appliance, machine(here) as m1:
        assert ask(m1, *FIRMWARE).boot_url == "tftp://[2001:db8:0:10::101]/efi/ipxe.efi"
        assert stage(appliance) == "firmware"
        assert ask(m1, *IPXE).boot_url == "http://[2001:db8:0:10::101]/pxeboot.ipxe"
        assert stage(appliance) == "bootloader"
        acks = [event for event in appliance.events() if event["kind"] == "dhcp.ack"]
        assert [(event["host"], event["facts"]["address"]) for event in acks] == [(M1_NAME, "2001:db8:0:10::21")] * 2
        assert "2001:db8:0:10::21" in appliance.command("explain", "m1")


def test_capture_has_both_sides(here: Site, tmp_path: Path) -> None:
    with here.serve() as appliance, machine(here) as m1:
        ask(m1, *SYSTEM)
        appliance.command("capture", "m1", "-o", str(tmp_path / "m1.pcapng"))
    packets = [packet for packet in rdpcap(str(tmp_path / "m1.pcapng")) if packet.haslayer(UDP)]
    assert [bytes(packet[UDP].payload)[0] for packet in packets] == [1, 2, 3, 7]
    assert {packet[UDP].dport for packet in packets} == {546, 547}
    assert all(packet.haslayer(IPv6) for packet in packets)


def test_unknown_machine_is_seen(here: Site) -> None:
    with here.serve() as appliance, machine(here, STRANGER_MAC) as stranger:
        with stranger, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            asked = request("solicit", ia_na(), *FIRMWARE, mac=STRANGER_MAC)
            client.sendto(asked, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
        until(lambda: STRANGER_MAC in appliance.command("seen"), "the unknown machine in `seen`")


def test_reload_changes_the_next_answer(here: Site) -> None:
    with here.serve() as appliance, machine(here) as m1:
        assert ask(m1, *SYSTEM).addresses[0][0] == "2001:db8:0:10::21"
        here.config.write_text(TEXT.replace("2001:db8:0:10::21", "2001:db8:0:10::41"))
        appliance.reload()
        again = exchange(m1, request("rebind", ia_na("2001:db8:0:10::21"), mac=M1_MAC))
        assert [(address, valid > 0) for address, _, valid in again.addresses] == [
            ("2001:db8:0:10::41", True),
            ("2001:db8:0:10::21", False),
        ]


@pytest.mark.parametrize("listen", ["", "listen: {dhcp: [br0]}\n"], ids=["everywhere", "named"])
def test_machines_are_heard_after_the_interface_was_away(here: Site, listen: str) -> None:
    here.config.write_text(TEXT + listen)
    with here.serve():
        ip(
            "link del br0",
            "link add br0 address 02:00:ac:10:00:65 type bridge stp_state 0 forward_delay 0",
            "link set br0 up",
            "addr add 172.16.0.101/24 dev br0",
            "addr add 2001:db8:0:10::101/64 dev br0 nodad",
            place=here.place,
        )
        with machine(here) as m1, m1, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.bind(("::", 546))
            client.setblocking(False)

            def asked() -> bytes:
                """Repeat the message, as clients do, until somebody hears it."""
                message = request("solicit", ia_na(), mac=M1_MAC)
                client.sendto(message, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
                try:
                    return client.recv(4096)
                except BlockingIOError:
                    return b""

            assert read(until(asked, "an answer")).addresses[0][0] == "2001:db8:0:10::21"


def test_first_ipv6_network_needs_a_restart(here: Site) -> None:
    here.config.write_text(REFERENCE_TEXT)
    with here.serve() as appliance:
        here.config.write_text(TEXT)
        appliance.reload()
        assert "restart" in appliance.said("config.refuse")


def test_servers_identity_survives_a_restart_and_a_lost_state(here: Site) -> None:
    found = []
    with machine(here) as m1:
        for _ in range(2):
            with here.serve():
                offered = exchange(m1, request("solicit", ia_na(), *SYSTEM, mac=M1_MAC))
                found.append(bytes(offered.option(dhcp6.DHCP6OptServerId).duid))
            states = list(here.data_dir.glob(f"{FILE_NAME}*"))
            assert states
            for state in states:
                state.unlink()
    assert found[0] == found[1]


def test_port_in_use_is_one_line_with_the_remedy(here: Site) -> None:
    with here.place, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 547))
        code, log = here.refused()
    assert code != 0
    assert "[::]:547/udp: address already in use; stop the other server, or set listen.dhcp" in log


def test_reload_that_is_the_first_to_advertise_is_refused(here: Site) -> None:
    """Beside another DHCP server no socket for router advertisements is opened, and sockets never move."""
    here.config.write_text(TEXT + "dhcp: {mode: proxy}\n")
    with here.serve() as appliance:
        here.config.write_text(TEXT + "dhcp: {routerAdvertisements: true}\n")
        appliance.reload()
        assert "dhcp.routerAdvertisements needs a socket" in appliance.said("config.refuse")


def test_reload_to_the_first_answers_over_ipv6_is_refused(here: Site) -> None:
    """Hosts without IPv6 are answered over it in full mode alone, and then need a socket."""
    text = "".join(line for line in TEXT.splitlines(keepends=True) if "2001:db8" not in line)
    here.config.write_text(text + "dhcp: {mode: proxy}\n")
    with here.serve() as appliance:
        here.config.write_text(text)
        appliance.reload()
        assert "DHCPv6 answers its first hosts" in appliance.said("config.refuse")
