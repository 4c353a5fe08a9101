"""A cluster as far as its file can be read: every derived value, and the place that it comes from.

The checks compare these values and speak of their places, and build makes the
Cluster from them. A value that is missing or unreadable is None here and has
been reported already, so that it hides no other problem and invents none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

from appliance.config import fields
from appliance.config.addresses import as_ipv4, as_ipv6
from appliance.config.document import Document, Path_, Placed
from appliance.config.frontends import FrontendDraft, frontend_drafts
from appliance.config.images import ImageDraft, artifact_drafts, image_drafts
from appliance.config.records import owner_name, rdata
from appliance.config.section_drafts import (
    CardDraft,
    DefaultsDraft,
    HostDraft,
    NameServerDraft,
    NetworkDraft,
    OptionsDraft,
    RecordDraft,
)
from appliance.config.vocabulary import ClusterFile, DhcpOptions, HostDefaults, HostEntry, MachineNetwork, RouteEntry
from appliance.config.words import DEFAULT_PORTS
from appliance.model import ON_LINK, Address, Arch, Boot, Cidr, Endpoint, Engine, MacAddress, Release, Role

# Stands for the cluster's domain where that cannot be read. No domain is spelled like this.
UNKNOWN_DOMAIN = "<name>.<baseDomain>"

# The dashboard has no passwords, so by default only this machine can reach it.
DASHBOARD = Endpoint(IPv4Address("127.0.0.1"), DEFAULT_PORTS["dashboard"])

# Machines that are no nodes of the finished cluster.
NO_NODES = (Role.BOOTSTRAP, Role.OTHER)

VIP_OWNERS = {"apiVIPs": "the API's", "apiInternalVIPs": "api-int's", "ingressVIPs": "the ingress's"}


@dataclass(frozen=True)
class Draft:
    """One cluster as far as *document* says, of which *file* holds the values."""

    document: Document
    file: ClusterFile
    data_dir: Path | None = None  # None where it depends on a name that cannot be read

    @cached_property
    def name(self) -> Placed[str] | None:
        """metadata.name."""
        return self.document.at(self.file.metadata.name, "metadata", "name")

    @cached_property
    def base_domain(self) -> str:
        """baseDomain; UNKNOWN_DOMAIN when it cannot be read."""
        return self.file.base_domain or UNKNOWN_DOMAIN

    @cached_property
    def domain(self) -> str:
        """The cluster's domain; UNKNOWN_DOMAIN when it cannot be read."""
        return f"{self.name.value}.{self.file.base_domain}" if self.name and self.file.base_domain else UNKNOWN_DOMAIN

    @property
    def is_domain_known(self) -> bool:
        """Whether full names are known."""
        return self.domain != UNKNOWN_DOMAIN

    @cached_property
    def zone(self) -> str:
        """The apex of the zone that is served."""
        return self.file.dns.zone or self.domain

    @property
    def release(self) -> Release | None:
        """The release."""
        return self.file.release

    @cached_property
    def spelled_release(self) -> Placed[str] | None:
        """The release as it is spelled, which the names of its images contain."""
        text = self.document.value_at(("release",))
        return self.document.at(text.strip(), "release") if isinstance(text, str) and self.release else None

    @cached_property
    def networks(self) -> list[NetworkDraft]:
        """The machine networks."""
        return [self._network(entry, index) for index, entry in enumerate(self.file.networking.machine_network)]

    @cached_property
    def cidrs(self) -> list[Placed[Cidr]]:
        """The ranges of the machine networks."""
        return [network.cidr for network in self.networks if network.cidr]

    @cached_property
    def has_every_range(self) -> bool:
        """Whether the range of each machine network is known, so that an address can be known to be outside."""
        return 0 < len(self.cidrs) == len(self.networks)

    @cached_property
    def has_every_server(self) -> bool:
        """Whether each machine network is known, and each address of the appliance that the file gives."""
        said: list[tuple[Path_, object]] = [
            (("appliance", "address"), self.file.appliance.address),
            (("appliance", "addressIPv6"), self.file.appliance.address_ipv6),
            *(((*each.path, "serverAddress"), each.entry.server_address) for each in self.networks),
        ]
        return self.has_every_range and not any(value is None and self.document.has(*path) for path, value in said)

    @cached_property
    def ranges4(self) -> list[IPv4Network]:
        """The IPv4 ranges among them; none when one cannot be read, because then nothing is known to be outside."""
        return [cidr for network in self.networks for cidr in network.ranges4] if self.has_every_range else []

    def ranges(self, version: int) -> list[Cidr]:
        """Return the ranges of the IP *version* among them; none when one of the ranges cannot be read."""
        return [cidr.value for cidr in self.cidrs if cidr.value.version == version] if self.has_every_range else []

    @cached_property
    def dhcp(self) -> OptionsDraft:
        """What DHCP tells the hosts of every network."""
        return self._options(self.file.dhcp, ("dhcp",))

    @cached_property
    def options(self) -> list[OptionsDraft]:
        """What DHCP tells hosts, in each place where the file may say so."""
        return [*(network.options for network in self.networks), self.dhcp]

    @cached_property
    def appliance(self) -> Placed[Address] | None:
        """The appliance's address."""
        address = self.file.appliance.address
        return self.document.at(address, "appliance", "address", owner="the appliance's own address")

    @cached_property
    def appliance6(self) -> Placed[IPv6Address] | None:
        """The appliance's IPv6 address beside an IPv4 one."""
        address = self.file.appliance.address_ipv6
        return self.document.at(address, "appliance", "addressIPv6", owner="the appliance's own IPv6 address")

    def appliance_in(self, network: NetworkDraft) -> Placed[Address] | None:
        """Return the appliance's address for *network*; for one without any of its family, the main address."""
        said: tuple[Placed[Address] | None, ...] = (network.server, self.appliance, self.appliance6)
        known = [address for address in said if address]
        version = 6 if network.is_ipv6 else 4
        return next((address for address in known if address.value.version == version), self.appliance)

    def serves(self, network: NetworkDraft) -> bool:
        """Whether the appliance has an address of the family of *network*; an IPv6 network may be for DNS only."""
        server = self.appliance_in(network)
        return server is not None and (server.value.version == 6) == network.is_ipv6

    @cached_property
    def appliance_name(self) -> Placed[str]:
        """The appliance's full name."""
        path = ("appliance", "hostname") if self.document.has("appliance", "hostname") else ("appliance",)
        return Placed(self.full_name(self.file.appliance.hostname), path, self.document, "the appliance's name")

    @cached_property
    def appliance_addresses(self) -> list[Placed[Address]]:
        """Each of the appliance's addresses, of which several networks may have the same."""
        servers = [network.server for network in self.networks]
        return [address for address in (self.appliance, self.appliance6, *servers) if address]

    @cached_property
    def gateways(self) -> list[Placed[IPv4Address]]:
        """Every default gateway."""
        return [options.gateway for options in self.options if options.gateway]

    @cached_property
    def vips(self) -> dict[str, list[Placed[Address]]]:
        """The load balancer's addresses that the file gives, by key."""
        said = (self.file.api_vips, self.file.api_internal_vips, self.file.ingress_vips)
        return {
            key: self.document.all_at(addresses, key, owner=f"{whose} address ({key})")
            for (key, whose), addresses in zip(VIP_OWNERS.items(), said, strict=True)
        }

    @property
    def has_haproxy(self) -> bool:
        """Whether the appliance's machine is the load balancer."""
        return self.file.load_balancer.engine is Engine.HAPROXY

    @cached_property
    def frontends(self) -> list[FrontendDraft]:
        """The operator's own front ends."""
        return frontend_drafts(self.file.load_balancer.frontends, self.document, self.full_name)

    @cached_property
    def hosts(self) -> list[HostDraft]:
        """The entries of hosts."""
        return [self._host(entry, index) for index, entry in enumerate(self.file.hosts)]

    @cached_property
    def single_node(self) -> HostDraft | None:
        """The node that is the whole cluster by itself, not counting the bootstrap machine; None in other clusters."""
        nodes = [host for host in self.hosts if not (host.role and host.role.value in NO_NODES)]
        return nodes[0] if len(nodes) == 1 else None

    @cached_property
    def may_be_single_node(self) -> bool:
        """Whether one node is the cluster, or could be if one role that cannot be read were bootstrap."""
        roles = [host.role.value if host.role else None for host in self.hosts]
        # A cluster has one bootstrap machine, so a second one is no explanation.
        may_lack_bootstrap = None in roles and Role.BOOTSTRAP not in roles
        nodes = sum(1 for role in roles if role not in NO_NODES)
        return nodes == 1 or (nodes == 2 and may_lack_bootstrap)

    @property
    def boot(self) -> Boot:
        """What machines boot unless they, or their roles, say otherwise."""
        return self.file.boot or Boot.INSTALLER

    @cached_property
    def is_way_known(self) -> bool:
        """Whether everything that says what machines boot can be read."""
        said: list[tuple[Path_, object]] = [
            (("boot",), self.file.boot),
            (("bootstrapInPlace",), self.file.bootstrap_in_place),
            *(((*host.path, "boot"), host.entry.boot) for host in self.hosts),
            *(((*host.path, "role"), host.role) for host in self.hosts),
        ]
        said += [(("roles", role.value, "boot"), entry.boot) for role in Role if (entry := self._of_role(role))]
        return all(value is not None or not self.document.has(*path) for path, value in said)

    @cached_property
    def roles(self) -> list[DefaultsDraft]:
        """What the roles set."""
        entries = ((role, self._of_role(role)) for role in Role)
        return [self._defaults(entry, ("roles", role.value)) for role, entry in entries if entry]

    @cached_property
    def arches(self) -> dict[Arch, Path_]:
        """The architectures in use, each with the place of the first host that has it and boots from the network."""
        found: dict[Arch, Path_] = {}
        for host in self.hosts:
            if host.boot is not Boot.NOTHING:
                found.setdefault(host.arch, host.path)
        return found

    @cached_property
    def images(self) -> dict[Arch, list[ImageDraft]]:
        """The files of the release that each architecture in use boots; empty while the release is unknown."""
        if self.release is None or self.spelled_release is None:
            return {}
        arches = {host.arch: None for host in self.hosts if host.boot in (Boot.INSTALLER, Boot.IN_PLACE)}
        return {
            arch: list(
                image_drafts(
                    self.file.images,
                    self.document,
                    arch,
                    self.release,
                    self.spelled_release,
                    # images names what most hosts boot.
                    names_these=not self.boot.is_embedded,
                )
            )
            for arch in arches
        }

    @cached_property
    def artifacts(self) -> dict[tuple[Boot, Arch], list[ImageDraft]]:
        """The files with an Ignition configuration in them that hosts boot."""
        found: dict[tuple[Boot, Arch], list[ImageDraft]] = {}
        for host in self.hosts:
            key = host.boot, host.arch
            if host.boot.is_embedded and key not in found:
                section = self.file.images if host.boot is self.boot else None
                found[key] = list(artifact_drafts(section, self.document, *key, self.place_of_boot(host)))
        return found

    def place_of_boot(self, host: HostDraft) -> Path_:
        """Return the place that says what *host* boots."""
        of_role = ("roles", host.role.value.value) if host.role else ()
        places: tuple[Path_, ...] = ((*host.path, "boot"), (*of_role, "boot"))
        return next((path for path in places if self.document.has(*path)), ("boot",))

    @cached_property
    def name_servers(self) -> list[NameServerDraft]:
        """The entries of dns.nameServers that have a name."""
        found = []
        for index, entry in enumerate(self.file.dns.name_servers or ()):
            path = ("dns", "nameServers", index)
            if entry.name is not None:
                name = Placed(fields.full_name(entry.name, self.zone), (*path, "name"), self.document)
                found.append(NameServerDraft(path, name, tuple(address for address in entry.address if address)))
        return found

    @cached_property
    def records(self) -> list[RecordDraft]:
        """The entries of dns.records that have a name and a type."""
        found = []
        for index, entry in enumerate(self.file.dns.records):
            path = ("dns", "records", index)
            name = self.document.at(entry.name, *path, "name")
            if name is None or entry.type is None:
                continue
            value, data, fault = self.document.at(entry.value, *path, "value"), None, None
            try:
                data = rdata(entry.type, value.value, self.zone) if value else None
            except ValueError as error:
                fault = str(error)
            owner = owner_name(name.value, self.zone)
            found.append(RecordDraft(name, owner, entry.type, entry.ttl, value, data, fault))
        return found

    def addresses_of(self, name: str) -> list[Address]:
        """Return the addresses that DNS gives the host, the appliance or the record *name*; [] if it is not ours."""
        found = [each.value for host in self.hosts if host.name and host.name.value == name for each in host.addresses]
        if self.appliance_name.value == name:
            found += [each.value for each in self.appliance_addresses]
        for record in self.records:
            if record.owner == name and record.kind in {"A", "AAAA"} and record.data:
                found.append(ip_address(record.data))
        return list(dict.fromkeys(found))

    def is_alias(self, name: str) -> bool:
        """Whether dns.records makes *name* a CNAME."""
        return any(record.owner == name and record.kind == "CNAME" for record in self.records)

    def endpoints(self, key: str) -> list[Placed[Endpoint]]:
        """Return where the service `listen.<key>` listens: as the file says, or by default."""
        said: dict[str, Sequence[Endpoint] | None] = {
            "dns": self.file.listen.dns,
            "tftp": self.file.listen.tftp,
            "http": self.file.listen.http,
            "dashboard": self.file.listen.dashboard,
        }
        if self.document.has("listen", key):
            return self.document.all_at(said[key], "listen", key, owner=f"listen.{key}")
        owner = f"listen.{key} by default"
        if key == "dashboard":
            return [Placed(DASHBOARD, ("listen",), self.document, owner)]
        first = {address.value: address for address in reversed(self.appliance_addresses)}
        own = dict.fromkeys(address.value for address in self.appliance_addresses)
        return [
            Placed(Endpoint(address, DEFAULT_PORTS[key]), first[address].path, self.document, owner) for address in own
        ]

    def full_name(self, name: str) -> str:
        """Return *name* in the cluster's domain, or as it is when it has dots."""
        return fields.full_name(name, self.domain)

    def _network(self, entry: MachineNetwork, index: int) -> NetworkDraft:
        path: Path_ = ("networking", "machineNetwork", index)
        owner = "the appliance's address there"
        return NetworkDraft(
            entry=entry,
            path=path,
            cidr=self.document.at(entry.cidr, *path, "cidr"),
            server=self.document.at(entry.server_address, *path, "serverAddress", owner=owner),
            dns_servers=self.document.all_at(entry.dns_servers, *path, "dnsServers"),
            options=self._options(entry, path),
        )

    def _options(self, section: DhcpOptions, path: Path_) -> OptionsDraft:
        at = self.document.at
        routes: Sequence[RouteEntry] = section.routes or ()
        gateways = [at(route.gateway, *path, "routes", index, "gateway") for index, route in enumerate(routes)]
        return OptionsDraft(
            path=path,
            gateway=at(as_ipv4(section.gateway), *path, "gateway", owner="the gateway"),
            lease_seconds=at(section.lease_time, *path, "leaseTime"),
            search=self.document.all_at(section.search, *path, "search"),
            route_gateways=[gateway for gateway in gateways if gateway],
            on_link=[route.destination for route in routes if route.destination and route.gateway == ON_LINK],
        )

    def _macs(self, entry: HostEntry, path: Path_, label: str) -> list[Placed[MacAddress]]:
        macs = self.document.all_at(entry.mac_address, *path, "macAddress", owner=label)
        for number, interface in enumerate(entry.interfaces):
            mac = self.document.at(interface.mac_address, *path, "interfaces", number, "macAddress", owner=label)
            macs += [mac] if mac else []
        boots = self.document.all_at(entry.boot_mac_address, *path, "bootMACAddress", owner=label)
        named = {mac.value: mac for mac in reversed(macs)}
        first = [named.get(mac.value, mac) for mac in boots]
        # Each once, unless the file has it twice among the interfaces.
        return [*first, *(mac for mac in macs if not any(mac is other for other in first))]

    def _cards(self, entry: HostEntry, path: Path_, label: str) -> list[CardDraft]:
        found = []
        for number, interface in enumerate(entry.interfaces):
            here = (*path, "interfaces", number)
            address = self.document.at(interface.address, *here, "address", owner=label)
            name = self.full_name(interface.hostname) if interface.hostname else None
            if address:
                placed = self.document.at(name, *here, "hostname", owner=label)
                found.append(CardDraft(interface.mac_address, address, placed))
        return found

    def _of_role(self, role: Role) -> HostDefaults | None:
        found: HostDefaults | None = getattr(self.file.roles, role.value, None)
        return found

    def _boot(self, entry: HostEntry, of_role: HostDefaults) -> Boot:
        if entry.role is Role.OTHER:
            return Boot.NOTHING
        boot = entry.boot or of_role.boot or self.boot
        is_in_place = boot is Boot.INSTALLER and entry.role is Role.MASTER and self.file.bootstrap_in_place is not None
        return Boot.IN_PLACE if is_in_place else boot

    def _defaults(self, entry: HostDefaults, path: Path_) -> DefaultsDraft:
        return DefaultsDraft(
            path=path,
            kernel_arguments=self.document.all_at(entry.kernel_arguments, *path, "kernelArguments"),
            loader=self.document.at(entry.loader, *path, "loader"),
            install=self.document.at(entry.install, *path, "install"),
        )

    def _host(self, entry: HostEntry, index: int) -> HostDraft:
        at, path = self.document.at, ("hosts", index)
        label = entry.hostname or f"hosts[{index}]"
        of_role = (self._of_role(entry.role) if entry.role else None) or HostDefaults()
        own = self._defaults(entry, path)
        kernel_arguments = own.kernel_arguments
        if entry.kernel_arguments is None and entry.role:
            kernel_arguments = self._defaults(of_role, ("roles", entry.role.value)).kernel_arguments
        return HostDraft(
            entry=entry,
            path=path,
            label=label,
            name=at(self.full_name(entry.hostname), *path, "hostname", owner=label) if entry.hostname else None,
            role=at(entry.role, *path, "role", owner=label),
            macs=self._macs(entry, path, label),
            cards=self._cards(entry, path, label),
            address=at(as_ipv4(entry.address), *path, "address", owner=label),
            address6=at(as_ipv6(entry.address), *path, "address", owner=label)
            or at(entry.address_ipv6, *path, "addressIPv6", owner=label),
            arch=entry.arch or of_role.arch or Arch.X86_64,
            boot=self._boot(entry, of_role),
            kernel_arguments=kernel_arguments,
            own=own,
            of_role=of_role,
        )
