"""The part of nmstate that agent-config.yaml files use, and its form on dracut's command line.

An interface is named by the MAC address of its card where the file has it, because the name in an agent-config.yaml
is a logical one that the kernel need not use.

The installer's initramfs configures the network from the arguments made here, and
coreos-installer copies them to the first boot of the installed system.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Annotated

from pydantic import Field

from appliance.config import words
from appliance.config.fields import parse_one_of
from appliance.config.sections import BaseSection, known, needed
from appliance.config.spelled import OneOrMany, Spelled
from appliance.model import Address, MacAddress

BOND_MODES = ("active-backup", "balance-rr", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")


def _word(*known: str) -> Spelled:
    return Spelled(parse_one_of(known), {"type": "string", "enum": list(known), "examples": [known[0]]})


class _Nmstate(BaseSection, alias_generator=lambda name: name.replace("_", "-")):
    """A mapping of nmstate's, whose keys have hyphens."""


class Address4(_Nmstate):
    ip: words.Ipv4 | None = needed()
    """The address."""
    prefix_length: words.PrefixLength4 | None = needed()
    """The length of the network prefix, in bits."""


class Address6(_Nmstate):
    ip: words.Ipv6 | None = needed()
    """The address."""
    prefix_length: words.PrefixLength | None = needed()
    """The length of the network prefix, in bits."""


class Ipv4(_Nmstate):
    enabled: words.Truth = True
    """Whether IPv4 is enabled."""
    dhcp: words.Truth = False
    """Whether the address comes from DHCP."""
    address: tuple[Address4, ...] = ()
    """The static addresses."""


class Ipv6(_Nmstate):
    enabled: words.Truth = True
    """Whether IPv6 is enabled."""
    dhcp: words.Truth = False
    """Whether the address comes from DHCPv6."""
    autoconf: words.Truth = False
    """Whether the address comes from router advertisements."""
    address: tuple[Address6, ...] = ()
    """The static addresses."""


class Vlan(_Nmstate):
    base_iface: words.InterfaceName | None = needed()
    """The interface that carries the VLAN."""
    id: words.VlanId | None = needed()
    """The VLAN id."""


class LinkAggregation(_Nmstate):
    mode: Annotated[str, _word(*BOND_MODES)] | None = needed()
    """The bond's mode."""
    port: Annotated[Annotated[tuple[words.InterfaceName, ...], Field(min_length=1)], OneOrMany()] = needed(tuple)
    """The interfaces of the bond."""
    options: dict[str, words.BondOption] = Field(default_factory=dict)
    """Other options of the bonding driver, for example miimon: 100."""


class NmstateInterface(_Nmstate):
    name: words.InterfaceName | None = needed()
    """The interface: a name from hosts[].interfaces, or the kernel's. For a VLAN: <base-iface>.<id> or vlan<id>."""
    type: Annotated[str, _word("ethernet", "bond", "vlan")] = "ethernet"
    """The type of the interface."""
    state: Annotated[str, _word("up", "down", "absent", "ignore")] = "up"
    """Only an interface that is up is configured."""
    identifier: Annotated[str, _word("name", "mac-address")] = "name"
    """What finds the network card: its name, or mac-address."""
    mac_address: words.Mac | None = None
    """The network card's Ethernet address, with identifier: mac-address. hosts[].interfaces has it otherwise."""
    mtu: words.Mtu | None = None
    """The MTU in bytes."""
    ipv4: Ipv4 | None = None
    """The IPv4 configuration. Default: none."""
    ipv6: Ipv6 | None = None
    """The IPv6 configuration. Default: none."""
    vlan: Vlan | None = None
    """The VLAN's base interface and id; required for type vlan."""
    link_aggregation: LinkAggregation | None = None
    """The bond's mode and ports; required for type bond."""


class NmstateResolver(_Nmstate):
    server: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = ()
    """DNS servers. Default: those of the machine network, if an address is static."""


class DnsResolver(_Nmstate):
    config: NmstateResolver = NmstateResolver()
    """The resolver's settings."""


class NmstateRoute(_Nmstate):
    destination: words.AnyCidr | None = needed()
    """The destination network; 0.0.0.0/0 is the default route."""
    next_hop_address: words.AnyAddress | None = needed()
    """The router."""
    next_hop_interface: words.InterfaceName | None = None
    """The interface that leads to the router."""
    table_id: words.TableId | None = None
    """The routing table. Only the main table, 254, can be configured."""


class Routes(_Nmstate):
    config: tuple[NmstateRoute, ...] = ()
    """The routes."""


class NetworkConfig(_Nmstate):
    """A machine's network configuration, as in nmstate."""

    interfaces: Annotated[tuple[NmstateInterface, ...], Field(min_length=1)] = needed(tuple)
    """The interfaces to configure."""
    dns_resolver: DnsResolver = DnsResolver()
    """DNS servers."""
    routes: Routes = Routes()
    """Static routes, the default route among them."""


def cards(config: NetworkConfig, named: Mapping[str, MacAddress]) -> dict[str, MacAddress]:
    """Return the MAC address of each network card of *config* that has one; *named* has those of hosts[].interfaces."""
    found = {}
    for interface in config.interfaces:
        own = interface.mac_address if interface.identifier == "mac-address" else None
        if interface.name and (mac := own or named.get(interface.name)):
            found[interface.name] = mac
    # A bond's port and a VLAN's base need no entry of their own.
    return found | {name: mac for name, mac in named.items() if name in names_inside(config)}


def names_inside(config: NetworkConfig) -> set[str]:
    """Return the names of the interfaces to which bonds, VLANs and routes of *config* refer."""
    up = _up(config)
    ports = [port for i in up if i.type == "bond" and i.link_aggregation for port in i.link_aggregation.port]
    bases = [i.vlan.base_iface for i in up if i.type == "vlan" and i.vlan]
    hops = [route.next_hop_interface for route in config.routes.config if not _is_default(route)]
    return {name for name in (*ports, *bases, *hops) if name}


