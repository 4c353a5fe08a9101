"""What the simulated initramfs makes of the kernel command line."""

from ipaddress import IPv4Address

import pytest

from appliance.model import MacAddress
from appliance.simulate import initrd
from appliance.simulate.dracut import Arguments, bring_up, check_cards, connection_for
from appliance.simulate.initrd import Method
from appliance.simulate.machine import BootStep, Expected, Machine, Phase, StepError
from appliance.simulate.run import Run
from tests.simulate_loopback import Loopback

MAC, SECOND = MacAddress.parse("52:54:00:10:00:31"), MacAddress.parse("52:54:00:10:01:31")
OWN, OTHER = "52-54-00-10-00-31", "52-54-00-10-00-99"
OWN_ADDRESS = IPv4Address("192.0.2.31")
STATIC4 = "ip=192.0.2.31::192.0.2.1:255.255.255.0:w0:eno1:none"
STATIC6 = "ip=[2001:db8:5::31]::[2001:db8:5::1]:64:w0:eno1:none"

# What nm-initrd-generator 1.42.4 made of them.
HAS_IPV4 = {
    "nothing": "",
    "dhcp": "ip=dhcp",
    "interface": "ip=eno1:dhcp",
    "both": "ip=eno1:dhcp,dhcp6",
    "static6 first": f"{STATIC6} ip=eno1:dhcp",
    "static6 with dhcp6 first": f"{STATIC6.replace(':none', ':dhcp6')} ip=eno1:dhcp",
    "other interface": "ip=eno1:dhcp ip=eno2:auto6",
    "mtu": "ip=eno1:dhcp:9000",
}
HAS_NO_IPV4 = {
    "dhcp6 later": "ip=eno1:dhcp ip=eno1:dhcp6",
    "auto6 later": "ip=eno1:dhcp ip=eno1:auto6",
    "static6 later": f"ip=eno1:dhcp {STATIC6}",
    "static6 and both": f"{STATIC6} ip=eno1:dhcp,dhcp6",
    "only IPv6": "ip=eno1:dhcp6",
    "vlan": "ip=vlan122:dhcp ip=vlan122:auto6",
}


def methods_of(line: str) -> tuple[Method, Method]:
    """Return how the connection that a host with OWN_ADDRESS uses gets its addresses of both versions."""
    connection = connection_for(initrd.read(Arguments(line).words), 4, OWN_ADDRESS, Phase.INSTALLER)
    return connection.ipv4, connection.ipv6


@pytest.mark.parametrize("line", HAS_IPV4.values(), ids=HAS_IPV4)
def test_line_with_dhcp_for_ipv4_is_dhcp(line: str) -> None:
    assert methods_of(line)[0] is Method.AUTO


@pytest.mark.parametrize("line", HAS_NO_IPV4.values(), ids=HAS_NO_IPV4)
def test_line_whose_last_argument_turns_ipv4_off_is_an_error(line: str) -> None:
    with pytest.raises(StepError, match="the initramfs would have no IPv4"):
        methods_of(line)


@pytest.mark.parametrize("later", ["ip=eno1:auto6", "ip=eno1:dhcp6", STATIC6])
def test_static_ipv4_stays_beside_ipv6(later: str) -> None:
    assert methods_of(f"{STATIC4} {later}")[0] is Method.MANUAL


def test_connection_with_the_host_s_address_is_chosen_among_several() -> None:
    line = f"ip=198.51.100.3:::255.255.255.0:w0:eno2:none {STATIC4} ip=eno3:dhcp"

    assert connection_for(initrd.read(line.split()), 4, OWN_ADDRESS, Phase.INSTALLER).device == "eno1"


DROPPED = {
    "a word that it does not know": "ip=eno1:dhpc",
    "a bond with half an option": "bond=bond0:eno1:mode=1,arp_interval=100 ip=bond0:dhcp",
    "a VLAN without a number": "vlan=storage:eno1 ip=storage:dhcp",
    "a VLAN above a MAC address": f"vlan=vlan4:{OWN} ip=vlan4:dhcp",
    "a mask that is none": "ip=192.0.2.31::192.0.2.1:255.0.255.0:w0:eno1:none",
    "link6 beside an address": f"{STATIC6.replace(':none', ':link6')} ip=eno1:dhcp",
}


