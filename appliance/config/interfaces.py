"""What kernel arguments call the network interfaces of a networkConfig."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from appliance.config.fields import is_interface_name
from appliance.config.nmstate import RENDERED_TYPES, LinkAggregation, NetworkConfig, NmstateInterface
from appliance.model import MacAddress, Release

PORT_OPTIONS = {"primary", "active_slave"}  # bond options whose values are names of ports


@dataclass(frozen=True, slots=True)
class Naming:
    """What arguments call the interfaces of a networkConfig.

    A card whose MAC address is known is called by that: it renames nothing, and the installed system remembers it.
    Where only a name will do, `ifname=` gives the card that name.
    """

    macs: Mapping[str, MacAddress]  # of cards, by their names in networkConfig
    renamed: frozenset[str]  # the cards that get their name by ifname=
    vlans: Mapping[str, str]  # the names of VLANs, which contain the id
    is_current: bool  # whether the initramfs reads MAC addresses in place of names, and link6

    def device(self, name: str) -> str:
        """Return what ip=, bond=, bridge= and rd.route= call the interface *name*."""
        if name in self.macs and name not in self.renamed:
            return self.macs[name].hyphenated
        return self.vlans.get(name, name)


def naming(
    config: NetworkConfig, named: Mapping[str, MacAddress], own: Collection[MacAddress], release: Release
) -> Naming:
    """Return what to call the interfaces of *config* for a host with the MAC addresses *own*, some of them *named*."""
    # RHEL 8.4 has NetworkManager 1.30; MAC addresses are read since 1.28, link6 since 1.30.
    is_current = (release.major, release.minor) >= (4, 8)
    up, inside = shown(config), names_inside(config)
    macs = dict(named)
    for interface in config.interfaces:
        mac, is_card = interface.mac_address, interface.type == "ethernet"
        if interface.name and mac and is_card and (interface.identifier == "mac-address" or mac in own):
            macs[interface.name] = mac
    spelled = {each.vlan.base_iface for each in up if each.type == "vlan" and each.vlan}
    spelled |= {value for bond in bonds(up) for key, value in bond.options.items() if key in PORT_OPTIONS}
    used = inside | {interface.name for interface in up if interface.type == "ethernet"}
    return Naming(
        macs=macs,
        renamed=frozenset(name for name in macs if name in (spelled if is_current else used)),
        vlans={each.name: made for each in up if each.type == "vlan" and each.name and (made := vlan_name(each))},
        is_current=is_current,
    )


def shown(config: NetworkConfig) -> list[NmstateInterface]:
    """Return the interfaces of *config* that arguments can set up."""
    return [each for each in config.interfaces if each.state == "up" and each.type in RENDERED_TYPES]


def bonds(interfaces: Iterable[NmstateInterface]) -> list[LinkAggregation]:
    """Return the bonds among *interfaces*."""
    return [each.link_aggregation for each in interfaces if each.type == "bond" and each.link_aggregation]


def ports_of(interfaces: Iterable[NmstateInterface]) -> set[str]:
    """Return the names of the ports of bonds and bridges among *interfaces*."""
    up = list(interfaces)
    bridges = [each.bridge for each in up if each.type == "linux-bridge" and each.bridge]
    return {name for bond in bonds(up) for name in bond.ports} | {
        port.name for bridge in bridges for port in bridge.port if port.name
    }


def names_inside(config: NetworkConfig) -> set[str]:
    """Return the names of the interfaces to which bonds, bridges and VLANs of *config* refer."""
    up = shown(config)
    bases = {each.vlan.base_iface for each in up if each.type == "vlan" and each.vlan}
    return ports_of(up) | {name for name in bases if name}


def vlan_name(interface: NmstateInterface) -> str | None:
    """Return the name of a VLAN: its own if that ends with its id, from which dracut reads it, or else a made one.

    None while a part of it is missing.
    """
    name, vlan = interface.name, interface.vlan
    if name is None or vlan is None or vlan.base_iface is None or vlan.id is None:
        return None
    digits = re.search(r"\d*$", name)
    if digits and digits[0] and int(digits[0][-9:]) == vlan.id and is_interface_name(name):
        return name
    made = f"{vlan.base_iface}.{vlan.id}"
    return made if is_interface_name(made) else f"vlan{vlan.id}"
