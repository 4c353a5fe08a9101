"""Build a Cluster in wire types from a complete draft. Values that no check needs get their defaults here."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

from appliance.config.draft import Draft
from appliance.config.frontends import own_front_ends
from appliance.config.images import boot_images
from appliance.config.interfaces import naming
from appliance.config.networkconfig import dracut_arguments, name_servers_of
from appliance.config.records import in_zone
from appliance.config.section_drafts import HostDraft, NetworkDraft
from appliance.config.sections import known
from appliance.dns.private import is_private
from appliance.model import (
    Address,
    Arch,
    Boot,
    Card,
    Cluster,
    DhcpMode,
    DnsSettings,
    ForwardZone,
    Host,
    Install,
    Listen,
    LoadBalancer,
    Loader,
    LocalBoot,
    NameServer,
    Network,
    Record,
    Role,
    Route,
)
from appliance.openshift import names

DEFAULT_DISK = "/dev/sda"
DEFAULT_DATA_DIR = Path("/var/lib/ocp-appliance")
# A node renews its lease after half of this time, so the appliance can be down for a long weekend.
DEFAULT_LEASE_SECONDS = 7 * 86400


def build(draft: Draft, source: Path, digest: str) -> Cluster:
    """Return the cluster of *draft*, whose file has no errors. *digest* is the file's sha256 in hexadecimal."""
    file = draft.file
    # IPv4 first: hosts boot in those, and DNS lists its reverse zones in this order.
    networks = tuple(_network(network, draft) for network in sorted(draft.networks, key=lambda each: not each.ranges4))
    hosts = tuple(_host(host, draft, networks) for host in draft.hosts)
    single = draft.single_node
    single_address = tuple(address.value for address in single.addresses) if single else ()
    api_vips = file.api_vips or (() if draft.is_alias(names.api(draft.domain)) else single_address)
    return Cluster(
        name=known(draft.name).value,
        base_domain=draft.base_domain,
        release=known(draft.release),
        appliance_name=draft.appliance_name.value,
        address=known(draft.appliance).value,
        networks=networks,
        api_vips=api_vips,
        api_int_vips=file.api_internal_vips or api_vips or single_address,
        ingress_vips=file.ingress_vips or (() if draft.is_alias(names.apps(draft.domain)) else single_address),
        hosts=hosts,
        dns=_dns(draft),
        dhcp=file.dhcp.mode,
        listen=_listen(draft),
        images={arch: boot_images(draft.images[arch]) for arch in Arch if arch in draft.images},
        menu_seconds=file.menu.timeout,
        known_menu_seconds=file.menu.known_host_timeout,
        hold_workers=file.hold_until.worker != "none",
        serve_expired=file.serve_expired,
        data_dir=known(draft.data_dir),
        source=source,
        digest=digest,
        dhcp_relays=file.dhcp.relays,
        artifacts={key: boot_images(images) for key, images in draft.artifacts.items()},
        rendezvous=_rendezvous(draft),
        fips=file.fips,
        address_ipv6=draft.appliance6.value if draft.appliance6 else None,
        load_balancer=LoadBalancer(file.load_balancer.engine, own_front_ends(draft.frontends)),
        router_advertisements=bool(file.dhcp.router_advertisements),
    )


def _rendezvous(draft: Draft) -> Address | None:
    """Return the address of the host that leads an agent-based installation; None for another one."""
    masters = [host for host in draft.hosts if host.boot is Boot.AGENT and known(host.role).value is Role.MASTER]
    if draft.file.rendezvous_ip is not None and draft.boot is Boot.AGENT:
        return draft.file.rendezvous_ip
    return masters[0].addresses[0].value if masters else None


def data_dir_of(written: str | None, source: Path, override: Path | None, name: str, cluster_count: int) -> Path:
    """Return a cluster's data directory: the command line's *override*, the file's *written*, systemd's or the default.

    Several clusters without a dataDir each get a directory of their own in a common one.
    """
    if override is None and written is not None:
        return source.parent / written
    common = _common_dir(override)
    return common / name if cluster_count > 1 else common


