"""The kernel command line, and the network that the initramfs and the installed system configure from it."""

import re
from ipaddress import IPv6Address

from appliance.model import Address
from appliance.simulate import dhcp, dhcp6, initrd
from appliance.simulate.initrd import COLON, Connection, Initramfs, Method
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run

MAC = re.compile(r"(?:[0-9a-f]{2}-){5}[0-9a-f]{2}")
# An argument, in which quotes protect blanks, as the kernel splits its command line.
WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')


class Arguments:
    """A kernel command line."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.words = WORD.findall(line)

    def get(self, name: str) -> str:
        """Return the last value of *name*; "" when it is missing."""
        values = self.all(name)
        return values[-1] if values else ""

    def all(self, name: str) -> list[str]:
        """Return every value of *name*."""
        return [word.partition("=")[2].strip('"') for word in self.words if word.partition("=")[0] == name]

    def need(self, name: str) -> str:
        """Return the value of *name*. Raises StepError when it is missing."""
        value = self.get(name)
        if not value:
            raise StepError(
                Phase.INSTALLER,
                f"the kernel command line has no {name}=",
                sent="the kernel command line of the script",
                received=self.line or "nothing",
                check="the script's kernel command line, and the release in cluster.yaml",
            )
        return value


async def bring_up(run: Run, arguments: Arguments, phase: Phase) -> Lease:
    """Return the network of a system: by DHCP, or from a static ip=, as the initramfs reads them. Raises StepError."""
    check_cards(run, arguments, phase)
    network = initrd.read(arguments.words)
    if network.faults:
        raise StepError(
            phase,
            "the initramfs drops an argument of its network",
            sent=arguments.line,
            received=network.faults[0],
            check="networkConfig and kernelArguments of the host in cluster.yaml (dracut.cmdline(7))",
        )
    expected = run.machine.expected
    # Where both families are tried, a host without IPv4 gets an answer in one.
    has_ipv4 = bool(configured(network, 4)) and (expected.address is not None or expected.address6 is None)
    is_ipv6 = run.machine.is_ipv6 and not has_ipv4
    version, want = (6, expected.address6) if is_ipv6 else (4, expected.address)
    connection = connection_for(network, version, want, phase)
    if connection.method(version) is Method.AUTO:
        if version == 6:
            return await run.lease6(dhcp6.system(run.machine.mac), phase)
        return await run.lease(dhcp.system(run.machine.mac), phase)
    own = [each for each in connection.addresses if each.version == version]
    found = next((each for each in own if each.ip == want), own[0])
    if want and found.ip != want:
        look = "the host's networkConfig in cluster.yaml"
        raise StepError(
            phase,
            "the static address is not the host's",
            sent=arguments.line,
            received=f"{found.ip}, not {want}",
            check=look,
        )
    router = connection.gateways.get(version)
    run.link.configure(found.ip, found.network.prefixlen, router)
    return Lease(
        address=found.ip,
        network=found.network,
        router=router,
        dns=tuple(server for server in connection.dns if server.version == version),
        host_name=network.host_name,
        domain="",
        ack=None,
        boot=None,
        boot_file="",
        boot_server=IPv6Address(0) if version == 6 else dhcp.NO_ADDRESS,
        retries=0,
    )


def configured(network: Initramfs, version: int) -> list[Connection]:
    """Return the connections of *network* that get an address of this version."""
    if not network.connections:
        return [Connection(initrd.ANY)]
    return [
        each
        for each in network.connections.values()
        if not each.controller and each.method(version) in (Method.AUTO, Method.MANUAL)
    ]


def connection_for(network: Initramfs, version: int, want: Address | None, phase: Phase) -> Connection:
    """Return the connection of *network* that has the host's address *want*, or gets it. Raises StepError."""
    found = configured(network, version)
    own = [each for each in found if any(address.ip == want for address in each.addresses)]
    automatic = [each for each in found if each.method(version) is Method.AUTO]
    if not found:
        raise StepError(
            phase,
            f"the initramfs would have no IPv{version}: no interface is left that gets an address",
            sent="ip=, bond=, bridge= and vlan= of the kernel command line",
            received=", ".join(
                f"{each.device or 'any'}: {each.method(version)}" for each in network.connections.values()
            ),
            check="an ip= that is only about IPv6 turns IPv4 off on its interface (nm-initrd-generator(8)); see the "
            "host's networkConfig and kernelArguments",
        )
    return [*own, *automatic, *found][0]


def check_cards(run: Run, arguments: Arguments, phase: Phase) -> None:
    """Raise StepError if an argument means a network card that the machine does not have.

    The simulation does not know how the kernel calls the cards, and says where the
    arguments rely on that.
    """
    own = run.machine.expected.macs | {run.machine.mac.hyphenated}
    named = {}  # name → MAC address, of ifname=
    for value in arguments.all("ifname"):
        name, _, mac = value.partition(":")
        named[name] = mac.lower().replace(":", "-")
    devices = {part for value in arguments.all("ip") if (part := _device_of(value))}
    inside: dict[str, list[str]] = {}
    for value in (*arguments.all("vlan"), *arguments.all("bond"), *arguments.all("bridge")):
        name, _, below = value.partition(":")
        inside[name] = below.partition(":")[0].split(",")
    cards = {card for device in devices for card in _cards_of(device, inside)}
    boot = arguments.get("BOOTIF").partition("-")[2]
    meant = {named.get(card, card) for card in cards} | set(named.values()) | ({boot} if boot else set())
    for mac in sorted(meant):
        if MAC.fullmatch(mac) and mac not in own:
            look = "the MAC addresses of the host in cluster.yaml"
            raise StepError(
                phase, f"it has no network card {mac}", sent=arguments.line, received=", ".join(sorted(own)), check=look
            )
    if unnamed := sorted(card for card in cards if card not in named and not MAC.fullmatch(card)):
        run.tell(phase, f"relies on the kernel's names of its network cards: {', '.join(unnamed)}")


def _device_of(value: str) -> str:
    """Return the interface that the value of an ip= is about; "" for any."""
    parts = COLON.split(value)
    is_static = parts[0].startswith("[") or re.fullmatch(r"[\d.]+", parts[0])
    if is_static:
        return parts[5] if len(parts) > 5 else ""
    return parts[0] if len(parts) > 1 else ""


def _cards_of(device: str, inside: dict[str, list[str]], depth: int = 0) -> list[str]:
    """Return the cards below *device*, through VLANs and bonds."""
    if device not in inside or depth > len(inside):  # a VLAN that names itself has no end
        return [device]
    return [card for below in inside[device] for card in _cards_of(below, inside, depth + 1)]