def dracut_arguments(
    config: NetworkConfig, name: str, dns_servers: tuple[Address, ...], macs: Mapping[str, MacAddress]
) -> tuple[str, ...]:
    """Return *config* as dracut.cmdline(7) arguments for the host called *name*, in the order of the OpenShift manual.

    *dns_servers* are used if *config* has none and an address is static. *macs* has the
    `cards`. A card is named by its MAC address in ip=, which renames nothing; other
    arguments take names only, so a card that they refer to gets its name by ifname=.
    """
    up, inside = _up(config), names_inside(config)
    renamed = [known(i.name) for i in up if i.type == "ethernet" and i.name in inside]
    renamed += sorted(inside - {i.name for i in config.interfaces})
    devices = {interface: mac.hyphenated for interface, mac in macs.items() if interface not in inside}
    addresses = [argument for interface in up for argument in _ip_arguments(interface, config, name, devices)]
    # A static ip= has an empty field for the peer after its address (dracut.cmdline(7)); ip=<interface>:dhcp has none.
    is_static = any("::" in argument for argument in addresses)
    servers = config.dns_resolver.config.server or (dns_servers if is_static else ())
    down = {interface.name for interface in config.interfaces if interface.state != "up"}
    routes = [route for route in config.routes.config if route.next_hop_interface not in down]
    return (
        *(f"ifname={interface}:{macs[interface]}" for interface in renamed if interface in macs),
        *addresses,
        *(f"nameserver={_bracketed(server)}" for server in servers),
        *(_bond_argument(i, i.link_aggregation) for i in up if i.type == "bond" and i.link_aggregation),
        *(f"vlan={i.name}:{i.vlan.base_iface}" for i in up if i.type == "vlan" and i.vlan),
        *(_route_argument(route) for route in routes if not _is_default(route)),
    )


def name_servers_of(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the DNS servers that *arguments* of the kernel name, in nameserver= or at the end of ip= (dracut)."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "nameserver":
            yield value.strip("[]")
        elif key == "ip":
            # Colons separate the fields, except in brackets; from the eighth on there is an MTU and a MAC address, or
            # DNS servers, which alone have dots or brackets.
            fields = re.findall(r"(?::|^)(\[[^]]*\]|[^:]*)", value)
            yield from (field.strip("[]") for field in fields[7:] if set(field) & set(".["))


def _up(config: NetworkConfig) -> Sequence[NmstateInterface]:
    return [interface for interface in config.interfaces if interface.state == "up"]


def _ip_arguments(
    interface: NmstateInterface, config: NetworkConfig, name: str, devices: Mapping[str, str]
) -> list[str]:
    device = devices.get(known(interface.name), interface.name)
    mtu = f":{interface.mtu}" if interface.mtu else ""
    arguments, automatic = [], []
    if interface.ipv4 and interface.ipv4.enabled:
        gateway = _default_gateway(interface, config, 4)
        for entry in interface.ipv4.address:
            mask = IPv4Address((0xFFFFFFFF << (32 - known(entry.prefix_length))) & 0xFFFFFFFF)
            arguments.append(f"ip={entry.ip}::{gateway}:{mask}:{name}:{device}:none{mtu}")
            gateway = ""  # only in the first argument of an interface
        automatic += ["dhcp"] if interface.ipv4.dhcp else []
    if interface.ipv6 and interface.ipv6.enabled:
        gateway = _default_gateway(interface, config, 6)
        for entry6 in interface.ipv6.address:
            address = _bracketed(known(entry6.ip))
            arguments.append(f"ip={address}::{gateway}:{entry6.prefix_length}:{name}:{device}:none{mtu}")
            gateway = ""
        # Beside a static address nm-initrd-generator takes "dhcp,dhcp6" for the end of IPv4, and beside dhcp alone it
        # reads router advertisements anyway.
        is_free = not (automatic and interface.ipv6.address)
        if interface.ipv6.dhcp and is_free:
            automatic.append("dhcp6")
        elif interface.ipv6.autoconf and not automatic:
            automatic.append("auto6")
    if automatic:
        # One argument for both families, after the static ones: nm-initrd-generator(8) turns IPv4 off again when a
        # later argument for the same interface is only about IPv6.
        arguments.append(f"ip={device}:{','.join(automatic)}{mtu}")
    return arguments


def _default_gateway(interface: NmstateInterface, config: NetworkConfig, version: int) -> str:
    for route in config.routes.config:
        router = route.next_hop_address
        is_for_interface = route.next_hop_interface in {None, interface.name}
        if router and router.version == version and is_for_interface and _is_default(route):
            return _bracketed(router)
    return ""


def _bond_argument(interface: NmstateInterface, bond: LinkAggregation) -> str:
    options = ",".join([f"mode={bond.mode}", *(f"{key}={value}" for key, value in bond.options.items())])
    mtu = f":{interface.mtu}" if interface.mtu else ""
    return f"bond={interface.name}:{','.join(bond.port)}:{options}{mtu}"


def _is_default(route: NmstateRoute) -> bool:
    return route.destination is not None and route.destination.prefixlen == 0


def _route_argument(route: NmstateRoute) -> str:
    interface = f":{route.next_hop_interface}" if route.next_hop_interface else ""
    network, router = route.destination, route.next_hop_address
    assert network is not None, "a file without a destination has an error"
    assert router is not None, "a file without a next-hop-address has an error"
    destination = f"[{network}]" if network.version == 6 else str(network)
    return f"rd.route={destination}:{_bracketed(router)}{interface}"


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
