"""The kernel command line, and the network that the initramfs and the installed system configure from it."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from appliance.simulate import dhcp, dhcp6
from appliance.simulate.dhcp import Message
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run

MAC = re.compile(r"(?:[0-9a-f]{2}-){5}[0-9a-f]{2}")
# A colon that is not inside the brackets of an IPv6 address.
COLON = re.compile(r":(?![^\[]*\])")
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
    """Return the network of a system: by DHCP, or from a static ip= (dracut.cmdline(7)). Raises StepError."""
    check_cards(run, arguments, phase)
    expected = run.machine.expected
    has_ipv4 = expected.address is not None or expected.address6 is None
    # Without ip=, both families are tried, of which a host without IPv4 gets an answer in one.
    if run.machine.is_ipv6 and (is_ipv6_only(arguments) or not (has_ipv4 or arguments.all("ip"))):
        return await _bring_up_ipv6(run, arguments, phase)
    static = ipv4_of(arguments, phase)
    if not static:
        return await run.lease(dhcp.system(run.machine.mac), phase)
    try:
        address, _, gateway, mask, host_name = static.split(":")[:5]
        network = IPv4Network(f"{address}/{mask}", strict=False)
        lease = Lease(
            address=IPv4Address(address),
            network=network,
            router=IPv4Address(gateway) if gateway else None,
            dns=tuple(IPv4Address(value) for value in arguments.all("nameserver")),
            host_name=host_name,
            domain="",
            ack=dhcp.Reply(Message.ACK, 0, b"", dhcp.NO_ADDRESS, dhcp.NO_ADDRESS, dhcp.NO_ADDRESS, "", {}),
            boot=None,
            boot_file="",
            boot_server=dhcp.NO_ADDRESS,
            retries=0,
        )
    except ValueError as error:
        look = "ip=<address>::<gateway>:<mask>:<name>:<interface>:none (dracut.cmdline(7))"
        raise StepError(
            phase, "the static network is malformed", sent=f"ip={static}", received=str(error), check=look
        ) from error
    want = run.machine.expected.address
    if want and lease.address != want:
        look = "the host's networkConfig in cluster.yaml"
        raise StepError(
            phase, "the static address is not the host's", sent=f"ip={static}", received=str(want), check=look
        )
    run.link.configure(lease.address, network.prefixlen, lease.router)
    return lease


def is_ipv6_only(arguments: Arguments) -> bool:
    """Whether every ip= is about IPv6: a static address in brackets, or dhcp6 or auto6 (dracut.cmdline(7))."""
    methods = [COLON.split(value) for value in arguments.all("ip")]
    return bool(methods) and all(
        parts[0].startswith("[") or {*parts[min(1, len(parts) - 1)].split(",")} <= {"dhcp6", "auto6"}
        for parts in methods
    )


async def _bring_up_ipv6(run: Run, arguments: Arguments, phase: Phase) -> Lease:
    static = next((value for value in arguments.all("ip") if value.startswith("[")), "")
    if not static:
        return await run.lease6(dhcp6.system(run.machine.mac), phase)
    try:
        address, _, gateway, prefix, host_name = COLON.split(static)[:5]
        network = IPv6Network(f"{address.strip('[]')}/{prefix}", strict=False)
        lease = Lease(
            address=IPv6Address(address.strip("[]")),
            network=network,
            router=IPv6Address(gateway.strip("[]")) if gateway else None,
            dns=tuple(ip_address(value.strip("[]")) for value in arguments.all("nameserver")),
            host_name=host_name,
            domain="",
            ack=None,
            boot=None,
            boot_file="",
            boot_server=IPv6Address(0),
            retries=0,
        )
    except ValueError as error:
        look = "ip=[<address>]::[<gateway>]:<prefix>:<name>:<interface>:none (dracut.cmdline(7))"
        raise StepError(
            phase, "the static network is malformed", sent=f"ip={static}", received=str(error), check=look
        ) from error
    want = run.machine.expected.address6
    if want and lease.address != want:
        look = "the host's networkConfig in cluster.yaml"
        raise StepError(
            phase, "the static address is not the host's", sent=f"ip={static}", received=str(want), check=look
        )
    run.link.configure(lease.address, network.prefixlen, lease.router)
    return lease


def ipv4_of(arguments: Arguments, phase: Phase) -> str:
    """Return the static ip= that gives the system its IPv4 address, or "" for DHCP. Raises StepError if none is left.

    As nm-initrd-generator 1.42.4 of RHCOS reads them, each argument in turn: one that is
    only about IPv6 turns off DHCP for IPv4 on the same interface.
    """
    ipv4: dict[str, str | None] = {}  # by interface: a static ip=, "" for DHCP, None if it is off
    has_static6: set[str] = set()
    values = arguments.all("ip")
    for value in values:
        parts = COLON.split(value)
        if parts[0].startswith("["):
            device = parts[5] if len(parts) > 5 else ""
            has_static6.add(device)
            ipv4[device] = ipv4.get(device) or None
        elif re.fullmatch(r"[\d.]+", parts[0]) and len(parts) > 2:
            ipv4.setdefault(parts[5] if len(parts) > 5 else "", value)
        else:
            device, methods = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            is_ipv4 = bool({"dhcp", "on", "any", "auto"} & set(methods.split(",")))
            is_off = not is_ipv4 or ("dhcp6" in methods and device in has_static6)
            ipv4[device] = ipv4.get(device) or (None if is_off else "")
    left = [value for value in ipv4.values() if value is not None]
    if values and not left:
        raise StepError(
            phase,
            "the initramfs would have no IPv4: its network generator turns DHCP off for an interface with a later "
            "argument that is only about IPv6",
            sent=" ".join(f"ip={value}" for value in values),
            received="method=disabled for IPv4",
            check="one argument for both, as ip=eno1:dhcp,dhcp6 (nm-initrd-generator(8))",
        )
    return next((value for value in left if value), "")


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
    for value in (*arguments.all("vlan"), *arguments.all("bond")):
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
