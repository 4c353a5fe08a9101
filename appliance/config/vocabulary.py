"""Every key of cluster.yaml with its type and description: the source of validation, JSON Schema and completion.

Keys have the names that install-config.yaml and agent-config.yaml use, where these have one.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from appliance.config import words
from appliance.config.nmstate import NetworkConfig
from appliance.config.sections import BaseSection, needed
from appliance.config.spelled import Alone, OneOrMany
from appliance.model import Balance, DhcpMode, Engine, Probe


class Section(BaseSection, alias_generator=to_camel):
    """A mapping of cluster.yaml, whose keys are in camelCase."""


class Metadata(Section):
    name: words.Label | None = needed()
    """The cluster's name, which comes before baseDomain in every name: api.<name>.<baseDomain>."""


class RouteEntry(Section):
    destination: words.Ipv4Cidr | None = needed()
    """The destination network."""
    gateway: words.Ipv4 | None = needed()
    """The router's address, in the machine network; 0.0.0.0 for a destination that needs no router."""


class DhcpOptions(Section):
    """What DHCP sends to hosts: in dhcp for every network, in an entry of machineNetwork only for that network."""

    gateway: words.AnyAddress | None = None
    """The default gateway (DHCP option 3), for IPv4. In dhcp it is used by the machine network that contains it."""
    lease_time: words.LeaseSeconds | None = None
    """How long a lease lasts: seconds, 12h, 7d (default), or infinite."""
    mtu: words.Mtu | None = None
    """The MTU in bytes (DHCP option 26, router advertisements); TFTP blocks are kept below it."""
    search: Annotated[tuple[words.Domain, ...] | None, OneOrMany()] = None
    """Domains in which hosts look up short names (DHCP option 119, DHCPv6 option 24). Default: only `domain`."""
    routes: tuple[RouteEntry, ...] | None = None
    """Classless static routes (DHCP option 121), for IPv4. In dhcp each is for the machine network of its gateway."""


class MachineNetwork(DhcpOptions):
    cidr: words.AnyCidr | None = needed()
    """The network's range, IPv4 or IPv6. The addresses in the other keys are of the same family."""
    link: words.Label | None = None
    """A name for the link of this network, if several networks are on one link behind a DHCP relay. Default: none."""
    server_address: words.AnyAddress | None = None
    """The appliance's address as seen from this network. Default: appliance.address or appliance.addressIPv6."""
    dns_servers: Annotated[tuple[words.AnyAddress, ...] | None, OneOrMany()] = None
    """DNS servers for the hosts (DHCP option 6, DHCPv6 option 23), which resolve the cluster's names. Default: ours."""
    domain: words.Domain | None = None
    """The domain for the hosts (DHCP option 15). Default: <name>.<baseDomain>."""
    vlan: words.VlanId | None = None
    """The tag with which hosts reach this network, where their switch ports have it as a tagged VLAN. Default: none."""
    ntp: Annotated[tuple[words.TimeServer, ...] | None, OneOrMany()] = None
    """Time servers of this network (DHCP option 42, DHCPv6 option 56). Default: additionalNTPSources."""


class ClusterNetwork(Section):
    cidr: words.AnyCidr | None = needed()
    """The range of the pods' addresses."""


class Networking(Section):
    machine_network: Annotated[tuple[MachineNetwork, ...], Field(min_length=1)] = needed(tuple)
    """The networks of the machines, one entry each."""
    cluster_network: tuple[ClusterNetwork, ...] = ()
    """The pods' networks; only checked for overlaps."""
    service_network: Annotated[tuple[words.AnyCidr, ...], OneOrMany()] = ()
    """The services' networks; only checked for overlaps."""


class ApplianceSection(Section):
    address: words.AnyAddress | None = needed()
    """The appliance's address in the machine network: DHCP's next-server, and the host in every URL."""
    address_ipv6: words.Ipv6 | None = Field(default=None, alias="addressIPv6")
    """Its IPv6 address beside an IPv4 `address`, for machine networks with IPv6."""
    hostname: words.HostName = "appliance"
    """The appliance's name, in the cluster's domain unless it contains dots. It gets A and PTR records."""


