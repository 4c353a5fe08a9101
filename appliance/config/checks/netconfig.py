"""A host's networkConfig: whether dracut can set up what it describes, and whether it describes this host."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from appliance.config.document import Document, Path_, Placed
from appliance.config.networkconfig import NetworkConfig, NmstateInterface, cards, names_inside
from appliance.config.section_drafts import HostDraft
from appliance.errors import Problem

MAIN_TABLES = {None, 0, 254}  # ip-route(8): not given, unspecified, and main


def problems_of_network_config(host: HostDraft, document: Document) -> Iterator[Problem]:
    """Yield what is wrong with the networkConfig of *host*, if it has one."""
    config, path = host.entry.network_config, (*host.path, "networkConfig")
    if config is None:
        return
    names: dict[str, Placed[str]] = {}
    for index, interface in enumerate(config.interfaces):
        here = (*path, "interfaces", index)
        name = document.at(interface.name, *here, "name")
        first = names.setdefault(name.value, name) if name else None
        if name and first and first is not name:
            yield name.error(f"{name.value} has two entries (first on {first.place(document)}); merge them")
        yield from _kind(interface, here, document)
        if interface.identifier == "mac-address" and not document.has(*here, "mac-address"):
            yield document.here(*here, "mac-address").error(
                "is missing; with identifier: mac-address it says which network card is meant"
            )
    for card in sorted(set(cards(config, host.named_macs)) & names_inside(config)):
        if re.fullmatch(r"eth\d+", card):
            yield document.here(*path, "interfaces").warning(
                f"{card} may be the kernel's name for another network card, which dracut cannot rename; "
                "choose a name that does not begin with eth"
            )
    yield from _addresses(host, config, path, document)
    yield from _routes(config, path, document)


def _kind(interface: NmstateInterface, path: Path_, document: Document) -> Iterator[Problem]:
    if interface.type == "bond" and not document.has(*path, "link-aggregation"):
        where = document.here(*path, "link-aggregation")
        yield where.error("is missing; a bond needs its mode and its ports there")
    if interface.type == "vlan":
        if not document.has(*path, "vlan"):
            yield document.here(*path, "vlan").error("is missing; a VLAN needs its base-iface and id there")
        yield from _vlan_name(interface, path, document)


def _vlan_name(interface: NmstateInterface, path: Path_, document: Document) -> Iterator[Problem]:
    name, vlan = document.at(interface.name, *path, "name"), interface.vlan
    if name is None or vlan is None or vlan.base_iface is None or vlan.id is None:
        return
    # dracut.cmdline(7) has no argument for the number: it reads it from the name.
    form = re.fullmatch(rf"(?:{re.escape(vlan.base_iface)}\.|vlan)(\d+)", name.value)
    if form is None or int(form[1]) != vlan.id:
        wanted = f"{vlan.base_iface}.{vlan.id} or vlan{vlan.id}"
        yield name.error(f'"{name.value}" does not contain the VLAN id as dracut reads it; use {wanted}')


def _addresses(host: HostDraft, config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    static: dict[IPv4Address, Placed[IPv4Address]] = {}
    for index, interface in enumerate(config.interfaces):
        if interface.state != "up":
            continue
        for number, entry in enumerate(interface.ipv4.address if interface.ipv4 else ()):
            address = document.at(entry.ip, *path, "interfaces", index, "ipv4", "address", number, "ip")
            if address:
                static.setdefault(address.value, address)
    if not static or host.address is None:
        return
    uses_dhcp = any(each.ipv4 and each.ipv4.dhcp for each in config.interfaces if each.state == "up")
    if host.address.value not in static and not uses_dhcp:
        wanted = f"{host.address.value} ({host.address.place(document)})"
        first = next(iter(static.values()))
        yield first.error(f"{first.value} is configured here, but the host's address is {wanted}; use the same address")
    # A destination that cannot be read may be the default route.
    destinations = [route.destination for route in config.routes.config]
    if None not in destinations and IPv4Network("0.0.0.0/0") not in destinations:
        yield document.here(*path, "routes").warning(
            "has no route to 0.0.0.0/0, so this host has no gateway; add it with its next-hop-address"
        )


def _routes(config: NetworkConfig, path: Path_, document: Document) -> Iterator[Problem]:
    names = {interface.name for interface in config.interfaces}
    for index, route in enumerate(config.routes.config):
        here = (*path, "routes", "config", index)
        interface = document.at(route.next_hop_interface, *here, "next-hop-interface")
        # If a name cannot be read, it may be the one that the route means.
        if interface and interface.value not in names and None not in names:
            known = " or ".join(sorted(filter(None, names)))
            yield interface.error(f'"{interface.value}" is not an interface of this host; expected {known}')
        if route.table_id not in MAIN_TABLES:
            yield document.here(*here, "table-id").error(
                f"{route.table_id} cannot be configured from the kernel command line; remove the key, or write 254"
            )