def state_dir_of(clusters: Sequence[Cluster], override: Path | None) -> Path:
    """Return the directory of the appliance's state and its control socket.

    It is the same whether a cluster is served alone or with others. Otherwise
    adding a second file would make the appliance forget its hosts and reinstall them.
    """
    first, common = clusters[0], _common_dir(override)
    return common if len(clusters) > 1 and first.data_dir == common / first.name else first.data_dir


def _common_dir(override: Path | None) -> Path:
    # systemd passes the unit's StateDirectory= in this variable, several separated by colons.
    return override or Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or DEFAULT_DATA_DIR)


def _network(network: NetworkDraft, draft: Draft) -> Network:
    cidr, server = known(network.cidr).value, known(draft.appliance_in(network)).value
    if server.version != cidr.version:
        # Without an IPv6 address of the appliance, an IPv6 network is only for DNS.
        return Network(cidr, server, vlan=network.entry.vlan)
    entry, dhcp = network.entry, draft.file.dhcp
    sources = entry.ntp if entry.ntp is not None else draft.file.additional_ntp_sources
    domain = entry.domain or draft.domain
    search = entry.search if entry.search is not None else dhcp.search or ()
    common = Network(
        cidr=cidr,
        server=server,
        dns_servers=entry.dns_servers if entry.dns_servers is not None else (server,),
        ntp_servers=tuple(_time_servers(sources, draft, cidr.version)),
        ntp_names=tuple(
            source
            for source in sources
            if isinstance(source, str) and not [*_time_servers([source], draft, cidr.version)]
        ),
        domain=domain,
        search=search,
        mtu=entry.mtu or dhcp.mtu,
        lease_seconds=entry.lease_time or dhcp.lease_time or DEFAULT_LEASE_SECONDS,
        vlan=entry.vlan,
        link=entry.link or "",
    )
    if isinstance(cidr, IPv6Network):
        # DHCPv6 has no option for the domain, only the search list.
        return replace(common, search=search or (domain,))
    return replace(common, gateway=_gateway(network, draft, cidr), routes=_routes(network, draft, cidr))


def _time_servers(sources: Iterable[Address | str], draft: Draft, version: int) -> Iterator[Address]:
    """Yield the addresses of *sources* of this version; a name of ours has those that DNS gives it."""
    for source in sources:
        addresses = draft.addresses_of(source) if isinstance(source, str) else [source]
        yield from (address for address in addresses if address.version == version)


def _gateway(network: NetworkDraft, draft: Draft, cidr: IPv4Network) -> IPv4Address | None:
    common = draft.dhcp.gateway
    if network.options.gateway:
        return network.options.gateway.value
    return common.value if common and common.value in cidr else None


def _routes(network: NetworkDraft, draft: Draft, cidr: IPv4Network) -> tuple[Route, ...]:
    entries = network.entry.routes
    if entries is None:
        entries = tuple(route for route in draft.file.dhcp.routes or () if known(route.gateway) in cidr)
    return tuple(Route(known(route.destination), known(route.gateway)) for route in entries)


def _host(host: HostDraft, draft: Draft, networks: Sequence[Network]) -> Host:
    entry, role = host.entry, host.of_role
    name, addresses = known(host.name).value, tuple(address.value for address in host.addresses)
    homes = [network for network in networks if any(address in network.cidr for address in addresses)]
    dns_servers = tuple(server for network in homes for server in network.dns_servers)
    dns_servers = dns_servers if homes else (known(draft.appliance).value,)
    config, arguments = host.network_config(draft.networks), tuple[str, ...]()
    if config and host.boot is not Boot.NOTHING:
        names = naming(config, host.card_names, [mac.value for mac in host.macs], known(draft.release))
        arguments = dracut_arguments(config, name, dns_servers, names)
    return Host(
        name=name,
        role=known(host.role).value,
        macs=tuple(mac.value for mac in host.macs),
        addresses=(*addresses, *(card.address.value for card in host.cards)),
        arch=host.arch,
        install_disk=_disk(host, draft),
        kernel_arguments=tuple(argument.value for argument in host.kernel_arguments),
        network_arguments=arguments,
        loader=entry.loader or role.loader or Loader.AUTO,
        install=Install.NEVER if host.boot is Boot.NOTHING else entry.install or role.install or Install.ONCE,
        local_boot=entry.local_boot or role.local_boot or LocalBoot.NO_OFFER,
        boot=host.boot,
        boot_macs=entry.boot_mac_address if len(entry.boot_mac_address) > 1 else (),
        cards=tuple(
            Card(known(card.mac), card.address.value, card.name.value if card.name else "") for card in host.cards
        ),
    )


