"""The machines: each is unique and in a network, and together they form a cluster."""

from collections.abc import Hashable, Iterator, Sequence
from ipaddress import IPv6Address
from typing import TypeVar

from appliance.config.checks.netconfig import problems_of_network_config
from appliance.config.checks.networks import home_of, unusable
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.keys import is_misspelled
from appliance.config.messages import lacking
from appliance.config.section_drafts import HostDraft
from appliance.errors import Problem
from appliance.model import Address, Boot, Role

T = TypeVar("T", bound=Hashable)

MAX_HOST_NAME = 63  # Linux allows 64 characters; RHCOS cuts off the last


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the hosts of one file."""
    yield from _roles(draft)
    taken = _taken_addresses(draft)
    for host in draft.hosts:
        yield from _macs(host, draft)
        yield from _own_addresses(host, draft)
        for name in (host.name, *(card.name for card in host.cards)):
            if name:
                yield from _name(name, draft)
        yield from _address(host, draft)
        for claim in (*host.addresses, *(card.address for card in host.cards)):
            for holder in taken.get(claim.value, ()):
                where = f"{holder.owner} ({holder.place(draft.document)})"
                yield claim.error(f"{claim.value} is {where}; change one of them")
        yield from _cards(host, draft)
        yield from problems_of_network_config(host, draft.networks, draft.release, draft.document)


def duplicates(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Yield the names, MAC addresses and addresses that two hosts have, in any of the files."""
    hosts = [host for draft in drafts for host in draft.hosts]
    yield from _twice([mac for host in hosts for mac in host.macs], "each interface needs its own MAC address")
    cards = [card for host in hosts for card in host.cards]
    names = [host.name for host in hosts if host.name] + [card.name for card in cards if card.name]
    yield from _twice(names, "each host needs its own name")
    addresses = [address for host in hosts for address in host.addresses] + [card.address for card in cards]
    yield from _twice(addresses, "each host needs its own address")


def _twice(claims: Sequence[Placed[T]], rule: str) -> Iterator[Problem]:
    first: dict[T, Placed[T]] = {}
    for claim in claims:
        other = first.setdefault(claim.value, claim)
        if other is not claim:
            where = f"also used by {other.owner} ({other.place(claim.document)})"
            if other.document is claim.document and other.path[:2] == claim.path[:2]:
                where = f"given twice (first on {other.place(claim.document)})"
            yield claim.error(f"{claim.value} is {where}; {rule}")


def _roles(draft: Draft) -> Iterator[Problem]:
    if not draft.hosts or any(host.role is None for host in draft.hosts):
        return  # the checks below need the role of every host
    roles = [host.role for host in draft.hosts if host.role]
    bootstraps = [role for role in roles if role.value is Role.BOOTSTRAP]
    masters = [role for role in roles if role.value is Role.MASTER]
    arbiters = [role for role in roles if role.value is Role.ARBITER]
    hosts = draft.document.here("hosts")
    if not masters:
        yield hosts.error("no host has the role master; a cluster needs three, or one for a single node")
    elif arbiters and (len(masters) + len(arbiters)) % 2 == 0:
        yield hosts.warning(
            f"{len(masters) + len(arbiters)} hosts have the role master or arbiter; etcd needs an odd number of both "
            "together, for example two masters and an arbiter"
        )
    elif not arbiters and len(masters) % 2 == 0:
        yield hosts.warning(f"{len(masters)} hosts have the role master; etcd needs an odd number, three or one")
    for extra in bootstraps[1:]:
        first = f"{bootstraps[0].owner} ({bootstraps[0].place(extra.document)})"
        yield extra.error(f"{extra.owner} is a second bootstrap host besides {first}; a cluster has one")
    needs_bootstrap = draft.is_way_known and any(
        host.boot is Boot.INSTALLER and host.role in masters for host in draft.hosts
    )
    if not bootstraps and needs_bootstrap:
        yield hosts.warning("no host has the role bootstrap; a cluster that is not installed yet needs one")


