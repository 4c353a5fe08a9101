"""A validated file becomes a Cluster: names made full, defaults filled in."""

import os
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path

from appliance.config.images import boot_images
from appliance.config.networkconfig import dracut_arguments
from appliance.config.records import in_zone, owner_name, rdata
from appliance.config.vocabulary import ClusterFile, Dns, HostDefaults, HostEntry, MachineNetwork
from appliance.model import (
    Arch,
    Cluster,
    DnsSettings,
    Endpoint,
    Host,
    Install,
    Listen,
    LocalBoot,
    NameServer,
    Network,
    Record,
    Role,
    Route,
)

DEFAULT_DISK = "/dev/sda"
DEFAULT_DATA_DIR = Path("/var/lib/ocp-appliance")
DASHBOARD = Endpoint(IPv4Address("127.0.0.1"), 8080)


def build(file: ClusterFile, source: Path, digest: str, data_dir: Path, release_text: str) -> Cluster:
    """Return the cluster that *file* describes. *release_text* is its release as it is spelled."""
    domain = f"{file.metadata.name}.{file.base_domain}"
    # IPv4 first: hosts boot in those, and DNS lists its reverse zones in this order.
    machine_networks = sorted(file.networking.machine_network, key=lambda entry: entry.cidr.version)
    networks = tuple(_network(entry, file, domain) for entry in machine_networks)
    hosts = tuple(_host(entry, file, domain, networks) for entry in file.hosts)
    api_vips = file.api_vips or _single_node_address(file.hosts)
    return Cluster(
        name=file.metadata.name,
        base_domain=file.base_domain,
        release=file.release,
        appliance_name=full_name(file.appliance.hostname, domain),
        address=file.appliance.address,
        networks=networks,
        api_vips=api_vips,
        api_int_vips=file.api_internal_vips or api_vips,
        ingress_vips=file.ingress_vips or _single_node_address(file.hosts),
        hosts=hosts,
        dns=_dns(file, domain),
        dhcp=file.dhcp.mode,
        listen=_listen(file, networks),
        images={arch: boot_images(file.images, arch, file.release, release_text) for arch in _arches(hosts)},
        menu_seconds=file.menu.timeout,
        known_menu_seconds=file.menu.known_host_timeout,
        hold_workers=file.hold_until.worker != "none",
        serve_expired=file.serve_expired,
        data_dir=data_dir,
        source=source,
        digest=digest,
    )


def full_name(name: str, domain: str) -> str:
    """Return *name* in *domain*, or as it is when it has dots."""
    return name if "." in name else f"{name}.{domain}"


def data_dir_of(said: str | None, source: Path, override: Path | None, name: str, cluster_count: int) -> Path:
    """Return a cluster's data directory: by the command line, by the file, by systemd, or the usual place.

    Several clusters have directories of their own below one that none of them names.
    """
    if override is None and said is not None:
        return source.parent / said
    common = _common_dir(override)
    return common / name if cluster_count > 1 else common


def state_dir_of(clusters: Sequence[Cluster], override: Path | None) -> Path:
    """Return the directory of what the appliance must remember, and of its control socket.

    It is the same whether a cluster is served alone or with others, or its
    hosts would be forgotten, and install again, as soon as a second file comes.
    """
    first, common = clusters[0], _common_dir(override)
    return common if len(clusters) > 1 and first.data_dir == common / first.name else first.data_dir


def _common_dir(override: Path | None) -> Path:
    # systemd gives the unit's StateDirectory= so, several separated by colons.
    return override or Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or DEFAULT_DATA_DIR)


def _network(entry: MachineNetwork, file: ClusterFile, domain: str) -> Network:
    if isinstance(entry.cidr, IPv6Network):
        # It is there for DNS; a host of it reaches the appliance by IPv4, which it boots with.
        return Network(entry.cidr, file.appliance.address)
    dhcp = file.dhcp
    server = entry.server_address or file.appliance.address
    gateway = entry.gateway or (dhcp.gateway if dhcp.gateway is not None and dhcp.gateway in entry.cidr else None)
    routes = entry.routes if entry.routes is not None else [r for r in dhcp.routes if r.gateway in entry.cidr]
    return Network(
        cidr=entry.cidr,
        server=server,
        gateway=gateway,
        dns_servers=entry.dns_servers if entry.dns_servers is not None else (server,),
        ntp_servers=entry.ntp if entry.ntp is not None else file.additional_ntp_sources,
        domain=entry.domain or domain,
        search=entry.search if entry.search is not None else dhcp.search,
        mtu=entry.mtu or dhcp.mtu,
        lease_seconds=entry.lease_time or dhcp.lease_time,
        routes=tuple(Route(route.destination, route.gateway) for route in routes),
    )