class RootDeviceHints(Section):
    device_name: words.Disk | None = needed()
    """The disk to install on. Names in /dev/disk/by-id and by-path do not change when disks are moved."""


class HostInterface(Section):
    mac_address: words.Mac | None = needed()
    """The interface's Ethernet address."""
    name: words.InterfaceName | None = None
    """What networkConfig calls the interface with this address. The kernel may call it something else."""
    address: words.Ipv4 | None = None
    """The address that DHCP gives this interface, as on a network that is only for booting. Default: the host's."""
    hostname: words.HostName | None = None
    """The DNS name of that address. Default: none."""


class HostDefaults(Section):
    """Settings of a role or of a host."""

    arch: words.ArchWord | None = None
    """The machine's architecture. Default: x86_64."""
    root_device_hints: RootDeviceHints | None = None
    """The disk to install on. Default: deviceName: /dev/sda."""
    boot: words.HostBootWord | None = None
    """What the machine boots to be installed: as boot above, or node-image (`oc adm node-image create --pxe`)."""
    kernel_arguments: Annotated[tuple[words.KernelArgument, ...] | None, OneOrMany()] = None
    """Arguments for the installer's kernel, added after the appliance's own."""
    loader: words.LoaderName | None = None
    """What firmware loads: auto (default), ipxe, ipxe-snp, undionly, shim, or a file such as efi/own.efi."""
    install: words.InstallWord | None = None
    """When the machine is installed: once (default), at every network boot (always), or never."""
    local_boot: words.LocalBootWord | None = None
    """How an installed machine gets from a network boot to its disk: no-offer (default), exit or sanboot."""


class RoleDefaults(Section):
    bootstrap: HostDefaults | None = None
    """Defaults for the bootstrap machine."""
    master: HostDefaults | None = None
    """Defaults for control plane nodes."""
    arbiter: HostDefaults | None = None
    """Defaults for the arbiter node."""
    worker: HostDefaults | None = None
    """Defaults for compute nodes."""
    infra: HostDefaults | None = None
    """Defaults for infrastructure nodes."""


class HostEntry(HostDefaults):
    hostname: words.HostName | None = needed()
    """The machine's name, in the cluster's domain unless it contains dots."""
    role: words.RoleWord | None = needed()
    """The machine's role. infra is installed as a worker and labelled later; other gets DHCP and DNS only."""
    mac_address: Annotated[tuple[words.Mac, ...], OneOrMany()] = ()
    """The Ethernet address that the machine boots from, or a list that begins with it."""
    boot_mac_address: Annotated[tuple[words.Mac, ...], OneOrMany()] = Field((), alias="bootMACAddress")
    """Which interface the machine boots from, or a list if it may boot from several. Default: the first."""
    interfaces: tuple[HostInterface, ...] = ()
    """The interfaces, beginning with the one that the machine boots from; in place of macAddress."""
    address: words.HostAddress | None = None
    """The machine's address in DHCP and DNS: IPv4, or IPv6 for a machine without IPv4."""
    address_ipv6: words.Ipv6 | None = Field(None, alias="addressIPv6")
    """The machine's IPv6 address in DHCPv6 and DNS, beside an IPv4 `address` or alone."""
    network_config: NetworkConfig | None = None
    """The machine's network configuration, in the nmstate format of agent-config.yaml. Default: DHCP."""


class NameServerEntry(Section):
    name: words.HostName | None = needed()
    """The name server's name, in the zone unless it contains dots."""
    address: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = ()
    """Its address, or a list. Required if its name is in the zone and is not that of the appliance or a host."""