def _macs(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    path = host.path
    if not isinstance(draft.document.value_at(path), dict):
        return
    has_macs, has_interfaces = draft.document.has(*path, "macAddress"), draft.document.has(*path, "interfaces")
    has_boot_mac = draft.document.has(*path, "bootMACAddress")
    if has_macs and has_interfaces:
        where = draft.document.here(*path, "interfaces")
        yield where.error(
            "conflicts with macAddress; write one of them, beginning with the interface that the machine boots from"
        )
    elif (
        not has_macs
        and not has_interfaces
        and not has_boot_mac
        and not is_misspelled((*path, "macAddress"), draft.document)
    ):
        yield draft.document.here(*path, "macAddress").error("is missing; for example `macAddress: 52:54:00:12:34:56`")
    elif has_macs and draft.document.value_at((*path, "macAddress")) == []:
        yield draft.document.here(*path, "macAddress").error("is an empty list; add at least one entry")


def _cards(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    """Warn of an interface in another network than the address, which gets no answer if the host boots from it."""
    config = host.entry.network_config
    if len(host.macs) < 2 or config is None or host.address is None:
        return
    address = host.address.value
    home = next((network for network in draft.ranges4 if address in network), None)
    own = [entry.ip for each in config.interfaces if each.state == "up" and each.ipv4 for entry in each.ipv4.address]
    elsewhere = {card.address.value for card in host.cards}
    own = [ip for ip in own if ip not in elsewhere]
    others = [network for network in draft.ranges4 if network != home and any(ip and ip in network for ip in own)]
    if home and others:
        yield host.macs[1].warning(
            f"{host.label} has several interfaces and only {address}, which DHCP gives to each; "
            f"an interface in {' or '.join(map(str, others))} gets no answer, so boot from one in the address's network"
        )


def _own_addresses(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the addresses of single interfaces of *host*."""
    for index, interface in enumerate(host.entry.interfaces):
        path = (*host.path, "interfaces", index)
        if interface.hostname and not draft.document.has(*path, "address"):
            yield draft.document.here(*path, "hostname").error(
                "needs an address of its own: the host's address has the host's name; add address, or remove this"
            )
    own = {card.mac for card in host.cards}
    is_readable = all(interface.mac_address for interface in host.entry.interfaces)
    if host.macs and is_readable and all(mac.value in own for mac in host.macs) and host.address:
        yield host.address.error(
            f"no interface of {host.label} has {host.address.value}, because each has an address of its own; remove "
            "`address` from the interface that has this one"
        )


def _name(host_name: Placed[str], draft: Draft) -> Iterator[Problem]:
    name, domain = host_name.value, draft.domain
    first, _, parent = name.partition(".")
    if parent == domain and first in {"api", "api-int", "apps"}:
        yield host_name.error(f"{name} is reserved for the cluster; choose another name for the machine")
    elif first == "localhost":
        yield host_name.error(f"{name} makes the machine call itself localhost; choose another name")
    elif name == draft.appliance_name.value:
        where = draft.appliance_name.place(draft.document)
        yield host_name.error(f"{name} is the name of the appliance ({where}); choose another name for the machine")
    elif name.endswith(f".apps.{domain}"):
        yield host_name.warning(f"{name} is below the wildcard *.apps.{domain}, which is for routes")
    if len(name) > MAX_HOST_NAME:
        yield host_name.warning(f"{name} has {len(name)} characters; RHCOS truncates host names to {MAX_HOST_NAME}")


def _taken_addresses(draft: Draft) -> dict[Address, list[Placed[Address]]]:
    """Return the addresses that no host can have, each with its holders."""
    holders: list[Placed[Address]] = [*draft.appliance_addresses, *draft.gateways]
    held = {claim.value for host in draft.hosts for claim in host.addresses}
    control_plane = [host for host in draft.hosts if not host.role or host.role.value in (Role.MASTER, Role.ARBITER)]
    has_unreadable = any(not host.addresses for host in draft.hosts)
    for key, vips in draft.vips.items():
        # Several addresses that all belong to hosts are intentional round robin: the routers of a compact cluster.
        written = draft.document.value_at((key,))
        is_several = isinstance(written, list) and len(written) > 1
        is_round_robin = is_several and (has_unreadable or all(vip.value in held for vip in vips))
        # And a single node is its own load balancer, also once workers were added to it.
        is_hosts = is_round_robin or draft.may_be_single_node or len(control_plane) <= 1
        if draft.has_haproxy or not is_hosts:
            holders += vips
    taken: dict[Address, list[Placed[Address]]] = {}
    for holder in holders:
        taken.setdefault(holder.value, []).append(holder)
    return taken


def _address(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    path, document = host.path, draft.document
    if not isinstance(document.value_at(path), dict):
        return
    has_first, has_second = document.has(*path, "address"), document.has(*path, "addressIPv6")
    if not has_first and not has_second and not is_misspelled((*path, "address"), document):
        yield document.here(*path, "address").error(lacking((*path, "address"), document))
    if has_second and isinstance(host.entry.address, IPv6Address):
        yield document.here(*path, "addressIPv6").error(
            "conflicts with address, which is an IPv6 address; write the IPv4 address there, or remove one of them"
        )
    for number, claim in enumerate((*host.addresses, *(card.address for card in host.cards))):
        address, home = claim.value, home_of(claim.value, draft)
        if home is not None and (why := unusable(address, home)):
            yield claim.error(f"{address} {why}; no machine can have it")
        elif home is None and draft.has_every_range:
            yield from _outside(claim, draft, is_second=0 < number < len(host.addresses))


def _outside(claim: Placed[Address], draft: Draft, *, is_second: bool) -> Iterator[Problem]:
    ranges = draft.ranges(claim.value.version)
    wanted = " or ".join(map(str, ranges))
    where = "networking.machineNetwork"
    if is_second and ranges:
        yield claim.warning(
            f"{claim.value} is outside {where} {wanted}, so DHCPv6 does not give it; change it, or add its network"
        )
    elif is_second:
        return  # without an IPv6 network it is a name in DNS
    elif ranges:
        yield claim.error(f"{claim.value} is outside {where} {wanted}; change it, or add its network")
    else:
        yield claim.error(f"{where} has no IPv{claim.value.version} network for {claim.value}; add its network")