def _host(entry: HostEntry, file: ClusterFile, domain: str, networks: Sequence[Network]) -> Host:
    role = getattr(file.roles, entry.role.value) or HostDefaults()
    name = full_name(entry.hostname, domain)
    disk = entry.root_device_hints or role.root_device_hints
    kernel_arguments = entry.kernel_arguments if entry.kernel_arguments is not None else role.kernel_arguments
    dns_servers = next((n.dns_servers for n in networks if entry.address in n.cidr), (file.appliance.address,))
    return Host(
        name=name,
        role=entry.role,
        macs=entry.mac_address or tuple(interface.mac_address for interface in entry.interfaces),
        addresses=(entry.address, entry.address_ipv6) if entry.address_ipv6 else (entry.address,),
        arch=entry.arch or role.arch or Arch.X86_64,
        install_disk=disk.device_name if disk else DEFAULT_DISK,
        kernel_arguments=kernel_arguments or (),
        network_arguments=dracut_arguments(entry.network_config, name, dns_servers) if entry.network_config else (),
        loader=entry.loader or role.loader,
        install=entry.install or role.install or Install.ONCE,
        local_boot=entry.local_boot or role.local_boot or LocalBoot.NO_OFFER,
    )


def _single_node_address(hosts: Sequence[HostEntry]) -> tuple[IPv4Address, ...]:
    nodes = [host.address for host in hosts if host.role is not Role.BOOTSTRAP]
    return tuple(nodes) if len(nodes) == 1 else ()


def _arches(hosts: Sequence[Host]) -> list[Arch]:
    return [arch for arch in Arch if any(host.arch is arch for host in hosts)]


def _dns(file: ClusterFile, domain: str) -> DnsSettings:
    dns = file.dns
    zone = dns.zone or domain
    appliance_name = full_name(file.appliance.hostname, domain)
    known = {full_name(host.hostname, domain): host.address for host in file.hosts}
    known[appliance_name] = file.appliance.address
    if dns.name_servers:
        named = [(full_name(entry.name, zone), entry.address) for entry in dns.name_servers]
    else:
        named = [(appliance_name, None)]
    servers = tuple(
        NameServer(name, (address or known.get(name)) if in_zone(name, zone) else None) for name, address in named
    )
    return DnsSettings(
        zone=zone,
        name_servers=servers,
        mailbox=dns.mailbox or f"hostmaster.{zone}",
        serial=dns.serial,
        ttl=dns.ttl,
        refresh=dns.refresh,
        retry=dns.retry,
        expire=dns.expire,
        minimum=dns.minimum,
        records=_records(dns, zone),
        forwarders=dns.forwarders,
        allow_recursion=dns.allow_recursion
        if dns.allow_recursion is not None
        else tuple(entry.cidr for entry in file.networking.machine_network),
        rfc2317=dns.rfc2317,
    )


def _records(dns: Dns, zone: str) -> tuple[Record, ...]:
    return tuple(
        Record(
            name=owner_name(record.name, zone),
            type=record.type,
            ttl=dns.ttl if record.ttl is None else record.ttl,
            value=rdata(record.type, record.value, zone),
        )
        for record in dns.records
    )


def _listen(file: ClusterFile, networks: Sequence[Network]) -> Listen:
    listen = file.listen
    own = tuple(dict.fromkeys([file.appliance.address, *(network.server for network in networks)]))

    def everywhere(said: tuple[Endpoint, ...] | None, port: int) -> tuple[Endpoint, ...]:
        return said if said is not None else tuple(Endpoint(address, port) for address in own)

    return Listen(
        dns=everywhere(listen.dns, 53),
        dhcp=listen.dhcp,
        dhcp_port=listen.dhcp_port,
        tftp=everywhere(listen.tftp, 69),
        tftp_single_port=listen.tftp_single_port,
        http=everywhere(listen.http, 80),
        dashboard=listen.dashboard if listen.dashboard is not None else (DASHBOARD,),
    )
