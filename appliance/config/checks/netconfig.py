"""A host's networkConfig: whether dracut can set up what it describes, and whether it describes this host.

What it cannot set up is a warning: the file is a valid one of nmstate's, and the machine can be installed without.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from appliance.config.document import Document, Path_, Placed
from appliance.config.fields import is_interface_name
from appliance.config.interfaces import naming, shown, vlan_name
from appliance.config.networkconfig import MAIN_TABLES, auto_dns, bond_options
from appliance.config.nmstate import (
    LATER,
    NO_ARGUMENT,
    RENDERED_TYPES,
    WHERE,
    LinkAggregation,
    NetworkConfig,
    NmstateInterface,
)
from appliance.config.section_drafts import HostDraft, NetworkDraft
from appliance.errors import Problem
from appliance.model import Boot, Release

# With this release udev's rule for the names that ifname= gives is copied to the installed system.
KEEPS_NAMES = Release(4, 14)


def problems_of_network_config(
    host: HostDraft, networks: Sequence[NetworkDraft], release: Release | None, document: Document
) -> Iterator[Problem]:
    """Yield what is wrong with the networkConfig of *host*, if it has one, or with the VLAN of its network."""
    config, path = host.entry.network_config, (*host.path, "networkConfig")
    if host.boot is Boot.NOTHING:
        return  # there is a warning that it is not used
    yield from _vlan_of_network(host, networks, release, document)
    if config is None:
        return
    found = [*_interfaces(config, path, document), *_routes(config, path, document)]
    if host.boot.is_embedded:
        # An agent configures everything that nmstate can say.
        yield from (problem for problem in found if not problem.is_warning)
    else:
        yield from found
        yield from _names(host, config, release, document)
        yield from _name_servers(config, path, document)
    yield from _other_cards(host, config, document)
    yield from _addresses(host, config, path, document)


def _interfaces(config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    names: dict[str, Placed[str]] = {}
    for index, interface in enumerate(config.interfaces):
        here = (*path, "interfaces", index)
        name = document.at(interface.name, *here, "name")
        # An OVS bridge and the OVS interface of the same name are two.
        is_one_of = interface.state == "up" and interface.type in RENDERED_TYPES
        first = names.setdefault(name.value, name) if name and is_one_of else None
        if name and first and first is not name:
            yield name.error(f"{name.value} has two entries (first on {first.place(document)}); merge them")
        yield from _interface(interface, here, document)


def _vlan_of_network(
    host: HostDraft, networks: Sequence[NetworkDraft], release: Release | None, document: Document
) -> Iterator[Problem]:
    tag, config = host.vlan(networks), host.entry.network_config
    if tag is None:
        return
    if host.boot.is_embedded:
        if any(argument.value.startswith("vlan=") for argument in host.kernel_arguments):
            return
        yield document.here(*host.path).warning(
            f"the network is VLAN {tag}, of which the initramfs of an agent is not told; add ifname=, vlan= and ip= to "
            "kernelArguments (dracut.cmdline(7))"
        )
        return
    if config is None:
        # With a networkConfig, names are looked at below.
        if release and _forgets_names(release) and not document.has(*host.path, "networkConfig"):
            where = document.here(*host.path, "interfaces" if document.has(*host.path, "interfaces") else "macAddress")
            yield where.warning(
                f"the network is VLAN {tag}, and RHCOS before {KEEPS_NAMES} forgets the name of the card below it "
                "after the first boot; give the card the kernel's name for it in hosts[].interfaces"
            )
        return
    ids = [each.vlan.id for each in shown(config) if each.type == "vlan" and each.vlan]
    if tag not in ids and None not in ids:
        yield document.here(*host.path, "networkConfig", "interfaces").warning(
            f"has no interface for VLAN {tag}, which is the host's network; add one of type vlan with `id: {tag}`"
        )


def _forgets_names(release: Release) -> bool:
    return (release.major, release.minor) < (KEEPS_NAMES.major, KEEPS_NAMES.minor)


def _interface(interface: NmstateInterface, path: Path_, document: Document) -> Iterator[Problem]:
    if interface.state != "up":
        return
    if interface.type not in RENDERED_TYPES:
        where = document.here(*path, "type")
        yield where.warning(f"an interface of type {interface.type} is {LATER}, and not by the installer; {WHERE}")
    if interface.identifier == "mac-address" and not document.has(*path, "mac-address"):
        yield document.here(*path, "mac-address").error(
            "is missing; with identifier: mac-address it says which network card is meant"
        )
    if interface.identifier == "pci-address":
        yield document.here(*path, "identifier").warning(
            f"the installer finds the card by its name, {interface.name}, not by pci-address; write the card's MAC "
            "address into hosts[].interfaces"
        )
    if interface.type == "bond":
        yield from _bond(interface.link_aggregation, path, document)
    if interface.type == "linux-bridge" and (interface.bridge is None or not interface.bridge.port):
        where = document.here(*path, "bridge", "port")
        yield where.error("is missing; a bridge needs its ports there, for example `port: [{name: eno1}]`")
    if interface.type == "vlan":
        if not document.has(*path, "vlan"):
            yield document.here(*path, "vlan").error("is missing; a VLAN needs its base-iface and id there")
        yield from _vlan_name(interface, path, document)


def _bond(bond: LinkAggregation | None, path: Path_, document: Document) -> Iterator[Problem]:
    if not document.has(*path, "link-aggregation"):
        yield document.here(*path, "link-aggregation").error("is missing; a bond needs its mode and its ports there")
    if bond is None:
        return
    # Where one cannot be read, it has an error of its own.
    if not any(document.has(*path, "link-aggregation", key) for key in ("port", "slaves", "ports-config")):
        where = document.here(*path, "link-aggregation", "port")
        yield where.error("is missing; for example `port: [eno1, eno2]`")
    kept = bond_options(bond)
    for key, value in bond.options.items():
        where = document.here(*path, "link-aggregation", "options", key)
        if key not in kept:
            yield where.warning(NO_ARGUMENT)
        elif "," in value:
            yield where.warning(f"the installer uses only {kept[key]}; the others are {LATER}; {WHERE}")


def _vlan_name(interface: NmstateInterface, path: Path_, document: Document) -> Iterator[Problem]:
    name, made = document.at(interface.name, *path, "name"), vlan_name(interface)
    # dracut.cmdline(7) has no argument for the number: it reads it from the name.
    if name and made and made != name.value:
        yield name.warning(
            f'"{name.value}" does not end with the VLAN id, from which dracut reads it; the installer and the node '
            f"call this VLAN {made}"
        )


def _names(host: HostDraft, config: NetworkConfig, release: Release | None, document: Document) -> Iterator[Problem]:
    own = [mac.value for mac in host.macs]
    names = naming(config, host.named_macs, own, release or KEEPS_NAMES)
    where = document.here(*host.path, "networkConfig", "interfaces")
    for card in sorted(names.renamed):
        if re.fullmatch(r"eth\d+", card):
            yield where.warning(
                f"{card} may be the kernel's name for another network card, which dracut cannot rename; "
                "choose a name that does not begin with eth"
            )
        elif release and _forgets_names(release):
            yield where.warning(
                f"{card} must be the kernel's name for this network card: RHCOS before {KEEPS_NAMES} forgets other "
                "names after the first boot"
            )
    for name in _written(config, (*host.path, "networkConfig", "interfaces"), document):
        if names.device(name.value) == name.value and not is_interface_name(name.value):
            yield name.error(
                f'"{name.value}" is not a name that Linux allows, and no MAC address stands for it; use a name of at '
                "most 15 letters, digits and . _ @ -, or write the interface into hosts[].interfaces"
            )


def _other_cards(host: HostDraft, config: NetworkConfig, document: Document) -> Iterator[Problem]:
    """Yield each card that networkConfig finds by another MAC address than hosts[].interfaces gives its name."""
    for index, card in enumerate(config.interfaces):
        here, named = card.mac_address, host.named_macs.get(card.name or "")
        if card.identifier == "mac-address" and here and named and here != named:
            path = (*host.path, "networkConfig", "interfaces", index, "mac-address")
            yield document.here(*path).warning(
                f"{here} is called {card.name} here, and {named} in hosts[].interfaces; write the same address in both"
            )


def _written(config: NetworkConfig, path: Path_, document: Document) -> Iterator[Placed[str]]:
    """Yield each name of an interface that arguments may have to spell."""
    up = shown(config)
    for index, interface in enumerate(config.interfaces):
        here, bond = (*path, index), interface.link_aggregation
        if interface not in up:
            continue
        names = [document.at(interface.name, *here, "name")]
        if interface.vlan:
            names = [document.at(interface.vlan.base_iface, *here, "vlan", "base-iface")]  # its own name may be made
        if bond:
            names += document.all_at(bond.port, *here, "link-aggregation", "port")
            names += document.all_at(bond.slaves, *here, "link-aggregation", "slaves")
        for number, port in enumerate(interface.bridge.port if interface.bridge else ()):
            names.append(document.at(port.name, *here, "bridge", "port", number, "name"))
        yield from filter(None, names)


def _addresses(host: HostDraft, config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    static: dict[IPv4Address, Placed[IPv4Address]] = {}
    up = shown(config)
    for index, interface in enumerate(config.interfaces):
        if interface not in up or (interface.ipv4 and not interface.ipv4.enabled):
            continue
        for number, entry in enumerate(interface.ipv4.address if interface.ipv4 else ()):
            address = document.at(entry.ip, *path, "interfaces", index, "ipv4", "address", number, "ip")
            if address:
                static.setdefault(address.value, address)
    if not static or host.address is None:
        return
    uses_dhcp = any(each.ipv4 and each.ipv4.dhcp for each in up)
    if host.address.value not in static and not uses_dhcp:
        wanted = f"{host.address.value} ({host.address.place(document)})"
        first = next(iter(static.values()))
        yield first.error(f"{first.value} is configured here, but the host's address is {wanted}; use the same address")
    # A destination that cannot be read may be the default route.
    destinations = [route.destination for route in config.routes.config if route.state is None]
    if not uses_dhcp and None not in destinations and IPv4Network("0.0.0.0/0") not in destinations:
        yield document.here(*path, "routes").warning(
            "has no route to 0.0.0.0/0, so this host has no gateway; add it with its next-hop-address"
        )


def _routes(config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    names = {interface.name for interface in config.interfaces}
    for index, route in enumerate(config.routes.config):
        here = (*path, "routes", "config", index)
        if route.state is not None:
            continue
        if not document.has(*here, "destination"):
            yield document.here(*here, "destination").error("is missing; for example `destination: 192.0.2.0/24`")
        interface = document.at(route.next_hop_interface, *here, "next-hop-interface")
        # If a name cannot be read, it may be the one that the route means.
        if interface and interface.value not in names and None not in names:
            known = " or ".join(sorted(filter(None, names)))
            yield interface.error(f'"{interface.value}" is not an interface of this host; expected {known}')
        has_hop = document.has(*here, "next-hop-address") or document.has(*here, "next-hop-interface")
        if not has_hop and route.route_type is None:
            yield document.here(*here, "next-hop-address").error(
                "is missing; for example `next-hop-address: 192.0.2.1`"
            )
        network, router = route.destination, document.at(route.next_hop_address, *here, "next-hop-address")
        if network and router and router.value.version < network.version:
            yield router.error(f"{router.value} is not IPv6, as {network} is; write an IPv6 address")
        elif network and router and router.value.version > network.version:  # RFC 5549
            yield router.warning(NO_ARGUMENT)
        if route.table_id not in MAIN_TABLES:
            yield document.here(*here, "table-id").warning(
                f"a route of table {route.table_id} is {LATER}: the kernel command line sets up only the main table, "
                f"254; {WHERE}"
            )
        for key, value in (("route-type", route.route_type), ("vrf-name", route.vrf_name)):
            if value:
                yield document.here(*here, key).warning(NO_ARGUMENT)


def _name_servers(config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    servers = document.all_at(config.dns_resolver.config.server, *path, "dns-resolver", "config", "server")
    for server in servers:
        if isinstance(server.value, IPv6Address) and server.value.scope_id:
            yield server.warning(
                f"a DNS server on one interface, {server.value}, is {LATER}: nm-initrd-generator refuses it; {WHERE}"
            )
    said = auto_dns(shown(config))
    if any(said) and not all(said):
        yield document.here(*path, "interfaces").warning(
            f"auto-dns: false is {LATER}: the kernel command line says it for all interfaces together, and another one "
            f"here takes DNS servers from DHCP; {WHERE}"
        )