class RecordEntry(Section):
    name: words.RecordName | None = needed()
    """The owner: @ for the zone itself, a name in the zone, or a full name. For PTR also an address."""
    type: words.RecordType | None = needed()
    """The record type."""
    value: words.RecordValue | None = needed()
    """The record data: an address, a name, a text, `10 mail` for MX, `0 10 389 ldap` for SRV."""
    ttl: words.DnsSeconds | None = None
    """How long the record may be cached. Default: dns.ttl."""


class ForwardEntry(Section):
    zone: words.ForwardedZone | None = needed()
    """The zone whose names are forwarded, for example corp.example.com or 10.in-addr.arpa."""
    forwarders: Annotated[Annotated[tuple[words.DnsEndpoint, ...], Field(min_length=1)], OneOrMany()] = needed(tuple)
    """The DNS servers that know this zone, tried in order."""


class Dns(Section):
    zone: words.Domain | None = None
    """The zone to serve: <name>.<baseDomain> (default), or the whole baseDomain."""
    name_servers: tuple[NameServerEntry, ...] | None = None
    """The zone's name servers, beginning with the primary. Default: the appliance."""
    mailbox: words.Mailbox | None = None
    """The mailbox in the SOA record. Default: hostmaster@<zone>."""
    serial: words.Serial = 1
    """The lowest serial number. It is increased automatically when the zone changes."""
    ttl: words.DnsSeconds = 3600
    """How long records may be cached."""
    refresh: words.DnsSeconds = 3600
    """SOA refresh: how often secondaries check for changes."""
    retry: words.DnsSeconds = 900
    """SOA retry: how soon secondaries try again."""
    expire: words.DnsSeconds = 3600000
    """SOA expire: when secondaries stop serving the zone."""
    minimum: words.DnsSeconds = 3600
    """SOA minimum: how long "no such name" may be cached."""
    records: tuple[RecordEntry, ...] = ()
    """Additional records in the zone or its reverse zones."""
    forwarders: Annotated[tuple[words.DnsEndpoint, ...], OneOrMany()] = ()
    """DNS servers to which other queries are forwarded, tried in order."""
    forward: tuple[ForwardEntry, ...] = ()
    """Zones of others whose names are forwarded to DNS servers of their own. The longest zone applies."""
    forward_private_reverse: words.Truth | None = None
    """Whether reverse names of private addresses are forwarded. Default: true if all forwarders are private."""
    drop_private_answers: words.Truth = False
    """Whether private addresses are removed from answers of forwarders, but not from those of a zone in forward."""
    allow_recursion: Annotated[tuple[words.AnyCidr, ...] | None, OneOrMany()] = None
    """The networks whose queries are forwarded. Default: the machine networks."""
    rfc2317: words.Truth = False
    """Whether reverse zones of networks smaller than /24 have RFC 2317 names, for a parent that delegates those."""


class Dhcp(DhcpOptions):
    mode: words.DhcpWord = DhcpMode.FULL
    """full: addresses and boot files; proxy: boot files only, beside another DHCP server; off: neither."""
    relays: Annotated[tuple[words.AnyRange, ...], OneOrMany()] = ()
    """Addresses or networks from which DHCP relays send, besides the machine networks. Others get no answer."""
    router_advertisements: words.Truth | None = None
    """Whether the appliance sends router advertisements (true only where no router does). Default: false."""


class ListenSection(Section):
    dns: Annotated[tuple[words.DnsEndpoint, ...] | None, OneOrMany()] = None
    """Where DNS listens (UDP and TCP). Default: port 53 of each of the appliance's addresses. [] turns it off."""
    dhcp: Annotated[tuple[words.InterfaceName, ...], OneOrMany()] = ()
    """The interfaces on which DHCP is served. Default: those with an address in a machine network."""
    dhcp_port: words.DhcpPort = 67
    """The UDP port of the DHCP server; clients use the next port."""
    tftp: Annotated[tuple[words.TftpEndpoint, ...] | None, OneOrMany()] = None
    """Where TFTP listens. Default: port 69 of each of the appliance's addresses. [] turns it off."""
    tftp_single_port: words.Truth = False
    """Whether transfers are sent from the listening port, for clients behind a firewall."""
    http: Annotated[Annotated[tuple[words.HttpEndpoint, ...], Field(min_length=1)] | None, OneOrMany()] = None
    """Where HTTP listens (images, scripts, Ignition). Default: port 80 of each of the appliance's addresses."""
    dashboard: Annotated[tuple[words.DashboardEndpoint, ...] | None, OneOrMany()] = None
    """Where the dashboard and metrics listen. Default: 127.0.0.1:8080. [] turns them off."""