@pytest.mark.parametrize("line", DROPPED.values(), ids=DROPPED)
async def test_argument_that_the_initramfs_drops_is_an_error(line: str) -> None:
    run = Run(Machine("w0", MAC, expected=Expected("w0.example", OWN_ADDRESS)), Loopback())

    with pytest.raises(StepError, match="the initramfs drops an argument"):
        await bring_up(run, Arguments(line), Phase.INSTALLER)


async def test_static_address_of_another_host_is_an_error() -> None:
    run = Run(Machine("w0", MAC, expected=Expected("w0.example", OWN_ADDRESS)), Loopback())

    with pytest.raises(StepError, match="the static address is not the host's"):
        await bring_up(run, Arguments(STATIC4.replace("2.31", "2.32")), Phase.INSTALLER)


def test_quotes_keep_an_argument_together() -> None:
    arguments = Arguments('quiet a="b c=d" e=f')

    assert (arguments.get("a"), arguments.get("c"), arguments.get("e")) == ("b c=d", "", "f")


def seen_of(line: str) -> list[str]:
    """Return what the machine says of its cards with the kernel command line *line*."""
    steps: list[BootStep] = []
    expected = Expected("w0.example", IPv4Address("192.0.2.31"), macs=frozenset({OWN, SECOND.hyphenated}))
    run = Run(Machine("w0", MAC, expected=expected, report=steps.append), Loopback())
    check_cards(run, Arguments(line), Phase.INSTALLER)
    return [step.text for step in steps]


OF_OWN_CARDS = {
    "by MAC address": f"ip={OWN}:dhcp",
    "static by MAC address": STATIC4.replace("eno1", OWN),
    "any": "ip=dhcp",
    "boot interface": f"ip=dhcp BOOTIF=01-{OWN}",
    "bond": f"ip=bond0:dhcp bond=bond0:a,b:mode=802.3ad ifname=a:{MAC} ifname=b:{SECOND}",
    "vlan on a bond": f"ip=bond0.9:dhcp vlan=bond0.9:bond0 bond=bond0:a,b ifname=a:{MAC} ifname=b:{SECOND}",
}


@pytest.mark.parametrize("line", OF_OWN_CARDS.values(), ids=OF_OWN_CARDS)
async def test_cards_that_are_named_by_their_mac_address_are_found(line: str) -> None:
    assert seen_of(line) == []


OF_ANOTHER_CARD = {
    "by MAC address": f"ip={OTHER}:dhcp",
    "static": STATIC4.replace("eno1", OTHER),
    "ifname": f"ip=a:dhcp ifname=a:{OTHER.replace('-', ':')}",
    "boot interface": f"ip=dhcp BOOTIF=01-{OTHER}",
    "vlan": f"ip=a.9:dhcp vlan=a.9:a ifname=a:{OTHER.replace('-', ':')}",
}


@pytest.mark.parametrize("line", OF_ANOTHER_CARD.values(), ids=OF_ANOTHER_CARD)
async def test_card_of_another_machine_is_an_error(line: str) -> None:
    with pytest.raises(StepError, match=f"it has no network card {OTHER}"):
        seen_of(line)


@pytest.mark.parametrize("line", ["ip=uplink:dhcp", STATIC4.replace("eno1", "uplink"), "ip=v.9:dhcp vlan=v.9:uplink"])
async def test_card_that_only_the_kernel_names_is_said(line: str) -> None:
    assert seen_of(line) == ["relies on the kernel's names of its network cards: uplink"]


async def test_vlan_that_names_itself_ends() -> None:
    assert seen_of("ip=v.9:dhcp vlan=v.9:v.9") == ["relies on the kernel's names of its network cards: v.9"]
