"""What an nmstate configuration says, in the terms of nm-initrd-generator's profiles; knows nothing of the renderer."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from tests.initrd_generator import Connection, Generated, judged

TYPES = {"ethernet": "ethernet", "bond": "bond", "vlan": "vlan", "linux-bridge": "bridge"}


def differences(config: Mapping[str, Any], arguments: Sequence[str], macs: Mapping[str, str]) -> list[str]:
    """Return where nm-initrd-generator's reading of *arguments* is not what *config* says.

    *macs* has the MAC addresses of the cards whose address is known. Values of *config* are as YAML spells them.
    """
    generated = judged(arguments)
    found = [f"complaint: {line}" for line in generated.complaints]
    renamed = dict(argument.removeprefix("ifname=").split(":", 1) for argument in arguments if "ifname=" in argument)
    read = {renamed.get(name, name): connection for name, connection in generated.connections.items()}
    wanted = {macs.get(each["name"], _called(each)): each for each in _up(config) if _is_configured(each, config)}
    found += [f"{name}: is not configured" for name in wanted.keys() - read.keys()]
    for name, interface in wanted.items():
        if name in read:
            found += [
                f"{name}: {what}" for what in _differences(interface, read[name], config, macs, renamed, generated)
            ]
    # A VLAN's base and a bond's port are there though the file need not list them.
    strange = {name for name in read.keys() - wanted.keys() if not read[name].controller}
    bases = {macs.get(base, base) for base in _bases(config)}
    return found + [f"{name}: is configured, but not in the file" for name in strange - bases]


def _differences(
    interface: Mapping[str, Any],
    read: Connection,
    config: Mapping[str, Any],
    macs: Mapping[str, str],
    renamed: Mapping[str, str],
    generated: Generated,
) -> list[str]:
    ipv4, ipv6 = interface.get("ipv4", {}), interface.get("ipv6", {})
    pairs: dict[str, tuple[object, object]] = {
        "type": (TYPES[interface.get("type", "ethernet")], read.type),
        "mtu": (str(interface.get("mtu", "")), read.mtu),
    }
    controller = next((each["name"] for each in _up(config) if interface["name"] in _ports(each)), "")
    pairs["controller"] = (controller, read.controller)
    if controller:
        pairs["mtu"] = (read.mtu, read.mtu)  # it follows its controller's
    else:
        pairs["ipv4"] = (_method4(ipv4), read.ipv4)
        pairs["ipv6"] = (_method6(ipv4, ipv6), read.ipv6)
        pairs["addresses"] = ({*_addresses(ipv4), *_addresses(ipv6)}, read.addresses)
        routes = [_route(each, config) for each in config.get("routes", {}).get("config", [])]
        own = [(to, via) for to, via, owner in routes if owner == interface["name"]]
        pairs["routes"] = ({f"{to} {via}".strip() for to, via in own}, read.routes | _gateways(read))
        servers = config.get("dns-resolver", {}).get("config", {}).get("server", [])
        if servers:
            is_on = {4: read.ipv4 in {"auto", "manual"}, 6: read.ipv6 in {"auto", "manual"}}
            pairs["dns"] = ({each for each in servers if is_on[ip_address(each).version]}, read.dns)
        if not generated.host_name and (_addresses(ipv4) or _addresses(ipv6)):
            pairs["host name"] = ("one", "none")
    if interface.get("type") == "vlan":
        base = interface["vlan"]["base-iface"]
        parent, number = read.vlan
        pairs["vlan"] = ((macs.get(base, base), str(interface["vlan"]["id"])), (renamed.get(parent, parent), number))
    if interface.get("type") == "bond":
        bond = interface["link-aggregation"]
        options = {"mode": bond["mode"]} | {key: str(value) for key, value in bond.get("options", {}).items()}
        # libnm leaves out what is the default.
        pairs["bond"] = ({}, {key: value for key, value in read.bond if options.get(key) != value})
    return [f"{what} is {found}, not {wanted}" for what, (wanted, found) in pairs.items() if wanted != found]


def _up(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in config["interfaces"] if each.get("state", "up") == "up" and each.get("type") != "dummy"]


def _called(interface: Mapping[str, Any]) -> str:
    """Return the name of an interface; that of a VLAN must end with its id."""
    name: str = interface["name"]
    if interface.get("type") == "vlan" and not re.search(rf"(?<!\d)0*{interface['vlan']['id']}$", name):
        return f"{interface['vlan']['base-iface']}.{interface['vlan']['id']}"
    return name


def _is_configured(interface: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether an entry says more than that there is such a card."""
    is_port = any(interface["name"] in _ports(each) for each in _up(config))
    keys = {"ipv4", "ipv6", "mtu"} & interface.keys()
    has_ip = any(interface.get(key, {}).get("enabled", "true") == "true" for key in keys - {"mtu"})
    return has_ip or is_port or "mtu" in keys or interface.get("type", "ethernet") != "ethernet"


def _bases(config: Mapping[str, Any]) -> set[str]:
    return {each["vlan"]["base-iface"] for each in _up(config) if each.get("type") == "vlan"}


def _ports(interface: Mapping[str, Any]) -> list[str]:
    bond, bridge = interface.get("link-aggregation", {}), interface.get("bridge", {})
    return [*bond.get("port", []), *(port["name"] for port in bridge.get("port", []))]


def _addresses(family: Mapping[str, Any]) -> list[str]:
    if family.get("enabled", "true") != "true":
        return []
    return [f"{each['ip']}/{each['prefix-length']}" for each in family.get("address", [])]


def _is_auto(family: Mapping[str, Any]) -> bool:
    return family.get("enabled", "true") == "true" and "true" in {family.get("dhcp"), family.get("autoconf")}


def _method4(ipv4: Mapping[str, Any]) -> str:
    return "auto" if _is_auto(ipv4) else "manual" if _addresses(ipv4) else "disabled"


def _method6(ipv4: Mapping[str, Any], ipv6: Mapping[str, Any]) -> str:
    if _is_auto(ipv6):
        return "auto"
    if _addresses(ipv6):
        return "manual"
    # No argument sets up DHCP for IPv4 and no IPv6.
    if _is_auto(ipv4):
        return "auto"
    return "link-local" if ipv6 and ipv6.get("enabled", "true") == "true" else "disabled"


def _route(route: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, str, str]:
    owner = route.get("next-hop-interface", "")
    router = route.get("next-hop-address", "")
    if not owner:
        networks = {
            ip_network(address, strict=False): each["name"]
            for each in _up(config)
            for address in [*_addresses(each.get("ipv4", {})), *_addresses(each.get("ipv6", {}))]
        }
        owner = next(name for network, name in networks.items() if ip_address(router) in network)
    return route["destination"], router, owner


def _gateways(read: Connection) -> set[str]:
    return {f"{'::/0' if ':' in gateway else '0.0.0.0/0'} {gateway}" for gateway in read.gateways}