class ImageEntry(Section):
    name: words.FileName | None = needed()
    """The file name, in images/ in the data directory."""
    sha256: words.Sha256 | None = None
    """The file's SHA-256 checksum, which `validate` compares."""


class ImageSet(Section):
    release: words.ImageRelease | None = None
    """The release in the file names: 4.5.6, or a build of RHCOS, SCOS or FCOS. Default: the cluster's release."""
    kernel: Annotated[ImageEntry | None, Alone("name")] = None
    """The installer's kernel: a file name, or name and sha256."""
    initramfs: Annotated[ImageEntry | None, Alone("name")] = None
    """The installer's initial RAM disk."""
    rootfs: Annotated[ImageEntry | None, Alone("name")] = None
    """The live system's root file system (4.6 and later)."""
    metal: Annotated[ImageEntry | None, Alone("name")] = None
    """The raw disk image (required before 4.6)."""


class ImagesSection(ImageSet):
    x86_64: ImageSet | None = Field(None, alias="x86_64")
    """The images for x86_64 machines. Default: the keys of images itself."""
    aarch64: ImageSet | None = Field(None, alias="aarch64")
    """The images for aarch64 machines. Default: only release is taken from images itself."""


class MenuSection(Section):
    timeout: words.MenuSeconds = 300
    """How long the menu waits before it exits on an unknown machine; 0 waits forever."""
    known_host_timeout: words.MenuSeconds = 10
    """How long the menu waits before it installs a known host; 0 installs it immediately."""


class HoldUntil(Section):
    worker: words.Hold = "machineConfigServer"
    """What workers and infra nodes wait for: machineConfigServer (a master answers on port 22623; default) or none."""


class Check(Section):
    type: words.ProbeWord = Probe.TCP
    """tcp: the member accepts a connection; http or https: it answers a GET with a status of 2xx or 3xx."""
    path: words.UrlPath | None = None
    """The path of the GET. Default: /."""
    port: words.Port | None = None
    """The member's port that is asked. Default: memberPort."""


class FrontendEntry(Section):
    name: words.FrontEndName | None = needed()
    """The front end's name, in HAProxy and in everything that speaks of it."""
    port: words.Port | None = needed()
    """The TCP port on which the load balancer listens."""
    # An empty list would say the opposite of what it does: no address would be the API's, and nobody everybody.
    addresses: Annotated[Annotated[tuple[words.AnyAddress, ...], Field(min_length=1)], OneOrMany()] = ()
    """The addresses on which it listens. Default: apiVIPs and apiInternalVIPs."""
    hosts: Annotated[Annotated[tuple[words.HostName, ...], Field(min_length=1)], OneOrMany()] = ()
    """The hosts to which it forwards connections."""
    roles: Annotated[Annotated[tuple[words.RoleWord, ...], Field(min_length=1)], OneOrMany()] = ()
    """Roles whose hosts it forwards connections to, besides `hosts`."""
    member_port: words.Port | None = None
    """The hosts' port. Default: port."""
    check: Annotated[Check, Alone("type")] = Check()
    """How it finds out whether a host works: tcp (default), http, https, or a mapping with type, path and port."""
    balance: words.BalanceWord = Balance.ROUND_ROBIN
    """How it chooses a host for a connection: roundrobin (default), or source (the same one for the same client)."""
    allow: Annotated[Annotated[tuple[words.AnyRange, ...], Field(min_length=1)], OneOrMany()] = ()
    """The only networks or addresses from which connections are accepted. Default: all."""