def _disk(host: HostDraft, draft: Draft) -> str:
    if host.boot is Boot.IN_PLACE:
        return known(known(draft.file.bootstrap_in_place).installation_disk)
    hints = host.entry.root_device_hints or host.of_role.root_device_hints
    return known(hints.device_name) if hints else DEFAULT_DISK


def _dns(draft: Draft) -> DnsSettings:
    dns = draft.file.dns
    return DnsSettings(
        zone=draft.zone,
        name_servers=_name_servers(draft),
        mailbox=dns.mailbox or f"hostmaster.{draft.zone}",
        serial=dns.serial,
        ttl=dns.ttl,
        refresh=dns.refresh,
        retry=dns.retry,
        expire=dns.expire,
        minimum=dns.minimum,
        records=tuple(
            Record(record.owner, record.kind, dns.ttl if record.ttl is None else record.ttl, known(record.data))
            for record in draft.records
        ),
        forwarders=dns.forwarders,
        forward=tuple(ForwardZone(known(entry.zone), entry.forwarders) for entry in dns.forward),
        forward_private_reverse=_knows_private_reverse(draft),
        drop_private_answers=dns.drop_private_answers,
        is_isolated=_is_isolated(draft),
        allow_recursion=dns.allow_recursion
        if dns.allow_recursion is not None
        else tuple(cidr.value for cidr in draft.cidrs),
        rfc2317=dns.rfc2317,
    )


def _knows_private_reverse(draft: Draft) -> bool:
    said, forwarders = draft.file.dns.forward_private_reverse, draft.file.dns.forwarders
    if said is not None:
        return said and bool(forwarders)
    return bool(forwarders) and all(is_private(forwarder.address) for forwarder in forwarders)


def _is_isolated(draft: Draft) -> bool:
    """Return whether there are no forwarders by intent, and no host knows another DNS server."""
    if draft.file.dhcp.mode is not DhcpMode.FULL:
        return False  # the other DHCP server tells hosts whom to ask
    own = {str(address.value) for address in draft.appliance_addresses}
    told = {str(server) for network in draft.networks for server in network.entry.dns_servers or ()}
    for host in draft.hosts:
        if host.entry.network_config:
            told.update(map(str, host.entry.network_config.dns_resolver.config.server))
        told.update(name_servers_of(argument.value for argument in host.kernel_arguments))
    return draft.document.has("dns", "forwarders") and not draft.file.dns.forwarders and told <= own


def _name_servers(draft: Draft) -> tuple[NameServer, ...]:
    own: dict[str, tuple[Address, ...]] = {
        known(host.name).value: tuple(address.value for address in host.addresses) for host in draft.hosts
    }
    own[draft.appliance_name.value] = tuple(
        address.value for address in (draft.appliance, draft.appliance6) if address is not None
    )
    named: list[tuple[str, tuple[Address, ...]]] = [(each.name.value, each.addresses) for each in draft.name_servers]
    return tuple(
        # The zone cannot have an address record for a name outside of it.
        NameServer(name, (addresses or own.get(name, ())) if in_zone(name, draft.zone) else ())
        for name, addresses in named or [(draft.appliance_name.value, ())]
    )


def _listen(draft: Draft) -> Listen:
    listen = draft.file.listen
    dns, tftp, http, dashboard = (
        tuple(endpoint.value for endpoint in draft.endpoints(key)) for key in ("dns", "tftp", "http", "dashboard")
    )
    return Listen(
        dns=dns,
        dhcp=listen.dhcp,
        dhcp_port=listen.dhcp_port,
        tftp=tftp,
        tftp_single_port=listen.tftp_single_port,
        http=http,
        dashboard=dashboard,
    )
