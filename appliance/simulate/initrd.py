"""How NetworkManager in the initramfs reads the kernel command line: dracut.cmdline(7) and nm-initrd-generator(8).

It shares nothing with the code that writes these arguments. Tests compare it with the real generator (1.42).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface, ip_network
from typing import TypeAlias

Interface: TypeAlias = IPv4Interface | IPv6Interface
Address: TypeAlias = IPv4Address | IPv6Address

# A colon that is not inside the brackets of an IPv6 address.
COLON = re.compile(r":(?![^\[]*\])")
MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
ANY = ""  # the device of an argument that names none


class Method(StrEnum):
    """How an address family of a connection is configured."""

    AUTO = "auto"
    MANUAL = "manual"
    LINK_LOCAL = "link-local"
    DISABLED = "disabled"


class Word(StrEnum):
    """The automatic configuration that an ip= asks for."""

    NONE = "none"
    DHCP = "dhcp"
    DHCP6 = "dhcp6"
    LINK6 = "link6"
    AUTO = "auto"


WORDS = {
    "none": Word.NONE,
    "off": Word.NONE,
    "dhcp": Word.DHCP,
    "single-dhcp": Word.DHCP,
    "dhcp6": Word.DHCP6,
    "auto6": Word.DHCP6,
    "link6": Word.LINK6,
    "auto": Word.AUTO,
    "on": Word.AUTO,
    "any": Word.AUTO,
}


@dataclass(slots=True)
class Connection:
    """The configuration of one interface."""

    device: str  # its name or its MAC address with hyphens; ANY for every card
    ipv4: Method = Method.AUTO
    ipv6: Method = Method.AUTO
    addresses: list[Interface] = field(default_factory=list)
    gateways: dict[int, Address] = field(default_factory=dict)  # by version
    dns: list[Address] = field(default_factory=list)
    controller: str = ""  # the bond or bridge that it is a port of
    parent: str = ""  # the interface below a VLAN
    vlan: int | None = None
    is_card: bool = True
    has_own_ip: bool = False  # an ip= names it

    def method(self, version: int) -> Method:
        """Return how it gets its addresses of this version."""
        return self.ipv4 if version == 4 else self.ipv6

    def has_static(self, version: int) -> bool:
        """Whether it has a static address of this version."""
        return any(each.version == version for each in self.addresses)


@dataclass(slots=True)
class Initramfs:
    """The network as the initramfs sets it up."""

    connections: dict[str, Connection] = field(default_factory=dict)
    host_name: str = ""
    faults: list[str] = field(default_factory=list)  # the arguments that it drops, each with the reason


def read(arguments: Iterable[str]) -> Initramfs:
    """Return the network that *arguments* set up."""
    words = [tuple(word.partition("=")[::2]) for word in arguments]
    result = Initramfs()
    readers = {"ip": _ip, "bond": _bond, "bridge": _bridge, "team": _bridge, "vlan": _vlan}
    for key, value in words:
        if value and (reader := readers.get(key)):
            reader(result, value)
    for connection in list(result.connections.values()):
        if connection.parent:
            base = _connection(result, connection.parent)
            if not base.has_own_ip:
                base.ipv4 = base.ipv6 = Method.DISABLED
    _bootif(result, [value for key, value in words if key.lower() == "bootif"])
    if not result.connections and any(key == "rd.neednet" and value not in {"0", "no", "off"} for key, value in words):
        _connection(result, ANY)
    for key, value in words:
        if key == "rd.route" and value:
            _route(result, value)
    for key, value in words:
        if key == "nameserver" and value:
            _name_server(result, value)
    for device, connection in list(result.connections.items()):
        if connection.ipv6 is Method.LINK_LOCAL and connection.has_static(6):
            result.faults.append(f"link6 for {device}, which has an IPv6 address: it configures neither family")
            del result.connections[device]
    return result


def _connection(result: Initramfs, device: str) -> Connection:
    name = device.lower().replace(":", "-") if MAC.fullmatch(device) else device
    return result.connections.setdefault(name, Connection(name))


def _word(text: str) -> Word | None:
    """Return what *text* asks for; None if it is no word of ip=."""
    parts = [WORDS.get(part.strip()) for part in text.split(",")]
    if None in parts:
        return None
    asked = set(parts)
    if Word.AUTO in asked:
        asked.discard(Word.DHCP6)
    if len(asked) == 1:
        return asked.pop()
    return Word.AUTO if asked == {Word.DHCP, Word.DHCP6} else None


def _ip(result: Initramfs, value: str) -> None:
    fields = COLON.split(value)
    if len(fields) == 1 or (len(fields) == 2 and not fields[1]):
        connection, word = _connection(result, ANY), _word(fields[0]) or Word.AUTO
    elif fields[1] and (second := _word(fields[1])):
        connection, word = _connection(result, fields[0]), second
    else:
        _static(result, value, [*fields, *[""] * 7])
        return
    connection.has_own_ip = True
    _apply(connection, word)


def _static(result: Initramfs, value: str, fields: list[str]) -> None:
    address, _peer, gateway, mask, name, device, text = (each.strip("[]") for each in fields[:7])
    try:
        client = ip_address(address) if address else None
    except ValueError:
        result.faults.append(f"ip={value}: {address} is not an IP address")
        return
    connection, word = _connection(result, device), (_word(text) if text else Word.AUTO) or Word.AUTO
    connection.has_own_ip = True
    result.host_name = name or result.host_name
    if client:
        try:
            connection.addresses.append(ip_interface(f"{client}/{mask}" if mask else str(client)))
        except ValueError:
            result.faults.append(f"ip={value}: {mask} is not a network mask")
            return
        if client.version == 4:
            connection.ipv4 = Method.MANUAL
        else:
            connection.ipv6 = Method.MANUAL
    _apply(connection, word)
    try:
        router = ip_address(gateway) if gateway else None
    except ValueError:
        result.faults.append(f"ip={value}: {gateway} is not an IP address")
        return
    if router:
        connection.gateways[router.version] = router


def _apply(connection: Connection, word: Word) -> None:
    """Change the methods of *connection* as an ip= with *word* does."""
    has4, has6 = connection.has_static(4), connection.has_static(6)
    if word is Word.DHCP:
        connection.ipv4 = Method.AUTO
        connection.ipv6 = connection.ipv6 if has6 else Method.AUTO
        return
    if word is Word.AUTO:
        return
    if word is Word.NONE:
        connection.ipv6 = connection.ipv6 if has6 else Method.DISABLED
    else:
        connection.ipv6 = Method.AUTO if word is Word.DHCP6 else Method.LINK_LOCAL
    connection.ipv4 = connection.ipv4 if has4 else Method.DISABLED


def _bond(result: Initramfs, value: str) -> None:
    name, ports, options = [*value.split(":"), "", ""][:3]
    _ports(result, name or "bond0", ports)
    said = dict(option.partition("=")[::2] for option in options.split(",") if option)
    targets = said.get("arp_ip_target", "")
    if "arp_interval" in said and not re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", targets):
        # The option is refused, and without it the bond is.
        result.faults.append(f'bond={value}: arp_interval needs one address as arp_ip_target, not "{targets}"')


def _bridge(result: Initramfs, value: str) -> None:
    name, ports = [*value.split(":"), ""][:2]
    _ports(result, name, ports)


def _ports(result: Initramfs, name: str, ports: str) -> None:
    _connection(result, name).is_card = False
    for port in ports.split(","):
        _connection(result, port or "eth0").controller = name


def _vlan(result: Initramfs, value: str) -> None:
    name, _, parent = value.partition(":")
    connection = _connection(result, name)
    connection.is_card, connection.parent = False, parent
    digits = re.search(r"\d+$", name)
    connection.vlan = int(digits[0]) if digits else None
    if connection.vlan is None or not 0 <= connection.vlan < 4095 or not parent:
        result.faults.append(f"vlan={value}: the name does not end with the number of a VLAN, or nothing is below it")
    if MAC.fullmatch(parent):
        result.faults.append(f"vlan={value}: the interface below a VLAN needs a name, not a MAC address")


def _bootif(result: Initramfs, values: list[str]) -> None:
    if not values:
        return
    mac = values[-1].lower().replace(":", "-")
    mac = mac[3:] if re.match(r"0[01]-", mac) and MAC.fullmatch(mac[3:]) else mac
    cards = [each for each in result.connections.values() if each.is_card]
    first = cards[0] if cards else _connection(result, ANY)
    if first.device == ANY:
        del result.connections[ANY]
        first.device = mac
        result.connections[mac] = first
    elif first.device != mac:
        _connection(result, mac)


def _route(result: Initramfs, value: str) -> None:
    network, router = (part.strip("[]") for part in [*COLON.split(value), ""][:2])
    try:
        destination = ip_network(network)
        hop = ip_address(router) if router else None
    except ValueError as error:
        result.faults.append(f"rd.route={value}: {error}")
        return
    device = [*COLON.split(value), "", ""][2]
    free = next((each.device for each in result.connections.values() if not each.controller), ANY)
    owner = _connection(result, device or free)
    if destination.prefixlen == 0 and hop:
        owner.gateways.setdefault(hop.version, hop)


def _name_server(result: Initramfs, value: str) -> None:
    try:
        server = ip_address(value.strip("[]"))
    except ValueError:
        server = None
    if server is None or "%" in value:
        result.faults.append(f"nameserver={value}: it is not an IP address")
        return
    for connection in result.connections.values():
        if connection.method(server.version) in (Method.AUTO, Method.MANUAL) and not connection.controller:
            connection.dns.append(server)