class LoadBalancerSection(Section):
    engine: words.EngineWord = Engine.EXTERNAL
    """haproxy: an HAProxy on this machine, which the appliance configures; external (default): somebody else's."""
    frontends: tuple[FrontendEntry, ...] = ()
    """Front ends besides those for 6443, 22623, 443 and 80, which every cluster has."""


class BootstrapInPlace(Section):
    installation_disk: words.Disk | None = needed()
    """The disk that the node installs itself on, as in install-config.yaml."""


class ClusterFile(Section):
    """One cluster for ocp-appliance: its machines, networks and names."""

    api_version: Literal["v1"] = "v1"
    """The version of the file format."""
    base_domain: words.Domain | None = needed()
    """The domain that contains the cluster's domain, as in install-config.yaml."""
    metadata: Metadata = needed(Metadata)
    """The cluster's name, as in install-config.yaml."""
    release: words.ReleaseText | None = needed()
    """The OpenShift or OKD release. It determines how machines are installed (4.6 and later: live system)."""
    boot: words.BootWord | None = None
    """What machines boot: RHCOS' installer (default), or what `openshift-install agent create pxe-files` made."""
    rendezvous_ip: words.AnyAddress | None = Field(None, alias="rendezvousIP")
    """The address of the host that leads an agent-based installation. Default: the first master's."""
    bootstrap_in_place: BootstrapInPlace | None = None
    """A single node that installs itself, without a bootstrap machine."""
    fips: words.Truth = False
    """Whether the cluster is installed in FIPS mode. It adds fips=1 for machines with boot agent or node-image."""
    networking: Networking = needed(Networking)
    """The networks, as in install-config.yaml."""
    api_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="apiVIPs")
    """The load balancer's addresses for api.<name>.<baseDomain>. Default on a single node: its own address."""
    api_internal_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="apiInternalVIPs")
    """The load balancer's addresses for api-int.<name>.<baseDomain>. Default: apiVIPs."""
    ingress_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="ingressVIPs")
    """The load balancer's addresses for *.apps.<name>.<baseDomain>. Default on a single node: its own address."""
    load_balancer: LoadBalancerSection = LoadBalancerSection()
    """What answers at apiVIPs, apiInternalVIPs and ingressVIPs."""
    additional_ntp_sources: Annotated[tuple[words.TimeServer, ...], OneOrMany()] = Field(
        (), alias="additionalNTPSources"
    )
    """Time servers for the hosts. DHCP can give IPv4 addresses (option 42), DHCPv6 IPv6 addresses and names (56)."""
    appliance: ApplianceSection = needed(ApplianceSection)
    """The appliance itself."""
    roles: RoleDefaults = RoleDefaults()
    """Defaults for each role. A host's own settings take precedence."""
    hosts: Annotated[tuple[HostEntry, ...], Field(min_length=1)] = needed(tuple)
    """The machines."""
    dns: Dns = Dns()
    """The zone, and other settings of the DNS server."""
    dhcp: Dhcp = Dhcp()
    """The DHCP server's settings, and defaults for machineNetwork[]."""
    listen: ListenSection = ListenSection()
    """Where the services listen."""
    images: ImagesSection = Field(default_factory=lambda: ImagesSection.model_validate({}))
    """The files that machines boot."""
    menu: MenuSection = MenuSection()
    """The menu that a machine shows before it is installed."""
    hold_until: HoldUntil = HoldUntil()
    """What hosts wait for before they are installed."""
    serve_expired: words.Truth = False
    """Whether bootstrap.ign is served after its certificates have expired."""
    data_dir: words.Directory | None = None
    """Directory of images/, ignition/, tftp/ and the state, relative to this file. Default: /var/lib/ocp-appliance."""
