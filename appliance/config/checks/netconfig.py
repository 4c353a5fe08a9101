"""A host's networkConfig: whether dracut can set up what it describes, and whether it is this host."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from appliance.config import addresses, fields
from appliance.config.document import Path_
from appliance.config.facts import Facts, HostFacts
from appliance.errors import Problem

MAIN_TABLES = {0, 254}  # ip-route(8): unspecified, and main


def problems_of_network_config(host: HostFacts, facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with the networkConfig of *host*, if it has one."""
    path = (*host.entry.path, "networkConfig")
    if not facts.has(*path):
        return
    names: dict[str, Path_] = {}
    for index in range(facts.count(*path, "interfaces")):
        here = (*path, "interfaces", index)
        name = facts.at(fields.parse_interface, *here, "name")
        if name and name.value in names:
            first = facts.document.line_of((*names[name.value], "name"))
            yield name.error(f"{name.value} is described twice (first on line {first}); put both into one entry")
        elif name:
            names[name.value] = here
        yield from _kind(here, facts)
    yield from _addresses(host, facts, path)
    yield from _routes(facts, path, set(names))


def _kind(path: Path_, facts: Facts) -> Iterator[Problem]:
    kind = facts.at(str, *path, "type")
    if kind and kind.value == "bond" and not facts.has(*path, "link-aggregation"):
        yield facts.here(*path, "link-aggregation").error("is missing; a bond names its mode and its port list there")
    if kind and kind.value == "vlan":
        if not facts.has(*path, "vlan"):
            yield facts.here(*path, "vlan").error("is missing; a VLAN names its base-iface and id there")
        yield from _vlan_name(path, facts)


def _vlan_name(path: Path_, facts: Facts) -> Iterator[Problem]:
    name = facts.at(fields.parse_interface, *path, "name")
    base = facts.at(fields.parse_interface, *path, "vlan", "base-iface")
    number = facts.at(fields.parse_whole(1, 4094), *path, "vlan", "id")
    if not (name and base and number):
        return
    # dracut.cmdline(7) has no argument for the number: it reads it from the name.
    form = re.fullmatch(rf"(?:{re.escape(base.value)}\.|vlan)(\d+)", name.value)
    if form is None or int(form[1]) != number.value:
        wanted = f"{base.value}.{number.value} or vlan{number.value}"
        yield name.error(f'"{name.value}" does not tell dracut the VLAN; call it {wanted}')


def _addresses(host: HostFacts, facts: Facts, path: Path_) -> Iterator[Problem]:
    static: dict[IPv4Address, Path_] = {}
    uses_dhcp = False
    for index in range(facts.count(*path, "interfaces")):
        ipv4 = (*path, "interfaces", index, "ipv4")
        dhcp = facts.at(fields.parse_truth, *ipv4, "dhcp")
        uses_dhcp |= bool(dhcp and dhcp.value)
        for number in range(facts.count(*ipv4, "address")):
            address = facts.at(addresses.parse_ipv4, *ipv4, "address", number, "ip")
            if address:
                static.setdefault(address.value, address.path)
    if not static or host.address is None:
        return
    if host.address.value not in static and not uses_dhcp:
        said = f"{host.address.value} ({host.address.place(facts.document)})"
        where = facts.here(*next(iter(static.values())))
        yield where.error(f"{next(iter(static))} is set up here, but the host's address is {said}; make them one")
    if not any(_is_default(facts, path, index) for index in range(facts.count(*path, "routes", "config"))):
        yield facts.here(*path, "routes").warning(
            "has no route to 0.0.0.0/0, so this host has no gateway; add it with its next-hop-address"
        )


def _is_default(facts: Facts, path: Path_, index: int) -> bool:
    destination = facts.at(addresses.parse_cidr, *path, "routes", "config", index, "destination")
    return destination is not None and destination.value == IPv4Network("0.0.0.0/0")


def _routes(facts: Facts, path: Path_, names: set[str]) -> Iterator[Problem]:
    for index in range(facts.count(*path, "routes", "config")):
        here = (*path, "routes", "config", index)
        interface = facts.at(fields.parse_interface, *here, "next-hop-interface")
        if interface and interface.value not in names:
            yield interface.error(
                f'"{interface.value}" is no interface of this host; write {" or ".join(sorted(names))}'
            )
        table = facts.at(fields.parse_whole(0, 0xFFFFFFFF), *here, "table-id")
        if table and table.value not in MAIN_TABLES:
            yield table.error(
                f"{table.value} cannot be set up from the kernel's command line; leave it out, or write 254"
            )
