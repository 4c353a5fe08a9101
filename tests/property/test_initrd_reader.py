"""The simulated initramfs reads any kernel command line as nm-initrd-generator does."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.simulate import initrd
from tests.initrd_generator import judged

DEVICES = st.sampled_from(["eno1", "eno2", "52-54-00-00-00-01", "bond0", "bond0.7", "vlan12"])
METHODS = st.sampled_from(
    ["none", "off", "dhcp", "dhcp6", "auto6", "link6", "auto", "on", "any", "dhcp,dhcp6", "auto6,dhcp", "dhcp,auto6,on"]
)
END = st.sampled_from(["", ":9000", "::02:00:00:00:00:01", ":1500:02:00:00:00:00:01"])


@st.composite
def static(draw: st.DrawFn) -> str:
    """Return an ip= with an address."""
    device, method, number = draw(DEVICES), draw(METHODS), draw(st.integers(2, 9))
    if draw(st.booleans()):
        gateway = draw(st.sampled_from(["", "192.0.2.1", "198.51.100.1"]))
        mask = draw(st.sampled_from(["255.255.255.0", "24", "255.255.255.254"]))
        return f"ip=192.0.2.{number}::{gateway}:{mask}:w:{device}:{method}{draw(END)}"
    gateway = draw(st.sampled_from(["", "[2001:db8::1]", "[fe80::1]"]))
    return f"ip=[2001:db8::{number}]::{gateway}:64:w:{device}:{method}{draw(END)}"


ARGUMENTS = st.one_of(
    static(),
    st.builds("ip={}:{}{}".format, DEVICES, METHODS, END),
    st.builds("ip={}".format, METHODS),
    st.builds("nameserver={}".format, st.sampled_from(["192.0.2.53", "[2001:db8::53]", "2001:db8::53"])),
    st.sampled_from(["bond=bond0:eno1,eno2:mode=802.3ad,miimon=100", "bond=bond0:52-54-00-00-00-01:mode=1:9000"]),
    st.sampled_from(["vlan=bond0.7:bond0", "vlan=vlan12:eno1", "bridge=br0:eno2"]),
    st.sampled_from(
        ["rd.neednet=1", "quiet", "rd.route=198.51.100.0/24:192.0.2.1:eno1", "rd.route=[2001:db8:9::/48]::eno2"]
    ),
)

BAD = st.sampled_from(
    [
        "ip=eno1:dhcp,auto6,on",
        "ip=eno9:dhpc",
        "ip=192.0.2.300::192.0.2.1:24:w:eno1:none",
        "ip=192.0.2.3::router:24:w:eno1:none",
        "bond=bond9:eno1:mode=1,arp_interval=100",
        "nameserver=fe80::1%eno1",
        "rd.route=198.51.100.0/33:192.0.2.1",
    ]
)


def as_read(arguments: list[str]) -> dict[str, tuple[object, ...]]:
    """Return what the simulation makes of *arguments*, by device."""
    result = initrd.read(arguments)
    return {
        device.replace("-", ":") if device.count("-") == 5 else device: (
            *(("", "") if each.controller else (each.ipv4.value, each.ipv6.value)),
            {str(address) for address in each.addresses} if not each.controller else set(),
            {str(gateway) for gateway in each.gateways.values() if has_family(each, gateway.version)},
            {str(server) for server in each.dns},
            each.controller,
            (each.parent, str(each.vlan) if each.parent else ""),
        )
        for device, each in result.connections.items()
    }


def has_family(connection: initrd.Connection, version: int) -> bool:
    """Whether *connection* has static addresses of *version*, beside which alone its profile keeps a gateway."""
    return connection.has_static(version) and not connection.controller


@settings(deadline=None, max_examples=120)
@given(st.lists(ARGUMENTS, min_size=1, max_size=6))
@example(["ip=eno1:dhcp", "ip=eno1:dhcp6"])
@example(["ip=dhcp", "BOOTIF=01-52-54-00-00-00-01"])
@example(["ip=eno1:dhcp", "BOOTIF=01-52-54-00-00-00-01"])
@example(["rd.neednet=1"])
def test_connections_are_those_of_the_real_generator(arguments: list[str]) -> None:
    real = {
        device: (
            each.ipv4,
            each.ipv6,
            set(each.addresses),
            set(each.gateways),
            set(each.dns),
            each.controller,
            each.vlan,
        )
        for device, each in judged(arguments).connections.items()
    }

    assert as_read(arguments) == real


@settings(deadline=None, max_examples=60)
@given(st.lists(ARGUMENTS | BAD, min_size=1, max_size=3))
def test_arguments_are_faulty_where_the_real_generator_complains(arguments: list[str]) -> None:
    assert bool(initrd.read(arguments).faults) == bool(judged(arguments).complaints)


@given(st.lists(st.text(alphabet="ip=bondvlaeth0:[].,%52-/ ", max_size=40), max_size=4))
def test_no_command_line_breaks_it(arguments: list[str]) -> None:
    initrd.read(arguments)
