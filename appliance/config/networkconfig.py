"""A host's networkConfig as arguments of dracut.cmdline(7).

The installer's initramfs configures the network from them, and coreos-installer copies them to the first boot of the
installed system, which keeps what came out. nm-initrd-generator(8) reads them from OpenShift 4.6 on. What it does
decides their form:

- The ip= arguments of an interface add up. `none` disables each family without an address, `dhcp6` and `auto6` make
  IPv6 automatic and disable an IPv4 without an address, and `dhcp` makes IPv4 automatic and, without an IPv6 address,
  IPv6 too. So `dhcp` comes last, and the others stand beside the static addresses.
- `dhcp,dhcp6` is the same as `dhcp` since NetworkManager 1.34; older ones drop the whole argument.
- A bond with an option that NetworkManager refuses is dropped whole.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_interface

from appliance.config.interfaces import Naming, ports_of, shown
from appliance.config.nmstate import Bridge, LinkAggregation, NetworkConfig, NmstateInterface, NmstateRoute
from appliance.config.sections import known
from appliance.model import Address

MAIN_TABLES = {None, 0, 254}  # ip-route(8): not given, unspecified, and main
BOND_WORDS = {"true": "1", "false": "0", "dropped": "0", "delivered": "1"}


def routes_of(config: NetworkConfig) -> list[NmstateRoute]:
    """Return the routes of *config* that arguments can set up."""
    absent = {interface.name for interface in config.interfaces} - {interface.name for interface in shown(config)}
    return [
        route
        for route in config.routes.config
        if route.state is None
        and route.destination
        and route.table_id in MAIN_TABLES
        and not route.route_type
        and not route.vrf_name
        and (route.next_hop_address is None or route.next_hop_address.version == route.destination.version)
        and route.next_hop_interface not in absent - {None}
    ]


def bond_options(bond: LinkAggregation) -> dict[str, str]:
    """Return the options of *bond* as nm-initrd-generator(8) takes them.

    It reads one target of several, and no value with a colon, which separates the fields of the argument.
    """
    words = {key: BOND_WORDS.get(value.lower(), value.partition(",")[0]) for key, value in bond.options.items()}
    return {key: word for key, word in words.items() if ":" not in word}


def dracut_arguments(
    config: NetworkConfig, name: str, dns_servers: tuple[Address, ...], naming: Naming
) -> tuple[str, ...]:
    """Return *config* as dracut.cmdline(7) arguments for the host called *name*, in the order of the OpenShift manual.

    *dns_servers* are used if *config* has none, and an address is static or the DNS servers of DHCP are not to be used.
    """
    up, device = shown(config), naming.device
    gateways, routes = _divided(config, up)
    is_static = any(_static(interface, version) for interface in up for version in (4, 6))
    is_deaf = not any(auto_dns(up)) and bool(auto_dns(up))
    servers = [server for server in config.dns_resolver.config.server if not _scope(server)]
    if not config.dns_resolver.config.server and (is_static or is_deaf):
        servers = list(dns_servers)
    return (
        *(f"ifname={interface}:{naming.macs[interface]}" for interface in sorted(naming.renamed)),
        *(argument for each in up for argument in _ip_arguments(each, up, name, naming, gateways)),
        *(f"nameserver={_bracketed(server)}" for server in servers),
        *(["rd.peerdns=0"] if is_deaf else []),
        *(_bond_argument(i, i.link_aggregation, naming) for i in up if i.type == "bond" and i.link_aggregation),
        *(_bridge_argument(i, i.bridge, naming) for i in up if i.type == "linux-bridge" and i.bridge),
        *(
            f"vlan={device(known(i.name))}:{device(known(i.vlan.base_iface))}"
            for i in up
            if i.type == "vlan" and i.vlan
        ),
        *(_route_argument(route, owner, naming) for route, owner in routes),
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


def auto_dns(interfaces: Iterable[NmstateInterface]) -> list[bool]:
    """Return whether each automatic configuration of *interfaces* takes DNS servers from it."""
    said = []
    for each in interfaces:
        if each.ipv4 and each.ipv4.enabled and each.ipv4.dhcp:
            said.append(each.ipv4.auto_dns)
        if each.ipv6 and each.ipv6.enabled and (each.ipv6.dhcp or each.ipv6.autoconf):
            said.append(each.ipv6.auto_dns)
    return said


def _static(interface: NmstateInterface, version: int) -> list[tuple[Address, int]]:
    """Return the static addresses of *interface*, each with the length of its prefix."""
    if version == 4:
        entries4 = interface.ipv4.address if interface.ipv4 and interface.ipv4.enabled else ()
        return [(known(entry.ip), known(entry.prefix_length)) for entry in entries4]
    entries6 = interface.ipv6.address if interface.ipv6 and interface.ipv6.enabled else ()
    return [(known(entry.ip), known(entry.prefix_length)) for entry in entries6]


def _divided(
    config: NetworkConfig, up: list[NmstateInterface]
) -> tuple[dict[tuple[str, int], Address], list[tuple[NmstateRoute, str]]]:
    """Return the gateways that stand in ip=, by interface and version, and the other routes with their interfaces."""
    gateways: dict[tuple[str, int], Address] = {}
    routes = []
    for route in routes_of(config):
        destination = route.destination
        assert destination is not None, "routes_of leaves those without one out"
        router = route.next_hop_address
        owner = route.next_hop_interface or _owner(router, up)
        has_address = any(each.name == owner and _static(each, destination.version) for each in up)
        place = (owner, destination.version)
        if destination.prefixlen == 0 and router and has_address and place not in gateways:
            gateways[place] = router
        else:
            routes.append((route, owner))
    return gateways, routes


def _owner(router: Address | None, up: list[NmstateInterface]) -> str:
    """Return the interface that leads to *router*, as far as the static addresses tell; "" for any."""
    if router is None:
        return ""
    having = [(known(each.name), _static(each, router.version)) for each in up]
    having = [(name, addresses) for name, addresses in having if addresses]
    for name, addresses in having:
        if any(router in ip_interface(f"{address}/{length}").network for address, length in addresses):
            return name
    return having[0][0] if len(having) == 1 else ""


def _ip_arguments(
    interface: NmstateInterface,
    up: list[NmstateInterface],
    name: str,
    naming: Naming,
    gateways: Mapping[tuple[str, int], Address],
) -> list[str]:
    label = known(interface.name)
    if label in ports_of(up):
        return []
    device, end = naming.device(label), _end(interface, naming)
    ipv4 = interface.ipv4
    has_dhcp4 = bool(ipv4 and ipv4.enabled and ipv4.dhcp)
    method = _method6(interface, naming)
    arguments = []
    for version in (4, 6):
        gateway = gateways.get((label, version))
        for address, length in _static(interface, version):
            mask = _mask(length) if version == 4 else str(length)
            router = _bracketed(gateway) if gateway else ""
            arguments.append(f"ip={_bracketed(address)}::{router}:{mask}:{name}:{device}:{method}{end}")
            gateway = None  # only in the first argument of an interface
    if has_dhcp4:
        arguments.append(f"ip={device}:dhcp{end}")
    elif not arguments and (method != "none" or _needs_none(interface, up, end)):
        arguments.append(f"ip={device}:{method}{end}")
    return arguments


def _method6(interface: NmstateInterface, naming: Naming) -> str:
    """Return the word of ip= for the IPv6 of *interface* beside its static addresses."""
    ipv6 = interface.ipv6
    if ipv6 is None or not ipv6.enabled:
        return "none"
    if ipv6.dhcp or ipv6.autoconf:
        return "dhcp6" if ipv6.dhcp else "auto6"
    has_dhcp4 = interface.ipv4 is not None and interface.ipv4.enabled and interface.ipv4.dhcp
    return "link6" if naming.is_current and not ipv6.address and not has_dhcp4 else "none"


def _needs_none(interface: NmstateInterface, up: list[NmstateInterface], end: str) -> bool:
    """Whether an interface without addresses needs an ip=: for its MTU, or to keep it from DHCP."""
    is_base = any(each.vlan and each.vlan.base_iface == interface.name for each in up if each.type == "vlan")
    if interface.type == "bond" and is_base:
        return interface.mac_address is not None  # bond= has its MTU, and the base of a VLAN gets no DHCP
    return bool(end) or (interface.type != "ethernet" and not is_base)


def _end(interface: NmstateInterface, naming: Naming) -> str:
    """Return the end of an ip=: the MTU, and the MAC address that the interface gets."""
    mac = interface.mac_address
    if interface.copy_mac_from:
        mac = naming.macs.get(interface.copy_mac_from)
    if interface.type == "ethernet" and naming.macs.get(known(interface.name)) == mac:
        mac = None  # it is its own
    mtu = interface.mtu or ""
    return f":{mtu}:{mac}" if mac else f":{mtu}" if mtu else ""


def _mask(length: int) -> str:
    return str(IPv4Address((0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF))


def _bond_argument(interface: NmstateInterface, bond: LinkAggregation, naming: Naming) -> str:
    options = ",".join([f"mode={bond.mode}", *(f"{key}={value}" for key, value in bond_options(bond).items())])
    mtu = f":{interface.mtu}" if interface.mtu else ""
    return f"bond={interface.name}:{','.join(map(naming.device, bond.ports))}:{options}{mtu}"


def _bridge_argument(interface: NmstateInterface, bridge: Bridge, naming: Naming) -> str:
    return f"bridge={interface.name}:{','.join(naming.device(known(port.name)) for port in bridge.port)}"


def _route_argument(route: NmstateRoute, owner: str, naming: Naming) -> str:
    network, router = route.destination, route.next_hop_address
    assert network is not None, "routes_of leaves those without one out"
    destination = f"[{network}]" if network.version == 6 else str(network)
    device = f":{naming.device(owner)}" if owner else ""
    return f"rd.route={destination}:{_bracketed(router) if router else ''}{device}"


def _scope(address: Address) -> str | None:
    return address.scope_id if isinstance(address, IPv6Address) else None


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
